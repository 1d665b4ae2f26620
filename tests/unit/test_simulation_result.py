"""What a simulation's result can do: tables with intervals in one unit, records, plain JSON, and figures that agree."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory import Network, ServiceTime, System, simulate
from dmoa_theory.errors import InputError
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.moa import MoA
from dmoa_theory.quantities import (
    show_seconds,
    show_uncertain,
    show_uncertain_rate,
    show_uncertain_seconds,
    show_uncertain_share,
)
from dmoa_theory.results import Source
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.simulation.steady.simulation_result import SimulationResult


def _system(n: int = 3, rate: float = 0.004) -> System:
    links = [(u, v) for u in range(n) for v in ((u + 1) % n, (u + 2) % n)]
    sources, targets = zip(*links, strict=True)
    return System(
        network=Network.from_links(n, sources, targets),
        arrival_rate=rate,
        service=ServiceTime.exponential(np.linspace(20.0, 30.0, n)),
        moa=MoA(1, 1),
    )


@pytest.fixture(scope="module")
def result() -> SimulationResult:
    return simulate(_system(), queries=20_000, seed=2)


@pytest.fixture(scope="module")
def unstable() -> SimulationResult:
    return simulate(_system(rate=0.05), queries=5000)


def test_the_text_is_the_table(result: SimulationResult) -> None:
    lines = repr(result).splitlines()
    assert lines[0] == "latency with M=1, k=1 (simulated, ± 95 % interval)"
    assert [line.split("  ")[0] for line in lines[2:]] == ["all prompts", "device-0", "device-1", "device-2"]
    cell = re.compile(r"^\d+(\.\d+)? ± \d+(\.\d+)? s$")
    assert all(cell.match(text) for row in result.table().rows for text in row[1:])
    assert result._repr_html_().count("±") == 17
    assert result.source is Source.SIMULATED


def test_queues_have_a_row_a_device(result: SimulationResult) -> None:
    table = result.device_table()
    assert [row[0] for row in table.rows] == ["device-0", "device-1", "device-2"]
    assert all(len(row) == len(table.heads) for row in table.rows)
    assert re.fullmatch(r"\d\d\.\d+ ± \d\.\d+ %", table.rows[0][1])
    assert table.rows[0][5] == str(result.largest[0])


def test_the_frame_is_the_figures(result: SimulationResult) -> None:
    frame = result.to_frame()
    assert frame["mean_s"].tolist() == [result.mean_latency, *result.user_mean.value]
    assert frame["p95_s_ci95"].tolist() == [float(result.p95.half_width), *result.user_p95.half_width]
    rows = result.device_records()
    assert [row["utilisation"] for row in rows] == result.utilisation.value.tolist()
    assert [row["growth_jobs_per_s"] for row in rows] == [0, 0, 0]


def test_figures_agree_with_each_other(result: SimulationResult) -> None:
    """Little's law, shares that sum to one, a mean that is the mean of its users', a distribution that has its percentiles."""
    assert result.balance < 1e-9
    lengths = np.arange(result.job_shares.value.shape[1])
    np.testing.assert_allclose(result.job_shares.value.sum(axis=1), 1)
    np.testing.assert_allclose(result.job_shares.value @ lengths, result.jobs_mean.value)
    np.testing.assert_allclose(result.job_shares.value[:, 0], 1 - result.utilisation.value)
    np.testing.assert_allclose(result.jobs_at_least.value[:, 1], result.utilisation.value)
    np.testing.assert_allclose(result.jobs_at_least.half_width[:, 1], result.utilisation.half_width, rtol=1e-6)
    np.testing.assert_allclose(result.jobs_at_least.value[:, 1:].sum(axis=1), result.jobs_mean.value)
    assert (result.job_shares.value > 0).sum(axis=1).tolist() == (result.largest + 1).tolist()
    assert result.reached == pytest.approx(float(result.p95.half_width) / float(result.p95.value))


def test_the_distribution_of_latency(result: SimulationResult) -> None:
    at, share = result.distribution_at, result.distribution
    assert 100 < at.size <= 205
    assert at.shape == share.value.shape == share.half_width.shape
    assert (np.diff(at) > 0).all()
    assert (np.diff(share.value) >= 0).all()
    assert share.value[0] == 0
    assert share.value[-1] > 1 - 2 / result.queries
    for level, percentile in ((0.5, result.p50), (0.95, result.p95), (0.99, result.p99)):
        assert np.interp(float(percentile.value), at, share.value) == pytest.approx(level, abs=1e-3)
    # the mean is the area above the distribution
    middle = (share.value[1:] + share.value[:-1]) / 2
    assert at[0] + ((1 - middle) * np.diff(at)).sum() == pytest.approx(result.mean_latency, rel=0.01)


def test_the_dictionary_is_plain_json(result: SimulationResult, unstable: SimulationResult) -> None:
    for found in (result, unstable):
        document = found.to_dict()
        assert json.loads(json.dumps(document, allow_nan=False)) == document
        assert document["schema"] == "dmoa/simulate/1"
    assert "seconds" not in result.to_dict()
    assert result.seconds > 0


def test_an_unstable_run_says_what_grows(unstable: SimulationResult) -> None:
    assert not unstable.stable
    assert unstable.growing.any()
    assert (unstable.growth_rate[unstable.growing] > 0).all()
    table = unstable.device_table()
    assert table.heads == ("device", "jobs gained an hour", "")
    assert [row[2] == "grows" for row in table.rows] == unstable.growing.tolist()
    (reason,) = [text for text in unstable.reasons() if "grew throughout the run" in text]
    worst = int(unstable.growth_rate.argmax())
    assert f"the queue of device-{worst} grew" in reason
    assert all(row[1] == "-" for row in unstable.table().rows)
    assert unstable.to_dict()["per_device"][0]["largest"] is None


def test_large_networks_are_cut_short() -> None:
    found = simulate(_system(30), queries=2000)
    assert len(found.table().rows) == 13
    assert found.table().caption.endswith("(12 slowest of 30 users)")
    assert len(found.device_table().rows) == 12
    assert found.device_table().caption.endswith("(12 busiest of 30 devices)")
    growing = simulate(_system(30, 0.05), queries=2000)
    assert growing.device_table().caption.endswith("(12 fastest growing of 30 devices)")
    assert len(found.to_frame()) == 31


def test_a_precision_is_not_reached_where_p95_has_no_interval(result: SimulationResult) -> None:
    blind = replace(result, p95=Interval.around(result.p95.value, np.asarray(np.nan)), precision=0.5)
    assert np.isnan(blind.reached)
    assert not blind.precise
    assert "the precision of 50 % was not reached: too few queries to tell it" in blind.reasons()


def test_jobs_are_those_of_what_was_kept_and_dropped(result: SimulationResult) -> None:
    """Three a query with M = 1, k = 1; a few more are under way at the end."""
    assert result.warm_up >= 1000
    assert result.jobs / 3 == pytest.approx(result.queries + result.warm_up, abs=100)


def test_so_few_queries_that_their_batches_are_none() -> None:
    """Thirty batches of one query each look independent only where they happened to be alike."""
    for queries, few in ((30, True), (1500, True), (2000, False)):
        reasons = simulate(_system(), queries=queries).reasons()
        assert any("too few for honest intervals" in reason for reason in reasons) == few


@pytest.mark.parametrize(("rate", "coarse"), [(1e-12, True), (1e-9, True), (1e-3, False)])
def test_a_clock_that_cannot_tell_the_times_apart_is_said(rate: float, coarse: bool) -> None:
    """After 1e14 s float64 counts in steps of 0.016 s: an inference of a millisecond takes no time, or far too much."""
    result = simulate(System.from_arrays([[0, 1], [1, 0]], rate, 1e-3, M=1, k=1), queries=100_000)
    assert any("too coarse for inferences of 1" in reason for reason in result.reasons()) == coarse
    if not coarse:
        assert float(result.mean.value) == pytest.approx(2.5e-3, rel=0.05)


@pytest.mark.parametrize("overflow", [0.5, 0.05])
def test_memory_is_exceeded_with_the_stated_probability(overflow: float) -> None:
    """M/M/1 at 0.7, a thousand bytes a job, above the weights: the number of jobs is geometric."""
    system = System(
        network=Network.from_adjacency([[0]]),
        arrival_rate=0.7,
        service=ServiceTime.exponential(1.0),
        moa=MoA(0, 0),
        footprint=Footprint.from_numbers(weight_bytes=7e6, kv_bytes_per_token=1000, context_tokens=1, prompt_bytes=1000),
        constraints=Constraints(overflow_probability=overflow),
    )
    result = simulate(system, queries=200_000, seed=5)
    assert result.memory_mean is not None
    assert result.memory_quantile is not None
    jobs = int(np.ceil(np.log(overflow) / np.log(0.7))) - 1  # P(more than m) = 0.7^(m + 1)
    assert float(result.memory_quantile.value[0]) == pytest.approx(7e6 + 1000 * jobs, abs=300)
    assert result.memory_quantile.lower[0] <= 7e6 + 1000 * jobs <= result.memory_quantile.upper[0]
    half = float(result.memory_mean.half_width[0])
    assert float(result.memory_mean.value[0]) == pytest.approx(7e6 + 1000 * 0.7 / 0.3, abs=2 * half)


def test_percentiles_are_found_however_unlike_the_devices() -> None:
    """A microsecond here, sixty years there, or a link that takes as long: no percentile falls out of the bins."""
    slow = ServiceTime.gamma([1e-6, 2e9], 1.0)
    links = Network.from_links(2, [0, 1], [1, 0], link_delay=2e9)
    for network, service in ((Network.from_adjacency([[0, 1], [1, 0]]), slow), (links, ServiceTime.exponential(1e-6))):
        result = simulate(System(network=network, arrival_rate=1e-11, service=service, moa=MoA(1, 1)), queries=2000)
        for interval in (result.p50, result.p99, result.user_p50, result.user_p95):
            assert np.isfinite(interval.value).all()
            assert (interval.value > 1e8).all()


def test_same_seed_same_figures_another_seed_others(result: SimulationResult) -> None:
    again = simulate(_system(), queries=20_000, seed=2)
    assert again.to_dict() == result.to_dict()
    other = simulate(_system(), queries=20_000, seed=3)
    assert other.mean_latency != result.mean_latency
    both = np.hypot(float(other.mean.half_width), float(result.mean.half_width))
    assert abs(other.mean_latency - result.mean_latency) < 2 * both


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"queries": 0}, "queries = 0: a whole number, 1 or more"),
        ({"queries": 2.0}, "queries = 2.0: a whole number, 1 or more"),
        ({"queries": 10**13}, "queries = 10000000000000: a whole number from 1 to 1,000,000,000,000"),
        ({"queries": 3, "replications": 4}, "queries = 3: at least one for each of the 4 replications"),
        ({"seed": -1}, "seed = -1: a whole number, 0 or more"),
        ({"seed": True}, "seed = True: a whole number, 0 or more"),
        ({"precision": 1.0}, "precision = 1.0: a number above 0 and below 1, such as 0.01"),
        ({"workers": 0}, "workers = 0: a whole number, 1 or more"),
    ],
)
def test_bad_counts_are_refused(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        simulate(_system(), **options)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    ("value", "half", "shown"),
    [
        (18.1034, 0.1284, "18.10 ± 0.13"),
        (18.1034, 0.0996, "18.10 ± 0.10"),
        (99.96, 9.96, "100 ± 10"),
        (8597.0, 341.0, "8,600 ± 340"),
        (18.1, 25.0, "18 ± 25"),
        (18.1, 4500.0, "20 ± 4,500"),
        (0.0, 0.0, "0 ± 0"),
        (0.0, 0.2, "0.00 ± 0.20"),
        (1e-9, 1e-10, "0.00000000100 ± 0.00000000010"),
        (24.0, 1e-12, "24 ± 0"),
        (24.0, float("nan"), "24"),
        (float("nan"), 1.0, "-"),
    ],
)
def test_a_figure_and_its_half_width_end_at_the_same_digit(value: float, half: float, shown: str) -> None:
    assert show_uncertain(value, half) == shown


def test_one_unit_for_figure_and_half_width() -> None:
    assert show_uncertain_seconds(101.0, 0.1443) == "101.00 ± 0.14 s"
    assert show_uncertain_seconds(0.5, 2.0) == "0.5 ± 2.0 s"
    assert show_uncertain_seconds(0.0, 0.0) == "0 ± 0 ms"
    assert show_uncertain_seconds(18_000.0, 90.0) == "5.000 ± 0.025 h"
    assert show_uncertain_seconds(float("inf"), float("nan")) == "unbounded"
    assert show_uncertain_share(0.7314, 0.0018) == "73.1 ± 0.2 %"
    assert show_uncertain_share(0.7314, 0.024) == "73.1 ± 2.4 %"
    assert show_uncertain_share(1.0, 0.0) == "100.0 ± 0.0 %"
    assert show_uncertain_share(0.5, float("nan")) == "50.0 %"
    assert show_uncertain_rate(0.0, 0.0) == "0"
    assert show_uncertain_rate(3.5, 0.1) == "3.50 ± 0.10 per second"
    assert show_uncertain_rate(0.002, float("nan")) == "7.2 per hour"


def test_a_hundred_has_no_point_at_its_end() -> None:
    assert [show_seconds(s) for s in (99.94, 99.95, 99.96, 100.0, 0.09996)] == ["99.9 s", "100 s", "100 s", "100 s", "100 ms"]


def test_a_short_run_is_not_believed_at_once() -> None:
    """A wanted precision that 1,000 queries seem to have is looked at again with twice as many."""
    alone = System.from_arrays([[0]], 0.3, 1.0, M=0, k=0)
    loose = simulate(alone, queries=1_000, precision=0.5)
    assert loose.precise
    assert loose.queries == 2_000
    assert simulate(alone, queries=100_000, precision=0.5).queries == 100_000
