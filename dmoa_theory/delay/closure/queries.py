"""From a system to the law of every user's queries: the closure solved, its stages added up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dmoa_theory.delay.closure.convolution import StageCurve, comonotone_quantiles, sum_quantiles
from dmoa_theory.delay.closure.correlation import QuerySum, overlaps, sum_of_stages
from dmoa_theory.delay.closure.coupled_workloads import Workloads, coupled_workloads, returns
from dmoa_theory.delay.closure.followed_queries import Others, followed_queries, others_jobs
from dmoa_theory.delay.closure.pairs import meeting_pairs
from dmoa_theory.delay.closure.percentiles import GRID, PearsonThree, corrections, mixture_weights
from dmoa_theory.delay.closure.queue_shapes import job_mix, queue_shapes
from dmoa_theory.delay.closure.resolution import Resolution, resolution
from dmoa_theory.delay.closure.stage_laws import (
    StageWaits,
    association,
    mean_drop,
    service_cumulants,
    single_job_curve,
    stage_cumulants,
    stage_waits,
)
from dmoa_theory.delay.closure.stage_sets import StageSets, stage_sets
from dmoa_theory.delay.closure.symmetric import SymmetricPairs, always_asked, symmetric_pairs
from dmoa_theory.delay.closure.unit_laws import UnitLawBook
from dmoa_theory.delay.closure.wait_laws import Cumulants, WaitLaws, first_waits, poisson_scv
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.service import Law, ServiceTime, Stage
from dmoa_theory.model.system import System, UserGroup
from dmoa_theory.stability.loads import WorkMoments

# Users whose percentiles are corrected one by one; of more, so many are drawn.
_SAMPLE = 2000

__all__ = ["QueryLaws", "query_laws"]


@dataclass(frozen=True, slots=True, eq=False)
class QueryLaws:
    """By user and by device; NaN for users without queries, infinite for users who may meet an overloaded device.

    Attributes
    ----------
    cumulants : Cumulants
        Of whole queries; each of shape (n,).
    correction : ndarray, shape (n, levels)
        What to add to Pearson III percentiles at :data:`dmoa_theory.delay.closure.percentiles.GRID`, in deviations.
    stage_mean : ndarray, shape (n, 3), s
    wait : ndarray, shape (n,), s
        Mean wait of a job at each device, over all its jobs.
    stage_wait : ndarray, shape (n, 3), s
        The same for jobs of first layers, later layers and aggregations.
    alike : bool
        Whether all users are known to be the same.
    """

    cumulants: Cumulants
    correction: FloatArray
    stage_mean: FloatArray
    wait: FloatArray
    stage_wait: FloatArray
    alike: bool = False


def query_laws(
    system: System,
    groups: list[UserGroup],
    work: WorkMoments,
    *,
    every_pair: bool | None = None,
    progress: Callable[[float], None] | None = None,
) -> QueryLaws:
    """Approximation: cumulants of every user's queries, from the closure.

    Parameters
    ----------
    system : System
    groups : list of UserGroup
        Users with prompts.
    work : WorkMoments
        Of all of them.
    every_pair : bool, optional
        Couple all pairs of devices, or only those that meet; by default whichever is less work.
    progress : callable, optional
        Told the fraction done.
    """
    n = system.n_devices
    nan = np.full(n, np.nan)
    laws = QueryLaws(
        Cumulants(nan, nan.copy(), nan.copy()),
        np.zeros((n, GRID.size)),
        np.full((n, len(Stage)), np.nan),
        np.where(work.load < 1, 0.0, np.inf),
        np.where((work.load < 1)[:, None], 0.0, np.full((n, len(Stage)), np.inf)),
    )
    lost = _meet_overload(system, groups, work.load >= 1)
    _forget(laws, groups, lost)
    groups = [group._replace(users=group.users[~lost[group.users]]) for group in groups]
    groups = [group for group in groups if group.users.size]
    used = np.flatnonzero((work.jobs > 0) & (work.load < 1))
    if not used.size:
        return laws
    alike = None if every_pair is not None or used.size < n else symmetric_pairs(system, groups)
    if alike is not None:
        used = used[:1]
    place = np.full(n, -1, dtype=np.int64)
    place[used] = np.arange(used.size)
    sets = alike.sets if alike is not None else _numbered(stage_sets(system, [g for g in groups if g.M > 0]), place, used)
    pairs = alike if alike is not None else meeting_pairs(sets, used.size, every=every_pair)
    mine = WorkMoments(work.jobs[used], work.load[used], work.second[used], work.third[used])
    book, detail = UnitLawBook(), resolution(used.size)
    mix = job_mix(system, used, mine.load, book)
    shapes = queue_shapes(mix, mine, poisson_scv(mine), book.tables(), detail.points)
    solved = coupled_workloads(sets, pairs, mine, book, shapes, detail=detail, progress=progress)
    first = first_waits(solved.workload, solved.poisson, solved.wait_scv, mine.load, shapes)
    if sets.has_quorum:
        _fill_followed(laws, sets, solved, first, others_jobs(mix, mine, first.mean / solved.poisson), book, detail)
    elif sets.user.size:
        _fill_layered(laws, sets, solved, mine, book, detail)
    _fill_waits(laws, sets, solved, mine, used)
    for group in groups:
        if group.M == 0:
            _fill_bare(laws, group, system.service.for_k(group.k), first, place, used, book)
    if alike is not None:
        for values in (*laws.cumulants, laws.correction, laws.stage_mean, laws.wait, laws.stage_wait):
            values[:] = values[0]
        return replace(laws, alike=True)
    return laws


def _numbered(sets: StageSets, place: IntArray, used: IntArray) -> StageSets:
    """The same stage sets, devices numbered among those that are used, and service times that are theirs."""
    if used.size == place.size:
        return sets
    batches = tuple(batch._replace(service=_of_devices(batch.service, used)) for batch in sets.batches)
    return replace(sets, device=place[sets.device], batches=batches)


def _of_devices(service: ServiceTime, some: IntArray) -> ServiceTime:
    """The service times of some devices; those that are alike everywhere stay as they are."""
    if len(service.mean) == 1:
        return service
    samples = service.samples
    if samples is not None and len(samples) > 1:
        samples = tuple(samples[i] for i in some.tolist())
    return replace(service, mean=service.mean[some], scv=service.scv[some], samples=samples, mean_error=None)


def _fill_layered(
    laws: QueryLaws, sets: StageSets, solved: Workloads, work: WorkMoments, book: UnitLawBook, detail: Resolution
) -> None:
    """Users whose queries have layers, all of which wait for all their jobs."""
    waits = stage_waits(solved, work.load)
    together = association(sets, solved, work.load)
    overlap = overlaps(sets, solved, work.load)
    served = always_asked(sets) if isinstance(solved.pairs, SymmetricPairs) else sets
    few = sets.user.size <= _SAMPLE
    stages, curves = stage_cumulants(served, waits, together, book, detail, with_curves=few)
    sums = sum_of_stages(sets.layers, stages, overlap)
    _fill(laws, sets, sums.total, np.column_stack([stage.mean for stage in stages]))
    laws.correction[sets.user] = (
        _correction(sets, sums, curves) if few else _sampled_correction(sets, sums, waits, together, book, detail)
    )


def _fill_followed(
    laws: QueryLaws,
    sets: StageSets,
    solved: Workloads,
    first: WaitLaws,
    others: Others,
    book: UnitLawBook,
    detail: Resolution,
) -> None:
    """Users whose queries have layers, in a system where some layers end early."""
    met_first = always_asked(sets) if isinstance(solved.pairs, SymmetricPairs) else sets
    found = followed_queries(sets, met_first, mean_drop(sets, solved), first, others, book, detail)
    _fill(laws, sets, found.total, found.stages)
    laws.correction[sets.user] = found.standard - PearsonThree.matching(found.total).standard()


def _sampled_correction(
    sets: StageSets, sums: QuerySum, waits: StageWaits, together: FloatArray, book: UnitLawBook, detail: Resolution
) -> FloatArray:
    """Corrections of very many rows: those of a sample, and its average for the others."""
    rows = sets.user.size
    some = np.sort(np.random.default_rng(0).choice(rows, _SAMPLE, replace=False))
    few = sets.pick(some)
    total, apart = (Cumulants(*(x[some] for x in part)) for part in (sums.total, sums.apart))
    picked = QuerySum(total, apart, sums.correlation[some])
    _, curves = stage_cumulants(few, waits, together[some], book, detail, with_curves=True)
    found = _correction(few, picked, curves)
    every = np.tile(np.average(found, axis=0, weights=few.rate), (rows, 1))
    every[some] = found
    return every


def _correction(sets: StageSets, sums: QuerySum, curves: list[StageCurve]) -> FloatArray:
    """By row: what to add to Pearson III percentiles, in deviations."""
    repeats = [np.ones_like(sets.layers), sets.layers - 1, np.ones_like(sets.layers)]
    independent = sum_quantiles(curves, repeats, sums.apart.mean, np.sqrt(sums.apart.variance), GRID)
    together = comonotone_quantiles(curves, repeats, GRID)
    mean, variance, third = service_cumulants(sets, Stage.FIRST)
    weights = mixture_weights(variance / mean**2, third / mean**3)
    return corrections(PearsonThree.matching(sums.total), sums.apart, independent, together, sums.correlation, weights)


def _meet_overload(system: System, groups: list[UserGroup], overloaded: BoolArray) -> BoolArray:
    """Users whose own device is overloaded, or who may ask one that is; shape (n,)."""
    lost = overloaded.copy()
    if overloaded.any():
        asked = system.network.matrix((system.inclusion() > 0).astype(np.float64)) @ overloaded.astype(np.float64)
        for group in groups:
            if group.M > 0:
                lost[group.users] |= asked[group.users] > 0
    return lost


def _forget(laws: QueryLaws, groups: list[UserGroup], lost: BoolArray) -> None:
    """Users who wait for ever: every figure that they have is infinite."""
    for group in groups:
        users = group.users[lost[group.users]]
        for part in laws.cumulants:
            part[users] = np.inf
        laws.stage_mean[users, Stage.FIRST] = np.inf
        if group.M > 0:
            laws.stage_mean[users, Stage.AGGREGATE] = np.inf
        if group.M > 1:
            laws.stage_mean[users, Stage.LATER] = np.inf


def _fill(laws: QueryLaws, sets: StageSets, total: Cumulants, stages: FloatArray) -> None:
    """Cumulants of whole queries, and mean durations of stages; both by row."""
    for part, values in zip(laws.cumulants, total, strict=True):
        part[sets.user] = values
    for stage in Stage:
        has = (sets.layers > 1) | (stage is not Stage.LATER)
        laws.stage_mean[sets.user[has], stage] = stages[has, stage]


def _fill_waits(laws: QueryLaws, sets: StageSets, solved: Workloads, work: WorkMoments, used: IntArray) -> None:
    """Mean waits of jobs: the mean workload, and the excess for the share of jobs that return to where they were.

    First-layer jobs find the mean workload, ``rho_1`` of the load, and none waits less than 0, so by conservation of work
    ``W >= rho_1 W + b``: no workload is reported below ``b / (1 - rho_1)``, no mean wait below what its first-layer jobs wait.
    """
    n = used.size
    rate, M = sets.spread(sets.rate), sets.spread(sets.layers)
    later = sets.by_device(rate * (M - 1) * sets.inclusion, n)
    returning = sets.by_device(rate * (M - 1) * sets.spread(solved.returns.layers) * sets.inclusion**2, n)
    last = np.where(sets.remote, 0.0, rate)
    after = rate * (M - 1) * sets.inclusion * sets.mean[:, Stage.LATER] + last * sets.mean[:, Stage.AGGREGATE]
    least = work.second / 2 / (1 - work.load + sets.by_device(after, n))
    fresh = 1 - (later + sets.by_device(last, n)) / work.jobs
    first = np.maximum(solved.workload, least)
    home = np.ones(n)
    home[sets.device[sets.own]] = solved.returns.home
    share = np.column_stack((np.zeros(n), np.divide(returning, later, out=np.zeros(n), where=later > 0), home))
    laws.stage_wait[used] = np.maximum(first[:, None] + solved.excess[:, None] * share, 0.0)
    back = returns(sets, solved.returns, n, by_work=False)
    laws.wait[used] = np.maximum(solved.workload + solved.excess * back / work.jobs, np.maximum(fresh, 0.0) * first)


def _fill_bare(
    laws: QueryLaws, group: UserGroup, service: ServiceTime, waits: WaitLaws, place: IntArray, used: IntArray, book: UnitLawBook
) -> None:
    """Users with M = 0: one job at home, served like a first layer's; wait and service are independent."""
    users, n = group.users, place.size
    mean, second, third = (
        np.broadcast_to(moment[:, Stage.FIRST], (n,))
        for moment in (service.mean, service.second_moment(), service.third_moment())
    )
    scv = np.broadcast_to(service.scv[:, Stage.FIRST], (n,))
    served = Cumulants(mean, second - mean**2, third - 3 * second * mean + 2 * mean**3)
    for part, waited, took in zip(laws.cumulants, waits.cumulants(), served, strict=True):
        part[users] = waited[place[users]] + took[users]
    laws.stage_mean[users, Stage.FIRST] = laws.cumulants.mean[users]
    if service.law is Law.EXPONENTIAL:
        return  # type III is exact for M/M/1
    numbers = book.numbers(service, scv)
    one_of, kind = _bare_kinds(place[users], waits, mean[used], numbers[used])
    several = users[one_of]
    at = place[several]
    alone = WaitLaws(waits.mean[at], waits.busy[at], waits.scv[at], replace(waits.shapes, of=waits.shapes.of[at]))
    curve = single_job_curve(np.arange(at.size), alone, mean[several], numbers[several], book)
    found = comonotone_quantiles([curve], [np.ones(at.size, dtype=np.int64)], GRID)
    plain = PearsonThree.matching(Cumulants(*(part[several] for part in laws.cumulants)))
    laws.correction[users] = ((found - plain.percentiles()) / plain.deviation[:, None])[kind]


def _bare_kinds(device: IntArray, waits: WaitLaws, service: FloatArray, law: IntArray) -> tuple[IntArray, IntArray]:
    """Users with M = 0 whose queue and service are alike but for the unit of time: one of each kind, and everybody's kind.

    Of more kinds than :data:`_SAMPLE` so many are taken, evenly in order of law and load, and the others count as the next.
    """
    mean = waits.mean[device]
    keys = np.column_stack((law[device], waits.busy[device], waits.scv[device], service[device] / mean))
    keys = np.column_stack((np.round(keys, 12), waits.shapes.of[device]))
    _, first, kind = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    kind = kind.ravel()
    if first.size <= _SAMPLE:
        return first, kind
    nearest = np.arange(first.size) * _SAMPLE // first.size
    middle = (np.searchsorted(nearest, np.arange(_SAMPLE)) + np.searchsorted(nearest, np.arange(_SAMPLE), side="right")) // 2
    return first[middle], nearest[kind]
