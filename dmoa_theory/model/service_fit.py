"""The fitted service time of one device: seconds of an inference from its prompt and output length."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal, overload

import numpy as np

from dmoa_theory.errors import InputError, ProfileError
from dmoa_theory.model.checks import LARGEST, FloatArray, FloatLike, read_only

__all__ = ["COEFFICIENTS", "ServiceFit"]

COEFFICIENTS = ("c0", "c1", "c2", "d0", "d1")
_ERRORS = ("median_rel_err", "max_rel_err", "loo_median_rel_err", "loo_max_rel_err")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServiceFit:
    """Approximation: seconds of one inference as a function of prompt tokens p and output tokens o.

    Parameters
    ----------
    c0, c1, c2 : float
        Prefill: seconds, seconds a prompt token, seconds a squared prompt token; 0 or more.
    d0, d1 : float
        Decode: seconds a step, and seconds a step for each token already in the context; 0 or more.
    cov : ndarray, shape (5, 5)
        Covariance of the coefficients in the order c0, c1, c2, d0, d1: what noise and the choice of lengths leave open.
    p_range, o_range : tuple of int
        Smallest and largest prompt and output length that were measured.
    median_rel_err, max_rel_err, loo_median_rel_err : float
        Relative error of the fit on its own samples, and of each cell predicted from all the others.
    loo_max_rel_err : float, optional
        The largest of the latter; None where a file does not tell, as older ones.
    clock : {"wall", "cpu"}
        Which seconds were fitted: CPU seconds when the machine was busy with other work.

    Raises
    ------
    ProfileError
        When a coefficient is negative or not finite, a range is upside down, or ``cov`` is no covariance matrix.

    Notes
    -----
    ``T(p, o) = c0 + c1 p + c2 p^2 + s (d0 + d1 (p + s/2))`` with ``s = o - 1`` decode steps: the first token comes out of
    prefill. Valid inside ``p_range`` and ``o_range``; 8 to 21 % error was seen beyond them.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.model.service_fit import ServiceFit
    >>> fit = ServiceFit(c0=0.1, c1=0.01, c2=0.0, d0=0.2, d1=0.0, cov=np.zeros((5, 5)), p_range=(32, 512), o_range=(8, 64),
    ...                  median_rel_err=0.01, max_rel_err=0.02, loo_median_rel_err=0.015, clock="wall")
    >>> round(fit.seconds(100, 11), 6)
    3.1
    >>> fit.covers([100, 1000], 11).tolist()
    [True, False]
    """

    c0: float
    c1: float
    c2: float
    d0: float
    d1: float
    cov: FloatArray
    p_range: tuple[int, int]
    o_range: tuple[int, int]
    median_rel_err: float
    max_rel_err: float
    loo_median_rel_err: float
    clock: Literal["wall", "cpu"]
    loo_max_rel_err: float | None = None

    def __post_init__(self) -> None:
        """Check every number, and freeze the covariance."""
        for name in (*COEFFICIENTS, *_ERRORS):
            value = getattr(self, name)
            if name == "loo_max_rel_err" and value is None:
                continue
            if not 0 <= value <= LARGEST:
                raise ProfileError(name, value, "a finite number, 0 or more" + f", to {LARGEST:g}" * bool(value > LARGEST))
        for name in ("p_range", "o_range"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ProfileError(name, [low, high], "smallest and largest token count measured, from 1 up")
        if self.clock not in ("wall", "cpu"):
            raise ProfileError("clock", self.clock, "wall or cpu")
        for typical, most in (_ERRORS[:2], _ERRORS[2:]):
            largest = getattr(self, most)
            if largest is not None and getattr(self, typical) > largest:
                raise ProfileError(typical, getattr(self, typical), f"no more than {most}, {largest:g}")
        object.__setattr__(self, "cov", _covariance(self.cov))
        with np.errstate(over="ignore"):
            fastest, slowest = self.seconds(self.p_range[0], self.o_range[0]), self.seconds(self.p_range[1], self.o_range[1])
        if fastest <= 0 or not np.isfinite(slowest):
            raise ProfileError(
                "c0..d1",
                fastest if fastest <= 0 else slowest,
                "coefficients that give every inference a finite time above 0",
            )

    @overload
    def prefill(self, p: float) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def prefill(self, p: FloatLike) -> FloatArray: ...
    def prefill(self, p: FloatLike) -> float | FloatArray:
        """Approximation: seconds until the first token of a prompt of ``p`` tokens; the shape of ``p``."""
        tokens = _tokens("prompt_tokens", p)
        return _plain(self.c0 + tokens * (self.c1 + tokens * self.c2))

    @overload
    def decode(self, p: float, o: float) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def decode(self, p: FloatLike, o: FloatLike) -> FloatArray: ...
    def decode(self, p: FloatLike, o: FloatLike) -> float | FloatArray:
        """Approximation: seconds from the first to the ``o``-th token after a prompt of ``p`` tokens; shapes broadcast."""
        steps = _tokens("output_tokens", o) - 1.0
        return _plain(steps * (self.d0 + self.d1 * (_tokens("prompt_tokens", p) + steps / 2)))

    @overload
    def seconds(self, p: float, o: float) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def seconds(self, p: FloatLike, o: FloatLike) -> FloatArray: ...
    def seconds(self, p: FloatLike, o: FloatLike) -> float | FloatArray:
        """Approximation: seconds of a whole inference, ``prefill(p) + decode(p, o)``; shapes broadcast.

        Raises
        ------
        InputError
            When a token count is below 1 or not finite.
        """
        return self.prefill(p) + self.decode(p, o)

    def sensitivity(self, p: FloatLike, o: FloatLike) -> FloatArray:
        """Exact: derivatives of :meth:`seconds` by c0, c1, c2, d0, d1; shapes broadcast, and a last axis of 5 is added."""
        prompt, steps = np.broadcast_arrays(_tokens("prompt_tokens", p), _tokens("output_tokens", o) - 1.0)
        return np.stack([np.ones_like(prompt), prompt, prompt**2, steps, steps * (prompt + steps / 2)], axis=-1)

    @overload
    def seconds_error(self, p: float, o: float) -> float: ...  # type: ignore[overload-overlap]
    @overload
    def seconds_error(self, p: FloatLike, o: FloatLike) -> FloatArray: ...
    def seconds_error(self, p: FloatLike, o: FloatLike) -> float | FloatArray:
        """Approximation: standard error of :meth:`seconds` that the covariance of the coefficients leaves; shapes broadcast.

        That of the mean: how far the formula is off at a single (p, o) is what ``loo_median_rel_err`` speaks of.
        """
        by = self.sensitivity(p, o)
        return _plain(np.sqrt(np.clip(np.einsum("...i,ij,...j", by, self.cov, by), 0.0, None)))

    @property
    def stated_error(self) -> float:
        """Relative error on lengths left out of the fit: the typical one (median), rounded up to whole per cent."""
        return _whole_per_cent(self.loo_median_rel_err)

    @property
    def off_by(self) -> str:
        """How far the fit is off on lengths left out of it, in words: "typically 3 % off, at worst 10 %"."""
        words = f"typically {100 * self.stated_error:.0f} % off"
        if self.loo_max_rel_err is None:
            return words
        return f"{words}, at worst {100 * _whole_per_cent(self.loo_max_rel_err):.0f} %"

    def covers(self, p: FloatLike, o: FloatLike) -> Any:
        """Whether (p, o) lies inside what was measured; a bool or an array of bool, shapes broadcast."""
        prompt, output = _tokens("prompt_tokens", p), _tokens("output_tokens", o)
        inside = (prompt >= self.p_range[0]) & (prompt <= self.p_range[1])
        inside = inside & (output >= self.o_range[0]) & (output <= self.o_range[1])
        return bool(inside) if inside.ndim == 0 else inside

    def to_dict(self) -> dict[str, Any]:
        """Return the ``fit`` part of a profile file."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if getattr(self, field.name) is not None}
        return plain | {"cov": self.cov.tolist(), "p_range": list(self.p_range), "o_range": list(self.o_range)}


