"""How a stage reaches devices: the own queue, and neighbours over the network."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

from dmoa_calibration.testbed.choice import choose_neighbours, generator_for
from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.journal import Journal
from dmoa_calibration.testbed.protocol.membership import Membership, MemberState
from dmoa_calibration.testbed.protocol.messages import InferenceRequest, InferenceResponse, job_id
from dmoa_calibration.testbed.protocol.peers import PeerError, Peers
from dmoa_calibration.testbed.stage_run import Delivered, StageRun
from dmoa_calibration.testbed.work_queue import Work, WorkQueue

__all__ = ["INFER_PATH", "NeighbourDesk"]

INFER_PATH = "/peer/v1/infer"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two tries


class NeighbourDesk:
    """Puts jobs into the own queue and brings them to neighbours.

    Parameters
    ----------
    config : NodeConfig
    queue : WorkQueue
    peers : Peers or None
        None in a node without a key, which has no neighbours.
    membership : Membership
    journal : Journal
    log : EventLog
    """

    def __init__(
        self, config: NodeConfig, queue: WorkQueue, peers: Peers | None, membership: Membership, journal: Journal, log: EventLog
    ) -> None:
        self.own = config.name
        self._config, self._queue, self._peers, self._membership = config, queue, peers, membership
        self._journal, self._log = journal, log
        self._changes: dict[str, asyncio.Future[None]] = {}
        self._began = time.monotonic()
        self.receive_own: Callable[[InferenceResponse], None] = lambda response: None

    # -- whom to ask ------------------------------------------------------------------------------------------------

    def choose(self, query: str, stage: int, k: int) -> list[str]:
        """Draw the neighbours of a layer."""
        return self._draw(k, set(), query, stage) if k else []

    def substitute(self, run: StageRun) -> str | None:
        """Draw one that was not asked yet, by the weights of those that are left."""
        asked = run.asked
        drawn = self._draw(1, set(asked), run.query, run.stage, len(asked))
        if not drawn:
            return None
        return drawn[0]

    def _draw(self, k: int, without: set[str], *about: object) -> list[str]:
        if self._peers is None:
            return []
        weights = self._config.neighbours
        there = self._membership.reachable()
        candidates = [name for name in there if name not in without and (weights is None or name in weights)]
        return choose_neighbours(candidates, weights, k, generator_for(self._config.seed, "neighbours", self.own, *about))

    # -- asking -----------------------------------------------------------------------------------------------------

    def job(self, run: StageRun, device: str) -> str:
        """Name of a stage's job at a device."""
        return job_id(self.own, run.query, run.stage, device)

    def ask_own(self, run: StageRun) -> None:
        """Join the own queue."""
        self._queue.put(
            Work(
                job=self.job(run, self.own),
                query=run.query,
                stage=run.stage,
                kind=run.kind,
                origin=self.own,
                k=run.k,
                prompt=run.prompt,
                done=self.receive_own,
                queued_wall=run.queued_wall,
            )
        )

    async def ask(self, device: str, run: StageRun) -> Delivered:
        """Bring a job to a neighbour: once in any case, again as long as the stage lasts and the neighbour is there."""
        assert self._peers is not None
        request = InferenceRequest(
            job=self.job(run, device),
            query=run.query,
            stage=run.stage,
            kind=run.kind,
            origin=self.own,
            k=run.k,
            prompt=run.prompt,
        )
        pause = _FIRST_PAUSE
        while True:
            member = self._membership.member(device)
            if member is not None:
                try:
                    answer = await self._peers.post(member.record.url, INFER_PATH, request, device)
                    if answer.status in (200, 202):
                        return Delivered()
                    if answer.status == 429:
                        return Delivered("its queue is full", answer.retry_after)
                    if answer.status < 500:
                        return Delivered(f"it refused the job (HTTP {answer.status})")
                except PeerError:
                    pass  # it may be back soon; that it is dead is for membership to say
            gone, _ = self.whereabouts(device)
            if run.over or gone is not None:
                return Delivered(gone or "the stage is over")
            if member is None:
                await asyncio.wait([self.next_change(device)], timeout=pause)
            else:
                await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def asked_more(self, run: StageRun) -> None:
        """Write down whom a stage asks, and note the last replacement among the events."""
        self._journal.note(
            (
                "insert into stages (query, stage, asked, queued_wall) values (?, ?, ?, ?)"
                " on conflict do update set asked = excluded.asked",
                (run.query, run.stage, json.dumps(run.places), time.time()),
            )
        )
        if run.replaced:
            last = run.replaced[-1]
            self._log.add("replaced", query=run.query, stage=run.stage, **last)

    # -- who is there -----------------------------------------------------------------------------------------------

    def whereabouts(self, device: str) -> tuple[str | None, int]:
        """Why a neighbour cannot be waited for, if so, and the incarnation of its process.

        One that the process before this one asked may not have been heard of yet: it has as long as any other may be silent.
        """
        now = time.monotonic()
        state = self._membership.state(device, now)
        member = self._membership.member(device)
        if state is None or member is None:
            return None if now - self._began <= self._config.timeouts.dead else "it is not known any more", 0
        gone = {MemberState.DEAD: "it is taken for dead", MemberState.LEFT: "it has left"}.get(state)
        return gone, member.record.incarnation

    def next_change(self, device: str) -> asyncio.Future[None]:
        """Settled when the state or incarnation of a neighbour changes."""
        future = self._changes.get(device)
        if future is None or future.done():
            future = self._changes[device] = asyncio.get_running_loop().create_future()
        return future

    def changed(self, device: str) -> None:
        """Tell those who wait for a neighbour that it is not as it was."""
        member = self._membership.member(device)
        self._log.add("member", member=device, state="forgotten" if member is None else member.state)
        future = self._changes.pop(device, None)
        if future is not None and not future.done():
            future.set_result(None)
