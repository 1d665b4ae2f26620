"""Send prompts to a live network at their times, whatever becomes of those before, and gather what it answers.

Open loop: a slow answer delays no later prompt. Latency counts from when a prompt was to be sent, not from when it was, so that
a driver or network that falls behind shows in the figures instead of hiding there (coordinated omission).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np

from dmoa_calibration.testbed.client import RefusedQuery
from dmoa_calibration.testbed.drive_plan import ArrivalPlan
from dmoa_calibration.testbed.launch import LocalNetwork, NodeProcess, resident_bytes
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.run_record import DONE, FAILED, OPEN, REFUSED, UNSENT

__all__ = ["Driven", "Snapshot", "drive", "query_id"]

#: Seconds from the start of the drive to the zero of its clock.
_HEAD_START = 0.2
#: Seconds that a request for results is held by the node.
_POLL = 20.0
_LOOK = 0.05
#: Seconds that all nodes have to say what they answered before the run was stopped.
_LAST_WORDS = 2.0
#: Tries of a prompt whose device does not answer the door, and seconds between them.
_TRIES, _PAUSE = 3, 0.25
#: Statuses of a node that has no room, or none any more.
_FULL = (429, 503)
_TROUBLE = (aiohttp.ClientError, OSError, TimeoutError)


def query_id(place: int) -> str:
    """Name of a prompt at the nodes.

    Examples
    --------
    >>> query_id(7)
    'p000007'
    """
    return f"p{place:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The network at one moment.

    Parameters
    ----------
    time : float, s
        From the zero of the drive's clock.
    sent, answered, refused : int
        Prompts so far.
    recent : float, s
        Mean latency of the last answers; NaN before the first.
    waiting, in_service, open_prompts : tuple of int
        By device.
    served : tuple of int
        Inferences done by each device.
    resident : tuple of int or None
        Bytes of each process.
    """

    time: float
    sent: int
    answered: int
    refused: int
    recent: float
    waiting: tuple[int, ...]
    in_service: tuple[int, ...]
    open_prompts: tuple[int, ...]
    served: tuple[int, ...]
    resident: tuple[int | None, ...]


