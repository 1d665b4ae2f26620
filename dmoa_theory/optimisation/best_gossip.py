"""The best gossip where all users run one (M, k): a convex program, set anew and solved again until nothing is gained."""

from __future__ import annotations

import numpy as np

from dmoa_theory.optimisation.evaluated_plans import Evaluated, Plans
from dmoa_theory.optimisation.programs.congestion import Congestion

__all__ = ["best_common_with_gossip", "best_gossip"]


def best_common_with_gossip(plans: Plans, common: Evaluated | None) -> Evaluated | None:
    """The best plan with one configuration for all and gossip of its own; from the most accurate configuration down.

    Parameters
    ----------
    plans : Plans
    common : Evaluated or None
        The best with uniform gossip.
    """
    w, best = plans.work, common
    worth = w.share @ plans.accuracy
    for c in np.argsort(-worth, kind="stable").tolist():
        if not w.allowed[:, c].all() or not w.k[c]:
            continue
        if best is not None and plans.objective == "accuracy" and float(worth[c]) < best.accuracy - 1e-12:
            break
        if best is not None and not plans.time_left():
            break
        found = best_gossip(plans, c)
        if found is not None and plans.better(found, best):
            best = found
    return best


def best_gossip(plans: Plans, c: int, *, turns: int = 6) -> Evaluated | None:
    """Approximation: the gossip with the least mean latency when all run one configuration, the surrogate set anew each turn.

    Parameters
    ----------
    plans : Plans
    c : int
        Place of the configuration.
    turns : int
        Programs solved at most.
    """
    w = plans.work
    choice = np.full(w.users.size, c)
    asked = w.uniform(choice)
    program = plans.gossip_program(choice)
    cap = np.full(w.n, plans.limits.max_utilisation)
    best = plans.evaluate(choice, asked) if w.load(choice, asked).max() < 1 else None
    congestion = (
        Congestion.at(w, choice, asked, best.estimate) if best is not None else Congestion.pollaczek_khinchine(w, choice, asked)
    )
    for _ in range(turns):
        plans.rounds += 1
        found_asked = program.solve(congestion, cap, scale=plans.scale)
        if found_asked is None:
            return best
        found = plans.evaluate(choice, found_asked)
        if best is None or found.figures.mean_latency < best.figures.mean_latency * (1 - 1e-4):
            best, congestion = found, Congestion.at(w, choice, found_asked, found.estimate)
        else:
            return best
    return best
