"""Lose devices and links: the system that remains, and who is cut off from it.

A lost device takes its own user along, whose prompts are lost with it, and nobody may ask it any more. A user who is left
with fewer neighbours than its k either asks as many as it still has (``"fewer"``, down to none: it then works alone), or sends
no prompts any more (``"cut-off"``); its device serves others in both cases. A quorum stays, at most the new k + 1 answers.

The neighbours that remain are chosen with the weights that they had. That is the old choice given that it avoids the lost
ones: a set of k is drawn with probability proportional to the product of its weights before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeAlias

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray, read_only
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.system import System
from dmoa_theory.whatif.remaining import remaining_footprint, remaining_network, remaining_service, stays

__all__ = ["Loss", "WhenShort", "find_links", "link_label", "lose"]

DeviceLike: TypeAlias = int | str
LinkLike: TypeAlias = str | tuple[DeviceLike, DeviceLike]


class WhenShort(StrEnum):
    """What a user does who has fewer neighbours left than its k."""

    FEWER = "fewer"
    CUT_OFF = "cut-off"

    @classmethod
    def of(cls, name: str) -> WhenShort:
        """The rule of that name.

        Raises
        ------
        InputError
            When there is none.
        """
        try:
            return cls(name.replace(" ", "-"))
        except ValueError:
            raise InputError("when_short", name, f"one of {', '.join(rule.value for rule in cls)}") from None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Loss:
    """What remains of a system.

    Attributes
    ----------
    before : System
    after : System or None
        What remains; None when no user with prompts does.
    lost : ndarray, shape (d,)
        Positions of the lost devices, rising.
    lost_links : ndarray, shape (l,)
        Places of the lost links between devices that remain, in the order of ``before.network.indices``.
    kept : ndarray, shape (n - d,)
        Position in ``before`` of each device of ``after``.
    cut_off : ndarray
        Users with prompts who get no answer any more: those of lost devices, and under ``"cut-off"`` those short of neighbours.
    short : ndarray
        Users with prompts who have fewer neighbours left than their k, lost ones not among them.
    when_short : WhenShort
    """

    before: System
    after: System | None
    lost: IntArray
    lost_links: IntArray
    kept: IntArray
    cut_off: IntArray
    short: IntArray
    when_short: WhenShort

    @property
    def cut_off_share(self) -> float:
        """Share of the prompts that get no answer any more."""
        rates = self.before.rates
        return float(rates[self.cut_off].sum() / rates.sum())

    @property
    def label(self) -> str:
        """The lost devices and links by name; of many the first."""
        network = self.before.network
        names = [network.name(u) for u in self.lost.tolist()]
        gone = set(self.lost_links.tolist())
        sources = network.link_sources()
        ends = [(int(sources[link]), int(network.indices[link])) for link in self.lost_links.tolist()]
        known = set(ends)
        for u, v in ends:
            if (v, u) not in known or u < v:
                names.append(link_label(network, u, v, both=(v, u) in known))
        more = f" and {len(names) - 4} more" if len(names) > 5 else ""
        return ", ".join(names[:4] if more else names) + more if names or gone else "nothing"


def link_label(network: Network, u: int, v: int, *, both: bool) -> str:
    """What a link is called: ``"a-b"`` both ways (``"a - b"`` where names hold dashes), ``"a->b"`` one way."""
    ends = (network.name(u), network.name(v))
    return ("->" if not both else " - " if "-" in "".join(ends) else "-").join(ends)


def find_links(network: Network, link: LinkLike, *, field: str = "links") -> list[int]:
    """The places of a link: ``"a-b"`` means both ways as far as they are listed, ``"a->b"`` and a pair mean one way.

    Where names hold dashes themselves, the reading counts that is a link; ``"a - b"``, with blanks, says where to part.

    Raises
    ------
    InputError
        When the ends are not devices or no such link is listed, or when several links might be meant.

    Examples
    --------
    >>> from dmoa_theory import Network
    >>> from dmoa_theory.whatif.loss import find_links
    >>> network = Network.from_links(3, [0, 1], [1, 2], names=("ward-a", "b", "b-ward"))
    >>> find_links(network, "ward-a-b"), find_links(network, "b - b-ward")
    ([0], [1])
    """
    if isinstance(link, str):
        ends, both = _ends(network, link, field)
    else:
        ends, both = (network.position(link[0], field=field), network.position(link[1], field=field)), False
    found = list(_places(network, *ends)) + (list(_places(network, ends[1], ends[0])) if both else [])
    if not found:
        u, v = map(network.name, ends)
        asks = f"neither {u} nor {v} may ask the other" if both else f"{u} may not ask {v}"
        raise InputError(field, link, f"a link of the network: {asks}")
    return found


def _places(network: Network, u: int, v: int) -> Iterator[int]:
    start, stop = int(network.indptr[u]), int(network.indptr[u + 1])
    place = start + int(np.searchsorted(network.indices[start:stop], v))
    if place < stop and network.indices[place] == v:
        yield place


def _ends(network: Network, link: str, field: str) -> tuple[tuple[int, int], bool]:
    """The two ends that a text names, and whether both ways are meant; names may hold dashes themselves."""
    for mark, both in (("->", False), (" - ", True), ("-", True)):
        parts = link.split(mark)
        found: set[tuple[int, int]] = set()
        for cut in range(1, len(parts)):
            try:
                ends = tuple(network.position(mark.join(part).strip(), field=field) for part in (parts[:cut], parts[cut:]))
            except InputError:
                continue
            found.add((ends[0], ends[1]))
        listed = {(u, v) for u, v in found if [*_places(network, u, v), *(_places(network, v, u) if both else ())]}
        if len(listed) > 1:
            apart = "->" if mark == "->" else " - "
            ways = " or ".join(f'"{network.name(u)}{apart}{network.name(v)}"' for u, v in sorted(listed))
            numbers = " or ".join(f'"{u}{apart}{v}"' for u, v in sorted(listed))
            raise InputError(field, link, f"one link: these names can be read as {numbers if mark == '->' else ways}")
        if found:
            return min(listed or found), both
    raise InputError(field, link, 'two devices as "a-b" (both ways) or "a->b" (one way), by name or number')


def lose(
    system: System,
    devices: Iterable[DeviceLike] = (),
    links: Iterable[LinkLike] = (),
    *,
    when_short: str = WhenShort.FEWER,
) -> Loss:
    """Exact: the system that remains when devices and links are lost.

    Parameters
    ----------
    system : System
    devices : iterable of int or str
        Positions or names.
    links : iterable of str or pair
        ``"a-b"`` both ways, as far as they are listed (``"a - b"`` where names hold dashes); ``"a->b"`` or ``("a", "b")``: a
        may not ask b any more. Where the way back is lost too, an answer takes as long as the question did.
    when_short : str
        ``"fewer"``: users with fewer neighbours left than their k ask all of them. ``"cut-off"``: they send no prompts.

    Returns
    -------
    Loss

    Raises
    ------
    InputError
        When a device or link is not there.

    Examples
    --------
    >>> from dmoa_theory import System, lose
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=2)
    >>> loss = lose(triangle, ["device-2"])
    >>> loss.after.n_devices, loss.cut_off.tolist(), loss.short.tolist(), loss.after.moa.label
    (2, [2], [0, 1], 'M=1, k=1')
    """
    network, rule = system.network, WhenShort.of(when_short)
    if isinstance(devices, str) or isinstance(links, str):  # a text is an iterable of letters
        raise InputError("devices" if isinstance(devices, str) else "links", devices or links, "a list of them")
    lost = np.array(sorted({network.position(who, field="devices") for who in devices}), dtype=np.int64)
    gone = np.zeros(network.n_links, dtype=bool)
    for link in links:
        gone[find_links(network, link)] = True
    return lose_marked(system, lost, gone, rule)


def lose_marked(system: System, lost: IntArray, gone: BoolArray, rule: WhenShort) -> Loss:
    """Exact: as :func:`lose`, from positions of devices and a mark on every lost link."""
    network, n = system.network, system.n_devices
    keep = np.delete(np.arange(n), lost)
    links = stays(network, keep, gone)
    M, k, quorum = system.moa.per_user(n)
    choice = _choice(system, links)
    short = (M > 0) & (k > 0) & system.can_ask() & (choice < k)
    short[lost] = False
    rates = system.rates.copy()
    rates[lost] = 0.0
    if rule is WhenShort.CUT_OFF:
        rates[short] = 0.0
    had = system.rates > 0
    after = None
    if rates.any():
        asks = np.where(short, choice, k) if rule is WhenShort.FEWER else k
        remaining = remaining_network(network, keep, links)
        asks = np.where(_apart(remaining, keep, n) & (rates == 0), 0, asks)
        after = replace(
            system,
            network=remaining,
            arrival_rate=rates[keep],
            service=remaining_service(system.service, keep, n),
            moa=_moa(system.moa, keep, links, (M, k, quorum), asks),
            footprint=remaining_footprint(system.footprint, keep, n),
        )
    return Loss(
        before=system,
        after=after,
        lost=read_only(lost),
        lost_links=read_only(np.flatnonzero(gone & stays(network, keep, np.zeros_like(gone)))),
        kept=read_only(keep),
        cut_off=read_only(np.flatnonzero(had & (rates == 0))),
        short=read_only(np.flatnonzero(had & short)),
        when_short=rule,
    )


def _choice(system: System, links: BoolArray) -> IntArray:
    """From how many of the marked links each user chooses; shape (n,)."""
    weight = system.moa.selection_weight
    able = links if weight is None else links & (weight > 0)
    return np.bincount(system.network.link_sources()[able], minlength=system.n_devices)


def _apart(network: Network, keep: IntArray, n: int) -> BoolArray:
    """Devices that are left without any link; shape (n,) of the system before."""
    linked = network.out_degree > 0
    linked[network.indices] = True
    apart = np.zeros(n, dtype=bool)
    apart[keep] = ~linked
    return apart


def _moa(moa: MoA, keep: IntArray, links: BoolArray, per_user: Sequence[IntArray], asks: IntArray) -> MoA:
    """What the remaining users run: as before for those who ask as many as before, and one for all if it was and still is."""
    M, k, quorum = (values[keep] for values in per_user)
    asks = asks[keep]
    weight: FloatArray | None = None if moa.selection_weight is None else moa.selection_weight[links]
    if moa.n_users is None and (asks == asks[0]).all():
        M, k, quorum, asks = M[:1], k[:1], quorum[:1], asks[:1]
    elif moa.n_users is not None:  # where M = 0 the k that was written down plays no part, but stays
        asks = np.where(asks == k, np.asarray(moa.k)[keep], asks)
    return MoA(M, asks, None if moa.quorum is None else np.minimum(quorum, asks + 1), selection_weight=weight)
