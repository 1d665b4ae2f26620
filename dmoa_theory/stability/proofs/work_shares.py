"""What each user's stages bring to each device: the ingredients of the proofs.

A path joins a user ``u`` to a device ``j`` that one of its layers uses with the probability ``pi_uj > 0`` (its own device:
1). Between the arrival ``s`` and the service ``t = s + W_j(s)`` of the job at the head of device ``j``'s line, ``Delta_q``
queries a unit rate enter stage ``q``; with ``n_i`` those in stage ``i`` at ``s``,

    Delta_0 = W_j(s),    Delta_q <= (1 - p) Delta_(q-1) + n_(q-1),

where ``p = pi_uj`` if the user waits for all answers, for a layer that uses ``j`` then cannot end before ``j`` is through with
it, and ``p = 0`` if it has a quorum. So the work that arrives at ``j`` between the two moments, which is ``W_j(t)``, is at most

    head_j W_j(s) + sum over paths and i of gain_i n_i.

A query in stage ``i`` still has ``ahead_i`` of work before it at ``j``. With ``r = M - 1 - i`` stages between it and the last
layer, and ``later``, ``home`` the work of a later layer and of the aggregation that the path brings a second,

    gain = later sum_{x<r} (1 - p)^x + home (1 - p)^r,    ahead = later r + home,

which depends on ``r`` alone, and ``gain <= ahead``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System, UserGroup

__all__ = ["Items", "Paths", "work_paths"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """Queries of one path in one stage, those that may yet return to the device; sorted by device, then by ``gain / ahead``.

    Attributes
    ----------
    device, user : ndarray, shape (i,)
    gain, ahead : ndarray, shape (i,)
        Work for the device, while the head of its line waits and in all, of a unit of delay's worth of such queries.
    ratio : ndarray, shape (i,)
        ``gain / ahead``, at most 1.
    """

    device: IntArray
    user: IntArray
    gain: FloatArray
    ahead: FloatArray
    ratio: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Paths:
    """All paths of the users who send prompts, and the work that they bring.

    Attributes
    ----------
    n : int
        Devices.
    device, user, layers : ndarray, shape (p,)
        Where a path ends, whose it is, and that user's M.
    first, later, home : ndarray, shape (p,)
        Seconds of work a second that a first layer, one later layer and the aggregation bring.
    hold : ndarray, shape (p,)
        The chance ``p`` that a layer cannot end before the device has answered.
    """

    n: int
    device: IntArray
    user: IntArray
    layers: IntArray
    first: FloatArray
    later: FloatArray
    home: FloatArray
    hold: FloatArray

    @cached_property
    def head(self) -> FloatArray:
        """``head_j``: work that arrives per second that the head of the line waits, when no query is under way; shape (n,)."""
        miss = 1.0 - self.hold
        value, power = self.first.copy(), miss.copy()
        for q in range(1, self.most_layers + 1):
            value += np.where(q < self.layers, self.later * power, 0.0) + np.where(q == self.layers, self.home * power, 0.0)
            power *= miss
        return self.by_device(value)

    @cached_property
    def gain(self) -> FloatArray:
        """``gain`` of a path, summed over its stages; shape (p,)."""
        total = np.zeros(self.device.size)
        for _, of, gain, _ in self._stages():
            total[of] += gain
        return total

    @cached_property
    def ahead(self) -> FloatArray:
        """``ahead`` of a path, summed over its stages; shape (p,)."""
        r = self.layers.astype(np.float64)
        return self.later * (r * (r - 1) / 2) + self.home * r

    @property
    def most_layers(self) -> int:
        """The largest M."""
        return int(self.layers.max(initial=0))

    @property
    def n_items(self) -> int:
        """How many items there are."""
        return int(np.maximum(self.layers - (self.home == 0), 0).sum())

    @cached_property
    def items(self) -> Items:
        """The stages one by one."""
        parts = [(of, gain, ahead) for _, of, gain, ahead in self._stages()]
        if not parts:
            nothing, whole = np.zeros(0), np.zeros(0, dtype=np.int64)
            return Items(device=whole, user=whole, gain=nothing, ahead=nothing, ratio=nothing)
        of, gain, ahead = (np.concatenate(part) for part in zip(*parts, strict=True))
        ratio = np.minimum(gain / ahead, 1.0)
        order = np.lexsort((ratio, self.device[of]))
        of = of[order]
        return Items(device=self.device[of], user=self.user[of], gain=gain[order], ahead=ahead[order], ratio=ratio[order])

    def by_device(self, value: FloatArray) -> FloatArray:
        """Sum of a quantity of the paths at every device; shape (n,)."""
        return np.asarray(np.bincount(self.device, weights=value, minlength=self.n))

    def _stages(self) -> Iterator[tuple[int, IntArray, FloatArray, FloatArray]]:
        """For r = 0, 1, ...: which paths have a stage with r layers after it, its ``gain`` and its ``ahead``."""
        miss = 1.0 - self.hold
        reached, power = np.zeros(miss.size), np.ones(miss.size)
        for r in range(self.most_layers):
            of = np.flatnonzero((self.layers > r) & ((self.home > 0) | ((self.later > 0) & (r > 0))))
            if of.size:
                yield (
                    r,
                    of,
                    self.later[of] * reached[of] + self.home[of] * power[of],
                    self.later[of] * r + self.home[of],
                )
            reached += power
            power = power * miss


def work_paths(system: System) -> Paths:
    """Exact: the work that every user's stages bring to every device.

    Parameters
    ----------
    system : System

    Examples
    --------
    The loads again:

    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.proofs.work_shares import work_paths
    >>> system = System.from_arrays([[0, 1], [1, 0]], 0.01, [20.0, 30.0], M=2, k=1)
    >>> paths = work_paths(system)
    >>> paths.by_device(paths.first + (paths.layers - 1) * paths.later + paths.home).round(9).tolist()
    [1.0, 1.5]
    """
    network, rates = system.network, system.rates
    sources, visit = network.link_sources(), system.inclusion()
    target = np.asarray(network.indices, dtype=np.int64)
    parts: list[tuple[FloatArray | IntArray, ...]] = []
    for group in system.groups():
        mean = np.broadcast_to(system.service.for_k(group.k).mean, (system.n_devices, len(Stage)))
        users = group.users[rates[group.users] > 0]
        parts.append(_home(group, users, rates[users], mean))
        if group.M and group.k:
            among = np.zeros(system.n_devices, dtype=bool)
            among[users] = True
            links = np.flatnonzero(among[sources] & (visit > 0))
            parts.append(_away(group, sources[links], target[links], visit[links], rates, mean))
    columns = (np.concatenate(part) for part in zip(*parts, strict=True))
    names = ("device", "user", "layers", "first", "later", "home", "hold")
    return Paths(n=system.n_devices, **dict(zip(names, columns, strict=True)))


def _home(group: UserGroup, users: IntArray, rate: FloatArray, mean: FloatArray) -> tuple[FloatArray | IntArray, ...]:
    layered = float(group.M > 0)
    held = np.full(users.size, float(group.quorum > group.k))
    first, later, home = rate * mean[users, 0], rate * mean[users, 1] * layered, rate * mean[users, 2] * layered
    return users, users, np.full(users.size, group.M), first, later, home, held


def _away(
    group: UserGroup, source: IntArray, target: IntArray, visit: FloatArray, rates: FloatArray, mean: FloatArray
) -> tuple[FloatArray | IntArray, ...]:
    brought = rates[source] * visit
    first, later = brought * mean[target, 0], brought * mean[target, 1]
    held = visit if group.quorum > group.k else np.zeros(visit.size)
    return target, source, np.full(source.size, group.M), first, later, np.zeros(source.size), held
