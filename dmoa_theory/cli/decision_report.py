"""The sentences of ``dmoa optimise`` and ``dmoa plan``: what to run, why, how sure that is, and what would change it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from dmoa_theory.cli.report import region_lines
from dmoa_theory.delay.expected_error import ErrorBand
from dmoa_theory.model.units import show_bytes
from dmoa_theory.optimisation.candidates import Candidate
from dmoa_theory.optimisation.decision import OBJECTIVES, Decision
from dmoa_theory.optimisation.limits import LIMITS, told_apart
from dmoa_theory.optimisation.plan import Plan
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS
from dmoa_theory.optimisation.verify import Trial, Tried
from dmoa_theory.quantities import rate_unit, show_number, show_rate, show_seconds, show_share, show_uncertain_seconds
from dmoa_theory.stability.proofs.guarantee import Verdict
from dmoa_theory.stability.region import stability_region

__all__ = ["decision_lines", "plan_lines", "trial_line"]

# Prices that are named; the others are in the JSON.
_PRICES = 3


def decision_lines(decision: Decision) -> Iterator[str]:
    """What to run and why, what keeps better ones out, what would mend an infeasible request."""
    if decision.choice is None:
        yield "No configuration meets every limit."
        yield from _mending(decision)
        yield from (f"In the way: {text}." for text in decision.conflicts)
    else:
        yield from _picks(decision, decision.choice)
        yield from _tried(decision)
        yield from _replayed(decision)
        yield from _bounds(decision)
    impossible = [f"{c.name} ({c.impossible})" for c in decision.candidates if c.impossible]
    if impossible:
        yield "Not possible here: " + "; ".join(impossible) + "."
    if decision.choice is None:  # what the data can tell apart decides nothing here
        yield from (f"Beware: {text}." for text in decision.warnings())
        yield f"Accuracy: {decision.accuracy.source or decision.accuracy.name}."
        yield from (f"{text[0].upper()}{text[1:]}." for text in decision.remarks)
        return
    yield f"Accuracy: {decision.accuracy.source or decision.accuracy.name}; {decision.accuracy.sampling_remark()}."
    if decision.evidence:
        yield decision.evidence if decision.evidence.endswith(".") else f"{decision.evidence}."
    yield from (f"{text[0].upper()}{text[1:]}." for text in decision.remarks)
    yield from (f"Beware: {text}." for text in decision.warnings())


def _picks(decision: Decision, choice: Candidate) -> Iterator[str]:
    """What is recommended, and when and why it is not what is best as stated."""
    recommended = decision.recommended
    if recommended is not None:
        yield f"Recommended: {recommended.name}, because it {decision.why}."
    else:
        yield f"Nothing is recommended: {decision.why}."
    if decision.differ:
        if decision.objective == "accuracy":
            chance = ""
            standing = decision.standing(choice)
            if standing is not None and standing.p_best is not None:
                chance = f", truly the best of those with probability {standing.p_best:.2f}"
            yield f"Most accurate as stated, within the limits: {choice.name} at {100 * choice.accuracy:.1f} %{chance}."
        else:
            yield f"As stated, {OBJECTIVES[decision.objective]}: {choice.name}."
    if decision.objective == "load":
        yield f"{choice.name} carries {show_number(choice.scale)} times the load."
        if recommended is not None:
            yield f"With margins {recommended.name} carries {show_number(recommended.scale)} times the load."
    runner_up = decision.runner_up
    if runner_up is None or (recommended is not None and runner_up.configuration == recommended.configuration):
        return
    if decision.objective == "latency":
        behind = f"{show_seconds(runner_up.mean_latency - choice.mean_latency)} slower than"
    elif decision.objective == "load":
        behind = f"{show_number(runner_up.scale)} times the load, behind"
    else:
        behind = f"{100 * (choice.accuracy - runner_up.accuracy):.1f} points behind"
    yield f"Runner-up: {runner_up.name}, {behind} {choice.name}."


def _tried(decision: Decision) -> Iterator[str]:
    """The simulations of what was picked."""
    shown: set[tuple[int, int]] = set()
    for c in (decision.recommended, decision.choice):
        if c is None or c.configuration in shown or c.configuration not in decision.trials:
            continue
        shown.add(c.configuration)
        yield trial_line(c.name, decision.trials[c.configuration])


def trial_line(name: str, trial: Trial) -> str:
    """One simulation in a sentence: whether the limits hold, mean and p95 beside the theory's."""
    if not trial.stable:
        return f"Simulated: with {name} queues grew throughout {trial.result.queries:,} prompts."
    figures = {each.name: each for each in trial.figures}
    parts = []
    for limit in ("mean_latency", "p95_latency"):
        each = figures.get(limit)
        if each is not None:
            theory = "" if each.predicted is None else f" (theory {show_seconds(each.predicted)})"
            parts.append(f"{LIMITS[limit][0]} {show_uncertain_seconds(each.value, each.half_width)}{theory}")
    return f"Simulated with {name}, {trial.result.queries:,} prompts: {trial}; {', '.join(parts)}."


