"""The pick to defend and what is said of it: fits, trials, objectives, prices, how far it holds, conflicts, maps, sweeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import Constraints, Footprint, MoA, ServiceTime, System, build_topology, latency, load_scenario, optimise
from dmoa_theory.accuracy.table import AccuracyEntry, AccuracyTable
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.candidates import Candidate, Evaluations
from dmoa_theory.optimisation.choice_map import choice_map
from dmoa_theory.optimisation.decision import Decision
from dmoa_theory.optimisation.limits import Limits, figures_of, parse_limit
from dmoa_theory.optimisation.pareto import AIMS, pareto_front
from dmoa_theory.optimisation.prices import largest_factor
from dmoa_theory.optimisation.recommend import MOST_GIVEN_UP, Standing, recommend
from dmoa_theory.optimisation.sweep import parse_sweep, sweep
from dmoa_theory.optimisation.verify import Trial, try_out

TOLD = [(0, 0, 0.30), (1, 1, 0.50), (1, 2, 0.55), (2, 1, 0.45), (2, 2, 0.60), (2, 3, 0.70)]


def _table(error: float = 0.01) -> AccuracyTable:
    entries = tuple(AccuracyEntry(M=M, k=k, accuracy=a, standard_error=error, n_eval=None) for M, k, a in TOLD)
    return AccuracyTable(name="told", source="made up", metric="", entries=entries, per_prompt_deviation=None)


def _system(rate: float = 0.002, **limits: float) -> System:
    return System(
        network=build_topology("complete", n=4),
        arrival_rate=rate,
        service=ServiceTime.gamma(24.0, 0.5),
        moa=MoA(0, 0),
        footprint=Footprint.from_numbers(weight_bytes=8e9, prompt_bytes=4e6, response_bytes=1e6),
        constraints=Constraints(**limits),
    )


def _decide(system: System, **options: object) -> Decision:
    asked = {"simulation": False, "explain": False, "fitted": False, "accuracy": _table(), **options}
    return optimise(system, **asked)  # type: ignore[arg-type]


def _at(system: System, M: int, k: int) -> dict[str, float]:
    return {name: value for name, value in figures_of(latency(system.with_moa(M, k))).to_dict().items() if value is not None}


# -- limits ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limit", ["p99_latency", "user_mean_latency", "user_p95_latency", "user_p99_latency", "mean_latency", "memory"]
)
def test_every_further_limit_binds(limit: str) -> None:
    """Just below what the best needs, it is out; just above, it is in."""
    needs = _at(_system(), 2, 3)[limit]
    for factor, expected in ((0.9999, False), (1.0001, True)):
        decision = _decide(_system(), limits=Limits(**{limit: needs * factor}))
        assert next(c for c in decision.candidates if c.configuration == (2, 3)).feasible is expected


def test_limits_are_read() -> None:
    assert parse_limit("user-p99=2 min") == ("user_p99_latency", 120.0)
    for wrong in ("p50=3", "user-memory=3", "p95", "p95=-1", "everyone-p95=3", "p95=3 weeks"):
        with pytest.raises(InputError, match="--limit"):
            parse_limit(wrong)
    with pytest.raises(InputError, match="p99_latency"):
        Limits(p99_latency=-1.0)


# -- objectives -------------------------------------------------------------------------------------------------------------


def test_the_fastest_for_an_accuracy() -> None:
    decision = _decide(_system(min_accuracy=0.5), objective="latency")
    able = {(M, k): latency(_system().with_moa(M, k)).mean for M, k, a in TOLD if a >= 0.5}
    assert decision.choice is not None
    assert decision.choice.configuration == min(able, key=lambda c: able[c])
    assert decision.recommended is not None
    assert decision.recommended.configuration == (1, 1)


def test_the_most_load_for_an_accuracy() -> None:
    """At the factor found the limit is met, a little above it is not; no other configuration carries more."""
    limit = 400.0
    decision = _decide(_system(min_accuracy=0.5, p95_latency=limit), objective="load")
    choice, recommended = decision.choice, decision.recommended
    assert choice is not None
    assert recommended is not None
    for c in decision.candidates:
        if c.accuracy >= 0.5:
            system = _system().with_moa(c.M, c.k)
            assert latency(system.with_rates(system.rates * c.scale)).p95 <= limit
            assert latency(system.with_rates(system.rates * c.scale * 1.005)).p95 > limit
            assert c.scale <= choice.scale
    assert recommended.configuration == choice.configuration
    assert 0.8 * choice.scale < recommended.scale < choice.scale


def test_unknown_objectives_are_refused() -> None:
    with pytest.raises(InputError, match="objective"):
        _decide(_system(), objective="beauty")


def test_the_largest_factor_is_found() -> None:
    for edge in (1e-4, 0.3, 1.0, 7.7, 300.0):
        found = largest_factor(lambda factor, edge=edge: 0.5 / (1 - factor / (2 * edge)) if factor < 2 * edge else np.inf)
        assert found == pytest.approx(edge, rel=2e-3)
        assert found <= edge * (1 + 1e-9)
    assert largest_factor(lambda factor: 2.0) == 0.0
    assert largest_factor(lambda factor: factor / 3e7) == pytest.approx(3e7, rel=2e-3)  # almost idle devices carry far more


# -- the pick to defend --------------------------------------------------------------------------------------------------------


def test_poor_data_are_no_reason_to_forgo_much() -> None:
    """Fitted accuracies, wide errors: what is given up is never more than five points."""
    decision = _decide(_system(rate=1e-5), fitted=True, accuracy=_table(error=0.3))
    assert decision.recommended is not None
    standing = {each.candidate.configuration: each for each in decision.standings}
    best = max(each.accuracy for each in decision.standings)
    assert best - standing[decision.recommended.configuration].accuracy <= MOST_GIVEN_UP
    assert sum(each.p_best or 0.0 for each in decision.standings) == pytest.approx(1.0)
    assert decision.evidence


def test_good_data_settle_the_matter() -> None:
    """Errors of a tenth of a point: no difference between the fitted best and a much cheaper one is noise."""
    decision = _decide(_system(rate=1e-5), fitted=True, accuracy=_table(error=0.001))
    assert decision.recommended is not None
    best = max(decision.standings, key=lambda each: each.accuracy)
    picked = next(each for each in decision.standings if each.candidate.configuration == decision.recommended.configuration)
    assert best.accuracy - picked.accuracy < 0.03


def test_what_is_objected_to_is_not_even_simulated() -> None:
    """However many there are; those of one reason are told together."""
    standing = tuple(
        Standing(candidate=_candidate(1, k, 10.0 * k), accuracy=0.5, error=0.1, p_best=None, regret=None, sturdy=True)
        for k in range(1, 8)
    )
    good = try_out(_system().with_moa(0, 0), Limits(), queries=2000)
    simulated: list[int] = []

    def simulate(c: Candidate) -> Trial:
        simulated.append(c.k)
        return good

    found = recommend(
        standing,
        belief=None,
        caution="margins",
        objection=lambda c: "it is small" if c.k < 4 else "it is odd" if c.k % 2 else "" if c.k > 4 else "it is four",
        try_out=simulate,
    )
    assert found.pick is not None
    assert (found.pick.k, simulated) == (6, [6])
    assert found.why.endswith(
        "; M=1, k=1 and M=1, k=2 and M=1, k=3 were passed over, since it is small; "
        "M=1, k=4 was passed over, since it is four; M=1, k=5 was passed over, since it is odd"
    )


def _candidate(M: int, k: int, seconds: float) -> Candidate:
    figures = figures_of(latency(_system().with_moa(0, 0)))
    return Candidate(M=M, k=k, accuracy=0.5, accuracy_error=0.1, figures=replace(figures, mean_latency=seconds))


def test_what_fails_in_simulation_is_not_recommended() -> None:
    """The cheapest is tried out first; where it misses a limit, the next is, and both are told."""
    standing = tuple(
        Standing(candidate=_candidate(1, k, 10.0 * k), accuracy=0.5, error=0.1, p_best=None, regret=None, sturdy=True)
        for k in (1, 2, 3)
    )
    good = try_out(_system().with_moa(0, 0), Limits(), queries=2000)
    bad = try_out(_system().with_moa(0, 0), Limits(mean_latency=1.0), queries=2000)
    assert good.holds
    assert not bad.holds
    trials: dict[int, Trial] = {1: bad, 2: good, 3: good}
    found = recommend(standing, belief=None, caution="margins", try_out=lambda c: trials[c.k])
    assert found.pick is not None
    assert found.pick.k == 2
    assert "M=1, k=1 was passed over, since in simulation it did not hold (missed: mean latency" in found.why
    none = recommend(standing, belief=None, caution="margins", try_out=lambda c: bad)
    assert none.pick is None
    assert none.why.startswith("M=1, k=1 and M=1, k=2 and M=1, k=3 were passed over, since in simulation")


def test_choice_and_recommendation_are_simulated() -> None:
    """Both are in ``verified``, with intervals that hold what the theory says, near enough."""
    decision = optimise(_system(p95_latency=600.0), accuracy=_table(), explain=False)
    verified = decision.verified()
    assert verified is not None
    for role, picked in (("choice", decision.choice), ("recommended", decision.recommended)):
        assert picked is not None
        told = verified[role]
        assert (told["M"], told["k"]) == picked.configuration
        assert told["holds"]
        mean = next(each for each in told["figures"] if each["figure"] == "mean_latency")
        assert mean["predicted"] == picked.mean_latency
        assert abs(mean["value"] / mean["predicted"] - 1) < 0.1
    assert _decide(_system()).verified() is None
    assert any("no simulation was run" in text for text in _decide(_system()).reasons())


def test_a_trial_goes_on_until_it_can_tell() -> None:
    """A limit within the interval of the first look asks for more prompts."""
    system = _system().with_moa(1, 2)
    far = try_out(system, Limits(mean_latency=1e4), queries=2000, most_queries=32_000)
    near = try_out(system, Limits(mean_latency=far.result.mean_latency), queries=2000, most_queries=32_000)
    assert far.result.queries < near.result.queries <= 40_000


def test_an_overloaded_plan_does_not_hold() -> None:
    trial = try_out(_system(rate=0.05).with_moa(1, 2), Limits(), queries=5000)
    assert not trial.holds
    assert str(trial) == "queues grew in the simulation"


# -- what would change it ----------------------------------------------------------------------------------------------------


def test_prices_are_what_it_takes() -> None:
    """Moving the limits as a price says lets its configuration in, and a little less does not."""
    system = _system(mean_latency=_at(_system(), 1, 2)["mean_latency"] * 1.01)
    decision = _decide(system)
    assert decision.choice is not None
    assert decision.choice.configuration == (1, 2)
    assert [p.candidate.configuration for p in decision.prices] == [(2, 2), (2, 3)]
    for price in decision.prices:
        assert price.gain == pytest.approx(price.candidate.accuracy - 0.55)
        for less, expected in ((1 + 1e-9, True), (1 - 1e-6, False)):
            moved = {name: then * less for name, _, then in price.limits}
            again = _decide(replace(system, constraints=replace(system.constraints, **moved)))
            found = next(c for c in again.candidates if c.configuration == price.candidate.configuration)
            assert found.feasible is expected
    assert "mean latency from" in str(decision.prices[0])
    assert "buys +5.0 points: M=2, k=2" in str(decision.prices[0])


def test_the_choice_holds_between_the_factors_told() -> None:
    """Within, it is the choice; beyond either end another is, the one told."""
    system = _system(p95_latency=_at(_system(), 2, 2)["p95_latency"] * 1.05)
    decision = _decide(system, explain=True)
    assert decision.choice is not None
    rates, times = decision.holds
    assert (rates.of, times.of) == ("rates", "service times")
    assert 0 < rates.low < 1 < rates.high
    assert 0 < times.low < 1 < times.high
    assert rates.below is not None
    assert rates.above is not None
    ends = [(rates.low * 0.99, rates.below), (rates.low * 1.01, decision.choice), (rates.high * 0.99, decision.choice)]
    for scale, expected in [*ends, (rates.high * 1.01, rates.above)]:
        found = _decide(system.with_rates(system.rates * scale)).choice
        assert found is not None
        assert found.configuration == expected.configuration


CONTRADICTIONS: list[tuple[dict[str, float], str]] = [
    ({"min_accuracy": 0.9}, "accuracy at least 90.0 %: none is stated to reach it; M=2, k=3 comes nearest with 70.0 %"),
    ({"mean_latency": 20.0}, "mean latency at most 20.0 s: no configuration meets it; M=0, k=0 comes nearest with"),
    (
        {"mean_latency": 60.0, "min_accuracy": 0.55},
        "mean latency at most 60.0 s and accuracy at least 55.0 %: each is met by some",
    ),
    (
        {"memory": 8e9 + 3e6},
        "memory at most 8.003e+09 bytes: no configuration meets it; M=0, k=0 comes nearest with 8.004e+09 bytes",
    ),
    ({"p95_latency": 150.0, "memory": 8e9 + 1e7, "min_accuracy": 0.65}, "and accuracy at least 65.0 %: each is met by some"),
    ({"max_utilisation": 0.04}, "utilisation at most 4.0 %: no configuration meets it; M=0, k=0 comes nearest with 4.8 %"),
]


@pytest.mark.parametrize(("limits", "said"), CONTRADICTIONS)
def test_contradictions_are_named(limits: dict[str, float], said: str) -> None:
    """The smallest sets of limits that cannot be met together."""
    decision = _decide(_system(**limits))
    assert decision.choice is None
    assert any(said in text for text in decision.conflicts), decision.conflicts


# -- maps and sweeps -----------------------------------------------------------------------------------------------------------


def test_the_map_equals_a_choice_at_every_point() -> None:
    system = _system()
    found = choice_map(Evaluations(system, Limits()), _table().entries, latency="mean_latency", points=5)
    for s in (0, 2, 4):
        for b in (0, 2, 4):
            limits = Limits(mean_latency=float(found.budgets[b]))
            choice = _decide(system.with_rates(system.rates * found.scales[s]), limits=limits).choice
            place = int(found.best[s, b])
            assert (None if place < 0 else found.configurations[place]) == (None if choice is None else choice.configuration)


@pytest.mark.parametrize("scale", [1.0, 0.01, 100.0])
@pytest.mark.parametrize("limit", [1.0, 150.0, 1e5])
def test_the_map_agrees_with_the_choice_at_the_scenarios_own_point(scale: float, limit: float) -> None:
    """The present load and the limit are on the map exactly, however far from what the configurations can do."""
    system, limits = _system(), Limits(p95_latency=limit)
    system = system.with_rates(system.rates * scale)
    found = choice_map(Evaluations(system, limits), _table().entries, points=7)
    assert (found.scales.size, found.budgets.size, found.limit) == (7, 7, limit)
    for grid in (found.scales, found.budgets):
        np.testing.assert_allclose(grid[1:] / grid[:-1], grid[1] / grid[0])
    ((s,),), ((b,),) = np.nonzero(found.scales == 1.0), np.nonzero(found.budgets == limit)
    choice, place = _decide(system, limits=limits).choice, int(found.best[s, b])
    assert (None if place < 0 else found.configurations[place]) == (None if choice is None else choice.configuration)


def test_sweeps_are_read() -> None:
    assert parse_sweep("arrivals.rate=0.001:0.1:3:log") == ("arrivals.rate", (0.001, 0.01, 0.1))
    for wrong in ("rate=1:2:3", "a.b", "a.b=1:2", "a.b=1:2:0", "a.b=0:2:3:log", "a.b=1:x:3", "a.b=1:inf:3"):
        with pytest.raises(InputError, match="--sweep"):
            parse_sweep(wrong)


def test_bounds_of_a_sweep_have_the_units_of_their_key() -> None:
    assert parse_sweep("constraints.p95_latency=5 s:5 min:2") == ("constraints.p95_latency", (5.0, 300.0))
    assert parse_sweep("arrivals.rate=3.6/hour:0.002:2") == ("arrivals.rate", (0.001, 0.002))
    assert parse_sweep("arrivals.rate.desk-1=1/min:2/min:2")[1] == pytest.approx((1 / 60, 1 / 30))
    assert parse_sweep("constraints.memory=1 GiB:2 GiB:2")[1] == (2**30, 2**31)
    with pytest.raises(InputError, match="--sweep = 5 mins: did you mean min"):
        parse_sweep("constraints.p95_latency=5 mins:10:2")
    with pytest.raises(InputError, match="--sweep = 1/hour: a time above 0"):
        parse_sweep("constraints.p95_latency=1/hour:2/hour:2")
    with pytest.raises(InputError, match="n values from a to b"):
        parse_sweep("moa.k=1 s:2 s:2")


def test_a_sweep_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    """Ctrl-C keeps what is finished; asked again, only the rest is worked out; an unfinished line is dropped."""
    file, asked = tmp_path / "sweep.csv", []

    def answer(value: float) -> dict[str, float]:
        asked.append(value)
        if value == 3.0 and len(asked) == 3:
            raise KeyboardInterrupt
        return {"squared": value**2}

    values = (1.0, 2.0, 3.0, 4.0)
    first = sweep("a.b", values, answer, file=file, request="one")
    assert first.partial
    assert [row["squared"] for row in first.rows] == [1.0, 4.0]
    with file.open("a") as stream:
        stream.write("3.0,9")
    second = sweep("a.b", values, answer, file=file, request="one")
    assert not second.partial
    assert second.resumed == 2
    assert asked == [1.0, 2.0, 3.0, 3.0, 4.0]
    assert [row["squared"] for row in second.rows] == [1.0, 4.0, 9.0, 16.0]
    with pytest.raises(InputError, match="another request"):
        sweep("a.b", values, answer, file=file, request="another")


def test_workers_share_a_sweep() -> None:
    alone, shared = (sweep("a.b", (1.0, 2.0, 3.0), _square, workers=workers) for workers in (1, 2))
    assert alone.rows == shared.rows


def _square(value: float) -> dict[str, float]:
    return {"squared": value**2}


# -- fronts --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aims", [("accuracy", "mean_latency"), ("accuracy", "mean_latency", "memory", "load"), ("load",)])
def test_nothing_beats_what_is_on_a_front(aims: tuple[str, ...]) -> None:
    """No stable configuration is as good in every aim and better in one; every other one is beaten by one on the front."""
    decision = _decide(_system(rate=0.004))
    front = pareto_front(decision.candidates, aims)
    everything = {p.candidate.configuration: p.values for c in decision.candidates for p in pareto_front([c], aims)}

    def beats(one: dict[str, float], other: dict[str, float]) -> bool:
        signed = [(one[aim] - other[aim]) * (1 if AIMS[aim] else -1) for aim in aims]
        return min(signed) >= 0 and max(signed) > 0

    on = {p.candidate.configuration for p in front}
    assert on
    for configuration, values in everything.items():
        assert (configuration in on) is not any(beats(other, values) for other in everything.values())


def test_chances_of_being_on_the_front() -> None:
    """The fastest is on it for sure; with accuracies that are all alike, who else is is a matter of chance."""
    decision = _decide(_system())
    draws = np.random.default_rng(0).normal(0.5, 0.1, (1000, len(decision.candidates)))
    chances = {p.candidate.configuration: p.p_on_front for p in pareto_front(decision.candidates, draws=draws)}
    assert chances[0, 0] == 1.0
    assert all(chance is not None and 0 < chance <= 1 for chance in chances.values())
    with pytest.raises(InputError, match="aims"):
        pareto_front(decision.candidates, ("beauty",))


# -- what is said ---------------------------------------------------------------------------------------------------------


def test_nothing_is_added_to_figures_as_they_are_stated() -> None:
    assert "also" not in _decide(_system(), robust=False).why
    assert "meets every limit with the figures as they are stated" in _decide(_system(), robust=False).why
    assert "meets every limit also with latencies raised by their typical error" in _decide(_system()).why


def test_the_noise_says_what_it_is() -> None:
    """Where the errors are wide it is the most that is given up, and the standard error stands beside it."""
    wide = _decide(_system(), accuracy=_table(error=0.2), fitted=True).why
    assert (
        "within the noise of 5.0 points (the most that is given up for speed; the standard error of the difference is" in wide
    )
    assert "(the standard error of the difference)" in optimise(load_scenario(), simulation=False, explain=False).why


def test_a_trial_that_is_interrupted_is_the_end_and_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a simulation says nothing of a configuration: it may not be passed over for it."""
    from dmoa_theory.optimisation import verify

    whole = verify.simulate

    def half(*arguments: Any, **options: Any) -> Any:
        return replace(whole(*arguments, **options), partial=True)

    monkeypatch.setattr(verify, "simulate", half)
    with pytest.raises(KeyboardInterrupt):
        try_out(_system().with_moa(0, 0), Limits(), queries=2000)
    with pytest.raises(KeyboardInterrupt):
        optimise(_system())
