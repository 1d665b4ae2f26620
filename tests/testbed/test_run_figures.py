"""Figures of a run: by hand, by other ways of counting, and against an exact case."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import System
from dmoa_theory.live.examples import small_run
from dmoa_theory.live.expected import expected
from dmoa_theory.live.figures import figures, figures_with_intervals, fitting_batches
from dmoa_theory.live.growth import growth_rates
from dmoa_theory.live.measured_system import measured_rates, measured_system
from dmoa_theory.live.observed import observe, observe_trajectory
from dmoa_theory.live.replayed import replay_run
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.stability.growth.overload import overload
from tests.testbed.run_simulated import desks, record_of, simulated_record


def test_a_small_run_by_hand() -> None:
    """Two prompts at 0 and 10 s that take 5.7 s each; watched from 0 to 10 s."""
    seen = observe(small_run())
    found = figures(seen, seen.window(0, 0))
    assert found["mean"] == pytest.approx(5.7)
    assert found["in_flight"] == pytest.approx(0.57)
    assert found["throughput"] == pytest.approx(0.1)
    np.testing.assert_allclose(found["user_mean"], [5.7, np.nan])
    np.testing.assert_allclose(found["stage_mean"], [4.2, np.nan, 1.0])
    np.testing.assert_allclose(found["utilisation"], [0.3, 0.4])
    np.testing.assert_allclose(found["jobs_mean"], [0.3, 0.4])
    np.testing.assert_allclose(found["waiting_mean"], 0, atol=1e-12)


def test_figures_agree_with_other_ways_of_counting() -> None:
    """Within a window: latency by prompts, load by seconds of work, and jobs there = waiting + at work."""
    run = record_run(desks(0.7), queries=800, seed=3)
    seen = observe_trajectory(run)
    window = seen.window(100, 50)
    found = figures(seen, window)
    latency = run.latency[100:750]
    assert found["mean"] == pytest.approx(latency.mean())
    assert found["p95"] == pytest.approx(np.quantile(latency, 0.95))
    span = window.end - window.begin
    for d in range(4):
        mine = run.trace.device == d
        work = np.minimum(run.end[mine], window.end) - np.maximum(run.start[mine], window.begin)
        assert found["utilisation"][d] == pytest.approx(np.maximum(work, 0).sum() / span)
    np.testing.assert_allclose(found["jobs_mean"], found["waiting_mean"] + found["utilisation"])
    stage = seen.stage_duration[(seen.stage_prompt >= 100) & (seen.stage_prompt < 750) & (seen.stage_kind == 1)]
    assert found["stage_mean"][1] == pytest.approx(stage.mean())


def test_a_record_and_its_simulation_look_alike() -> None:
    """The same run, as simulated and as recorded, has the same figures."""
    system = desks(0.6, quorum=2)
    run, record = record_run(system, queries=200, seed=5), simulated_record(system, 200, seed=5)
    one, other = observe_trajectory(run), observe(record)
    for name, value in figures(one, one.window(20, 10)).items():
        np.testing.assert_allclose(figures(other, other.window(20, 10))[name], value, err_msg=name)


def test_intervals_are_about_the_figures() -> None:
    """Cutting a run into batches changes no figure, and means have an interval."""
    seen = observe_trajectory(record_run(desks(0.6), queries=1000, seed=2))
    window = seen.window(50, 20)
    plain, found = figures(seen, window), figures_with_intervals(seen, window, fitting_batches(930))
    assert set(plain) == set(found)
    for name, value in plain.items():
        np.testing.assert_allclose(found[name].value, value, rtol=1e-9, err_msg=name)
    for name in ("mean", "p50", "p95", "utilisation", "user_mean", "jobs_mean", "stage_mean"):
        assert (found[name].half_width > 0).all(), name


@pytest.mark.parametrize("prompts", [1, 2, 7])
def test_runs_of_a_few_prompts_have_figures(prompts: int) -> None:
    """Nothing divides by the nothing that was seen."""
    seen = observe_trajectory(record_run(desks(0.5), queries=prompts, seed=2))
    found = figures_with_intervals(seen, seen.window(3, 3), fitting_batches(prompts))
    assert np.isfinite(found["mean"].value)


def test_runs_from_empty_are_expected_to_be_as_theory_has_them() -> None:
    """M/M/1 at load 0.5: 2 s on average, half of the time busy, 0.5 prompts/s; the cut leaves little of the empty start."""
    alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="exponential")
    seen = expected(alone, 1500, seed=4, runs=100)
    for name, exact in (("mean", 2.0), ("throughput", 0.5), ("in_flight", 1.0)):
        assert abs(seen.mean[name] - exact) < 4 * seen.error[name] + 0.01 * exact, name
    assert abs(seen.mean["utilisation"][0] - 0.5) < 4 * seen.error["utilisation"][0] + 0.005
    assert seen.mean["p95"] == pytest.approx(2 * np.log(20), rel=0.03)
    assert 0 < seen.cut.cut_off <= 150


def test_nineteen_of_twenty_runs_lie_where_they_are_expected() -> None:
    """Runs with other random numbers fall into the middle 95 % about as often as that."""
    system = desks(0.6)
    seen = expected(system, 300, seed=1, runs=200)
    inside = 0
    for seed in range(1000, 1060):
        run = observe_trajectory(record_run(system, queries=300, seed=seed))
        mean = figures(run, run.window(seen.cut.left_out, seen.cut.cut_off))["mean"]
        inside += bool(seen.lower["mean"] <= mean <= seen.upper["mean"])
    assert 51 <= inside <= 60  # 57 expected; fewer than 51 come once in a hundred


def test_queues_beyond_the_edge_grow_as_the_fluid_limit_has_it() -> None:
    """At the rates and service times that the run really had; 10 % is about four deviations of such runs."""
    system = desks(1.4)
    run = record_run(system, queries=4000, seed=7)
    record = record_of(system, run)
    came = measured_system(system, record).with_rates(measured_rates(record))
    assert growth_rates(observe_trajectory(run)).sum() == pytest.approx(overload(came).growth_rate.sum(), rel=0.1)


def test_a_replay_of_a_simulated_run_is_that_run_in_any_window() -> None:
    """Nothing lies between its devices, so that window by window the latencies are the same."""
    system = desks(0.6)
    record = simulated_record(system, 200, seed=5)
    seen = observe(record)
    again = replay_run(record, system)
    assert again.rows.tolist() == list(range(200))
    for window in (seen.window(0, 0), seen.window(30, 0), seen.window(30, 50)):
        np.testing.assert_allclose(again.within(window), seen.latency[window.first : window.last], rtol=1e-9)
