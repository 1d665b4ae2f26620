"""One request asked of many scenarios: what does not change between them is worked out, and compiled, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.accuracies import Accuracies, accuracies
from dmoa_theory.optimisation.candidates import Evaluations
from dmoa_theory.optimisation.choose import optimise
from dmoa_theory.optimisation.decision import Decision
from dmoa_theory.optimisation.evaluated_plans import proportion
from dmoa_theory.optimisation.individual import IndividualPlan, plan_by_user, search_for
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.search import Search

__all__ = ["Answering", "Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is sought of every scenario; see :func:`dmoa_theory.optimise` and :func:`~.individual.plan_by_user`."""

    objective: str = "accuracy"
    robust: bool = True
    fitted: bool = True
    per_user: bool = False
    gossip: bool = False
    least: float = 0.0
    gap: float = 1e-3
    time_limit: float = 10.0
    solver: str = "HIGHS"

    @property
    def by_user(self) -> bool:
        """Whether a plan by user is asked for."""
        return self.per_user or self.gossip

    def of_plan(self) -> dict[str, Any]:
        """The options of :func:`~dmoa_theory.optimisation.individual.plan_by_user`."""
        names = ("objective", "per_user", "gossip", "robust", "least", "gap", "time_limit", "solver")
        return {name: getattr(self, name) for name in names}


class Answering:
    """Answers to one request for one scenario after another, the same as if each were asked anew.

    Parameters
    ----------
    asked : Asked

    Notes
    -----
    Where scenarios differ in their limits alone, no configuration is evaluated twice and no program is compiled twice; where
    they differ in one factor on all rates as well, evaluations are new and programs stay compiled. Solvers start afresh every
    time, so no answer depends on those before it, unless a time limit cuts it short.

    Examples
    --------
    >>> from dmoa_theory import load_scenario
    >>> answering, system = Answering(Asked()), load_scenario()
    >>> first = answering.decide(system, Limits(mean_latency=300.0))
    >>> again = answering.decide(system, Limits(mean_latency=200.0), only_limits=True)
    >>> len(first.candidates) == len(again.candidates)
    True
    """

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self._evaluations: Evaluations | None = None
        self._search: Search | None = None
        self._known: Accuracies | None = None
        self._rates: FloatArray | None = None

    def decide(self, system: System, limits: Limits, *, only_limits: bool = False) -> Decision:
        """One (M, k) for all, not simulated.

        Parameters
        ----------
        system : System
        limits : Limits
        only_limits : bool
            Whether the system is that of the last time in all but its limits.
        """
        last = self._evaluations if only_limits else None
        self._evaluations = Evaluations(system, limits) if last is None else last.under(limits)
        return optimise(
            system,
            evaluations=self._evaluations,
            objective=self.asked.objective,
            robust=self.asked.robust,
            fitted=self.asked.fitted,
            simulation=False,
            explain=False,
        )

    def plan(self, system: System, limits: Limits, *, only_limits: bool = False, only_rates: bool = False) -> IndividualPlan:
        """A plan by user, not simulated.

        Parameters
        ----------
        system : System
        limits : Limits
        only_limits, only_rates : bool
            Whether the system is that of the last time in all but its limits, or in all but limits and rates.
        """
        asked = self.asked
        known = self._accuracies(system, only_limits or only_rates)
        worth = known.lower if asked.robust else known.expected
        options = asked.of_plan()
        search = self._search if only_limits or only_rates else None
        if search is None or not _serves(search, system, limits):
            search = search_for(system, known.configurations, worth, limits, **options)
        self._search, self._rates = search, system.rates
        kept: dict[str, Any] = {"expected": known.expected, "simulation": False, "search": search}
        return plan_by_user(system, known.configurations, worth, limits, **options, **kept)

    def _accuracies(self, system: System, same: bool) -> Accuracies:
        """Accuracies by user; those of the last time where the same users ask the same system."""
        known, rates = self._known, self._rates
        if not same or known is None or rates is None or not np.array_equal(rates > 0, system.rates > 0):
            known = accuracies(system, fitted=self.asked.fitted)
        self._known = known
        return known


def _serves(search: Search, system: System, limits: Limits) -> bool:
    """Whether the programs of an earlier search are those that these limits and rates ask for."""
    same_cap = limits.max_utilisation == search.most_load
    return same_cap and proportion(search.built.system.rates, system.rates) is not None
