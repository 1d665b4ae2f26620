"""The sentences of what ``dmoa optimise`` does beyond one (M, k): plans by user, fair rates, maps, sweeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dmoa_theory.cli.decision_report import trial_line
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.optimisation.admission import Admission
from dmoa_theory.optimisation.choice_map import ChoiceMap
from dmoa_theory.optimisation.individual import IndividualPlan
from dmoa_theory.optimisation.limits import LIMITS
from dmoa_theory.optimisation.programs.mixed import Certificate
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS
from dmoa_theory.optimisation.sweep import Sweep
from dmoa_theory.quantities import rate_unit, show_number, show_rate, show_seconds, show_share
from dmoa_theory.results import Table

__all__ = [
    "admission_lines", "admission_table", "individual_lines", "individual_table", "map_table", "sweep_lines", "sweep_table",
]  # fmt: skip

_SHOWN = 24
_MAP_ROWS, _MAP_COLUMNS = 16, 8


def individual_lines(plan: IndividualPlan) -> Iterator[str]:
    """What a plan by user gains over one (M, k) for all, how good it is proved to be, and whether it holds."""
    runs = "(M, k) by user" if plan.per_user else "one (M, k)"
    name = f"{runs} and gossip of its own" if plan.gossip else runs
    accuracy, common = plan.accuracy_of(plan.best), plan.accuracy_of(plan.common)
    if accuracy is None or plan.nominal is None:
        proved = f"; none of all {plan.exhausted:,} choices of the users does" if plan.exhausted else ""
        yield f"With {name}: no plan was found that meets every limit{proved}."
        return
    gain = "" if common is None else f", {100 * (accuracy - common):+.1f} points against one (M, k) for all and uniform gossip"
    none = "" if common is not None else "; one (M, k) for all with uniform gossip does not meet the limits"
    caution = ""
    if plan.robust:
        longer = f"{_longer()} and " if plan.padded else ""
        caution = f" also with {longer}latencies raised by their typical error"
    yield f"With {name}: {100 * accuracy:.1f} % expected over all prompts{gain}{none}; it meets every limit{caution}."
    figures = plan.nominal
    yield (
        f"Busiest device at {show_share(figures.max_utilisation)}; mean latency {show_seconds(figures.mean_latency)}, p95 "
        f"{show_seconds(figures.p95_latency)}, slowest user's p95 {show_seconds(figures.user_p95_latency)}."
    )
    certificate = plan.certificate
    if certificate is not None and certificate.choice is not None and plan.objective == "accuracy":
        yield _certificate(plan, certificate)
    if plan.exhausted is not None:
        yield (
            f"By the full theory none of all {plan.exhausted:,} choices of the users is more accurate and meets every limit: "
            "those that are more accurate were evaluated one by one."
        )
    for limit, now, then, rise in plan.prices:
        word, show = LIMITS[limit]
        yield f"By the surrogate, {show(then - now)} more of {word} ({show(now)}) buys {100 * rise:+.1f} points."
    if plan.trial is not None:
        yield trial_line(name, plan.trial)
        if not plan.trial.holds:
            yield f"Beware: the plan did not hold in simulation: {plan.trial}."


def _longer() -> str:
    return f"service times {STANDARD_ERRORS:g} standard errors longer"


def _certificate(plan: IndividualPlan, certificate: Certificate) -> str:
    """Whether the last program's plan is proved best, and of what."""
    asked = f"the gap of {100 * plan.gap:.3g} % that was asked for"
    if plan.proved:
        found = f"proved best for the surrogate within {asked} (it is {100 * certificate.gap:.2g} %)"
    else:
        why = f" ({certificate.status})" if certificate.status != "optimal" else ""
        found = (
            f"NOT proved best for the surrogate within {asked}{why}: another may be better there by "
            f"{100 * certificate.gap:.2g} % at most"
        )
    return (
        f"Certificate: the plan of the last program is {found}. The surrogate has M/G/1 waits, scaled to the latency theory at "
        f"the plan before; {plan.rounds} programs, {plan.evaluations} evaluations in full."
    )


def individual_table(plan: IndividualPlan) -> Table:
    """What every user runs, and whom it asks most; the busiest of a large network."""
    w, best = plan.work, plan.best
    assert best is not None
    estimate = best.estimate
    order = np.arange(w.users.size)
    if order.size > _SHOWN:
        order = np.argsort(-w.rates, kind="stable")[:_SHOWN]
    rows = []
    for place in order.tolist():
        u, c = int(w.users[place]), int(best.choice[place])
        M, k = w.configurations[c][0], int(w.k[c])
        row = (
            w.system.network.name(u),
            show_rate(float(w.rates[place])),
            f"M={M}, k={k}",
            f"{100 * plan.accuracy[place, c]:.1f} %",
            show_seconds(float(estimate.user_mean[u])),
            show_share(float(estimate.utilisation[u])),
        )
        rows.append((*row, _asks(plan, place)) if plan.gossip else row)
    heads: tuple[str, ...] = ("user", "prompts", "runs", "accuracy", "mean", "its device")
    if plan.gossip:
        heads += ("asks in a layer",)
    left_out = f" ({_SHOWN} with most prompts of {w.users.size})" if w.users.size > _SHOWN else ""
    padded = f", mean and load padded: {_longer()}" if plan.padded else ""
    return Table(f"plan by user{padded}{left_out}", heads, tuple(rows))


