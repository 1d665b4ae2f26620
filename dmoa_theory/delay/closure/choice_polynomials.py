"""Chances that a layer's jobs are done, averaged exactly over the random choice of neighbours.

The choice is that of independent coins given that k come up heads (:mod:`dmoa_theory.model.selection`). A state holds, for
c = 0..k heads and j = 0..missing, the chance of c heads of which j jobs are not done yet, at many points of time at once.
States with more jobs undone are of no interest, for a layer that waits for r of k + 1 jobs ends when at most
``missing = k + 1 - r`` are undone.
"""

from __future__ import annotations

from dmoa_theory.delay.closure.compiled import inlined
from dmoa_theory.model.checks import FloatArray

__all__ = ["add_neighbour", "chance_of_choice", "extend_state", "join_states", "start_state"]


@inlined
def start_state(state: FloatArray, low: int, high: int) -> None:
    """Nobody yet: no heads, none undone; points ``low`` to ``high`` of a state of shape (k + 1, missing + 1, points)."""
    for c in range(state.shape[0]):
        for j in range(state.shape[1]):
            for i in range(low, high):
                state[c, j, i] = 0.0
    for i in range(low, high):
        state[0, 0, i] = 1.0


@inlined
def add_neighbour(state: FloatArray, coin: float, done: FloatArray, low: int, high: int) -> None:
    """One more coin, in place: tails, or heads with the job done, or heads with the job undone; ``done``: (points,)."""
    tails = 1.0 - coin
    for c in range(state.shape[0] - 1, 0, -1):
        for j in range(state.shape[1] - 1, 0, -1):
            here, less, undone = state[c, j], state[c - 1, j], state[c - 1, j - 1]
            for i in range(low, high):
                here[i] = here[i] * tails + coin * (less[i] * done[i] + undone[i] * (1.0 - done[i]))
        here, less = state[c, 0], state[c - 1, 0]
        for i in range(low, high):
            here[i] = here[i] * tails + coin * (less[i] * done[i])
    for j in range(state.shape[1]):
        here = state[0, j]
        for i in range(low, high):
            here[i] *= tails


@inlined
def extend_state(state: FloatArray, coin: float, done: FloatArray, more: FloatArray, points: int) -> None:
    """The same in another place: ``more`` becomes ``state`` and one more coin."""
    tails = 1.0 - coin
    for j in range(state.shape[1]):
        here, there = state[0, j], more[0, j]
        for i in range(points):
            there[i] = here[i] * tails
    for c in range(1, state.shape[0]):
        here, less, there = state[c, 0], state[c - 1, 0], more[c, 0]
        for i in range(points):
            there[i] = here[i] * tails + coin * (less[i] * done[i])
        for j in range(1, state.shape[1]):
            here, less, undone, there = state[c, j], state[c - 1, j], state[c - 1, j - 1], more[c, j]
            for i in range(points):
                there[i] = here[i] * tails + coin * (less[i] * done[i] + undone[i] * (1.0 - done[i]))


@inlined
def join_states(one: FloatArray, other: FloatArray, heads: int, joint: FloatArray, points: int) -> None:
    """Of two sets of neighbours together: chance of that many heads of which j are undone; shape (missing + 1, points)."""
    for j in range(joint.shape[0]):
        total = joint[j]
        for i in range(points):
            total[i] = 0.0
        for c in range(heads + 1):
            for undone in range(j + 1):
                left, right = one[c, undone], other[heads - c, j - undone]
                for i in range(points):
                    total[i] += left[i] * right[i]


@inlined
def chance_of_choice(coin: FloatArray, k: int, heads: FloatArray) -> float:
    """Chance that k of these coins come up heads; ``heads`` is room for k + 1 numbers."""
    for c in range(1, k + 1):
        heads[c] = 0.0
    heads[0] = 1.0
    for a in range(coin.size):
        p = coin[a]
        for c in range(k, 0, -1):
            heads[c] = heads[c] * (1.0 - p) + heads[c - 1] * p
        heads[0] *= 1.0 - p
    return float(heads[k])
