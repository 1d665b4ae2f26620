"""A recorded run beside theory and simulation at its own service times."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from dmoa_theory import System
from dmoa_theory.errors import InputError
from dmoa_theory.live.examples import small_run
from dmoa_theory.live.expected import expected
from dmoa_theory.live.growth import growth_rates
from dmoa_theory.live.measured_run import evaluate
from dmoa_theory.live.measured_system import listed_arrivals, measured_rates, measured_service, measured_system
from dmoa_theory.live.observed import observe_trajectory
from dmoa_theory.live.replayed import replay_run, run_trace
from dmoa_theory.live.run_system import sped_up
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.run_record import DONE, OPEN, REFUSED, RunRecord
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.replay import replay
from tests.testbed.run_simulated import COMPLETE, desks, record_of, simulated_record


def test_the_measured_service_has_the_measured_moments() -> None:
    """Means by device and stage exactly, and the spread about them by device."""
    system = desks(0.5, M=2)
    record = simulated_record(system, 400)
    service, jobs = measured_service(record), record.jobs
    for d in range(4):
        relative = []
        for stage in range(3):
            mine = jobs.service[(jobs.device == d) & (jobs.kind == stage)]
            assert service.mean[d, stage] == pytest.approx(mine.mean())
            relative.append(mine / mine.mean())
        assert service.scv[d, 0] == pytest.approx(np.concatenate(relative).var())
    assert measured_system(system, record).rates == pytest.approx(system.rates)
    assert measured_rates(record).sum() == pytest.approx(400 / record.prompts.intended[-1])


def test_a_stage_or_device_that_never_worked_is_given_times_all_the_same() -> None:
    """The run may be continued by simulation: every law is there."""
    lonely = System.from_arrays([[0, 1, 0], [1, 0, 0], [1, 0, 0]], [1.0, 0.0, 0.0], [0.1, 0.2, 0.3], M=1, k=1)
    service = measured_service(simulated_record(lonely, 60))
    assert np.isfinite(service.mean).all()
    assert (service.mean > 0).all()


def test_a_run_of_another_network_is_refused() -> None:
    with pytest.raises(InputError, match="2 devices"):
        evaluate(small_run(), desks(0.5))


@pytest.mark.parametrize(
    "system",
    [
        desks(0.7),
        desks(0.7, M=0, k=0),
        desks(0.6, quorum=2),
        System.from_arrays(COMPLETE, 0.8, 0.05, M=2, k=2, link_delay=0.02),
        System.from_arrays(COMPLETE, [2.0, 0.0, 1.0, 0.5], [0.03, 0.05, 0.04, 0.06], M=1, k=3),
    ],
    ids=["layers", "alone", "quorum", "delays", "unequal"],
)
def test_without_overhead_a_replay_finds_none(system: System) -> None:
    """A simulated run, recorded and replayed, takes as long as it did; what is added after it is all that is found."""
    record = simulated_record(system, 300, delay=0.25)
    again = replay_run(record, system)
    assert again.prompts == 300
    np.testing.assert_allclose(again.measured - again.replayed, 0.25, atol=1e-9)
    assert again.overhead == pytest.approx(0.25)
    assert again.deliver == pytest.approx(0.25)
    assert again.idle == pytest.approx(0, abs=1e-9)


def test_the_trace_replays_by_itself() -> None:
    """What is written for ``dmoa replay`` gives the latencies of the run."""
    system = desks(0.6)
    run = record_run(system, queries=120, seed=9)
    found = run_trace(record_of(system, run))
    assert found is not None
    np.testing.assert_allclose(replay(found[0]).trajectory.latency, run.latency)


def test_prompts_without_an_answer_are_not_replayed() -> None:
    """Refused, open and degraded prompts are left out; the rest keeps its order."""
    system = desks(0.5)
    record = simulated_record(system, 40)
    outcome, degraded = record.prompts.outcome.copy(), record.prompts.degraded.copy()
    outcome[3], outcome[8], degraded[20] = REFUSED, OPEN, True
    spoilt = replace(record, prompts=replace(record.prompts, outcome=outcome, degraded=degraded))
    found = run_trace(spoilt)
    assert found is not None
    assert found[1].tolist() == [q for q in range(40) if q not in {3, 8, 20}]
    everything = np.full(40, REFUSED)
    assert run_trace(replace(record, prompts=replace(record.prompts, outcome=everything))) is None


def test_a_run_without_overhead_is_as_expected() -> None:
    """Its own simulation, evaluated: means within the range, theory and simulation near each other, nothing to complain of."""
    system = desks(0.6)
    result = evaluate(simulated_record(system, 1000, seed=11), system, runs=60)
    assert result.stable
    assert result.sound
    for quantity in ("mean latency", "p95 latency", "under way", "answers"):
        assert result.row(quantity).within, quantity
    row = result.row("mean latency")
    assert row.theory == pytest.approx(row.simulated, rel=0.05)
    assert row.scenario == pytest.approx(row.theory, rel=0.1)
    assert result.reasons() == []
    assert "mean latency" in str(result.table())
    assert len(result.to_frame()) == len(result.rows)
    with pytest.raises(InputError, match="a row of the comparison"):
        result.row("happiness")


def test_a_run_with_overhead_is_not() -> None:
    """Half a second on top of every answer is found, and named."""
    system = desks(0.6)
    result = evaluate(simulated_record(system, 600, seed=11, delay=0.5), system, runs=60)
    assert result.row("mean latency").within is False
    assert " !" in str(result.table())
    assert result.replayed.overhead == pytest.approx(0.5)


def test_beyond_the_edge_growth_is_compared() -> None:
    """No averages, but how fast queues grew, device by device and in all."""
    system = desks(1.3)
    result = evaluate(simulated_record(system, 1000, seed=2), system, runs=40)
    assert not result.stable
    assert {row.quantity for row in result.rows} == {"jobs gained"}
    row = result.row("jobs gained", "all devices")
    assert row.measured == pytest.approx(row.theory, rel=0.15)  # of runs of 1,000 the deviation is 5 %
    assert any("growth is compared" in reason for reason in result.reasons())


def test_what_went_wrong_is_said() -> None:
    """Every kind of trouble has its sentence, and makes the run unsound."""
    system = desks(0.5)
    record = simulated_record(system, 300)
    outcome = record.prompts.outcome.copy()
    outcome[:4] = [1, 2, 3, 4]
    jobs = replace(record.jobs, overran=np.arange(len(record.jobs)) % 10 == 0)
    facts = record.facts | {
        "ended_nodes": [2],
        "mode": "padded",
        "partial": True,
        "late": {"count": 3, "more_than": 0.005, "largest": 0.4},
    }
    result = evaluate(
        RunRecord(
            names=record.names, prompts=replace(record.prompts, outcome=outcome), stages=record.stages, jobs=jobs, facts=facts
        ),
        system,
        runs=40,
    )
    said = " / ".join(result.reasons())
    for words in (
        "interrupted",
        "1 of 300 prompts was refused",
        "failed",
        "not answered",
        "not accepted",
        "late",
        "too many",
        "node of device-2",
    ):
        assert words in said
    assert not result.sound
    document = result.to_dict()
    assert document["queries"] == 296
    json.dumps(document, allow_nan=False)


def bouts() -> ArrivalLog:
    """Six prompts every four seconds, at one user after the other."""
    return ArrivalLog(
        time=np.repeat(4.0 * np.arange(60), 6), user=np.repeat(np.arange(60) % 4, 6), n_devices=4, name="bouts.csv"
    )


def test_a_list_is_held_against_runs_of_the_list() -> None:
    """Not against Poisson arrivals, from which it is far; nothing is cut, and no interval is claimed from batches."""
    log = bouts()
    system = replace(desks(0.5, M=1), arrival_rate=log.rates, log=log)
    record = record_of(system, record_run(system, arrivals=log, seed=5))
    record.facts.update(list="bouts.csv")
    result = evaluate(record, system, runs=60)
    row = result.row("mean latency")
    assert row.within
    assert row.lower < row.measured < row.upper
    assert row.theory < 0.7 * row.lower
    assert (result.cut.left_out, result.cut.cut_off, result.kept, result.list_name) == (0, 0, 360, "bouts.csv")
    assert np.isnan(row.half_width)
    assert [reason.partition(":")[0] for reason in result.reasons()] == ["prompts came as in bouts.csv"]
    json.dumps(result.to_dict(), allow_nan=False)
    drawn = evaluate(replace(record, facts=record.facts | {"list": None}), system, runs=60)
    assert drawn.row("mean latency").within is False


def test_runs_of_a_list_are_those_of_a_burst() -> None:
    """Two ways to the same mean."""
    log = bouts()
    system = desks(0.5, M=1)
    live, burst = (
        expected(system, 360, arrivals=log, runs=60, seed=1),
        simulate_burst(system, arrivals=log, replications=60, seed=2),
    )
    error = np.hypot(float(live.error["mean"]), float(burst.mean.half_width) / 2)
    assert abs(float(live.mean["mean"]) - float(burst.mean.value)) < 4 * error


def test_a_sped_up_system_keeps_its_list() -> None:
    log = bouts()
    system = replace(desks(0.5), arrival_rate=log.rates, log=log)
    fast = sped_up(system, 7.0)
    assert fast.log is not None
    assert fast.log.time == pytest.approx(np.asarray(log.time) / 7)
    assert fast.rates == pytest.approx(7 * system.rates)
    assert sped_up(system.with_rates(1.0), 7.0).log is None


def interrupted(record: RunRecord, stop: float) -> RunRecord:
    """What is recorded of a run that is stopped then: the prompts sent, and what was done of them."""
    prompts, stages, jobs = record.prompts, record.stages, record.jobs
    sent = prompts.intended <= stop
    n = int(sent.sum())
    done = prompts.answered[sent] <= stop
    open_ = {name: np.where(done, getattr(prompts, name)[sent], np.nan) for name in ("ended", "answered")}
    kept = {name: getattr(prompts, name)[sent] for name in ("user", "intended", "sent", "accepted", "degraded")}
    mine, over = stages.prompt < n, (jobs.prompt < n) & (jobs.ended <= stop)
    joined = np.where(stages.joined[mine] <= stop, stages.joined[mine], np.nan)
    return RunRecord(
        names=record.names,
        prompts=replace(prompts, **kept, **open_, outcome=np.where(done, DONE, OPEN)),
        stages=replace(stages, **{f: getattr(stages, f)[mine] for f in ("prompt", "stage", "quorum", "forked")}, joined=joined),
        jobs=replace(jobs, **{f.name: getattr(jobs, f.name)[over] for f in fields(jobs)}),
        facts=record.facts | {"partial": True, "prompts": len(prompts)},
    )


@pytest.mark.parametrize("listed", [False, True])
def test_an_interrupted_run_is_held_against_runs_that_are_stopped_alike(listed: bool) -> None:
    """Only quick prompts of the last moments are answered: whole runs take longer, those stopped at the same moment do not."""
    log, system = bouts(), desks(0.8, M=1, mean=0.5)
    if listed:
        system = replace(system, arrival_rate=log.rates, log=log)
    path = record_run(system, arrivals=log, seed=5) if listed else record_run(system, queries=360, seed=5)
    record = record_of(system, path)
    record.facts.update(list="bouts.csv" if listed else None)
    stopped = interrupted(record, float(record.prompts.intended[20]) + 0.9)
    result = evaluate(stopped, system, runs=100)
    row = result.row("mean latency")
    assert 0 < result.timed < result.kept == len(stopped.prompts)
    assert row.within
    stopped_log = listed_arrivals(stopped)
    whole = expected(result.at_measured, len(stopped.prompts), arrivals=stopped_log, runs=100)
    assert row.simulated < float(whole.mean["mean"])
    assert np.isnan(result.grown).all()
    assert f"of {len(stopped.prompts)} prompts sent had been answered, of 360 to be sent" in result.reasons()[0]
    json.dumps(result.to_dict(), allow_nan=False)


def test_a_list_that_overloads_is_compared_by_its_latency() -> None:
    """It has an end, so that averages mean something; only the theory has none to offer."""
    log = bouts()
    system = replace(desks(0.5, M=1, mean=0.8), arrival_rate=log.rates, log=log)
    record = record_of(system, record_run(system, arrivals=log, seed=5))
    record.facts.update(list="bouts.csv")
    result = evaluate(record, system, runs=60)
    assert not result.stable
    assert result.averages
    assert result.row("mean latency").within
    assert np.isnan(result.row("mean latency").theory)
    assert "theory has no steady state" in " ".join(result.reasons())
    json.dumps(result.to_dict(), allow_nan=False)


def test_growth_does_not_hang_on_the_last_moment() -> None:
    """Prompts of the last moment bring jobs at once where simulated, and a message later where live: neither counts."""
    system = desks(1.3)
    run = record_run(system, arrivals=replace(bouts(), time=np.repeat(np.arange(20.0), 18)), seed=3)
    here = observe_trajectory(run)
    later = replace(here, reached=here.reached + 1e-3, start=here.start + 1e-3, end=here.end + 1e-3)
    assert growth_rates(here) == pytest.approx(growth_rates(later), rel=0.02)
