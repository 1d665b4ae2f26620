"""How much of a drop of one device's workload a layer's duration feels, and how much of a job passes while its layer lasts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.constants import DROP_DELAY, DROP_MIXING, DROP_QUORUM
from dmoa_theory.delay.closure.drop_kernel import integrate_drops, make_times
from dmoa_theory.delay.closure.shared_sets import shared_devices, shared_drops
from dmoa_theory.delay.closure.stage_sets import StageSets
from dmoa_theory.delay.closure.unit_laws import UnitLawBook
from dmoa_theory.delay.closure.wait_laws import WaitLaws, law_tables
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage

__all__ = ["LayerShares", "layer_laws", "layer_shares", "mixed_shares"]


class LayerShares(NamedTuple):
    """How much of its jobs a layer's duration contains.

    By entry: share of a job's wait that the duration contains; shares of its wait and of its service that pass while the layer
    lasts (the inclusion probability where a layer waits for all). By row: chance that the own job outlasts its layer.
    """

    drop: FloatArray
    live_wait: FloatArray
    live_service: FloatArray
    unfinished: FloatArray


def layer_laws(sets: StageSets, book: UnitLawBook, n: int) -> list[tuple[FloatArray, IntArray]]:
    """Of each batch: mean service (s) and law of a layer's job at every device its users reach; 1 s elsewhere. Shape (n,)."""
    mean, scv = sets.layer_mean(), sets.layer_scv()
    found = []
    for batch in sets.batches:
        service, variability = np.ones(n), np.ones(n)
        device = sets.device[batch.entries]
        service[device], variability[device] = mean[batch.entries], scv[batch.entries]
        found.append((service, book.numbers(batch.service, variability)))
    return found


def layer_shares(
    sets: StageSets, waits: WaitLaws, services: list[tuple[FloatArray, IntArray]], book: UnitLawBook, steps: int
) -> LayerShares:
    """Approximation (independent jobs): the shares of all layers; the average over the random neighbours is exact."""
    drop, live_wait, live_service = np.zeros(sets.device.size), sets.inclusion.copy(), sets.inclusion.copy()
    unfinished = np.zeros(sets.user.size)
    laws, way, trip = book.tables(), _mean_way(sets), sets.layer_trip()
    for batch, (service, law) in zip(sets.batches, services, strict=True):
        entries = batch.entries
        if batch.k == 0:
            drop[entries] = 1.0
            continue
        tables = law_tables(np.unique(sets.device[entries]), waits, service, law, laws)
        common = shared_devices(sets, batch)
        if common is not None:
            t, width = np.empty(steps + 1), np.empty(steps + 1)
            make_times(0, common.size, common, np.zeros(common.size), tables.grid, False, t, width)
            drop[entries] = shared_drops(sets, batch, common, tables, t, width)
            continue
        start = sets.start[batch.rows.start : batch.rows.stop + 1] - entries.start
        wait, serve = np.empty(entries.stop - entries.start), np.empty(entries.stop - entries.start)
        integrate_drops(
            start, sets.device[entries], sets.coin[entries], sets.inclusion[entries], way[entries], trip[entries],
            batch.k, batch.quorum, steps, *tables, drop[entries], wait, serve, unfinished[batch.rows],
        )  # fmt: skip
        if batch.quorum <= batch.k:
            live_wait[entries], live_service[entries] = wait, serve
    return LayerShares(drop, live_wait, live_service, unfinished)


def _mean_way(sets: StageSets) -> FloatArray:
    M = sets.spread(sets.layers)
    return np.asarray((sets.there[:, 0] + (M - 1) * sets.there[:, 1]) / M)


def mixed_shares(
    sets: StageSets, shares: LayerShares, relative_drop: FloatArray, waits: WaitLaws, poisson: FloatArray
) -> FloatArray:
    """Approximation: shares of the waits that layers feel when jobs are associated; by entry.

    ``(1 - x) share + x live_wait`` with ``x = 0.3 (1 - gamma)^2 sqrt(rho) (1 - (k / d)^4 max(0, 1 - layer / home))``, layer and
    home being the mean service of a layer and of the aggregation at the own device: of queues that move apart from the own
    one, a layer feels more than the slowest alone. Long ways there and back take the share to that of Poisson arrivals,
    ``pi rho S / b``, for which the workload is Pollaczek-Khinchine's whatever the service.

    Parameters
    ----------
    sets : StageSets
    shares : LayerShares
    relative_drop : ndarray, shape (entries,)
        Of the pair of the own device and the entry's.
    waits : WaitLaws
    poisson : ndarray, shape (n,), s
        Pollaczek-Khinchine workload of each device.
    """
    gamma = np.clip(relative_drop, 0.0, 1.0)
    neighbours = np.maximum(np.diff(sets.start) - 1, 1)
    gamma[sets.own] = sets.sums(np.where(sets.remote, gamma, 0.0)) / neighbours
    service = sets.layer_mean()
    home = sets.mean[sets.own]
    heavy = np.maximum(0.0, 1 - service[sets.own] / home[:, Stage.AGGREGATE]) * (sets.asked / neighbours) ** 4
    load = waits.busy[sets.device]
    x = DROP_MIXING * (1 - gamma) ** 2 * np.sqrt(load) * (1 - sets.spread(heavy))
    early = sets.asked + 1 - sets.quorum
    x += (1 - x) * sets.spread(DROP_QUORUM * early / np.maximum(sets.asked, 1))
    mixed = (1 - x) * shares.drop + x * shares.live_wait
    if sets.has_delay:
        away = sets.spread(sets.sums(sets.inclusion * sets.layer_trip()) / np.maximum(sets.asked, 1))
        stay = waits.mean[sets.device] + service
        apart = -np.expm1(-DROP_DELAY * away * (1 - load) / stay)
        residual = poisson[sets.device] * (1 - load)  # b, half the rate of squared service times
        mixed = (1 - apart) * mixed + apart * sets.inclusion * load * service / residual
    alone = sets.spread(sets.asked) == 0
    return np.asarray(np.where(alone, shares.drop, mixed))
