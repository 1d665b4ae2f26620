"""One long run in steady state: warm-up, then batches whose sums give every figure and its interval.

The warm-up is a pilot run: its numbers of jobs and of queries under way, window by window, go through MSER-5, and the pilot
doubles until the truncation point lies well inside it. All of the pilot is then dropped. The batches after it hold equal
numbers of queries; a query's latency counts with the batch in which it arrived, a time average with the time between the
arrivals of the first queries of a batch and of the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.system import System
from dmoa_theory.simulation.kernel.engine import Engine, TooMuchMemoryError
from dmoa_theory.simulation.output.intervals import merge_pairs
from dmoa_theory.simulation.output.warm_up import mser, settled

__all__ = ["Batches", "Growth", "Interrupted", "SteadyRun", "padded"]

#: Windows of a pilot: many, but fewer where each has sums for many devices.
_PILOT_WINDOWS, _FEWEST_WINDOWS, _PILOT_SUMS = 500, 60, 500_000
#: Entries of the time at each queue length, by batch and device, that are kept; beyond, only their total over batches.
_MOST_LEVELS = 2**23
#: A queue grows, rather than wanders, when it has grown by so many standard errors of the work that came in...
_GROWTH = 5.0
#: ...and its device had next to no idle time.
_IDLE = 0.01
#: Sums of the state that are kept batch by batch.
_BY_BATCH = (
    "latency_sum", "stage_sum", "stage_histogram", "histogram", "user_histogram", "memory_sum", "memory_histogram"
)  # fmt: skip


@dataclass(slots=True)
class Batches:
    """Sums by batch; the first axis of every array counts the batches.

    ``waits``, ``busy`` ... are by device; ``stages`` holds number of jobs, waits, their squares and services by stage.
    """

    duration: FloatArray
    arrived: FloatArray
    done: FloatArray
    in_flight: FloatArray
    jobs: FloatArray
    waits: FloatArray
    work: FloatArray
    busy: FloatArray
    waiting: FloatArray
    present: FloatArray
    stages: FloatArray
    latency: FloatArray = field(default_factory=lambda: np.zeros(0))
    stage_durations: FloatArray = field(default_factory=lambda: np.zeros(0))
    stage_histogram: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))
    histogram: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))
    user_histogram: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))
    memory: FloatArray = field(default_factory=lambda: np.zeros(0))
    memory_histogram: npt.NDArray[np.uint32] = field(default_factory=lambda: np.zeros(0, dtype=np.uint32))


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Queues that grow: jobs/s that each device's queue gains, over the last part of the run; shape (n,)."""

    rate: FloatArray
    growing: npt.NDArray[np.bool_]


class Interrupted(KeyboardInterrupt):
    """A run was interrupted; what it finished is kept."""

    def __init__(self, run: SteadyRun) -> None:
        super().__init__()
        self.run = run


