"""`dmoa simulate`: the report, the JSON, the files, Ctrl-C, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import load_scenario, stability_region
from dmoa_theory.simulation.steady.simulate import simulate

MEMORY = (
    "[memory]\nweights = 8e9\nkv_bytes_per_token = 1e5\ncontext_tokens = 2048\nbytes_per_prompt = 4096\n"
    "bytes_per_response = 1024\n"
)
FEW = ("--queries", "2000")
KEYS = {
    "mean",
    "p50",
    "p95",
    "p99",
    "per_user",
    "per_device",
    "ci95",
    "queries",
    "jobs",
    "seed",
    "stable",
    "partial",
    "throughput",
}

Changes = tuple[tuple[str, str], ...]

CASES: list[tuple[str, Changes, str, bool]] = [
    ("plain", (), "", True),
    ("unstable", (("0.002", "0.05"),), "", False),
    ("unstable with memory", (("0.002", "0.05"),), MEMORY, False),
    ("memory", (), MEMORY, True),
    ("every user its own", (("M = 1", "M = [0, 1, 2, 3]"), ("k = 2", "k = [0, 1, 2, 3]")), "", True),
    ("helpers", (("0.002", "[0.002, 0, 0.001, 0]"),), "", True),
    ("one device", (("n = 4", "n = 1"), ("M = 1\nk = 2", "M = 0\nk = 0")), "", True),
    ("quorum", (("k = 2", "k = 2\nquorum = 2"),), "", True),
    ("link delays", (("n = 4", "n = 4\nlink_delay = [0.1, 0, 2.5, 0.3]"),), "", True),
    ("no variation", (("24.0", '24.0\nlaw = "deterministic"'),), "", True),
]


@pytest.mark.parametrize(("changes", "more", "stable"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_json_keeps_its_schema(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], changes: Changes, more: str, stable: bool
) -> None:
    """Exit code, one object and nothing else, the same bytes again, whatever is missing."""
    path = scenario(*changes, more=more)
    answer = dmoa("simulate", path, *FEW, "--json")
    assert answer.err == ""
    document = answer.checked("simulate")
    assert set(document) >= KEYS
    assert (document["schema"], document["source"]) == ("dmoa/simulate/1", "simulated")
    assert answer.code == (0 if stable else 3)
    assert document["stable"] is stable
    assert document["queries"] == (2000 if stable else 0)
    assert dmoa("simulate", path, *FEW, "--json").out == answer.out
    assert dmoa("simulate", path, *FEW, "--json", "--seed", "1").out != answer.out


@pytest.mark.parametrize("queries", ["1", "7", "40"])
def test_a_few_prompts_are_an_answer_too(dmoa: Callable[..., Any], scenario: Callable[..., Path], queries: str) -> None:
    """What is not known is null, and figures keep their places."""
    document = dmoa("simulate", scenario(), "--queries", queries, "--json").checked("simulate")
    assert document["queries"] == int(queries)
    assert document["mean"] > 0
    assert document["ci95"]["p99"] is None
    report = dmoa("simulate", scenario(), "--queries", queries)
    assert report.code == 0
    assert not re.search(r"\b(nan|inf|None)\b", report.out)


def test_the_schema_asks_for_every_key(dmoa: Callable[..., Any]) -> None:
    schema = dmoa("schema", "simulate").json
    assert set(schema["required"]) >= KEYS
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]["ci95"]["properties"]) <= set(schema["properties"])


def test_the_figures_are_those_of_python(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario()
    document = dmoa("simulate", path, "--queries", "3e3", "--seed", "5", "--replications", "2", "--json").json
    result = simulate(load_scenario(path), queries=3000, seed=5, replications=2)
    assert document == result.to_dict()
    assert document["mean"] == result.mean_latency
    assert document["ci95"]["mean"] == float(result.mean.half_width)
    assert document["per_device"][2]["utilisation"] == result.utilisation.value[2]
    assert document["replications"] == 2


def test_same_seed_same_bytes_whatever_the_workers(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Also where it goes on until the precision is reached."""
    path = scenario()
    options = ("--queries", "2000", "--replications", "2", "--precision", "4%", "--json")
    one, two = (dmoa("simulate", path, *options, "--workers", workers) for workers in (1, 2))
    assert one.code == 0
    assert one.out == two.out
    document = one.checked("simulate")
    assert document["queries"] > 2000
    assert document["precision"]["wanted"] == 0.04
    assert document["precision"]["reached"] <= 0.04


