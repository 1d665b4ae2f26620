"""Accuracy by (M, k) as somebody measured it: bundled data sets, or a CSV of the user's own, with sampling errors."""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from dmoa_theory.errors import InputError

__all__ = ["AccuracyEntry", "AccuracyTable", "bundled_tables", "read_accuracy"]

#: What a plan goes by when the scenario names no data.
DEFAULT_TABLE = "mitra2024-diverse"

_LONGEST = 9  # digits of a whole number: a thousand million prompts, layers or neighbours are a slip
_COLUMNS = {"M", "k", "value", "n_eval", "se", "mode", "user", "task"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyEntry:
    """One measured configuration.

    Attributes
    ----------
    M, k : int
    accuracy : float
        From 0 to 1.
    standard_error : float
        Of ``accuracy``, from 0 to 1.
    n_eval : int or None
        Prompts behind it.
    """

    M: int
    k: int
    accuracy: float
    standard_error: float
    n_eval: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyTable:
    """Measured accuracies.

    Attributes
    ----------
    name : str
        Bundled name, or file name.
    source, metric : str
        Where the figures come from and what they count; empty when the file does not say.
    entries : tuple of AccuracyEntry
        One a configuration.
    per_prompt_deviation : tuple of float, optional
        Range of the standard deviation of single prompts' scores (0 to 1), where the source states it.

    Examples
    --------
    >>> table = read_accuracy("mitra2024-same")
    >>> entry = table.entry(2, 3)
    >>> entry.accuracy, round(entry.standard_error, 3)
    (0.4063, 0.133)
    """

    name: str
    source: str
    metric: str
    entries: tuple[AccuracyEntry, ...]
    per_prompt_deviation: tuple[float, float] | None

    def entry(self, M: int, k: int) -> AccuracyEntry:
        """The entry for one configuration; KeyError when it was not measured."""
        for entry in self.entries:
            if (entry.M, entry.k) == (M, k):
                return entry
        raise KeyError((M, k))

    def sampling_remark(self) -> str:
        """One sentence on how little or much the sample sizes say."""
        sizes = [entry.n_eval for entry in self.entries if entry.n_eval]
        if sizes and len(set(sizes)) == 1 and self.per_prompt_deviation:
            low, high = (100 * sd / math.sqrt(sizes[0]) for sd in self.per_prompt_deviation)
            # a range is quoted to the point: half points say nothing here
            points = f"{math.ceil(low)} to {round(high)} points of standard error"
            return f"each accuracy stands on {sizes[0]} prompts, which means {points}"
        errors = [100 * entry.standard_error for entry in self.entries]
        return f"standard errors of the accuracies: {min(errors):.1f} to {max(errors):.1f} points"


@cache
def bundled_tables() -> tuple[str, ...]:
    """Names of the bundled data sets."""
    folder = resources.files("dmoa_theory").joinpath("data/accuracy")
    return tuple(sorted(item.name.removesuffix(".csv") for item in folder.iterdir() if item.name.endswith(".csv")))


def read_accuracy(table: str) -> AccuracyTable:
    """Read a bundled data set by name, or a CSV file.

    A CSV has columns ``M,k,value`` and ``n_eval`` or ``se`` (further ones: mode, user, task); ``value`` and ``se`` are
    fractions, or percentages when any value exceeds 1 or a comment line ``# metric: ...`` says percent. Comment lines
    ``# source: ...`` and ``# per_prompt_sd: ...`` are read too. Without ``se`` the standard error is that of the stated
    per-prompt deviation, and failing that ``sqrt(p (1 - p) / n_eval)``, the largest that scores between 0 and 1 can have.

    Parameters
    ----------
    table : str
        A bundled name, or the path of a CSV.

    Raises
    ------
    InputError
        One line: unknown name, missing file or column, a value that is not allowed, a configuration listed twice.
    """
    if not table.endswith(".csv"):
        if table not in bundled_tables():
            near = difflib.get_close_matches(table, bundled_tables(), n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise InputError("accuracy.table", table, f"{hint}a CSV file, or one of {', '.join(bundled_tables())}")
        text = resources.files("dmoa_theory").joinpath(f"data/accuracy/{table}.csv").read_text(encoding="utf-8")
        return _parse(text, table, table)
    path = Path(table)
    try:
        return _parse(path.read_text(encoding="utf-8-sig"), path.stem, str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("accuracy.table", path, "an existing CSV file, or one of " + ", ".join(bundled_tables())) from None
    except (OSError, UnicodeDecodeError):
        raise InputError("", InputError.MISSING, "cannot be read as UTF-8 text", file=table) from None


def _parse(text: str, name: str, file: str) -> AccuracyTable:
    notes = _notes(text)
    rows = list(_rows(text, file))
    values = [_number(row, "value", line, file, 0.0, 100.0) for line, row in rows]
    percent = any(value > 1 for value in values) or bool(re.search(r"percent|%", notes.get("metric", "")))
    unit = 100.0 if percent else 1.0
    deviation = _deviation(notes.get("per_prompt_sd", ""), unit)
    entries: dict[tuple[int, int], AccuracyEntry] = {}
    for (line, row), value in zip(rows, values, strict=True):
        M, k = (_whole(row, column, line, file) for column in ("M", "k"))
        n_eval = _whole(row, "n_eval", line, file, low=1) if row.get("n_eval") else None
        accuracy = round(value / unit, 12)  # 40.63 % is 0.4063
        if row.get("se"):
            error = _number(row, "se", line, file, 0.0, 100.0) / unit
        elif n_eval:
            error = (deviation[1] if deviation else math.sqrt(accuracy * (1 - accuracy))) / math.sqrt(n_eval)
        else:
            raise InputError(f"line {line}", "neither n_eval nor se", "one of the two, to know the sampling error", file=file)
        if (M, k) in entries:
            raise InputError(f"line {line}", f"M={M}, k={k}", "each configuration once: keep one mode, user or task", file=file)
        entries[(M, k)] = AccuracyEntry(M=M, k=k, accuracy=accuracy, standard_error=error, n_eval=n_eval)
    if not entries:
        raise InputError("rows", "none", "at least one row M,k,value,n_eval", file=file)
    return AccuracyTable(
        name=name,
        source=notes.get("source", ""),
        metric=notes.get("metric", ""),
        entries=tuple(entries.values()),
        per_prompt_deviation=deviation,
    )


def _notes(text: str) -> dict[str, str]:
    """Comment lines of the form ``# key: value``."""
    found = (re.match(r"#\s*(source|metric|models|per_prompt_sd)\s*:\s*(.*)", line) for line in text.splitlines())
    return {match[1]: match[2].strip() for match in found if match}


def _deviation(note: str, unit: float) -> tuple[float, float] | None:
    numbers = [float(number) / unit for number in re.findall(r"\d+\.?\d*", note.partition("(")[0])]
    return (min(numbers), max(numbers)) if numbers else None


def _rows(text: str, file: str) -> Iterator[tuple[int, dict[str, str]]]:
    lines = [
        (place, line) for place, line in enumerate(text.splitlines(), start=1) if line.strip() and not line.startswith("#")
    ]
    reader = csv.DictReader((line for _, line in lines), skipinitialspace=True)
    heads = reader.fieldnames or []
    missing = [column for column in ("M", "k", "value") if column not in heads]
    if missing:
        raise InputError("columns", ",".join(heads) or "none", "M,k,value and n_eval or se", file=file)
    for head in heads:
        if head not in _COLUMNS:
            near = difflib.get_close_matches(head, _COLUMNS, n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise InputError("columns", head, f"{hint}known columns: {', '.join(sorted(_COLUMNS))}", file=file)
    for (place, _), row in zip(lines[1:], reader, strict=False):
        if None in row or None in row.values():
            raise InputError(f"line {place}", "too few or too many columns", ",".join(heads), file=file)
        yield place, row


def _number(row: dict[str, str], column: str, line: int, file: str, low: float, high: float) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise InputError(f"line {line}: {column}", row[column] or "empty", "a fraction from 0 to 1, or a percentage", file=file)
    return value


def _whole(row: dict[str, str], column: str, line: int, file: str, *, low: int = 0) -> int:
    text = row[column].strip()
    if not text.isdecimal() or len(text) > _LONGEST or int(text) < low:
        raise InputError(f"line {line}: {column}", text or "empty", f"a whole number, {low} or more", file=file)
    return int(text)
