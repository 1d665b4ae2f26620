"""The programs behind plans by user against brute force and against an independent solver, on the surrogate that they state."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy import optimize

from dmoa_theory import MoA, ServiceTime, System, build_topology, latency
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.optimisation.programs.congestion import Congestion, chords, crowding, grid, tangents, waiting
from dmoa_theory.optimisation.programs.gossip import GossipProgram
from dmoa_theory.optimisation.programs.mixed import Budgets, MixedProgram
from dmoa_theory.optimisation.programs.rates import RatesProgram
from dmoa_theory.optimisation.programs.settle import settle
from dmoa_theory.optimisation.programs.work import Work, work_of
from dmoa_theory.stability.loads import utilisation

CONFIGURATIONS = [(0, 0), (1, 1), (1, 2), (2, 2)]


def _work(seed: int, *, n: int = 3, load: float = 0.7) -> tuple[Work, FloatArray]:
    """A random system of a few devices, its heaviest configuration at this load, and random accuracies by user."""
    rng = np.random.default_rng(seed)
    system = System(
        network=build_topology("complete", n=n),
        arrival_rate=rng.uniform(0.5, 1.5, n),
        service=ServiceTime.gamma(rng.uniform(10.0, 40.0, n), 0.5, later=1.2, aggregate=1.1),
        moa=MoA(2, min(2, n - 1)),
    )
    system = system.with_rates(system.rates * load / utilisation(system).max())
    configurations = CONFIGURATIONS if n > 2 else CONFIGURATIONS[:2]
    return work_of(system, configurations), rng.uniform(0.2, 0.8, (n, len(configurations)))


def _congestion(work: Work, place: int = 1) -> Congestion:
    choice = np.full(work.users.size, place)
    return Congestion.pollaczek_khinchine(work, choice, work.uniform(choice))


def _budget(work: Work, congestion: Congestion, share: float) -> float:
    """A latency between that of the lightest and that of the heaviest configuration."""
    ends = []
    for place in (0, len(work.configurations) - 1):
        choice = np.full(work.users.size, place)
        ends.append(congestion.mean_latency(work, choice, work.uniform(choice)))
    return ends[0] + share * (ends[1] - ends[0])


def _no_user_limits(work: Work) -> FloatArray:
    return np.full(work.users.size, np.inf)


def brute_force(work: Work, accuracy: FloatArray, congestion: Congestion, budgets: Budgets) -> float:
    """The best accuracy over all choices of all users, uniform gossip."""
    best = -np.inf
    for combination in product(range(len(work.configurations)), repeat=work.users.size):
        choice = np.array(combination)
        asked = work.uniform(choice)
        value = float(work.share @ accuracy[np.arange(choice.size), choice])
        if value <= best or (work.load(choice, asked) > budgets.cap).any():
            continue
        if congestion.mean_latency(work, choice, asked) > budgets.mean:
            continue
        if (congestion.user_latency(work, choice, asked) > budgets.user).any():
            continue
        best = value
    return best


@pytest.mark.parametrize("seed", range(10))
def test_choices_by_user_equal_brute_force(seed: int) -> None:
    """Mean latency limited: the value is the best of all choices, and the bound is no less."""
    work, accuracy = _work(seed, n=2 + seed % 3)
    congestion = _congestion(work)
    share = float(np.random.default_rng(seed).uniform(0.1, 0.9))
    budgets = Budgets(mean=_budget(work, congestion, share), user=_no_user_limits(work), cap=np.full(work.n, 0.95))
    found = MixedProgram(work, accuracy, points=64).solve(congestion, budgets, gap=1e-6, time_limit=1000)
    best = brute_force(work, accuracy, congestion, budgets)
    assert found.value == pytest.approx(best, rel=1e-6)
    assert found.bound >= best * (1 - 1e-6)
    assert found.choice is not None


@pytest.mark.parametrize("seed", range(6))
def test_limits_on_every_user_equal_brute_force(seed: int) -> None:
    work, accuracy = _work(100 + seed)
    congestion = _congestion(work)
    choice = np.full(work.users.size, 2)
    user = congestion.user_latency(work, choice, work.uniform(choice)) * (0.8 + 0.1 * seed)
    budgets = Budgets(mean=np.inf, user=user, cap=np.full(work.n, 0.95))
    found = MixedProgram(work, accuracy, points=64).solve(congestion, budgets, gap=1e-6, time_limit=1000)
    best = brute_force(work, accuracy, congestion, budgets)
    if found.choice is None:
        assert best == -np.inf
    else:
        assert found.value == pytest.approx(best, rel=1e-6)


def _least_latency(work: Work, choice: IntArray, congestion: Congestion, cap: float) -> float:
    """The surrogate's least mean latency over all gossips, by sequential quadratic programming."""
    uniform = work.uniform(choice)
    if not uniform.any():
        fits = work.load(choice, uniform).max() <= cap
        return congestion.mean_latency(work, choice, uniform) if fits else np.inf
    users = np.arange(work.users.size)[:, None] == work.link_user[None, :]
    constraints = [
        {"type": "eq", "fun": lambda q: users @ q - work.k[choice]},
        {"type": "ineq", "fun": lambda q: cap - work.load(choice, q)},
    ]
    limits = [(0.0, 1.0 if work.k[choice[u]] else 0.0) for u in work.link_user]

    def mean(q: FloatArray) -> float:
        load = np.minimum(work.load(choice, q), 0.999)
        idle = float(work.share @ work.idle(choice, q))
        return idle + float(congestion.crowd @ crowding(load)) / float(work.rates.sum())

    found = optimize.minimize(
        mean, uniform, method="SLSQP", bounds=limits, constraints=constraints, options={"ftol": 1e-13, "maxiter": 500}
    )
    load = work.load(choice, found.x)
    return float(found.fun) if load.max() <= cap + 1e-6 and abs(users @ found.x - work.k[choice]).max() < 1e-6 else np.inf


