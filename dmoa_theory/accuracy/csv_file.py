"""Accuracy files: a value a configuration, or a score a prompt; refusals name file, line, column, value, what is allowed."""

from __future__ import annotations

import csv
import difflib
import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from dmoa_theory.accuracy.given import scored_entries
from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable, PromptScores, binomial_error
from dmoa_theory.errors import InputError

__all__ = ["parse_tables"]

_LONGEST = 9  # digits of a whole number: a thousand million prompts, layers or neighbours are a slip
_SCALE = 10  # scores above one that never exceed this are marks out of ten rather than percentages
_GROUP = ("task", "user", "mode", "mixture")
_COLUMNS = {"M", "k", "value", "n_eval", "se", "mode", "user", "task"}
_FURTHER = {"model", "mixture", "place", "secondary", "note", "proposer_quality", "diversity"}
_PER_PROMPT = {"M", "k", "prompt_id", "score", "mode", "user", "task"}
_NOT_PERCENT = r"\b(not|no|never)\b[ ,]*(in |as |a |of )*(per ?cent|%)"
#: No score from 0 to 1 has a larger standard deviation.
_WIDEST = 0.5
_NOTES = r"#\s*(source|metric|models|per_prompt_sd|assumed_n_eval|note)\s*:\s*(.*)"

Row = dict[str, str]
Group = tuple[str, ...]


class _Head(NamedTuple):
    """What comment lines and columns say of the whole file."""

    file: str
    notes: dict[str, str]
    unit: float


def parse_tables(text: str, name: str, file: str) -> tuple[AccuracyTable, ...]:
    """Read every table of a file, one a (task, user, mode).

    Parameters
    ----------
    text : str
        The file's contents.
    name : str
        What the tables are to be called.
    file : str
        For complaints.

    Raises
    ------
    InputError
        One line for each kind of bad input.
    """
    notes = _notes(text)
    heads, rows = _rows(text, file)
    column = "score" if "score" in heads else "value"
    values = [_number(row, column, line, file) for line, row in rows]
    head = _Head(file, notes, _unit(column, values, notes.get("metric", ""), file))
    _deviation(head)  # refused here, whether or not a row needs it
    grouped: dict[Group, list[tuple[int, Row, float]]] = {}
    for (line, row), value in zip(rows, values, strict=True):
        group = tuple(row.get(part, "").strip() for part in _GROUP)
        grouped.setdefault(group, []).append((line, row, round(value / head.unit, 12)))  # 40.63 % is 0.4063
    if not grouped:
        wanted = "M,k,prompt_id,score" if column == "score" else "M,k,value,n_eval"
        raise InputError("rows", "none", f"at least one row {wanted}", file=file)
    build = _from_prompts if column == "score" else _from_values
    labels = _labels(list(grouped), name)
    return tuple(build(found, group, labels[group], head) for group, found in grouped.items())


def _unit(column: str, values: list[float], metric: str, file: str) -> float:
    """100 for percentages, 1 for fractions: by the metric, else by the values where these leave no doubt."""
    most = max(values, default=0.0)
    denied = re.search(_NOT_PERCENT, metric, re.IGNORECASE)
    percent = not denied and re.search(r"percent|%", metric, re.IGNORECASE)
    fraction = denied or re.search(r"\bfractions?\b", metric, re.IGNORECASE)
    if percent and fraction and most <= 1:
        raise InputError("# metric", metric, "either percent or fractions: the values do not tell which", file=file)
    if percent:
        return 100.0
    if most <= 1:
        return 1.0
    if fraction:
        raise InputError(column, f"up to {most:g}", "from 0 to 1, as # metric speaks of fractions", file=file)
    if most <= _SCALE:
        marks = "; divide marks out of ten by ten" if column == "score" else ""
        allowed = f"{column}s from 0 to 1, or percentages (a line # metric: percent says so){marks}"
        raise InputError(column, f"up to {most:g}", allowed, file=file)
    small = [value for value in values if 0 < value < 1]
    if small:
        allowed = "fractions throughout, or percentages (a line # metric: percent says so)"
        raise InputError(column, f"{small[0]:g} beside {most:g}", allowed, file=file)
    return 100.0


