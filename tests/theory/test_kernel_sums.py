"""The sums that the kernels keep, window by window, against the same sums over the recorded run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from dmoa_theory import Network, ServiceTime, System
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.service import Stage
from dmoa_theory.simulation.kernel.engine import Engine
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.occupancy import Occupancy
from dmoa_theory.simulation.traces.trajectory import Trajectory
from dmoa_theory.stability.loads import utilisation

QUERIES, LOOKS = 4_000, 50
#: Where windows end; each arrives in a batch of its own.
CUTS = (0, 150, 1_000, 1_050, 3_000, QUERIES)


@dataclass(frozen=True)
class Case:
    """A random system, with what it is to have."""

    load: float
    seed: int
    n: int = 6
    delay: float = 0.0
    quorum: bool = False
    weighted: bool = False
    scv: float = 1.0

    def system(self) -> System:
        rng = np.random.default_rng(self.seed)
        n = self.n
        adjacency = rng.random((n, n)) < 0.6
        adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
        np.fill_diagonal(adjacency, False)
        links = int(adjacency.sum())
        k = np.minimum(rng.integers(0, 4, n), adjacency.sum(axis=1))
        delay = np.where(rng.random(links) < 0.2, 0.0, rng.uniform(0, 2, links)) * self.delay
        rate = np.where(rng.random(n) < 0.2, 0.0, rng.uniform(0.2, 1, n))
        rate[0] = 1.0
        system = System(
            network=Network.from_adjacency(adjacency, link_delay=delay),
            arrival_rate=rate,
            service=ServiceTime(mean=rng.uniform(0.5, 2, (n, 3)), scv=np.full((n, 3), self.scv)),
            moa=MoA(
                rng.integers(0, 4, n),
                k,
                rng.integers(1, k + 2) if self.quorum else None,
                rng.uniform(0.1, 3, links) if self.weighted else None,
            ),
            footprint=Footprint(  # powers of two apart, so that a sum tells what is in it
                weight_bytes=np.full(n, 1e6),
                kv_bytes_per_token=rng.integers(1, 9, n) * 2.0**20,
                context_tokens=rng.integers(1, 9, (n, 3)).astype(float),
                prompt_bytes=rng.integers(1, 9, (n, 3)) * 2.0**10,
                response_bytes=rng.integers(1, 9, n).astype(float),
            ),
        )
        return system.with_rates(rate * self.load / utilisation(system).max())


CASES = {
    "short queues": Case(0.7, 1),
    "long queues": Case(1.6, 2),
    "queues that grow long": Case(1.02, 3, scv=2.0),
    "quorum": Case(0.8, 4, quorum=True),
    "overloaded quorum, weighted": Case(1.3, 5, quorum=True, weighted=True),
    "nothing random in service": Case(0.9, 6, scv=0.0),
    "delays": Case(0.6, 7, delay=1.0),
    "long delays": Case(0.7, 8, delay=200.0),
    "delays and quorum, overloaded": Case(1.4, 9, delay=20.0, quorum=True),
    "delays, weighted": Case(0.8, 10, delay=3.0, weighted=True, quorum=True),
    "many devices": Case(0.8, 11, n=300),
    "many devices, delays": Case(1.1, 12, n=300, delay=15.0, quorum=True),
}
every_case = pytest.mark.parametrize("name", CASES)


@dataclass(frozen=True)
class Window:
    """What an engine's sums were at the end of a window, and where it was."""

    begin: float
    end: float
    first: int
    last: int
    jobs: np.ndarray
    time_at: np.ndarray
    largest: np.ndarray
    residual: np.ndarray
    ending: int
    still: float
    open: int
    arrived_sum: float
    done: int
    done_sum: float


@dataclass(frozen=True)
class Run:
    """A run in windows, whole; ``looks`` holds what was seen in memory at each look."""

    engine: Engine
    windows: list[Window]
    looks: dict[int, np.ndarray]


