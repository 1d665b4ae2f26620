"""What a shorter wait at one device takes off the duration of a layer, by integration over time: compiled."""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.delay.closure.choice_polynomials import add_neighbour, chance_of_choice, extend_state, join_states, start_state
from dmoa_theory.delay.closure.compiled import inlined, kernel
from dmoa_theory.delay.closure.law_tables import look_up, look_up_wait
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["integrate_drops", "make_times"]

# Points of time are taken in blocks, so that the polynomials of a block keep to so many numbers.
_BLOCK = 1 << 17


@inlined
def make_times(
    first: int, size: int, device: IntArray, trip: FloatArray, grid: FloatArray, early: bool, t: FloatArray, width: FloatArray
) -> None:
    """Points of time of a row, and how much of the time each stands for; from 0 on where the layer may end ``early``."""
    steps = t.size - 1
    lowest, unit, end = np.inf, np.inf, 0.0
    for a in range(size):
        d = device[first + a]
        lowest = 0.0 if early else min(lowest, grid[d, 0] + trip[first + a])
        unit = min(unit, grid[d, 1])
        end = max(end, grid[d, 0] + grid[d, 3] + trip[first + a])
    growth = math.log1p((end - lowest) / unit) / steps
    for i in range(steps + 1):
        t[i] = lowest + unit * math.expm1(growth * i)
    for i in range(steps + 1):
        width[i] = 0.5 * (t[min(i + 1, steps)] - t[max(i - 1, 0)])


@kernel
def integrate_drops(
    start: IntArray,
    device: IntArray,
    coin: FloatArray,
    inclusion: FloatArray,
    there: FloatArray,
    trip: FloatArray,
    k: int,
    quorum: int,
    steps: int,
    load: FloatArray,
    reach: FloatArray,
    wait: FloatArray,
    grid: FloatArray,
    table: FloatArray,
    drop: FloatArray,
    live_wait: FloatArray,
    live_service: FloatArray,
    unfinished: FloatArray,
    build: int = BUILD,
) -> None:
    """Rows of users who ask k neighbours and wait for ``quorum`` answers; fills one value an entry, and one a row.

    With ``missing = k + 1 - quorum`` and all jobs independent: ``drop`` is the chance-weighted share of a job's wait that its
    layer's duration contains, ``int (S - T) P(exactly missing others undone) / int (S - T)`` with S and T the laws of service
    and sojourn; ``live_wait`` and ``live_service`` are the shares of its wait and its service that pass while the layer lasts,
    and ``unfinished`` the chance that the own job outlasts its layer.
    """
    missing = k + 1 - quorum
    widest = 0
    for u in range(start.size - 1):
        widest = max(widest, start[u + 1] - start[u])
    points = steps + 1
    t, width = np.zeros(points), np.zeros(points)
    done = np.zeros((widest, points))
    late = np.zeros((widest, points))  # chance that a job is done but for its wait, times the width
    waits = np.zeros((widest if missing > 0 else 1, points))
    serves = np.zeros((widest if missing > 0 else 1, points))
    block = max(min(points, _BLOCK // ((widest + 1) * (k + 1) * (missing + 1))), min(points, 8))
    before = np.zeros((widest + 1, k + 1, missing + 1, block))
    after = np.zeros((k + 1, missing + 1, block))
    joint, chance = np.zeros((missing + 1, block)), np.zeros(block)
    heads = np.zeros(k + 1)
    for u in range(start.size - 1):
        first, size = start[u], start[u + 1] - start[u]
        make_times(first, size, device, trip, grid, missing > 0, t, width)
        for a in range(size):
            d, rho = device[first + a], load[device[first + a]]
            for i in range(points):
                served, sojourn = look_up(t[i] - trip[first + a], grid[d], table[d])
                done[a, i] = (1.0 - rho) * served + rho * sojourn
                late[a, i] = width[i] * max(served - sojourn, 0.0)
                if missing > 0:
                    x = t[i] - there[first + a]
                    waited = look_up_wait(x, reach[d], wait[d])
                    served, sojourn = look_up(x, grid[d], table[d])
                    begun = 1.0 - rho + rho * waited
                    waits[a, i] = width[i] * (1.0 - waited) if x >= 0.0 else 0.0
                    serves[a, i] = width[i] * max(begun - (1.0 - rho) * served - rho * sojourn, 0.0) if x >= 0.0 else 0.0
        for a in range(size):
            drop[first + a] = live_wait[first + a] = live_service[first + a] = 0.0
        drawn = chance_of_choice(coin[first + 1 : first + size], k, heads)
        outlast = 0.0
        for low in range(0, points, block):
            count = min(block, points - low)
            own = done[0, low : low + count]
            start_state(before[1], 0, count)
            for a in range(1, size):
                extend_state(before[a], coin[first + a], done[a, low : low + count], before[a + 1], count)
            # the own job: all k others are neighbours
            full = before[size, k]
            total = 0.0
            for i in range(count):
                total += late[0, low + i] * full[missing, i]
            drop[first] += total / drawn
            if missing > 0:
                for i in range(count):
                    chance[i] = 0.0
                for j in range(missing):
                    for i in range(count):
                        chance[i] += full[j, i] / drawn
                for i in range(count):
                    live_wait[first] += waits[0, low + i] * (1.0 - chance[i])
                    live_service[first] += serves[0, low + i] * (1.0 - chance[i])
                    now = low + i
                    step = (done[0, min(now + 1, steps)] - done[0, max(now - 1, 0)]) / 2.0
                    outlast += (step + (own[i] if now == 0 else 0.0)) * chance[i]
            start_state(after, 0, count)
            for a in range(size - 1, 0, -1):
                c = coin[first + a]
                join_states(before[a], after, k - 1, joint, count)
                total = 0.0
                if missing == 0:
                    for i in range(count):
                        total += late[a, low + i] * own[i] * joint[0, i]
                else:
                    for i in range(count):
                        exactly = own[i] * joint[missing, i] + (1.0 - own[i]) * joint[missing - 1, i]
                        total += late[a, low + i] * exactly
                    for i in range(count):
                        chance[i] = own[i] * joint[missing - 1, i]
                    for j in range(missing - 1):
                        for i in range(count):
                            chance[i] += joint[j, i]
                    waiting, serving = 0.0, 0.0
                    for i in range(count):
                        alive = inclusion[first + a] - chance[i] * c / drawn
                        waiting += waits[a, low + i] * alive
                        serving += serves[a, low + i] * alive
                    live_wait[first + a] += waiting
                    live_service[first + a] += serving
                drop[first + a] += total * c / drawn
                add_neighbour(after, c, done[a, low : low + count], 0, count)
        for a in range(size):
            total = late[a].sum()
            if total > 0.0:
                drop[first + a] /= total
            if missing > 0:
                live_wait[first + a] /= max(waits[a].sum(), 1e-300)
                live_service[first + a] /= max(serves[a].sum(), 1e-300)
        unfinished[u] = min(max(outlast, 0.0), 1.0)
