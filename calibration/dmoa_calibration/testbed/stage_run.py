"""One stage of a query: ask the own device and its neighbours, and wait for as many answers as it takes.

A neighbour that is dead, has left, refuses, fails or does not answer in time is replaced by another one that was not asked in
this stage; where there is none, the stage goes on without. Nothing is sent twice without need, and sending twice does no harm.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from dmoa_calibration.testbed.protocol.messages import InferenceResponse, Kind

__all__ = ["Asking", "Delivered", "StageOutcome", "StageRun"]


_LONGEST_PATIENCE = 5.0  # seconds before a full neighbour is asked again, where there is no other


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of bringing a job to a neighbour; ``reason`` is None when it was taken on."""

    reason: str | None = None
    retry_after: float | None = None


class Asking(Protocol):
    """What a stage needs of its node."""

    own: str

    def ask_own(self, run: StageRun) -> None:
        """Put the job into the own queue; the answer comes by :meth:`StageRun.receive`."""
        ...

    async def ask(self, device: str, run: StageRun) -> Delivered:
        """Bring the job to a neighbour, trying again while the stage wants it."""
        ...

    def substitute(self, run: StageRun) -> str | None:
        """A neighbour that was not asked yet in this stage; None if there is none."""
        ...

    def asked_more(self, run: StageRun) -> None:
        """Remember whom the stage has asked by now."""
        ...

    def whereabouts(self, device: str) -> tuple[str | None, int]:
        """Why a neighbour cannot be waited for, if so, and the incarnation of its process."""
        ...

    def next_change(self, device: str) -> asyncio.Future[None]:
        """Settled when the whereabouts of a neighbour change."""
        ...


@dataclass(slots=True, kw_only=True)
class StageOutcome:
    """How a stage ended."""

    responses: list[InferenceResponse]
    missing: int
    replaced: list[dict[str, Any]] = field(default_factory=list)


