"""What a device does for its neighbours: take jobs on, serve them in turn, and bring the responses back.

A job is on disk before it is acknowledged, and stays there until its response has been; whoever sends a job twice has it served
once.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from pydantic import ValidationError

from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.journal import Journal, Statement
from dmoa_calibration.testbed.protocol.membership import Membership
from dmoa_calibration.testbed.protocol.messages import InferenceRequest, InferenceResponse
from dmoa_calibration.testbed.protocol.peers import PeerError, Peers
from dmoa_calibration.testbed.unfinished import unfinished_jobs
from dmoa_calibration.testbed.work_queue import Work, WorkQueue

__all__ = ["RESPONSE_PATH", "Helper", "OtherJobError"]

RESPONSE_PATH = "/peer/v1/response"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0  # seconds between two tries
_PRUNE_EVERY = 200
_QUEUED, _DONE, _DELIVERED = "queued", "done", "delivered"


class OtherJobError(Exception):
    """A job of this name but with another prompt is still here."""


class Helper:
    """Jobs of other nodes.

    Parameters
    ----------
    config : NodeConfig
    journal : Journal
    log : EventLog
    queue : WorkQueue
    peers : Peers
    membership : Membership
    """

    def __init__(
        self, config: NodeConfig, journal: Journal, log: EventLog, queue: WorkQueue, peers: Peers, membership: Membership
    ) -> None:
        self._config, self._journal, self._log = config, journal, log
        self._queue, self._peers, self._membership = queue, peers, membership
        self._states: OrderedDict[str, str] = OrderedDict()  # of jobs, those delivered last among them
        self._accepting: dict[str, asyncio.Future[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.open = self.duplicates = self.taken = self.abandoned = 0
        self.held_bytes = 0  # responses that are on their way
        self._delivered = 0

    def resume(self) -> None:
        """Take over what the process before left unserved or undelivered."""
        delivered = self._journal.read_now("select job from jobs where state = ? order by number", (_DELIVERED,))
        self._states.update((job, _DELIVERED) for (job,) in delivered)
        self._delivered = len(delivered)
        for left in unfinished_jobs(self._journal):
            self._states[left.request.job] = _QUEUED if left.response is None else _DONE
            self.open += 1
            if left.response is None:
                self._enqueue(left.request, left.queued_wall)
            else:
                self._send(left.request, left.response)

    async def take(self, request: InferenceRequest, check_room: Callable[[], None]) -> bool:
        """Take on a job; comes back when it is on disk. False if it was taken on before.

        What ``check_room`` raises for a job that is new goes to the caller; nothing comes between it and taking the room.

        Raises
        ------
        OtherJobError
            When one of this name with another prompt is not done with.
        sqlite3.Error
            When it cannot be written down; it may still be served.
        """
        job = request.job
        if job in self._states and await self._is_known(request):
            return False
        check_room()
        self._states[job] = _QUEUED
        row = job, request.model_dump_json(), time.time()
        written = self._accepting[job] = self._journal.write(
            ("insert or replace into jobs (job, request, queued_wall) values (?, ?, ?)", row)
        )
        self.open += 1
        self.taken += 1
        self._enqueue(request)  # at once: only the acknowledgement has to wait for the disk
        try:
            await asyncio.shield(written)
        finally:
            self._accepting.pop(job, None)
        return True

    async def _is_known(self, request: InferenceRequest) -> bool:
        """Whether the same was taken on before; then what its origin waits for comes again.

        An origin that has lost its memory gives names of old to new prompts: those are new jobs.
        """
        job = request.job
        if job in self._accepting:
            await asyncio.shield(self._accepting[job])
        rows = await self._journal.read("select request from jobs where job = ?", (job,))
        if rows and _asked(rows[0][0]) != _asked(request):
            if self._states.get(job) in (_QUEUED, _DONE):
                raise OtherJobError
            self._states.pop(job, None)
            return False
        self.duplicates += 1
        if self._states.get(job) == _DELIVERED:
            await self._send_again(request)
        return True

    def _enqueue(self, request: InferenceRequest, queued_wall: float | None = None) -> None:
        self._queue.put(
            Work(
                job=request.job,
                query=request.query,
                stage=request.stage,
                kind=request.kind,
                origin=request.origin,
                k=request.k,
                prompt=request.prompt,
                done=partial(self._served, request),
                queued_wall=queued_wall,
            )
        )

    def _served(self, request: InferenceRequest, response: InferenceResponse) -> None:
        self._states[request.job] = _DONE
        self._journal.note(
            ("update jobs set state = ?, response = ? where job = ?", (_DONE, response.model_dump_json(), request.job))
        )
        self._send(request, response)

    def _send(self, request: InferenceRequest, response: InferenceResponse) -> None:
        task = asyncio.create_task(self._deliver(request, response))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_again(self, request: InferenceRequest) -> None:
        """An origin that asks for a delivered job anew has lost the response: it gets the same one once more."""
        rows = await self._journal.read("select response from jobs where job = ?", (request.job,))
        if rows and rows[0][0] is not None and self._states.get(request.job) == _DELIVERED:
            self._states[request.job] = _DONE
            self.open += 1
            self._send(request, InferenceResponse.model_validate_json(rows[0][0]))

    async def _deliver(self, request: InferenceRequest, response: InferenceResponse) -> None:
        """Bring a response back, however often it takes; given up when its origin has been forgotten."""
        size = len((response.text or "").encode())
        self.held_bytes += size
        until = time.monotonic() + self._config.timeouts.forget
        pause = _FIRST_PAUSE
        try:
            while not await self._try(request, response):
                if time.monotonic() > until:
                    self.abandoned += 1
                    break
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            self.held_bytes -= size
        self._delivered_now(request.job)

    async def _try(self, request: InferenceRequest, response: InferenceResponse) -> bool:
        member = self._membership.member(request.origin)
        if member is None:  # a job says who asked, never where to send things: that comes with the heartbeat
            return False
        try:
            answer = await self._peers.post(member.record.url, RESPONSE_PATH, response, request.origin)
        except PeerError:
            return False
        return answer.status < 500 and answer.status not in (401, 429)  # what it refuses for its content it always will

    def _delivered_now(self, job: str) -> None:
        self.open -= 1
        self._states[job] = _DELIVERED
        self._states.move_to_end(job)
        self._delivered += 1
        statements: list[Statement] = [("update jobs set state = ? where job = ?", (_DELIVERED, job))]
        if self._delivered % _PRUNE_EVERY == 0:
            for old in self._oldest():
                del self._states[old]
                statements.append(("delete from jobs where job = ?", (old,)))
        self._journal.note(*statements)

    def _oldest(self) -> list[str]:
        """Delivered jobs beyond those that are kept to know duplicates by."""
        delivered = [job for job, state in self._states.items() if state == _DELIVERED]
        return delivered[: max(0, len(delivered) - self._config.limits.kept_answers)]

    async def stop(self) -> None:
        """Leave everything as it is: the journal knows it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _asked(request: InferenceRequest | str) -> tuple[object, ...] | None:
    """What a job asks for, whoever waits for it where; None of what cannot be read."""
    if isinstance(request, str):
        try:
            request = InferenceRequest.model_validate_json(request)
        except ValidationError:
            return None
    return request.kind, request.k, request.prompt
