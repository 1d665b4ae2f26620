"""Endpoints for other nodes; the gate has checked that they are ones."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial

from aiohttp import web

from dmoa_calibration.testbed.asking import INFER_PATH
from dmoa_calibration.testbed.helper import RESPONSE_PATH, OtherJobError
from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.protocol.gossip import GOSSIP_PATH
from dmoa_calibration.testbed.protocol.messages import GossipMessage, InferenceRequest, InferenceResponse, job_id
from dmoa_calibration.testbed.server.gate import SENDER, Refusal, json_answer, parsed

__all__ = ["add_peer_routes"]


def add_peer_routes(app: web.Application, node: Node) -> None:
    """Jobs in, responses back, gossip."""

    async def infer(request: web.Request) -> web.Response:
        message, name = parsed(InferenceRequest, request), node.config.name
        assert node.helper is not None
        if message.origin != request[SENDER] or message.job != job_id(message.origin, message.query, message.stage, name):
            raise Refusal(403, "the job is not the sender's, or not for this node", code="unauthorized")
        check_room = partial(node.check_room_for_job, len(message.prompt.encode("utf-8", errors="replace")))
        try:
            new = await asyncio.shield(node.helper.take(message, check_room))
        except OtherJobError:
            reason = "a job of this name with another prompt is still here"
            raise Refusal(429, reason, headers={"Retry-After": "1"}, code="conflict") from None
        except sqlite3.Error:
            raise Refusal(503, "the job could not be written down", headers={"Retry-After": "5"}, code="disk") from None
        return json_answer({"job": message.job, "new": new}, 202)

    async def response(request: web.Request) -> web.Response:
        message, sender = parsed(InferenceResponse, request), request[SENDER]
        if message.device != sender or message.job != job_id(node.config.name, message.query, message.stage, sender):
            raise Refusal(403, "the response is not the sender's, or not for this node", code="unauthorized")
        if message.text is not None and len(message.text.encode("utf-8", errors="replace")) > node.config.limits.response_bytes:
            raise Refusal(413, "the response is too long", code="too_long")
        used = node.home.receive(message)
        if used:
            try:
                await asyncio.shield(node.home.keep(message))
            except sqlite3.Error:
                raise Refusal(503, "the response could not be written down", code="disk") from None
        return json_answer({"job": message.job, "used": used})

    async def gossip(request: web.Request) -> web.Response:
        message = parsed(GossipMessage, request)
        assert node.gossip is not None
        if message.sender != request[SENDER]:
            raise Refusal(403, "the message is not the sender's", code="unauthorized")
        return json_answer(node.gossip.answer(message).model_dump())

    app.router.add_post(INFER_PATH, infer)
    app.router.add_post(RESPONSE_PATH, response)
    app.router.add_post(GOSSIP_PATH, gossip)
