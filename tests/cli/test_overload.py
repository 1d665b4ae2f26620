"""`dmoa overload`: the report, the JSON, the files, exit codes, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli.schema import read_schema

FILES = {"overload.json", "overload.csv", "loads.png", "growth.png"}


def test_json_keeps_its_schema(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario()
    answer = dmoa("overload", path, "--scale", 10, "--buffer", 50, "--prompts", 20, "--json")
    assert (answer.code, answer.err) == (3, "")
    document = answer.checked("overload")
    assert {"growth_rate", "throughput", "time_to_full"} <= set(document)
    assert document["buffer"] == {"jobs": 50, "memory_bytes": None}
    assert document["time_to_full"] == pytest.approx([50 / rate for rate in document["growth_rate"]])
    assert document["throughput"] == pytest.approx(sum(document["per_user_goodput"]))
    assert document["throughput"] < document["offered"] == 0.08
    assert document["utilisation"]["nominal"] == pytest.approx([4 * 24 * 0.02] * 4)
    assert document["first_prompts"]["prompts"] == 20
    assert dmoa("overload", path, "--scale", 10, "--buffer", 50, "--prompts", 20, "--json").out == answer.out
    scaled = dmoa("overload", path, "--set", "arrivals.rate=0.02", "--buffer", 50, "--prompts", 20, "--json")
    assert scaled.json["growth_rate"] == pytest.approx(document["growth_rate"])


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 0),
        (("--scale", "1e-6"), 0),
        (("--scale", "100"), 3),
        (("--set", "moa.M=0", "--set", "moa.k=0", "--scale", "30"), 3),
        (("--set", "moa.quorum=1", "--scale", "30"), 3),
        (("--set", "moa.M=500", "--set", "moa.k=1", "--scale", "100"), 3),
        (("--set", "arrivals.rate=[0.5, 0, 0, 0]"), 3),
        (("--set", "network.link_delay=3.0", "--scale", "9"), 3),
        (("--set", "service.mean=125", "--set", "moa.M=0", "--set", "arrivals.rate=0.008"), 3),
    ],
)
def test_every_kind_of_load_keeps_the_schema(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...], code: int
) -> None:
    path = scenario()
    answer = dmoa("overload", path, *arguments, "--json")
    assert (answer.code, answer.err) == (code, "")
    document = answer.checked("overload")
    assert document["stable"] is (code == 0)
    if code == 0:
        assert document["growth_rate"] == [0.0] * 4
        assert document["time_to_full"] == [None] * 4
        assert document["reasons"]
    report = dmoa("overload", path, *arguments)
    assert (report.code, report.err) == (code, "")
    for word in ("nan", "inf "):
        assert word not in report.out


def test_the_scenarios_memory_fills(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    more = '[memory]\nbytes_per_prompt = 4096\nbytes_per_response = 1024\n[constraints]\nmemory = "1 MiB"\n'
    document = dmoa("overload", scenario(more=more), "--scale", 10, "--json").checked("overload")
    assert document["buffer"] == {"jobs": None, "memory_bytes": 2**20}
    assert all(time > 0 for time in document["time_to_full"])
    report = dmoa("overload", scenario(more=more), "--scale", 10)
    assert "The memory is full first at device-0, after" in " ".join(report.out.split())
    assert "memory full after" in report.out


def test_a_memory_that_holds_no_idle_device_is_said_to_be_too_small(
    dmoa: Callable[..., Any], scenario: Callable[..., Path]
) -> None:
    """Not full after 0 ms: it never fits, at any load."""
    more = '[memory]\nweights = "2 GiB"\nbytes_per_prompt = 4096\n[constraints]\nmemory = "1 GiB"\n'
    path = scenario(more=more)
    for scale in (1, 10):
        report = " ".join(dmoa("overload", path, "--scale", scale).out.split())
        assert "device-2 and 1 more does not hold even the weights and the largest cache" in report
        assert report.count("does not fit") == 4
        assert "0 ms" not in report
        assert "is full first" not in report
        document = dmoa("overload", path, "--scale", scale, "--json").checked("overload")
        assert document["time_to_full"] == [0] * 4
        assert any(reason.startswith("time_to_full is 0 where the memory") for reason in document["reasons"])


def test_the_schema_asks_for_every_key() -> None:
    schema = json.loads(read_schema("overload"))
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_report(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = " ".join(dmoa("overload", scenario(), "--scale", 10).out.split())
    assert "4 queues grow with M=1, k=2 (fluid limit)" in said
    assert "of the prompts are answered" in said
    assert "The first 100 prompts wait" in said
    assert "A buffer of 100 jobs is full first at" in said
    assert "the only solution is proved: one layer at most." in said
    assert "100 jobs after" in said
    assert "UNSTABLE with M=1, k=2: device-0 is offered 1.92 seconds of work a second." in said


@pytest.mark.parametrize("scale", [1, 10])
def test_region_and_overload_say_the_same_of_the_same(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], scale: int
) -> None:
    """The first line under each table is one and the same, stable or not."""
    said = [dmoa("overload", scenario(), "--scale", scale).out, dmoa("region", scenario(("0.002", str(0.002 * scale)))).out]
    start = "UNSTABLE with M=1, k=2: " if scale > 1 else "With M=1, k=2 every queue stays bounded; the busiest device is "
    firsts = [next(line for line in text.splitlines() if line.startswith(start)) for text in said]
    assert firsts[0] == firsts[1]


def test_where_nothing_grows_no_growth_is_drawn(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    dmoa("overload", scenario(), "--scale", 10, "--out", out)
    assert (out / "growth.png").exists()
    said = " ".join(dmoa("overload", scenario(), "--out", out).out.split())
    assert {entry.name for entry in out.iterdir()} == FILES - {"growth.png"}
    assert "So nothing grows; --scale 5.47 would show what happens beyond the edge." in said


def test_files_are_whole(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    out, path = tmp_path / "made" / "here", scenario()
    printed = dmoa("overload", path, "--scale", 10, "--out", out, "--json")
    files = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    assert set(files) == FILES
    assert json.loads(files["overload.json"]) == printed.json
    rows = list(csv.DictReader(files["overload.csv"].decode().splitlines()))
    assert [float(row["growth_jobs_per_s"]) for row in rows] == printed.json["growth_rate"]
    for name in ("loads.png", "growth.png"):
        assert files[name].startswith(b"\x89PNG")
    dmoa("overload", path, "--scale", 10, "--out", out)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == files
    assert dmoa("overload", path, "--out", tmp_path / "stable").code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--scale", "0"), "--scale = 0.0: a finite number above 0"),
        (("--scale", "-2"), "--scale = -2.0: "),
        (("--scale", "nan"), "--scale = nan: "),
        (("--scale", "1e300"), "--scale = 1e+300: a factor that leaves"),
        (("--buffer", "0"), "--buffer = 0: a whole number from 1"),
        (("--prompts", "0"), "--prompts = 0: a whole number from 1"),
        (("--prompts", "many"), "Invalid value for --prompts: "),
        (("--set", "moa.k=9"), ""),
    ],
)
def test_bad_input_is_a_line_and_code_2(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...], complaint: str
) -> None:
    assert dmoa("overload", scenario(), *arguments).complaint().startswith(complaint)


def test_long_names_give_way_to_figures(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """A table that is too wide cuts names, never a load or a time."""
    long = "The reception desk on the second floor of the west wing, number"
    names = ", ".join(f'"{long} {u}"' for u in range(4))
    said = dmoa("overload", scenario(("n = 4", f"n = 4\nnames = [{names}]")), "--scale", 10).out
    rows = [line for line in said.splitlines() if line.startswith(" The rec")]
    assert len(rows) == 4
    for row in rows:
        assert row.count("…") == 1
        assert row.count(" %") == 2
        assert row.rstrip().endswith("overloaded")