def in_windows(name: str, *, recorded: int = 0, looks: int = 0) -> Run:
    engine = Engine(CASES[name].system(), np.random.SeedSequence(3), batches=len(CUTS) - 1, recorded=recorded, looks=looks)
    run, begin, windows, seen = engine.run, 0.0, [], {}
    for batch, (first, last) in enumerate(pairwise(CUTS)):
        run["batch"] = batch
        run["window_start"], run["arrived_sum"], run["done_sum"], run["done"] = begin, 0.0, 0.0, 0
        state = engine.state
        state.job_sum[:], state.time_at[:] = 0, 0
        state.devices["largest"] = engine.residual[:, 0].astype(np.uint64)
        for stop in range(first + looks, last + 1, looks) if looks else (last,):
            before = engine.state.memory_sum.sum(axis=0)
            engine.go_on(stop)
            seen[stop] = engine.state.memory_sum.sum(axis=0) - before
        ending, still = engine.close(engine.now)
        state = engine.state
        n = state.devices.size
        windows.append(
            Window(
                begin=begin,
                end=engine.now,
                first=first,
                last=last,
                jobs=state.job_sum.reshape(n, 3, 4).copy(),
                time_at=state.time_at.reshape(n, -1).copy(),
                largest=state.devices["largest"].astype(np.int64),
                residual=engine.residual.copy(),
                ending=ending,
                still=still,
                open=int(state.queries.size - int(run["free_slots"])),
                arrived_sum=float(run["arrived_sum"]),
                done=int(run["done"]),
                done_sum=float(run["done_sum"]),
            )
        )
        begin = engine.now
    run["batch"] = len(CUTS) - 1
    engine.go_on(QUERIES + 1)
    engine.finish()
    return Run(engine, windows, seen)


@cache
def unrecorded(name: str) -> Run:
    return in_windows(name)


@cache
def watched(name: str) -> Run:
    return in_windows(name, looks=LOOKS)


@cache
def trajectory(name: str) -> Trajectory:
    """The same path; the arrival of its last query ends the last window."""
    return record_run(CASES[name].system(), queries=QUERIES + 1, seed=3)


@dataclass(frozen=True)
class Jobs:
    """What the jobs of a trajectory are."""

    query: np.ndarray
    stage: np.ndarray
    kind: np.ndarray
    ends_query: np.ndarray
    fork: np.ndarray


@cache
def jobs_of(name: str) -> Jobs:
    trace, run = trajectory(name).trace, trajectory(name)
    stage = trace.job_stage
    place = np.arange(trace.n_stages) - trace.stage_start[:-1][trace.stage_query]
    M = np.diff(trace.stage_start)[trace.stage_query] - 1
    kind = np.where(place == 0, Stage.FIRST, np.where(place < M, Stage.LATER, Stage.AGGREGATE))
    fork = np.append(0.0, run.stage_end[:-1])
    fork[trace.stage_start[:-1]] = trace.arrival
    return Jobs(trace.stage_query[stage], stage, kind[stage], (place == M)[stage], fork)


def reached_before(name: str, query: int) -> np.ndarray:
    """Jobs that are at their device when a query is about to arrive."""
    run, now = trajectory(name), trajectory(name).trace.arrival[query]
    return (run.reached < now) | ((run.reached == now) & (jobs_of(name).query < query))


def within(name: str, window: Window) -> np.ndarray:
    """Jobs that reach their device in a window; the first window begins with the run."""
    inside = reached_before(name, window.last)
    return inside & ~reached_before(name, window.first) if window.first else inside


# -- is everything there that is to be tested? ------------------------------------------------------------------------


def test_rooms_are_outgrown() -> None:
    """Rings, slots and trips grow in some runs and not in others; short and long queues take their own ways through the log."""
    state = {name: unrecorded(name).engine.state for name in CASES}
    largest = {name: max(int(window.largest.max()) for window in unrecorded(name).windows) for name in CASES}
    assert largest["short queues"] < 64
    assert state["short queues"].capacity == 128
    assert state["many devices"].capacity == 64  # two blocks of 16, once doubled
    assert state["queues that grow long"].capacity > 128
    first = unrecorded("queues that grow long").windows[0]
    assert first.largest.max() < 64 < largest["queues that grow long"]
    for name in ("long queues", "overloaded quorum, weighted", "delays and quorum, overloaded"):
        assert largest[name] > 500
        assert state[name].capacity > 1_000
    assert state["delays"].free_slot.size == 64
    assert state["delays"].free_trip.size == 512
    assert state["many devices, delays"].free_trip.size > 512
    slots = {name: each.free_slot.size for name, each in state.items()}
    assert sum(slots[name] > 64 for name in CASES if not CASES[name].delay) >= 2
    assert min(slots["long delays"], slots["many devices, delays"]) > 64


@every_case
def test_it_is_the_same_run(name: str) -> None:
    """Windows end at arrivals of the recorded run, and every device is done with its last job when it is there."""
    run, recorded = unrecorded(name), trajectory(name)
    np.testing.assert_array_equal([window.end for window in run.windows], recorded.trace.arrival[list(CUTS[1:])])
    assert run.engine.run["jobs"] == recorded.trace.n_jobs
    last = np.zeros(recorded.trace.n_devices)
    np.maximum.at(last, recorded.trace.device, recorded.end)
    np.testing.assert_array_equal(run.engine.state.devices["free_at"], last)


