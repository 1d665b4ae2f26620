"""From a plan by user to a system that runs it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.programs.work import Work
from dmoa_theory.stability.gossip.selection import selection_weights

__all__ = ["settle"]


def settle(work: Work, choice: IntArray, asked: FloatArray | None) -> System:
    """The system in which every user runs its configuration and asks with these probabilities.

    Parameters
    ----------
    work : Work
    choice : ndarray of int, shape (U,)
        Place of each user's configuration.
    asked : ndarray, shape (L,), or None
        Inclusion probabilities of the links of users; None for uniform gossip.
    """
    n = work.n
    M, k = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    M[work.users] = [work.configurations[c][0] for c in choice]
    k[work.users] = work.k[choice]
    system = work.system
    weight = None
    if asked is not None and not np.allclose(asked, work.uniform(choice), atol=1e-9):
        inclusion = np.zeros(system.network.n_links)
        inclusion[work.links] = asked
        asks = np.zeros(n, dtype=bool)
        asks[work.users] = work.k[choice] > 0
        weight = selection_weights(system.network, inclusion, asks)
    quorum = None if work.quorum is None else np.minimum(work.quorum, k + 1)
    return replace(system, moa=MoA(M, k, quorum, selection_weight=weight))
