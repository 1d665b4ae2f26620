"""Nodes are started, meet, and are ended whatever happens: no process stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.launch import CLIENT_TOKEN, PEER_KEY, LocalNetwork, kill, resident_bytes
from dmoa_calibration.testbed.scenario_nodes import node_configs
from dmoa_theory import System
from dmoa_theory.errors import CalibrationError
from tests.testbed.network_of_nodes import PATIENCE, answered, reserved_ports

ROOT = Path(__file__).parents[2]


def _configs(folder: Path, n: int = 2) -> list[NodeConfig]:
    everybody = [[int(u != v) for v in range(n)] for u in range(n)]
    system = System.from_arrays(everybody, 1.0, 0.02, M=1, k=1)
    secrets = {"peer_key": {"env": PEER_KEY}, "client_token": {"env": CLIENT_TOKEN}}
    return node_configs(system, folder, mode="paced", ports=reserved_ports(n), **secrets)  # type: ignore[arg-type]


def _alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):  # it may end between two looks
        return False


def _gone(pids: list[int]) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if not any(_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def test_nodes_meet_answer_and_are_ended(tmp_path: Path) -> None:
    """Inside the context they see each other and answer; after it they are gone, and their secrets were never on disk."""

    async def run() -> tuple[list[int], str, str]:
        async with LocalNetwork(_configs(tmp_path), tmp_path) as network:
            node = network.nodes[0]
            await node.client.submit("Why?", "p1")
            answer = await answered(node.client, "p1")
            assert resident_bytes(node.pid) or sys.platform != "linux"
            return [each.pid for each in network.nodes], answer["state"], network.token

    pids, state, token = asyncio.run(run())
    assert state == "done"
    assert _gone(pids)
    assert not any(token.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_an_error_inside_ends_them_too(tmp_path: Path) -> None:
    pids: list[int] = []

    async def run() -> None:
        async with LocalNetwork(_configs(tmp_path), tmp_path) as network:
            pids.extend(each.pid for each in network.nodes)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        asyncio.run(run())
    assert _gone(pids)


def test_a_node_that_does_not_start_is_told_of_and_takes_the_others_with_it(tmp_path: Path) -> None:
    """Its port is taken: one line says so, and no other node is left running."""
    configs = _configs(tmp_path)
    configs[1] = configs[1].model_copy(update={"port": configs[0].port})
    network = LocalNetwork(configs, tmp_path)

    async def run() -> None:
        async with network:
            raise AssertionError("it must not start")

    with pytest.raises(CalibrationError, match="did not start") as found:
        asyncio.run(run())
    assert "\n" not in str(found.value)
    assert _gone([node.pid for node in network.nodes])


def test_a_killed_node_is_started_again(tmp_path: Path) -> None:
    """It has its old address, and answers what it had accepted before."""

    async def run() -> str:
        async with LocalNetwork(_configs(tmp_path), tmp_path) as network:
            node = network.nodes[1]
            await node.client.submit("Why?", "p1")
            kill(node)
            await node.process.wait()
            starting = asyncio.ensure_future(network.restart(1))
            while network.nodes[1] is node:
                await asyncio.sleep(0)
            assert network.nodes[1].client is node.client  # whoever asks while it starts hears that nobody is there, no more
            again = await starting
            assert again.url == node.url
            return str((await answered(again.client, "p1"))["state"])

    assert asyncio.run(run()) == "done"


def test_who_is_cancelled_while_they_end_waits_until_they_have(tmp_path: Path) -> None:
    """Being in a hurry does not leave a node behind."""
    pids: list[int] = []

    async def run() -> None:
        async with LocalNetwork(_configs(tmp_path), tmp_path) as network:
            pids.extend(each.pid for each in network.nodes)
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)  # they end in a few milliseconds else, and so cannot before the last cancellation
            task, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert task is not None
            for soon in (0.01, 0.05):
                loop.call_later(soon, task.cancel)
            for pid in pids:
                loop.call_later(0.1, os.kill, pid, signal.SIGCONT)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert len(pids) == 2
    assert not any(_alive(pid) for pid in pids)


LAUNCHER = """
import asyncio, sys
from pathlib import Path
from dmoa_calibration.testbed.launch import LocalNetwork
from tests.testbed.test_launch import _configs

async def run():
    place = Path(sys.argv[1])
    async with LocalNetwork(_configs(place), place) as network:
        print(*(node.pid for node in network.nodes), flush=True)
        await asyncio.sleep(600)

asyncio.run(run())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nodes_do_not_outlive_their_launcher(tmp_path: Path, how: signal.Signals) -> None:
    """Not even when it is killed: the pipes from it close."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "calibration"))
    heed = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    launcher = subprocess.Popen(
        [sys.executable, "-c", heed + LAUNCHER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    try:
        assert launcher.stdout is not None
        pids = [int(pid) for pid in launcher.stdout.readline().split()]
        assert len(pids) == 2
        launcher.send_signal(how)
        launcher.wait(PATIENCE)
        assert _gone(pids)
    finally:
        launcher.kill()
        launcher.wait()
        if launcher.stdout is not None:
            launcher.stdout.close()