class SteadyRun:
    """A run in steady state that can be made to go on.

    Parameters
    ----------
    system : System
    seed : SeedSequence
    queries : int
        Queries to keep at first.
    batches : int
        Batches they are cut into; twice as many are held before neighbours are merged.
    looks : int
        Looks at memory wanted in all.
    """

    def __init__(self, system: System, seed: np.random.SeedSequence, *, queries: int, batches: int, looks: int) -> None:
        every = max(1, queries // looks) if looks else 0
        self.queries = queries
        self.n_batches = min(batches, queries)
        self._rows = 2 * self.n_batches
        self.engine = Engine(system, seed, batches=self._rows, looks=every)
        self.warm_up = 0
        self.truncation = 0
        self.settled = False
        self.growth: Growth | None = None
        self.balance = 0.0
        self.largest: IntArray = np.zeros(system.n_devices, dtype=np.int64)
        self.finished = 0
        self.progress: Callable[[float], None] | None = None
        self._rows_of: list[dict[str, FloatArray]] = []
        self.levels: list[FloatArray] = []
        self.levels_pooled = False
        self._workload: list[FloatArray] = []
        self._counts: list[FloatArray] = []

    # -- warm-up --------------------------------------------------------------------------------------------------

    def warm(self, most: int) -> None:
        """Run until the start from empty is forgotten, or ``most`` queries have gone by.

        The pilot is at first a twentieth as long as what is kept: near saturation a short one would see no trend.
        """
        n = self.engine.tables.M.size
        windows = int(np.clip(_PILOT_SUMS // n, _FEWEST_WINDOWS, _PILOT_WINDOWS))
        length = max(windows, min(max(2000, 10 * n, self.queries // 20), most))
        done, grew = 0, False
        rows: list[tuple[float, float, float, FloatArray]] = []
        backlog, counts = [self._work_left()], [np.zeros(n)]
        self._open_window()
        try:
            while True:
                step = max(1, length // windows)
                while done < length:
                    done = min(done + step, length)
                    self.engine.go_on(done)
                    row = self._close_window()
                    rows.append((float(row["duration"]), float(row["present"].sum()), float(row["in_flight"]), row["work"]))
                    backlog.append(self._work_left())
                    counts.append(self.engine.residual[:, 0].copy())
                duration, present, in_flight, work = (np.array(column) for column in zip(*rows, strict=True))
                # jobs at the devices, and queries under way: with long delays the second take longer to settle
                series = present / duration, in_flight / duration
                self.truncation = max(mser(each) for each in series) * step
                self.settled = all(settled(each) for each in series)
                self.growth = _growth(np.array(backlog), np.array(counts), duration, work)
                if length >= most or (self.growth is None and self.settled) or (self.growth is not None and grew):
                    break
                grew = self.growth is not None
                # twice as long, in windows twice as wide
                even = len(rows) // 2 * 2
                rows = [
                    (a[0] + b[0], a[1] + b[1], a[2] + b[2], a[3] + b[3])
                    for a, b in zip(rows[:even:2], rows[1:even:2], strict=True)
                ]
                backlog, counts = backlog[: even + 1 : 2], counts[: even + 1 : 2]
                length = min(2 * length, most)
        except TooMuchMemoryError:
            self.growth = _growth(
                np.array(backlog[: len(rows) + 1]),
                np.array(counts[: len(rows) + 1]),
                np.array([row[0] for row in rows]),
                np.array([row[3] for row in rows]),
            )
            self._refuse_unless_growing()
        except KeyboardInterrupt:
            raise Interrupted(self) from None
        self.warm_up = int(self.engine.run["next_query"])

    # -- batches --------------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Run the batches of the first ``queries`` queries after the warm-up."""
        self._segment(0, self.n_batches)

    def double(self) -> None:
        """Keep as many queries again, and merge batches by pairs."""
        self._segment(self.n_batches, 2 * self.n_batches)
        if self.finished == 2 * self.n_batches:
            self._merge()

    def _segment(self, first: int, last: int) -> None:
        """Run batches ``first`` up to ``last``; those that an interruption leaves whole stay."""
        engine = self.engine
        begin = int(engine.run["next_query"]) - first * self.queries // self.n_batches
        self._open_window()
        if first == 0:
            engine.state.devices["largest"] = engine.residual[:, 0].astype(np.uint64)
            self._workload, self._counts = [self._work_left()], [engine.residual[:, 0].copy()]
        try:
            for batch in range(first, last):
                engine.run["batch"] = batch
                engine.go_on(begin + (batch + 1) * self.queries // self.n_batches)
                row = self._close_window()
                self._rows_of.append(row)
                self._add_levels()
                self._workload.append(self._work_left())
                self._counts.append(engine.residual[:, 0].copy())
                self.finished = batch + 1
                if self.progress is not None:
                    self.progress((batch + 1 - first) / (last - first))
            engine.run["batch"] = self._rows
            self.largest = engine.state.devices["largest"].astype(np.int64)
            self.growth = self._growing()
            if self.growth is None:
                engine.finish_kept()
        except TooMuchMemoryError:
            self.growth = self._growing()
            self._refuse_unless_growing()
        except KeyboardInterrupt:
            engine.run["batch"] = self._rows
            self.largest = engine.state.devices["largest"].astype(np.int64)
            raise Interrupted(self) from None

    def _add_levels(self) -> None:
        """Keep the batch's time at each queue length; of very large networks only the total."""
        self.levels.append(self._last_levels)
        if self.levels_pooled or self._last_levels.size * self._rows > _MOST_LEVELS:
            self.levels_pooled = True
            self.levels = [_sum_of(self.levels)]

    def _refuse_unless_growing(self) -> None:
        """Queues that fill the memory and yet do not grow are those of a network too large."""
        if self.growth is None:
            n = self.engine.tables.M.size
            raise InputError(
                "network", f"{n} devices", "a network whose queues fit in the memory of a run: fewer devices or prompts"
            )

    def _growing(self) -> Growth | None:
        rows = self._rows_of
        return _growth(
            np.array(self._workload),
            np.array(self._counts),
            np.array([float(row["duration"]) for row in rows]),
            np.array([row["work"] for row in rows]),
        )

    def _merge(self) -> None:
        """Turn 2 b batches into b twice as long."""
        pairs = [(self._rows_of[i], self._rows_of[i + 1]) for i in range(0, len(self._rows_of), 2)]
        self._rows_of = [{name: a[name] + b[name] for name in a} for a, b in pairs]
        if not self.levels_pooled:
            self.levels = [_sum_of(self.levels[i : i + 2]) for i in range(0, len(self.levels), 2)]
        self._workload, self._counts = self._workload[::2], self._counts[::2]
        state = self.engine.state
        half = self.n_batches
        for name in _BY_BATCH:
            array = getattr(state, name)
            array[:half] = merge_pairs(array[: 2 * half])
            array[half : 2 * half] = 0
        self.queries *= 2
        self.finished = self.n_batches

    def batches(self) -> Batches:
        """The sums of the batches that are finished."""
        rows, state, done = self._rows_of, self.engine.state, self.finished
        return Batches(
            **{name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else {})},
            latency=state.latency_sum[:done],
            stage_durations=state.stage_sum[:done],
            stage_histogram=state.stage_histogram[:done],
            histogram=state.histogram[:done],
            user_histogram=state.user_histogram[:done],
            memory=state.memory_sum[:done],
            memory_histogram=state.memory_histogram[:done],
        )

    # -- windows --------------------------------------------------------------------------------------------------

    def _open_window(self) -> None:
        """Start a window at the next arrival."""
        engine = self.engine
        self._pending = engine.close(engine.now)
        self._in_flight = self._open_queries() + self._pending[0]
        self._residual = engine.residual.copy()
        self._left = self._work_left()
        self._reset()

    def _reset(self) -> None:
        engine = self.engine
        run, state = engine.run, engine.state
        run["window_start"], run["arrived_sum"], run["done_sum"], run["done"] = engine.now, 0.0, 0.0, 0
        state.job_sum[:] = 0.0
        state.time_at[:] = 0.0
        self._window_query = int(run["next_query"])

    def _open_queries(self) -> int:
        return int(self.engine.state.queries.size - int(self.engine.run["free_slots"]))

    def _work_left(self) -> FloatArray:
        return np.maximum(self.engine.state.devices["free_at"] - self.engine.now, 0.0)

    def _close_window(self) -> dict[str, FloatArray]:
        """The sums of the window that ends at the next arrival; the next window begins there."""
        engine, run = self.engine, self.engine.run
        began, now = float(run["window_start"]), engine.now
        duration = now - began
        ending, still = engine.close(now)
        n = engine.tables.M.size
        jobs = engine.state.job_sum.reshape(n, 3, 4)
        at = engine.state.time_at.reshape(n, -1)
        level = np.arange(at.shape[1])
        present = at @ level
        busy = at[:, 1:].sum(axis=1)
        arrived = int(run["next_query"]) - self._window_query
        # queries whose last job was in a queue when the window began, or is in one now, have their ends moved over
        before, before_still = self._pending
        done = int(run["done"]) + before - ending
        ends = float(run["done_sum"]) + before_still - (still + ending * duration)
        in_flight = self._in_flight * duration + arrived * duration - float(run["arrived_sum"]) - (done * duration - ends)
        left = self._work_left()
        self._check(jobs, present, busy, engine.residual, left, duration)
        row = {
            "duration": np.asarray(duration),
            "arrived": np.asarray(float(arrived)),
            "done": np.asarray(float(done)),
            "in_flight": np.asarray(in_flight),
            "jobs": jobs[:, :, 0].sum(axis=1),
            "waits": jobs[:, :, 1].sum(axis=1),
            "work": jobs[:, :, 3].sum(axis=1),
            "busy": busy,
            "waiting": present - busy,
            "present": present,
            "stages": jobs.sum(axis=0),
        }
        used = np.flatnonzero(at.any(axis=0))
        self._last_levels = at[:, : int(used[-1]) + 1 if used.size else 1].copy()
        self._in_flight += arrived - done
        self._pending, self._residual, self._left = (ending, still), engine.residual.copy(), left
        self._reset()
        return row

    def _check(
        self, jobs: FloatArray, present: FloatArray, busy: FloatArray, residual: FloatArray, left: FloatArray, duration: float
    ) -> None:
        """Little's law and the conservation of work, device by device, on the window's own sums.

        The integral of the number of jobs is the sum of the sojourns of those that came, and of what those already there had
        left, less what those still there have left; busy time is the work that came, likewise.
        """
        sojourns = (jobs[:, :, 1] + jobs[:, :, 3]).sum(axis=1) + self._residual[:, 1] - residual[:, 1]
        work = jobs[:, :, 3].sum(axis=1) + self._left - left
        worst = 0.0
        for found, wanted, size in ((present, sojourns, residual[:, 1]), (busy, work, left)):
            scale = np.maximum(np.maximum(wanted, size), duration)
            worst = max(worst, float((np.abs(found - wanted) / scale).max()))
        self.balance = max(self.balance, worst)


def padded(levels: FloatArray, width: int) -> FloatArray:
    """Times at each queue length, with zeros for lengths that were never reached; shape (n, width)."""
    return np.pad(levels, ((0, 0), (0, width - levels.shape[1])))


def _sum_of(parts: list[FloatArray]) -> FloatArray:
    width = max(levels.shape[1] for levels in parts)
    return np.asarray(np.sum([padded(levels, width) for levels in parts], axis=0))


def _growth(workload: FloatArray, counts: FloatArray, duration: FloatArray, work: FloatArray) -> Growth | None:
    """Devices whose backlog grew in the second half by more than chance would have it, while they were hardly ever idle.

    The work that comes in over a time has a standard error, measured batch by batch; the backlog of a stable device does not
    grow by many of them.
    """
    half = duration.size // 2
    if half < 4:
        return None
    gained = workload[-1] - workload[half]
    span = duration[half:].sum()
    mean = work.sum(axis=0) / duration.sum()
    scatter = ((work - mean * duration[:, None]) ** 2).sum(axis=0) / duration.sum()
    error = np.sqrt(scatter * span)
    served = work[half:].sum(axis=0) - gained
    idle = 1 - served / span
    growing = (gained > _GROWTH * error) & (idle < _IDLE)
    if not growing.any():
        return None
    return Growth(rate=(counts[-1] - counts[half]) / span, growing=growing)
