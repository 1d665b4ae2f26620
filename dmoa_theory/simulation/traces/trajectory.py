"""A trajectory: what became of a trace."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, owned
from dmoa_theory.simulation.traces.occupancy import Occupancy
from dmoa_theory.simulation.traces.trace import Trace

__all__ = ["Trajectory"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trajectory:
    """When every job of a trace reached its device, began and ended, and when every stage ended.

    Parameters
    ----------
    trace : Trace
    reached, start, end : ndarray, shape (n_jobs,), s
        When the job is at its device, when it begins, when it is done.
    stage_end : ndarray, shape (n_stages,), s
        When the answers that the stage needs are back at the user's device.
    """

    trace: Trace
    reached: FloatArray
    start: FloatArray
    end: FloatArray
    stage_end: FloatArray

    def __post_init__(self) -> None:
        """Check that there is one figure a job or stage, and freeze the arrays."""
        sizes = dict.fromkeys(("reached", "start", "end"), self.trace.n_jobs) | {"stage_end": self.trace.n_stages}
        for field, size in sizes.items():
            array = np.asarray(getattr(self, field), dtype=np.float64)
            if array.shape != (size,):
                raise InputError(field, f"shape {array.shape}", f"shape {(size,)}")
            object.__setattr__(self, field, owned(array))

    @property
    def query_end(self) -> FloatArray:
        """When the answer of every query's last stage is there; shape (n_queries,), s."""
        return self.stage_end[self.trace.stage_start[1:] - 1]

    @property
    def latency(self) -> FloatArray:
        """Time from every query's arrival to its answer; shape (n_queries,), s."""
        return self.query_end - self.trace.arrival

    @property
    def last_end(self) -> float:
        """When the last job is done and the last query answered, s; jobs may outlive the query they were for."""
        return float(max(self.end.max(), self.stage_end.max()))

    @property
    def waiting(self) -> Occupancy:
        """Jobs that wait at their device for those before them."""
        return self._between(self.reached, self.start)

    @property
    def in_service(self) -> Occupancy:
        """Jobs that are being served; their time average is the share of time that each device is busy."""
        return self._between(self.start, self.end)

    @property
    def in_system(self) -> Occupancy:
        """Jobs at their device, waiting or being served."""
        return self._between(self.reached, self.end)

    def _between(self, since: FloatArray, until: FloatArray) -> Occupancy:
        return Occupancy(n_devices=self.trace.n_devices, device=self.trace.device, since=since, until=until)

    def __repr__(self) -> str:
        """What it holds, in words."""
        return f"<Trajectory of {self.trace!r}: done after {self.last_end:.6g} s>"
