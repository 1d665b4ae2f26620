"""Single queries followed from layer to layer past the jobs that they left behind: compiled.

Every number that a query draws is a hash of the query, the stage and the device's place in the stage set, so that the same
points serve whatever the loads: a small change of the system changes the answer by little.
"""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.delay.closure.compiled import inlined, kernel
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["SUMS", "follow_queries"]

#: What is summed over the queries of a row and a kind of stage: duration, that of the same stage without leftovers, products.
SUMS = 4
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFT = (np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11))
# What a number is drawn for: one of so many streams for every stage of a query and every place of its stage set.
_ASK, _SERVE, _FIND, _FLAG, _MEANWHILE, _PURPOSES = 0, 1, 2, 3, 4, 8
_UNIT, _SHORT = 2.0**-53, 2.0**-32
_HALF, _LOWER = np.uint64(32), np.uint64(0xFFFFFFFF)
# Of more jobs than this that others bring between two visits, all but the last ones are taken as Brownian.
_SINGLE, _LAST = 128.0, 64.0


@inlined
def _hashed(z: np.uint64) -> np.uint64:
    """One step of the generator splitmix64 (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> _SHIFT[0])) * _MIX[0]
    z = (z ^ (z >> _SHIFT[1])) * _MIX[1]
    return z ^ (z >> _SHIFT[2])


@inlined
def _uniform(query: np.uint64, stage: int, place: int, purpose: int) -> float:
    """A number between 0 and 1, the ends left out, for one purpose."""
    key = np.uint64((stage * 1048576 + place) * _PURPOSES + purpose)
    return (np.float64(_hashed(query + (key + np.uint64(1)) * _STEP) >> _SHIFT[3]) + 0.5) * _UNIT


@inlined
def _inverse(u: float, low: float, span: float, cdf: FloatArray) -> float:
    """Where a law, known at ``low + span (i / m)^2``, reaches u."""
    if span == 0.0:
        return low
    first, last = 0, cdf.size - 1
    if u >= cdf[last]:
        return low + span
    while last - first > 1:
        middle = (first + last) >> 1
        if cdf[middle] <= u:
            first = middle
        else:
            last = middle
    rise = cdf[last] - cdf[first]
    place = (first + ((u - cdf[first]) / rise if rise > 0.0 else 0.0)) / (cdf.size - 1)
    return float(low + span * place * place)


@inlined
def _drawn(u: float, low: float, span: float, cdf: FloatArray, quantile: FloatArray) -> float:
    """The same from quantiles at even chances, but at the ends, where they are far apart."""
    cells = quantile.size - 1
    cell = int(u * cells)
    if cell == 0 or cell >= cells - 1:
        return float(_inverse(u, low, span, cdf))
    return float(quantile[cell] + (u * cells - cell) * (quantile[cell + 1] - quantile[cell]))


@inlined
def _found(u: float, busy: float, reach: float, wait: FloatArray) -> float:
    """Work found by a job that arrives at random: none with chance 1 - busy."""
    return _inverse((u - 1.0 + busy) / busy, 0.0, reach, wait) if u > 1.0 - busy else 0.0


@inlined
def _heads_left(coin: FloatArray, k: int, heads: FloatArray) -> None:
    """Chance that the coins from a on show c heads; fills ``heads`` (places + 1, k + 1)."""
    size = coin.size
    heads[size] = 0.0
    heads[size, 0] = 1.0
    for a in range(size - 1, 0, -1):
        heads[a, 0] = heads[a + 1, 0] * (1.0 - coin[a])
        for c in range(1, k + 1):
            heads[a, c] = heads[a + 1, c] * (1.0 - coin[a]) + heads[a + 1, c - 1] * coin[a]


@inlined
def _ask(query: np.uint64, stage: int, k: int, coin: FloatArray, alike: bool, heads: FloatArray, asked: IntArray) -> None:
    """Draw k neighbours: fills ``asked[1:]``; the own device stands at 0."""
    size = coin.size
    if alike:  # Floyd's way to draw without replacement
        for c in range(k):
            most = size - k + c
            a = 1 + int(_uniform(query, stage, c, _ASK) * most)
            for b in range(1, c + 1):
                if asked[b] == a:
                    a = most
                    break
            asked[c + 1] = a
        return
    left, a = k, 1
    while left > 0 and a < size:
        if _uniform(query, stage, a, _ASK) * heads[a, left] < coin[a] * heads[a + 1, left - 1]:
            asked[k - left + 1] = a
            left -= 1
        a += 1


@inlined
def _brownian(work: float, time: float, key: np.uint64, idle: float, spread: float) -> float:
    """Reflected Brownian motion with drift ``-idle`` and variance ``spread`` a second, after some time: drawn exactly."""
    u, v, w = _uniform(key, 0, 0, 0), _uniform(key, 0, 0, 1), _uniform(key, 0, 0, 2)
    variance = spread * time
    end = math.sqrt(-2.0 * variance * math.log(u)) * math.cos(2.0 * math.pi * v) - idle * time
    lowest = (end - math.sqrt(end * end - 2.0 * variance * math.log(w))) / 2.0
    return end + max(work, -lowest)


@inlined
def _meanwhile(
    work: float, begin: float, end: float, key: np.uint64, idle: float, rate: float, spread: float, kind: FloatArray,
    size: FloatArray, law: IntArray, law_low: FloatArray, law_span: FloatArray, law_cdf: FloatArray, quantile: FloatArray,
) -> float:  # fmt: skip
    """Work at a device at ``end``, others' jobs having arrived since ``begin``."""
    now = begin
    if (end - begin) * rate > _SINGLE:
        now = end - _LAST / rate
        work = _brownian(work, now - begin, key, idle, spread)
        key = _hashed(key)
    while True:
        key += _STEP
        bits = _hashed(key)  # the higher half for the gap, the lower for the job
        u = (np.float64(bits >> _HALF) + 0.5) * _SHORT
        gap = -math.log(u) / rate
        if now + gap >= end:
            return max(work - (end - now), 0.0)
        now += gap
        work = max(work - gap, 0.0)
        u = (np.float64(bits & _LOWER) + 0.5) * _SHORT
        which, before = 0, 0.0
        while which < kind.size - 1 and u > kind[which]:
            before = kind[which]
            which += 1
        c = law[which]
        u = min((u - before) / (kind[which] - before), 1.0 - _SHORT)
        work += size[which] * _drawn(u, law_low[c], law_span[c], law_cdf[c], quantile[c])


