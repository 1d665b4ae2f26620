"""What a plan has to respect: latency, memory, utilisation and accuracy limits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, SMALLEST

__all__ = ["Constraints"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Limits on a plan; None where there is none.

    Parameters
    ----------
    mean_latency, p95_latency : float, optional, seconds
        Largest mean and 95th percentile of the time from prompt to answer, over all prompts.
    memory : float, optional, bytes
        Memory of each device; the need is taken at the overflow probability.
    max_utilisation : float
        Largest fraction of time that any device may be busy, above 0 and below 1. Default 0.95: at loads closer to one,
        small errors in a service time decide everything.
    overflow_probability : float
        Probability with which the memory need may be exceeded. Default 0.001.
    min_accuracy : float, optional
        Smallest stated accuracy, from 0 to 1.
    """

    mean_latency: float | None = None
    p95_latency: float | None = None
    memory: float | None = None
    max_utilisation: float = 0.95
    overflow_probability: float = 1e-3
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        """Check every limit that is given."""
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if field.name in {"max_utilisation", "overflow_probability"}:
                fine, allowed = 0 < value < 1, "a number above 0 and below 1"
            elif field.name == "min_accuracy":
                fine, allowed = 0 <= value <= 1, "a number from 0 to 1"
            else:
                fine, allowed = SMALLEST <= value <= LARGEST, "a finite number above 0"
            if not fine:
                raise InputError(field.name, value, allowed)
