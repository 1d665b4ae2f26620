"""Accuracy tables: what the paper prints, sampling errors, percent or fractions, and every refusal."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory.accuracy.measured import PromptScores
from dmoa_theory.accuracy.table import AccuracyTable, bundled_tables, read_accuracy, read_tables
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
    assert bundled_tables() == (
        "mitra2024-diverse",
        "mitra2024-same",
        "selfmoa2025-alpaca",
        "selfmoa2025-gemma",
        "selfmoa2025-mixes",
        "together2024-aggregators",
        "together2024-diverse",
        "together2024-math",
        "together2024-same",
    )


@pytest.mark.parametrize("name", bundled_tables())
def test_every_bundled_figure_says_where_it_comes_from(name: str) -> None:
    """Source, metric, number of prompts (or that it is assumed) and standard error of each; transcriptions are labelled."""
    for table in read_tables(name):
        assert "arXiv:" in table.source
        assert table.metric
        for entry in table.entries:
            assert 0 < entry.standard_error < 0.14
            assert entry.basis in {"stated", "judge scores", "binomial", "assumed size"}
            assert (entry.n_eval is None) == (entry.basis == "assumed size")
        labelled = any("SECONDARY" in remark for remark in table.remarks())
        assert labelled == table.secondary == any(entry.secondary for entry in table.entries)
        assert table.secondary != (name.startswith("mitra2024") or name == "selfmoa2025-gemma")
        sizes = any("assumed size" in remark for remark in table.remarks())
        assert sizes == any(entry.basis == "assumed size" for entry in table.entries)


def test_published_figures_in_our_convention() -> None:
    """Together's three layers of six proposers are M = 2, k = 5; its one proposer is k = 0."""
    assert read_accuracy("together2024-diverse").entry(2, 5).accuracy == 0.651
    assert read_accuracy("together2024-same").entry(1, 0).accuracy == 0.478
    wizard = read_accuracy("together2024-aggregators/WizardLM-2-8x22B")
    assert wizard.entry(1, 5).accuracy < wizard.entry(0, 0).accuracy  # collaborating can hurt


def test_one_of_several_tables() -> None:
    assert [table.user for table in read_tables("selfmoa2025-gemma")] == ["gemma-2-9b-it-WPO-HB", "gemma-2-9b-it-SimPO"]
    assert read_accuracy("together2024-math/dbrx-instruct").entry(0, 0).accuracy == 0.314
    assert len(read_tables("selfmoa2025-mixes/CRUX")) == 15
    with pytest.raises(InputError, match=r"^accuracy\.table = together2024-math: one of its tables: together2024-math/Qwen"):
        read_accuracy("together2024-math")
    with pytest.raises(InputError, match=r"^accuracy\.table = together2024-math/mine: one of together2024-math/Qwen"):
        read_accuracy("together2024-math/mine")


def test_ten_prompts_say_little() -> None:
    said = read_accuracy("mitra2024-diverse").sampling_remark()
    assert said == "each accuracy stands on 10 prompts, which means 9.5 to 13.3 points of standard error"


