"""How likely a user gets an answer when devices and links are up by chance, each independently of the others.

A query is short beside the times between failures, so every device is taken as up or down for the whole of it. The own device
must be up: it collects the answers and aggregates. Then

- who knows who is up, and asks as many of these as it can (``"fewer"``), is always answered;
- who knows who is up, but needs k of them (``"cut-off"``), is answered when at least k neighbours can be reached: a
  Poisson-binomial probability;
- who does not know (blind) draws its k from all neighbours in each layer, and a layer ends when ``quorum - 1`` of them answer
  beside the own device. Given the neighbours that are up, layers are independent, so the probability is the mean of the M-th
  power of that of one layer.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dmoa_theory.model.checks import BoolArray, FloatArray
from dmoa_theory.model.selection import head_counts
from dmoa_theory.model.system import System
from dmoa_theory.whatif.asking import asking
from dmoa_theory.whatif.loss import WhenShort

__all__ = ["answer_probability", "blind_probability"]

#: Neighbours up to which a weighted blind draw is summed over all sets of those up.
_ALL_SETS = 14


def answer_probability(
    system: System, devices: FloatArray, links: FloatArray, when_short: WhenShort, *, blind: bool = False
) -> tuple[FloatArray, BoolArray]:
    """Exact, or where so marked a lower bound: the probability that each user's prompt is answered.

    Parameters
    ----------
    system : System
    devices : ndarray, shape (n,)
        Probability that each device is up.
    links : ndarray, shape (n_links,)
        Probability that each directed link is.
    when_short : WhenShort
    blind : bool
        Users do not know who is up.

    Returns
    -------
    probability : ndarray, shape (n,)
        NaN for users without prompts.
    exact : ndarray of bool, shape (n,)
        False where the probability is a lower bound: a weighted blind draw from more than 14 neighbours over several layers.
    """
    now = asking(system)
    _, _, quorum = system.moa.per_user(system.n_devices)
    found = np.where(system.rates > 0, devices, np.nan)
    exact = np.ones(found.size, dtype=bool)
    if when_short is WhenShort.FEWER and not blind:
        return found, exact
    reach, weights = devices[now.target] * links[now.place], now.weights()
    for u, (start, stop) in enumerate(pairwise(now.rows().tolist())):
        if start == stop:
            continue
        k, up = int(now.k[u]), reach[start:stop]
        if blind:
            weight = np.ones(up.size) if weights is None else weights[start:stop]
            chance, sure = blind_probability(up, weight, k, int(quorum[u]) - 1, int(now.M[u]))
            found[u] *= chance
            exact[u] = sure
        else:
            found[u] *= 1 - head_counts(up, k - 1).sum() if k else 1.0
    return found, exact


def blind_probability(up: FloatArray, weight: FloatArray, k: int, needed: int, layers: int) -> tuple[float, bool]:
    """Exact, or a lower bound: that in every layer at least ``needed`` of the k neighbours drawn are up.

    Parameters
    ----------
    up : ndarray, shape (d,)
        Probability that each neighbour is up.
    weight : ndarray, shape (d,)
        Selection weights, above zero; equal for a uniform draw.
    k, needed, layers : int

    Returns
    -------
    probability : float
    exact : bool
        False for the bound by Jensen's inequality, ``E[q^M] >= E[q]^M``.

    Examples
    --------
    One of two neighbours drawn, each up half of the time, in one layer and in two:

    >>> import numpy as np
    >>> from dmoa_theory.whatif.answers import blind_probability
    >>> [blind_probability(np.array([0.5, 0.5]), np.ones(2), 1, 1, M)[0] for M in (1, 2)]
    [0.5, 0.375]
    """
    if needed <= 0:
        return 1.0, True
    if (weight == weight[0]).all():
        count = head_counts(up, up.size)
        return float(count @ _drawn_up(up.size, k, needed) ** layers), True
    if layers > 1 and up.size <= _ALL_SETS:
        sets = (np.arange(2**up.size)[:, None] >> np.arange(up.size)) & 1 == 1
        chance = np.where(sets, up, 1 - up).prod(axis=1)
        return float(chance @ np.clip(_weighted_layer(sets.astype(np.float64), weight, k, needed), 0, 1) ** layers), True
    one = float(np.clip(_weighted_layer(up[None, :], weight, k, needed)[0], 0, 1))
    return one**layers, layers == 1


def _drawn_up(d: int, k: int, needed: int) -> FloatArray:
    """Probability that at least ``needed`` of k drawn from d are up, when 0, 1, ..., d of these are; shape (d + 1,)."""
    from scipy.stats import hypergeom

    return np.asarray(hypergeom.sf(needed - 1, d, np.arange(d + 1), k), dtype=np.float64)


def _weighted_layer(up: FloatArray, weight: FloatArray, k: int, needed: int) -> FloatArray:
    """Probability that one layer's draw holds at least ``needed`` that are up, for rows of chances to be up; shape (rows,).

    The draw is that of coins given k heads; each neighbour drawn is up or not. Sums over sets of neighbours become a
    recursion in two counts: how many are drawn, and how many of these are up.
    """
    from dmoa_theory.model.selection import coin_chances

    coins = coin_chances(weight, k)
    joint = np.zeros((up.shape[0], k + 1, k + 1))
    joint[:, 0, 0] = 1.0
    for j, p in enumerate(coins.tolist()):
        drawn = np.zeros_like(joint)
        drawn[:, 1:, :] += joint[:, :-1, :] * (1 - up[:, j, None, None])
        drawn[:, 1:, 1:] += joint[:, :-1, :-1] * up[:, j, None, None]
        joint = (1 - p) * joint + p * drawn
    total = joint[:, k, :].sum(axis=1)
    return np.asarray(joint[:, k, needed:].sum(axis=1) / total)
