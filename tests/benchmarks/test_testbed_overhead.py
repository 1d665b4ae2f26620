"""What a node itself costs: jobs a second and milliseconds a job with service of no length, and what it adds at light load.

python -m pytest tests/benchmarks/test_testbed_overhead.py --override-ini addopts= --import-mode=importlib -s
"""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest

from tests.testbed.network_of_nodes import Network, network, run

PROMPTS, AT_ONCE = 400, 32


async def flood(nodes: Network, names: str) -> tuple[float, float, int]:
    """Seconds for all prompts, a few at a time; CPU seconds of the nodes; inferences."""
    clients = {name: nodes.client(name) for name in names}
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(i: int) -> None:
        async with slots:
            client = clients[names[i % len(names)]]
            await client.submit("why?", f"flood-{i}")
            assert (await client.answer(f"flood-{i}", wait=60))["state"] == "done"

    cpu, began = _cpu_seconds(nodes), time.monotonic()
    await asyncio.gather(*(one(i) for i in range(PROMPTS)))
    took, cpu = time.monotonic() - began, _cpu_seconds(nodes) - cpu
    served = sum([(await client.status())["jobs"]["served"] for client in clients.values()])
    for client in clients.values():
        await client.close()
    return took, cpu, served


def _cpu_seconds(nodes: Network) -> float:
    import psutil

    total = 0.0
    for node in nodes.nodes.values():
        times = psutil.Process(node.process.pid).cpu_times()
        total += times.user + times.system
    return total


@pytest.mark.parametrize(("M", "k"), [(0, 0), (1, 1), (2, 2)])
def test_jobs_a_second_with_service_of_no_length(tmp_path, M, k):
    with network(
        tmp_path, 4, seconds=0.0, moa={"M": M, "k": k}, timeouts={"gossip": 0.5, "suspect": 5.0, "dead": 15.0}
    ) as nodes:
        took, cpu, served = run(lambda: flood(nodes, "abcd"))
    inferences = PROMPTS * ((k + 1) * M + 1)
    assert served == inferences
    print(
        f"\nM={M}, k={k}, four nodes: {inferences / took:.0f} inferences/s, {PROMPTS / took:.0f} prompts/s;"
        f" {1e3 * cpu / inferences:.2f} ms of CPU an inference, {1e3 * cpu / PROMPTS:.2f} ms a prompt"
    )


@pytest.mark.parametrize(("M", "k"), [(0, 0), (1, 1), (2, 2)])
def test_latency_that_the_node_adds_at_light_load(tmp_path, M, k):
    """One prompt at a time, every inference exactly 20 ms: what is beyond (M + 1) x 20 ms is the node's own doing."""
    with network(tmp_path, 4, seconds=0.02, moa={"M": M, "k": k}) as nodes:

        async def one_by_one() -> tuple[np.ndarray, np.ndarray]:
            at_node, at_client = [], []
            async with nodes.client("a") as client:
                for i in range(60):
                    began = time.monotonic()
                    await client.submit("why?", f"light-{i}")
                    answer = await client.answer(f"light-{i}", wait=30)
                    at_client.append(time.monotonic() - began)
                    at_node.append(answer["latency_s"])
            return np.array(at_node), np.array(at_client)

        at_node, at_client = run(one_by_one)
    added = 1e3 * (at_node - 0.02 * (M + 1))
    outside = 1e3 * (at_client - 0.02 * (M + 1))
    print(
        f"\nM={M}, k={k}: {np.median(added):.1f} ms added at the node (90 %: {np.quantile(added, 0.9):.1f}),"
        f" {np.median(outside):.1f} ms as the client sees it, both writes to disk included"
    )
    assert (added > 0).all()
