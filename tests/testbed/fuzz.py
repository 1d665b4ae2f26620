"""Requests that no node may let in, drawn at random from every kind that comes to mind, over a bare socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import time
from collections import Counter
from collections.abc import Callable

from dmoa_calibration.testbed.asking import INFER_PATH
from dmoa_calibration.testbed.helper import RESPONSE_PATH
from dmoa_calibration.testbed.protocol.authentication import Signer
from dmoa_calibration.testbed.protocol.gossip import GOSSIP_PATH
from dmoa_calibration.testbed.protocol.secret_values import Secret

PEER_PATHS = (INFER_PATH, RESPONSE_PATH, GOSSIP_PATH)
CLIENT_PATHS = ("/v1/submit", "/v1/chat/completions")


class Fuzzer:
    """Draws requests that a node must refuse.

    Parameters
    ----------
    seed : int
    name : str
        Of the node.
    key, token : str
        The right ones, for requests whose only fault is another.
    """

    def __init__(self, seed: int, name: str, key: str, token: str) -> None:
        self._rng = random.Random(seed)
        self._name, self._token = name, token
        self._signer = Signer(Secret(key.encode()), "z")
        self._stranger = Signer(Secret(b"not the key at all, really"), "z")
        self.kinds: list[Callable[[], bytes]] = [
            self.noise,
            self.half_a_request,
            self.no_token,
            self.wrong_token,
            self.malformed_body,
            self.wrong_shape,
            self.wrong_length,
            self.compressed,
            self.too_long,
            self.odd_path,
            self.odd_method,
            self.not_signed,
            self.wrong_key,
            self.for_another,
            self.stale,
            self.changed,
            self.signed_nonsense,
            self.signed_for_others,
            self.bad_parameters,
        ]

    def draw(self) -> tuple[str, bytes]:
        kind = self._rng.choice(self.kinds)
        return kind.__name__, kind()

    # -- kinds --------------------------------------------------------------------------------------------------------

    def noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randint(1, 400)).replace(b"\n", b" ") + b"\r\n\r\n"

    def half_a_request(self) -> bytes:
        whole = request("POST", "/v1/submit", b'{"prompt": "p"}', self._client())
        return whole[: self._rng.randint(1, len(whole) - 16)]

    def no_token(self) -> bytes:
        path = self._rng.choice(("/v1/submit", "/v1/status", "/metrics", "/v1/results", "/v1/models", "/v1/queries/x"))
        return request(
            "POST" if path == "/v1/submit" else "GET", path, b'{"prompt": "p"}', {"Content-Type": "application/json"}
        )

    def wrong_token(self) -> bytes:
        wrong = self._rng.choice(
            ("Bearer ", f"Bearer {self._token}x", f"Basic {self._token}", self._token, "Bearer é", "Bearer " + "a" * 4000)
        )
        return request("POST", "/v1/submit", b'{"prompt": "p"}', {"Content-Type": "application/json", "Authorization": wrong})

    def malformed_body(self) -> bytes:
        body = self._rng.choice(
            (b"", b"{", b'{"prompt": ', b"[" * 5000, b"nan", b'"prompt"', b"\x00\xff\xfe", self._rng.randbytes(200))
        )
        return request("POST", self._rng.choice(CLIENT_PATHS), body, self._client())

    def wrong_shape(self) -> bytes:
        shapes = (
            {"prompt": 5},
            {"prompt": ""},
            {"prompt": None},
            {"prompt": ["p"]},
            {"prompt": "p", "id": "a b"},
            {"prompt": "p", "id": "../../etc/passwd"},
            {"prompt": "p", "id": "x" * 65},
            {"prompt": "p", "more": 1},
            {"messages": []},
            {"messages": [{"role": "robot", "content": "p"}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "file:///etc/passwd"}]}]},
            {"messages": "p"},
            [],
            "prompt",
        )
        return request("POST", self._rng.choice(CLIENT_PATHS), json.dumps(self._rng.choice(shapes)).encode(), self._client())

    def wrong_length(self) -> bytes:
        length = self._rng.choice(("-1", "abc", "99999999999999999999", "1e3", "5, 6"))
        return request("POST", "/v1/submit", b'{"prompt": "p"}', self._client() | {"Content-Length": length})

    def compressed(self) -> bytes:
        body = gzip.compress(b'{"prompt": "' + b"p" * 1000 + b'"}')
        return request(
            "POST", "/v1/submit", body, self._client() | {"Content-Encoding": self._rng.choice(("gzip", "deflate", "br"))}
        )

    def too_long(self) -> bytes:
        if self._rng.random() < 0.5:
            return request("POST", "/v1/submit", b'{"prompt": "' + b"p" * 70_000 + b'"}', self._client())
        return request("POST", "/v1/submit", b"", self._client() | {"Content-Length": str(2**31)})

    def odd_path(self) -> bytes:
        path = self._rng.choice(
            (
                "/../../etc/passwd",
                "/%2e%2e/x",
                "/v1/queries/..%2f..%2fx",
                "/v2/submit",
                "//v1/submit",
                "/v1/queries/" + "x" * 9000,
                "/peer/",
                "*",
            )
        )
        return request("GET", path, b"", self._client())

    def odd_method(self) -> bytes:
        method = self._rng.choice(("PUT", "DELETE", "TRACE", "CONNECT", "PATCH", "BREW"))
        return request(method, self._rng.choice((*CLIENT_PATHS, *PEER_PATHS)), b"{}", self._client())

    def not_signed(self) -> bytes:
        return request("POST", self._rng.choice(PEER_PATHS), self._job(), self._client())

    def wrong_key(self) -> bytes:
        path, body = self._rng.choice(PEER_PATHS), self._job()
        return request("POST", path, body, self._stranger.sign("POST", path, body, self._name))

    def for_another(self) -> bytes:
        path, body = self._rng.choice((INFER_PATH, RESPONSE_PATH)), self._job()
        return request("POST", path, body, self._signer.sign("POST", path, body, self._rng.choice(("another", "*"))))

    def stale(self) -> bytes:
        path, body = self._rng.choice(PEER_PATHS), self._job()
        headers = self._signer.sign("POST", path, body, self._name)
        headers["X-Dmoa-Time"] = f"{time.time() + self._rng.choice((-1e6, -100, 100, 1e6)):.6f}"
        return request("POST", path, body, headers)

    def changed(self) -> bytes:
        path, body = self._rng.choice(PEER_PATHS), self._job()
        headers = self._signer.sign("POST", path, body, self._name)
        if self._rng.random() < 0.5:
            return request("POST", path, body.replace(b"why", b"how"), headers)
        return request("POST", self._rng.choice([other for other in PEER_PATHS if other != path]), body, headers)

    def signed_nonsense(self) -> bytes:
        path = self._rng.choice(PEER_PATHS)
        body = self._rng.choice(
            (b"", b"{}", b"[]", b'{"v": 2}', b"\xff\xfe", self._job()[:-5], b'{"v": 1, "sender": "z", "members": 5}')
        )
        return request("POST", path, body, self._signer.sign("POST", path, body, self._name))

    def signed_for_others(self) -> bytes:
        """By a node with the key, but of jobs that are not its own."""
        body = self._job(origin="y")
        return request("POST", INFER_PATH, body, self._signer.sign("POST", INFER_PATH, body, self._name))

    def bad_parameters(self) -> bytes:
        query = self._rng.choice(("after=-1", "wait=1e9", "wait=nan", "limit=x", "after=inf", "limit=100000"))
        return request("GET", f"/v1/results?{query}", b"", self._client())

    def _client(self) -> dict[str, str]:
        return {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}

    def _job(self, origin: str = "z") -> bytes:
        job = {"v": 1, "job": f"{origin}:q:0:{self._name}", "query": "q", "stage": 0, "kind": "first", "origin": origin}
        return json.dumps(job | {"k": 1, "prompt": "why?"}).encode()


def request(method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close"} | headers
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return head.encode() + b"\r\n" + body


async def send(port: int, message: bytes, patience: float = 240.0) -> int | None:
    """Status of the answer; None where the node closed the connection, or waits for the rest that never comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(message)
        await writer.drain()
        first = await asyncio.wait_for(reader.readline(), patience)
        return int(first.split()[1]) if first.startswith(b"HTTP/1.") else None
    except (TimeoutError, OSError):
        return None
    finally:
        writer.transport.abort()


async def fuzz(fuzzer: Fuzzer, port: int, count: int, *, patience: float) -> Counter[tuple[str, int | None]]:
    """Send so many, a few at a time; how often each kind met each status."""
    found: Counter[tuple[str, int | None]] = Counter()
    slots = asyncio.Semaphore(20)

    async def one() -> None:
        async with slots:
            kind, message = fuzzer.draw()
            found[kind, await send(port, message, patience)] += 1

    await asyncio.gather(*(one() for _ in range(count)))
    return found
