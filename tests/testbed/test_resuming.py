"""What a process takes over from the one before it, whatever that left behind: a node in this process, without a network."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from dmoa_calibration.testbed import home
from dmoa_calibration.testbed.asking import INFER_PATH
from dmoa_calibration.testbed.engines import open_engine
from dmoa_calibration.testbed.helper import OtherJobError
from dmoa_calibration.testbed.home import OtherPromptError
from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.protocol.gossip import GOSSIP_PATH
from dmoa_calibration.testbed.protocol.messages import GossipMessage, InferenceRequest, InferenceResponse, MemberRecord
from dmoa_calibration.testbed.protocol.peers import PeerAnswer, PeerError
from dmoa_calibration.testbed.protocol.secret_values import Secret
from dmoa_theory.errors import InputError
from tests.testbed.network_of_nodes import PATIENCE, config, run

KEY = Secret(b"0123456789abcdef")


@asynccontextmanager
async def node_in(folder: Path, *, key: Secret | None = None, **changes: Any) -> AsyncIterator[Node]:
    given = config(
        changes.pop("name", "a"),
        folder,
        **({"data_dir": folder / "a", "seconds": 0.0, "peer_key": None, "client_token": None} | changes),
    )
    node = Node(given, open_engine(given), "http://127.0.0.1:9", key=key)
    try:
        node.start()
        yield node
    finally:
        await node.stop()


async def ask(node: Node, query_id: str, prompt: str = "why?") -> dict[str, Any]:
    await node.home.accept(query_id, prompt, lambda: None)
    answer = await node.home.answer(query_id, wait=60.0)
    assert answer is not None
    return answer


def left_behind(folder: Path, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Write into the journal of a node that is not running."""
    with sqlite3.connect(folder / "a" / "journal.sqlite3") as journal:
        for sql, values in statements:
            journal.execute(sql, values)
    journal.close()


QUERY = ("insert into queries (id, arrived_wall, prompt) values ('q', 1.0, 'why?')", ())
STAGE = "insert into stages (query, stage, asked) values"
HOME_ALONE = {"M": 0, "k": 0}


def stage(number: int, places: object) -> tuple[str, tuple[Any, ...]]:
    return f"{STAGE} ('q', ?, ?)", (number, json.dumps(places))


def response(device: str, text: str, number: int = 0) -> str:
    made = InferenceResponse(job=f"a:q:{number}:{device}", query="q", stage=number, device=device, text=text)
    return made.model_dump_json()


def answered(number: int, device: str, text: str) -> tuple[str, tuple[Any, ...]]:
    return "insert into responses values ('q', ?, ?, ?)", (number, device, response(device, text, number))


def resumed(folder: Path, *left: tuple[str, tuple[Any, ...]], before: dict[str, int], now: dict[str, int]) -> dict[str, Any]:
    """The answer of a query of which this was left by a process with the plan ``before``."""

    async def within() -> dict[str, Any]:
        async with node_in(folder, moa=before):
            pass
        left_behind(folder, QUERY, *left)
        async with node_in(folder, moa=now) as node:
            answer = await node.home.answer("q", wait=60.0)
            assert answer is not None
            return answer

    return run(within)


def test_a_query_goes_on_with_what_its_stages_had_come_to(tmp_path):
    plan = {"M": 2, "k": 0}
    answer = resumed(tmp_path, stage(0, [["a"]]), answered(0, "a", "kept"), stage(1, [["a"]]), before=plan, now=plan)
    assert (answer["state"], answer["resumed"]) == ("done", 1)
    assert [layer["responses"][0]["text"] == "kept" for layer in answer["layers"]] == [True, False, False]


def test_a_query_begins_anew_where_layers_or_neighbours_are_others_than_before(tmp_path):
    """The last stage stays at home, whatever the stage of that number asked before."""
    left = stage(0, [["a"], ["b"]]), answered(0, "b", "old"), stage(1, [["a"], ["b"]]), answered(1, "b", "old")
    answer = resumed(tmp_path, *left, before={"M": 2, "k": 1}, now={"M": 1, "k": 0})
    assert [layer["asked"] for layer in answer["layers"]] == [["a"], ["a"]]
    assert "old" not in json.dumps(answer)


@pytest.mark.parametrize(
    "left",
    [
        [(f"{STAGE} ('q', 0, 'no json')", ())],
        [(f"{STAGE} ('q', 0, 5)", ())],
        [(f"{STAGE} ('q', 0, cast(x'ff5b5d' as text))", ())],
        [stage(0, 5)],
        [stage(0, [[]])],
        [stage(0, [["a"]]), ("insert into responses values ('q', 0, 'a', '[]')", ()), stage(1, [["a"]])],
        [stage(0, [["a"]]), answered(0, "stranger", "t"), stage(1, [["a"]])],
        [stage(0, [["a"]]), ("insert into responses select 'q', 0, 'a', ?", (response("b", "t"),)), stage(1, [["a"]])],
        [stage(1, [["a"]]), answered(1, "a", "of a stage without the one before")],
    ],
)
def test_what_cannot_be_read_or_has_a_gap_is_asked_for_again(tmp_path, left):
    plan = {"M": 2, "k": 0}
    answer = resumed(tmp_path, *left, before=plan, now=plan)
    assert answer["state"] == "done"
    assert [layer["asked"] for layer in answer["layers"]] == [["a"]] * 3


