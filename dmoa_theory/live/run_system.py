"""The system that a run was meant to be: a scenario at the speed and load of the run, and a refusal where it is another one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.run_record import RunRecord
from dmoa_theory.model.same_system import first_difference
from dmoa_theory.model.scenario import load_scenario
from dmoa_theory.model.system import System

__all__ = ["recorded_scenario", "scenario_as_run", "sped_up"]

#: Rates that differ by no more than this share of themselves are the same: they were multiplied and divided on the way.
_SAME = 1e-9


def sped_up(system: System, speed: float) -> System:
    """Exact: the system in which everything takes ``1 / speed`` of its time, so that all loads stay; its list of prompts too.

    Parameters
    ----------
    system : System
    speed : float

    Raises
    ------
    InputError
        When it is not above 0, or the service times are those of a profile and users differ in k.

    Examples
    --------
    >>> slow = System.from_arrays([[0, 1], [1, 0]], 0.01, 20.0, M=1, k=1, link_delay=2.0)
    >>> fast = sped_up(slow, 100)
    >>> float(fast.rates[0]), float(fast.service.mean[0, 0]), float(fast.network.link_delay[0])
    (1.0, 0.2, 0.02)
    """
    if not (math.isfinite(speed) and speed > 0):
        raise InputError("--speed", speed, "a number above 0, such as 100")
    if speed == 1:
        return system
    ks = {group.k for group in system.groups() if group.M > 0} or {0}
    if system.service.grows_with_k and len(ks) > 1:
        raise InputError("--speed", speed, "1 where users differ in k, and service times of a profile with it")
    known = system.service.for_k(max(ks))
    samples = None if known.samples is None else tuple(times / speed for times in known.samples)
    service = replace(known, mean=known.mean / speed, mean_error=np.asarray(known.mean_error) / speed, samples=samples)
    log = None if system.log is None else replace(system.log, time=np.asarray(system.log.time) / speed)
    return replace(
        system,
        service=service,
        log=log,
        network=replace(system.network, link_delay=np.asarray(system.network.link_delay) / speed),
        link_rate=None if system.link_rate is None else system.link_rate * speed,
        arrival_rate=system.rates * speed if log is None else log.rates,
    )


def recorded_scenario(folder: Path, record: RunRecord, overrides: tuple[str, ...] = ()) -> System:
    """The scenario that lies in a run's folder, with the overrides of the run and further ones; at its own speed and load.

    Parameters
    ----------
    folder : Path
    record : RunRecord
        Read from there.
    overrides : tuple of str
        As ``--set`` takes them.

    Raises
    ------
    InputError
        As for any scenario file.
    """
    return load_scenario(folder / "scenario.toml", [*record.facts.get("overrides", []), *overrides])


def scenario_as_run(scenario: System, record: RunRecord, folder: Path) -> System:
    """The scenario at the speed and load of a run of it.

    Service times of a run in mode real are what its LLM made them, so those of the scenario may be any; of other runs they,
    the network, the (M, k) and all else that queues depend on have to be those of the run.

    Parameters
    ----------
    scenario : System
    record : RunRecord
    folder : Path
        That of the run, with its own copy of the scenario.

    Raises
    ------
    InputError
        When the run is of another system; it says in what the two differ.
    """
    facts = record.facts

    def check(difference: str | None) -> None:
        if difference is not None:
            allowed = f"a run of this scenario; they differ in the {difference} (scenario against run)"
            raise InputError("--measured", folder, allowed)

    n = scenario.n_devices
    check(None if n == record.n_devices else f"number of devices: {n} against {record.n_devices}")
    for name, mine, theirs in zip(
        ("M", "k", "quorum"), scenario.moa.per_user(n), (facts["moa"][key] for key in ("layers", "k", "quorum")), strict=True
    ):
        apart = np.flatnonzero(mine != np.asarray(theirs))
        if apart.size:
            u = int(apart[0])
            check(f"{name} of {scenario.network.name(u)}: {mine[u]} against {theirs[u]}")
    system = _at_the_load(sped_up(scenario, float(facts.get("speed", 1.0))), record)
    check(_rates_apart(system, record))
    try:
        own = recorded_scenario(folder, record)
        own = sped_up(own, float(facts.get("speed", 1.0))).with_rates(facts["rates"])
    except InputError:  # a file that the scenario names did not come along: what the record tells has been looked at
        return system
    check(first_difference(_for_queues(system, own, facts["mode"]), own))
    return system


def _at_the_load(system: System, record: RunRecord) -> System:
    """The rates of the run, where they are the same, or scaled all alike and it says so, or those of a list of prompts."""
    rates = np.asarray(record.facts["rates"], dtype=np.float64)
    if record.facts.get("list") is not None:
        return system.with_rates(rates)
    scaled = record.facts.get("load") is not None
    factor = rates.sum() / system.rates.sum() if scaled else 1.0
    return system.with_rates(rates) if np.allclose(rates, factor * system.rates, rtol=_SAME, atol=0) else system


def _rates_apart(system: System, record: RunRecord) -> str | None:
    ran = np.asarray(record.facts["rates"], dtype=np.float64)
    apart = np.flatnonzero(system.rates != ran)
    if not apart.size:
        return None
    u, speed = int(apart[0]), float(record.facts.get("speed", 1.0))
    return f"arrival rate of {system.network.name(u)}: {system.rates[u] / speed:g} against {ran[u] / speed:g} prompts/s"


def _for_queues(system: System, own: System, mode: str) -> System:
    """The scenario with what no queue of the run depends on taken from the run's own."""
    if mode == "real":
        system = replace(system, service=own.service)
    return replace(system, footprint=own.footprint) if system.link_rate is None or own.link_rate is None else system
