"""What the general derivation starts from: roles of devices, who asks whom how often, and the work of each stage.

In a given network every device plays a role of its own. In a family many devices play one role, and the numbers of those
who may ask them are symbols: the complete graph has one role, whose devices are asked by ``n - 1`` others. The same sums
serve both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import sympy  # type: ignore[import-untyped]

from dmoa_theory.symbolic import symbols
from dmoa_theory.symbolic.derivation import Step

__all__ = ["Asked", "Pattern", "Role", "StageWork", "constant_work", "jobs", "load", "second_moment_rate", "visits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageWork:
    """Moments of one inference: ``mean`` (s) and ``second`` (s^2); in terms of the symbol ``k`` where prompts grow with it."""

    mean: sympy.Expr
    second: sympy.Expr

    def asked_with(self, k: sympy.Expr) -> StageWork:
        """The same for a user who asks ``k`` neighbours."""
        return StageWork(mean=self.mean.subs(symbols.k, k), second=self.second.subs(symbols.k, k))


def constant_work(mean: sympy.Expr, multiple: sympy.Expr, scv: sympy.Expr) -> StageWork:
    """Exact: a stage that takes a multiple of the mean, with squared coefficient of variation ``scv``."""
    return StageWork(mean=mean * multiple, second=(mean * multiple) ** 2 * (1 + scv))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """``count`` devices of role number ``by`` may ask this one; a layer of each does so with chance ``inclusion``."""

    by: int
    count: sympy.Expr
    inclusion: sympy.Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Devices that are all alike.

    Attributes
    ----------
    name : str
        For people.
    device : int or str
        Number in its network, or the name of the role in a family.
    rate : Expr
        Prompts/s of the own user.
    first, later, aggregate : StageWork
        Work of the three kinds of stage.
    layers, k : Expr
        M and k of the own user's queries.
    asked_by : tuple of Asked
    """

    name: str
    device: int | str
    rate: sympy.Expr
    first: StageWork
    later: StageWork
    aggregate: StageWork
    layers: sympy.Expr
    k: sympy.Expr
    asked_by: tuple[Asked, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """All roles, and what is assumed of them beyond the model.

    Attributes
    ----------
    title : str
    roles : tuple of Role
    assumptions : tuple of str
    uniform : bool
        Whether neighbours are drawn uniformly, so that the count of sets applies.
    preamble : tuple of Step
        What comes before the count of visits, such as the growth of prompts.
    approximate : str
        Why the chances are not exact; empty where they are.
    least : mapping of Symbol to int
        Smallest sizes of a family.
    quorum : bool
        Whether layers end before all their jobs are done.
    """

    title: str
    roles: tuple[Role, ...]
    assumptions: tuple[str, ...] = ()
    uniform: bool = True
    preamble: tuple[Step, ...] = ()
    approximate: str = ""
    least: Mapping[sympy.Symbol, int] = field(default_factory=dict)
    quorum: bool = False

    @property
    def is_family(self) -> bool:
        """Whether roles stand for many devices."""
        return all(isinstance(role.device, str) for role in self.roles)

    @property
    def common(self) -> bool:
        """Whether every user runs the same M and k."""
        return len({(role.layers, role.k) for role in self.roles}) == 1

    def flows(self, place: int) -> Iterator[tuple[Role, sympy.Expr]]:
        """Who sends jobs to a device of role ``place`` in each layer, and how many a second; the own user first."""
        role = self.roles[place]
        yield role, role.rate
        for asked in role.asked_by:
            user = self.roles[asked.by]
            if user.layers != 0:
                yield user, asked.count * asked.inclusion * user.rate


def visits(pattern: Pattern, place: int) -> sympy.Expr:
    """Exact: jobs a second that one layer of every query brings to a device (Mitra2024, eq. 2, for any network)."""
    role = pattern.roles[place]
    sharing: dict[sympy.Expr, list[sympy.Expr]] = {}
    for asked in role.asked_by:
        user = pattern.roles[asked.by]
        if user.layers != 0:
            sharing.setdefault(asked.inclusion, []).append(asked.count * user.rate)
    return sympy.Add(role.rate, *(chance * sympy.Add(*rates) for chance, rates in sharing.items()))


def jobs(pattern: Pattern, place: int) -> sympy.Expr:
    """Exact: jobs a second at a device over all layers and the aggregation (Mitra2024, eq. 4, for any network)."""
    own = pattern.roles[place].rate
    if pattern.common:
        return pattern.roles[place].layers * visits(pattern, place) + own
    return sympy.Add(own, *(user.layers * rate for user, rate in pattern.flows(place)))


def load(pattern: Pattern, place: int, visited: sympy.Expr | None = None) -> sympy.Expr:
    """Exact: seconds of work a second offered to a device; ``visited`` may stand for the visits of one layer."""
    return _work(pattern, place, lambda work: work.mean, visited)


def second_moment_rate(pattern: Pattern, place: int) -> sympy.Expr:
    """Exact: job rate times the second moment of service at a device, in seconds."""
    return _work(pattern, place, lambda work: work.second)


def _work(
    pattern: Pattern, place: int, moment: Callable[[StageWork], sympy.Expr], visited: sympy.Expr | None = None
) -> sympy.Expr:
    """Rate times moment, summed over stages; a bare prompt (M = 0) counts as a first layer.

    A number times M - 1 would be multiplied out, and M = 1 would then be a small difference of large numbers; the symbol of
    the first-layer mean, left inside, keeps the product whole.
    """
    role = pattern.roles[place]
    visited = visits(pattern, place) if visited is None else visited
    first = moment(role.first)
    if pattern.common and role.layers != 0:
        later, home = moment(role.later.asked_with(role.k)), moment(role.aggregate.asked_with(role.k))
        if first == later == home:
            return first * (role.layers * visited + role.rate)
        return (first + (role.layers - 1) * later) * visited + home * role.rate
    work = [] if role.layers == 0 else [moment(role.aggregate.asked_with(role.k)) * role.rate]
    for user, rate in pattern.flows(place):
        repeats = max(user.layers - 1, sympy.Integer(0))
        work.append((first + repeats * moment(role.later.asked_with(user.k))) * rate)
    return sympy.Add(*work)
