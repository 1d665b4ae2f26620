"""Accuracy by (M, k) as somebody measured it: bundled data sets, or a CSV of the user's own, with sampling errors."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import resources
from pathlib import Path

from dmoa_theory.accuracy.csv_file import parse_tables
from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable, PromptScores
from dmoa_theory.errors import InputError
from dmoa_theory.text_files import refuse_workbook

__all__ = ["AccuracyEntry", "AccuracyTable", "PromptScores", "bundled_tables", "read_accuracy", "read_tables"]

#: What a plan goes by when the scenario names no data.
DEFAULT_TABLE = "mitra2024-diverse"


@cache
def bundled_tables() -> tuple[str, ...]:
    """Names of the bundled data sets."""
    folder = resources.files("dmoa_theory").joinpath("data/accuracy")
    return tuple(sorted(item.name.removesuffix(".csv") for item in folder.iterdir() if item.name.endswith(".csv")))


def read_tables(table: str) -> tuple[AccuracyTable, ...]:
    """Read every table of a bundled data set or CSV file: one a (task, user, mode).

    A CSV has columns ``M,k,value`` and ``n_eval`` or ``se``, or one row a prompt with ``M,k,prompt_id,score``; further ones
    are task, user (or model) and mode. ``value``, ``score``, ``se`` and ``proposer_quality`` are fractions, or percentages
    when a comment line ``# metric: ...`` says percent, or when values exceed 10 and none is a fraction; where that leaves a
    doubt the file is refused. Comment lines ``# source: ...`` and ``# per_prompt_sd: ...`` are read too.

    Parameters
    ----------
    table : str
        A bundled name, with ``/user`` behind it for one of several tables, or the path of a CSV.

    Returns
    -------
    tuple of AccuracyTable

    Raises
    ------
    InputError
        One line: unknown name, missing file or column, a value that is not allowed, a configuration listed twice.

    Notes
    -----
    Standard errors, by what is known: those stated; from single prompts' scores, their deviation over the root of their
    number; with ``per_prompt_sd``, its upper end over the root of ``n_eval``; else ``sqrt(p (1 - p) / n_eval)``, the largest
    that scores between 0 and 1 can have.

    Examples
    --------
    >>> from dmoa_theory import read_tables
    >>> [table.user for table in read_tables("selfmoa2025-gemma")]
    ['gemma-2-9b-it-WPO-HB', 'gemma-2-9b-it-SimPO']
    """
    path = Path(table)
    refuse_workbook(path)
    if not table.endswith(".csv"):
        return _bundled(table)
    try:
        return parse_tables(path.read_text(encoding="utf-8-sig"), path.stem, str(path))
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("accuracy.table", path, "an existing CSV file, or one of " + ", ".join(bundled_tables())) from None
    except (OSError, UnicodeDecodeError):
        raise InputError("", InputError.MISSING, "cannot be read as UTF-8 text", file=table) from None


def read_accuracy(table: str) -> AccuracyTable:
    """Read a bundled data set by name, or a CSV file, that holds a single table; see :func:`read_tables`.

    Parameters
    ----------
    table : str
        A bundled name, or the path of a CSV.

    Raises
    ------
    InputError
        As :func:`read_tables`, and when there are several tables.
    """
    tables = read_tables(table)
    if len(tables) > 1:
        names = ", ".join(each.name for each in tables[:4]) + (" ..." if len(tables) > 4 else "")
        if not table.endswith(".csv"):
            raise InputError("accuracy.table", table, f"one of its tables: {names}")
        raise InputError("tables", names, "a single one: keep one mode, user or task", file=table)
    return tables[0]


def _bundled(name: str) -> tuple[AccuracyTable, ...]:
    base, _, part = name.partition("/")
    if base not in bundled_tables():
        near = difflib.get_close_matches(name, bundled_tables(), n=1)
        hint = f'did you mean "{near[0]}"? ' if near else ""
        raise InputError("accuracy.table", name, f"{hint}a CSV file, or one of {', '.join(bundled_tables())}")
    text = resources.files("dmoa_theory").joinpath(f"data/accuracy/{base}.csv").read_text(encoding="utf-8")
    tables = parse_tables(text, base, base)
    if not part:
        return tables
    chosen = tuple(table for table in tables if table.name == name or table.name.startswith(f"{name}/"))
    if not chosen:
        raise InputError("accuracy.table", name, "one of " + ", ".join(table.name for table in tables))
    return chosen