@pytest.mark.parametrize("name", bundled_tables())
def test_the_range_of_standard_errors_runs_upwards_and_hides_nothing(name: str) -> None:
    """Its ends are those of the stated deviations to a tenth of a point, whatever the number of prompts."""
    for table in read_tables(name):
        said = table.sampling_remark()
        ends = [float(number) for number in re.findall(r"\d+\.\d", said)]
        assert 1 <= len(ends) <= 2, said
        assert ends == sorted(set(ends)), said
        errors = [100 * entry.standard_error for entry in table.entries]
        assert ends[-1] == pytest.approx(max(errors), abs=0.051)
        if table.per_prompt_deviation and "prompts" in said:
            size = table.entries[0].n_eval
            assert size is not None
            assert ends[0] == pytest.approx(100 * table.per_prompt_deviation[0] / math.sqrt(size), abs=0.051)


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
        (
            "M,k,value,n_eval,mode\n1,1,0.5,3,same\n1,1,0.6,3,diverse\n",
            "tables = own/same, own/diverse: a single one: keep one mode, user or task",
        ),
        ("M,k,value,n_eval,secondary\n1,1,0.5,3,maybe\n", "line 2: secondary = maybe: yes, no or empty"),
        ("M,k,value,n_eval,M\n1,1,0.5,3,1\n", "columns = M: each column once (model is another name for user)"),
        ("user,model,M,k,value,n_eval\na,b,1,1,0.5,3\n", "columns = user: each column once (model is another name for user)"),
        ('M,k,value,n_eval,task\n1,1,0.5,3,"open\n', "line 2 = unexpected end of data: CSV, with quotes closed on their line"),
        ("M,k,score\n1,1,1\n", "columns = M,k,score: M,k,prompt_id,score, or M,k,value and n_eval or se"),
        ("M,k,prompt_id,score,value\n1,1,a,1,1\n", "columns = value: known columns: M, k, mode, prompt_id, score, task, user"),
        ("M,k,prompt_id,score\n", "rows = none: at least one row M,k,prompt_id,score"),
        ("M,k,prompt_id,score\n1,1,,1\n", "line 2: prompt_id = empty: a name, the same for every configuration"),
        ("M,k,prompt_id,score\n1,1,a,1\n1,1,a,0\n", "line 3: prompt_id = a: each prompt once with M=1, k=1"),
        ("M,k,prompt_id,score\n1,1,a,yes\n", "line 2: score = yes: a fraction from 0 to 1, or a percentage"),
        ("M,k,prompt_id,score\n1,1,a,nan\n", "line 2: score = nan: a fraction from 0 to 1, or a percentage"),
        (
            "M,k,prompt_id,score\n1,1,a,1\n",
            "M=1, k=1 of own = 1 prompt: two prompts or more for a configuration, to know the sampling error",
        ),
        (
            "M,k,prompt_id,score\n1,1,a,8\n1,1,b,9\n",
            "score = up to 9: scores from 0 to 1, or percentages (a line # metric: percent says so); "
            "divide marks out of ten by ten",
        ),
        (
            "M,k,value,se\n1,1,0.5,1.4\n",
            "line 2: se = 1.4: at most 0.5, as the values are fractions (a line # metric: percent says otherwise)",
        ),
        ("M,k,value,se\n1,1,50,51\n", "line 2: se = 51: at most 50, as the values are percentages"),
        (
            "# per_prompt_sd: 42\nM,k,value,n_eval\n1,1,0.5,10\n",
            "# per_prompt_sd = 42: at most 0.5, as the values are fractions (a line # metric: percent says otherwise)",
        ),
        (
            "# per_prompt_sd: 0.3 to 42\nM,k,value,se\n1,1,0.5,0.1\n",
            "# per_prompt_sd = 42: at most 0.5, as the values are fractions (a line # metric: percent says otherwise)",
        ),
        ("M,k,value,n_eval,diversity\n1,1,0.5,9,7\n", "line 2: diversity = 7: from 0 to 1"),
        ("M,k,value,n_eval,diversity\n1,1,50,9,7\n", "line 2: diversity = 7: from 0 to 1"),
        ("M,k,value,n_eval,proposer_quality\n1,1,0.5,9,45\n", "line 2: proposer_quality = 45: from 0 to 1"),
        (
            "M,k,value,n_eval\n0,0,0.9,9\n1,1,1.2,9\n",
            "value = up to 1.2: values from 0 to 1, or percentages (a line # metric: percent says so)",
        ),
        (
            "M,k,value,n_eval\n0,0,0.9,9\n1,1,52,9\n",
            "value = 0.9 beside 52: fractions throughout, or percentages (a line # metric: percent says so)",
        ),
        (
            "# metric: fraction, not percent\nM,k,value,n_eval\n0,0,40,9\n",
            "value = up to 40: from 0 to 1, as # metric speaks of fractions",
        ),
        (
            "# metric: fraction or percent\nM,k,value,n_eval\n0,0,0.4,9\n",
            "# metric = fraction or percent: either percent or fractions: the values do not tell which",
        ),
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


PROMPTS = """\
# metric: share solved
task,model,M,k,mode,prompt_id,score
sums,a,0,0,same,p1,0
sums,a,0,0,same,p2,1
sums,a,0,0,same,p3,0
sums,a,1,1,same,p1,0
sums,a,1,1,same,p2,1
sums,a,1,1,same,p3,1
sums,b,0,0,same,p1,1
sums,b,0,0,same,p2,1
"""


def test_scores_of_single_prompts(tmp_path: Path) -> None:
    """Means and paired covariance are those of the scores; a table a user; nobody is certain after two right answers."""
    path = tmp_path / "own.csv"
    path.write_text(PROMPTS)
    first, second = read_tables(str(path))
    assert (first.name, first.user, first.task, first.mode, second.user) == ("own/a", "a", "sums", "same", "b")
    assert [entry.accuracy for entry in first.entries] == pytest.approx([1 / 3, 2 / 3])
    assert {(entry.n_eval, entry.basis) for entry in first.entries} == {(3, "per-prompt scores")}
    scores = np.array([[0, 0], [1, 1], [0, 1]])
    assert first.covariance() == pytest.approx(np.cov(scores.T) / 3)
    assert first.entries[0].standard_error == pytest.approx(scores[:, 0].std(ddof=1) / math.sqrt(3))
    assert second.entries[0].standard_error == pytest.approx(math.sqrt(3 / 4 * 1 / 4 / 2))
    assert first.scores is not None
    with pytest.raises(ValueError, match="read-only"):
        first.scores.scores[0, 0] = 1


