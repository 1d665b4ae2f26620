"""A binary heap of events inside compiled code: rising in time, at one instant in query number.

The heap lies in two parallel arrays, times and entries (places in other arrays); ``events[entry].number`` is the query number
that settles a tie. The caller keeps the size.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.simulation.kernel.compiled import inlined

__all__ = ["push", "replace_first", "take_first"]

_NONE, _ONE = np.uint64(0), np.uint64(1)


@inlined
def _before(time_a, entry_a, time_b, entry_b, events):
    return time_a < time_b or (time_a == time_b and events[entry_a].number < events[entry_b].number)


@inlined
def push(times, entries, size, events, time, entry):
    """Add an event to a heap of ``size`` events."""
    place = np.uint64(size)
    while place > _NONE:
        above = (place - _ONE) >> _ONE
        if not _before(time, entry, times[above], entries[above], events):
            break
        times[place], entries[place] = times[above], entries[above]
        place = above
    times[place], entries[place] = time, entry


@inlined
def replace_first(times, entries, size, events, time, entry):
    """Put an event in the place of the first one: one sift where taking and pushing would be two."""
    place = np.uint64(0)
    while True:
        below = place + place + _ONE
        if below >= size:
            break
        other = below + _ONE
        if other < size and _before(times[other], entries[other], times[below], entries[below], events):
            below = other
        if not _before(times[below], entries[below], time, entry, events):
            break
        times[place], entries[place] = times[below], entries[below]
        place = below
    times[place], entries[place] = time, entry


@inlined
def take_first(times, entries, size, events):
    """Remove the first event; the caller then counts one less."""
    last = size - _ONE
    if last > _NONE:
        replace_first(times, entries, last, events, times[last], entries[last])
