"""How far one user's rate can grow, the others fixed; and the load that one prompt a second of each user brings."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System, UserGroup

__all__ = ["critical_rates", "unit_loads"]

# Links are walked in blocks of about this many.
_BLOCK = 2**17


def _work_per_visit(system: System) -> tuple[FloatArray, list[tuple[FloatArray, UserGroup]]]:
    """Work at home per prompt of each user, shape (n,), and for each group that asks anybody the work that its asking brings.

    The latter in seconds of work at each device per prompt and unit of inclusion probability, shape (n,).
    """
    n = system.n_devices
    own = np.zeros(n)
    asked = []
    for group in system.groups():
        mean = np.broadcast_to(system.service.for_k(group.k).mean, (n, len(Stage)))
        layers = mean[:, Stage.FIRST] + max(group.M - 1, 0) * mean[:, Stage.LATER]
        own[group.rows] = (layers + (group.M > 0) * mean[:, Stage.AGGREGATE])[group.rows]
        if group.M > 0 and group.k > 0:
            asked.append((layers, group))
    return own, asked


def unit_loads(system: System) -> tuple[FloatArray, FloatArray]:
    """Load per unit rate: of each user on its own device, shape (n,), and over each link, shape (n_links,); seconds."""
    own, asked = _work_per_visit(system)
    on_link = np.zeros(system.network.n_links)
    sources = system.network.link_sources()
    for layers, group in asked:
        member = np.zeros(system.n_devices, dtype=bool)
        member[group.rows] = True
        on_link = np.where(member[sources], layers[system.network.indices], on_link)
    return own, on_link * system.inclusion()


def critical_rates(system: System, slack: FloatArray) -> FloatArray:
    """Each user's largest rate, the others fixed: ``lambda_u + min_j slack_j / a_ju`` over the devices that it loads."""
    own, asked = _work_per_visit(system)
    headroom = np.divide(slack, own, out=np.full(own.size, -np.inf), where=own > 0)
    for layers, group in asked:
        users = group.rows
        headroom[users] = np.minimum(headroom[users], _least_over_neighbours(system, slack / layers, group))
    rate = system.rates + headroom
    rate = np.where(rate > 1e-12 * np.abs(headroom), rate, 0.0)  # what is left of a difference of equals is rounding
    return np.where(system.can_ask() & _touches_all(system, slack <= 0), rate, 0.0)


def _least_over_neighbours(system: System, room: FloatArray, group: UserGroup) -> FloatArray:
    """Smallest ``room_j / pi_uj`` over the neighbours of each user of a group; shape (n_users,).

    Links are walked in blocks that fit the processor's cache: on large networks fresh memory costs more than arithmetic.
    """
    network, degree = system.network, system.network.out_degree
    least = np.full(system.n_devices, np.inf)
    inclusion = None if system.moa.is_uniform else system.inclusion()
    buffer = np.empty(min(network.n_links, _BLOCK + int(degree.max())))
    for start, stop in _blocks(network.indptr):
        links = slice(int(network.indptr[start]), int(network.indptr[stop]))
        # mode "clip" writes straight into the buffer; the indices are known to be in range
        value = np.take(room, network.indices[links], out=buffer[: links.stop - links.start], mode="clip")
        if inclusion is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                value = np.where(inclusion[links] > 0, value / inclusion[links], np.inf)
        rows = start + np.flatnonzero(degree[start:stop])  # an empty row has no first link to start from
        if rows.size:
            least[rows] = np.minimum.reduceat(value, network.indptr[rows] - links.start)
    mine = least[group.rows]
    return mine if inclusion is not None else mine * (degree[group.rows] / group.k)


def _blocks(indptr: IntArray) -> list[tuple[int, int]]:
    """Ranges of rows that hold about ``_BLOCK`` links each."""
    n = indptr.size - 1
    cuts = np.searchsorted(indptr, np.arange(_BLOCK, int(indptr[-1]), _BLOCK))
    edges = np.unique(np.concatenate(([0], cuts, [n]))).tolist()
    return list(pairwise(edges))


def _touches_all(system: System, overloaded: BoolArray) -> BoolArray:
    """Users who load every critical or overloaded device, whose smaller rate could mend all; everybody if there is none."""
    count = int(overloaded.sum())
    if count == 0:
        return np.ones(system.n_devices, dtype=bool)
    hit = overloaded[system.network.indices] & (system.inclusion() > 0)
    before = np.concatenate(([0], np.cumsum(hit)))
    touched = before[system.network.indptr[1:]] - before[system.network.indptr[:-1]] + overloaded
    return np.asarray(touched == count)
