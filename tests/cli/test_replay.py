"""`dmoa replay`: the report, the JSON, the files, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.simulation.traces.files import read_trace
from dmoa_theory.simulation.traces.replay import replay

WORKED = """\
# devices: ["left", "right"]
query,arrival,user,stage,device,service
0,0,left,0,left,4
0,0,left,0,right,3
0,0,left,1,left,2
1,1,right,0,right,5
1,1,right,0,left,1
1,1,right,1,right,2
2,2,left,0,left,2
2,2,left,0,right,2
2,2,left,1,left,3
"""
KEYS = {"queries", "jobs", "last_end", "mean", "p50", "p95", "latency", "mean_waiting", "mean_in_system", "per_device"}


@pytest.fixture
def worked(tmp_path: Path) -> Path:
    path = tmp_path / "worked.csv"
    path.write_text(WORKED)
    return path


def test_json_keeps_its_schema(dmoa: Callable[..., Any], worked: Path) -> None:
    answer = dmoa("replay", worked, "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.checked("replay")
    assert KEYS | {"schema", "version", "source", "published", "reasons"} == set(document)
    assert (document["queries"], document["jobs"], document["last_end"]) == (3, 9, 13)
    assert document["latency"] == [9, 11, 11]
    assert document["mean"] == pytest.approx(31 / 3)
    assert document["published"] == {"latency": pytest.approx(31 / 3), "average_queue_size": pytest.approx(25 / 13 / 2)}
    assert document["mean_waiting"] == pytest.approx(19 / 26)
    assert document["per_device"][0] == {
        "name": "left",
        "jobs": 5,
        "utilisation": pytest.approx(12 / 13),
        "mean_waiting": pytest.approx(9 / 13),
        "mean_in_system": pytest.approx(21 / 13),
        "largest_waiting": 2,
    }
    assert document["reasons"] == []
    assert dmoa("replay", worked, "--json").out == answer.out


@pytest.mark.parametrize(
    ("text", "reasons", "null"),
    [
        (
            "query,arrival,user,stage,device,service,quorum\n0,0,0,0,0,1,1\n0,0,0,0,1,1,1\n",
            ["published is null: the published code waits for every answer, and this trace has a quorum"],
            {"latency", "average_queue_size"},
        ),
        (
            "query,arrival,user,stage,device,service,there\n0,0,0,0,1,1,0.5\n",
            ["published is null: the published code knows no link delays, and this trace has some"],
            {"latency", "average_queue_size"},
        ),
        (
            "query,arrival,user,stage,device,service\n0,0,0,0,0,0\n",
            [
                "published.average_queue_size is null: the aggregation taken out last ends at time 0",
                "time averages are null: every job ends at time 0",
            ],
            {"average_queue_size"},
        ),
    ],
)
def test_what_is_null_has_a_reason(
    dmoa: Callable[..., Any], tmp_path: Path, text: str, reasons: list[str], null: set[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    document = dmoa("replay", path, "--json").checked("replay")
    assert document["reasons"] == reasons
    assert {key for key, value in document["published"].items() if value is None} == null
    report = dmoa("replay", path)
    assert report.code == 0
    said = " ".join(report.out.split())
    assert all(reason[1:] in said for reason in reasons)


def test_the_schema_asks_for_every_key(dmoa: Callable[..., Any]) -> None:
    schema = dmoa("schema", "replay").json
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_report_names_both_counts_of_the_queue(dmoa: Callable[..., Any], worked: Path) -> None:
    report = dmoa("replay", worked)
    assert (report.code, report.err) == (0, "")
    lines = {" ".join(line.split()) for line in report.out.splitlines()}
    assert "replay of 3 queries (exact)" in lines
    assert "latency, mean 10.3 s" in lines
    assert "number waiting, time average, mean of devices 0.73" in lines
    assert '"average queue size" of the published code 0.96' in lines
    assert "right 92.3 % 0.77 2 1.69" in lines


def test_files_are_whole(dmoa: Callable[..., Any], worked: Path, tmp_path: Path) -> None:
    out = tmp_path / "made" / "here"
    printed = dmoa("replay", worked, "--out", out, "--json")
    files = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    assert set(files) == {"replay.json", "replay.csv", "queues.csv"}
    assert json.loads(files["replay.json"]) == printed.json
    rows = list(csv.DictReader(files["replay.csv"].decode().splitlines()))
    assert [row["latency_s"] for row in rows] == ["9.0", "11.0", "11.0"]
    assert rows[1] == {"query": "1", "user": "right", "jobs": "3", "arrival_s": "1.0", "end_s": "12.0", "latency_s": "11.0"}
    dmoa("replay", worked, "--out", out)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == files


def test_bad_input_is_a_line_and_code_2(dmoa: Callable[..., Any], worked: Path, tmp_path: Path) -> None:
    worked.write_text(WORKED.replace("0,0,left,0,right,3", "0,0,left,0,right,-3"))
    complaint = dmoa("replay", worked, "--json").complaint()
    assert complaint == f"{worked}: line 4: service = -3.0: a finite number of seconds, from 0 to 1e+30"
    assert dmoa("replay", tmp_path / "none.json").complaint().endswith("no such file: the path of an existing file")
    assert "TRACE" in dmoa("replay").complaint()
    assert dmoa("replay", worked, "more").complaint() == "more: unexpected; dmoa replay --help says what it takes"
    worked.write_text(WORKED)
    assert dmoa("replay", worked, "--out", worked).complaint().startswith(f"--out = {worked}: ")


def test_the_result_in_a_notebook(worked: Path) -> None:
    result = replay(read_trace(worked))
    assert result.to_frame().latency_s.tolist() == [9, 11, 11]
    assert "average queue size" in result._repr_html_()
    assert repr(result).startswith("replay of 3 queries (exact)\n")


def test_the_busiest_of_many_devices(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"{q},0,{q},0,{q},{q + 1}" for q in range(20)]
    path.write_text("\n".join(["query,arrival,user,stage,device,service", *rows]) + "\n")
    table = replay(read_trace(path)).device_table()
    assert table.caption == "queues (exact) (12 busiest of 20 devices)"
    assert [row[0] for row in table.rows] == [f"device-{d}" for d in range(19, 7, -1)]
