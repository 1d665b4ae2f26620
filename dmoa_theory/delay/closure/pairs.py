"""Pairs of devices that meet in some stage set, and sums over the users who bring them together.

Quantities by pair (i, j) are flat arrays along a pattern. Where few pairs meet, the pattern holds those alone; where half of
all pairs do, all, and products become dense ones. A pair that never meets is coupled through others only, and left out: the
mean latency moves by less than 0.05 %, at n = 30, M = 3, k = 3, load 0.9 by 0.5 %, the most that was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.pair_kernels import (
    ShortArray,
    add_outer,
    carried_on,
    find_slots,
    joint_inclusion,
    number_users,
    quadratic_sums,
)
from dmoa_theory.delay.closure.stage_sets import StageSets
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["DensePairs", "Pairs", "SparsePairs", "UsersOfRows", "joint_chances", "meeting_pairs"]

# Numbers of users by row of a pattern are kept if they take no more than this.
_MOST_BYTES = 2**29


@dataclass(frozen=True, slots=True, eq=False)
class DensePairs:
    """All n^2 pairs, row by row."""

    sets: StageSets
    n: int

    @property
    def size(self) -> int:
        """Number of ordered pairs."""
        return self.n**2

    @property
    def row(self) -> IntArray:
        """First device of every pair."""
        return np.repeat(np.arange(self.n), self.n)

    @property
    def column(self) -> IntArray:
        """Second device of every pair."""
        return np.tile(np.arange(self.n), self.n)

    @property
    def mirror(self) -> IntArray:
        """Where the pair (j, i) of (i, j) is."""
        return np.arange(self.size).reshape(self.n, self.n).T.ravel()

    @property
    def diagonal(self) -> IntArray:
        """Where the pairs (i, i) are."""
        return np.arange(self.n) * (self.n + 1)

    def _spread(self, by_entry: FloatArray) -> FloatArray:
        matrix = np.zeros((self.sets.user.size, self.n))
        matrix[self.sets.row, self.sets.device] = by_entry
        return matrix

    def sum_over_users(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """``sum_u left_ui right_uj``, from values by entry."""
        return np.asarray((self._spread(left).T @ self._spread(right)).ravel())

    def with_own(self, values: FloatArray) -> FloatArray:
        """Of every entry: the value of the pair of the row's own device and the entry's."""
        return np.asarray(values[self.sets.device[self.sets.own][self.sets.row] * self.n + self.sets.device])

    def quadratic(self, values: FloatArray, x: FloatArray) -> FloatArray:
        """Of every row: ``sum over entries a != b of x_a x_b value(a, b)``."""
        matrix, square = self._spread(x), values.reshape(self.n, self.n)
        return np.asarray(((matrix @ square) * matrix).sum(axis=1) - (matrix**2) @ square.diagonal())

    def carried_on(self, follows: FloatArray, felt: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Of values by pair: ``values_ij + sum_u follows_uj sum_l values_il felt_ul``; what is carried is given by entry."""
        weights = self.sum_over_users(felt, follows).reshape(self.n, self.n) + np.eye(self.n)
        return lambda values: np.asarray((values.reshape(self.n, self.n) @ weights).ravel())

    @property
    def identity(self) -> FloatArray:
        """1 for the pairs (i, i)."""
        return np.eye(self.n).ravel()

    def among(self, u: int) -> IntArray:
        """Where the pairs of a row's entries are, all with all; shape (entries^2,)."""
        device = self.sets.device[self.sets.start[u] : self.sets.start[u + 1]]
        return np.asarray((device[:, None] * self.n + device).ravel())


class UsersOfRows(NamedTuple):
    """Whom devices serve: entries ``order[at[l]:at[l + 1]]`` are those of device l, and belong to the rows ``user``.

    ``local`` numbers, of every pair (i, l), the users of l among those of all devices that i meets, at most ``most``; where
    that would be too many numbers to keep, it is room for those of one i.
    """

    order: IntArray
    at: ShortArray
    user: ShortArray
    local: ShortArray
    most: int
    on_the_way: bool


