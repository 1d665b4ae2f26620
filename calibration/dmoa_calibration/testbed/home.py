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
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from dmoa_calibration.testbed.asking import NeighbourDesk
from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.journal import Journal, Statement
from dmoa_calibration.testbed.protocol.messages import InferenceResponse, kind_of
from dmoa_calibration.testbed.query import Query
from dmoa_calibration.testbed.stage_run import StageOutcome, StageRun
from dmoa_calibration.testbed.wording import aggregation_prompt

__all__ = ["Home", "OtherPromptError"]

_log = logging.getLogger("dmoa.testbed")
_LATENCIES = 1000
_LONGEST_START = 3.0  # seconds that the first layer waits for the network to be heard of
_PLACES = TypeAdapter(list[Annotated[list[str], Field(min_length=1)]])
_ENDING = (
    "update queries set state = ?, ended_wall = ?, answer = ?,"
    " ended = (select coalesce(max(ended), 0) + 1 from queries where ended is not null) where id = ? and ended is null"
)


class OtherPromptError(Exception):
    """An id was used before, for another prompt."""


@dataclass(slots=True)
class _Saved:
    """How far a stage of a query had come."""

    places: list[list[str]]
    responses: dict[str, InferenceResponse] = field(default_factory=dict)


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
        Set when the first other node has been heard of.
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
        ended = self._journal.read_now("select id from queries where ended is not null order by ended")
        self._ended_ids.update((query_id, None) for (query_id,) in ended)
        rows = self._journal.read_now(
            "select id, prompt, arrived_wall, resumed from queries where ended is null order by arrived_wall, rowid"
        )
        for query_id, prompt, wall, resumed in rows:
            saved = self._saved(query_id)
            query = Query(query_id, prompt, wall, None, resumed + 1)
            self._journal.note(("update queries set resumed = resumed + 1 where id = ?", (query_id,)))
            self._log.add("query_resumed", query=query_id, stage=max(saved, default=0))
            self._begin(query, saved)

    def _forget_other_plans(self) -> None:
        """Where layers or neighbours are others than the process before had, its queries begin anew: stages do not fit."""
        plan = self._config.moa.model_dump_json()
        before = self._journal.read_now("select value from facts where name = 'moa'")
        if before and before[0][0] != plan:
            self._journal.note(("delete from stages", ()), ("delete from responses", ()))
        self._journal.note(("insert or replace into facts values ('moa', ?)", (plan,)))

    def _saved(self, query_id: str) -> dict[int, _Saved]:
        """Stages as far as they can be gone on from: each but the last has an answer."""
        asked = self._journal.read_now("select stage, asked from stages where query = ? order by stage", (query_id,))
        rows = self._journal.read_now("select stage, device, response from responses where query = ?", (query_id,))
        saved: dict[int, _Saved] = {}
        for stage, places in asked:
            if stage != len(saved) or (stage and not saved[stage - 1].responses):
                break
            try:
                saved[stage] = _Saved(_PLACES.validate_json(places))
            except ValidationError:
                break
            devices = {device for place in saved[stage].places for device in place}
            for at, device, response in rows:
                if at == stage and device in devices:
                    with suppress(ValidationError):  # what cannot be read is asked for again
                        saved[stage].responses[device] = InferenceResponse.model_validate_json(response)
        return saved

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

    def _begin(self, query: Query, saved: dict[int, _Saved]) -> asyncio.Task[None]:
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

    async def _run(self, query: Query, saved: dict[int, _Saved]) -> None:
        try:
            text, error = await self._layers(query, saved)
        except Exception as fault:  # a fault of ours must not leave the user without a word
            _log.error("a query failed: %s", type(fault).__name__)
            text, error = None, f"the node failed: {type(fault).__name__}"
        await self._end(query, text, error)

    async def _layers(self, query: Query, saved: dict[int, _Saved]) -> tuple[str | None, str | None]:
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

    async def _stage(self, query: Query, stage: int, prompt: str, saved: dict[int, _Saved]) -> StageOutcome:
        """Run a stage, or read what came of it where a later one has begun already."""
        config, moa = self._config, self._config.moa
        at_home = stage == moa.M
        k = 0 if at_home else moa.k
        if not at_home and stage + 1 not in saved:
            await self._network_is_heard_of()
        places = (
            saved[stage].places if stage in saved else [[config.name]] + [[d] for d in self._desk.choose(query.id, stage, k)]
        )
        known = saved[stage].responses if stage in saved else {}
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
                timeout=config.timeouts.response,
                replacements=config.timeouts.replacements,
            )
            if stage + 1 in saved:
                outcome = _as_it_was(run, known, quorum)
            else:
                self._started(query, run, again=attempt > 0 or stage in saved)
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
            (_ENDING, (state, wall, json.dumps(answer), query.id)),
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
        rows = await self._journal.read("select answer from queries where id = ? and ended is not null", (query_id,))
        return json.loads(rows[0][0]) if rows else None

    async def results(self, after: int, limit: int, wait: float) -> list[dict[str, Any]]:
        """Queries that ended after the one of that number, in order; waits for one if there is none."""
        until = time.monotonic() + wait
        while True:
            news = self._news
            rows = await self._journal.read(
                "select ended, answer from queries where ended > ? order by ended limit ?", (after, limit)
            )
            left = until - time.monotonic()
            if rows or left <= 0:
                return [json.loads(answer) | {"seq": ended} for ended, answer in rows]
            try:
                await asyncio.wait_for(news.wait(), left)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Leave everything as it is: the journal knows it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _keeping(response: InferenceResponse) -> tuple[str, tuple[Any, ...]]:
    row = response.query, response.stage, response.device, response.model_dump_json()
    return "insert or ignore into responses (query, stage, device, response) values (?, ?, ?, ?)", row


def _as_it_was(run: StageRun, known: dict[str, InferenceResponse], quorum: int) -> StageOutcome:
    """A stage that had ended before the process did."""
    order = run.asked
    responses = sorted(known.values(), key=lambda response: order.index(response.device))[:quorum]
    return StageOutcome(responses=responses, missing=quorum - len(responses), replaced=run.replaced)
