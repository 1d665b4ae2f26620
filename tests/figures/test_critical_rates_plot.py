"""Largest rates of graph families: what the networks say, what the formulas say, one picture of both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes

from dmoa_theory.errors import InputError
from dmoa_theory.plots.critical_rates import plot_critical_curves, plot_rate_by_k, plot_rate_by_size
from dmoa_theory.plots.style import new_axes, save
from dmoa_theory.stability.family_curves import GROWING_FAMILIES, CriticalCurves, critical_curves
from dmoa_theory.symbolic.families import FAMILIES
from dmoa_theory.symbolic.family_rates import family_rate


def formula(curves: CriticalCurves) -> np.ndarray:
    rate = family_rate(curves.family, M=curves.M, k=curves.ks[None, :], **curves.parameters())
    return np.broadcast_to(rate, curves.rate.shape)


def labels(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_every_family_of_the_derivations_grows() -> None:
    assert set(GROWING_FAMILIES) == set(FAMILIES)
    with pytest.raises(InputError, match="family = wheel: one of complete, ring, star"):
        critical_curves("wheel")
    with pytest.raises(InputError, match="n is missing"):
        family_rate("star", M=1, k=1)


@pytest.mark.parametrize("family", sorted(name for name in FAMILIES if not FAMILIES[name].random))
@pytest.mark.parametrize("M", [1, 3])
def test_formulas_are_the_loads_of_drawn_networks(family: str, M: int) -> None:
    """Derived from counts of neighbours, or summed over the links of each network: the same, at every size and k."""
    curves = critical_curves(family, M=M)
    known = ~np.isnan(curves.rate)
    assert formula(curves)[known] == pytest.approx(curves.rate[known], rel=1e-12)
    assert known[:, 0].all()
    assert known.sum() > curves.sizes.size
    assert (np.diff(curves.rate, axis=1)[known[:, 1:]] < 0).all(), "who asks more can send less"


@pytest.mark.parametrize("family", ["erdos_renyi", "watts_strogatz"])
def test_formulas_of_random_graphs_are_near(family: str) -> None:
    curves = critical_curves(family)
    known = ~np.isnan(curves.rate)
    assert np.abs(formula(curves)[known] / curves.rate[known] - 1).max() < 0.3
    assert known[:, 1].all()


def test_lines_are_the_formula_and_marks_the_networks() -> None:
    curves = critical_curves("star")
    line = 1.1 * formula(curves)
    axes = plot_rate_by_size(curves, line)
    assert labels(axes) == ["k = 0", "k = 1", "formula", "loads of the network"]
    lines, marks = ([drawn for drawn in axes.lines if (drawn.get_marker() != "None") is marked] for marked in (False, True))
    assert np.asarray(lines[1].get_ydata()) == pytest.approx(line[:, 1])
    assert np.asarray(marks[1].get_ydata()) == pytest.approx(curves.rate[:, 1])
    assert np.asarray(marks[1].get_xdata()).tolist() == curves.sizes.tolist()
    by_k = plot_rate_by_k(curves)
    assert labels(by_k)[:4] == ["n = 3", "n = 8", "n = 16", "n = 32"]
    assert "formula" not in labels(by_k)
    own = new_axes()
    assert plot_rate_by_k(curves, ax=own) is own
    assert "M = 2" in " ".join(text.get_text() for text in own.texts)


def test_one_line_where_the_size_changes_nothing() -> None:
    axes = plot_rate_by_k(critical_curves("complete"))
    assert labels(axes)[0] == "every size with so many neighbours"
    assert len([drawn for drawn in axes.lines if drawn.get_marker() == "o"]) == 1


@pytest.mark.parametrize("family", ["bipartite", "erdos_renyi", "tree"])
def test_nothing_is_cut_off(family: str, tmp_path: Path) -> None:
    curves = critical_curves(family)
    figure = plot_critical_curves(curves, formula(curves), approximate=FAMILIES[family].random)
    pixels = image.imread(save(figure, tmp_path / "rates.png"))[..., :3]
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge > 0.99).all()
    left, right = figure.axes
    top = left.get_ylim()[1]
    assert right.get_ylim()[1] == top > np.nanmax(curves.rate)
