"""Who serves whose layers: the own device and the neighbours that a user may ask, flattened into parallel arrays.

One row is a user, one entry a device of its stage set: the own one first, then the neighbours. Users without layers have no
row; neither have users who may meet an overloaded device. Their jobs count in every load, as arrivals of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins
from dmoa_theory.model.service import ServiceTime, Stage
from dmoa_theory.model.system import System, UserGroup

__all__ = ["Batch", "StageSets", "stage_sets"]


class Batch(NamedTuple):
    """Rows of users who run the same (M, k, quorum)."""

    M: int
    k: int
    quorum: int
    rows: slice
    entries: slice
    service: ServiceTime


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageSets:
    """All stage sets.

    Attributes
    ----------
    user : ndarray, shape (rows,)
        Which user, and own device.
    rate : ndarray, shape (rows,), prompts/s
    layers, asked, quorum : ndarray, shape (rows,)
        M, k and answers waited for.
    start : ndarray, shape (rows + 1,)
        Entries of row u are ``start[u]:start[u + 1]``.
    row, device : ndarray, shape (entries,)
    inclusion, coin : ndarray, shape (entries,)
        Chance to be used in a layer, and coin chance of the choice; 1 for the own device.
    there, trip : ndarray, shape (entries, 2), seconds
        Way there, and there and back, in the first and in later layers; 0 for the own device.
    mean, variance : ndarray, shape (entries, 3), s and s^2
        Service at the device, by stage.
    weighted : bool
        Whether coins differ within a row.
    batches : tuple of Batch
    """

    user: IntArray
    rate: FloatArray
    layers: IntArray
    asked: IntArray
    quorum: IntArray
    start: IntArray
    row: IntArray
    device: IntArray
    inclusion: FloatArray
    coin: FloatArray
    there: FloatArray
    trip: FloatArray
    mean: FloatArray
    variance: FloatArray
    weighted: bool
    batches: tuple[Batch, ...]

    @property
    def own(self) -> IntArray:
        """Entry of each row's own device; shape (rows,)."""
        return self.start[:-1]

    @property
    def remote(self) -> BoolArray:
        """Whether an entry is a neighbour; shape (entries,)."""
        marked = np.ones(self.device.size, dtype=bool)
        marked[self.own] = False
        return marked

    @property
    def has_delay(self) -> bool:
        """Whether any hop takes time."""
        return bool(self.trip.any())

    @property
    def has_quorum(self) -> bool:
        """Whether any layer ends before all its jobs are done."""
        return bool((self.quorum <= self.asked).any())

    def pick(self, rows: IntArray) -> StageSets:
        """Some rows alone, which rise."""
        size = np.diff(self.start)[rows]
        start = np.concatenate(([0], np.cumsum(size))).astype(np.int64)
        entries = np.repeat(self.start[rows] - start[:-1], size) + np.arange(start[-1])
        edges = [0, *(int(np.searchsorted(rows, batch.rows.stop)) for batch in self.batches)]
        batches = tuple(
            batch._replace(rows=slice(a, b), entries=slice(int(start[a]), int(start[b])))
            for batch, a, b in zip(self.batches, edges[:-1], edges[1:], strict=True)
            if b > a
        )
        by_row = {name: getattr(self, name)[rows] for name in ("user", "rate", "layers", "asked", "quorum")}
        names = ("device", "inclusion", "coin", "there", "trip", "mean", "variance")
        by_entry = {name: getattr(self, name)[entries] for name in names}
        row = np.repeat(np.arange(rows.size), size)
        return StageSets(**by_row, **by_entry, start=start, row=row, weighted=self.weighted, batches=batches)

    def spread(self, by_row: FloatArray | IntArray) -> FloatArray:
        """One value a row, repeated for its entries."""
        return np.asarray(by_row, dtype=np.float64)[self.row]

    def sums(self, by_entry: FloatArray) -> FloatArray:
        """Sums over each row's entries; shape (rows,)."""
        return np.asarray(np.bincount(self.row, weights=by_entry, minlength=self.user.size), dtype=np.float64)

    def by_device(self, by_entry: FloatArray, n: int) -> FloatArray:
        """Sums over each device's entries; shape (n,)."""
        return np.asarray(np.bincount(self.device, weights=by_entry, minlength=n), dtype=np.float64)

    def layer_mean(self) -> FloatArray:
        """Mean service of a job of a layer, whichever layer; shape (entries,), seconds."""
        M = self.spread(self.layers)
        return np.asarray((self.mean[:, Stage.FIRST] + (M - 1) * self.mean[:, Stage.LATER]) / M)

    def layer_scv(self) -> FloatArray:
        """SCV of the service of a layer's job: mean variance over mean square, of the layers; shape (entries,)."""
        M = self.spread(self.layers)
        variance = self.variance[:, Stage.FIRST] + (M - 1) * self.variance[:, Stage.LATER]
        square = self.mean[:, Stage.FIRST] ** 2 + (M - 1) * self.mean[:, Stage.LATER] ** 2
        return np.asarray(variance / square)

    def layer_trip(self) -> FloatArray:
        """Way there and back, averaged over the layers; shape (entries,), seconds."""
        M = self.spread(self.layers)
        return np.asarray((self.trip[:, 0] + (M - 1) * self.trip[:, 1]) / M)


