"""The reference simulation against traces worked by hand, and against what FCFS and fork-join mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.traces.reference import run_reference
from dmoa_theory.simulation.traces.trace import Trace
from dmoa_theory.simulation.traces.trajectory import Trajectory

Job = tuple[int, float] | tuple[int, float, float, float]  # device, service, there, back


def trace(n: int, *queries: tuple[float, int, list[list[Job]]], quorum: list[int] | None = None) -> Trace:
    """A trace from (arrival, user, stages), a stage being a list of jobs."""
    stages = [stage for _, _, own in queries for stage in own]
    jobs = [(*job, 0.0, 0.0)[:4] for stage in stages for job in stage]
    columns: dict[str, Any] = dict(zip(("device", "service", "there", "back"), map(list, zip(*jobs, strict=True)), strict=True))
    return Trace(
        n_devices=n,
        arrival=[float(arrival) for arrival, _, _ in queries],
        user=[user for _, user, _ in queries],
        stage_start=np.cumsum([0, *(len(own) for _, _, own in queries)]),
        job_start=np.cumsum([0, *map(len, stages)]),
        quorum=quorum,
        **columns,
    )


WORKED = trace(
    2,
    (0, 0, [[(0, 4), (1, 3)], [(0, 2)]]),
    (1, 1, [[(1, 5), (0, 1)], [(1, 2)]]),
    (2, 0, [[(0, 2), (1, 2)], [(0, 3)]]),
)


def test_three_queries_at_two_devices() -> None:
    """Worked by hand: each device's queue is 0, 1, 2 by query, then the aggregations as they come."""
    run = run_reference(WORKED)
    assert run.reached.tolist() == [0, 0, 4, 1, 1, 8, 2, 2, 10]
    assert run.start.tolist() == [0, 0, 7, 3, 4, 10, 5, 8, 10]
    assert run.end.tolist() == [4, 3, 9, 8, 5, 12, 7, 10, 13]
    assert run.stage_end.tolist() == [4, 9, 8, 12, 10, 13]
    assert run.latency.tolist() == [9, 11, 11]
    assert run.last_end == 13
    assert repr(run) == "<Trajectory of <Trace of 3 queries, 6 stages and 9 jobs at 2 devices>: done after 13 s>"


