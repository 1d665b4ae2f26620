"""Does a burst drain? The fluid model from several starts, and exact simulations, close to the edge of the stability region.

What :func:`dmoa_theory.stability.proofs.guarantee.stability_guarantee` proves, or does not, is tried here: no proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel.engine import Engine, TooMuchMemoryError
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.fluid import fluid_starts, integrate

__all__ = ["BurstRun", "DrainCheck", "FluidRun", "check_drain", "run_from_burst"]

EDGE = 0.95
#: Operations for the fluid model of a start, and inferences of a simulation, that are affordable.
_FLUID_WORK, _JOBS, _MOST_NUMBERS = 4e9, 2e7, 4e7
#: Mean service times of work that a burst brings to the busiest device: no fewer than these are called a burst.
_BURST, _SMALL_BURST = 1000, 100
#: A burst is forgotten when no more than this share of it is left.
_LEFT = 0.25
_QUERIES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FluidRun:
    """The fluid model from one start.

    Attributes
    ----------
    start : str
    drained_after : float
        Until no device held more than a twentieth of the start, in units of the start's own length; infinite if some still
        did after ``followed``.
    largest : float
        The most work at a device at any time, in the same units.
    followed : float
    """

    start: str
    drained_after: float
    largest: float
    followed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstRun:
    """One exact run that begins with a burst while prompts keep arriving.

    Attributes
    ----------
    prompts : int
        In the burst.
    length : float, s
        Work that the burst brings to the busiest device.
    forgotten_after : float
        Until no device held more than a quarter of that and no more than a quarter as many prompts as the burst had were in
        their layers, in units of ``length``; infinite if that was still so after ``followed``.
    followed : float
    """

    prompts: int
    length: float
    forgotten_after: float
    followed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainCheck:
    """What was tried at the edge.

    Attributes
    ----------
    load : float
        Of the busiest device, to which all rates were scaled.
    expected : float
        ``(M + 1) / (1 - load)``, the order of the time to forget in units of a start.
    fluid : tuple of FluidRun
        Empty when the system is too large.
    steady : bool
        Whether queues stayed bounded in a long simulation.
    queries, jobs : int
        That it kept, and inferences of it.
    bursts : tuple of BurstRun
    left_out : tuple of str
        What was not tried, and why.
    """

    load: float
    expected: float
    fluid: tuple[FluidRun, ...]
    steady: bool
    queries: int
    jobs: int
    bursts: tuple[BurstRun, ...]
    left_out: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every start and every burst was forgotten, and queues stayed bounded."""
        forgotten = [run.drained_after for run in self.fluid] + [run.forgotten_after for run in self.bursts]
        return self.steady and all(map(math.isfinite, forgotten))

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "passed": self.passed,
            "load": self.load,
            "expected": self.expected,
            "fluid": [
                {
                    "start": run.start,
                    "drained_after": run.drained_after,
                    "largest": run.largest,
                    "followed": run.followed,
                }
                for run in self.fluid
            ],
            "simulation": {"stable": self.steady, "queries": self.queries, "jobs": self.jobs},
            "bursts": [
                {
                    "prompts": run.prompts,
                    "length": run.length,
                    "forgotten_after": run.forgotten_after,
                    "followed": run.followed,
                }
                for run in self.bursts
            ],
            "left_out": list(self.left_out),
        }