def _bounds(decision: Decision) -> Iterator[str]:
    """What keeps better ones out, what moving it buys, and how far the choice holds."""
    kept_out: dict[str, list[str]] = {}
    for c, violation in decision.binding:
        kept_out.setdefault(c.name, []).append(str(violation))
    word = "faster" if decision.objective == "latency" else "more accurate"
    if kept_out:
        reasons = "; ".join(f"{name} ({', '.join(reasons)})" for name, reasons in kept_out.items())
        yield f"What keeps {word} ones out: {reasons}."
    elif decision.objective != "load" and all(c.feasible for c in decision.candidates) and not _missed(decision):
        yield "No limit binds: every configuration meets them all."
    if decision.prices:
        yield "What more would buy: " + "; ".join(str(price) for price in decision.prices[:_PRICES]) + "."
    yield from (f"{str(hold)[0].upper()}{str(hold)[1:]}." for hold in decision.holds)


def _missed(decision: Decision) -> bool:
    """Whether any configuration misses a limit under the list of prompts."""
    return any(each.misses for each in decision.replayed)


def _mending(decision: Decision) -> Iterator[str]:
    relaxation = decision.relaxation
    assert relaxation is not None
    possible = [c for c in decision.candidates if not c.impossible]
    if relaxation.configuration is not None:
        changes = []
        for change in relaxation.changes:
            now, then = told_apart(change.limit, change.allowed, change.value)
            changes.append(f"{LIMITS[change.limit][0]} from {now} to {then}")
        yield f"Smallest change: move {' and '.join(changes)}; then {relaxation.configuration.name} runs."
    if relaxation.load_scale is not None and relaxation.at_load is not None:
        at_load = relaxation.at_load
        share = show_share(relaxation.load_scale)
        start = "Or bring" if relaxation.configuration is not None else "Bring"
        yield f"{start} the load down to {share} of what it is; then {at_load.name} meets the limits."
    elif relaxation.load_scale is None:
        yield "A smaller load alone does not mend it: some limit fails even on idle devices."
    if relaxation.configuration is not None:
        nearest = relaxation.configuration
        yield f"Nearest is {nearest.name}: {', '.join(str(violation) for violation in nearest.violations)}."
    elif possible:
        least = min(possible, key=lambda c: c.utilisation)
        yield f"Every one of them overloads a device, {least.name} the least: {show_share(least.utilisation)} of its time."


def plan_lines(plan: Plan) -> Iterator[str]:
    """The answer first: what to run, how far it holds, how long prompts take, how sure that is."""
    picked = plan.decision.recommended or plan.decision.choice
    if picked is not None and plan.settled is not None:
        yield f"Run {picked.name}."
        if picked.M == 0:
            yield "  every device answers its own prompts alone: no mixture of agents"
        yield from (f"  {line}" for line in _promises(plan, picked))
    elif not plan.region.stable:
        yield from region_lines(plan.region)
    yield from decision_lines(plan.decision)
    if plan.remark:
        yield f"Beware: {plan.remark}."


