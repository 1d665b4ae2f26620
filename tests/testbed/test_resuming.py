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

from dmoa_calibration.testbed.engines import open_engine
from dmoa_calibration.testbed.helper import OtherJobError
from dmoa_calibration.testbed.home import OtherPromptError
from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.protocol.messages import InferenceRequest, InferenceResponse
from dmoa_calibration.testbed.protocol.secret_values import Secret
from dmoa_theory.errors import InputError
from tests.testbed.network_of_nodes import config, run

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
HOME_ALONE = {"M": 0, "k": 0}


def stage(number: int, places: object) -> tuple[str, tuple[Any, ...]]:
    return "insert into stages values ('q', ?, ?)", (number, json.dumps(places))


def answered(number: int, device: str, text: str) -> tuple[str, tuple[Any, ...]]:
    made = InferenceResponse(job=f"a:q:{number}:{device}", query="q", stage=number, device=device, text=text)
    return "insert into responses values ('q', ?, ?, ?)", (number, device, made.model_dump_json())


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
        [("insert into stages values ('q', 0, 'no json')", ())],
        [stage(0, 5)],
        [stage(0, [[]])],
        [stage(0, [["a"]]), ("insert into responses values ('q', 0, 'a', '[]')", ()), stage(1, [["a"]])],
        [stage(0, [["a"]]), answered(0, "stranger", "t"), stage(1, [["a"]])],
        [stage(1, [["a"]]), answered(1, "a", "of a stage without the one before")],
    ],
)
def test_what_cannot_be_read_or_has_a_gap_is_asked_for_again(tmp_path, left):
    plan = {"M": 2, "k": 0}
    answer = resumed(tmp_path, *left, before=plan, now=plan)
    assert answer["state"] == "done"
    assert [layer["asked"] for layer in answer["layers"]] == [["a"]] * 3


def test_a_job_that_cannot_be_read_is_left_out_and_the_others_are_served(tmp_path):
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
    return InferenceRequest(
        job=name, query=query, stage=int(number), kind="first", origin=origin, reply_to="http://127.0.0.1:9", k=0, prompt=prompt
    )


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
            write, failed = node.journal.write, []

            def full_for_the_first(*statements: Any) -> asyncio.Future[None]:
                if not failed and statements[0][0].startswith("update queries set state"):
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
