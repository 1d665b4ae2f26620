"""OpenAI's chat interface: any client talks to its own device, and gets the answer of all."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import Any

from aiohttp import web

from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.protocol.messages import ChatRequest
from dmoa_calibration.testbed.server.client_routes import take_query
from dmoa_calibration.testbed.server.gate import Refusal, json_answer, parsed
from dmoa_calibration.testbed.wording import conversation_text

__all__ = ["MODEL", "add_openai_routes"]

MODEL = "dmoa"
_STILL_HERE = 10.0  # seconds between signs of life in a stream
_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


def add_openai_routes(app: web.Application, node: Node) -> None:
    """``/v1/models`` and ``/v1/chat/completions``."""

    async def models(request: web.Request) -> web.Response:
        about = {"id": MODEL, "object": "model", "created": 0, "owned_by": node.config.name}
        return json_answer({"object": "list", "data": [about]})

    async def chat(request: web.Request) -> web.StreamResponse:
        asked = parsed(ChatRequest, request)
        key = request.headers.get("Idempotency-Key", "")
        prompt = conversation_text([(turn.role, _text(turn.content)) for turn in asked.messages])
        if not prompt:
            raise Refusal(400, "messages: no text")
        query_id = await take_query(node, prompt, _query_id(key))
        if asked.stream:
            return await _stream(node, request, query_id)
        answer = await _ended(node, query_id)
        if answer["state"] != "done":
            raise Refusal(502, answer["error"] or "no answer", code="no_answer")
        return json_answer(_completion(answer))

    app.router.add_get("/v1/models", models, allow_head=False)
    app.router.add_post("/v1/chat/completions", chat)


def _query_id(key: str) -> str | None:
    """The id that a client gives a request so that it is done once; what cannot be an id has one made of it."""
    if not key or _ID.fullmatch(key):
        return key or None
    return hashlib.blake2b(key.encode("utf-8", errors="surrogateescape"), digest_size=16).hexdigest()


def _text(content: str | list[dict[str, object]]) -> str:
    if isinstance(content, str):
        return content
    if any(part.get("type") != "text" or not isinstance(part.get("text"), str) for part in content):
        raise Refusal(400, "messages: text parts only")
    return "\n".join(str(part["text"]) for part in content)


async def _ended(node: Node, query_id: str) -> dict[str, Any]:
    while True:
        answer = await node.home.answer(query_id, wait=60.0)
        if answer is None:
            raise Refusal(410, "the answer is not kept any more", code="gone")
        if answer["state"] in ("done", "failed"):
            return answer


def _usage(answer: dict[str, Any]) -> dict[str, int]:
    """Tokens of all inferences that the answer took."""
    made = [response for layer in answer["layers"] for response in layer["responses"]]
    read, written = (sum(response[key] for response in made) for key in ("prompt_tokens", "output_tokens"))
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def _about(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: answer[key] for key in ("id", "layers", "degraded", "notes")}


def _completion(answer: dict[str, Any]) -> dict[str, Any]:
    message = {"role": "assistant", "content": answer["answer"], "refusal": None}
    return {
        "id": f"chatcmpl-{answer['id']}",
        "object": "chat.completion",
        "created": int(answer["arrived_wall"]),
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": _usage(answer),
        "dmoa": _about(answer),
    }


async def _stream(node: Node, request: web.Request, query_id: str) -> web.StreamResponse:
    """The answer as an event stream of one piece, with a comment now and then while it is not there."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    waiting = asyncio.create_task(_ended(node, query_id))
    try:
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_STILL_HERE)
            if not waiting.done():
                await response.write(b": still at work\n\n")
        try:
            answer = waiting.result()
            failed = None if answer["state"] == "done" else answer["error"] or "no answer"
        except Refusal as refusal:
            failed = refusal.message
        if failed is not None:
            await _send(response, {"error": {"message": failed, "type": "no_answer", "code": None}})
        else:
            head: dict[str, Any] = {"id": f"chatcmpl-{query_id}", "object": "chat.completion.chunk", "model": MODEL}
            head |= {"created": int(answer["arrived_wall"])}
            delta = {"role": "assistant", "content": answer["answer"]}
            await _send(response, head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            last = {"index": 0, "delta": {}, "finish_reason": "stop"}
            await _send(response, head | {"choices": [last], "usage": _usage(answer), "dmoa": _about(answer)})
        await response.write(b"data: [DONE]\n\n")
    except ConnectionError:  # whoever asked has gone; the answer is kept
        return response
    finally:
        waiting.cancel()
    return response


async def _send(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
