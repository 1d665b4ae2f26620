"""Endpoints for the programs of the device's own user."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from functools import partial

from aiohttp import web

from dmoa_calibration.testbed.home import OtherPromptError
from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.protocol.messages import Submission
from dmoa_calibration.testbed.server.gate import Refusal, json_answer, parsed, public

__all__ = ["add_client_routes", "take_query"]

_LONGEST_WAIT = 60.0
_MOST_RESULTS = 1000


async def take_query(node: Node, prompt: str, query_id: str | None) -> str:
    """Accept a prompt, and give its id; it is on disk then.

    Raises
    ------
    Refusal
        When it is too long, or cannot be kept.
    NodeFullError
        When there is no room.
    """
    size = len(prompt.encode("utf-8", errors="replace"))
    if size > node.config.limits.prompt_bytes:
        raise Refusal(413, f"a prompt has at most {node.config.limits.prompt_bytes} bytes", code="too_long")
    query_id = query_id or secrets.token_hex(12)
    try:
        # what has begun is finished, even if the client goes away meanwhile
        await asyncio.shield(node.home.accept(query_id, prompt, partial(node.check_room_for_query, size)))
    except OtherPromptError:
        raise Refusal(409, "this id belongs to another prompt", code="conflict") from None
    except sqlite3.Error:
        raise Refusal(503, "the prompt could not be written down", headers={"Retry-After": "5"}, code="disk") from None
    return query_id


def add_client_routes(app: web.Application, node: Node) -> None:
    """Submit, ask for answers, status, health."""

    async def submit(request: web.Request) -> web.Response:
        message = parsed(Submission, request)
        query_id = await take_query(node, message.prompt, message.id)
        answer = await node.home.answer(query_id)
        state = "accepted" if answer is None else answer["state"]
        return json_answer({"id": query_id, "state": state}, 202)

    async def query(request: web.Request) -> web.Response:
        wait = _number(request, "wait", 0.0, _LONGEST_WAIT)
        answer = await node.home.answer(request.match_info["id"], wait)
        if answer is None:
            raise Refusal(404, "no such query", code="not_found")
        return json_answer(answer)

    async def results(request: web.Request) -> web.Response:
        after = int(_number(request, "after", 0, 2**53))
        limit = int(_number(request, "limit", _MOST_RESULTS, _MOST_RESULTS))
        found = await node.home.results(after, limit, _number(request, "wait", 0.0, _LONGEST_WAIT))
        if request.query.get("texts") == "0":
            for answer in found:
                answer["answer"] = None
                for layer in answer["layers"]:
                    for response in layer["responses"]:
                        response["text"] = None
        return json_answer({"results": found, "last": found[-1]["seq"] if found else after})

    async def status(request: web.Request) -> web.Response:
        return json_answer(node.status())

    @public
    async def health(request: web.Request) -> web.Response:
        well = node.journal.failure is None
        return json_answer({"ok": well}, 200 if well else 503)

    app.router.add_post("/v1/submit", submit)
    app.router.add_get("/v1/queries/{id:[A-Za-z0-9._-]{1,64}}", query, allow_head=False)
    app.router.add_get("/v1/results", results, allow_head=False)
    app.router.add_get("/v1/status", status, allow_head=False)
    app.router.add_get("/healthz", health)


def _number(request: web.Request, name: str, default: float, most: float) -> float:
    text = request.query.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise Refusal(400, f"{name}: a number from 0 to {most:g}")
    return value
