"""Users who all choose among the same devices, each leaving out the own one: what they have in common is worked out once.

In a fully linked network of n devices every user's layer has a polynomial in n - 1 laws. All of them come from the polynomial
in n laws, so an estimate takes time in proportion to n where products are concerned, and a few products of matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.shared_kernel import polynomials_of_all, shared_durations
from dmoa_theory.delay.closure.stage_sets import Batch, StageSets
from dmoa_theory.delay.closure.unit_laws import UnitLaws
from dmoa_theory.delay.closure.wait_laws import LawTables
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["LayerLaws", "SharedLayer", "durations", "shared_devices", "shared_drops", "shared_layer"]

# Sets smaller than this are worked out one by one, as are coins and numbers of neighbours beyond these.
_LEAST, _LARGEST_COIN, _MOST_ASKED = 48, 0.25, 16
# With fewer users than this, durations are worked out one by one: a table of polynomials would be more work.
_FEWEST_USERS = 100
# Nodes of that table, and how far a layer's law may be off between them, on average.
_NODES, _TOLERANCE = 8192, 1e-6
# Services that vary over less than this, relative to their mean, are steps between the nodes: SCV below some 7e-4.
_LEAST_SPAN = 0.3


def shared_devices(sets: StageSets, batch: Batch) -> IntArray | None:
    """The devices that all users of a batch have in their stage sets, if all have the same and choose alike; else None."""
    entries, rows = batch.entries, batch.rows
    first = sets.device[entries.start : sets.start[rows.start + 1]]
    size = first.size
    if size < _LEAST or sets.weighted or batch.quorum <= batch.k or batch.k > _MOST_ASKED:
        return None
    if batch.k > _LARGEST_COIN * (size - 1) or sets.trip[entries].any():
        return None
    if entries.stop - entries.start != size * (rows.stop - rows.start) or (np.diff(sets.start[rows]) != size).any():
        return None
    devices = np.sort(first)
    every = np.sort(sets.device[entries].reshape(-1, size), axis=1)
    return devices if (every == devices).all() else None


def shared_drops(
    sets: StageSets, batch: Batch, devices: IntArray, tables: LawTables, t: FloatArray, width: FloatArray
) -> FloatArray:
    """What :func:`dmoa_theory.delay.closure.drop_kernel.integrate_drops` finds for layers that wait for all, by entry.

    The polynomial without two devices is that of all, divided twice: a sum of products of a function of the one and a function
    of the other, whose integrals are products of matrices. ``t`` and ``width`` are the points of time, shape (points,).
    """
    k, size = batch.k, devices.size
    coin = k / (size - 1)
    served, sojourn = _laws(devices, tables, t)
    busy = tables.busy[devices, None]
    done = (1 - busy) * served + busy * sojourn
    late = width * np.maximum(served - sojourn, 0.0)
    known = np.zeros((k + 1, t.size))
    known[0] = 1.0
    for law in done:
        known[1:] = known[1:] * (1 - coin) + coin * law * known[:-1]
        known[0] *= 1 - coin
    tails, ratio = 1 - coin, -coin / (1 - coin)
    power = done[None] ** np.arange(k + 1)[:, None, None] * ratio ** np.arange(k + 1)[:, None, None]
    own = sets.device[sets.own[batch.rows]]
    place = np.searchsorted(devices, own)
    felt = np.zeros((own.size, size))
    for a in range(k):
        others = sum((power[b] * known[k - 1 - a - b] for b in range(k - a)), np.zeros_like(done))
        felt += (done * power[a])[place] @ (late * others).T
    felt *= coin / tails**2
    alone = sum((power[b] * known[k - b] for b in range(k + 1)), np.zeros_like(done)) / tails
    felt[np.arange(own.size), place] = (late * alone).sum(axis=1)[place]
    total = late.sum(axis=1)
    felt /= _choice(size - 1, k) * np.where(total > 0, total, 1.0)
    row = sets.row[batch.entries] - batch.rows.start
    return np.asarray(felt[row, np.searchsorted(devices, sets.device[batch.entries])])


def _laws(devices: IntArray, tables: LawTables, t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Laws of service alone and of the sojourn of a job that waits, at times t; both of shape (devices, points)."""
    offset, unit, steps_each, reach = (part[:, None] for part in tables.grid[devices].T)
    steps = tables.table.shape[2] - 1
    y = t - offset
    place = np.minimum(np.log1p(np.maximum(y, 0.0) / unit) * steps_each, steps)
    at = np.minimum(place.astype(np.int64), steps - 1)
    f = place - at
    found = []
    for kind in range(2):
        table = tables.table[devices, kind]
        low, high = (np.take_along_axis(table, at + step, axis=1) for step in range(2))
        found.append(np.where(y < 0, 0.0, np.where(y >= reach, 1.0, low + f * (high - low))))
    return found[0], found[1]