@pytest.mark.parametrize("seed", range(8))
def test_gossip_equals_another_solver(seed: int) -> None:
    """CLARABEL's optimum is that of sequential quadratic programming, and its gossip is one: k neighbours in a layer."""
    work, _ = _work(200 + seed, n=3 + seed % 2, load=0.5)
    rng = np.random.default_rng(seed)
    choice = rng.integers(1, 3, work.users.size)
    congestion = _congestion(work, 1)
    asked = GossipProgram(work, choice).solve(congestion, np.full(work.n, 0.95))
    assert asked is not None
    assert (asked >= 0).all()
    assert (asked <= 1).all()
    np.testing.assert_allclose(np.bincount(work.link_user, asked), work.k[choice], atol=1e-9)
    mine = congestion.mean_latency(work, choice, asked)
    assert mine == pytest.approx(_least_latency(work, choice, congestion, 0.95), rel=1e-5)
    assert mine <= congestion.mean_latency(work, choice, work.uniform(choice)) * (1 + 1e-7)


def test_gossip_keeps_its_least() -> None:
    work, _ = _work(7, n=4, load=0.5)
    choice = np.ones(4, dtype=np.int64)
    asked = GossipProgram(work, choice, least=0.5).solve(_congestion(work), np.full(4, 0.95))
    assert asked is not None
    assert (asked >= 0.5 * work.uniform(choice) - 1e-9).all()


