"""The simulator's kernel where links take time.

A job reaches its device only after its way there, when others may have come in between, so every remote job is an event of
its own; its answer is back after the way home. A layer's end is an event once enough answers are known; should a job that
arrives later still answer sooner, an earlier end is put beside it, and whichever comes first ends the layer and makes the
others void. Exact, and slower than :mod:`dmoa_theory.simulation.kernel.without_delays`.
"""

from __future__ import annotations

import math

import numpy as np

from dmoa_theory.kernel_build import BUILD
from dmoa_theory.simulation.kernel.compiled import inlined, kernel
from dmoa_theory.simulation.kernel.device_queue import serve
from dmoa_theory.simulation.kernel.draws import choose_by_weight, choose_neighbours, draw_service, draw_user, next_exponential
from dmoa_theory.simulation.kernel.event_heap import push, take_first
from dmoa_theory.simulation.kernel.state import (
    ALL_KEPT_DONE,
    NOTHING_LEFT,
    RINGS_FULL,
    SLOTS_FULL,
    TRIPS_FULL,
    WINDOW_OVER,
)
from dmoa_theory.simulation.kernel.without_delays import note_job, note_latency, note_stage

__all__ = ["run_with_delays"]

_FIRST, _LATER, _AGGREGATE = np.uint64(0), np.uint64(1), np.uint64(2)
_ZERO, _ONE, _TWO, _NO_LAYER = np.uint64(0), np.uint64(1), np.uint64(2), np.uint32(0)
#: Numbers that each query has for its events: two a layer.
_NUMBERS = 2**24


@inlined
def _add_answer(response, d, slot, known, responses, responders):
    """Put an answer among those known of a layer, which are kept in order; returns its place."""
    place = np.uint64(known)
    while place > _ZERO and responses[slot, place - _ONE] > response:
        responses[slot, place] = responses[slot, place - _ONE]
        responders[slot, place] = responders[slot, place - _ONE]
        place -= _ONE
    responses[slot, place] = response
    responders[slot, place] = d
    return place


@inlined
def _add_event(run, trips, free_trip, heap_time, heap_entry, time, query, layer, slot, version, is_end):
    """Put an event in the heap; at one instant a query's earlier layers come first, and a layer's jobs before its end."""
    run.free_trips -= _ONE
    entry = free_trip[run.free_trips]
    trip = trips[entry]
    trip.number = _NUMBERS * query + 2 * layer + is_end
    trip.slot, trip.layer, trip.version, trip.is_end = slot, layer, version, is_end
    push(heap_time, heap_entry, run.heap, trips, time, entry)
    run.heap += _ONE
    return entry


