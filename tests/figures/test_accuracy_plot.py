"""The picture of accuracy over (M, k): axes with units, a band and a curve a layer, every figure with its standard error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from dmoa_theory.accuracy.belief import believe
from dmoa_theory.accuracy.table import read_accuracy
from dmoa_theory.plots.accuracy import plot_accuracy


def _labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize("name", ["mitra2024-diverse", "together2024-same", "selfmoa2025-gemma/gemma-2-9b-it-SimPO"])
def test_axes_bands_and_figures(name: str) -> None:
    table = read_accuracy(name)
    axes = plot_accuracy(believe(table))
    assert axes.get_xlabel() == "neighbours asked in each layer, k"
    assert axes.get_ylabel() == "accuracy (%)"
    assert table.source in axes.texts[0].get_text().replace("\n", " ")
    layers = {entry.M for entry in table.entries if entry.M}
    assert sum(isinstance(each, PolyCollection) for each in axes.collections) == len(layers)
    assert len(axes.containers) == len(table.entries)
    low, high = axes.get_ylim()
    drawn = {}
    for container, entry in zip(axes.containers, sorted(table.entries, key=lambda entry: entry.M), strict=True):
        point, _, (bar,) = container
        (x,), (y,) = point.get_data()
        drawn[entry.M, entry.k] = y
        assert abs(x - (entry.k if entry.M else 0)) < 0.35
        assert y == pytest.approx(100 * entry.accuracy)
        ends = bar.get_segments()[0][:, 1]
        assert ends == pytest.approx(100 * (entry.accuracy + np.array([-1, 1]) * entry.standard_error))
        assert low < ends[0]
        assert ends[1] < high
        assert (to_hex(point.get_markerfacecolor()) == "#ffffff") == entry.secondary
    assert len(drawn) == len(table.entries)
    labels = _labels(axes)
    assert "95 % band of the curve" in labels
    assert f"measured ± 1 standard error{', drawn side by side' if len(layers) > 1 else ''}" in labels
    assert ("SECONDARY (transcribed)" in labels) == table.secondary
    axes.figure.canvas.draw()  # nothing that cannot be drawn


def test_curves_pass_through_the_fit() -> None:
    belief = believe(read_accuracy("together2024-diverse"))
    axes = plot_accuracy(belief)
    curves = [line for line in axes.lines if len(line.get_xdata()) == 60]
    assert len(curves) == 2
    middle = 100 * float(np.median(belief.surface_on([(1, 5)])))
    assert curves[0].get_ydata()[-1] == pytest.approx(middle)
    assert curves[1].get_ydata()[-1] > curves[0].get_ydata()[-1]


def test_it_draws_where_it_is_told_and_without_layers() -> None:
    figure = Figure()
    axes = figure.add_subplot()
    table = read_accuracy("mitra2024-same").only([0])
    assert plot_accuracy(believe(table), ax=axes) is axes
    assert _labels(axes)[0] == "M = 0, one model alone"
