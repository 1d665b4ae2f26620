"""Distribution functions of waits and sojourns as tables, one row a device, that kernels look up.

A wait is 0 with probability ``1 - busy`` and else gamma distributed. Tables hold the law of the wait, and of the sojourn, of a
job that finds the device busy, and the law of the service alone; the law of a job that may find it either way is their mixture.
"""

from __future__ import annotations

import math

from dmoa_theory.delay.closure.compiled import inlined, kernel
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["class_waits", "fill_tables", "look_up", "look_up_wait", "look_ups", "unit_cdf", "unit_cdfs"]


@inlined
def unit_cdf(x: float, low: float, span: float, cdf: FloatArray) -> float:
    """Law of service of mean 1 at x, from its table over ``low + span (i / m)^2``; a constant has span 0."""
    if x < low:
        return 0.0
    if x >= low + span:
        return 1.0
    place = math.sqrt((x - low) / span) * (cdf.size - 1)
    i = int(place)
    return float(cdf[i] + (place - i) * (cdf[i + 1] - cdf[i]))


@inlined
def unit_cdfs(
    t: FloatArray, wait: float, mean: float, low: float, span: float, cdf: FloatArray, begin: int, end: int, out: FloatArray
) -> None:
    """The same, of a service of that ``mean`` after that ``wait``, at the points ``begin`` to ``end`` of ``t``, which rise."""
    last = cdf.size - 1
    earliest, reach = wait + low * mean, span * mean
    for i in range(begin, end):
        y = (t[i] - earliest) / reach if reach > 0.0 else 0.0
        y = y if y > 0.0 else 0.0
        out[i] = math.sqrt(y if y < 1.0 else 1.0) * last
    for i in range(begin, end):
        place = out[i]
        at = min(int(place), last - 1)
        out[i] = cdf[at] + (place - at) * (cdf[at + 1] - cdf[at])
    i = begin
    while i < end and (t[i] - wait) / mean < low:
        out[i] = 0.0
        i += 1
    i = end
    while i > begin and (t[i - 1] - wait) / mean >= low + span:
        i -= 1
        out[i] = 1.0


@inlined
def look_ups(
    t: FloatArray, shift: float, busy: float, share: float, grid: FloatArray, table: FloatArray, count: int, place: FloatArray,
    out: FloatArray,
) -> None:  # fmt: skip
    """Add ``share`` times the law of the sojourn of a job that waits with chance ``busy``, moved by ``shift``; t rises."""
    steps = table.shape[1] - 1
    offset, unit, scale, reach = shift + grid[0], grid[1], grid[2], grid[3]
    begin, end = 0, count
    while begin < count and t[begin] - shift - grid[0] < 0.0:
        begin += 1
    while end > begin and t[end - 1] - shift - grid[0] >= reach:
        end -= 1
        out[end] += share
    for i in range(begin, end):
        place[i] = math.log1p((t[i] - offset) / unit) * scale
    served, sojourn = table[0], table[1]
    free, waits = share * (1.0 - busy), share * busy
    for i in range(begin, end):
        at = min(int(place[i]), steps - 1)
        f = place[i] - at
        value = free * (served[at] + f * (served[at + 1] - served[at]))
        out[i] += value + waits * (sojourn[at] + f * (sojourn[at + 1] - sojourn[at]))


@inlined
def look_up_wait(x: float, reach: float, wait: FloatArray) -> float:
    """Law of the wait of a job that waits, at x > 0; the table is even in the square root of x."""
    if x <= 0.0:
        return 0.0
    if x >= reach:
        return 1.0
    place = math.sqrt(x / reach) * (wait.size - 1)
    i = int(place)
    return float(wait[i] + (place - i) * (wait[i + 1] - wait[i]))


@inlined
def look_up(x: float, grid: FloatArray, table: FloatArray) -> tuple[float, float]:
    """Laws of service alone and of the sojourn of a job that waits, at x; grid: offset, unit, steps a logarithm, reach."""
    y = x - grid[0]
    if y < 0.0:
        return 0.0, 0.0
    if y >= grid[3]:
        return 1.0, 1.0
    place = math.log1p(y / grid[1]) * grid[2]
    i = min(int(place), table.shape[1] - 2)
    f = place - i
    return table[0, i] + f * (table[0, i + 1] - table[0, i]), table[1, i] + f * (table[1, i + 1] - table[1, i])


