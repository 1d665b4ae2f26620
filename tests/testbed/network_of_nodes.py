"""Real nodes in processes of their own, on real sockets, for tests."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, TypeVar

from dmoa_calibration.testbed.client import NodeClient
from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.scenario_nodes import held_ports

_T = TypeVar("_T")
KEY, TOKEN = "DMOA_TEST_PEER_KEY", "DMOA_TEST_CLIENT_TOKEN"
QUICK = {"suspect": 1.0, "dead": 2.0}  # seconds, for tests in which somebody is given up
_HELD = ExitStack()
atexit.register(_HELD.close)
PATIENCE = 240.0  # seconds; how long anything may take on a machine that does much else


def config(name: str, folder: Path, *, seconds: float = 0.01, **changes: Any) -> NodeConfig:
    """A paced node of constant service times, quick to hear of others and slow to give them up."""
    moa = changes.pop("moa", {"M": 1, "k": 2})
    timeouts = {"gossip": 0.1, "suspect": 200.0, "dead": 300.0} | changes.pop("timeouts", {})
    law = {"law": "deterministic", "mean": [seconds] * 3, "scv": [0.0] * 3}
    given = {
        "name": name,
        "data_dir": folder / name,
        "moa": moa,
        "mode": "paced",
        "service": {str(moa["k"]): law},
        "peer_key": {"env": KEY},
        "client_token": {"env": TOKEN},
        "timeouts": timeouts,
    }
    return NodeConfig.model_validate(given | changes)


def reserved_ports(count: int) -> list[int]:
    """Ports for nodes, which nobody else is given as long as the tests run."""
    return _HELD.enter_context(held_ports(count))


class NodeProcess:
    """One node."""

    def __init__(self, settings: NodeConfig, environment: dict[str, str]) -> None:
        self.config, self._environment = settings, environment
        self.file = settings.data_dir.with_suffix(".json")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(settings.model_dump_json())
        self.log = settings.data_dir.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{settings.port}"

    def start(self) -> None:
        ready = self.config.data_dir / "ready.json"
        ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dmoa_calibration.testbed", str(self.file), "--stop-with-stdin"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=self._environment,
            )

    def wait_until_ready(self) -> None:
        assert self.process is not None
        ready = self.config.data_dir / "ready.json"
        until = time.monotonic() + PATIENCE
        while not ready.exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < until, "the node does not start"
            time.sleep(0.02)
        self.url = json.loads(ready.read_text())["url"]

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def stop(self) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
        return code

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = []
        for line in (self.config.data_dir / "events.jsonl").read_text().splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
        return [event for event in found if kind in (None, event["event"])]


class Network:
    """Nodes that know each other."""

    def __init__(self, settings: Sequence[NodeConfig]) -> None:
        self.key, self.token = secrets.token_hex(16), secrets.token_hex(16)
        self.environment = os.environ | {KEY: self.key, TOKEN: self.token}
        self.nodes = {each.name: NodeProcess(each, self.environment) for each in settings}

    def __enter__(self) -> Network:
        try:
            for node in self.nodes.values():
                node.start()
            for node in self.nodes.values():
                node.wait_until_ready()
            if len(self.nodes) > 1:
                run(self.until_all_know_each_other)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes.values():
            if node.process is not None and node.process.poll() is None:
                with suppress(ProcessLookupError):
                    node.process.send_signal(signal.SIGCONT)
                    node.process.terminate()
        for node in self.nodes.values():
            if node.process is not None and node.process.stdin is not None and not node.process.stdin.closed:
                node.stop()

    def __getitem__(self, name: str) -> NodeProcess:
        return self.nodes[name]

    def client(self, name: str) -> NodeClient:
        return NodeClient(self.nodes[name].url, self.token, timeout=PATIENCE)

    async def until_all_know_each_other(self) -> None:
        for name in self.nodes:
            await self.until_members(name, dict.fromkeys(set(self.nodes) - {name}, "alive"))

    async def until_members(self, name: str, states: dict[str, str]) -> None:
        """Wait until a node sees others in these states."""
        async with self.client(name) as client:

            async def seen() -> bool:
                members = {member["name"]: member["state"] for member in (await client.status())["members"]}
                return states.items() <= members.items()

            await until(seen)

    async def until_gone(self, name: str, other: str) -> str | None:
        """Wait until a node waits for another no more; why."""
        async with self.client(name) as client:

            async def state(_: int) -> str | None:
                return next((each["state"] for each in (await client.status())["members"] if each["name"] == other), None)

            return await eventually(state, lambda state: state in ("left", "dead"))


def network(folder: Path, settings: Iterable[dict[str, Any]] | int = 4, **common: Any) -> Network:
    """So many nodes alike, or nodes with these differences, named a, b, ..."""
    each = [{}] * settings if isinstance(settings, int) else list(settings)
    ports = reserved_ports(len(each))
    seeds = [f"http://127.0.0.1:{port}" for port in ports]
    names = "abcdefghij"
    return Network(
        [config(names[i], folder, **({"port": ports[i], "seeds": seeds} | common | changes)) for i, changes in enumerate(each)]
    )


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + PATIENCE
    while not await holds():
        assert time.monotonic() < end, "it did not come true"
        await asyncio.sleep(0.03)


async def answered(client: NodeClient, query_id: str) -> dict[str, Any]:
    """The answer of a query, however long it takes."""
    end = time.monotonic() + PATIENCE
    while (answer := await client.answer(query_id, wait=20))["state"] not in ("done", "failed"):
        assert time.monotonic() < end, answer
    return answer


async def eventually(attempt: Callable[[int], Awaitable[_T]], holds: Callable[[_T], bool]) -> _T:
    """What came of the first attempt of which it holds: on a busy machine somebody well may be given up in the others."""
    end, number = time.monotonic() + PATIENCE, 0
    while not holds(found := await attempt(number)):
        assert time.monotonic() < end, found
        await asyncio.sleep(0.03)
        number += 1
    return found


def run(test: Callable[[], Awaitable[Any]]) -> Any:
    """Run an asynchronous test."""

    async def within() -> Any:
        async with asyncio.timeout(3 * PATIENCE):
            return await test()

    return asyncio.run(within())
