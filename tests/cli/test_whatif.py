"""`dmoa whatif`: the reports, the JSON, the files, exit codes, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli.schema import read_schema

PARTS = {"single_losses", "loss", "availability", "central"}


def test_n_minus_1_is_what_is_asked_by_default(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario()
    answer = dmoa("whatif", path, "--links", "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.checked("whatif")
    found = document["single_losses"]
    assert [document[part] for part in PARTS - {"single_losses"}] == [None] * 3
    assert found["secure"] is True
    assert document["before"]["critical_scale"] == pytest.approx(1 / (24 * 4 * 0.002))
    # a complete graph of equal devices stays at its load without one of them; without a link two ask only the others
    assert [entry["utilisation"] for entry in found["devices"]] == pytest.approx([0.192] * 4)
    assert len(found["links"]) == 6
    assert found["worst"]["lost"] == found["links"][0]["lost"] == "device-0 - device-1"
    assert found["secure_scale"] == pytest.approx(found["worst"]["critical_scale"])
    assert all(entry["mean_after_s"] > 0 for entry in found["devices"])
    assert dmoa("whatif", path, "--links", "--json").out == answer.out
    plain = dmoa("whatif", path, "--json").checked("whatif")
    assert plain["single_losses"]["links"] is None


def test_a_given_loss(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario(("n = 4", 'n = 4\nnames = ["a", "b", "c", "d"]'))
    document = dmoa("whatif", path, "--lose", "a, 2", "--lose-link", "b->d", "--json").checked("whatif")
    loss = document["loss"]
    assert (loss["devices"], loss["links"], loss["lost"]) == (["a", "c"], 1, "a, c, b->d")
    assert loss["cut_off"] == ["a", "c"]
    assert loss["short"] == ["b", "d"]
    assert loss["utilisation"] == [None, pytest.approx(0.002 * 24 * 3), None, pytest.approx(0.002 * 24 * 2)]
    assert [user["asks"] for user in loss["per_user"]] == [None, 0, None, 1]
    assert document["single_losses"] is None
    said = " ".join(dmoa("whatif", path, "--lose", "a", "--when-short", "cut-off").out.split())
    assert "Without a every queue that is left stays bounded; busiest b, at 19.2 %." in said
    assert "Cut off: a, 25.0 % of the prompts." in said


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 0),
        (("--load-factor", "5"), 0),
        (("--load-factor", "6"), 3),
        (("--lose", "0", "--load-factor", "6"), 3),
        (("--set", "arrivals.rate=[0.02, 0.002, 0.002, 0.002]", "--load-factor", "1.2", "--lose", "0"), 0),
        (("--set", "service.mean=[1, 1, 1, 60]", "--set", "arrivals.rate=[0.012, 0, 0, 0]", "--lose", "1"), 0),
        (("--set", "service.mean=[1, 1, 1, 60]", "--set", "arrivals.rate=[0.02, 0, 0, 0]", "--set", "moa.k=1"), 0),
        (("--set", "service.mean=[1, 1, 1, 60]", "--set", "arrivals.rate=[0.02, 0, 0, 0]", "--lose", "1,2"), 3),
        (("--lose", "0,1,2,3"), 3),
        (("--lose", "0,1,2"), 0),
        (("--lose-link", "0-1,2->3"), 0),
        (("--availability", "0.9"), 0),
        (("--availability", "0.9,0.8,1,0.5", "--link-availability", "0.9", "--blind", "--samples", "100"), 0),
        (("--availability", "0.9", "--when-short", "cut-off", "--set", "moa.quorum=2"), 0),
        (("--availability", "0.9", "--load-factor", "6"), 3),
        (("--central",), 0),
        (("--central", "--availability", "0.99", "--lose", "1", "--links", "--latencies", "worst"), 0),
        (("--servers", "2,1", "--speed", "0.5", "--round-trip", "0.3", "--central-availability", "0.99", "--bare"), 0),
        (("--central", "--load-factor", "40"), 3),
        (("--set", "network.n=1", "--set", "moa.M=0", "--set", "moa.k=0"), 0),
        (("--set", "arrivals.rate=[0.002, 0, 0, 0]"), 0),
        (("--set", "moa.M=[0, 1, 2, 1]", "--set", "moa.k=[0, 1, 3, 2]", "--links"), 0),
    ],
)
def test_every_kind_of_question_keeps_the_schema(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...], code: int
) -> None:
    """3 when what is left, or without a loss the system as it is, is unstable; the answer is whole all the same."""
    path = scenario()
    answer = dmoa("whatif", path, *arguments, "--json")
    assert (answer.code, answer.err) == (code, "")
    document = answer.checked("whatif")
    assert any(document[part] is not None for part in PARTS)
    report = dmoa("whatif", path, *arguments)
    assert (report.code, report.err) == (code, "")
    for word in ("nan", "inf "):
        assert word not in report.out


def test_a_network_that_is_not_secure_is_an_answer(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario(("24.0", "[5.0, 5.0, 5.0, 60.0]"), ("0.002", "[0.04, 0, 0, 0]"), ("k = 2", "k = 1"))
    document = dmoa("whatif", path, "--json")
    assert document.code == 0
    found = document.checked("whatif")["single_losses"]
    assert (found["secure"], found["unstable"]) == (False, 2)
    assert found["worst"] == {"lost": "device-1", "critical_scale": pytest.approx(1 / 1.2), "busiest": "device-3"}
    said = " ".join(dmoa("whatif", path).out.split())
    assert "NOT N-1 secure: 2 of 4 single losses leave a device with more work than it can do." in said
    assert "Worst single loss: device-1; then device-3 is busiest, at 120.0 %." in said
    assert "up to 0.833 times this load" in said
    overloaded = " ".join(dmoa("whatif", path, "--load-factor", "2").out.split())
    assert re.search(r"nothing device-3 \S+ % \S+ unbounded overloaded", overloaded)


def test_the_reports(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario()
    said = " ".join(dmoa("whatif", path).out.split())
    mean = dmoa("latency", path, "--json").checked("latency")["mean"]
    assert f"nothing device-0 19.2 % 5.21 {mean:.1f} s" in said
    assert "N-1 secure: whatever single one is lost, the queues that are left stay bounded." in said
    assert "Every single loss is survived up to 5.21 times this load." in said
    assert "answered at any time" not in dmoa("whatif", path, "--central").out
    said = " ".join(dmoa("whatif", path, "--central", "--availability", "0.99").out.split())
    assert "answered at any time" in said
    assert "centre: 4 servers" in said
    assert "nothing is batched" in said
    assert "99.0 % of the prompts are answered, waits left out of account." in said
    assert "all 16 states" in said
    said = " ".join(dmoa("whatif", path, "--lose", "0,1,2,3").out.split())
    assert "nobody with prompts is left" in said


def test_files_are_whole(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    out, path = tmp_path / "made" / "here", scenario()
    asked = ("--links", "--lose", "1", "--availability", "0.9", "--central", "--out", out)
    printed = dmoa("whatif", path, *asked, "--json")
    files = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    pictures = {"single_losses.png", "loss.png", "central.png"}
    assert set(files) == {"whatif.json", *(f"{part}.csv" for part in PARTS), *pictures}
    assert json.loads(files["whatif.json"]) == printed.json
    rows = list(csv.DictReader(files["single_losses.csv"].decode().splitlines()))
    found = printed.json["single_losses"]
    assert [float(row["utilisation"]) for row in rows] == [entry["utilisation"] for entry in found["devices"] + found["links"]]
    assert [row["kind"] for row in rows] == ["device"] * 4 + ["link"] * 6
    for name in pictures:
        assert files[name].startswith(b"\x89PNG")
    dmoa("whatif", path, *asked)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == files
    assert dmoa("whatif", path, "--load-factor", "50", "--central", "--lose", "0", "--out", tmp_path / "over").code == 3


def test_a_folder_keeps_nothing_of_an_earlier_question(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_bytes(b"mine")
    path = scenario()
    dmoa("whatif", path, "--lose", "1", "--availability", "0.9", "--central", "--out", tmp_path)
    assert {"loss.png", "central.png", "availability.csv"} <= {entry.name for entry in tmp_path.iterdir()}
    dmoa("whatif", path, "--out", tmp_path)
    left = {entry.name for entry in tmp_path.iterdir()} - {path.name}
    assert left == {"notes.png", "whatif.json", "single_losses.csv", "single_losses.png"}


def test_what_is_asked_beside_a_loss_is_of_the_whole_network(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path, said = scenario(), "Of the whole network, without that loss, is"
    both = " ".join(dmoa("whatif", path, "--lose", "0", "--central").out.split())
    assert f"{said} the comparison with a centre:" in both
    assert "distributed and central, M=1, k=2 (latency: approximation)" in both
    assert "The centre runs the same inferences on equal compute." in both
    assert said not in " ".join(dmoa("whatif", path, "--central").out.split())
    document = dmoa("whatif", path, "--lose", "0", "--central", "--json").json
    assert document["central"] == dmoa("whatif", path, "--central", "--json").json["central"]


NAMES = 'names = ["a", "b", "a-b", "desk, left"]'


def test_names_with_dashes_and_commas(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario(("n = 4", f"n = 4\n{NAMES}"), ("k = 2", "k = 1"))
    for link, lost in (("a-b-b", "b - a-b"), ("a - a-b", "a - a-b"), ("a->a-b", "a->a-b"), ("a-b", "a-b")):
        assert dmoa("whatif", path, "--lose-link", link, "--json").json["loss"]["lost"] == lost
    assert dmoa("whatif", path, "--lose", "a, desk, left", "--json").json["loss"]["devices"] == ["a", "desk, left"]
    assert dmoa("whatif", path, "--lose", "left").complaint().startswith("--lose = left: ")


def test_the_schema_asks_for_every_key() -> None:
    schema = json.loads(read_schema("whatif"))
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--lose", "9"), "--lose = 9: a device by name, or by number from 0 to 3"),
        (("--lose", "nobody"), "--lose = nobody: a device by name"),
        (("--lose", ""), '--lose = "": at least one to lose'),
        (("--lose-link", " ,"), "--lose-link = ,: at least one to lose"),
        (("--lose-link", "0-9"), '--lose-link = 0-9: two devices as "a-b"'),
        (("--lose-link", "0"), '--lose-link = 0: two devices as "a-b"'),
        (("--when-short", "never"), "--when-short = never: one of fewer, cut-off"),
        (("--latencies", "some"), "--latencies = some: one of all, worst, none"),
        (("--availability", "often"), "--availability = often: probabilities"),
        (("--availability", "1.5"), "--availability = 1.5: a probability from 0 to 1"),
        (("--availability", "0.9,0.9"), "--availability = 2 values: one number, or a list of 4"),
        (("--availability", "0.9,0.9,7,1"), "--availability[2] = 7.0: a probability"),
        (("--availability", "0.9", "--link-availability", "2"), "--link-availability = 2.0: a probability"),
        (("--blind",), "--blind = given: only beside --availability, without which it says nothing"),
        (("--samples", "100"), "--samples = 100: only beside --availability"),
        (("--link-availability", "0.9"), "--link-availability = 0.9: only beside --availability"),
        (("--availability", "0.9", "--samples", "0"), "--samples = 0: a whole number from 1"),
        (("--availability", "0.9", "--seed", "-1"), "--seed = -1: a whole number, 0 or more"),
        (("--servers", "many"), "--servers = many: whole numbers"),
        (("--servers", "0"), "--servers = 0: a whole number from 1"),
        (("--speed", "0"), "--speed = 0.0: a finite number above 0"),
        (("--round-trip", "-1"), "--round-trip = -1.0: a finite number of seconds, 0 or more"),
        (("--central-availability", "1.2"), "--central-availability = 1.2: a probability from 0 to 1"),
        (("--load-factor", "0"), "--load-factor = 0.0: a finite number above 0"),
        (("--load-factor", "1e300"), "--load-factor = 1e+300: a factor that leaves"),
        (("--set", "moa.k=9"), ""),
    ],
)
def test_bad_input_is_a_line_and_code_2(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...], complaint: str
) -> None:
    assert dmoa("whatif", scenario(), *arguments).complaint().startswith(complaint)
