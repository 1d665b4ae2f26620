"""The choice of (M, k): against brute force, its limits one by one, the defended pick, what would mend a request."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dmoa_theory import Constraints, Footprint, MoA, Network, ServiceTime, System, build_topology, latency
from dmoa_theory import optimise as optimise_and_try_out
from dmoa_theory.accuracy.table import AccuracyEntry, AccuracyTable, read_accuracy
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.candidates import evaluate
from dmoa_theory.optimisation.choose import STANDARD_ERRORS, Decision
from dmoa_theory.optimisation.plan import make_plan

TOLD = [(0, 0, 0.30), (1, 1, 0.50), (1, 2, 0.55), (2, 1, 0.45), (2, 2, 0.60), (1, 3, 0.52), (2, 3, 0.70)]


def _table(rows: list[tuple[int, int, float]] = TOLD, error: float = 0.01) -> AccuracyTable:
    entries = tuple(AccuracyEntry(M=M, k=k, accuracy=a, standard_error=error, n_eval=None) for M, k, a in rows)
    return AccuracyTable(name="told", source="made up", metric="", entries=entries, per_prompt_deviation=None)


def _system(
    *,
    rate: float | list[float] = 0.002,
    mean: float | list[float] = 24.0,
    network: Network | None = None,
    relative_error: float = 0.0,
    counted: bool = True,
    **limits: float,
) -> System:
    network = network or build_topology("complete", n=4)
    service = ServiceTime.gamma(mean, 0.5)
    assert service.mean_error is not None
    return System(
        network=network,
        arrival_rate=rate,
        service=replace(service, mean_error=relative_error * service.mean),
        moa=MoA(0, 0),
        footprint=Footprint.from_numbers(weight_bytes=8e9, prompt_bytes=4e6, response_bytes=1e6) if counted else None,
        constraints=Constraints(**limits),
    )


def _figures(system: System, M: int, k: int) -> dict[str, float]:
    """What the limits are about, straight from the latency estimate."""
    estimate = latency(system.with_moa(M, k))
    assert estimate.memory is not None
    return {
        "max_utilisation": float(estimate.utilisation.max()),
        "mean_latency": estimate.mean,
        "p95_latency": estimate.p95,
        "memory": float(estimate.memory.quantile.max()),
    }


def _meets(system: System, M: int, k: int, accuracy: float) -> bool:
    limits, figures = system.constraints, _figures(system, M, k)
    within = all(getattr(limits, name) is None or value <= getattr(limits, name) for name, value in figures.items())
    return within and (limits.min_accuracy is None or accuracy >= limits.min_accuracy)


def optimise(system: System, **options: Any) -> Decision:
    """The choice alone, by accuracies as stated: what is tried out, explained and fitted has tests of its own."""
    return optimise_and_try_out(system, **{"simulation": False, "explain": False, "fitted": False, **options})


def _chosen(decision: Decision) -> tuple[int, int] | None:
    return None if decision.choice is None else (decision.choice.M, decision.choice.k)


# -- the choice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_the_choice_is_the_best_of_all(seed: int) -> None:
    """Random loads, devices, accuracies (ties among them) and limits, against brute force."""
    rng = np.random.default_rng(seed)
    rows = [(M, k, float(rng.choice([0.3, 0.4, 0.5, 0.6]))) for M in range(4) for k in range(4) if M or not k]
    system = _system(
        rate=rng.uniform(0, 0.003, 4).tolist(),
        mean=rng.uniform(10, 40, 4).tolist(),
        mean_latency=float(rng.uniform(50, 400)),
        p95_latency=float(rng.uniform(100, 800)),
        memory=8e9 + float(rng.uniform(1e7, 1e8)),
        max_utilisation=float(rng.uniform(0.3, 0.95)),
    )
    fit = [(-a, _figures(system, M, k)["mean_latency"], (M, k)) for M, k, a in rows if _meets(system, M, k, a)]
    decision = optimise(system, accuracy=_table(rows))
    ranked = [configuration for *_, configuration in sorted(fit)]
    assert _chosen(decision) == (ranked[0] if ranked else None)
    assert decision.feasible is bool(ranked)
    runner_up = decision.runner_up
    assert (None if runner_up is None else (runner_up.M, runner_up.k)) == (ranked[1] if len(ranked) > 1 else None)
    for candidate in decision.candidates:
        assert candidate.feasible is ((candidate.M, candidate.k) in ranked)


def test_without_limits_that_bind_the_most_accurate_wins() -> None:
    decision = optimise(_system(rate=1e-5), accuracy=_table())
    assert _chosen(decision) == (2, 3)
    assert decision.binding == ()
    assert decision.runner_up is not None
    assert (decision.runner_up.M, decision.runner_up.k) == (2, 2)
    assert decision.relaxation is None


@pytest.mark.parametrize("limit", ["max_utilisation", "mean_latency", "p95_latency", "memory"])
def test_each_limit_binds(limit: str) -> None:
    """A limit just below what the best needs keeps it, and nothing that needs less, out; just above, it does not."""
    needs = {(M, k): _figures(_system(), M, k)[limit] for M, k, _ in TOLD}
    most = needs[2, 3]
    assert most == max(needs.values())
    second = max(value for value in needs.values() if value < most)
    limits = {"p95_latency": 1e6, limit: (most + second) / 2}
    decision = optimise(_system(**limits), accuracy=_table())
    assert _chosen(decision) == (2, 2)
    assert [(c.M, c.k, v.limit) for c, v in decision.binding] == [(2, 3, limit)]
    assert decision.binding[0][1].value == pytest.approx(most)
    assert decision.binding[0][1].allowed == limits[limit]
    assert _chosen(optimise(_system(**{**limits, limit: most * (1 + 1e-9)}), accuracy=_table())) == (2, 3)


def test_the_least_accuracy_binds() -> None:
    """The accurate ones are too slow, the quick ones too poor: nothing is left, and one limit too few leaves one."""
    slow = _figures(_system(), 2, 2)["mean_latency"] * 0.99
    assert _chosen(optimise(_system(mean_latency=slow, min_accuracy=0.55), accuracy=_table())) == (1, 2)
    decision = optimise(_system(mean_latency=slow, min_accuracy=0.56), accuracy=_table())
    assert decision.choice is None
    best = next(c for c in decision.candidates if (c.M, c.k) == (1, 2))
    assert [v.limit for v in best.violations] == ["min_accuracy"]


def test_memory_counts_only_where_something_is_known_of_it() -> None:
    decision = optimise(_system(counted=False), accuracy=_table())
    assert all(c.memory_bytes is None for c in decision.candidates)
    assert decision.feasible


def test_what_the_network_does_not_allow_is_left_out() -> None:
    """A ring has two neighbours: k = 3 is impossible, whatever its accuracy; users without prompts do not matter."""
    decision = optimise(_system(network=build_topology("ring", n=5), rate=1e-4), accuracy=_table())
    assert _chosen(decision) == (2, 2)
    impossible = [(c.M, c.k) for c in decision.candidates if c.impossible]
    assert impossible == [(1, 3), (2, 3)]
    assert all(c.impossible == "a user has only 2 neighbours" and not c.stable for c in decision.candidates if c.impossible)
    star = build_topology("star", n=5)
    assert _chosen(optimise(_system(network=star, rate=[1e-4, 0, 0, 0, 0]), accuracy=_table())) == (2, 3)
    only_bare = optimise(_system(network=star, rate=1e-4), accuracy=_table([(1, 2, 0.9), (0, 7, 0.1)]))
    assert _chosen(only_bare) == (0, 7)  # M = 0 asks nobody, whatever k


def test_the_published_tables() -> None:
    """Four idle devices: the choice is the table's best row, M = 2 and k = 3 in both."""
    for name, accuracy in (("mitra2024-same", 0.4063), ("mitra2024-diverse", 0.5555)):
        choice = optimise(_system(rate=1e-6), accuracy=name).choice
        assert choice is not None
        assert (choice.M, choice.k, choice.accuracy) == (2, 3, accuracy)


