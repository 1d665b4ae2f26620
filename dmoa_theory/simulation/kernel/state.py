"""What the compiled simulator writes: clocks, queues, open queries, events, and the sums of the batch it is in.

Memory grows with the queries in flight and the longest queue, never with the length of the run. When something is full the
kernel returns and :func:`grown` makes room.

Hot arrays are records and flat arrays with unsigned places: compiled code then reaches a field by one addition, and need not
ask whether a place is negative.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.simulation.kernel.random_numbers import new_stream
from dmoa_theory.simulation.kernel.tables import Tables

__all__ = ["RINGS_FULL", "SLOTS_FULL", "State", "grown", "new_state"]

# Why a kernel returned.
WINDOW_OVER, ALL_KEPT_DONE, RINGS_FULL, SLOTS_FULL, TRIPS_FULL, NOTHING_LEFT = range(6)

_U = np.uint64
_BLOCK = 1024
_SUMS = len(Stage) * 4

#: The run as a whole. Sums of times count from the start of the window, so that they lose no digits in a long run.
RUN = np.dtype(
    [
        ("next_arrival", np.float64),
        ("next_query", np.int64),
        ("window_start", np.float64),
        ("arrived_sum", np.float64),  # arrival times of the window's queries
        ("done_sum", np.float64),  # end times of the queries whose last job was queued in the window
        ("done", np.int64),
        ("jobs", np.int64),
        ("batch", np.uint32),  # in which queries that arrive are counted; the last row: not kept
        ("kept_open", np.int64),
        ("observe_in", np.int64),  # arrivals until memory is looked at
        ("heap", np.uint64),
        ("free_slots", np.uint64),
        ("free_trips", np.uint64),
        ("version", np.int64),
        ("exponentials_used", np.uint64),
        ("uniforms_used", np.uint64),
        ("ring_full", np.bool_),
    ],
    align=True,
)

#: A device: when it will be free, when its log was worked through last, and in its ring of jobs, all counted from the first:
#: the oldest one that may still be there, the next one, the next one when the log was worked through last; the most jobs ever.
DEVICE = np.dtype(
    [
        ("free_at", np.float64),
        ("since", np.float64),
        ("head", np.uint64),
        ("tail", np.uint64),
        ("mark", np.uint64),
        ("largest", np.uint64),
    ]
)

#: An open query and the stage it is in; ``version`` tells a layer of a query from those before.
QUERY = np.dtype(
    [
        ("arrived", np.float64),
        ("forked", np.float64),
        ("number", np.int64),
        ("version", np.int64),
        ("user", np.uint32),
        ("layer", np.uint32),
        ("batch", np.uint32),
        ("known", np.uint32),  # answers whose time is known
    ]
)

#: A job on its way, or the end of a layer (``is_end``), where links take time.
TRIP = np.dtype(
    [
        ("number", np.int64),
        ("version", np.int64),
        ("slot", np.uint32),
        ("user", np.uint32),
        ("link", np.uint32),
        ("layer", np.uint32),
        ("place", np.uint32),
        ("is_end", np.bool_),
    ],
    align=True,
)


class State(NamedTuple):
    """Everything that changes while a run goes on; arrays, written in place."""

    run: npt.NDArray[Any]  # RUN, (1,)
    stream: npt.NDArray[np.uint64]
    exponentials: FloatArray  # ready variates
    uniforms: FloatArray
    devices: npt.NDArray[Any]  # DEVICE, (n,)
    ring: FloatArray  # (n * capacity * 2,): arrival and departure of jobs; departure minus, where the query ends with the job
    ring_row: npt.NDArray[np.uint32]  # (n * capacity,): the jobs' rows of service laws; (1,) where memory is not tracked
    time_at: FloatArray  # (n * capacity,): time with so many jobs, s
    scratch: FloatArray  # (2, capacity)
    job_sum: FloatArray  # (n * 12,): by stage, number of jobs; sums of waits, their squares, services
    choices: npt.NDArray[np.uint32]  # links of each device, in an order that draws permute
    chosen: npt.NDArray[np.uint32]  # scratch: the links of a layer
    ends: FloatArray  # scratch: when the jobs of a layer answer
    queries: npt.NDArray[Any]  # QUERY, (slots,)
    free_slot: npt.NDArray[np.uint32]
    responses: FloatArray  # (slots, k + 1): when the answers of the layer are back
    responders: npt.NDArray[np.uint32]
    heap_time: FloatArray
    heap_entry: npt.NDArray[np.uint32]
    trips: npt.NDArray[Any]  # TRIP
    free_trip: npt.NDArray[np.uint32]
    # by batch; the last row takes what is not kept
    latency_sum: FloatArray  # (batches + 1, n, 3): queries, latency, latency squared
    stage_sum: FloatArray  # (batches + 1, n, 3 stages, 3): stages, durations, their squares
    stage_histogram: npt.NDArray[np.uint32]  # (batches + 1, 3 stages, bins)
    histogram: npt.NDArray[np.uint32]  # (batches + 1, bins)
    user_histogram: npt.NDArray[np.uint32]  # (batches + 1, n, bins), or without users where that is too much
    memory_sum: FloatArray  # (batches + 1, n, 2): observations, bytes beyond the weights
    memory_histogram: npt.NDArray[np.uint32]

    @property
    def capacity(self) -> int:
        """Entries of a device's ring."""
        return int(self.time_at.size // self.devices.size)


def new_state(
    tables: Tables,
    seed: np.random.SeedSequence,
    *,
    batches: int,
    bins: int,
    stage_bins: int,
    user_bins: int,
    memory_bins: int,
) -> State:
    """The state of an empty system at time zero.

    Parameters
    ----------
    tables : Tables
    seed : SeedSequence
        Where the run's random numbers come from.
    batches : int
        Rows of the sums by batch.
    bins, stage_bins, user_bins, memory_bins : int
        Bins of the histograms over all queries, by stage, by user (0: none), and of bytes (0: none).
    """
    n = tables.M.size
    most = int(tables.k.max()) + 1
    capacity, slots = 2 * int(tables.block), 64
    trips = 8 * slots if tables.delayed else 0
    state = State(
        run=np.zeros(1, dtype=RUN),
        stream=new_stream(seed),
        exponentials=np.zeros(_BLOCK),
        uniforms=np.zeros(_BLOCK),
        devices=np.zeros(n, dtype=DEVICE),
        ring=np.zeros(2 * n * capacity),
        ring_row=np.zeros(n * capacity if tables.tracks_memory else 1, dtype=np.uint32),
        time_at=np.zeros(n * capacity),
        scratch=np.zeros((2, capacity)),
        job_sum=np.zeros(n * _SUMS),
        choices=np.arange(tables.target.size, dtype=np.uint32),
        chosen=np.zeros(most, dtype=np.uint32),
        ends=np.zeros(most),
        **_open_queries(slots, most if tables.tracks_memory or tables.delayed else 0),
        heap_time=np.zeros(max(slots, trips)),
        heap_entry=np.zeros(max(slots, trips), dtype=np.uint32),
        **_trips(trips),
        latency_sum=np.zeros((batches + 1, n, 3)),
        stage_sum=np.zeros((batches + 1, n, len(Stage), 3)),
        stage_histogram=np.zeros((batches + 1, len(Stage), stage_bins), dtype=np.uint32),
        histogram=np.zeros((batches + 1, bins), dtype=np.uint32),
        user_histogram=np.zeros((batches + 1, n if user_bins else 0, user_bins), dtype=np.uint32),
        memory_sum=np.zeros((batches + 1, n if tables.tracks_memory else 0, 2)),
        memory_histogram=np.zeros((batches + 1, n if memory_bins else 0, memory_bins), dtype=np.uint32),
    )
    run = state.run[0]
    run["exponentials_used"] = run["uniforms_used"] = _BLOCK
    run["batch"], run["free_slots"], run["free_trips"] = batches, slots, trips
    return state


def _open_queries(slots: int, most: int) -> dict[str, npt.NDArray[Any]]:
    """Room for open queries, all of it free."""
    queries = np.zeros(slots, dtype=QUERY)
    queries["number"] = -1
    return {
        "queries": queries,
        "free_slot": np.arange(slots, dtype=np.uint32)[::-1].copy(),
        "responses": np.zeros((slots, most)),
        "responders": np.zeros((slots, most), dtype=np.uint32),
    }


def _trips(trips: int) -> dict[str, npt.NDArray[Any]]:
    """Room for jobs on their way, all of it free."""
    return {"trips": np.zeros(trips, dtype=TRIP), "free_trip": np.arange(trips, dtype=np.uint32)[::-1].copy()}


def grown(state: State, why: int) -> State:
    """The same state with twice the room for what was full."""
    run = state.run[0]
    if why == RINGS_FULL:
        run["ring_full"] = False
        return _longer_rings(state)
    if why == SLOTS_FULL:
        slots = state.free_slot.size
        more = _open_queries(slots, state.responses.shape[1])
        more["free_slot"] += np.uint32(slots)
        bigger = {name: np.concatenate((getattr(state, name), extra)) for name, extra in more.items()}
        bigger["free_slot"] = np.concatenate((more["free_slot"], state.free_slot))  # the free ones stand at the start
        run["free_slots"] += _U(slots)
        return state._replace(**bigger, **({} if state.trips.size else _bigger_heap(state)))
    trips = state.free_trip.size
    more = _trips(trips)
    more["free_trip"] += np.uint32(trips)
    run["free_trips"] += _U(trips)
    bigger = {
        "trips": np.concatenate((state.trips, more["trips"])),
        "free_trip": np.concatenate((more["free_trip"], state.free_trip)),
    }
    return state._replace(**bigger, **_bigger_heap(state))


def _longer_rings(state: State) -> State:
    n, capacity = state.devices.size, state.capacity
    # jobs keep their numbers, so a job moves to where its number leads in a ring twice as long
    number = state.devices["tail"].astype(np.int64)[:, None] - 1 - np.arange(capacity)  # the latest, newest first
    old, new = number & (capacity - 1), number & (2 * capacity - 1)
    ring = np.zeros((n, 2 * capacity, 2))
    np.put_along_axis(ring, new[:, :, None], np.take_along_axis(state.ring.reshape(n, capacity, 2), old[:, :, None], 1), 1)
    rows = state.ring_row
    if rows.size > 1:
        longer = np.zeros((n, 2 * capacity), dtype=np.uint32)
        np.put_along_axis(longer, new, np.take_along_axis(rows.reshape(n, capacity), old, 1), 1)
        rows = longer.ravel()
    return state._replace(
        ring=ring.ravel(),
        ring_row=rows,
        time_at=_doubled(state.time_at.reshape(n, capacity)).ravel(),
        scratch=np.zeros((2, 2 * capacity)),
    )


def _bigger_heap(state: State) -> dict[str, npt.NDArray[Any]]:
    return {"heap_time": _doubled(state.heap_time), "heap_entry": _doubled(state.heap_entry)}


def _doubled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array with as many zeros again along its last axis."""
    return np.concatenate((array, np.zeros_like(array)), axis=-1)
