"""Tables I and II: what is published, the estimates, predictions of rows left out, and the committed report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_paper_figures.experiment import fit
from dmoa_paper_figures.experiment.draws import draw_runs
from dmoa_paper_figures.experiment.fit import fit_table, predict_left_out
from dmoa_paper_figures.experiment.lengths import first_prompts, of_the_set
from dmoa_paper_figures.experiment.rows import fit_of, root_mean_square, rows_of
from dmoa_paper_figures.experiment.service import ServiceTimes, run_all
from dmoa_paper_figures.published import PublishedRow, published_table
from dmoa_paper_figures.settings import Settings
from dmoa_theory.accuracy.table import read_accuracy

QUICK = Settings(quick=True)
COMMITTED = Path(__file__).parents[2] / "paper_figures" / "out" / "reproduce.json"


@pytest.fixture(scope="module")
def committed() -> Any:
    return json.loads(COMMITTED.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("table", "data"), [("I", "mitra2024-same"), ("II", "mitra2024-diverse")])
def test_the_published_tables_agree_with_the_bundled_accuracies(table: str, data: str) -> None:
    rows, accuracy = published_table(table), read_accuracy(data)
    assert len(rows) == 7
    for row in rows:
        assert accuracy.entry(row.M, row.k).accuracy == pytest.approx(row.accuracy)
    assert {(row.M, row.k) for row in rows} == {(0, 0), (1, 1), (1, 2), (2, 1), (2, 2), (1, 3), (2, 3)}


def test_published_figures_as_printed() -> None:
    """The corners of both tables, and their sums, as a guard against slips."""
    assert [(r.latency, r.queue) for r in published_table("I")][::6] == [(94.01, 0.6), (1074.28, 5.78)]
    assert [(r.latency, r.queue) for r in published_table("II")][::6] == [(409.58, 1.71), (2274.59, 4.21)]
    assert sum(r.latency for r in published_table("I")) == pytest.approx(3955.34)
    assert sum(r.latency for r in published_table("II")) == pytest.approx(9225.35)


def test_an_estimate_finds_the_service_time_that_made_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table simulated with 30 s services: its estimate holds 30 s within four of its own standard errors."""
    truth, rows = ServiceTimes(mean=(30.0,) * 4, scv=0.065), []
    for place, row in enumerate(published_table("I")):
        seen = run_all(draw_runs(row.M, row.k, 1, np.random.default_rng([11, place])), truth)
        rows.append(
            PublishedRow(
                table="made", M=row.M, k=row.k, accuracy=0.5, latency=float(seen.latency[0]), queue=float(seen.queue[0])
            )
        )
    made = tuple(rows)
    monkeypatch.setattr(fit, "published_table", lambda table: made if table == "made" else published_table(table))
    found = fit_table("made", "alike", 0.065, QUICK)
    error = float(np.sqrt(found.covariance[0, 0]))
    assert abs(np.log(found.values[0] / 30)) < 4 * error
    assert 0.005 < error < 0.05
    assert found.chance > 1e-4


def test_the_estimate_is_the_most_likely() -> None:
    """Other service times are less likely, and the likelihood falls as its curvature says."""
    best = fit_of("I", QUICK)
    draws, standard = fit._drawn(QUICK, best.scv)

    def likelihood(mean: float) -> float:
        total = 0.0
        for row, drawn, times in zip(published_table("I"), draws, standard, strict=True):
            seen = run_all(drawn, ServiceTimes(mean=(mean,) * 4, scv=best.scv), times)
            logs = np.log([seen.latency, seen.queue])
            gap, spread = np.log([row.latency, row.queue]) - logs.mean(axis=1), np.cov(logs)
            total -= 0.5 * (gap @ np.linalg.solve(spread, gap) + np.log(np.linalg.det(2 * np.pi * spread)))
        return total

    alpha, error = float(best.values[0]), float(np.sqrt(best.covariance[0, 0]))
    assert likelihood(alpha) == pytest.approx(best.log_likelihood)
    for sign in (-1, 1):
        drop = likelihood(alpha) - likelihood(alpha * np.exp(2 * sign * error))
        assert 0.8 < drop < 5  # a parabola with that standard error would fall by two


def test_table_one_from_one_number() -> None:
    """One service time explains fourteen figures: latency within 10 %, all rows left out within four deviations."""
    rows = rows_of("I", QUICK)
    assert 44 < fit_of("I", QUICK).values[0] < 51
    assert fit_of("I", QUICK).chance > 0.05
    assert len(rows) == 14
    assert root_mean_square(rows, "latency", predicted=False) < 0.1
    assert root_mean_square(rows, "latency", predicted=True) < 0.12
    for row in rows:
        assert abs(np.log(row.published / row.predicted)) < 4 * row.predicted_deviation


def test_a_row_left_out_plays_no_part_in_its_prediction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The prediction of a row is the same whatever is published there."""
    other = tuple(
        row
        if place != 6
        else PublishedRow(table="I", M=row.M, k=row.k, accuracy=row.accuracy, latency=5 * row.latency, queue=row.queue)
        for place, row in enumerate(published_table("I"))
    )
    before = fit_table("I", "alike", 0.1, QUICK, 6).values[0]
    monkeypatch.setattr(fit, "published_table", lambda table: other if table == "changed" else published_table(table))
    assert fit_table("changed", "alike", 0.1, QUICK, 6).values[0] == pytest.approx(before, rel=2e-3)
    assert fit_table("changed", "alike", 0.1, QUICK).values[0] > 1.02 * before


def test_only_loading_explains_a_single_inference_in_table_two() -> None:
    """M = 0 from the other rows: without loading four deviations short, with it within two."""
    scv = first_prompts().scv
    without, loading = (predict_left_out("II", name, scv, QUICK) for name in ("alike", "load by size"))
    assert without[0].standardised[0] > 3
    assert abs(loading[0].standardised[0]) < 2
    scores = [sum(p.log_density for p in predictions) for predictions in (without, loading)]
    assert scores[1] > scores[0] + 10
    assert 35 < fit_table("II", "load by size", scv, QUICK).values[0] < 60  # that of Table I


def test_the_ten_prompts_vary_less_than_the_set() -> None:
    assert first_prompts().count == 10
    assert first_prompts().scv < 0.1 < min(lengths.scv for lengths in of_the_set())


def test_real_answers_explain_table_one() -> None:
    """Prompts as long everywhere as their real answers are far likelier than independent services as varied as the set."""
    mean, likelihood = fit.by_prompt(QUICK)
    assert 45 < mean < 52
    assert likelihood > fit_table("I", "alike", 0.35, QUICK).log_likelihood + 2


@pytest.mark.parametrize(("table", "estimate"), [("I", 0.03), ("II", 0.15)])
def test_the_committed_report_is_of_this_code(committed: Any, table: str, estimate: float) -> None:
    """A quick run agrees with the committed full one, within its own errors and those of estimates from fewer runs."""
    full = {(row["table"], row["M"], row["k"], row["quantity"]): row for row in committed["rows"]}
    assert len(full) == 28
    assert not committed["quick"]
    for row in rows_of(table, QUICK):
        theirs = full[(row.table, row.M, row.k, row.quantity)]
        assert theirs["published"] == row.published
        assert abs(theirs["reproduced"] - row.reproduced) < 2 * row.ci95 + estimate * row.reproduced
        assert theirs["run_deviation"] == pytest.approx(row.run_deviation, rel=0.25 if table == "I" else 0.5)
