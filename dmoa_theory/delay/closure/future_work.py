"""Exact ingredients of the closure: the work that queries bring, what they still hold after a stage, and its covariance.

For user u and stage s, ``F_uj(s)`` is the mean work that a query in stage s will still bring to device j when the stage is
over: ``pi_uj (M - 1 - s)`` later layers, and the aggregation at home. ``Gamma_ij = sum_u lambda_u E[B_ui B_uj]`` with ``B_ui``
all the work that one query brings to device i.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.delay.closure.pairs import Pairs, joint_chances
from dmoa_theory.delay.closure.stage_sets import StageSets
from dmoa_theory.delay.closure.symmetric import SymmetricPairs
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage

__all__ = ["after_first_layer", "after_later_layers", "second_moments", "siblings_under_way"]


def _home_work(sets: StageSets) -> FloatArray:
    """Mean work of the aggregation, at the own device's entry; 0 elsewhere."""
    return np.where(sets.remote, 0.0, sets.mean[:, Stage.AGGREGATE])


def after_first_layer(sets: StageSets) -> FloatArray:
    """Exact: mean work that follows the first layer, by entry (s)."""
    M = sets.spread(sets.layers)
    return np.asarray(sets.inclusion * (M - 1) * sets.mean[:, Stage.LATER] + _home_work(sets))


def after_later_layers(sets: StageSets) -> FloatArray:
    """Exact: mean work that follows a later layer, summed over the later layers, by entry (s)."""
    M = sets.spread(sets.layers)
    return np.asarray(sets.inclusion * ((M - 1) * (M - 2) / 2) * sets.mean[:, Stage.LATER] + (M - 1) * _home_work(sets))


def second_moments(sets: StageSets, pairs: Pairs | SymmetricPairs, second: FloatArray) -> FloatArray:
    """Exact: ``Gamma`` along the pattern, s.

    Parameters
    ----------
    sets : StageSets
    pairs : Pairs
    second : ndarray, shape (n,), s
        Rate of the squares of all service times at each device, those of users without a row included.
    """
    rate, M = sets.spread(sets.rate), sets.spread(sets.layers)
    first, later = (np.where(sets.remote, sets.mean[:, stage], 0.0) for stage in (Stage.FIRST, Stage.LATER))
    work = sets.inclusion * (sets.mean[:, Stage.FIRST] + (M - 1) * sets.mean[:, Stage.LATER]) + _home_work(sets)
    gamma = pairs.sum_over_users(rate * work, work)
    if sets.weighted:
        for u in range(sets.user.size):
            entries = slice(int(sets.start[u]), int(sets.start[u + 1]))
            pi = sets.inclusion[entries]
            one, more = first[entries], later[entries]
            together = np.outer(one, one) + (sets.layers[u] - 1) * np.outer(more, more)
            added = sets.rate[u] * (joint_chances(sets, u) - np.outer(pi, pi)) * together
            np.add.at(gamma, pairs.among(u), added.ravel())
    else:
        k, d = sets.asked, np.diff(sets.start) - 1
        excess = k * (k - 1) / np.maximum(d * (d - 1), 1) - (k / np.maximum(d, 1)) ** 2
        apart = sets.spread(sets.rate * excess)
        gamma += pairs.sum_over_users(apart * first, first) + pairs.sum_over_users(apart * (M - 1) * later, later)
    stages = sets.inclusion**2 * (sets.mean[:, Stage.FIRST] ** 2 + (M - 1) * sets.mean[:, Stage.LATER] ** 2)
    gamma[pairs.diagonal] = second + sets.by_device(rate * (work**2 - stages - _home_work(sets) ** 2), second.size)
    return gamma


def siblings_under_way(sets: StageSets, pairs: Pairs | SymmetricPairs, sojourn: FloatArray) -> FloatArray:
    """Approximation: work for device j that is still on its way there while its sibling is at device i, by pair (s).

    ``sum_u lambda_u P(both asked) M S_j T_i (1 - exp(-(d_uj - d_ui) / T_i))`` over the users whose way to j is the longer, with
    T_i the sojourn at device i (``sojourn``, shape (n,), s).
    """
    total = np.zeros(pairs.size)
    M = sets.spread(sets.layers)
    way = (sets.there[:, 0] + (M - 1) * sets.there[:, 1]) / M
    work = sets.layer_mean()
    for u in range(sets.user.size):
        entries = slice(int(sets.start[u]), int(sets.start[u + 1]))
        stay = sojourn[sets.device[entries]][:, None]
        longer = np.maximum(way[entries][None, :] - way[entries][:, None], 0.0)
        held = joint_chances(sets, u) * work[entries][None, :] * stay * -np.expm1(-longer / stay)
        np.fill_diagonal(held, 0.0)
        np.add.at(total, pairs.among(u), (sets.rate[u] * sets.layers[u] * held).ravel())
    return total
