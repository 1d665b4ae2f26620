"""One FCFS device inside compiled code: when a job begins and ends, and how long the queue stood at each length.

A device serves jobs in the order in which they reach it, so a job's departure is known when it arrives:
``start = max(free, now)``, ``end = start + service``. Arrivals and departures are logged in a ring; now and then
:func:`settle` works through the log and puts down the time spent with each number of jobs. From it follow the busy share, the
numbers waiting and in system, and their distribution, exactly.

Of jobs numbered in order, with arrivals ``a`` and departures ``d``, job i is the m-th in the device from
``max(a_i, d_{i-m})`` to ``d_{i-m+1}``, and somebody is the m-th exactly while at least m jobs are there. So the time with at
least m jobs is a sum over jobs, level by level, without the branches, each a coin toss, of stepping from event to event. Only
long queues, with many levels, are stepped through.

A departure that ends a query carries a minus sign. Functions here and in the modules beside take the arrays they need one by
one: reaching into a tuple of arrays costs more than most of them do.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.kernel_build import BUILD
from dmoa_theory.simulation.kernel.compiled import compiled, inlined, kernel, reordered

__all__ = ["close_window", "serve", "settle"]

_NONE, _ONE, _TWO, _FOUR, _TWELVE = (np.uint64(number) for number in (0, 1, 2, 4, 12))
#: Above so many levels, stepping from event to event is quicker.
_LEVELS = np.uint64(64)


@reordered
def _time_with(m, jobs, arrived, left, low, high):
    """How long at least ``m`` of the logged jobs were there together between ``low`` and ``high``."""
    total = 0.0
    for i in range(m - 1, jobs):
        begin = arrived[i]
        before = left[i - m] if i >= m else low
        begin = before if before > begin else begin
        begin = low if low > begin else begin
        end = left[i - m + 1]
        end = high if high < end else end
        total += end - begin if end > begin else 0.0
    return total


@compiled
def _step_through(jobs, arrived, left, low, high, base, time_at):
    """Add the time at each level between ``low`` and ``high``, from event to event."""
    coming, going, since = 0, 0, low
    while coming < jobs and arrived[coming] <= low:
        coming += 1
    while True:
        arrival = arrived[coming] if coming < jobs else high
        departure = left[going] if going < coming else high
        until = min(arrival, departure, high)
        time_at[base + np.uint64(coming - going)] += until - since
        since = until
        if departure <= until and going < coming:
            going += 1
        elif arrival <= until and coming < jobs:
            coming += 1
        else:
            break


@compiled
def settle(d, now, capacity, devices, ring, time_at, scratch):
    """Work through the log of device ``d`` up to ``now``."""
    device = devices[d]
    base, mask = d * capacity, capacity - _ONE
    jobs = np.int64(device.tail - device.head)
    arrived, left = scratch[0], scratch[1]
    gone = 0
    for i in range(jobs):
        place = (base + ((device.head + np.uint64(i)) & mask)) * _TWO
        arrived[i], left[i] = ring[place], abs(ring[place + _ONE])
        gone += left[i] <= now
    if device.largest > _LEVELS:
        _step_through(jobs, arrived, left, device.since, now, base, time_at)
    else:
        with_more = now - device.since
        for m in range(1, jobs + 2):
            time = _time_with(m, jobs, arrived, left, device.since, now) if m <= jobs else 0.0
            time_at[base + np.uint64(m - 1)] += with_more - time
            with_more = time
            if time <= 0.0:
                break
    device.head += np.uint64(gone)
    device.since = now
    device.mark = device.tail


@inlined
def serve(d, stage, row, now, service, last, capacity, block, devices, ring, ring_row, time_at, scratch, job_sum, run):
    """Put a job that arrives ``now`` in the queue of device ``d``; returns when it begins and ends."""
    device = devices[d]
    base, mask = d * capacity, capacity - _ONE
    start = max(device.free_at, now)
    end = start + service
    device.free_at = end
    tail = device.tail
    place = base + (tail & mask)
    ring[place * _TWO] = now
    ring[place * _TWO + _ONE] = -end if last else end
    if ring_row is not None:
        ring_row[place] = row
    device.tail = tail + _ONE
    # more jobs than ever, if the one that would have to be gone for that not to be so is still there
    if device.largest <= tail and abs(ring[(base + ((tail - device.largest) & mask)) * _TWO + _ONE]) > now:
        device.largest += _ONE
        if device.largest + block + _TWO >= capacity:
            run.ring_full = True
    if tail - device.mark >= block:
        settle(d, now, capacity, devices, ring, time_at, scratch)
    run.jobs += 1
    wait = start - now
    sums = d * _TWELVE + stage * _FOUR
    job_sum[sums] += 1.0
    job_sum[sums + _ONE] += wait
    job_sum[sums + _TWO] += wait * wait
    job_sum[sums + _TWO + _ONE] += service
    return start, end


@kernel
def close_window(now, capacity, devices, ring, time_at, scratch, residual, build=BUILD):
    """Bring every device up to ``now``, so that the sums of the window are whole.

    Writes into ``residual`` (n, 2) how many jobs are at each device and how long they still stay, together; returns how many
    queries wait for a job that is in a queue already, and how long those still take together.
    """
    ending, still = 0, 0.0
    for i in range(devices.size):
        d = np.uint64(i)
        settle(d, now, capacity, devices, ring, time_at, scratch)
        device = devices[d]
        residual[d, 0], residual[d, 1] = 0.0, 0.0
        for step in range(np.int64(device.tail - device.head)):
            end = ring[(d * capacity + ((device.head + np.uint64(step)) & (capacity - _ONE))) * _TWO + _ONE]
            residual[d, 0] += 1.0
            residual[d, 1] += abs(end) - now
            if end < 0.0:
                ending += 1
                still += -end - now
    return ending, still
