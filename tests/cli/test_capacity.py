"""The best gossip on the command line: keys, exit codes, the report, and the file that a scenario reads."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli.capacity import _no_link
from dmoa_theory.stability.gossip.prices import LinkPrice, Prices

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


def test_too_much_load_is_not_told_to_grow(dmoa: Dmoa) -> None:
    words = " ".join(dmoa("capacity", "--set", "arrivals.rate=1").out.split())
    assert "All rates may only be 0.00815 times what they are with the best gossip, 0.00815" in words


def test_report_says_what_carries_limits_and_helps(dmoa: Dmoa, scenario: Scenario, tmp_path: Path) -> None:
    answer = dmoa("capacity", scenario(UNEVEN), "--save", tmp_path / "best.csv", "--out", tmp_path / "out")
    assert answer.code == 0
    words = " ".join(answer.out.split())
    for part in ("All rates may grow up to", "with uniform gossip: a gain of", "Full at capacity", "Run it with --set"):
        assert part in words, part
    assert "one per cent faster would add" in words
    heads = next(line for line in answer.out.splitlines() if line.strip().startswith("device "))
    assert heads.split("  ")[-1].strip() == "at capacity"  # of whom the word full is said, beside loads of now
    assert words.count(" now") >= 3
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"capacity.json", "capacity.csv", "best.csv", "capacity.png"}


def test_the_direction_may_be_in_prompts_an_hour(dmoa: Dmoa, scenario: Scenario) -> None:
    plain = dmoa("capacity", scenario(UNEVEN), "--direction", "0=0.002", "--json")
    assert plain.code == 0
    assert dmoa("capacity", scenario(UNEVEN), "--direction", "0=7.2/hour", "--json").out == plain.out


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
        (("--direction", "nobody"), "--direction = nobody: a device by name, or by number from 0 to 3"),
        (("--direction", ","), "--direction = ,: users whose prompts grow"),
        (("--direction", "0,0"), "--direction = 0: each user once"),
        (("--direction", "0=much"), '--direction = 0=much: a number of prompts/s behind =, or such as "7.2/hour"'),
        (("--direction", "0=-1"), "--direction = 0=-1: a number of prompts/s above 0 behind ="),
        (("--direction", "3"), '--direction = 3: a rate behind it, such as "3=0.002", for it has no prompts now'),
        (("--min-inclusion", "2"), "--min-inclusion = 2.0: a probability from 0 to 1"),
        (
            ("--min-inclusion", "0.9"),
            "--min-inclusion = 0.9: at most 0.666666: device device-0 asks 2 of its 3 neighbours in a layer",
        ),
    ],
)
def test_bad_questions_get_one_line(dmoa: Dmoa, scenario: Scenario, arguments: tuple[str, str], complaint: str) -> None:
    path = scenario(("0.002", "[0.002, 0.002, 0.002, 0]"))
    assert dmoa("capacity", path, *arguments).complaint().startswith(complaint)


def test_a_direction_of_one_who_cannot_ask_is_named_as_typed(dmoa: Dmoa, scenario: Scenario) -> None:
    path = scenario(('"complete"', '"star"'), ("k = 2", "k = [1, 2, 1, 1]"), ("0.002", "[0.002, 0, 0.002, 0.002]"))
    said = dmoa("capacity", path, "--direction", "1=0.1").complaint()
    assert said == "--direction = 1=0.1: 0 for device-1, which has fewer neighbours than its k"


def test_a_direction_is_told_in_prompts(dmoa: Dmoa, scenario: Scenario) -> None:
    """Doubling what a step of the scale adds changes no figure but the scale itself."""
    said = [dmoa("capacity", scenario(UNEVEN), "--direction", f"0={rate}").out for rate in ("0.002", "0.004")]
    one, two = (" ".join(text.split()).partition("While ")[2] for text in said)
    assert one.startswith("device-0 alone may grow and the others stay:")
    assert "per hour in all (scale" in one or "per minute in all (scale" in one
    assert re.sub(r"\(scale [0-9.]*\)", "", one) == re.sub(r"\(scale [0-9.]*\)", "", two)
    assert "a gain of" in one
    adding = [[line for line in text.splitlines() if "one per cent faster would add" in line] for text in said]
    assert adding[0] == adding[1] != []


def test_devices_that_were_not_tried_are_named(dmoa: Dmoa) -> None:
    said = dmoa("capacity").out
    tried = re.findall(r"(desk-\d) one per cent faster would add", said)
    (rest,) = re.findall(r"Not tried: (desk-\d); at most [0-9.]+ %\.", said)
    assert sorted([*tried, rest]) == ["desk-1", "desk-2", "desk-3", "desk-4"]


@pytest.mark.parametrize(
    ("count", "said"), [(0, "No one link would"), (1, "The one link tried, device-"), (3, "None of the 3 links")]
)
def test_links_that_add_nothing_are_those_that_were_tried(count: int, said: str) -> None:
    """And how many were not."""
    link = LinkPrice(source=0, target=2, names=("device-0", "device-2"), slope=1.0, rise=0.0)
    prices = Prices(devices=(), links=(link,) * count, other_devices=(), n_devices=0, n_links=count)
    assert _no_link(prices).startswith(said)
    assert "not tried" not in _no_link(prices)
    if count:
        assert _no_link(replace(prices, n_links=count + 2)).endswith("; 2 more missing links were not tried.")


def test_bottlenecks_are_told_from_devices_that_happen_to_be_full(dmoa: Dmoa, scenario: Scenario) -> None:
    """Who asks everybody has no choice: all equal devices are full, though a dual value stands on one of them only."""
    said = dmoa("capacity", scenario(("k = 2", "k = 3"))).out
    line = " ".join(said.split()).partition("the bottlenecks: ")[2].partition(". ")[0]
    assert sorted(line.split(", ")) == [f"device-{i}" for i in range(4)]
    assert said.count("bottleneck") == 5
    assert "full first" not in said


def test_others_fill_a_device_whatever_the_gossip(dmoa: Dmoa, scenario: Scenario, tmp_path: Path) -> None:
    """An answer, not a failure: exit code 3, the whole JSON with its reason, tables and pictures, but no gossip to save."""
    path, out, saved = scenario(("0.002", "[0.05, 0.002, 0.002, 0.002]")), tmp_path / "out", tmp_path / "best.csv"
    answer = dmoa("capacity", path, "--direction", "1", "--out", out, "--save", saved)
    assert (answer.code, answer.err) == (3, "")
    said = " ".join(answer.out.split())
    assert "INFEASIBLE: whatever the gossip, the users who do not grow overload a device by themselves" in said
    assert {entry.name for entry in out.iterdir()} == {"capacity.json", "capacity.csv", "capacity.png"}
    assert not saved.exists()
    document = dmoa("capacity", path, "--direction", "1", "--json")
    assert (document.code, document.err) == (3, "")
    assert document.checked("capacity")["scale_best"] is None
    assert document.json["reasons"]
