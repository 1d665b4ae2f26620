"""A short run against an existing profile, to see whether it still holds on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_calibration.backends import Backend, Timing
from dmoa_calibration.contention import cpu_wall_ratios, is_contended
from dmoa_calibration.hardware import describe_hardware
from dmoa_calibration.measure import Progress, described, infer
from dmoa_theory import __version__
from dmoa_theory.errors import CalibrationError
from dmoa_theory.model.profile import Profile

__all__ = ["Check", "CheckedCell", "check_profile"]

#: Deviation that is put down to the day, whatever the profile's own error.
_LEAST_TOLERANCE = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCell:
    """One timed inference beside what the profile says of it, in seconds."""

    prompt_tokens: int
    output_tokens: int
    measured: float
    predicted: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What a short run says of a profile.

    Parameters
    ----------
    cells : tuple of CheckedCell
        In the order measured.
    tolerance : float
        Relative deviation of the median up to which the profile holds: 10 %, or four times its own error where that is more.
    clock : {"wall", "cpu"}
        Which seconds were compared: CPU seconds where the profile was fitted to them, or the machine was busy now.
    contended : bool
        Whether other work kept the processor busy now.
    differences : tuple of str
        Where this machine, engine or model is another than the profile's.
    """

    cells: tuple[CheckedCell, ...]
    tolerance: float
    clock: str
    contended: bool
    differences: tuple[str, ...]

    @property
    def median_ratio(self) -> float:
        """Measured over predicted seconds, the median of the cells."""
        return float(np.median([cell.ratio for cell in self.cells]))

    @property
    def holds(self) -> bool:
        """Whether the median lies within the tolerance."""
        return abs(self.median_ratio - 1) <= self.tolerance

    def describe(self) -> str:
        """The verdict in words."""
        change = 100 * (self.median_ratio - 1)
        speed = f"{abs(change):.1f} % {'longer' if change > 0 else 'shorter'} than the profile says"
        seconds = "CPU seconds" if self.clock == "cpu" else "wall seconds"
        end = "the profile holds" if self.holds else "the profile does not hold here and now: measure again"
        return f"{len(self.cells)} inferences took {speed} ({seconds}, median; {100 * self.tolerance:.0f} % allowed): {end}"

    def to_dict(self) -> dict[str, Any]:
        """What ``dmoa calibrate --check --json`` prints."""
        return {
            "schema": "dmoa/calibrate-check/1",
            "version": __version__,
            "source": "measured",
            "holds": self.holds,
            "median_ratio": self.median_ratio,
            "tolerance": self.tolerance,
            "clock": self.clock,
            "contended": self.contended,
            "differences": list(self.differences),
            "cells": [
                {
                    "prompt_tokens": cell.prompt_tokens,
                    "output_tokens": cell.output_tokens,
                    "measured_s": cell.measured,
                    "predicted_s": cell.predicted,
                    "ratio": cell.ratio,
                }
                for cell in self.cells
            ],
        }


def check_profile(profile: Profile, backend: Backend, *, budget: float = 20.0, progress: Progress | None = None) -> Check:
    """Time a few inferences inside the profile's lengths, as many as the budget allows, and compare.

    Parameters
    ----------
    profile : Profile
    backend : Backend
        The engine, model loaded.
    budget : float, seconds
        Wall time for the warm-up and the inferences.
    progress : callable, optional
        ``progress(done, total, message)``.

    Returns
    -------
    Check
        Nothing is written.

    Raises
    ------
    CalibrationError
        When the budget allows no inference beside the warm-up, or the engine fails.
    """
    fit = profile.fit
    started = time.monotonic()
    report = progress or (lambda *_: None)
    shortest = fit.p_range[0], fit.o_range[0]
    report(0, 1, "warming up")
    infer(backend, *shortest)
    taken: list[Timing] = []
    slower = 1.0  # a machine that turns out slower than the profile says must not overrun the budget
    for p, o in _cells(fit.p_range, fit.o_range):
        left = budget - (time.monotonic() - started)
        if slower * fit.seconds(p, o) > left:
            continue
        timing = infer(backend, p, o)
        taken.append(timing)
        slower = max(slower, timing.wall_s / fit.seconds(p, o))
        report(len(taken), len(taken) + 1, f"{p} prompt + {o} output tokens: {timing.wall_s:.3g} s")
    if not taken:
        needed = fit.seconds(*shortest)
        raise CalibrationError(
            f"{budget:g} s do not suffice: one inference of {shortest[0]} + {shortest[1]} takes {needed:.3g} s"
        )
    ratios = cpu_wall_ratios(taken) if profile.document["runtime"]["n_threads"] == 1 else None
    contended = ratios is not None and is_contended(ratios)
    clock = "cpu" if ratios is not None and (contended or fit.clock == "cpu") else "wall"
    return Check(
        cells=tuple(
            CheckedCell(
                prompt_tokens=t.prompt_tokens,
                output_tokens=t.output_tokens,
                measured=t.cpu_s if clock == "cpu" and t.cpu_s is not None else t.wall_s,
                predicted=fit.seconds(t.prompt_tokens, t.output_tokens),
            )
            for t in taken
        ),
        tolerance=max(_LEAST_TOLERANCE, 4 * fit.loo_median_rel_err),
        clock=clock,
        contended=contended,
        differences=tuple(_differences(profile, backend)),
    )


def _cells(p_range: Sequence[int], o_range: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Lengths to try, cheap ones first and twice: corners and the middle of what was measured."""
    prompts = [p_range[0], round((p_range[0] * p_range[1]) ** 0.5), p_range[1]]
    pairs = [(p, o) for o in dict.fromkeys(o_range) for p in dict.fromkeys(prompts)]
    for _ in range(2):
        yield from pairs


def _differences(profile: Profile, backend: Backend) -> Iterator[str]:
    about = described(backend)
    here = {**about, "hardware": describe_hardware() | about.get("hardware", {})}
    for part, key, word in (
        ("hardware", "cpu_model", "processor"),
        ("runtime", "backend", "engine"),
        ("runtime", "backend_version", "engine version"),
        ("runtime", "n_threads", "threads"),
        ("runtime", "dtype", "number type"),
        ("model", "name", "model"),
    ):
        now, then = here[part].get(key), profile.document[part].get(key)
        if now != then:
            yield f"{word} {now}, and the profile is of {then}"
