"""A run seen from outside, live or simulated: when prompts came and were answered, when devices were at work.

Both kinds of run are boiled down to the same arrays and cut in the same way, so that their figures can be held against each
other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.run_record import DONE, RunRecord
from dmoa_theory.model.service import Stage
from dmoa_theory.simulation.traces.occupancy import Occupancy
from dmoa_theory.simulation.traces.trajectory import Trajectory

__all__ = ["Observed", "Window", "observe", "observe_trajectory", "stage_kind"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The part of a run that figures are of: prompts by number, devices by time.

    Parameters
    ----------
    first, last : int
        Prompts ``first`` up to, but not with, ``last``, in order of arrival.
    begin, end : float, s
        Devices and prompts under way are watched from ``begin`` to ``end``: while prompts keep arriving.
    """

    first: int
    last: int
    begin: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Observed:
    """Prompts, stages and inferences of a run.

    Attributes
    ----------
    n_devices : int
    arrival, latency : ndarray, shape (n_prompts,), s
        In order of arrival; the latency is NaN where there was no answer.
    user : ndarray of int, shape (n_prompts,)
    stage_prompt, stage_kind : ndarray of int, shape (n_stages,)
    stage_duration : ndarray, shape (n_stages,), s
        From fork to join; NaN where it never joined.
    device, kind : ndarray of int, shape (n_jobs,)
    reached, start, end : ndarray, shape (n_jobs,), s
    """

    n_devices: int
    arrival: FloatArray
    latency: FloatArray
    user: IntArray
    stage_prompt: IntArray
    stage_kind: IntArray
    stage_duration: FloatArray
    device: IntArray
    kind: IntArray
    reached: FloatArray
    start: FloatArray
    end: FloatArray

    def window(self, left_out: int, cut_off: int) -> Window:
        """What is left when so many prompts are dropped at the start and at the end; at least one prompt.

        Devices are watched until the last prompt arrives: after it they only run empty.
        """
        n = self.arrival.size
        first = min(left_out, n - 1)
        last = max(n - cut_off, first + 1)
        end = float(self.arrival[-1])
        if not end > self.arrival[first]:  # a single prompt: nothing else is there to look at
            end = float(max(self.end.max(initial=0.0), np.nextafter(end, np.inf)))
        return Window(first=first, last=last, begin=float(self.arrival[first]), end=end)

    @property
    def in_service(self) -> Occupancy:
        """Inferences under way."""
        return self._between(self.start, self.end)

    @property
    def waiting(self) -> Occupancy:
        """Jobs in queues."""
        return self._between(self.reached, self.start)

    @property
    def in_system(self) -> Occupancy:
        """Jobs at their devices, waiting or being served."""
        return self._between(self.reached, self.end)

    @property
    def under_way(self) -> Occupancy:
        """Prompts that have come and are not answered, as jobs of one place; those never answered stay."""
        until = np.where(np.isnan(self.latency), np.inf, self.arrival + self.latency)
        nowhere = np.zeros(self.arrival.size, dtype=np.int64)
        return Occupancy(n_devices=1, device=nowhere, since=self.arrival, until=until)

    def _between(self, since: FloatArray, until: FloatArray) -> Occupancy:
        return Occupancy(n_devices=self.n_devices, device=self.device, since=since, until=until)


def observe(record: RunRecord) -> Observed:
    """A recorded run; latency counts from when a prompt was to be sent, however late it was, until its user had the answer."""
    prompts, stages, jobs = record.prompts, record.stages, record.jobs
    return Observed(
        n_devices=record.n_devices,
        arrival=prompts.intended,
        latency=np.where(prompts.outcome == DONE, prompts.answered - prompts.intended, np.nan),
        user=prompts.user,
        stage_prompt=stages.prompt,
        stage_kind=stage_kind(stages.prompt, stages.stage, record.facts["moa"]["layers"], prompts.user),
        stage_duration=stages.joined - stages.forked,
        device=jobs.device,
        kind=jobs.kind,
        reached=jobs.reached,
        start=jobs.started,
        end=jobs.ended,
    )


def stage_kind(prompt: IntArray, stage: IntArray, layers: list[int], user: IntArray) -> IntArray:
    """Column of :class:`Stage` for every stage: layer from 0, the aggregation after the user's last layer.

    Parameters
    ----------
    prompt, stage : ndarray of int, shape (n_stages,)
    layers : list of int
        M of every user.
    user : ndarray of int, shape (n_prompts,)
    """
    last = np.asarray(layers, dtype=np.int64)[user[prompt]]
    kind = np.where(stage == last, int(Stage.AGGREGATE), int(Stage.LATER))
    return np.where(stage == 0, int(Stage.FIRST), kind)


def observe_trajectory(run: Trajectory, *, stopped_after: float = math.inf) -> Observed:
    """A simulated run; stopped so long after its last prompt came, it shows what was done by then."""
    stop = float(run.trace.arrival[-1]) + stopped_after
    trace = run.trace
    number = np.arange(trace.n_stages) - trace.stage_start[trace.stage_query]
    layers = np.diff(trace.stage_start) - 1  # of every query: each is a "user" of its own here
    kind = stage_kind(trace.stage_query, number, layers.tolist(), np.arange(trace.n_queries))
    forked = np.concatenate(([0.0], run.stage_end[:-1]))
    forked[trace.stage_start[:-1]] = trace.arrival
    done = run.end <= stop
    return Observed(
        n_devices=trace.n_devices,
        arrival=trace.arrival,
        latency=np.where(run.query_end <= stop, run.latency, np.nan),
        user=trace.user,
        stage_prompt=trace.stage_query,
        stage_kind=kind,
        stage_duration=np.where(run.stage_end <= stop, run.stage_end - forked, np.nan),
        device=trace.device[done],
        kind=kind[trace.job_stage][done],
        reached=run.reached[done],
        start=run.start[done],
        end=run.end[done],
    )
