"""Accuracy tables: what the paper prints, sampling errors, percent or fractions, and every refusal."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from dmoa_theory.accuracy.table import AccuracyTable, bundled_tables, read_accuracy
from dmoa_theory.errors import InputError

# Mitra2024, Tables I and II: accuracy in percent by (M, k)
TABLE_I = {(0, 0): 21.91, (1, 1): 29.55, (1, 2): 39.63, (2, 1): 28.88, (2, 2): 39.89, (1, 3): 39.79, (2, 3): 40.63}
TABLE_II = {(0, 0): 23.62, (1, 1): 39.41, (1, 2): 39.52, (2, 1): 38.22, (2, 2): 40.51, (1, 3): 38.96, (2, 3): 55.55}


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], AccuracyTable]:
    def write_and_read(text: str) -> AccuracyTable:
        path = tmp_path / "own.csv"
        path.write_text(text, encoding="utf-8")
        return read_accuracy(str(path))

    return write_and_read


@pytest.mark.parametrize(
    ("name", "published", "number"), [("mitra2024-same", TABLE_I, "I"), ("mitra2024-diverse", TABLE_II, "II")]
)
def test_bundled_tables_are_the_papers(name: str, published: dict[tuple[int, int], float], number: str) -> None:
    found = read_accuracy(name)
    assert {(e.M, e.k): e.accuracy for e in found.entries} == {key: round(v / 100, 4) for key, v in published.items()}
    assert {e.n_eval for e in found.entries} == {10}
    assert found.source == f"Mitra, Kaswan, Ulukus (2024), arXiv:2412.21200, Table {number}"
    assert found.per_prompt_deviation == (0.30, 0.42)
    for entry in found.entries:  # ten prompts: 13 points, whatever the figure
        assert entry.standard_error == pytest.approx(0.42 / math.sqrt(10))


def test_bundled_tables_by_name() -> None:
    assert bundled_tables() == ("mitra2024-diverse", "mitra2024-same")


def test_ten_prompts_say_little() -> None:
    said = read_accuracy("mitra2024-diverse").sampling_remark()
    assert said == "each accuracy stands on 10 prompts, which means 10 to 13 points of standard error"


def test_percent_and_fractions_are_told_apart(table: Callable[[str], AccuracyTable]) -> None:
    fractions = table("M,k,value,n_eval\n0,0,0.2,100\n1,1,0.4,100\n")
    percent = table("M,k,value,n_eval\n0,0,20,100\n1,1,40,100\n")
    assert [e.accuracy for e in fractions.entries] == [e.accuracy for e in percent.entries] == [0.2, 0.4]
    small = table("# metric: win rate, percent\nM,k,value,n_eval\n0,0,0.9,100\n")  # below one, but said to be percent
    assert small.entries[0].accuracy == pytest.approx(0.009)
    with_error = table("M,k,value,se\n0,0,20,5\n")
    assert with_error.entries[0].standard_error == 0.05


def test_standard_errors(table: Callable[[str], AccuracyTable]) -> None:
    """Those given; else those of the stated deviation; else the largest that scores between 0 and 1 can have."""
    given = table("M,k,value,n_eval,se\n0,0,0.2,100,0.07\n").entries[0]
    assert given.standard_error == 0.07
    stated = table("# per_prompt_sd: 0.3 to 0.4\nM,k,value,n_eval\n0,0,0.2,100\n").entries[0]
    assert stated.standard_error == pytest.approx(0.04)
    worst = table("M,k,value,n_eval\n0,0,0.2,100\n").entries[0]
    assert worst.standard_error == pytest.approx(math.sqrt(0.2 * 0.8 / 100))
    without_size = table("M,k,value,se\n0,0,0.2,0.01\n1,1,0.4,0.03\n")
    assert without_size.entries[0].n_eval is None
    assert without_size.sampling_remark() == "standard errors of the accuracies: 1.0 to 3.0 points"


def test_what_a_file_may_hold(table: Callable[[str], AccuracyTable]) -> None:
    """Comments and blank lines anywhere, columns in any order, blanks behind commas, further columns, a byte-order mark."""
    text = "\ufeff# source: our own\n\nmode, k, value, M, n_eval, task\n# here too\nsame, 1, 0.5, 2, 30, sums\n"
    found = table(text)
    assert [(e.M, e.k, e.accuracy, e.n_eval) for e in found.entries] == [(2, 1, 0.5, 30)]
    assert found.source == "our own"
    assert found.name == "own"


def test_entries_by_configuration() -> None:
    found = read_accuracy("mitra2024-same")
    assert found.entry(2, 3).accuracy == 0.4063
    with pytest.raises(KeyError):
        found.entry(9, 9)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "columns = none: M,k,value and n_eval or se"),
        ("# source: nothing\n", "columns = none: M,k,value and n_eval or se"),
        ("M,k\n0,0\n", "columns = M,k: M,k,value and n_eval or se"),
        ("M,k,value,prompts\n0,0,0.5,3\n", "columns = prompts: known columns: M, k, mode, n_eval, se, task, user, value"),
        ("M,k,value,n_eval\n", "rows = none: at least one row M,k,value,n_eval"),
        ("# a comment\nM,k,value,n_eval\n0,0,x,3\n", "line 3: value = x: a fraction from 0 to 1, or a percentage"),
        ("M,k,value,n_eval\n\n\n0,0,101,3\n", "line 4: value = 101: a fraction from 0 to 1, or a percentage"),
        ("M,k,value,n_eval\n0,0,0.5,-3\n", "line 2: n_eval = -3: a whole number, 1 or more"),
        ("M,k,value,n_eval\n0,0,0.5,\n", "line 2 = neither n_eval nor se: one of the two, to know the sampling error"),
        ("M,k,value,n_eval\n0.0,0,0.5,3\n", "line 2: M = 0.0: a whole number, 0 or more"),
        ("M,k,value,n_eval\n1,1,0.5,3\n1,1,0.6,3\n", "line 3 = M=1, k=1: each configuration once: keep one mode, user or task"),
        ("M,k,value,n_eval\n1,1,0.5\n", "line 2 = too few or too many columns: M,k,value,n_eval"),
    ],
)
def test_refusals(table: Callable[[str], AccuracyTable], tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        table(text)
    assert str(caught.value) == f"{tmp_path}/own.csv: {complaint}"


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("none.csv", "folder.csv"):
        with pytest.raises(InputError, match=r"^accuracy\.table = .*\.csv: an existing CSV file, or one of mitra2024-diverse"):
            read_accuracy(str(tmp_path / name))
    (tmp_path / "bytes.csv").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"bytes\.csv: cannot be read as UTF-8 text$"):
        read_accuracy(str(tmp_path / "bytes.csv"))


def test_a_value_of_one_is_everything_not_one_percent(table: Callable[[str], AccuracyTable]) -> None:
    assert table("M,k,value,n_eval\n0,0,1,100\n1,1,0,100\n").entry(0, 0).accuracy == 1
