"""A service-time model from spans: stretches of reading or of making tokens after some context, timed apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmoa_calibration.importers.results import Span
from dmoa_calibration.least_squares import Floats, relative_nnls
from dmoa_theory.errors import CalibrationError
from dmoa_theory.model.profile import ServiceFit

__all__ = ["fit_spans"]

_DRAWS = 400
_HOW = "such as llama-bench -p 32,128,512 -n 16,64 -d 0,512 -o json"


def fit_spans(spans: Sequence[Span], *, seed: int = 0) -> tuple[ServiceFit, tuple[str, ...]]:
    """Approximation: the service-time model of these spans, ``c0`` zero, and what they leave open.

    Parameters
    ----------
    spans : sequence of Span
        Reading at two lengths or depths at least, and making.
    seed : int
        Of the bootstrap.

    Returns
    -------
    fit : ServiceFit
    open_questions : tuple of str
        For the verdict.

    Raises
    ------
    CalibrationError
        When they cannot fix the coefficients, or none of them could be checked by the others.

    Notes
    -----
    Reading P tokens after D takes ``c1 P + c2 ((D + P)^2 - D^2)``, making G steps after D ``G (d0 + d1 (D + G/2))``. A
    coefficient that the spans cannot tell is zero. Each test is also predicted from the others of its kind, where those
    suffice.
    """
    rng = np.random.default_rng(seed)
    reading = _Kind([span for span in spans if span.reading], rng)
    making = _Kind([span for span in spans if not span.reading], rng)
    if reading.n_tests < 2 or making.n_tests < 1:
        raise CalibrationError(
            "the file cannot fix the service time: prompts of 2 or more lengths (pp) and making tokens (tg) are needed, and"
            f" {reading.n_tests} and {making.n_tests} such tests are there; {_HOW}"
        )
    left_out = [*reading.left_out(), *making.left_out()]
    if not left_out:
        raise CalibrationError(f"the file cannot check the service time: leaving out any one test leaves too few; {_HOW}")
    error = np.abs(np.concatenate([reading.residual, making.residual]))
    cov = np.zeros((5, 5))
    cov[1:3, 1:3], cov[3:, 3:] = reading.covariance, making.covariance
    fit = ServiceFit(
        c0=0.0,
        c1=float(reading.found[0]),
        c2=float(reading.found[1]),
        d0=float(making.found[0]),
        d1=float(making.found[1]),
        cov=cov,
        p_range=(int(reading.n.min()), int((reading.depth + reading.n).max())),
        o_range=(int(making.n.min()) + 1, int(making.n.max()) + 1),
        median_rel_err=float(np.median(error)),
        max_rel_err=float(error.max()),
        loo_median_rel_err=float(np.median(np.abs(left_out))),
        loo_max_rel_err=float(np.abs(left_out).max()),
        clock="wall",
    )
    return fit, tuple(_open(reading, making))


class _Kind:
    """Spans of one kind, and the two coefficients they give: per token, and per token and token of context."""

    def __init__(self, spans: Sequence[Span], rng: np.random.Generator) -> None:
        self.depth = np.array([span.depth for span in spans], dtype=np.float64)
        self.n = np.array([span.n for span in spans], dtype=np.float64)
        self.seconds = np.array([span.seconds for span in spans], dtype=np.float64)
        reading = bool(spans) and spans[0].reading
        context = 2 * self.depth + self.n if reading else self.depth + self.n / 2
        self.matrix = np.stack([self.n, self.n * context], axis=1)
        _, self.test = np.unique(np.stack([self.depth, self.n], axis=1), axis=0, return_inverse=True)
        self.test = self.test.reshape(-1)
        self.n_tests = int(self.test.max()) + 1 if spans else 0
        self.rank = _rank(self.matrix)
        if spans:
            self.found = _solve(self.matrix, self.seconds, self.rank)
            fitted = self.matrix @ self.found
            self.residual = self.seconds / fitted - 1
            self.covariance = self._bootstrap(fitted, rng)

    def left_out(self) -> list[float]:
        """Relative error of every test that the others can predict."""
        errors = []
        for test in range(self.n_tests):
            keep = self.test != test
            if keep.any() and _rank(self.matrix[keep]) == self.rank:
                found = _solve(self.matrix[keep], self.seconds[keep], self.rank)
                errors.append(float(np.median(self.matrix[~keep] @ found / self.seconds[~keep] - 1)))
        return errors

    def _bootstrap(self, fitted: Floats, rng: np.random.Generator) -> Floats:
        size = fitted.size
        residual = np.sqrt(size / max(1, size - self.rank)) * (self.residual - self.residual.mean())
        draws = np.empty((_DRAWS, 2))
        for row in draws:
            noise = np.maximum(1 + residual[rng.integers(0, size, size)], 0.05)
            row[:] = _solve(self.matrix, fitted * noise, self.rank)
        cov = np.cov(draws, rowvar=False)
        return np.asarray((cov + cov.T) / 2)


def _rank(matrix: Floats) -> int:
    if not matrix.size:
        return 0
    return int(np.linalg.matrix_rank(matrix / np.linalg.norm(matrix, axis=0), tol=1e-6))


def _solve(matrix: Floats, seconds: Floats, rank: int) -> Floats:
    """Both coefficients; the second is zero where the spans cannot tell it."""
    found = np.zeros(2)
    found[:rank] = relative_nnls(matrix[:, :rank], seconds)
    return found


def _open(reading: _Kind, making: _Kind) -> list[str]:
    words = []
    if reading.rank < 2:
        words.append("no c2: prompts of one context length, so longer ones take longer than this says")
    if making.rank < 2:
        words.append("no d1: steps were timed after one length of context, so after longer ones they take longer; run with -d")
    deepest, longest = (making.depth + making.n).max(), (reading.depth + reading.n).max()
    if making.rank == 2 and deepest < longest:
        words.append(f"steps were timed up to {deepest:.0f} tokens of context")
    unchecked = [name for name, kind in (("reading", reading), ("making", making)) if not kind.left_out()]
    return [*words, *(f"{name} tokens could not be checked: too few tests" for name in unchecked)]
