"""Traces: what is refused and in which words, and files that give back every bit."""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.traces.files import read_trace, write_trace
from dmoa_theory.simulation.traces.trace import Trace
from dmoa_theory.simulation.traces.trajectory import Trajectory

# Two queries at three devices: a layer of two and an aggregation, then a single job.
PLAIN: dict[str, Any] = {
    "n_devices": 3,
    "arrival": [0.0, 1.5],
    "user": [0, 2],
    "stage_start": [0, 2, 3],
    "job_start": [0, 2, 3, 4],
    "device": [0, 1, 0, 2],
    "service": [4.0, 3.0, 0.0, 1 / 3],
}
FULL: dict[str, Any] = {
    **PLAIN,
    "quorum": [1, 1, 1],
    "there": [0.0, 0.1, 0.0, 0.0],
    "back": [0.0, 1e-300, 0.0, 0.0],
    "names": ("hub", 'Büro, "links"', "#3"),
}


def same(one: Trace, other: Trace) -> bool:
    for field in fields(Trace):
        mine, its = getattr(one, field.name), getattr(other, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == its.dtype
            assert mine.tolist() == its.tolist(), field.name
        else:
            assert mine == its, field.name
    return True


# -- the trace itself -------------------------------------------------------------------------------------------------


def test_a_trace_counts_its_parts() -> None:
    trace = Trace(**PLAIN)
    assert (trace.n_queries, trace.n_stages, trace.n_jobs) == (2, 3, 4)
    assert trace.stage_query.tolist() == [0, 0, 1]
    assert trace.job_stage.tolist() == [0, 0, 1, 2]
    assert trace.answers_needed.tolist() == [2, 1, 1]
    assert (trace.has_quorum, trace.has_delay, trace.name(1)) == (False, False, "device-1")
    assert repr(trace) == "<Trace of 2 queries, 3 stages and 4 jobs at 3 devices>"
    full = Trace(**FULL)
    assert full.answers_needed.tolist() == [1, 1, 1]
    assert (full.has_quorum, full.has_delay, full.name(0)) == (True, True, "hub")


def test_a_quorum_of_all_and_delays_of_nothing_are_none() -> None:
    trace = Trace(**PLAIN, quorum=[2, 1, 1], there=np.zeros(4), back=np.zeros(4))
    assert (trace.has_quorum, trace.has_delay) == (False, False)


def test_a_trace_owns_its_arrays() -> None:
    given = {key: np.array(value) if isinstance(value, list) else value for key, value in FULL.items()}
    trace = Trace(**given)
    for key, value in given.items():
        if isinstance(value, np.ndarray):
            value[...] = 7
            assert getattr(trace, key).tolist() == FULL[key]
            with pytest.raises(ValueError, match="read-only"):
                getattr(trace, key)[0] = 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"n_devices": 0}, "n_devices = 0: a whole number from 1 to 1000000"),
        ({"n_devices": True}, "n_devices = True: a whole number from 1 to 1000000"),
        ({"n_devices": 2.0}, "n_devices = 2.0: a whole number from 1 to 1000000"),
        ({"names": ("a", "b")}, "names = 2 names: a list of 3 (one a device)"),
        ({"names": ("a", "b", "a")}, "names = a: each name once"),
        ({"names": ("a", "b", "c ")}, "names = 'c ': printable text on one line, without blanks around it"),
        ({"names": ("a", "b", 3)}, "names = 3: printable text on one line, without blanks around it"),
        ({"arrival": []}, "arrival = no queries: at least one query"),
        ({"arrival": [[0.0, 1.0]]}, "arrival = [[0.0, 1.0]]: a list of numbers"),
        ({"arrival": ["a", "b"]}, "arrival = ['a', 'b']: a list of numbers"),
        ({"arrival": [0.0, [1.0]]}, "arrival = [0.0, [1.0]]: a list of numbers"),
        ({"arrival": [2.0, 1.0]}, "query 1: arrival = 1.0: not before the arrival of the query before it"),
        ({"arrival": [-1.0, 1.0]}, "query 0: arrival = -1.0: a finite number of seconds, from 0 to 1e+30"),
        ({"arrival": [0.0, float("nan")]}, "query 1: arrival = nan: a finite number of seconds, from 0 to 1e+30"),
        ({"user": [0]}, "user = 1 values: a list of 2"),
        ({"user": [0, 3]}, "query 1: user = 3: a device number from 0 to 2"),
        ({"user": [0.0, 1.0]}, "user = [0.0, 1.0]: a list of whole numbers"),
        ({"stage_start": [0, 3]}, "stage_start = 2 values: a list of 3"),
        ({"stage_start": [1, 2, 3]}, "stage_start = not rising from 0: a rising list from 0 on: at least one stage a query"),
        ({"stage_start": [0, 3, 3]}, "stage_start = not rising from 0: a rising list from 0 on: at least one stage a query"),
        ({"job_start": [0, 2, 4]}, "job_start = 3 values: a list of 4"),
        ({"job_start": [0, 2, 2, 4]}, "job_start = not rising from 0: a rising list from 0 on: at least one job a stage"),
        ({"device": [0, 1, 0]}, "device = 3 values: a list of 4"),
        ({"device": [0, 1, 0, -1]}, "query 1, stage 0, job 0: device = -1: a device number from 0 to 2"),
        ({"device": [1, 1, 0, 2]}, "query 0, stage 0, job 1: device = 1: each device once a stage"),
        ({"service": [1.0]}, "service = 1 values: a list of 4"),
        ({"service": [1, 2, -3, 4]}, "query 0, stage 1, job 0: service = -3.0: a finite number of seconds, from 0 to 1e+30"),
        ({"service": [1, 2, 3, 1e31]}, "query 1, stage 0, job 0: service = 1e+31: a finite number of seconds, from 0 to 1e+30"),
        ({"quorum": [1, 1]}, "quorum = 2 values: a list of 3"),
        ({"quorum": [3, 1, 1]}, "query 0, stage 0: quorum = 3: a whole number from 1 to 2, the jobs of the stage"),
        ({"quorum": [1, 1, 0]}, "query 1, stage 0: quorum = 0: a whole number from 1 to 1, the jobs of the stage"),
        ({"there": [0.0, 1.0]}, "there = 2 values: a list of 4"),
        ({"there": [0.1, 0, 0, 0]}, "query 0, stage 0, job 0: there = 0.1: 0 at the user's own device"),
        (
            {"back": [0, float("inf"), 0, 0]},
            "query 0, stage 0, job 1: back = inf: a finite number of seconds, from 0 to 1e+30",
        ),
    ],
)
def test_what_is_no_trace_is_refused_in_a_line(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError) as refusal:
        Trace(**{**PLAIN, **changes})
    assert str(refusal.value) == complaint


