"""Ten kills at random moments, hangs, lies, a partition, a thousand attacks: what became of every prompt, in tables.

python -m pytest tests/benchmarks/test_testbed_faults.py --override-ini addopts= --import-mode=importlib -s
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from dmoa_calibration.testbed.client import NodeClient, RefusedQuery
from dmoa_calibration.testbed.scenario_nodes import free_ports
from tests.testbed.false_node import FalseNode
from tests.testbed.fuzz import Fuzzer, fuzz
from tests.testbed.network_of_nodes import Network, network, run, until
from tests.testbed.partition import Proxies

NAMES = "abcd"
PER_ROUND = 48  # prompts, spread evenly over the nodes
SECONDS = 3.0  # over which they arrive
GIVES_UP = {"suspect": 1.0, "dead": 2.0}  # seconds
SERVICE = {"2": {"law": "gamma", "mean": [0.05] * 3, "scv": [0.5] * 3}}


async def acknowledged(client: NodeClient, prompt: str, query_id: str) -> int:
    """Send until it is acknowledged; how often it took."""
    for attempt in range(1, 400):
        try:
            await client.submit(prompt, query_id)
            return attempt
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.1)
        except RefusedQuery as refusal:
            if refusal.status != 503:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("never acknowledged")


async def round_of(nodes: Network, number: int, rng: random.Random, fault: Callable[[], Awaitable[str]]) -> dict:
    """Prompts at random moments while something goes wrong; what became of them."""
    clients = {name: nodes.client(name) for name in NAMES}
    ids = {f"r{number}-{i}": NAMES[i % len(NAMES)] for i in range(PER_ROUND)}
    began = time.monotonic()

    async def send(query_id: str, name: str) -> int:
        await asyncio.sleep(rng.uniform(0, SECONDS))
        return await acknowledged(clients[name], f"prompt of {query_id}", query_id)

    told, *attempts = await asyncio.gather(fault(), *(send(query_id, name) for query_id, name in ids.items()))

    async def ended(query_id: str, name: str) -> dict:
        while True:
            try:
                answer = await clients[name].answer(query_id, wait=20)
                if answer["state"] in ("done", "failed"):
                    return answer
            except (aiohttp.ClientError, OSError, TimeoutError):
                await asyncio.sleep(0.1)

    answers = await asyncio.gather(*(ended(query_id, name) for query_id, name in ids.items()))
    took = time.monotonic() - began
    listed: Counter[str] = Counter()
    for client in clients.values():
        last = 0
        while (found := await client.results(after=last, texts=False))["results"]:
            listed.update(answer["id"] for answer in found["results"])
            last = found["last"]
        await client.close()
    return {
        "fault": told,
        "acknowledged": len(attempts),
        "sent again": sum(count - 1 for count in attempts),
        "answered": sum(answer["state"] == "done" for answer in answers),
        "not once": sum(listed[query_id] != 1 for query_id in ids),
        "resumed": sum(answer["resumed"] > 0 for answer in answers),
        "degraded": sum(answer["degraded"] for answer in answers),
        "seconds": round(took, 1),
    }


def show(title: str, rows: list[dict]) -> None:
    widths = {key: max(len(key), *(len(str(row[key])) for row in rows)) for key in rows[0]}
    print(f"\n{title}")
    print("  ".join(key.ljust(width) for key, width in widths.items()))
    for row in rows:
        print("  ".join(str(row[key]).ljust(width) for key, width in widths.items()))


def check(rows: list[dict]) -> None:
    for row in rows:
        assert row["answered"] == row["acknowledged"] == PER_ROUND
        assert row["not once"] == 0


@pytest.fixture
def live(tmp_path):
    with network(tmp_path, 4, service=SERVICE, moa={"M": 2, "k": 2}, timeouts={"response": 30.0} | GIVES_UP) as nodes:
        yield nodes


def test_ten_kills_at_random_moments(live):
    """``kill -9`` of one of four nodes in mid-run, then restart: every acknowledged prompt answered exactly once."""
    rng = random.Random(8)

    async def kills() -> list[dict]:
        rows = []
        for number in range(10):
            victim, at, away = live[rng.choice(NAMES)], rng.uniform(0.3, SECONDS), rng.uniform(0.0, 4.0)

            async def kill(victim=victim, at=at, away=away) -> str:
                await asyncio.sleep(at)
                victim.kill()
                await asyncio.sleep(away)
                victim.start()
                await asyncio.to_thread(victim.wait_until_ready)
                return f"kill -9 of {victim.config.name} after {at:.2f} s, away {away:.1f} s"

            rows.append(await round_of(live, number, rng, kill))
            await live.until_all_know_each_other()
        return rows

    rows = asyncio.run(kills())
    show("kill -9", rows)
    begun, ended = (
        Counter(event["job"] for node in live.nodes.values() for event in node.events(kind))
        for kind in ("job_started", "job_ended")
    )
    again, twice = (sum(count > 1 for count in each.values()) for each in (begun, ended))
    print(f"of {len(ended)} inferences {again} were begun anew after a kill, and {twice} made to the end twice")
    check(rows)


def test_a_hanging_node(live):
    async def hang() -> list[dict]:
        async def stop() -> str:
            await asyncio.sleep(0.5)
            live["b"].signal(signal.SIGSTOP)
            await asyncio.sleep(6.0)
            live["b"].signal(signal.SIGCONT)
            return "b stopped for 6 s"

        return [await round_of(live, 0, random.Random(1), stop)]

    rows = run(hang)
    show("hang", rows)
    check(rows)


@pytest.mark.parametrize("signs", [True, False], ids=["acknowledges, then lies", "answers nonsense"])
def test_a_node_that_answers_garbage(tmp_path, signs):
    settings = {"service": SERVICE, "moa": {"M": 2, "k": 2}, "timeouts": {"response": 2.0} | GIVES_UP}
    with (
        network(tmp_path, 4, **settings) as nodes,
        FalseNode("liar", nodes.key, {each: node.url for each, node in nodes.nodes.items()}, signs=signs) as liar,
    ):

        async def lie() -> list[dict]:
            for name in NAMES:
                await nodes.until_members(name, {"liar": "alive"})

            async def nothing() -> str:
                return "a fifth member acknowledges and lies" if signs else "a fifth member answers nonsense"

            return [await round_of(nodes, 0, random.Random(2), nothing)]

        rows = run(lie)
        show("garbage", rows)
        print(f"jobs sent to it: {liar.asked}; its responses were refused with {dict(Counter(liar.refusals))}")
    check(rows)


def test_a_partitioned_node(tmp_path):
    ports = dict(zip(NAMES, free_ports(4), strict=True))
    with Proxies(ports) as proxies:
        seeds = list(proxies.urls.values())
        each = [{"port": ports[name], "advertise": proxies.urls[name], "seeds": seeds} for name in NAMES]
        with network(tmp_path, each, service=SERVICE, moa={"M": 2, "k": 2}, timeouts={"response": 30.0} | GIVES_UP) as nodes:
            for name, node in nodes.nodes.items():
                node.url = f"http://127.0.0.1:{ports[name]}"

            async def apart() -> list[dict]:
                async def cut() -> str:
                    await asyncio.sleep(0.5)
                    proxies.cut_off("d")
                    await asyncio.sleep(6.0)
                    proxies.cut_off(None)
                    return "d cut off for 6 s"

                return [await round_of(nodes, 0, random.Random(3), cut)]

            rows = run(apart)
            show("partition", rows)
    check(rows)


def test_a_thousand_malformed_or_unauthenticated_requests(tmp_path):
    """All refused, nothing crashes, nothing executed."""
    with network(tmp_path, 1, moa={"M": 0, "k": 0}, limits={"read_seconds": 0.5}) as nodes:

        async def attack() -> tuple[Counter, dict, dict]:
            async with nodes.client("a") as client:
                before = await client.status()
                fuzzer = Fuzzer(11, "a", nodes.key, nodes.token)
                found = await fuzz(fuzzer, int(nodes["a"].url.rsplit(":", 1)[1]), 1000, patience=3.0)
                after = await client.status()
                await client.submit("p", "still-well")

                async def answered() -> bool:
                    return (await client.answer("still-well"))["state"] == "done"

                await until(answered)
                return found, before, after

        found, before, after = run(attack)
        kinds = sorted({kind for kind, _ in found})
        statuses = [*sorted({status for _, status in found if status}), None]
        rows = [{"kind": kind} | {str(s or "closed"): found[kind, s] for s in statuses} for kind in kinds]
        show("refused", rows)
        grown = (after["rss_bytes"] - before["rss_bytes"]) / 2**20
        print(f"{sum(found.values())} requests, memory {grown:+.1f} MiB, log {len(nodes['a'].log.read_text())} bytes")
    assert sum(found.values()) == 1000
    assert all(status is None or 400 <= status < 500 for _, status in found)
    assert (after["queries"]["accepted"], after["jobs"]["served"], after["members"]) == (0, 0, [])
