"""A plan by user: (M, k) and gossip of its own, solved on a surrogate and re-evaluated until the full theory agrees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.evaluated_plans import Evaluated
from dmoa_theory.optimisation.limits import Figures, Limits, figures_of
from dmoa_theory.optimisation.programs.mixed import Certificate
from dmoa_theory.optimisation.programs.settle import settle
from dmoa_theory.optimisation.programs.work import Work
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS
from dmoa_theory.optimisation.robust import at_upper_limits
from dmoa_theory.optimisation.search import Search
from dmoa_theory.optimisation.verify import Trial, try_out

__all__ = ["IndividualPlan", "plan_by_user", "search_for"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndividualPlan:
    """What every user should run, and whom it should ask.

    Attributes
    ----------
    work : Work
    accuracy : ndarray, shape (U, C)
        Expected, of every user in every configuration.
    per_user, gossip, robust : bool
    objective : str
    best : Evaluated or None
        None where no plan was found that meets every limit.
    common : Evaluated or None
        The best with one (M, k) and uniform gossip, which the search started from.
    certificate : Certificate or None
        Of the last program solved: for the surrogate, whose constants are those of the plan before.
    rounds, evaluations : int
        Programs solved; plans evaluated with the full theory.
    nominal : Figures or None
        Of the best plan as stated, without margins.
    trial : Trial or None
        Its simulation.
    least : float
        Smallest inclusion probability, as a share of uniform gossip's.
    gap : float
        Relative gap that was asked for.
    prices : tuple of (str, float, float, float)
        What a tenth more of every latency limit buys; see :meth:`dmoa_theory.optimisation.search.Search.prices`.
    exhausted : int or None
        Where users are few, the number of all choices of all users: none that is more accurate meets the limits by the full
        theory. None where not all of them were looked at.
    """

    work: Work
    accuracy: FloatArray
    per_user: bool
    gossip: bool
    robust: bool
    objective: str
    best: Evaluated | None
    common: Evaluated | None
    certificate: Certificate | None
    rounds: int
    evaluations: int
    nominal: Figures | None = None
    trial: Trial | None = None
    least: float = 0.0
    gap: float = 1e-3
    prices: tuple[tuple[str, float, float, float], ...] = ()
    exhausted: int | None = None

    @property
    def feasible(self) -> bool:
        """Whether a plan that meets every limit was found."""
        return self.best is not None

    @property
    def proved(self) -> bool:
        """Whether the last program's plan is proved best for the surrogate, within the gap asked for."""
        certificate = self.certificate
        return certificate is not None and certificate.choice is not None and certificate.gap <= self.gap * (1 + 1e-6) + 1e-9

    @property
    def padded(self) -> bool:
        """Whether the figures of ``best.estimate`` are with longer service times than are stated."""
        system = self.work.system
        ks = [k if M else 0 for M, k in self.work.configurations]
        return self.robust and at_upper_limits(system, ks) is not system

    def records(self) -> list[dict[str, Any]]:
        """One row a user with prompts: what it runs; latency and load padded where the plan is. Empty without a plan."""
        w, best = self.work, self.best
        if best is None:
            return []
        estimate, padding = best.estimate, STANDARD_ERRORS if self.padded else 0.0
        return [
            {
                "user": w.system.network.name(u),
                "rate_per_s": float(w.rates[place]),
                "M": w.configurations[c][0],
                "k": int(w.k[c]),
                "accuracy": float(self.accuracy[place, c]),
                "mean_latency_s": float(estimate.user_mean[u]),
                "p95_latency_s": float(estimate.user_p95[u]),
                "utilisation": float(estimate.utilisation[u]),
                "service_standard_errors_added": padding,
            }
            for place, (u, c) in enumerate(zip(w.users.tolist(), best.choice.tolist(), strict=True))
        ]

    @property
    def system(self) -> System | None:
        """The system that runs the plan."""
        return None if self.best is None else settle(self.work, self.best.choice, self.best.asked if self.gossip else None)

    def accuracy_of(self, plan: Evaluated | None) -> float | None:
        """Expected accuracy over all prompts of a plan; None without one."""
        if plan is None:
            return None
        return float(self.work.share @ self.accuracy[np.arange(plan.choice.size), plan.choice])

    def runs(self) -> list[tuple[int, int]]:
        """(M, k) of every device; (0, 0) for those without prompts, and for all where there is no plan."""
        found = [(0, 0)] * self.work.n
        if self.best is not None:
            for u, c in zip(self.work.users.tolist(), self.best.choice.tolist(), strict=True):
                found[u] = (self.work.configurations[c][0], int(self.work.k[c]))
        return found

    def selection(self) -> list[dict[str, Any]] | None:
        """Inclusion probabilities of links that are used, one entry a link; None for uniform gossip."""
        if self.best is None or not self.gossip:
            return None
        w, name = self.work, self.work.system.network.name
        return [
            {
                "from": name(int(w.users[w.link_user[e]])),
                "to": name(int(w.link_device[e])),
                "probability": float(self.best.asked[e]),
            }
            for e in np.flatnonzero(self.best.asked > 1e-9).tolist()
        ]

    def reasons(self) -> tuple[str, ...]:
        """Why entries are null, and what the certificate is of."""
        found = []
        if self.best is None:
            found.append("no plan was found that meets every limit")
        if self.certificate is None:
            found.append("certificate is null: no program was solved")
        if self.work.quorum is not None:
            found.append("accuracies were measured with every answer waited for, latencies here are with the scenario's quorum")
        elif self.work.system.moa.quorum is not None:
            found.append("the scenario's M, k and quorum by user are set aside: every answer is waited for")
        if self.trial is None:
            found.append("verified is null: no simulation was run")
        elif not self.trial.holds:
            found.append(f"the plan did not hold in simulation: {self.trial}")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        runs, best, certificate = self.runs(), self.best, self.certificate
        users = None
        if best is not None:
            users = [None] * self.work.n
            for place, u in enumerate(self.work.users.tolist()):
                users[u] = self.accuracy[place, best.choice[place]]
        proved = None
        if certificate is not None and certificate.choice is not None:
            proved = {
                "value": certificate.value,
                "bound": certificate.bound,
                "gap": certificate.gap,
                "status": certificate.status,
                "surrogate": "waits as in M/G/1 queues, scaled to the latency theory at the plan of the round before",
            }
        return {
            "per_user": self.per_user,
            "gossip": self.gossip,
            "objective": self.objective,
            "robust": self.robust,
            "feasible": self.feasible,
            "M": [M for M, _ in runs],
            "k": [k for _, k in runs],
            "accuracy": self.accuracy_of(best),
            "user_accuracy": users or [],
            "common_accuracy": self.accuracy_of(self.common),
            "figures": None if self.nominal is None else self.nominal.to_dict(),
            "violations": [],
            "selection": self.selection(),
            "certificate": proved,
            "choices_exhausted": self.exhausted,
            "rounds": self.rounds,
            "evaluations": self.evaluations,
            "prices": [
                {"limits": [{"limit": name, "from": now, "to": then}], "gain": gain} for name, now, then, gain in self.prices
            ],
            "verified": None if self.trial is None else self.trial.to_dict(),
            "reasons": self.reasons(),
        }


