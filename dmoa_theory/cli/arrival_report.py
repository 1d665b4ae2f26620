"""What ``dmoa burst`` says of a list of prompts: whose they are, how unevenly they came, and what that does to latency."""

from __future__ import annotations

import math
from collections.abc import Iterator

from dmoa_theory.model.arrival_log import ArrivalLog, Dispersion
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.replayed import held_against
from dmoa_theory.quantities import show_rate, show_seconds
from dmoa_theory.results import Table
from dmoa_theory.simulation.bursts.burst_result import BurstResult
from dmoa_theory.simulation.output.intervals import Interval

__all__ = ["arrival_lines", "arrival_table"]

_SHOWN = 12
# Chance below which counts are held to be none of a Poisson process.
_DOUBTFUL = 0.01


def arrival_table(log: ArrivalLog, given: System) -> Table:
    """Prompts by user, with the rates that they stand for and, where those are others, the scenario's."""
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
        )
        for u in shown
    ]
    some = f", {_SHOWN} of {len(users)} users" if len(users) > _SHOWN else ""
    columns = ("user", "prompts", "which is", *(("in the scenario",) if own else ()))
    return Table(f"prompts of {log.name or 'the list'}{some}", columns, tuple(rows))


def arrival_lines(result: BurstResult, log: ArrivalLog) -> Iterator[str]:
    """What the list is like, what it does to latency, and whether the scenario's limits hold under it."""
    users = int((log.counts > 0).sum())
    who = f"{users} of {log.n_devices} devices" if users < log.n_devices else f"all {log.n_devices} devices"
    yield f"{log.prompts:,} prompts of {who} in {show_seconds(log.span)}; {_evenness(log.dispersion())}."
    if log.remark:
        yield f"Beware: {log.remark}."
    if result.poisson is not None:
        yield from _beside_poisson(result, result.poisson.mean, result.poisson.p95)
    for each in held_against(result, Limits.of(result.system.constraints)):
        if each.allowed is not None:
            verdict = {True: "holds", False: "is missed", None: "too close to tell"}[each.holds]
            yield f"The scenario's limit: {each}: {verdict}."


def _beside_poisson(result: BurstResult, mean: Interval, p95: Interval) -> Iterator[str]:
    ratios = {"mean": _ratio(result.mean, mean), "p95": _ratio(result.p95, p95)}
    told = [f"{name} {ratio:.3g}{_error(error)} times" for name, (ratio, error) in ratios.items() if ratio == ratio]
    if not told:
        return
    same = all(not abs(ratio - 1) > error for ratio, error in ratios.values())
    if same:
        yield f"Latency is, as far as these runs tell, that of Poisson arrivals at the same rates ({', '.join(told)} as long)."
        return
    yield (
        "Latency is not that of Poisson arrivals at the same rates, which formulas and `dmoa simulate` take: "
        f"{', '.join(told)} as long, with {result.system.moa.label} at this load. Another (M, k) or load has another ratio: "
        "with this list as log under [arrivals], `dmoa plan` plays it with every (M, k) that meets the limits."
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
    return f"{counted}, not to be told from the 1 times of a Poisson process"
