"""From inclusion probabilities to what a system and a scenario take: selection weights, and the CSV of ``moa.selection``."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.network import Network
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins
from dmoa_theory.whole_files import write_whole

__all__ = ["selection_weights", "write_selection"]

#: Probabilities nearer than this to 0 or 1 are 0 or 1, and every other one is met this closely.
_EDGE = 1e-11
_MOST_STEPS = 10_000


def selection_weights(network: Network, inclusion: FloatArray, asks: BoolArray) -> FloatArray:
    """Exact (to 1e-11): weights whose conditional-Poisson law has these inclusion probabilities; shape (n_links,).

    As :func:`dmoa_theory.model.selection.weights_from_inclusion` finds them, all users of like choice at once. Neighbours
    that are never asked get weight 0, those that are always asked infinity; users who do not ask keep equal weights.

    Parameters
    ----------
    network : Network
    inclusion : ndarray, shape (n_links,)
    asks : ndarray, shape (n,)
        Users whose probabilities matter.
    """
    weight = np.ones(network.n_links)
    degree, used = network.out_degree, asks[network.link_sources()]
    between = used & (inclusion > _EDGE) & (inclusion < 1 - _EDGE)
    certain = used & (inclusion >= 1 - _EDGE)
    weight[used] = np.where(certain, np.inf, 0.0)[used]
    open_links, certain_links = (_count(network, marked) for marked in (between, certain))
    left = np.where(asks, _count(network, np.where(used, inclusion, 0.0)) - certain_links, 0)
    settled = (left == 0) | (left == open_links)  # what is between is rounding
    weight[between & np.repeat(settled & (left > 0), degree)] = np.inf
    work = np.where(asks & ~settled, left, 0)
    for size, count in np.unique(np.column_stack((open_links, work))[work > 0], axis=0).tolist():
        users = np.flatnonzero((open_links == size) & (work == count))
        member = np.zeros(degree.size, dtype=bool)
        member[users] = True
        links = np.flatnonzero(between & np.repeat(member, degree)).reshape(users.size, size)
        weight[links] = _solve(inclusion[links], count)
    return weight


def _count(network: Network, values: FloatArray | BoolArray) -> IntArray:
    """Sum over each user's links, to the nearest whole number; shape (n,)."""
    return np.rint(np.bincount(network.link_sources(), values, network.n_devices)).astype(np.int64)


def _solve(inclusion: FloatArray, k: int) -> FloatArray:
    """Weights of many users at once, a row each, by the iteration of ``weights_from_inclusion``."""
    weight = _odds(inclusion)
    target = coin_chances(weight, k)
    rows = np.arange(len(inclusion))
    for _ in range(_MOST_STEPS):
        reached = inclusion_from_coins(coin_chances(weight[rows], k), k)
        off = np.abs(reached - target[rows]).max(axis=1) >= _EDGE
        rows, reached = rows[off], reached[off]
        if not rows.size:
            return weight
        weight[rows] *= (_odds(target[rows]) / _odds(reached)) ** (2 / 3)
    raise InputError("selection", "probabilities very close to 0 or 1", "probabilities that a choice of k neighbours can meet")


def _odds(chance: FloatArray) -> FloatArray:
    inside = np.clip(chance, 1e-15, 1 - 1e-15)
    return np.asarray(inside / (1 - inside))


def write_selection(network: Network, inclusion: FloatArray, asks: BoolArray, path: str | os.PathLike[str]) -> Path:
    """Write inclusion probabilities as the CSV that ``moa.selection`` reads; links that are never used are left out.

    Parameters
    ----------
    network : Network
    inclusion : ndarray, shape (n_links,)
    asks : ndarray, shape (n,)
        Users who are written.
    path : path
        Folders that are missing are made.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        When it cannot be written there.
    """
    path = Path(path)
    sources = network.link_sources()
    names = [_written(network, u) for u in range(network.n_devices)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("from", "to", "probability"))
    for link in np.flatnonzero(asks[sources] & (inclusion > 0)).tolist():
        writer.writerow((names[sources[link]], names[network.indices[link]], f"{inclusion[link]:.12g}"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text.getvalue())
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise InputError("", reason, "a place where a file can be written", file=str(path)) from None
    return path


def _written(network: Network, u: int) -> str:
    """A device by name; by number where the reader, who strips blanks, would not know the name again."""
    name = network.name(u)
    return name if name == name.strip() else str(u)
