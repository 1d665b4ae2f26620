"""From samples to a service-time model: non-negative least squares, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dmoa_calibration.backends import Timing
from dmoa_calibration.covariance import coefficient_covariance
from dmoa_calibration.least_squares import Floats, all_but_one_cell, determined, predicted_seconds, solve
from dmoa_theory.errors import CalibrationError
from dmoa_theory.model.service_fit import ServiceFit

__all__ = [
    "Clock",
    "HeldOut",
    "check_design",
    "drift",
    "fit_timings",
    "held_out",
    "leave_one_cell_out",
]

Clock = Literal["wall", "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """A (p, o) cell as measured, and as predicted by a fit that never saw it.

    Parameters
    ----------
    prompt_tokens, output_tokens : int
        The cell.
    measured, predicted : float, seconds
        Mean of its samples, and the prediction from all the other cells.
    """

    prompt_tokens: int
    output_tokens: int
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """Relative error of the prediction."""
        return self.predicted / self.measured - 1


def fit_timings(timings: Sequence[Timing], *, clock: Clock = "wall", seed: int = 0, ordered: bool = True) -> ServiceFit:
    """Approximation: the service-time model that fits these timings best, coefficients zero or above.

    Parameters
    ----------
    timings : sequence of Timing
        At least three prompt lengths and two output lengths.
    clock : {"wall", "cpu"}
        Which seconds to fit.
    seed : int
        Of the bootstrap.
    ordered : bool
        Whether the order is that in which they were taken, at random: then a machine whose speed wandered shows.

    Raises
    ------
    CalibrationError
        When the lengths measured cannot tell the coefficients apart, or a time is not above zero.

    Notes
    -----
    Prefill ``c0 + c1 p + c2 p^2`` and decode ``s (d0 + d1 (p + s/2))`` were measured apart and are fitted apart, each by
    non-negative least squares on the relative error (Lawson and Hanson's algorithm): a short inference counts as much as
    a long one. The covariance is that of :func:`dmoa_calibration.covariance.coefficient_covariance`.

    Examples
    --------
    >>> made = [Timing(prompt_tokens=p, output_tokens=o, prefill_s=0.01 * p, decode_s=0.1 * (o - 1))
    ...         for p in (32, 128, 512) for o in (8, 64)]
    >>> fit = fit_timings(made)
    >>> round(fit.c1, 9), round(fit.d0, 9), round(fit.seconds(100, 11), 6)
    (0.01, 0.1, 2.0)
    """
    p, o, prefill, decode = _columns(timings, clock)
    check_design(p, o)
    found = solve(p, o, prefill, decode)
    c0, c1, c2, d0, d1 = found.tolist()
    error = np.abs(predicted_seconds(found, p, o) / (prefill + decode) - 1)
    left_out = _left_out_errors(timings, clock)
    return ServiceFit(
        c0=c0,
        c1=c1,
        c2=c2,
        d0=d0,
        d1=d1,
        cov=coefficient_covariance(p, o, prefill, decode, ordered=ordered, seed=seed),
        p_range=(int(p.min()), int(p.max())),
        o_range=(int(o.min()), int(o.max())),
        median_rel_err=float(np.median(error)),
        max_rel_err=float(error.max()),
        loo_median_rel_err=float(np.median(left_out)),
        loo_max_rel_err=float(left_out.max()),
        clock=clock,
    )


def check_design(p: npt.ArrayLike, o: npt.ArrayLike) -> None:
    """Refuse lengths that cannot tell the five coefficients apart, and say which are missing.

    Parameters
    ----------
    p, o : array_like, shape (n_samples,), tokens
        Prompt and output length of each sample.

    Raises
    ------
    CalibrationError
        With what is missing.

    Examples
    --------
    >>> check_design([32, 32, 512, 512], [8, 64, 8, 64])
    Traceback (most recent call last):
    dmoa_theory.errors.CalibrationError: the samples cannot fix the service time: 3 different prompt lengths are needed, and ...
    """
    p, o = np.asarray(p, dtype=np.float64), np.asarray(o, dtype=np.float64)
    for what, lengths, needed in (("prompt", np.unique(p), 3), ("output", np.unique(o), 2)):
        if lengths.size < needed:
            seen = ", ".join(f"{length:g}" for length in lengths) or "none"
            raise CalibrationError(
                f"the samples cannot fix the service time: {needed} different {what} lengths are needed, and {seen}"
                f" {'were' if lengths.size != 1 else 'was'} measured"
            )
    if not determined(p, o):
        raise CalibrationError(
            "the samples cannot fix the service time: the decode coefficients need outputs of 2 or more tokens"
            " after at least 2 different prompt lengths"
        )
    if not any(determined(p[keep], o[keep]) for keep in all_but_one_cell(p, o)):
        raise CalibrationError(
            "the samples cannot check the service time: leaving out any one (prompt, output) pair leaves too few;"
            " measure at least one pair more"
        )


def leave_one_cell_out(timings: Sequence[Timing], *, clock: Clock = "wall") -> float:
    """Approximation: median relative error of the samples when each (p, o) cell is predicted from all the others."""
    return float(np.median(_left_out_errors(timings, clock)))


def held_out(timings: Sequence[Timing], *, clock: Clock = "wall") -> list[HeldOut]:
    """Approximation: every (p, o) cell predicted from all the others, beside what was measured there.

    Cells that the others cannot predict, because leaving them out leaves too few lengths, are not in the list.

    Examples
    --------
    >>> made = [Timing(prompt_tokens=p, output_tokens=o, prefill_s=0.01 * p, decode_s=0.1 * (o - 1))
    ...         for p in (32, 64, 128, 512) for o in (8, 64)]
    >>> len(held_out(made)), max(abs(cell.error) for cell in held_out(made)) < 1e-9
    (8, True)
    """
    rows: dict[tuple[int, int], tuple[list[float], float]] = {}
    for cells, seconds, predicted in _left_out(timings, clock):
        for (p, o), took, guess in zip(cells.astype(int).tolist(), seconds.tolist(), predicted.tolist(), strict=True):
            rows.setdefault((p, o), ([], guess))[0].append(took)
    return [
        HeldOut(prompt_tokens=p, output_tokens=o, measured=float(np.mean(took)), predicted=guess)
        for (p, o), (took, guess) in sorted(rows.items())
    ]


def _left_out_errors(timings: Sequence[Timing], clock: Clock) -> Floats:
    """Relative error of every sample, as predicted from all cells but its own."""
    errors = [np.abs(predicted / seconds - 1) for _, seconds, predicted in _left_out(timings, clock)]
    return np.concatenate(errors)


def _left_out(timings: Sequence[Timing], clock: Clock) -> Iterator[tuple[Floats, Floats, Floats]]:
    """For each cell left out: its lengths, shape (n, 2), the seconds of its samples, and those predicted; shape (n,)."""
    p, o, prefill, decode = _columns(timings, clock)
    for keep in all_but_one_cell(p, o):
        if determined(p[keep], o[keep]):
            found = solve(p[keep], o[keep], prefill[keep], decode[keep])
            out = ~keep
            yield np.stack([p[out], o[out]], axis=1), (prefill + decode)[out], predicted_seconds(found, p[out], o[out])


def drift(timings: Sequence[Timing], fit: ServiceFit) -> float:
    """Relative change of speed from the first third of the run to the last, after the fit has explained the lengths.

    The design's order is random, so a slow cell cannot pass for a slow hour. Positive: it became slower.
    """
    p, o, prefill, decode = _columns(timings, fit.clock)
    residual = (prefill + decode) / fit.seconds(p, o)
    third = max(1, residual.size // 3)
    return float(np.median(residual[-third:]) / np.median(residual[:third]) - 1)


# -- inside -----------------------------------------------------------------------------------------------------------


def _columns(timings: Sequence[Timing], clock: Clock) -> tuple[Floats, Floats, Floats, Floats]:
    """Prompt tokens, output tokens, prefill seconds, decode seconds; each of shape (n_samples,)."""
    if clock == "cpu":
        spans = [(t.prefill_cpu_s, t.decode_cpu_s) for t in timings]
        if any(a is None or b is None for a, b in spans):
            raise CalibrationError("CPU seconds cannot be fitted: the engine did not report them for every sample")
    else:
        spans = [(t.prefill_s, t.decode_s) for t in timings]
    prefill, decode = np.array(spans, dtype=np.float64).reshape(-1, 2).T
    p = np.array([t.prompt_tokens for t in timings], dtype=np.float64)
    o = np.array([t.output_tokens for t in timings], dtype=np.float64)
    wrong = ~(np.isfinite(prefill) & (prefill > 0) & np.isfinite(decode) & ((decode > 0) | (o == 1)))
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise CalibrationError(
            f"the sample of {p[i]:g} prompt and {o[i]:g} output tokens took {prefill[i]:g} s + {decode[i]:g} s: not above zero"
        )
    return p, o, prefill, decode
