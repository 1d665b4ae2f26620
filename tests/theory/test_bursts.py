"""Finite runs from empty queues against cases that are known exactly, and against the published experiment."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import expm

from dmoa_theory.errors import InputError
from dmoa_theory.model.system import System
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.simulation.bursts.burst_run import grid
from dmoa_theory.simulation.kernel.engine import TooMuchMemoryError
from dmoa_theory.simulation.kernel.recorded_run import count_arrivals, record_run

ALONE = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="deterministic")
MM1 = System.from_arrays([[0]], 0.8, 1.0, M=0, k=0, law="exponential")
STANDARD_ERRORS = 4.0


def paper(M: int, k: int) -> System:
    """The published experiment with the parameters fitted to it: 4 devices, one prompt a second in all, 45.6 s an inference."""
    return System.from_arrays(1 - np.eye(4), 0.25, 45.6, M=M, k=k, scv=0.25)


def near(found: Any, expected: Any, error: Any) -> bool:
    return bool((np.abs(np.asarray(found) - np.asarray(expected)) <= STANDARD_ERRORS * np.asarray(error)).all())


@pytest.mark.parametrize("N", [1, 2, 7, 500])
def test_a_deterministic_burst_at_once(N: int) -> None:
    """One device, N prompts of one second at time 0: latencies 1 to N, and the queue shrinks by one a second."""
    result = simulate_burst(ALONE, prompts=N, at_once=True, replications=3, buffer=max(1, N - 1))
    assert result.mean.value == pytest.approx((N + 1) / 2)
    assert result.mean.half_width == pytest.approx(0.0, abs=1e-9)
    assert result.mean_deviation == pytest.approx(0.0, abs=1e-9)
    assert result.p50.value == pytest.approx((N + 1) / 2)
    assert result.makespan.value == N
    assert result.waiting.value == pytest.approx([(N - 1) / 2])
    assert result.in_system.value == pytest.approx([(N + 1) / 2])
    assert result.utilisation.value == pytest.approx([1.0])
    assert result.waiting_per_device.value == pytest.approx((N - 1) / 2)
    assert result.largest_waiting.value.tolist() == result.most_waiting.tolist() == [N - 1]
    places = result.places
    assert places.first[0] == 1
    assert places.last[-1] == N
    assert places.first.size <= 200
    assert places.mean.value == pytest.approx((places.first + places.last) / 2)
    assert places.p50 == pytest.approx((places.first + places.last) / 2)
    seen = result.trajectories
    left = np.maximum(N - np.floor(seen.time), 0)
    assert seen.in_system.mean[:, 0].tolist() == seen.in_system.lower[:, 0].tolist() == left.tolist()
    assert seen.waiting.mean[:, 0].tolist() == np.maximum(left - 1, 0).tolist()
    assert seen.waiting_per_device.upper.tolist() == np.maximum(left - 1, 0).tolist()
    assert 100 < seen.time.size <= 200
    assert result.buffer is not None
    first = result.buffer.any_device
    assert float(first.chance.value) == (N > 1)
    if N > 1:
        assert float(first.mean.value) == float(first.median) == 0.0
    else:
        assert np.isnan([first.mean.value, first.median]).all()


def test_the_buffers_are_full_when_the_trajectories_say_so() -> None:
    """Device by device and run by run, from the recorded runs of the same seeds, counting jobs at every arrival."""
    system, size, runs = System.from_arrays(1 - np.eye(3), [0.2, 0.5, 0.1], [2.0, 1.0, 3.0], M=1, k=1), 4, 40
    result = simulate_burst(system, prompts=12, replications=runs, seed=5, buffer=size)
    first = np.full((runs, 3), np.inf)
    for r, seed in enumerate(np.random.SeedSequence(5).spawn(runs)):
        run = record_run(system, queries=12, seed=seed)
        for d in range(3):
            here = run.trace.device == d
            reached, start = run.reached[here], run.start[here]
            waiting = ((reached[None, :] <= reached[:, None]) & (reached[:, None] < start[None, :])).sum(axis=1)
            first[r, d] = reached[waiting >= size].min(initial=np.inf)
    assert result.buffer is not None
    assert result.buffer.by_device.chance.value.tolist() == np.isfinite(first).mean(axis=0).tolist()
    assert 0 < np.isfinite(first).sum() < first.size
    for d in range(3):
        times = first[np.isfinite(first[:, d]), d]
        assert result.buffer.by_device.mean.value[d] == pytest.approx(times.mean())
        assert result.buffer.by_device.median[d] == pytest.approx(np.median(times))
    anywhere = first.min(axis=1)
    assert float(result.buffer.any_device.chance.value) == np.isfinite(anywhere).mean()
    assert float(result.buffer.any_device.median) == pytest.approx(np.median(anywhere[np.isfinite(anywhere)]))


def test_a_chance_that_never_came_true_has_an_exact_interval() -> None:
    result = simulate_burst(ALONE, prompts=3, at_once=True, replications=50, buffer=3)
    assert result.buffer is not None
    chance = result.buffer.any_device.chance
    assert (float(chance.value), float(chance.lower)) == (0.0, 0.0)
    assert float(chance.upper) == pytest.approx(1 - 0.025 ** (1 / 50))
    certain = simulate_burst(ALONE, prompts=3, at_once=True, replications=50, buffer=2).buffer
    assert certain is not None
    assert (float(certain.any_device.chance.lower), float(certain.any_device.chance.upper)) == (pytest.approx(0.025**0.02), 1.0)


def test_an_exponential_burst_at_once_has_erlang_latencies() -> None:
    """Prompt i of N takes the sum of i services: mean and variance i; the mean of a run has variance (N+1)(2N+1)/6N."""
    N, runs = 8, 600
    result = simulate_burst(MM1, prompts=N, at_once=True, replications=runs, seed=1)
    i = np.arange(1, N + 1)
    assert near(result.places.mean.value, i, np.sqrt(i / runs))
    variance = (N + 1) * (2 * N + 1) / (6 * N)
    assert near(result.mean.value, (N + 1) / 2, np.sqrt(variance / runs))
    assert near(result.mean_deviation, np.sqrt(variance), np.sqrt(variance / runs))
    assert near(result.makespan.value, N, np.sqrt(N / runs))
    assert near(result.makespan_deviation, np.sqrt(N), np.sqrt(N / runs))
    assert result.mean.half_width == pytest.approx(1.96 * result.mean_deviation / np.sqrt(runs), rel=0.01)


def test_the_first_prompts_of_an_mm1_queue() -> None:
    """Prompt q finds j there: j+1 lose a geometric number before the next comes. Latency is one service more than it finds."""
    rate, runs, N = 0.8, 1500, 6
    result = simulate_burst(MM1, prompts=N, replications=runs, seed=2)
    found = np.zeros(N + 1)
    found[0] = 1.0
    for q in range(N):
        j = np.arange(N + 1)
        mean = ((j + 1) * found).sum()
        second = ((j + 1) * (j + 2) * found).sum()
        assert near(result.places.mean.value[q], mean, np.sqrt((second - mean**2) / runs)), q
        after = np.zeros(N + 1)
        for have in range(1, N + 1):
            done = np.arange(have)
            after[have - done] += found[have - 1] * rate / (1 + rate) * (1 / (1 + rate)) ** done
        after[0] = 1 - after.sum()
        found = after


def test_an_mm1_queue_over_time() -> None:
    """Number there at a time from empty, by the exponential of the generator; arrivals go on until after the last look."""
    runs, states, rate = 800, 60, 0.8
    result = simulate_burst(MM1, until=10.0, replications=runs, seed=3, points=40)
    generator = rate * np.eye(states, k=1) + np.eye(states, k=-1)
    generator -= np.diag(generator.sum(axis=1))
    seen, number = result.trajectories, np.arange(states)
    for t in np.flatnonzero(seen.time <= 10.0):
        law = expm(generator * seen.time[t])[0]
        mean = law @ number
        error = np.sqrt((law @ number**2 - mean**2) / runs)
        assert near(seen.in_system.mean[t, 0], mean, error), seen.time[t]
        assert near(seen.waiting.mean[t, 0], mean - 1 + law[0], error), seen.time[t]
    assert near(result.prompts_per_run, 8.0, np.sqrt(8.0 / runs))
    assert result.trajectories.time[-1] > 10.0


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_arrivals_stop_at_the_time(delay: float) -> None:
    """Until then the run is that of any longer one; the number of arrivals is Poisson, and they are spread evenly."""
    system = System.from_arrays(1 - np.eye(3), [0.3, 0.0, 0.2], 1.0, M=1, k=2, link_delay=delay)
    numbers, when = [], []
    for seed in range(200):
        count = count_arrivals(system, 20.0, seed=seed)
        numbers.append(count)
        if seed < 20 and count:
            run, longer = record_run(system, until=20.0, seed=seed), record_run(system, queries=count + 5, seed=seed)
            assert run.trace.n_queries == count
            assert run.trace.arrival.tolist() == longer.trace.arrival[:count].tolist()
            assert longer.trace.arrival[count] > 20.0 >= run.trace.arrival[-1]
            when.extend(run.trace.arrival.tolist())
    assert near(np.mean(numbers), 10.0, np.sqrt(10.0 / 200))
    assert near(np.var(numbers), 10.0, 10.0 * np.sqrt(2.1 / 200))
    assert near(np.mean(when), 10.0, 20.0 / np.sqrt(12 * len(when)))


def test_the_same_seed_sequence_twice_is_the_same_run() -> None:
    seed = np.random.SeedSequence(7).spawn(2)[1]
    first, second = (record_run(paper(1, 2), queries=5, seed=seed) for _ in range(2))
    assert first.latency.tolist() == second.latency.tolist()
    assert first.trace.arrival.tolist() == second.trace.arrival.tolist()


@pytest.mark.parametrize(
    ("M", "k", "latency", "latency_sd", "queue", "queue_sd"),
    [(0, 0, 94.0, 22.0, 1.06, 0.95), (1, 2, 456.8, 52.0, 2.95, 0.40), (2, 3, 1017.1, 64.0, 5.67, 0.50)],
)
def test_the_published_experiment(M: int, k: int, latency: float, latency_sd: float, queue: float, queue_sd: float) -> None:
    """Ten prompts on four devices; expected values over 3000 runs of an independent program, which err themselves."""
    runs, others = 400, 3000
    result = simulate_burst(paper(M, k), prompts=10, replications=runs, seed=11)
    error = np.sqrt(1 / runs + 1 / others)
    assert near(result.mean.value, latency, latency_sd * error)
    assert result.mean_deviation == pytest.approx(latency_sd, rel=0.15)
    assert result.published is not None
    assert result.published.latency.value == pytest.approx(float(result.mean.value), rel=1e-12)
    assert result.published.latency_deviation == pytest.approx(result.mean_deviation, rel=1e-9)
    assert near(result.published.average_queue_size.value, queue, queue_sd * error)
    if M:  # without layers a few runs that end soon make the deviation of the rest
        assert result.published.queue_deviation == pytest.approx(queue_sd, rel=0.15)


def test_intervals_hold_the_truth() -> None:
    """Of 100 intervals for the mean, the median and the queue of an M/M/1 burst about 95 hold it."""
    truth = simulate_burst(MM1, prompts=5, replications=4000, seed=99)
    held = dict.fromkeys(("mean", "p50", "waiting_per_device"), 0)
    for seed in range(100):
        result = simulate_burst(MM1, prompts=5, replications=15, seed=seed, points=2)
        for name in held:
            interval = getattr(result, name)
            held[name] += bool(interval.lower <= getattr(truth, name).value <= interval.upper)
    assert all(86 <= count <= 100 for count in held.values()), held


def test_workers_do_not_matter() -> None:
    one, two = (simulate_burst(paper(1, 1), prompts=6, replications=70, workers=w, buffer=2) for w in (1, 2))
    assert one.to_dict() == two.to_dict()
    assert one.trajectory_records() == two.trajectory_records()
    assert simulate_burst(paper(1, 1), prompts=6, replications=70, buffer=2, seed=1).to_dict() != one.to_dict()


def test_an_unstable_system_is_followed_to_its_end() -> None:
    """Twice the work that can be done: after 1000 s about 1000 s of work are left, and the queue drains."""
    swamped = MM1.with_rates(2.0)
    result = simulate_burst(swamped, until=1000.0, replications=20)
    assert 1800 < float(result.makespan.value) < 2200
    assert result.trajectories.in_system.mean[-1, 0] <= 1
    assert 800 < int(result.most_waiting[0]) < 1300


def test_when_interrupted_what_is_in_is_kept() -> None:
    def stop(share: float) -> None:
        if share >= 0.3:
            raise KeyboardInterrupt

    result = simulate_burst(paper(1, 1), prompts=4, replications=10, progress=stop)
    assert result.partial
    assert (result.replications, result.asked) == (3, 10)
    assert result.reasons[0] == "partial: interrupted after 3 of 10 runs"
    whole = simulate_burst(paper(1, 1), prompts=4, replications=3)
    assert not whole.partial
    assert {**result.to_dict(), "partial": False, "reasons": []} == {**whole.to_dict(), "reasons": []}


def test_an_interruption_before_the_first_run_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dmoa_theory.simulation.bursts.burst.play", stop)
    with pytest.raises(KeyboardInterrupt):
        simulate_burst(ALONE, prompts=4)


def test_runs_without_prompts() -> None:
    """Hardly anything arrives in so short a time: queues are empty for all of it, and latencies are not known."""
    result = simulate_burst(ALONE, until=1e-9, replications=4, buffer=1)
    document = result.to_dict()
    assert document["prompts_per_run"] == 0
    assert document["mean"]["value"] is None
    assert document["mean_waiting"] == {"value": 0.0, "lower": 0.0, "upper": 0.0}
    assert document["by_prompt"] == []
    assert document["buffer"]["any_device"]["mean_time"]["value"] is None
    assert "latencies are null: no prompt arrived in any run" in result.reasons
    assert "published is null: no prompt arrived in any run" in result.reasons
    with pytest.raises(InputError, match="in this run none does"):
        record_run(ALONE, until=1e-9)
    some = simulate_burst(ALONE, until=1.0, replications=40)
    assert 0 < some.prompts_per_run < 1.5
    assert near(some.prompts_per_run, 0.5, np.sqrt(0.5 / 40))


def test_a_single_run_has_no_intervals() -> None:
    result = simulate_burst(MM1, prompts=5, replications=1)
    assert np.isnan([result.mean.half_width, result.mean_deviation, result.p50.lower]).all()
    assert result.reasons == ("intervals and deviations are null: a single run tells no error",)
    assert result.to_dict()["mean"]["lower"] is None
    seen = result.trajectories
    assert seen.waiting.lower.tolist() == seen.waiting.mean.tolist() == seen.waiting.upper.tolist()


def test_what_the_published_code_knows_nothing_of() -> None:
    system = paper(1, 3)
    delayed = System.from_arrays(1 - np.eye(4), 0.25, 45.6, M=1, k=3, link_delay=0.1)
    quick = replace(system, moa=replace(system.moa, quorum=2))
    for odd, reason in ((delayed, "link delays"), (quick, "a quorum")):
        result = simulate_burst(odd, prompts=3, replications=2)
        assert result.published is None
        assert result.published_reason is not None
        assert reason in result.published_reason
    assert simulate_burst(quick, prompts=8, replications=100).mean.value < simulate_burst(system, prompts=8).mean.value


@pytest.mark.parametrize("span", [1e-6, 0.999, 1.0, 200.0, 255.9, 256.0, 1e7])
@pytest.mark.parametrize("points", [2, 3, 200])
def test_the_times_of_looks(span: float, points: int) -> None:
    octave, times = grid(span, points)
    assert times[0] == 0.0
    assert np.diff(times).tolist() == [2.0**octave] * (times.size - 1)
    assert times[-1] <= span < times[-1] + 2.0**octave
    assert points / 2 < times.size <= points or times.size == points == 2


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({}, "prompts"),
        ({"prompts": 3, "until": 4.0}, "until"),
        ({"prompts": 0}, "prompts"),
        ({"prompts": True}, "prompts"),
        ({"prompts": 2.5}, "prompts"),
        ({"prompts": 10**9}, "prompts"),
        ({"until": 0.0}, "until"),
        ({"until": float("nan")}, "until"),
        ({"until": 1e20}, "until"),
        ({"until": 4.0, "at_once": True}, "at_once"),
        ({"prompts": 3, "buffer": 0}, "buffer"),
        ({"prompts": 3, "replications": 0}, "replications"),
        ({"prompts": 3, "replications": 10**7}, "replications"),
        ({"prompts": 3, "points": 10**6, "replications": 10**6}, "replications"),
        ({"prompts": 3, "workers": 0}, "workers"),
        ({"prompts": 3, "seed": -1}, "seed"),
        ({"prompts": 3, "points": 1}, "points"),
    ],
)
def test_bad_input_names_its_field(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InputError) as caught:
        simulate_burst(ALONE, **options)
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_queues_that_do_not_fit_are_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(*_: object) -> None:
        raise TooMuchMemoryError

    monkeypatch.setattr("dmoa_theory.simulation.bursts.burst.play", overflow)
    with pytest.raises(InputError, match="prompts = 4: less: the queues do not fit into memory"):
        simulate_burst(ALONE, prompts=4)
    with pytest.raises(InputError, match="until = 4"):
        simulate_burst(ALONE, until=4.0)


def test_what_a_recorded_run_needs() -> None:
    with pytest.raises(InputError, match="queries is missing"):
        record_run(ALONE)
    with pytest.raises(InputError, match="until = 3"):
        record_run(ALONE, until=3.0, queries=4)


def test_the_tables() -> None:
    net = System.from_arrays(1 - np.eye(15), 0.01, 10.0, M=1, k=2)
    result = simulate_burst(net, prompts=20, replications=10, buffer=1)
    assert result.table().caption == "20 prompts with M=1, k=2, from empty queues (simulated, 10 runs)"
    devices = result.device_table()
    assert len(devices.rows) == 12
    assert devices.heads[-2:] == ("1 waiting", "at first")
    assert len(result.to_dict()["trajectories"]["busiest_devices"]) == 12
    assert result.to_frame().prompts.tolist() == ["all", *map(str, range(1, 21))]
    assert len(result.device_records()) == 15
    assert len(result.trajectory_records()) == 16 * result.trajectories.time.size
    assert repr(result) == str(result.table())
