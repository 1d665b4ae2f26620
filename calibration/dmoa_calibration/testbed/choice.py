"""Which neighbours a layer asks: k distinct ones at random, uniformly or by the scenario's selection weights.

The law is the model's own, conditional-Poisson sampling (:mod:`dmoa_theory.model.selection`); among the neighbours that are
there it stays what it is given that the others are not asked. A draw depends on the seed, the query and the layer alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from dmoa_theory.model.selection import coin_chances

__all__ = ["choose_neighbours", "generator_for"]


def generator_for(seed: int, *about: object) -> np.random.Generator:
    """Random numbers that belong to one thing, such as a job, whenever and wherever they are drawn.

    Examples
    --------
    >>> generator_for(7, "query-1", 0).random() == generator_for(7, "query-1", 0).random()
    True
    """
    said = "\0".join(str(each) for each in (seed, *about))
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.blake2b(said.encode(), digest_size=16).digest(), "big")))


def choose_neighbours(
    candidates: Sequence[str], weights: Mapping[str, float] | None, k: int, rng: np.random.Generator
) -> list[str]:
    """Draw k distinct neighbours, or all that can be had if they are fewer.

    Parameters
    ----------
    candidates : sequence of str
        Those that may be asked now, each once.
    weights : mapping, optional
        Selection weight of each, from 0 (never) to infinity (always); default uniform.
    k : int
    rng : numpy.random.Generator

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> sorted(choose_neighbours(["a", "b", "c"], {"a": np.inf, "b": 1.0, "c": 0.0}, 2, rng))
    ['a', 'b']
    """
    usable = [name for name in candidates if weights is None or weights.get(name, 0.0) > 0]
    if k >= len(usable):
        return usable
    if weights is None or len({weights[name] for name in usable}) == 1:
        return [usable[i] for i in rng.permutation(len(usable))[:k]]
    chance = _chances(tuple(weights[name] for name in usable), k)
    chosen: list[str] = []
    for j, name in enumerate(usable):
        needed = k - len(chosen)
        if needed and rng.random() < chance[j, needed]:
            chosen.append(name)
    return chosen


@lru_cache(maxsize=256)
def _chances(weights: tuple[float, ...], k: int) -> np.ndarray:
    """Chance that neighbour j is taken when r are still needed and those before it are decided; shape (d, k + 1)."""
    array = np.array(weights)
    spare = max(0, int(np.isinf(array).sum()) - k)  # more are asked always than there is room for: they are alike
    if spare:
        array = np.isinf(array).astype(np.float64)
    p = coin_chances(array, k)
    d = p.size
    tail = np.zeros((d + 1, k + 1))  # chance of r heads among the coins from j on
    tail[d, 0] = 1.0
    for j in range(d - 1, -1, -1):
        tail[j] = tail[j + 1] * (1 - p[j])
        tail[j, 1:] += tail[j + 1, :-1] * p[j]
    taken = np.zeros((d, k + 1))
    np.divide(p[:, None] * tail[1:, :-1], tail[:-1, 1:], out=taken[:, 1:], where=tail[:-1, 1:] > 0)
    return taken