def test_a_trajectory_has_one_figure_a_job() -> None:
    times = np.zeros(4)
    with pytest.raises(InputError, match=r"end = shape \(3,\): shape \(4,\)"):
        Trajectory(trace=Trace(**PLAIN), reached=times, start=times, end=times[1:], stage_end=np.zeros(3))


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".json", ".csv", ".JSON", ".CSV"])
@pytest.mark.parametrize(
    "given",
    [
        PLAIN,
        FULL,
        {**PLAIN, "n_devices": 7},
        {**PLAIN, "names": ("2", "1", "0")},
        {**PLAIN, "back": [0.0, 2.0, 0.0, 0.0]},
        {**PLAIN, "there": np.zeros(4)},
        {**PLAIN, "quorum": [2, 1, 1]},
    ],
)
def test_files_give_back_every_bit(tmp_path: Path, given: dict[str, Any], extension: str) -> None:
    trace = Trace(**given)
    path = write_trace(trace, tmp_path / f"trace{extension}")
    assert same(read_trace(path), trace)
    content = path.read_bytes()
    write_trace(read_trace(path), path)
    assert path.read_bytes() == content
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_awkward_numbers_come_back(tmp_path: Path) -> None:
    service = [5e-324, 0.1 + 0.2, 1e30, 2 / 3]
    trace = Trace(**{**PLAIN, "arrival": [1e-17, 123456789.123456789], "service": service})
    for extension in (".json", ".csv"):
        assert same(read_trace(write_trace(trace, tmp_path / f"t{extension}")), trace)


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_by_hand(tmp_path: Path) -> None:
    """Names and numbers mixed, defaults for what is left out."""
    jobs = '[{"device": "a", "service": 1}, {"device": 1, "service": 2.5, "there": 0.5}]'
    queries = f'[{{"arrival": 0, "user": "a", "stages": [{{"jobs": {jobs}}}, {{"quorum": 1, "jobs": {jobs}}}]}}]'
    trace = read_trace(
        put(tmp_path, "t.json", f'\ufeff{{"schema": "dmoa/trace/1", "devices": ["a", "b"], "queries": {queries}}}')
    )
    expected = Trace(
        n_devices=2,
        arrival=[0.0],
        user=[0],
        stage_start=[0, 2],
        job_start=[0, 2, 4],
        device=[0, 1, 0, 1],
        service=[1.0, 2.5, 1.0, 2.5],
        quorum=[2, 1],
        there=[0.0, 0.5, 0.0, 0.5],
        names=("a", "b"),
    )
    assert same(trace, expected)


