"""Posterior draws of the accuracy fit against the posterior itself, integrated on a fine grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from dmoa_theory.accuracy.belief import believe
from dmoa_theory.accuracy.surface import FLOOR, Surface, fit_surface
from dmoa_theory.accuracy.table import read_accuracy


def _grid(fit: Surface, size: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior weights of all parameters, the surface at each, and the evidence, by summing over a grid.

    The draws only say where the grid has to lie: six of their deviations to either side.
    """
    table, shape = fit.tables[0], fit.shape
    centre, spread = fit.draws.mean(axis=0), fit.draws.std(axis=0)
    axes = [np.linspace(middle - 6 * width, middle + 6 * width, size) for middle, width in zip(centre, spread, strict=True)]
    parameters = np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)
    surface = expit(parameters[:, :1] + parameters[:, 1:2] * shape.values(parameters[:, 2:], table.configurations))
    deviation = np.sqrt(np.diag(table.covariance()) + FLOOR**2)
    log = norm.logpdf(parameters, [0, 0, *shape.prior_mean], [2, 1, *shape.prior_deviation]).sum(axis=1)
    log -= 0.5 * (((table.accuracy - surface) / deviation) ** 2).sum(axis=1)
    weight = np.exp(log) * np.prod([axis[1] - axis[0] for axis in axes])
    return weight / weight.sum(), surface, float(np.log(weight.sum()))


@pytest.mark.parametrize("data", ["mitra2024-diverse", "together2024-same"])
@pytest.mark.parametrize(("name", "size"), [("flat", 300), ("log", 80)])
def test_draws_follow_the_posterior(data: str, name: str, size: int) -> None:
    """Mean, deviation and 95 % band of the surface within the Monte Carlo error of 20,000 draws, and the evidence."""
    table = read_accuracy(data)
    fit = fit_surface(table, name, draws=20_000)
    weight, surface, evidence = _grid(fit, size)
    mean = weight @ surface
    deviation = np.sqrt(weight @ (surface - mean) ** 2)
    drawn = fit.accuracy(0, table.configurations)
    assert fit.effective > 20_000
    assert np.abs(drawn.mean(axis=0) - mean).max() < 0.05 * deviation.max()
    assert drawn.std(axis=0) == pytest.approx(deviation, rel=0.05)
    assert fit.log_evidence == pytest.approx(evidence, abs=0.03)
    for place in range(len(table.entries)):
        order = surface[:, place].argsort()
        exact = np.interp((0.025, 0.975), np.cumsum(weight[order]), surface[order, place])
        assert np.quantile(drawn[:, place], (0.025, 0.975)) == pytest.approx(exact, abs=0.12 * deviation[place])


def test_what_a_figure_says_of_itself() -> None:
    """Each configuration deviates from the surface by 1.5 points of its own: a precise figure pins it, a vague one does not."""
    table = read_accuracy("together2024-diverse")
    belief = believe(table, shape="flat")
    entry = table.entry(2, 5)
    surface = float(belief.smooth[:, belief.index(2, 5)].mean())
    share = FLOOR**2 / (FLOOR**2 + entry.standard_error**2)
    assert belief.mean[belief.index(2, 5)] == pytest.approx(surface + share * (entry.accuracy - surface), abs=0.002)
