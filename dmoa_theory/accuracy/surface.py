"""A fitted surface of accuracy over (M, k): posterior draws under weak priors, one shape for several tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmoa_theory.accuracy.measured import AccuracyTable, check_draws
from dmoa_theory.accuracy.shapes import SHAPES, Shape
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = ["FLOOR", "Surface", "fit_surface"]

#: What no smooth shape catches: a configuration's own deviation, 1.5 points.
FLOOR = 0.015
#: Weak priors on the logit scale: level of one model alone, and gain of one layer of four proposers.
LEVEL, GAIN = 2.0, 1.0
# Proposals drawn for one kept, degrees of freedom of the proposal, and the least effective share of them.
_PROPOSALS, _FREEDOM, _LEAST = 4, 6, 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surface:
    """The fit of one shape to one or several tables: an approximation of the posterior.

    Attributes
    ----------
    tables : tuple of AccuracyTable
    shape : Shape
    mode : ndarray, shape (p,)
        Most probable parameters: level and gain of each table in turn, then those of the shape.
    draws : ndarray, shape (S, p)
        From the posterior.
    log_evidence : float
        Logarithm of the probability of the data, up to a constant common to all shapes.
    effective : float
        Effective number of the proposals that were weighed; 0 where the Laplace approximation itself was drawn from.
    """

    tables: tuple[AccuracyTable, ...]
    shape: Shape
    mode: FloatArray
    draws: FloatArray
    log_evidence: float
    effective: float

    @property
    def method(self) -> str:
        """How the bands came about, in words."""
        if self.effective:
            return "posterior draws: Laplace approximation, weighed by importance sampling"
        return "posterior draws: Laplace approximation"

    def accuracy(self, table: int, configurations: Sequence[tuple[float, float]]) -> FloatArray:
        """Draws of the smooth surface of one table, shape (S, C)."""
        return _surface(self.draws, table, len(self.tables), self.shape, configurations)

    def most_probable(self, table: int, configurations: Sequence[tuple[float, float]]) -> FloatArray:
        """The surface at the most probable parameters, shape (C,)."""
        return np.asarray(_surface(self.mode[None, :], table, len(self.tables), self.shape, configurations)[0])

    def parameters(self, table: int) -> dict[str, tuple[float, float]]:
        """Posterior mean and standard deviation of ``a``, of the gain of one layer of four, and of the shape's parameters."""
        theta = self.draws[:, 2 * len(self.tables) :]
        found = {"a": self.draws[:, 2 * table], "g": self.draws[:, 2 * table + 1], **self.shape.named(theta)}
        return {name: (float(values.mean()), float(values.std())) for name, values in found.items()}


def fit_surface(
    tables: AccuracyTable | Sequence[AccuracyTable], shape: str = "saturating", *, draws: int = 4000, seed: int = 0
) -> Surface:
    """Fit ``logit A = a + g s(M, n)`` to one or several tables: posterior draws, an approximation.

    Parameters
    ----------
    tables : AccuracyTable or sequence of AccuracyTable
        Several share the shape; each has its own level ``a`` and gain ``g``, which may be negative.
    shape : str
        A key of ``SHAPES``.
    draws : int
    seed : int
        Same seed, same draws.

    Returns
    -------
    Surface

    Raises
    ------
    InputError
        For a shape that is not known, or no tables.

    Notes
    -----
    Errors are normal with the sampling covariance of each table and 1.5 points more, the part of a configuration that no
    smooth shape catches. Priors: ``a ~ N(0, 2^2)``, ``g ~ N(0, 1)`` with s scaled to 1 at one layer of four proposers, and
    the shape's own. The mode is found by least squares; draws come from a t distribution round it and are weighed by the
    true posterior (importance sampling). With many tables the weights grow uneven; then the normal approximation is kept.

    Examples
    --------
    >>> from dmoa_theory.accuracy.surface import fit_surface
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> surface = fit_surface(read_accuracy("mitra2024-diverse"))
    >>> bool(surface.most_probable(0, [(0, 0)])[0] < surface.most_probable(0, [(2, 3)])[0])
    True
    """
    from scipy.optimize import least_squares

    listed = (tables,) if isinstance(tables, AccuracyTable) else tuple(tables)
    if not listed:
        raise InputError("tables", "none", "at least one table of accuracies")
    if shape not in SHAPES:
        raise InputError("shape", shape, "one of " + ", ".join(SHAPES))
    residuals = _Residuals(listed, SHAPES[shape])
    found = least_squares(residuals.of_one, residuals.start, method="lm", xtol=1e-10, ftol=1e-10)
    jacobian: FloatArray = np.array(found.jac, dtype=np.float64)
    covariance: FloatArray = np.linalg.inv(jacobian.T @ jacobian).astype(np.float64)
    kept, log_evidence, effective = _posterior(residuals, found.x, covariance, check_draws(draws), seed)
    return Surface(tables=listed, shape=SHAPES[shape], mode=found.x, draws=kept, log_evidence=log_evidence, effective=effective)


