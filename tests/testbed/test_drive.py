"""What is sent, when, and what is made of the answers; nodes are played."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import numpy as np
import pytest

from dmoa_calibration.testbed import drive as driver
from dmoa_calibration.testbed.client import RefusedQuery
from dmoa_calibration.testbed.drive import Driven, Snapshot, drive
from dmoa_calibration.testbed.drive_plan import ArrivalPlan, plan_arrivals, read_instructions
from dmoa_calibration.testbed.launch import LocalNetwork
from dmoa_theory import System
from dmoa_theory.errors import InputError
from dmoa_theory.model.run_record import DONE, FAILED, OPEN, REFUSED, UNSENT
from tests.testbed.run_simulated import desks
from tests.testbed.virtual_time import run_at_once


@dataclass
class PlayedNode:
    """A node that answers at once, or slowly, or not at all."""

    accept: float = 0.0  # s until a prompt is accepted
    answers: bool = True
    refuses: tuple[int, ...] = ()
    too_long: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()
    fails: tuple[int, ...] = ()
    seen: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    results_: list[dict[str, Any]] = field(default_factory=list)
    pid: int = field(default_factory=os.getpid)
    running: bool = True

    @property
    def client(self) -> PlayedNode:
        return self

    async def submit(self, prompt: str, query_id: str) -> dict[str, Any]:
        self.seen.append(query_id)
        self.prompts.append(prompt)
        place = int(query_id[1:])
        if place in self.absent:
            raise aiohttp.ClientConnectionError("nobody there")
        if place in self.refuses:
            raise RefusedQuery(429, "full", 1.0)
        if place in self.too_long:
            raise RefusedQuery(413, "too long", None)
        await asyncio.sleep(self.accept)
        if self.answers:
            state = "failed" if place in self.fails else "done"
            answer = {"id": query_id, "state": state, "degraded": False, "answer": f"re: {prompt}"}
            self.results_.append(answer)
        return {"id": query_id, "state": "accepted"}

    async def results(self, after: int, wait: float, *, texts: bool) -> dict[str, Any]:
        for _ in range(20):
            if len(self.results_) > after:
                break
            await asyncio.sleep(0.005)
        found = [{**each, "answer": each["answer"] if texts else None} for each in self.results_[after:]]
        return {"results": [*found, {"id": "somebody-elses", "state": "done"}], "last": len(self.results_)}

    async def status(self) -> dict[str, Any]:
        return {"queue": {"waiting": 0, "in_service": None}, "queries": {"open": 0}, "jobs": {"served": len(self.seen)}}


def _drive(
    nodes: list[PlayedNode], plan: ArrivalPlan, *, patience: float = 5.0, stop_after: float = 0.0, **more: Any
) -> Driven:
    """Drive them on a clock of their own, so that however busy the machine, the same comes of it."""

    class Played:
        def __init__(self) -> None:
            self.nodes = nodes

    async def run() -> Driven:
        stop = asyncio.Event()
        if stop_after:
            asyncio.get_running_loop().call_later(stop_after, stop.set)
        network = cast(LocalNetwork, Played())
        return await drive(network, plan, ["one", "two"], stop=stop, patience=patience, **more)

    clock = SimpleNamespace(monotonic=lambda: asyncio.get_running_loop().time())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "time", clock)
        return run_at_once(run)


def _plan(count: int, gap: float = 0.005, users: int = 1) -> ArrivalPlan:
    return ArrivalPlan(time=gap * np.arange(count), user=np.arange(count) % users)


def test_arrivals_are_poisson_at_the_rates_of_the_users() -> None:
    """Mean and deviation of gaps, the share of every user, none of users without prompts; the same for the same seed."""
    system = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], [3.0, 0.0, 1.0], 0.1, M=1, k=1)
    plan = plan_arrivals(system, 20_000, seed=5)
    gaps = np.diff(plan.time, prepend=0.0)
    assert gaps.mean() == pytest.approx(0.25, rel=0.03)
    assert gaps.std() == pytest.approx(0.25, rel=0.03)
    assert np.bincount(plan.user, minlength=3)[1] == 0
    assert (plan.user == 0).mean() == pytest.approx(0.75, abs=0.015)
    assert np.array_equal(plan_arrivals(system, 20_000, seed=5).time, plan.time)
    assert not np.array_equal(plan_arrivals(system, 20_000, seed=6).time, plan.time)
    np.testing.assert_allclose(plan_arrivals(desks(0.8), 50, 1).time, plan_arrivals(desks(0.4), 50, 1).time / 2)


def test_a_slow_network_delays_no_later_prompt() -> None:
    """Open loop: every prompt is sent before the first is accepted, and latency counts from when each was to be sent."""
    node = PlayedNode(accept=0.6)
    driven = _drive([node], _plan(20))
    assert len(node.seen) == 20
    assert driven.sent.max() < driven.answered.min()
    assert (driven.outcome == DONE).all()
    assert (driven.answered - driven.plan.time >= 0.6 - 1e-3).all()
    assert (driven.sent >= driven.plan.time - 1e-9).all()


def test_every_prompt_goes_to_its_user_in_turn() -> None:
    nodes = [PlayedNode(), PlayedNode()]
    driven = _drive(nodes, _plan(6, users=2), texts=True)
    assert nodes[0].seen == ["p000000", "p000002", "p000004"]
    assert nodes[1].prompts == ["two"] * 3
    assert driven.texts[3] == "re: two"


def test_refused_failed_and_unsent_prompts_are_told_apart() -> None:
    """A refusal is final; who does not answer the door is tried again, then given up."""
    node = PlayedNode(refuses=(1,), absent=(2,), fails=(3,), too_long=(4,))
    driven = _drive([node], _plan(6))
    assert driven.outcome.tolist() == [DONE, REFUSED, UNSENT, FAILED, FAILED, DONE]
    assert node.seen.count("p000001") == 1
    assert node.seen.count("p000002") == 3
    assert np.isnan(driven.answered[1:5]).all()


def test_what_was_answered_counts_whatever_becomes_of_sending_it_again() -> None:
    """A prompt can be taken on, answered and fetched while its sender has not been told and tries again."""

    class Mute(PlayedNode):
        async def submit(self, prompt: str, query_id: str) -> dict[str, Any]:
            place, again = int(query_id[1:]), query_id in self.seen
            if not again:
                await PlayedNode.submit(self, prompt, query_id)
            elif place >= 2:
                raise RefusedQuery(503, "no room for connections", 1.0)
            raise aiohttp.ServerDisconnectedError

    driven = _drive([Mute(fails=(1, 3))], _plan(4))
    assert driven.outcome.tolist() == [DONE, FAILED, DONE, FAILED]


def test_a_node_too_full_to_say_how_it_stands_ends_no_run() -> None:
    """Nor what is told of it: who asks is refused in the middle of it, and at its end."""
    seen: list[Snapshot] = []

    class Full(PlayedNode):
        asked = 0

        async def status(self) -> dict[str, Any]:
            self.asked += 1
            if self.asked % 2:
                raise RefusedQuery(503, "no room for connections", 1.0)
            return await PlayedNode.status(self)

    driven = _drive([Full()], _plan(40, gap=0.01), watch=seen.append, every=0.05)
    assert (driven.outcome == DONE).all()
    assert len(seen) > 3


def test_patience_ends() -> None:
    """A network that accepts and never answers is left, and its prompts stay open."""
    driven = _drive([PlayedNode(answers=False)], _plan(3), patience=0.2)
    assert driven.outcome.tolist() == [OPEN] * 3


def test_a_stop_is_heeded_at_once_and_keeps_what_was_answered() -> None:
    node = PlayedNode()
    driven = _drive([node], _plan(1000, gap=0.02), stop_after=0.6)
    assert driven.stopped
    assert 0 < (driven.outcome == DONE).sum() < 100
    assert np.isnan(driven.sent).sum() > 900


def test_what_was_answered_before_a_stop_is_fetched() -> None:
    """Nobody had asked for it yet when the run was stopped: it counts all the same."""

    class Withholding(PlayedNode):
        async def results(self, after: int, wait: float, *, texts: bool) -> dict[str, Any]:
            if wait > 0:
                await asyncio.sleep(wait)
            return await PlayedNode.results(self, after, 0.0, texts=texts)

    driven = _drive([Withholding()], _plan(1000, gap=0.02), stop_after=0.6)
    assert driven.stopped
    assert (driven.outcome == DONE).any()
    assert (driven.outcome == DONE).sum() == len(driven.answered[~np.isnan(driven.answered)])


def test_whoever_watches_is_told() -> None:
    """Counts rise to the end, and every device is spoken of."""
    seen: list[Snapshot] = []
    _drive([PlayedNode(), PlayedNode()], _plan(40, gap=0.01, users=2), watch=seen.append, every=0.05)
    assert len(seen) > 3
    assert all(len(each.waiting) == len(each.served) == len(each.resident) == 2 for each in seen)
    assert [each.answered for each in seen] == sorted(each.answered for each in seen)
    assert seen[-1].resident[0] is None or seen[-1].resident[0] > 10**6


def test_instructions_are_read_as_alpaca_eval_has_them(tmp_path: Path) -> None:
    """What else stands beside an instruction is kept, an answer of somebody else's is not."""
    path = tmp_path / "eval.json"
    path.write_text(json.dumps([{"instruction": "Why?", "dataset": "koala", "output": "old"}, {"instruction": "How?"}]))
    first, second = read_instructions(path)
    assert (first.text, first.rest) == ("Why?", {"dataset": "koala"})
    assert (second.text, second.rest) == ("How?", {})


@pytest.mark.parametrize("text", ["{", "{}", "[]", '[{"prompt": "Why?"}]', '["Why?"]', '[{"instruction": " "}]'])
def test_other_files_are_refused_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "eval.json"
    path.write_text(text)
    with pytest.raises(InputError, match="instruction"):
        read_instructions(path)
    with pytest.raises(InputError, match="can be read"):
        read_instructions(tmp_path / "nothing.json")
