"""How strongly the stages of a query are correlated, and the cumulants of their sum.

Stages of a query meet the same devices, so a congested device makes several of them long. The correlation is the share of a
stage's variance that another stage of the query shares with it: the variance of the waits at devices that both use, over all
variance, for service times are never shared. Congested devices remember for longer, hence the powers of the load.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.delay.closure.constants import (
    CORRELATION_CROSS,
    CORRELATION_DELAY,
    CORRELATION_LOAD,
    CORRELATION_POWER_HOME,
    CORRELATION_POWER_LAYERS,
    CORRELATION_SCALE,
    CORRELATION_THIRD,
)
from dmoa_theory.delay.closure.coupled_workloads import Workloads
from dmoa_theory.delay.closure.stage_sets import StageSets
from dmoa_theory.delay.closure.wait_laws import Cumulants
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage

__all__ = ["Overlap", "QuerySum", "overlaps", "sum_of_stages"]


class Overlap(NamedTuple):
    """Correlation of two layers, and of a layer and the aggregation, by row, before the common factor."""

    layers: FloatArray
    home: FloatArray


def overlaps(sets: StageSets, solved: Workloads, load: FloatArray) -> Overlap:
    """Approximation: shared over total variance, by row."""
    device, M = sets.device, sets.spread(sets.layers)
    wait = (solved.workload**2 * ((1 + solved.wait_scv) / load - 1))[device]
    variance = sets.variance
    first, later, last = (variance[:, stage] for stage in Stage)
    served = (first + (M - 1) * later + last) / (M + 1)
    pi, k = sets.inclusion, sets.asked
    lasting = wait * load[device] ** CORRELATION_LOAD
    root = pi * np.sqrt(lasting)
    drop = np.clip(solved.drop, 0.0, 1.0)
    own, remote = sets.own, sets.remote
    total = sets.sums(pi * (wait + served))
    both = sets.sums(pi**2 * lasting) + CORRELATION_CROSS / (1 + k) * solved.pairs.quadratic(drop, root)
    with_own = sets.sums(np.where(remote, root * solved.pairs.with_own(drop), 0.0))
    home = lasting[own] + CORRELATION_CROSS * root[own] * with_own
    away = sets.sums(pi * sets.layer_trip()) / np.maximum(k, 1)
    mean = sets.mean[own, Stage.FIRST]
    place = device[own]
    fading = np.exp(-CORRELATION_DELAY * away * (1 - load[place]) / (solved.workload[place] + mean))
    return faded(np.minimum(1.0, both / total), np.minimum(1.0, home / total), fading)


def faded(both: FloatArray, home: FloatArray, fading: FloatArray) -> Overlap:
    """Overlaps from shared variances, and the decay over ways there and back."""
    return Overlap(both**CORRELATION_POWER_LAYERS * fading, home**CORRELATION_POWER_HOME * fading)


class QuerySum(NamedTuple):
    """Cumulants of whole queries, the same if stages were independent, and the correlation of stages; by row."""

    total: Cumulants
    apart: Cumulants
    correlation: FloatArray


def sum_of_stages(layers: IntArray, stages: tuple[Cumulants, Cumulants, Cumulants], overlap: Overlap) -> QuerySum:
    """Approximation: mean, variance and third central moment of whole queries; shape (rows,).

    The variance gains ``c (LL + LA)``, with LL and LA the sums of products of deviations over pairs of layers and over pairs of
    a layer and the aggregation, and ``c = min(1, 0.856 (LL h_LL + LA h_LA) / (LL + LA))``; the third moment gains ``c^1.1``
    times what full dependence would add.
    """
    first, later, home = stages
    more = layers - 1
    mean, variance, third = (first[i] + more * np.where(more > 0, later[i], 0.0) + home[i] for i in range(3))
    deviations = np.sqrt(first.variance) + more * np.sqrt(np.where(more > 0, later.variance, 0.0))
    # differences of nearly equal numbers where one stage is all there is: rounding must not make them negative
    pairs_of_layers = np.maximum(deviations**2 - (variance - home.variance), 0.0)
    with_home = 2 * deviations * np.sqrt(home.variance)
    both = pairs_of_layers + with_home
    weighted = pairs_of_layers * overlap.layers + with_home * overlap.home
    shared = np.minimum(1.0, CORRELATION_SCALE * np.divide(weighted, both, out=np.zeros_like(both), where=both > 0))
    roots = np.cbrt(first.third) + more * np.cbrt(np.where(more > 0, later.third, 0.0)) + np.cbrt(home.third)
    gain = shared**CORRELATION_THIRD * (roots**3 - third)
    return QuerySum(Cumulants(mean, variance + shared * both, third + gain), Cumulants(mean, variance, third), shared)
