"""The messages, typed and versioned: whatever does not fit is refused before anything is done with it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dmoa_calibration.testbed.config import Name, Url

__all__ = [
    "KINDS",
    "LATEST",
    "MOST_TOKENS",
    "VERSION",
    "ChatMessage",
    "ChatRequest",
    "GossipMessage",
    "InferenceRequest",
    "InferenceResponse",
    "Kind",
    "MemberRecord",
    "QueryId",
    "Submission",
    "job_id",
    "kind_of",
]

VERSION = 1
"""Of the messages between nodes; a node refuses those of another version."""

LATEST = 2**62
"""Largest incarnation and heartbeat."""

MOST_TOKENS = 10**9
"""Of a prompt or an answer."""

Kind = Literal["first", "later", "aggregate"]
KINDS: tuple[Kind, ...] = ("first", "later", "aggregate")

QueryId = Name
JobId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}:[A-Za-z0-9._-]{1,64}:\d{1,3}:[A-Za-z0-9._-]{1,64}$")]
_Stage = Annotated[int, Field(ge=0, le=999)]
_Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
_Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InferenceRequest(_Message):
    """One job for a device: answer this prompt, and send the response to where the origin's heartbeat comes from."""

    v: Literal[1] = 1
    job: JobId
    query: QueryId
    stage: _Stage
    kind: Kind
    origin: Name
    k: Annotated[int, Field(ge=0, le=10**4)]
    prompt: str


class InferenceResponse(_Message):
    """What came of a job; ``text`` is None where the device could not answer."""

    v: Literal[1] = 1
    job: JobId
    query: QueryId
    stage: _Stage
    device: Name
    text: str | None
    prompt_tokens: _Tokens = 0
    output_tokens: _Tokens = 0
    service_s: _Seconds = 0.0
    error: Annotated[str, StringConstraints(max_length=300)] | None = None


class MemberRecord(_Message):
    """What one node tells of another, or of itself."""

    name: Name
    url: Url
    incarnation: Annotated[int, Field(ge=0, le=LATEST)]
    heartbeat: Annotated[int, Field(ge=0, le=LATEST)]
    left: bool = False


class GossipMessage(_Message):
    """All that a node knows of the others; the answer is the same from the other side."""

    v: Literal[1] = 1
    sender: Name
    members: Annotated[list[MemberRecord], Field(max_length=10_000)]


class Submission(_Message):
    """A prompt of the device's own user; the id makes sending it twice harmless."""

    prompt: Annotated[str, StringConstraints(min_length=1)]
    id: QueryId | None = None


class ChatMessage(BaseModel):
    """One turn of a conversation, as OpenAI's interface has it; content may come in text parts."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[dict[str, object]]


class ChatRequest(BaseModel):
    """What of OpenAI's chat request matters here; the rest is accepted and not used."""

    model: str = "dmoa"
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1000)]
    stream: bool = False
    n: Literal[1] | None = None


def job_id(origin: str, query: str, stage: int, device: str) -> str:
    """Name of a job, the same whenever it is asked for again."""
    return f"{origin}:{query}:{stage}:{device}"


def kind_of(stage: int, layers: int) -> Kind:
    """Which service law a stage follows; without layers the only stage is served as a first one.

    Examples
    --------
    >>> [kind_of(stage, 2) for stage in range(3)], kind_of(0, 0)
    (['first', 'later', 'aggregate'], 'first')
    """
    if stage == 0:
        return "first"
    return "later" if stage < layers else "aggregate"
