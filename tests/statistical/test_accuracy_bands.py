"""Bands of fitted accuracies hold the truth as often as they say, and bootstrap and covariance tell the same errors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from dmoa_theory.accuracy.belief import believe
from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable, PromptScores
from dmoa_theory.accuracy.shapes import SHAPES
from dmoa_theory.accuracy.surface import FLOOR
from dmoa_theory.accuracy.telling import evidence_sentence, prompts_needed, simultaneous_limit
from dmoa_theory.model.checks import FloatArray

CONFIGURATIONS = ((0, 0), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3))
TABLES = 80


def test_bands_hold_the_truth_as_often_as_they_say() -> None:
    """Tables drawn from the model itself, three kinds of shape: 50 % and 95 % bands, and P(best) as a frequency.

    Figures of one table hang together, so its share of truths inside the band is one observation.
    """
    rng = np.random.default_rng(11)
    inside: dict[float, list[float]] = {0.5: [], 0.95: []}
    chance, hit = [], []
    for number in range(TABLES):
        shape = SHAPES[("saturating", "log", "flat")[number % 3]]
        theta = rng.normal(shape.prior_mean, shape.prior_deviation, (1, len(shape.parameters)))
        surface = expit(rng.normal(-0.5, 0.8) + rng.normal(0, 1) * shape.values(theta, CONFIGURATIONS)[0])
        truth = np.clip(surface + FLOOR * rng.standard_normal(7), 0.0, 1.0)
        error = 0.04
        seen = np.clip(truth + error * rng.standard_normal(7), 0.0, 1.0)
        entries = tuple(
            AccuracyEntry(M=M, k=k, accuracy=float(value), standard_error=error, n_eval=150)
            for (M, k), value in zip(CONFIGURATIONS, seen, strict=True)
        )
        table = AccuracyTable(name="drawn", source="", metric="", entries=entries, per_prompt_deviation=None)
        belief = believe(table, draws=1000, seed=number)
        for level, shares in inside.items():
            low, high = belief.band(level)
            shares.append(float(((low <= truth) & (truth <= high)).mean()))
        chances = belief.p_best()
        chance.append(float(chances[chances.argmax()]))
        hit.append(float(truth.argmax() == chances.argmax()))
    for level, shares in inside.items():
        observed = np.array(shares)
        assert abs(observed.mean() - level) < 4 * observed.std(ddof=1) / np.sqrt(TABLES) + 0.01
    difference = np.array(hit) - np.array(chance)
    assert abs(difference.mean()) < 4 * difference.std(ddof=1) / np.sqrt(TABLES)


def test_bootstrap_and_covariance_tell_the_same_errors() -> None:
    """Over shared prompts, some of them not asked of every configuration."""
    rng = np.random.default_rng(3)
    ease = rng.random((300, 1))
    right = (rng.random((300, 3)) < ease * np.array([0.6, 0.8, 0.9])).astype(float)
    right[:40, 2] = np.nan
    scores = PromptScores(prompts=tuple(map(str, range(300))), scores=right)
    drawn = scores.bootstrap(20_000, seed=5)
    exact, seen = scores.covariance(), np.cov(drawn.T)
    spread = np.sqrt(np.outer(np.diag(exact), np.diag(exact)))
    assert np.abs(seen - exact).max() < 0.06 * spread.max()
    assert drawn.mean(axis=0) == pytest.approx(np.nanmean(right, axis=0), abs=0.002)


def test_the_prompts_that_are_said_to_tell_a_gap_do() -> None:
    """As often as they are said to, at two standard errors."""
    rng = np.random.default_rng(8)
    gap, deviation = 0.05, 0.392
    for power in (0.5, 0.8, 0.95):
        many = prompts_needed(gap, deviation, power=power)
        means = gap + deviation / np.sqrt(many) * rng.standard_normal(40_000)
        assert (means > 2 * deviation / np.sqrt(many)).mean() == pytest.approx(power, abs=0.012)


@pytest.mark.parametrize("unlike", [False, True])
def test_the_best_of_equals_is_seldom_told_from_any(unlike: bool) -> None:
    """Seven equally good configurations: with the limit of two standard errors four tables of ten tell the best from one.

    With errors that are unlike the limit is on the safe side.
    """
    rng = np.random.default_rng(17)
    errors = np.array([0.01, 0.02, 0.03, 0.05, 0.03, 0.02, 0.01]) if unlike else np.full(7, 0.03)

    def table(seen: FloatArray) -> AccuracyTable:
        entries = tuple(
            AccuracyEntry(M=M, k=k, accuracy=float(value), standard_error=float(error), n_eval=None)
            for (M, k), value, error in zip(CONFIGURATIONS, seen, errors, strict=True)
        )
        return AccuracyTable(name="equal", source="", metric="", entries=entries, per_prompt_deviation=None)

    seen = 0.5 + errors * rng.standard_normal((4000, 7))
    limit = simultaneous_limit(table(seen[0]))
    best = seen.argmax(axis=1)
    apart = (seen.max(axis=1)[:, None] - seen) / np.sqrt(errors[best, None] ** 2 + errors**2)
    assert (apart > 2).any(axis=1).mean() > 0.25
    rate = (apart > limit).any(axis=1).mean()
    assert rate < 0.06
    assert unlike or rate > 0.03
    said = [evidence_sentence(table(each)) for each in seen[:200]]
    told = ["told from none" not in sentence for sentence in said]
    assert told == (apart[:200] > limit).any(axis=1).tolist()


def test_the_best_of_equals_on_few_shared_prompts() -> None:
    """Seven alike on twelve shared prompts: errors that are themselves estimated from these."""
    rng = np.random.default_rng(23)
    wrong = []
    for _ in range(200):
        scores = np.clip(rng.normal(0.5, 0.1, (12, 1)) + rng.normal(0, 0.1, (12, 7)), 0, 1)
        held = PromptScores(prompts=tuple(map(str, range(12))), scores=scores)
        entries = tuple(
            AccuracyEntry(M=M, k=k, accuracy=float(mean), standard_error=0.03, n_eval=12)
            for (M, k), mean in zip(CONFIGURATIONS, scores.mean(axis=0), strict=True)
        )
        table = AccuracyTable(name="few", source="", metric="", entries=entries, per_prompt_deviation=None, scores=held)
        wrong.append("told from none" not in evidence_sentence(table))
    assert np.mean(wrong) < 0.1  # with normal errors instead it is near 0.2
