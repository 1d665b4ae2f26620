"""How a server wants to be asked, found out by asking: which path, token ids or text, and whose clock tells the times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_calibration.backends.http_client import HttpClient, RefusedError
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["Answer", "Server", "Way", "find_server", "find_way"]

_PROBE = "The quick brown fox jumps over the lazy dog"
_PROBE_IDS = [310, 320, 330, 340, 350, 360, 370, 380]
_FINAL = (401, 403, 429)  # asking in another way will not help
_SHARED_START = 1  # a begin-of-text token from a cache saves no work worth mentioning


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back: counts as the server gives them, and seconds to the first token and from there to the last.

    ``server_clock`` says whether the seconds are the server's own, rather than those at which its chunks came; chunks that came
    in one piece leave no time for decoding.
    """

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int
    prefill_s: float
    decode_s: float
    server_clock: bool

    def timing(self) -> Timing:
        """As a sample."""
        cached = 0 if self.cached_tokens <= _SHARED_START else self.cached_tokens
        return Timing(
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
            prefill_s=self.prefill_s,
            decode_s=self.decode_s,
            cached_tokens=cached,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server tells about itself and the model; None where it tells nothing."""

    api: str  # path of the OpenAI API, such as /v1
    root: str  # path before it
    kind: str
    model: str  # as it wants to be asked for
    n_ctx: int | None = None
    vocabulary: int | None = None
    n_params: int | None = None
    weight_bytes: int | None = None
    dtype: str = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way of asking.

    Parameters
    ----------
    path : str
    chat : bool
        Whether the prompt is a user's message, wrapped in a template, rather than the bare text.
    takes_ids : bool
        Whether prompts are token ids.
    extras : bool
        Whether options beyond OpenAI's are sent: no stop token, no prompt cache.
    ollama : bool
        Whether it is Ollama's own interface, which tells times.
    server_clock : bool
        Whether the answers hold the server's own times.
    """

    path: str
    chat: bool = False
    takes_ids: bool = False
    extras: bool = True
    ollama: bool = False
    server_clock: bool = False

    def describe(self) -> str:
        """In words, for the profile."""
        return f"{self.path} with {'token ids' if self.takes_ids else 'texts'}"

    def ask(self, client: HttpClient, server: Server, prompt: list[int] | str, output_tokens: int) -> Answer:
        """Ask once.

        Raises
        ------
        RefusedError
            When the server refuses, or its answer says too little.
        CalibrationError
            When there is no answer.
        """
        if self.ollama:
            return _ollama_answer(client, self.path, server, prompt, output_tokens)
        body: dict[str, Any] = {"model": server.model, "max_tokens": output_tokens, "temperature": 0, "stream": True}
        body |= {"messages": [{"role": "user", "content": prompt}]} if self.chat else {"prompt": prompt}
        body |= {"stream_options": {"include_usage": True}}
        if self.extras:
            body |= {"ignore_eos": True, "min_tokens": output_tokens, "cache_prompt": False}
        return _streamed_answer(client, self.path, body)


def find_server(client: HttpClient, model: str | None) -> Server:
    """Ask a server what it is and which models it has.

    Raises
    ------
    InputError
        When it does not have the model, or has several and none was named.
    CalibrationError
        When it is not there, or refuses the key.
    """
    last = client.path.rsplit("/", 1)[-1]
    has_version = last.startswith("v") and last[1:].isdigit()
    api = client.path if has_version else f"{client.path}/v1"
    root = client.path.removesuffix(f"/{last}") if has_version else client.path
    try:
        listed = client.get(f"{api}/models")
        found = [one for one in listed["data"] if isinstance(one.get("id"), str)]
    except RefusedError as refused:
        if refused.status in _FINAL:
            raise
        found = []
    except (TypeError, KeyError, AttributeError):
        found = []
    chosen = _choose(client, found, model)
    version = _ollama_version(client, root)
    owner = chosen.get("owned_by")
    kind = f"ollama {version}" if version else client.clean(owner) if isinstance(owner, str) and owner else "a server"
    meta = chosen.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    return Server(
        api=api,
        root=root,
        kind=kind,
        model=chosen["id"],
        n_ctx=_count(meta.get("n_ctx")) or _count(chosen.get("max_model_len")),
        vocabulary=_count(meta.get("n_vocab")),
        n_params=_count(meta.get("n_params")),
        weight_bytes=_count(meta.get("size")),
        dtype=client.clean(str(meta["ftype"])).lower() if meta.get("ftype") else "unknown",
    )


def find_way(client: HttpClient, server: Server) -> Way:
    """Try the ways of asking, the most exact first, until one works.

    Raises
    ------
    CalibrationError
        When none does, with what the server said to the first that it seemed to know.
    """
    complaint: RefusedError | None = None
    for way in _ways(server):
        try:
            answer = way.ask(client, server, _PROBE_IDS if way.takes_ids else _PROBE, 2)
        except RefusedError as refused:
            if refused.status in _FINAL:
                raise
            if complaint is None or (complaint.status in (404, 405) and refused.status not in (404, 405)):
                complaint = refused
            continue
        if not way.takes_ids or answer.prompt_tokens == len(_PROBE_IDS):
            return replace(way, server_clock=answer.server_clock)
    assert complaint is not None
    raise complaint


def _ways(server: Server) -> Iterator[Way]:
    if server.kind.startswith("ollama"):
        yield Way(path=f"{server.root}/api/generate", ollama=True)
    bare, chat = f"{server.api}/completions", f"{server.api}/chat/completions"
    yield Way(path=bare, takes_ids=True)
    yield Way(path=bare)
    yield Way(path=bare, extras=False)
    yield Way(path=chat, chat=True)
    yield Way(path=chat, chat=True, extras=False)


def _choose(client: HttpClient, found: list[dict[str, Any]], model: str | None) -> dict[str, Any]:
    """The model's entry in the server's list."""
    names = [one["id"] for one in found]
    if model is None:
        if len(found) == 1:
            return found[0]
        there = client.clean(", ".join(names)) if names else "this server does not tell which it has"
        raise InputError("model", InputError.MISSING, f"the name of one at the server: {there}")
    for one in found:
        aliases = one.get("aliases")
        known = {one["id"], one["id"].removesuffix(":latest"), *(aliases if isinstance(aliases, list) else [])}
        if model in known:
            return one
    if found:
        raise InputError("model", model, f"one that is at the server: {client.clean(', '.join(names))}")
    return {"id": model}


def _ollama_version(client: HttpClient, root: str) -> str | None:
    try:
        told = client.get(f"{root}/api/version")
    except RefusedError:
        return None
    version = told.get("version") if isinstance(told, dict) else None
    return client.clean(version) if isinstance(version, str) else None


def _ollama_answer(client: HttpClient, path: str, server: Server, prompt: list[int] | str, output_tokens: int) -> Answer:
    options = {"num_predict": output_tokens, "temperature": 0, "num_ctx": server.n_ctx}
    told = client.post(path, {"model": server.model, "prompt": prompt, "raw": True, "stream": False, "options": options})
    told = told if isinstance(told, dict) else {}
    counts = [_count(told.get(key)) for key in ("prompt_eval_count", "eval_count", "prompt_eval_duration", "eval_duration")]
    read, wrote, prefill, decode = counts
    if read is None or wrote is None or prefill is None or decode is None:
        raise RefusedError(f"{client.shown}{path} does not say how many tokens it read and wrote, and how long that took", 200)
    return Answer(
        prompt_tokens=read,
        output_tokens=wrote,
        cached_tokens=_count(told.get("prompt_eval_cached_count")) or 0,
        prefill_s=prefill / 1e9,
        decode_s=decode / 1e9,
        server_clock=True,
    )


def _streamed_answer(client: HttpClient, path: str, body: dict[str, Any]) -> Answer:
    """Read a stream to its end; the server's own times are preferred to the moments at which its chunks came."""
    started = time.perf_counter()
    first = first_text = last = None
    usage: Any = None
    times = None
    for stamp, event in client.stream(path, body):
        usage = event.get("usage") or usage
        times = _times(event) or times
        if event.get("choices"):
            first, last = first or stamp, stamp
            if first_text is None and _text(event["choices"]):
                first_text = stamp
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if times is not None:
        read, wrote, from_cache, prefill, decode = times
        told = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
        if None not in told and told != (read + from_cache, wrote):
            raise CalibrationError(
                f"{client.shown} contradicts itself: {told[0]} + {told[1]} tokens in its usage, {read + from_cache} + {wrote}"
                " in its timings"
            )
        return Answer(
            prompt_tokens=read + from_cache,
            output_tokens=wrote,
            cached_tokens=from_cache,
            prefill_s=prefill,
            decode_s=decode,
            server_clock=True,
        )
    read_, wrote_ = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if read_ is None or wrote_ is None:
        raise RefusedError(f"{client.shown}{path} does not say how many tokens it read and wrote (no usage in its stream)", 200)
    first = first_text or first
    if first is None or last is None:
        raise RefusedError(f"{client.shown}{path} sends no tokens", 200)
    return Answer(
        prompt_tokens=read_,
        output_tokens=wrote_,
        cached_tokens=cached or 0,
        prefill_s=first - started,
        decode_s=last - first,
        server_clock=False,
    )


def _times(event: dict[str, Any]) -> tuple[int, int, int, float, float] | None:
    """Tokens read, written and cached, and seconds of both spans, from llama.cpp's ``timings``; None where there are none."""
    told = event.get("timings")
    if not isinstance(told, dict):
        return None
    read, wrote, cached = (_count(told.get(key)) for key in ("prompt_n", "predicted_n", "cache_n"))
    spans = told.get("prompt_ms"), told.get("predicted_ms")
    prefill, decode = spans
    if read is None or wrote is None or not isinstance(prefill, int | float) or not isinstance(decode, int | float):
        return None
    return read, wrote, cached or 0, prefill / 1e3, decode / 1e3


def _text(choices: Any) -> bool:
    """Whether a chunk carries text, an answer's or a thought's."""
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    delta = choice.get("delta")
    delta = delta if isinstance(delta, dict) else {}
    return bool(choice.get("text") or delta.get("content") or delta.get("reasoning_content") or delta.get("reasoning"))


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