def check_drain(
    system: System, *, load: float = EDGE, seed: int = 0, bursts: int = 2, progress: Callable[[float], None] | None = None
) -> DrainCheck:
    """Simulated: whether bursts are forgotten with all rates scaled so that the busiest device is close to load one.

    Parameters
    ----------
    system : System
        Any; its own load plays no part.
    load : float
        Of the busiest device.
    seed : int
        Same seed, same answer.
    bursts : int
        Runs from a burst.
    progress : callable, optional
        Told the fraction done.

    Examples
    --------
    >>> from dmoa_theory.drain import check_drain
    >>> from dmoa_theory import System
    >>> check = check_drain(System.from_arrays([[0, 1], [1, 0]], 0.01, 1.0, M=1, k=1), bursts=1)
    >>> check.passed, len(check.fluid)
    (True, 4)
    """
    tell = progress or (lambda fraction: None)
    system = system.with_rates(system.rates * (load / utilisation(system).max()))
    M, k, _ = system.moa.per_user(system.n_devices)
    expected = (int(M[system.rates > 0].max()) + 1) / (1 - load)
    left_out = []
    fluid = _fluid(system, 3 * expected, lambda share: tell(0.5 * share))
    if not fluid:
        left_out.append("the fluid model: the system is too large")
    share = system.rates / system.rates.sum()
    per_query = float(share @ (M * (k + 1) + 1))
    queries = int(np.clip(_JOBS / per_query, 1000, _QUERIES))
    result = simulate(system, queries=queries, seed=seed, progress=lambda share: tell(0.5 + 0.2 * share)).whole()
    runs = []
    for run, each in enumerate(np.random.SeedSequence(seed).spawn(bursts)):
        found = run_from_burst(system, each, longest=3 * expected, jobs=_JOBS)
        if found is None:
            left_out.append("bursts: the system is too large for one that outlasts its own noise")
            break
        runs.append(found)
        tell(0.7 + 0.3 * (run + 1) / bursts)
    return DrainCheck(
        load=load,
        expected=expected,
        fluid=fluid,
        steady=result.stable,
        queries=result.queries,
        jobs=result.jobs,
        bursts=tuple(runs),
        left_out=tuple(left_out),
    )


def _fluid(system: System, longest: float, tell: Callable[[float], None]) -> tuple[FluidRun, ...]:
    """The fluid model from every start, in steps as short as is affordable; empty when none is."""
    M, _, _ = system.moa.per_user(system.n_devices)
    stages = int(M.max()) + 1
    numbers = system.n_devices * (stages + 2)  # a step
    steps = min(_FLUID_WORK / (40 * (stages * (system.network.n_links + system.n_devices) + 20_000)), _MOST_NUMBERS / numbers)
    step = max(0.02, longest / steps)
    if step > 0.1:
        return ()
    runs = []
    starts = fluid_starts(system)
    for number, start in enumerate(starts):
        path = integrate(system, start, step=step, longest=longest)
        runs.append(
            FluidRun(
                start=start.name,
                drained_after=path.drained / path.size,
                largest=float(path.work.max()) / path.size,
                followed=float(path.time[-1]) / path.size,
            )
        )
        tell((number + 1) / len(starts))
    return tuple(runs)


def run_from_burst(system: System, seed: np.random.SeedSequence, *, longest: float, jobs: float = _JOBS) -> BurstRun | None:
    """Exact (one sample path): a burst of prompts at time 0, and prompts at the system's rates from then on.

    Parameters
    ----------
    system : System
    seed : SeedSequence
    longest : float
        Where it ends at the latest, in units of the burst's length.
    jobs : float
        Inferences that are affordable.

    Returns
    -------
    BurstRun or None
        None when no burst is affordable that stands out of the noise.
    """
    load, total = float(utilisation(system).max()), float(system.rates.sum())
    M, k, _ = system.moa.per_user(system.n_devices)
    per_query = float(system.rates @ (M * (k + 1) + 1)) / total
    slowest = max(float(system.service.for_k(int(each)).mean[:, list(Stage)].max()) for each in np.unique(k))
    affordable = jobs / per_query / total / (1 + longest)  # s
    length = min(_BURST * slowest, affordable)
    if length < _SMALL_BURST * slowest:
        return None
    prompts = max(1, round(length * total / load))
    engine = Engine(system, seed, batches=1)
    steady = engine.tables
    engine.arrive_at_once(prompts)
    try:
        engine.go_on(prompts)
        engine.tables = steady
        number, each = prompts, max(1, prompts // 20)
        while True:
            number += each
            engine.go_on(number)
            now = engine.now
            left = float((engine.state.devices["free_at"] - now).max())
            layers = engine.state.free_slot.size - int(engine.run["free_slots"])  # queries that are in a layer
            if left <= _LEFT * length and layers <= _LEFT * prompts:
                return BurstRun(prompts=prompts, length=length, forgotten_after=now / length, followed=now / length)
            if now > longest * length:
                break
    except TooMuchMemoryError:
        now = engine.now
    return BurstRun(prompts=prompts, length=length, forgotten_after=float("inf"), followed=now / length)
