"""SCIP in place of HiGHS: the same optima, bounds that hold, and one line where it is not installed."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from dmoa_theory import MoA, ServiceTime, System, build_topology
from dmoa_theory.errors import BackendUnavailableError, InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.optimisation.programs import mixed
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.mixed import Budgets, Certificate, MixedProgram
from dmoa_theory.optimisation.programs.work import Work, work_of
from dmoa_theory.stability.loads import utilisation

CONFIGURATIONS = [(0, 0), (1, 1), (1, 2), (2, 2)]


def _instance(seed: int, *, n: int = 3) -> tuple[Work, FloatArray, Congestion, Budgets]:
    """A random system, random accuracies by user, and a budget between what the lightest and the heaviest plan take."""
    rng = np.random.default_rng(seed)
    system = System(
        network=build_topology("complete", n=n),
        arrival_rate=rng.uniform(0.5, 1.5, n),
        service=ServiceTime.gamma(rng.uniform(10.0, 40.0, n), 0.5, later=1.2, aggregate=1.1),
        moa=MoA(2, 2),
    )
    work = work_of(system.with_rates(system.rates * 0.7 / utilisation(system).max()), CONFIGURATIONS)
    ends = [np.full(n, place) for place in (0, 1, len(CONFIGURATIONS) - 1)]
    congestion = Congestion.pollaczek_khinchine(work, ends[1], work.uniform(ends[1]))
    low, _, high = (congestion.mean_latency(work, choice, work.uniform(choice)) for choice in ends)
    budgets = Budgets(
        mean=low + float(rng.uniform(0.1, 0.8)) * (high - low), user=np.full(n, np.inf), cap=np.full(n, 0.95), min_accuracy=0.2
    )
    return work, rng.uniform(0.2, 0.8, (n, len(CONFIGURATIONS))), congestion, budgets


def _solved(solver: str, seed: int, *, gossip: bool = False, objective: str = "accuracy", gap: float = 1e-6) -> Certificate:
    work, accuracy, congestion, budgets = _instance(seed)
    program = MixedProgram(work, accuracy, gossip=gossip, objective=objective, solver=solver, points=64)
    return program.solve(congestion, budgets, gap=gap, time_limit=1000)


@pytest.mark.parametrize("seed", range(4))
def test_scip_equals_brute_force(seed: int) -> None:
    pytest.importorskip("pyscipopt")
    work, accuracy, congestion, budgets = _instance(seed)
    best = -np.inf
    for combination in product(range(len(CONFIGURATIONS)), repeat=3):
        choice = np.array(combination)
        asked = work.uniform(choice)
        if work.load(choice, asked).max() <= 0.95 and congestion.mean_latency(work, choice, asked) <= budgets.mean:
            best = max(best, float(work.share @ accuracy[np.arange(3), choice]))
    found = _solved("SCIP", seed)
    assert found.value == pytest.approx(best, rel=1e-6)
    assert found.bound >= best * (1 - 1e-6)
    assert found.status == "optimal"


@pytest.mark.parametrize("objective", ["accuracy", "latency"])
@pytest.mark.parametrize("gossip", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_scip_equals_highs(seed: int, gossip: bool, objective: str) -> None:
    """Values and bounds, with (M, k) by user alone and with free gossip, for the most accuracy and for the least latency."""
    pytest.importorskip("pyscipopt")
    scip, highs = (_solved(solver, 50 + seed, gossip=gossip, objective=objective) for solver in ("SCIP", "HIGHS"))
    assert scip.value == pytest.approx(highs.value, rel=1e-5)
    assert scip.bound == pytest.approx(highs.bound, rel=1e-5)


@pytest.mark.parametrize("solver", ["HIGHS", "SCIP"])
def test_a_gap_that_is_allowed_leaves_a_bound_that_holds(solver: str) -> None:
    """Stopped early, the solver's value may fall short; what it proves about the best may not."""
    if solver == "SCIP":
        pytest.importorskip("pyscipopt")
    for seed in range(3):
        loose, tight = _solved(solver, seed, gap=0.2), _solved("HIGHS", seed)
        assert loose.choice is not None
        assert loose.value <= tight.value * (1 + 1e-6)
        assert tight.value * (1 - 1e-6) <= loose.bound < np.inf
        assert loose.gap <= 0.2


@pytest.mark.parametrize("solver", ["HIGHS", "SCIP"])
def test_no_time_leaves_no_answer_and_no_trace(solver: str) -> None:
    """Out of time before anything is found: nothing is claimed, and the solution before is not taken for one."""
    if solver == "SCIP":
        pytest.importorskip("pyscipopt")
    work, accuracy, congestion, budgets = _instance(3)
    program = MixedProgram(work, accuracy, gossip=True, solver=solver)
    assert program.solve(congestion, budgets, time_limit=1000).choice is not None
    impossible = Budgets(mean=1e-3, user=budgets.user, cap=budgets.cap)
    assert program.solve(congestion, impossible, time_limit=1000).choice is None
    found = program.solve(congestion, budgets, time_limit=1e-9)
    assert found.choice is None or program.admissible(found, congestion, budgets)
    assert found.bound >= found.value or np.isnan(found.value)


def test_a_solver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bare:
        @staticmethod
        def installed_solvers() -> list[str]:
            return ["CLARABEL", "HIGHS"]

    monkeypatch.setattr(mixed, "modelling", Bare)
    assert mixed.check_solver("HIGHS") == "HIGHS"
    with pytest.raises(BackendUnavailableError, match=r"SCIP backend is not installed.*pip install 'dmoa\[scip\]'"):
        mixed.check_solver("SCIP")
    with pytest.raises(InputError, match="solver = ABACUS: one of HIGHS, SCIP"):
        mixed.check_solver("ABACUS")
