"""`dmoa burst`: the report, the JSON, the files, and what is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory.cli.schema import read_schema
from dmoa_theory.simulation.bursts.burst_run import Run, play

FILES = {"burst.json", "burst.csv", "users.csv", "queues.csv", "trajectories.csv", "trajectories.png"}


def test_json_keeps_its_schema(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario()
    answer = dmoa("burst", path, "--prompts", 6, "--replications", 20, "--buffer", 2, "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.checked("burst")
    assert (document["prompts"], document["until"], document["replications"], document["partial"]) == (6, None, 20, False)
    assert document["mean"]["lower"] < document["mean"]["value"] < document["mean"]["upper"]
    assert [(row["first"], row["last"]) for row in document["by_prompt"]] == [(i, i) for i in range(1, 7)]
    assert [device["name"] for device in document["per_device"]] == [f"device-{d}" for d in range(4)]
    assert len(document["trajectories"]["time"]) == len(document["trajectories"]["mean_of_devices"]["waiting"]["mean"])
    assert document["buffer"]["size"] == 2
    assert document["published"]["latency"]["value"] == pytest.approx(document["mean"]["value"])
    again = dmoa("burst", path, "--prompts", 6, "--replications", 20, "--buffer", 2, "--json", "--seed", 0)
    assert again.out == answer.out
    other = dmoa("burst", path, "--prompts", 6, "--replications", 20, "--buffer", 2, "--json", "--seed", 1).json
    assert other["mean"] != document["mean"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--until", "3600"),
        ("--until", "1e-6"),
        ("--prompts", "1", "--replications", "1"),
        ("--prompts", "9", "--at-once", "--buffer", "3"),
        ("--prompts", "4", "--set", "moa.quorum=2"),
        ("--prompts", "300", "--replications", "2"),
        ("--prompts", "30", "--set", "arrivals.rate=2.0"),
    ],
)
def test_every_kind_of_run_keeps_the_schema(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...]
) -> None:
    """Code 0 also when the system is not stable: a finite run is well defined."""
    path, short = scenario(), () if "--replications" in arguments else ("--replications", "5")
    answer = dmoa("burst", path, *arguments, *short, "--json")
    assert (answer.code, answer.err) == (0, "")
    answer.checked("burst")
    report = dmoa("burst", path, *arguments, *short)
    assert (report.code, report.err) == (0, "")
    assert "nan" not in report.out
    assert "is null" not in report.out
    assert "interval of" not in report.out
    assert "inf" not in report.out.replace("inference", "")


def test_the_schema_asks_for_every_key() -> None:
    schema = json.loads(read_schema("burst"))
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_the_report(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    report = dmoa("burst", scenario(), "--prompts", 10, "--at-once", "--buffer", 2, "--replications", 30)
    said = " ".join(report.out.split())
    assert "10 prompts at once with M=1, k=2, from empty queues (simulated, 30 runs)" in said
    assert "number waiting, mean of devices" in said
    assert "On average the first prompt takes" in said
    assert "The mean latency of a single run strays by" in said
    assert "A device has 2 jobs waiting at some time in 100.0 % of the runs" in said


def test_files_are_whole(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    out, path = tmp_path / "made" / "here", scenario()
    printed = dmoa("burst", path, "--prompts", 5, "--replications", 10, "--out", out, "--json")
    files = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    assert set(files) == FILES
    assert json.loads(files["burst.json"]) == printed.json
    rows = list(csv.DictReader(files["burst.csv"].decode().splitlines()))
    assert [row["prompts"] for row in rows] == ["all", "1", "2", "3", "4", "5"]
    assert float(rows[0]["mean_s"]) == printed.json["mean"]["value"]
    assert len(list(csv.DictReader(files["queues.csv"].decode().splitlines()))) == 4
    asked = [float(row["prompts_per_run"]) for row in csv.DictReader(files["users.csv"].decode().splitlines())]
    assert sum(asked) == pytest.approx(5)
    looks = list(csv.DictReader(files["trajectories.csv"].decode().splitlines()))
    assert len(looks) == 5 * len(printed.json["trajectories"]["time"])
    assert {row["device"] for row in looks} == {"mean of devices", *(f"device-{d}" for d in range(4))}
    assert files["trajectories.png"].startswith(b"\x89PNG")
    dmoa("burst", path, "--prompts", 5, "--replications", 10, "--out", out)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == files


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "--prompts is missing: "),
        (("--prompts", "0"), "--prompts = 0: a whole number, 1 or more"),
        (("--prompts", "-3"), "--prompts = -3: "),
        (("--prompts", "many"), "Invalid value for --prompts: "),
        (("--prompts", "3", "--until", "60"), "--until = 60.0: left out when"),
        (("--until", "60", "--at-once"), "--at-once = True: only with a number of prompts"),
        (("--until", "0"), "--until = 0.0: a number of seconds above 0"),
        (("--until", "nan"), "--until = nan: "),
        (("--until", "1e15"), "--until = 1000000000000000.0: at most "),
        (("--prompts", "3", "--buffer", "0"), "--buffer = 0: a whole number, 1 or more"),
        (("--prompts", "3", "--replications", "0"), "--replications = 0: a whole number, 1 or more"),
        (("--prompts", "3", "--workers", "0"), "--workers = 0: a whole number, 1 or more"),
        (("--prompts", "3", "--seed", "-1"), "--seed = -1: a whole number, 0 or more"),
        (("--prompts", "10000000"), "--prompts = 10000000: a whole number from 1 to "),
        (("--prompts", "3", "--set", "moa.k=9"), ""),
        (("--arrivals", "none.csv"), "none.csv: no such file"),
        (("--arrivals", "{log}", "--prompts", "3"), "--arrivals = {log}: alone: the list says how many"),
        (("--arrivals", "{log}", "--at-once"), "--arrivals = {log}: alone: the list says how many"),
        (("--arrivals", "{log}", "--replications", "1000000"), "--arrivals = 100 prompts: a whole number from 1 to 20 with"),
    ],
)
def test_bad_input_is_a_line_and_code_2(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], log: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    given = [argument.replace("{log}", str(log)) for argument in arguments]
    assert dmoa("burst", scenario(), *given).complaint().startswith(complaint.replace("{log}", str(log)))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A hundred prompts in clumps of five, a quarter of an hour apart."""
    path = tmp_path / "log.csv"
    rows = [f"{900 * (i // 5) + 10 * (i % 5)},device-{i % 4}\n" for i in range(100)]
    path.write_text("time,user\n" + "".join(rows), encoding="utf-8")
    return path


