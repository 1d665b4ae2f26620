"""When load below one is proved to keep every queue bounded, and by which argument.

A device that is offered more than one second of work a second cannot keep up; that load below one *suffices* needs a
proof, because a query's later jobs arrive only when its earlier ones are done. The setting: Poisson prompts, independent
service times of finite mean that may depend on the stage, neighbours drawn afresh for each layer by the same law,
first-come-first-served devices, every answer waited for. Constant link delays vanish in the fluid limit on which the proofs
rest. With ``W`` the fluid workloads, ``pi_uj`` the inclusion probabilities and ``rho`` the loads:

Full fan-out
    Every user asks nobody or all of its neighbours. The head-of-line job of a loaded device forked no more than
    ``max_i W_i`` before its predecessors, so ``W_j(t) <= rho_j max_i W_i``, which contracts: ``rho < 1`` suffices, for every M.
One layer
    ``M <= 1``: a query's work still to come when a stage forks is its aggregation at home, which is less than the device's
    whole load: ``rho < 1`` suffices.
Two layers
    With ``a``, ``l`` the shares of first-layer and own second-layer work in ``rho_j``, and ``b`` the share of own
    second-layer and aggregation work, ``b (1 - b) <= a + l`` at every device makes ``rho < 1`` sufficient; it always holds
    when service does not depend on the stage.
Head of line
    Otherwise later layers at remote devices are over-counted: with ``mu_jq`` the mean service of layer ``q`` at ``j``,
    ``kappa_j = sum_u lambda_u [sum_q mu_jq (1 - (1 - pi_uj)^(q + 1))] + lambda_j mu_agg < 1`` at every device suffices.

What is proved is that the fluid model drains. The framework that turns this into positive recurrence is Dai, J. G. (1995),
"On positive Harris recurrence of multiclass queueing networks", Annals of Applied Probability 5(1), 49-77; that it extends
to layers that wait for several jobs is taken as routine and not written out. No unstable system with ``rho < 1`` is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System

__all__ = ["Guarantee", "Verdict", "stability_guarantee"]


class Verdict(StrEnum):
    """What can be said of the queues."""

    PROVED = "proved"
    CONJECTURED = "conjectured"
    CRITICAL = "critical"
    UNSTABLE = "unstable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """What is proved about a system.

    Attributes
    ----------
    verdict : Verdict
    theorem : str
        The argument, in words.
    certified_scale : float
        All rates may be multiplied by any factor below this and the queues stay bounded, provably.
    """

    verdict: Verdict
    theorem: str
    certified_scale: float


def stability_guarantee(system: System, load: FloatArray) -> Guarantee:
    """Which proof, if any, covers a system.

    Parameters
    ----------
    system : System
    load : ndarray, shape (n,)
        Its offered loads, from :func:`dmoa_theory.stability.loads.utilisation`.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.loads import utilisation
    >>> system = System.from_arrays([[0, 1], [1, 0]], 0.01, 10.0, M=3, k=1)
    >>> stability_guarantee(system, utilisation(system)).verdict.value
    'proved'
    """
    peak = float(load.max())
    theorem, certified = _certificate(system, peak)
    if peak > 1:
        necessary = "a device is offered more work than it can do"
        return Guarantee(verdict=Verdict.UNSTABLE, theorem=necessary, certified_scale=certified)
    if peak == 1:
        critical = "a device is offered exactly as much work as it can do: its queue is not bounded"
        return Guarantee(verdict=Verdict.CRITICAL, theorem=critical, certified_scale=certified)
    verdict = Verdict.PROVED if certified > 1 else Verdict.CONJECTURED
    return Guarantee(verdict=verdict, theorem=theorem, certified_scale=certified)


def _certificate(system: System, peak: float) -> tuple[str, float]:
    """The strongest argument at hand, and the factor on all rates up to which it holds."""
    n = system.n_devices
    M, k, quorum = system.moa.per_user(n)
    active = system.rates > 0
    if (quorum[active] < k[active] + 1).any():
        return "no proof covers a quorum: no device is overloaded, and simulations show no instability", 0.0
    if (M[active] <= 1).all():
        return "one layer at most: load below one suffices", 1 / peak
    full = (k == 0) | (k == system.choice_size())
    if full[active].all():
        return "every user asks all of its neighbours: load below one suffices", 1 / peak
    if (M[active] == 2).all() and _two_layers(system):
        return "two layers: load below one suffices", 1 / peak
    kappa = float(_head_of_line(system).max())
    scale = min(1 / kappa, 1 / peak)
    if scale > 1:
        return "head-of-line bound below one at every device", scale
    return "no device is overloaded, but for k below the number of neighbours no proof covers this load", scale


def _inbound(system: System, value: FloatArray) -> FloatArray:
    """Sum of a link quantity over the links into each device; shape (n,)."""
    return np.asarray(np.bincount(system.network.indices, weights=value, minlength=system.n_devices))


def _two_layers(system: System) -> bool:
    """Whether ``b (1 - b) <= a + l`` at every device, for users who all have M = 2."""
    n = system.n_devices
    sources, inclusion = system.network.link_sources(), system.inclusion()
    first, own_later, later, home = (np.zeros(n) for _ in range(4))
    for group in system.groups():  # service may depend on the asking user's k
        mean = system.service.for_k(group.k).mean
        own = np.zeros(n)
        own[group.users] = system.rates[group.users]
        brought = _inbound(system, own[sources] * inclusion)
        first += (own + brought) * mean[:, Stage.FIRST]
        own_later += own * mean[:, Stage.LATER]
        later += brought * mean[:, Stage.LATER]
        home += own * mean[:, Stage.AGGREGATE]
    load = first + own_later + later + home
    used = load > 0
    a, own_share = first[used] / load[used], own_later[used] / load[used]
    b = (own_later[used] + home[used]) / load[used]
    return bool((b * (1 - b) <= a + own_share + 1e-12).all())


def _head_of_line(system: System) -> FloatArray:
    """``kappa_j`` of every device; shape (n,)."""
    n = system.n_devices
    network, rates = system.network, system.rates
    sources, hit = network.link_sources(), system.inclusion()
    miss = 1.0 - hit
    with np.errstate(divide="ignore"):
        log_miss = np.log1p(-hit)
    kappa = np.zeros(n)
    for group in system.groups():
        mean = system.service.for_k(group.k).mean
        own = np.zeros(n)
        own[group.users] = rates[group.users]
        if group.M == 0:
            kappa += own * mean[:, Stage.FIRST]
            continue
        kappa += own * (mean[:, Stage.FIRST] + (group.M - 1) * mean[:, Stage.LATER] + mean[:, Stage.AGGREGATE])
        # sum over q = 1..M-1 of 1 - miss^(q+1)
        missed = -np.expm1((group.M - 1) * log_miss) if group.M > 1 else np.zeros(hit.size)
        reached = (group.M - 1) - miss**2 * np.divide(missed, hit, out=np.full(hit.size, group.M - 1.0), where=hit > 0)
        on_link = own[sources]
        kappa += _inbound(system, on_link * hit) * mean[:, Stage.FIRST]
        kappa += _inbound(system, on_link * reached) * mean[:, Stage.LATER]
    return kappa
