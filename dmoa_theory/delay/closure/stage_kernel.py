"""Distribution and cumulants of the duration of a layer, by integration over time: compiled."""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.delay.closure.choice_polynomials import add_neighbour, chance_of_choice, start_state
from dmoa_theory.delay.closure.compiled import inlined, kernel
from dmoa_theory.delay.closure.law_tables import look_ups, unit_cdfs
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["grid_size", "layer_durations", "make_grid", "moments"]

# Jumps of distribution functions that a row's grid follows exactly.
_MOST_JUMPS = 24
# Where devices are orders of magnitude apart: at least this share of the steps asked for to a factor e, at most so many times
# all of them.
_SHARE_EACH, _MOST_TIMES = 1 / 8, 3


@inlined
def grid_size(steps: int) -> int:
    """Most points that the grid of a row may have."""
    return _MOST_TIMES * steps + 1 + 2 * _MOST_JUMPS


@inlined
def make_grid(
    first: int, size: int, device: IntArray, trip: FloatArray, grid: FloatArray, law: IntArray, law_span: FloatArray,
    steps: int, full: bool, t: FloatArray,
) -> int:  # fmt: skip
    """Times close together where the quickest device's law changes, further apart later; twice at every jump."""
    lowest, unit, end = np.inf, np.inf, 0.0
    for a in range(size):
        d = device[first + a]
        begin = grid[d, 0] + trip[first + a]
        lowest = min(lowest, begin)
        unit = min(unit, grid[d, 1])
        end = max(end, begin + grid[d, 3])
    if full:
        lowest = grid[device[first], 0]
    decades = math.log1p((end - lowest) / unit)
    steps = min(max(steps, int(_SHARE_EACH * steps * decades)), _MOST_TIMES * steps)
    growth = decades / steps
    for i in range(steps + 1):
        t[i] = lowest + unit * math.expm1(growth * i)
    count = steps + 1
    if size <= _MOST_JUMPS:
        for a in range(size):
            d = device[first + a]
            if law_span[law[d]] == 0.0:
                jump = grid[d, 0] + trip[first + a]
                for side in range(2):
                    x = jump * (1.0 + (side - 0.5) * 1e-11)
                    if x > t[0] and x < t[count - 1]:
                        i = count
                        while t[i - 1] > x:
                            t[i] = t[i - 1]
                            i -= 1
                        t[i] = x
                        count += 1
    return count


@inlined
def _all_done(state: FloatArray, own: FloatArray, low: int, high: int, chance: FloatArray) -> None:
    """Chance that k neighbours are asked and at most ``missing`` of their jobs and the own one are undone."""
    last = state[state.shape[0] - 1]
    missing = last.shape[0] - 1
    for i in range(low, high):
        chance[i] = own[i] * last[missing, i]
    for j in range(missing):
        for i in range(low, high):
            chance[i] += last[j, i]


@inlined
def moments(t: FloatArray, chance: FloatArray, count: int, cumulants: FloatArray) -> None:
    """Mean, variance and third central moment of a law known at ``count`` points."""
    m1, m2, m3 = t[0], t[0] ** 2, t[0] ** 3
    for i in range(count - 1):
        width = t[i + 1] - t[i]
        now, then = 1.0 - chance[i], 1.0 - chance[i + 1]
        m1 += width * (now + then) / 2.0
        m2 += width * (now * t[i] + then * t[i + 1])
        m3 += 1.5 * width * (now * t[i] ** 2 + then * t[i + 1] ** 2)
    cumulants[0] = m1
    cumulants[1] = max(m2 - m1**2, 1e-14 * m1**2)
    cumulants[2] = m3 - 3.0 * m1 * m2 + 2.0 * m1**3


