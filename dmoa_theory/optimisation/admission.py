"""How much load to admit: the largest common factor on all rates, and proportionally fair rates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.candidates import Evaluations, latency_margins
from dmoa_theory.optimisation.limits import LATENCIES, Figures, Limits, Violation, figures_of
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.mixed import Budgets
from dmoa_theory.optimisation.programs.rates import RatesProgram
from dmoa_theory.optimisation.programs.work import work_of
from dmoa_theory.optimisation.reach import reach
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS
from dmoa_theory.optimisation.verify import Trial, try_out

__all__ = ["Admission", "fair_rates"]

_ROUNDS = 12
# How much budgets shrink when rates that seemed admissible are not, beyond what the new constants say.
_CUT = 0.998


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Admission:
    """Rates that the limits admit in one configuration.

    Attributes
    ----------
    system : System
        In that configuration, at the present rates.
    configuration : (int, int)
    scale_uniform : float
        Largest factor on all present rates.
    rates : ndarray, shape (n,), prompts/s
        Proportionally fair rates; zero for devices without prompts.
    figures : Figures or None
        At those rates; None where no rate is admissible.
    violations : tuple of Violation
    rounds : int
        Programs solved, each after the last rates were evaluated with the full theory.
    trial : Trial or None
    """

    system: System
    configuration: tuple[int, int]
    scale_uniform: float
    rates: FloatArray
    figures: Figures | None
    violations: tuple[Violation, ...]
    rounds: int
    trial: Trial | None = None

    @property
    def fairness(self) -> float:
        """Sum of the logarithms of the rates over those of the present rates scaled alike; 0 or more where the limits bind."""
        users = self.system.rates > 0
        alike = self.scale_uniform * self.system.rates[users]
        return (
            float(np.log(self.rates[users] / alike).sum()) if (self.rates[users] > 0).all() and self.scale_uniform > 0 else 0.0
        )

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "configuration": {"M": self.configuration[0], "k": self.configuration[1]},
            "rates": self.rates,
            "total": float(self.rates.sum()),
            "scale_uniform": self.scale_uniform,
            "fairness": self.fairness,
            "figures": None if self.figures is None else self.figures.to_dict(),
            "violations": [violation.to_dict() for violation in self.violations],
            "rounds": self.rounds,
            "verified": None if self.trial is None else self.trial.to_dict(),
        }


def fair_rates(
    system: System,
    M: int,
    k: int,
    *,
    limits: Limits | None = None,
    robust: bool = True,
    simulation: bool = True,
    seed: int = 0,
) -> Admission:
    """Approximation: the rates that maximise the sum of their logarithms within the limits, when all users run one (M, k).

    Parameters
    ----------
    system : System
        Its present rates say who has prompts, and which direction the common factor scales.
    M, k : int
    limits : Limits, optional
        Default those of the system.
    robust : bool
        Hold the limits with service times two standard errors longer, and latencies raised by their typical error.
    simulation : bool
        Whether to try the rates out.
    seed : int

    Raises
    ------
    InputError
        When the network does not allow the configuration.

    Notes
    -----
    The program is convex for waits as in M/G/1 queues, scaled to the latency theory at the last rates; it is solved again until
    the full theory agrees to a thousandth. With equal weights and one device that binds, every user gets the same share of it.

    References
    ----------
    Kelly, F. P., Maulloo, A. K. and Tan, D. K. H. (1998), Journal of the Operational Research Society 49(3), 237-252.

    Examples
    --------
    Two devices that ask nobody get what each carries, 0.95 of a prompt a second.

    >>> from dmoa_theory import System, fair_rates
    >>> two = System.from_arrays([[0, 1], [1, 0]], [0.1, 0.3], 1.0, M=0, k=0)
    >>> fair_rates(two, 0, 0, simulation=False).rates.round(3).tolist()
    [0.95, 0.95]
    """
    evaluations = Evaluations(system, limits)
    impossible = evaluations.impossible(M, k)
    if impossible:
        raise InputError("k", k, impossible)
    errors = STANDARD_ERRORS if robust else 0.0
    uniform = reach(evaluations, M, k, standard_errors=errors, margin=robust)
    configured = evaluations.configured(M, k, standard_errors=errors)
    found, rounds = _solve(configured, M, k, evaluations.limits, uniform, robust)
    plain = evaluations.configured(M, k)
    if found is None:
        nothing = np.zeros(system.n_devices)
        return Admission(
            system=plain, configuration=(M, k), scale_uniform=uniform, rates=nothing, figures=None, violations=(), rounds=rounds
        )
    at_rates = plain.with_rates(found)
    figures = figures_of(latency(at_rates))
    trial = try_out(at_rates, evaluations.limits, predicted=figures, seed=seed) if simulation else None
    return Admission(
        system=plain,
        configuration=(M, k),
        scale_uniform=uniform,
        rates=found,
        figures=figures,
        violations=evaluations.limits.broken(figures),
        rounds=rounds,
        trial=trial,
    )


def _solve(system: System, M: int, k: int, limits: Limits, uniform: float, robust: bool) -> tuple[FloatArray | None, int]:
    """Rates by the program, evaluated and solved again; those of the last round that keep the limits."""
    if uniform <= 0:
        return None, 0
    now = system.rates * min(uniform, 1e3)
    best: FloatArray | None = now
    work = work_of(system.with_rates(now), [(M, k)])
    program = RatesProgram(work, 0)
    users = work.users
    tighter, value = 1.0, float(np.log(now[users]).sum())
    for turn in range(1, _ROUNDS + 1):
        choice = np.zeros(users.size, dtype=np.int64)
        here = work.at_rates(now)
        estimate = latency(system.with_rates(now))
        congestion = Congestion.at(here, choice, here.uniform(choice), estimate)
        figures = figures_of(estimate)
        held = figures.raised(latency_margins(estimate.expected_error)) if robust else figures
        mean, each = np.inf, np.full(users.size, np.inf)
        for name, allowed in limits.latencies.items():
            if name.startswith("user_"):
                raised = getattr(held, name) / getattr(figures, name)
                by_user = getattr(estimate, LATENCIES[name])[users] * raised
                each = np.minimum(each, tighter * allowed * estimate.user_mean[users] / by_user)
            else:
                mean = min(mean, tighter * allowed * estimate.mean / getattr(held, name))
        cap = np.full(work.n, limits.max_utilisation)
        if limits.memory is not None and estimate.memory is not None:
            over = estimate.memory.quantile > limits.memory
            cap = np.where(over, 0.97 * estimate.utilisation, cap)
        solved = program.solve(congestion, Budgets(mean=mean, user=each, cap=cap))
        if solved is None:
            return best, turn
        rates = np.zeros(work.n)
        rates[users] = solved
        found = figures_of(full := latency(system.with_rates(rates)))
        found = found.raised(latency_margins(full.expected_error)) if robust else found
        fullness = limits.fullness(found)
        gained = float(np.log(np.maximum(solved, 1e-300)).sum())
        if fullness <= 1 + 1e-9:
            done = gained - value < 1e-3 * users.size
            if gained >= value:
                best, value = rates, gained
            if done:
                return best, turn
        else:
            tighter *= _CUT
        now = rates if np.isfinite(full.mean) else now
    return best, _ROUNDS
