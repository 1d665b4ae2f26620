"""The heartbeat: tell somebody what is known, hear what it knows, again and again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from pydantic import ValidationError

from dmoa_calibration.testbed.complaints import Complaints
from dmoa_calibration.testbed.protocol.authentication import ANYBODY
from dmoa_calibration.testbed.protocol.membership import Membership, MemberState
from dmoa_calibration.testbed.protocol.messages import GossipMessage, MemberRecord
from dmoa_calibration.testbed.protocol.peer_hosts import PeerHosts
from dmoa_calibration.testbed.protocol.peers import PeerError, Peers

__all__ = ["GOSSIP_PATH", "Gossip"]

GOSSIP_PATH = "/peer/v1/gossip"
_FANOUT = 2
_TRY_THE_DEAD = 0.25  # chance a round that a dead node is tried, so that a network that fell apart grows together again
_FAREWELL = 2.0  # seconds
_MOST_GOODBYES = 50  # the others hear it from those


class Gossip:
    """Push-pull gossip of heartbeats.

    Parameters
    ----------
    membership : Membership
    peers : Peers
    seeds : sequence of str
        Addresses to begin with.
    hosts : PeerHosts
        Where others may be: who is said to be elsewhere is taken for nobody.
    interval : float, seconds
        Between two rounds.
    """

    def __init__(self, membership: Membership, peers: Peers, seeds: Sequence[str], hosts: PeerHosts, interval: float) -> None:
        self._membership, self._peers, self._hosts = membership, peers, hosts
        self._seeds = [url.rstrip("/") for url in seeds]
        self._unheard = set(self._seeds) - {
            membership.url
        }  # by the address that was given, which may be another name of theirs
        self._interval = interval
        self._under_way: set[asyncio.Task[None]] = set()
        self.joined = asyncio.Event()
        self._complaints = Complaints()

    async def run(self) -> None:
        """Go on for ever; one round after another, none waits for those who do not answer."""
        while True:
            self._membership.beat()
            self._membership.look(time.monotonic())
            if self._membership.rival is not None:
                self._complaints.say(
                    f"another node calls itself {self._membership.name}, at {self._membership.rival}: rename one"
                )
            for url, name in self._targets():
                task = asyncio.create_task(self._exchange(url, name, 4 * self._interval))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
            await asyncio.sleep(self._interval * random.uniform(0.9, 1.1))

    def answer(self, message: GossipMessage) -> GossipMessage:
        """Take over what another tells, and say what is known here."""
        self._take_over(message)
        return self._message(time.monotonic())

    def _take_over(self, told: GossipMessage) -> None:
        believed, elsewhere = [], []
        for record in told.members:
            (believed if self._may_be(record) else elsewhere).append(record)
        self._membership.merge(believed, time.monotonic())
        if self._speaks_for_all(told.sender, believed):
            self.joined.set()
        for record in elsewhere[:1]:
            self._complaints.say(f"{told.sender} says that {record.name} is at {record.url}, where no node may be (peer_hosts)")

    def _may_be(self, record: MemberRecord) -> bool:
        """Whether a node may be where it is said to be; of this node itself others may say what they will."""
        known = self._membership.member(record.name)
        as_before = known is not None and known.record.url == record.url
        return as_before or record.name == self._membership.name or self._hosts.may_have(record.url)

    async def farewell(self) -> None:
        """Tell all who can hear it that this node leaves."""
        self._membership.leave()
        for task in self._under_way:
            task.cancel()
        members, reachable = self._membership.members(), self._membership.reachable()
        told = random.sample(reachable, min(_MOST_GOODBYES, len(reachable)))
        goodbyes = [asyncio.create_task(self._exchange(members[name].record.url, name, _FAREWELL)) for name in told]
        if goodbyes:
            _, unheard = await asyncio.wait(goodbyes, timeout=_FAREWELL)
            for task in unheard:
                task.cancel()

    def _message(self, now: float) -> GossipMessage:
        return GossipMessage(sender=self._membership.name, members=self._membership.records(now))

    def _targets(self) -> list[tuple[str, str]]:
        """Some who are there, a seed that is not known yet, and now and then somebody taken for dead."""
        members = self._membership.members()
        reachable = self._membership.reachable()
        chosen = random.sample(reachable, min(_FANOUT, len(reachable)))
        found = [(members[name].record.url, name) for name in chosen]
        known = {self._membership.url, *(members[name].record.url for name in reachable)}
        strangers = [url for url in self._seeds if url not in known]
        if strangers:
            found.append((random.choice(strangers), ANYBODY))
        dead = [m for m in members.values() if m.state is MemberState.DEAD and m.record.url not in strangers]
        if dead and random.random() < _TRY_THE_DEAD:
            gone = random.choice(dead)
            found.append((gone.record.url, gone.record.name))
        return found

    def _speaks_for_all(self, sender: str, told: Sequence[MemberRecord]) -> bool:
        """Whether the network is known now: one that knows nobody else may have been started anew together with this one."""
        if any(record.name not in (sender, self._membership.name) for record in told):
            return True
        return self._unheard.issubset(member.record.url for member in self._membership.members().values())

    async def _exchange(self, url: str, name: str, timeout: float) -> None:
        try:
            answer = await self._peers.post(url, GOSSIP_PATH, self._message(time.monotonic()), name, timeout=timeout)
            if answer.status == 200:
                told = GossipMessage.model_validate_json(answer.body)
                self._unheard.discard(url)
                if told.sender != self._membership.name:
                    self._take_over(told)
        except (PeerError, ValidationError):
            return  # its silence is what membership goes by
