"""A run small enough to be followed with a pencil, for examples and tests."""

from __future__ import annotations

import numpy as np

from dmoa_theory.model.run_record import DONE, JobTable, PromptTable, RunRecord, StageTable

__all__ = ["small_run"]


def small_run() -> RunRecord:
    """Two devices, M = 1, k = 1, two prompts of the first at 0 and 10 s; messages take 0.1 s, answers are read 0.5 s late.

    Device 0 needs 2 s for a layer and 1 s to aggregate, device 1 needs 4 s: a prompt takes 4.2 + 1 + 0.5 s.
    """
    start = np.array([0.0, 10.0])
    join = start + 4.2
    prompts = PromptTable(
        user=np.array([0, 0]),
        intended=start,
        sent=start,
        accepted=start,
        ended=join + 1,
        answered=join + 1.5,
        outcome=np.array([DONE, DONE]),
        degraded=np.array([False, False]),
    )
    stages = StageTable(
        prompt=np.array([0, 0, 1, 1]),
        stage=np.array([0, 1, 0, 1]),
        quorum=np.array([2, 1, 2, 1]),
        forked=np.column_stack((start, join)).ravel(),
        joined=np.column_stack((join, join + 1)).ravel(),
    )
    reached = np.column_stack((start, start + 0.1, join)).ravel()
    service = np.array([2.0, 4.0, 1.0] * 2)
    jobs = JobTable(
        prompt=np.repeat([0, 1], 3),
        stage=np.array([0, 0, 1] * 2),
        device=np.array([0, 1, 0] * 2),
        kind=np.array([0, 0, 2] * 2),
        reached=reached,
        started=reached,
        ended=reached + service,
        back=reached + service + np.array([0.0, 0.1, 0.0] * 2),
        target=service,
        overran=np.zeros(6, dtype=bool),
    )
    facts = {"mode": "paced", "backend": None, "seed": 0, "moa": {"layers": [1, 1], "k": [1, 1], "quorum": [2, 2]}}
    return RunRecord(names=("a", "b"), prompts=prompts, stages=stages, jobs=jobs, facts=facts)