def test_a_job_that_cannot_be_read_is_left_out_and_the_others_are_served(tmp_path, caplog):
    async def within() -> None:
        async with node_in(tmp_path, key=KEY):
            pass
        good = job("z:q:0:a", "why?").model_dump_json()
        for name, text in (("z:broken:0:a", "{}"), ("z:q:0:a", good)):
            left_behind(tmp_path, ("insert into jobs (job, request) values (?, ?)", (name, text)))
        async with node_in(tmp_path, key=KEY) as node:
            while node.queue.totals.served < 1:
                await asyncio.sleep(0.01)
            assert node.helper.open == 1
            assert node.status()["unreadable"] == {"queries": 0, "jobs": 1}
            assert await node.journal.read("select job from jobs") == [("z:q:0:a",)]
        assert f"{tmp_path}/a/journal.sqlite3: cannot read the entry of job 'z:broken:0:a', which is left out" in caplog.text

    run(within)


@pytest.mark.parametrize(
    "change",
    [
        "prompt = x'ff'",
        "prompt = cast(x'ff' as text)",
        "arrived_wall = 'long ago'",
        "arrived_wall = 9e999",
        "resumed = 'often'",
        "id = 'no id', prompt = 5.5",
        "id = cast(x'ff' as text)",
        "id = x'00'",
    ],
)
def test_a_query_that_cannot_be_read_ends_as_failed_and_the_others_go_on(tmp_path, caplog, change):
    """Its user is told, the log names it and the file, it is counted once, and does not come up again."""

    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE):
            pass
        well = ("insert into queries (id, arrived_wall, prompt) values ('well', 2.0, 'why?')", ())
        left_behind(tmp_path, QUERY, (f"update queries set {change}", ()), well)
        async with node_in(tmp_path, moa=HOME_ALONE) as node:
            assert (await node.home.answer("well", wait=60.0))["state"] == "done"
            lost, found = await node.home.results(0, 10, 0.0)
            assert (lost["state"], found["state"], node.home.open) == ("failed", "done", 0)
            assert "cannot be read; ask again, under another id" in lost["error"]
            assert node.status()["unreadable"] == {"queries": 1, "jobs": 0}
            if lost["id"] == "q":
                assert (await node.home.answer("q"))["state"] == "failed"
        said = f"{tmp_path}/a/journal.sqlite3: cannot read the entry of query "
        assert [record.message.startswith(said) for record in caplog.records] == [True]
        assert lost["id"] != "q" or caplog.records[0].message.endswith("query 'q', which counts as failed; all else goes on")
        async with node_in(tmp_path, moa=HOME_ALONE) as node:
            assert node.status()["unreadable"] == {"queries": 0, "jobs": 0}

    run(within)


def test_an_answer_that_cannot_be_read_keeps_none_of_the_others_back(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE) as node:
            for query_id in "xyz":
                await ask(node, query_id)
        left_behind(tmp_path, ("update queries set answer = '{' where id = 'x'", ()))
        left_behind(tmp_path, ("update queries set answer = null where id = 'y'", ()))
        async with node_in(tmp_path, moa=HOME_ALONE) as node:
            assert [each["state"] for each in await node.home.results(0, 10, 0.0)] == ["failed", "failed", "done"]
            assert "cannot be read" in (await node.home.answer("x"))["error"]

    run(within)


def test_own_and_neighbours_jobs_are_served_in_the_order_in_which_they_were_taken_on(tmp_path):
    """Also by a process that hears of no other node yet, which it waits for before it asks neighbours."""
    names = ["n1", "own1", "n2", "n3", "own2", "n4"]
    plan = {"M": 1, "k": 0}

    async def within() -> None:
        async with node_in(tmp_path, key=KEY, moa=plan, seconds=3600.0) as node:
            for name in names:
                if name.startswith("own"):
                    await node.home.accept(name, "why?", lambda: None)
                else:
                    await node.helper.take(job(f"z:{name}:0:a", "why?"), lambda: None)
        nowhere = {"seeds": ["http://127.0.0.1:9"], "peer_key": {"env": "WITH_SEEDS"}}
        async with node_in(tmp_path, key=KEY, moa=plan, **nowhere) as node:
            while node.queue.totals.served < len(names):
                await asyncio.sleep(0.01)
            boot = node.incarnation
        events = [json.loads(line) for line in (tmp_path / "a" / "events.jsonl").read_text().splitlines() if line]
        started = [each for each in events if each["boot"] == boot and each["event"] == "job_started"]
        assert [each["query"] for each in started if each["stage"] == 0] == names

    run(within)