def _labels(groups: list[Group], name: str) -> dict[Group, str]:
    """Names of the tables: behind the file's name whatever differs between them."""
    varies = [len({group[place] for group in groups}) > 1 for place in range(len(_GROUP))]
    return {
        group: "/".join([name, *(part or "-" for part, differs in zip(group, varies, strict=True) if differs)])
        for group in groups
    }


def _table(
    entries: Iterable[AccuracyEntry], group: Group, label: str, head: _Head, scores: PromptScores | None = None
) -> AccuracyTable:
    task, user, mode, _ = group
    notes = head.notes
    return AccuracyTable(
        name=label,
        source=notes.get("source", ""),
        metric=notes.get("metric", ""),
        entries=tuple(entries),
        per_prompt_deviation=_deviation(head),
        task=task,
        user=user,
        mode=mode,
        models=notes.get("models", ""),
        note=notes.get("note", ""),
        scores=scores,
    )


def _from_values(rows: list[tuple[int, Row, float]], group: Group, label: str, head: _Head) -> AccuracyTable:
    """A table of one value a configuration."""
    file = head.file
    entries: dict[tuple[int, int], AccuracyEntry] = {}
    for line, row, accuracy in rows:
        M, k = (_whole(row, column, line, file) for column in ("M", "k"))
        n_eval = _whole(row, "n_eval", line, file, low=1) if row.get("n_eval", "").strip() else None
        error, basis = _error(row, accuracy, n_eval, line, head)
        if (M, k) in entries:
            raise InputError(f"line {line}", f"M={M}, k={k}", "each configuration once: keep one mode, user or task", file=file)
        quality = _optional(row, "proposer_quality", line, head, head.unit)
        entries[(M, k)] = AccuracyEntry(
            M=M,
            k=k,
            accuracy=accuracy,
            standard_error=error,
            n_eval=n_eval,
            basis=basis,
            secondary=_yes(row, line, file),
            place=row.get("place", "").strip(),
            note=row.get("note", "").strip(),
            proposer_quality=quality,
            diversity=_optional(row, "diversity", line, head, 1.0),
        )
    return _table(list(entries.values()), group, label, head)


def _error(row: Row, accuracy: float, n_eval: int | None, line: int, head: _Head) -> tuple[float, str]:
    """Standard error, and where it comes from."""
    if row.get("se", "").strip():
        return _within(_number(row, "se", line, head.file), f"line {line}: se", head), "stated"
    deviation = _deviation(head)
    if n_eval and deviation:
        return deviation[1] / math.sqrt(n_eval), "judge scores"
    if n_eval:
        return binomial_error(accuracy, n_eval), "binomial"
    assumed = re.match(r"\d+", head.notes.get("assumed_n_eval", ""))
    if assumed and int(assumed[0]):
        return binomial_error(accuracy, int(assumed[0])), "assumed size"
    raise InputError(f"line {line}", "neither n_eval nor se", "one of the two, to know the sampling error", file=head.file)


def _from_prompts(rows: list[tuple[int, Row, float]], group: Group, label: str, head: _Head) -> AccuracyTable:
    """A table of one score a prompt and configuration."""
    file = head.file
    found: dict[tuple[int, int], dict[str, float]] = {}
    prompts: dict[str, int] = {}
    for line, row, score in rows:
        M, k = (_whole(row, column, line, file) for column in ("M", "k"))
        prompt = row["prompt_id"].strip()
        if not prompt:
            raise InputError(f"line {line}: prompt_id", "empty", "a name, the same for every configuration", file=file)
        prompts.setdefault(prompt, len(prompts))
        scores = found.setdefault((M, k), {})
        if prompt in scores:
            raise InputError(f"line {line}: prompt_id", prompt, f"each prompt once with M={M}, k={k}", file=file)
        scores[prompt] = score
    for (M, k), scores in found.items():
        if len(scores) < 2:
            allowed = "two prompts or more for a configuration, to know the sampling error"
            raise InputError(f"M={M}, k={k} of {label}", "1 prompt", allowed, file=file)
    table = np.full((len(prompts), len(found)), np.nan)
    for column, scores in enumerate(found.values()):
        table[[prompts[prompt] for prompt in scores], column] = list(scores.values())
    held = PromptScores(prompts=tuple(prompts), scores=table)
    return _table(scored_entries(list(found), held), group, label, head, held)


