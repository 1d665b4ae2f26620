"""What ``dmoa burst`` says of a list of prompts: whose they are, how unevenly they came, and what that does to latency."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dmoa_theory.model.arrival_log import ArrivalLog, Dispersion
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.replayed import held_against
from dmoa_theory.quantities import show_rate, show_seconds, show_share
from dmoa_theory.results import Table
from dmoa_theory.simulation.bursts.burst_result import BurstResult
from dmoa_theory.simulation.output.intervals import Interval

__all__ = ["arrival_lines", "arrival_table"]

_SHOWN = 12
# Chance below which counts are held to be none of a Poisson process.
_DOUBTFUL = 0.01
# Chance below which one is wary.
_HARDLY = 0.05
# Standard deviations of the mean of a run of Poisson prompts within which a difference is told to be nothing special.
_LISTS = 2.0


def arrival_table(result: BurstResult, log: ArrivalLog, given: System) -> Table:
    """Prompts by user: the rates that they stand for, where those are others the scenario's, and how long they take."""
    rates, counts = log.rates, log.counts
    users = [u for u in range(log.n_devices) if counts[u] or given.rates[u]]
    shown = sorted(users, key=lambda u: -counts[u])[:_SHOWN] if len(users) > _SHOWN else users
    own = given.log is None
    rows = [
        (
            given.network.name(u),
            f"{counts[u]:,}",
            show_rate(float(rates[u])) if counts[u] else "-",
            *((show_rate(float(given.rates[u])) if given.rates[u] else "none",) if own else ()),
            *(show_seconds(float(each.value[u])) if counts[u] else "-" for each in (result.users.mean, result.users.p95)),
        )
        for u in shown
    ]
    some = f", {_SHOWN} of {len(users)} users" if len(users) > _SHOWN else ""
    columns = ("user", "prompts", "which is", *(("in the scenario",) if own else ()), "mean latency", "p95")
    return Table(f"prompts of {log.label}{some}", columns, tuple(rows))


def arrival_lines(result: BurstResult, log: ArrivalLog, given: System) -> Iterator[str]:
    """What the list is like, what it does to latency, and whether the scenario's limits hold under it."""
    given_apart = given.log is None  # else the scenario's own warnings say it
    users = int((log.counts > 0).sum())
    who = f"{users} of {log.n_devices} devices" if users < log.n_devices else f"all {log.n_devices} devices"
    yield f"{log.prompts:,} prompts of {who} in {show_seconds(log.span)}; {_evenness(log.dispersion())}."
    if given_apart:
        yield from (f"Beware: {remark}." for remark in log.remarks())
    if result.poisson is not None:
        yield from _beside_poisson(result, result.poisson.mean, result.poisson.p95, log.dispersion())
    for each in held_against(result, Limits.of(result.system.constraints)):
        if each.allowed is not None:
            unknown = "too close to tell" if math.isfinite(each.half_width) else "too few prompts to tell"
            verdict = {True: "holds", False: "is missed", None: unknown}[each.holds]
            yield f"The scenario's limit: {each}: {verdict}."


def _beside_poisson(result: BurstResult, mean: Interval, p95: Interval, evenness: Dispersion) -> Iterator[str]:
    """The ratio to Poisson arrivals, and whether one run of such arrivals would show as much by chance."""
    ratios = {"mean": _ratio(result.mean, mean), "p95": _ratio(result.p95, p95)}
    told = [f"{name} {ratio:.3g}{_error(error)} times" for name, (ratio, error) in ratios.items() if ratio == ratio]
    if not told:
        return
    spread = _LISTS * result.poisson_deviation
    ours = f"{', '.join(told)} as long as with Poisson arrivals at the same rates, with {result.system.moa.label} at this load"
    if (
        math.isfinite(spread)
        and abs(float(result.mean.value) - float(mean.value)) <= spread
        and not evenness.chance < _DOUBTFUL
        and not evenness.chance > 1 - _DOUBTFUL
    ):
        stray = f"the mean of a single run of {result.prompts:,} Poisson prompts strays as far"
        yield f"Latency is {ours}: {stray} (by {show_share(spread / float(mean.value))}, two standard deviations)."
        return
    yield (
        f"Latency is {ours}. Formulas and `dmoa simulate` take Poisson arrivals. Another (M, k) or load has another ratio: "
        "with this list as log under [arrivals], `dmoa plan` plays it with every (M, k) that meets the limits in theory."
    )


def _ratio(ours: Interval, theirs: Interval) -> tuple[float, float]:
    """One figure over the other, with half of its 95 % interval, of the simulation's noise alone."""
    if not theirs.value > 0:
        return math.nan, math.nan
    ratio = float(ours.value / theirs.value)
    return ratio, ratio * math.hypot(float(ours.half_width / ours.value), float(theirs.half_width / theirs.value))


def _error(error: float) -> str:
    return f" ± {error:.2g}" if math.isfinite(error) else ""


def _evenness(seen: Dispersion) -> str:
    """How unevenly prompts came, in words."""
    if not seen.windows:
        return "too few to tell whether they come as a Poisson process"
    counted = f"their number in {show_seconds(seen.window)} has a variance of {seen.counts:.3g} times its mean"
    if seen.chance < _DOUBTFUL:
        return f"{counted} (a Poisson process: 1 times): they come in clumps, or at rates that change"
    if seen.chance > 1 - _DOUBTFUL:
        return f"{counted} (a Poisson process: 1 times): they come more evenly than that"
    rare = min(seen.chance, 1 - seen.chance)
    if rare < _HARDLY:
        return f"{counted}, which is as far from a Poisson process (1 times) as such come in {show_share(rare)} of cases"
    return f"{counted}, not to be told from the 1 times of a Poisson process"
