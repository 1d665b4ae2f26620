"""What the optimiser has to show: equal to brute force, feasible by the full theory, gaps and times, robust against nominal.

Run with ``-s``: each prints its figures. The quick versions of the first two are in ``tests/unit``.
"""

from __future__ import annotations

import os
import runpy
import time
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory import Constraints, Footprint, MoA, ServiceTime, System, build_topology, latency, load_scenario, optimise
from dmoa_theory.cli.decision_report import decision_lines
from dmoa_theory.optimisation.answering import Answering, Asked
from dmoa_theory.optimisation.individual import plan_by_user
from dmoa_theory.optimisation.limits import Limits, figures_of
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.gossip import GossipProgram
from dmoa_theory.optimisation.programs.mixed import Budgets, MixedProgram
from dmoa_theory.optimisation.programs.rates import RatesProgram
from dmoa_theory.optimisation.programs.settle import settle
from dmoa_theory.optimisation.programs.work import Work, work_of
from dmoa_theory.optimisation.robust import missed_share
from dmoa_theory.stability.loads import utilisation

UNIT = Path(__file__).parents[1] / "unit"
INSTANCES = int(os.environ.get("DMOA_INSTANCES", "30"))
PLANS = int(os.environ.get("DMOA_PLANS", "200"))
DRAWS = int(os.environ.get("DMOA_DRAWS", "2000"))

