"""Links pass through no device that they do not join."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.patches import FancyArrowPatch, PathPatch

from dmoa_theory import System, build_topology, stability_region
from dmoa_theory.plots import network
from dmoa_theory.plots.bends import bends, control_points
from dmoa_theory.plots.network import plot_network


def drawn(adjacency, monkeypatch, row=None):
    """Axes of the network, its devices in one row where that is asked for."""
    system = System.from_arrays(adjacency, 0.002, 20.0, M=1, k=1)
    if row is not None:
        monkeypatch.setattr(network, "positions", lambda _network: np.column_stack((np.arange(row), np.zeros(row))))
    axes = plot_network(stability_region(system))
    axes.figure.draw_without_rendering()
    return axes


def test_a_link_over_a_row_goes_round_those_between(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a row of four, 0 - 3 both ways and 1 -> 3 one way are bent; on paper they keep clear of every other mark."""
    adjacency = np.diag(np.ones(3), 1) + np.diag(np.ones(3), -1)
    adjacency[0, 3] = adjacency[3, 0] = adjacency[1, 3] = 1
    axes = drawn(adjacency, monkeypatch, row=4)
    straight = axes.collections[0].get_segments()
    assert sorted(sorted(int(end[0]) for end in line) for line in straight) == [[0, 1], [1, 2], [2, 3]]
    marks = axes.transData.transform(np.column_stack((np.arange(4), np.zeros(4))))
    points = axes.figure.dpi / 72
    radius = np.sqrt(axes.collections[1].get_sizes()[0] / np.pi) * points
    curves = {}
    for patch in axes.patches:
        if isinstance(patch, PathPatch):
            curves[0, 3] = axes.transData.transform(patch.get_path().interpolated(1).to_polygons(closed_only=False)[0])
        if isinstance(patch, FancyArrowPatch):
            path = patch.get_path()
            curves[1, 3] = axes.transData.transform(path.to_polygons(closed_only=False)[0])
    assert set(curves) == {(0, 3), (1, 3)}
    for ends, curve in curves.items():
        for other in set(range(4)) - set(ends):
            assert np.hypot(*(curve - marks[other]).T).min() > radius, (ends, other)


def test_nothing_is_bent_where_no_link_passes_through_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = drawn(np.ones((4, 4)) - np.eye(4), monkeypatch)
    assert not axes.patches
    (links,) = [c for c in axes.collections if isinstance(c, LineCollection)][:1]
    assert len(links.get_segments()) == 6
    star = build_topology("star", n=9)
    place, ends = network.positions(star), np.column_stack((star.link_sources(), star.indices)).astype(np.int64)
    np.testing.assert_array_equal(bends(100 * place, np.full(9, 5.0), ends, 0.06), 0.06)


def test_the_least_bend_that_clears_is_taken_on_either_side() -> None:
    """A mark above the line is passed below it, one below it above, each with less of a bend than through the middle."""
    ends = np.array([[0, 1]])
    found = {}
    for up in (-4.0, 0.0, 4.0):
        paper = np.array([[0.0, 0.0], [200.0, 0.0], [100.0, up]])
        (found[up],) = bends(paper, np.full(3, 10.0), ends)
        middle = 0.5 * control_points(paper, ends, np.array([found[up]]))[0, 1]  # half way a curve is half as far off
        assert abs(middle - up) >= 13.0
    assert np.sign(found[-4.0]) == -np.sign(found[4.0])
    assert abs(found[4.0]) < abs(found[0.0])


def test_a_link_that_no_bend_helps_keeps_its_own() -> None:
    """Marks all round the first end leave no way out."""
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    wall = 40 * np.column_stack((np.cos(angle), np.sin(angle)))
    paper = np.vstack(([[0.0, 0.0], [200.0, 0.0]], wall))
    assert bends(paper, np.full(len(paper), 8.0), np.array([[0, 1]])).tolist() == [0.0]
