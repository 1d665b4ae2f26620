"""How fast the memory of devices fills while queues grow in proportion to time."""

from __future__ import annotations

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.service import Stage
from dmoa_theory.stability.growth.flows import Flows
from dmoa_theory.stability.growth.joins import Joins

__all__ = ["memory_growth", "memory_left"]


def memory_left(flows: Flows) -> FloatArray | None:
    """Exact: what the scenario's limit leaves beside weights and the largest cache; shape (n,), bytes.

    None without a limit or a footprint; negative where it does not even hold those.
    """
    system = flows.system
    limit, footprint, n = system.constraints.memory, system.footprint, system.n_devices
    if limit is None or footprint is None:
        return None
    most = np.zeros(n)
    for flow in flows.by_class(np.ones(n)):
        needs = footprint.for_k(flow.k)
        context = np.where(flow.rate > 0, np.broadcast_to(needs.context_tokens, (n, len(Stage))), 0.0).max(axis=1)
        most = np.maximum(most, np.broadcast_to(needs.weight_bytes, (n,)) + needs.kv_bytes_per_token * context)
    return np.asarray(limit - most)


def memory_growth(flows: Flows, x: FloatArray, phi: FloatArray) -> FloatArray | None:
    """Exact in the fluid limit where all answers are of one size: bytes/s that each device gains; shape (n,).

    Three things pile up. Prompts at the device: of those that arrived since ``t / x`` in each stage. Prompts at home, one for
    each layer that is out: forks since ``t / J``, ``1 - phi`` of their rate. Answers at home: a job forked at ``s`` is back at
    ``s x_j`` and waits until ``s J``, so the answers of a layer pile up at its fork rate times ``sum_c E[1 / X_c] - r phi``
    over the first ``r`` answers, ``X_c`` the c-th smallest ``x`` of those asked and ``r`` the quorum. Where sizes of answers
    differ by device, the mean over those asked is taken.

    None without a footprint.
    """
    system = flows.system
    footprint, n = system.footprint, system.n_devices
    if footprint is None:
        return None
    growth = np.zeros(n)
    piled = 1 - 1 / x
    for flow in flows.by_class(phi):
        prompt = np.broadcast_to(footprint.for_k(flow.k).prompt_bytes, (n, len(Stage)))
        growth += piled * (flow.rate * prompt).sum(axis=1)
    forks = flows.forks(phi)
    for joins in flows.joins:
        users = joins.users
        needs = footprint.for_k(joins.k)
        prompt = np.broadcast_to(needs.prompt_bytes, (n, len(Stage)))[users]
        out = forks.first[users] * prompt[:, Stage.FIRST] + forks.later[users] * prompt[:, Stage.LATER]
        growth[users] += out * (1 - phi[users])
        waiting = sum((joins.average(np.reciprocal, x, c) for c in range(1, joins.quorum)), np.zeros(users.size))
        waiting -= (joins.quorum - 1) * phi[users]
        growth[users] += (forks.first[users] + forks.later[users]) * waiting * _answer_bytes(flows, joins, needs)
    return np.asarray(growth)


def _answer_bytes(flows: Flows, joins: Joins, needs: Footprint) -> FloatArray:
    """Mean size of an answer over the devices that a layer asks; shape (m,), bytes."""
    system, users = flows.system, joins.users
    size = np.broadcast_to(needs.response_bytes, (system.n_devices,))
    asked = system.network.matrix(system.inclusion()) @ size
    return np.asarray((size[users] + asked[users]) / (joins.k + 1))
