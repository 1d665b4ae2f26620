"""Pictures of a live run: what they draw is what was measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dmoa_theory import System
from dmoa_theory.live.measured_run import MeasuredRun, evaluate
from dmoa_theory.plots.style import save
from dmoa_theory.plots.testbed import plot_live_latency, plot_live_queues, plot_live_utilisation
from dmoa_theory.quantities import show_seconds
from tests.testbed.run_simulated import desks, simulated_record


@pytest.fixture(scope="module")
def result() -> MeasuredRun:
    system = desks(0.6)
    return evaluate(simulated_record(system, 300, delay=0.05), system, runs=20)


@pytest.fixture(scope="module")
def overloaded() -> MeasuredRun:
    system = desks(1.4)
    return evaluate(simulated_record(system, 300), system, runs=20)


def test_the_latency_curve_is_the_share_that_takes_longer(result: MeasuredRun) -> None:
    axes = plot_live_latency(result)
    measured = next(line for line in axes.lines if line.get_label() == "measured")
    at, share = np.asarray(measured.get_xdata()), np.asarray(measured.get_ydata())
    latency = result.observed.latency[result.window.first : result.window.last]
    for place in (10, len(at) // 2, len(at) - 5):
        assert share[place] == pytest.approx(100 * (latency > at[place] + 1e-12).mean(), abs=0.5)
    labels = {text.get_text() for text in axes.get_legend().get_texts()}  # type: ignore[union-attr]
    assert {"measured", "simulated at the measured service times", "theory: median, p95, p99"} <= labels


def test_of_a_short_run_too_every_percentile_is_on_the_axes() -> None:
    """Thirty prompts show no p99; the theory's is drawn, so it has room; the title says of how many the figures are."""
    system = desks(0.6)
    short = evaluate(simulated_record(system, 30), system, runs=20)
    axes = plot_live_latency(short)
    theory = next(line for line in axes.lines if line.get_label() == "theory: median, p95, p99")
    assert axes.get_ylim()[0] < min(np.asarray(theory.get_ydata()))
    assert max(np.asarray(theory.get_xdata())) < axes.get_xlim()[1]
    assert f"30 prompts answered; mean of {short.kept}:" in " ".join(text.get_text() for text in axes.texts)
    assert f"({short.kept} prompts)" in short.table().caption


def test_queues_have_the_area_of_their_averages(result: MeasuredRun) -> None:
    axes = plot_live_queues(result)
    end = axes.get_xlim()[1]
    for d, name in enumerate(result.record.names):
        line = next(line for line in axes.lines if line.get_label() == name)
        jobs = result.observed.end[result.observed.device == d] - result.observed.reached[result.observed.device == d]
        assert np.mean(line.get_ydata()) * end == pytest.approx(jobs.sum(), rel=1e-6)


def test_devices_left_out_are_said_and_jobs_are_averages(result: MeasuredRun) -> None:
    """Half a job is there on average only; of nine devices six are drawn."""
    axes = plot_live_queues(result)
    assert axes.get_title(loc="left") == "Jobs at the devices"
    end = axes.get_xlim()[1]
    assert axes.get_ylabel() == f"jobs there, average over {show_seconds(end / 120)}"
    nine = System.from_arrays(np.ones((9, 9)) - np.eye(9), 1.0, 0.05, M=1, k=2)
    axes = plot_live_queues(evaluate(simulated_record(nine, 100), nine, runs=4))
    assert " ".join(axes.get_title(loc="left").split()) == "Jobs at the 6 fullest devices, and 3 others not drawn"


def test_loads_are_as_long_as_measured(result: MeasuredRun) -> None:
    axes = plot_live_utilisation(result)
    widths = [patch.get_width() for patch in axes.patches]  # type: ignore[attr-defined]
    np.testing.assert_allclose(widths, 100 * result.figures["utilisation"].value)


def test_an_overloaded_run_is_drawn_with_its_fluid_limit(overloaded: MeasuredRun, tmp_path: Path) -> None:
    axes = plot_live_queues(overloaded)
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    last = float(overloaded.observed.arrival[-1])
    tops = sorted(float(np.asarray(line.get_ydata())[-1]) for line in dashed)
    expected = sorted(overloaded.row("jobs gained", name).theory * last for name in overloaded.record.names)
    np.testing.assert_allclose(tops, expected)
    assert "OVERLOADED" in "".join(text.get_text() for text in axes.texts) + axes.get_title(loc="left")
    for place, plot in enumerate((plot_live_latency, plot_live_queues, plot_live_utilisation)):
        assert save(plot(overloaded), tmp_path / f"{place}.png").stat().st_size > 10_000
