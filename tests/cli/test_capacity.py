"""The best gossip on the command line: keys, exit codes, the report, and the file that a scenario reads."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

UNEVEN = ("mean = 24.0", "mean = [24.0, 24.0, 24.0, 72.0]")
KEYS = {"scale_uniform", "scale_own", "scale_best", "stable", "gain", "bottlenecks", "prices", "selection", "direction"}

Dmoa = Callable[..., Any]
Scenario = Callable[..., Path]


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ((), ""),
        ((UNEVEN,), ""),
        ((UNEVEN, ("0.002", "0.05")), ""),
        ((("0.002", "[0.002, 0, 0.001, 0]"),), ""),
        ((("M = 1", "M = [0, 1, 2, 3]"), ("k = 2", "k = [0, 1, 2, 3]")), ""),
        ((("n = 4", "n = 1"), ("M = 1\nk = 2", "M = 0\nk = 0")), ""),
        ((('"complete"', '"line"'), ("k = 2", "k = 1"), UNEVEN), ""),
    ],
    ids=["even", "uneven", "overload", "helpers", "by user", "alone", "line"],
)
def test_json_keeps_its_schema(dmoa: Dmoa, scenario: Scenario, changes: tuple[tuple[str, str], ...], more: str) -> None:
    path = scenario(*changes, more=more)
    answer = dmoa("capacity", path, "--json")
    document = answer.checked("capacity")
    assert set(document) >= KEYS
    assert answer.err == ""
    assert answer.code == (0 if document["stable"] else 3)
    assert document["scale_best"] >= document["scale_uniform"] * (1 - 1e-9)
    assert document["stable"] == (document["scale_best"] > 1)
    assert dmoa("capacity", path, "--json").out == answer.out


def test_the_gossip_saved_is_what_the_scenario_then_runs(dmoa: Dmoa, scenario: Scenario, tmp_path: Path) -> None:
    path, saved = scenario(UNEVEN), tmp_path / "best.csv"
    best = dmoa("capacity", path, "--save", saved, "--json").checked("capacity")
    region = dmoa("region", path, "--set", "moa.selection=best.csv", "--json").checked("region")
    assert region["critical_scale"] == pytest.approx(best["scale_best"], rel=1e-6)
    assert region["utilisation"] == pytest.approx(best["utilisation_best"], abs=1e-9)
    with saved.open() as rows:
        listed = [(row["from"], row["to"], float(row["probability"])) for row in csv.DictReader(rows)]
    assert listed == [(row["from"], row["to"], pytest.approx(row["probability"], abs=1e-11)) for row in best["selection"]]
    again = dmoa("capacity", path, "--set", "moa.selection=best.csv")
    assert "The scenario's own selection carries" in again.out
    simulated = dmoa("simulate", path, "--set", "moa.selection=best.csv", "--queries", "20000", "--json")
    assert simulated.code == 0


def test_report_says_what_carries_limits_and_helps(dmoa: Dmoa, scenario: Scenario, tmp_path: Path) -> None:
    answer = dmoa("capacity", scenario(UNEVEN), "--save", tmp_path / "best.csv", "--out", tmp_path / "out")
    assert answer.code == 0
    words = " ".join(answer.out.split())
    for part in ("All rates may grow up to", "with uniform gossip (a gain of", "Full at capacity:", "Saved. Run it with --set"):
        assert part in words, part
    assert "one per cent faster would add" in words
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"capacity.json", "capacity.csv", "best.csv", "capacity.png"}


def test_a_load_that_no_gossip_carries(dmoa: Dmoa, scenario: Scenario) -> None:
    answer = dmoa("capacity", scenario(UNEVEN, ("0.002", "0.05")))
    assert answer.code == 3
    assert "UNSTABLE at the present load, whatever the gossip." in answer.out


def test_directions_and_diversity(dmoa: Dmoa, scenario: Scenario) -> None:
    path = scenario(UNEVEN, ("n = 4", 'n = 4\nnames = ["a", "b", "c", "d"]'))
    one = dmoa("capacity", path, "--direction", "b,0", "--json").checked("capacity")
    assert one["direction"] == [0.002, 0.002, 0, 0]
    other = dmoa("capacity", path, "--direction", "a=0.002, b=0.002", "--json").checked("capacity")
    assert other == one
    free = dmoa("capacity", path, "--json").checked("capacity")
    even = dmoa("capacity", path, "--min-inclusion", "0.3", "--json").checked("capacity")
    assert min(row["probability"] for row in even["selection"]) >= 0.3
    assert len(even["selection"]) == 12
    assert free["scale_best"] > even["scale_best"] > even["scale_uniform"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--direction", "nobody"), "--direction = nobody: users, by number from 0 to 3 or by name"),
        (("--direction", "0,0"), "--direction = 0: each user once"),
        (("--direction", "0=much"), "--direction = 0=much: a number of prompts/s behind ="),
        (("--direction", "0=-1"), "--direction = 0=-1: a number of prompts/s above 0 behind ="),
        (("--direction", "3"), '--direction = 3: such as "3=0.002": it has no prompts now'),
        (("--min-inclusion", "2"), "office.toml: min_inclusion = 2.0: a probability from 0 to 1"),
        (("--min-inclusion", "0.9"), "at most 0.666667: device device-0 asks 2 of its 3 neighbours in a layer"),
    ],
)
def test_bad_questions_get_one_line(dmoa: Dmoa, scenario: Scenario, arguments: tuple[str, str], complaint: str) -> None:
    path = scenario(("0.002", "[0.002, 0.002, 0.002, 0]"))
    assert complaint in dmoa("capacity", path, *arguments).complaint()


def test_others_fill_a_device_whatever_the_gossip(dmoa: Dmoa, scenario: Scenario) -> None:
    answer = dmoa("capacity", scenario(("0.002", "[0.05, 0.002, 0.002, 0.002]")), "--direction", "1")
    assert answer.code == 3
    assert "whatever the gossip, users outside --direction overload a device by themselves" in answer.err
