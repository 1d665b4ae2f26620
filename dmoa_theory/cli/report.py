"""The sentences of the terminal reports: what was asked, how it stands, what binds, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dmoa_theory.compare import Comparison
from dmoa_theory.delay.expected_error import ErrorBand, show_error
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.delay.wait_errors import wait_errors
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.model.profile import Profile
from dmoa_theory.model.service import MeasuredServiceTime, Stage
from dmoa_theory.model.system import System
from dmoa_theory.model.units import show_bytes
from dmoa_theory.quantities import (
    show_number,
    show_rate,
    show_seconds,
    show_share,
    show_uncertain,
    show_uncertain_rate,
    show_uncertain_seconds,
)
from dmoa_theory.simulation.steady.simulation_result import SimulationResult
from dmoa_theory.stability.proofs.guarantee import Verdict
from dmoa_theory.stability.region import StabilityRegion

__all__ = ["comparison_lines", "headline", "latency_lines", "region_lines", "simulation_lines", "wait_lines"]


def headline(system: System) -> Iterator[str]:
    """What is being looked at: title, network, load, service."""
    rates, network = system.rates, system.network
    users = int((rates > 0).sum())
    yield system.title
    yield f"  network: {network.description}; {users} of {rates.size} with users, {show_rate(float(rates.sum()))} in all"
    ks = sorted({group.k for group in system.groups()})
    service = system.service.for_k(ks[-1])
    means = service.mean[:, Stage.FIRST]
    low, high = show_seconds(float(means.min())), show_seconds(float(means.max()))
    span = low if low == high else f"{low} to {high}"
    if isinstance(system.service, MeasuredServiceTime):
        known = dict.fromkeys(_measurement(profile) for profile in system.service.profiles)
        sure = show_share(float((np.asarray(service.mean_error)[:, Stage.FIRST] / means).max()))
        yield f"  service: {span} for a first-layer inference (standard error {sure}), measured: {'; '.join(known)}"
    elif system.service.samples is not None:
        count = sum(times.size for times in system.service.samples)
        yield f"  service: {span} for a first-layer inference, drawn from {count} sample{'s' * (count > 1)}"
    else:
        yield f"  service: {span} for a first-layer inference"


def _measurement(profile: Profile) -> str:
    weights = " with random weights" if profile.random_weights else ""
    fit = f"single lengths left out of the fit {profile.fit.off_by}"
    return f"{profile.name}{weights}, {profile.backend} on {profile.hardware.cpu_model}, {fit}"


def _within(band: ErrorBand | None) -> str:
    return "error not measured" if band is None else str(band)


def region_lines(region: StabilityRegion) -> Iterator[str]:
    """Whether the queues stay bounded, what gives way first, and why one may believe it."""
    busiest = region.bottleneck
    configuration = region.system.moa.label
    if region.stable:
        load = show_share(busiest.utilisation)
        yield f"With {configuration} every queue stays bounded; the busiest device is {busiest.name}, at {load}."
        yield f"All rates may grow up to {show_number(region.critical_scale)} times; then {busiest.name} gives way first."
    else:
        yield f"UNSTABLE with {configuration}: {busiest.name} is offered {busiest.utilisation:.3g} seconds of work a second."
        yield from _overload_lines(region)
    guarantee = region.guarantee
    if guarantee.verdict is Verdict.PROVED:
        yield f"Proved sufficient: {guarantee.theorem}."
    elif guarantee.verdict is Verdict.CONJECTURED:
        reach = f"; proved up to {guarantee.certified_scale:.3g} times this load" if guarantee.certified_scale > 0 else ""
        yield f"Not proved: {guarantee.theorem}{reach}."
    if guarantee.warning is not None:
        yield f"Beware: {guarantee.warning}."
    yield from _wary(region.system.warnings())


def _overload_lines(region: StabilityRegion) -> Iterator[str]:
    """How fast the backlog of an overloaded device grows, and the largest scale that works."""
    over = region.bottleneck.utilisation - 1
    if over > 0:
        yield f"Its backlog grows by up to {show_seconds(3600 * over)} of work an hour."
    yield f"Queues stay bounded when all rates are scaled by less than {region.critical_scale:.3g}."


def latency_lines(estimate: LatencyEstimate) -> Iterator[str]:
    """Mean and p95 with their expected errors, and the memory that queues need."""
    errors = estimate.expected_error
    if not estimate.stable:
        worst = int(estimate.utilisation.argmax())
        name, load = estimate.system.network.name(worst), float(estimate.utilisation[worst])
        yield f"UNSTABLE: {name} is offered {load:.3g} seconds of work a second, so waits grow without bound."
        yield f"Scale all rates by less than {1 / load:.3g} to bound them."
        return
    configuration = estimate.system.moa.label
    yield f"With {configuration} a prompt takes {show_seconds(estimate.mean)} on average, {_within(errors.mean)},"
    yield f"and 95 in 100 take less than {show_seconds(estimate.p95)}, {_within(errors.p95)}. Compared with {errors.basis}."
    if estimate.memory is not None:
        need, most = float(estimate.memory.quantile.max()), estimate.system.constraints.memory
        chance = estimate.system.constraints.overflow_probability
        allowed = f" of {show_bytes(most)} allowed" if most else ""
        yield f"Memory: {show_bytes(need)}{allowed}, exceeded with probability {chance:g} at most (approximation)."
        yield from _not_counted(estimate.system)
    yield from _wary(estimate.system.warnings())


def wait_lines(system: System) -> Iterator[str]:
    """How far waits of single devices are off as a rule, which is further than the latency."""
    found = wait_errors(system)
    if found is None:
        return
    if found.systems == 0:
        yield "Waits and jobs there are exact: without layers every device is an M/G/1 queue."
        return
    yield (
        f"Waits of single devices are less sure than latency: off by {show_error(found.typical)} on average in the "
        f"{found.systems} most similar simulated systems, at the worst device of one by {show_error(found.worst_typical)} in "
        f"the median, and in one of ten by more than {show_error(found.worst_within)}."
    )


def _not_counted(system: System) -> Iterator[str]:
    """What a footprint leaves out that was given in numbers, of which some are 0 as nobody gave them."""
    footprint = system.footprint
    if not isinstance(footprint, Footprint):
        return
    cache = footprint.kv_bytes_per_token.any() and footprint.context_tokens.any()
    parts = (("weights", footprint.weight_bytes.any()), ("the cache of the running inference", cache))
    missing = [name for name, known in parts if not known]
    if missing:
        yield f"That is without {' and '.join(missing)}, of which the scenario says nothing ([memory] does, or a profile)."


def _wary(warnings: tuple[str, ...]) -> Iterator[str]:
    """One line for each thing to be wary of."""
    return (f"Beware: {text}." for text in warnings)


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """How far the theory is off, and whether that is as far as it says of itself."""
    estimate, simulation = comparison.estimate, comparison.simulation
    if not estimate.stable:
        yield from latency_lines(estimate)
    rows = {row.quantity: row for row in comparison.rows if row.of == "all prompts"}
    for name in ("mean", "p95"):
        row = rows.get(f"{name} latency")
        if row is None or not np.isfinite(row.difference):
            continue
        side = "above" if row.difference > 0 else "below"
        verdict = {True: "as near as it says of itself", False: "further than any comparable system", None: "error not known"}
        yield (
            f"The theory's {name} latency is {100 * abs(row.difference):.1f} % {side} the simulation, "
            f"{abs(row.standard_errors):.1f} standard errors: {verdict[row.within_expected]}; {_within(row.expected)}."
        )
    if simulation.queries:
        yield f"Simulated: {simulation.queries:,} prompts, {simulation.jobs:,} inferences, seed {simulation.seed}."
    for reason in comparison.reasons():
        yield _sentence(reason)
    yield from _wary(estimate.system.warnings())


def simulation_lines(result: SimulationResult, region: StabilityRegion, workers: int) -> Iterator[str]:
    """What was simulated and how long that took, what it found, and what keeps it from being the whole truth."""
    yield from _simulated(result, workers)
    yield from _simulated_stability(result, region)
    if result.stable and result.queries:
        mean, p95 = (show_uncertain_seconds(float(each.value), float(each.half_width)) for each in (result.mean, result.p95))
        yield f"With {result.system.moa.label} a prompt takes {mean} on average, and 95 in 100 take less than {p95}."
        answers = show_uncertain_rate(float(result.throughput.value), float(result.throughput.half_width))
        under_way = show_uncertain(float(result.in_flight.value), float(result.in_flight.half_width))
        yield f"Answers: {answers}; prompts under way at a time: {under_way}."
        yield from _simulated_memory(result)
    # the report names what grows in words of its own
    yield from (_sentence(reason) for reason in result.reasons() if not reason.startswith("no averages"))
    yield from _wary(result.system.warnings())


def _sentence(reason: str) -> str:
    """A reason as a sentence; null and the names of keys are words of JSON alone."""
    if reason.startswith("memory is null:"):
        return (
            "How much memory the queues need is not known: that takes weights and kv_bytes_per_token under [memory] in the "
            'scenario, such as --set memory.weights="1 GiB", or a measured profile (service.profile).'
        )
    said = reason.replace(" is null:", " is not told:").replace(" are null:", " are not told:")
    said = said.replace("jobs_distribution", "the distribution of jobs")
    return f"{said[0].upper()}{said[1:]}."


def _simulated(result: SimulationResult, workers: int) -> Iterator[str]:
    runs = f" of {result.replications} replications" if result.wanted_replications > 1 else ""
    prompts = f"{result.queries:,} prompt{'s' * (result.queries != 1)}"
    kept = f"{prompts} in {result.batches} batch{'es' * (result.batches != 1)}{runs}" if result.queries else "no prompts kept"
    yield f"Simulated: {kept}, after a warm-up of {result.warm_up:,}; {result.jobs:,} inferences in all; seed {result.seed}."
    if result.seconds > 0:
        speed, before = show_number(result.jobs / result.seconds), show_seconds(result.compile_seconds)
        spent = show_seconds(result.seconds)
        yield f"It took {spent}, {speed} inferences a second; loading or compiling the simulator took {before} before that."
    if workers > result.wanted_replications:
        idle = "one worker" if result.wanted_replications == 1 else f"{result.wanted_replications} workers"
        yield f"Workers share replications, so only {idle} had work: --replications {workers} busies all {workers}."


def _simulated_memory(result: SimulationResult) -> Iterator[str]:
    if result.memory_quantile is None or not np.isfinite(result.memory_quantile.value).any():
        return
    most = int(np.nanargmax(result.memory_quantile.value))
    need, allowed = show_bytes(float(result.memory_quantile.value[most])), result.system.constraints.memory
    limit = f" of {show_bytes(allowed)} allowed" if allowed else ""
    chance = result.system.constraints.overflow_probability
    yield f"Memory: {result.system.network.name(most)} needs most, {need}{limit}, exceeded with probability {chance:g}."


def _simulated_stability(result: SimulationResult, region: StabilityRegion) -> Iterator[str]:
    """Which queues grow, and what the load has to say of it."""
    busiest = region.bottleneck
    if not result.stable:
        growing = np.flatnonzero(result.growing)
        fastest = int(growing[result.growth_rate[growing].argmax()])
        name, growth = result.system.network.name(fastest), show_number(3600 * float(result.growth_rate[fastest]))
        others = f" (and {growing.size - 1} more)" if growing.size > 1 else ""
        yield f"UNSTABLE with {result.system.moa.label}: the queue of {name}{others} grew by {growth} jobs an hour."
    offered = f"{busiest.name} is offered {busiest.utilisation:.3g} seconds of work a second"
    if not region.stable:
        if result.stable and result.queries:
            yield f"UNSTABLE: {offered}. The run was too short to show it, and its figures are of no steady state."
        else:
            yield f"The load says so too: {offered}."
        yield from _overload_lines(region)
    elif not result.stable:
        yield f"Yet no load is too high: {offered}. More --queries tell whether the queues settle."
