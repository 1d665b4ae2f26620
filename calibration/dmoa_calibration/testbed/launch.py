"""All nodes of a scenario on this machine: started, waited for, and ended whatever happens.

Each node is a process of its own in a session of its own, so that Ctrl-C reaches only whoever launched them. It holds the
other end of a pipe from here and stops when that closes: not even killing the launcher leaves a node behind.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

import dmoa_calibration
import dmoa_theory
from dmoa_calibration.testbed.client import NodeClient
from dmoa_calibration.testbed.config import NodeConfig
from dmoa_theory.errors import CalibrationError

__all__ = ["CLIENT_TOKEN", "PEER_KEY", "LocalNetwork", "NodeProcess", "kill", "resident_bytes"]

#: Environment variables of the nodes in which their secrets are.
PEER_KEY, CLIENT_TOKEN = "DMOA_PEER_KEY", "DMOA_CLIENT_TOKEN"
#: Seconds that nodes may take to load their models, to find each other, and to stop.
LOADING, MEETING, STOPPING = 600.0, 60.0, 5.0
_LOOK = 0.05


@dataclass(slots=True)
class NodeProcess:
    """A node that runs."""

    config: NodeConfig
    process: asyncio.subprocess.Process
    log: Path
    url: str = ""
    client: NodeClient = field(init=False)  # of one that is started again, its client of before: address and token are the same

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    def complaint(self) -> str:
        """The last line that it wrote to its log."""
        with suppress(OSError):
            lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
            lines = [line for line in lines if line]
            if lines:
                return ": " + "".join(sign if sign.isprintable() else " " for sign in lines[-1])[:300]
        return ""


class LocalNetwork:
    """The nodes of a scenario, in order of its devices, as an asynchronous context.

    Parameters
    ----------
    configs : sequence of NodeConfig
        One a device; their secrets are to be in :data:`PEER_KEY` and :data:`CLIENT_TOKEN`, which are drawn here.
    folder : Path
        Where configurations and logs go.

    Raises
    ------
    CalibrationError
        When a node ends before it is ready, or they do not find each other; none is left running.
    """

    def __init__(self, configs: Sequence[NodeConfig], folder: Path) -> None:
        self._configs, self._folder = tuple(configs), folder
        self._secrets = {PEER_KEY: secrets.token_hex(32), CLIENT_TOKEN: secrets.token_hex(32)}
        self.nodes: list[NodeProcess] = []

    @property
    def token(self) -> str:
        """What clients of the nodes have to show."""
        return self._secrets[CLIENT_TOKEN]

    def page(self, place: int = 0) -> str:
        """Address of a node's page with the token in it, behind ``#``, which a browser keeps to itself."""
        return f"{self.nodes[place].url}/#token={self.token}"

    async def __aenter__(self) -> LocalNetwork:
        """Start all nodes, and wait until each is ready and sees all others."""
        try:
            for config in self._configs:
                self.nodes.append(await self._start(config))
            await asyncio.gather(*(self._ready(node) for node in self.nodes))
            await self._met()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all nodes."""
        await self.stop()

    async def stop(self) -> None:
        """Ask all nodes to stop, and kill those that do not; to the end, also when whoever waits for it is cancelled."""
        ending = asyncio.ensure_future(self._end())
        cancelled = False
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _end(self) -> None:
        try:
            for node in self.nodes:
                with suppress(Exception):
                    if node.url:
                        await node.client.close()
                if node.running:
                    _signal(node, signal.SIGTERM)
            waiting = [asyncio.ensure_future(node.process.wait()) for node in self.nodes]
            if waiting:
                await asyncio.wait(waiting, timeout=STOPPING)
        finally:
            for node in self.nodes:
                if node.running:
                    _signal(node, signal.SIGKILL)
        for node in self.nodes:
            await node.process.wait()

    async def restart(self, place: int) -> NodeProcess:
        """Start the node of a device again, which has ended; it resumes what it had accepted.

        Parameters
        ----------
        place : int
            Number of the device.
        """
        old = self.nodes[place]
        config = old.config.model_copy(update={"port": int(old.url.rsplit(":", 1)[1])})
        node = await self._start(config)
        node.url, node.client = old.url, old.client
        self.nodes[place] = node
        await self._ready(node)
        return node

    async def _start(self, config: NodeConfig) -> NodeProcess:
        path, log = self._folder / f"{config.name}.json", self._folder / f"{config.name}.log"
        path.write_text(config.model_dump_json(indent=1), encoding="utf-8")
        config.data_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-P", "-m", "dmoa_calibration.testbed", str(path), "--stop-with-stdin"]
        with ExitStack() as stack:
            errors = stack.enter_context(log.open("ab"))
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **_import_path(), **self._secrets},
                start_new_session=True,
            )
        return NodeProcess(config=config, process=process, log=log)

    async def _ready(self, node: NodeProcess) -> None:
        """Wait for the line in which a node says where it listens."""
        assert node.process.stdout is not None
        try:
            line = await asyncio.wait_for(node.process.stdout.readline(), LOADING)
        except TimeoutError:
            raise CalibrationError(f"node {node.config.name} was not ready within {LOADING:g} s{node.complaint()}") from None
        try:
            url = json.loads(line)["url"]
        except (ValueError, KeyError, TypeError):
            with suppress(TimeoutError):
                await asyncio.wait_for(node.process.wait(), STOPPING)
            raise CalibrationError(f"node {node.config.name} did not start{node.complaint()}") from None
        if url != node.url:
            node.url, node.client = url, NodeClient(url, token=self.token)

    async def _met(self) -> None:
        """Wait until every node sees every other alive."""
        until = time.monotonic() + MEETING
        for node in self.nodes:
            while True:
                members = await self._members(node)
                if sum(state == "alive" for name, state in members.items() if name != node.config.name) == len(self.nodes) - 1:
                    break
                if time.monotonic() > until:
                    raise CalibrationError(
                        f"node {node.config.name} did not find the others within {MEETING:g} s: it sees "
                        + (", ".join(f"{name} {state}" for name, state in sorted(members.items())) or "nobody")
                    )
                await asyncio.sleep(_LOOK)

    async def _members(self, node: NodeProcess) -> Mapping[str, str]:
        if not node.running:
            raise CalibrationError(f"node {node.config.name} ended{node.complaint()}")
        try:
            status: dict[str, Any] = await node.client.status()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return {}
        return {member["name"]: member["state"] for member in status["members"]}


def resident_bytes(pid: int) -> int | None:
    """Memory of a process that is resident now, with that of its children; None where the system does not say."""
    try:
        return sum(_resident(each) for each in _family(pid))
    except (OSError, ValueError, IndexError):
        return None


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            for child in (task / "children").read_text().split():
                with suppress(OSError):
                    yield from _family(int(child))


def _import_path() -> dict[str, str]:
    """Where the nodes find this very package, installed or not."""
    homes = dict.fromkeys(str(Path(str(package.__file__)).parents[1]) for package in (dmoa_theory, dmoa_calibration))
    before = os.environ.get("PYTHONPATH")
    return {"PYTHONPATH": os.pathsep.join([*homes, *([before] if before else [])])}


def kill(node: NodeProcess) -> None:
    """End a node at once, as a power cut would."""
    _signal(node, signal.SIGKILL)


def _signal(node: NodeProcess, number: signal.Signals) -> None:
    """Send a signal, not by the subprocess module: that looks first whether the process ended, and takes its exit code away."""
    with suppress(ProcessLookupError):
        os.kill(node.pid, number)
