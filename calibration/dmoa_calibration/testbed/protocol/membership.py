"""Who is in the network: heartbeats that spread by gossip, and no list that anybody keeps for all.

Every node counts its own heartbeats and tells others all the counts it knows; of two records about a node the one with the
larger (incarnation, heartbeat) is newer. A node whose count has not risen for a while is suspected, then taken for dead; one
that says it leaves has left at once. A process that starts anew takes a larger incarnation, so that it is heard over what is
still said of its past. Nothing here waits or sends: the clock is the caller's.

References
----------
van Renesse, R., Minsky, Y. and Hayden, M. (1998), "A gossip-style failure detection service", Middleware '98. Das, A.,
Gupta, I. and Motivala, A. (2002), "SWIM", DSN 2002 (incarnation numbers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from dmoa_calibration.testbed.protocol.messages import LATEST, MemberRecord

__all__ = ["MOST_MEMBERS", "Member", "MemberState", "Membership"]

MOST_MEMBERS = 2000
"""Other nodes that one remembers, so that what it tells of them always fits into a message."""


class MemberState(StrEnum):
    """What this node thinks of another."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


@dataclass(slots=True)
class Member:
    """A node, as known here; ``heard`` is when its heartbeat last rose, on the caller's clock."""

    record: MemberRecord
    state: MemberState
    heard: float


class Membership:
    """What one node knows of all.

    Parameters
    ----------
    name, url : str
        Of this node.
    incarnation : int
        Larger than that of any process before it under this name.
    suspect, dead, forget : float, seconds
        After how much silence a node is suspected, taken for dead, and no longer remembered.
    on_change : callable, optional
        Called with a name whenever that node's state or incarnation changed.

    Examples
    --------
    >>> from dmoa_calibration.testbed.protocol.messages import MemberRecord
    >>> a = Membership("a", "http://127.0.0.1:1", 1, suspect=3, dead=9, forget=99)
    >>> a.merge([MemberRecord(name="b", url="http://127.0.0.1:2", incarnation=5, heartbeat=1)], now=0.0)
    >>> [str(a.state("b", now)) for now in (1.0, 4.0, 10.0)]
    ['alive', 'suspect', 'dead']
    """

    def __init__(
        self,
        name: str,
        url: str,
        incarnation: int,
        *,
        suspect: float,
        dead: float,
        forget: float,
        on_change: Callable[[str], None] = lambda name: None,
    ) -> None:
        self.name, self.url = name, url
        self.incarnation, self._heartbeat, self._left = incarnation, 0, False
        self._limits = suspect, dead, forget
        self._members: dict[str, Member] = {}
        self._on_change = on_change
        self.rival: str | None = None  # where another node seems to have taken our name

    def beat(self) -> None:
        """Count one heartbeat more of our own."""
        self._heartbeat += 1

    def leave(self) -> None:
        """Say from now on that this node leaves."""
        self._left = True
        self._heartbeat += 1

    def own_record(self) -> MemberRecord:
        """What this node says of itself."""
        return MemberRecord(
            name=self.name, url=self.url, incarnation=self.incarnation, heartbeat=self._heartbeat, left=self._left
        )

    def records(self, now: float) -> list[MemberRecord]:
        """All that is worth telling: of dead nodes nothing, lest they be heard of for ever."""
        self.look(now)
        return [self.own_record()] + [m.record for m in self._members.values() if m.state is not MemberState.DEAD]

    def merge(self, records: Iterable[MemberRecord], now: float) -> None:
        """Take over what is newer than what is known here."""
        for record in records:
            if record.name == self.name:
                self._about_ourselves(record)
                continue
            known = self._members.get(record.name)
            if known is None:
                if not record.left and len(self._members) < MOST_MEMBERS:
                    self._members[record.name] = Member(record=record, state=MemberState.ALIVE, heard=now)
                    self._on_change(record.name)
                continue
            if _age(record) <= _age(known.record):
                continue
            before = known.state, known.record.incarnation
            known.record, known.heard = record, now
            known.state = MemberState.LEFT if record.left else MemberState.ALIVE
            if before != (known.state, record.incarnation):
                self._on_change(record.name)

    def _about_ourselves(self, record: MemberRecord) -> None:
        """Speak up where something newer than we are is said of us: it is from a process before this one."""
        if (record.incarnation, record.heartbeat) > (self.incarnation, self._heartbeat):
            self.rival = record.url if record.url != self.url else self.rival
            self.incarnation, self._heartbeat = min(record.incarnation + 1, LATEST), 0

    def look(self, now: float) -> None:
        """Suspect, give up and forget those not heard of."""
        suspect, dead, forget = self._limits
        for name, member in list(self._members.items()):
            silent = now - member.heard
            if silent > forget:
                del self._members[name]
                self._on_change(name)
                continue
            if member.state is MemberState.LEFT:
                continue
            state = MemberState.DEAD if silent > dead else MemberState.SUSPECT if silent > suspect else MemberState.ALIVE
            if state is not member.state:
                member.state = state
                self._on_change(name)

    def state(self, name: str, now: float) -> MemberState | None:
        """What is thought of a node; None of one that is not known."""
        self.look(now)
        member = self._members.get(name)
        return None if member is None else member.state

    def member(self, name: str) -> Member | None:
        """A node, if known."""
        return self._members.get(name)

    def members(self) -> dict[str, Member]:
        """All known nodes but this one, by name."""
        return dict(self._members)

    def reachable(self) -> list[str]:
        """Nodes that may be asked, in order of name: a suspected one too, it may only be slow."""
        may = (MemberState.ALIVE, MemberState.SUSPECT)
        return sorted(name for name, member in self._members.items() if member.state in may)


def _age(record: MemberRecord) -> tuple[int, int, bool]:
    return record.incarnation, record.heartbeat, record.left
