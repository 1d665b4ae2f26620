"""How many may stand at the door: connections at once, whoever they are, so that the node keeps files to open for itself."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Collection
from contextlib import suppress

from aiohttp import web

__all__ = ["Doorman", "connections_that_fit"]

_OWN_FILES = 128  # journal, events, connections to other nodes, and room to spare
_A_MOMENT = 1.0  # seconds until a connection that comes in is there
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def connections_that_fit(wished: int) -> int:
    """How many of these connections the operating system lets this process have, after asking it for more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wished + _OWN_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        more = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wished if soft == resource.RLIM_INFINITY else min(wished, max(soft - _OWN_FILES, soft // 2))


class Doorman:
    """Makes the protocol for a new connection; where there are as many as may be, the oldest on which nobody is served goes.

    Who only holds connections open, without token or key, so keeps nobody out, and who waits for an answer gets it.

    Parameters
    ----------
    server : aiohttp.web.Server
    most : int
        Connections at once.
    served : collection
        Those with a request that was let in.
    """

    def __init__(self, server: web.Server[web.Request], most: int, served: Collection[object]) -> None:
        self._server, self._most, self._served = server, most, served
        self._coming: dict[object, float] = {}
        self._going: set[object] = set()

    def __call__(self) -> asyncio.BaseProtocol:
        """Let one more in."""
        now, present = asyncio.get_running_loop().time(), self._server.connections
        self._going.intersection_update(present)
        there = set(present)
        self._coming = {one: since for one, since in self._coming.items() if one not in there and now - since < _A_MOMENT}
        if len(there) + len(self._coming) - len(self._going) >= self._most:
            idle = (one for one in present if one not in self._going and one not in self._served)
            oldest = next(idle, None)
            if oldest is None:
                return _Full()
            self._going.add(oldest)
            oldest.force_close()
        protocol = self._server()
        self._coming[protocol] = now
        return protocol


class _Full(asyncio.Protocol):
    """Says that there is no room, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer at once, whatever is asked."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(_FULL)
        transport.close()