def _asks(plan: IndividualPlan, place: int) -> str:
    w, best = plan.work, plan.best
    assert best is not None
    mine = np.flatnonzero(w.link_user == place)
    mine = mine[np.argsort(-best.asked[mine], kind="stable")]
    mine = mine[best.asked[mine] > 0.005]
    shown = [f"{w.system.network.name(int(w.link_device[e]))} {best.asked[e]:.2f}" for e in mine[:3].tolist()]
    return ", ".join(shown) + (f" and {mine.size - 3} more" if mine.size > 3 else "")


def admission_lines(admission: Admission) -> Iterator[str]:
    """How much load the limits admit."""
    M, k = admission.configuration
    if admission.figures is None:
        yield f"With M={M}, k={k} no load meets the limits."
        return
    now, then = float(admission.system.rates.sum()), float(admission.rates.sum())
    yield (
        f"With M={M}, k={k} the limits admit {show_number(admission.scale_uniform)} times the rates as they stand, "
        f"{show_rate(admission.scale_uniform * now)} in all; proportionally fair rates make {show_rate(then)}."
    )
    if admission.trial is not None:
        yield trial_line(f"fair rates, M={M}, k={k}", admission.trial)


def admission_table(admission: Admission) -> Table:
    """Present, scaled and fair rates by user."""
    system = admission.system
    users = np.flatnonzero(system.rates > 0)
    if users.size > _SHOWN:
        users = users[np.argsort(-system.rates[users], kind="stable")[:_SHOWN]]
    columns = [rates[users] for rates in (system.rates, admission.scale_uniform * system.rates, admission.rates)]
    per, unit = rate_unit(float(np.median(columns)))  # one for the whole table, so that figures compare at a glance
    rows = tuple(
        (system.network.name(u), *(show_number(float(column[place] * per)) for column in columns))
        for place, u in enumerate(users.tolist())
    )
    return Table(f"prompts per {unit} that the limits admit", ("user", "now", "all alike", "proportionally fair"), rows)


def map_table(found: ChoiceMap) -> Table:
    """The best (M, k) by load and latency budget: some of them, evenly, the present load and the limit always among them."""
    across = _evenly(found.budgets, found.limit, _MAP_COLUMNS)
    down = _evenly(found.scales, 1.0, _MAP_ROWS)

    def shown(place: int) -> str:
        return "-" if place < 0 else "({},{})".format(*found.configurations[place])

    rows = tuple(
        (
            "now" if found.scales[s] == 1 else f"{show_number(float(found.scales[s]))} times",
            *(shown(int(found.best[s, b])) for b in across),
        )
        for s in down
    )
    budgets = [float(found.budgets[b]) for b in across]
    heads = ("rates", *(f"{show_seconds(each)}{' (limit)' * (each == found.limit)}" for each in budgets))
    return Table(f"most accurate (M,k) as stated, by load and limit on {LIMITS[found.latency][0]}", heads, rows)


def _evenly(values: FloatArray, through: float | None, most: int) -> range:
    """Every so-manieth place, at most so many, so that a given value is among them."""
    step = -(-values.size // most)
    place = np.flatnonzero(values == through)
    return range(int(place[0]) % step if place.size else 0, values.size, step)


def sweep_table(found: Sweep) -> Table:
    """One row a value."""
    if not found.rows:
        return Table(f"sweep of {found.key}: nothing finished", (found.key,), ())
    heads = [name for name in found.rows[0] if not (name.endswith("_error") or name.startswith("recommended_"))]
    one = found.key.removeprefix("arrivals.rate.")  # the rate of one user
    words = {
        found.key: found.key.rpartition(".")[2] if one == found.key else f"rate of {one}",
        "by_user_accuracy": "by user",
        "by_user_mean_s": "its mean",
    }
    words |= {"mean_s": "mean", "p95_s": "p95", "utilisation": "load"}

    def shown(name: str, value: object) -> str:
        if value is None:
            return "-"
        return _unit(name)(value) if isinstance(value, float) else str(value)

    rows = tuple(tuple(shown(name, row[name]) for name in heads) for row in found.rows)
    return Table(f"sweep of {found.key}", tuple(words.get(name, name) for name in heads), rows)


def sweep_lines(found: Sweep, *, kept: bool) -> Iterator[str]:
    """What there is of a sweep that was interrupted, and whether it goes on from there."""
    if found.partial and not found.rows:
        yield "INTERRUPTED before a value was finished."
    elif found.partial and kept:
        yield "INTERRUPTED: what is finished is above and in sweep.csv; ask again to go on."
    elif found.partial:
        yield "INTERRUPTED: what is finished is above; with --out it would be kept, and a further call would go on from it."


def _unit(column: str) -> Callable[[float], str]:
    """How to write the figures of a column of a sweep: a key of the scenario, or a figure of the answers."""
    section, _, key = column.partition(".")
    if section == "constraints" and key in LIMITS:
        return LIMITS[key][1]
    if column.startswith("arrivals.rate"):
        return show_rate
    if column.endswith("_s") or column in {"service.mean", "network.link_delay"}:
        return show_seconds
    return show_share if column.endswith(("accuracy", "utilisation")) else show_number