def test_a_journal_from_before_the_order_was_kept_is_taken_over(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, key=KEY):
            pass
        left_behind(tmp_path, *((f"alter table {table} drop column queued_wall", ()) for table in ("stages", "jobs")))
        left_behind(
            tmp_path, ("insert into jobs (job, request) values (?, ?)", ("z:q:0:a", job("z:q:0:a", "why?").model_dump_json()))
        )
        async with node_in(tmp_path, key=KEY) as node:
            while node.queue.totals.served < 1:
                await asyncio.sleep(0.01)

    run(within)


def test_a_response_goes_where_the_heartbeat_of_its_origin_comes_from_and_waits_for_that(tmp_path):
    """A job cannot name an address; a node that has just started learns it from the first heartbeat."""
    left = job("z:q:0:a", "why?")

    async def within() -> None:
        async with node_in(tmp_path, key=KEY):
            pass
        left_behind(tmp_path, ("insert into jobs (job, request) values (?, ?)", (left.job, left.model_dump_json())))
        async with node_in(tmp_path, key=KEY) as node:
            sent: list[tuple[str, str]] = []

            async def post(url: str, path: str, message: Any, receiver: str) -> PeerAnswer:
                sent.append((url, receiver))
                return PeerAnswer(200, b"", 1.0)

            node.peers.post = post
            while node.queue.totals.served < 1:
                await asyncio.sleep(0.01)
            assert (sent, node.helper.open) == ([], 1)
            heartbeat = MemberRecord(name="z", url="http://127.0.0.1:7", incarnation=1, heartbeat=1)
            node.gossip.answer(GossipMessage(sender="z", members=[heartbeat]))
            while node.helper.open:
                await asyncio.sleep(0.01)
            assert sent == [("http://127.0.0.1:7", "z")]
        with pytest.raises(ValidationError, match="reply_to"):
            InferenceRequest.model_validate(left.model_dump() | {"reply_to": "http://127.0.0.1:9"})

    run(within)


@pytest.mark.parametrize("late", [False, True])
def test_a_stage_waits_for_those_who_are_not_heard_of_yet(tmp_path, monkeypatch, late):
    """Whom the first other node does not know, because it has just been started too, is neither given up nor passed over."""
    plan = {"M": 1, "k": 2}
    seeds = {"seeds": [f"http://127.0.0.1:{port}" for port in (2, 3, 4)], "peer_key": {"env": "WITH_SEEDS"}}
    beat = {
        name: MemberRecord(name=name, url=f"http://127.0.0.1:{port}", incarnation=1, heartbeat=1)
        for port, name in enumerate("bcd", 2)
    }
    only_itself = GossipMessage(sender="b", members=[beat["b"]])
    monkeypatch.setattr(home, "_LONGEST_START", PATIENCE)

    async def within() -> None:
        async with node_in(tmp_path, key=KEY, moa=plan):
            pass
        left_behind(tmp_path, QUERY, stage(0, [["a"], ["c"], ["d"]]))
        async with node_in(tmp_path, key=KEY, moa=plan, **seeds) as node:

            async def post(url: str, path: str, message: Any, receiver: str, **_: Any) -> PeerAnswer:
                if path == GOSSIP_PATH and url == beat["b"].url:
                    return PeerAnswer(200, only_itself.model_dump_json().encode(), 1.0)
                if path != INFER_PATH:
                    raise PeerError("played")
                made = InferenceResponse(job=message.job, query=message.query, stage=0, device=receiver, text="t")
                asyncio.get_running_loop().call_soon(node.home.receive, made)
                return PeerAnswer(202, b"", 1.0)

            node.peers.post = post
            await node.home.accept("new", "why?", lambda: None)
            while node.membership.member("b") is None:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            assert not node.gossip.joined.is_set()
            node.gossip.answer(GossipMessage(sender="c", members=[beat["c"], beat["b"]]))
            if late:
                node.desk._began -= 1000.0  # longer ago than anybody may be silent
            else:
                await asyncio.sleep(0.1)
                node.gossip.answer(GossipMessage(sender="d", members=[beat["d"]]))
            old, new = [await node.home.answer(name, wait=60.0) for name in ("q", "new")]
            assert new["notes"] == []
            replaced = {"device": "d", "by": "b", "reason": "it is not known any more"}
            assert old["layers"][0]["replaced"] == ([replaced] if late else [])
            assert [each["device"] for each in old["layers"][0]["responses"]] == ["a", "c", "b" if late else "d"]

    run(within)


