"""The sweep of ``dmoa optimise``: one request asked again for the values of a key, one row an answer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.cli.optimise_request import Request
from dmoa_theory.cli.options import Options
from dmoa_theory.cli.workable import workable_system
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.accuracies import accuracies
from dmoa_theory.optimisation.answering import Answering
from dmoa_theory.optimisation.limits import LIMITS
from dmoa_theory.optimisation.sweep import Sweep, parse_sweep, sweep

if TYPE_CHECKING:
    from dmoa_theory.model.system import System

__all__ = ["sweep_of"]

# To be raised when a sweep's columns change: a file with others is of another request.
_COLUMNS = 3
# Keys that leave every figure as it is, and the one that scales all rates alike where users are alike.
_LIMITS, _RATES = frozenset(f"constraints.{name}" for name in LIMITS), "arrivals.rate"


def sweep_of(
    request: Request,
    system: System,
    scenario: Path | None,
    options: Options,
    out: Path | None,
    progress: Callable[[float], None],
) -> Sweep:
    """Answers for all values of the key that the request sweeps; on file in the folder, if one is given.

    Parameters
    ----------
    request : Request
    system : System
        The scenario as it stands.
    scenario : Path or None
    options : Options
    out : Path or None
    progress : callable
    """
    assert request.sweep is not None
    key, values = parse_sweep(request.sweep)
    asked = _fingerprint(request, system, options, scenario)
    where = None if scenario is None else scenario.absolute()  # workers may stand elsewhere
    answer = partial(_answer, asked, request, options, where, key)
    file = None if out is None else out / "sweep.csv"
    spread: dict[str, Any] = {"workers": request.workers or 1, "scheduler": request.scheduler}
    try:
        return sweep(key, values, answer, file=file, request=asked, progress=progress, **spread)
    except InputError as error:
        raise (error.located(field="--scheduler") if error.field == "scheduler" else error) from None


def _fingerprint(request: Request, system: System, options: Options, scenario: Path | None) -> str:
    """What was asked and of what, in short: a file with answers to anything else must not be added to."""
    known = accuracies(system, fitted=False)
    found = hashlib.sha256(b"" if scenario is None else scenario.read_bytes())
    found.update(repr((_COLUMNS, request.asked, request.limit, options.set, known.configurations)).encode())
    service = [system.service.for_k(k if M else 0).mean for M, k in known.configurations]
    network = system.network
    for array in (known.expected, known.lower, system.rates, network.indptr, network.indices, *service):
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:12]


# What a process, or one of its threads, keeps from one value of a sweep to the next; of the last sweep only.
_KEPT = threading.local()


def _answer(asked: str, request: Request, options: Options, scenario: Path | None, key: str, value: float) -> dict[str, Any]:
    """One row; what does not change from value to value is worked out once in each process."""
    system, _ = workable_system(options, scenario, (f"{key}={value:.12g}",))
    if getattr(_KEPT, "asked", None) != asked:
        _KEPT.asked, _KEPT.answering = asked, Answering(request.asked)
    only_limits = key in _LIMITS
    return _row(_KEPT.answering, system, request, only_limits=only_limits, only_rates=key == _RATES)


def _row(answering: Answering, system: System, request: Request, *, only_limits: bool, only_rates: bool) -> dict[str, Any]:
    """One answer of a sweep; not simulated."""
    limits = request.limits(system)
    found = answering.decide(system, limits, only_limits=only_limits)
    choice, recommended = found.choice, found.recommended
    row = {
        "choice": None if choice is None else f"M={choice.M} k={choice.k}",
        "accuracy": None if choice is None else choice.accuracy,
        "accuracy_error": None if choice is None else choice.accuracy_error,
        "mean_s": None if choice is None else choice.mean_latency,
        "p95_s": None if choice is None else choice.p95_latency,
        "utilisation": None if choice is None else choice.utilisation,
        "recommended": None if recommended is None else f"M={recommended.M} k={recommended.k}",
        "recommended_accuracy": None if recommended is None else recommended.accuracy,
        "recommended_mean_s": None if recommended is None else recommended.mean_latency,
        "recommended_p95_s": None if recommended is None else recommended.p95_latency,
    }
    if request.objective == "load":
        row["load_scale"] = None if choice is None else choice.scale
        row["recommended_load_scale"] = None if recommended is None else recommended.scale
    if request.asked.by_user:
        plan = answering.plan(system, limits, only_limits=only_limits, only_rates=only_rates)
        row["by_user_accuracy"] = plan.accuracy_of(plan.best)
        row["by_user_mean_s"] = None if plan.nominal is None else plan.nominal.mean_latency
    return row
