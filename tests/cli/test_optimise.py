"""``dmoa optimise`` with everything that may be asked of it, and ``dmoa plan`` where the scenario's own k is too large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LIMITED = "[constraints]\np95_latency = 200.0\n"


def test_everything_at_once_keeps_the_schema(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--per-user", "--gossip", "--time-limit", "0.5", "--admit", "--map", "--limit", "user-p99=900")
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
    assert "Rates: the choice holds" in said
    assert "prompts asked of both" in said


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--gap", "0.1"), "--gap = 0.1: only beside --per-user or --gossip"),
        (("--per-user", "--gap", "2"), "--gap = 2.0: a share from 0, below 1"),
        (("--per-user", "--time-limit", "0"), "--time-limit = 0.0: seconds, above 0"),
        (("--per-user", "--least-inclusion", "0.5"), "--least-inclusion = 0.5: only beside --gossip"),
        (("--per-user", "--objective", "load"), "--objective = load: accuracy or latency beside"),
        (("--workers", "2"), "--workers = 2: only beside --sweep"),
        (("--limit", "p50=3"), "--limit = p50=3: mean, p95 or p99"),
        (("--sweep", "rate=1:2:3"), "--sweep = rate=1:2:3: section.key=a:b:n"),
        (("--per-user", "--solver", "abacus"), "solver = ABACUS: one of HIGHS, SCIP"),
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
