"""Sweeps: the same question asked of many scenarios, in parallel, resumable, each answer on file as soon as it is there.

Answers come from processes of this machine, through joblib, or from workers of a Dask cluster, through joblib's backend for it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.interrupted import deaf_to_interruptions
from dmoa_theory.model.units import parse_byte_rate, parse_bytes, parse_rate, parse_seconds
from dmoa_theory.optimisation.evaluated_plans import Evaluated
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.search import Search
from dmoa_theory.simulation.steady.cluster import on_cluster
from dmoa_theory.whole_files import write_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Sweep", "parse_span", "parse_sweep", "sweep", "sweep_limits"]

_MOST = 100_000
#: Keys whose bounds may be written with a unit, as in a scenario.
_UNITS: dict[str, Callable[[str, object], float]] = {
    "arrivals.rate": parse_rate,
    "service.mean": parse_seconds,
    "network.link_delay": partial(parse_seconds, zero=True),
    "network.link_rate": parse_byte_rate,
    "constraints.mean_latency": parse_seconds,
    "constraints.p95_latency": parse_seconds,
    "constraints.memory": parse_bytes,
}


def parse_sweep(text: str) -> tuple[str, tuple[float, ...]]:
    """``"section.key=a:b:n"``: the key, and n values from a to b, evenly spaced; ``a:b:n:log`` for even ratios.

    The bounds may have the units that the key may have in a scenario; values are in seconds, prompts/s and bytes.

    Raises
    ------
    InputError
        When it is not of that form.

    Examples
    --------
    >>> parse_sweep("constraints.p95_latency=100:300:3")
    ('constraints.p95_latency', (100.0, 200.0, 300.0))
    >>> parse_sweep("constraints.p95_latency=1 min:5 min:3")
    ('constraints.p95_latency', (60.0, 180.0, 300.0))
    """
    key, equals, span = text.partition("=")
    allowed = (
        "section.key=a:b:n (n values from a to b; a:b:n:log for even ratios), such as constraints.p95_latency=100:600:11 or "
        '"constraints.p95_latency=2 min:10 min:9"'
    )
    key = key.strip()
    read = _UNITS.get("arrivals.rate" if key.startswith("arrivals.rate.") else key)
    try:
        if not equals or "." not in key:
            raise ValueError
        return key, parse_span(span, read)
    except InputError:  # of an amount with a unit
        raise
    except ValueError:
        raise InputError("--sweep", text, allowed) from None


def parse_span(text: str, read: Callable[[str, object], float] | None = None) -> tuple[float, ...]:
    """``"a:b:n"``: n values from a to b, evenly spaced; ``a:b:n:log`` for even ratios.

    Parameters
    ----------
    text : str
    read : callable, optional
        What reads a bound that is an amount with a unit.

    Raises
    ------
    ValueError
        When it is not of that form.

    Examples
    --------
    >>> parse_span("0.2:0.8:4")
    (0.2, 0.4, 0.6, 0.8)
    """
    parts = text.split(":")
    log = len(parts) == 4 and parts[3].strip() == "log"
    if len(parts) != (4 if log else 3):
        raise ValueError(text)
    (low, high), count = (_bound(part, read) for part in parts[:2]), int(parts[2])
    if not np.isfinite([low, high]).all() or not 1 <= count <= _MOST or (log and not min(low, high) > 0):
        raise ValueError(text)
    values = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    return tuple(float(f"{value:.12g}") for value in values)


def _bound(text: str, read: Callable[[str, object], float] | None) -> float:
    """A plain number, or an amount with a unit where the key may have one."""
    try:
        return float(text)
    except ValueError:
        if read is None:
            raise
    return read("--sweep", text.strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep found: one row a value, in the order of the values; ``partial`` where it was interrupted."""

    key: str
    rows: tuple[dict[str, Any], ...]
    partial: bool
    resumed: int

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {"key": self.key, "points": list(self.rows), "partial": self.partial}

    def to_frame(self) -> pd.DataFrame:
        """The rows as a pandas frame, which writes Parquet and whatever else is wanted."""
        import pandas as pd

        return pd.DataFrame(list(self.rows))