# -- devices ----------------------------------------------------------------------------------------------------------


@every_case
def test_time_at_each_number_of_jobs(name: str) -> None:
    """Against counts between any two instants at which something happens at a device."""
    run = trajectory(name)
    for window in unrecorded(name).windows:
        for d in range(run.trace.n_devices):
            here = np.flatnonzero((run.trace.device == d) & reached_before(name, window.last) & (run.end > window.begin))
            instants = np.concatenate((run.reached[here], run.end[here], [window.begin, window.end]))
            instants = np.unique(np.clip(instants, window.begin, window.end))
            middle = (instants[1:] + instants[:-1]) / 2
            present = Occupancy(
                n_devices=1, device=np.zeros(here.size, dtype=np.int64), since=run.reached[here], until=run.end[here]
            )
            counts = present.counts(middle)[:, 0] if here.size else np.zeros(middle.size, dtype=np.int64)
            expected = np.bincount(counts, weights=np.diff(instants), minlength=window.time_at.shape[1])
            duration = window.end - window.begin
            np.testing.assert_allclose(window.time_at[d], expected, rtol=1e-9, atol=1e-11 * duration)


@every_case
def test_time_averages(name: str) -> None:
    """Busy share and numbers waiting and in system from the time at each number of jobs, against the trajectory's."""
    run = trajectory(name)
    for window in unrecorded(name).windows:
        duration = window.end - window.begin
        present = window.time_at @ np.arange(window.time_at.shape[1]) / duration
        busy = window.time_at[:, 1:].sum(axis=1) / duration
        for found, occupancy in ((present, run.in_system), (busy, run.in_service), (present - busy, run.waiting)):
            expected = occupancy.time_average(window.end, begin=window.begin)
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@every_case
def test_jobs_waits_and_services(name: str) -> None:
    """Number, waits, squares of waits and services of the jobs that reached each device in a window, by stage."""
    run, jobs = trajectory(name), jobs_of(name)
    wait = run.start - run.reached
    for window in unrecorded(name).windows:
        inside = within(name, window)
        row = (run.trace.device * 3 + jobs.kind)[inside]
        for column, weights in enumerate((np.ones(wait.size), wait, wait**2, run.trace.service)):
            expected = np.bincount(row, weights=weights[inside], minlength=window.jobs.shape[0] * 3)
            found = window.jobs[:, :, column].ravel()
            np.testing.assert_allclose(found, expected, rtol=0 if column == 0 else 1e-10, atol=1e-10 * column)


@every_case
def test_longest_queue(name: str) -> None:
    """The most jobs at a device at any instant of a window, those counted that were there when it began."""
    run = trajectory(name)
    for window in unrecorded(name).windows:
        here = reached_before(name, window.last) & (run.end > window.begin)
        since = np.maximum(run.reached[here], window.begin)
        present = Occupancy(n_devices=run.trace.n_devices, device=run.trace.device[here], since=since, until=run.end[here])
        np.testing.assert_array_equal(window.largest, present.largest())


@every_case
def test_what_is_left_when_a_window_ends(name: str) -> None:
    """Jobs at every device and how long they still stay, and queries whose last job is among them."""
    run, jobs = trajectory(name), jobs_of(name)
    for window in unrecorded(name).windows:
        there = reached_before(name, window.last) & (run.end > window.end)
        device = run.trace.device[there]
        n = window.residual.shape[0]
        np.testing.assert_array_equal(window.residual[:, 0], np.bincount(device, minlength=n))
        left = np.bincount(device, weights=run.end[there] - window.end, minlength=n)
        np.testing.assert_allclose(window.residual[:, 1], left, rtol=1e-10, atol=1e-9)
        ending = there & jobs.ends_query
        assert window.ending == ending.sum()
        assert window.still == pytest.approx((run.end[ending] - window.end).sum(), rel=1e-10)


# -- queries ----------------------------------------------------------------------------------------------------------


@every_case
def test_arrivals_and_ends(name: str) -> None:
    """Arrival times of a window's queries, ends of those whose last job was queued in it, and how many are open."""
    run, jobs = trajectory(name), jobs_of(name)
    for window in unrecorded(name).windows:
        arrival = run.trace.arrival[window.first : window.last]
        assert window.arrived_sum == pytest.approx((arrival - window.begin).sum(), rel=1e-10)
        done = within(name, window) & jobs.ends_query
        assert window.done == done.sum()
        assert window.done_sum == pytest.approx((run.end[done] - window.begin).sum(), rel=1e-10)
        gone = reached_before(name, window.last) & jobs.ends_query
        assert window.open == window.last - gone.sum()


