"""How long each stage of a query takes, by user: first layer, later layers and aggregation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.constants import (
    ASSOCIATION_FACTOR,
    ASSOCIATION_LOAD,
    ASSOCIATION_POWER,
    ASSOCIATION_POWER_BY_SCV,
    ASSOCIATION_SYNCHRONOUS,
)
from dmoa_theory.delay.closure.convolution import StageCurve
from dmoa_theory.delay.closure.coupled_workloads import Workloads
from dmoa_theory.delay.closure.law_tables import class_waits
from dmoa_theory.delay.closure.resolution import Resolution
from dmoa_theory.delay.closure.shared_sets import LayerLaws, durations, shared_devices, shared_layer
from dmoa_theory.delay.closure.stage_kernel import grid_size, layer_durations
from dmoa_theory.delay.closure.stage_sets import Batch, StageSets
from dmoa_theory.delay.closure.unit_laws import UnitLawBook
from dmoa_theory.delay.closure.wait_laws import Cumulants, WaitLaws, first_waits, law_tables, returning_waits
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage

__all__ = [
    "StageWaits",
    "association",
    "mean_drop",
    "service_cumulants",
    "single_job_curve",
    "stage_cumulants",
    "stage_service",
    "stage_waits",
]

# No returning job finds less than this share of the mean workload.
_LEAST_FOUND = 0.05
# Edges of the classes of waits that devices have in common when they are congested together, by probability. Finer towards the
# tail: with equal classes 99th percentiles moved by up to a third with the number of classes.
_CLASSES = np.array([0.0, 0.2, 0.5, 0.77, 0.92, 0.98, 0.998, 1.0])


class StageWaits(NamedTuple):
    """Laws of the waits at every device: of first-layer jobs, of jobs of later layers that return, of the aggregation."""

    first: WaitLaws
    later: WaitLaws
    home: WaitLaws


def stage_waits(solved: Workloads, load: FloatArray) -> StageWaits:
    """Approximation: the waits of every kind of stage, from the mean workloads and what returning jobs find beyond them."""
    first = first_waits(solved.workload, solved.poisson, solved.wait_scv, load, solved.shapes)
    back = returning_waits(first, np.maximum(first.mean + solved.excess, _LEAST_FOUND * first.mean))
    return StageWaits(first, back, back)


def association(sets: StageSets, solved: Workloads, load: FloatArray) -> FloatArray:
    """Approximation: weight of comonotone waits in a layer, by row; 0 for independent waits.

    ``omega = min(1, (0.67 g^(0.45 + 0.67 c2) + 0.33 g^8) rho^0.18)``, with g the mean relative drop over the pairs of devices
    that a layer uses. Empirical throughout. For two exponential servers alone g = 1/2, and omega = g^2 would give the exact
    fork-join mean, ``(12 - rho) / 8`` times the sojourn; this form, fitted to networks with layers, gives 0.21 to 0.31 instead
    of 1/4 there, by the load.
    """
    scv = sets.sums(sets.inclusion * sets.layer_scv()) / (1 + sets.asked)
    return associated(mean_drop(sets, solved), scv, load[sets.device[sets.own]])


def mean_drop(sets: StageSets, solved: Workloads) -> FloatArray:
    """Mean relative drop over the pairs of devices that a layer uses; by row."""
    k = sets.asked
    neighbours = np.where(sets.remote, sets.inclusion, 0.0)
    with_own = sets.sums(neighbours * solved.pairs.with_own(solved.drop))
    between = solved.pairs.quadratic(solved.drop, neighbours)
    weight = solved.pairs.quadratic(np.ones_like(solved.drop), neighbours)
    among = np.divide(between, weight, out=np.zeros(k.size), where=weight > 0)
    return np.asarray((with_own + k * (k - 1) / 2 * among) / np.maximum(k * (k + 1) / 2, 1))


def associated(drop: FloatArray, scv: FloatArray, load: FloatArray) -> FloatArray:
    """The weight from the mean relative drop, the SCV of service and the own device's load."""
    g = np.clip(drop, 0.0, None)
    power = ASSOCIATION_POWER + ASSOCIATION_POWER_BY_SCV * scv
    return np.minimum(1.0, (ASSOCIATION_FACTOR * g**power + ASSOCIATION_SYNCHRONOUS * g**8) * load**ASSOCIATION_LOAD)


def service_cumulants(sets: StageSets, stage: Stage) -> Cumulants:
    """Exact: cumulants of the service of each row's own device in a stage."""
    third = np.empty(sets.user.size)
    own = sets.own
    mean, variance = sets.mean[own, stage], sets.variance[own, stage]
    for batch in sets.batches:
        device = sets.device[own[batch.rows]]
        raw = batch.service.third_moment()[:, stage]
        third[batch.rows] = raw[device] if raw.size > 1 else raw[0]
    return Cumulants(mean, variance, third - 3 * mean * variance - mean**3)


