"""Token lengths that somebody counted: a CSV with a row a prompt, in the place of a named workload."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import MOST
from dmoa_theory.model.service_samples import csv_rows
from dmoa_theory.model.tokens import TokenCount, TokenLengths, named_workload, workload_names

__all__ = ["read_lengths", "workload"]

_COLUMNS = ("prompt_tokens", "output_tokens")
_HEADER = "a header with prompt_tokens and output_tokens"
#: Beyond this correlation of prompt and answer it is said that it is left out.
_RELATED = 0.2


def workload(name: str, folder: Path = Path()) -> TokenLengths:
    """A named workload, or the lengths in a CSV of that name.

    Parameters
    ----------
    name : str
        One of :func:`dmoa_theory.model.tokens.workload_names`, or a file.
    folder : Path
        Where a relative name starts.

    Raises
    ------
    InputError
        When it is neither, or the file cannot be used.
    """
    if name in workload_names():
        return named_workload(name)
    path = folder / name
    if not path.is_file():
        allowed = f"a CSV with columns prompt_tokens and output_tokens, or one of {', '.join(workload_names())}"
        raise InputError("tokens", name, allowed)
    return read_lengths(path)


def read_lengths(path: Path) -> TokenLengths:
    """Token counts from a CSV with columns ``prompt_tokens`` and ``output_tokens``, a row a prompt; other columns are ignored.

    Prompt and answer are taken as independent, each as a draw from its column: their moments are exact, and what they have
    to do with each other is left out (``source`` says so where they are correlated).

    Raises
    ------
    InputError
        In one line: file, line, field, value and what is allowed.
    """
    file = str(path)
    rows = csv_rows(path)
    header = [column.casefold() for column in next(rows, (1, []))[1]]
    if not set(_COLUMNS) <= set(header) or len(set(header)) != len(header):
        raise InputError("columns", ",".join(header) or "none", _HEADER, file=file)
    counts: list[tuple[float, ...]] = []
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"line {line}", f"{len(cells)} cells", f"{len(header)}, as in the header", file=file)
        row = dict(zip(header, cells, strict=True))
        counts.append(tuple(_count(row, name, line, file) for name in _COLUMNS))
    if not counts:
        raise InputError("rows", "none", "at least one prompt with its token counts", file=file)
    prompt, output = np.array(counts).T
    related = float(np.corrcoef(prompt, output)[0, 1]) if prompt.std() > 0 and output.std() > 0 else 0.0
    aside = f", their correlation of {related:.2f} left out" if abs(related) > _RELATED else ""
    return TokenLengths(
        prompt=TokenCount.of(prompt),
        output=TokenCount.of(output),
        source=f"{path.name}, {len(counts)} prompts and answers{aside}",
    )


def _count(row: dict[str, str], name: str, line: int, file: str) -> float:
    try:
        tokens = float(row[name])
    except ValueError:
        tokens = np.nan
    if not (1 <= tokens <= MOST):
        raise InputError(f"line {line}: {name}", row[name], f"a number of tokens, 1 or more, to {MOST:g}", file=file)
    return tokens
