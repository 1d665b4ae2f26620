"""From samples to a service-time model: non-negative least squares, its covariance, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from dmoa_calibration.backends import Timing
from dmoa_theory.errors import CalibrationError
from dmoa_theory.model.profile import ServiceFit

__all__ = [
    "CONTENDED_BELOW",
    "Clock",
    "HeldOut",
    "check_design",
    "cpu_wall_ratios",
    "drift",
    "fit_timings",
    "held_out",
    "leave_one_cell_out",
    "relative_nnls",
]

Clock = Literal["wall", "cpu"]
Floats = npt.NDArray[np.float64]

#: Median CPU over wall seconds below which a run on one thread is called contended.
CONTENDED_BELOW = 0.9

_DRAWS = 400
# A file of real prompts has as many cells as requests: beyond this many they are left out by the group.
_MOST_FOLDS = 100


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


def fit_timings(timings: Sequence[Timing], *, clock: Clock = "wall", seed: int = 0) -> ServiceFit:
    """Approximation: the service-time model that fits these timings best, coefficients zero or above.

    Parameters
    ----------
    timings : sequence of Timing
        At least three prompt lengths and two output lengths.
    clock : {"wall", "cpu"}
        Which seconds to fit.
    seed : int
        Of the bootstrap.

    Raises
    ------
    CalibrationError
        When the lengths measured cannot tell the coefficients apart, or a time is not above zero.

    Notes
    -----
    Prefill ``c0 + c1 p + c2 p^2`` and decode ``s (d0 + d1 (p + s/2))`` were measured apart and are fitted apart, each by
    non-negative least squares on the relative error (Lawson and Hanson's algorithm): a short inference counts as much as
    a long one. The covariance is a bootstrap over samples: the relative residuals, prefill and decode of one sample
    together, are drawn anew over the same design, widened for the coefficients that the fit has already used up.

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
    c, d = _solve(p, o, prefill, decode)
    error = np.abs(_total(c, d, p, o) / (prefill + decode) - 1)
    return ServiceFit(
        c0=float(c[0]),
        c1=float(c[1]),
        c2=float(c[2]),
        d0=float(d[0]),
        d1=float(d[1]),
        cov=_bootstrap(p, o, prefill, decode, c, d, np.random.default_rng(seed)),
        p_range=(int(p.min()), int(p.max())),
        o_range=(int(o.min()), int(o.max())),
        median_rel_err=float(np.median(error)),
        max_rel_err=float(error.max()),
        loo_median_rel_err=leave_one_cell_out(timings, clock=clock),
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
    if not _determined(p, o):
        raise CalibrationError(
            "the samples cannot fix the service time: the decode coefficients need outputs of 2 or more tokens"
            " after at least 2 different prompt lengths"
        )
    if not any(_determined(p[keep], o[keep]) for keep in _all_but_one_cell(p, o)):
        raise CalibrationError(
            "the samples cannot check the service time: leaving out any one (prompt, output) pair leaves too few;"
            " measure at least one pair more"
        )


def leave_one_cell_out(timings: Sequence[Timing], *, clock: Clock = "wall") -> float:
    """Approximation: median relative error when each (p, o) cell is predicted from all the others."""
    errors = [np.abs(predicted / seconds - 1) for _, seconds, predicted in _left_out(timings, clock)]
    return float(np.median(np.concatenate(errors)))


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


def _left_out(timings: Sequence[Timing], clock: Clock) -> Iterator[tuple[Floats, Floats, Floats]]:
    """For each cell left out: its lengths, shape (n, 2), the seconds of its samples, and those predicted; shape (n,)."""
    p, o, prefill, decode = _columns(timings, clock)
    for keep in _all_but_one_cell(p, o):
        if _determined(p[keep], o[keep]):
            c, d = _solve(p[keep], o[keep], prefill[keep], decode[keep])
            out = ~keep
            yield np.stack([p[out], o[out]], axis=1), (prefill + decode)[out], _total(c, d, p[out], o[out])


def cpu_wall_ratios(timings: Sequence[Timing]) -> Floats | None:
    """CPU over wall seconds of each timing; None where the engine cannot tell. Meaningful for one thread only."""
    pairs = [(t.cpu_s, t.wall_s) for t in timings if t.cpu_s is not None and t.wall_s > 0]
    return np.array([cpu / wall for cpu, wall in pairs]) if pairs else None


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


def _prefill_matrix(p: Floats) -> Floats:
    return np.stack([np.ones_like(p), p, p**2], axis=1)


def _decode_matrix(p: Floats, o: Floats) -> Floats:
    s = o - 1
    return np.stack([s, s * (p + s / 2)], axis=1)


def _total(c: Floats, d: Floats, p: Floats, o: Floats) -> Floats:
    return np.asarray(_prefill_matrix(p) @ c + _decode_matrix(p, o) @ d)


def relative_nnls(matrix: Floats, seconds: Floats) -> Floats:
    """Exact: coefficients, none negative, of least squared relative error (Lawson and Hanson's algorithm)."""
    rows = matrix / seconds[:, None]
    size = np.linalg.norm(rows, axis=0)  # p^2 dwarfs 1: columns of equal length keep the solver accurate
    return np.asarray(nnls(rows / size, np.ones(seconds.size))[0] / size)


def _solve(p: Floats, o: Floats, prefill: Floats, decode: Floats) -> tuple[Floats, Floats]:
    several = o > 1  # a single token has no decode step
    return (
        relative_nnls(_prefill_matrix(p), prefill),
        relative_nnls(_decode_matrix(p[several], o[several]), decode[several]),
    )


def _determined(p: Floats, o: Floats) -> bool:
    several = o > 1
    if not several.any():
        return False
    matrices = _prefill_matrix(p), _decode_matrix(p[several], o[several])
    return all(np.linalg.matrix_rank(m / np.linalg.norm(m, axis=0), tol=1e-6) == m.shape[1] for m in matrices)


def _all_but_one_cell(p: Floats, o: Floats) -> list[npt.NDArray[np.bool_]]:
    _, cell = np.unique(np.stack([p, o], axis=1), axis=0, return_inverse=True)
    fold = cell.reshape(-1) % _MOST_FOLDS
    return [fold != each for each in np.unique(fold)]


def _bootstrap(p: Floats, o: Floats, prefill: Floats, decode: Floats, c: Floats, d: Floats, rng: np.random.Generator) -> Floats:
    """Covariance of c0, c1, c2, d0, d1, shape (5, 5)."""
    n = p.size
    several = o > 1
    fitted_prefill = _prefill_matrix(p) @ c
    fitted_decode = np.where(several, _decode_matrix(p, o) @ d, 1.0)
    widen = np.sqrt(n / max(1, n - 3))
    residual = np.stack([prefill / fitted_prefill - 1, np.where(several, decode / fitted_decode - 1, 0.0)], axis=1)
    residual = widen * (residual - residual.mean(axis=0))
    draws = np.empty((_DRAWS, 5))
    for row in draws:
        noise = np.maximum(1 + residual[rng.integers(0, n, n)], 0.05)  # a time stays above zero
        row[:3], row[3:] = _solve(p, o, fitted_prefill * noise[:, 0], fitted_decode * noise[:, 1])
    cov = np.cov(draws, rowvar=False)
    return np.asarray((cov + cov.T) / 2)
