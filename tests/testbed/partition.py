"""Proxies between nodes that can cut one of them off, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading

_SENDER = re.compile(rb"^x-dmoa-sender:\s*(\S+)", re.IGNORECASE | re.MULTILINE)


class Proxies:
    """One proxy in front of each node; whoever sends says its name in the first message of a connection.

    Parameters
    ----------
    ports : dict from str to int
        Port of each node.
    """

    def __init__(self, ports: dict[str, int]) -> None:
        self._targets = ports
        self.urls: dict[str, str] = {}
        self._cut_off: str | None = None
        self._open: list[tuple[str, str, asyncio.StreamWriter, asyncio.StreamWriter]] = []
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Proxies:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()

    def cut_off(self, name: str | None) -> None:
        """Let nothing to or from that node pass; None lets everything pass again."""

        def cut() -> None:
            self._cut_off = name
            for sender, target, *writers in self._open:
                if name in (sender, target):
                    for writer in writers:
                        writer.transport.abort()

        self._loop.call_soon_threadsafe(cut)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        servers = []
        for name in self._targets:
            server = await asyncio.start_server(lambda r, w, name=name: self._connect(name, r, w), "127.0.0.1", 0)
            self.urls[name] = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            servers.append(server)
        self._started.set()
        await self._over.wait()
        for server in servers:
            server.close()
        for *_, one, other in self._open:
            one.transport.abort()
            other.transport.abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connect(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            found = _SENDER.search(head)
            sender = found[1].decode() if found else "?"
            if self._cut_off is None or self._cut_off not in (sender, target):
                there, onwards = await asyncio.open_connection("127.0.0.1", self._targets[target])
                if self._cut_off is None or self._cut_off not in (sender, target):  # still
                    place = sender, target, writer, onwards
                    self._open.append(place)
                    onwards.write(head)
                    await asyncio.gather(_pump(reader, onwards), _pump(there, writer))
                    self._open.remove(place)
                onwards.transport.abort()
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(2**16):
            writer.write(piece)
            await writer.drain()
    writer.transport.abort()
