"""A finite run of a system from empty, with everything that happens written down: bursts, transients, checks."""

from __future__ import annotations

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel.engine import Engine
from dmoa_theory.simulation.kernel.records import Record
from dmoa_theory.simulation.kernel.tables import Tables
from dmoa_theory.simulation.traces.trace import Trace
from dmoa_theory.simulation.traces.trajectory import Trajectory

__all__ = ["count_arrivals", "record_run"]


def record_run(
    system: System,
    *,
    queries: int | None = None,
    until: float | None = None,
    seed: int | np.random.SeedSequence = 0,
    at_once: bool = False,
    arrivals: ArrivalLog | None = None,
) -> Trajectory:
    """Exact (one sample path): a system that starts empty, until the last of its prompts is answered.

    Parameters
    ----------
    system : System
        Need not be stable.
    queries : int, optional
        Prompts; nothing arrives after the last. Either this or ``until``.
    until : float, optional, s
        Prompts arrive up to this time and not after it.
    seed : int or SeedSequence
        Runs of one seed are alike up to where arrivals stop.
    at_once : bool
        Let all prompts arrive at time 0 instead of as a Poisson process; only with ``queries``.
    arrivals : ArrivalLog, optional
        Let prompts arrive as listed; without the others.

    Returns
    -------
    Trajectory
        With the trace that it follows from; memory grows with the number of jobs.

    Raises
    ------
    InputError
        When no prompt arrives by ``until``.

    Examples
    --------
    >>> from dmoa_theory.simulation.kernel.recorded_run import record_run
    >>> from dmoa_theory import System
    >>> alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0, law="deterministic")
    >>> record_run(alone, queries=3, at_once=True).latency.tolist()
    [1.0, 2.0, 3.0]
    >>> from dmoa_theory.model.arrival_log import ArrivalLog
    >>> record_run(alone, arrivals=ArrivalLog(time=[0.0, 0.2, 5.0], user=[0, 0, 0], n_devices=1)).latency.tolist()
    [1.0, 1.8, 1.0]
    >>> bool(record_run(alone, until=60.0).trace.arrival.max() <= 60.0)
    True
    """
    if arrivals is not None:
        if queries is not None or until is not None or at_once:
            raise InputError("arrivals", arrivals, "alone: the list says how many prompts arrive, and when")
        queries = arrivals.prompts
    if until is not None:
        if queries is not None or at_once:
            raise InputError("until", until, "left out when the number of prompts is given")
        queries = count_arrivals(system, until, seed=seed)
        if queries == 0:
            raise InputError("until", until, "a time by which a prompt arrives; in this run none does")
    if queries is None:
        raise InputError("queries", InputError.MISSING, "a number of prompts, or a time until which they arrive")
    engine = Engine(system, _fresh(seed), batches=1, recorded=queries)
    if at_once:
        engine.arrive_at_once(queries)
    if arrivals is not None:
        engine.arrive_as_listed(np.asarray(arrivals.time), np.asarray(arrivals.user))
    engine.go_on(queries)
    engine.finish()
    assert engine.record is not None
    return _trajectory(system, engine.tables, engine.record)


def count_arrivals(system: System, until: float, *, seed: int | np.random.SeedSequence = 0) -> int:
    """Exact (one sample path): how many prompts arrive by a time in the runs of a seed.

    Parameters
    ----------
    system : System
    until : float, s
    seed : int or SeedSequence

    Notes
    -----
    Arrivals and service times are drawn from one stream, in the order of events; so the run itself is played, a little
    farther than to ``until``.
    """
    expected = float(system.rates.sum()) * until
    room = int(expected + 4 * np.sqrt(expected)) + 16
    while True:
        engine = Engine(system, _fresh(seed), batches=1, recorded=room)
        engine.go_on(room)
        if engine.now > until:
            assert engine.record is not None
            return int(np.searchsorted(engine.record.arrival, until, side="right"))
        room *= 2


def _fresh(seed: int | np.random.SeedSequence) -> np.random.SeedSequence:
    """A seed that has not spawned any other, so that the same seed means the same run."""
    if not isinstance(seed, np.random.SeedSequence):
        return np.random.SeedSequence(seed)
    return np.random.SeedSequence(seed.entropy, spawn_key=seed.spawn_key, pool_size=seed.pool_size)


def _trajectory(system: System, tables: Tables, record: Record) -> Trajectory:
    """The record in the flat form of a trajectory."""
    user = record.user
    M, k = tables.M[user].astype(np.int64), tables.k[user].astype(np.int64)
    stages = M + 1
    layer = np.arange(record.stage_end.shape[1])
    staged = layer < stages[:, None]
    jobs_of = np.where(layer < M[:, None], k[:, None] + 1, 1)[staged]
    quorum = np.where(layer < M[:, None], tables.quorum[user].astype(np.int64)[:, None], 1)[staged]
    done = np.arange(record.device.shape[1]) < (M * (k + 1) + 1)[:, None]
    service, reached, start, end, there, back = np.moveaxis(record.job[done], -1, 0)
    trace = Trace(
        n_devices=system.n_devices,
        arrival=record.arrival,
        user=user,
        stage_start=np.concatenate(([0], np.cumsum(stages))),
        job_start=np.concatenate(([0], np.cumsum(jobs_of))),
        device=record.device[done],
        service=service,
        quorum=quorum if (quorum < jobs_of).any() else None,
        there=there if tables.delayed else None,
        back=back if tables.delayed else None,
        names=system.network.names,
    )
    return Trajectory(trace=trace, reached=reached, start=start, end=end, stage_end=record.stage_end[staged])
