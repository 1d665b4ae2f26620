"""Whole runs of a small live network: what is recorded is what the model describes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmoa_calibration.testbed.config import BackendConfig
from dmoa_calibration.testbed.run_testbed import RunPlan, TestbedRun, run_testbed
from dmoa_theory import System
from dmoa_theory.errors import InputError
from dmoa_theory.live.measured_run import evaluate
from dmoa_theory.live.replayed import replay_run
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.run_record import DONE

TRIANGLE = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]


def _checked(system: System, run: TestbedRun, prompts: int) -> None:
    """What holds of every run: all answered, the right stages at the right devices, times in order, one job at a time."""
    record = run.record
    assert (record.prompts.outcome == DONE).all()
    assert len(record.prompts) == prompts
    table, stages, jobs = record.prompts, record.stages, record.jobs
    for earlier, later in (("intended", "sent"), ("sent", "accepted"), ("accepted", "ended"), ("ended", "answered")):
        assert (getattr(table, earlier) <= getattr(table, later)).all(), (earlier, later)
    M, k, quorum = system.moa.per_user(system.n_devices)
    for prompt, user in enumerate(table.user.tolist()):
        mine = stages.prompt == prompt
        assert stages.stage[mine].tolist() == list(range(M[user] + 1))
        assert stages.quorum[mine].tolist() == [quorum[user]] * M[user] + [1]
        assert (np.diff(stages.forked[mine]) > 0).all()
        for stage in range(M[user] + 1):
            at = jobs.device[(jobs.prompt == prompt) & (jobs.stage == stage)].tolist()
            assert user in at
            assert len(set(at)) == len(at) == (k[user] + 1 if stage < M[user] else 1)
    for device in range(system.n_devices):
        order = np.flatnonzero(jobs.device == device)
        order = order[np.argsort(jobs.started[order])]
        assert (jobs.reached[order] <= jobs.started[order]).all()
        assert (jobs.started[order][1:] >= jobs.ended[order][:-1] - 1e-6).all()
        assert (np.diff(jobs.reached[order]) >= -1e-3).all()  # first come, first served, to the tick of the event loop
    assert (jobs.service >= jobs.target - 1e-3).all()


def test_quorums_and_link_delays_are_lived() -> None:
    """Two of three answers end a layer, the third is still worked off; every hop takes its delay; the replay agrees."""
    system = System.from_arrays(TRIANGLE, 2.0, [0.02, 0.03, 0.04], M=1, k=2, scv=0.5, link_delay=0.05)
    system = replace(system, moa=replace(system.moa, quorum=2))
    run = run_testbed(system, RunPlan(mode="paced", prompts=25, seed=1))
    _checked(system, run, 25)
    record = run.record
    stage_of = {
        key: row for row, key in enumerate(zip(record.stages.prompt.tolist(), record.stages.stage.tolist(), strict=True))
    }
    jobs = record.jobs
    forked = np.array(
        [record.stages.forked[stage_of[key]] for key in zip(jobs.prompt.tolist(), jobs.stage.tolist(), strict=True)]
    )
    away = jobs.device != record.prompts.user[jobs.prompt]
    assert (jobs.reached[away] - forked[away] >= 0.05).all()
    again = replay_run(record, system)
    assert again.prompts == 25
    assert again.overhead > -0.02  # of all prompts together: a job may overtake another


def test_users_differ_and_helpers_ask_nothing() -> None:
    """M and k by user, one of them alone, one without prompts; neighbours of weight zero are never asked."""
    weight = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 1.0])  # the first device never asks the second
    system = System.from_arrays(TRIANGLE, [3.0, 2.0, 0.0], 0.02, M=[2, 0, 1], k=[1, 0, 1])
    system = replace(system, moa=MoA([2, 0, 1], [1, 0, 1], selection_weight=weight))
    run = run_testbed(system, RunPlan(mode="paced", prompts=30, seed=2), answers=True)
    _checked(system, run, 30)
    jobs, user = run.record.jobs, run.record.prompts.user
    assert not ((user[jobs.prompt] == 0) & (jobs.device == 1)).any()
    assert not (user == 2).any()
    assert len(run.answers) == 30
    result = evaluate(run.record, system, runs=20)
    assert result.answered == 30
    assert np.isnan(result.figures["user_mean"].value[2])
    assert result.at_measured.service.mean.shape == (3, 3)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"mode": "padded"}, "backend is missing"),
        ({"mode": "paced", "backend": BackendConfig(name="transformers", synthetic="llama-tiny")}, "backend = transformers"),
        ({"mode": "fast"}, "mode = fast"),
        ({"mode": "paced", "prompts": 0}, "queries = 0"),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(wrong: dict[str, object], complaint: str) -> None:
    """Before anything starts."""
    with pytest.raises(InputError, match=complaint):
        RunPlan(**({"prompts": 5} | wrong))  # type: ignore[arg-type]


def test_more_devices_than_a_machine_can_play_are_refused() -> None:
    """Each would be a process."""
    lone = System.from_arrays(np.zeros((65, 65)).tolist(), 0.1, 1.0, M=0, k=0)
    with pytest.raises(InputError, match="at most 64"):
        run_testbed(lone, RunPlan(mode="paced", prompts=1))


def test_a_list_is_sent_as_it_came() -> None:
    """Its times and users, whatever the rates are; the simulated runs have the same prompts."""
    log = ArrivalLog(time=np.repeat(0.4 * np.arange(5), 4), user=[0, 1, 1, 1] * 5, n_devices=3, name="bouts.csv")
    system = System.from_arrays(TRIANGLE, log.rates, [0.02, 0.03, 0.04], M=1, k=1, scv=0.5)
    run = run_testbed(system, RunPlan(mode="paced", prompts=20, arrivals=log, seed=4))
    _checked(system, run, 20)
    assert run.record.prompts.intended.tolist() == np.asarray(log.time).tolist()
    assert run.record.prompts.user.tolist() == np.asarray(log.user).tolist()
    assert (run.record.facts["list"], run.record.facts["rates"]) == ("bouts.csv", log.rates.tolist())
    result = evaluate(run.record, system, runs=20)
    assert (result.kept, result.list_name) == (20, "bouts.csv")
    with pytest.raises(InputError, match="20, as in the list"):
        RunPlan(mode="paced", prompts=19, arrivals=log)
    with pytest.raises(InputError, match="4 devices: 3, as in the scenario"):
        run_testbed(system, RunPlan(mode="paced", prompts=20, arrivals=replace(log, n_devices=4)))
