"""What a run of a live network left behind: every prompt, every layer, every inference, with its times; and its files.

The testbed writes it, the analysis reads it. Times are seconds from the start of the run, by one clock for all devices.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray, owned
from dmoa_theory.whole_files import write_whole

__all__ = ["DONE", "OUTCOMES", "JobTable", "PromptTable", "RunRecord", "StageTable", "read_run", "write_run"]

#: What became of a prompt. Open: accepted, and not answered when the run ended. Unsent: nobody answered the door.
OUTCOMES = ("done", "failed", "refused", "open", "unsent")
DONE, FAILED, REFUSED, OPEN, UNSENT = range(len(OUTCOMES))

_FACTS = "run.json"
_SCHEMA = "dmoa/run/1"


class _Table:
    """Columns of equal length, each a read-only array of the type that its annotation says."""

    __slots__ = ()

    def __post_init__(self) -> None:
        """Check that the columns are equally long, and freeze them."""
        size = None
        for name, kind in self._columns():
            array: npt.NDArray[Any] = np.asarray(getattr(self, name), dtype=kind)
            if array.ndim != 1 or (size is not None and array.size != size):
                raise InputError(name, f"shape {array.shape}", "one value a row, as many as in the other columns")
            size = array.size
            object.__setattr__(self, name, owned(array))

    @classmethod
    def _columns(cls) -> Iterator[tuple[str, type]]:
        kinds = {"IntArray": np.int64, "FloatArray": np.float64, "BoolArray": np.bool_}
        return ((field.name, kinds[str(field.type)]) for field in fields(cls))  # type: ignore[arg-type]

    def __len__(self) -> int:
        return int(getattr(self, next(self._columns())[0]).size)

    def to_csv(self) -> str:
        """The table as text; numbers are read back exactly, and what is not known is an empty cell."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = [name for name, _ in self._columns()]
        writer.writerow(names)
        columns = [[_cell(value) for value in getattr(self, name).tolist()] for name in names]
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue()


def _cell(value: bool | int | float) -> str:
    if isinstance(value, bool):
        return str(int(value))
    return "" if value != value else repr(value)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptTable(_Table):
    """One row a prompt, in the order in which they were meant to be sent.

    Parameters
    ----------
    user : ndarray of int
        The device whose user it was.
    intended, sent, accepted, ended, answered : ndarray, s
        When it was to be sent, was sent, was accepted by the device, was answered there, and when its user had the answer;
        NaN for what did not happen.
    outcome : ndarray of int
        Index into :data:`OUTCOMES`.
    degraded : ndarray of bool
        Whether a device had to be replaced, or a layer went on with fewer answers than its quorum.
    """

    user: IntArray
    intended: FloatArray
    sent: FloatArray
    accepted: FloatArray
    ended: FloatArray
    answered: FloatArray
    outcome: IntArray
    degraded: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageTable(_Table):
    """One row a layer or aggregation, those of a prompt together and in order.

    Parameters
    ----------
    prompt, stage : ndarray of int
        Row of the prompt; layer from 0, the aggregation last.
    quorum : ndarray of int
        Answers that the stage waited for.
    forked, joined : ndarray, s
        When its jobs were sent, and when it had its answers; NaN where it never had.
    """

    prompt: IntArray
    stage: IntArray
    quorum: IntArray
    forked: FloatArray
    joined: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobTable(_Table):
    """One row an inference that was done, those of a stage together.

    Parameters
    ----------
    prompt, stage, device : ndarray of int
        Whose it was, and where it was done.
    kind : ndarray of int
        Column of :class:`dmoa_theory.model.service.Stage`.
    reached, started, ended, back : ndarray, s
        When the job was in the queue, when the inference began and ended, and when its answer was at the user's device (NaN
        where it never was).
    target : ndarray, s
        Service time that was drawn beforehand; NaN where none was.
    overran : ndarray of bool
        Whether the LLM took longer than that.
    """

    prompt: IntArray
    stage: IntArray
    device: IntArray
    kind: IntArray
    reached: FloatArray
    started: FloatArray
    ended: FloatArray
    back: FloatArray
    target: FloatArray
    overran: BoolArray

    @property
    def service(self) -> FloatArray:
        """How long every inference kept its device; shape (n_jobs,), s."""
        return self.ended - self.started


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RunRecord:
    """A run of a live network, as recorded.

    Parameters
    ----------
    names : tuple of str
        One a device.
    prompts : PromptTable
    stages : StageTable
    jobs : JobTable
    facts : dict
        What is known beside: mode, engine, seed, machine, refusals. Plain JSON types.

    Raises
    ------
    InputError
        When a row speaks of a device or prompt that is not there.
    """

    names: tuple[str, ...]
    prompts: PromptTable
    stages: StageTable
    jobs: JobTable
    facts: dict[str, Any]

    def __post_init__(self) -> None:
        """Check that rows speak of prompts and devices that are there."""
        n, q = len(self.names), len(self.prompts)
        for what, array, most in (
            ("user", self.prompts.user, n),
            ("outcome", self.prompts.outcome, len(OUTCOMES)),
            ("prompt", self.stages.prompt, q),
            ("prompt", self.jobs.prompt, q),
            ("device", self.jobs.device, n),
            ("kind", self.jobs.kind, 3),
        ):
            wrong = (array < 0) | (array >= most)
            if wrong.any():
                raise InputError(what, int(array[wrong.argmax()]), f"a whole number from 0 to {most - 1}")

    @property
    def n_devices(self) -> int:
        """Number of devices."""
        return len(self.names)

    def count(self, outcome: int) -> int:
        """How many prompts came to that."""
        return int((self.prompts.outcome == outcome).sum())

    def __repr__(self) -> str:
        """What it holds, in words."""
        mode = self.facts.get("mode", "live")
        return (
            f"<RunRecord, {mode}: {len(self.prompts):,} prompts and {len(self.jobs):,} inferences at {self.n_devices} devices>"
        )


