"""Which (M, k) is best over the load and the latency budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmoa_theory.accuracy.table import AccuracyEntry
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.optimisation.candidates import Evaluations
from dmoa_theory.optimisation.limits import LATENCIES, figures_of

__all__ = ["ChoiceMap", "choice_map"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChoiceMap:
    """The most accurate (M, k) within the limits, by load and latency budget.

    Attributes
    ----------
    latency : str
        The limit that is the budget, such as ``"p95_latency"``.
    scales : ndarray, shape (s,)
        Factors on all rates.
    budgets : ndarray, shape (b,), seconds
    configurations : tuple of (int, int)
    best : ndarray of int, shape (s, b)
        Place among the configurations; -1 where none meets the limits.
    rate : float, prompts/s
        Of all users at scale 1, which is one of the scales.
    limit : float or None, seconds
        The limit as it stands, which is one of the budgets; None where there is none.
    """

    latency: str
    scales: FloatArray
    budgets: FloatArray
    configurations: tuple[tuple[int, int], ...]
    best: IntArray
    rate: float
    limit: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""

        def shown(place: int) -> dict[str, int] | None:
            return None if place < 0 else {"M": self.configurations[place][0], "k": self.configurations[place][1]}

        return {
            "latency": self.latency,
            "scales": self.scales,
            "budgets": self.budgets,
            "best": [[shown(place) for place in row] for row in self.best.tolist()],
        }


def choice_map(
    evaluations: Evaluations,
    entries: Iterable[AccuracyEntry],
    *,
    latency: str | None = None,
    points: int = 24,
    progress: Callable[[float], None] | None = None,
) -> ChoiceMap:
    """Approximation: the most accurate configuration by load and latency budget; all other limits stay.

    Every configuration is evaluated once at every load, whatever the number of budgets. The present load and the limit as it
    stands are points of the map, where it says what :func:`~dmoa_theory.optimisation.choose.optimise` chooses.

    Parameters
    ----------
    evaluations : Evaluations
    entries : iterable of AccuracyEntry
    latency : str, optional
        Which latency the budget is on; default the first that is limited, and failing that ``"p95_latency"``.
    points : int
        Loads, and budgets.
    progress : callable, optional
        Told the fraction done, from 0 to 1.
    """
    limits = evaluations.limits
    latency = latency or next(iter(limits.latencies), "p95_latency")
    if latency not in LATENCIES:
        raise InputError("latency", latency, f"one of {', '.join(LATENCIES)}")
    able = [e for e in entries if not evaluations.impossible(e.M, e.k)]
    nothing: dict[str, Any] = {latency: None}
    others = replace(limits, **nothing)
    loads = [float(evaluations.estimate(e.M, e.k).utilisation.max()) for e in able]
    scales = _even_ratios(0.1 / max(loads), 0.98 / min(loads), points, through=1.0)
    values = np.full((len(able), points), np.inf)
    for c, entry in enumerate(able):
        for s, scale in enumerate(scales.tolist()):
            estimate = evaluations.estimate(entry.M, entry.k, scale=scale)
            figures = figures_of(estimate)
            if others.broken(figures, entry.accuracy):
                break  # loads rise, and so do all figures
            values[c, s] = getattr(figures, latency)
        if progress is not None:
            progress((c + 1) / len(able))
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (1.0, 10.0)
    limit = limits.latencies.get(latency)
    budgets = _even_ratios(0.8 * low, min(1.2 * high, 100 * low), points, through=limit)
    worth = np.array([e.accuracy for e in able])
    within = values[:, :, None] <= budgets[None, None, :]
    ranked = np.where(within, worth[:, None, None], -np.inf)
    best = np.where(within.any(axis=0), ranked.argmax(axis=0), -1)
    return ChoiceMap(
        latency=latency,
        scales=scales,
        budgets=budgets,
        configurations=tuple((e.M, e.k) for e in able),
        best=best,
        rate=float(evaluations.system.rates.sum()),
        limit=limit,
    )


def _even_ratios(low: float, high: float, points: int, *, through: float | None) -> FloatArray:
    """So many values in even ratios, from about ``low`` to ``high`` and as far as ``through``, which is one of them exactly.

    Examples
    --------
    >>> _even_ratios(1.0, 16.0, 5, through=3.0).round(2).tolist()
    [0.75, 1.5, 3.0, 6.0, 12.0]
    """
    if through is None or points < 2:
        return np.geomspace(low, high, points)
    low, high = min(low, through), max(high, through)
    step = np.log(high / low) / (points - 1)
    values: FloatArray = through * np.exp(step * (np.arange(points) - round(np.log(through / low) / step)))
    return values