def test_prompts_that_were_not_asked_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("M,k,prompt_id,score\n0,0,a,100\n0,0,b,0\n1,1,b,0\n1,1,c,50\n")
    (table,) = read_tables(str(path))
    assert [entry.accuracy for entry in table.entries] == [0.5, 0.25]
    assert np.linalg.eigvalsh(table.covariance()).min() > 0
    assert table.remarks() == ("not every prompt of own was asked of every configuration: these are compared on fewer",)
    assert table.scores is not None
    assert math.isnan(table.scores.deviation_of_difference(0, 1))  # one shared prompt says nothing of the spread


def test_nobody_is_certain(table: Callable[[str], AccuracyTable]) -> None:
    """Ten right of ten is no proof of being right always."""
    assert table("M,k,value,n_eval\n0,0,1,10\n").entries[0].standard_error == pytest.approx(math.sqrt(11 / 12 / 12 / 10))


def test_a_value_of_one_is_everything_not_one_percent(table: Callable[[str], AccuracyTable]) -> None:
    assert table("M,k,value,n_eval\n0,0,1,100\n1,1,0,100\n").entry(0, 0).accuracy == 1


@pytest.mark.parametrize(
    ("metric", "value", "accuracy"),
    [
        ("fraction, not percent", 0.4, 0.4),
        ("share of prompts, not in %", 0.4, 0.4),
        ("fraction of prompts won, in percent", 40, 0.4),
        ("Percent", 0.4, 0.004),
        ("win rate", 0.4, 0.4),
        ("win rate", 40, 0.4),
    ],
)
def test_the_metric_says_whether_values_are_percentages(
    table: Callable[[str], AccuracyTable], metric: str, value: float, accuracy: float
) -> None:
    found = table(f"# metric: {metric}\nM,k,value,n_eval\n0,0,{value},9\n")
    assert found.accuracy == pytest.approx([accuracy])


def test_a_deviation_without_a_leading_zero(table: Callable[[str], AccuracyTable]) -> None:
    assert table("# per_prompt_sd: .3 to .42\nM,k,value,n_eval\n0,0,0.4,100\n").per_prompt_deviation == (0.3, 0.42)


@pytest.mark.parametrize("constant", [0.0, 0.1, 0.3, 1 / 3, 0.7, 1.0])
@pytest.mark.parametrize("size", [3, 10, 17, 100])
def test_scores_that_are_all_alike_prove_nothing(constant: float, size: int) -> None:
    """Whatever rounding leaves of their spread; other configurations keep theirs."""
    other = np.arange(size) % 2
    scores = np.stack([np.full(size, constant), other], axis=1)
    covariance = PromptScores(prompts=tuple(map(str, range(size))), scores=scores).covariance()
    share = (size + 1) / (size + 2)
    assert covariance[0] == pytest.approx([share * (1 - share) / size, 0], rel=1e-9)
    assert covariance[1, 1] == pytest.approx(other.var(ddof=1) / size)


def test_a_bootstrap_draws_every_prompt_and_no_mean_of_nothing() -> None:
    """A configuration asked of few prompts has means of these alone, never 0 for want of any; the last prompt counts too."""
    scores = np.full((40, 3), np.nan)
    scores[:, 0] = 0.0
    scores[-1, 0] = 1.0
    scores[3:5, 1] = (0.6, 0.8)
    scores[7, 2] = 0.5
    held = PromptScores(prompts=tuple(map(str, range(40))), scores=scores)
    drawn = held.bootstrap(4000)
    assert drawn[:, 0].mean() == pytest.approx(1 / 40, abs=4 * math.sqrt(1 / 40 * 39 / 40 / 40 / 4000))
    assert np.unique(drawn[:, 1].round(9)).min() == 0.6
    assert drawn[:, 1].max() == pytest.approx(0.8)
    assert drawn[:, 1].mean() == pytest.approx(0.7, abs=0.01)
    assert (drawn[:, 2] == 0.5).all()


def test_figures_alone_do_not_take_ten_of_ten_for_certain(tmp_path: Path) -> None:
    """Ten right of ten beside nine: with flat priors on both the first is the better with 76 %, not 83 %."""
    path = tmp_path / "own.csv"
    rows = [f"0,0,p{i},1\n1,1,p{i},{int(i > 0)}\n" for i in range(10)]
    path.write_text("M,k,prompt_id,score\n" + "".join(rows))
    drawn = read_accuracy(str(path)).resampled(20_000)
    assert (drawn[:, 0] > drawn[:, 1]).mean() == pytest.approx(beta_comparison(10, 9, 10), abs=0.03)
    assert drawn.std(axis=0) == pytest.approx([math.sqrt(11 / 12 / 12 / 10), 0.1], rel=0.05)


def beta_comparison(first: int, second: int, size: int) -> float:
    """Probability that the first of two shares is the larger, each with a flat prior and so many right of ``size``."""
    from scipy.integrate import quad
    from scipy.stats import beta

    one, other = beta(first + 1, size - first + 1), beta(second + 1, size - second + 1)
    return float(quad(lambda share: one.pdf(share) * other.cdf(share), 0, 1)[0])
