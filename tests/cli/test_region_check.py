"""``dmoa region``: what is proved, and ``--check``: what was tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import System
from dmoa_theory.cli.region import check_lines
from dmoa_theory.drain import BurstRun, DrainCheck, FluidRun, check_drain, run_from_burst
from dmoa_theory.stability.loads import utilisation


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorter simulations."""
    monkeypatch.setattr("dmoa_theory.drain._QUERIES", 20_000)
    monkeypatch.setattr("dmoa_theory.drain._BURST", 300)


def test_check_in_json(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    """The schema holds with and without; a file holds the same; the same bytes again; the plain answer does not change."""
    path = scenario()
    plain = dmoa("region", path, "--json").checked("region")
    assert plain["check"] is None
    answer = dmoa("region", path, "--check", "--json", "--out", tmp_path / "answers")
    checked = answer.checked("region")
    assert answer.code == 0
    assert {key: value for key, value in checked.items() if key != "check"} == {
        key: value for key, value in plain.items() if key != "check"
    }
    check = checked["check"]
    assert check["passed"] is True
    assert check["load"] == 0.95
    assert check["expected"] == pytest.approx(2 / 0.05)
    assert [1 < run["drained_after"] < check["expected"] for run in check["fluid"]] == [True] * 4
    assert check["simulation"]["stable"] is True
    assert [0 < run["forgotten_after"] < check["expected"] for run in check["bursts"]] == [True] * 2
    assert (tmp_path / "answers" / "region.json").read_text() == answer.out
    assert dmoa("region", path, "--check", "--json").out == answer.out
    other = dmoa("region", path, "--check", "--json", "--seed", 1).json["check"]
    assert other["fluid"] == check["fluid"]
    assert other["bursts"] != check["bursts"]


def test_check_in_words(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """An overloaded system is tried at the edge too, and its exit code stays."""
    answer = dmoa("region", scenario(("0.002", "0.05")), "--check")
    assert answer.code == 3
    said = " ".join(answer.out.split())
    assert "busiest device is at 95.0 % (a check, not a proof)" in said
    assert said.count("drained after") == 4
    assert said.count("forgotten after") == 2
    assert "NOT" not in said
    assert "queues stayed bounded" in said


def test_a_seed_that_is_none(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    assert dmoa("region", scenario(), "--check", "--seed", -1).complaint().startswith("--seed = -1")


def test_not_proved_in_words(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Up to which load, that simulations show nothing, and the warning of slow forgetting."""
    path = scenario(("M = 1\nk = 2", "M = 6\nk = 1"), ("0.002", "0.00317"))
    said = " ".join(dmoa("region", path).out.split())
    assert "Not proved: no device is overloaded, but no proof covers this load; simulations show no instability" in said
    assert "proved up to 0.806 times this load" in said
    assert "Beware: bursts are forgotten only after about (M + 1) / (1 - load) = 639 times their own length" in said
    document = dmoa("region", path, "--json").checked("region")
    assert document["guarantee"]["verdict"] == "conjectured"
    assert document["guarantee"]["certificate"] is None
    assert "639" in document["guarantee"]["warning"]


def test_what_is_not_forgotten_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In words and as null; a check with such a run has not passed."""
    never = float("inf")
    check = DrainCheck(
        load=0.95,
        expected=60.0,
        fluid=(FluidRun(start="here", drained_after=never, largest=2.0, followed=180.0),),
        steady=False,
        queries=1000,
        jobs=9000,
        bursts=(BurstRun(prompts=50, length=10.0, forgotten_after=never, followed=180.0),),
        left_out=("something: it is too large",),
    )
    said = "\n".join(check_lines(check))
    assert "fluid model, here: NOT drained after 180" in said
    assert "NOT forgotten after 180" in said
    assert "queues GREW" in said
    assert "not tried: something" in said
    assert check.passed is False


def test_an_overloaded_system_never_forgets() -> None:
    """The run from a burst sees queues that grow."""
    system = System.from_arrays(np.ones((3, 3)) - np.eye(3), 1.0, 1.0, M=2, k=1)
    system = system.with_rates(system.rates * (1.2 / utilisation(system).max()))
    run = run_from_burst(system, np.random.SeedSequence(0), longest=20.0)
    assert run is not None
    assert run.forgotten_after == float("inf")
    assert run.followed > 20


def test_large_systems_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither fluid model nor bursts where they cannot be afforded; the long simulation runs."""
    monkeypatch.setattr("dmoa_theory.drain._FLUID_WORK", 1e3)
    monkeypatch.setattr("dmoa_theory.drain._JOBS", 1e5)
    check = check_drain(System.from_arrays(np.ones((9, 9)) - np.eye(9), 0.01, 1.0, M=3, k=2))
    assert check.fluid == ()
    assert check.bursts == ()
    assert len(check.left_out) == 2
    assert check.passed
