"""Whatever a picture returns leads to its figure, which can be changed and saved."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmoa_theory import System, capacity, plots, stability_region
from dmoa_theory.plots import plot_capacity, plot_utilisation

SYSTEM = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, [20.0, 25.0, 30.0], M=1, k=1)


@pytest.mark.parametrize("name", [name for name in plots.__all__ if name.startswith("plot_")])
def test_every_picture_returns_axes_or_a_figure(name: str) -> None:
    """Axes of a single panel, which can be drawn on axes that are given; the figure of several."""
    signature = inspect.signature(getattr(plots, name))
    # axes in space have a type of their own
    assert signature.return_annotation in ({"Axes", "Any"} if "ax" in signature.parameters else {"Figure"})


@pytest.mark.parametrize(
    ("drawn", "kind"), [(plot_utilisation(stability_region(SYSTEM)), Axes), (plot_capacity(capacity(SYSTEM)), Figure)]
)
def test_of_both_kinds_figure_is_the_figure(drawn: Axes | Figure, kind: type, tmp_path: Path) -> None:
    assert isinstance(drawn, kind)
    assert isinstance(drawn.figure, Figure)
    drawn.figure.suptitle("mine")
    drawn.figure.savefig(tmp_path / "mine.svg")
    assert "mine" in (tmp_path / "mine.svg").read_text(encoding="utf-8")
