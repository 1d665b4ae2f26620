"""The reference simulation: plain, slow, one event after another. Faster programs are judged by it, bit for bit."""

from __future__ import annotations

import heapq
from collections import deque
from enum import IntEnum

import numpy as np

from dmoa_theory.simulation.traces.trace import Trace
from dmoa_theory.simulation.traces.trajectory import Trajectory

__all__ = ["run_reference"]


class _Phase(IntEnum):
    """What comes first within one instant."""

    RELEASE = 0  # a device is done with a job, and begins the next in its queue
    MESSAGE = 1  # a query arrives, a job reaches its device, an answer is back


class _Message(IntEnum):
    ARRIVAL = 0
    JOB = 1
    ANSWER = 2


#: Time, phase, query, stage, device, message, job: compared in this order, so the heap yields the one order of events.
_Event = tuple[float, int, int, int, int, int, int]


def run_reference(trace: Trace) -> Trajectory:
    """Exact: play a trace through FCFS devices, one job at a time each.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    Trajectory

    Notes
    -----
    Events happen in order of time; within one instant devices first let go of the jobs that end then, and begin the next in
    their queues; then messages are delivered, those of the query with the smallest number first, and of one query those of
    its earliest stage first. A message can only cause further messages of its own query in the same instant (if its device is
    idle nobody else waits there; if not, nothing happens before the device is free), so that jobs that reach a device
    together are served in order of query number, whatever led to them.

    1. A query arrives: its first stage forks.
    2. A stage forks: the job for the user's own device is there at once, the others after their delay ``there``.
    3. A job reaches its device: it begins if the device is idle, else it joins the end of the queue.
    4. A job ends: its answer is back after its delay ``back``; the device begins the first job of its queue.
    5. An answer is back: if it completes the quorum, the stage ends and the next one forks. Later answers change nothing.

    Examples
    --------
    >>> from dmoa_theory.simulation.traces.reference import run_reference
    >>> from dmoa_theory.simulation.traces.trace import Trace
    >>> trace = Trace(n_devices=2, arrival=[0.0, 1.0], user=[0, 0], stage_start=[0, 2, 3], job_start=[0, 2, 3, 4],
    ...               device=[0, 1, 0, 0], service=[4.0, 3.0, 2.0, 5.0])
    >>> run_reference(trace).start.tolist()
    [0.0, 0.0, 9.0, 4.0]
    """
    device, service = trace.device.tolist(), trace.service.tolist()
    there = None if trace.there is None else trace.there.tolist()
    back = None if trace.back is None else trace.back.tolist()
    home, stage_query, job_stage = trace.user.tolist(), trace.stage_query.tolist(), trace.job_stage.tolist()
    last_stage = set((trace.stage_start[1:] - 1).tolist())
    missing = trace.answers_needed.tolist()  # answers that a stage still waits for

    reached, start, end = (np.full(trace.n_jobs, np.nan) for _ in range(3))
    stage_end = np.full(trace.n_stages, np.nan)
    queue: list[deque[int]] = [deque() for _ in range(trace.n_devices)]
    busy = [False] * trace.n_devices
    events: list[_Event] = []

    def send(time: float, message: _Message, job: int) -> None:
        stage = job_stage[job]
        heapq.heappush(events, (time, _Phase.MESSAGE, stage_query[stage], stage, device[job], message, job))

    def fork(stage: int, now: float) -> None:
        for job in range(trace.job_start[stage], trace.job_start[stage + 1]):
            at_home = device[job] == home[stage_query[stage]]
            send(now if at_home or there is None else now + there[job], _Message.JOB, job)

    def begin(job: int, now: float) -> None:
        stage, done = job_stage[job], now + service[job]
        busy[device[job]] = True
        start[job], end[job] = now, done
        heapq.heappush(events, (done, _Phase.RELEASE, stage_query[stage], stage, device[job], -1, job))

    def release(job: int, now: float) -> None:
        d, stage = device[job], job_stage[job]
        at_home = d == home[stage_query[stage]]
        send(now if at_home or back is None else now + back[job], _Message.ANSWER, job)
        busy[d] = False
        if queue[d]:
            begin(queue[d].popleft(), now)

    def reach(job: int, now: float) -> None:
        reached[job] = now
        if busy[device[job]]:
            queue[device[job]].append(job)
        else:
            begin(job, now)

    def answer(stage: int, now: float) -> None:
        missing[stage] -= 1
        if missing[stage] == 0:
            stage_end[stage] = now
            if stage not in last_stage:
                fork(stage + 1, now)

    for query, arrival in enumerate(trace.arrival.tolist()):
        events.append((arrival, _Phase.MESSAGE, query, int(trace.stage_start[query]), -1, _Message.ARRIVAL, -1))
    heapq.heapify(events)
    while events:
        now, phase, _, stage, _, message, job = heapq.heappop(events)
        if phase == _Phase.RELEASE:
            release(job, now)
        elif message == _Message.ARRIVAL:
            fork(stage, now)
        elif message == _Message.JOB:
            reach(job, now)
        else:
            answer(stage, now)
    return Trajectory(trace=trace, reached=reached, start=start, end=end, stage_end=stage_end)
