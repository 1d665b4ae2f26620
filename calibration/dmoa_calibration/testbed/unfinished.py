"""What the process before left unfinished, read from its journal; an entry that cannot be read is set aside, with a word."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError

from dmoa_calibration.testbed.journal import Journal
from dmoa_calibration.testbed.protocol.messages import InferenceRequest, InferenceResponse, QueryId
from dmoa_calibration.testbed.query import Query

__all__ = ["SavedStage", "UnfinishedJob", "UnfinishedQuery", "ending", "unfinished_jobs", "unfinished_queries", "unreadable"]

_PLACES = TypeAdapter(list[Annotated[list[str], Field(min_length=1)]])
_LOST = "the entry of this query in the node's journal cannot be read; ask again, under another id"


def _encodable(text: str) -> str:
    text.encode()  # raises a ValueError where bytes were no text
    return text


@dataclass(slots=True)
class SavedStage:
    """How far a stage of a query had come; ``queued_wall`` is when it joined the own queue."""

    places: list[list[str]]
    queued_wall: float
    responses: dict[str, InferenceResponse] = field(default_factory=dict)


class UnfinishedQuery(BaseModel):
    """A prompt that has no answer yet."""

    model_config = ConfigDict(strict=True)

    id: QueryId
    prompt: Annotated[str, AfterValidator(_encodable)]
    arrived_wall: FiniteFloat
    resumed: Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class UnfinishedJob:
    """A job of another node that is not served, where ``response`` is None, or whose response is not delivered."""

    request: InferenceRequest
    response: InferenceResponse | None
    queued_wall: float


def ending(which: str) -> str:
    """The statement that ends a query: state, wall time, answer, and what ``which`` compares."""
    return (
        "update queries set state = ?, ended_wall = ?, answer = ?,"
        " ended = (select coalesce(max(ended), 0) + 1 from queries where ended is not null)"
        f" where {which} = ? and ended is null"
    )


def unfinished_queries(journal: Journal) -> Iterator[tuple[UnfinishedQuery, dict[int, SavedStage]]]:
    """Queries in the order in which they came, with their stages as far as they can be gone on from."""
    rows = journal.read_now(
        "select rowid, id, prompt, arrived_wall, resumed from queries where ended is null order by arrived_wall, rowid"
    )
    for rowid, *row in rows:
        given = dict(zip(UnfinishedQuery.model_fields, row, strict=True))
        try:
            query = UnfinishedQuery.model_validate(given)
        except ValidationError:
            _set_aside(journal, rowid, given["id"])
        else:
            yield query, _saved(journal, query.id)


def unreadable(query_id: object) -> dict[str, Any]:
    """What is told of a query whose entry cannot be read."""
    wall = time.time()
    name = str(query_id).encode("ascii", errors="backslashreplace").decode()
    return Query(name, "", wall, None).account("failed", error=_LOST, ended_wall=wall)


def _set_aside(journal: Journal, rowid: int, query_id: object) -> None:
    """End a query as failed, so that nobody waits for it; what is left of its prompt stays in the file."""
    answer = unreadable(query_id)
    row = answer["state"], answer["ended_wall"], json.dumps(answer), rowid
    journal.set_aside("queries", str(query_id), (ending("rowid"), row))


def _saved(journal: Journal, query_id: str) -> dict[int, SavedStage]:
    """Stages as far as they can be gone on from: each but the last has an answer; the rest is asked for again."""
    asked = journal.read_now("select stage, asked, queued_wall from stages where query = ? order by stage", (query_id,))
    rows = journal.read_now("select stage, device, response from responses where query = ?", (query_id,))
    saved: dict[int, SavedStage] = {}
    for stage, places, queued in asked:
        if stage != len(saved) or (stage and not saved[stage - 1].responses):
            break
        try:
            saved[stage] = SavedStage(_PLACES.validate_json(places), _time(queued))
        except ValidationError:
            break
        devices = {device for place in saved[stage].places for device in place}
        for at, device, response in rows:
            if at == stage and device in devices:
                with suppress(ValidationError):
                    found = InferenceResponse.model_validate_json(response)
                    if found.device == device:
                        saved[stage].responses[device] = found
    return saved


def unfinished_jobs(journal: Journal) -> Iterator[UnfinishedJob]:
    """Jobs in the order in which they came."""
    rows = journal.read_now(
        "select number, job, state, request, response, queued_wall from jobs where state <> 'delivered' order by number"
    )
    for number, job, state, asked, answered, queued in rows:
        try:
            request = InferenceRequest.model_validate_json(asked)
            response = None if state == "queued" else InferenceResponse.model_validate_json(answered)
        except ValidationError:
            request, response = None, None
        if request is None or request.job != job:  # its origin asks again, for this is another process
            journal.set_aside("jobs", str(job), ("delete from jobs where number = ?", (number,)))
        else:
            yield UnfinishedJob(request, response, _time(queued))


def _time(queued: object) -> float:
    """When a job joined the queue; of one that does not say, before all others."""
    return queued if isinstance(queued, float) else 0.0
