"""What every request passes before anything is done with it: size, form, and who sends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, ValidationError

from dmoa_calibration.testbed.config import is_loopback
from dmoa_calibration.testbed.node import Node, NodeFullError
from dmoa_calibration.testbed.protocol.authentication import RefusedMessageError

__all__ = ["PEER_PREFIX", "SENDER", "Refusal", "body_of", "gate", "json_answer", "parsed", "public"]

PEER_PREFIX = "/peer/"
SENDER = web.RequestKey("dmoa_sender", str)
_BODY = web.RequestKey("dmoa_body", bytes)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Model = TypeVar("_Model", bound=BaseModel)


class Refusal(Exception):  # noqa: N818 - it is an answer
    """A request that is answered with a status of 400 or more, and one line."""

    def __init__(self, status: int, message: str, *, headers: dict[str, str] | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers, self.code = status, message, headers or {}, code


def public(handler: _Handler) -> _Handler:
    """Mark a handler as one that needs no token, and reads nothing."""
    handler.public = True  # type: ignore[attr-defined]
    return handler


def _is_public(handler: _Handler) -> bool:
    return getattr(handler, "public", False)


def json_answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer in JSON."""
    return web.Response(body=json.dumps(content).encode(), status=status, headers=headers, content_type="application/json")


def body_of(request: web.Request) -> bytes:
    """The body, which the gate has read."""
    return request[_BODY]


def parsed(kind: type[_Model], request: web.Request) -> _Model:
    """The body as a message; what is wrong with it in one line, without repeating it."""
    try:
        return kind.model_validate_json(body_of(request))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part)[:40] for part in first["loc"][:6])
        raise Refusal(400, f"{place or 'body'}: {first['type'].replace('_', ' ')}", code="invalid_request") from None


def gate(node: Node) -> Middleware:
    """The middleware that stands before all handlers."""

    @web.middleware
    async def middleware(request: web.Request, handler: _Handler) -> web.StreamResponse:
        nonce = ""
        try:
            if node.stopping:
                raise Refusal(503, "the node is stopping", headers={"Retry-After": "5"}, code="stopping")
            if request.path.startswith(PEER_PREFIX):
                request[SENDER], nonce = await _let_node_in(node, request)
            else:
                _let_client_in(node, request, handler)
            if not _is_public(handler):
                node.served.add(request.protocol)
                if _BODY not in request:
                    request[_BODY] = await _read(node, request)
            answer = await handler(request)
        except Refusal as refusal:
            answer = _refused(node, request, refusal)
        except NodeFullError as full:
            what = "job" if request.path.startswith(PEER_PREFIX) else "query"
            headers = {"Retry-After": str(full.retry_after)}
            answer = _refused(node, request, Refusal(429, full.reason, headers=headers, code="full"), what)
        except web.HTTPException as error:
            answer = _refused(node, request, Refusal(error.status, error.reason.lower()))
        except Exception as error:
            node.complaints.say(f"{request.method[:10]} {request.path[:60]!r} failed: {type(error).__name__}")
            answer = _refused(node, request, Refusal(500, "the node failed", code="server_error"))
        finally:
            node.served.discard(request.protocol)
        if nonce and node.signer is not None and isinstance(answer, web.Response):
            body = answer.body if isinstance(answer.body, bytes) else b""
            answer.headers.update(node.signer.sign_answer(nonce, answer.status, body))
        return answer

    return middleware


def _refused(node: Node, request: web.Request, refusal: Refusal, what: str = "request") -> web.Response:
    node.note_refusal(what, refusal.status, refusal.code or refusal.message[:80])
    error = {"message": refusal.message, "type": refusal.code or "invalid_request_error", "code": refusal.code}
    return json_answer({"error": error}, refusal.status, refusal.headers)


async def _read(node: Node, request: web.Request) -> bytes:
    """Read the body, within bounds of size and time."""
    limits = node.config.limits
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Refusal(415, "send it uncompressed")
    if request.content_length is not None and request.content_length > limits.body_bytes:
        raise Refusal(413, f"at most {limits.body_bytes} bytes", headers={"Connection": "close"})
    try:
        async with asyncio.timeout(limits.read_seconds):
            return await request.read()
    except TimeoutError:
        raise Refusal(408, f"the request took longer than {limits.read_seconds:g} s", headers={"Connection": "close"}) from None
    except web.HTTPRequestEntityTooLarge:
        raise Refusal(413, f"at most {limits.body_bytes} bytes", headers={"Connection": "close"}) from None
    except (web.RequestPayloadError, OSError, ValueError):
        raise Refusal(400, "the body cannot be read", headers={"Connection": "close"}) from None


async def _let_node_in(node: Node, request: web.Request) -> tuple[str, str]:
    """Sender and nonce of a message of another node; whether it is one shows only when all of it has been read."""
    if node.gatekeeper is None:
        raise Refusal(403, "this node has no key, and so no neighbours", code="unauthorized")
    size = request.content_length
    with node.room_to_read(node.config.limits.body_bytes if size is None else min(size, node.config.limits.body_bytes)):
        request[_BODY] = await _read(node, request)
    try:
        return node.gatekeeper.check(request.method, request.path_qs, request.headers, body_of(request))
    except RefusedMessageError as reason:
        node.complaints.say(f"messages of {request.remote} are refused: {reason}")
        raise Refusal(401, "not let in", code="unauthorized") from None


def _host(request: web.Request) -> str:
    """The host that the request names; nothing where it names none, or nonsense."""
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""


def _let_client_in(node: Node, request: web.Request, handler: _Handler) -> None:
    """Only with the token; without one, only this machine's own programs, and not a page that a browser was lured to."""
    if node.token is not None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not _is_public(handler) and not (scheme.lower() == "bearer" and node.token.matches(given.strip())):
            raise Refusal(401, "a token is needed", headers={"WWW-Authenticate": "Bearer"}, code="unauthorized")
    else:
        if not is_loopback(_host(request)):
            raise Refusal(403, "ask for it at 127.0.0.1 or localhost", code="unauthorized")
    if request.method == "POST" and request.content_type != "application/json":
        raise Refusal(415, "Content-Type must be application/json")
