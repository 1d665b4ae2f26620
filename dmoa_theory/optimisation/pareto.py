"""Pareto fronts: what no other configuration beats in accuracy, latency, memory and load at once, with error bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray
from dmoa_theory.optimisation.candidates import Candidate
from dmoa_theory.optimisation.recommend import Standing

__all__ = ["AIMS", "Point", "pareto_front"]

#: What may be traded: name, and whether more is better.
AIMS = {"accuracy": True, "mean_latency": False, "p95_latency": False, "memory": False, "load": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One configuration on a front.

    Attributes
    ----------
    candidate : Candidate
    values, errors : dict of str to float
        By aim: the figure, and its standard error (accuracy) or typical error (latencies); 0 where none is known. Load is the
        largest factor on all rates that keeps queues bounded.
    p_on_front : float or None
        Probability that it is on the front, given the errors of accuracy; None without samples of them.
    """

    candidate: Candidate
    values: dict[str, float]
    errors: dict[str, float]
    p_on_front: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        errors = {f"{name}_error": value for name, value in self.errors.items()}
        return {"M": self.candidate.M, "k": self.candidate.k, **self.values, **errors, "p_on_front": self.p_on_front}


def pareto_front(
    candidates: Sequence[Candidate],
    aims: Sequence[str] = ("accuracy", "mean_latency"),
    *,
    standings: Sequence[Standing] = (),
    draws: FloatArray | None = None,
) -> tuple[Point, ...]:
    """Exact, given the figures: the stable configurations that no other beats in all aims, by the first aim.

    Parameters
    ----------
    candidates : sequence of Candidate
    aims : sequence of str
        Of ``"accuracy"``, ``"mean_latency"``, ``"p95_latency"``, ``"memory"``, ``"load"``.
    standings : sequence of Standing, optional
        Fitted accuracies, to go by instead of those stated; in the order of the candidates.
    draws : ndarray, shape (samples, candidates), optional
        Samples of the accuracies, from which the probability of being on the front comes.

    Raises
    ------
    InputError
        For an aim that is not known.

    Examples
    --------
    >>> from dmoa_theory import load_scenario, optimise
    >>> decision = optimise(load_scenario(), simulation=False, explain=False)
    >>> front = pareto_front(decision.candidates, ("accuracy", "mean_latency", "load"))
    >>> all(point.candidate.stable for point in front)
    True
    """
    for aim in aims:
        if aim not in AIMS:
            raise InputError("aims", aim, f"some of {', '.join(AIMS)}")
    kept = [place for place, c in enumerate(candidates) if c.stable and np.isfinite(c.mean_latency)]
    if not kept:
        return ()
    table = np.array([[_value(candidates[place], aim, standings, place) for aim in aims] for place in kept])
    sign = np.array([1.0 if AIMS[aim] else -1.0 for aim in aims])
    on = _undominated(table * sign)
    chance = _chances(table * sign, aims, draws, kept) if draws is not None and "accuracy" in aims else None
    points = []
    for row in np.flatnonzero(on).tolist():
        c = candidates[kept[row]]
        points.append(
            Point(
                candidate=c,
                values=dict(zip(aims, map(float, table[row]), strict=True)),
                errors={aim: _error(c, aim, standings, kept[row]) for aim in aims},
                p_on_front=None if chance is None else float(chance[row]),
            )
        )
    return tuple(sorted(points, key=lambda point: point.values[aims[0]]))


def _value(c: Candidate, aim: str, standings: Sequence[Standing], place: int) -> float:
    if aim == "accuracy":
        return standings[place].accuracy if standings else c.accuracy
    if aim == "load":
        return c.scale / c.utilisation
    value = getattr(c.figures, aim)
    return 0.0 if value is None else float(value)


def _error(c: Candidate, aim: str, standings: Sequence[Standing], place: int) -> float:
    if aim == "accuracy":
        return standings[place].error if standings else c.accuracy_error
    band = {"mean_latency": c.mean_error, "p95_latency": c.p95_error}.get(aim)
    return 0.0 if band is None else band.typical * getattr(c.figures, aim)


def _undominated(table: FloatArray) -> BoolArray:
    """Rows that no other row equals or beats in all columns and beats in one; more is better."""
    as_good = np.all(table[None, :, :] >= table[:, None, :], axis=2)
    better = np.any(table[None, :, :] > table[:, None, :], axis=2)
    return np.asarray(~np.any(as_good & better, axis=1))


def _chances(table: FloatArray, aims: Sequence[str], draws: FloatArray, kept: list[int], most: int = 500) -> FloatArray:
    """Share of the samples of accuracy in which each row is undominated."""
    column = list(aims).index("accuracy")
    count = np.zeros(len(kept))
    used = draws[:: max(1, len(draws) // most)]
    for sample in used:
        table = table.copy()
        table[:, column] = sample[kept]
        count += _undominated(table)
    return count / len(used)