def test_the_table_asked_for_goes_before_the_systems_own() -> None:
    system = replace(_system(), accuracy="mitra2024-same")
    assert optimise(system).accuracy.name == "mitra2024-same"
    assert optimise(system, accuracy="mitra2024-diverse").accuracy.name == "mitra2024-diverse"
    assert optimise(_system()).accuracy.name == "mitra2024-diverse"
    with pytest.raises(InputError, match=r"accuracy\.table"):
        optimise(_system(), accuracy="")


# -- the defended pick ------------------------------------------------------------------------------------------------


def test_the_quickest_within_one_standard_error_is_recommended() -> None:
    for error, expected in ((0.001, (2, 3)), (0.11, (2, 2)), (0.19, (1, 2)), (0.21, (1, 1)), (0.41, (0, 0))):
        decision = optimise(_system(rate=1e-5), accuracy=_table(error=error))
        assert decision.recommended is not None
        assert (decision.recommended.M, decision.recommended.k) == expected
        assert _chosen(decision) == (2, 3)
        if expected != (2, 3):
            gap = 100 * (0.70 - decision.recommended.accuracy)
            assert f"M=2, k=3 is stated to be {gap:.1f} points more accurate" in decision.why


def test_the_one_standard_error_rule_counts_from_the_best_robust_one() -> None:
    """(2, 3) has no margin, so (2, 2) is the best to defend, and the bar is one of its standard errors below it."""
    rows = _table()
    entries = tuple(replace(e, standard_error=0.06) if (e.M, e.k) == (2, 2) else e for e in rows.entries)
    limit = _figures(_system(), 2, 3)["p95_latency"] * 1.001
    decision = optimise(_system(p95_latency=limit), accuracy=replace(rows, entries=entries))
    assert _chosen(decision) == (2, 3)
    assert decision.recommended is not None
    assert (decision.recommended.M, decision.recommended.k) == (1, 2)
    assert "M=2, k=3, more accurate, does not; M=2, k=2 is stated to be 5.0 points more accurate" in decision.why
    assert "less than its standard error of 6.0 points" in decision.why


