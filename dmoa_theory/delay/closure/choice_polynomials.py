"""Chances that a layer's jobs are done, averaged exactly over the random choice of neighbours.

The choice is that of independent coins given that k come up heads (:mod:`dmoa_theory.model.selection`). A state holds, for
c = 0..k heads and j = 0..missing, the chance of c heads of which j jobs are not done yet; states with more jobs undone are of
no interest, for a layer that waits for r of k + 1 jobs ends when at most ``missing = k + 1 - r`` are undone.
"""

from __future__ import annotations

from dmoa_theory.delay.closure.compiled import inlined
from dmoa_theory.model.checks import FloatArray

__all__ = ["add_neighbour", "at_most_undone", "copy_state", "join_states", "start_state"]


@inlined
def start_state(state: FloatArray) -> None:
    """Nobody yet: no heads, none undone."""
    for c in range(state.shape[0]):
        for j in range(state.shape[1]):
            state[c, j] = 0.0
    state[0, 0] = 1.0


@inlined
def copy_state(state: FloatArray, copy: FloatArray) -> None:
    """The same chances in another place."""
    for c in range(state.shape[0]):
        for j in range(state.shape[1]):
            copy[c, j] = state[c, j]


@inlined
def add_neighbour(state: FloatArray, coin: float, done: float) -> None:
    """One more coin: tails, or heads with the job done, or heads with the job undone."""
    heads_done, heads_undone, tails = coin * done, coin * (1.0 - done), 1.0 - coin
    for c in range(state.shape[0] - 1, 0, -1):
        for j in range(state.shape[1] - 1, 0, -1):
            state[c, j] = state[c, j] * tails + state[c - 1, j] * heads_done + state[c - 1, j - 1] * heads_undone
        state[c, 0] = state[c, 0] * tails + state[c - 1, 0] * heads_done
    for j in range(state.shape[1]):
        state[0, j] *= tails


@inlined
def join_states(one: FloatArray, other: FloatArray, heads: int, joint: FloatArray) -> None:
    """Of two sets of neighbours together: chance of that many heads of which j are undone, for j = 0..missing."""
    for j in range(joint.size):
        total = 0.0
        for c in range(heads + 1):
            for i in range(j + 1):
                total += one[c, i] * other[heads - c, j - i]
        joint[j] = total


@inlined
def at_most_undone(counts: FloatArray, own: float, most: int) -> float:
    """Chance that at most ``most`` of these neighbours' jobs and the own one are undone."""
    if most < 0:
        return 0.0
    total = 0.0
    for j in range(most):
        total += counts[j]
    return float(total + own * counts[most])
