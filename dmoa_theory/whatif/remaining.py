"""The parts of a system that some of its devices and links leave behind: each a pure function of the part and of who stays."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.footprint import Footprint, MeasuredFootprint
from dmoa_theory.model.network import Network
from dmoa_theory.model.service import MeasuredServiceTime, ServiceTime

__all__ = ["remaining_footprint", "remaining_network", "remaining_service", "stays"]

_NAMED = 3


def stays(network: Network, keep: IntArray, lost_links: BoolArray) -> BoolArray:
    """Links between devices that stay, and are not lost themselves; shape (n_links,)."""
    there = np.zeros(network.n_devices, dtype=bool)
    there[keep] = True
    return np.asarray(there[network.link_sources()] & there[network.indices] & ~lost_links)


def remaining_network(network: Network, keep: IntArray, links: BoolArray) -> Network:
    """Exact: the network of the devices ``keep`` and the marked links; devices keep their names and order, links their delays.

    Parameters
    ----------
    network : Network
    keep : ndarray, shape (m,)
        Positions of the devices that stay, rising.
    links : ndarray of bool, shape (n_links,)
        From :func:`stays`.
    """
    place = np.full(network.n_devices, -1, dtype=network.indices.dtype)
    place[keep] = np.arange(keep.size)
    degree = np.bincount(network.link_sources()[links], minlength=network.n_devices)[keep]
    return Network(
        indptr=np.concatenate(([0], np.cumsum(degree))),
        indices=place[network.indices[links]],
        link_delay=np.asarray(network.link_delay)[links],
        names=tuple(network.name(u) for u in keep.tolist()),
        description=f"{network.description}{_without(network, keep, int((~links).sum()))}",
    )


def _without(network: Network, keep: IntArray, links: int) -> str:
    gone = np.delete(np.arange(network.n_devices), keep)
    if gone.size:
        names = [network.name(u) for u in gone[:_NAMED].tolist()]
        return f" without {', '.join(names)}{f' and {gone.size - _NAMED} more' if gone.size > _NAMED else ''}"
    return f" without {links} of its links" if links else ""


def _rows(array: npt.NDArray[Any], keep: IntArray, n: int) -> npt.NDArray[Any]:
    """The rows of those who stay; one row that serves all stays as it is."""
    return array[keep] if array.ndim and array.shape[0] == n else array


def _some(parts: tuple[Any, ...], keep: IntArray, n: int) -> tuple[Any, ...]:
    return tuple(parts[u] for u in keep.tolist()) if len(parts) == n else parts


def remaining_service(service: ServiceTime | MeasuredServiceTime, keep: IntArray, n: int) -> ServiceTime | MeasuredServiceTime:
    """Exact: the service times of the devices that stay, out of ``n``; those that one row describes stay as they are."""
    if service.n_devices is None:
        return service
    if isinstance(service, MeasuredServiceTime):
        return replace(service, profiles=_some(service.profiles, keep, n), tokens=_some(service.tokens, keep, n))
    arrays = {name: _rows(np.asarray(getattr(service, name)), keep, n) for name in ("mean", "scv", "mean_error")}
    samples = None if service.samples is None else _some(service.samples, keep, n)
    return ServiceTime(**arrays, law=service.law, samples=samples)


def remaining_footprint(
    footprint: Footprint | MeasuredFootprint | None, keep: IntArray, n: int
) -> Footprint | MeasuredFootprint | None:
    """Exact: the memory needs of the devices that stay, out of ``n``."""
    if footprint is None:
        return None
    if isinstance(footprint, MeasuredFootprint):
        given: dict[str, FloatArray] = {name: _rows(np.asarray(value), keep, n) for name, value in footprint.given.items()}
        return replace(
            footprint, profiles=_some(footprint.profiles, keep, n), tokens=_some(footprint.tokens, keep, n), given=given
        )
    return Footprint(**{part.name: _rows(getattr(footprint, part.name), keep, n) for part in fields(footprint)})
