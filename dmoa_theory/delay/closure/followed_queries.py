"""How long queries take whose layers do not wait for all jobs: single queries are followed past the jobs they left behind.

A quorum leaves a query's own unfinished jobs at devices that it asks again, and which these are hangs on all of its k + 1 jobs
at once: the device that answered first is idle, the others are not. No product of laws has that. So the average over what one
query draws (neighbours, service, the work that it finds at devices, what others bring there meanwhile) is taken over fixed
points, for given workloads of the devices. ``docs/theory/latency.md``, section 8.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.path_kernel import SUMS, follow_queries
from dmoa_theory.delay.closure.percentiles import GRID
from dmoa_theory.delay.closure.queue_shapes import JobMix
from dmoa_theory.delay.closure.resolution import COARSE, Resolution
from dmoa_theory.delay.closure.stage_laws import StageWaits, stage_cumulants, stage_service
from dmoa_theory.delay.closure.stage_sets import Batch, StageSets
from dmoa_theory.delay.closure.unit_laws import UnitLawBook, UnitLaws
from dmoa_theory.delay.closure.wait_laws import Cumulants, WaitLaws, law_tables
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.stability.loads import WorkMoments

Hashes = np.ndarray[tuple[int, ...], np.dtype[np.uint64]]

__all__ = ["Followed", "Others", "followed_queries", "others_jobs"]

# Queries that are followed: of all users together, of one user at most and at least, where tables are fine and where coarse.
_TOGETHER, _MOST, _FEWEST, _FEWEST_COARSE = 1 << 15, 1 << 14, 256, 96
# Users with fewer than that share the shape of their law with the next in order of congestion, until they are so many.
_SHAPED = 1024
# Users whose queries are kept at a time: so many numbers.
_AT_ONCE = 1 << 21
# The longest of a user's queries, in whose place an exponential end is put.
_END = 16
# The least variance, of the squared mean, as in the kernels.
_LEAST_VARIANCE = 1e-14
# Averages further than so many standard errors from what they should be correct nothing.
_CREDIBLE = 4.0
# Quantiles of a unit law that are kept.
_CELLS = 1024


class Followed(NamedTuple):
    """What is found, by row.

    Mean durations of a first layer, a later layer and the aggregation, (rows, 3), s; cumulants of whole queries; their
    percentiles at :data:`GRID` less the mean, in deviations, (rows, levels).
    """

    stages: FloatArray
    total: Cumulants
    standard: FloatArray


class Others(NamedTuple):
    """What other jobs bring to every device: arrivals/s, and by kind the chance of it or one before, mean (s) and unit law.

    ``spread``: variance of the work that arrives in a second, s.
    """

    rate: FloatArray
    spread: FloatArray
    kind: FloatArray
    size: FloatArray
    law: IntArray


def followed_queries(
    sets: StageSets,
    met_first: StageSets,
    together: FloatArray,
    first: WaitLaws,
    others: Others,
    book: UnitLawBook,
    detail: Resolution,
) -> Followed:
    """Approximation, in light traffic exact but for the average over points: users some of whom have a quorum.

    Parameters
    ----------
    sets, met_first : StageSets
        Of these users alone; and the same, or with as many neighbours as are asked, where all are alike.
    together : ndarray, shape (rows,)
        Mean relative drop over the pairs of devices that a layer uses, which is the chance that two of them hold the same
        share of their law.
    first : WaitLaws
        Of jobs of first layers.
    others : Others
    book : UnitLawBook
    detail : Resolution
    """
    one_of, kind = _kinds(sets, first.mean)
    if one_of.size < sets.user.size:  # users who are alike are followed once
        sets = met_first = sets.pick(one_of)
        together = together[one_of]
    rows, n = sets.user.size, first.mean.size
    queries = min(_MOST, max(_FEWEST_COARSE if detail is COARSE else _FEWEST, _TOGETHER // rows))
    alone = _stages_met_first(met_first, first, book, detail)
    seed, shared = _ranks(sets, first.mean), np.sqrt(np.clip(together, 0.0, 1.0))
    found = Followed(np.empty((rows, len(Stage))), Cumulants(*np.empty((3, rows))), np.empty((rows, GRID.size)))
    tables = law_tables(np.unique(sets.device), first, np.ones(n), np.zeros(n, np.int64), book.tables())
    for batch in sets.batches:
        unit = np.column_stack([stage_service(sets, batch, stage, book, n)[1] for stage in Stage])
        laws = book.tables()
        quantiles = _quantiles(laws)
        entries, start = _in_order(sets, batch, first.mean)
        device, there = sets.device[entries], sets.there[entries]
        by_entry = device, sets.coin[entries], there, sets.trip[entries] - there, sets.mean[entries], unit[device]
        many = max(1, _AT_ONCE // queries)
        for low in range(batch.rows.start, batch.rows.stop, many):
            some = slice(low, min(low + many, batch.rows.stop))
            sums, total = np.zeros((some.stop - low, len(Stage), SUMS)), np.empty((some.stop - low, queries))
            at = slice(some.start - batch.rows.start, some.stop - batch.rows.start + 1)
            follow_queries(
                start[at], *by_entry, shared[some], seed[some], batch.M, batch.k, batch.quorum,
                first.busy, tables.reach, tables.wait, *others, laws.low, laws.span, laws.cdf, quantiles, sums, total,
            )  # fmt: skip
            repeats = np.array([1, batch.M - 1, 1])
            stages = _regressed(sums / queries / np.maximum(repeats, 1)[:, None], alone[some], queries)
            stages[:, Stage.AGGREGATE] += sets.mean[sets.own[some], Stage.AGGREGATE]
            found.stages[some] = stages
            _shapes(total, stages @ repeats, some, found)
        _like_their_neighbours(found, batch.rows, seed, queries)
    return Followed(found.stages[kind], Cumulants(*(part[kind] for part in found.total)), found.standard[kind])


def others_jobs(mix: JobMix, work: WorkMoments, clump: FloatArray) -> Others:
    """Arrivals of others at every device: in clumps, so that their work in Poisson streams has the mean workload.

    ``clump`` is the mean workload over Pollaczek and Khinchine's: so many times rarer, and so many times longer.
    """
    rate = mix.share / mix.mean
    used = [0]  # kinds of jobs that are the same everywhere count as one
    for column in range(1, rate.shape[1]):
        for same in used:
            if (mix.mean[:, same] == mix.mean[:, column]).all() and (mix.law[:, same] == mix.law[:, column]).all():
                rate[:, same] += rate[:, column]
                break
        else:
            used.append(column)
    kind = np.cumsum(rate[:, used] / rate[:, used].sum(axis=1, keepdims=True), axis=1)
    return Others(
        work.jobs / clump, work.second * clump, kind, mix.mean[:, used] * clump[:, None], np.ascontiguousarray(mix.law[:, used])
    )


def _quantiles(laws: UnitLaws) -> FloatArray:
    """Quantiles of unit laws at even chances; shape (laws, cells + 1)."""
    steps, even = np.linspace(0.0, 1.0, laws.cdf.shape[1]), np.linspace(0.0, 1.0, _CELLS + 1)
    place = np.stack([np.interp(even, cdf, steps) for cdf in laws.cdf])
    return np.asarray(laws.low[:, None] + laws.span[:, None] * place**2)


def _stages_met_first(sets: StageSets, first: WaitLaws, book: UnitLawBook, detail: Resolution) -> FloatArray:
    """Mean durations if all waits were independent, and those of jobs that arrive at random: by integration, shape (rows, 3).

    Of the aggregation, the wait only.
    """
    waits = StageWaits(first, first, first)
    found, _ = stage_cumulants(sets, waits, np.zeros(sets.user.size), book, detail, with_curves=False)
    home = first.mean[sets.device[sets.own]]
    return np.column_stack((found[Stage.FIRST].mean, found[Stage.LATER].mean, home))


def _regressed(sums: FloatArray, expected: FloatArray, queries: int) -> FloatArray:
    """Means of x given that of y: ``sums`` holds averages of x, y, x y and y^2 in its last place, ``expected`` is E y.

    Where the average of y is far from that by its own spread (waits that hardly any of few queries met), it teaches nothing.
    """
    x, y, xy, yy = np.moveaxis(sums, -1, 0)
    variance = yy - y**2
    covered = (variance > 1e-12 * yy) & ~((expected - y) ** 2 > _CREDIBLE**2 * variance / queries)
    slope = np.divide(xy - x * y, variance, out=np.zeros_like(x), where=covered)
    return np.asarray(np.maximum(x + slope * (np.where(np.isfinite(expected), expected, y) - y), 0.0))


def _levels(workload: FloatArray) -> FloatArray:
    """Mean workloads to six digits, in whole numbers, so that nothing hangs on how they were rounded."""
    return np.asarray(np.round(np.log(workload) * 1e6))


def _kinds(sets: StageSets, workload: FloatArray) -> tuple[IntArray, IntArray]:
    """One row of each kind, rising, and the kind of every row; rows of a kind have the same devices but for their names."""
    by_entry = (
        _levels(workload)[sets.device],
        np.round(sets.coin, 8),
        *sets.mean.T,
        *sets.variance.T,
        *sets.there.T,
        *sets.trip.T,
    )
    entry: Hashes = np.zeros(sets.device.size, dtype=np.uint64)
    for values in by_entry:
        entry = _scrambled(entry + np.ascontiguousarray(values + 0.0).view(np.uint64))
    row = np.add.reduceat(entry, sets.own) + _scrambled(entry[sets.own])
    for number, batch in enumerate(sets.batches):
        row[batch.rows] = _scrambled(row[batch.rows] + np.uint64(number))
    _, first, kind = np.unique(row, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return first[order], place[kind.ravel()]


def _scrambled(x: Hashes) -> Hashes:
    """The finish of the generator splitmix64."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def _ranks(sets: StageSets, workload: FloatArray) -> IntArray:
    """Which points a user's queries draw from: its place in order of congestion at home, the same where that is the same."""
    level = _levels(workload)[sets.device[sets.own]]
    return np.asarray(np.unique(level, return_inverse=True)[1].ravel().astype(np.int64))


