"""Simulated runs in the clothes of recorded ones: a live network without overhead."""

from __future__ import annotations

import numpy as np

from dmoa_theory import System
from dmoa_theory.live.observed import observe_trajectory
from dmoa_theory.model.run_record import DONE, JobTable, PromptTable, RunRecord, StageTable
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.trajectory import Trajectory

COMPLETE = (1 - np.eye(4)).tolist()


def desks(load: float, *, M: int = 2, k: int = 2, mean: float = 0.05, scv: float = 0.5, quorum: int | None = None) -> System:
    """Four equal devices, each linked with all others, at that load."""
    per_prompt = (k + 1) * M + 1
    system = System.from_arrays(COMPLETE, load / per_prompt / mean, mean, M=M, k=k, scv=scv)
    if quorum is None:
        return system
    from dataclasses import replace

    return replace(system, moa=replace(system.moa, quorum=quorum))


def simulated_record(system: System, prompts: int, *, seed: int = 1, delay: float = 0.0) -> RunRecord:
    """The record of a simulated run; every answer is in its user's hands so much after its end."""
    return record_of(system, record_run(system, queries=prompts, seed=seed), delay)


def record_of(system: System, run: Trajectory, delay: float = 0.0) -> RunRecord:
    """A trajectory as a record."""
    trace, seen = run.trace, observe_trajectory(run)
    number = np.arange(trace.n_stages) - trace.stage_start[trace.stage_query]
    n = trace.n_queries
    prompts = PromptTable(
        user=trace.user,
        intended=trace.arrival,
        sent=trace.arrival,
        accepted=trace.arrival,
        ended=run.query_end,
        answered=run.query_end + delay,
        outcome=np.full(n, DONE),
        degraded=np.zeros(n, dtype=bool),
    )
    stages = StageTable(
        prompt=trace.stage_query,
        stage=number,
        quorum=trace.answers_needed,
        forked=run.stage_end - seen.stage_duration,
        joined=run.stage_end,
    )
    stage = trace.job_stage
    back = run.end if trace.back is None else run.end + trace.back
    jobs = JobTable(
        prompt=trace.stage_query[stage],
        stage=number[stage],
        device=trace.device,
        kind=seen.kind,
        reached=run.reached,
        started=run.start,
        ended=run.end,
        back=back,
        target=trace.service,
        overran=np.zeros(trace.n_jobs, dtype=bool),
    )
    M, k, quorum = system.moa.per_user(system.n_devices)
    facts = {
        "mode": "paced",
        "backend": None,
        "seed": 0,
        "moa": {"layers": M.tolist(), "k": k.tolist(), "quorum": quorum.tolist()},
    }
    names = tuple(system.network.name(d) for d in range(system.n_devices))
    return RunRecord(names=names, prompts=prompts, stages=stages, jobs=jobs, facts=facts)