def test_a_clock_that_was_set_back_gives_no_answer_before_its_prompt(tmp_path):
    left_in_the_future = ("update queries set arrived_wall = 1e12", ())
    answer = resumed(tmp_path, left_in_the_future, before=HOME_ALONE, now=HOME_ALONE)
    assert answer["latency_s"] == 0.0


def test_a_folder_belongs_to_one_node(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE):
            pass
        with pytest.raises(InputError, match="a folder of b's own; this is that of a"):
            async with node_in(tmp_path, moa=HOME_ALONE, name="b"):
                pass
        async with node_in(tmp_path, moa=HOME_ALONE) as node:  # it was let go of
            assert (await ask(node, "q"))["state"] == "done"

    run(within)


def test_a_broken_journal_is_told_of_in_a_line(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE):
            pass
        journal = tmp_path / "a" / "journal.sqlite3"
        left_behind(tmp_path, ("drop index open_jobs", ()), ("drop table jobs", ()), ("create table jobs (state)", ()))
        assert journal.exists()
        with pytest.raises(InputError, match=r"data_dir .*journal"):
            async with node_in(tmp_path, moa=HOME_ALONE, key=KEY):
                pass

    run(within)


# -- ids that come again ----------------------------------------------------------------------------------------------


def test_an_id_whose_answer_is_not_kept_any_more_can_be_used_again(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE, limits={"kept_answers": 2}) as node:
            for i in range(5):
                assert (await ask(node, f"q{i}"))["state"] == "done"
            assert await node.home.answer("q0") is None
            with pytest.raises(OtherPromptError):
                await node.home.accept("q4", "another", lambda: None)
            assert (await ask(node, "q0", "another"))["state"] == "done"
            assert [each["seq"] for each in await node.home.results(0, 10, 0.0)] == [5, 6]

    run(within)


def job(name: str, prompt: str) -> InferenceRequest:
    origin, query, number, _ = name.split(":")
    return InferenceRequest(job=name, query=query, stage=int(number), kind="first", origin=origin, k=0, prompt=prompt)


def test_another_prompt_under_the_name_of_an_old_job_is_a_new_job(tmp_path):
    """An origin that lost its memory counts its queries from the beginning: it must not be given answers to others."""

    async def within() -> None:
        async with node_in(tmp_path, key=KEY) as node:
            helper, asked = node.helper, []
            put = node.queue.put
            node.queue.put = lambda work: (asked.append(work.prompt), put(work))[1]
            assert await helper.take(job("z:q:0:a", "one"), lambda: None)
            assert not await helper.take(job("z:q:0:a", "one"), lambda: None)
            with pytest.raises(OtherJobError):
                await helper.take(job("z:q:0:a", "two"), lambda: None)
            while node.queue.totals.served < 1:
                await asyncio.sleep(0.01)
            helper._delivered_now("z:q:0:a")
            assert await helper.take(job("z:q:0:a", "two"), lambda: None)
            assert not await helper.take(job("z:q:0:a", "two"), lambda: None)
            assert asked == ["one", "two"]
            rows = await node.journal.read("select state, request from jobs")
            assert len(rows) == 1
            assert '"two"' in rows[0][1]

    run(within)


# -- a disk that does not take everything -------------------------------------------------------------------------------


def test_an_answer_written_late_is_listed_late_so_that_nobody_misses_it(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE) as node:
            write, failed, room = node.journal.write, [], asyncio.Event()

            def full_for_the_first(*statements: Any) -> asyncio.Future[None]:
                sql, values = statements[0]
                if not room.is_set() and sql.startswith("update queries set state") and '"id": "first"' in str(values):
                    failed.append(statements)
                    refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                    refused.set_exception(sqlite3.OperationalError("database or disk is full"))
                    return refused
                return write(*statements)

            node.journal.write = full_for_the_first
            await node.home.accept("first", "why?", lambda: None)
            while not failed:
                await asyncio.sleep(0.01)
            await ask(node, "second")
            seen = await node.home.results(0, 10, 60.0)
            assert [(each["id"], each["seq"]) for each in seen] == [("second", 1)]
            room.set()
            later = await node.home.results(1, 10, 60.0)
            assert [(each["id"], each["seq"]) for each in later] == [("first", 2)]

    run(within)


def test_a_node_whose_events_cannot_be_written_stops_in_order(tmp_path):
    async def within() -> None:
        async with node_in(tmp_path, moa=HOME_ALONE) as node:
            await ask(node, "q")
            node.log._file.close()
            node.log._file = open("/dev/full", "ab", buffering=0)  # noqa: SIM115 - the node closes it
        async with node_in(tmp_path, moa=HOME_ALONE) as node:  # the journal was closed, and has everything
            assert (await node.home.answer("q"))["state"] == "done"

    run(within)