def _in_order(sets: StageSets, batch: Batch, workload: FloatArray) -> tuple[IntArray, IntArray]:
    """A batch's entries, those of a row in an order that does not hang on the numbering of devices, the own one first."""
    every = np.arange(batch.entries.start, batch.entries.stop)
    coin, found = np.round(sets.coin[every], 8), _levels(workload)[sets.device[every]]
    means, ways = sets.mean[every].T, (*sets.there[every].T, *sets.trip[every].T)
    order = np.lexsort((found, coin, *ways, *means, sets.remote[every], sets.row[every]))
    start = sets.start[batch.rows.start : batch.rows.stop + 1] - batch.entries.start
    return every[order], start


def _shapes(total: FloatArray, mean: FloatArray, rows: slice, found: Followed) -> None:
    """Cumulants and standard percentiles from followed queries, brought to their mean."""
    queries = total.shape[1]
    total *= (mean / total.mean(axis=1))[:, None]
    total.sort(axis=1)
    apart = total - mean[:, None]
    found.total.mean[rows] = mean
    found.total.variance[rows] = np.maximum((apart**2).mean(axis=1), _LEAST_VARIANCE * mean**2)
    found.total.third[rows] = (apart**3).mean(axis=1)
    place = GRID * queries - 0.5
    below = np.clip(np.floor(place).astype(np.int64), 0, queries - 2)
    part = np.clip(place - below, 0.0, 1.0)
    values = total[:, below] * (1 - part) + total[:, below + 1] * part
    corner = total[:, -_END]
    beyond = (total[:, -_END:].mean(axis=1) - corner)[:, None] * np.log(_END / (queries * (1 - GRID)))
    values = np.where(queries * (1 - GRID) < _END, corner[:, None] + beyond, values)
    found.standard[rows] = (values - mean[:, None]) / np.sqrt(found.total.variance[rows])[:, None]


def _like_their_neighbours(found: Followed, rows: slice, rank: IntArray, queries: int) -> None:
    """Where few queries of each user are followed, users have the shape and the relative spread of the next in rank too."""
    count = rows.stop - rows.start
    width = min(-(-_SHAPED // queries), count)
    if width <= 1:
        return
    order = rows.start + np.argsort(rank[rows], kind="stable")
    mean, variance, third = (part[order] for part in found.total)
    deviation = np.sqrt(variance)
    shapes = np.column_stack((found.standard[order], third / deviation**3, np.log(deviation / mean)))
    begin = np.clip(np.arange(count) - width // 2, 0, count - width)
    summed = np.concatenate((np.zeros((1, shapes.shape[1])), np.cumsum(shapes, axis=0)))
    shapes = (summed[begin + width] - summed[begin]) / width
    deviation = mean * np.exp(shapes[:, -1])
    found.standard[order] = shapes[:, :-2]
    found.total.variance[order] = deviation**2
    found.total.third[order] = shapes[:, -2] * deviation**3
