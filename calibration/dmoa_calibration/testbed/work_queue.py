"""A device's queue: first come, first served, one inference at a time, whoever asked for it."""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from dmoa_calibration.testbed.engines import Engine, Generation, Task
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.protocol.messages import MOST_TOKENS, InferenceResponse, Kind
from dmoa_calibration.testbed.wording import shortened
from dmoa_theory.errors import DmoaError

__all__ = ["Work", "WorkQueue", "WorkTotals"]

_LONGEST_REASON = 300  # bytes


@dataclass(slots=True, kw_only=True, eq=False)
class Work:
    """One job in the queue; ``done`` is called once, with what came of it.

    ``queued_wall`` is when a process before this one had taken it on.
    """

    job: str
    query: str
    stage: int
    kind: Kind
    origin: str
    k: int
    prompt: str
    done: Callable[[InferenceResponse], None]
    queued_wall: float | None = None
    queued: float = 0.0
    started: float = 0.0
    bytes: int = 0


@dataclass(slots=True)
class WorkTotals:
    """What a queue has done so far."""

    served: int = 0
    failed: int = 0
    overruns: int = 0
    busy_s: float = 0.0
    watchers: list[Callable[[Kind, float], None]] = field(default_factory=list)

    @property
    def mean_service_s(self) -> float | None:
        """Mean time of an inference; None before the first."""
        ended = self.served + self.failed
        return self.busy_s / ended if ended else None


class WorkQueue:
    """Serves jobs in the order in which they came.

    Parameters
    ----------
    device : str
        Name that answers carry.
    engine : Engine
    log : EventLog
    most_bytes : int
        Longest answer that is sent; what is over is cut off.
    """

    def __init__(self, device: str, engine: Engine, log: EventLog, *, most_bytes: int) -> None:
        self._device, self._engine, self._log, self._most_bytes = device, engine, log, most_bytes
        self._waiting: deque[Work] = deque()
        self._arrived = asyncio.Event()
        self.in_service: Work | None = None
        self.held_bytes = 0
        self.totals = WorkTotals()

    @property
    def waiting(self) -> int:
        """Jobs that wait, without the one in service."""
        return len(self._waiting)

    def put(self, work: Work) -> None:
        """Join the queue at its end; what the process before had taken on, in the order in which that was."""
        work.queued = time.monotonic()
        work.bytes = len(work.prompt.encode("utf-8", errors="replace"))
        place = len(self._waiting) if work.queued_wall is None else bisect_right(self._waiting, _turn(work), key=_turn)
        self._waiting.insert(place, work)
        ahead = place + (self.in_service is not None)
        self.held_bytes += work.bytes
        self._arrived.set()
        self._log.add("job_queued", at=work.queued, **_names(work), device=self._device, ahead=ahead)

    async def run(self) -> None:
        """Serve for ever."""
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            work = self.in_service = self._waiting.popleft()
            try:
                response = await self._serve(work)
            finally:
                self.in_service = None
                self.held_bytes -= work.bytes
            work.done(response)

    async def _serve(self, work: Work) -> InferenceResponse:
        work.started = time.monotonic()
        self._log.add("job_started", at=work.started, job=work.job, query=work.query, stage=work.stage, device=self._device)
        made: Generation | None = None
        error: str | None = None
        try:
            made = await self._engine.run(Task(job=work.job, kind=work.kind, k=work.k, prompt=work.prompt))
        except DmoaError as failure:
            error = shortened(" ".join(str(failure).split()) or type(failure).__name__, _LONGEST_REASON)
        except Exception as failure:  # whatever an engine raises, the device goes on with the next job
            error = type(failure).__name__
        ended = time.monotonic()
        return self._ended(work, made, error, ended)

    def _ended(self, work: Work, made: Generation | None, error: str | None, ended: float) -> InferenceResponse:
        service, totals = ended - work.started, self.totals
        totals.busy_s += service
        if made is None:
            totals.failed += 1
        else:
            totals.served += 1
            totals.overruns += made.overran
        self._log.add(
            "job_ended",
            at=ended,
            **_names(work),
            device=self._device,
            ok=made is not None,
            queued=work.queued,
            started=work.started,
            service_s=service,
            target_s=None if made is None else made.target_s,
            engine_s=None if made is None else made.engine_s,
            overran=made is not None and made.overran,
            prompt_tokens=None if made is None else made.prompt_tokens,
            output_tokens=None if made is None else made.output_tokens,
            error=error,
        )
        for watch in totals.watchers:
            watch(work.kind, service)
        return InferenceResponse(
            job=work.job,
            query=work.query,
            stage=work.stage,
            device=self._device,
            text=None if made is None else shortened(made.text, self._most_bytes),
            prompt_tokens=0 if made is None else _possible(made.prompt_tokens),
            output_tokens=0 if made is None else _possible(made.output_tokens),
            service_s=service,
            error=error,
        )


def _turn(work: Work) -> float:
    """What the queue is in order of: those that have just come are behind all that were there before."""
    return math.inf if work.queued_wall is None else work.queued_wall


def _possible(tokens: int) -> int:
    """A count that others believe, whatever an engine counts."""
    return min(max(tokens, 0), MOST_TOKENS)


def _names(work: Work) -> dict[str, object]:
    return {"job": work.job, "query": work.query, "stage": work.stage, "kind": work.kind, "origin": work.origin}