def test_prompts_as_they_came(dmoa: Callable[..., Any], scenario: Callable[..., Path], log: Path, tmp_path: Path) -> None:
    """The list's rates take the place of the scenario's, and Poisson arrivals at the same rates stand beside."""
    answer = dmoa("burst", scenario(), "--arrivals", log, "--replications", 10, "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.checked("burst")
    told = document["arrivals"]
    assert (told["file"], told["span"], document["prompts"]) == ("log.csv", 900 * 19 + 40, 100)
    assert [user["prompts"] for user in told["per_user"]] == [25] * 4
    assert sum(user["rate"] for user in told["per_user"]) == pytest.approx(98 / told["span"])
    assert told["gap_scv"] > 2
    assert [user["prompts_per_run"] for user in document["per_user"]] == [25] * 4
    by_user = [user["mean"]["value"] for user in document["per_user"]]
    assert np.mean(by_user) == pytest.approx(document["mean"]["value"])
    assert document["mean"]["value"] > 1.2 * told["poisson"]["mean"]["value"]
    report = dmoa("burst", scenario(), "--arrivals", log, "--replications", 10, "--out", tmp_path / "out")
    said = " ".join(report.out.split())
    assert (report.code, report.err) == (0, "")
    assert "100 prompts as in log.csv with M=1, k=2, from empty queues (simulated, 10 runs)" in said
    assert "Poisson arrivals" in said
    assert "100 prompts of all 4 devices in 4.76 h; their number in" in said
    assert "Latency is mean 1." in said
    assert "as long as with Poisson arrivals at the same rates" in said
    assert "Another (M, k) or load has another ratio" in said
    assert "device-0 25 5.1" in said
    assert "which is in the scenario mean latency p95" in said
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == FILES


def test_interrupted_it_answers_with_what_it_has(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the fourth run: the whole answer of three, marked partial, and code 130."""
    begun = []

    def play_until_stopped(*arguments: Any) -> Run:
        begun.append(arguments)
        if len(begun) % 4 == 0:
            raise KeyboardInterrupt
        return play(*arguments)

    monkeypatch.setattr("dmoa_theory.simulation.bursts.burst.play", play_until_stopped)
    answer = dmoa("burst", scenario(), "--prompts", 5, "--json")
    assert (answer.code, answer.err) == (130, "")
    document = answer.checked("burst")
    assert (document["partial"], document["replications"]) == (True, 3)
    assert document["reasons"][0] == "partial: interrupted after 3 of 100 runs"
    report = dmoa("burst", scenario(), "--prompts", 5)
    assert report.code == 130
    assert "(simulated, 3 runs of 100, interrupted)" in " ".join(report.out.split())
    begun[:] = [()] * 3
    nothing = dmoa("burst", scenario(), "--prompts", 5)
    assert (nothing.code, nothing.out, nothing.err) == (130, "", "dmoa: interrupted\n")


def test_the_scenarios_own_list(dmoa: Callable[..., Any], scenario: Callable[..., Path], log: Path) -> None:
    """Played without being asked for again; and by a plan, with every configuration that meets the limits in theory."""
    path = scenario(("rate = 0.002", f'log = "{log.name}"'), more="[constraints]\np95_latency = 250.0\n")
    document = dmoa("burst", path, "--replications", 10, "--json").checked("burst")
    assert document["arrivals"]["file"] == "log.csv"
    assert dmoa("burst", path, "--replications", 10, "--prompts", 5, "--json").checked("burst")["arrivals"] is None
    report = " ".join(dmoa("burst", path, "--replications", 10).out.split())
    assert "in the scenario" not in report  # its rates are the list's
    assert "The scenario's limit: p95 latency" in report
    plan = dmoa("plan", path, "--json").checked("plan")
    feasible = {(c["M"], c["k"]) for c in plan["candidates"] if c["feasible"]}
    assert {(each["M"], each["k"]) for each in plan["replayed"]} == feasible
    assert len(feasible) > 1
    first = plan["replayed"][0]
    assert (first["M"], first["k"]) == (plan["recommended"]["M"], plan["recommended"]["k"])
    for each in plan["replayed"]:
        p95 = next(figure for figure in each["figures"] if figure["figure"] == "p95_latency")
        assert p95["allowed"] == 250
        assert (p95["holds"] is False) == (p95["value"] - p95["ci95"] > 250) == ("p95_latency" in each["misses"])
    said = " ".join(dmoa("plan", path).out.split())
    assert (
        "Under the 100 prompts of log.csv as they came, from empty queues (100 runs each; in brackets Poisson arrivals):"
        in said
    )
    assert first["misses"] == []
    assert dmoa("plan", path, "--no-simulation", "--json").checked("plan")["replayed"] == []
    assert "not beside log" in dmoa("plan", path, "--set", "arrivals.rate_of.device-0=0.1").complaint()


@pytest.mark.parametrize("verb", ["plan", "optimise"])
def test_what_misses_a_limit_under_the_list_is_not_recommended(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, verb: str
) -> None:
    """Four prompts at a time, three hours apart: with Poisson arrivals at their rates everything holds, under them one does."""
    rows = [f"{10_000 * (i // 4) + 10 * (i % 4)},device-{i % 4}\n" for i in range(100)]
    (tmp_path / "log.csv").write_text("time,user\n" + "".join(rows), encoding="utf-8")
    limit = "[constraints]\np95_latency = 150.0\n"
    listed = scenario(("rate = 0.002", 'log = "log.csv"'), more=limit)
    out = tmp_path / "out"
    found = dmoa(verb, listed, "--out", out, "--json").checked(verb)
    missed = {(each["M"], each["k"]) for each in found["replayed"] if each["misses"]}
    recommended = (found["recommended"]["M"], found["recommended"]["k"])
    assert missed
    assert recommended not in missed
    assert (found["replayed"][0]["M"], found["replayed"][0]["k"]) == recommended
    assert "M=1, k=3 were passed over, since under the prompts of log.csv p95 latency would miss its limit" in found["why"]
    said = " ".join(dmoa(verb, listed).out.split())
    assert "would miss its limit" in said
    assert "Beware: under these prompts" not in said
    without = dmoa(verb, scenario(more=limit), "--set", "arrivals.rate=0.0001", "--json").checked(verb)
    assert without["replayed"] == []
    assert (without["recommended"]["M"], without["recommended"]["k"]) in missed  # by chance they hardly come together
    with (out / "configurations.csv").open(encoding="utf-8", newline="") as file:
        rows_of = {(int(row["M"]), int(row["k"])): row for row in csv.DictReader(file)}
    assert {at for at, row in rows_of.items() if "p95_latency" in row["list_misses"]} == missed
    assert float(rows_of[recommended]["list_p95_latency_s"]) == found["replayed"][0]["figures"][1]["value"]


def test_a_list_that_is_too_long_is_not_played_by_a_plan_and_that_is_told(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmoa_theory.simulation.bursts.burst.MOST_LATENCIES", 500)
    rows = "".join(f"{131 * i % 9000},device-{i % 4}\n" for i in range(100))
    (tmp_path / "log.csv").write_text("time,user\n" + rows, encoding="utf-8")
    path = scenario(("rate = 0.002", 'log = "log.csv"'))
    answer = dmoa("plan", path)
    assert answer.code == 0
    said = " ".join(answer.out.split())
    assert (
        "Beware: the list of prompts is not played: arrivals = 100 prompts: a whole number from 1 to 5 with 100 runs." in said
    )
    assert "N-1 secure" in dmoa("whatif", path).out  # on the rates of the list alone
