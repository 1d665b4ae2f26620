"""``dmoa latency --queues`` and the pictures of ``--out``."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import latency, load_scenario
from dmoa_theory.delay.expected_error import show_error
from dmoa_theory.delay.single_queue.device_queues import device_queues
from dmoa_theory.delay.wait_errors import wait_errors

MEANS = ("mean = 24.0", "mean = [24.0, 20.0, 30.0, 28.0]")


def test_each_device_as_a_queue(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """The figures of the single queue, an approximation and said to be one; the other keys as without it."""
    path = scenario(MEANS)
    answer = dmoa("latency", path, "--queues", "--json")
    assert answer.code == 0
    document, plain = answer.checked("latency"), dmoa("latency", path, "--json").checked("latency")
    found = document.pop("queues")
    assert plain["queues"] is None
    assert document | {"queues": None} == plain
    wanted = device_queues(load_scenario(path))
    assert (found["model"], found["exact"]) == ("M/G/1", False)
    assert "an approximation" in found["reasons"][0]
    assert [row["p95_wait"] for row in found["per_device"]] == wanted.wait_p95.tolist()
    assert [row["wait_chance"] for row in found["per_device"]] == pytest.approx(
        [row["utilisation"] for row in document["per_device"]]
    )


def test_exact_without_layers(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Then its mean wait is the estimate's."""
    document = dmoa("latency", scenario(MEANS, ("M = 1\nk = 2", "M = 0\nk = 0")), "--queues", "--json").checked("latency")
    assert document["queues"]["exact"] is True
    for alone, there in zip(document["queues"]["per_device"], document["per_device"], strict=True):
        assert alone["mean_wait"] == pytest.approx(there["mean_wait"])
        assert alone["mean_in_system"] == pytest.approx(there["mean_in_system"])


def test_in_words(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """What the table is, and why a lognormal law has no decay time."""
    said = " ".join(dmoa("latency", scenario(), "--queues").out.split())
    assert "each device as an M/G/1 queue (an approximation here)" in said
    assert "device has to wait mean wait p95 wait decay time busy period jobs there" in said
    assert "Queues: an approximation: each device as an M/G/1 queue with the same jobs" in said
    for column in ("Has to wait: ", "Decay time: ", "Busy period: "):
        assert column in said
    lognormal = scenario(("mean = 24.0", 'mean = 24.0\nlaw = "lognormal"'))
    answer = dmoa("latency", lognormal, "--queues", "--json").checked("latency")["queues"]
    assert [row["decay_time"] for row in answer["per_device"]] == [None] * 4
    assert "Queues: no decay time: service is lognormal" in " ".join(dmoa("latency", lognormal, "--queues").out.split())


def test_overloaded(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Exit 3, null figures, by the schema."""
    answer = dmoa("latency", scenario(("0.002", "0.05")), "--queues", "--json")
    assert answer.code == 3
    assert answer.checked("latency")["queues"]["per_device"][0]["mean_wait"] is None


def test_pictures_and_tables(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    """By user, where the time goes (adding up to the mean), and latency against load; tables with the same."""
    out, path = tmp_path / "out", scenario(MEANS)
    assert dmoa("latency", path, "--queues", "--out", out).code == 0
    names = {"latency.json", "latency.csv", "queues.csv", "single_queues.csv", "where_time_goes.csv", "over_load.csv"}
    pictures = {"latency.png", "where_time_goes.png", "over_load.png"}
    assert {file.name for file in out.iterdir()} == names | pictures
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in pictures)
    with (out / "where_time_goes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    mean = latency(load_scenario(path)).mean
    parts = [float(v) for name, v in rows[0].items() if name not in {"prompts_of", "mean_s"}]
    assert sum(parts) == pytest.approx(mean) == pytest.approx(float(rows[0]["mean_s"]))
    with (out / "over_load.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert {row["configuration"] for row in rows} == {"M=1, k=2", "M=1, k=3", "M=2, k=2", "M=1, k=1"}
    assert {row["source"] for row in rows} == {"approximation", "simulated"}


def test_pictures_of_an_overloaded_system(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    """No parts of what is unbounded; the curves still show where it would be bounded."""
    out = tmp_path / "out"
    assert dmoa("latency", scenario(("0.002", "0.05"), ("n = 4", "n = 2"), ("k = 2", "k = 1")), "--out", out).code == 3
    assert {"latency.png", "over_load.png"} <= {file.name for file in out.iterdir()}
    assert not (out / "where_time_goes.png").exists()


def test_large_networks_have_no_curves(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says so, and what does it instead."""
    monkeypatch.setattr("dmoa_theory.load_curves._MOST_LINKS", 5)
    out = tmp_path / "out"
    said = " ".join(dmoa("latency", scenario(), "--out", out).out.split())
    assert "No over_load.png: with 12 links it would take minutes; dmoa compare --loads does it." in said
    assert not (out / "over_load.png").exists()


def test_how_sure_the_waits_are(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Read from the validation systems; exact without layers, and the tables say so; nothing where unstable."""
    path = scenario(MEANS)
    found = wait_errors(load_scenario(path))
    assert found is not None
    said = " ".join(dmoa("latency", path).out.split())
    assert (
        f"Waits of single devices are less sure than latency: off by {show_error(found.typical)} on average in the 40" in said
    )
    assert "queues with M=1, k=2 (approximation)" in said
    alone = " ".join(dmoa("latency", path, "--set", "moa.M=0", "--set", "moa.k=0").out.split())
    assert "Waits and jobs there are exact" in alone
    assert "queues with M=0, k=0 (exact)" in alone
    assert "latency with M=0, k=0 (mean exact, percentiles numerical)" in alone
    assert "less sure" not in dmoa("latency", scenario(("0.002", "0.05"))).out


def test_memory_without_weights_says_so(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Of a [memory] section that speaks of prompts alone; not of one that knows all."""
    path = scenario(("k = 2", 'k = 2\n[memory]\nbytes_per_prompt = "1 kB"\n'))
    said = " ".join(dmoa("latency", path).out.split())
    assert "That is without weights and the cache of the running inference, of which the scenario says nothing" in said
    known = ("memory.weights=1e9", "memory.kv_bytes_per_token=1000", "memory.context_tokens=500")
    assert "That is without" not in dmoa("latency", path, *(part for each in known for part in ("--set", each))).out
