"""``dmoa accuracy``: evidence, fit and chances; bundled data and one's own; every refusal in a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.accuracy.table import bundled_tables

PROMPTS = "M,k,mode,prompt_id,score\n" + "".join(
    f"{M},{k},{mode},p{i},{int(i % 10 < most)}\n"
    for mode, bonus in (("same", 0), ("diverse", 2))
    for M, k, most in ((0, 0, 4), (1, 1, 5 + bonus), (1, 3, 6 + bonus))
    for i in range(40)
)


@pytest.mark.parametrize("name", ["mitra2024-diverse", "selfmoa2025-mixes", "together2024-math"])
def test_json_keeps_its_schema(dmoa: Callable[..., Any], name: str) -> None:
    answer = dmoa("accuracy", name, "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.checked("accuracy")
    assert document["name"] == name
    assert [each["name"] for each in document["bundled"]] == list(bundled_tables())
    assert document["reasons"]
    assert dmoa("accuracy", name, "--json").out == answer.out


def test_the_default_is_the_papers(dmoa: Callable[..., Any]) -> None:
    document = dmoa("accuracy", "--json").checked("accuracy")
    (table,) = document["tables"]
    assert (table["name"], table["secondary"], table["paired"]) == ("mitra2024-diverse", False, False)
    assert sum(row["p_best"] for row in table["configurations"]) == pytest.approx(1)
    assert table["best_measured"] == {"M": 2, "k": 3}
    assert "told from none of the 6 others" in table["evidence"]
    assert table["fit"]["prompts_for_5_points"] == 497
    assert {shape["name"] for shape in table["fit"]["shapes"]} == {"saturating", "effective", "log", "flat"}
    assert table["collaboration"]["one_value_for_all_p"] > 0.5


def test_the_report(dmoa: Callable[..., Any]) -> None:
    """Source, every figure with its error, the sentence, the pick, the shapes; second-hand rows are labelled."""
    said = dmoa("accuracy").out
    assert said.startswith("mitra2024-diverse: Mitra, Kaswan, Ulukus (2024), arXiv:2412.21200, Table II\n")
    assert "55.5 ± 13.3 %" in said
    assert "SECONDARY" not in said
    flat = " ".join(said.split())
    assert "told from none of the 6 others (limit 3.0 standard errors, as it was picked from 7)" in flat
    assert "some 497 prompts asked of both to be told with 80 % power, 246 with 50 %." in flat
    assert "by the figures and their errors alone (unfitted): M=2, k=3 (51 %)" in flat
    assert "is the cheapest within 2 points, 7 inferences against 9" in flat
    assert "Fitted: logit A = a + g s(M, k + 1)" in flat
    second_hand = dmoa("accuracy", "together2024-same").out
    assert second_hand.count("SECONDARY") == 5 + 1
    assert "Beware: SECONDARY: all rows of together2024-same" in second_hand


def test_many_tables_are_cut_short(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("user,M,k,value,n_eval\n" + "".join(f"u{u},0,0,0.4,50\nu{u},1,1,0.5,50\n" for u in range(9)))
    said = dmoa("accuracy", path).out
    assert "1 more table: --json and --out hold them all." in said
    assert "own/u7" in said
    assert "own/u8" not in said


def test_single_figures_are_one_table(dmoa: Callable[..., Any]) -> None:
    """Mixtures of proposers: every figure labelled as second-hand, and what quality and diversity do to the gain."""
    said = " ".join(dmoa("accuracy", "selfmoa2025-mixes").out.split())
    assert said.count("SECONDARY") >= 47
    assert "Gain by covariates: g = (0.21 ± 0.18) + (1.78 ± 0.33) x (proposers' mean quality - own quality)" in said
    assert "Beware: SECONDARY: 47 of 47 tables" in said


def test_the_listing(dmoa: Callable[..., Any]) -> None:
    said = dmoa("accuracy", "--list").out
    for name in bundled_tables():
        assert f" {name} " in said
        assert f"\n{name}: " in said


def test_scores_of_ones_own_prompts(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    """A table a mode, pairs compared prompt by prompt, pictures and tables written."""
    path = tmp_path / "own.csv"
    path.write_text(PROMPTS)
    document = dmoa("accuracy", path, "--json", "--out", tmp_path / "out").checked("accuracy")
    assert [table["name"] for table in document["tables"]] == ["own/same", "own/diverse"]
    for table in document["tables"]:
        assert table["paired"]
        assert table["best_measured"] == {"M": 1, "k": 3}
        assert {row["standard_error_from"] for row in table["configurations"]} == {"per-prompt scores"}
    assert {item.name for item in (tmp_path / "out").iterdir()} == {
        "accuracy.json",
        "accuracy.csv",
        "accuracy.png",
        "accuracy-2.png",
    }
    rows = (tmp_path / "out" / "accuracy.csv").read_text().splitlines()
    assert len(rows) == 1 + 6
    assert rows[0].startswith("table,M,k,inferences,accuracy,standard_error,")


def test_a_folder_keeps_no_picture_of_an_earlier_table(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    dmoa("accuracy", "selfmoa2025-alpaca", "--out", tmp_path)
    assert (tmp_path / "accuracy-2.png").exists()
    (tmp_path / "accuracy-mine.png").write_bytes(b"")
    dmoa("accuracy", "--out", tmp_path)
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left == {"accuracy.csv", "accuracy.json", "accuracy.png", "accuracy-mine.png"}


def test_which_bands_are_shown_is_said(dmoa: Callable[..., Any]) -> None:
    said = " ".join(dmoa("accuracy").out.split())
    assert (
        "The bands in the table are of single configurations, each with its own deviation of 1.5 points from the curve" in said
    )


def test_held_out(dmoa: Callable[..., Any]) -> None:
    answer = dmoa("accuracy", "together2024-diverse", "--held-out", "--json").checked("accuracy")
    assert len(answer["held_out"]) == 6
    ways = {"saturating", "effective", "log", "flat", "average", "mean of the others"}
    assert set(answer["held_out"][0]["predicted"]) == ways
    assert "leave-one-out error, points" in dmoa("accuracy", "together2024-diverse", "--held-out").out


def test_points_given_up(dmoa: Callable[..., Any]) -> None:
    document = dmoa("accuracy", "--points", "100", "--json").json
    assert document["tables"][0]["cheapest_within"] == {"M": 0, "k": 0, "epsilon": 1.0}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("mitra2024-sam",), 'TABLE = mitra2024-sam: did you mean "mitra2024-same"? a CSV file, or one of mitra2024-diverse, '),
        (("none.csv",), "TABLE = none.csv: an existing CSV file, or one of mitra2024-diverse, "),
        (("--points", "-1"), "--points = -1.0: from 0 to 100"),
        (("--points", "nan"), "--points = nan: from 0 to 100"),
        (("--list", "--points", "3"), "--points = 3.0: not beside --list, which only names the bundled data sets"),
        (("--list", "mitra2024-same"), "TABLE = mitra2024-same: not beside --list"),
        (("--list", "--held-out"), "--held-out = given: not beside --list"),
        (("--list", "--out", "x"), "--out = x: not beside --list"),
        (("--list", "--json"), "--json = given: not beside --list"),
        (("a", "b"), "b: unexpected; dmoa accuracy --help says what it takes"),
    ],
)
def test_refusals(dmoa: Callable[..., Any], arguments: tuple[str, ...], complaint: str) -> None:
    assert dmoa("accuracy", *arguments).complaint().startswith(complaint)


def test_a_line_that_is_wrong(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(PROMPTS.replace("0,0,same,p3,1", "0,0,same,p3,right"))
    assert dmoa("accuracy", path).complaint() == (f"{path}: line 5: score = right: a fraction from 0 to 1, or a percentage")