def _notes(text: str) -> dict[str, str]:
    """Comment lines of the form ``# key: value``."""
    found = (re.match(_NOTES, line) for line in text.splitlines())
    return {match[1]: match[2].strip() for match in found if match}


def _deviation(head: _Head) -> tuple[float, float] | None:
    """Range of the standard deviation of single prompts' scores, from 0 to 1."""
    note = head.notes.get("per_prompt_sd", "").partition("(")[0]
    numbers = [_within(float(number), "# per_prompt_sd", head) for number in re.findall(r"\d*\.?\d+", note)]
    return (min(numbers), max(numbers)) if numbers else None


def _within(value: float, field: str, head: _Head) -> float:
    """A standard deviation or error as a fraction; refused where no score in the unit of the values can have it."""
    if value / head.unit > _WIDEST:
        unit = "percentages" if head.unit > 1 else "fractions (a line # metric: percent says otherwise)"
        raise InputError(field, f"{value:g}", f"at most {_WIDEST * head.unit:g}, as the values are {unit}", file=head.file)
    return value / head.unit


def _rows(text: str, file: str) -> tuple[list[str], list[tuple[int, Row]]]:
    """Column names, and the rows with their lines in the file."""
    lines = [
        (place, line) for place, line in enumerate(text.splitlines(), start=1) if line.strip() and not line.startswith("#")
    ]
    reader = csv.reader((line for _, line in lines), skipinitialspace=True, strict=True)
    try:
        heads = [head.strip() for head in next(reader, [])]
        _check_heads(heads, file)
        heads = ["user" if head == "model" else head for head in heads]
        return heads, list(_named(heads, reader, lines, file))
    except csv.Error as error:
        line = lines[min(reader.line_num, len(lines)) - 1][0]
        raise InputError(f"line {line}", str(error), "CSV, with quotes closed on their line", file=file) from None


def _named(heads: list[str], reader: Iterator[list[str]], lines: list[tuple[int, str]], file: str) -> Iterator[tuple[int, Row]]:
    for (place, _), cells in zip(lines[1:], reader, strict=False):
        if len(cells) != len(heads):
            raise InputError(f"line {place}", "too few or too many columns", ",".join(heads), file=file)
        yield place, dict(zip(heads, cells, strict=True))


def _check_heads(heads: list[str], file: str) -> None:
    per_prompt = "score" in heads or "prompt_id" in heads
    wanted = ("M", "k", "prompt_id", "score") if per_prompt else ("M", "k", "value")
    if any(column not in heads for column in wanted):
        allowed = "M,k,prompt_id,score, or M,k,value and n_eval or se" if per_prompt else "M,k,value and n_eval or se"
        raise InputError("columns", ",".join(heads) or "none", allowed, file=file)
    known = _PER_PROMPT if per_prompt else _COLUMNS
    for head in heads:
        if head not in known and head not in _FURTHER:
            near = difflib.get_close_matches(head, known, n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise InputError("columns", head or "empty", f"{hint}known columns: {', '.join(sorted(known))}", file=file)
    named = ["user" if head == "model" else head for head in heads]
    repeated = [head for head in named if named.count(head) > 1]
    if repeated:
        raise InputError("columns", repeated[0], "each column once (model is another name for user)", file=file)


def _number(row: Row, column: str, line: int, file: str) -> float:
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise InputError(f"line {line}: {column}", row[column] or "empty", "a fraction from 0 to 1, or a percentage", file=file)
    return value


def _optional(row: Row, column: str, line: int, head: _Head, unit: float) -> float | None:
    """A share that need not be there, in a unit of its own."""
    if not row.get(column, "").strip():
        return None
    value = _number(row, column, line, head.file)
    if value > unit:
        raise InputError(f"line {line}: {column}", row[column], f"from 0 to {unit:g}", file=head.file)
    return value / unit


def _yes(row: Row, line: int, file: str) -> bool:
    text = row.get("secondary", "").strip()
    if text not in {"", "yes", "no"}:
        raise InputError(f"line {line}: secondary", text, "yes, no or empty", file=file)
    return text == "yes"


def _whole(row: Row, column: str, line: int, file: str, *, low: int = 0) -> int:
    text = row[column].strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > _LONGEST or int(text) < low:
        raise InputError(f"line {line}: {column}", text or "empty", f"a whole number, {low} or more", file=file)
    return int(text)
