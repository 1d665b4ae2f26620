"""What a shorter wait at one device takes off the duration of a layer, by integration over time: compiled."""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.delay.closure.choice_polynomials import add_neighbour, at_most_undone, copy_state, join_states, start_state
from dmoa_theory.delay.closure.compiled import kernel
from dmoa_theory.delay.closure.law_tables import look_up, look_up_wait
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["integrate_drops"]


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
    done = np.zeros((widest, steps + 1))
    late = np.zeros((widest, steps + 1))  # chance that a job is done but for its wait
    waits = np.zeros((widest if missing > 0 else 1, steps + 1))
    serves = np.zeros((widest if missing > 0 else 1, steps + 1))
    before = np.zeros((widest + 1, k + 1, missing + 1))
    after, spare = np.zeros((k + 1, missing + 1)), np.zeros((k + 1, missing + 1))
    joint = np.zeros(missing + 1)
    total = np.zeros((widest, 3))
    for u in range(start.size - 1):
        first, size = start[u], start[u + 1] - start[u]
        lowest, unit, end = np.inf, np.inf, 0.0
        for a in range(size):
            d = device[first + a]
            lowest = min(lowest, grid[d, 0] + trip[first + a]) if missing == 0 else 0.0
            unit = min(unit, grid[d, 1])
            end = max(end, grid[d, 0] + grid[d, 3] + trip[first + a])
        growth = math.log1p((end - lowest) / unit) / steps
        for a in range(size):
            d, rho = device[first + a], load[device[first + a]]
            for i in range(steps + 1):
                t = lowest + unit * math.expm1(growth * i)
                served, sojourn = look_up(t - trip[first + a], grid[d], table[d])
                done[a, i] = (1.0 - rho) * served + rho * sojourn
                late[a, i] = max(served - sojourn, 0.0)
                if missing > 0:
                    x = t - there[first + a]
                    waited = look_up_wait(x, reach[d], wait[d])
                    served, sojourn = look_up(x, grid[d], table[d])
                    begun = 1.0 - rho + rho * waited
                    waits[a, i] = 1.0 - waited if x >= 0.0 else 0.0
                    serves[a, i] = max(begun - (1.0 - rho) * served - rho * sojourn, 0.0) if x >= 0.0 else 0.0
        for a in range(size):
            drop[first + a] = live_wait[first + a] = live_service[first + a] = 0.0
            total[a, 0] = total[a, 1] = total[a, 2] = 0.0
        start_state(spare)
        for a in range(1, size):
            add_neighbour(spare, coin[first + a], 1.0)
        drawn = spare[k, 0]
        outlast = 0.0
        for i in range(steps + 1):
            t = lowest + unit * math.expm1(growth * i)
            left = lowest + unit * math.expm1(growth * max(i - 1, 0))
            right = lowest + unit * math.expm1(growth * min(i + 1, steps))
            width = 0.5 * (right - left)
            own = done[0, i]
            start_state(before[1])
            for a in range(1, size):
                copy_state(before[a], before[a + 1])
                add_neighbour(before[a + 1], coin[first + a], done[a, i])
            # the own job: all k others are neighbours
            exactly = before[size, k, missing] / drawn
            fewer = 0.0
            for j in range(missing):
                fewer += before[size, k, j]
            alive = 1.0 - fewer / drawn
            drop[first] += width * late[0, i] * exactly
            total[0, 0] += width * late[0, i]
            if missing > 0:
                live_wait[first] += width * waits[0, i] * alive
                live_service[first] += width * serves[0, i] * alive
                total[0, 1] += width * waits[0, i]
                total[0, 2] += width * serves[0, i]
                step = (done[0, min(i + 1, steps)] - done[0, max(i - 1, 0)]) / 2.0
                if i == 0:
                    step += own
                outlast += step * (1.0 - alive)
            start_state(after)
            for a in range(size - 1, 0, -1):
                c = coin[first + a]
                join_states(before[a], after, k - 1, joint)
                one_less = joint[missing - 1] if missing > 0 else 0.0
                exactly = (own * joint[missing] + (1.0 - own) * one_less) * c / drawn
                drop[first + a] += width * late[a, i] * exactly
                total[a, 0] += width * late[a, i]
                if missing > 0:
                    alive = inclusion[first + a] - at_most_undone(joint, own, missing - 1) * c / drawn
                    live_wait[first + a] += width * waits[a, i] * alive
                    live_service[first + a] += width * serves[a, i] * alive
                    total[a, 1] += width * waits[a, i]
                    total[a, 2] += width * serves[a, i]
                add_neighbour(after, c, done[a, i])
        for a in range(size):
            if total[a, 0] > 0.0:
                drop[first + a] /= total[a, 0]
            if missing > 0:
                live_wait[first + a] /= max(total[a, 1], 1e-300)
                live_service[first + a] /= max(total[a, 2], 1e-300)
        unfinished[u] = min(max(outlast, 0.0), 1.0)
