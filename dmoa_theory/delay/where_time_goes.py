"""Where the time of a prompt goes: waits, at home and at neighbours, service, links, the slowest answer, aggregation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.closure.queries import QueryLaws, query_laws
from dmoa_theory.delay.closure.stage_sets import StageSets, stage_sets
from dmoa_theory.model.checks import FloatArray, read_only
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.loads import work_moments

__all__ = ["Part", "TimeParts", "label_of", "show_signed", "where_time_goes"]

_STAGES = ("first layer", "later layers", "aggregation")


class Part(StrEnum):
    """What a prompt spends time on; :func:`where_time_goes` defines each."""

    OWN_WAIT = "own wait"
    NEIGHBOUR_WAIT = "neighbours' wait"
    SERVICE = "service"
    LINKS = "links"
    SYNCHRONISATION = "waiting for the slowest"
    AGGREGATION_WAIT = "aggregation: wait"
    AGGREGATION = "aggregation: service"


def label_of(part: Part, seconds: float) -> str:
    """What to call a part that takes so long: with a quorum, there may be less than no waiting for the slowest."""
    return "slow ones not waited for" if part is Part.SYNCHRONISATION and seconds < 0 else part.value


def show_signed(seconds: float) -> str:
    """A duration that may be negative, to three digits.

    Examples
    --------
    >>> from dmoa_theory.delay.where_time_goes import show_signed
    >>> show_signed(-114.2), show_signed(0.25)
    ('−114 s', '250 ms')
    """
    return f"−{show_seconds(-seconds)}" if seconds < 0 else show_seconds(seconds)


_PLACE = {part: place for place, part in enumerate(Part)}
_NAMES = {part: part.name.lower() for part in Part}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class TimeParts(Result):
    """Approximation: the mean latency in parts that add up to it. Seconds; NaN where a user's latency is not bounded.

    Attributes
    ----------
    system : System
    by_user : ndarray, shape (n, 3, 7)
        By user, stage (first layer, all later layers together, aggregation) and :class:`Part`; NaN for users without prompts.
    """

    verb: ClassVar[str] = "where_time_goes"

    system: System
    by_user: FloatArray

    @property
    def source(self) -> Source:
        """An approximation, as the latency is."""
        return Source.APPROXIMATION

    @property
    def by_stage(self) -> FloatArray:
        """Over all prompts, by stage and part; shape (3, 7)."""
        active = self.system.rates > 0
        weight = self.system.rates[active] / self.system.rates[active].sum()
        return np.asarray(np.tensordot(weight, self.by_user[active], axes=1))

    @property
    def parts(self) -> dict[Part, float]:
        """Over all prompts and stages."""
        return dict(zip(Part, self.by_stage.sum(axis=0).tolist(), strict=True))

    @property
    def mean(self) -> float:
        """The mean latency over all prompts: the sum of the parts."""
        return float(self.by_stage.sum())

    def payload(self) -> dict[str, Any]:
        """Plain numbers by name."""
        active = self.system.rates > 0
        users = [
            dict(zip(_NAMES.values(), parts, strict=True)) if used else None
            for used, parts in zip(active.tolist(), self.by_user.sum(axis=1).tolist(), strict=True)
        ]
        stages = [dict(zip(_NAMES.values(), row, strict=True)) for row in self.by_stage.tolist()]
        return {
            "mean": self.mean,
            "parts": {_NAMES[part]: seconds for part, seconds in self.parts.items()},
            "per_stage": dict(zip(("first", "later", "aggregate"), stages, strict=True)),
            "per_user": users,
        }

    def table(self) -> Table:
        """Parts over all prompts, by stage; parts that are nil are left out."""
        by_stage, mean = self.by_stage, self.mean
        shown = [part for part in Part if by_stage[:, _PLACE[part]].any() and np.isfinite(mean)]
        stages = [stage for stage in Stage if by_stage[stage].any()]
        rows = []
        for part in shown:
            column = by_stage[:, _PLACE[part]]
            cells = (show_signed(column[stage]) if column[stage] else "-" for stage in stages)
            whole = float(column.sum())
            rows.append((label_of(part, whole), *cells, show_signed(whole), show_share(whole / mean)))
        total = (
            "mean latency",
            *(show_seconds(by_stage[stage].sum()) for stage in stages),
            show_seconds(mean),
            show_share(1.0),
        )
        title = f"where the time goes with {self.system.moa.label}, mean of all prompts (approximation)"
        return Table(title, ("", *(_STAGES[stage] for stage in stages), "in all", "share"), (*rows, total))

    def records(self) -> list[dict[str, Any]]:
        """All prompts, then one row a user: seconds by part, and their sum."""
        overall = {"prompts_of": "all", **{f"{_NAMES[part]}_s": seconds for part, seconds in self.parts.items()}}
        rows = [overall | {"mean_s": self.mean}]
        for u in np.flatnonzero(self.system.rates > 0).tolist():
            parts = self.by_user[u].sum(axis=0).tolist()
            named = {f"{name}_s": seconds for name, seconds in zip(_NAMES.values(), parts, strict=True)}
            rows.append({"prompts_of": self.system.network.name(u), **named, "mean_s": sum(parts)})
        return rows


def where_time_goes(system: System, *, progress: Callable[[float], None] | None = None) -> TimeParts:
    """Approximation: the parts of the mean latency, by user and stage; they add up to the mean of :func:`dmoa_theory.latency`.

    Parameters
    ----------
    system : System
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Notes
    -----
    A layer of user u sends ``k + 1`` jobs: one to the own device, one each to neighbours that are drawn with inclusion
    probabilities q_uj, sum_j q_uj = k. With w, m and d the mean wait, the mean service and the way there and back of a job at a
    device, the mean of these jobs takes

        ``(w_u + sum_j q_uj w_j) / (k + 1)  +  (m_u + sum_j q_uj m_j) / (k + 1)  +  sum_j q_uj d_uj / (k + 1)``,

    which is *own wait*, *neighbours' wait*, *service* and *links*. *Waiting for the slowest* is what the layer's mean duration
    has beyond that: the mean of the largest of the jobs' times, less the mean of their mean. With a quorum it is negative
    where the layer ends before its mean job does. The *aggregation*, alone at the own device, is its wait and its service, and
    so is the one job of a user without layers, or of a layer that asks nobody (own wait and service; nothing is slowest).

    First-layer jobs wait as long as an arrival at random would. In later layers the own job finds more (or less) than that at
    its device, by the excess of a job that returns, and a neighbour's job with the chance q_uj that it was there before.
    ``mean`` differs from the latency's by rounding only.

    The sum is as good as the mean latency. How a layer divides into waits and waiting for the slowest is much less sure, above
    all where layers ask nearly all neighbours: the column ``waits`` of ``data/latency_validation.csv`` says how far mean waits
    by device were off in the validation systems.

    Examples
    --------
    M/M/1 with mean service 1 s and load 0.75: 3 s of waiting, 1 s of service.

    >>> from dmoa_theory import System, where_time_goes
    >>> alone = System.from_arrays([[0]], 0.75, 1.0, M=0, k=0, law="exponential")
    >>> {part.value: round(seconds, 9) for part, seconds in where_time_goes(alone).parts.items() if seconds}
    {'own wait': 3.0, 'service': 1.0}
    """
    work = work_moments(system)
    groups = [group._replace(users=group.users[system.rates[group.users] > 0]) for group in system.groups()]
    groups = [group for group in groups if group.users.size]
    laws = query_laws(system, groups, work, progress=progress)
    found = np.full((system.n_devices, len(Stage), len(Part)), np.nan)
    sets = stage_sets(system, [group for group in groups if group.M > 0])
    if sets.user.size:
        found[sets.user] = 0.0
        _fill_layers(found, laws, sets)
        _fill_alone(found[:, Stage.AGGREGATE], sets.user, laws.stage_mean, sets.mean[sets.own], Stage.AGGREGATE, last=True)
    for group in groups:
        if group.M == 0:
            found[group.users] = 0.0
            mean = np.broadcast_to(system.service.for_k(group.k).mean, (system.n_devices, len(Stage)))[group.users]
            _fill_alone(found[:, Stage.FIRST], group.users, laws.stage_mean, mean, Stage.FIRST, last=False)
    found[~np.isfinite(laws.cumulants.mean)] = np.nan
    return TimeParts(system=system, by_user=read_only(found))


def _fill_alone(
    out: FloatArray, users: np.ndarray, stage_mean: FloatArray, service: FloatArray, stage: Stage, *, last: bool
) -> None:
    """A single job at home: its service, and its wait, which is the rest."""
    wait, serve = (Part.AGGREGATION_WAIT, Part.AGGREGATION) if last else (Part.OWN_WAIT, Part.SERVICE)
    out[users, _PLACE[serve]] = service[:, stage]
    out[users, _PLACE[wait]] = stage_mean[users, stage] - service[:, stage]


def _fill_layers(out: FloatArray, laws: QueryLaws, sets: StageSets) -> None:
    """First and later layers of users who have any."""
    n = out.shape[0]
    with np.errstate(invalid="ignore"):  # at overloaded devices, whose users' parts are dropped
        base = laws.stage_wait[:, Stage.FIRST]
        excess = _excess(laws.stage_wait[:, Stage.LATER] - base, sets, n)
        for stage, repeats in ((Stage.FIRST, np.ones_like(sets.layers)), (Stage.LATER, sets.layers - 1)):
            found = sets.inclusion * excess[sets.device] if stage is Stage.LATER else 0.0
            wait = np.maximum(base[sets.device] + found, 0.0)
            duration = laws.stage_mean[sets.user, stage]
            # a layer that asks nobody is one job: what is not service is its wait
            own = np.where(sets.asked > 0, wait[sets.own], duration - sets.mean[sets.own, stage])
            width = sets.asked + 1.0
            parts = {
                Part.OWN_WAIT: own / width,
                Part.NEIGHBOUR_WAIT: sets.sums(np.where(sets.remote, sets.inclusion * wait, 0.0)) / width,
                Part.SERVICE: sets.sums(sets.inclusion * sets.mean[:, stage]) / width,
                Part.LINKS: sets.sums(sets.inclusion * sets.trip[:, stage]) / width,
            }
            slowest = np.where(sets.asked > 0, duration - sum(parts.values()), 0.0)
            for part, seconds in {**parts, Part.SYNCHRONISATION: slowest}.items():
                out[sets.user, stage, _PLACE[part]] = np.where(repeats > 0, repeats * seconds, 0.0)


def _excess(later: FloatArray, sets: StageSets, n: int) -> FloatArray:
    """What a job that surely returns finds beyond the mean workload, from the mean over all jobs of later layers; (n,), s.

    A job returns to device j with the chance q_uj that the layer before used it, so over all jobs of later layers there the
    mean excess is ``sum lambda_u (M_u - 1) q_uj^2 / sum lambda_u (M_u - 1) q_uj`` of it.
    """
    rate = sets.spread(sets.rate * (sets.layers - 1)) * sets.inclusion
    jobs, back = sets.by_device(rate, n), sets.by_device(rate * sets.inclusion, n)
    return np.asarray(np.divide(later * jobs, back, out=np.zeros(n), where=back > 0))
