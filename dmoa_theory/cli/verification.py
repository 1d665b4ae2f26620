"""``dmoa latency --verify``: the estimate beside an exact simulation of this very system."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from dmoa_theory.cli.output import progress
from dmoa_theory.compare import Comparison, Row, compare
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_number
from dmoa_theory.results import jsonable
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.stability.loads import work_moments

__all__ = [
    "QUERIES", "TABLE_NOTE", "check_length", "check_options", "verification_document", "verification_lines",
    "verification_records", "verify",
]  # fmt: skip

#: Prompts that are kept when nothing else is said.
QUERIES = 1_000_000
#: What some columns of the table mean.
TABLE_NOTE = (
    '± 95 %: how far off chance alone may put the simulated figure. "In s.e.": the difference in standard errors of the '
    "simulation, of which up to 2 either way are chance as a rule."
)
_OVERALL = {"mean latency", "p50 latency", "p95 latency", "p99 latency"}
_OTHERS = {"mean latency", "mean wait", "mean in system"}
# More inferences than this take days.
_MOST_JOBS = 10**10
# So many take less than a minute almost anywhere; how fast more of them will go is measured with two runs of so many.
_FEW_JOBS, _PILOTS = 5 * 10**7, (2 * 10**5, 10**7)
_LONG = 60.0
# Of fewer prompts nothing is concluded, as their intervals are too narrow more often than one in twenty times.
_FEWEST = 10_000
# A device's wait that is further off than this, chance allowed for, is worth a line of its own.
_FAR = 0.2
# So many half widths of a 95 % interval are seldom exceeded by chance: three standard errors.
_SURE = 1.53
# Within one part in so many, a figure is what the theory says but for rounding.
_ROUNDING = 1e-9


class _Verdict(Enum):
    """How a figure of the estimate stands beside the simulation, whose own interval is allowed for."""

    EXACT = "exact, and the simulation agrees"
    CHANCE = "exact, and the simulation is off it"
    WITHIN = "within the stated error"
    OUTSIDE = "further off than 95 % of comparable systems"
    BEYOND = "further off than in any comparable system"
    UNTOLD = "too few prompts to tell"


def check_options(*, verify: bool, queries: int | None, seed: int | None) -> None:
    """Refuse options that come without the one they belong to, and counts that are none, before any work."""
    for name, value in (("--queries", queries), ("--seed", seed)):
        if value is not None and not verify:
            raise InputError(name, value, "only beside --verify, which simulates")
    if queries is not None and queries < 1:
        raise InputError("--queries", queries, "a whole number of at least 1")
    if seed is not None and seed < 0:
        raise InputError("--seed", seed, "a whole number, 0 or more")


def check_length(system: System, queries: int) -> None:
    """Refuse more prompts than can be simulated in a day or so.

    Raises
    ------
    InputError
        With how many are allowed for this system.
    """
    if queries * _jobs_per_prompt(system) > _MOST_JOBS:
        most = int(_MOST_JOBS / _jobs_per_prompt(system))
        allowed = f"at most {most:,}, which are {show_number(_MOST_JOBS)} inferences of this system"
        raise InputError("--queries", f"{queries:,}", allowed)


def verify(estimate: LatencyEstimate, *, queries: int, seed: int) -> Comparison | None:
    """Simulate the system of the estimate; None for one that is known to be unstable, whose queues would only grow.

    Of the comparison are kept the figures over all prompts, each user's mean, and each device's wait and jobs. When it will
    take more than about a minute, standard error is told so at first.
    """
    if not estimate.stable:
        return None
    try:
        long = _how_long(estimate.system, queries)
        if long > _LONG:
            print(f"dmoa: simulating {queries:,} prompts takes about {_duration(long)}; Ctrl-C ends it", file=sys.stderr)
        with progress("simulating this very system") as advance:
            found = simulate(estimate.system, queries=queries, seed=seed, progress=advance)
    except InputError as error:  # of the options: the scenario has been read
        raise error.located(field=f"--{error.field}") from None
    whole = compare(estimate, found)
    kept = (row for row in whole.rows if row.quantity in (_OVERALL if row.of == "all prompts" else _OTHERS))
    return replace(whole, rows=tuple(kept))


def _jobs_per_prompt(system: System) -> float:
    return float(work_moments(system).jobs.sum() / system.rates.sum())


def _how_long(system: System, queries: int) -> float:
    """Seconds that a simulation will take, from how much longer the longer of two short ones took; 0 where that is little."""
    each = _jobs_per_prompt(system)
    if queries * each < _FEW_JOBS:
        return 0.0
    one, two = (simulate(system, queries=max(1, int(jobs / each))).whole() for jobs in _PILOTS)
    if one.seconds >= two.seconds:  # it waited for another program, and says nothing
        return queries * each * two.seconds / two.jobs
    return one.seconds + queries * each * (two.seconds - one.seconds) / (two.jobs - one.jobs)


def _duration(seconds: float) -> str:
    """Roughly how long, in minutes or hours."""
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.0f} hours"


def verification_document(estimate: LatencyEstimate, comparison: Comparison | None, *, seed: int) -> dict[str, Any]:
    """The key ``verification`` of ``dmoa latency --json``."""
    seen = None if comparison is None else comparison.simulation
    rows = () if comparison is None else comparison.rows
    document: dict[str, Any] = jsonable(
        {
            "queries": 0 if seen is None else seen.queries,
            "jobs": 0 if seen is None else seen.jobs,
            "seed": seed,
            "partial": seen is not None and seen.partial,
            "stable": comparison is not None and comparison.stable,
            "within_band": _all(_in_band(row, seen.queries) for row in rows) if seen else None,
            "within_expected": _all(_expected(row, seen.queries) for row in rows) if seen else None,
            "rows": [] if comparison is None else verification_records(comparison),
            "reasons": [_not_simulated(estimate)] if comparison is None else _reasons(comparison),
        }
    )
    return document


def verification_records(comparison: Comparison) -> list[dict[str, Any]]:
    """One row a quantity; whether it is within the errors of comparable systems only where enough prompts tell."""
    queries = comparison.simulation.queries
    return [row.to_dict() | {"within_expected": _expected(row, queries)} for row in comparison.rows]


def verification_lines(estimate: LatencyEstimate, comparison: Comparison | None) -> Iterator[str]:
    """How far apart estimate and simulation are, and whether that is within the stated error."""
    if comparison is None:
        yield _sentence(_not_simulated(estimate))
        return
    seen = comparison.simulation
    if seen.partial:
        yield "INTERRUPTED: the simulation is partial."
    overall = [row for row in comparison.rows if row.of == "all prompts" and np.isfinite(row.difference)]
    if overall:
        apart = ", ".join(f"{_short(row)} {100 * row.difference:+.1f} %" for row in overall)
        yield f"Verified, estimate less simulation: {apart}; {_verdict(overall, seen.queries)}."
        if seen.queries >= _FEWEST:
            yield from _furthest(comparison.rows, exact=_judged(overall[0], seen.queries) in _MEAN_IS_EXACT)
    if seen.queries:
        prompts = f"{seen.queries:,} prompt{'s' * (seen.queries != 1)}"
        yield f"Simulated: {prompts}, {seen.jobs:,} inferences, seed {seen.seed}."
    for reason in _reasons(comparison):
        if not (overall and seen.queries < _FEWEST and "too few for honest intervals" in reason):  # the verdict says so
            yield _sentence(reason)


_MEAN_IS_EXACT = {_Verdict.EXACT, _Verdict.CHANCE}


def _furthest(rows: Iterable[Row], *, exact: bool) -> Iterator[str]:
    """The user and the device whose figures are furthest off beyond chance, for which no error is stated."""
    worst, far = [], None
    for quantity, what in (("mean latency", "a user's mean"), ("mean wait", "a device's wait")):
        known = [row for row in rows if row.quantity == quantity and row.of != "all prompts" and np.isfinite(_excess(row))]
        if known:
            row = max(known, key=_excess)
            worst.append(f"{what} by {100 * row.difference:+.1f} ± {100 * _noise(row):.1f} % ({row.of})")
            far = row if quantity == "mean wait" and _excess(row) > _FAR else None
    if worst:
        why = "all of it chance, as these are exact" if exact else "the stated error is that of all prompts together"
        yield f"Furthest off: {', '.join(worst)}; {why}."
    if far is not None and not exact:
        side = "too long" if far.difference > 0 else "too short"
        yield (
            f"BEWARE: the estimated wait at {far.of} is {100 * abs(far.difference):.0f} % {side}; for waits of single devices "
            "go by the simulated ones here."
        )


def _noise(row: Row) -> float:
    """Half width of the simulation's interval, relative; NaN where it is not known."""
    return row.half_width / row.simulated if row.simulated else float("nan")


