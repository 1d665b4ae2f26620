"""Membership by gossip: what every node must come to know, whatever order news arrives in."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_calibration.testbed.protocol.gossip import Gossip
from dmoa_calibration.testbed.protocol.membership import MOST_MEMBERS, Membership, MemberState
from dmoa_calibration.testbed.protocol.messages import LATEST, GossipMessage, MemberRecord
from dmoa_calibration.testbed.protocol.peer_hosts import PeerHosts

URL = "http://127.0.0.1:1"


def node(name: str, incarnation: int = 1, changes: list[str] | None = None) -> Membership:
    noted = (lambda _: None) if changes is None else changes.append
    return Membership(name, URL, incarnation, suspect=3.0, dead=9.0, forget=90.0, on_change=noted)


def record(name: str, incarnation: int = 1, heartbeat: int = 1, left: bool = False) -> MemberRecord:
    return MemberRecord(name=name, url=URL, incarnation=incarnation, heartbeat=heartbeat, left=left)


records = st.builds(record, st.sampled_from("bcd"), st.integers(1, 3), st.integers(0, 5), st.booleans())


@settings(deadline=None)
@given(st.lists(records.filter(lambda r: not r.left), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_what_is_known_in_the_end_does_not_depend_on_the_order_in_which_it_was_heard(heard, rng):
    first, second = node("a"), node("a")
    first.merge(heard, now=0.0)
    shuffled = list(heard)
    rng.shuffle(shuffled)
    for each in shuffled:
        second.merge([each], now=0.0)
    known = [{name: member.record for name, member in each.members().items()} for each in (first, second)]
    assert known[0] == known[1]
    for name, kept in known[0].items():
        assert (kept.incarnation, kept.heartbeat) == max((r.incarnation, r.heartbeat) for r in heard if r.name == name)


@settings(deadline=None)
@given(st.lists(records, max_size=12), records)
def test_old_news_changes_nothing(heard, news):
    a = node("a")
    a.merge([*heard, news], now=0.0)
    before = a.records(0.0)
    a.merge([news], now=5.0)
    assert a.records(0.0) == before


@settings(deadline=None)
@given(st.integers(3, 12), st.integers(0, 10_000))
def test_gossip_of_any_network_that_hangs_together_tells_everybody_of_everybody(n, seed):
    """Push-pull with one random known member a round: rounds grow like log n, so 40 are plenty for a dozen nodes."""
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(n)]
    nodes = {name: node(name) for name in names}
    for i in range(1, n):  # each knows one of those before it, as a seed
        nodes[names[i]].merge([record(names[rng.randrange(i)])], now=0.0)
    for step in range(40):
        for each in nodes.values():
            each.beat()
            other = nodes[rng.choice(each.reachable())] if each.reachable() else None
            if other is not None:
                other.merge(each.records(step), step)
                each.merge(other.records(step), step)
    assert all(each.reachable() == sorted(set(names) - {each.name}) for each in nodes.values())


def test_silence_makes_suspect_then_dead_then_forgotten_and_each_change_is_told_once():
    changes: list[str] = []
    a = node("a", changes=changes)
    a.merge([record("b")], now=0.0)
    states = []
    for now in (1.0, 2.9, 3.1, 8.9, 9.1, 50.0, 90.1):
        states.append(a.state("b", now))
        a.look(now)
    alive, suspect, dead = MemberState.ALIVE, MemberState.SUSPECT, MemberState.DEAD
    assert states == [alive, alive, suspect, suspect, dead, dead, None]
    assert changes == ["b"] * 4


def test_a_dead_node_is_not_told_of_but_lives_again_with_its_next_heartbeat():
    a = node("a")
    a.merge([record("b", heartbeat=4)], now=0.0)
    a.look(20.0)
    assert [r.name for r in a.records(20.0)] == ["a"]
    a.merge([record("b", heartbeat=4)], now=20.0)
    assert a.state("b", 20.0) is MemberState.DEAD
    a.merge([record("b", heartbeat=5)], now=20.0)
    assert a.state("b", 20.0) is MemberState.ALIVE


def test_a_new_process_is_heard_over_its_past_even_if_the_clock_was_set_back():
    old, new, other = node("b", incarnation=100), node("b", incarnation=50), node("a")
    other.merge(old.records(0.0), 0.0)
    old.leave()
    other.merge(old.records(0.0), 0.0)
    assert other.state("b", 0.0) is MemberState.LEFT
    new.merge(other.records(0.0), 0.0)  # it hears that it has left, and speaks up
    other.merge(new.records(0.0), 0.0)
    assert new.incarnation > 100
    assert other.state("b", 0.0) is MemberState.ALIVE


def test_a_name_that_two_nodes_take_is_noticed_by_both():
    one, other = Membership("a", "http://127.0.0.1:1", 5, suspect=3, dead=9, forget=90), node("a", incarnation=5)
    other.url = "http://127.0.0.1:2"
    for now in range(3):
        one.beat()
        other.merge(one.records(now), now)
        other.beat()
        one.merge(other.records(now), now)
    assert (one.rival, other.rival) == (other.url, one.url)


def test_who_has_left_is_not_suspected_nor_asked_and_stays_so_for_those_who_hear_of_it_later():
    a = node("a")
    a.merge([record("b")], 0.0)
    a.merge([record("b", heartbeat=2, left=True)], 1.0)
    a.look(30.0)
    assert a.state("b", 30.0) is MemberState.LEFT
    assert a.reachable() == []
    stranger = node("c")
    stranger.merge(a.records(30.0), 30.0)
    assert stranger.state("b", 30.0) is None


def test_nothing_that_is_said_of_a_node_keeps_it_from_speaking():
    """However late the process that somebody claims to have heard of, what the node says of itself stays a valid record."""
    a = node("a")
    a.merge([record("a", incarnation=LATEST, heartbeat=LATEST)], 0.0)
    a.beat()
    assert a.own_record().incarnation == LATEST


def test_no_flood_of_names_makes_gossip_longer_than_a_message():
    a = node("a")
    for first in range(0, 3 * MOST_MEMBERS, MOST_MEMBERS):
        a.merge([record(f"n{first + i}") for i in range(MOST_MEMBERS)], 0.0)
    a.merge([record("n0", heartbeat=2)], 1.0)
    told = GossipMessage(sender="a", members=a.records(1.0))
    assert len(told.members) == 1 + MOST_MEMBERS
    assert next(each for each in told.members if each.name == "n0").heartbeat == 2
    assert len(told.model_dump_json()) < 2**21


# -- where others may be ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "seeds", "allowed", "may", "may_not"),
    [
        # whom no other machine can reach has nothing to do with any
        (URL, [], None, ["http://127.0.0.1:2", "http://[::1]:2", "http://localhost:2"], ["http://10.0.0.1:2", "http://evil:2"]),
        (URL, ["http://desk:1"], None, ["http://DESK:2", "http://127.9.9.9:2"], ["http://10.0.0.1:2"]),
        ("http://10.0.0.1:1", [], None, ["http://10.0.0.2:2", "http://anywhere:2"], []),
        (
            "http://10.0.0.1:1",
            ["http://192.168.0.9:1"],
            ["10.0.0.0/24", "desk"],
            ["http://10.0.0.99:2", "http://desk:2", "http://192.168.0.9:5"],
            ["http://10.0.1.1:2", "http://127.0.0.1:2", "http://169.254.169.254", "http://desk.evil:2", "http://0x0a000001:2"],
        ),
    ],
)
def test_other_nodes_are_where_they_may_be(own, seeds, allowed, may, may_not):
    hosts = PeerHosts(own, seeds, allowed)
    assert [url for url in (*may, *may_not) if hosts.may_have(url)] == may


def test_who_is_said_to_be_where_no_node_may_be_is_taken_for_nobody(caplog):
    """Neither asked nor told anything, whoever says so; what it says of the others counts, and of this node itself."""
    a = node("a", incarnation=5)
    gossip = Gossip(a, None, [], PeerHosts(URL, [], None), 1.0)  # type: ignore[arg-type]
    elsewhere = record("c").model_copy(update={"url": "http://10.0.0.1:80"})
    old_self = record("a", incarnation=7).model_copy(update={"url": "http://10.0.0.1:80"})
    answer = gossip.answer(GossipMessage(sender="b", members=[record("b"), elsewhere, old_self]))
    assert set(a.members()) == {"b"}
    assert {each.url for each in answer.members} == {URL}
    assert a.incarnation == 8
    assert "b says that c is at http://10.0.0.1:80, where no node may be (peer_hosts)" in caplog.text
    moved = record("b", heartbeat=9).model_copy(update={"url": "http://10.0.0.1:80"})
    gossip.answer(GossipMessage(sender="b", members=[moved]))
    assert a.members()["b"].record.url == URL