@pytest.mark.parametrize("precision", ["5%", "5 %", "0.05", " 5% "])
def test_ways_to_write_a_precision(dmoa: Callable[..., Any], scenario: Callable[..., Path], precision: str) -> None:
    answer = dmoa("simulate", scenario(), *FEW, "--precision", precision, "--json")
    assert answer.json["precision"]["wanted"] == pytest.approx(0.05)


def test_a_precision_out_of_reach_is_said(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    options = (*FEW, "--precision", "0.1%", "--max-queries", "4000")
    document = dmoa("simulate", scenario(), *options, "--json").json
    assert document["queries"] == 4000
    assert document["precision"]["reached"] > 0.001
    said = "the precision of 0.1 % was not reached"
    assert any(reason.startswith(said) for reason in document["reasons"])
    assert said[1:] in " ".join(dmoa("simulate", scenario(), *options).out.split())


def test_the_report_says_what_was_done_and_found(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario(("n = 4", 'n = 4\nnames = ["[bold]x[/bold]", "[/]", "c", "d"]'), more=MEMORY)
    report = dmoa("simulate", path, "--queries", "20000")
    assert (report.code, report.err) == (0, "")
    assert max(map(len, report.out.splitlines())) <= 110
    said = " ".join(report.out.split())
    assert "four desks network: complete graph of 4 devices" in said
    assert "latency with M=1, k=2 (simulated, ± 95 % interval)" in said
    assert re.search(r"all prompts \d+\.\d+ ± \d\.\d+ s", said)
    assert re.search(r"\[bold\]x\[/bold\] +\d+\.\d+ ± \d\.\d+ %", said)
    assert "Simulated: 20,000 prompts in 32 batches, after a warm-up of " in said
    assert "seed 0." in said
    assert re.search(r"It took [\d.]+ (ms|s), [\d,]+ inferences a second; loading or compiling the simulator took", said)
    assert re.search(r"With M=1, k=2 a prompt takes \S+ ± \S+ s on average, and 95 in 100 take less than \S+ ± \S+ s\.", said)
    assert re.search(r"Answers: \S+ ± \S+ per hour; prompts under way at a time: \S+ ± \S+\.", said)
    assert re.search(r"Memory: \S+ needs most, 7\.\d+ GiB, exceeded with probability 0\.001\.", said)
    without = " ".join(dmoa("simulate", scenario(), *FEW).out.split())
    assert "How much memory the queues need is not known: that takes weights" in without


def test_idle_workers_are_pointed_out(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = " ".join(dmoa("simulate", scenario(), *FEW, "--workers", "2").out.split())
    assert "Workers share replications, so only one worker had work: --replications 2 busies all 2." in said


def test_an_unstable_system_is_answered_in_full(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Which queue grows and how fast, which device is offered too much, and what scale works."""
    path = scenario(("24.0", "[24.0, 31.0, 28.0, 400.0]"))
    report = dmoa("simulate", path, "--queries", "20000")
    assert (report.code, report.err) == (3, "")
    said = " ".join(report.out.split())
    growth = re.search(r"UNSTABLE with M=1, k=2: the queue of device-3 grew by ([\d.]+) jobs an hour\.", said)
    assert growth
    # the first layers of all users reach it in time, its own aggregations only as fast as it is
    assert 3600 * (3 * 0.002 - 1 / 400) < float(growth[1]) < 3600 * (4 * 0.002 - 1 / 400)
    assert "The load says so too: device-3 is offered 3.2 seconds of work a second." in said
    assert "Queues stay bounded when all rates are scaled by less than 0.312." in said
    assert re.search(r"device-3 +\d[\d.]* +grows", report.out)
    document = dmoa("simulate", path, "--queries", "20000", "--json").checked("simulate")
    assert [document[key] for key in ("mean", "p50", "p95", "p99", "throughput")] == [None] * 5
    assert document["per_device"][3]["growth_rate"] == pytest.approx(float(growth[1]) / 3600, rel=0.01)
    assert document["reasons"][0].startswith("no averages: the queue of device-3 grew throughout the run, by ")


def test_a_load_above_one_that_the_run_did_not_notice(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario(("0.002", "0.01046"))  # 1.004 seconds of work a second
    assert not stability_region(load_scenario(path)).stable
    answer = dmoa("simulate", path, "--queries", "200", "--json")
    document = answer.checked("simulate")
    assert (answer.code, document["stable"]) == (3, False)
    assert document["mean"] is not None
    assert document["reasons"][0] == (
        "unstable: device-0 is offered 1.004 seconds of work a second, which the run was too short to show; "
        "queues stay bounded when all rates are scaled by less than 0.9959"
    )
    report = dmoa("simulate", path, "--queries", "200")
    assert report.code == 3
    said = " ".join(report.out.split())
    assert "UNSTABLE: device-0 is offered 1 seconds of work a second. The run was too short to show it" in said


def test_files_are_whole(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    path, out = scenario(more=MEMORY), tmp_path / "made" / "here"
    printed = dmoa("simulate", path, *FEW, "--out", out, "--json")
    files = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    tables = {"simulate.csv", "queues.csv", "queue_lengths.csv"}
    assert set(files) == {"simulate.json", *tables, "latency.png", "queue_lengths.png"}
    assert json.loads(files["simulate.json"]) == printed.json
    rows = {name: list(csv.DictReader(files[name].decode().splitlines())) for name in tables}
    assert [row["prompts_of"] for row in rows["simulate.csv"]] == ["all", *(f"device-{d}" for d in range(4))]
    assert float(rows["simulate.csv"][0]["p95_s"]) == printed.json["p95"]
    assert float(rows["queues.csv"][1]["utilisation_ci95"]) == printed.json["ci95"]["per_device"][1]["utilisation"]
    lengths = [float(row["share_of_time"]) for row in rows["queue_lengths.csv"] if row["device"] == "device-2"]
    assert lengths == printed.json["per_device"][2]["jobs_distribution"]
    assert sum(lengths) == pytest.approx(1)
    assert all(files[name].startswith(b"\x89PNG") for name in ("latency.png", "queue_lengths.png"))
    dmoa("simulate", path, *FEW, "--out", out)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == files


def test_files_of_what_is_unstable_are_written_too(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    answer = dmoa("simulate", scenario(("0.002", "0.05")), *FEW, "--out", tmp_path / "out", "--json")
    assert answer.code == 3
    assert json.loads((tmp_path / "out" / "simulate.json").read_text()) == answer.json
    assert len(list((tmp_path / "out").iterdir())) == 6


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--queries", "0"], "--queries = 0: a whole number, 1 or more"),
        (["--queries", "-3"], "--queries = -3: a whole number, 1 or more"),
        (["--queries", "2.5"], "Invalid value for --queries: 2.5: a whole number, such as 1000000 or 1e6"),
        (["--queries", "many"], "Invalid value for --queries: many: a whole number, such as 1000000 or 1e6"),
        (["--queries", "1e20"], "--queries = 100000000000000000000: a whole number from 1 to 1,000,000,000,000"),
        (["--seed", "-1"], "--seed = -1: a whole number, 0 or more"),
        (["--replications", "0"], "--replications = 0: a whole number, 1 or more"),
        (["--replications", "1001"], "--replications = 1001: a whole number from 1 to 1,000: they stay in memory"),
        (["--replications", "20", "--queries", "10"], "--queries = 10: at least one for each of the 20 replications"),
        (["--workers", "0"], "--workers = 0: a whole number, 1 or more"),
        (["--precision", "0"], "--precision = 0: a share above 0 and below 1, such as 1% or 0.01"),
        (["--precision", "200%"], "--precision = 200%: a share above 0 and below 1, such as 1% or 0.01"),
        (["--precision", "nan"], "--precision = nan: a share above 0 and below 1, such as 1% or 0.01"),
        (["--precision", "tight"], "--precision = tight: a share above 0 and below 1, such as 1% or 0.01"),
        (["--max-queries", "10"], "--max-queries = 10: only beside --precision: otherwise --queries says how many"),
        (
            ["--precision", "1%", "--max-queries", "10", "--queries", "20"],
            "--max-queries = 10: a whole number, --queries = 20 or more",
        ),
        (["--set", "moa.k=9"], "moa.k = 9: device device-0 has 3 neighbours"),
    ],
)
def test_bad_input_is_a_line_and_code_2(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], options: list[str], complaint: str
) -> None:
    path = scenario()
    said = dmoa("simulate", path, *options, "--json").complaint()
    assert said.removeprefix(f"{path}: ").startswith(complaint)


def test_places_that_are_not_there(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    assert dmoa("simulate", tmp_path / "none.toml").complaint() == f"{tmp_path}/none.toml: no such file"
    path = scenario()
    # refused before the work begins, not after
    assert dmoa("simulate", path, "--queries", "1e10", "--out", path).complaint().startswith(f"--out = {path}: ")


def test_no_scheduler_no_answer(process: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """One line within a few seconds, and not a word from the library."""
    pytest.importorskip("distributed")
    said = process("simulate", scenario(), *FEW, "--scheduler", "tcp://127.0.0.1:1", "--json").complaint()
    assert said == ("--scheduler = tcp://127.0.0.1:1: the address of a running Dask scheduler, such as tcp://127.0.0.1:8786")


@pytest.mark.parametrize("options", [[], ["--workers", "2", "--replications", "2"]], ids=["one process", "two workers"])
def test_an_interrupt_prints_what_is_finished(
    interrupted: Callable[..., Any], scenario: Callable[..., Path], options: list[str]
) -> None:
    """Ctrl-C, which a terminal sends to every process: the partial answer, and exit code 130."""
    answer = interrupted("simulate", scenario(), "--queries", "2000000000", "--json", *options)
    document = answer.json
    assert (answer.code, answer.err, document["partial"]) == (130, "", True)
    assert document["reasons"][0].startswith("interrupted: ")


def test_what_an_interrupt_leaves_is_kept(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches that were finished are an answer with intervals; the schema holds; the report says that it is partial."""
    from dmoa_theory.simulation.steady.steady_run import SteadyRun

    closed = SteadyRun._close_window

    def interrupted(run: SteadyRun) -> Any:
        if run.finished == 12:
            raise KeyboardInterrupt
        return closed(run)

    monkeypatch.setattr(SteadyRun, "_close_window", interrupted)
    answer = dmoa("simulate", scenario(), "--queries", "32000", "--json")
    assert (answer.code, answer.err) == (130, "")
    document = answer.checked("simulate")
    assert (document["partial"], document["stable"], document["queries"]) == (True, True, 12_000)
    assert document["ci95"]["mean"] > 0
    assert document["reasons"][0] == "interrupted: the figures are of the 12,000 queries that were finished"
    report = dmoa("simulate", scenario(), "--queries", "32000")
    assert report.code == 130
    said = " ".join(report.out.split())
    assert said.index("INTERRUPTED: what follows is partial.") < said.index("latency with M=1, k=2 (simulated")
    assert "Simulated: 12,000 prompts in 12 batches" in said


def test_replications_before_an_interrupt_are_kept(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one whole, nothing of the second and third."""
    from dmoa_theory.simulation.steady.steady_run import SteadyRun

    keep, begun = SteadyRun.keep, []

    def interrupted(run: SteadyRun) -> None:
        begun.append(run)
        if len(begun) == 2:
            raise KeyboardInterrupt
        keep(run)

    monkeypatch.setattr(SteadyRun, "keep", interrupted)
    answer = dmoa("simulate", scenario(), "--queries", "33000", "--replications", "3", "--json")
    assert answer.code == 130
    document = answer.checked("simulate")
    assert (document["queries"], document["replications"]) == (11_000, 1)


def test_an_interrupt_before_anything_is_finished(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dmoa_theory.simulation.steady.steady_run import SteadyRun

    def interrupted(run: SteadyRun) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(SteadyRun, "_close_window", interrupted)
    answer = dmoa("simulate", scenario(), "--json", "--out", tmp_path / "out")
    assert answer.code == 130
    document = answer.checked("simulate")
    assert (document["queries"], document["mean"]) == (0, None)
    assert document["reasons"] == ["interrupted: no batch of queries was finished, so there are no figures"]
    assert (tmp_path / "out" / "latency.png").stat().st_size > 1000
    report = dmoa("simulate", scenario())
    assert "Simulated: no prompts kept" in report.out
    assert not re.search(r"\b(nan|inf|None)\b", report.out)
