"""The map of the estimate's errors, drawn from the bundled study."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmoa_theory.delay.expected_error import validation_rows
from dmoa_theory.errors import InputError
from dmoa_theory.plots.latency_errors import plot_latency_errors


@pytest.fixture(scope="module")
def drawn() -> Figure:
    return plot_latency_errors()


def panels(figure: Figure) -> list[Axes]:
    return [axes for axes in figure.axes if axes.collections and axes.get_title(loc="left")]


def test_axes_are_labelled_with_units(drawn: Figure) -> None:
    """Load and error in per cent; SCV has no unit."""
    assert [axes.get_xlabel() for axes in panels(drawn)[3:]] == ["utilisation of the busiest device (%)"] * 3
    assert [axes.get_ylabel() for axes in panels(drawn)[::3]] == ["SCV of service times"] * 2
    assert drawn.axes[-1].get_ylabel() == "error against simulation, absolute (%)"


def test_every_system_is_a_point_in_every_panel(drawn: Figure) -> None:
    """At its load and SCV, coloured by its error, the largest on top."""
    rows = [row for row in validation_rows() if row["kind"] == "plain"]
    wanted = sorted((100 * float(row["load"]), float(row["scv"])) for row in rows)
    assert len(panels(drawn)) == 6
    for axes, column in zip(
        panels(drawn), ("mean", "independent_mean", "memoryless_mean", "p95", "independent_p95", "memoryless_p95"), strict=True
    ):
        points = axes.collections[0]
        np.testing.assert_allclose(sorted(map(tuple, points.get_offsets().tolist())), wanted)
        size = np.asarray(points.get_array())
        assert (np.diff(size) >= 0).all()
        np.testing.assert_allclose(size, sorted(100 * abs(float(row[column])) for row in rows))


def test_the_estimate_is_far_lighter_than_the_textbook(drawn: Figure) -> None:
    """As its titles say."""
    titles = " ".join(text.get_text() for axes in panels(drawn) for text in axes.texts)
    assert titles.count("% off, bias") == 6
    size = [float(np.asarray(axes.collections[0].get_array()).mean()) for axes in panels(drawn)]
    assert size[0] < size[1] / 3 < size[2] / 3


def test_other_kinds_have_maps_of_their_own() -> None:
    """Which hold their systems only; what is no kind is refused."""
    points = panels(plot_latency_errors("weighted"))[0].collections[0]
    assert len(points.get_offsets()) == sum(row["kind"] == "weighted" for row in validation_rows())
    with pytest.raises(InputError, match="kind = odd: one of plain, weighted"):
        plot_latency_errors("odd")
