"""The load that each configuration carries: the largest factor on all rates at which it meets the limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from dmoa_theory.accuracy.table import AccuracyEntry
from dmoa_theory.optimisation.candidates import Candidate, Evaluations, latency_margins
from dmoa_theory.optimisation.limits import figures_of
from dmoa_theory.optimisation.prices import largest_factor

__all__ = ["at_its_reach", "reach"]


def reach(evaluations: Evaluations, M: int, k: int, *, standard_errors: float = 0.0, margin: bool = False) -> float:
    """Approximation (to 0.1 %): the largest factor on all rates at which a configuration meets the limits; 0 if none does.

    Parameters
    ----------
    evaluations : Evaluations
    M, k : int
        A configuration that the network allows.
    standard_errors : float
        By which mean service times are raised.
    margin : bool
        Whether latencies are raised by their typical error.
    """

    def fullness(factor: float) -> float:
        estimate = evaluations.estimate(M, k, standard_errors=standard_errors, scale=factor)
        figures = figures_of(estimate)
        if margin:
            figures = figures.raised(latency_margins(estimate.expected_error))
        return evaluations.limits.fullness(figures)

    return largest_factor(fullness)


def at_its_reach(
    evaluations: Evaluations,
    entries: Iterable[AccuracyEntry],
    *,
    standard_errors: float = 0.0,
    margin: bool = False,
    progress: Callable[[float], None] | None = None,
) -> tuple[Candidate, ...]:
    """Approximation: every configuration at the largest load that it carries; at the present one where it carries none."""
    listed = list(entries)
    found = []
    for place, entry in enumerate(listed):
        possible = not evaluations.impossible(entry.M, entry.k)
        errors = {"standard_errors": standard_errors, "margin": margin}
        factor = reach(evaluations, entry.M, entry.k, **errors) if possible else 0.0  # type: ignore[arg-type]
        found.append(evaluations.candidate(entry, scale=factor or 1.0))
        if progress is not None:
            progress((place + 1) / len(listed))
    return tuple(found)
