"""Traces as JSON: queries with their stages, stages with their jobs."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.traces.rows import TraceRows, find_device, in_short, seconds
from dmoa_theory.simulation.traces.trace import MOST_DEVICES, Trace

__all__ = ["SCHEMA", "parse_trace_json", "trace_json"]

SCHEMA = "dmoa/trace/1"

_DEVICES = f"a list of names, or a count from 1 to {MOST_DEVICES}"
# Keys of every kind of object: those it must have, those it may have.
_DOCUMENT = (("schema", "devices", "queries"), ())
_QUERY = (("arrival", "user", "stages"), ())
_STAGE = (("jobs",), ("quorum",))
_JOB = (("device", "service"), ("there", "back"))


def parse_trace_json(text: str, file: str) -> Trace:
    """Read a trace from JSON.

    Parameters
    ----------
    text : str
        The document.
    file : str
        Its name, for messages.

    Raises
    ------
    InputError
        When it is not JSON, or not of this shape.

    Examples
    --------
    >>> from dmoa_theory.simulation.traces.json_file import parse_trace_json
    >>> query = '{"arrival": 0, "user": "a", "stages": [{"jobs": [{"device": "a", "service": 2.5}]}]}'
    >>> parse_trace_json('{"schema": "dmoa/trace/1", "devices": ["a", "b"], "queries": [' + query + "]}", "")
    <Trace of 1 query, 1 stage and 1 job at 2 devices>
    """
    document = _object("", _load(text, file), _DOCUMENT, file)
    if document["schema"] != SCHEMA:
        raise InputError("schema", in_short(document["schema"]), f'"{SCHEMA}"', file=file)
    n, names = _devices(document["devices"], file)
    numbers = {name: d for d, name in enumerate(names)}
    rows = TraceRows()
    for q, query in enumerate(_list("queries", document["queries"], "query", file)):
        place = f"query {q}"
        _object(place, query, _QUERY, file)
        arrival = seconds(f"{place}: arrival", query["arrival"], file)
        rows.add_query(arrival, find_device(f"{place}: user", query["user"], n, numbers, file))
        for s, stage in enumerate(_list(f"{place}: stages", query["stages"], "stage", file)):
            place = f"query {q}, stage {s}"
            _object(place, stage, _STAGE, file)
            jobs = _list(f"{place}: jobs", stage["jobs"], "job", file)
            rows.add_stage(_quorum(place, stage.get("quorum"), len(jobs), file))
            for j, job in enumerate(jobs):
                place = f"query {q}, stage {s}, job {j}"
                _object(place, job, _JOB, file)
                rows.add_job(
                    find_device(f"{place}: device", job["device"], n, numbers, file),
                    seconds(f"{place}: service", job["service"], file),
                    *(seconds(f"{place}: {way}", job[way], file) if way in job else None for way in ("there", "back")),
                )
    return rows.trace(n, names, file)


def trace_json(trace: Trace) -> str:
    """A trace as JSON, one query a line; numbers read back exactly."""
    devices = list(trace.names) or trace.n_devices
    label = trace.names or range(trace.n_devices)
    columns = {"service": trace.service.tolist()}
    columns |= {way: array.tolist() for way, array in (("there", trace.there), ("back", trace.back)) if array is not None}
    device, stage_start, job_start = trace.device.tolist(), trace.stage_start.tolist(), trace.job_start.tolist()
    quorum = None if trace.quorum is None else trace.quorum.tolist()

    def stage(s: int) -> dict[str, Any]:
        jobs = [
            {"device": label[device[j]], **{key: column[j] for key, column in columns.items()}}
            for j in range(job_start[s], job_start[s + 1])
        ]
        return {"jobs": jobs} if quorum is None else {"jobs": jobs, "quorum": quorum[s]}

    queries = [
        {"arrival": arrival, "user": label[user], "stages": [stage(s) for s in range(stage_start[q], stage_start[q + 1])]}
        for q, (arrival, user) in enumerate(zip(trace.arrival.tolist(), trace.user.tolist(), strict=True))
    ]
    lines = ",\n".join(json.dumps(query, ensure_ascii=False) for query in queries)
    head = f'"schema": {json.dumps(SCHEMA)}, "devices": {json.dumps(devices, ensure_ascii=False)}'
    return f'{{{head}, "queries": [\n{lines}\n]}}\n'


def _load(text: str, file: str) -> object:
    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise InputError(next(key for key in keys if keys.count(key) > 1), "given twice", "once an object", file=file)
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except InputError:
        raise
    except json.JSONDecodeError as error:
        raise InputError(f"line {error.lineno}", error.msg, "well-formed JSON", file=file) from None
    except ValueError:  # a whole number of thousands of digits
        raise InputError("", "a number too long to read", "finite numbers", file=file) from None
    except RecursionError:
        raise InputError("", "brackets nested too deeply", "queries, their stages, their jobs", file=file) from None


def _object(place: str, value: Any, keys: tuple[tuple[str, ...], tuple[str, ...]], file: str) -> dict[str, Any]:
    """An object with every key that it must have, and none that it may not."""
    needed, optional = keys
    shape = f"an object with {', '.join(needed)}"
    if not isinstance(value, dict):
        raise InputError(place, in_short(value), shape, file=file)
    before = f"{place}: " if place else ""
    for key in value:
        if key not in (*needed, *optional):
            near = get_close_matches(key, (*needed, *optional), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError(place or "keys", key, f"{hint}keys are {', '.join((*needed, *optional))}", file=file)
    for key in needed:
        if key not in value:
            raise InputError(f"{before}{key}", InputError.MISSING, shape, file=file)
    return value


def _list(place: str, value: Any, of: str, file: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise InputError(place, "empty" if value == [] else in_short(value), f"a list of at least one {of}", file=file)
    return value


def _devices(value: object, file: str) -> tuple[int, tuple[str, ...]]:
    """How many devices there are, and their names."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_DEVICES:
        return value, ()
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise InputError("devices", "empty" if value == [] else in_short(value), _DEVICES, file=file)
    return len(value), tuple(value)


def _quorum(place: str, value: object, jobs: int, file: str) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= jobs:
        allowed = f"a whole number from 1 to {jobs}, the jobs of the stage"
        raise InputError(f"{place}: quorum", in_short(value), allowed, file=file)
    return value