@dataclass(frozen=True, slots=True, eq=False)
class SparsePairs:
    """The pairs that meet, sorted by first and second device."""

    sets: StageSets
    n: int
    indptr: IntArray
    row: IntArray
    column: IntArray
    mirror: IntArray
    diagonal: IntArray
    square: IntArray
    slots: IntArray
    users: UsersOfRows

    @property
    def size(self) -> int:
        """Number of ordered pairs."""
        return self.column.size

    def sum_over_users(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """``sum_u left_ui right_uj``, from values by entry."""
        out = np.zeros(self.size)
        add_outer(self.sets.start, self.square, self.slots, left, right, out)
        return out

    def with_own(self, values: FloatArray) -> FloatArray:
        """Of every entry: the value of the pair of the row's own device and the entry's."""
        within = np.arange(self.sets.device.size) - self.sets.start[self.sets.row]
        return np.asarray(values[self.slots[self.square[self.sets.row] + within]])

    def quadratic(self, values: FloatArray, x: FloatArray) -> FloatArray:
        """Of every row: ``sum over entries a != b of x_a x_b value(a, b)``."""
        sums = np.empty(self.sets.user.size)
        quadratic_sums(self.sets.start, self.square, self.slots, values, x, sums)
        return sums

    def carried_on(self, follows: FloatArray, felt: FloatArray) -> Callable[[FloatArray], FloatArray]:
        """Of values by pair: ``values_ij + sum_u follows_uj sum_l values_il felt_ul``, over the l that i meets."""
        users = self.users
        carried = np.stack((felt[users.order], follows[users.order]), axis=1)

        def products(values: FloatArray) -> FloatArray:
            out = np.empty(self.size)
            carried_on(
                self.indptr, self.column, users.at, users.user, users.local, users.most, users.on_the_way, carried, values, out
            )
            return out

        return products

    @property
    def identity(self) -> FloatArray:
        """1 for the pairs (i, i)."""
        return np.where(self.row == self.column, 1.0, 0.0)

    def among(self, u: int) -> IntArray:
        """Where the pairs of a row's entries are, all with all; shape (entries^2,)."""
        return self.slots[self.square[u] : self.square[u + 1]]


Pairs = DensePairs | SparsePairs


def meeting_pairs(sets: StageSets, n: int, *, every: bool | None = None) -> Pairs:
    """The pattern of the pairs that share a stage set; ``every``: take all pairs, or only those that meet."""
    if every:
        return DensePairs(sets, n)
    from scipy import sparse

    size = np.diff(sets.start)
    if every is None and size.max(initial=0) ** 2 * 2 >= n**2:
        return DensePairs(sets, n)
    use = sparse.csr_array((np.ones(sets.device.size), sets.device, sets.start), shape=(sets.user.size, n))
    meeting = sparse.csr_array(use.T @ use + sparse.eye_array(n, format="csr"))
    if every is None and meeting.nnz * 2 >= n**2:
        return DensePairs(sets, n)
    meeting.sort_indices()
    indptr, column = meeting.indptr.astype(np.int64), meeting.indices.astype(np.int64)
    row = np.repeat(np.arange(n), np.diff(indptr))
    square = np.concatenate(([0], np.cumsum(size**2))).astype(np.int64)
    slots = np.empty(int(square[-1]), dtype=np.int64)
    find_slots(sets.start, sets.device, square, indptr, column, slots)
    return SparsePairs(
        sets=sets,
        n=n,
        indptr=indptr,
        row=row,
        column=column,
        mirror=np.argsort(column * n + row, kind="stable"),
        diagonal=np.flatnonzero(row == column),
        square=square,
        slots=slots,
        users=_users_of_rows(sets, n, indptr, column),
    )


def _users_of_rows(sets: StageSets, n: int, indptr: IntArray, column: IntArray) -> UsersOfRows:
    """The users whom the devices of every row of a pattern serve, numbered."""
    order = np.argsort(sets.device, kind="stable")
    at = np.searchsorted(sets.device[order], np.arange(n + 1)).astype(np.int32)
    user = sets.row[order].astype(np.int32)
    entries = np.add.reduceat(np.diff(at)[column], indptr[:-1])  # every device meets itself
    widest, total = int(entries.max(initial=0)), int(entries.sum(dtype=np.int64))
    short = np.dtype(np.uint16 if widest < 2**16 else np.int32)
    on_the_way = total * short.itemsize > _MOST_BYTES
    local = np.empty(widest if on_the_way else total, dtype=short)
    most = widest if on_the_way else number_users(indptr, column, at, user, local)
    return UsersOfRows(order, at, user, local, most, on_the_way)


def joint_chances(sets: StageSets, u: int) -> FloatArray:
    """Chance that two devices are both used in a layer of row u; shape (d + 1, d + 1), the own device first."""
    entries = slice(int(sets.start[u]), int(sets.start[u + 1]))
    inclusion, k = sets.inclusion[entries], int(sets.asked[u])
    joint = np.outer(inclusion, inclusion)
    d = inclusion.size - 1
    if k == 0 or d == 0:
        return joint
    if sets.weighted:
        inner = np.zeros((d, d))
        joint_inclusion(sets.coin[entries][1:], k, inner)
    else:
        inner = np.full((d, d), k * (k - 1) / max(d * (d - 1), 1))
    np.fill_diagonal(inner, inclusion[1:])
    joint[1:, 1:] = inner
    return joint