def _whole_per_cent(error: float) -> float:
    """Rounded up, and 1 % at least."""
    return max(1, math.ceil(100 * error - 1e-9)) / 100


def _covariance(cov: object) -> FloatArray:
    """Check a 5 x 5 covariance matrix, and freeze it."""
    allowed = "a symmetric, positive semi-definite 5 x 5 matrix of finite numbers (order c0, c1, c2, d0, d1)"
    try:
        matrix = np.array(cov, dtype=np.float64)
    except (TypeError, ValueError):
        raise ProfileError("cov", "not a matrix", allowed) from None
    if matrix.shape != (5, 5):
        raise ProfileError("cov", f"shape {matrix.shape}", allowed)
    if not np.isfinite(matrix).all():
        raise ProfileError("cov", "a number that is not finite", allowed)
    spread = np.sqrt(np.clip(np.diag(matrix), 0.0, None))
    # coefficients differ by many orders of magnitude: judge correlations, not covariances
    scale = np.outer(spread, spread)
    related = np.divide(matrix, scale, out=np.zeros((5, 5)), where=scale > 0)
    if (matrix[scale == 0] != 0).any() or np.abs(related - related.T).max() > 1e-6:
        raise ProfileError("cov", "not symmetric" if (matrix != matrix.T).any() else "a variance of 0 or less", allowed)
    if np.linalg.eigvalsh((related + related.T) / 2).min() < -1e-6:
        raise ProfileError("cov", "not positive semi-definite", allowed)
    frozen: FloatArray = read_only(matrix)
    return frozen


def _tokens(field: str, value: FloatLike) -> FloatArray:
    tokens = np.asarray(value, dtype=np.float64)
    wrong = ~(np.isfinite(tokens) & (tokens >= 1))
    if wrong.any():
        raise InputError(field, tokens[wrong].flat[0].item(), "a token count, 1 or more")
    return tokens


def _plain(value: FloatArray) -> float | FloatArray:
    """Give a Python float for one number, the array itself for more."""
    return float(value) if np.ndim(value) == 0 else value
