"""The simulator's kernel where links take no time.

A layer forked at ``now`` ends when its jobs do, and those times are known at once, for devices serve in order of arrival. So
the only events are "a layer has ended", one a layer, and the merged Poisson arrivals; the aggregation needs none. Layers are
forked in the order of (time, query number), hence every device sees its jobs in the order in which they arrive: the
simulation is exact.
"""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.kernel_build import BUILD
from dmoa_theory.simulation.kernel.compiled import inlined, kernel
from dmoa_theory.simulation.kernel.device_queue import serve
from dmoa_theory.simulation.kernel.draws import choose_by_weight, choose_neighbours, draw_service, draw_user, next_exponential
from dmoa_theory.simulation.kernel.event_heap import push, replace_first, take_first
from dmoa_theory.simulation.kernel.state import ALL_KEPT_DONE, NOTHING_LEFT, RINGS_FULL, SLOTS_FULL, WINDOW_OVER

__all__ = ["note_job", "note_latency", "note_stage", "run_without_delays"]

_FIRST, _LATER, _AGGREGATE = np.uint64(0), np.uint64(1), np.uint64(2)
_ZERO, _ONE, _TWO, _NO_LAYER, _COUNT = np.uint64(0), np.uint64(1), np.uint64(2), np.uint32(0), np.uint32(1)


@inlined
def note_latency(batch, u, latency, bins, latency_sum, histogram, user_histogram):
    """Count a query's latency with its batch."""
    latency_sum[batch, u, 0] += 1.0
    latency_sum[batch, u, 1] += latency
    latency_sum[batch, u, 2] += latency * latency
    bits = np.float64(latency).view(np.int64)
    histogram[batch, np.uint64(min(max((bits >> bins[0]) - bins[1], 0), histogram.shape[1] - 1))] += _COUNT
    if user_histogram.shape[1] > 0:
        place = np.uint64(min(max((bits >> bins[2]) - bins[3], 0), user_histogram.shape[2] - 1))
        user_histogram[batch, u, place] += _COUNT


@inlined
def note_stage(batch, u, stage, duration, bins, stage_sum, stage_histogram):
    """Count how long a stage took with its query's batch."""
    stage_sum[batch, u, stage, 0] += 1.0
    stage_sum[batch, u, stage, 1] += duration
    stage_sum[batch, u, stage, 2] += duration * duration
    bits = np.float64(duration).view(np.int64)
    place = np.uint64(min(max((bits >> bins[6]) - bins[7], 0), stage_histogram.shape[2] - 1))
    stage_histogram[batch, stage, place] += _COUNT


@inlined
def note_job(record, query, place, d, service, reached, start, end, there, back):
    """Write a job down."""
    record.device[query, place] = d
    job = record.job
    job[query, place, 0], job[query, place, 1], job[query, place, 2] = service, reached, start
    job[query, place, 3], job[query, place, 4], job[query, place, 5] = end, there, back