@inlined
def _fill_wait(power: float, reach: float, shape: FloatArray, wait: FloatArray) -> float:
    """A law relative to its mean, with every wait raised to a power and brought back to mean 1; returns how far it reaches."""
    steps = wait.size - 1
    if power == 1.0:
        for i in range(steps + 1):
            wait[i] = shape[i]
        return float(reach)
    end = reach**power
    mean = 0.0
    for i in range(steps + 1):
        x = end * (i / steps) ** 2
        wait[i] = look_up_wait(x ** (1.0 / power), reach, shape)
        if i > 0:
            before = end * ((i - 1) / steps) ** 2
            mean += (x - before) * (1.0 - (wait[i] + wait[i - 1]) / 2.0)
    return float(end / mean)


@kernel
def fill_tables(
    devices: IntArray,
    busy_mean: FloatArray,
    power: FloatArray,
    shape: IntArray,
    shape_reach: FloatArray,
    shape_cdf: FloatArray,
    service: FloatArray,
    law: IntArray,
    law_low: FloatArray,
    law_span: FloatArray,
    law_cdf: FloatArray,
    law_node: FloatArray,
    law_weight: FloatArray,
    reach: FloatArray,
    wait: FloatArray,
    grid: FloatArray,
    table: FloatArray,
    build: int = BUILD,
) -> None:
    """Tables of some devices.

    Each is known by the mean wait of a job that waits, which shape that has and the power it is raised to, and by the mean
    service and which unit law it follows. Fills ``reach`` (n,), ``wait`` (n, points + 1), ``grid`` (n, 4) and ``table``
    (n, 2, points + 1).
    """
    steps = wait.shape[1] - 1
    for place in range(devices.size):
        d = devices[place]
        s, c, kind = service[d], law[d], shape[d]
        reach[d] = busy_mean[d] * _fill_wait(power[d], shape_reach[kind], shape_cdf[kind], wait[d])
        span = law_span[c] * s
        grid[d, 0] = law_low[c] * s
        grid[d, 1] = 0.2 * min(s, span) if span > 0.0 else 0.2 * min(s, busy_mean[d])
        grid[d, 3] = reach[d] + span
        grid[d, 2] = steps / math.log1p(grid[d, 3] / grid[d, 1])
        for i in range(steps + 1):
            x = grid[d, 1] * math.expm1(i / grid[d, 2])
            table[d, 0, i] = unit_cdf((grid[d, 0] + x) / s, law_low[c], law_span[c], law_cdf[c]) if span > 0.0 else 1.0
            if span > 0.0:
                total = 0.0
                for b in range(law_weight.size):
                    total += law_weight[b] * look_up_wait(x - (law_node[c, b] - law_low[c]) * s, reach[d], wait[d])
                table[d, 1, i] = total
            else:
                table[d, 1, i] = look_up_wait(x, reach[d], wait[d])


@kernel
def class_waits(
    devices: IntArray,
    busy: FloatArray,
    reach: FloatArray,
    wait: FloatArray,
    edges: FloatArray,
    means: FloatArray,
    build: int = BUILD,
) -> None:
    """Mean wait in every class of waits, from the shortest to the longest; fills ``means`` (n, classes), whose mean is 1.

    Classes lie between ``edges``, probabilities from 0 to 1.
    """
    classes, steps = edges.size - 1, wait.shape[1] - 1
    for place in range(devices.size):
        d = devices[place]
        for q in range(classes):
            means[d, q] = 0.0
        q, total = 0, 0.0
        for i in range(steps):
            low, high = reach[d] * (i / steps) ** 2, reach[d] * ((i + 1) / steps) ** 2
            begin, end = 1.0 - busy[d] * (1.0 - wait[d, i]), 1.0 - busy[d] * (1.0 - wait[d, i + 1])
            at = begin
            while at < end:
                while q < classes - 1 and edges[q + 1] <= at:
                    q += 1
                to = min(end, edges[q + 1]) if q < classes - 1 else end
                part = (to - at) * (low + (high - low) * ((at + to) / 2.0 - begin) / (end - begin))
                means[d, q] += part
                total += part
                at = to
        for q in range(classes):
            if total > 0.0:
                means[d, q] /= total * (edges[q + 1] - edges[q])
