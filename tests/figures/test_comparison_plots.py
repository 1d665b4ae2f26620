"""Theory against simulation over load, drawn."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer

from dmoa_theory import System
from dmoa_theory.compare import Sweep, compare_over_load
from dmoa_theory.plots.comparison import plot_comparison, plot_error_over_load, plot_latency_over_load, plot_over_load
from dmoa_theory.plots.scales import log_ticks
from dmoa_theory.plots.style import new_axes


@pytest.fixture(scope="module")
def sweep() -> Sweep:
    """Two devices at three loads."""
    system = System.from_arrays([[0, 1], [1, 0]], 0.01, [20.0, 30.0], M=1, k=1)
    return compare_over_load(system, [0.3, 0.6, 0.8], queries=20_000)


def test_axes_are_labelled_with_units(sweep: Sweep) -> None:
    upper, lower = plot_over_load(sweep).axes
    assert lower.get_xlabel() == "utilisation of the busiest device (%)"
    assert upper.get_ylabel() == "time from prompt to answer (s)"
    assert lower.get_ylabel() == "theory less simulation (%)"


def test_lines_are_theory_and_points_are_simulation(sweep: Sweep) -> None:
    axes = plot_latency_over_load(sweep)
    curves = [line for line in axes.get_lines() if line.get_linestyle() == "-" and len(line.get_xdata()) == 25]
    np.testing.assert_allclose(curves[0].get_ydata(), sweep.curve["mean"])
    points = [line for line in axes.get_lines() if line.get_marker() == "o"]
    found = [comparison.simulation.mean_latency for comparison in sweep.comparisons]
    np.testing.assert_allclose(points[0].get_ydata(), found)


def test_intervals_are_drawn(sweep: Sweep) -> None:
    axes = plot_latency_over_load(sweep)
    assert len(axes.containers) == 3
    segments = axes.containers[0].lines[2][0].get_segments()
    simulation = sweep.comparisons[0].simulation
    np.testing.assert_allclose(segments[0][:, 1], [simulation.mean.lower, simulation.mean.upper])


def test_errors_are_those_of_the_rows(sweep: Sweep) -> None:
    axes = plot_error_over_load(sweep)
    drawn = next(line for line in axes.get_lines() if line.get_marker() == "o").get_ydata()
    wanted = [100 * comparison.rows[0].difference for comparison in sweep.comparisons]
    np.testing.assert_allclose(drawn, wanted)


def test_side_by_side_stand_the_figures_of_the_rows(sweep: Sweep) -> None:
    """Bars are the rows' values; whiskers of theory its expected error, those of the simulation its interval."""
    comparison = sweep.comparisons[1]
    axes = plot_comparison(comparison)
    bars = [[bar.get_height() for bar in group] for group in axes.containers if isinstance(group, BarContainer)]
    rows = comparison.rows[:4]
    np.testing.assert_allclose(bars, [[row.theory for row in rows], [row.simulated for row in rows]])
    theory, simulated = (group for group in axes.containers if isinstance(group, ErrorbarContainer))
    ends = [[segment[:, 1] for segment in group.lines[2][0].get_segments()] for group in (theory, simulated)]
    np.testing.assert_allclose(np.diff(ends[0]).T[0], [2 * row.expected.within * row.theory for row in rows])  # type: ignore[union-attr]
    np.testing.assert_allclose(np.diff(ends[1]).T[0], [2 * row.half_width for row in rows])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["mean", "median (p50)", "p95", "p99"]
    assert axes.get_ylim()[1] > max(row.simulated + row.half_width for row in rows)


@pytest.mark.parametrize(("low", "high"), [(1.1, 1.4), (2.1, 8.0), (30.0, 45.0), (0.7, 60.0), (0.02, 90.0), (1.0, 1e7)])
def test_a_logarithmic_axis_has_three_ticks(low: float, high: float) -> None:
    """Two do not tell it from a linear one; and never so many that they run into each other."""
    axes = new_axes(6.0, 4.0)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    log_ticks(axes.yaxis)
    ticks = axes.yaxis.get_majorticklocs()
    assert 3 <= np.count_nonzero((ticks >= low) & (ticks <= high)) <= 10


def test_two_loads_show_that_the_axis_is_logarithmic() -> None:
    system = System.from_arrays([[0, 1], [1, 0]], 0.01, [20.0, 30.0], M=1, k=1)
    axes = plot_latency_over_load(compare_over_load(system, [0.3, 0.4], queries=5_000))
    low, high = axes.get_ylim()
    ticks = axes.yaxis.get_majorticklocs()
    assert axes.get_yscale() == "log"
    assert np.count_nonzero((ticks >= low) & (ticks <= high)) >= 3