TEN = [(0, 0), (1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (2, 3), (3, 1), (3, 2), (3, 3)]
WORTH = np.array([0.30, 0.50, 0.55, 0.53, 0.60, 0.58, 0.66, 0.57, 0.63, 0.70])


def test_programs_equal_brute_force() -> None:
    """P2, P3, P2+P3, P6 on random instances with n <= 4: each raises on the first that differs."""
    unit = runpy.run_path(str(UNIT / "test_programs.py"))
    names = {
        "P2 (M, k) by user": "test_choices_by_user_equal_brute_force",
        "P2 limits on users": "test_limits_on_every_user_equal_brute_force",
        "P3 gossip": "test_gossip_equals_another_solver",
        "P2+P3": "test_choices_and_gossip_together_equal_brute_force",
        "P6 rates": "test_fair_rates_equal_another_solver",
    }
    for name, test in names.items():
        for seed in range(1000, 1000 + INSTANCES):
            unit[test](seed)
        print(f"{name}: equal on {INSTANCES} random instances")


def test_one_configuration_equals_brute_force() -> None:
    unit = runpy.run_path(str(UNIT / "test_optimise.py"))
    for seed in range(1000, 1000 + INSTANCES):
        unit["test_the_choice_is_the_best_of_all"](seed)
    print(f"P1: equal on {INSTANCES} random instances")


def test_every_plan_is_feasible_by_the_full_theory() -> None:
    unit = runpy.run_path(str(UNIT / "test_individual.py"))
    for seed in range(1000, 1000 + PLANS):
        unit["test_every_plan_keeps_its_limits_by_the_full_theory"](seed)
    print(f"feasible by the full theory: {PLANS} of {PLANS}")


def test_three_users_by_the_full_theory() -> None:
    """How far plans by user are from the best by the full theory, which no program solves."""
    unit = runpy.run_path(str(UNIT / "test_individual.py"))
    gaps = []
    for seed in range(1000, 1000 + INSTANCES):
        system = unit["_system"](seed, n=3)
        limit = figures_of(latency(system.with_moa(1, 2))).mean_latency * 0.9
        best = 0.0
        for combination in product(range(4), repeat=3):
            M, k = (np.array([unit["CONFIGURATIONS"][c][i] for c in combination]) for i in (0, 1))
            configured = replace(system, moa=MoA(M, k))
            if utilisation(configured).max() < 0.95 and latency(configured).mean <= limit:
                best = max(best, float(system.rates @ unit["ACCURACY"][list(combination)] / system.rates.sum()))
        plan = unit["_plan"](system, Limits(mean_latency=limit))
        gaps.append(0.0 if plan.best is None and best == 0 else 1 - plan.best.accuracy / best)
    print(f"by the full theory, n = 3: {np.mean(np.array(gaps) < 1e-9):.0%} optimal, worst {max(gaps):.2%} below the best")
    assert max(gaps) < 1e-9


def _network(n: int, load: float = 0.7) -> System:
    rng = np.random.default_rng(n)
    network = build_topology("erdos_renyi", n=n, p=min(1.0, 6 / n), seed=3)
    system = System(
        network=network,
        arrival_rate=rng.uniform(0.5, 1.5, n),
        service=ServiceTime.gamma(rng.uniform(15.0, 40.0, n), 0.5),
        moa=MoA(1, 1),
    )
    return system.with_rates(system.rates * load / utilisation(system).max())


def _asked(work: Work) -> tuple[Congestion, Budgets]:
    """A budget half-way between what the bare prompt and what (1, 2) takes."""
    middle = np.ones(work.users.size, dtype=np.int64)
    asked = work.uniform(middle)
    congestion = Congestion.at(work, middle, asked, latency(settle(work, middle, asked)))
    budget = 1.3 * congestion.mean_latency(work, middle, asked)
    return congestion, Budgets(mean=budget, user=np.full(work.users.size, np.inf), cap=np.full(work.n, 0.95))


@pytest.mark.parametrize("n", [8, 16, 20, 40, 80])
def test_gap_and_time_by_user(n: int) -> None:
    work = work_of(_network(n), TEN)
    congestion, budgets = _asked(work)
    accuracy = np.clip(WORTH + np.random.default_rng(n).normal(0, 0.03, (work.users.size, len(TEN))), 0, 1)
    for limit in (10.0, 60.0):
        program = MixedProgram(work, accuracy)
        began = time.perf_counter()
        found = program.solve(congestion, budgets, gap=1e-4, time_limit=limit)
        took = time.perf_counter() - began
        print(f"P2, n = {n}, {limit:g} s: {found.value:.4f}, gap {found.gap:.3%}, {took:.1f} s, {found.status}")
        if found.gap <= 1e-4:
            break


def test_gap_and_time_by_user_with_gossip() -> None:
    work = work_of(_network(40), TEN)
    congestion, budgets = _asked(work)
    program = MixedProgram(work, np.tile(WORTH, (work.users.size, 1)), gossip=True)
    for limit in (10.0, 60.0):
        began = time.perf_counter()
        found = program.solve(congestion, budgets, gap=1e-3, time_limit=limit)
        took = time.perf_counter() - began
        print(f"P2+P3, n = 40, {limit:g} s: {found.value:.4f}, gap {found.gap:.3%}, {found.status}, {took:.1f} s")


def test_solving_again_is_quicker_than_building() -> None:
    """50 budgets: one compiled program against a new one each time; seconds of processor time."""
    work = work_of(_network(16), TEN)
    congestion, budgets = _asked(work)
    accuracy = np.tile(WORTH, (work.users.size, 1))
    factors = np.linspace(0.8, 1.6, 50)
    choice = np.full(work.users.size, 2)
    middle = [replace(budgets, mean=budgets.mean * factor) for factor in factors]
    caps = [np.full(work.n, 0.95 - 0.001 * turn) for turn in range(50)]
    rates = [replace(budgets, mean=budgets.mean * 1.5 * factor) for factor in factors]
    kinds = {
        "P2": (lambda: MixedProgram(work, accuracy), lambda p, at: p.solve(congestion, middle[at], gap=1e-3), 50),
        "P3": (lambda: GossipProgram(work, choice), lambda p, at: p.solve(congestion, caps[at]), 50),
        "P6": (lambda: RatesProgram(work, 1), lambda p, at: p.solve(congestion, rates[at]), 50),
    }
    for name, (build, solve, count) in kinds.items():
        began = time.process_time()
        for at in range(count):
            solve(build(), at)
        fresh = time.process_time() - began
        began = time.process_time()
        program = build()
        for at in range(count):
            solve(program, at)
        again = time.process_time() - began
        print(f"{name}, {count} points: {fresh:.2f} s building each, {again:.2f} s solving again, ratio {fresh / again:.1f}")


def test_answering_again_is_quicker_than_anew() -> None:
    """50 latency limits of the bundled example, as the command asks them: shared evaluations against none; processor time."""
    system, limits = load_scenario(), [Limits(p95_latency=value) for value in np.linspace(60.0, 400.0, 50)]
    Answering(Asked()).decide(system, limits[0])  # compiled code is loaded
    began = time.process_time()
    for each in limits:
        Answering(Asked()).decide(system, each)
    fresh = time.process_time() - began
    began = time.process_time()
    answering = Answering(Asked())
    for each in limits:
        answering.decide(system, each, only_limits=True)
    again = time.process_time() - began
    print(f"P1, 50 points: {fresh:.2f} s each anew, {again:.2f} s together, ratio {fresh / again:.1f}")


@pytest.mark.parametrize("seed", range(6))
def test_robust_against_nominal(seed: int) -> None:
    """Service times of four random devices known to 20 %: share of draws with which a deadline is missed."""
    rng = np.random.default_rng(seed)
    service = ServiceTime.gamma(rng.uniform(20.0, 40.0, 4), 0.5)
    assert service.mean_error is not None
    system = System(
        network=build_topology("complete", n=4),
        arrival_rate=rng.uniform(0.5, 1.5, 4),
        service=replace(service, mean_error=0.2 * service.mean),
        moa=MoA(1, 1),
    )
    system = system.with_rates(system.rates * 0.5 / utilisation(system).max())
    deadline = 1.02 * figures_of(latency(system.with_moa(1, 2))).p95_latency
    limits = Limits(p95_latency=deadline)
    factors = np.maximum(rng.normal(1.0, 0.2, (DRAWS, 4)), 0.05)
    shares = {}
    for robust in (False, True):
        plan = plan_by_user(system, TEN, WORTH, limits, robust=robust, simulation=False, time_limit=5.0)
        configured = plan.system
        if configured is None:
            print(f"seed {seed}: no {'robust' if robust else 'nominal'} plan")
            continue
        shares[robust] = missed_share(configured, limits, factors)
        accuracy = plan.accuracy_of(plan.best)
        word = "robust" if robust else "nominal"
        print(f"seed {seed}, {word}: accuracy {accuracy:.3f}, deadline missed with {shares[robust]:.1%} of {DRAWS} draws")
    if len(shares) == 2:
        assert shares[True] < shares[False]


SIX = [
    ("more accuracy than anyone states", {"min_accuracy": 0.9}),
    ("faster than a bare prompt", {"mean_latency": 20.0}),
    ("fast and accurate", {"p95_latency": 100.0, "min_accuracy": 0.39}),
    ("less memory than the weights", {"memory": 8e9 + 3e6}),
    ("almost idle devices", {"max_utilisation": 0.04}),
    ("overload", {"rate": 0.05}),
]


@pytest.mark.parametrize(("what", "asked"), SIX)
def test_what_is_said_of_six_requests_that_nothing_meets(what: str, asked: dict[str, float]) -> None:
    limits = {name: value for name, value in asked.items() if name != "rate"}
    system = System(
        network=build_topology("complete", n=4),
        arrival_rate=asked.get("rate", 0.002),
        service=ServiceTime.gamma(24.0, 0.5),
        moa=MoA(1, 2),
        footprint=Footprint.from_numbers(weight_bytes=8e9, prompt_bytes=4e6, response_bytes=1e6),
        constraints=Constraints(**limits),
    )
    print(f"\n{what}:")
    for line in list(decision_lines(optimise(system, simulation=False)))[:6]:
        print("  ", line)


def test_on_the_published_data() -> None:
    for name in ("mitra2024-same", "mitra2024-diverse"):
        decision = optimise(load_scenario(), accuracy=name)
        print(decision.table())
        for line in decision_lines(decision):
            print("  ", line)