def test_uncertain_service_times_cost_margin() -> None:
    """Feasible as stated, not with service two standard errors longer: chosen, not recommended."""
    allowed = _figures(_system(), 2, 3)["max_utilisation"] * 1.1
    sure = optimise(_system(max_utilisation=allowed, relative_error=0.04), accuracy=_table())
    unsure = optimise(_system(max_utilisation=allowed, relative_error=0.06), accuracy=_table())
    assert _chosen(sure) == _chosen(unsure) == (2, 3)
    assert sure.recommended is not None
    assert unsure.recommended is not None
    assert (sure.recommended.M, sure.recommended.k) == (2, 3)
    assert (unsure.recommended.M, unsure.recommended.k) == (2, 2)
    assert STANDARD_ERRORS == 2


def test_nothing_is_recommended_without_margin() -> None:
    limit = _figures(_system(), 0, 0)["p95_latency"] * 1.0001
    decision = optimise(_system(p95_latency=limit), accuracy=_table())
    assert _chosen(decision) == (0, 0)
    assert decision.recommended is None
    assert "M=0, k=0 meets them with nothing to spare" in decision.why


def test_cautious_figures_are_those_of_longer_service() -> None:
    system = _system(relative_error=0.1)
    entry = _table().entry(2, 2)
    longer = _system(mean=24.0 * 1.2)
    assert evaluate(system, entry, standard_errors=2.0).mean_latency == pytest.approx(evaluate(longer, entry).mean_latency)


# -- what would mend it -----------------------------------------------------------------------------------------------

IMPOSSIBLE_LIMITS: list[dict[str, float]] = [
    {"mean_latency": 20.0},
    {"p95_latency": 50.0},
    {"memory": 8e9 + 3e6},
    {"max_utilisation": 0.04},
    {"min_accuracy": 0.9},
    {"mean_latency": 60.0, "min_accuracy": 0.55},
    {"p95_latency": 150.0, "memory": 8e9 + 1e7, "min_accuracy": 0.65},
]


@pytest.mark.parametrize("limits", IMPOSSIBLE_LIMITS)
def test_the_relaxation_mends_the_request(limits: dict[str, float]) -> None:
    system = _system(**limits)
    decision = optimise(system, accuracy=_table())
    assert decision.choice is None
    assert decision.recommended is None
    assert decision.runner_up is None
    assert decision.relaxation is not None
    named = decision.relaxation.configuration
    assert named is not None
    changes = {change.limit: change.value for change in decision.relaxation.changes}
    assert {change.limit: change.allowed for change in decision.relaxation.changes} == {key: limits[key] for key in changes}
    mended = optimise(replace(system, constraints=replace(system.constraints, **changes)), accuracy=_table())
    again = next(c for c in mended.candidates if (c.M, c.k) == (named.M, named.k))
    assert again.feasible
    for limit in changes:  # and none of the changes can be left out
        partly = {key: value for key, value in changes.items() if key != limit}
        without = optimise(replace(system, constraints=replace(system.constraints, **partly)), accuracy=_table())
        assert not next(c for c in without.candidates if (c.M, c.k) == (named.M, named.k)).feasible


@pytest.mark.parametrize(
    ("rate", "limits"),
    [
        (0.05, {}),
        (0.02, {"min_accuracy": 0.5}),
        (0.004, {"min_accuracy": 0.65, "p95_latency": 400.0}),
        (0.003, {"min_accuracy": 0.65, "memory": 8e9 + 5e7}),
    ],
)
def test_the_load_that_works_works_and_a_little_more_does_not(rate: float, limits: dict[str, float]) -> None:
    system = _system(rate=rate, **limits)
    decision = optimise(system, accuracy=_table())
    assert decision.relaxation is not None
    scale, at_load = decision.relaxation.load_scale, decision.relaxation.at_load
    assert scale is not None
    assert at_load is not None
    assert 0 < scale < 1
    scaled = optimise(replace(system, arrival_rate=system.rates * scale), accuracy=_table())
    assert _chosen(scaled) == (at_load.M, at_load.k)
    assert not optimise(replace(system, arrival_rate=system.rates * scale * 1.01), accuracy=_table()).feasible


