"""Layers of users who all choose among the same devices: one polynomial for all, from which each user's own device is divided.

With coins alike, ``prod (1 - p + p F_j z)`` over all devices is the same for everybody, and a user's neighbours are all devices
but the own one: dividing by ``1 - p + p F_u z`` leaves theirs, with errors that do not grow while p is at most 1/2.
"""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.delay.closure.choice_polynomials import add_neighbour, start_state
from dmoa_theory.delay.closure.compiled import inlined, kernel
from dmoa_theory.delay.closure.law_tables import look_ups, unit_cdfs
from dmoa_theory.delay.closure.stage_kernel import grid_size, make_grid, moments
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["polynomials_of_all", "shared_durations"]


@kernel
def polynomials_of_all(
    devices: IntArray,
    coin: float,
    share: float,
    t: FloatArray,
    mean_wait: FloatArray,
    load: FloatArray,
    grid: FloatArray,
    table: FloatArray,
    load_back: FloatArray,
    grid_back: FloatArray,
    table_back: FloatArray,
    class_wait: FloatArray,
    service: FloatArray,
    law: IntArray,
    law_low: FloatArray,
    law_span: FloatArray,
    law_cdf: FloatArray,
    found: FloatArray,
    build: int = BUILD,
) -> None:
    """Chances of c = 0..k heads whose jobs are all done by times t, all devices tossing the same coin.

    Fills ``found``, shape (1 + classes, k + 1, points): independent jobs, then those of every class of comonotone waits. A job
    returns with chance ``share``; ``mean_wait`` (n,) is that of the mixture.
    """
    points = t.size
    done, place = np.zeros(points), np.zeros(points)
    state = np.zeros((found.shape[1], 1, points))
    for q in range(found.shape[0]):
        start_state(state, 0, points)
        for a in range(devices.size):
            d = devices[a]
            if q == 0:
                done[:] = 0.0
                if share < 1.0:
                    look_ups(t, 0.0, load[d], 1.0 - share, grid[d], table[d], points, place, done)
                if share > 0.0:
                    look_ups(t, 0.0, load_back[d], share, grid_back[d], table_back[d], points, place, done)
            else:
                kind, wait = law[d], class_wait[d, q - 1] * mean_wait[d]
                unit_cdfs(t, wait, service[d], law_low[kind], law_span[kind], law_cdf[kind], 0, points, done)
            add_neighbour(state, coin, done, 0, points)
        found[q] = state[:, 0]


@inlined
def _without_own(
    known: FloatArray, base: IntArray, weight: FloatArray, coin: float, own: FloatArray, count: int, less: FloatArray,
    chance: FloatArray,
) -> None:  # fmt: skip
    """Chance of k heads among all but one device, all done, at points between those of ``known`` (k + 1, nodes)."""
    tails = 1.0 - coin
    for i in range(count):
        less[i] = 0.0
    for c in range(known.shape[0]):
        row = known[c]
        for i in range(count):
            b = base[i]
            value = weight[0, i] * row[b] + weight[1, i] * row[b + 1] + weight[2, i] * row[b + 2] + weight[3, i] * row[b + 3]
            less[i] = (value - coin * own[i] * less[i]) / tails
    for i in range(count):
        chance[i] = max(less[i], 0.0)


@kernel
def shared_durations(
    rows: IntArray,
    start: IntArray,
    device: IntArray,
    coin: float,
    trip: FloatArray,
    drawn: float,
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
    lowest: float,
    unit: float,
    node: float,
    known: FloatArray,
    cumulants: FloatArray,
    times: FloatArray,
    chances: FloatArray,
    build: int = BUILD,
) -> None:
    """As :func:`dmoa_theory.delay.closure.stage_kernel.layer_durations`, for rows whose devices are the same ones.

    ``known`` comes from :func:`polynomials_of_all` at the times ``lowest + unit (exp(node i) - 1)``; between them polynomials
    are cubic.
    """
    most = grid_size(steps)
    last = known.shape[2] - 4
    t, chance, joint = np.zeros(most), np.zeros(most), np.zeros(most)
    own, other, less = np.zeros(most), np.zeros(most), np.zeros(most)
    base, weight = np.zeros(most, dtype=np.int64), np.zeros((4, most))
    share = coin if returning else 0.0
    for u in rows:
        first = start[u]
        d = device[first]
        used = grid_back if returning else grid
        count = make_grid(first, start[u + 1] - first, device, trip, used, law, law_span, steps, True, t)
        for i in range(count):
            x = math.log1p(max(t[i] - lowest, 0.0) / unit) / node
            b = min(max(int(x) - 1, 0), last)
            f = x - b
            base[i] = b
            weight[0, i] = -(f - 1.0) * (f - 2.0) * (f - 3.0) / 6.0
            weight[1, i] = f * (f - 2.0) * (f - 3.0) / 2.0
            weight[2, i] = -f * (f - 1.0) * (f - 3.0) / 2.0
            weight[3, i] = f * (f - 1.0) * (f - 2.0) / 6.0
        # as the own job, and as a neighbour's
        own[:count] = other[:count] = 0.0
        if returning:
            look_ups(t, 0.0, load_back[d], 1.0, grid_back[d], table_back[d], count, joint, own)
            look_ups(t, 0.0, load_back[d], share, grid_back[d], table_back[d], count, joint, other)
            look_ups(t, 0.0, load[d], 1.0 - share, grid[d], table[d], count, joint, other)
        else:
            look_ups(t, 0.0, load[d], 1.0, grid[d], table[d], count, joint, own)
            other[:count] = own[:count]
        omega = together[u]
        _without_own(known[0], base, weight, coin, other, count, less, joint)
        for i in range(count):
            chance[i] = (1.0 - omega) * own[i] * joint[i]
        at_home = found[d] if returning else workload[d]
        elsewhere = workload[d] + share * (found[d] - workload[d])
        for q in range(class_share.size if omega > 0.0 else 0):
            kind = law[d]
            low, span, cdf = law_low[kind], law_span[kind], law_cdf[kind]
            unit_cdfs(t, class_wait[d, q] * at_home, service[d], low, span, cdf, 0, count, own)
            unit_cdfs(t, class_wait[d, q] * elsewhere, service[d], low, span, cdf, 0, count, other)
            _without_own(known[1 + q], base, weight, coin, other, count, less, joint)
            for i in range(count):
                chance[i] += omega * class_share[q] * own[i] * joint[i]
        for i in range(count):
            chance[i] = min(chance[i] / drawn, 1.0)
        moments(t, chance, count, cumulants[u])
        if times.shape[0] > 0:
            for i in range(most):
                times[u, i] = t[min(i, count - 1)]
                chances[u, i] = chance[min(i, count - 1)]