@inlined
def _place_in(times: FloatArray, last: int) -> None:
    """Move the last of some times, the others of which rise, to where it belongs."""
    x, i = times[last], last
    while i > 0 and times[i - 1] > x:
        times[i] = times[i - 1]
        i -= 1
    times[i] = x


@kernel
def follow_queries(
    start: IntArray,
    device: IntArray,
    coin: FloatArray,
    there: FloatArray,
    back: FloatArray,
    mean: FloatArray,
    unit: IntArray,
    together: FloatArray,
    seed: IntArray,
    layers: int,
    k: int,
    quorum: int,
    busy: FloatArray,
    reach: FloatArray,
    wait: FloatArray,
    rate: FloatArray,
    spread: FloatArray,
    kind: FloatArray,
    size: FloatArray,
    law: IntArray,
    law_low: FloatArray,
    law_span: FloatArray,
    law_cdf: FloatArray,
    quantile: FloatArray,
    sums: FloatArray,
    total: FloatArray,
    build: int = BUILD,
) -> None:
    """Rows of users who run ``layers`` layers of k + 1 jobs, each ended by ``quorum`` answers; ``total`` (rows, queries), s.

    A device that a query meets first holds the work that a job at random finds; devices that it has met, what is left of that,
    of the query's own jobs, and what others brought meanwhile. A device shares its number with the others of the query that do
    with chance ``together``. Adds to ``sums`` (rows, 3, SUMS), by stage: its duration x, its duration y if every device were
    met first, x y and y^2; of the aggregation the waits only.
    """
    widest = 0
    for u in range(start.size - 1):
        widest = max(widest, start[u + 1] - start[u])
    work, seen_at = np.zeros(widest), np.zeros(widest)
    met = np.full(widest, -1)  # the last query that met a device
    asked = np.zeros(k + 1, dtype=np.int64)
    answer, fresh = np.zeros(k + 1), np.zeros(k + 1)
    for u in range(start.size - 1):
        first, last = start[u], start[u + 1]
        places = last - first
        coins = coin[first:last]
        alike = True
        for a in range(2, places):
            alike = alike and abs(coins[a] - coins[1]) <= 1e-9
        heads = np.zeros((1 if alike else places + 1, k + 1))
        if not alike:
            _heads_left(coins, k, heads)
        met[:places] = -1
        for q in range(total.shape[1]):
            query = _hashed(np.uint64(seed[u]) * _STEP + np.uint64(q))
            shared = _uniform(query, layers + 1, 0, _FIND)
            now = 0.0
            for stage in range(layers + 1):
                what = 0 if stage == 0 else (1 if stage < layers else 2)
                jobs = 1
                if stage < layers:
                    _ask(query, stage, k, coins, alike, heads, asked)
                    jobs = k + 1
                for x in range(jobs):
                    a = asked[x]
                    e, d = first + a, device[first + a]
                    arrival = now + (there[e, what] if what < 2 else 0.0)
                    chance = _uniform(query, stage, a, _FIND)
                    alone = _found(chance, busy[d], reach[d], wait[d])
                    if met[a] != q:
                        met[a] = q
                        flagged = _uniform(query, layers + 1, a, _FLAG) < together[u]
                        work[a] = _found(shared, busy[d], reach[d], wait[d]) if flagged else alone
                    else:
                        arrival = max(arrival, seen_at[a])
                        key = query + np.uint64((stage * 1048576 + a) * _PURPOSES + _MEANWHILE) * _MIX[0]
                        work[a] = _meanwhile(
                            work[a], seen_at[a], arrival, _hashed(key), 1.0 - busy[d], rate[d], spread[d], kind[d],
                            size[d], law[d], law_low, law_span, law_cdf, quantile,
                        )  # fmt: skip
                    found = work[a]
                    c = unit[e, what]
                    u_served = _uniform(query, stage, a, _SERVE)
                    served = mean[e, what] * _drawn(u_served, law_low[c], law_span[c], law_cdf[c], quantile[c])
                    work[a] += served
                    seen_at[a] = arrival
                    if what < 2:
                        answer[x] = arrival + work[a] + back[e, what]
                        fresh[x] = there[e, what] + alone + served + back[e, what]
                        _place_in(answer[: x + 1], x)
                        _place_in(fresh[: x + 1], x)
                    else:
                        answer[0], fresh[0] = arrival + work[a], alone
                if what < 2:
                    end = answer[quorum - 1]
                    one, other = end - now, fresh[quorum - 1]
                else:
                    end = answer[0]
                    one, other = found, fresh[0]
                sums[u, what, 0] += one
                sums[u, what, 1] += other
                sums[u, what, 2] += one * other
                sums[u, what, 3] += other * other
                now = end
            total[u, q] = now
