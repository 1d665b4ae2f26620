"""``dmoa compare --measured``: theory, simulation and a run, figure by figure; runs here are simulated, written as recorded."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import System, load_scenario
from dmoa_theory.live.run_system import sped_up
from dmoa_theory.model.run_record import write_run
from dmoa_theory.model.service import ServiceTime
from tests.testbed.run_simulated import simulated_record

SCENARIO = """\
title = "three desks"
[network]
topology = "complete"
n = 3
names = ["left", "middle", "right"]
[arrivals]
rate = 2.0
[service]
mean = [0.04, 0.06, 0.08]
scv = 0.5
[moa]
M = 1
k = 1
"""
QUICK = ("--queries", 20_000)


@pytest.fixture
def desks(tmp_path: Path) -> Path:
    """The scenario."""
    path = tmp_path / "desks.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def recorded(desks: Path, tmp_path: Path) -> Callable[..., Path]:
    """A run of the scenario in a folder, as ``dmoa testbed`` leaves it; its devices were slower by some factor."""

    def write(*, slower: float = 1.0, prompts: int = 400, folder: str = "run", rate: float = 1.0, **facts: Any) -> Path:
        system = sped_up(load_scenario(desks, facts.get("overrides", [])), facts.get("speed", 1.0))
        system = system.with_rates(rate * system.rates)
        assert isinstance(system.service, ServiceTime)
        ran = replace(system, service=replace(system.service, mean=slower * system.service.mean))
        record = simulated_record(ran, prompts, seed=3, delay=0.01)
        record.facts.update({"rates": system.rates.tolist(), "overrides": [], "speed": 1.0, "load": None} | facts)
        place = tmp_path / folder
        place.mkdir()
        write_run(record, place)
        (place / "scenario.toml").write_text(desks.read_text())
        return place

    return write


def test_three_columns_at_both_service_times(
    dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path], tmp_path: Path
) -> None:
    """Devices a quarter slower than the scenario says: off its theory, and not off that at the measured service times."""
    run, out = recorded(slower=1.25), tmp_path / "out"
    answer = dmoa("compare", desks, "--measured", run, *QUICK, "--json", "--out", out)
    assert answer.code == 0, answer.err
    document = answer.checked("compare")
    plain = dmoa("compare", desks, *QUICK, "--json").checked("compare")
    assert plain["measured"] is None
    old = plain["rows"][0].keys()
    assert [{key: row[key] for key in old} for row in document["rows"]] == plain["rows"]  # what was there stays as it was
    rows = {(row["quantity"], row["of"]): row for row in document["rows"]}
    for of in ("left", "middle", "right"):
        row = rows["utilisation", of]
        assert row["measured_off_theory"]["difference"] == pytest.approx(0.25, abs=0.12)
        assert abs(row["at_measured"]["measured_off_theory"]["difference"]) < 0.1
        assert row["at_measured"]["theory"] == pytest.approx(1.25 * row["theory"], rel=0.15)
    row = rows["mean latency", "all prompts"]
    assert row["measured_off_theory"]["difference"] == pytest.approx(row["measured"] / row["theory"] - 1)
    inner = row["at_measured"]
    error = row["measured_standard_error"]
    assert inner["measured_off_theory"]["standard_errors"] == pytest.approx((row["measured"] - inner["theory"]) / error)
    apart = inner["measured_off_simulated"]
    assert apart["difference"] == pytest.approx(row["measured"] / inner["simulated"] - 1)
    lower, upper = inner["range95"]
    assert upper - lower == pytest.approx(2 * 1.96 * error, rel=0.5)  # the ends of 19 in 20 runs, and their deviation
    again = dmoa("testbed", "--from", run, "--json").checked("testbed")
    assert again["mean"] == row["measured"]
    assert (document["measured"]["answered"], document["measured"]["mode"]) == (400, "paced")
    assert {path.name for path in out.iterdir()} == {"compare.json", "compare.csv", "compare.png", "measured.png"}
    with (out / "compare.csv").open() as table:
        first = next(csv.DictReader(table))
    assert float(first["at_measured_theory"]) == inner["theory"]


def test_the_report_tells_the_service_times_apart(dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path]) -> None:
    """Two tables, and a sentence for each; lines no wider than a report's."""
    answer = dmoa("compare", desks, "--measured", recorded(slower=1.25), *QUICK)
    assert answer.code == 0, answer.err
    heads = [re.split(r" {2,}", line.strip()) for line in answer.out.splitlines() if line.strip().startswith("figure ")]
    assert [len(set(each)) for each in heads] == [7, 7]  # no two columns of one name
    words = " ".join(answer.out.split())
    for said in (
        "at the SCENARIO's service times with M=1, k=1",
        "at the MEASURED service times with M=1, k=1",
        "400 of 400 prompts answered",
        "is at the scenario's service times",
        "is at the measured service times",
        "above the theory",
        "through ideal queues takes",
        "hold measured ones against simulated",
    ):
        assert said in words
    assert max(map(len, answer.out.splitlines())) <= 112