def _excess(row: Row) -> float:
    """By how much the difference is more than chance; NaN where that is not known."""
    return abs(row.difference) - _noise(row)


def _reasons(comparison: Comparison) -> list[str]:
    """What keeps it from being the whole truth; not which figures are missing that are not shown here."""
    return [reason for reason in comparison.reasons() if " null: " not in reason]


def _judged(row: Row, queries: int) -> _Verdict | None:
    """How a figure stands; None for one of which no error is stated, or that was not simulated."""
    band = row.expected
    if band is None or not np.isfinite(row.difference):
        return None
    if band.largest == 0:
        return _Verdict.CHANCE if not _excess(row) <= _ROUNDING else _Verdict.EXACT
    if queries < _FEWEST or not np.isfinite(_excess(row)):
        return _Verdict.UNTOLD
    noise = _noise(row)
    noisy = noise > max(band.within, _ROUNDING)
    # where chance is larger than the band, it alone would put one figure in twenty outside
    excess = abs(row.difference) - (_SURE if noisy else 1.0) * noise
    if excess > band.within:
        return _Verdict.BEYOND if excess > band.largest else _Verdict.OUTSIDE
    return _Verdict.UNTOLD if noisy else _Verdict.WITHIN


def _in_band(row: Row, queries: int) -> bool | None:
    """Whether the difference, less the interval, is within what 95 % of comparable systems keep to; None: cannot be told.

    The simulation may be off an exact figure, but that does not speak against the figure.
    """
    judged = _judged(row, queries)
    return None if judged in {None, _Verdict.UNTOLD, _Verdict.CHANCE} else judged in {_Verdict.EXACT, _Verdict.WITHIN}