@pytest.mark.parametrize("seed", range(6))
def test_choices_and_gossip_together_equal_brute_force(seed: int) -> None:
    """Of all choices whose least latency over all gossips is within the budget, the program finds the most accurate."""
    work, accuracy = _work(300 + seed)
    congestion = _congestion(work)
    share = float(np.random.default_rng(seed).uniform(0.1, 0.7))
    budgets = Budgets(mean=_budget(work, congestion, share), user=_no_user_limits(work), cap=np.full(work.n, 0.95))
    found = MixedProgram(work, accuracy, gossip=True, points=64).solve(congestion, budgets, gap=1e-6, time_limit=1000)
    values = {}
    for combination in product(range(len(work.configurations)), repeat=work.users.size):
        choice = np.array(combination)
        values[combination] = float(work.share @ accuracy[np.arange(choice.size), choice])
    best = -np.inf
    for combination, value in sorted(values.items(), key=lambda each: -each[1]):
        if _least_latency(work, np.array(combination), congestion, 0.95) <= budgets.mean * (1 + 1e-6):
            best = value
            break
    assert found.value == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_fair_rates_equal_another_solver(seed: int) -> None:
    work, _ = _work(400 + seed, n=3 + seed % 2)
    place = 1 + seed % 2
    congestion = _congestion(work, place)
    choice = np.full(work.users.size, place)
    asked = work.uniform(choice)
    mean = float(work.share @ work.idle(choice, asked)) * 1.8
    budgets = Budgets(mean=mean, user=_no_user_limits(work), cap=np.full(work.n, 0.9))
    rates = RatesProgram(work, place).solve(congestion, budgets)
    assert rates is not None
    idle = work.idle(choice, asked)
    by_user = np.column_stack([_one_user(work, choice, asked, u) for u in range(work.users.size)])

    def room(x: FloatArray) -> float:
        load = np.minimum(by_user @ x, 0.999)
        per = x * work.rates
        return float((mean * per.sum() - idle @ per - congestion.crowd @ crowding(load)) / per.sum() / mean)

    constraints = [{"type": "ineq", "fun": room}, {"type": "ineq", "fun": lambda x: 0.9 - by_user @ x}]
    start = np.full(work.users.size, 0.2)
    other = optimize.minimize(
        lambda x: -np.log(x).sum(), start, method="SLSQP", bounds=[(1e-4, 50)] * start.size, constraints=constraints,
        options={"ftol": 1e-13, "maxiter": 500},
    )  # fmt: skip
    assert np.log(rates / work.rates).sum() == pytest.approx(-other.fun, abs=2e-4)


def _one_user(work: Work, choice: IntArray, asked: FloatArray, u: int) -> FloatArray:
    """Load of all devices by one user alone."""
    own = np.where(np.arange(choice.size) == u, work.own_load[np.arange(choice.size), choice], 0.0)
    link = np.where(work.link_user == u, work.link_load[np.arange(asked.size), choice[work.link_user]] * asked, 0.0)
    return work.on_devices(own, link)


# -- coefficients ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_loads_are_those_of_the_system_that_runs_the_plan(seed: int) -> None:
    """Exact for any mix of configurations and any gossip."""
    work, _ = _work(500 + seed, n=4)
    rng = np.random.default_rng(seed)
    choice = rng.integers(0, 4, work.users.size)
    asked = work.uniform(choice)
    np.testing.assert_allclose(work.load(choice, asked), utilisation(settle(work, choice, asked)), rtol=1e-12)
    gossip = GossipProgram(work, choice).solve(_congestion(work), np.full(4, 0.99))
    assert gossip is not None
    np.testing.assert_allclose(work.load(choice, gossip), utilisation(settle(work, choice, gossip)), rtol=1e-8)


def test_the_surrogate_is_exact_at_the_plan_that_sets_it() -> None:
    work, _ = _work(11, n=4, load=0.8)
    choice = np.array([1, 2, 0, 3])
    asked = work.uniform(choice)
    estimate = latency(settle(work, choice, asked))
    found = Congestion.at(work, choice, asked, estimate)
    assert found.mean_latency(work, choice, asked) == pytest.approx(estimate.mean, rel=1e-9)
    np.testing.assert_allclose(found.user_latency(work, choice, asked), estimate.user_mean, rtol=1e-9)


@pytest.mark.parametrize("squared", [True, False])
def test_tangents_lie_below_and_chords_above(squared: bool) -> None:
    points, at = grid(0.95, 64), np.linspace(0, 0.95, 500)
    curve = crowding(at) if squared else waiting(at)
    for lines, sign in ((tangents, -1), (chords, 1)):
        slope, intercept = lines(points, squared=squared)
        envelope = (slope[None, :] * at[:, None] + intercept[None, :]).max(axis=1)
        assert (sign * (envelope - curve) >= -1e-12).all()
        assert (np.abs(envelope - curve) <= 0.01 * (curve + 0.1)).all()


def test_a_solver_that_is_not_there_is_refused() -> None:
    work, accuracy = _work(0)
    with pytest.raises(InputError, match="solver"):
        MixedProgram(work, accuracy, solver="ABACUS")


def test_nothing_admissible_is_said() -> None:
    work, accuracy = _work(0)
    budgets = Budgets(mean=1e-3, user=_no_user_limits(work), cap=np.full(work.n, 0.95))
    found = MixedProgram(work, accuracy).solve(_congestion(work), budgets, time_limit=1000)
    assert (found.choice, found.status) == (None, "infeasible")