_TABLES: dict[str, type[_Table]] = {"prompts": PromptTable, "stages": StageTable, "jobs": JobTable}
_Some = TypeVar("_Some", bound=_Table)


def write_run(record: RunRecord, folder: Path) -> None:
    """Write a run's tables and facts into a folder that is there: ``prompts.csv``, ``stages.csv``, ``jobs.csv``, ``run.json``.

    Raises
    ------
    InputError
        When they cannot be written there.
    """
    try:
        for name in _TABLES:
            write_whole(folder / f"{name}.csv", getattr(record, name).to_csv())
        document = {"schema": _SCHEMA, "names": list(record.names), **record.facts}
        write_whole(folder / _FACTS, json.dumps(document, indent=2, allow_nan=False) + "\n")
    except OSError as error:
        raise InputError("", error.strerror or error, "a folder that can be written to", file=str(folder)) from None


def read_run(folder: Path) -> RunRecord:
    """Read the run that :func:`write_run` wrote.

    Raises
    ------
    InputError
        In one line: the file, the place in it, and what is allowed.
    """
    path = folder / _FACTS
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            "", "no run", f"a folder written by dmoa testbed --out, with {_FACTS} in it", file=str(folder)
        ) from None
    except ValueError:
        raise InputError("", "not JSON", "what dmoa testbed wrote", file=str(path)) from None
    if not isinstance(facts, dict) or facts.pop("schema", None) != _SCHEMA or not isinstance(facts.get("names"), list):
        raise InputError("schema", InputError.MISSING, f'"{_SCHEMA}", as dmoa testbed writes it', file=str(path))
    names = tuple(str(name) for name in facts.pop("names"))
    return RunRecord(
        names=names,
        prompts=_read(PromptTable, folder / "prompts.csv"),
        stages=_read(StageTable, folder / "stages.csv"),
        jobs=_read(JobTable, folder / "jobs.csv"),
        facts=facts,
    )


def _read(kind: type[_Some], path: Path) -> _Some:
    try:
        rows = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError("", InputError.MISSING, "a table that dmoa testbed wrote", file=str(path)) from None
    columns = list(kind._columns())
    if not rows or rows[0] != [name for name, _ in columns]:
        raise InputError("columns", ",".join(rows[0]) if rows else "none", ",".join(n for n, _ in columns), file=str(path))
    values: dict[str, Any] = {}
    for place, (name, dtype) in enumerate(columns):
        try:
            cells = [row[place] for row in rows[1:]]
            values[name] = np.array([float(cell or "nan") if dtype is np.float64 else int(cell) for cell in cells], dtype=dtype)
        except (ValueError, IndexError):
            raise InputError(f"column {name}", "not a number", "what dmoa testbed wrote", file=str(path)) from None
    return kind(**values)