def test_csv_by_hand(tmp_path: Path) -> None:
    """Columns in any order, comments, empty lines, blanks, a carriage return; empty cells mean the default."""
    text = (
        "# measured on a Tuesday\r\n\r\nservice, device, user, arrival, query, stage, there, quorum\r\n"
        "1, a, a, 0, 0, 0, , 1\r\n2.5e0, b, a, 0.0, 0, 0, .5, 1\r\n"
        "# half time\r\n3, a, a, 0, 0, 1, , \r\n+4, b, b, 1, 1, 0, , \r\n"
    )
    expected = Trace(
        n_devices=2,
        arrival=[0.0, 1.0],
        user=[0, 1],
        stage_start=[0, 2, 3],
        job_start=[0, 2, 3, 4],
        device=[0, 1, 0, 1],
        service=[1.0, 2.5, 3.0, 4.0],
        quorum=[1, 1, 1],
        there=[0.0, 0.5, 0.0, 0.0],
        names=("a", "b"),
    )
    assert same(read_trace(put(tmp_path, "t.csv", text)), expected)


def test_csv_devices_by_number_are_all_up_to_the_largest(tmp_path: Path) -> None:
    trace = read_trace(put(tmp_path, "t.csv", "query,arrival,user,stage,device,service\n0,0,3,0,1,1\n"))
    assert (trace.n_devices, trace.names, trace.user.tolist(), trace.device.tolist()) == (4, (), [3], [1])


QUERY: dict[str, Any] = {
    "arrival": 1.0,
    "user": 0,
    "stages": [
        {"jobs": [{"device": 0, "service": 1.0}, {"device": 1, "service": 2.0}]},
        {"jobs": [{"device": 0, "service": 1}]},
    ],
}
SECONDS = "a finite number of seconds, from 0 to 1e+30"


def document(*queries: object, **head: object) -> str:
    return json.dumps({"schema": "dmoa/trace/1", "devices": 2, "queries": list(queries), **head})


def changed(place: str, value: object) -> str:
    """The plain query with one value replaced, or taken out where the value is None."""
    query = json.loads(json.dumps(QUERY))
    *way, last = (int(key) if key.isdecimal() else key for key in place.split("."))
    inner = query
    for key in way:
        inner = inner[key]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return document(query)


