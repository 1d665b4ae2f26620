"""A trace: everything that chance or measurement decides about a run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, FloatArray, IntArray, owned

__all__ = ["MOST_DEVICES", "SECONDS", "Trace"]

#: More devices than this are a slip of the keyboard.
MOST_DEVICES = 10**6

#: What a time or duration may be.
SECONDS = f"a finite number of seconds, from 0 to {LARGEST:g}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Trace:
    """What arrived when, where its jobs went, and how long each inference took.

    Queries are numbered from 0 in order of arrival, and within one instant as listed. Each runs through its stages one after
    another: layers, then the aggregation. A stage sends one job to each of its devices, all at once, and ends when ``quorum``
    of them have answered; the answer of its last stage ends the query.

    Parameters
    ----------
    n_devices : int
    arrival : ndarray, shape (n_queries,), s
        Not falling.
    user : ndarray of int, shape (n_queries,)
        The device at which the query arrives.
    stage_start : ndarray of int, shape (n_queries + 1,)
        The stages of query q are ``stage_start[q]`` up to ``stage_start[q + 1]``, at least one.
    job_start : ndarray of int, shape (n_stages + 1,)
        The jobs of stage s are ``job_start[s]`` up to ``job_start[s + 1]``, at least one, each at another device.
    device : ndarray of int, shape (n_jobs,)
        Where the job is served.
    service : ndarray, shape (n_jobs,), s
        How long its inference takes.
    quorum : ndarray of int, shape (n_stages,), optional
        Answers that end a stage; default those of all its jobs. Jobs that answer later still occupy their devices.
    there, back : ndarray, shape (n_jobs,), s, optional
        Delay on the way to the device and of the answer on its way back; 0 for the user's own device. Default none.
    names : tuple of str
        One name a device; empty for ``device-0``, ``device-1``, ...

    Raises
    ------
    InputError
        One line naming query, stage and job, the field, its value and what is allowed.

    Examples
    --------
    One query of device 0: a layer at both devices, then the aggregation.

    >>> from dmoa_theory.simulation.traces.trace import Trace
    >>> trace = Trace(n_devices=2, arrival=[0.0], user=[0], stage_start=[0, 2], job_start=[0, 2, 3], device=[0, 1, 0],
    ...               service=[4.0, 3.0, 2.0])
    >>> trace
    <Trace of 1 query, 2 stages and 3 jobs at 2 devices>
    """

    n_devices: int
    arrival: FloatArray
    user: IntArray
    stage_start: IntArray
    job_start: IntArray
    device: IntArray
    service: FloatArray
    quorum: IntArray | None = None
    there: FloatArray | None = None
    back: FloatArray | None = None
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the arrays describe queries, stages and jobs, and freeze them."""
        whole = isinstance(self.n_devices, int | np.integer) and not isinstance(self.n_devices, bool)
        if not whole or not 1 <= self.n_devices <= MOST_DEVICES:
            raise InputError("n_devices", self.n_devices, f"a whole number from 1 to {MOST_DEVICES}")
        self._set("n_devices", int(self.n_devices))
        self._set("names", _names(self.names, self.n_devices))
        arrival = _numbers("arrival", self.arrival, None)
        if not arrival.size:
            raise InputError("arrival", "no queries", "at least one query")
        self._set("arrival", arrival)
        self._refuse(_bad_seconds(arrival), "arrival", arrival, SECONDS, "query")
        falls = np.append(False, np.diff(arrival) < 0)
        self._refuse(falls, "arrival", arrival, "not before the arrival of the query before it", "query")
        self._set("user", _whole_numbers("user", self.user, arrival.size))
        self._check_device("user", self.user, "query")
        self._set("stage_start", _offsets("stage_start", self.stage_start, arrival.size, "query"))
        self._set("job_start", _offsets("job_start", self.job_start, int(self.stage_start[-1]), "stage"))
        n_jobs = int(self.job_start[-1])
        self._set("device", _whole_numbers("device", self.device, n_jobs))
        self._check_device("device", self.device, "job")
        order = np.lexsort((self.device, self.job_stage))
        again = np.zeros(n_jobs, dtype=bool)
        same = (np.diff(self.device[order]) == 0) & (np.diff(self.job_stage[order]) == 0)
        again[order[1:][same]] = True
        self._refuse(again, "device", self.device, "each device once a stage", "job")
        self._set("service", _numbers("service", self.service, n_jobs))
        self._refuse(_bad_seconds(self.service), "service", self.service, SECONDS, "job")
        if self.quorum is not None:
            quorum = _whole_numbers("quorum", self.quorum, self.n_stages)
            self._set("quorum", quorum)
            sizes = np.diff(self.job_start)
            wrong = (quorum < 1) | (quorum > sizes)
            jobs = int(sizes[wrong.argmax()])
            self._refuse(wrong, "quorum", quorum, f"a whole number from 1 to {jobs}, the jobs of the stage", "stage")
        for way in ("there", "back"):
            delay = getattr(self, way)
            if delay is not None:
                delay = _numbers(way, delay, n_jobs)
                self._set(way, delay)
                self._refuse(_bad_seconds(delay), way, delay, SECONDS, "job")
                at_home = self.device == self.user[self.stage_query[self.job_stage]]
                self._refuse(at_home & (delay != 0), way, delay, "0 at the user's own device", "job")

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return int(self.arrival.size)

    @property
    def n_stages(self) -> int:
        """Number of stages of all queries."""
        return int(self.job_start.size - 1)

    @property
    def n_jobs(self) -> int:
        """Number of inferences."""
        return int(self.device.size)

    @property
    def stage_query(self) -> IntArray:
        """The query of every stage; shape (n_stages,)."""
        return np.repeat(np.arange(self.n_queries), np.diff(self.stage_start))

    @property
    def job_stage(self) -> IntArray:
        """The stage of every job; shape (n_jobs,)."""
        return np.repeat(np.arange(self.n_stages), np.diff(self.job_start))

    @property
    def answers_needed(self) -> IntArray:
        """Answers that end every stage; shape (n_stages,)."""
        return np.diff(self.job_start) if self.quorum is None else self.quorum

    @property
    def has_quorum(self) -> bool:
        """Whether any stage ends before all its jobs have answered."""
        return self.quorum is not None and bool((self.quorum < np.diff(self.job_start)).any())

    @property
    def has_delay(self) -> bool:
        """Whether any job or answer takes time on its way."""
        return any(delay is not None and bool(delay.any()) for delay in (self.there, self.back))

    def name(self, d: int) -> str:
        """The name of device ``d``."""
        return self.names[d] if self.names else f"device-{d}"

    def __repr__(self) -> str:
        """What it holds, in words."""
        counted = [
            f"{number:,} {one if number == 1 else many}"
            for number, one, many in (
                (self.n_queries, "query", "queries"),
                (self.n_stages, "stage", "stages"),
                (self.n_jobs, "job", "jobs"),
                (self.n_devices, "device", "devices"),
            )
        ]
        return "<Trace of {}, {} and {} at {}>".format(*counted)

    # -- checks ---------------------------------------------------------------------------------------------------

    def _set(self, field: str, value: object) -> None:
        object.__setattr__(self, field, value)

    def _refuse(self, wrong: npt.NDArray[np.bool_], field: str, array: npt.NDArray[np.generic], allowed: str, of: str) -> None:
        """Complain of the first element that is marked wrong, if any is."""
        if wrong.any():
            place = int(wrong.argmax())
            raise InputError(f"{self._place(place, of)}: {field}", array[place].item(), allowed)

    def _place(self, index: int, of: str) -> str:
        """Where a query, stage or job stands, counted from 0 within what it belongs to."""
        if of == "query":
            return f"query {index}"
        stage = index if of == "stage" else int(self.job_stage[index])
        query = int(self.stage_query[stage])
        place = f"query {query}, stage {stage - self.stage_start[query]}"
        return place if of == "stage" else f"{place}, job {index - self.job_start[stage]}"

    def _check_device(self, field: str, device: IntArray, of: str) -> None:
        outside = (device < 0) | (device >= self.n_devices)
        self._refuse(outside, field, device, f"a device number from 0 to {self.n_devices - 1}", of)