@kernel
def run_with_delays(tables, state, chance, memory, record, bins, stop_at, build=BUILD):
    """Go on until query ``stop_at`` is about to arrive, every kept query is done, or something is full.

    ``chance``, ``memory`` and ``record`` as in :func:`dmoa_theory.simulation.kernel.without_delays.run_without_delays`.
    """
    run, stream, exponentials, uniforms = state.run[0], state.stream, state.exponentials, state.uniforms
    devices, ring, job_sum = state.devices, state.ring, state.job_sum
    time_at, scratch = state.time_at, state.scratch
    choices, chosen = state.choices, state.chosen
    queries, free_slot, responses, responders = state.queries, state.free_slot, state.responses, state.responders
    trips, free_trip = state.trips, state.free_trip
    heap_time, heap_entry = state.heap_time, state.heap_entry
    latency_sum, stage_sum, stage_histogram = state.latency_sum, state.stage_sum, state.stage_histogram
    histogram, user_histogram = state.histogram, state.user_histogram
    mean_gap, user_chance, user_alias = 1.0 / tables.arrival_rate, tables.user_chance, tables.user_alias
    layers, neighbours, quorums, group = tables.M, tables.k, tables.quorum, tables.group
    rows_of_group, rows_of_device = tables.row_step[0], tables.row_step[1]
    law, parameter, samples = tables.law, tables.parameter, tables.samples
    first_link, target, there, back = tables.first_link, tables.target, tables.there, tables.back
    first_chance = tables.first_chance
    ring_row = None
    if memory is not None:
        ring_row = memory.ring_row
    capacity = np.uint64(time_at.size // devices.size)
    block = max(tables.block, capacity >> _TWO)  # the longer the queues, the more jobs at a time
    no_batch = np.uint32(latency_sum.shape[0] - 1)
    most_events = np.uint64(chosen.size + 2)
    while True:
        if run.ring_full:
            return RINGS_FULL
        if run.free_trips < most_events:
            return TRIPS_FULL
        arrival = run.next_arrival
        arrives = run.heap == _ZERO or heap_time[0] > arrival
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
            now, entry = heap_time[0], heap_entry[0]
            trip = trips[entry]
            slot = trip.slot
            take_first(heap_time, heap_entry, run.heap, trips)
            run.heap -= _ONE
            free_trip[run.free_trips] = entry
            run.free_trips += _ONE
            open_query = queries[slot]
            if not trip.is_end:
                u, place, query = trip.user, np.uint64(trip.place), trip.number // _NUMBERS
                stage = _FIRST if trip.layer == _NO_LAYER else _LATER
                link, class_of_user = np.uint64(trip.link), np.uint64(group[u])
                d = np.uint64(target[link])
                row = class_of_user * rows_of_group + d * rows_of_device + stage
                service = draw_service(row, law, parameter, samples, run, stream, exponentials)
                start, end = serve(
                    d, stage, row, now, service, False, capacity, block, devices, ring, ring_row, time_at, scratch,
                    job_sum, run,
                )  # fmt: skip
                home = back[class_of_user, stage, link]
                response = end + home
                if record is not None and query < record.arrival.size:
                    at = trip.layer * (neighbours[u] + _ONE) + place
                    note_job(record, query, at, d, service, now, start, end, there[class_of_user, stage, link], home)
                if trip.version != open_query.version:
                    continue  # the layer, or the query, is over
                quorum = np.uint32(quorums[u])
                before = math.inf
                if open_query.known >= quorum:
                    before = responses[slot, np.uint64(quorum) - _ONE]
                _add_answer(response, d, slot, open_query.known, responses, responders)
                open_query.known = np.uint32(open_query.known + _ONE)
                if open_query.known >= quorum and responses[slot, np.uint64(quorum) - _ONE] < before:
                    time = responses[slot, np.uint64(quorum) - _ONE]
                    _add_event(run, trips, free_trip, heap_time, heap_entry, time, query, trip.layer, slot, trip.version, True)
                continue
            if trip.version != open_query.version:
                continue
            u, batch, query, begin = open_query.user, open_query.batch, open_query.number, open_query.arrived
            stage = _FIRST if open_query.layer == _NO_LAYER else _LATER
            note_stage(batch, u, stage, now - open_query.forked, bins, stage_sum, stage_histogram)
            if record is not None and query < record.arrival.size:
                record.stage_end[query, open_query.layer] = now
            layer = np.uint32(open_query.layer + _ONE)
        k = neighbours[u]
        alone = layer == layers[u]
        stage = _FIRST if layer == _NO_LAYER else _AGGREGATE if alone else _LATER
        class_of_user, home_device = np.uint64(group[u]), np.uint64(u)
        row = class_of_user * rows_of_group + home_device * rows_of_device + stage
        service = draw_service(row, law, parameter, samples, run, stream, exponentials)
        start, end = serve(
            home_device, stage, row, now, service, alone, capacity, block, devices, ring, ring_row, time_at, scratch,
            job_sum, run,
        )  # fmt: skip
        if record is not None and query < record.arrival.size:
            note_job(record, query, layer * (k + _ONE), home_device, service, now, start, end, 0.0, 0.0)
        if alone:
            note_stage(batch, u, stage, end - now, bins, stage_sum, stage_histogram)
            run.done += 1
            run.done_sum += end - run.window_start
            note_latency(batch, u, end - begin, bins, latency_sum, histogram, user_histogram)
            if record is not None and query < record.arrival.size:
                record.stage_end[query, layer] = end
            if arrives:
                continue
            free_slot[run.free_slots] = slot
            run.free_slots += _ONE
            queries[slot].number = -1
            queries[slot].version = -1
            if batch < no_batch:
                run.kept_open -= 1
                if run.kept_open == 0 and run.batch == no_batch:
                    return ALL_KEPT_DONE
            continue
        run.version += 1
        open_query = queries[slot]
        open_query.forked = now
        open_query.layer = layer
        open_query.version = run.version
        open_query.known = np.uint32(1)
        responses[slot, _ZERO] = end
        responders[slot, _ZERO] = home_device
        if arrives:
            run.free_slots -= _ONE
            open_query.arrived = now
            open_query.number = query
            open_query.user = u
            open_query.batch = batch
            if batch < no_batch:
                run.kept_open += 1
        first = first_link[u]
        degree = first_link[home_device + _ONE] - first
        if chance is not None:
            choose_by_weight(first, degree, k, chance, first_chance[u], chosen, run, stream, uniforms)
        else:
            choose_neighbours(first, degree, k, choices, chosen, run, stream, uniforms)
        for step in range(np.int64(k)):
            j = np.uint64(step)
            link = np.uint64(chosen[j])
            time = now + there[class_of_user, stage, link]
            entry = _add_event(run, trips, free_trip, heap_time, heap_entry, time, query, layer, slot, run.version, False)
            trip = trips[entry]
            trip.user, trip.link, trip.place = u, np.uint32(link), np.uint32(j + _ONE)
        if quorums[u] == _ONE:
            _add_event(run, trips, free_trip, heap_time, heap_entry, end, query, layer, slot, run.version, True)
