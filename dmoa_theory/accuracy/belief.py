"""What one may believe of every (M, k): fitted accuracy with bands, chance of being the best, expected regret."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable
from dmoa_theory.accuracy.shapes import shapes_for
from dmoa_theory.accuracy.surface import FLOOR, Surface, fit_surface
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import MOST, BoolArray, FloatArray, IntArray

__all__ = ["Belief", "Difference", "believe", "believe_all", "shares_of_best"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How much more accurate one configuration is than another: mean, deviation, and the probability that it is at all."""

    mean: float
    standard_deviation: float
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Belief:
    """Posterior of the accuracy of configurations, as draws; an approximation.

    Attributes
    ----------
    table : AccuracyTable
        The data behind it.
    configurations : tuple of (int, int)
        (M, k), C of them.
    measured : ndarray of bool, shape (C,)
        Others are extrapolated.
    draws : ndarray, shape (S, C)
        Accuracies, 0 to 1, read-only.
    smooth : ndarray, shape (S, C)
        The fitted surfaces alone, without each configuration's own deviation.
    shape_weights : dict
        Share of each shape in the draws, by how well it explains the data.
    surfaces : tuple of Surface
        The fits behind it, one a shape.
    method : str
        How the draws came about.
    """

    table: AccuracyTable
    configurations: tuple[tuple[int, int], ...]
    measured: BoolArray
    draws: FloatArray
    smooth: FloatArray
    shape_weights: dict[str, float]
    surfaces: tuple[Surface, ...]
    method: str

    def __post_init__(self) -> None:
        """Make arrays read-only."""
        for array in (self.measured, self.draws, self.smooth):
            array.setflags(write=False)

    @property
    def mean(self) -> FloatArray:
        """Fitted accuracies, shape (C,)."""
        return np.asarray(self.draws.mean(axis=0))

    @property
    def standard_deviation(self) -> FloatArray:
        """Of the fitted accuracies, shape (C,)."""
        return np.asarray(self.draws.std(axis=0))

    def band(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Lower and upper ends of the band that holds each accuracy with that probability, shape (C,) each."""
        if not 0 < level < 1:
            raise InputError("level", level, "above 0 and below 1")
        low, high = np.quantile(self.draws, (0.5 - level / 2, 0.5 + level / 2), axis=0)
        return low, high

    def index(self, M: int, k: int) -> int:
        """Place of a configuration; KeyError when it was not asked for."""
        if (M, k) not in self.configurations:
            raise KeyError((M, k))
        return self.configurations.index((M, k))

    def p_best(self, among: Any = None) -> FloatArray:
        """Probability of each configuration of being the most accurate of ``among``, shape (C,); 0 for the others.

        Where several are the most accurate of a draw, as at 0 or 1, they share it evenly.

        Parameters
        ----------
        among : array of bool or of indices, optional
            Default all.
        """
        places = self._places(among)
        found = np.zeros(len(self.configurations))
        found[places] = shares_of_best(self.draws[:, places])
        return found

    def regret(self, among: Any = None) -> FloatArray:
        """Accuracy that one expects to give up against the truly best of ``among``, shape (C,).

        Parameters
        ----------
        among : array of bool or of indices, optional
            Default all.
        """
        return np.asarray(np.maximum(self.draws[:, self._places(among)].max(axis=1).mean() - self.mean, 0.0))

    def cheapest_within(self, cost: Sequence[float] | FloatArray, epsilon: float = 0.02, among: Any = None) -> int:
        """Index of the cheapest configuration whose fitted accuracy is within ``epsilon`` of the best of ``among``.

        Its expected regret is then at most ``epsilon`` above the least that any choice has.

        Parameters
        ----------
        cost : sequence of float, shape (C,)
        epsilon : float
            In accuracy: 0.02 is two points.
        among : array of bool or of indices, optional
            Default all.
        """
        expense = np.asarray(cost, dtype=np.float64)
        if expense.shape != (len(self.configurations),):
            raise InputError("cost", f"{expense.size} values", f"one a configuration: {len(self.configurations)}")
        if not epsilon >= 0:
            raise InputError("epsilon", epsilon, "0 or more")
        places, mean = self._places(among), self.mean
        near = places[mean[places] >= mean[places].max() - epsilon]
        return int(min(near, key=lambda place: (expense[place], -mean[place])))

    def surface_on(self, configurations: Sequence[tuple[float, float]]) -> FloatArray:
        """Draws of the smooth surface at any (M, k), shape (S, ...): what a curve between configurations is drawn from."""
        place = self.surfaces[0].tables.index(self.table)
        return _mixed(self.surfaces, place, configurations, _shares(self.shape_weights.values(), len(self.draws)))

    def by_shape(self) -> dict[str, Belief]:
        """What one would believe if a single shape were true, for each of them, without fitting again."""
        place = self.surfaces[0].tables.index(self.table)
        found = {}
        for surface in self.surfaces:
            size = len(surface.draws)
            rng, all_of_it = np.random.default_rng(0), np.array([size])
            found[surface.shape.name] = _belief(place, self.table, self.configurations, (surface,), np.ones(1), all_of_it, rng)
        return found

    def difference(self, first: int, second: int) -> Difference:
        """Accuracy of the first less that of the second configuration (indices)."""
        gap = self.draws[:, first] - self.draws[:, second]
        return Difference(mean=float(gap.mean()), standard_deviation=float(gap.std()), probability=float((gap > 0).mean()))

    def entries(self) -> tuple[AccuracyEntry, ...]:
        """The fitted accuracies as entries, their standard errors the posterior deviations."""
        return tuple(
            AccuracyEntry(M=M, k=k, accuracy=float(mean), standard_error=float(deviation), n_eval=None, basis="fitted")
            for (M, k), mean, deviation in zip(self.configurations, self.mean, self.standard_deviation, strict=True)
        )

    def _places(self, among: Any) -> Any:
        if among is None:
            return np.arange(len(self.configurations))
        chosen = np.asarray(among)
        places = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
        if not places.size:
            raise InputError("among", "nothing", "at least one configuration")
        return places


def believe(
    table: AccuracyTable,
    configurations: Sequence[tuple[int, int]] | None = None,
    *,
    shape: str | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> Belief:
    """What one table says of the accuracy of configurations; see :func:`believe_all`.

    Parameters
    ----------
    table : AccuracyTable
    configurations : sequence of (int, int), optional
        (M, k); default those measured. Others are extrapolated.
    shape : str, optional
        Of the fit; default an average over all shapes that the data can bear.
    draws : int
    seed : int

    Returns
    -------
    Belief

    Examples
    --------
    >>> from dmoa_theory import believe
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> belief = believe(read_accuracy("mitra2024-diverse"))
    >>> float(belief.p_best().sum())
    1.0
    """
    return believe_all((table,), configurations, shape=shape, draws=draws, seed=seed)[0]


def believe_all(
    tables: Sequence[AccuracyTable],
    configurations: Sequence[tuple[int, int]] | None = None,
    *,
    shape: str | None = None,
    draws: int = 4000,
    seed: int = 0,
) -> tuple[Belief, ...]:
    """What several tables, such as those of several users, say: fitted with one shape, each with its own level and gain.

    Parameters
    ----------
    tables : sequence of AccuracyTable
    configurations : sequence of (int, int), optional
        (M, k), the same for every table; default those that each has measured.
    shape : str, optional
        Of the fit; default an average over all shapes that the data can bear.
    draws : int
    seed : int

    Returns
    -------
    tuple of Belief
        One a table.

    Raises
    ------
    InputError
        For a shape or configuration that does not exist, or no tables.

    Notes
    -----
    Shapes are averaged with the probabilities that the data give them (Bayesian model averaging, equal prior weights). One
    of them is flat: how many layers and proposers there are then makes no difference. So a difference between M = 1 and
    M = 2 that only a shape put there does not pass for evidence. To the smooth surface each configuration adds a deviation
    of its own with a standard deviation of 1.5 points, which its own figure tells something about.

    References
    ----------
    Hoeting, J. A., Madigan, D., Raftery, A. E. and Volinsky, C. T. (1999), Bayesian model averaging: a tutorial, Statistical
    Science 14(4), 382-417.
    """
    listed = tuple(tables)
    for M, k in configurations or ():
        if not (0 <= M <= MOST and 0 <= k <= MOST):
            raise InputError("configurations", f"({M}, {k})", "M and k, 0 or more")
    names = (shape,) if shape is not None else shapes_for(max((len(set(t.configurations)) for t in listed), default=0))
    surfaces = tuple(fit_surface(listed, name, draws=draws, seed=seed + place) for place, name in enumerate(names))
    evidence = np.array([surface.log_evidence for surface in surfaces])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    shares = _shares(weights, draws)
    rng = np.random.default_rng(seed)
    return tuple(_belief(place, table, configurations, surfaces, weights, shares, rng) for place, table in enumerate(listed))


def _belief(
    place: int,
    table: AccuracyTable,
    configurations: Sequence[tuple[int, int]] | None,
    surfaces: tuple[Surface, ...],
    weights: FloatArray,
    shares: IntArray,
    rng: np.random.Generator,
) -> Belief:
    asked = table.configurations if configurations is None else tuple((int(M), int(k)) for M, k in configurations)
    known = table.configurations
    measured = np.array([configuration in known for configuration in asked])
    both = (*asked, *known)
    surface = _mixed(surfaces, place, both, shares)
    smooth, at_data = surface[:, : len(asked)], surface[:, len(asked) :]
    own = _own_deviation(table, at_data, rng)
    deviation = FLOOR * rng.standard_normal(smooth.shape)
    for column, configuration in enumerate(asked):
        if measured[column]:
            deviation[:, column] = own[:, known.index(configuration)]
    return Belief(
        table=table,
        configurations=asked,
        measured=measured,
        draws=np.clip(smooth + deviation, 0.0, 1.0),
        smooth=np.ascontiguousarray(smooth),
        shape_weights={s.shape.name: float(w) for s, w in zip(surfaces, weights, strict=True)},
        surfaces=surfaces,
        method=_method(surfaces),
    )


def shares_of_best(draws: FloatArray) -> FloatArray:
    """Share of the draws, shape (S, C), in which each column is the highest, shape (C,); equal ones share a draw evenly.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.accuracy.belief import shares_of_best
    >>> shares_of_best(np.array([[1.0, 1.0], [0.2, 0.9]])).tolist()
    [0.25, 0.75]
    """
    best = draws == draws.max(axis=1, keepdims=True)
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def _method(surfaces: tuple[Surface, ...]) -> str:
    """How the draws of every shape came about."""
    ways: dict[str, list[str]] = {}
    for surface in surfaces:
        ways.setdefault(surface.method, []).append(surface.shape.name)
    if len(ways) == 1:
        return next(iter(ways)) + (", averaged over shapes" if len(surfaces) > 1 else "")
    parts = (f"{way} ({', '.join(names)})" for way, names in ways.items())
    return "averaged over shapes: " + "; ".join(parts)


def _shares(weights: Iterable[float], draws: int) -> IntArray:
    """How many of the draws come from each shape."""
    ends = np.round(np.cumsum(list(weights)) * draws)
    return np.diff(ends, prepend=0.0).astype(np.int64)


def _mixed(
    surfaces: tuple[Surface, ...], place: int, configurations: Sequence[tuple[float, float]], shares: IntArray
) -> FloatArray:
    """Draws of one table's surface, so many from each shape."""
    drawn = [surface.accuracy(place, configurations)[:share] for surface, share in zip(surfaces, shares, strict=True)]
    return np.concatenate(drawn)


def _own_deviation(table: AccuracyTable, surface: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws of what each measured configuration deviates from the surface, given its figure, shape (S, C)."""
    covariance, prior = table.covariance(), FLOOR**2 * np.eye(len(table.entries))
    share = prior @ np.linalg.inv(covariance + prior)
    left = prior - share @ prior
    values, vectors = np.linalg.eigh((left + left.T) / 2)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray((table.accuracy - surface) @ share.T + rng.standard_normal(surface.shape) @ root.T)