BAD_JSON = [
    ("", "an empty file: a trace of at least one query"),
    (b"\xff", "line 1 = byte 0xff: text in UTF-8"),
    ('{"schema": 1,\n]', "line 2 = Expecting property name enclosed in double quotes: well-formed JSON"),
    ("[1]", "a list: an object with schema, devices, queries"),
    ('{"schema": "a", "schema": "b"}', "schema = given twice: once an object"),
    ("[" * 100_000, "brackets nested too deeply: queries, their stages, their jobs"),
    ("1" * 5000, "a number too long to read: finite numbers"),
    ('{"schema": "dmoa/trace/1", "devices": 2}', "queries is missing: an object with schema, devices, queries"),
    (document(QUERY, schema="dmoa/trace/2"), 'schema = dmoa/trace/2: "dmoa/trace/1"'),
    (document(QUERY, device=2), "keys = device: did you mean devices? keys are schema, devices, queries"),
    (document(QUERY, devices=0), "devices = 0: a list of names, or a count from 1 to 1000000"),
    (document(QUERY, devices=[]), "devices = empty: a list of names, or a count from 1 to 1000000"),
    (document(QUERY, devices=[0, 1]), "devices = a list: a list of names, or a count from 1 to 1000000"),
    (document(QUERY, devices=["a", "a"]), "names = a: each name once"),
    (document(), "queries = empty: a list of at least one query"),
    (document(QUERY, queries=3), "queries = 3: a list of at least one query"),
    (document(3), "query 0 = 3: an object with arrival, user, stages"),
    (document(QUERY, {**QUERY, "arrival": 0.5}), "query 1: arrival = 0.5: not before the arrival of the query before it"),
    (changed("arrival", -1), f"query 0: arrival = -1: {SECONDS}"),
    (changed("arrival", "soon"), f"query 0: arrival = soon: {SECONDS}"),
    (changed("arrival", None), "query 0: arrival is missing: an object with arrival, user, stages"),
    (changed("user", 2), "query 0: user = 2: a device number from 0 to 1"),
    (changed("user", "a"), "query 0: user = a: a device number from 0 to 1"),
    (changed("stages", []), "query 0: stages = empty: a list of at least one stage"),
    (changed("stages.1", []), "query 0, stage 1 = a list: an object with jobs"),
    (changed("stages.1.jobs", []), "query 0, stage 1: jobs = empty: a list of at least one job"),
    (changed("stages.0.quorum", 3), "query 0, stage 0: quorum = 3: a whole number from 1 to 2, the jobs of the stage"),
    (changed("stages.0.quorum", True), "query 0, stage 0: quorum = True: a whole number from 1 to 2, the jobs of the stage"),
    (changed("stages.0.qourum", 1), "query 0, stage 0 = qourum: did you mean quorum? keys are jobs, quorum"),
    (changed("stages.0.jobs.1.device", 0), "query 0, stage 0, job 1: device = 0: each device once a stage"),
    (changed("stages.0.jobs.1.device", True), "query 0, stage 0, job 1: device = True: a device number from 0 to 1"),
    (changed("stages.0.jobs.1.service", None), "query 0, stage 0, job 1: service is missing: an object with device, service"),
    (changed("stages.0.jobs.1.service", float("nan")), f"query 0, stage 0, job 1: service = nan: {SECONDS}"),
    (changed("stages.0.jobs.1.service", True), f"query 0, stage 0, job 1: service = True: {SECONDS}"),
    (changed("stages.0.jobs.1.service", [1]), f"query 0, stage 0, job 1: service = a list: {SECONDS}"),
    (changed("stages.0.jobs.1.back", -0.5), f"query 0, stage 0, job 1: back = -0.5: {SECONDS}"),
    (changed("stages.0.jobs.1.there", int("9" * 400)), f"query 0, stage 0, job 1: there = {'9' * 57}...: {SECONDS}"),
    (changed("stages.0.jobs.0.there", 0.5), "query 0, stage 0, job 0: there = 0.5: 0 at the user's own device"),
]


