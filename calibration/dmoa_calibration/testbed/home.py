"""What a device does for its own user: Algorithm 1 of Mitra2024 for every prompt, from acceptance to one answer.

A prompt is on disk before it is acknowledged, and so is an answer before it is given; in between, whom each stage asked and
what they answered is written down as it happens, so that a process that starts anew goes on where the last one was killed.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from dmoa_calibration.testbed.asking import NeighbourDesk
from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.journal import Journal, Statement
from dmoa_calibration.testbed.protocol.messages import InferenceResponse, kind_of
from dmoa_calibration.testbed.query import Query
from dmoa_calibration.testbed.stage_run import StageOutcome, StageRun
from dmoa_calibration.testbed.unfinished import SavedStage, ending, unfinished_queries, unreadable
from dmoa_calibration.testbed.wording import aggregation_prompt

__all__ = ["Home", "OtherPromptError"]

_log = logging.getLogger("dmoa.testbed")
_LATENCIES = 1000
_LONGEST_START = 3.0  # seconds that the first layer waits for the network to be heard of


class OtherPromptError(Exception):
    """An id was used before, for another prompt."""


class Home:
    """The prompts of the device's own user.

    Parameters
    ----------
    config : NodeConfig
    journal : Journal
    log : EventLog
    desk : NeighbourDesk
        By which stages ask devices.
    joined : asyncio.Event
        Set when the other nodes have been heard of, from one that knows them.
    """

    def __init__(self, config: NodeConfig, journal: Journal, log: EventLog, desk: NeighbourDesk, joined: asyncio.Event) -> None:
        self._config, self._journal, self._log, self._desk, self._joined = config, journal, log, desk, joined
        self._open: dict[str, Query] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.accepted = self.done = self.failed = self.degraded = 0
        self.latencies: deque[float] = deque(maxlen=_LATENCIES)
        self.watchers: list[Callable[[float], None]] = []
        self.held_bytes = 0
        self._ended_ids: OrderedDict[str, None] = OrderedDict()
        self._news = asyncio.Event()

    @property
    def open(self) -> int:
        """Queries under way."""
        return len(self._open)

    # -- in -----------------------------------------------------------------------------------------------------------

    def resume(self) -> None:
        """Take over what the process before left unfinished, and the names of what it ended."""
        self._forget_other_plans()
        for left, saved in unfinished_queries(self._journal):
            self._journal.note(("update queries set resumed = resumed + 1 where id = ?", (left.id,)))
            self._log.add("query_resumed", query=left.id, stage=max(saved, default=0))
            self._begin(Query(left.id, left.prompt, left.arrived_wall, None, left.resumed + 1), saved)
        ended = self._journal.read_now("select id from queries where ended is not null order by ended")
        self._ended_ids.update((query_id, None) for (query_id,) in ended)

    def _forget_other_plans(self) -> None:
        """Where layers or neighbours are others than the process before had, its queries begin anew: stages do not fit."""
        plan = self._config.moa.model_dump_json()
        before = self._journal.read_now("select value from facts where name = 'moa'")
        if before and before[0][0] != plan:
            self._journal.note(("delete from stages", ()), ("delete from responses", ()))
        self._journal.note(("insert or replace into facts values ('moa', ?)", (plan,)))

    async def accept(self, query_id: str, prompt: str, check_room: Callable[[], None]) -> bool:
        """Take on a prompt; comes back when it is on disk. False if it was taken on before.

        What ``check_room`` raises for a prompt that is new goes to the caller; nothing comes between it and taking the room.

        Raises
        ------
        OtherPromptError
            When the id belongs to another prompt.
        sqlite3.Error
            When it cannot be written down; then it is not taken on.
        """
        known = self._open.get(query_id)
        if known is not None:
            if known.prompt != prompt:
                raise OtherPromptError
            if known.durable is not None:
                await asyncio.shield(known.durable)
            return False
        if query_id in self._ended_ids:
            rows = await self._journal.read("select prompt from queries where id = ?", (query_id,))
            if rows:
                if rows[0][0] != prompt:
                    raise OtherPromptError
                return False
        if query_id in self._open:
            return await self.accept(query_id, prompt, check_room)
        check_room()
        query = Query(query_id, prompt, time.time(), time.monotonic())
        self._log.add("query_arrived", at=query.arrived, query=query_id, user=self._config.name, bytes=len(prompt.encode()))
        row = query_id, query.arrived_wall, prompt
        query.durable = self._journal.write(("insert into queries (id, arrived_wall, prompt) values (?, ?, ?)", row))
        task = self._begin(query, {})  # at once: only the acknowledgement has to wait for the disk
        try:
            await asyncio.shield(query.durable)
        except sqlite3.Error:
            task.cancel()
            self._close(query)
            raise
        self.accepted += 1
        return True

    def receive(self, response: InferenceResponse) -> bool:
        """Take a response; False where nobody waits for it any more."""
        query = self._open.get(response.query)
        run = query.run if query is not None else None
        used = run is not None and run.stage == response.stage and run.receive(response)
        self._log.add(
            "response", job=response.job, query=response.query, stage=response.stage, device=response.device, used=used
        )
        if used and query is not None and response.text is not None:
            size = len(response.text.encode())
            query.held_bytes += size
            self.held_bytes += size
        return used

    async def keep(self, response: InferenceResponse) -> None:
        """Write a response down that :meth:`receive` took."""
        if response.text is not None:
            await self._journal.write(_keeping(response))

    def receive_own(self, response: InferenceResponse) -> None:
        """Take the own device's answer, which nobody waits to have acknowledged."""
        if self.receive(response) and response.text is not None:
            self._journal.note(_keeping(response))

    # -- Algorithm 1 --------------------------------------------------------------------------------------------------

    def _begin(self, query: Query, saved: dict[int, SavedStage]) -> asyncio.Task[None]:
        self._open[query.id] = query
        query.held_bytes = len(query.prompt.encode())
        self.held_bytes += query.held_bytes
        task = asyncio.create_task(self._run(query, saved))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _close(self, query: Query) -> None:
        if self._open.get(query.id) is query:
            del self._open[query.id]
            self.held_bytes -= query.held_bytes

    async def _run(self, query: Query, saved: dict[int, SavedStage]) -> None:
        try:
            text, error = await self._layers(query, saved)
        except Exception as fault:  # a fault of ours must not leave the user without a word
            _log.error("a query failed: %s", type(fault).__name__)
            text, error = None, f"the node failed: {type(fault).__name__}"
        await self._end(query, text, error)

    async def _layers(self, query: Query, saved: dict[int, SavedStage]) -> tuple[str | None, str | None]:
        """Answer of the last stage, or why there is none."""
        M = self._config.moa.M
        responses: list[InferenceResponse] = []
        for stage in range(M + 1):
            texts = [response.text or "" for response in responses]
            prompt = aggregation_prompt(query.prompt, texts) if stage else query.prompt
            outcome = await self._stage(query, stage, prompt, saved)
            responses = outcome.responses
            if not responses:
                reason = outcome.replaced[-1]["reason"] if outcome.replaced else "no reason given"
                return None, f"no answer in stage {stage}; the last device asked: {reason}"
        return responses[0].text, None

    async def _stage(self, query: Query, stage: int, prompt: str, saved: dict[int, SavedStage]) -> StageOutcome:
        """Run a stage, or read what came of it where a later one has begun already."""
        config, moa = self._config, self._config.moa
        at_home = stage == moa.M
        k = 0 if at_home else moa.k
        left = saved.get(stage)
        if left is None:
            if not at_home:
                await self._network_is_heard_of()
            places = [[config.name]] + [[d] for d in self._desk.choose(query.id, stage, k)]
        else:
            places = left.places
        known = {} if left is None else left.responses
        quorum = 1 if at_home else moa.quorum or k + 1
        for attempt in range(1 + config.timeouts.replacements if at_home else 1):
            run = query.run = StageRun(
                self._desk,
                query=query.id,
                stage=stage,
                kind=kind_of(stage, moa.M),
                k=moa.k if moa.M else 0,
                quorum=quorum,
                prompt=prompt,
                places=places,
                known=known,
                queued_wall=left.queued_wall if left is not None and attempt == 0 else None,
                timeout=config.timeouts.response,
                replacements=config.timeouts.replacements,
            )
            if stage + 1 in saved:
                outcome = _as_it_was(run, known, quorum)
            else:
                self._started(query, run, again=attempt > 0 or left is not None)
                run.ask_own()  # of a stage that was left: at once, to have its place in the queue again
                if not at_home:
                    await self._network_is_heard_of()
                outcome = await run.run()
            if outcome.responses:
                break
        answered = [response.device for response in outcome.responses]
        self._log.add("stage_ended", query=query.id, stage=stage, answered=answered, missing=quorum - len(answered))
        words = "the last inference" if at_home else f"layer {stage + 1}"
        query.note_stage(run, outcome, quorum=quorum, places=k + 1, words=words)
        return outcome

    async def _network_is_heard_of(self) -> None:
        """In a node that has just started, wait a moment until others have been heard of."""
        if self._config.seeds and not self._joined.is_set():
            try:
                await asyncio.wait_for(self._joined.wait(), _LONGEST_START)
            except TimeoutError:
                self._joined.set()  # it was waited for once

    def _started(self, query: Query, run: StageRun, *, again: bool) -> None:
        if not again:
            self._desk.asked_more(run)
        jobs = [self._desk.job(run, device) for device in run.asked]
        self._log.add(
            "stage_started",
            query=query.id,
            stage=run.stage,
            kind=run.kind,
            quorum=run.quorum,
            asked=run.asked,
            jobs=jobs,
            again=again,
        )

    async def _end(self, query: Query, text: str | None, error: str | None) -> None:
        """Write the answer down, then give it."""
        wall = time.time()
        latency = max(0.0, wall - query.arrived_wall) if query.arrived is None else time.monotonic() - query.arrived
        state = "done" if error is None else "failed"
        answer = query.account(state, answer=text, error=error, ended_wall=wall, latency_s=latency)
        statements: list[Statement] = [
            (ending("id"), (state, wall, json.dumps(answer), query.id)),
            ("delete from stages where query = ?", (query.id,)),
            ("delete from responses where query = ?", (query.id,)),
        ]
        self._ended_ids[query.id] = None
        while len(self._ended_ids) > self._config.limits.kept_answers:
            old, _ = self._ended_ids.popitem(last=False)
            statements.append(("delete from queries where id = ? and ended is not null", (old,)))
        while True:
            try:
                await self._journal.write(*statements)
                break
            except sqlite3.Error:  # the disk is full or broken: the answer is not given before it is written down
                await asyncio.sleep(1.0)
        self._log.add("query_ended", query=query.id, state=state, latency_s=latency, degraded=bool(query.notes))
        self._close(query)
        self.done += error is None
        self.failed += error is not None
        self.degraded += bool(query.notes)
        self.latencies.append(latency)
        for watch in self.watchers:
            watch(latency)
        query.over.set()
        self._news.set()
        self._news = asyncio.Event()

    # -- out ----------------------------------------------------------------------------------------------------------

    async def answer(self, query_id: str, wait: float = 0.0) -> dict[str, Any] | None:
        """What is known of a query, after waiting so long for its end; None if it was never accepted."""
        query = self._open.get(query_id)
        if query is not None and wait > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(query.over.wait(), wait)
        if query_id in self._open:
            query = self._open[query_id]
            return query.account("running" if query.run is not None else "accepted")
        rows = await self._journal.read("select id, answer from queries where id = ? and ended is not null", (query_id,))
        return _told(*rows[0]) if rows else None

    async def results(self, after: int, limit: int, wait: float) -> list[dict[str, Any]]:
        """Queries that ended after the one of that number, in order; waits for one if there is none."""
        until = time.monotonic() + wait
        while True:
            news = self._news
            rows = await self._journal.read(
                "select ended, id, answer from queries where ended > ? order by ended limit ?", (after, limit)
            )
            left = until - time.monotonic()
            if rows or left <= 0:
                return [_told(query_id, answer) | {"seq": ended} for ended, query_id, answer in rows]
            try:
                await asyncio.wait_for(news.wait(), left)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Leave everything as it is: the journal knows it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _told(query_id: str, answer: Any) -> dict[str, Any]:
    """An answer as it was written down; where it cannot be read, that."""
    with suppress(ValueError, TypeError):
        return dict(json.loads(answer))
    return unreadable(query_id)


def _keeping(response: InferenceResponse) -> tuple[str, tuple[Any, ...]]:
    row = response.query, response.stage, response.device, response.model_dump_json()
    return "insert or ignore into responses (query, stage, device, response) values (?, ?, ?, ?)", row


def _as_it_was(run: StageRun, known: dict[str, InferenceResponse], quorum: int) -> StageOutcome:
    """A stage that had ended before the process did."""
    order = run.asked
    responses = sorted(known.values(), key=lambda response: order.index(response.device))[:quorum]
    return StageOutcome(responses=responses, missing=quorum - len(responses), replaced=run.replaced)
