"""Sweeps that re-use what was worked out and compiled: the same answers as one by one, anew; quorums; few users in full."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from dmoa_theory import Constraints, MoA, ServiceTime, System, build_topology, latency
from dmoa_theory.accuracy.table import AccuracyEntry, AccuracyTable
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation import answering as room
from dmoa_theory.optimisation.answering import Answering, Asked
from dmoa_theory.optimisation.individual import IndividualPlan, plan_by_user
from dmoa_theory.optimisation.limits import Limits, figures_of
from dmoa_theory.optimisation.programs.congestion import Congestion
from dmoa_theory.optimisation.programs.settle import settle
from dmoa_theory.optimisation.programs.work import work_of
from dmoa_theory.optimisation.search import Search
from dmoa_theory.stability.loads import utilisation

CONFIGURATIONS = [(0, 0), (1, 1), (1, 2), (2, 2)]
ACCURACY = np.array([0.3, 0.5, 0.55, 0.62])


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracies of four configurations, as if a file had stated them."""
    entries = tuple(
        AccuracyEntry(M=M, k=k, accuracy=float(a), standard_error=0.01, n_eval=None)
        for (M, k), a in zip(CONFIGURATIONS, ACCURACY, strict=True)
    )
    table = AccuracyTable(name="told", source="made up", metric="", entries=entries, per_prompt_deviation=None)
    monkeypatch.setattr("dmoa_theory.optimisation.choose.read_accuracy", lambda name: table)
    monkeypatch.setattr("dmoa_theory.optimisation.accuracies.read_tables", lambda name: (table,))


def _system(seed: int = 0, *, n: int = 3, quorum: Any = None, load: float = 0.7) -> System:
    rng = np.random.default_rng(seed)
    system = System(
        network=build_topology("complete", n=n),
        arrival_rate=rng.uniform(0.3, 1.5, n),
        service=ServiceTime.gamma(rng.uniform(10.0, 40.0, n), 0.5, later=1.2, aggregate=1.1),
        moa=MoA(2, 2, quorum),
    )
    return system.with_rates(system.rates * load / utilisation(system).max())


def _asked(**options: Any) -> Asked:
    """With so much time that no answer depends on how busy the machine is."""
    return Asked(**{"robust": False, "fitted": False, "time_limit": 1000.0, "gap": 1e-4, **options})


def _told(plan: IndividualPlan) -> dict[str, Any]:
    """The plan, less what a clock says."""
    return plan.to_dict()