class StageRun:
    """A stage under way.

    Parameters
    ----------
    asking : Asking
    query : str
    stage : int
    kind : Kind
    k, quorum : int
        Neighbours that the user asks, and answers that end the stage.
    prompt : str
    places : list of list of str
        Whom each place of the stage has asked so far, the own device first; the last of each is the one waited for.
    known : dict from str to InferenceResponse
        Answers that are there already, by device.
    queued_wall : float, optional
        When a process before this one had put the own job into the queue.
    timeout : float, seconds
        How long to wait for a neighbour's answer.
    replacements : int
        How often one place may ask another neighbour.
    """

    def __init__(
        self,
        asking: Asking,
        *,
        query: str,
        stage: int,
        kind: Kind,
        k: int,
        quorum: int,
        prompt: str,
        places: list[list[str]],
        known: dict[str, InferenceResponse],
        timeout: float,
        replacements: int,
        queued_wall: float | None = None,
    ) -> None:
        self._asking = asking
        self.query, self.stage, self.kind, self.k, self.prompt = query, stage, kind, k, prompt
        self.places = places
        self.quorum = min(quorum, len(places))
        self._timeout, self._replacements = timeout, replacements
        self._answers: dict[str, asyncio.Future[InferenceResponse]] = {}
        self._arrived: list[str] = []
        self.replaced: list[dict[str, Any]] = [
            {"device": one, "by": by, "reason": "before the node was started anew"}
            for place in places
            for one, by in pairwise(place)
        ]
        self.over = False
        self.queued_wall = queued_wall
        self._own_is_asked = False
        for response in known.values():
            self.receive(response)

    @property
    def asked(self) -> list[str]:
        """Everybody asked in this stage."""
        return [device for place in self.places for device in place]

    def receive(self, response: InferenceResponse) -> bool:
        """Take an answer; False if it comes too late, twice, or from somebody who was not asked."""
        if self.over or response.device not in self.asked:
            return False
        answer = self._answer(response.device)
        if answer.done():
            return False
        answer.set_result(response)
        self._arrived.append(response.device)
        return True

    def ask_own(self) -> None:
        """Put the job into the own queue, once, unless its answer is there; :meth:`run` does, where nobody has."""
        own = self._asking.own
        if not self._own_is_asked and own in self.asked and not self._answer(own).done():
            self._own_is_asked = True
            self._asking.ask_own(self)

    async def run(self) -> StageOutcome:
        """Ask, and wait; answers in the order of the places that were asked."""
        self.ask_own()
        pending = {asyncio.create_task(self._place(place)) for place in self.places}
        answered: list[InferenceResponse] = []
        try:
            while pending and len(answered) < self.quorum:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                answered += [response for task in done if (response := task.result()) is not None]
        finally:
            self.over = True
            for task in pending:
                task.cancel()
            if pending:
                await asyncio.gather(*pending, return_exceptions=True)
        first = sorted(answered, key=lambda response: self._arrived.index(response.device))[: self.quorum]
        order = self.asked
        first.sort(key=lambda response: order.index(response.device))
        return StageOutcome(responses=first, missing=self.quorum - len(first), replaced=self.replaced)

    # -- one place --------------------------------------------------------------------------------------------------

    async def _place(self, devices: list[str]) -> InferenceResponse | None:
        """The answer of one of the devices that this place asks; None where nobody is left to ask."""
        until = _now() + self._timeout
        while True:
            found = await self._wait(devices)
            if isinstance(found, InferenceResponse):
                return found
            device, own = devices[-1], devices[-1] == self._asking.own
            full = found.retry_after is not None and _now() < until
            may = not own and (full or len(devices) <= self._replacements)
            by = self._asking.substitute(self) if may else None
            if by is None and full:
                await self._patience(devices, min(found.retry_after or 1.0, _LONGEST_PATIENCE) * random.uniform(0.5, 1.5))
                continue
            self.replaced.append({"device": device, "by": by, "reason": found.reason})
            if by is not None:
                devices.append(by)
            self._asking.asked_more(self)
            if by is None:
                return None

    async def _wait(self, devices: list[str]) -> InferenceResponse | Delivered:
        """Ask the last of the devices; an answer of any of them, or why there will be none of the last."""
        device = devices[-1]
        if device == self._asking.own:
            return await self._wait_for_own(device)
        if (found := self._first_answer(devices)) is not None:
            return found
        until = _now() + self._timeout
        gone, incarnation = self._asking.whereabouts(device)
        sending: asyncio.Task[Delivered] | None = None
        while gone is None:
            if sending is None:
                sending = _background(self._asking.ask(device, self))
            waited_for: set[asyncio.Future[Any]] = {self._answer(each) for each in devices}
            waited_for = {answer for answer in waited_for if not answer.done()}
            waited_for.add(self._asking.next_change(device))
            if not sending.done():
                waited_for.add(sending)
            await asyncio.wait(waited_for, timeout=max(0.0, until - _now()), return_when=asyncio.FIRST_COMPLETED)
            if (found := self._first_answer(devices)) is not None:
                return found
            if (failed := self._failure(device)) is not None:
                return Delivered(failed)
            if sending.done() and (refusal := sending.result()).reason is not None:
                return refusal
            if _now() >= until:
                return Delivered(f"no answer within {self._timeout:g} s")
            gone, now = self._asking.whereabouts(device)
            if now != incarnation:  # another process than the one that took the job on: it may not know of it
                incarnation = now
                sending = None if sending.done() else sending
        return Delivered(gone)

    async def _wait_for_own(self, device: str) -> InferenceResponse | Delivered:
        response = await asyncio.shield(self._answer(device))
        return response if response.text is not None else Delivered(self._failure(device))

    async def _patience(self, devices: list[str], seconds: float) -> None:
        """Wait before asking the same device again, unless an answer comes first."""
        waited_for = {answer for each in devices if not (answer := self._answer(each)).done()}
        if waited_for:
            await asyncio.wait(waited_for, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)

    def _answer(self, device: str) -> asyncio.Future[InferenceResponse]:
        if device not in self._answers:
            self._answers[device] = asyncio.get_running_loop().create_future()
        return self._answers[device]

    def _first_answer(self, devices: list[str]) -> InferenceResponse | None:
        for device in devices:
            answer = self._answer(device)
            if answer.done() and answer.result().text is not None:
                return answer.result()
        return None

    def _failure(self, device: str) -> str | None:
        answer = self._answer(device)
        if answer.done() and answer.result().text is None:
            return f"it failed: {answer.result().error or 'no reason given'}"
        return None


def _now() -> float:
    """Seconds on the event loop's clock."""
    return asyncio.get_running_loop().time()


_tasks: set[asyncio.Task[Any]] = set()


def _background(work: Awaitable[Delivered]) -> asyncio.Task[Delivered]:
    """A task that goes on when its stage is over: with a quorum, jobs under way still reach their devices."""

    async def go_on() -> Delivered:
        return await work

    task = asyncio.create_task(go_on())
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task