@dataclass(slots=True)
class Driven:
    """What the driver saw, prompt by prompt; times in s from its zero."""

    plan: ArrivalPlan
    zero: float = 0.0
    stopped: bool = False
    sent: FloatArray = field(init=False)
    answered: FloatArray = field(init=False)
    outcome: IntArray = field(init=False)
    degraded: IntArray = field(init=False)
    texts: dict[int, str] = field(default_factory=dict)
    resident: list[tuple[float, tuple[int | None, ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Nothing has happened yet."""
        n = self.plan.time.size
        self.sent, self.answered = np.full(n, np.nan), np.full(n, np.nan)
        self.outcome, self.degraded = np.full(n, UNSENT, dtype=np.int64), np.zeros(n, dtype=np.int64)

    @property
    def settled(self) -> int:
        """Prompts of which nothing more is to come."""
        return int((np.isin(self.outcome, (DONE, FAILED, REFUSED)) | (self.outcome == UNSENT) & ~np.isnan(self.sent)).sum())

    def now(self) -> float:
        """Seconds since zero."""
        return time.monotonic() - self.zero

    def recent(self, count: int = 50) -> float:
        """Mean latency of the last prompts that were answered."""
        known = np.flatnonzero(~np.isnan(self.answered))
        last = known[np.argsort(self.answered[known])[-count:]]
        return float((self.answered[last] - self.plan.time[last]).mean()) if last.size else float("nan")


async def drive(
    network: LocalNetwork,
    plan: ArrivalPlan,
    prompts: Sequence[str],
    *,
    stop: asyncio.Event,
    patience: float,
    texts: bool = False,
    watch: Callable[[Snapshot], None] | None = None,
    every: float = 0.5,
) -> Driven:
    """Send every prompt at its time, and wait until all are answered and the devices are idle.

    Parameters
    ----------
    network : LocalNetwork
    plan : ArrivalPlan
    prompts : sequence of str
        Sent in turn, again from the first when they run out.
    stop : asyncio.Event
        Set it to stop sending and waiting at once; what was answered stays.
    patience : float, s
        How long to wait after the last prompt while nothing is answered.
    texts : bool
        Keep the answers.
    watch : callable, optional
        Told of the network every so often.
    every : float, s
    """
    driven = Driven(plan=plan)
    driven.zero = time.monotonic() + _HEAD_START
    after = [0] * len(network.nodes)
    collectors = [asyncio.ensure_future(_collect(network.nodes[d], driven, texts, after, d)) for d in range(len(after))]
    collectors.append(asyncio.ensure_future(_watch(network, driven, watch, every)))
    senders: set[asyncio.Task[None]] = set()
    try:
        await _send_all(network, driven, prompts, senders, stop)
        await _settle(network, driven, senders, stop, patience)
    finally:
        driven.stopped = stop.is_set()
        for task in (*collectors, *senders):
            task.cancel()
        await asyncio.gather(*collectors, *senders, return_exceptions=True)
    if driven.stopped:
        await _collect_last(network, driven, texts, after)
    return driven


async def _send_all(
    network: LocalNetwork, driven: Driven, prompts: Sequence[str], senders: set[asyncio.Task[None]], stop: asyncio.Event
) -> None:
    for place, (at, user) in enumerate(zip(driven.plan.time.tolist(), driven.plan.user.tolist(), strict=True)):
        wait = at - driven.now()
        if wait > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), wait)
        if stop.is_set():
            return
        driven.sent[place] = driven.now()
        driven.outcome[place] = OPEN
        sender = asyncio.ensure_future(_send(network, driven, place, user, prompts[place % len(prompts)]))
        senders.add(sender)
        sender.add_done_callback(senders.discard)
        if wait <= 0:
            await asyncio.sleep(0)  # late: let the others get on with it all the same


async def _send(network: LocalNetwork, driven: Driven, place: int, user: int, prompt: str) -> None:
    for _ in range(_TRIES):
        try:
            await network.nodes[user].client.submit(prompt, query_id(place))
            return
        except RefusedQuery as refusal:
            if driven.outcome[place] == OPEN:  # a try before may have been heard, and answered by now
                driven.outcome[place] = REFUSED if refusal.status in _FULL else FAILED
            return
        except _TROUBLE:
            await asyncio.sleep(_PAUSE)
    if driven.outcome[place] == OPEN:
        driven.outcome[place] = UNSENT


async def _collect(
    node: NodeProcess, driven: Driven, texts: bool, after: list[int], place: int, *, wait: float = _POLL, once: bool = False
) -> None:
    """Ask a node for what it has answered, again and again; the times are those at which the answer is here."""
    while True:
        try:
            found = await node.client.results(after[place], wait, texts=texts)
        except (*_TROUBLE, RefusedQuery):
            if once:
                return
            await asyncio.sleep(_PAUSE)
            continue
        now = driven.now()
        after[place] = found["last"]
        for answer in found["results"]:
            _note(driven, answer, now, texts)
        if once:
            return


async def _collect_last(network: LocalNetwork, driven: Driven, texts: bool, after: list[int]) -> None:
    """What nodes have answered and nobody has asked for yet, when the run is stopped; a silent node is not waited for."""
    asked = [
        asyncio.ensure_future(_collect(node, driven, texts, after, place, wait=0.0, once=True))
        for place, node in enumerate(network.nodes)
        if node.running
    ]
    try:
        if asked:
            await asyncio.wait(asked, timeout=_LAST_WORDS)
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


def _note(driven: Driven, answer: dict[str, Any], now: float, texts: bool) -> None:
    name = answer["id"]
    if not (name.startswith("p") and name[1:].isdecimal() and int(name[1:]) < driven.outcome.size):
        return  # somebody else's prompt
    place = int(name[1:])
    if driven.outcome[place] in (DONE, FAILED):
        return
    driven.outcome[place] = DONE if answer["state"] == "done" else FAILED
    driven.degraded[place] = bool(answer.get("degraded"))
    if answer["state"] == "done":
        driven.answered[place] = now
        if texts and answer.get("answer") is not None:
            driven.texts[place] = answer["answer"]


async def _settle(
    network: LocalNetwork, driven: Driven, senders: set[asyncio.Task[None]], stop: asyncio.Event, patience: float
) -> None:
    """Wait until every prompt has come to something, and no device has anything left to do."""
    before, since = driven.settled, time.monotonic()
    while not stop.is_set() and (senders or driven.settled < driven.outcome.size):
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK)
        if driven.settled > before:
            before, since = driven.settled, time.monotonic()
        elif time.monotonic() - since > patience:
            return
    until = time.monotonic() + patience
    while not stop.is_set() and time.monotonic() < until and not await _idle(network):
        await asyncio.sleep(_LOOK)


async def _idle(network: LocalNetwork) -> bool:
    found = await asyncio.gather(*(_status(node) for node in network.nodes))
    queues = [each.get("queue", {"waiting": 1}) for each in found if each is not None]
    return all(not queue["waiting"] and queue["in_service"] is None for queue in queues)


async def _status(node: NodeProcess) -> dict[str, Any] | None:
    """How a node stands; None where nobody answers, nothing where it does not say."""
    try:
        return dict(await node.client.status())
    except RefusedQuery:  # it is full, or stopping
        return {}
    except _TROUBLE:
        return None


async def _watch(network: LocalNetwork, driven: Driven, watch: Callable[[Snapshot], None] | None, every: float) -> None:
    """Note the memory of the nodes once a second; tell whoever watches how things stand."""
    noted = -np.inf
    while True:
        now = driven.now()
        resident = tuple(resident_bytes(node.pid) if node.running else None for node in network.nodes)
        if now - noted >= 1:
            driven.resident.append((now, resident))
            noted = now
        if watch is not None:
            found = await asyncio.gather(*(_status(node) for node in network.nodes))
            watch(_snapshot(driven, now, [each or {} for each in found], resident))
        await asyncio.sleep(min(every, 1.0))


def _snapshot(driven: Driven, now: float, found: list[dict[str, Any]], resident: tuple[int | None, ...]) -> Snapshot:
    queues = [each.get("queue", {}) for each in found]
    return Snapshot(
        time=now,
        sent=int((~np.isnan(driven.sent)).sum()),
        answered=int((driven.outcome == DONE).sum()),
        refused=int((driven.outcome == REFUSED).sum()),
        recent=driven.recent(),
        waiting=tuple(queue.get("waiting", 0) for queue in queues),
        in_service=tuple(int(queue.get("in_service") is not None) for queue in queues),
        open_prompts=tuple(each.get("queries", {}).get("open", 0) for each in found),
        served=tuple(each.get("jobs", {}).get("served", 0) for each in found),
        resident=resident,
    )