@every_case
def test_queries_in_flight(name: str) -> None:
    """From these sums the time integral of the number of open queries follows, and so Little's law for queries."""
    run = trajectory(name)
    before, pending, still_before = 0, 0, 0.0
    for window in unrecorded(name).windows:
        duration, arrived = window.end - window.begin, window.last - window.first
        done = window.done + pending - window.ending
        ends = window.done_sum + still_before - (window.still + window.ending * duration)
        found = before * duration + arrived * duration - window.arrived_sum - (done * duration - ends)
        stay = np.minimum(run.query_end, window.end) - np.maximum(run.trace.arrival, window.begin)
        assert found == pytest.approx(np.maximum(stay, 0).sum(), rel=1e-9)
        before += arrived - done
        pending, still_before = window.ending, window.still


@every_case
def test_latencies(name: str) -> None:
    """Number, sum and sum of squares by user, counted with the batch in which the query arrived."""
    run, engine = trajectory(name), unrecorded(name).engine
    n = run.trace.n_devices
    for batch, (first, last) in enumerate(pairwise(CUTS)):
        user, latency = run.trace.user[first:last], run.latency[first:last]
        for column, weights in enumerate((np.ones(latency.size), latency, latency**2)):
            expected = np.bincount(user, weights=weights, minlength=n)
            np.testing.assert_allclose(engine.state.latency_sum[batch, :, column], expected, rtol=1e-10)
    assert engine.state.latency_sum[-1, :, 0].sum() == 1  # the query that ended the last window
    assert engine.run["kept_open"] == 0


@every_case
def test_histograms(name: str) -> None:
    """Every latency in its bin, over all users and user by user."""
    run, engine = trajectory(name), unrecorded(name).engine
    assert engine.user_latencies is not None
    for batch, (first, last) in enumerate(pairwise(CUTS)):
        user, latency = run.trace.user[first:last], run.latency[first:last]
        np.testing.assert_array_equal(engine.state.histogram[batch], engine.latencies.count(latency))
        for u in range(run.trace.n_devices):
            expected = engine.user_latencies.count(latency[user == u])
            np.testing.assert_array_equal(engine.state.user_histogram[batch, u], expected)


@every_case
def test_stages(name: str) -> None:
    """Number and duration of first layers, later layers and aggregations, by user and batch."""
    run, jobs, engine = trajectory(name), jobs_of(name), unrecorded(name).engine
    trace = run.trace
    n, query = trace.n_devices, trace.stage_query
    kind = jobs.kind[trace.job_start[:-1]]
    for batch, (first, last) in enumerate(pairwise(CUTS)):
        inside = (query >= first) & (query < last)
        row = (trace.user[query] * 3 + kind)[inside]
        duration = (run.stage_end - jobs.fork)[inside]
        found = engine.state.stage_sum[batch].reshape(n * 3, 3)
        np.testing.assert_array_equal(found[:, 0], np.bincount(row, minlength=n * 3))
        expected = np.bincount(row, weights=duration, minlength=n * 3)
        np.testing.assert_allclose(found[:, 1], expected, rtol=1e-9, atol=1e-9)
        squares = np.bincount(row, weights=duration**2, minlength=n * 3)
        np.testing.assert_allclose(found[:, 2], squares, rtol=1e-8, atol=1e-8)
        for stage in range(3):
            counted = engine.durations.count(duration[kind[inside] == stage])
            seen = engine.state.stage_histogram[batch, stage].astype(np.int64)
            assert seen.sum() == counted.sum()
            # rounding may put a duration that is the difference of two large times on the other side of an edge
            assert np.abs(np.cumsum(seen) - np.cumsum(counted)).max() <= 2


# -- one run, compiled in different ways ------------------------------------------------------------------------------


@every_case
def test_recording_changes_nothing(name: str) -> None:
    """The sums are the same to the last bit with and without records, and with and without looks at memory."""
    plain = unrecorded(name)
    for other in (in_windows(name, recorded=QUERIES), watched(name)):
        for one, two in zip(plain.windows, other.windows, strict=True):
            for field in ("end", "jobs", "largest", "residual", "ending", "still", "open", "arrived_sum", "done", "done_sum"):
                np.testing.assert_array_equal(getattr(one, field), getattr(two, field), err_msg=field)
            np.testing.assert_array_equal(one.time_at, two.time_at)
        for field in ("latency_sum", "stage_sum", "stage_histogram", "histogram"):
            np.testing.assert_array_equal(getattr(plain.engine.state, field), getattr(other.engine.state, field), err_msg=field)


