"""What collaborating gives a user who has measured nothing: from its own, its neighbours' quality, and their diversity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable
from dmoa_theory.accuracy.shapes import SHAPES
from dmoa_theory.accuracy.surface import FLOOR
from dmoa_theory.accuracy.table import read_tables
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, FloatLike

__all__ = ["GainModel", "fit_gains", "has_covariates"]

_NAMES = ("g0", "quality", "diversity")
#: Priors of the coefficients, and how much the gain differs from one task to another beyond them.
_PRIOR = np.array([1.0, 5.0, 2.0])
_TASKS = 0.3
#: rho and h of the saturating shape as the bundled tables together have it, as the fit sees them.
_SHAPE = np.array([[np.log(0.24 / 0.76), np.log(2.0)]])
_DATA = "selfmoa2025-mixes"
_LEAST = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GainModel:
    """``g = g0 + a (mean quality of the proposers - own quality) + b diversity``, as draws; an approximation.

    Attributes
    ----------
    draws : ndarray, shape (S, 3)
        g0, a and b.
    remark : str
        What it stands on.
    """

    draws: FloatArray
    remark: str

    def coefficients(self) -> dict[str, tuple[float, float]]:
        """Mean and standard deviation of ``g0``, ``quality`` (a) and ``diversity`` (b)."""
        return {name: (float(values.mean()), float(values.std())) for name, values in zip(_NAMES, self.draws.T, strict=True)}

    def accuracy(
        self,
        own_quality: FloatLike,
        neighbour_quality: FloatLike,
        diversity: FloatLike,
        configurations: Sequence[tuple[int, int]],
        *,
        draws: int = 1000,
    ) -> tuple[FloatArray, FloatArray]:
        """Accuracy of each user under each (M, k): mean and standard deviation, shape (n_users, C) each.

        Parameters
        ----------
        own_quality : float or ndarray, shape (n_users,)
            Accuracy of the user's own model alone, 0 to 1.
        neighbour_quality : float or ndarray, shape (n_users,)
            Mean accuracy alone of the neighbours that it asks.
        diversity : float or ndarray, shape (n_users,)
            Probability that two proposers have different models, 0 to 1.
        configurations : sequence of (int, int)
            (M, k).
        draws : int
            Of the coefficients, at most those there are.

        Raises
        ------
        InputError
            For values outside 0 to 1.
        """
        given = zip(("own_quality", "neighbour_quality", "diversity"), (own_quality, neighbour_quality, diversity), strict=True)
        own, neighbours, different = np.broadcast_arrays(*(_shares(name, value) for name, value in given))
        k = np.array([k for _, k in configurations], dtype=np.float64)
        asked = k / (k + 1)  # share of the proposers that are neighbours; also what diversity k + 1 drawn models keep
        shape = SHAPES["saturating"].values(_SHAPE, configurations)[0]
        g0, a, b = self.draws[:draws].T[:, :, None, None]
        rng = np.random.default_rng(0)
        task = _TASKS * rng.standard_normal((g0.shape[0], 1, 1))
        gain = g0 + task + asked * (a * (neighbours - own)[:, None] + b * different[:, None])
        clipped = np.clip(own, 1e-6, 1 - 1e-6)
        found = 1 / (1 + np.exp(-(np.log(clipped / (1 - clipped))[:, None] + gain * shape)))
        return np.asarray(found.mean(axis=0)), np.asarray(found.std(axis=0))


def fit_gains(tables: Sequence[AccuracyTable] | None = None) -> GainModel:
    """The covariate model fitted to mixtures: Laplace approximation of its posterior.

    Parameters
    ----------
    tables : sequence of AccuracyTable, optional
        With ``proposer_quality`` and ``diversity`` of every entry with M >= 1, and for each task and user one entry with
        M = 0, the model alone. Default the bundled ``selfmoa2025-mixes``.

    Returns
    -------
    GainModel

    Raises
    ------
    InputError
        When tables hold no such entries.

    Notes
    -----
    The bundled mixtures are 44 figures at one (M, k) of one small aggregator at three tasks, read from a transcription: they
    tell in which direction qualities pull, not what another network will reach. Priors: ``g0 ~ N(0, 1)``, ``a ~ N(0, 5^2)``
    (quality from 0 to 1), ``b ~ N(0, 2^2)``; the gain differs from one task and user to another by 0.3.

    References
    ----------
    Li, W., Lin, Y., Xia, M. and Jin, C. (2025), Rethinking Mixture-of-Agents: is mixing different large language models
    beneficial?, arXiv:2502.00674.

    Examples
    --------
    >>> from dmoa_theory.accuracy.gains import fit_gains
    >>> model = fit_gains()
    >>> model.coefficients()["quality"][0] > 0
    True
    """
    return _bundled() if tables is None else _fit(tables)


@cache
def _bundled() -> GainModel:
    return _fit(read_tables(_DATA))


def has_covariates(tables: Sequence[AccuracyTable]) -> bool:
    """Whether tables hold what :func:`fit_gains` needs."""
    return _split(tables) is not None


def _split(tables: Sequence[AccuracyTable]) -> tuple[list[AccuracyEntry], list[tuple[int, AccuracyEntry]]] | None:
    """The models alone, one a task and user, and the mixtures with the place of theirs; None where something is missing."""
    rows = [((table.task, table.user), entry) for table in tables for entry in table.entries]
    alone = {group: entry for group, entry in rows if entry.M == 0}
    places = {group: place for place, group in enumerate(alone)}
    mixed = [(group, entry) for group, entry in rows if entry.M > 0]
    known = [entry.proposer_quality is not None and entry.diversity is not None for _, entry in mixed]
    if len(mixed) < _LEAST or not all(known) or any(group not in places for group, _ in mixed):
        return None
    return list(alone.values()), [(places[group], entry) for group, entry in mixed]


def _fit(tables: Sequence[AccuracyTable]) -> GainModel:
    from scipy.optimize import least_squares

    found = _split(tables)
    if found is None:
        allowed = f"{_LEAST} entries or more with proposer_quality and diversity, and one with M = 0 for each task and user"
        raise InputError("tables", "no covariates", allowed)
    alone, mixed = found
    place = np.array([group for group, _ in mixed])
    seen, deviation = _figures([entry for _, entry in mixed])
    own, own_deviation = _figures(alone)
    own = own.clip(1e-3, 1 - 1e-3)
    quality, diversity = (
        np.array([getattr(entry, name) for _, entry in mixed], dtype=np.float64) for name in ("proposer_quality", "diversity")
    )
    shape = SHAPES["saturating"].values(_SHAPE, [(entry.M, entry.k) for _, entry in mixed])[0]
    size = len(alone)

    def residuals(x: FloatArray) -> FloatArray:
        level, task, (g0, a, b) = x[:size], x[size : 2 * size], x[2 * size :]
        strength = 1 / (1 + np.exp(-level))
        gain = g0 + task[place] + a * (quality - strength[place]) + b * diversity
        fitted = 1 / (1 + np.exp(-(level[place] + gain * shape)))
        return np.concatenate(
            [(seen - fitted) / deviation, (own - strength) / own_deviation, task / _TASKS, x[2 * size :] / _PRIOR]
        )

    best = least_squares(residuals, np.concatenate([np.log(own / (1 - own)), np.zeros(size + 3)]), method="lm")
    jacobian: FloatArray = np.array(best.jac, dtype=np.float64)
    covariance = np.linalg.inv(jacobian.T @ jacobian)[2 * size :, 2 * size :]
    draws = np.random.default_rng(0).multivariate_normal(best.x[2 * size :], covariance, size=4000, method="cholesky")
    draws.setflags(write=False)
    second_hand = "; SECONDARY: read from a transcription" if any(table.secondary for table in tables) else ""
    plural = "s" * (size > 1)
    return GainModel(draws=draws, remark=f"{len(mixed)} mixtures of {size} task{plural} or user{plural}{second_hand}")


def _figures(entries: list[AccuracyEntry]) -> tuple[FloatArray, FloatArray]:
    """Accuracies, and their standard deviations with the floor."""
    accuracy = np.array([entry.accuracy for entry in entries])
    return accuracy, np.sqrt(np.array([entry.standard_error for entry in entries]) ** 2 + FLOOR**2)


def _shares(name: str, value: FloatLike) -> FloatArray:
    array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    wrong = array[~((array >= 0) & (array <= 1))]
    if wrong.size:
        raise InputError(name, wrong[0], "from 0 to 1")
    return array
