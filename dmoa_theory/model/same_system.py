"""Whether two systems are the same, and if not, in what they differ first."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.service import ServiceTime
from dmoa_theory.model.system import System

__all__ = ["first_difference"]


def first_difference(a: System, b: System) -> str | None:
    """Exact: the first respect in which two systems differ, in words; None if their queues have one law.

    Titles, names, limits and accuracy tables may differ: no queue depends on them.

    Parameters
    ----------
    a, b : System

    Examples
    --------
    >>> from dmoa_theory.model.same_system import first_difference
    >>> from dmoa_theory import System
    >>> slow = System.from_arrays([[0, 1], [1, 0]], 0.01, 20.0, M=1, k=1)
    >>> first_difference(slow, slow.with_rates([0.01, 0.02]))
    'arrival rate of device-1: 0.01 against 0.02 prompts/s'
    """
    if a.n_devices != b.n_devices:
        return f"number of devices: {a.n_devices} against {b.n_devices}"
    n = a.n_devices
    apart = np.flatnonzero(a.rates != b.rates)
    if apart.size:
        u = int(apart[0])
        return f"arrival rate of {a.network.name(u)}: {a.rates[u]:g} against {b.rates[u]:g} prompts/s"
    for name, one, other in zip(("M", "k", "quorum"), a.moa.per_user(n), b.moa.per_user(n), strict=True):
        apart = np.flatnonzero(one != other)
        if apart.size:
            u = int(apart[0])
            return f"{name} of {a.network.name(u)}: {one[u]} against {other[u]}"
    for name in ("indptr", "indices"):
        if not np.array_equal(getattr(a.network, name), getattr(b.network, name)):
            return "links"
    if not np.array_equal(a.network.link_delay, b.network.link_delay):
        return "link delays"
    if not _same(a.moa.selection_weight, b.moa.selection_weight):
        return "choice of neighbours"
    if a.link_rate != b.link_rate:
        return f"link rate: {a.link_rate} against {b.link_rate} bytes/s"
    for group in a.groups():
        one_service, other_service = a.service.for_k(group.k), b.service.for_k(group.k)
        apart_in = _service_difference(one_service, other_service, n)
        if apart_in:
            return apart_in
        if (a.footprint is None) != (b.footprint is None):
            return "memory: one system says nothing of it"
        if a.footprint is not None and b.footprint is not None:
            needs, others = a.footprint.for_k(group.k), b.footprint.for_k(group.k)
            if not all(_same(getattr(needs, name), getattr(others, name)) for name in Footprint.__slots__):
                return "memory needs"
    return None


def _service_difference(a: ServiceTime, b: ServiceTime, n: int) -> str | None:
    if a.law is not b.law:
        return f"law of service: {a.law.value} against {b.law.value}"
    for name in ("mean", "scv"):
        one, other = (np.broadcast_to(getattr(service, name), (n, 3)) for service in (a, b))
        apart = np.argwhere(one != other)
        if apart.size:
            i, s = apart[0].tolist()
            return f"{name} of service of device {i}: {one[i, s]:g} against {other[i, s]:g}"
    return None if _same(a.samples, b.samples) else "samples of service times"


def _same(a: Any, b: Any) -> bool:
    """Whether both are absent, or hold the same numbers."""
    if a is None or b is None:
        return a is b
    if isinstance(a, tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(a, b)
