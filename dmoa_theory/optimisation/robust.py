"""Uncertain service times: the worst of a box, drawn at random, and how often a plan then misses its limits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import MeasuredServiceTime, ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.limits import Limits, figures_of
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS

__all__ = ["UpperLimits", "at_upper_limits", "missed_share"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UpperLimits:
    """Service times that depend on k, each mean raised by so many of its standard errors.

    Parameters
    ----------
    measured : MeasuredServiceTime
    standard_errors : float
    """

    measured: MeasuredServiceTime
    standard_errors: float = STANDARD_ERRORS

    @property
    def n_devices(self) -> int | None:
        """Number of devices described; None when one row serves all."""
        return self.measured.n_devices

    @property
    def grows_with_k(self) -> bool:
        """Whether later stages take longer for larger k: they do."""
        return True

    @property
    def samples(self) -> None:
        """None: measured profiles hold no samples."""
        return None

    def for_k(self, k: int) -> ServiceTime:
        """The raised service times when every proposer group has ``k + 1`` members."""
        return self.measured.for_k(k).at_upper_limit(self.standard_errors)

    def warnings(self, k: int) -> tuple[str, ...]:
        """Those of the profiles."""
        return self.measured.warnings(k)


def at_upper_limits(system: System, ks: Iterable[int], standard_errors: float = STANDARD_ERRORS) -> System:
    """The system with every mean service time raised by so many of its standard errors; itself where none is known.

    Notes
    -----
    Waits and latencies rise with every service time, so of all service times within a box the largest are the worst for every
    limit at once: what meets the limits there meets them in the whole box.
    """
    service = system.service
    if not any(bool(np.any(service.for_k(k).mean_error)) for k in ks):
        return system
    if isinstance(service, ServiceTime):
        return replace(system, service=service.at_upper_limit(standard_errors))
    return replace(system, service=UpperLimits(measured=service, standard_errors=standard_errors))  # type: ignore[arg-type]


def missed_share(system: System, limits: Limits, factors: FloatArray) -> float:
    """The share of drawn service times with which a system as configured misses a limit, by the latency theory.

    Parameters
    ----------
    system : System
    limits : Limits
    factors : ndarray, shape (draws, n)
        By which every device's mean service times are multiplied.
    """
    _, k, _ = system.moa.per_user(system.n_devices)
    missed = 0
    for row in factors:
        service = system.service.for_k(int(k.max()))
        mean = np.broadcast_to(service.mean, (system.n_devices, service.mean.shape[1])) * row[:, None]
        scv = np.broadcast_to(service.scv, mean.shape)
        drawn = replace(system, service=ServiceTime(mean=mean, scv=scv, law=service.law))
        missed += bool(limits.broken(figures_of(latency(drawn))))
    return missed / len(factors)
