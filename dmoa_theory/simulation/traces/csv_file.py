"""Traces as tables: one row a job."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from difflib import get_close_matches

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.traces.rows import TraceRows, find_device, seconds
from dmoa_theory.simulation.traces.trace import MOST_DEVICES, Trace

__all__ = ["parse_trace_csv", "trace_csv"]

_NEEDED = ("query", "arrival", "user", "stage", "device", "service")
_OPTIONAL = ("there", "back", "quorum")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_LONGEST = 9  # digits of a whole number

_Row = dict[str, str]


def parse_trace_csv(text: str, file: str) -> Trace:
    r"""Read a trace from a table with columns query, arrival, user, stage, device, service and perhaps there, back, quorum.

    Rows stand in order of query and stage, both counted from 0. A comment line ``# devices: 4`` or ``# devices: ["a", "b"]``
    says which devices there are; without it those that occur, in numeric order or in order of first appearance.

    Parameters
    ----------
    text : str
        The document.
    file : str
        Its name, for messages.

    Raises
    ------
    InputError
        When columns are missing or unknown, rows are out of order, or a value is not allowed.

    Examples
    --------
    >>> from dmoa_theory.simulation.traces.csv_file import parse_trace_csv
    >>> parse_trace_csv("query,arrival,user,stage,device,service\n0,0,a,0,a,2.5\n0,0,a,0,b,3\n0,0,a,1,a,2\n", "")
    <Trace of 1 query, 2 stages and 3 jobs at 2 devices>
    """
    table = list(_rows(text, file))
    n, names = _devices(text, table, file)
    numbers = {name: d for d, name in enumerate(names)}
    rows, before = TraceRows(), None
    for line, row in table:
        new_query, new_stage = _order(line, row, before, file)
        user = find_device(f"line {line}: user", _label(row["user"], numbers), n, numbers, file)
        arrival = seconds(f"line {line}: arrival", _number(row["arrival"]), file)
        if new_query:
            if before is not None and arrival < rows.arrival[-1]:
                allowed = f"not before {rows.arrival[-1]:g}, the arrival of the query before it"
                raise InputError(f"line {line}: arrival", row["arrival"], allowed, file=file)
            rows.add_query(arrival, user)
        elif (arrival, user) != (rows.arrival[-1], rows.user[-1]):
            column = "arrival" if arrival != rows.arrival[-1] else "user"
            raise InputError(f"line {line}: {column}", row[column], "the same in all rows of a query", file=file)
        if new_stage:
            rows.add_stage(_whole(line, row, "quorum", file, low=1) if row.get("quorum") else None)
        elif before is not None and row.get("quorum") != before.get("quorum"):
            raise InputError(f"line {line}: quorum", row["quorum"], "the same in all rows of a stage", file=file)
        rows.add_job(
            find_device(f"line {line}: device", _label(row["device"], numbers), n, numbers, file),
            seconds(f"line {line}: service", _number(row["service"]), file),
            *(
                None if way not in row else seconds(f"line {line}: {way}", _number(row[way] or "0"), file)
                for way in ("there", "back")
            ),
        )
        before = row
    return rows.trace(n, names, file)


def trace_csv(trace: Trace) -> str:
    """A trace as a table; numbers read back exactly."""
    text = io.StringIO()
    text.write(f"# devices: {json.dumps(list(trace.names) or trace.n_devices, ensure_ascii=False)}\n")
    label = trace.names or range(trace.n_devices)
    columns = {way: array.tolist() for way, array in (("there", trace.there), ("back", trace.back)) if array is not None}
    quorum = None if trace.quorum is None else trace.quorum.tolist()
    stage_of, query_of = trace.job_stage.tolist(), trace.stage_query.tolist()
    arrival, user, first = trace.arrival.tolist(), trace.user.tolist(), trace.stage_start.tolist()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_NEEDED, *columns, *(() if quorum is None else ("quorum",))))
    for job, (device, service) in enumerate(zip(trace.device.tolist(), trace.service.tolist(), strict=True)):
        stage = stage_of[job]
        query = query_of[stage]
        place = query, arrival[query], label[user[query]], stage - first[query], label[device], service
        writer.writerow((*place, *(column[job] for column in columns.values()), *(() if quorum is None else (quorum[stage],))))
    return text.getvalue()


def _rows(text: str, file: str) -> Iterator[tuple[int, _Row]]:
    """Every row with its line number, blanks around values taken off; comments and empty lines are passed over."""
    lines = [(n, line) for n, line in enumerate(text.splitlines(), start=1) if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise InputError("rows", "none", f"a line of columns {','.join(_NEEDED)}, then one row a job", file=file)
    heads = _cells(*lines[0], file)
    known = (*_NEEDED, *_OPTIONAL)
    for place, head in enumerate(heads):
        if head not in known:
            near = get_close_matches(head, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError("columns", head, f"{hint}known columns: {', '.join(known)}", file=file)
        if head in heads[:place]:
            raise InputError("columns", head, "each column once", file=file)
    for head in _NEEDED:
        if head not in heads:
            raise InputError(f"column {head}", InputError.MISSING, f"columns are {','.join(_NEEDED)}", file=file)
    for number, line in lines[1:]:
        cells = _cells(number, line, file)
        if len(cells) != len(heads):
            raise InputError(f"line {number}", f"{len(cells)} values", f"{len(heads)}: {','.join(heads)}", file=file)
        yield number, dict(zip(heads, cells, strict=True))


def _cells(number: int, line: str, file: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True, strict=True))]
    except csv.Error as error:
        raise InputError(f"line {number}", error, "values with commas between", file=file) from None


def _order(line: int, row: _Row, before: _Row | None, file: str) -> tuple[bool, bool]:
    """Whether a row begins a new query, and whether it begins a new stage."""
    query, stage = _whole(line, row, "query", file), _whole(line, row, "stage", file)
    if before is None:
        last_query, last_stage, which = -1, -1, "0"
    else:
        last_query, last_stage = int(before["query"]), int(before["stage"])
        which = f"{last_query} or {last_query + 1}"
    if query not in {last_query, last_query + 1}:
        allowed = f"{which}: queries stand in order, counted from 0, the rows of each together"
        raise InputError(f"line {line}: query", row["query"], allowed, file=file)
    if query == last_query + 1:
        last_stage = -1
    if stage not in {last_stage, last_stage + 1} or stage < 0:
        which = "0" if last_stage < 0 else f"{last_stage} or {last_stage + 1}"
        allowed = f"{which}: stages stand in order, counted from 0, the rows of each together"
        raise InputError(f"line {line}: stage", row["stage"], allowed, file=file)
    return query == last_query + 1, stage == last_stage + 1


def _devices(text: str, table: list[tuple[int, _Row]], file: str) -> tuple[int, tuple[str, ...]]:
    """How many devices there are, and their names: as the comment line says, else from those that occur."""
    said = re.search(r"^#\s*devices\s*:(.*)$", text, re.MULTILINE)
    if said:
        try:
            value = json.loads(said[1])
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_DEVICES:
            return value, ()
        if isinstance(value, list) and value and all(isinstance(name, str) for name in value):
            return len(value), tuple(value)
        allowed = f'a count from 1 to {MOST_DEVICES}, or names such as ["a", "b"]'
        raise InputError("# devices", said[1].strip(), allowed, file=file)
    labels: dict[str, int] = {}
    for line, row in table:
        for column in ("user", "device"):
            if not row[column]:
                raise InputError(f"line {line}: {column}", "", "a device, by number or by name", file=file)
            labels.setdefault(row[column], line)
    if all(label.isdecimal() and len(label) <= _LONGEST for label in labels):
        most = max(labels, key=int)
        if int(most) >= MOST_DEVICES:
            raise InputError(f"line {labels[most]}: device", most, f"a number below {MOST_DEVICES}", file=file)
        return int(most) + 1, ()
    return len(labels), tuple(labels)


def _label(text: str, numbers: dict[str, int]) -> str | int:
    """A device as it is written: a name goes before a number."""
    return int(text) if text not in numbers and text.isdecimal() and len(text) <= _LONGEST else text


def _number(text: str) -> float | str:
    """A plain decimal number; anything else stays text and is refused as such."""
    return float(text) if _NUMBER.fullmatch(text) else text


def _whole(line: int, row: _Row, column: str, file: str, *, low: int = 0) -> int:
    text = row[column]
    if not text.isdecimal() or len(text) > _LONGEST or int(text) < low:
        raise InputError(f"line {line}: {column}", text, f"a whole number, {low} or more", file=file)
    return int(text)
