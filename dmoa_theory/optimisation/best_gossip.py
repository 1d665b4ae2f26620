"""The best gossip where all users run one (M, k): a convex program, set anew and solved again until nothing is gained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.optimisation.programs.congestion import Congestion

if TYPE_CHECKING:
    from dmoa_theory.optimisation.search import Evaluated, Search

__all__ = ["best_common_with_gossip", "best_gossip"]


def best_common_with_gossip(search: Search, common: Evaluated | None) -> Evaluated | None:
    """The best plan with one configuration for all and gossip of its own; from the most accurate configuration down.

    Parameters
    ----------
    search : Search
    common : Evaluated or None
        The best with uniform gossip.
    """
    w, best = search.work, common
    worth = w.share @ search.accuracy
    for c in np.argsort(-worth, kind="stable").tolist():
        if not w.allowed[:, c].all() or not w.k[c]:
            continue
        if best is not None and search.objective == "accuracy" and float(worth[c]) < best.accuracy - 1e-12:
            break
        if best is not None and not search.time_left():
            break
        found = best_gossip(search, c)
        if found is not None and search.better(found, best):
            best = found
    return best


def best_gossip(search: Search, c: int, *, turns: int = 6) -> Evaluated | None:
    """Approximation: the gossip with the least mean latency when all run one configuration, the surrogate set anew each turn.

    Parameters
    ----------
    search : Search
    c : int
        Place of the configuration.
    turns : int
        Programs solved at most.
    """
    w = search.work
    choice = np.full(w.users.size, c)
    asked = w.uniform(choice)
    program = search.gossip_program(choice)
    cap = np.full(w.n, search.limits.max_utilisation)
    best = search.evaluate(choice, asked) if w.load(choice, asked).max() < 1 else None
    congestion = (
        Congestion.at(w, choice, asked, best.estimate) if best is not None else Congestion.pollaczek_khinchine(w, choice, asked)
    )
    for _ in range(turns):
        search.rounds += 1
        found_asked = program.solve(congestion, cap, scale=search.scale)
        if found_asked is None:
            return best
        found = search.evaluate(choice, found_asked)
        if best is None or found.figures.mean_latency < best.figures.mean_latency * (1 - 1e-4):
            best, congestion = found, Congestion.at(w, choice, found_asked, found.estimate)
        else:
            return best
    return best
