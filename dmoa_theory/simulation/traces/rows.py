"""Gather a trace query by query, and read the numbers and device names that stand in trace files."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, FloatArray
from dmoa_theory.simulation.traces.trace import SECONDS, Trace

__all__ = ["TraceRows", "find_device", "in_short", "seconds"]


class TraceRows:
    """Queries, stages and jobs as they are read, one after another."""

    def __init__(self) -> None:
        self.arrival: list[float] = []
        self.user: list[int] = []
        self.stages: list[int] = []  # of each query
        self.jobs: list[int] = []  # of each stage
        self.quorum: list[int | None] = []
        self.device: list[int] = []
        self.service: list[float] = []
        self.there: list[float | None] = []
        self.back: list[float | None] = []

    def add_query(self, arrival: float, user: int) -> None:
        """Begin the next query."""
        self.arrival.append(arrival)
        self.user.append(user)
        self.stages.append(0)

    def add_stage(self, quorum: int | None) -> None:
        """Begin the next stage of the last query."""
        self.stages[-1] += 1
        self.jobs.append(0)
        self.quorum.append(quorum)

    def add_job(self, device: int, service: float, there: float | None, back: float | None) -> None:
        """Add a job to the last stage."""
        self.jobs[-1] += 1
        self.device.append(device)
        self.service.append(service)
        self.there.append(there)
        self.back.append(back)

    def trace(self, n_devices: int, names: tuple[str, ...], file: str) -> Trace:
        """The trace of all that was added; what the file is silent about throughout stays None."""
        quorum = [size if given is None else given for size, given in zip(self.jobs, self.quorum, strict=True)]
        try:
            return Trace(
                n_devices=n_devices,
                arrival=np.array(self.arrival, dtype=np.float64),
                user=np.array(self.user, dtype=np.int64),
                stage_start=np.cumsum([0, *self.stages]),
                job_start=np.cumsum([0, *self.jobs]),
                device=np.array(self.device, dtype=np.int64),
                service=np.array(self.service, dtype=np.float64),
                quorum=None if all(given is None for given in self.quorum) else np.array(quorum, dtype=np.int64),
                there=_delays(self.there),
                back=_delays(self.back),
                names=names,
            )
        except InputError as error:
            raise error.located(file=file) from None


def _delays(given: list[float | None]) -> FloatArray | None:
    if all(delay is None for delay in given):
        return None
    return np.array([0.0 if delay is None else delay for delay in given], dtype=np.float64)


def seconds(place: str, value: object, file: str) -> float:
    """A time or duration that a file gives as a number.

    Raises
    ------
    InputError
        When it is no number, not finite, or negative.
    """
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number past the largest float
        number = math.inf
    if not 0 <= number <= LARGEST:
        raise InputError(place, in_short(value), SECONDS, file=file)
    return number


def find_device(place: str, label: object, n_devices: int, numbers: Mapping[str, int], file: str) -> int:
    """The number of a device that a file gives by number or by name.

    Raises
    ------
    InputError
        When there is no such device.
    """
    if isinstance(label, str) and label in numbers:
        return numbers[label]
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < n_devices:
        return label
    by_name = f", or one of the names {', '.join(numbers)}" if numbers else ""
    allowed = f"a device number from 0 to {n_devices - 1}{by_name}"
    if len(allowed) > 160:  # too many names for a line
        allowed = f"a device number from 0 to {n_devices - 1}, or a name from the list of devices"
    raise InputError(place, in_short(label), allowed, file=file)


def in_short(value: object) -> object:
    """A nested value by what it is: printing one that nests a thousandfold would itself fail."""
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else value
