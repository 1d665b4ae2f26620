"""One node: its parts put together, started, described and stopped."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from dmoa_calibration.testbed.asking import NeighbourDesk
from dmoa_calibration.testbed.complaints import Complaints
from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.engines import Engine
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.helper import Helper
from dmoa_calibration.testbed.home import Home
from dmoa_calibration.testbed.journal import Journal
from dmoa_calibration.testbed.link_times import LinkTimes
from dmoa_calibration.testbed.protocol.authentication import Gatekeeper, Signer
from dmoa_calibration.testbed.protocol.gossip import Gossip
from dmoa_calibration.testbed.protocol.membership import Membership
from dmoa_calibration.testbed.protocol.peer_hosts import PeerHosts
from dmoa_calibration.testbed.protocol.peers import Peers
from dmoa_calibration.testbed.protocol.secret_values import Secret
from dmoa_calibration.testbed.work_queue import WorkQueue
from dmoa_theory import __version__
from dmoa_theory.errors import InputError

__all__ = ["Node", "NodeFullError"]

_FLUSH_EVERY = 0.2  # seconds


class NodeFullError(Exception):
    """No more can be taken on now; ``retry_after`` says when it may be tried again, in seconds."""

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.reason, self.retry_after = reason, retry_after


class Node:
    """A device of the network.

    Parameters
    ----------
    config : NodeConfig
    engine : Engine
        What answers its prompts.
    url : str
        Where others reach it.
    key, token : Secret, optional
        That of the nodes among each other, and that of clients.
    tls : ssl.SSLContext, optional
        Which certificates of other nodes to believe.
    """

    def __init__(
        self,
        config: NodeConfig,
        engine: Engine,
        url: str,
        *,
        key: Secret | None = None,
        token: Secret | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.config, self.engine, self.url, self.token = config, engine, url, token
        limits, timeouts = config.limits, config.timeouts
        self.journal = Journal(config.data_dir / "journal.sqlite3")
        try:
            _check_owner(self.journal, config)
            self.incarnation = _next_incarnation(self.journal)
            events = config.data_dir / "events.jsonl" if config.events else None
            self.log = EventLog(events, config.name, self.incarnation, most_bytes=limits.event_bytes)
        except BaseException:
            self.journal.close()
            raise
        self.queue = WorkQueue(config.name, engine, self.log, most_bytes=limits.response_bytes)
        self.membership = Membership(
            config.name,
            url,
            self.incarnation,
            suspect=timeouts.suspect,
            dead=timeouts.dead,
            forget=timeouts.forget,
            on_change=lambda name: self.desk.changed(name),
        )
        self.gatekeeper: Gatekeeper | None = None
        self.signer: Signer | None = None
        self.peers: Peers | None = None
        self.gossip: Gossip | None = None
        self.helper: Helper | None = None
        if key is not None:
            self.gatekeeper = Gatekeeper(key, config.name, skew=timeouts.clock_skew)
            self.signer = Signer(key, config.name)
            self.peers = Peers(
                self.signer,
                delay=config.link_delay,
                timeout=timeouts.delivery,
                most_bytes=limits.body_bytes,
                tls=tls,
                transfer=LinkTimes(config).seconds,
            )
            hosts = PeerHosts(url, config.seeds, config.peer_hosts)
            self.gossip = Gossip(self.membership, self.peers, config.seeds, hosts, timeouts.gossip)
            self.helper = Helper(config, self.journal, self.log, self.queue, self.peers, self.membership)
        self.desk = NeighbourDesk(config, self.queue, self.peers, self.membership, self.journal, self.log)
        self.home = Home(config, self.journal, self.log, self.desk, self.gossip.joined if self.gossip else _at_once())
        self.desk.receive_own = self.home.receive_own
        self.refused = {"query": 0, "job": 0, "request": 0}
        self.reading_bytes = 0
        self.served: set[object] = set()  # connections with a request that was let in
        self.complaints = Complaints()
        self.stopping = False
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._began = time.monotonic()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Go to work: first on what the process before left."""
        self.log.add(
            "node_started", mode=self.config.mode, moa=self.config.moa.model_dump(), seed=self.config.seed, pid=os.getpid()
        )
        if self.helper is not None:
            self.helper.resume()
        self.home.resume()
        loops: list[Coroutine[Any, Any, None]] = [self.queue.run(), self._flush()]
        if self.gossip is not None:
            loops.append(self.gossip.run())
        self._tasks = [asyncio.create_task(loop) for loop in loops]
        for task in self._tasks:
            task.add_done_callback(self._loop_ended)

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        """None of the loops ends by itself: better a process that ends and is started again than one that hangs."""
        if not task.cancelled() and not self.failed.done():
            self.failed.set_result(type(task.exception()).__name__)

    async def stop(self) -> None:
        """Say goodbye, and leave work under way to the process that comes after."""
        self.stopping = True
        self.log.add("node_stopping")
        if self.gossip is not None:
            await self.gossip.farewell()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.home.stop()
        if self.helper is not None:
            await self.helper.stop()
        if self.peers is not None:
            await self.peers.close()
        try:
            with suppress(OSError):
                self.log.close()
            await asyncio.to_thread(self.journal.close)
        finally:
            self.engine.close()

    async def _flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_EVERY)
            with suppress(OSError):  # a full disk must not stop the node; the journal is what counts
                self.log.flush()

    # -- bounds -----------------------------------------------------------------------------------------------------

    @property
    def held_bytes(self) -> int:
        """Texts in memory: prompts that wait, queries under way with their responses, responses under way."""
        return self.queue.held_bytes + self.home.held_bytes + (self.helper.held_bytes if self.helper else 0)

    def check_room_for_query(self, size: int) -> None:
        """Refuse a prompt that there is no room for.

        Raises
        ------
        NodeFullError
        """
        if self.home.open >= self.config.limits.open_queries:
            raise self._full("query", "as many queries are under way as the node takes")
        self._check_bytes("query", size)

    def check_room_for_job(self, size: int) -> None:
        """Refuse a neighbour's job that there is no room for; the own user's queries keep theirs.

        Raises
        ------
        NodeFullError
        """
        assert self.helper is not None
        if self.helper.open >= self.config.limits.peer_jobs:
            raise self._full("job", "as many jobs of neighbours are here as the node takes")
        self._check_bytes("job", size)

    def _check_bytes(self, what: str, size: int) -> None:
        if self.held_bytes + size > self.config.limits.held_bytes:
            raise self._full(what, "as many bytes are here as the node takes")

    def _full(self, what: str, reason: str) -> NodeFullError:
        mean = self.queue.totals.mean_service_s or 1.0
        return NodeFullError(reason, int(min(max(np.ceil(mean * (1 + self.queue.waiting / 4)), 1), 60)))

    def note_refusal(self, what: str, status: int, reason: str) -> None:
        """Count a request that was not let in, or not taken on."""
        self.refused[what] += 1
        self.log.add("refused", what=what, status=status, reason=reason)

    @contextmanager
    def room_to_read(self, size: int) -> Iterator[None]:
        """Hold bytes of a message whose sender is not known before all of it is here.

        Raises
        ------
        NodeFullError
            When as much is being read as the node holds; one message always has room.
        """
        if self.reading_bytes and self.reading_bytes + size > self.config.limits.held_bytes:
            raise NodeFullError("as many bytes are being read as the node takes", 1)
        self.reading_bytes += size
        try:
            yield
        finally:
            self.reading_bytes -= size

    # -- what it says of itself -------------------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """State of the node, for people and programs; no texts, no secrets."""
        now = time.monotonic()
        self.membership.look(now)
        queue, totals, home, helper = self.queue, self.queue.totals, self.home, self.helper
        work = queue.in_service
        serving = None
        if work is not None:
            serving = {"job": work.job, "query": work.query, "stage": work.stage, "origin": work.origin}
            serving |= {"since_s": now - work.started}
        return {
            "version": __version__,
            "name": self.config.name,
            "url": self.url,
            "mode": self.config.mode,
            "engine": dict(self.engine.describe()),
            "incarnation": self.membership.incarnation,
            "uptime_s": now - self._began,
            "mono": now,
            "rss_bytes": _resident_bytes(),
            "healthy": self.journal.failure is None,
            "moa": self.config.moa.model_dump(),
            "queue": {"waiting": queue.waiting, "in_service": serving, "held_bytes": self.held_bytes},
            "queries": {
                "open": home.open,
                "accepted": home.accepted,
                "done": home.done,
                "failed": home.failed,
                "degraded": home.degraded,
                "refused": self.refused["query"],
            },
            "jobs": {
                "served": totals.served,
                "failed": totals.failed,
                "peer_jobs_open": helper.open if helper else 0,
                "duplicates": helper.duplicates if helper else 0,
                "abandoned": helper.abandoned if helper else 0,
                "refused": self.refused["job"],
                "overruns": totals.overruns,
                "busy_s": totals.busy_s,
                "mean_service_s": totals.mean_service_s,
            },
            "unreadable": dict(self.journal.unreadable),
            "requests_refused": self.refused["request"],
            "latency": _summary(list(home.latencies)),
            "members": [
                {
                    "name": name,
                    "url": member.record.url,
                    "state": member.state.value,
                    "incarnation": member.record.incarnation,
                    "silent_s": now - member.heard,
                }
                for name, member in sorted(self.membership.members().items())
            ],
        }


