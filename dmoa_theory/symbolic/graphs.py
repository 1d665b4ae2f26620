"""The pattern of a given network or system: every device a role of its own, with its own symbols."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import sympy  # type: ignore[import-untyped]

from dmoa_theory.model.network import Network
from dmoa_theory.model.service import MeasuredServiceTime, ServiceTime, Stage
from dmoa_theory.model.system import System
from dmoa_theory.symbolic import symbols
from dmoa_theory.symbolic.counting import inclusion, weighted_inclusion
from dmoa_theory.symbolic.pattern import Asked, Pattern, Role, StageWork, constant_work
from dmoa_theory.symbolic.prompt_growth import growing_mean, growth_steps, measured_steps, measured_work
from dmoa_theory.symbolic.symbols import alpha_of, lambda_of, number, scv

__all__ = ["network_pattern", "system_pattern"]

_Works = tuple[StageWork, StageWork, StageWork]


def network_pattern(
    network: Network,
    *,
    M: sympy.Expr | int = symbols.M,
    k: sympy.Expr | int = symbols.k,
    stages: str = "alike",
    weighted: bool = False,
) -> Pattern:
    """Exact: a given network in symbols: every rate, every mean service time, M and k.

    Parameters
    ----------
    network : Network
    M, k : Expr or int
        Layers and neighbours of every user; symbols unless given.
    stages : {"alike", "each", "grow"}
        Service times of later stages: those of the first; ``beta_i`` (later layers) and ``gamma_i`` (aggregation); or growing
        with ``k`` by the token model.
    weighted : bool
        Neighbours drawn with weights ``w_i_j`` (device i of device j) in place of uniformly; needs a whole number ``k``.
    """
    M, k = sympy.sympify(M), sympy.sympify(k)
    roles_work = [_symbolic_work(device, stages) for device in range(network.n_devices)]
    degree = network.out_degree

    def chance(user: int, place: int) -> sympy.Expr:
        if not weighted:
            return inclusion(sympy.Integer(int(degree[user])), k)
        weights = [sympy.Symbol(f"w_{user}_{j}", positive=True) for j in network.neighbours(user).tolist()]
        return weighted_inclusion(place, weights, int(k))

    mute = [bool(d == 0) and k != 0 for d in degree]
    rates = [sympy.Integer(0) if mute[i] else lambda_of(i) for i in range(network.n_devices)]
    assumptions = [_about_k(network, k, [not m for m in mute])] if k == symbols.k else []
    assumptions += [f"{network.name(i)} has nobody to ask, so it sends no prompts of its own." for i, m in enumerate(mute) if m]
    every = network.n_devices
    return Pattern(
        title=network.description or f"network of {every} devices",
        roles=_roles(network, rates, roles_work, [M] * every, [k] * every, chance),
        assumptions=tuple(assumptions),
        uniform=not weighted,
        preamble=growth_steps() if stages == "grow" else (),
    )


def _symbolic_work(device: int, stages: str) -> _Works:
    first = constant_work(alpha_of(device), sympy.Integer(1), scv)
    if stages == "grow":
        later = constant_work(growing_mean(device), sympy.Integer(1), scv)
        return first, later, later
    if stages == "each":
        means = (sympy.Symbol(f"{letter}_{device}", positive=True) for letter in ("beta", "gamma"))
        later, aggregate = (constant_work(mean, sympy.Integer(1), scv) for mean in means)
        return first, later, aggregate
    return first, first, first


def system_pattern(system: System) -> Pattern:
    """Exact: a system with its rates and first-layer means as symbols; stages and selection as it has them.

    ``M`` and ``k`` stay symbols where every user runs the same with M at least 1; k only with uniform choice.
    """
    n, network = system.n_devices, system.network
    Ms, ks, quorum = system.moa.per_user(n)
    able, q = system.can_ask(), system.inclusion()
    common = bool((Ms == Ms[0]).all() and (ks == ks[0]).all() and Ms[0] > 0)
    symbolic_k = common and system.moa.is_uniform and int(ks[0]) > 0
    layers = [symbols.M if common else sympy.Integer(int(M)) for M in Ms]
    asked = [symbols.k if symbolic_k else sympy.Integer(int(k)) for k in ks]
    rates = [lambda_of(i) if able[i] else sympy.Integer(0) for i in range(n)]
    degree = network.out_degree

    def chance(user: int, place: int) -> sympy.Expr:
        if system.moa.is_uniform:
            return inclusion(sympy.Integer(int(degree[user])), asked[user])
        return number(float(q[network.indptr[user] + place]))

    assumptions = [_about_k(network, symbols.k, able & (degree > 0))] if symbolic_k else []
    mute = [network.name(i) for i in range(n) if not able[i]]
    if mute:
        assumptions.append(f"Without prompts of their own, for want of neighbours to ask: {', '.join(mute)}.")
    if not system.moa.is_uniform:
        assumptions.append("Neighbours are drawn with the inclusion probabilities of the scenario.")
    if not common:
        assumptions.append("M and k of each user are those of the scenario.")
    work = [_system_work(system.service, i) for i in range(n)]
    names = [network.name(i) for i in range(n)]
    if common and any(later.mean != first.mean or aggregate.mean != first.mean for first, later, aggregate in work):
        assumptions.append("M is at least 1; a bare prompt (M = 0) is one first-layer job at home.")
    return Pattern(
        title=system.title or network.description or f"network of {n} devices",
        roles=_roles(network, rates, work, layers, asked, chance),
        assumptions=tuple(assumptions),
        uniform=system.moa.is_uniform,
        preamble=measured_steps([later for _, later, _ in work], names) if system.service.grows_with_k else (),
        quorum=bool((quorum <= ks)[system.rates > 0].any()),
    )


def _system_work(service: ServiceTime | MeasuredServiceTime, device: int) -> _Works:
    mean = alpha_of(device)
    if isinstance(service, MeasuredServiceTime):
        first, later = measured_work(service, device, mean)
        return first, later, later
    row = device % service.mean.shape[0]
    first, later, aggregate = (
        constant_work(
            mean,
            number(float(service.mean[row, stage] / service.mean[row, Stage.FIRST])),
            number(float(service.scv[row, stage])),
        )
        for stage in Stage
    )
    return first, later, aggregate


def _about_k(network: Network, k: sympy.Expr, asking: Sequence[bool] | np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    fewest = min((int(d) for d, asks in zip(network.out_degree, asking, strict=True) if asks), default=0)
    return f"{k} is at most {fewest}, the fewest neighbours that a user has."


def _roles(
    network: Network,
    rates: list[sympy.Expr],
    work: list[_Works],
    layers: list[sympy.Expr],
    asked: list[sympy.Expr],
    chance: Callable[[int, int], sympy.Expr],
) -> tuple[Role, ...]:
    asked_by: list[list[Asked]] = [[] for _ in rates]
    for user in range(network.n_devices):
        if rates[user] == 0 or asked[user] == 0:
            continue
        for place, device in enumerate(network.neighbours(user).tolist()):
            given = chance(user, place)
            if given != 0:
                asked_by[device].append(Asked(by=user, count=sympy.Integer(1), inclusion=given))
    return tuple(
        Role(
            name=network.name(i),
            device=i,
            rate=rates[i],
            first=first,
            later=later,
            aggregate=aggregate,
            layers=layers[i],
            k=asked[i],
            asked_by=tuple(asked_by[i]),
        )
        for i, (first, later, aggregate) in enumerate(work)
    )
