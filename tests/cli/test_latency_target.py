"""``dmoa latency --target``: exit codes, JSON by its schema, files, and what the report says."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli.latency import _alike

MISSED_BY_IDLE = "p95=1"


@pytest.mark.parametrize(
    ("rate", "target", "code"),
    [
        ("0.002", "P95 <= 400", 0),
        ("0.002", "mean=20 minutes", 0),
        ("0.002", "median < 1 hour", 0),
        ("0.008", "mean=100", 3),
        ("0.002", MISSED_BY_IDLE, 3),
    ],
)
def test_met_or_missed(dmoa: Callable[..., Any], scenario: Callable[..., Path], rate: str, target: str, code: int) -> None:
    """Exit 0 or 3; the full answer either way, by the schema; the other keys as without a target."""
    path = scenario(("0.002", rate))
    answer, plain = dmoa("latency", path, "--json", "--target", target), dmoa("latency", path, "--json")
    assert answer.code == code
    assert plain.code == 0
    document = answer.checked("latency")
    found = document.pop("target")
    assert document | {"target": None} == plain.checked("latency")
    assert found["met"] is (code == 0)
    assert found["met"] == (document[found["level"]] <= found["seconds"]) == (found["scale"] >= 1)
    assert found["present"] == document[found["level"]]
    assert (found["scale"] == 0) == (target == MISSED_BY_IDLE)
    if found["scale"]:
        assert found["interval"][0] <= found["scale"] <= found["interval"][1] <= found["critical_scale"]
    assert dmoa("latency", path, "--json", "--target", target).out == answer.out


def test_an_overloaded_system_still_learns_its_load(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Exit 3, present latency null, and by how much to turn it down."""
    answer = dmoa("latency", scenario(("0.002", "0.05")), "--json", "--target", "p95=400")
    found = answer.checked("latency")["target"]
    assert answer.code == 3
    assert found["present"] is None
    assert 0 < found["scale"] < found["critical_scale"] < 1


def test_what_the_report_says(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Met or missed, up to which load, how sure."""
    said = " ".join(dmoa("latency", scenario(), "--target", "p95=400 s").out.split())
    assert "Target: p95 of 400 s at most. It is met at the present load" in said
    assert "times the present rates, the busiest device at" in said
    assert "With estimates off by their typical error, up to" in said
    missed = " ".join(dmoa("latency", scenario(), "--target", "p95=80").out.split())
    assert "It is MISSED at the present load" in missed
    nothing = " ".join(dmoa("latency", scenario(), "--target", MISSED_BY_IDLE).out.split())
    assert "No load meets it: a prompt that finds every device idle takes" in nothing
    unbounded = " ".join(dmoa("latency", scenario(("0.002", "0.05")), "--target", "p95=400").out.split())
    assert "It is MISSED at the present load, at which latency grows without bound. It is met up to" in unbounded
    edge = " ".join(dmoa("latency", scenario(), "--target", "mean=1e7 h").out.split())
    assert "beyond it queues are not bounded" in edge


def test_files(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is in latency.json, the loads that were looked at in target.csv."""
    monkeypatch.setattr("dmoa_theory.load_curves._MOST_LINKS", 0)  # no curves, which are simulated
    out = tmp_path / "out"
    assert dmoa("latency", scenario(), "--target", "p99=10 min", "--out", out).code == 0
    document = json.loads((out / "latency.json").read_text())
    with (out / "target.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(document["target"]["checked"])
    assert set(rows[0]) == {"scale", "utilisation", "p99_s", "met"}
    assert (out / "latency.png").stat().st_size > 1000
    assert dmoa("latency", scenario(), "--out", tmp_path / "plain").code == 0
    assert not (tmp_path / "plain" / "target.csv").exists()


@pytest.mark.parametrize("target", ["p95", "p90=60", "p95=soon", "p95=0", "p95=6 fortnights"])
def test_a_target_that_cannot_be_read(dmoa: Callable[..., Any], scenario: Callable[..., Path], target: str) -> None:
    """One line, exit 2."""
    said = dmoa("latency", scenario(), "--target", target).complaint()
    assert said.startswith(f"--target = {target}: a figure (mean, p50, p95, p99)")


def test_factors_have_the_same_digits() -> None:
    """So that ends of an interval compare."""
    assert _alike(1.9996, 1.98, 2.0213) == ["2.00", "1.98", "2.02"]
    assert _alike(0.9, 0.8903, 0.9219) == ["0.900", "0.890", "0.922"]
    assert _alike(25.04, 24.9, 25.3) == ["25.0", "24.9", "25.3"]
    assert _alike(12345.6) == ["12,346"]
    assert _alike(0.0, 0.0, 0.0) == ["0.00", "0.00", "0.00"]
