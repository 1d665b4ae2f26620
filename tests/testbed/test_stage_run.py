"""One stage of a query against neighbours that are played: who is waited for, who is replaced, what is used."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_calibration.testbed.protocol.messages import InferenceResponse
from dmoa_calibration.testbed.stage_run import Delivered, StageOutcome, StageRun
from tests.testbed.virtual_time import run_at_once


def response(device: str, text: str | None = "t") -> InferenceResponse:
    return InferenceResponse(job=f"me:q:0:{device}", query="q", stage=0, device=device, text=text)


class Played:
    """Neighbours with a part to play: ``answer``, ``fail``, ``silent``, ``full``, ``refuse``, ``die``, ``restart``."""

    own = "me"

    def __init__(self, parts: dict[str, str], spare: tuple[str, ...] = ()) -> None:
        self.parts, self.spare = parts, list(spare)
        self.asked: Counter[str] = Counter()
        self.gone: dict[str, str] = {}
        self.incarnation: Counter[str] = Counter()
        self.changes: dict[str, asyncio.Future[None]] = {}
        self.written: list[list[list[str]]] = []

    def ask_own(self, stage: StageRun) -> None:
        self.asked["me"] += 1
        part = self.parts.get("me", "answer")
        asyncio.get_running_loop().call_soon(stage.receive, response("me", "t" if part == "answer" else None))

    async def ask(self, device: str, stage: StageRun) -> Delivered:
        self.asked[device] += 1
        part = self.parts.get(device, "answer")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        if part == "full":
            return Delivered("its queue is full", 0.01)
        if part == "refuse":
            return Delivered("it refused the job (HTTP 400)")
        if part in ("answer", "fail"):
            loop.call_soon(stage.receive, response(device, "t" if part == "answer" else None))
        if part == "die":
            loop.call_soon(self._change, device, "it is taken for dead")
        if part == "restart":
            self.parts[device] = "answer"
            loop.call_soon(self._change, device, None)
        return Delivered()

    def _change(self, device: str, gone: str | None) -> None:
        if gone:
            self.gone[device] = gone
        self.incarnation[device] += 1
        if device in self.changes:
            self.changes.pop(device).set_result(None)

    def substitute(self, stage: StageRun) -> str | None:
        return self.spare.pop(0) if self.spare else None

    def asked_more(self, stage: StageRun) -> None:
        self.written.append([list(place) for place in stage.places])

    def whereabouts(self, device: str) -> tuple[str | None, int]:
        return self.gone.get(device), self.incarnation[device]

    def next_change(self, device: str) -> asyncio.Future[None]:
        if device not in self.changes:
            self.changes[device] = asyncio.get_running_loop().create_future()
        return self.changes[device]


def stage_of(played: Played, devices: str, **changes) -> StageRun:
    given = {
        "quorum": len(devices) + 1,
        "places": [["me"], *([d] for d in devices)],
        "known": {},
        "timeout": 0.05,
        "replacements": 2,
    }
    return StageRun(played, query="q", stage=0, kind="first", k=len(devices), prompt="p", **(given | changes))


def outcome(played: Played, devices: str, **changes) -> StageOutcome:
    async def within() -> StageOutcome:
        return await stage_of(played, devices, **changes).run()

    return run_at_once(within)


def devices_of(found: StageOutcome) -> list[str]:
    return [each.device for each in found.responses]


def test_all_are_asked_once_and_their_answers_come_in_the_order_of_asking():
    played = Played({})
    found = outcome(played, "bc")
    assert devices_of(found) == ["me", "b", "c"]
    assert (found.missing, found.replaced) == (0, [])
    assert played.asked == Counter(["me", "b", "c"])


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ("silent", "no answer within 0.05 s"),
        ("die", "it is taken for dead"),
        ("fail", "it failed: no reason given"),
        ("refuse", "it refused the job (HTTP 400)"),
        ("full", "its queue is full"),
    ],
)
def test_who_does_not_answer_is_replaced_and_where_nobody_is_left_the_stage_goes_on_without(part, reason):
    found = outcome(Played({"b": part}, spare=("x",)), "bc")
    assert found.replaced == [{"device": "b", "by": "x", "reason": reason}]
    assert devices_of(found) == ["me", "x", "c"]
    alone = outcome(Played({"b": part}), "bc")
    assert devices_of(alone) == ["me", "c"]
    assert alone.missing == 1
    assert alone.replaced == [{"device": "b", "by": None, "reason": reason}]


def test_replacing_has_an_end():
    played = Played(dict.fromkeys("buvwxyz", "silent"), spare=tuple("uvwxyz"))
    found = outcome(played, "b", replacements=2)
    assert [each["by"] for each in found.replaced] == ["u", "v", None]
    assert devices_of(found) == ["me"]


def test_a_full_neighbour_is_asked_again_until_it_has_room():
    played = Played({"b": "full"})

    async def within() -> StageOutcome:
        stage = stage_of(played, "b", timeout=10.0)
        asyncio.get_running_loop().call_later(0.05, played.parts.__setitem__, "b", "answer")
        return await stage.run()

    found = run_at_once(within)
    assert devices_of(found) == ["me", "b"]
    assert played.asked["b"] >= 2
    assert found.replaced == []


def test_a_process_that_took_a_job_on_and_was_started_anew_is_asked_again():
    played = Played({"b": "restart"})
    assert devices_of(outcome(played, "b", timeout=30.0)) == ["me", "b"]
    assert played.asked["b"] == 2


def test_an_answer_of_the_one_that_was_replaced_counts_if_it_is_there_first():
    played = Played({"b": "silent", "x": "silent"}, spare=("x",))

    async def within() -> StageOutcome:
        stage = stage_of(played, "b", timeout=0.2)
        asyncio.get_running_loop().call_later(0.3, stage.receive, response("b", "late, but first"))
        return await stage.run()

    found = run_at_once(within)
    assert [each.text for each in found.responses] == ["t", "late, but first"]
    assert found.missing == 0


def test_answers_too_late_twice_or_from_strangers_are_not_used():
    async def within() -> None:
        stage = stage_of(Played({"c": "silent"}), "bc", quorum=2)
        assert not stage.receive(response("stranger"))
        assert stage.receive(response("b"))
        assert not stage.receive(response("b"))
        found = await stage.run()
        assert devices_of(found) == ["me", "b"]
        assert found.missing == 0
        assert not stage.receive(response("c"))

    run_at_once(within)


def test_what_was_answered_before_a_restart_is_not_asked_for_again():
    played = Played({})
    found = outcome(played, "bc", known={"b": response("b", "kept")}, places=[["me"], ["a", "b"], ["c"]])
    assert [each.text for each in found.responses] == ["t", "kept", "t"]
    assert played.asked["b"] == 0
    assert found.replaced == [{"device": "a", "by": "b", "reason": "before the node was started anew"}]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(["answer", "fail", "die", "refuse", "silent"]), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(0, 3),
)
def test_whatever_the_others_do_a_stage_ends_with_distinct_devices_and_counts_what_is_missing(parts, quorum, spare):
    names = "bcdef"[: len(parts)]
    played = Played(dict(zip(names, parts, strict=True)), spare=tuple("xyz"[:spare]))
    quorum = min(quorum, len(parts) + 1)
    found = outcome(played, names, quorum=quorum, timeout=0.01)
    able = 1 + parts.count("answer") + min(spare, len(parts) - parts.count("answer"))
    assert len(set(devices_of(found))) == len(found.responses) == min(quorum, able)
    assert found.missing == quorum - len(found.responses)
