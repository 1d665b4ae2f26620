"""The simulator against twelve long runs of another one, which shares no code with it: within 4 combined standard errors."""

from __future__ import annotations

import runpy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import stdtrit

from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.simulation.steady.simulation_result import SimulationResult

QUERIES = 1_000_000
reference = runpy.run_path(str(Path(__file__).with_name("test_reference_simulations.py")))
CASES, system_of = reference["CASES"], reference["system_of"]
every_case = pytest.mark.parametrize("name", CASES)


@cache
def run_of(name: str) -> SimulationResult:
    """One run of a case, fixed seed."""
    return simulate(system_of(name), queries=QUERIES, seed=17)


def standard_error(half_width: np.ndarray, result: SimulationResult) -> np.ndarray:
    """From the half width of Student's interval over the batches."""
    return np.asarray(half_width) / stdtrit(result.batches - 1, 0.975)


@every_case
def test_the_run_is_sound(name: str) -> None:
    """Stable, settled, and in balance; queries make ``(k + 1) M + 1`` jobs each."""
    case, result = CASES[name], run_of(name)
    assert result.stable
    assert result.settled
    assert result.queries == QUERIES
    assert result.balance < 1e-9
    per_query = (case["k"] + 1) * case["M"] + 1
    rate = per_query * sum(case["lambda"])
    error = standard_error(result.job_rate.half_width, result).sum()  # devices go up and down together
    assert result.job_rate.value.sum() == pytest.approx(rate, abs=4 * error)


@every_case
@pytest.mark.parametrize("figure", ["mean", "p95", "p99"])
def test_latency(name: str, figure: str) -> None:
    """Mean, p95 and p99 over all prompts."""
    case, result = CASES[name], run_of(name)
    key = "mean_latency" if figure == "mean" else figure
    interval = getattr(result, figure)
    error = np.hypot(standard_error(interval.half_width, result), case[f"{key}_ci95_half"] / 1.96)
    assert float(interval.value) == pytest.approx(case[key], abs=4 * error)


@every_case
def test_median(name: str) -> None:
    """The reference states no interval of its median; its error is ours, less by the root of the ratio of the lengths."""
    case, result = CASES[name], run_of(name)
    error = np.sqrt(1 + length_ratio(name)) * standard_error(result.p50.half_width, result)
    assert float(result.p50.value) == pytest.approx(case["p50"], abs=4 * error)


@every_case
def test_means_of_users(name: str) -> None:
    """User by user, likewise."""
    case, result = CASES[name], run_of(name)
    asks = np.array(case["lambda"]) > 0
    theirs = np.array(case["mean_latency_by_user"], dtype=float)[asks]
    ours, half = result.user_mean.value[asks], result.user_mean.half_width[asks]
    error = np.sqrt(1 + length_ratio(name)) * standard_error(half, result)
    assert (np.abs(ours - theirs) < 4 * error).all(), (np.abs(ours - theirs) / error).max()


@every_case
def test_numbers_waiting_and_in_system(name: str) -> None:
    """Device by device, likewise."""
    case, result = CASES[name], run_of(name)
    for theirs, ours in (
        (case["mean_number_waiting"], result.waiting_mean),
        (case["mean_number_in_system"], result.jobs_mean),
        (case["utilisation"], result.utilisation),
    ):
        error = np.sqrt(1 + length_ratio(name)) * standard_error(ours.half_width, result)
        assert (np.abs(ours.value - theirs) < 4 * error).all(), (np.abs(ours.value - theirs) / error).max()


@every_case
def test_durations_of_stages(name: str) -> None:
    """First layer and aggregation by name; later layers as the mean over them."""
    case, result = CASES[name], run_of(name)
    stages = case["stage_mean_latency"]
    theirs = {0: stages[0]}
    if case["M"] >= 1:
        theirs[2] = stages[-1]
    if case["M"] >= 2:
        theirs[1] = float(np.mean(stages[1:-1]))
    error = np.sqrt(1 + length_ratio(name)) * standard_error(result.stage_mean.half_width, result)
    for stage, mean in theirs.items():
        assert float(result.stage_mean.value[stage]) == pytest.approx(mean, abs=4 * error[stage])


def length_ratio(name: str) -> float:
    """Variance of the reference's averages as a share of ours: both fall with the length of the run."""
    case = CASES[name]
    per_query = (case["k"] + 1) * case["M"] + 1
    return float(QUERIES * per_query / (0.8 * case["jobs_simulated"]))