def _surface(
    parameters: FloatArray, table: int, count: int, shape: Shape, configurations: Sequence[tuple[float, float]]
) -> FloatArray:
    level, gain = parameters[:, 2 * table, None], parameters[:, 2 * table + 1, None]
    return np.asarray(1 / (1 + np.exp(-(level + gain * shape.values(parameters[:, 2 * count :], configurations)))))


class _Residuals:
    """Residuals in units of their deviations: of the priors first, then of the data; the posterior is exp(-|r|^2 / 2)."""

    def __init__(self, tables: tuple[AccuracyTable, ...], shape: Shape) -> None:
        from scipy.linalg import block_diag

        self.shape, self.count = shape, len(tables)
        sizes = [len(table.entries) for table in tables]
        self.owner = np.repeat(np.arange(self.count), sizes)
        self.seen = np.concatenate([table.accuracy for table in tables])
        self.configurations = [configuration for table in tables for configuration in table.configurations]
        spreads = [table.covariance() + FLOOR**2 * np.eye(size) for table, size in zip(tables, sizes, strict=True)]
        self.whiten = block_diag(*(np.linalg.inv(np.linalg.cholesky(spread)).T for spread in spreads))
        self.prior_mean = np.array([0.0, 0.0] * self.count + list(shape.prior_mean))
        self.prior_deviation = np.array([LEVEL, GAIN] * self.count + list(shape.prior_deviation))
        means = np.array([table.accuracy.mean() for table in tables]).clip(0.02, 0.98)
        self.start = self.prior_mean.copy()  # no gain, and the level that each table has on average
        self.start[0 : 2 * self.count : 2] = np.log(means / (1 - means))

    def of_one(self, parameters: FloatArray) -> FloatArray:
        """Residuals, shape (R,), for parameters of shape (p,)."""
        return np.asarray(self(parameters[None, :])[0])

    def __call__(self, parameters: FloatArray) -> FloatArray:
        """Residuals, shape (S, R), for parameters of shape (S, p)."""
        level, gain = parameters[:, 2 * self.owner], parameters[:, 2 * self.owner + 1]
        shape = self.shape.values(parameters[:, 2 * self.count :], self.configurations)
        fitted = 1 / (1 + np.exp(-(level + gain * shape)))
        prior = (parameters - self.prior_mean) / self.prior_deviation
        return np.concatenate([prior, (self.seen - fitted) @ self.whiten], axis=1)


def _posterior(
    residuals: _Residuals, mode: FloatArray, covariance: FloatArray, draws: int, seed: int
) -> tuple[FloatArray, float, float]:
    """Posterior draws, log evidence, and the effective number of proposals (0: the normal approximation was kept)."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky((covariance + covariance.T) / 2)
    size = mode.size
    normal = rng.standard_normal((_PROPOSALS * draws, size))
    stretch = np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, _PROPOSALS * draws))
    proposed = mode + (normal * stretch[:, None]) @ root.T
    log_root = float(np.log(np.diag(root)).sum())
    log_prior = -float(np.log(residuals.prior_deviation).sum()) - size / 2 * math.log(2 * math.pi)
    with np.errstate(over="ignore"):
        log_posterior = log_prior - 0.5 * (residuals(proposed) ** 2).sum(axis=1)
    log_t = math.lgamma((_FREEDOM + size) / 2) - math.lgamma(_FREEDOM / 2) - size / 2 * math.log(_FREEDOM * math.pi) - log_root
    square = (normal**2).sum(axis=1) * stretch**2
    log_weight = log_posterior - (log_t - (_FREEDOM + size) / 2 * np.log1p(square / _FREEDOM))
    weight = np.exp(log_weight - log_weight.max())
    effective = float(weight.sum() ** 2 / (weight**2).sum())
    if effective < _LEAST * weight.size:
        at_mode = log_prior - 0.5 * float((residuals(mode[None, :]) ** 2).sum())
        laplace = at_mode + size / 2 * math.log(2 * math.pi) + log_root
        return mode + rng.standard_normal((draws, size)) @ root.T, laplace, 0.0
    log_evidence = float(log_weight.max() + np.log(weight.mean()))
    # systematic resampling: one uniform number, so that the draws repeat the weights as evenly as they can
    places = (np.arange(draws) + rng.random()) / draws
    chosen = np.searchsorted(np.cumsum(weight) / weight.sum(), places).clip(max=weight.size - 1)
    return proposed[rng.permutation(chosen)], log_evidence, effective
