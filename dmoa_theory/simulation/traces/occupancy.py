"""How many jobs are somewhere, device by device: counts, time averages, peaks, and when a number is first reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, FloatLike, IntArray

__all__ = ["Occupancy"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Occupancy:
    """Jobs that each stay at one device for an interval of time: those waiting, those in service, or both.

    A job counts from the instant it comes up to, but not at, the instant it goes.

    Parameters
    ----------
    n_devices : int
    device : ndarray of int, shape (n_jobs,)
    since, until : ndarray, shape (n_jobs,), s
        When each job comes and goes.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.simulation.traces.occupancy import Occupancy
    >>> two = Occupancy(n_devices=1, device=np.array([0, 0]), since=np.array([1.0, 2.0]), until=np.array([4.0, 7.0]))
    >>> two.counts([0.0, 1.0, 2.0, 4.0])[:, 0].tolist(), two.time_average(8.0).tolist(), two.largest().tolist()
    ([0, 1, 2, 1], [1.0], [2])
    """

    n_devices: int
    device: IntArray
    since: FloatArray
    until: FloatArray

    def counts(self, times: FloatLike) -> IntArray:
        """Exact: jobs there at each of the given times; shape (n_times, n).

        Parameters
        ----------
        times : array_like, shape (n_times,), s
            In any order.
        """
        at = np.atleast_1d(np.asarray(times, dtype=np.float64))
        counted = np.zeros((at.size, self.n_devices), dtype=np.int64)
        for d, came, went in self._by_device():
            counted[:, d] = np.searchsorted(came, at, side="right") - np.searchsorted(went, at, side="right")
        return counted

    def time_average(self, end: float, *, begin: float = 0.0) -> FloatArray:
        """Exact: time-average number of jobs between two times; shape (n,).

        Parameters
        ----------
        end, begin : float, s

        Raises
        ------
        InputError
            When ``end`` is not after ``begin``.
        """
        if not end > begin:
            raise InputError("end", end, f"a time after {begin:g} s")
        stay = np.minimum(self.until, end) - np.maximum(self.since, begin)
        return np.bincount(self.device, weights=np.maximum(stay, 0.0), minlength=self.n_devices) / (end - begin)

    def largest(self) -> IntArray:
        """Exact: the most jobs that were ever there at once; shape (n,)."""
        most = np.zeros(self.n_devices, dtype=np.int64)
        for d, came, went in self._by_device():
            most[d] = max(0, int(_counts_on_coming(came, went).max(initial=0)))
        return most

    def first_time(self, count: int) -> FloatArray:
        """Exact: when ``count`` jobs are first there at once; infinite where they never are; shape (n,), s.

        Parameters
        ----------
        count : int
            At least 1.
        """
        if count < 1:
            raise InputError("count", count, "a whole number, 1 or more")
        first = np.full(self.n_devices, np.inf)
        for d, came, went in self._by_device():
            reached = _counts_on_coming(came, went) >= count
            if reached.any():
                first[d] = came[reached.argmax()]
        return first

    def _by_device(self) -> Iterator[tuple[int, FloatArray, FloatArray]]:
        """Every device that has jobs, with its sorted times of coming and of going."""
        ends = np.cumsum(np.bincount(self.device, minlength=self.n_devices))
        came = np.split(self.since[np.lexsort((self.since, self.device))], ends[:-1])
        went = np.split(self.until[np.lexsort((self.until, self.device))], ends[:-1])
        for d in range(self.n_devices):
            if came[d].size:
                yield d, came[d], went[d]


def _counts_on_coming(came: FloatArray, went: FloatArray) -> IntArray:
    """Jobs there when each job has come and all that go at the same instant are gone; of jobs that come together, the last."""
    return np.arange(1, came.size + 1) - np.searchsorted(went, came, side="right")
