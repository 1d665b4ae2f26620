"""``dmoa optimise`` with everything that may be asked of it, and ``dmoa plan`` where the scenario's own k is too large."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli import optimise_sweep

LIMITED = "[constraints]\np95_latency = 200.0\n"


def test_everything_at_once_keeps_the_schema(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--per-user", "--gossip", "--time-limit", "1000", "--admit", "--map", "--limit", "user-p99=900")
    answer = dmoa("optimise", scenario(more=LIMITED), *arguments, "--no-simulation", "--out", out, "--json")
    assert answer.code == 0
    document = answer.checked("optimise")
    assert document["individual"]["feasible"]
    assert document["individual"]["certificate"]["gap"] >= 0
    assert len(document["individual"]["M"]) == 4
    assert document["admission"]["total"] > 0
    assert document["limits"]["user_p99_latency"] == 900.0
    made = {path.name for path in out.iterdir()}
    assert {"optimise.json", "configurations.csv", "choice.png", "pareto.csv", "selection.csv", "map.png"} <= made


def test_a_sweep_is_kept_and_goes_on(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    """Every answer is on file; asked again, they come from there; another request is refused."""
    path, out = scenario(more=LIMITED), tmp_path / "out"
    arguments = ("--sweep", "constraints.p95_latency=30:300:3", "--no-simulation", "--out", out, "--json")
    document = dmoa("optimise", path, *arguments).checked("optimise")
    points = document["sweep"]["points"]
    assert [point["constraints.p95_latency"] for point in points] == [30, 165, 300]
    assert points[0]["choice"] is None
    assert (out / "sweep.csv").read_text().count("\n") == 4
    assert (out / "sweep.png").exists()
    assert dmoa("optimise", path, *arguments).json["sweep"] == document["sweep"]
    assert "answers of another request" in dmoa("optimise", path, *arguments, "--stated").complaint()


def test_the_selection_that_is_written_is_one_that_simulate_reads(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    slow = ("24.0", "[20.0, 20.0, 20.0, 60.0]")
    out = tmp_path / "out"
    document = dmoa("optimise", scenario(slow, more=LIMITED), "--gossip", "--no-simulation", "--out", out, "--json").json
    M, k = document["individual"]["M"], document["individual"]["k"]
    sets = (f"moa.M={M}", f"moa.k={k}", f"moa.selection={out / 'selection.csv'}")
    answer = dmoa("latency", scenario(slow, more=LIMITED), *(part for each in sets for part in ("--set", each)), "--json")
    assert answer.code == 0
    assert answer.json["p95"] == pytest.approx(document["individual"]["figures"]["p95_latency"], rel=1e-6)


def test_the_report_says_how_to_run_the_selection(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    """In words that the command line reads, and that give the figures of the plan."""
    path, out = scenario(("24.0", "[20.0, 20.0, 20.0, 60.0]"), more=LIMITED), tmp_path / "out"
    said = dmoa("optimise", path, "--gossip", "--no-simulation", "--out", out).out
    words = shlex.split(" ".join(said.split()).partition("Run that plan with ")[2])
    plan = json.loads((out / "optimise.json").read_text(encoding="utf-8"))["individual"]
    found = dmoa("latency", path, *words, "--json").json
    assert found["p95"] == pytest.approx(plan["figures"]["p95_latency"], rel=1e-6)


@pytest.mark.parametrize("kept", [True, False])
def test_a_sweep_that_is_interrupted_says_what_there_is(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """Nothing while no value is finished; then what is, and that it is on file only where it is."""
    out = tmp_path / "out"
    arguments = ("--sweep", "constraints.p95_latency=30:300:3", "--no-simulation", *(("--out", out) if kept else ()))
    row, left = optimise_sweep._row, 0

    def counted(*given: Any, **options: Any) -> Any:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return row(*given, **options)

    monkeypatch.setattr(optimise_sweep, "_row", counted)
    nothing = dmoa("optimise", scenario(more=LIMITED), *arguments)
    assert nothing.code == 130
    assert "INTERRUPTED before a value was finished." in nothing.out
    assert "sweep.csv" not in nothing.out
    left = 1
    one = dmoa("optimise", scenario(more=LIMITED), *arguments)
    assert one.code == 130
    assert ("finished is above and in sweep.csv" in one.out) is (out / "sweep.csv").exists() is kept


@pytest.mark.parametrize("workers", [(), ("--workers", "2")])
def test_a_sweep_that_is_interrupted_goes_on(
    dmoa: Callable[..., Any],
    scenario: Callable[..., Path],
    tmp_path: Path,
    environment: dict[str, str],
    listening: list[str],
    workers: tuple[str, ...],
) -> None:
    """Ctrl-C, in the midst of a long sweep: what is finished is printed and on file, and is not asked again."""
    path, out = scenario(more=LIMITED), tmp_path / "out"
    file, arguments = out / "sweep.csv", ("--no-simulation", "--out", out, "--json")
    long = ["optimise", path, "--sweep", "constraints.p95_latency=30:300:100000", *arguments, *workers]
    run = subprocess.Popen(
        [*listening, *map(str, long)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while run.poll() is None and (not file.exists() or not _has_rows(file, 2, "30.0,")):
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)
        said, complaints = run.communicate(timeout=600)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
    assert run.returncode == 130, complaints
    assert complaints == ""
    found = json.loads(said)["sweep"]
    assert found["partial"]
    values = [point["constraints.p95_latency"] for point in found["points"]]
    assert values == sorted(values)
    assert values[0] == 30
    kept = file.read_text(encoding="utf-8")
    short = dmoa("optimise", path, "--sweep", "constraints.p95_latency=30:300:2", *arguments).checked("optimise")["sweep"]
    assert not short["partial"]
    assert short["points"][0] == found["points"][0]
    now = file.read_text(encoding="utf-8")
    assert now.startswith(kept[: kept.rfind("\n") + 1])
    assert now.count("\n") == kept.count("\n") + 1


def _has_rows(file: Path, least: int, start: str) -> bool:
    """Whether so many rows are there, one that begins so among them: of two workers the second may be the faster."""
    rows = file.read_text(encoding="utf-8").splitlines(keepends=True)[1:]
    whole = [row for row in rows if row.endswith("\n")]
    return len(whole) >= least and any(row.startswith(start) for row in whole)


def test_a_sweep_adds_to_no_file_of_another_request(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    """Other options of the programs, another rate, or a file that is no table of answers."""
    path, out = scenario(more=LIMITED), tmp_path / "out"
    arguments = ("--sweep", "constraints.p95_latency=300:300:1", "--no-simulation", "--out", out)
    assert dmoa("optimise", path, *arguments).code == 0
    for other in (("--nominal",), ("--limit", "p99=500"), ("--set", "arrivals.rate=0.001")):
        assert "answers of another request" in dmoa("optimise", path, *arguments, *other).complaint()
    request = (out / "sweep.csv").read_text(encoding="utf-8").rsplit(",", 1)[1].strip()
    for content in (b"\xff\xfe\n", b"hello\n1\n", f"constraints.p95_latency,request\nx,{request}\n".encode()):
        (out / "sweep.csv").write_bytes(content)
        assert "answers of another request" in dmoa("optimise", path, *arguments).complaint()
        assert (out / "sweep.csv").read_bytes() == content


def test_largest_loads_are_swept(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    arguments = ("--objective", "load", "--sweep", "constraints.mean_latency=60:200:2", "--no-simulation", "--json")
    points = dmoa("optimise", scenario(), *arguments).checked("optimise")["sweep"]["points"]
    assert 0 < points[0]["load_scale"] < points[1]["load_scale"]


@pytest.mark.parametrize("objective", ["latency", "load"])
def test_other_objectives(dmoa: Callable[..., Any], scenario: Callable[..., Path], objective: str) -> None:
    path = scenario(more=LIMITED + "min_accuracy = 0.35\n")
    document = dmoa("optimise", path, "--objective", objective, "--json").checked("optimise")
    assert document["objective"] == objective
    assert document["verified"]["choice"] is not None
    said = " ".join(dmoa("optimise", path, "--objective", objective, "--no-simulation").out.split())
    assert "Recommended: M=1, k=1" in said


def test_the_report_leads_with_the_recommendation(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = " ".join(dmoa("optimise", scenario(more=LIMITED)).out.split())
    assert said.index("Recommended: ") < said.index("Most accurate as stated")
    assert "Simulated with M=1, k=1" in said
    assert "What more would buy: p95 latency from 200 s to" in said
    assert re.search(r"Rates: M=\d, k=\d stays the best as stated (from|up to)", said)
    assert "prompts asked of both" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--gap", "0.1"), "--gap = 0.1: only beside --per-user, without which it says nothing"),
        (("--gossip", "--solver", "highs"), "--solver = highs: only beside --per-user"),
        (("--time-limit", "1"), "--time-limit = 1.0: only beside --per-user or --gossip"),
        (("--scheduler", "tcp://127.0.0.1:1"), "--scheduler = tcp://127.0.0.1:1: only beside --sweep"),
        (("--sweep", "arrivals.rate=1:2:2", "--workers", "2", "--scheduler", "x"), "--workers or --scheduler, not both"),
        (
            ("--sweep", "constraints.p95_latency=1:2:2", "--limit", "p95=10min"),
            "--limit = p95=10min: a limit other than the one that --sweep sets",
        ),
        (("--per-user", "--gap", "2"), "--gap = 2.0: a share from 0, below 1"),
        (("--per-user", "--time-limit", "0"), "--time-limit = 0.0: seconds, above 0"),
        (("--per-user", "--least-inclusion", "0.5"), "--least-inclusion = 0.5: only beside --gossip"),
        (("--per-user", "--objective", "load"), "--objective = load: accuracy or latency beside"),
        (("--workers", "2"), "--workers = 2: only beside --sweep"),
        (("--limit", "p50=3"), "--limit = p50=3: mean, p95 or p99"),
        (("--limit", "p95=fast"), "--limit = p95=fast: mean, p95 or p99 (with user- before it"),
        (("--robust", "--nominal"), "--robust or --nominal, not both"),
        (("--fitted", "--stated"), "--fitted or --stated, not both"),
        (("--sweep", "moa.k=1:3:3"), "--sweep = moa.k=1:3:3: a key other than moa.M and moa.k, which this verb chooses"),
        (("--sweep", "rate=1:2:3"), "--sweep = rate=1:2:3: section.key=a:b:n"),
        (("--per-user", "--solver", "abacus"), "--solver = ABACUS: one of HIGHS, SCIP"),
        (("--sweep", "moa.layers=1:2:2"), "unknown key moa.layers"),
    ],
)
def test_bad_requests_are_one_line(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...], complaint: str
) -> None:
    assert complaint in dmoa("optimise", scenario(), *arguments, "--no-simulation").complaint()


@pytest.mark.parametrize("k", ["4", "[2, 4, 1, 2, 2, 2]"])
def test_a_plan_chooses_another_k_where_the_scenarios_is_too_large(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], k: str
) -> None:
    """A ring has two neighbours: the scenario's own k = 4 cannot run, yet there is much to plan."""
    path = scenario(('"complete"', '"ring"'), ("n = 4", "n = 6"), ("k = 2", f"k = {k}"))
    answer = dmoa("plan", path, "--no-simulation", "--json")
    assert answer.code == 0
    document = answer.checked("plan")
    assert document["recommended"]["k"] <= 2
    assert any("the scenario's k = 4 asks for more neighbours than some user has" in text for text in document["warnings"])
    assert dmoa("optimise", path, "--no-simulation").code == 0
    assert "k" in dmoa("region", path).complaint()


