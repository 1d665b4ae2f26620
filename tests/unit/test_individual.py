"""Plans by user: within every limit by the full theory, no worse than one (M, k) for all, robust where asked to be."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from dmoa_theory import Constraints, Footprint, MoA, ServiceTime, System, build_topology, latency
from dmoa_theory.optimisation.accuracies import accuracies
from dmoa_theory.optimisation.admission import fair_rates
from dmoa_theory.optimisation.individual import IndividualPlan, plan_by_user
from dmoa_theory.optimisation.limits import Limits, figures_of
from dmoa_theory.optimisation.robust import at_upper_limits, missed_share
from dmoa_theory.optimisation.search import Search
from dmoa_theory.optimisation.sweep import sweep_limits
from dmoa_theory.stability.loads import utilisation

CONFIGURATIONS = [(0, 0), (1, 1), (1, 2), (2, 2)]
ACCURACY = np.array([0.3, 0.5, 0.55, 0.62])


def _system(seed: int, *, n: int = 4, load: float = 0.75, relative_error: float = 0.0) -> System:
    rng = np.random.default_rng(seed)
    service = ServiceTime.gamma(rng.uniform(10.0, 40.0, n), 0.5, later=1.2, aggregate=1.1)
    assert service.mean_error is not None
    system = System(
        network=build_topology("complete", n=n),
        arrival_rate=rng.uniform(0.3, 1.5, n),
        service=replace(service, mean_error=relative_error * service.mean),
        moa=MoA(2, 2),
        footprint=Footprint.from_numbers(weight_bytes=8e9, prompt_bytes=4e6, response_bytes=1e6),
    )
    return system.with_rates(system.rates * load / utilisation(system).max())


def _limits(system: System, rng: np.random.Generator) -> Limits:
    """Random limits, about what the middle configurations need."""
    at = figures_of(latency(system.with_moa(1, 2)))
    kind = rng.choice(["mean_latency", "p95_latency", "p99_latency", "user_mean_latency", "user_p95_latency", "memory"])
    assert at.memory is not None
    if kind == "memory":
        return Limits(memory=8e9 + (at.memory - 8e9) * float(rng.uniform(0.9, 1.3)))
    return Limits(**{kind: getattr(at, kind) * float(rng.uniform(0.7, 1.3))})


def _plan(system: System, limits: Limits, **options: object) -> IndividualPlan:
    asked = {"simulation": False, "robust": False, "time_limit": 1000.0, **options}
    return plan_by_user(system, CONFIGURATIONS, ACCURACY, limits, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_every_plan_keeps_its_limits_by_the_full_theory(seed: int) -> None:
    """Whatever is limited and whatever is free; and it is no worse than the best (M, k) for all."""
    rng = np.random.default_rng(seed)
    system = _system(seed)
    limits = _limits(system, rng)
    plan = _plan(system, limits, gossip=bool(seed % 2), per_user=seed % 4 < 3)
    if plan.best is None:
        assert plan.common is None
        return
    configured = plan.system
    assert configured is not None
    assert limits.broken(figures_of(latency(configured)), plan.accuracy_of(plan.best)) == ()
    if plan.common is not None:
        assert plan.best.accuracy >= plan.common.accuracy - 1e-12
    document = plan.to_dict()
    assert document["feasible"]
    assert len(document["M"]) == len(document["k"]) == system.n_devices


@pytest.mark.parametrize("seed", range(4))
def test_three_users_against_brute_force_by_the_full_theory(seed: int) -> None:
    """Of all choices that the full theory admits, the plan comes within a hundredth of the best."""
    system = _system(seed, n=3)
    limits = Limits(mean_latency=figures_of(latency(system.with_moa(1, 2))).mean_latency * 0.9)
    best = 0.0
    for combination in product(range(4), repeat=3):
        M, k = (np.array([CONFIGURATIONS[c][i] for c in combination]) for i in (0, 1))
        configured = replace(system, moa=MoA(M, k))
        if utilisation(configured).max() < 0.95 and latency(configured).mean <= limits.mean_latency:  # type: ignore[operator]
            best = max(best, float(system.rates @ ACCURACY[list(combination)] / system.rates.sum()))
    plan = _plan(system, limits)
    assert plan.best is not None
    assert best * 0.99 <= plan.best.accuracy <= best + 1e-9


def test_free_gossip_is_worth_something() -> None:
    """One slow device among fast ones: who need not ask it can run more."""
    system = replace(_system(0), service=ServiceTime.exponential([10.0, 10.0, 10.0, 60.0]))
    system = system.with_rates(np.array([1.0, 1.0, 1.0, 0.05]) * 0.004)
    limits = Limits(p95_latency=150.0)
    fixed, free = (_plan(system, limits, per_user=False, gossip=gossip) for gossip in (False, True))
    assert fixed.best is not None
    assert free.best is not None
    assert free.best.accuracy > fixed.best.accuracy
    selection = free.selection()
    assert selection is not None
    asked = sum(row["probability"] for row in selection if row["to"] == "device-3")
    assert asked < sum(row["probability"] for row in selection if row["to"] == "device-0")
    assert fixed.selection() is None


def test_the_least_latency_for_an_accuracy() -> None:
    system = _system(3, load=0.6)
    plan = _plan(system, Limits(min_accuracy=0.5), objective="latency")
    assert plan.best is not None
    assert plan.best.accuracy >= 0.5
    common = min(latency(system.with_moa(M, k)).mean for M, k in CONFIGURATIONS[1:])
    assert plan.best.figures.mean_latency <= common * (1 + 1e-9)


def test_a_robust_plan_bears_longer_service_times() -> None:
    """Held at two standard errors; of service times drawn at random, far fewer miss the deadline than of the nominal plan."""
    system = _system(5, relative_error=0.1)
    limits = Limits(p95_latency=figures_of(latency(system.with_moa(1, 2))).p95_latency)
    rng = np.random.default_rng(1)
    factors = np.exp(rng.normal(0.0, 0.1, (100, 4)))
    shares = []
    for robust in (True, False):
        plan = _plan(system, limits, robust=robust)
        assert plan.system is not None
        shares.append(missed_share(plan.system, limits, factors))
    assert shares[0] <= 0.10
    assert shares[1] >= shares[0] + 0.1


def test_upper_limits_of_a_profile_follow_k() -> None:
    from dmoa_theory import load_scenario

    system = load_scenario()
    raised = at_upper_limits(system, [0, 2])
    for k in (0, 2):
        plain = system.service.for_k(k)
        assert plain.mean_error is not None
        np.testing.assert_allclose(raised.service.for_k(k).mean, plain.mean + 2 * plain.mean_error)
    assert latency(raised).mean > latency(system).mean
    exact = _system(0)
    assert at_upper_limits(exact, [0]) is exact


def test_compiled_programs_serve_many_limits() -> None:
    """A sweep of limits with one search: more is allowed, no less is reached."""
    system = _system(2)
    middle = figures_of(latency(system.with_moa(1, 2))).mean_latency
    search = Search(system, CONFIGURATIONS, np.tile(ACCURACY, (4, 1)), Limits(mean_latency=middle), time_limit=1000.0)
    limits = [Limits(mean_latency=middle * factor) for factor in (0.6, 0.8, 1.0, 1.3)]
    found = [best for best, _ in sweep_limits(search, limits)]
    reached = [0.0 if best is None else best.accuracy for best in found]
    assert reached == sorted(reached)
    for each, best in zip(limits, found, strict=True):
        assert best is None or not each.broken(best.figures, best.accuracy)


def test_accuracies_by_user(tmp_path: object) -> None:
    """Data with a column of users give every user its own."""
    from pathlib import Path

    file = Path(str(tmp_path)) / "own.csv"
    rows = [f"device-{u},0,0,{0.3 + 0.1 * u},500\ndevice-{u},1,1,{0.5 + 0.05 * u},500" for u in range(4)]
    file.write_text("user,M,k,value,n_eval\n" + "\n".join(rows) + "\n")
    known = accuracies(replace(_system(0), accuracy=str(file)), fitted=False)
    assert known.configurations == ((0, 0), (1, 1))
    np.testing.assert_allclose(known.expected[:, 0], [0.3, 0.4, 0.5, 0.6])
    assert (known.lower < known.expected).all()


# -- admission ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limits", [Limits(), Limits(mean_latency=150.0), Limits(user_p95_latency=400.0)])
def test_fair_rates_keep_the_limits_and_are_fairer(limits: Limits) -> None:
    system = _system(4, load=0.3)
    found = fair_rates(system, 1, 1, limits=limits, robust=False, simulation=False)
    assert found.figures is not None
    assert found.violations == ()
    assert found.fairness >= -1e-9
    alike = figures_of(latency(system.with_moa(1, 1).with_rates(system.rates * found.scale_uniform)))
    assert limits.fullness(alike) == pytest.approx(1.0, abs=3e-3)


def test_no_rate_is_admitted_by_an_impossible_limit() -> None:
    found = fair_rates(_system(4), 1, 1, limits=Limits(mean_latency=1.0), simulation=False)
    assert found.figures is None
    assert not found.rates.any()


def test_a_plan_is_tried_out() -> None:
    system = replace(_system(6, load=0.5), constraints=Constraints())
    plan = plan_by_user(system, CONFIGURATIONS, ACCURACY, Limits(mean_latency=400.0), gossip=True, time_limit=1000.0)
    assert plan.trial is not None
    assert plan.trial.holds
    assert plan.to_dict()["verified"]["queries"] > 0
