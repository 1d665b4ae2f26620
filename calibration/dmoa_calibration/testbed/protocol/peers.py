"""Messages to other nodes: signed, with a deadline, and their answers believed only if they are signed too."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping

import aiohttp
from pydantic import BaseModel

from dmoa_calibration.testbed.complaints import Complaints
from dmoa_calibration.testbed.protocol.authentication import Signer

__all__ = ["PeerAnswer", "PeerError", "Peers"]


class PeerError(Exception):
    """Another node could not be reached, or what answered has not the key."""


class PeerAnswer:
    """Status and body of a node's answer; ``retry_after`` where it asked for patience."""

    __slots__ = ("body", "retry_after", "status")

    def __init__(self, status: int, body: bytes, retry_after: float) -> None:
        self.status, self.body, self.retry_after = status, body, retry_after


class Peers:
    """Sends to other nodes.

    Parameters
    ----------
    signer : Signer
    delay : mapping from str to float, seconds
        Time that messages to a node take longer than the network itself needs, to live through a scenario's link delays.
    timeout : float, seconds
        Longest that one message and its answer may take.
    most_bytes : int
        Longest answer that is read.
    tls : ssl.SSLContext, optional
        Which certificates to believe.
    transfer : callable, optional
        Seconds that the bytes of a message take beside that, at a scenario's link rate.
    """

    def __init__(
        self,
        signer: Signer,
        *,
        delay: Mapping[str, float],
        timeout: float,
        most_bytes: int,
        tls: ssl.SSLContext | None,
        transfer: Callable[[BaseModel], float] | None = None,
    ) -> None:
        self._transfer = transfer
        self._signer, self._delay, self._timeout, self._most_bytes, self._tls = signer, delay, timeout, most_bytes, tls
        self._session: aiohttp.ClientSession | None = None
        self._complaints = Complaints()

    async def post(self, url: str, path: str, message: BaseModel, receiver: str, *, timeout: float | None = None) -> PeerAnswer:
        """Send a message.

        Raises
        ------
        PeerError
            When there is no answer, or none that a node with the key has signed; or where a node with a certificate is to
            send to an address without.
        """
        if self._tls is not None and not url.startswith("https:"):
            self._complaints.say(f"nothing is sent to {url}: it has no certificate")
            raise PeerError("no certificate")
        delay = self._delay.get(receiver, 0.0) + (0.0 if self._transfer is None else self._transfer(message))
        if delay > 0:
            await asyncio.sleep(delay)
        body = message.model_dump_json().encode()
        headers = self._signer.sign("POST", path, body, receiver)
        nonce = headers["X-Dmoa-Nonce"]
        headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(timeout or self._timeout),
                self._open().post(url + path, data=body, headers=headers, allow_redirects=False) as response,
            ):
                raw = await response.content.read(self._most_bytes + 1)
                while len(raw) <= self._most_bytes and (more := await response.content.read(self._most_bytes)):
                    raw += more
                status, answered = response.status, response.headers
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise PeerError(type(error).__name__) from None
        if len(raw) > self._most_bytes:
            raise PeerError("answer too long")
        if not self._signer.is_answer(answered, nonce, status, raw):
            self._complaints.say(f"what answers at {url} is no node with our key, or refuses us for our clock (HTTP {status})")
            raise PeerError("answer not signed")
        return PeerAnswer(status, raw, _seconds(answered.get("Retry-After", "")))

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, limit_per_host=32, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False)
        return self._session


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() and len(text) < 6 else 1.0