def stage_cumulants(
    sets: StageSets,
    waits: StageWaits,
    together: FloatArray,
    book: UnitLawBook,
    detail: Resolution,
    *,
    with_curves: bool,
) -> tuple[tuple[Cumulants, Cumulants, Cumulants], list[StageCurve]]:
    """Approximation: cumulants of first layer, later layers and aggregation, by row; their distribution functions if wanted."""
    first, later, home = (_alone(sets, law, stage) for law, stage in zip(waits, Stage, strict=True))
    cumulants = (first, later, home)
    rows = sets.user.size if with_curves else 0
    points = max(grid_size(detail.stage_steps), detail.points + 2)
    curves = [StageCurve(np.zeros((rows, points)), np.ones((rows, points))) for _ in Stage]
    for batch in sets.batches:
        for kind, found, curve, law in zip(Stage, cumulants, curves, waits, strict=True):
            if kind is Stage.LATER and batch.M == 1:
                continue
            out = StageCurve(curve.times[batch.rows], curve.chances[batch.rows])
            if kind is Stage.AGGREGATE or batch.k == 0:
                if with_curves:
                    _fill_alone(sets, batch, kind, law, book, out)
                continue
            values = np.empty((batch.rows.stop - batch.rows.start, 3))
            _layers(sets, batch, kind, waits, together, book, detail, (values, *out))
            for target, column in zip(found, values.T, strict=True):
                target[batch.rows] = column
    return cumulants, curves


def _fill_alone(sets: StageSets, batch: Batch, stage: Stage, waits: WaitLaws, book: UnitLawBook, out: StageCurve) -> None:
    """Distribution functions of single jobs at home."""
    service = stage_service(sets, batch, stage, book, waits.mean.size)
    alone = single_job_curve(sets.device[sets.own[batch.rows]], waits, *service, book)
    for target, values in zip(out, alone, strict=True):
        target[:, : values.shape[1]] = values
        target[:, values.shape[1] :] = values[:, -1:]


def single_job_curve(devices: IntArray, waits: WaitLaws, service: FloatArray, law: IntArray, book: UnitLawBook) -> StageCurve:
    """Approximation: distribution function of a single job at each of some devices; ``service`` (s) and ``law`` by device."""
    tables = law_tables(np.unique(devices), waits, service, law, book.tables())
    offset, unit, steps_each, _ = tables.grid[devices].T
    x = unit[:, None] * np.expm1(np.arange(tables.table.shape[2]) / steps_each[:, None])
    busy = tables.busy[devices][:, None]
    reached = (1 - busy) * tables.table[devices, 0] + busy * tables.table[devices, 1]
    just_before = offset[:, None] * (1 - 1e-11)
    return StageCurve(np.hstack((just_before, offset[:, None] + x)), np.hstack((np.zeros_like(just_before), reached)))


def _alone(sets: StageSets, waits: WaitLaws, stage: Stage) -> Cumulants:
    """Cumulants of a single job at the own device: its wait and its service are independent."""
    wait, service, own = waits.cumulants(), service_cumulants(sets, stage), sets.device[sets.own]
    return Cumulants(*(w[own] + s for w, s in zip(wait, service, strict=True)))


def _layers(
    sets: StageSets,
    batch: Batch,
    stage: Stage,
    waits: StageWaits,
    together: FloatArray,
    book: UnitLawBook,
    detail: Resolution,
    out: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    """One kind of layer of a batch's users: fills cumulants, and distribution functions where ``out`` has room for them."""
    n, entries, rows = waits.first.mean.size, batch.entries, batch.rows
    service, law = stage_service(sets, batch, stage, book, n)
    laws, devices = book.tables(), np.unique(sets.device[entries])
    plain = law_tables(devices, waits.first, service, law, laws)
    back = law_tables(devices, waits.later, service, law, laws) if stage is Stage.LATER else plain
    class_wait = np.zeros((n, _CLASSES.size - 1))
    class_waits(devices, plain.busy, plain.reach, plain.wait, _CLASSES, class_wait)
    layer = LayerLaws(
        stage is Stage.LATER, waits.first.mean, waits.later.mean, plain, back, class_wait, np.diff(_CLASSES), service, law, laws
    )
    common = shared_devices(sets, batch)
    shared = None if common is None else shared_layer(common, batch.k, rows.stop - rows.start, layer)
    if shared is not None:
        durations(sets, batch, detail.stage_steps, together, layer, shared, out)
        return
    layer_durations(
        sets.start[rows.start : rows.stop + 1] - entries.start, sets.device[entries], sets.coin[entries],
        sets.inclusion[entries], np.ascontiguousarray(sets.trip[entries, stage]), batch.k, batch.quorum, detail.stage_steps,
        together[rows], stage is Stage.LATER, waits.first.mean, waits.later.mean, plain.busy, plain.grid, plain.table,
        back.busy, back.grid, back.table, class_wait, layer.class_share, service, law, laws.low, laws.span, laws.cdf, *out,
    )  # fmt: skip


def stage_service(sets: StageSets, batch: Batch, stage: Stage, book: UnitLawBook, n: int) -> tuple[FloatArray, IntArray]:
    """Mean service (s) and law of a stage at every device that the batch's users reach; 1 s elsewhere. Shape (n,)."""
    service, scv = np.ones(n), np.ones(n)
    device = sets.device[batch.entries]
    mean = sets.mean[batch.entries, stage]
    service[device], scv[device] = mean, sets.variance[batch.entries, stage] / mean**2
    return service, book.numbers(batch.service, scv)