def _summary(latencies: list[float]) -> Mapping[str, float | int | None]:
    if not latencies:
        return {"count": 0, "mean": None, "p50": None, "p95": None}
    p50, p95 = np.quantile(latencies, [0.5, 0.95])
    return {"count": len(latencies), "mean": float(np.mean(latencies)), "p50": float(p50), "p95": float(p95)}


def _resident_bytes() -> int | None:
    """Memory of this process as Linux tells it; None elsewhere."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def _at_once() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def _check_owner(journal: Journal, config: NodeConfig) -> None:
    """A folder belongs to one node for good: under another name nobody would take the answers that are waited for."""
    rows = journal.read_now("select value from facts where name = 'node'")
    if rows and rows[0][0] != config.name:
        raise InputError("data_dir", config.data_dir, f"a folder of {config.name}'s own; this is that of {rows[0][0]}")
    journal.note(("insert or ignore into facts values ('node', ?)", (config.name,)))


def _next_incarnation(journal: Journal) -> int:
    """Milliseconds since 1970, and above every number before, even if the clock was set back."""
    rows = journal.read_now("select value from facts where name = 'incarnation'")
    before = int(rows[0][0]) if rows and rows[0][0].isdecimal() else 0
    incarnation = max(int(time.time() * 1e3), 1 + before)
    journal.note(("insert or replace into facts values ('incarnation', ?)", (str(incarnation),)))
    return incarnation
