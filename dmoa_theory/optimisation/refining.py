"""Plans by user, mended choice by choice with the full theory, which no program solves."""

from __future__ import annotations

import time

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.optimisation.evaluated_plans import Evaluated, Plans
from dmoa_theory.optimisation.programs.mixed import tidied

__all__ = ["best_of_all", "improved"]

# Choices of all users that are gone through one by one, where there are no more.
_ALL_CHOICES = 1000


def improved(plans: Plans, best: Evaluated, seconds: float) -> Evaluated:
    """Local search with the full theory: one user at a time a better configuration, while the limits hold.

    Parameters
    ----------
    plans : Plans
    best : Evaluated
        A plan that meets them.
    seconds : float
        After which no further plan is tried.
    """
    w = plans.work
    until = time.perf_counter() + seconds
    if plans.objective != "accuracy" or not plans.per_user:
        return best
    while time.perf_counter() < until:
        gains = np.where(w.allowed, plans.accuracy - plans.accuracy[np.arange(w.users.size), best.choice][:, None], 0.0)
        gains *= w.share[:, None]
        moved = False
        for u, c in sorted(np.argwhere(gains > 1e-9).tolist(), key=lambda each: -gains[each[0], each[1]]):
            choice = best.choice.copy()
            choice[u] = c
            asked = _asked_after(plans, best, choice, u)
            if w.load(choice, asked).max() > plans.limits.max_utilisation:
                continue
            if time.perf_counter() > until:
                break
            found = plans.evaluate(choice, asked)
            if plans.better(found, best):
                best, moved = found, True
                break
        if not moved:
            break
    return best


def best_of_all(plans: Plans, best: Evaluated | None, seconds: float) -> tuple[Evaluated | None, int | None]:
    """Exact, by the full theory, where users are few: the most accurate of all their choices that meets the limits.

    Choices more accurate than the best so far are evaluated from the most accurate down.

    Parameters
    ----------
    plans : Plans
        For the most accuracy, with uniform gossip.
    best : Evaluated or None
        The best plan so far.
    seconds : float
        After which no further plan is tried.

    Returns
    -------
    Evaluated or None
        The plan given, or a more accurate one.
    int or None
        The number of all choices, each of which is less accurate, was evaluated, or overloads a device; None where there are
        too many, or time ran out.
    """
    w = plans.work
    count = len(w.configurations) ** w.users.size
    if plans.objective != "accuracy" or plans.gossip or not plans.per_user or count > _ALL_CHOICES:
        return best, None
    users = np.arange(w.users.size)
    choices = np.stack(np.unravel_index(np.arange(count), (len(w.configurations),) * w.users.size), axis=1)
    worth = plans.accuracy[users, choices] @ w.share
    least = max(-np.inf if best is None else best.accuracy + 1e-9, plans.limits.min_accuracy or 0.0)
    better = np.flatnonzero(w.allowed[users, choices].all(axis=1) & (worth >= least - 1e-12))
    until = time.perf_counter() + seconds
    for place in better[np.argsort(-worth[better], kind="stable")].tolist():
        choice = choices[place]
        asked = w.uniform(choice)
        if w.load(choice, asked).max() > plans.limits.max_utilisation * (1 + 1e-9):
            continue
        if time.perf_counter() > until:
            return best, None
        found = plans.evaluate(choice, asked)
        if found.feasible:
            return found, count
    return best, count


def _asked_after(plans: Plans, best: Evaluated, choice: IntArray, u: int) -> FloatArray:
    """Whom users ask once user ``u`` runs another configuration: as before, scaled to its k."""
    w = plans.work
    uniform = w.uniform(choice)
    if not plans.gossip:
        return uniform
    mine = w.link_user == u
    now = float(best.asked[mine].sum())
    kept = best.asked * (float(w.k[choice[u]]) / now) if now > 0 else uniform
    return tidied(w, choice, np.where(mine, np.clip(kept, 0.0, 1.0), best.asked), plans.least)
