"""What asking costs: the work that a prompt of each user brings to whomever it asks, and to its own device."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_DOWN, Decimal, localcontext

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.gossip.program import Program

__all__ = ["capacity_program", "work_of_groups"]


def work_of_groups(system: System) -> Iterator[tuple[FloatArray, IntArray]]:
    """Exact: for users who run the same (M, k), seconds of work of all their layers at each device (shape (n,)), and who.

    A prompt that asks device ``i`` in every layer brings it ``mean_first + (M - 1) mean_later``, which may depend on the
    user's k. Users who ask nobody are left out.
    """
    M, k, _ = system.moa.per_user(system.n_devices)
    runs = np.column_stack((M, k))
    for group_M, group_k in np.unique(runs[k > 0], axis=0).tolist():
        mean = np.broadcast_to(system.service.for_k(group_k).mean, (system.n_devices, len(Stage)))
        work = mean[:, Stage.FIRST] + (group_M - 1) * mean[:, Stage.LATER]
        yield work, np.flatnonzero((runs == (group_M, group_k)).all(axis=1))


def _rounded_down(share: float) -> str:
    """Six digits of a share, never more than it: what is printed as the largest has to be accepted."""
    with localcontext(prec=6, rounding=ROUND_DOWN):
        return f"{+Decimal(share):g}"


def capacity_program(system: System, growth: FloatArray | None, least: float) -> Program:
    """Exact: the linear program of a system; users who have no prompts, and get none, stay out of it.

    Parameters
    ----------
    system : System
    growth : ndarray, shape (n,), prompts/s, optional
    least : float

    Raises
    ------
    InputError
        When a user who is to grow has too few neighbours, or the least probability is more than a user can keep.
    """
    network, n = system.network, system.n_devices
    M, k, _ = system.moa.per_user(n)
    speaks = (system.rates > 0) | (growth > 0 if growth is not None else False)
    own = np.zeros(n)
    for group_M, group_k in np.unique(np.column_stack((M, k)), axis=0).tolist():
        mean = np.broadcast_to(system.service.for_k(group_k).mean, (n, len(Stage)))
        layers = mean[:, Stage.FIRST] + max(group_M - 1, 0) * mean[:, Stage.LATER]
        member = (group_M == M) & (group_k == k)
        own[member] = (layers + (group_M > 0) * mean[:, Stage.AGGREGATE])[member]
    short = speaks & (k > network.out_degree)
    if growth is not None and short.any():
        u = int(np.flatnonzero(short)[0])
        raise InputError(f"direction[{u}]", float(growth[u]), f"0 for {network.name(u)}, which has fewer neighbours than its k")
    sources = network.link_sources().astype(np.int64)
    on_link = np.zeros(network.n_links)
    for work, users in work_of_groups(system):
        mine = np.isin(sources, users)
        on_link[mine] = work[network.indices[mine]]
    kept = (speaks & (k > 0))[sources]
    tight = np.divide(k, network.out_degree, out=np.ones(n), where=(k > 0) & speaks)
    if least > tight.min():
        u = int(tight.argmin())
        who = f"device {network.name(u)} asks {k[u]} of its {network.out_degree[u]} neighbours in a layer"
        raise InputError("min_inclusion", least, f"at most {_rounded_down(float(tight[u]))}: {who}")
    return Program(
        rates=system.rates,
        growth=growth,
        own=own,
        source=sources[kept],
        target=network.indices[kept].astype(np.int64),
        work=on_link[kept],
        k=np.where(speaks, k, 0),
        least=least,
        speed=np.ones(n),
    )
