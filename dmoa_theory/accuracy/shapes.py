"""How accuracy might grow with layers and proposers: candidate shapes, none of which the published data can single out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray

__all__ = ["SHAPES", "Shape", "shapes_for"]

#: With fewer measured configurations than this a shape has one parameter at most.
ENOUGH_CELLS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A shape ``s(M, n)`` of n = k + 1 proposers: 0 for M = 0, and 1 for one layer of four proposers.

    Attributes
    ----------
    name : str
    formula : str
        Before it is scaled to be 1 at M = 1, n = 4.
    parameters : tuple of str
    prior_mean, prior_deviation : tuple of float
        Of the parameters as the fit sees them: ``logit rho``, ``log h``, ``logit r``.
    raw : callable
        (parameters of shape (S, p), M of shape (C,), n of shape (C,)) to shape (S, C), before scaling.
    natural : callable
        From the parameters that the fit sees to those of the formula.
    """

    name: str
    formula: str
    parameters: tuple[str, ...]
    prior_mean: tuple[float, ...]
    prior_deviation: tuple[float, ...]
    raw: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    natural: tuple[Callable[[FloatArray], FloatArray], ...]

    def values(self, theta: FloatArray, configurations: Sequence[tuple[float, float]]) -> FloatArray:
        """The shape at configurations (M, k), shape (S, C), for parameters of shape (S, p)."""
        M, k = np.array(configurations, dtype=np.float64).reshape(-1, 2).T
        scale = self.raw(theta, np.array([1.0]), np.array([4.0]))
        return np.asarray(np.where(M > 0, self.raw(theta, M, k + 1) / scale, 0.0))

    def named(self, theta: FloatArray) -> dict[str, FloatArray]:
        """Parameters of the formula, by name, each of shape (S,)."""
        return {
            name: convert(theta[:, place])
            for place, (name, convert) in enumerate(zip(self.parameters, self.natural, strict=True))
        }


def _share(theta: FloatArray) -> FloatArray:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-theta)))


def _layers(theta: FloatArray, M: FloatArray) -> FloatArray:
    """``1 - rho^M``: each layer leaves a share rho of what is still to be gained."""
    return np.asarray(1 - _share(theta[:, :1]) ** M)


def _saturating(theta: FloatArray, M: FloatArray, n: FloatArray) -> FloatArray:
    return np.asarray(_layers(theta, M) * n / (n + np.exp(theta[:, 1:2])))


def _effective(theta: FloatArray, M: FloatArray, n: FloatArray) -> FloatArray:
    return np.asarray(_layers(theta, M) * np.log1p(n / (1 + (n - 1) * _share(theta[:, 1:2]))))


def _log(theta: FloatArray, M: FloatArray, n: FloatArray) -> FloatArray:
    return np.asarray(_layers(theta, M) * np.log1p(n))


def _flat(theta: FloatArray, M: FloatArray, n: FloatArray) -> FloatArray:
    return np.ones((theta.shape[0], np.broadcast(M, n).size))


# A layer leaves about a quarter, half of the gain takes about two proposers, answers are about equally correlated as not;
# each known to a factor of three or so.
_RHO, _H, _R = (-1.0, 1.0), (0.5, 1.0), (0.0, 1.5)

SHAPES: dict[str, Shape] = {
    "saturating": Shape(
        name="saturating",
        formula="(1 - rho^M) n / (n + h)",
        parameters=("rho", "h"),
        prior_mean=(_RHO[0], _H[0]),
        prior_deviation=(_RHO[1], _H[1]),
        raw=_saturating,
        natural=(_share, np.exp),
    ),
    "effective": Shape(
        name="effective",
        formula="(1 - rho^M) log(1 + n / (1 + (n - 1) r))",
        parameters=("rho", "r"),
        prior_mean=(_RHO[0], _R[0]),
        prior_deviation=(_RHO[1], _R[1]),
        raw=_effective,
        natural=(_share, _share),
    ),
    "log": Shape(
        name="log",
        formula="(1 - rho^M) log(1 + n)",
        parameters=("rho",),
        prior_mean=(_RHO[0],),
        prior_deviation=(_RHO[1],),
        raw=_log,
        natural=(_share,),
    ),
    "flat": Shape(
        name="flat",
        formula="1 for every M >= 1: collaborating helps or hurts, how much of it makes no difference",
        parameters=(),
        prior_mean=(),
        prior_deviation=(),
        raw=_flat,
        natural=(),
    ),
}


def shapes_for(cells: int) -> tuple[str, ...]:
    """Names of the shapes that so many measured configurations can bear.

    Examples
    --------
    >>> from dmoa_theory.accuracy.shapes import shapes_for
    >>> shapes_for(7)[0], shapes_for(3)[0]
    ('saturating', 'log')
    """
    return tuple(name for name, shape in SHAPES.items() if cells >= ENOUGH_CELLS or len(shape.parameters) < 2)
