"""Sums over pairs of devices, compiled: what :mod:`dmoa_theory.delay.closure.pairs` calls."""

from __future__ import annotations

import numpy as np

from dmoa_theory.delay.closure.compiled import inlined, kernel
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["ShortArray", "add_outer", "carried_on", "find_slots", "joint_inclusion", "number_users", "quadratic_sums"]

ShortArray = np.ndarray[tuple[int, ...], np.dtype[np.int32]] | np.ndarray[tuple[int, ...], np.dtype[np.uint16]]
# Every so many entries one is asked for: pairs of numbers, four to a line of the cache.
_AT_ONCE = 4


@kernel
def find_slots(
    start: IntArray, device: IntArray, square: IntArray, indptr: IntArray, column: IntArray, slots: IntArray, build: int = BUILD
) -> None:
    """Where in the pattern the pairs of every row's entries lie; rows of the pattern are sorted."""
    for u in range(start.size - 1):
        first, size = start[u], start[u + 1] - start[u]
        for a in range(size):
            i = device[first + a]
            for b in range(size):
                low, high = indptr[i], indptr[i + 1]
                while low < high:
                    middle = (low + high) // 2
                    if column[middle] < device[first + b]:
                        low = middle + 1
                    else:
                        high = middle
                slots[square[u] + a * size + b] = low


@kernel
def add_outer(
    start: IntArray,
    square: IntArray,
    slots: IntArray,
    left: FloatArray,
    right: FloatArray,
    out: FloatArray,
    build: int = BUILD,
) -> None:
    """Add left_a right_b of every two entries a, b of a row to the pair of their devices."""
    for u in range(start.size - 1):
        first, size = start[u], start[u + 1] - start[u]
        for a in range(size):
            for b in range(size):
                out[slots[square[u] + a * size + b]] += left[first + a] * right[first + b]


@kernel
def quadratic_sums(
    start: IntArray, square: IntArray, slots: IntArray, values: FloatArray, x: FloatArray, sums: FloatArray, build: int = BUILD
) -> None:
    """Of every row: ``sum over entries a != b of x_a x_b value(a, b)``."""
    for u in range(start.size - 1):
        first, size = start[u], start[u + 1] - start[u]
        total = 0.0
        for a in range(size):
            for b in range(a):
                total += x[first + a] * x[first + b] * values[slots[square[u] + a * size + b]]
        sums[u] = 2.0 * total


@inlined
def _number_users(
    i: int,
    begin: int,
    end: int,
    column: IntArray,
    at: ShortArray,
    user: ShortArray,
    seen: IntArray,
    first: int,
    local: ShortArray,
) -> int:
    """Number the users whom the devices of a row of the pattern serve, in order of appearance; returns how many there are.

    ``seen`` holds, of each user, the row in which it was met last and its number there, as one integer.
    """
    count, place, stamp = 0, first, (i + 1) << 32
    for z in range(begin, end):
        for e in range(at[column[z]], at[column[z] + 1]):
            mark = seen[user[e]]
            if mark < stamp:
                mark = stamp + count
                seen[user[e]] = mark
                count += 1
            local[place] = mark - stamp
            place += 1
    return count


@kernel
def number_users(
    indptr: IntArray, column: IntArray, at: ShortArray, user: ShortArray, local: ShortArray, build: int = BUILD
) -> int:
    """Of every pair (i, l) and user whom l serves: the user's number among those of row i; returns the most of a row."""
    seen = np.zeros(indptr.size - 1, dtype=np.int64)
    most, place = 0, 0
    for i in range(indptr.size - 1):
        most = max(most, _number_users(i, indptr[i], indptr[i + 1], column, at, user, seen, place, local))
        for z in range(indptr[i], indptr[i + 1]):
            place += at[column[z] + 1] - at[column[z]]
    return most


@kernel
def carried_on(
    indptr: IntArray,
    column: IntArray,
    at: ShortArray,
    user: ShortArray,
    local: ShortArray,
    most: int,
    on_the_way: bool,
    felt: FloatArray,
    left: FloatArray,
    out: FloatArray,
    build: int = BUILD,
) -> float:
    """``left_ij + sum_u follows_uj sum_l left_il felt_ul`` for every pair (i, j) of a pattern, over the l that i meets.

    Entries come by device: those of device l are ``at[l]`` to ``at[l + 1]``; ``felt`` has shape (entries, 2), with what follows
    beside what is felt. Rows number their users for themselves, at most ``most``, so that a row's sums lie close together: the
    numbers are in ``local``, or, where that has room for a single row, are found on the way.
    """
    sums = np.zeros(most)
    place, asked_for = 0, 0.0
    seen = np.zeros(indptr.size - 1 if on_the_way else 0, dtype=np.int64)
    for i in range(indptr.size - 1):
        begin, end = indptr[i], indptr[i + 1]
        if on_the_way:
            place = 0
            _number_users(i, begin, end, column, at, user, seen, place, local)
        # far apart in memory: asked for all at once, they arrive together
        for z in range(begin, end):
            first, last = at[column[z]], at[column[z] + 1]
            for e in range(first, last, _AT_ONCE):
                asked_for += felt[e, 0]
            if last > first:
                asked_for += felt[last - 1, 1]
        sums[:] = 0.0
        p = place
        for z in range(begin, end):
            value = left[z]
            for e in range(at[column[z]], at[column[z] + 1]):
                sums[local[p]] += felt[e, 0] * value
                p += 1
        for z in range(begin, end):
            total = left[z]
            for e in range(at[column[z]], at[column[z] + 1]):
                total += felt[e, 1] * sums[local[place]]
                place += 1
            out[z] = total
    return asked_for


@kernel
def joint_inclusion(coin: FloatArray, k: int, joint: FloatArray, build: int = BUILD) -> None:
    """Of one user: the chance that both of two neighbours are drawn, from coin chances (d,); fills ``joint`` (d, d).

    ``p_i p_j P(k - 2 heads among the others) / P(k heads)``; the others' counts come from those before and after j.
    """
    d = coin.size
    before = np.zeros((d + 1, k + 1))
    after = np.zeros(k + 1)
    for i in range(d):
        for c in range(k + 1):
            before[0, c] = after[c] = 0.0
        before[0, 0] = after[0] = 1.0
        for j in range(d):
            p = 0.0 if j == i else coin[j]
            before[j + 1, 0] = before[j, 0] * (1.0 - p)
            for c in range(1, k + 1):
                before[j + 1, c] = before[j, c] * (1.0 - p) + before[j, c - 1] * p
        # all heads: those without i, and i as one of them
        drawn = before[d, k] * (1.0 - coin[i]) + before[d, k - 1] * coin[i]
        for j in range(d - 1, -1, -1):
            if j == i:
                joint[i, j] = 0.0
                continue
            total = 0.0
            for c in range(k - 1):
                total += before[j, c] * after[k - 2 - c]
            joint[i, j] = coin[i] * coin[j] * total / drawn
            p = coin[j]
            for c in range(k, 0, -1):
                after[c] = after[c] * (1.0 - p) + after[c - 1] * p
            after[0] *= 1.0 - p
