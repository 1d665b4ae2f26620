"""Bytes held by each device, looked at inside compiled code when a prompt arrives.

Prompts arrive as a Poisson process, and Poisson arrivals see time averages (Wolff 1982, Operations Research 30(2)), so the
average over such looks is the average over time, and so is their distribution.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.simulation.kernel.compiled import kernel

__all__ = ["Memory", "look_at_memory"]

_ONE, _TWO = np.uint64(1), np.uint64(2)


class Memory(NamedTuple):
    """What the kernels keep up to date for the looks: parts of the state."""

    ring_row: npt.NDArray[np.uint32]
    responses: FloatArray
    responders: npt.NDArray[np.uint32]


@kernel
def look_at_memory(tables, state, held, bins, build=BUILD):
    """Add what every device holds beyond its weights, at the instant of the next arrival, to the sums of the batch.

    A device holds the cache of the running inference, the prompts that wait in its queue, and for each query of its own user
    whose layer is out the prompt and the answers that are back. ``held`` (n,) is scratch.
    """
    run, devices, ring, ring_row = state.run[0], state.devices, state.ring, state.ring_row
    now = run.next_arrival
    n = devices.size
    capacity = np.uint64(state.time_at.size // n)
    mask = capacity - _ONE
    for i in range(n):
        held[i] = 0.0
        d = np.uint64(i)
        device = devices[d]
        job = device.head
        while job < device.tail and abs(ring[(d * capacity + (job & mask)) * _TWO + _ONE]) <= now:
            job += _ONE
        if job < device.tail:
            held[i] += tables.cache_bytes[ring_row[d * capacity + (job & mask)]]
            job += _ONE
        while job < device.tail:
            held[i] += tables.prompt_bytes[ring_row[d * capacity + (job & mask)]]
            job += _ONE
    for slot in range(state.queries.size):
        query = state.queries[slot]
        if query.number < 0:
            continue
        u = query.user
        stage = 0 if query.layer == 0 else 1
        row = np.int64(tables.group[u]) * np.int64(tables.row_step[0]) + np.int64(u) * np.int64(tables.row_step[1]) + stage
        held[u] += tables.prompt_bytes[row]
        for j in range(query.known):
            if state.responses[slot, j] <= now:
                held[u] += tables.response_bytes[state.responders[slot, j]]
    batch = run.batch
    for i in range(n):
        state.memory_sum[batch, i, 0] += 1.0
        state.memory_sum[batch, i, 1] += held[i]
        if state.memory_histogram.shape[1] > 0:
            bits = np.float64(held[i]).view(np.int64)
            place = min(max((bits >> bins[4]) - bins[5], 0), state.memory_histogram.shape[2] - 1)
            state.memory_histogram[batch, i, place] += np.uint32(1)