@every_case
def test_pauses_change_nothing(name: str) -> None:
    """A record of a run in windows is that of a run in one go."""
    record, run = in_windows(name, recorded=QUERIES + 1).engine.record, trajectory(name)
    assert record is not None
    written = record.device >= 0
    np.testing.assert_array_equal(record.arrival, run.trace.arrival)
    np.testing.assert_array_equal(record.device[written], run.trace.device)
    np.testing.assert_array_equal(record.job[written][:, 0], run.trace.service)
    np.testing.assert_array_equal(record.job[written][:, 3], run.end)


# -- memory -----------------------------------------------------------------------------------------------------------


@every_case
def test_memory(name: str) -> None:
    """At each look every device holds, to the byte, the running inference's cache, its queue's prompts, and for each open
    layer of its own user the prompt and the answers that are back.
    """
    run, jobs, system = trajectory(name), jobs_of(name), CASES[name].system()
    trace, footprint, n = run.trace, system.footprint, system.n_devices
    assert isinstance(footprint, Footprint)
    back = np.zeros(trace.n_jobs) if trace.back is None else trace.back
    cache_bytes = footprint.kv_bytes_per_token[:, None] * footprint.context_tokens
    answered = run.end + back
    stage_user, stage_kind = trace.user[trace.stage_query], jobs.kind[trace.job_start[:-1]]
    is_layer = ~jobs.ends_query[trace.job_start[:-1]]
    looks = watched(name).looks
    assert sorted(looks) == list(range(LOOKS, QUERIES + 1, LOOKS))
    held = {}
    for query, seen in looks.items():
        now = trace.arrival[query]
        there = reached_before(name, query) & (run.end > now)
        serving = there & (run.start <= now)
        assert np.bincount(trace.device[serving], minlength=n).max() <= 1
        queued = there & ~serving
        bytes_held = np.zeros(n)
        bytes_held += np.bincount(trace.device[serving], cache_bytes[trace.device, jobs.kind][serving], minlength=n)
        bytes_held += np.bincount(trace.device[queued], footprint.prompt_bytes[trace.device, jobs.kind][queued], minlength=n)
        out = is_layer & (jobs.fork <= now) & (trace.stage_query < query) & (run.stage_end > now)
        bytes_held += np.bincount(stage_user[out], footprint.prompt_bytes[stage_user, stage_kind][out], minlength=n)
        waits = out[jobs.stage] & (answered <= now)
        bytes_held += np.bincount(stage_user[jobs.stage[waits]], footprint.response_bytes[trace.device[waits]], minlength=n)
        np.testing.assert_array_equal(seen[:, 0], np.ones(n))
        np.testing.assert_array_equal(seen[:, 1], bytes_held)
        held[query] = bytes_held
    engine = watched(name).engine
    assert engine.bytes is not None
    for batch, (first, last) in enumerate(pairwise(CUTS)):
        values = np.array([held[query] for query in range(first + LOOKS, last + 1, LOOKS)])
        np.testing.assert_array_equal(engine.state.memory_sum[batch, :, 0], len(values))
        np.testing.assert_array_equal(engine.state.memory_sum[batch, :, 1], values.sum(axis=0))
        for d in range(n):
            np.testing.assert_array_equal(engine.state.memory_histogram[batch, d], engine.bytes.count(values[:, d]))


@every_case
def test_until_what_is_kept_is_answered(name: str) -> None:
    """Prompts go on coming, unkept, until the last kept one is answered; then everything before the next arrival is done."""
    engine = Engine(CASES[name].system(), np.random.SeedSequence(3), batches=1)
    engine.run["batch"] = 0
    engine.go_on(500)
    engine.run["batch"] = 1
    engine.finish_kept()
    assert engine.run["kept_open"] == 0
    run, stopped = trajectory(name), int(engine.run["next_query"])
    assert 500 <= stopped <= QUERIES
    assert engine.now == run.trace.arrival[stopped]
    assert engine.run["jobs"] == reached_before(name, stopped).sum()
    assert engine.state.latency_sum[0, :, 0].sum() == 500
    assert engine.state.latency_sum[0, :, 1].sum() == pytest.approx(run.latency[:500].sum(), rel=1e-10)


def test_a_fresh_engine_has_done_nothing() -> None:
    engine = Engine(CASES["delays"].system(), np.random.SeedSequence(0), batches=1)
    assert engine.close(engine.now) == (0, 0.0)
    time_at = engine.state.time_at.reshape(engine.state.devices.size, -1)
    np.testing.assert_array_equal(time_at[:, 0], engine.now)
    assert not time_at[:, 1:].any()
    assert not engine.state.job_sum.any()