@kernel
def run_without_delays(tables, state, chance, memory, record, bins, stop_at, build=BUILD):
    """Go on until query ``stop_at`` is about to arrive, every kept query is done, or something is full.

    ``chance``, ``memory`` and ``record`` are None where neighbours are chosen uniformly, where memory is not looked at, and
    where nothing is written down; the code for them is then not compiled in.
    """
    run, stream, exponentials, uniforms = state.run[0], state.stream, state.exponentials, state.uniforms
    devices, ring, job_sum = state.devices, state.ring, state.job_sum
    time_at, scratch = state.time_at, state.scratch
    choices, chosen, ends = state.choices, state.chosen, state.ends
    queries, free_slot = state.queries, state.free_slot
    heap_time, heap_entry = state.heap_time, state.heap_entry
    latency_sum, stage_sum, stage_histogram = state.latency_sum, state.stage_sum, state.stage_histogram
    histogram, user_histogram = state.histogram, state.user_histogram
    mean_gap, user_chance, user_alias = 1.0 / tables.arrival_rate, tables.user_chance, tables.user_alias
    layers, neighbours, quorums, group = tables.M, tables.k, tables.quorum, tables.group
    rows_of_group, rows_of_device = tables.row_step[0], tables.row_step[1]
    law, parameter, samples = tables.law, tables.parameter, tables.samples
    first_link, target = tables.first_link, tables.target
    first_chance = tables.first_chance
    ring_row = None
    if memory is not None:
        ring_row = memory.ring_row
    capacity = np.uint64(time_at.size // devices.size)
    block = max(tables.block, capacity >> _TWO)  # the longer the queues, the more jobs at a time
    no_batch = np.uint32(latency_sum.shape[0] - 1)
    while True:
        if run.ring_full:
            return RINGS_FULL
        size = run.heap
        arrival = run.next_arrival
        arrives = size == _ZERO or heap_time[0] > arrival
        if arrives:
            if arrival == math.inf:
                return NOTHING_LEFT
            query = run.next_query
            if query == stop_at:
                return WINDOW_OVER
            if run.free_slots == _ZERO:
                return SLOTS_FULL
            run.next_query = query + 1
            run.arrived_sum += arrival - run.window_start
            if record is not None and tables.listed:
                u = np.uint32(record.user[query])
                run.next_arrival = record.arrival[query + 1] if query + 1 < record.arrival.size else math.inf
            else:
                run.next_arrival = arrival + next_exponential(run, stream, exponentials) * mean_gap
                u = draw_user(run, stream, uniforms, user_chance, user_alias)
            now, layer, begin, batch = arrival, _NO_LAYER, arrival, run.batch
            slot = free_slot[run.free_slots - _ONE]
            if record is not None and query < record.arrival.size:
                record.arrival[query], record.user[query] = now, u
        else:
            now, slot = heap_time[0], heap_entry[0]
            open_query = queries[slot]
            u, batch, query, begin = open_query.user, open_query.batch, open_query.number, open_query.arrived
            stage = _FIRST if open_query.layer == _NO_LAYER else _LATER
            note_stage(batch, u, stage, now - open_query.forked, bins, stage_sum, stage_histogram)
            if record is not None and query < record.arrival.size:
                record.stage_end[query, open_query.layer] = now
            layer = np.uint32(open_query.layer + _ONE)
        k = neighbours[u]
        alone = layer == layers[u]
        stage = _FIRST if layer == _NO_LAYER else _AGGREGATE if alone else _LATER
        base = np.uint64(group[u]) * rows_of_group + stage
        jobs = _ONE
        if not alone:
            jobs += k
            link = first_link[u]
            degree = first_link[u + _ONE] - link
            if chance is not None:
                choose_by_weight(link, degree, k, chance, first_chance[u], chosen, run, stream, uniforms)
            else:
                choose_neighbours(link, degree, k, choices, chosen, run, stream, uniforms)
        quorum = np.uint64(quorums[u])
        latest = 0.0
        for step in range(np.int64(jobs)):
            j = np.uint64(step)
            d = np.uint64(u)
            if j > _ZERO:
                d = np.uint64(target[chosen[j - _ONE]])
            row = base + d * rows_of_device
            service = draw_service(row, law, parameter, samples, run, stream, exponentials)
            start, end = serve(
                d, stage, row, now, service, alone, capacity, block, devices, ring, ring_row, time_at, scratch, job_sum, run
            )
            latest = max(latest, end)
            if quorum < jobs:  # keep the ends sorted, to find the one that settles the layer
                place = np.uint64(j)
                while place > _ZERO and ends[place - _ONE] > end:
                    ends[place] = ends[place - _ONE]
                    place -= _ONE
                ends[place] = end
            if memory is not None:
                memory.responses[slot, j] = end
                memory.responders[slot, j] = d
            if record is not None and query < record.arrival.size:
                note_job(record, query, layer * (k + _ONE) + j, d, service, now, start, end, 0.0, 0.0)
        if alone:
            note_stage(batch, u, stage, latest - now, bins, stage_sum, stage_histogram)
            run.done += 1
            run.done_sum += latest - run.window_start
            note_latency(batch, u, latest - begin, bins, latency_sum, histogram, user_histogram)
            if record is not None and query < record.arrival.size:
                record.stage_end[query, layer] = latest
            if arrives:
                continue
            take_first(heap_time, heap_entry, size, queries)
            run.heap = size - _ONE
            free_slot[run.free_slots] = slot
            run.free_slots += _ONE
            queries[slot].number = -1
            if batch < no_batch:
                run.kept_open -= 1
                if run.kept_open == 0 and run.batch == no_batch:
                    return ALL_KEPT_DONE
            continue
        if quorum < jobs:
            latest = ends[quorum - _ONE]
        open_query = queries[slot]
        open_query.forked = now
        open_query.layer = layer
        if memory is not None:
            open_query.known = np.uint32(jobs)
        if arrives:
            run.free_slots -= _ONE
            open_query.arrived = now
            open_query.number = query
            open_query.user = u
            open_query.batch = batch
            if batch < no_batch:
                run.kept_open += 1
            push(heap_time, heap_entry, size, queries, latest, slot)
            run.heap = size + _ONE
        else:
            replace_first(heap_time, heap_entry, size, queries, latest, slot)
