"""Sweeps: the same question asked of many scenarios, in parallel, resumable, each answer on file as soon as it is there."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.search import Evaluated, Search

__all__ = ["Sweep", "parse_sweep", "sweep", "sweep_limits"]

_MOST = 100_000


def parse_sweep(text: str) -> tuple[str, tuple[float, ...]]:
    """``"section.key=a:b:n"``: the key, and n values from a to b, evenly spaced; ``a:b:n:log`` for even ratios.

    Raises
    ------
    InputError
        When it is not of that form.

    Examples
    --------
    >>> parse_sweep("constraints.p95_latency=100:300:3")
    ('constraints.p95_latency', (100.0, 200.0, 300.0))
    """
    key, equals, span = text.partition("=")
    parts = span.split(":")
    allowed = "section.key=a:b:n (n values from a to b; a:b:n:log for even ratios), such as constraints.p95_latency=100:600:11"
    log = len(parts) == 4 and parts[3].strip() == "log"
    if not equals or "." not in key or len(parts) != (4 if log else 3):
        raise InputError("--sweep", text, allowed)
    try:
        low, high, count = float(parts[0]), float(parts[1]), int(parts[2])
    except ValueError:
        raise InputError("--sweep", text, allowed) from None
    if not np.isfinite([low, high]).all() or not 1 <= count <= _MOST or (log and not min(low, high) > 0):
        raise InputError("--sweep", text, allowed)
    values = np.geomspace(low, high, count) if log else np.linspace(low, high, count)
    return key.strip(), tuple(float(f"{value:.12g}") for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a sweep found: one row a value, in the order of the values; ``partial`` where it was interrupted."""

    key: str
    rows: tuple[dict[str, Any], ...]
    partial: bool
    resumed: int

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {"key": self.key, "points": list(self.rows)}


def sweep(
    key: str,
    values: Sequence[float],
    answer: Callable[[float], dict[str, Any]],
    *,
    file: Path | None = None,
    request: str = "",
    workers: int = 1,
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
        Processes. Inside ``joblib.parallel_config("dask")`` the workers of that cluster are used instead.
    progress : callable, optional
        Told the fraction done, from 0 to 1.

    Returns
    -------
    Sweep
        Partial after Ctrl-C: what was finished is there, and in the file.

    Raises
    ------
    InputError
        When the file answers another request.
    """
    done = {} if file is None else _read(file, key, request)
    found = {value: done[value] for value in values if value in done}
    resumed, partial = len(found), False
    left = [value for value in values if value not in found]
    try:
        for value, row in _answers(left, answer, workers):
            found[value] = {key: value, **row}
            if file is not None:
                _append(file, {**found[value], "request": request})
            if progress is not None:
                progress(len(found) / len(values))
    except KeyboardInterrupt:
        partial = True
    return Sweep(key=key, rows=tuple(found[v] for v in values if v in found), partial=partial, resumed=resumed)


def _answers(
    values: list[float], answer: Callable[[float], dict[str, Any]], workers: int
) -> Iterator[tuple[float, dict[str, Any]]]:
    if workers <= 1:
        for value in values:
            yield value, answer(value)
        return
    from joblib import Parallel, delayed

    def one(value: float) -> tuple[float, dict[str, Any]]:
        return value, answer(value)

    yield from Parallel(n_jobs=min(workers, max(len(values), 1)), return_as="generator_unordered")(
        delayed(one)(value) for value in values
    )


def _read(file: Path, key: str, request: str) -> dict[float, dict[str, Any]]:
    """Rows of an earlier run, by value; an unfinished last line is dropped."""
    if not file.exists():
        return {}
    text = file.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        file.write_text(whole, encoding="utf-8")
    rows = {}
    for row in csv.DictReader(whole.splitlines()):
        if key not in row or row.pop("request", None) != request or None in row or None in row.values():
            raise InputError("", "answers of another request", "no such file, or one of this very request", file=str(file))
        rows[float(row[key])] = {name: _plain(value) for name, value in row.items()}
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