def _bad_seconds(array: FloatArray) -> npt.NDArray[np.bool_]:
    return ~((array >= 0) & (array <= LARGEST))  # NaN is neither


def _names(names: tuple[str, ...], n: int) -> tuple[str, ...]:
    names = tuple(names)
    if names and len(names) != n:
        raise InputError("names", f"{len(names)} names", f"a list of {n} (one a device)")
    seen: set[str] = set()
    for name in names:
        if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable():
            raise InputError("names", repr(name), "printable text on one line, without blanks around it")
        if name in seen:
            raise InputError("names", name, "each name once")
        seen.add(name)
    return names


def _list(field: str, value: object, size: int | None, kinds: str, allowed: str) -> npt.NDArray[np.generic]:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths in a list
        raise InputError(field, value, allowed) from None
    if array.ndim != 1 or (array.size and array.dtype.kind not in kinds):
        raise InputError(field, value, allowed)
    if size is not None and array.size != size:
        raise InputError(field, f"{array.size} values", f"a list of {size}")
    return array


def _numbers(field: str, value: object, size: int | None) -> FloatArray:
    array = _list(field, value, size, "iuf", "a list of numbers")
    return owned(array.astype(np.float64, copy=False))


def _whole_numbers(field: str, value: object, size: int) -> IntArray:
    array = _list(field, value, size, "iu", "a list of whole numbers")
    return owned(array.astype(np.int64, copy=False))


def _offsets(field: str, value: object, n: int, of: str) -> IntArray:
    """Where the parts of each of ``n`` begin, and the end of all."""
    array = _whole_numbers(field, value, n + 1)
    if array[0] != 0 or (np.diff(array) < 1).any():
        part = "stage" if of == "query" else "job"
        raise InputError(field, "not rising from 0", f"a rising list from 0 on: at least one {part} a {of}")
    return array
