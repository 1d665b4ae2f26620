"""A recorded run played again through ideal queues: what of its latency is network, hand-over and waiting for the computer.

The replay has the same prompts at the same times, the same devices in every layer and the same service times. What the
measured latency is longer by is therefore no queueing and no chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.live.observed import Window
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.run_record import DONE, RunRecord
from dmoa_theory.model.system import System
from dmoa_theory.simulation.traces.reference import run_reference
from dmoa_theory.simulation.traces.trace import Trace

__all__ = ["Replayed", "replay_run", "run_trace"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Replayed:
    """Exact: the queueing that a recorded run would have had without any overhead; and where its overhead arose.

    Attributes
    ----------
    prompts : int
        Those replayed: answered by the devices that were asked.
    rows : ndarray of int, shape (prompts,)
        Their places among all prompts of the run.
    measured, replayed : ndarray, shape (prompts,), s
        Latency of each.
    late : float, s
        Mean time by which a prompt was sent too late.
    submit, written, deliver : float, s
        From sending to the device's acceptance, from the end of the last inference to the answer on the device's disk, and from
        there to the user's hands; means.
    there, back : float, s
        Mean of a job on its way to another device, and of its answer; link delays of the scenario included.
    idle : float, s
        Mean time that a device with jobs in its queue lets pass between two inferences.
    """

    prompts: int
    rows: IntArray
    measured: FloatArray
    replayed: FloatArray
    late: float
    submit: float
    written: float
    deliver: float
    there: float
    back: float
    idle: float

    def within(self, window: Window) -> FloatArray:
        """Replayed latencies of those prompts that the figures of a run are of, s."""
        return self.replayed[(self.rows >= window.first) & (self.rows < window.last)]

    @property
    def overhead(self) -> float:
        """Mean latency measured, less that of the replay, s."""
        return float(self.measured.mean() - self.replayed.mean()) if self.prompts else float("nan")

    @property
    def share(self) -> float:
        """The overhead as a share of the replayed mean."""
        return self.overhead / float(self.replayed.mean()) if self.prompts else float("nan")

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        measured, replayed = (
            {"mean": values.mean(), "p95": np.quantile(values, 0.95)} if values.size else {"mean": None, "p95": None}
            for values in (self.measured, self.replayed)
        )
        return {
            "prompts": self.prompts,
            "measured": measured,
            "replayed": replayed,
            "overhead": self.overhead,
            "overhead_share": self.share,
            "mean_seconds": {
                "sent_late": self.late,
                "submit": self.submit,
                "written": self.written,
                "deliver": self.deliver,
                "there": self.there,
                "back": self.back,
                "between_inferences": self.idle,
            },
        }


def run_trace(record: RunRecord, system: System | None = None) -> tuple[Trace, IntArray] | None:
    """The run as a trace that ``dmoa replay`` reads, and the rows of its prompts; None where none was answered in order.

    Left out are prompts without an answer, and those of which a device had to be replaced.

    Parameters
    ----------
    record : RunRecord
    system : System, optional
        Takes the link delays from here; default none.
    """
    whole = _whole(record)
    kept = np.flatnonzero(whole)
    if not kept.size:
        return None
    stages, jobs = record.stages, record.jobs
    of_stage = whole[stages.prompt]
    number = np.cumsum(of_stage) - 1
    in_stage = _stage_of_jobs(record)
    of_job = whole[jobs.prompt] & (in_stage >= 0)
    order = np.argsort(number[in_stage[of_job]], kind="stable")
    chosen = np.flatnonzero(of_job)[order]
    counted = np.bincount(number[in_stage[chosen]], minlength=int(of_stage.sum()))
    prompt = record.prompts
    user = prompt.user[kept]
    there, back = _delays(record, system, chosen)
    trace = Trace(
        n_devices=record.n_devices,
        arrival=prompt.intended[kept],
        user=user,
        stage_start=np.concatenate(([0], np.cumsum(np.bincount(stages.prompt[of_stage], minlength=len(prompt))[kept]))),
        job_start=np.concatenate(([0], np.cumsum(counted))),
        device=jobs.device[chosen],
        service=jobs.service[chosen],
        quorum=np.minimum(stages.quorum[of_stage], counted),
        there=there,
        back=back,
        names=record.names,
    )
    return trace, kept


def replay_run(record: RunRecord, system: System) -> Replayed:
    """Exact: the recorded prompts, choices and service times through FCFS devices with nothing between them.

    Parameters
    ----------
    record : RunRecord
    system : System
        The scenario, for its link delays.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.live.examples import small_run
    >>> again = replay_run(small_run(), System.from_arrays([[0, 1], [1, 0]], 0.1, 1.0, M=1, k=1))
    >>> again.replayed.tolist(), round(again.overhead, 3), round(again.deliver, 3), round(again.there, 3)
    ([5.0, 5.0], 0.7, 0.5, 0.1)
    """
    found = run_trace(record, system)
    nothing = np.zeros(0)
    measured = replayed = nothing
    kept = np.zeros(0, dtype=np.int64)
    prompts, jobs = record.prompts, record.jobs
    if found is not None:
        trace, kept = found
        measured, replayed = prompts.answered[kept] - prompts.intended[kept], run_reference(trace).latency
    stage = _stage_of_jobs(record)
    away = (stage >= 0) & (jobs.device != prompts.user[jobs.prompt])
    return Replayed(
        prompts=measured.size,
        rows=kept,
        measured=measured,
        replayed=replayed,
        late=_mean(prompts.sent - prompts.intended),
        submit=_mean(prompts.accepted - prompts.sent),
        written=_mean(prompts.ended - _last_join(record)),
        deliver=_mean(prompts.answered - prompts.ended),
        there=_mean(jobs.reached[away] - record.stages.forked[stage[away]]),
        back=_mean(jobs.back[away] - jobs.ended[away]),
        idle=_mean(_gaps(record)),
    )


def _whole(record: RunRecord) -> BoolArray:
    """Prompts that were answered, by the devices that were asked, every stage with as many inferences as its quorum."""
    prompts, stages = record.prompts, record.stages
    in_stage = _stage_of_jobs(record)
    done = np.bincount(in_stage[in_stage >= 0], minlength=len(stages))
    wanting = (done < stages.quorum) | np.isnan(stages.joined)
    lacking = np.bincount(stages.prompt, weights=wanting, minlength=len(prompts)) > 0
    counted = np.bincount(stages.prompt, minlength=len(prompts))
    layers = np.asarray(record.facts["moa"]["layers"], dtype=np.int64)[prompts.user]
    return np.asarray((prompts.outcome == DONE) & ~prompts.degraded & ~lacking & (counted == layers + 1))


def _stage_of_jobs(record: RunRecord) -> IntArray:
    """Row of every job's stage; -1 where the run ended before its user's device told of it."""
    stages, jobs = record.stages, record.jobs
    most = int(max(stages.stage.max(initial=0), jobs.stage.max(initial=0))) + 1
    key = stages.prompt * most + stages.stage
    if not key.size:
        return np.full(len(jobs), -1)
    order = np.argsort(key, kind="stable")
    wanted = jobs.prompt * most + jobs.stage
    place = np.minimum(np.searchsorted(key[order], wanted), key.size - 1)
    row = order[place]
    return np.where(key[row] == wanted, row, -1)


def _last_join(record: RunRecord) -> FloatArray:
    """When the last stage of every prompt had its answer; NaN where none had; shape (n_prompts,)."""
    last = np.full(len(record.prompts), -np.inf)
    joined = ~np.isnan(record.stages.joined)
    np.maximum.at(last, record.stages.prompt[joined], record.stages.joined[joined])
    return np.where(np.isfinite(last), last, np.nan)


def _gaps(record: RunRecord) -> FloatArray:
    """Seconds between the end of an inference and the start of the next, where that was in the queue already."""
    jobs = record.jobs
    order = np.lexsort((jobs.started, jobs.device))
    same = np.diff(jobs.device[order]) == 0
    before, after = order[:-1][same], order[1:][same]
    waited = jobs.reached[after] <= jobs.ended[before]
    return np.asarray((jobs.started[after] - jobs.ended[before])[waited])


def _delays(record: RunRecord, system: System | None, chosen: IntArray) -> tuple[FloatArray | None, FloatArray | None]:
    """Link delays of the scenario, for every chosen job; zero at home."""
    if system is None or not system.has_delay:
        return None, None
    jobs, n = record.jobs, record.n_devices
    _, k, _ = system.moa.per_user(n)
    user, device, kind = record.prompts.user[jobs.prompt[chosen]], jobs.device[chosen], jobs.kind[chosen]
    ways = np.zeros((2, chosen.size))
    source, target = system.network.link_sources().astype(np.int64), system.network.indices.astype(np.int64)
    key = source * n + target
    for asked in np.unique(k):
        for stage in range(3):
            mine = np.flatnonzero((k[user] == asked) & (kind == stage) & (user != device))
            if mine.size:
                link = np.searchsorted(key, user[mine] * n + device[mine])
                for way, seconds in enumerate(system.one_way(stage, int(asked))):
                    ways[way, mine] = seconds[link]
    return ways[0], ways[1]


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")