def test_the_run_brings_its_own_scenario_speed_and_load(
    dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path]
) -> None:
    """Without a scenario that of the run is taken; either is put at the run's speed and load, and the report says so."""
    run = recorded(speed=10.0, load=0.36, rate=0.5, overrides=["service.scv=1.0"])
    bare = dmoa("compare", "--measured", run, *QUICK, "--json").checked("compare")
    named = dmoa("compare", desks, "--set", "service.scv=1.0", "--measured", run, *QUICK, "--json").checked("compare")
    assert named == bare
    assert (bare["measured"]["speed"], bare["measured"]["load"]) == (10.0, 0.36)
    rows = {(row["quantity"], row["of"]): row for row in bare["rows"]}
    assert rows["utilisation", "right"]["theory"] == pytest.approx(0.5 * 2 * 3 * 0.08)
    text = dmoa("compare", "--measured", run, *QUICK).out
    assert "10 times faster than the scenario's" in text
    assert "scaled so that the busiest device has load 0.36" in " ".join(text.split())


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ("arrivals.rate=2.5", "arrival rate of left: 2.5 against 2 prompts/s"),
        ("moa.k=2", "k of left: 2 against 1"),
        ("moa.M=2", "M of left: 2 against 1"),
        ("moa.quorum=1", "quorum of left: 1 against 2"),
        ("service.scv=0.7", "scv of service of device 0: 0.7 against 0.5"),
        ("network.link_delay=0.5", "link delays"),
        ('network.topology="star" network.n=3', "links"),
    ],
)
def test_a_run_of_another_system_is_refused_in_a_line(
    dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path], change: str, difference: str
) -> None:
    """What differs first is named, scenario against run."""
    changes = [part for each in change.split() for part in ("--set", each)]
    complaint = dmoa("compare", desks, *changes, "--measured", recorded(prompts=20), *QUICK).complaint()
    assert f"they differ in the {difference}" in complaint
    assert complaint.startswith("--measured = ")


def test_what_is_no_run_is_refused_in_a_line(dmoa: Callable[..., Any], desks: Path, tmp_path: Path) -> None:
    for name in ("nowhere", "desks.toml", ""):
        complaint = dmoa("compare", desks, "--measured", tmp_path / name).complaint()
        assert "no run: a folder written by dmoa testbed --out" in complaint


def test_another_number_of_devices_is_refused(dmoa: Callable[..., Any], recorded: Callable[..., Path], tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.toml"
    fewer.write_text(SCENARIO.replace("n = 3", "n = 2").replace(', "right"]', "]").replace(", 0.08]", "]"))
    complaint = dmoa("compare", fewer, "--measured", recorded(prompts=20), *QUICK).complaint()
    assert "number of devices: 2 against 3" in complaint


def test_a_real_run_may_have_any_service_times(dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path]) -> None:
    """An LLM takes its own time: a scenario with better service times is the better plan, and no other system."""
    run = recorded(mode="real", backend="transformers", slower=1.5)
    change = ("--set", "service.mean=[0.06, 0.09, 0.12]")
    document = dmoa("compare", desks, *change, "--measured", run, *QUICK, "--json").checked("compare")
    row = next(row for row in document["rows"] if (row["quantity"], row["of"]) == ("utilisation", "right"))
    assert row["theory"] == pytest.approx(2 * 3 * 0.12)
    assert row["at_measured"]["theory"] == pytest.approx(row["theory"], rel=0.15)


def test_an_overloaded_run_shows_its_growth(dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path]) -> None:
    """Stable by the scenario, not so as it ran: averages mean nothing, so growth stands beside the fluid limit."""
    run = recorded(slower=3.0)
    answer = dmoa("compare", desks, "--measured", run, *QUICK, "--json")
    assert answer.code == 3
    document = answer.checked("compare")
    assert document["stable"]  # theory and simulation of the scenario
    assert not document["measured"]["stable"]
    assert all(row["measured"] is None for row in document["rows"])
    growth = {row["of"]: row for row in document["measured"]["growth"]}
    assert growth["right"]["measured"] > 0
    text = dmoa("compare", desks, "--measured", run, *QUICK)
    assert text.code == 3
    assert "jobs gained a second" in text.out
    assert "growth is compared instead of averages" in " ".join(text.out.split())


def test_a_scenario_that_is_unstable_may_have_run(dmoa: Callable[..., Any], desks: Path, recorded: Callable[..., Path]) -> None:
    """Devices quicker than the scenario says: nothing to say at its service times, all at the measured ones."""
    run = recorded(slower=0.2, rate=3.0, load=1.44)
    answer = dmoa("compare", desks, "--measured", run, "--queries", 2000, "--json")
    assert answer.code == 3
    rows = answer.checked("compare")["rows"]
    assert rows[0]["theory"] is None
    assert rows[0]["simulated"] is None
    assert rows[0]["measured"] > 0
    assert rows[0]["at_measured"]["theory"] == pytest.approx(rows[0]["measured"], rel=0.5)
    assert dmoa("compare", desks, "--measured", run, "--queries", 2000).code == 3


def test_rates_scaled_and_back_are_the_same(desks: Path, recorded: Callable[..., Path], dmoa: Callable[..., Any]) -> None:
    """A speed such as 3 leaves a rounding behind, which is no difference."""
    system: System = sped_up(load_scenario(desks), 3.0)
    off = (np.nextafter(system.rates, np.inf)).tolist()
    run = recorded(prompts=60, speed=3.0)
    facts = json.loads((run / "run.json").read_text())
    facts["rates"] = off
    (run / "run.json").write_text(json.dumps(facts))
    assert dmoa("compare", desks, "--measured", run, *QUICK, "--json").code == 0
