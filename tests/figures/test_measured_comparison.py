"""The picture of a run beside theory and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.container import BarContainer

from dmoa_theory import System, latency, simulate
from dmoa_theory.compare import compare
from dmoa_theory.compare_measured import MeasuredComparison, compare_measured
from dmoa_theory.errors import InputError
from dmoa_theory.live.measured_run import evaluate
from dmoa_theory.plots.comparison import plot_comparison
from dmoa_theory.plots.measured_comparison import plot_measured
from tests.testbed.run_simulated import desks, simulated_record


@pytest.fixture(scope="module")
def beside() -> MeasuredComparison:
    """A simulated run in the clothes of a recorded one."""
    system = desks(0.5, M=1)
    run = evaluate(simulated_record(system, 300, delay=0.02), system, runs=40)
    return compare_measured(compare(latency(system), simulate(system, queries=5000)), run)


def test_every_mark_lies_where_its_figure_does(beside: MeasuredComparison) -> None:
    """Measured and predicted figures in per cent off the mean of the simulated runs; bars hold 95 % of them."""
    axes = plot_measured(beside)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:4] == ["mean latency", "p50 latency", "p95 latency", "p99 latency"]
    assert "utilisation, device-3" in names
    rows = {(row.quantity, row.of): row for row in beside.rows}
    row = rows["mean latency", "all prompts"]
    at_first = {
        line.get_marker() + str(line.get_markerfacecolor() != "none"): line
        for line in axes.lines
        if list(line.get_ydata()) == [0]
    }
    base = row.at_measured.simulated
    for mark, value in (
        ("oTrue", row.measured),
        ("DTrue", row.at_measured.theory),
        ("DFalse", row.scenario.theory),
        ("sFalse", row.scenario.simulated),
    ):
        assert float(np.asarray(at_first[mark].get_xdata())[0]) == pytest.approx(100 * (value / base - 1))
    bar = axes.patches[0]
    assert bar.get_x() == pytest.approx(100 * (row.lower / base - 1))  # type: ignore[attr-defined]
    assert bar.get_width() == pytest.approx(100 * (row.upper - row.lower) / base)  # type: ignore[attr-defined]


def test_the_run_stands_beside_theory_and_simulation(beside: MeasuredComparison) -> None:
    axes = plot_comparison(beside.comparison, beside=beside)
    *_, measured = (group for group in axes.containers if isinstance(group, BarContainer))
    rows = [row for row in beside.rows if row.of == "all prompts"][:4]
    np.testing.assert_allclose([bar.get_height() for bar in measured], [1000 * row.measured for row in rows])  # in ms
    assert [text.get_text().split(",")[0] for text in axes.get_legend().get_texts()] == ["theory", "simulated", "measured"]  # type: ignore[union-attr]


def test_runs_and_comparisons_of_different_systems_are_refused(beside: MeasuredComparison) -> None:
    other: System = desks(0.6, M=1)
    with pytest.raises(InputError, match="of systems that differ"):
        compare_measured(compare(latency(other), simulate(other, queries=2000)), beside.run)


def test_it_shows_itself(beside: MeasuredComparison) -> None:
    """As a table at the measured service times, and as records without nested values."""
    assert "at the MEASURED service times" in repr(beside)
    assert "at the SCENARIO's" in str(beside.scenario_table())
    assert all(not isinstance(value, dict | list) for record in beside.records() for value in record.values())