def sweep(
    key: str,
    values: Sequence[float],
    answer: Callable[[float], dict[str, Any]],
    *,
    file: Path | None = None,
    request: str = "",
    workers: int = 1,
    scheduler: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> Sweep:
    """Ask for every value, in parallel, and keep every answer on file as soon as it is there.

    Parameters
    ----------
    key : str
        What is swept; a column of the rows.
    values : sequence of float
    answer : callable
        From a value to a row: plain numbers and text. With several workers it runs in their processes.
    file : Path, optional
        A CSV that grows by one row an answer. Values that it already holds are not asked again.
    request : str
        What else was asked, in short: a file that answers another request is refused.
    workers : int
        Processes.
    scheduler : str, optional
        Address of a Dask scheduler whose workers answer instead, such as ``"tcp://127.0.0.1:8786"``. Whoever is inside
        ``joblib.parallel_config("dask")`` already needs none.
    progress : callable, optional
        Told the fraction done, from 0 to 1.

    Returns
    -------
    Sweep
        Partial after Ctrl-C: what was finished is there, and in the file. Rows and their order are those of one process.

    Raises
    ------
    InputError
        When the file answers another request, or no scheduler is there.
    BackendUnavailableError
        When a scheduler is named, and Dask is not installed.

    Examples
    --------
    >>> sweep("service.mean", (10.0, 20.0), lambda mean: {"rate": 1 / mean}).rows
    ({'service.mean': 10.0, 'rate': 0.1}, {'service.mean': 20.0, 'rate': 0.05})
    """
    done = {} if file is None else _read(file, key, request)
    found = {value: done[value] for value in values if value in done}
    resumed, partial = len(found), False
    left = [value for value in dict.fromkeys(values) if value not in found]
    all_of_them = len(found) + len(left)
    try:
        with nullcontext() if scheduler is None else on_cluster(scheduler):
            for value, row in _answers(left, answer, workers):
                found[value] = {key: value, **row}
                if file is not None:
                    _append(file, {**found[value], "request": request})
                if progress is not None:
                    progress(len(found) / all_of_them)
    except KeyboardInterrupt:
        partial = True
    return Sweep(key=key, rows=tuple(found[v] for v in values if v in found), partial=partial, resumed=resumed)


def _answers(
    values: list[float], answer: Callable[[float], dict[str, Any]], workers: int
) -> Iterator[tuple[float, dict[str, Any]]]:
    from joblib import Parallel, delayed
    from joblib.parallel import get_active_backend

    backend, jobs = get_active_backend()
    asked_for = type(backend).__name__ != "LokyBackend" or (jobs or 1) != 1  # by a joblib.parallel_config around this
    if not values or (workers <= 1 and not asked_for):
        for value in values:
            yield value, answer(value)
        return
    with deaf_to_interruptions():
        answers = Parallel(n_jobs=min(workers, len(values)) if workers > 1 else None, return_as="generator_unordered")(
            delayed(_one)(answer, value) for value in values
        )
    yield from answers


def _one(answer: Callable[[float], dict[str, Any]], value: float) -> tuple[float, dict[str, Any]]:
    return value, answer(value)


def _read(file: Path, key: str, request: str) -> dict[float, dict[str, Any]]:
    """Rows of an earlier run, by value; an unfinished last line is dropped."""
    if not file.exists():
        return {}
    wrong = InputError("", "answers of another request", "no such file, or one of this very request", file=str(file))
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise wrong from None
    whole = text[: text.rfind("\n") + 1]
    rows = {}
    for row in csv.DictReader(whole.splitlines()):
        if key not in row or row.pop("request", None) != request or None in row or None in row.values():
            raise wrong
        plain = {name: _plain(value) for name, value in row.items()}
        if not isinstance(plain[key], int | float):
            raise wrong
        rows[float(plain[key])] = {**plain, key: float(plain[key])}
    if whole != text:
        write_whole(file, whole)
    return rows


def _plain(text: str) -> Any:
    if text in {"", "True", "False"}:
        return {"": None, "True": True, "False": False}[text]
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text


def _append(file: Path, row: dict[str, Any]) -> None:
    new = not file.exists() or not file.stat().st_size
    with file.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def sweep_limits(search: Search, limits: Sequence[Limits]) -> Iterator[tuple[Evaluated | None, Evaluated | None]]:
    """Approximation: plans by user under one set of limits after another; the programs are compiled once.

    Parameters
    ----------
    search : Search
    limits : sequence of Limits

    Yields
    ------
    Evaluated or None, Evaluated or None
        The best plan and the best common one.
    """
    for each in limits:
        yield search.under(each).run()
