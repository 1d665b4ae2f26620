"""When load below one is proved to keep every queue bounded, and by which argument.

A device that is offered more than one second of work a second cannot keep up; that load below one *suffices* needs a proof,
because a query's later jobs arrive only when its earlier ones are done. The setting: Poisson prompts, independent service
times of finite mean that may depend on the stage, the device and the user's k, neighbours drawn afresh for each layer by the
same law, first-come-first-served devices, layers that end when all answers, or a quorum of them, are back. Constant link
delays vanish in the fluid limit on which the proofs rest. The rule, in order; docs/theory/stability.md has the proofs:

1. Load above one at a device: unstable; exactly one: critical.
2. All users have at most one layer (any quorum); or each has at most one layer or asks a fixed set of neighbours, and waits
   for all answers: proved.
3. Two layers at most and a closed-form inequality at every device, true for service that does not depend on the stage: proved.
4. Theorem 2, ``min(F, Fold)(w) < w`` with equal weights ``w``, then with the best that a search finds: proved.
5. Theorem 3, ``L(w) < w``, the same with a linear programme at every device: proved.
6. Otherwise not proved at this load; ``certified_scale`` tells up to which load it is. No unstable system with load below one
   is known.

What is proved is that the fluid model drains. The framework that turns this into positive recurrence is Dai, J. G. (1995), "On
positive Harris recurrence of multiclass queueing networks", Annals of Applied Probability 5(1), 49-77; that it extends to
layers that wait for several jobs is taken as routine and not written out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

import numpy as np

from dmoa_theory.model.checks import FloatArray, read_only
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.certificates import MOST_STEPS, find_certificate
from dmoa_theory.stability.proofs.head_of_line import HeadOfLine, LayerDelays
from dmoa_theory.stability.proofs.linear_program import WorkBalance
from dmoa_theory.stability.proofs.special_cases import special_case
from dmoa_theory.stability.proofs.work_shares import work_paths

__all__ = ["Guarantee", "Verdict", "stability_guarantee"]

HEAD_OF_LINE = "head-of-line bound below one at every device"
WEIGHTED = "head-of-line bound below one at every device, with weights by device"
PROGRAM = "linear programme of head of line and work yet to come"
#: Items and neighbours that a search may go through, over all its steps; and steps below which it is not begun.
_WORK, _FEWEST_STEPS = 100_000_000, 20
#: Loads and layers at which bursts are forgotten slowly.
_SLOW, _QUICK_LAYER, _MANY_LAYERS = 200, 0.01, 10


class Verdict(StrEnum):
    """What can be said of the queues; ``CONJECTURED`` is: not proved at this load."""

    PROVED = "proved"
    CONJECTURED = "conjectured"
    CRITICAL = "critical"
    UNSTABLE = "unstable"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Guarantee:
    """What is proved about a system.

    Attributes
    ----------
    verdict : Verdict
    theorem : str
        The argument, in words.
    certified_scale : float
        All rates may be multiplied by any factor below this and the queues stay bounded, provably.
    certificate : ndarray, shape (n,), or None
        Weights ``w`` by device with ``L(w) < w``: once the work at all devices has lain below a multiple of them for long
        enough, it stays below a smaller one. None unless the verdict is proved.
    warning : str or None
        That bursts are forgotten slowly, if they are.
    """

    verdict: Verdict
    theorem: str
    certified_scale: float
    certificate: FloatArray | None = None
    warning: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "verdict": self.verdict,
            "theorem": self.theorem,
            "certified_scale": self.certified_scale,
            "certificate": self.certificate,
            "warning": self.warning,
        }


@lru_cache(maxsize=4)
def stability_guarantee(system: System) -> Guarantee:
    """Which proof, if any, says that every queue of a system stays bounded.

    Never says more than is proved. The last few answers are kept, as a report asks several times.

    Parameters
    ----------
    system : System

    Examples
    --------
    >>> from dmoa_theory.stability.proofs.guarantee import stability_guarantee
    >>> from dmoa_theory import System
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> found = stability_guarantee(System.from_arrays(complete, 0.006, 10.0, M=6, k=1))
    >>> found.verdict.value, round(found.certified_scale * 0.06 * 13, 3)
    ('proved', 0.797)
    """
    load = utilisation(system)
    peak = float(load.max())
    found = _strongest(system, peak)
    if peak > 1:
        necessary = "a device is offered more work than it can do"
        return replace(found, verdict=Verdict.UNSTABLE, theorem=necessary, certificate=None)
    if peak == 1:
        critical = "a device is offered exactly as much work as it can do: its queue is not bounded"
        return replace(found, verdict=Verdict.CRITICAL, theorem=critical, certificate=None)
    return replace(found, warning=_slow_forgetting(system, peak))


def _strongest(system: System, peak: float) -> Guarantee:
    """The first argument in the order of the rule that is enough for this load, and how far the best of them reaches."""
    paths, weights, limit = work_paths(system), np.ones(system.n_devices), 1 / peak
    special = special_case(system, paths)
    if special is not None:
        return _judged(special, limit, weights)
    delays = LayerDelays(system)
    simple = HeadOfLine(paths, delays)
    steps = min(MOST_STEPS, _WORK // max(1, paths.n_items + delays.size))
    large = steps < _FEWEST_STEPS
    theorem, found = HEAD_OF_LINE, find_certificate(simple, weights, limit, steps=1)
    if found.scale <= 1 and not large:
        theorem, found = WEIGHTED, find_certificate(simple, weights, limit, steps=steps)
    scale = found.scale
    if scale < limit * (1 - 1e-6) and not large:
        more = find_certificate(WorkBalance(paths, delays), found.weights, limit, steps=steps)
        scale = max(scale, more.scale)
        if found.scale <= 1:
            theorem, found = PROGRAM, more
    if found.scale <= 1:
        theorem = "no device is overloaded, but no proof covers this load; simulations show no instability"
        theorem += " (of certificates only equal weights were tried, because of the system's size)" if large else ""
    return _judged(theorem, scale, found.weights)


def _judged(theorem: str, scale: float, weights: FloatArray) -> Guarantee:
    """Proved if all rates may be multiplied by a number above one; else not at this load."""
    if scale > 1:
        certificate = read_only(weights.copy())
        return Guarantee(verdict=Verdict.PROVED, theorem=theorem, certified_scale=scale, certificate=certificate)
    return Guarantee(verdict=Verdict.CONJECTURED, theorem=theorem, certified_scale=scale)


def _slow_forgetting(system: System, peak: float) -> str | None:
    """That a burst is felt for long, where it is."""
    M, _, _ = system.moa.per_user(system.n_devices)
    most = int(M[system.rates > 0].max())
    quick = False
    for group in system.groups():
        if group.M >= _MANY_LAYERS and (system.rates[group.users] > 0).any():
            mean = system.service.for_k(group.k).mean
            layers = np.minimum(mean[:, Stage.FIRST], mean[:, Stage.LATER])
            quick = quick or bool((layers < _QUICK_LAYER * mean[:, Stage.AGGREGATE]).any())
    lengths = (most + 1) / (1 - peak)
    if lengths <= _SLOW and not quick:
        return None
    return (
        f"bursts are forgotten only after about (M + 1) / (1 - load) = {lengths:.0f} times their own length; "
        "do not trust short runs, nor the latency formula"
    )