# -- the same answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [{"per_user": True}, {"gossip": True}, {"per_user": True, "gossip": True}])
def test_a_sweep_of_limits_answers_as_if_each_were_asked_anew(kind: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Plan for plan and figure for figure; and nothing is compiled again."""
    system = _system()
    middle = figures_of(latency(system.with_moa(1, 2))).mean_latency
    compiled: list[Search] = []
    make = room.search_for
    monkeypatch.setattr(room, "search_for", lambda *given, **options: compiled.append(made := make(*given, **options)) or made)
    together = Answering(_asked(**kind))
    for factor in (0.5, 1.1):
        limits = Limits(mean_latency=factor * middle)
        again = together.plan(system, limits, only_limits=True)
        assert len(compiled) == 1
        assert _told(again) == _told(Answering(_asked(**kind)).plan(system, limits))
        del compiled[1:]
        one = together.decide(system, limits, only_limits=True)
        assert one.to_dict() == Answering(_asked(**kind)).decide(system, limits).to_dict()


def test_a_sweep_of_rates_answers_as_if_each_were_asked_anew() -> None:
    """To rounding: loads come from another multiplication."""
    system = _system(1)
    limits = Limits(mean_latency=0.9 * figures_of(latency(system.with_moa(1, 2))).mean_latency)
    together = Answering(_asked(per_user=True))
    first = together.plan(system, limits)
    for factor in (0.6,):
        scaled = system.with_rates(system.rates * factor)
        again = together.plan(scaled, limits, only_rates=True)
        anew = Answering(_asked(per_user=True)).plan(scaled, limits)
        assert again.best is not None
        assert anew.best is not None
        assert first.best is not None
        assert again.runs() == anew.runs()
        assert again.best.accuracy > first.best.accuracy
        assert again.best.figures.mean_latency == pytest.approx(anew.best.figures.mean_latency, rel=1e-9)
        assert again.system is not None
        np.testing.assert_allclose(again.best.figures.max_utilisation, utilisation(again.system).max(), rtol=1e-9)


def test_programs_are_compiled_anew_where_they_do_not_serve() -> None:
    """Rates in other proportions and another cap on utilisation: a search refuses, and answering builds another."""
    system, together = _system(2), Answering(_asked(per_user=True))
    first = together.plan(system, Limits(max_utilisation=0.5))
    wider = together.plan(system, Limits(max_utilisation=0.9), only_limits=True)
    assert wider.accuracy_of(wider.best) > first.accuracy_of(first.best)  # type: ignore[operator]
    skewed = system.with_rates(system.rates * np.array([1.0, 1.0, 2.0]))
    other = together.plan(skewed, Limits(max_utilisation=0.9), only_rates=True)
    assert _told(other) == _told(Answering(_asked(per_user=True)).plan(skewed, Limits(max_utilisation=0.9)))
    search = Search(system, CONFIGURATIONS, np.tile(ACCURACY, (3, 1)), Limits(max_utilisation=0.9))
    with pytest.raises(InputError, match="max_utilisation"):
        search.under(Limits(max_utilisation=0.94))
    with pytest.raises(InputError, match="one factor"):
        search.under(Limits(max_utilisation=0.9), skewed.rates)


# -- few users, in full ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_few_users_get_the_best_of_all_choices_by_the_full_theory(seed: int) -> None:
    system = _system(seed, n=3)
    limits = Limits(mean_latency=figures_of(latency(system.with_moa(1, 2))).mean_latency * 0.9)
    best = 0.0
    for combination in product(range(4), repeat=3):
        M, k = (np.array([CONFIGURATIONS[c][i] for c in combination]) for i in (0, 1))
        configured = replace(system, moa=MoA(M, k))
        if utilisation(configured).max() <= 0.95 and latency(configured).mean <= limits.mean_latency:  # type: ignore[operator]
            best = max(best, float(system.rates @ ACCURACY[list(combination)] / system.rates.sum()))
    plan = plan_by_user(system, CONFIGURATIONS, ACCURACY, limits, robust=False, simulation=False, time_limit=1000.0)
    assert plan.exhausted == 64
    assert plan.best is not None
    assert plan.best.accuracy == pytest.approx(best, abs=1e-9)


def test_many_users_are_not_gone_through() -> None:
    plan = plan_by_user(
        _system(0, n=6, load=0.2), CONFIGURATIONS, ACCURACY, Limits(), robust=False, simulation=False, time_limit=1000.0
    )
    assert plan.exhausted is None


# -- quorums --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quorum", [1, 2])
def test_the_surrogate_waits_for_the_quorum(quorum: int) -> None:
    """Loads are as without; the plan that is settled has the quorum, at most all answers; the constants make it exact there."""
    system = _system(3, n=4, quorum=quorum)
    work, without = work_of(system, CONFIGURATIONS), work_of(replace(system, moa=MoA(2, 2)), CONFIGURATIONS)
    choice = np.array([0, 1, 2, 3])
    asked = work.uniform(choice)
    np.testing.assert_array_equal(work.load(choice, asked), without.load(choice, asked))
    assert (work.own_waits[:, 3] < without.own_waits[:, 3]).all()
    fewer = np.array([0, 2, 3, 3])[choice] > quorum  # where not all answers of a layer are waited for
    assert (work.idle(choice, asked)[fewer] < without.idle(choice, asked)[fewer] * 0.95).all()
    configured = settle(work, choice, asked)
    _, k, answers = configured.moa.per_user(4)
    np.testing.assert_array_equal(answers, np.minimum(quorum, k + 1))
    estimate = latency(configured)
    found = Congestion.at(work, choice, asked, estimate)
    assert found.mean_latency(work, choice, asked) == pytest.approx(estimate.mean, rel=1e-9)


def test_waits_of_a_quorum_are_those_of_exponential_answers() -> None:
    """The second of three exponential answers takes 1/3 + 1/2 of one; each answer counts a third of that."""
    work = work_of(_system(3, quorum=2), [(1, 2)])
    assert work.link_waits[0] == pytest.approx((1 / 3 + 1 / 2) / 3)
    assert work.own_waits[0, 0] == pytest.approx((1 / 3 + 1 / 2) / 3 + 1)


def test_a_plan_with_a_quorum_keeps_its_limits_and_gets_further() -> None:
    hasty, patient = _system(4, quorum=2), _system(4)
    limits = Limits(mean_latency=figures_of(latency(patient.with_moa(1, 1))).mean_latency)
    plans = [
        plan_by_user(s, CONFIGURATIONS, ACCURACY, limits, robust=False, simulation=False, time_limit=1000.0)
        for s in (hasty, patient)
    ]
    best = [plan.accuracy_of(plan.best) for plan in plans]
    assert best[0] > best[1]  # type: ignore[operator]
    assert plans[0].system is not None
    assert plans[0].system.moa.quorum is not None
    assert limits.broken(figures_of(latency(plans[0].system))) == ()
    assert any("quorum" in reason for reason in plans[0].reasons())
    assert not any("quorum" in reason for reason in plans[1].reasons())


def test_a_quorum_by_user_is_set_aside_and_said_to_be() -> None:
    system = _system(4, quorum=[1, 2, 2])
    plan = plan_by_user(system, CONFIGURATIONS[:2], ACCURACY[:2], Limits(), robust=False, simulation=False, time_limit=1000.0)
    assert plan.system is not None
    assert plan.system.moa.quorum is None
    assert any("quorum by user are set aside" in reason for reason in plan.reasons())


# -- odd systems ----------------------------------------------------------------------------------------------------------


def _odd(adjacency: list[list[int]], rates: Any, mean: Any = 20.0, **limits: float) -> System:
    system = System.from_arrays(np.array(adjacency), rates, mean, M=0, k=0)
    return replace(system, constraints=Constraints(**limits))


ODD = {
    "one device": (_odd([[0]], [0.01]), 0.3),
    "one who asks and one who helps": (_odd([[0, 1], [1, 0]], [0.005, 0.0]), 0.5),
    "a user without neighbours": (_odd([[0, 1, 0], [1, 0, 0], [0, 0, 0]], [0.004, 0.003, 0.001]), (0.5 * 7 + 0.3) / 8),
    "leaves of a star": (_odd([[0, 1, 1, 1], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], [0.0, 0.002, 0.001, 0.003]), 0.5),
    "hardly any prompts": (_odd((1 - np.eye(4)).astype(int).tolist(), 1e-9), 0.62),
    "rates of all sizes": (_odd((1 - np.eye(4)).astype(int).tolist(), [1e-9, 1e-2, 1e-6, 2e-3], mean_latency=1e6), 0.62),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("gossip", [False, True])
def test_odd_systems_are_planned_by_user(name: str, gossip: bool) -> None:
    """Users run what their neighbours allow; what nobody can run is no obstacle."""
    system, best = ODD[name]
    limits = Limits.of(system.constraints)
    configurations, accuracy = [*CONFIGURATIONS, (2, 5)], np.append(ACCURACY, 0.9)
    plan = plan_by_user(
        system, configurations, accuracy, limits, gossip=gossip, robust=False, simulation=False, time_limit=1000.0
    )
    assert plan.accuracy_of(plan.best) == pytest.approx(best)
    assert plan.system is not None
    assert limits.broken(figures_of(latency(plan.system))) == ()


def test_no_figure_that_is_not_a_number_is_within_a_limit() -> None:
    figures = replace(figures_of(latency(_system().with_moa(1, 1))), mean_latency=float("nan"))
    limits = Limits(mean_latency=1e6)
    assert [violation.limit for violation in limits.broken(figures)] == ["mean_latency"]
    assert limits.fullness(figures) == np.inf