@pytest.mark.parametrize(("content", "complaint"), BAD_JSON)
def test_bad_json_is_refused_in_a_line(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    path = put(tmp_path, "t.json", content)
    with pytest.raises(InputError) as refusal:
        read_trace(path)
    assert str(refusal.value) == f"{path}: {complaint}"


HEAD = "query,arrival,user,stage,device,service"
GOOD = "0,1,0,0,0,1\n0,1,0,0,1,2\n0,1,0,1,0,1"
IN_ORDER = "stand in order, counted from 0, the rows of each together"
BAD_CSV = [
    ("# nothing\n", f"rows = none: a line of columns {HEAD}, then one row a job"),
    (HEAD, f"rows = none: a line of columns {HEAD}, then one row a job"),
    (f"query,arrival,user,stage,device\n{GOOD}", f"column service is missing: columns are {HEAD}"),
    (
        f"{HEAD},qorum\n{GOOD}",
        f"columns = qorum: did you mean quorum? known columns: {HEAD.replace(',', ', ')}, there, back, quorum",
    ),
    (f"{HEAD},user\n{GOOD}", "columns = user: each column once"),
    (f"{HEAD}\n0,1,0,0,0", f"line 2 = 5 values: 6: {HEAD}"),
    (f'{HEAD}\n0,1,0,0,"0,1', "line 2 = unexpected end of data: values with commas between"),
    (f"{HEAD}\n1,1,0,0,0,1", f"line 2: query = 1: 0: queries {IN_ORDER}"),
    (f"{HEAD}\n-1,1,0,0,0,1", "line 2: query = -1: a whole number, 0 or more"),
    (f"{HEAD}\n{GOOD}\n2,1,0,0,0,1", f"line 5: query = 2: 0 or 1: queries {IN_ORDER}"),
    (f"{HEAD}\n{GOOD}\n1,1,0,0,0,1\n0,1,0,1,1,1", f"line 6: query = 0: 1 or 2: queries {IN_ORDER}"),
    (f"{HEAD}\n0,1,0,1,0,1", f"line 2: stage = 1: 0: stages {IN_ORDER}"),
    (f"{HEAD}\n{GOOD}\n\n0,1,0,3,0,1", f"line 6: stage = 3: 1 or 2: stages {IN_ORDER}"),
    (f"{HEAD}\n{GOOD}\n0,1,0,0,0,1", f"line 5: stage = 0: 1 or 2: stages {IN_ORDER}"),
    (f"{HEAD}\n0,1,0,first,0,1", "line 2: stage = first: a whole number, 0 or more"),
    (f"{HEAD}\n{GOOD}\n1,0.5,0,0,0,1", "line 5: arrival = 0.5: not before 1, the arrival of the query before it"),
    (f"{HEAD}\n{GOOD}\n0,2,0,1,1,1", "line 5: arrival = 2: the same in all rows of a query"),
    (f"{HEAD}\n{GOOD}\n0,1,1,1,1,1", "line 5: user = 1: the same in all rows of a query"),
    (f"{HEAD}\n0,,0,0,0,1", f'line 2: arrival = "": {SECONDS}'),
    (f"{HEAD}\n0,1_0,0,0,0,1", f"line 2: arrival = 1_0: {SECONDS}"),
    (f"{HEAD}\n0,1,0,0,0,nan", f"line 2: service = nan: {SECONDS}"),
    (f"{HEAD}\n0,1,0,0,0,-2", f"line 2: service = -2.0: {SECONDS}"),
    (f"{HEAD}\n0,1,0,0,0,1e999", f"line 2: service = inf: {SECONDS}"),
    (f"{HEAD}\n0,1,0,0,,1", 'line 2: device = "": a device, by number or by name'),
    (f"{HEAD}\n0,1,0,0,1000000,1", "line 2: device = 1000000: a number below 1000000"),
    (f"# devices: 1\n{HEAD}\n0,1,0,0,1,1", "line 3: device = 1: a device number from 0 to 0"),
    (
        f'# devices: ["a"]\n{HEAD}\n0,1,b,0,a,1',
        "line 3: user = b: a device number from 0 to 0, or one of the names a",
    ),
    (f"# devices: many\n{HEAD}\n{GOOD}", '# devices = many: a count from 1 to 1000000, or names such as ["a", "b"]'),
    (f"{HEAD}\n0,1,0,0,0,1\n0,1,0,0,0,1", "query 0, stage 0, job 1: device = 0: each device once a stage"),
    (f"{HEAD},quorum\n0,1,0,0,0,1,2", "query 0, stage 0: quorum = 2: a whole number from 1 to 1, the jobs of the stage"),
    (f"{HEAD},quorum\n0,1,0,0,0,1,0", "line 2: quorum = 0: a whole number, 1 or more"),
    (f"{HEAD},quorum\n0,1,0,0,0,1,1\n0,1,0,0,1,1,", 'line 3: quorum = "": the same in all rows of a stage'),
    (f"{HEAD},back\n0,1,0,0,0,1,\n0,1,0,0,1,1,late", f"line 3: back = late: {SECONDS}"),
    (f"{HEAD},back\n0,1,0,0,0,1,3", "query 0, stage 0, job 0: back = 3.0: 0 at the user's own device"),
]


@pytest.mark.parametrize(("content", "complaint"), BAD_CSV)
def test_bad_tables_are_refused_in_a_line(tmp_path: Path, content: str, complaint: str) -> None:
    path = put(tmp_path, "t.csv", content)
    with pytest.raises(InputError) as refusal:
        read_trace(path)
    assert str(refusal.value) == f"{path}: {complaint}"


def test_a_long_list_of_names_is_not_printed(tmp_path: Path) -> None:
    names = [f"device called {d}" for d in range(50)]
    path = put(tmp_path, "t.json", document({**QUERY, "user": "me"}, devices=names))
    with pytest.raises(InputError, match="a device number from 0 to 49, or a name from the list of devices"):
        read_trace(path)


def test_places_that_hold_no_trace(tmp_path: Path) -> None:
    put(tmp_path, "burst.csv", "")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.json").mkdir()
    for name, complaint in {
        "brust.csv": "no such file: the path of an existing file; did you mean burst.csv?",
        "nowhere/t.csv": "no such file: the path of an existing file",
        "t.xlsx": ".xlsx: a file ending in .json or .csv",
        "t": "no extension: a file ending in .json or .csv",
        "folder.json": "a folder: the path of a file",
        "pipe.csv": "not a regular file: the path of a file",
        "nul\0.csv": "embedded null byte: a file that can be read",
    }.items():
        with pytest.raises(InputError) as refusal:
            read_trace(tmp_path / name)
        assert str(refusal.value) == f"{tmp_path / name}: {complaint}"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    for name in ("nowhere/t.csv", "t.txt"):
        with pytest.raises(InputError):
            write_trace(Trace(**PLAIN), tmp_path / name)
    assert list(tmp_path.iterdir()) == []