def test_no_load_is_small_enough_for_an_impossible_limit() -> None:
    relaxation = optimise(_system(mean_latency=20.0), accuracy=_table()).relaxation
    assert relaxation is not None
    assert (relaxation.load_scale, relaxation.at_load) == (None, None)


def test_no_limit_helps_where_everything_is_unstable() -> None:
    relaxation = optimise(_system(rate=0.05), accuracy=_table()).relaxation
    assert relaxation is not None
    assert relaxation.configuration is None
    assert relaxation.changes == ()


# -- the front --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_not_dominated(seed: int) -> None:
    """No stable configuration is both as accurate and as fast as one on the front; one on the front beats every other."""
    rng = np.random.default_rng(100 + seed)
    rows = [(M, k, float(rng.choice([0.3, 0.4, 0.5, 0.6, 0.7]))) for M in range(4) for k in range(4) if M or not k]
    decision = optimise(_system(rate=0.004), accuracy=_table(rows))
    front, stable = decision.pareto(), [c for c in decision.candidates if c.stable]
    assert 0 < len(stable) < len(rows)
    for c in front:
        assert c in stable
        better = [
            d
            for d in stable
            if d.accuracy >= c.accuracy
            and d.mean_latency <= c.mean_latency
            and (d.accuracy, d.mean_latency) != (c.accuracy, c.mean_latency)
        ]
        assert not better
    for c in stable:
        assert any(d.accuracy >= c.accuracy and d.mean_latency <= c.mean_latency for d in front)
    assert [c.mean_latency for c in front] == sorted(c.mean_latency for c in front)
    assert all(math.isfinite(c.mean_latency) for c in front)


# -- plan -------------------------------------------------------------------------------------------------------------


def test_a_plan_settles_on_the_pick() -> None:
    system = replace(_system(rate=1e-4), accuracy="mitra2024-same")
    plan = make_plan(system, simulation=False)
    picked = plan.decision.recommended
    assert picked is not None
    assert plan.settled is not None
    assert plan.settled.system.moa.inferences() == MoA(picked.M, picked.k).inferences()
    assert plan.settled.bottleneck.utilisation == pytest.approx(picked.utilisation)
    assert plan.region.system is system
    assert make_plan(_system(rate=0.05), simulation=False).settled is None


def test_progress_is_told_to_the_end() -> None:
    seen: list[float] = []
    optimise(_system(), progress=seen.append)
    n = len(read_accuracy("mitra2024-diverse").entries)
    assert seen == [(i + 1) / n for i in range(n)]


@pytest.mark.parametrize("mean", [20.0, 24.0, 28.2, 33.3])
def test_constant_service_times_are_no_obstacle(mean: float) -> None:
    """An SCV of zero, which rounding may put a hair below zero."""
    complete = 1 - np.eye(4)
    system = System.from_arrays(complete, [0.003, 0.002, 0.002, 0.001], mean, M=1, k=2, law="deterministic")
    assert optimise(system).feasible


def test_a_quorum_goes_along() -> None:
    """Each configuration waits for the scenario's quorum, at most all of its answers; the accuracies did not, which is said."""
    system = System.from_arrays(1 - np.eye(4), 0.002, 20.0, M=1, k=2)
    hasty = replace(system, moa=MoA(1, 2, quorum=2))
    decision = optimise(hasty)
    by_name = {(c.M, c.k): c for c in decision.candidates}
    assert by_name[1, 2].mean_latency == latency(hasty).mean
    assert by_name[1, 1].mean_latency == latency(system.with_moa(1, 1)).mean
    assert any("quorum" in text for text in decision.warnings())
    by_user = optimise(replace(system, moa=MoA([1, 1, 1, 2], 1)))
    assert any("by user" in text for text in by_user.warnings())


def test_the_plan_carries_what_is_to_run() -> None:
    """JSON says which (M, k) its figures are for, and holds region and latency of the recommended one."""
    system = System.from_arrays(1 - np.eye(4), 0.002, 20.0, M=2, k=2)
    plan = make_plan(system, simulation=False)
    answer = plan.to_dict()
    assert answer["region"]["configuration"] == {"M": 2, "k": 2, "quorum": None}
    assert answer["recommended"] is not None
    settled = answer["settled"]
    assert {name: settled["latency"]["configuration"][name] for name in ("M", "k")} == {
        name: answer["recommended"][name] for name in ("M", "k")
    }
    assert settled["latency"]["mean"] == answer["recommended"]["mean_latency"]
    assert settled["region"]["critical_scale"] == pytest.approx(answer["recommended"]["critical_scale"], rel=1e-12)
