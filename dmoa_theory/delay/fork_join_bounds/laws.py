"""Laws of single jobs' sojourns, as the bounds ask for them: samples, gamma laws, or anything with a distribution function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, read_only

__all__ = ["GammaLaw", "SampleLaw", "SojournLaw", "Survivals", "survivals"]

# Edges of the panels of quadrature: levels of every law.
_LEVELS = np.array(
    [1e-6, 0.003, 0.03, 0.1, 0.25, 0.45, 0.65, 0.8, 0.9, 0.96, 0.99, 0.998, 0.9998, 1 - 1e-5, 1 - 1e-8, 1 - 1e-12]
)
# Panels between two edges, so that a kink where two laws cross costs little, and nodes in each.
_PANELS, _NODES = 6, 6


class SojournLaw(Protocol):
    """Law of a time that is not negative."""

    @property
    def mean(self) -> float:
        """Expectation, seconds."""

    def survival(self, t: FloatArray) -> FloatArray:
        """Probability to take longer than t; shape as ``t``."""

    def quantiles(self, levels: FloatArray) -> FloatArray:
        """Times not exceeded with these probabilities; shape as ``levels``."""


@dataclass(frozen=True, slots=True, eq=False)
class SampleLaw:
    """The law of a draw from samples.

    Parameters
    ----------
    values : ndarray, shape (m,), seconds
        At least one, none negative; kept in rising order.
    """

    values: FloatArray

    def __post_init__(self) -> None:
        """Check and sort the samples."""
        values = np.sort(np.asarray(self.values, dtype=np.float64).ravel())
        if not values.size or not (values[0] >= 0 and np.isfinite(values[-1])):
            raise InputError(
                "values", "no samples" if not values.size else values[0], "finite seconds, 0 or more, at least one"
            )
        object.__setattr__(self, "values", read_only(values))

    @property
    def mean(self) -> float:
        """Mean of the samples, seconds."""
        return float(self.values.mean())

    def survival(self, t: FloatArray) -> FloatArray:
        """Fraction of the samples above t; shape as ``t``."""
        return np.asarray(1 - np.searchsorted(self.values, t, side="right") / self.values.size)

    def quantiles(self, levels: FloatArray) -> FloatArray:
        """Smallest samples with at least these fractions at or below them; shape as ``levels``."""
        place = np.ceil(np.asarray(levels) * self.values.size).astype(int) - 1
        return np.asarray(self.values[np.clip(place, 0, self.values.size - 1)])


@dataclass(frozen=True, slots=True)
class GammaLaw:
    """The gamma law with this mean (s) and variance (s^2, above 0)."""

    mean: float
    variance: float

    def survival(self, t: FloatArray) -> FloatArray:
        """Probability to take longer than t; shape as ``t``."""
        from scipy import special

        return np.asarray(special.gammaincc(self.mean**2 / self.variance, np.maximum(t, 0.0) * self.mean / self.variance))

    def quantiles(self, levels: FloatArray) -> FloatArray:
        """Times not exceeded with these probabilities; shape as ``levels``."""
        from scipy import special

        return np.asarray(special.gammaincinv(self.mean**2 / self.variance, levels) * self.variance / self.mean)


class Survivals(NamedTuple):
    """Survival functions on one grid: integrals over time are sums with ``weight`` (s), shape (g,); times t, shape (g,)."""

    t: FloatArray
    weight: FloatArray
    of_law: FloatArray  # (n_laws, g)


def survivals(laws: Sequence[SojournLaw], split: float | None = None) -> Survivals:
    """Exact for samples, whose survival functions are steps; else on a Gauss-Legendre grid between pooled quantiles.

    Parameters
    ----------
    laws : sequence of SojournLaw
    split : float, optional, seconds
        Where what is integrated has a kink: an edge of the grid.
    """
    samples = [law.values for law in laws if isinstance(law, SampleLaw)]
    if len(samples) == len(laws):
        values = np.concatenate(samples)
        order = np.argsort(values, kind="stable")
        owner = np.repeat(np.arange(len(samples)), [each.size for each in samples])[order]
        gone = np.zeros((len(samples), values.size))
        gone[owner, np.arange(values.size)] = 1 / np.array([each.size for each in samples])[owner]
        left = np.clip(1 - np.cumsum(gone, axis=1), 0.0, 1.0)
        left[:, -1] = 0.0
        edges = np.concatenate(([0.0], values[order]))
        of_law = np.hstack((np.ones((len(samples), 1)), left[:, :-1]))
        return Survivals(edges[:-1], np.diff(edges), of_law)
    coarse = np.unique(np.concatenate([[0.0 if split is None else split, 0.0], *(law.quantiles(_LEVELS) for law in laws)]))
    edges = np.append((coarse[:-1, None] + np.diff(coarse)[:, None] * np.arange(_PANELS) / _PANELS).ravel(), coarse[-1])
    node, weight = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    t = (edges[:-1, None] + half * (1 + node)).ravel()
    return Survivals(t, (half * weight).ravel(), np.array([law.survival(t) for law in laws]))