def plan_by_user(
    system: System,
    configurations: Sequence[tuple[int, int]],
    accuracy: FloatArray,
    limits: Limits,
    *,
    objective: str = "accuracy",
    per_user: bool = True,
    gossip: bool = False,
    robust: bool = True,
    least: float = 0.0,
    gap: float = 1e-3,
    time_limit: float = 10.0,
    solver: str = "HIGHS",
    expected: FloatArray | None = None,
    simulation: bool = True,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    search: Search | None = None,
) -> IndividualPlan:
    """Approximation: the best (M, k) of every user, and with ``gossip`` whom it asks, within the limits.

    Parameters
    ----------
    system : System
        Its own (M, k) and selection play no part.
    configurations : sequence of (int, int)
        (M, k) on offer.
    accuracy : ndarray, shape (U, C), or (C,)
        Of every user with prompts in each of them; any numbers, monotone or not.
    limits : Limits
    objective : str
        ``"accuracy"``, or ``"latency"`` for the least mean latency with at least the limits' accuracy.
    per_user : bool
        Whether users may run different configurations.
    gossip : bool
        Whether inclusion probabilities are free; else gossip is uniform.
    robust : bool
        Hold the limits with service times two standard errors longer, and latencies raised by their typical error.
    least : float
        Smallest inclusion probability of a link, as a share of uniform gossip's.
    gap, time_limit : float
        Relative gap at which a program may stop, and seconds for all of them together (evaluations come on top).
    solver : str
        ``"HIGHS"``, or ``"SCIP"`` where it is installed.
    expected : ndarray, shape as accuracy, optional
        Accuracies to report, where those that are optimised are lower ends of bands.
    simulation : bool
        Whether to try the plan out.
    seed : int
    progress : callable, optional
    search : Search, optional
        That of an earlier plan, made by :func:`search_for` with the same options: its programs are compiled. The system may
        differ in its limits, and in its rates by one factor.

    Returns
    -------
    IndividualPlan

    Notes
    -----
    Loads and latencies rise with service times, so of all service times in a box the longest are the worst: the robust plan is
    the plan for those. The certificate is of the surrogate. The plan meets its limits by the full theory in any case.
    """
    if search is None:
        kinds: dict[str, Any] = {
            "objective": objective,
            "per_user": per_user,
            "gossip": gossip,
            "robust": robust,
            "least": least,
        }
        kinds |= {"gap": gap, "time_limit": time_limit, "solver": solver}
        search = search_for(system, configurations, accuracy, limits, **kinds)
    else:
        search.under(limits, system.rates)
    w_accuracy = search.accuracy
    padded = robust and at_upper_limits(system, [k if M else 0 for M, k in configurations]) is not system
    best, common = search.run(progress) if per_user else search.one_for_all()
    nominal, trial = None, None
    work = replace(search.work, system=system)
    if best is not None:
        configured = settle(work, best.choice, best.asked if gossip else None)
        nominal = figures_of(latency(configured)) if padded else figures_of(best.estimate)
        if simulation:
            trial = try_out(configured, limits, predicted=nominal, seed=seed)
    return IndividualPlan(
        work=work,
        accuracy=w_accuracy if expected is None else np.broadcast_to(expected, w_accuracy.shape),
        per_user=per_user,
        gossip=gossip,
        robust=robust,
        objective=objective,
        best=best,
        common=common,
        certificate=search.certificate,
        rounds=search.rounds,
        evaluations=search.evaluations,
        nominal=nominal,
        trial=trial,
        least=least,
        gap=gap,
        prices=() if best is None else search.prices(best),
        exhausted=search.exhausted,
    )


def search_for(
    system: System,
    configurations: Sequence[tuple[int, int]],
    accuracy: FloatArray,
    limits: Limits,
    *,
    robust: bool = True,
    **options: Any,
) -> Search:
    """The search behind :func:`plan_by_user`, to be used for several plans.

    Parameters
    ----------
    system, configurations, accuracy, limits, robust
        As of :func:`plan_by_user`.
    **options
        ``objective``, ``per_user``, ``gossip``, ``least``, ``gap``, ``time_limit``, ``solver``.
    """
    by_user = np.broadcast_to(np.asarray(accuracy, dtype=float), (int((system.rates > 0).sum()), len(configurations)))
    held = at_upper_limits(system, [k if M else 0 for M, k in configurations]) if robust else system
    return Search(held, configurations, by_user, limits, margin=robust, **options)
