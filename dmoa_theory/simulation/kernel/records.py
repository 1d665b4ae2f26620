"""Room for writing down a whole run, job by job, for the runs that are to be looked at or checked."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["Record", "new_record"]


class Record(NamedTuple):
    """Everything that happened, by query; unused places are NaN or -1.

    ``job`` holds, for each job of a query: service time, when it reached its device, began and ended, and its way there and
    back.
    """

    arrival: FloatArray  # (queries,)
    user: IntArray  # (queries,)
    device: IntArray  # (queries, jobs)
    job: FloatArray  # (queries, jobs, 6)
    stage_end: FloatArray  # (queries, stages)


def new_record(queries: int, jobs: int, stages: int) -> Record:
    """Room for so many queries of at most so many jobs and stages; none for a run that is not recorded."""
    return Record(
        np.full(queries, np.nan),
        np.full(queries, -1, dtype=np.int64),
        np.full((queries, jobs), -1, dtype=np.int64),
        np.full((queries, jobs, 6), np.nan),
        np.full((queries, stages), np.nan),
    )