def _choice(neighbours: int, k: int) -> float:
    """Chance that exactly k of so many alike coins come up heads, k on average."""
    from scipy import stats

    return float(stats.binom.pmf(k, neighbours, k / neighbours))


class SharedLayer(NamedTuple):
    """Polynomials in the laws of all devices at the times ``lowest + unit (exp(node i) - 1)``.

    ``known`` has shape (1 + classes, k + 1, nodes): of independent jobs, then of each class of comonotone waits; ``drawn`` is
    the chance of the choice.
    """

    coin: float
    drawn: float
    lowest: float
    unit: float
    node: float
    known: FloatArray


class LayerLaws(NamedTuple):
    """What one kind of layer is made of, by device: mean waits, tables of laws, mean waits by class, service."""

    returning: bool
    workload: FloatArray
    found: FloatArray
    plain: LawTables
    back: LawTables
    class_wait: FloatArray
    class_share: FloatArray
    service: FloatArray
    law: IntArray
    laws: UnitLaws


def shared_layer(devices: IntArray, k: int, users: int, layer: LayerLaws) -> SharedLayer | None:
    """Numerical table of the polynomials in the laws of all devices.

    None for few users, and where laws are too steep for cubic polynomials between the nodes: those of stages are off by 1e-6 on
    average at most, to both sides, and by 1e-4 anywhere. Figures of estimates were seen to move by 1e-6; where one device is
    1,000 times slower than the others and its service varies by 3 %, means by up to 2e-5 and a user's percentiles by 1e-4.
    """
    if users < _FEWEST_USERS or (layer.laws.span[layer.law[devices]] < _LEAST_SPAN).any():
        return None
    coin = k / (devices.size - 1)
    drawn = _choice(devices.size - 1, k)
    grid = (layer.back if layer.returning else layer.plain).grid[devices]
    lowest, unit, end = float(grid[:, 0].min()), float(grid[:, 1].min()), float((grid[:, 0] + grid[:, 3]).max())
    node = float(np.log1p((end - lowest) / unit)) / (_NODES - 1)
    share = coin if layer.returning else 0.0
    mean_wait = layer.workload + share * (layer.found - layer.workload)

    def polynomials(places: FloatArray) -> FloatArray:
        found = np.empty((1 + layer.class_share.size, k + 1, places.size))
        polynomials_of_all(
            devices, coin, share, lowest + unit * np.expm1(node * places), mean_wait, layer.plain.busy, layer.plain.grid,
            layer.plain.table, layer.back.busy, layer.back.grid, layer.back.table, layer.class_wait, layer.service, layer.law,
            layer.laws.low, layer.laws.span, layer.laws.cdf, found,
        )  # fmt: skip
        return found

    known = polynomials(np.arange(_NODES, dtype=np.float64))
    between = np.arange(1, _NODES - 2, 31)
    cubic = (9 * (known[..., between] + known[..., between + 1]) - known[..., between - 1] - known[..., between + 2]) / 16
    off = np.abs(polynomials(np.asarray(between + 0.5, dtype=np.float64)) - cubic)[:, k] / drawn
    weight = np.concatenate(([1.0], layer.class_share))
    if weight @ off.mean(axis=1) > _TOLERANCE or weight @ off.max(axis=1) > 100 * _TOLERANCE:
        return None
    return SharedLayer(coin, drawn, lowest, unit, node, known)


def durations(
    sets: StageSets, batch: Batch, steps: int, together: FloatArray, layer: LayerLaws, shared: SharedLayer,
    out: tuple[FloatArray, FloatArray, FloatArray],
) -> None:  # fmt: skip
    """Approximation (its A6): cumulants and distribution functions, filled in as ``layer_durations`` does."""
    rows, entries = batch.rows, batch.entries
    shared_durations(
        np.arange(rows.stop - rows.start), sets.start[rows.start : rows.stop + 1] - entries.start, sets.device[entries],
        shared.coin, np.zeros(entries.stop - entries.start), shared.drawn, steps, together[rows], layer.returning,
        layer.workload, layer.found, layer.plain.busy, layer.plain.grid, layer.plain.table, layer.back.busy, layer.back.grid,
        layer.back.table, layer.class_wait, layer.class_share, layer.service, layer.law, layer.laws.low, layer.laws.span,
        layer.laws.cdf, shared.lowest, shared.unit, shared.node, shared.known, *out,
    )  # fmt: skip