def _expected(row: Row, queries: int) -> bool | None:
    """The same of the largest error in comparable systems."""
    inside = _in_band(row, queries)
    return inside if inside is None else inside or _judged(row, queries) is _Verdict.OUTSIDE


def _verdict(rows: Sequence[Row], queries: int) -> str:
    """Whether figures over all prompts are as near as the estimate says of itself, the simulation's interval allowed for."""
    judged: dict[_Verdict | None, list[Row]] = {}
    for row in rows:
        judged.setdefault(_judged(row, queries), []).append(row)
    named = {verdict: _and(map(_short, some)) for verdict, some in judged.items()}
    chance = [f"the simulation is off the exact {_short(row)} by {_off(row)}" for row in judged.get(_Verdict.CHANCE, [])]
    said = [f"{each}, so ask for more prompts" for each in chance]
    if _Verdict.BEYOND in named:
        said.append(f"{named[_Verdict.BEYOND]} FURTHER OFF than in any comparable system")
    if _Verdict.OUTSIDE in named:
        said.append(f"{named[_Verdict.OUTSIDE]} further off than 95 % of comparable systems, though not than all")
    if _Verdict.UNTOLD in named:
        who = "" if len(judged[_Verdict.UNTOLD]) == len(rows) else f" of {named[_Verdict.UNTOLD]}"
        said.append(f"too few prompts to tell{who} (--queries)")
    if None in named and len(judged) == 1:
        return "the error of such estimates is not known"
    if not said:
        return "all within the stated error"
    return "; ".join(said)


def _off(row: Row) -> str:
    """How far the simulation is off, and how much of that its interval says is chance."""
    known = np.isfinite(_noise(row))
    return f"{100 * abs(row.simulated / row.theory - 1):.2g} %" + (f" ({abs(row.standard_errors):.1f} s.e.)" if known else "")


def _and(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _all(judged: Iterable[bool | None]) -> bool | None:
    """Whether all are so of which it is known; None where it is known of none."""
    known = [each for each in judged if each is not None]
    return all(known) if known else None


def _short(row: Row) -> str:
    return row.quantity.removesuffix(" latency")


def _not_simulated(estimate: LatencyEstimate) -> str:
    worst = int(estimate.utilisation.argmax())
    name, load = estimate.system.network.name(worst), float(estimate.utilisation[worst])
    return (
        f"not simulated: with {name} offered {load:.3g} seconds of work a second, queues and latency would only grow with the "
        "length of the run (dmoa overload says how fast)"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