@kernel
def layer_durations(
    start: IntArray,
    device: IntArray,
    coin: FloatArray,
    inclusion: FloatArray,
    trip: FloatArray,
    k: int,
    quorum: int,
    steps: int,
    together: FloatArray,
    returning: bool,
    workload: FloatArray,
    found: FloatArray,
    load: FloatArray,
    grid: FloatArray,
    table: FloatArray,
    load_back: FloatArray,
    grid_back: FloatArray,
    table_back: FloatArray,
    class_wait: FloatArray,
    class_share: FloatArray,
    service: FloatArray,
    law: IntArray,
    law_low: FloatArray,
    law_span: FloatArray,
    law_cdf: FloatArray,
    cumulants: FloatArray,
    times: FloatArray,
    chances: FloatArray,
    build: int = BUILD,
) -> None:
    """Rows of users who ask k neighbours: mean, variance and third central moment of a layer, shape (rows, 3).

    The law is the mixture, with the row's weight ``together``, of that of jobs with comonotone waits and that of independent
    jobs. With ``returning`` the own job finds what returning jobs find (the tables ``*_back``, mean ``found``), and so does a
    neighbour's job with its inclusion probability. Also fills the distribution function ``chances`` at ``times`` where they
    have a row for each row.
    """
    missing = k + 1 - quorum
    widest = 0
    for u in range(start.size - 1):
        widest = max(widest, start[u + 1] - start[u])
    most = _MOST_TIMES * steps + 1 + 2 * _MOST_JUMPS
    state, heads = np.zeros((k + 1, missing + 1, most)), np.zeros(k + 1)
    own, done = np.zeros(most), np.zeros(most)
    t, chance, joint = np.zeros(most), np.zeros(most), np.zeros(most)
    classes = class_share.size
    wait = np.zeros((classes, widest))
    all_done = np.zeros(classes)  # when the last job of a class is surely done
    for u in range(start.size - 1):
        first, size = start[u], start[u + 1] - start[u]
        count = make_grid(first, size, device, trip, grid_back if returning else grid, law, law_span, steps, missing == 0, t)
        drawn = chance_of_choice(coin[first + 1 : first + size], k, heads)
        omega = together[u]
        start_state(state, 0, count)
        for a in range(size):
            d = device[first + a]
            share = (inclusion[first + a] if a > 0 else 1.0) if returning else 0.0
            mean = workload[d] + share * (found[d] - workload[d])
            slowest = service[d] * (law_low[law[d]] + law_span[law[d]])
            for q in range(classes):
                wait[q, a] = class_wait[d, q] * mean + trip[first + a]
                all_done[q] = max(all_done[q] if a > 0 else 0.0, wait[q, a] + slowest)
            done[:count] = 0.0
            if share < 1.0:
                look_ups(t, trip[first + a], load[d], 1.0 - share, grid[d], table[d], count, joint, done)
            if share > 0.0:
                look_ups(t, trip[first + a], load_back[d], share, grid_back[d], table_back[d], count, joint, done)
            if a == 0:
                own[:count] = done[:count]
            else:
                add_neighbour(state, coin[first + a], done, 0, count)
        _all_done(state, own, 0, count, joint)
        for i in range(count):
            chance[i] = (1.0 - omega) * joint[i]
        for q in range(classes if omega > 0.0 else 0):
            # before ``low`` no job of the class is done at home, from ``high`` on all are done everywhere
            d = device[first]
            low, high = 0, count
            if missing == 0:
                low = np.searchsorted(t[:count], wait[q, 0] + law_low[law[d]] * service[d])
                low = max(low - 1, 0)
            high = max(low, np.searchsorted(t[:count], all_done[q], side="right"))
            unit_cdfs(t, wait[q, 0], service[d], law_low[law[d]], law_span[law[d]], law_cdf[law[d]], low, high, own)
            start_state(state, low, high)
            for a in range(1, size):
                d = device[first + a]
                unit_cdfs(t, wait[q, a], service[d], law_low[law[d]], law_span[law[d]], law_cdf[law[d]], low, high, done)
                add_neighbour(state, coin[first + a], done, low, high)
            _all_done(state, own, low, high, joint)
            share = omega * class_share[q]
            for i in range(low, high):
                chance[i] += share * joint[i]
            for i in range(high, count):
                chance[i] += share * drawn
        for i in range(count):
            chance[i] = min(chance[i] / drawn, 1.0)
        moments(t, chance, count, cumulants[u])
        if times.shape[0] > 0:
            for i in range(most):
                times[u, i] = t[min(i, count - 1)]
                chances[u, i] = chance[min(i, count - 1)]