def stage_sets(system: System, groups: list[UserGroup]) -> StageSets:
    """The stage sets of these users, all with M >= 1; in each group users rise."""
    parts = [_group_entries(system, group) for group in groups]
    counts = np.concatenate([part.width for part in parts]) if parts else np.zeros(0, np.int64)
    start = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    users = np.concatenate([group.users for group in groups]) if groups else np.zeros(0, np.int64)
    lengths = [group.users.size for group in groups]
    edges = np.concatenate(([0], np.cumsum(lengths))).astype(int).tolist()
    batches = tuple(
        Batch(g.M, g.k, g.quorum, slice(a, b), slice(int(start[a]), int(start[b])), system.service.for_k(g.k))
        for g, a, b in zip(groups, edges[:-1], edges[1:], strict=True)
    )

    def joined(name: str, width: tuple[int, ...] = ()) -> FloatArray:
        return np.concatenate([getattr(part, name) for part in parts]) if parts else np.zeros((0, *width))

    return StageSets(
        user=users.astype(np.int64),
        rate=system.rates[users],
        layers=np.repeat([g.M for g in groups], lengths).astype(np.int64),
        asked=np.repeat([g.k for g in groups], lengths).astype(np.int64),
        quorum=np.repeat([g.quorum for g in groups], lengths).astype(np.int64),
        start=start,
        row=np.repeat(np.arange(users.size), counts),
        device=joined("device").astype(np.int64),
        inclusion=joined("inclusion"),
        coin=joined("coin"),
        there=joined("there", (2,)),
        trip=joined("trip", (2,)),
        mean=joined("mean", (3,)),
        variance=joined("variance", (3,)),
        weighted=not system.moa.is_uniform,
        batches=batches,
    )


class _Entries(NamedTuple):
    width: IntArray
    device: IntArray
    inclusion: FloatArray
    coin: FloatArray
    there: FloatArray
    trip: FloatArray
    mean: FloatArray
    variance: FloatArray


def _group_entries(system: System, group: UserGroup) -> _Entries:
    """Entries of the users of one group."""
    network, users = system.network, group.users
    links, owner = _links_of(system, group)
    coin, inclusion = _chances(system, group, links, owner)
    kept = inclusion > 0
    links, owner, coin, inclusion = links[kept], owner[kept], coin[kept], inclusion[kept]
    count = 1 + np.bincount(owner, minlength=users.size)
    start = np.concatenate(([0], np.cumsum(count)))
    remote = np.ones(int(start[-1]), dtype=bool)
    remote[start[:-1]] = False
    device = np.empty(remote.size, dtype=np.int64)
    device[~remote], device[remote] = users, network.indices[links]

    def on_entries(neighbours: FloatArray, own: float) -> FloatArray:
        values = np.full(remote.size, own)
        values[remote] = neighbours
        return values

    there, trip = np.zeros((remote.size, 2)), np.zeros((remote.size, 2))
    if system.has_delay:
        for stage in (Stage.FIRST, Stage.LATER):
            out, back = system.one_way(stage, group.k)
            there[remote, stage], trip[remote, stage] = out[links], (out + back)[links]
    service = system.service.for_k(group.k)
    mean = np.broadcast_to(service.mean, (system.n_devices, len(Stage)))[device]
    variance = np.broadcast_to(service.mean**2 * service.scv, (system.n_devices, len(Stage)))[device]
    return _Entries(count, device, on_entries(inclusion, 1.0), on_entries(coin, 1.0), there, trip, mean, variance)


def _links_of(system: System, group: UserGroup) -> tuple[IntArray, IntArray]:
    """All links of a group's users, and the place in the group of each link's user; none where nobody is asked."""
    if group.k == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    indptr, degree = system.network.indptr, system.network.out_degree[group.users]
    owner = np.repeat(np.arange(group.users.size), degree)
    before = np.concatenate(([0], np.cumsum(degree)))[:-1]
    return indptr[group.users][owner] + np.arange(owner.size) - before[owner], owner


def _chances(system: System, group: UserGroup, links: IntArray, owner: IntArray) -> tuple[FloatArray, FloatArray]:
    """Coin chances and inclusion probabilities of links."""
    degree = np.bincount(owner, minlength=group.users.size)
    weight = system.moa.selection_weight
    if weight is None:
        share = np.asarray((group.k / np.maximum(degree, 1))[owner])
        return share, share
    coin, inclusion = np.empty(links.size), np.empty(links.size)
    for row in _rows(degree):
        coin[row] = coin_chances(weight[links[row]], group.k)
        inclusion[row] = inclusion_from_coins(coin[row], group.k)
    return coin, inclusion


def _rows(degree: IntArray) -> Iterator[slice]:
    edges = np.concatenate(([0], np.cumsum(degree))).astype(int).tolist()
    return (slice(a, b) for a, b in pairwise(edges) if b > a)
