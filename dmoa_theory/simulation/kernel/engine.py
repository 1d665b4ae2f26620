"""One run of the kernel: what it reads, what it writes, and the making of room when something is full."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel import state as returned
from dmoa_theory.simulation.kernel.device_queue import close_window
from dmoa_theory.simulation.kernel.memory_watch import Memory, look_at_memory
from dmoa_theory.simulation.kernel.records import Record, new_record
from dmoa_theory.simulation.kernel.state import State, grown, new_state
from dmoa_theory.simulation.kernel.tables import Tables, tables_of
from dmoa_theory.simulation.kernel.with_delays import run_with_delays
from dmoa_theory.simulation.kernel.without_delays import run_without_delays
from dmoa_theory.simulation.output.log_histogram import LogHistogram

__all__ = ["Engine", "TooMuchMemoryError"]

#: Bytes that a run may use for its queues and open queries; a stable system needs a tiny part of it.
MOST_BYTES = 2**32
#: Entries of the histograms by user and batch; beyond, users get no percentiles.
MOST_BINS = 2**25
#: Jobs between two moments at which a run can be interrupted; those of large networks take longer, each finding nothing near.
_JOBS_AT_ONCE, _JOBS_OF_MANY = 2_000_000, 200_000


class TooMuchMemoryError(Exception):
    """The queues grew beyond what is kept; only a system that is not stable does that."""


class Engine:
    """A system being simulated, and the sums of the batch that it is in.

    Parameters
    ----------
    system : System
    seed : SeedSequence
    batches : int
        Rows for sums by batch.
    recorded : int
        Queries to write down job by job; 0 for none.
    looks : int
        Queries between two looks at memory; 0 for none.
    """

    def __init__(
        self, system: System, seed: np.random.SeedSequence, *, batches: int, recorded: int = 0, looks: int = 0
    ) -> None:
        self.tables: Tables = tables_of(system)
        tables = self.tables
        self.latencies, self.durations = _time_bins(system, tables, 8), _time_bins(system, tables, 6)
        by_user, held = _time_bins(system, tables, 5), LogHistogram(fraction_bits=5, lowest_exponent=0, octaves=50)
        fits = tables.M.size * (batches + 1) * by_user.n_bins <= MOST_BINS and not recorded
        self.user_latencies: LogHistogram | None = by_user if fits else None
        self.bytes: LogHistogram | None = held if fits else None
        if not looks:
            tables = tables._replace(tracks_memory=False)
            self.tables = tables
        watched = tables.tracks_memory
        self.state: State = new_state(
            tables,
            seed,
            batches=batches,
            bins=self.latencies.n_bins,
            stage_bins=self.durations.n_bins,
            user_bins=0 if self.user_latencies is None else self.user_latencies.n_bins,
            memory_bins=0 if self.bytes is None or not watched else self.bytes.n_bins,
        )
        self.looks = looks if watched else 0
        self.record: Record | None = None
        if recorded:
            jobs, stages = (tables.k.astype(np.int64) + 1) * tables.M + 1, tables.M.astype(np.int64) + 1
            self.record = new_record(recorded, int(jobs.max()), int(stages.max()))
        self._bins = np.array(
            [
                part
                for bins in (self.latencies, self.user_latencies, self.bytes, self.durations)
                for part in ((0, 0) if bins is None else (bins.shift, bins.offset))
            ],
            dtype=np.int64,
        )
        rate = np.asarray(system.rates)
        per_query = float(rate @ ((tables.k.astype(float) + 1) * tables.M + 1) / rate.sum())
        self._chunk = max(1, int((_JOBS_AT_ONCE if tables.M.size <= 1000 else _JOBS_OF_MANY) / per_query))
        self._held: FloatArray = np.zeros(tables.M.size)
        self.residual: FloatArray = np.zeros((tables.M.size, 2))
        self.seconds = 0.0
        run = self.state.run[0]
        run["next_arrival"] = np.random.default_rng(seed.spawn(1)[0]).exponential(1 / tables.arrival_rate)

    @property
    def run(self) -> Any:
        """The scalars of the run."""
        return self.state.run[0]

    @property
    def now(self) -> float:
        """When the next prompt arrives: how far the run has come."""
        return float(self.run["next_arrival"])

    def arrive_at_once(self, queries: int) -> None:
        """Let so many prompts arrive at time 0."""
        self.tables = self.tables._replace(arrival_rate=np.inf)
        self.run["next_arrival"] = 0.0

    def arrive_as_listed(self, time: FloatArray, user: IntArray) -> None:
        """Let prompts arrive at these times, in rising order, each at its user; all of them are recorded."""
        assert self.record is not None
        self.tables = self.tables._replace(listed=True)
        self.record.arrival[:], self.record.user[:] = time, user
        self.run["next_arrival"] = time[0]

    def go_on(self, stop_at: int) -> None:
        """Go on until query number ``stop_at`` is about to arrive.

        Raises
        ------
        TooMuchMemoryError
            When queues have grown beyond bounds.
        """
        step = self.looks or self._chunk
        while (number := int(self.run["next_query"])) < stop_at:
            self._advance(min(stop_at, number + step - number % step), returned.WINDOW_OVER)
            if self.looks:
                look_at_memory(self.tables, self.state, self._held, self._bins)

    def finish(self) -> None:
        """Let nothing arrive any more, and go on until every query is answered."""
        self.run["next_arrival"] = np.inf
        self._advance(-1, returned.NOTHING_LEFT)

    def finish_kept(self) -> None:
        """Go on, with arrivals that are not kept, until every kept query is answered."""
        while self.run["kept_open"]:
            self._advance(int(self.run["next_query"]) + self._chunk, returned.ALL_KEPT_DONE)
        self._advance(int(self.run["next_query"]), returned.WINDOW_OVER)  # and what happens before the next arrival

    def close(self, now: float) -> tuple[int, float]:
        """Bring every device up to ``now``; returns the queries whose last job is queued, and how long those still take."""
        state = self.state
        capacity = np.uint64(state.capacity)
        ending, still = close_window(now, capacity, state.devices, state.ring, state.time_at, state.scratch, self.residual)
        return int(ending), float(still)

    def own(self) -> None:
        """Take writable copies of arrays that came from another process as views of its memory."""
        self.state = State._make(_writable(array) for array in self.state)
        self.tables = Tables._make(_writable(each) if isinstance(each, np.ndarray) else each for each in self.tables)
        self.residual, self._held, self._bins = (_writable(each) for each in (self.residual, self._held, self._bins))

    def _advance(self, stop_at: int, until: int) -> None:
        kernel: Callable[..., int] = run_with_delays if self.tables.delayed else run_without_delays
        chance = self.tables.chance if self.tables.weighted else None
        began = time.perf_counter()
        while True:
            state = self.state
            memory = Memory(state.ring_row, state.responses, state.responders) if self.tables.tracks_memory else None
            why = kernel(self.tables, state, chance, memory, self.record, self._bins, stop_at)
            if why in (until, returned.WINDOW_OVER, returned.NOTHING_LEFT):
                break
            if why in (returned.RINGS_FULL, returned.SLOTS_FULL, returned.TRIPS_FULL):
                if sum(array.nbytes for array in (state.ring, state.time_at, state.queries, state.trips)) > MOST_BYTES:
                    raise TooMuchMemoryError
                self.state = grown(state, why)
        self.seconds += time.perf_counter() - began


def _writable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array if array.flags.writeable else array.copy()


def _time_bins(system: System, tables: Tables, fraction_bits: int) -> LogHistogram:
    """Bins for durations, wide enough for whatever queues may make of the system's service times and delays."""
    means = [system.service.for_k(int(k)).mean for k in np.unique(tables.k)]
    shortest = min(mean.min() for mean in means)
    longest = max(*(mean.max() for mean in means), tables.there.max(initial=0.0), tables.back.max(initial=0.0))
    lowest = int(np.floor(np.log2(shortest))) - 10
    return LogHistogram(fraction_bits=fraction_bits, lowest_exponent=lowest, octaves=50 + int(np.log2(longest / shortest)))


def check_counts(**counts: int) -> None:
    """Refuse a count below one.

    Raises
    ------
    InputError
        Naming the first that is not a whole number of at least one.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InputError(name, value, "a whole number, 1 or more")
