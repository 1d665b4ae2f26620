"""A recorded run beside theory and simulation at its own service times."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory import System
from dmoa_theory.errors import InputError
from dmoa_theory.live.examples import small_run
from dmoa_theory.live.measured_run import evaluate
from dmoa_theory.live.measured_system import measured_rates, measured_service, measured_system
from dmoa_theory.live.replayed import replay_run, run_trace
from dmoa_theory.model.run_record import OPEN, REFUSED, RunRecord
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
