"""The workloads of all devices at once, from the exact identity and what is approximated to close it.

With V_j all future work for device j, ``X_ij = E[V_j] - E[V_j | device i idle]`` obeys, for Poisson queries and at every load,

    (1 - rho_i) X_ij + (1 - rho_j) X_ji = Gamma_ij,            Gamma_ij = sum_u lambda_u E[B_ui B_uj].

Closed by ``X_ij = sum_l gamma_il W_l G_jl + L_ij``: the drop of the work now at the devices, carried on to future work by the
stages that it shortens (G), and the stages whose job at device i is in service (L). See ``docs/theory/latency.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dmoa_theory.delay.closure.drop_factors import LayerShares, layer_laws, layer_shares, mixed_shares
from dmoa_theory.delay.closure.future_work import after_first_layer, after_later_layers, second_moments, siblings_under_way
from dmoa_theory.delay.closure.newton_krylov import Coupling, Equations, solve_coupling
from dmoa_theory.delay.closure.pairs import Pairs
from dmoa_theory.delay.closure.queue_shapes import QueueShapes
from dmoa_theory.delay.closure.resolution import FINE, Resolution
from dmoa_theory.delay.closure.stage_sets import StageSets
from dmoa_theory.delay.closure.symmetric import SymmetricPairs, always_asked, shared_out
from dmoa_theory.delay.closure.unit_laws import UnitLawBook
from dmoa_theory.delay.closure.wait_laws import WaitLaws, poisson_scv
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.stability.loads import WorkMoments

AnyPairs = Pairs | SymmetricPairs

__all__ = ["AnyPairs", "Returns", "Workloads", "coupled_workloads", "return_weights", "returns"]


@dataclass(frozen=True, slots=True, eq=False)
class Returns:
    """How much more a returning job finds: weights of the excess, by row; 1 where layers wait for all.

    With ``phi`` the chance that the own job outlasts its layer, stage s >= 1 finds ``a_s = 1 + phi + ... + phi^(s - 1)`` times
    the excess of one return: ``layers`` is the mean of a_1..a_{M-1}, ``home`` is a_M.
    """

    unfinished: FloatArray
    layers: FloatArray
    home: FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class Workloads:
    """Solution of the closure, devices numbered as in ``pairs``.

    Attributes
    ----------
    pairs : Pairs
    workload : ndarray, shape (n,), s
        Time-average work at each device: the mean wait of a first-layer job.
    poisson : ndarray, shape (n,), s
        The same by Pollaczek and Khinchine.
    excess : ndarray, shape (n,), s
        What a job that returns home finds beyond that, may be negative.
    drop : ndarray, shape (pairs.size,)
        Relative drop of the workload of the pair's second device while the first is idle.
    wait_scv : ndarray, shape (n,)
        Of the wait of a job that waits, by M/G/1.
    returns : Returns
    residual : float
        Largest relative residual of the equations.
    """

    pairs: AnyPairs
    workload: FloatArray
    poisson: FloatArray
    excess: FloatArray
    drop: FloatArray
    wait_scv: FloatArray
    shapes: QueueShapes
    returns: Returns
    residual: float


def return_weights(unfinished: FloatArray, layers: IntArray) -> Returns:
    """Weights of the excess from the chance that the own job outlasts its layer, both by row."""
    most = int(layers.max(initial=1))
    powers = unfinished[:, None] ** np.arange(most)
    weight = np.cumsum(powers, axis=1)  # a_1, a_2, ...
    counted = np.arange(1, most + 1) < layers[:, None]
    mean = np.where(counted, weight, 0.0).sum(axis=1) / np.maximum(layers - 1, 1)
    home = weight[np.arange(layers.size), layers - 1] if layers.size else np.ones(0)
    return Returns(unfinished, np.where(layers > 1, mean, 1.0), home)


def returns(sets: StageSets, weights: Returns, n: int, *, by_work: bool) -> FloatArray:
    """Rate of jobs (of their work, if ``by_work``) that return to a device, weighted by the share of the excess they find."""
    M, home = sets.spread(sets.layers), sets.spread(weights.home)
    service = sets.mean if by_work else np.ones_like(sets.mean)
    later = (M - 1) * sets.spread(weights.layers) * sets.inclusion**2 * service[:, Stage.LATER]
    last = np.where(sets.remote, 0.0, home * service[:, Stage.AGGREGATE])
    return sets.by_device(sets.spread(sets.rate) * (later + last), n)


def coupled_workloads(
    sets: StageSets,
    pairs: AnyPairs,
    work: WorkMoments,
    book: UnitLawBook,
    shapes: QueueShapes,
    *,
    detail: Resolution = FINE,
    progress: Callable[[float], None] | None = None,
) -> Workloads:
    """Approximation: solve the closure for the devices of ``work``, all of them used and stable.

    Passes alternate: shares of waits that layers feel from the present workloads, then all workloads and relative drops at
    once. What returning jobs find more is a linear function of the workloads, by (1), and part of the equations; so a pass
    leaves about a hundredth of the error of the one before, with quorums an eighth.
    """
    n, load = work.load.size, work.load
    idle, residual_work = 1 - load, work.second / 2
    poisson, scv = residual_work / idle, poisson_scv(work)
    gamma = second_moments(sets, pairs, work.second)
    services = layer_laws(sets, book, n)
    now = Coupling(poisson.copy(), pairs.identity, np.inf)
    weights = return_weights(np.zeros(sets.user.size), sets.layers)
    slope = offset = np.zeros(n)
    for turn in range(detail.passes):
        waits = WaitLaws(now.workload, load, scv, shapes)
        shares = _shares(sets, pairs, waits, services, book, detail.share_steps)
        if sets.has_quorum:
            weights = return_weights(shares.unfinished, sets.layers)
        back = returns(sets, weights, n, by_work=True)
        # the excess of a return: slope W + offset
        slope, offset = (np.divide(part, back, out=np.zeros(n), where=back > 0) for part in (idle, -residual_work))
        felt = mixed_shares(sets, shares, pairs.with_own(now.drop), waits, poisson)
        stay = now.workload + _mean_stay(sets, n) if sets.has_delay else None
        equations = _equations(sets, pairs, shares, weights, felt, (idle, slope, offset), gamma, stay)
        before = now.workload
        if isinstance(pairs, SymmetricPairs):
            now = pairs.solve(idle, equations)
        else:
            # the equations themselves still change, by less in every pass
            wanted = max(detail.tolerance, detail.first_tolerance * 1e-2**turn)
            now = solve_coupling(pairs, idle, equations, now, tolerance=wanted)
        moved = float(np.abs(now.workload / before - 1).max(initial=0.0))
        settled = turn + 1 >= detail.fewest and moved < detail.settled
        if settled and not isinstance(pairs, SymmetricPairs) and now.residual > detail.tolerance:
            now = solve_coupling(pairs, idle, equations, now, tolerance=detail.tolerance)
        if progress is not None:
            progress(1.0 if settled else (turn + 1) / detail.passes)
        if settled:
            break
    excess = slope * now.workload + offset
    return Workloads(pairs, now.workload, poisson, excess, now.drop, scv, shapes, weights, now.residual)


def _shares(
    sets: StageSets,
    pairs: AnyPairs,
    waits: WaitLaws,
    services: list[tuple[FloatArray, IntArray]],
    book: UnitLawBook,
    steps: int,
) -> LayerShares:
    """Shares of waits and of service, by entry; where neighbours are alike, those of k of them, shared out over all."""
    if not isinstance(pairs, SymmetricPairs):
        return layer_shares(sets, waits, services, book, steps)
    few = always_asked(sets)
    found = layer_shares(replace(few, inclusion=np.ones_like(few.inclusion)), waits, services, book, steps)
    drop, live_wait, live_service = (shared_out(values, sets) for values in found[:3])
    return LayerShares(drop, live_wait, live_service, found.unfinished)


def _equations(
    sets: StageSets,
    pairs: AnyPairs,
    shares: LayerShares,
    weights: Returns,
    felt: FloatArray,
    by_device: tuple[FloatArray, FloatArray, FloatArray],
    gamma: FloatArray,
    stay: FloatArray | None,
) -> Equations:
    """Coefficients of the identity for given shares.

    ``L_ij``, future work for j of the stages whose job at i is in service or waits for what a return finds more, is split: what
    is in proportion to ``W_i`` is an unknown's coefficient, the rest is known. ``by_device``: chance to be idle, and slope and
    offset of the excess; ``stay``: mean sojourns where links take time.
    """
    idle, slope, offset = by_device
    rate, M = sets.spread(sets.rate), sets.spread(sets.layers)
    first_follows, later_follows = after_first_layer(sets), after_later_layers(sets)
    follows = rate * (first_follows + later_follows)
    carried = pairs.sum_over_users(follows, felt)
    carried[pairs.diagonal] += 1.0
    found = np.where(M > 1, shares.live_wait * sets.inclusion * sets.spread(weights.layers), 0.0)
    first = shares.live_service * sets.mean[:, Stage.FIRST]
    later = np.where(M > 1, shares.live_service * sets.mean[:, Stage.LATER], 0.0) + found * offset[sets.device]
    known = pairs.sum_over_users(rate * first, first_follows) + pairs.sum_over_users(rate * later, later_follows)
    if stay is not None:
        known += siblings_under_way(sets, pairs, stay)
    known *= idle[pairs.row]
    behind = idle[pairs.row] * pairs.sum_over_users(rate * found * slope[sets.device], later_follows)
    return Equations(follows, felt, carried, behind, gamma - known - known[pairs.mirror])


def _mean_stay(sets: StageSets, n: int) -> FloatArray:
    """Mean service of the layers' jobs at each device, s."""
    use = sets.spread(sets.rate * sets.layers) * sets.inclusion
    jobs = sets.by_device(use, n)
    return np.divide(sets.by_device(use * sets.layer_mean(), n), jobs, out=np.ones(n), where=jobs > 0)
