"""The system that a run really was: the scenario's network and load, with the service times that were measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.run_record import RunRecord
from dmoa_theory.model.service import Law, ServiceTime, Stage
from dmoa_theory.model.service_samples import sample_scv
from dmoa_theory.model.system import System

__all__ = ["listed_arrivals", "measured_rates", "measured_service", "measured_system"]

#: A clock ticks: an inference that took no time by it took this long, s.
_SHORTEST = 1e-9


def measured_service(record: RunRecord) -> ServiceTime:
    """Service times as measured: the mean of every device and stage, and the shape of every device's own inferences.

    The sample of a device holds all its inferences, each relative to the mean of its stage: the law then has the measured mean
    in every stage, and one shape for the three stages of a device. A stage that a device never ran has the device's overall
    mean, and a device that never ran anything is like all others together.

    Raises
    ------
    InputError
        When nothing was measured.

    Examples
    --------
    >>> from dmoa_theory.live.examples import small_run
    >>> measured_service(small_run()).mean.round(3).tolist()
    [[2.0, 1.5, 1.0], [4.0, 4.0, 4.0]]
    """
    jobs, n = record.jobs, record.n_devices
    if not len(jobs):
        raise InputError("jobs", "none", "at least one inference in the run")
    times = np.maximum(jobs.service, _SHORTEST)
    mean, error = np.empty((n, len(Stage))), np.zeros((n, len(Stage)))
    samples: list[FloatArray] = []
    for d in range(n):
        own = jobs.device == d
        fallback = times[own] if own.any() else times
        relative: list[FloatArray] = []
        for stage in Stage:
            taken = times[own & (jobs.kind == stage)]
            mean[d, stage] = taken.mean() if taken.size else fallback.mean()
            error[d, stage] = taken.std(ddof=1) / np.sqrt(taken.size) if taken.size > 1 else 0.0
            if taken.size:
                relative.append(taken / mean[d, stage])
        samples.append(np.concatenate(relative) if relative else times / times.mean())
    scv = np.repeat(sample_scv(samples)[:, None], len(Stage), axis=1)
    return ServiceTime(mean=mean, scv=scv, law=Law.EMPIRICAL, mean_error=error, samples=tuple(samples))


def measured_system(system: System, record: RunRecord) -> System:
    """The scenario with the service times as measured; all else, the arrival rates too, as it says.

    Parameters
    ----------
    system : System
        The scenario that the run was of.
    record : RunRecord

    Raises
    ------
    InputError
        When the scenario has another number of devices, or nothing was measured.
    """
    if system.n_devices != record.n_devices:
        raise InputError("run", f"{record.n_devices} devices", f"a run of this scenario, which has {system.n_devices}")
    return replace(system, service=measured_service(record))


def listed_arrivals(record: RunRecord) -> ArrivalLog | None:
    """The prompts of a run that were sent at the times of a list, as they were to be sent; None where times were drawn."""
    name = record.facts.get("list")
    if name is None:
        return None
    return ArrivalLog(time=record.prompts.intended, user=record.prompts.user, n_devices=record.n_devices, name=name)


def measured_rates(record: RunRecord) -> FloatArray:
    """Prompts a second of every user, as they were to be sent; shape (n,). Zero in a run of a single prompt."""
    span = float(record.prompts.intended[-1]) if len(record.prompts) else 0.0
    counted = np.bincount(record.prompts.user, minlength=record.n_devices)
    return counted / span if span > 0 else np.zeros(record.n_devices)
