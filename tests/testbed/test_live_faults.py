"""Nodes that die, hang, lie, are cut off, are full, come and go: every prompt that was acknowledged is answered, and once."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter

from dmoa_calibration.testbed.client import RefusedQuery
from tests.testbed.false_node import FalseNode
from tests.testbed.network_of_nodes import (
    QUICK,
    Network,
    NodeProcess,
    answered,
    config,
    eventually,
    network,
    reserved_ports,
    run,
    until,
)
from tests.testbed.partition import Proxies


async def submit(nodes: Network, name: str, ids: list[str]) -> None:
    async with nodes.client(name) as client:
        told = await asyncio.gather(*(client.submit(f"prompt {query_id}", query_id) for query_id in ids))
        assert {each["state"] for each in told} <= {"accepted", "running", "done"}


async def answers(nodes: Network, name: str, ids: list[str]) -> list[dict]:
    async with nodes.client(name) as client:
        found = []
        for query_id in ids:
            answer = await answered(client, query_id)
            assert answer["state"] == "done", answer
            found.append(answer)
        return found


def test_a_killed_node_and_a_killed_origin_lose_nothing_and_answer_once(tmp_path):
    """Two of four are killed while 24 prompts are under way, and come back before anybody has given them up."""
    ids = [f"q{i}" for i in range(12)]
    with network(tmp_path, 4, seconds=0.1, moa={"M": 2, "k": 2}) as nodes:

        async def begin() -> None:
            await asyncio.gather(submit(nodes, "a", ids), submit(nodes, "c", ids))

        run(begin)
        for name in ("a", "b"):
            nodes[name].kill()
            nodes[name].start()
        for name in ("a", "b"):
            nodes[name].wait_until_ready()

        async def finish() -> None:
            for name in ("a", "c"):
                found = await answers(nodes, name, ids)
                assert all(answer["answer"] for answer in found)
                resumed = {answer["id"] for answer in found if answer["resumed"]}

                async def told_of(name: str = name, resumed: set[str] = resumed) -> bool:
                    return {event["query"] for event in nodes[name].events("query_resumed")} == resumed

                await until(told_of)  # events are written a few times a second
                assert name == "a" or not resumed
                assert [answer["notes"] for answer in found if answer["degraded"]] == []
                async with nodes.client(name) as client:
                    listed = Counter(answer["id"] for answer in (await client.results())["results"])
                    assert listed == Counter(ids)
                    status = await client.status()
                    assert status["queries"]["open"] == 0

        run(finish)


def test_a_hanging_and_a_slow_neighbour_are_replaced_and_the_answer_says_so(tmp_path):
    settings = [{"neighbours": {"b": float("inf"), "c": 1.0}, "moa": {"M": 1, "k": 1}}, {}, {}]
    with network(tmp_path, settings, timeouts=QUICK) as nodes:

        async def ask(query_id: str) -> dict:
            await submit(nodes, "a", [query_id])
            return (await answers(nodes, "a", [query_id]))[0]

        async def hang(number: int) -> dict:
            await nodes.until_members("a", {"b": "alive", "c": "alive"})
            nodes["b"].signal(signal.SIGSTOP)
            try:
                return await ask(f"hang-{number}")
            finally:
                nodes["b"].signal(signal.SIGCONT)

        expected = [{"device": "b", "by": "c", "reason": "it is taken for dead"}]
        answer = run(lambda: eventually(hang, lambda answer: answer["layers"][0]["replaced"] == expected))
        assert {response["device"] for response in answer["layers"][0]["responses"]} == {"a", "c"}
        assert answer["degraded"]
        assert answer["notes"] == ["layer 1: b was replaced by c: it is taken for dead"]
        run(lambda: eventually(lambda number: ask(f"awake-{number}"), lambda answer: not answer["degraded"]))


def test_what_is_slower_than_the_timeout_is_replaced_and_without_anybody_else_left_out(tmp_path):
    slow = {"2": {"law": "deterministic", "mean": [3600.0] * 3, "scv": [0.0] * 3}}
    settings = [{}, {"service": slow}, {}]
    with network(tmp_path, settings, timeouts={"response": 1.5}) as nodes:

        async def ask(number: int) -> dict:
            await submit(nodes, "a", [f"slow-{number}"])
            return (await answers(nodes, "a", [f"slow-{number}"]))[0]

        expected = [{"device": "b", "by": None, "reason": "no answer within 1.5 s"}]
        answer = run(lambda: eventually(ask, lambda answer: answer["layers"][0]["replaced"] == expected))
        assert answer["layers"][0]["missing"] == 1
        assert "layer 1: went on with 2 of 3 answers" in answer["notes"]


def test_a_neighbour_that_answers_garbage_is_replaced(tmp_path):
    """One acknowledges jobs and then sends malformed and forged responses; one answers everything with nonsense."""
    weights = {"a": 0.0, "b": 1.0, "liar": 1e9}
    with network(tmp_path, 2, moa={"M": 1, "k": 1}, timeouts={"response": 1.5} | QUICK, neighbours=weights) as nodes:
        for signs in (True, False):
            with FalseNode("liar", nodes.key, {each: node.url for each, node in nodes.nodes.items()}, signs=signs) as liar:

                async def ask(number: int, signs: bool = signs) -> dict:
                    await nodes.until_members("a", {"liar": "alive", "b": "alive"})
                    query_id = f"lied-to-{signs}-{number}"
                    await submit(nodes, "a", [query_id])
                    return (await answers(nodes, "a", [query_id]))[0]

                def lied_to(answer: dict) -> bool:
                    return [(each["device"], each["by"]) for each in answer["layers"][0]["replaced"]] == [("liar", "b")]

                answer = run(lambda: eventually(ask, lied_to))
                assert liar.asked >= 1
                assert set(liar.refusals) <= {0, 400, 403}  # 0: the connection broke
            assert {response["device"] for response in answer["layers"][0]["responses"]} == {"a", "b"}
            run(lambda: nodes.until_members("a", {"liar": "dead"}))


def test_both_sides_of_a_partition_go_on_and_grow_together_again(tmp_path):
    ports = dict(zip("abcd", reserved_ports(4), strict=True))
    with Proxies(ports) as proxies:
        seeds = list(proxies.urls.values())
        settings = [{"port": ports[name], "advertise": proxies.urls[name], "seeds": seeds} for name in "abcd"]
        with network(tmp_path, settings, moa={"M": 1, "k": 2}, timeouts=QUICK) as nodes:
            for node, port in zip(nodes.nodes.values(), ports.values(), strict=True):
                node.url = f"http://127.0.0.1:{port}"  # clients are on their node's side
            proxies.cut_off("d")

            async def apart() -> None:

                async def ask(name: str, query_id: str) -> dict:
                    await submit(nodes, name, [query_id])
                    return (await answers(nodes, name, [query_id]))[0]

                async def on_this_side(number: int) -> dict:
                    await nodes.until_members("a", {"b": "alive", "c": "alive", "d": "dead"})
                    return await ask("a", f"apart-{number}")

                answer = await eventually(on_this_side, lambda answer: not answer["degraded"])
                assert set(answer["layers"][0]["asked"]) == {"a", "b", "c"}
                await nodes.until_members("d", dict.fromkeys("abc", "dead"))
                alone = await ask("d", "apart")
                assert alone["notes"][0] == "layer 1: 0 of 2 neighbours could be asked"
                assert alone["degraded"]
                proxies.cut_off(None)

                async def together(number: int) -> dict:
                    await nodes.until_all_know_each_other()
                    return await ask("d", f"together-{number}")

                await eventually(together, lambda answer: not answer["degraded"])

            run(apart)


def test_a_full_node_refuses_says_when_to_come_back_and_keeps_what_it_took(tmp_path):
    limits = {"open_queries": 3, "peer_jobs": 0}
    with network(tmp_path, 2, seconds=0.3, moa={"M": 1, "k": 1}, limits=limits, timeouts={"response": 4.0}) as nodes:

        async def flood(number: int) -> tuple[int, set[str]]:
            """How many of 12 prompts were refused, and why those taken did without the neighbour."""
            async with nodes.client("a") as client:
                before = (await client.status())["queries"]["refused"]
                sent = await asyncio.gather(*(client.submit("p", f"{number}-{i}") for i in range(12)), return_exceptions=True)
                taken = [each["id"] for each in sent if isinstance(each, dict)]
                refused = [each for each in sent if isinstance(each, RefusedQuery)]
                assert len(taken) + len(refused) == 12
                assert len(taken) >= 3  # those who come late may find that the first are done
                assert {each.status for each in refused} <= {429}
                assert all(1 <= each.retry_after <= 60 for each in refused)
                found = await answers(nodes, "a", taken)
                status = await client.status()
                assert status["queries"]["refused"] - before == len(refused)
                assert status["queue"]["held_bytes"] == 0
                await submit(nodes, "a", [f"{number}-room-again"])
                await answers(nodes, "a", [f"{number}-room-again"])
                return len(refused), {answer["layers"][0]["replaced"][0]["reason"] for answer in found}

        def as_it_should(seen: tuple[int, set[str]]) -> bool:
            refused, reasons = seen
            return refused > 0 and reasons == {"its queue is full"}

        run(lambda: eventually(flood, as_it_should))


def test_nodes_that_join_leave_or_die_are_noticed_by_all_without_a_central_list(tmp_path):
    with network(tmp_path, 2, moa={"M": 1, "k": 1}, timeouts=QUICK) as nodes:
        settings = config("new", tmp_path, moa={"M": 1, "k": 1}, timeouts=QUICK, seeds=[nodes["a"].url])
        nodes.nodes["new"] = NodeProcess(settings, nodes.environment)
        nodes["new"].start()
        nodes["new"].wait_until_ready()

        async def goes(_: int) -> set[str | None]:
            """What the others think of it in the end: dead where they did not hear its goodbye, as on a busy machine."""
            if nodes["new"].process.poll() is not None:
                nodes["new"].start()
                nodes["new"].wait_until_ready()
            await nodes.until_all_know_each_other()
            assert nodes["new"].stop() == 0
            return {await nodes.until_gone(name, "new") for name in "ab"}

        run(lambda: eventually(goes, lambda seen: seen == {"left"}))
        nodes["new"].start()
        nodes["new"].wait_until_ready()
        run(nodes.until_all_know_each_other)
        nodes["new"].kill()
        for name in "ab":
            run(lambda name=name: nodes.until_members(name, {"new": "dead"}))
