"""Profiles beside each other: what each says of the same prompts and answers, and how sure the ratio is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray, owned
from dmoa_theory.model.profile import Profile
from dmoa_theory.quantities import show_number, show_uncertain_seconds
from dmoa_theory.results import Result, Source, Table

__all__ = ["ProfileComparison", "compare_profiles"]

#: Half-width of a 95 % interval in standard errors.
_WIDE = 1.96


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ProfileComparison(Result):
    """Predicted times of two or more profiles at the same lengths.

    Parameters
    ----------
    names : tuple of str
        What the profiles are called here.
    profiles : tuple of Profile
    prompt_tokens, output_tokens : ndarray, shape (n,)
        The lengths.
    seconds, standard_error : ndarray, shape (n, profiles), seconds
        Predicted time, and what the covariance of the fit leaves open.
    common : bool
        Whether the lengths lie inside what all profiles were measured with; otherwise no such lengths exist, and those of
        the first are used.
    """

    names: tuple[str, ...]
    profiles: tuple[Profile, ...]
    prompt_tokens: IntArray
    output_tokens: IntArray
    seconds: FloatArray
    standard_error: FloatArray
    common: bool

    verb: ClassVar[str] = "profile"

    @property
    def source(self) -> Source:
        """The times are those of fitted formulas."""
        return Source.APPROXIMATION

    @property
    def letters(self) -> tuple[str, ...]:
        """What tables call the profiles, whose names may be long: A, B, C, and so on."""
        return tuple(chr(ord("A") + i) if i < 26 else str(i + 1) for i in range(len(self.names)))

    @property
    def ratio(self) -> FloatArray:
        """Time over that of the first profile; shape (n, profiles)."""
        return np.asarray(self.seconds / self.seconds[:, :1])

    @property
    def ratio_error(self) -> FloatArray:
        """Standard error of :attr:`ratio`, the profiles erring independently; shape (n, profiles), the first column zero."""
        relative = (self.standard_error / self.seconds) ** 2
        error = self.ratio * np.sqrt(relative + relative[:, :1])
        error[:, 0] = 0.0
        return np.asarray(error)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        about = [
            {
                "name": name,
                "describe": profile.describe(),
                "created": profile.created,
                "prompt_tokens": list(profile.fit.p_range),
                "output_tokens": list(profile.fit.o_range),
                "error": profile.fit.loo_median_rel_err,
                "worst_error": profile.fit.loo_max_rel_err,
            }
            for name, profile in zip(self.names, self.profiles, strict=True)
        ]
        return {"profiles": about, "common": self.common, "rows": self.records()}

    def table(self) -> Table:
        """Times at each length, and their ratio to the first, with 95 % intervals of the fits."""
        heads = ["prompt + answer", self.letters[0]]
        for letter in self.letters[1:]:
            heads += [letter, f"{letter} / {self.letters[0]}"]
        rows = []
        for i, (p, o) in enumerate(zip(self.prompt_tokens, self.output_tokens, strict=True)):
            row = [f"{p} + {o}", self._time(i, 0)]
            for j in range(1, len(self.names)):
                ratio, error = float(self.ratio[i, j]), float(self.ratio_error[i, j])
                row += [self._time(i, j), f"{show_number(ratio)} ± {_WIDE * error:.2g}"]
            rows.append(tuple(row))
        return Table("Seconds of one inference, with 95 % intervals of the fits", tuple(heads), tuple(rows))

    def _time(self, row: int, column: int) -> str:
        return show_uncertain_seconds(float(self.seconds[row, column]), _WIDE * float(self.standard_error[row, column]))

    def records(self) -> list[dict[str, Any]]:
        """One row a pair of lengths and a profile."""
        return [
            {
                "prompt_tokens": int(self.prompt_tokens[i]),
                "output_tokens": int(self.output_tokens[i]),
                "profile": name,
                "seconds": float(self.seconds[i, j]),
                "standard_error": float(self.standard_error[i, j]),
                "ratio": float(self.ratio[i, j]),
                "ratio_standard_error": float(self.ratio_error[i, j]),
            }
            for i in range(self.prompt_tokens.size)
            for j, name in enumerate(self.names)
        ]


def compare_profiles(profiles: Sequence[Profile], names: Sequence[str] = ()) -> ProfileComparison:
    """Approximation: what profiles say of the same lengths, smallest, middle and largest that all were measured with.

    Parameters
    ----------
    profiles : sequence of Profile
        Two or more; ratios are to the first.
    names : sequence of str
        What to call them; default their model names, numbered.

    Raises
    ------
    InputError
        For fewer than two.

    Notes
    -----
    The errors are those of mean times: they say whether two machines differ, not how far the formula is off at one length.
    """
    if len(profiles) < 2:
        raise InputError("profiles", len(profiles), "two or more")
    called = tuple(names) or tuple(f"{i}: {profile.name}" for i, profile in enumerate(profiles, start=1))
    ranges = [np.array([getattr(profile.fit, name) for profile in profiles]) for name in ("p_range", "o_range")]
    common = all(each[:, 0].max() <= each[:, 1].min() for each in ranges)
    ends = [(each[:, 0].max(), each[:, 1].min()) if common else tuple(each[0]) for each in ranges]
    prompts, outputs = (_between(int(low), int(high), count) for (low, high), count in zip(ends, (3, 2), strict=True))
    p, o = (grid.ravel() for grid in np.meshgrid(prompts, outputs, indexing="ij"))
    seconds = np.stack([profile.fit.seconds(p, o) for profile in profiles], axis=1)
    error = np.stack([profile.fit.seconds_error(p, o) for profile in profiles], axis=1)
    return ProfileComparison(
        names=called,
        profiles=tuple(profiles),
        prompt_tokens=owned(p),
        output_tokens=owned(o),
        seconds=owned(seconds),
        standard_error=owned(error),
        common=common,
    )


def _between(low: int, high: int, count: int) -> IntArray:
    """That many lengths from low to high, evenly on a logarithmic scale; fewer where they fall together."""
    return np.unique(np.rint(np.geomspace(low, high, count)).astype(np.int64))