def _replayed(decision: Decision) -> Iterator[str]:
    """What the prompts of a list make of configurations that meet the limits in theory."""
    if not decision.replayed:
        return
    first = decision.replayed[0]
    log = first.result.log
    assert log is not None
    start = f"Under the {log.prompts:,} prompts of {first.list_name} as they came, from empty queues"
    yield f"{start} ({first.result.replications} runs each; in brackets Poisson arrivals):"
    for each in decision.replayed:
        latencies = ", ".join(
            f"{figure.name.removesuffix('_latency')} {show_uncertain_seconds(figure.value, figure.half_width)}"
            + ("" if figure.predicted is None else f" ({show_seconds(figure.predicted)})")
            for figure in each.figures[:2]
        )
        yield f"  {each.candidate.name}: {latencies}; {_kept(each.figures)}"
    if decision.recommended is None and first.misses:
        best = max((each.candidate for each in decision.replayed if each.holds), key=lambda c: c.accuracy, default=None)
        instead = "none of these surely holds" if best is None else f"the most accurate that surely holds is {best.name}"
        yield f"Beware: under these prompts {first.candidate.name} misses a limit on latency; {instead}."


def _kept(figures: Iterable[Tried]) -> str:
    """How limits fared, in words."""
    limited = [each for each in figures if each.allowed is not None]
    missed = [str(each) for each in limited if each.holds is False]
    close = [str(each) for each in limited if each.holds is None]
    if missed:
        return f"misses {', '.join(missed)}"
    if close:
        return f"too close to tell: {', '.join(close)}"
    return "every limit on latency holds" if limited else "no limit on latency is set"


def _promises(plan: Plan, picked: Candidate) -> Iterator[str]:
    assert plan.settled is not None
    region, system = plan.settled, plan.settled.system
    total = float(system.rates.sum())
    most = total * region.critical_scale
    guarantee = region.guarantee
    proved = guarantee.verdict is Verdict.PROVED and guarantee.certified_scale >= region.critical_scale * (1 - 1e-6)
    word = "provably stable" if proved else "stable"
    rate = f"{most:.3g} prompts/s in all" + (f" ({show_rate(most)})" if rate_unit(most)[1] != "second" else "")
    yield (
        f"{word} up to {rate}, {show_number(region.critical_scale)} times the load; "
        f"{region.bottleneck.name} gives way first, now at {show_share(region.bottleneck.utilisation)}"
    )
    yield f"mean latency {show_seconds(picked.mean_latency)}, {_within(picked.mean_error)}"
    yield f"p95 latency {show_seconds(picked.p95_latency)}, {_within(picked.p95_error)}"
    if plan.slower is not None:
        scale = stability_region(plan.slower.system).critical_scale
        how_long = f"mean {show_seconds(plan.slower.mean)}, p95 {show_seconds(plan.slower.p95)}, " if plan.slower.stable else ""
        yield (
            f"with service times {STANDARD_ERRORS:g} standard errors longer: {how_long}"
            f"stable up to {show_number(scale)} times the load"
        )
    if plan.decision.replayed:
        first = plan.decision.replayed[0]
        yield f"under the prompts of {first.list_name} as they came: {_kept(first.figures)}"
    if picked.memory_bytes is not None and np.isfinite(picked.memory_bytes):
        yield f"memory {show_bytes(picked.memory_bytes)} a device for weights, cache and queues"
    table, standing = plan.decision.accuracy.name, plan.decision.standing(picked)
    fitted = ""
    if standing is not None and standing.p_best is not None:
        fitted = f"; fitted to all of it {100 * standing.accuracy:.1f} ± {100 * standing.error:.1f} %"
    yield f"accuracy {100 * picked.accuracy:.1f} ± {100 * picked.accuracy_error:.1f} % as {table} states it{fitted}"


def _within(band: ErrorBand | None) -> str:
    return "error not measured" if band is None else str(band)