def test_a_plan_by_user_that_nothing_meets(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    answer = dmoa("optimise", scenario(more="[constraints]\nmean_latency = 5.0\n"), "--per-user", "--json")
    assert answer.code == 3
    document = answer.checked("optimise")
    assert not document["individual"]["feasible"]
    assert document["conflicts"]
    said = dmoa("optimise", scenario(more="[constraints]\nmean_latency = 5.0\n"), "--no-simulation").out
    order = ("No configuration meets every limit.", "Smallest change: ", "Nearest is ", "In the way: ", "Accuracy: ")
    places = [said.index(words) for words in order]
    assert places == sorted(places)
    assert said.rstrip().endswith("Table II.")


def test_largest_loads_that_are_none_are_not_said_to_be_one(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """A limit that fails on idle devices too leaves no load; the verdict is there to be read."""
    path = scenario(more="[constraints]\nmean_latency = 100.0\n")
    document = dmoa("optimise", path, "--objective", "load", "--no-simulation", "--json").checked("optimise")
    out = {(c["M"], c["k"]) for c in document["candidates"] if not c["feasible"]}
    assert out == {(c["M"], c["k"]) for c in document["candidates"] if c["largest_load_scale"] is None}
    assert all(c["largest_load_scale"] == c["load_scale"] for c in document["candidates"] if c["feasible"])
    assert any("largest_load_scale is null" in reason for reason in document["reasons"])
    carried = [(c["largest_load_scale"], c["accuracy"]) for c in document["pareto"]]
    assert carried == sorted(carried, key=lambda each: (-each[0], each[1]))
    assert out
    assert len(out) < len(document["candidates"])
    lines = dmoa("optimise", path, "--objective", "load", "--no-simulation").out.splitlines()
    for c in document["candidates"]:
        line = next(each for each in lines if each.strip().startswith(f"M={c['M']}, k={c['k']} "))
        assert ("none" in line and "out: mean" in line) is ((c["M"], c["k"]) in out)
        assert (" times" in line) is ((c["M"], c["k"]) not in out)


@pytest.mark.parametrize("caution", ["--robust", "--nominal"])
def test_what_was_written_is_said_and_holds_the_plan_by_user(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, caution: str
) -> None:
    out = tmp_path / "out"
    arguments = ("--per-user", "--time-limit", "1000", "--admit", "--no-simulation", caution, "--out", out)
    answer = dmoa("optimise", scenario(more=LIMITED), *arguments)
    said = " ".join(answer.out.split())
    names = re.search(r"Written to .*?: ([^:]*)\.$", said)
    assert names is not None
    assert set(names[1].split(", ")) == {path.name for path in out.iterdir()}
    rows = list(csv.DictReader((out / "plan_by_user.csv").read_text(encoding="utf-8").splitlines()))
    document = dmoa("optimise", scenario(more=LIMITED), *arguments[:-2], "--json").json["individual"]
    assert [(int(row["M"]), int(row["k"])) for row in rows] == list(zip(document["M"], document["k"], strict=True))
    assert "proved best for the surrogate within the gap of 0.1 % that was asked for" in said
    assert ("also with" in said) is (caution == "--robust")
    assert "prompts per hour that the limits admit" in said


def test_a_k_too_large_for_the_bundled_example_is_said(dmoa: Callable[..., Any]) -> None:
    """Also by optimise, in its report and in its JSON."""
    words = "the scenario's k = 9 asks for more neighbours than some user has, and is not used"
    for verb in ("plan", "optimise"):
        answer = dmoa(verb, "--set", "moa.k=9", "--no-simulation")
        assert answer.code == 0
        assert words in " ".join(answer.out.split())
        document = dmoa(verb, "--set", "moa.k=9", "--no-simulation", "--json").checked(verb)
        assert sum(words in text for text in document["warnings"]) == 1