def test_queues_of_the_worked_trace() -> None:
    """Device 0 holds waiting: query 1 from 1 to 4, query 2 from 2 to 5, query 0's aggregation from 4 to 7."""
    run = run_reference(WORKED)
    times = [0, 0.5, 1, 2, 3.999, 4, 5, 6.999, 7, 13, 99]
    assert run.waiting.counts(times)[:, 0].tolist() == [0, 0, 1, 2, 2, 2, 1, 1, 0, 0, 0]
    assert run.in_system.counts(times)[:, 0].tolist() == [1, 1, 2, 3, 3, 3, 2, 2, 1, 0, 0]
    assert run.in_service.counts(times)[:, 0].tolist() == [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert run.waiting.time_average(13) == pytest.approx([9 / 13, (2 + 6 + 2) / 13])
    assert run.waiting.time_average(4, begin=2) == pytest.approx([(2 + 2) / 2, (1 + 2) / 2])
    assert run.in_service.time_average(13) == pytest.approx([12 / 13, 12 / 13])
    assert run.in_service.time_average(26) == pytest.approx([12 / 26, 12 / 26])
    assert run.waiting.largest().tolist() == [2, 2]
    assert run.in_system.largest().tolist() == [3, 3]
    assert run.waiting.first_time(1).tolist() == [1, 1]
    assert run.waiting.first_time(2).tolist() == [2, 2]
    assert run.waiting.first_time(3).tolist() == [np.inf, np.inf]
    assert run.in_system.first_time(1).tolist() == [0, 0]


def test_a_job_that_comes_as_another_ends_does_not_wait() -> None:
    run = run_reference(trace(1, (0, 0, [[(0, 2)]]), (2, 0, [[(0, 1)]])))
    assert run.start.tolist() == [0, 2]
    assert run.waiting.largest().tolist() == [0]
    assert run.waiting.first_time(1).tolist() == [np.inf]
    assert run.in_system.largest().tolist() == [1]
    assert run.in_system.counts([2.0]).tolist() == [[1]]


def test_together_means_in_order_of_query_number() -> None:
    """Queries 0 and 1 arrive together at device 1; query 0 lists its job there last."""
    run = run_reference(trace(2, (3, 0, [[(0, 1), (1, 4)]]), (3, 1, [[(1, 2)]])))
    assert run.start.tolist() == [3, 3, 7]


def test_together_means_so_whatever_led_to_it() -> None:
    """At 5, device 1 lets go of query 0, serves query 1 in no time, and only then does query 1 reach device 0, with query 2."""
    run = run_reference(trace(2, (0, 1, [[(1, 5)]]), (1, 0, [[(1, 0)], [(0, 3)]]), (5, 0, [[(0, 2)]])))
    assert run.reached.tolist() == [0, 1, 5, 5]
    assert run.start.tolist() == [0, 5, 5, 8]
    assert run.latency.tolist() == [5, 7, 5]


def test_inferences_of_no_time() -> None:
    """Nothing takes time, everything happens: five stages in the instant of arrival."""
    run = run_reference(trace(2, (1, 0, [[(0, 0), (1, 0)]] * 4 + [[(0, 0)]]), (1, 1, [[(1, 0)]])))
    assert run.latency.tolist() == [0, 0]
    assert (run.end == 1).all()
    assert run.in_system.largest().tolist() == [0, 0]


def test_a_quorum_goes_on_without_the_slowest() -> None:
    """The first of two answers ends the layer; the other job outlives its query and keeps query 1 waiting."""
    run = run_reference(trace(2, (0, 0, [[(0, 1), (1, 9)], [(0, 1)]]), (4, 1, [[(1, 2)]]), quorum=[1, 1, 1]))
    assert run.stage_end.tolist() == [1, 2, 11]
    assert run.latency.tolist() == [2, 7]
    assert run.end.tolist() == [1, 9, 2, 11]
    late = run_reference(trace(2, (0, 0, [[(0, 1), (1, 9)], [(0, 1)]]), quorum=[1, 1]))
    assert late.last_end == 9


def test_delays_go_there_and_back() -> None:
    """The remote job is served from 0.5 to 2.5 and its answer is back at 3.25; the aggregation starts then."""
    run = run_reference(trace(2, (0, 0, [[(0, 1), (1, 2, 0.5, 0.75)], [(0, 1)]]), (0.25, 1, [[(1, 4)]])))
    assert run.reached.tolist() == [0, 0.5, 4.25 + 2 + 0.75, 0.25]
    assert run.start.tolist() == [0, 4.25, 7, 0.25]
    assert run.stage_end.tolist() == [7, 8, 4.25]
    alone = run_reference(trace(2, (0, 0, [[(0, 1), (1, 2, 0.5, 0.75)], [(0, 1)]])))
    assert alone.stage_end.tolist() == [3.25, 4.25]
    elsewhere = run_reference(trace(2, (0, 0, [[(1, 2, 0.5, 0.75)]])))
    assert (elsewhere.end.tolist(), elsewhere.last_end) == ([2.5], 3.25)


def test_a_straggler_is_overtaken_by_the_next_layer() -> None:
    """The first layer's remote job is still on its way when the second layer's reaches the same device."""
    stages: list[list[Job]] = [[(0, 1), (1, 5, 10, 0)], [(0, 1), (1, 3, 2, 1)], [(0, 1)]]
    run = run_reference(trace(2, (0, 0, stages), quorum=[1, 2, 1]))
    assert run.reached.tolist() == [0, 10, 1, 3, 7]
    assert run.stage_end.tolist() == [1, 7, 8]
    assert run.last_end == 15


def test_averages_need_a_span() -> None:
    run = run_reference(WORKED)
    with pytest.raises(InputError, match="end = 0: a time after 0 s"):
        run.waiting.time_average(0)
    with pytest.raises(InputError, match="count = 0: a whole number, 1 or more"):
        run.waiting.first_time(0)


# -- what FCFS and fork-join mean, on traces full of ties -------------------------------------------------------------


@st.composite
def traces(draw: st.DrawFn, whole: bool = True) -> Trace:
    """Small traces; times are small whole numbers, so that much happens at once, or arbitrary floats."""
    time = st.integers(0, 3).map(float) if whole else st.floats(0, 5, allow_subnormal=False)
    n = draw(st.integers(1, 4))
    arrival, queries, quorum = 0.0, [], []
    delayed = draw(st.booleans())
    for _ in range(draw(st.integers(1, 8))):
        arrival += draw(time)
        user = draw(st.integers(0, n - 1))
        stages: list[list[Job]] = []
        for _ in range(draw(st.integers(1, 4))):
            devices = draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
            delays = [(draw(time), draw(time)) if delayed and device != user else (0.0, 0.0) for device in devices]
            stages.append([(device, draw(time), *delay) for device, delay in zip(devices, delays, strict=True)])
            quorum.append(draw(st.integers(1, len(devices))))
        queries.append((arrival, user, stages))
    return trace(n, *queries, quorum=quorum if draw(st.booleans()) else None)


def check(run: Trajectory) -> None:
    """Every figure of a trajectory follows from those before it, to the bit, and in one way only."""
    given = run.trace
    assert given.there is not None
    assert given.back is not None
    query = given.stage_query[given.job_stage]
    at_home = given.device == given.user[query]

    # a stage forks when its query arrives or the stage before it ends
    fork = np.empty(given.n_stages)
    fork[1:] = run.stage_end[:-1]
    fork[given.stage_start[:-1]] = given.arrival
    reached = fork[given.job_stage]
    assert (run.reached == np.where(at_home, reached, reached + given.there)).all()

    # each device: first come first served, by query and stage where together; never idle while a job waits; one at a time
    for device in range(given.n_devices):
        here = np.flatnonzero(given.device == device)
        here = here[np.lexsort((given.job_stage[here], run.reached[here]))]  # stages are numbered query by query
        free = 0.0
        for job in here.tolist():
            assert run.start[job] == max(free, run.reached[job])
            free = run.start[job] + given.service[job]
            assert run.end[job] == free

    # a stage ends at the r-th smallest of the times at which its answers are back
    answer = np.where(at_home, run.end, run.end + given.back)
    for stage, needed in enumerate(given.answers_needed.tolist()):
        jobs = slice(given.job_start[stage], given.job_start[stage + 1])
        assert run.stage_end[stage] == np.sort(answer[jobs])[needed - 1]


@settings(max_examples=400, deadline=None)
@given(traces())
def test_every_figure_follows_from_the_rules(small: Trace) -> None:
    """FCFS, work conservation, one job at a time, joins at the quorum: with ties of every kind."""
    check(run_reference(small))


@settings(max_examples=100, deadline=None)
@given(traces(whole=False))
def test_every_figure_follows_from_the_rules_with_arbitrary_times(small: Trace) -> None:
    check(run_reference(small))


@settings(max_examples=100, deadline=None)
@given(traces())
def test_littles_identity(small: Trace) -> None:
    """Jobs integrated over time are times summed over jobs, device by device; counted second by second in whole seconds."""
    run = run_reference(small)
    end = max(run.last_end, 1.0)
    grid = np.arange(end) + 0.5
    for occupancy in (run.waiting, run.in_service, run.in_system):
        counted = occupancy.counts(grid).sum(axis=0)
        summed = np.bincount(small.device, weights=occupancy.until - occupancy.since, minlength=small.n_devices)
        assert counted.tolist() == summed.tolist()
        assert occupancy.time_average(end) * end == pytest.approx(summed)
    assert (run.in_service.counts(grid) <= 1).all()
    assert (run.waiting.counts(grid) + run.in_service.counts(grid) == run.in_system.counts(grid)).all()


@settings(max_examples=100, deadline=None)
@given(traces())
def test_peaks_and_when_they_are_reached(small: Trace) -> None:
    """Against counts at every instant at which anything happens: between those nothing changes."""
    run = run_reference(small)
    for occupancy in (run.waiting, run.in_system):
        instants = np.unique(np.concatenate((occupancy.since, occupancy.until)))
        counted = occupancy.counts(instants)
        assert occupancy.largest().tolist() == counted.max(axis=0).tolist()
        for count in (1, 2, 3):
            reached = [instants[column >= count].min(initial=np.inf) for column in counted.T]
            assert occupancy.first_time(count).tolist() == reached


@settings(max_examples=50, deadline=None)
@given(traces(), st.floats(0, 20), st.floats(0.1, 20))
def test_a_time_average_over_any_span(small: Trace, begin: float, length: float) -> None:
    """Averages over two adjoining spans make up the average over both."""
    occupancy = run_reference(small).waiting
    middle, end = begin + length, begin + 2 * length
    halves = occupancy.time_average(middle, begin=begin), occupancy.time_average(end, begin=middle)
    assert sum(halves) / 2 == pytest.approx(occupancy.time_average(end, begin=begin), abs=1e-9)
