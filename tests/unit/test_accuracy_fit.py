"""Fitted accuracy: what a belief promises of itself, and the sentences that say what data cannot tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory.accuracy.assessment import assess, bundled_listing
from dmoa_theory.accuracy.belief import Belief, believe, believe_all, shares_of_best
from dmoa_theory.accuracy.gains import fit_gains
from dmoa_theory.accuracy.held_out import (
    AVERAGE,
    MEAN,
    _without,
    bundled_surfaces,
    held_out_table,
    leave_one_out,
    root_mean_square,
)
from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable, PromptScores
from dmoa_theory.accuracy.shapes import SHAPES, shapes_for
from dmoa_theory.accuracy.surface import FLOOR, Surface, _Residuals, fit_surface
from dmoa_theory.accuracy.table import bundled_tables, read_accuracy, read_tables
from dmoa_theory.accuracy.telling import (
    collaboration,
    evidence_sentence,
    one_value_for_all,
    prompts_needed,
    simultaneous_limit,
    tell_apart,
)
from dmoa_theory.errors import InputError


def _table(values: dict[tuple[int, int], float], error: float = 0.01) -> AccuracyTable:
    entries = tuple(
        AccuracyEntry(M=M, k=k, accuracy=value, standard_error=error, n_eval=1000) for (M, k), value in values.items()
    )
    return AccuracyTable(name="mine", source="", metric="", entries=entries, per_prompt_deviation=None)


@pytest.fixture(scope="module")
def diverse() -> Belief:
    return believe(read_accuracy("mitra2024-diverse"))


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_nothing_without_layers_and_one_at_one_layer_of_four(name: str) -> None:
    shape = SHAPES[name]
    theta = np.random.default_rng(0).normal(shape.prior_mean, shape.prior_deviation, (50, len(shape.parameters)))
    values = shape.values(theta, [(0, 0), (0, 3), (1, 3), (1, 1), (2, 3), (3, 9)])
    assert (values[:, :2] == 0).all()
    assert values[:, 2] == pytest.approx(1)
    assert (values[:, 3] <= 1 + 1e-12).all()
    assert (values[:, 5] >= values[:, 4] - 1e-12).all()
    assert (values[:, 4] >= 1 - 1e-12).all()


def test_few_figures_bear_shapes_of_one_parameter_only() -> None:
    assert shapes_for(6) == ("saturating", "effective", "log", "flat")
    assert shapes_for(5) == ("log", "flat")
    assert set(believe(read_accuracy("together2024-same")).shape_weights) == {"log", "flat"}


def test_a_belief_is_a_distribution(diverse: Belief) -> None:
    assert diverse.p_best().sum() == pytest.approx(1)
    assert sum(diverse.shape_weights.values()) == pytest.approx(1)
    assert diverse.regret().min() >= 0
    assert diverse.regret().argmin() == diverse.mean.argmax()
    low, high = diverse.band()
    assert (low < diverse.mean).all()
    assert (diverse.mean < high).all()
    narrow = diverse.band(0.5)
    assert (low < narrow[0]).all()
    assert (narrow[1] < high).all()
    with pytest.raises(ValueError, match="read-only"):
        diverse.draws[0, 0] = 1
    with pytest.raises(InputError, match=r"^level = 1: above 0 and below 1$"):
        diverse.band(1)


def test_among_only_some(diverse: Belief) -> None:
    """What is left out is never the best, and the regret is against the best of those that are in."""
    mask = np.array([c != (2, 3) for c in diverse.configurations])
    chances = diverse.p_best(mask)
    assert chances[~mask] == 0
    assert chances.sum() == pytest.approx(1)
    assert diverse.p_best([0, 1])[[0, 1]].sum() == pytest.approx(1)
    assert (diverse.regret(mask) <= diverse.regret() + 1e-12).all()
    with pytest.raises(InputError, match=r"^among = nothing: at least one configuration$"):
        diverse.p_best(np.zeros(7, dtype=bool))


def test_the_cheapest_within_epsilon(diverse: Belief) -> None:
    cost = [entry.inferences for entry in diverse.table.entries]
    assert cost[diverse.index(2, 3)] == 9
    assert diverse.configurations[diverse.cheapest_within(cost, 0.0)] == (2, 3)
    assert diverse.configurations[diverse.cheapest_within(cost, 1.0)] == (0, 0)
    picked = diverse.cheapest_within(cost, 0.02)
    assert diverse.mean[picked] >= diverse.mean.max() - 0.02
    assert all(diverse.mean[place] < diverse.mean.max() - 0.02 for place in range(7) if cost[place] < cost[picked])
    with pytest.raises(InputError, match=r"^cost = 2 values: one a configuration: 7$"):
        diverse.cheapest_within([1, 2])
    with pytest.raises(InputError, match=r"^epsilon = -1: 0 or more$"):
        diverse.cheapest_within(cost, -1)


def test_same_seed_same_belief(diverse: Belief) -> None:
    again = believe(diverse.table)
    assert (again.draws == diverse.draws).all()
    other = believe(diverse.table, seed=7)
    assert (other.draws != diverse.draws).any()
    assert other.mean == pytest.approx(diverse.mean, abs=0.01)


def test_configurations_that_were_not_measured_are_marked_and_less_sure() -> None:
    belief = believe(read_accuracy("together2024-diverse"), [(1, 5), (3, 8), (0, 4)])
    assert belief.measured.tolist() == [True, False, False]
    assert belief.standard_deviation[1] > belief.standard_deviation[0]
    assert belief.mean[2] == pytest.approx(0.44, abs=0.02)  # k means nothing to one model alone
    with pytest.raises(KeyError):
        belief.index(2, 2)


def test_precise_figures_are_reproduced() -> None:
    """With small errors the fit says what was measured, non-monotone as it may be, and extends to a gain below zero."""
    falling = {(0, 0): 0.6, (1, 1): 0.55, (1, 2): 0.52, (1, 3): 0.53, (2, 2): 0.48, (2, 3): 0.5}
    belief = believe(_table(falling, 0.002))
    assert belief.mean == pytest.approx(list(falling.values()), abs=0.006)
    assert belief.p_best()[0] > 0.99
    for surface in belief.surfaces:
        assert surface.parameters(0)["g"][0] < 0


def test_several_users_share_the_shape_only() -> None:
    tables = [
        _table({(0, 0): 0.3, (1, 1): 0.4, (1, 3): 0.45, (2, 3): 0.47}),
        _table({(0, 0): 0.7, (1, 1): 0.65, (1, 3): 0.62, (2, 3): 0.6}),
    ]
    strong = believe_all(tables, [(0, 0), (1, 3), (2, 3)])
    accuracies = np.stack([belief.mean for belief in strong])
    assert accuracies.shape == (2, 3)
    assert accuracies.argmax(axis=1).tolist() == [2, 0]
    assert strong[0].shape_weights == strong[1].shape_weights


def test_entries_feed_what_takes_measured_ones(diverse: Belief) -> None:
    entries = diverse.entries()
    assert [(e.M, e.k) for e in entries] == list(diverse.configurations)
    assert [e.accuracy for e in entries] == pytest.approx(diverse.mean.tolist())
    assert {e.basis for e in entries} == {"fitted"}


def test_refusals_of_the_fit() -> None:
    table = read_accuracy("mitra2024-same")
    with pytest.raises(InputError, match=r"^shape = cubic: one of saturating, effective, log, flat$"):
        believe(table, shape="cubic")
    with pytest.raises(InputError, match=r"^configurations = \(-1, 2\): M and k, 0 or more$"):
        believe(table, [(-1, 2)])
    with pytest.raises(InputError, match=r"^draws = 3: from 100 to 1000000$"):
        believe(table, draws=3)
    with pytest.raises(InputError, match=r"^tables = none: at least one table of accuracies$"):
        fit_surface([])
    with pytest.raises(InputError, match=r"^tables = none: at least one table of accuracies$"):
        assess([])


def test_the_papers_tables_tell_little() -> None:
    """No two configurations of ten prompts are told apart, and one value for all M >= 1 fits."""
    for name in ("mitra2024-same", "mitra2024-diverse"):
        table = read_accuracy(name)
        for first in table.configurations:
            for second in table.configurations:
                assert not tell_apart(table, first, second).told
        whole = collaboration(table)
        assert whole is not None
        assert 0.5 < whole.gap / whole.standard_error < 2
        agree = one_value_for_all(table)
        assert agree is not None
        assert agree > 0.5
        assert believe(table).p_best().max() < 0.7


def test_prompts_until_a_gap_is_told() -> None:
    """With 80 % power, twice the prompts at which the gap is two standard errors wide, where it is told every other time."""
    assert prompts_needed(0.05) == prompts_needed(-0.05) == 497
    assert prompts_needed(0.05, power=0.5) == prompts_needed(-0.05, power=0.5) == 246
    assert prompts_needed(0.1, 0.392, power=0.5) == 62
    assert prompts_needed(0.05, power=0.9) == math.ceil(((2 + 1.2815516) * 0.392 / 0.05) ** 2)
    assert prompts_needed(0.5, 0.01) == 2
    for power in (0.4, 1.0, float("nan")):
        with pytest.raises(InputError, match=r"^power = .*: from 0.5 to below 1$"):
            prompts_needed(0.05, power=power)
    for gap in (0, float("nan")):
        with pytest.raises(InputError, match="a difference other than 0"):
            prompts_needed(gap)


def test_the_sentence_about_the_paper(diverse: Belief) -> None:
    said = evidence_sentence(diverse.table, diverse)
    assert said.startswith("M=2, k=3 is measured best (chance of truly being it: ")
    assert "told from none of the 6 others (limit 3.0 standard errors, as it was picked from 7)" in said
    assert "M=0, k=0, the cheapest not told from it, is 31.9 ± 18.8 points behind" in said
    assert (
        "A true gap of 5 points between two chosen beforehand would take some 497 prompts asked of both to be told with 80 % "
        "power, 246 with 50 %."
    ) in said
    assert "one value for all of them fits" in said


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({(0, 0): 0.3}, "M=0, k=0 alone was measured: there is nothing to compare it with."),
        ({(0, 0): 0.3, (1, 1): 0.5}, "M=1, k=1 is measured best, and told from M=0, k=0, 20.0 ± 1.4 points behind."),
        (
            {(1, 2): 0.3, (1, 1): 0.31},
            "M=1, k=1 is measured best, but not told from M=1, k=2, 1.0 ± 1.4 points behind. A true gap of 5 points between "
            "two chosen beforehand would take some 597 prompts asked of both to be told with 80 % power, 296 with 50 %.",
        ),
        (
            {(1, 1): 0.31, (1, 2): 0.3, (2, 1): 0.305},
            "M=1, k=1 is measured best, but told from none of the 2 others (limit 2.4 standard errors, as it was picked from "
            "3): M=2, k=1, the next, of those not told from it none is cheaper, is 0.5 ± 1.4 points behind. A true gap of 5 "
            "points between two chosen beforehand would take some 600 prompts asked of both to be told with 80 % power, 297 "
            "with 50 %.",
        ),
    ],
)
def test_sentences(values: dict[tuple[int, int], float], said: str) -> None:
    assert evidence_sentence(_table(values)) == said


def test_figures_that_claim_no_error_at_all() -> None:
    """They are believed up to the 1.5 points that no figure is spared, and nothing divides by zero."""
    table = _table({(0, 0): 0.4, (1, 1): 0.5, (1, 2): 0.6}, 0.0)
    assert one_value_for_all(table) == 0
    assert one_value_for_all(_table({(1, 1): 0.5, (1, 2): 0.5}, 0.0)) == 1
    assert "15.0 ± 0.0 points above one model alone." in evidence_sentence(table, believe(table))
    assert believe(table).mean == pytest.approx([0.4, 0.5, 0.6], abs=0.01)


def test_a_gap_in_words() -> None:
    table = _table({(0, 0): 0.3, (1, 1): 0.5, (1, 2): 0.3})
    assert tell_apart(table, (0, 0), (1, 1)).sentence == "M=1, k=1 is told from M=0, k=0: 20.0 ± 1.4 points apart"
    assert tell_apart(table, (0, 0), (1, 2)).sentence == "M=0, k=0 and M=1, k=2 are measured as equal, ± 1.4 points"
    assert tell_apart(table, (1, 1), (1, 1)).gap == 0
    with pytest.raises(KeyError):
        tell_apart(table, (0, 0), (9, 9))
    paper = tell_apart(read_accuracy("mitra2024-diverse"), (1, 1), (2, 3))
    assert paper.sentence == (
        "the data cannot tell M=2, k=3 from M=1, k=1: 16.1 ± 18.8 points apart; some 48 prompts asked of both would tell a gap "
        "that large with 80 % power"
    )


def test_shared_prompts_tell_more(tmp_path: Path) -> None:
    """The same scores, paired and as two separate figures: pairing tells apart what separate errors hide."""
    rng = np.random.default_rng(4)
    ease = rng.random(60)
    rows = [f"{M},{k},p{i},{min(ease[i] + gain, 1):.3f}" for M, k, gain in ((0, 0, 0.0), (1, 2, 0.08)) for i in range(60)]
    path = tmp_path / "paired.csv"
    path.write_text("M,k,prompt_id,score\n" + "\n".join(rows))
    table = read_accuracy(str(path))
    paired = tell_apart(table, (0, 0), (1, 2))
    assert paired.told
    assert paired.paired
    alone = _table({(e.M, e.k): e.accuracy for e in table.entries}, table.entries[0].standard_error)
    assert not tell_apart(alone, (0, 0), (1, 2)).told


def test_surfaces_predict_better_than_the_mean_of_the_others() -> None:
    held = leave_one_out([read_accuracy("together2024-diverse")])
    assert len(held) == 6
    assert root_mean_square(held, AVERAGE) < 0.6 * root_mean_square(held, MEAN)
    assert held[0].predicted[MEAN] == pytest.approx((0.478 + 0.588 + 0.58 + 0.613 + 0.651) / 5)
    table = held_out_table(held)
    assert [row[0] for row in table.rows] == ["together2024-diverse", "all", "all with M >= 1"]
    with pytest.raises(InputError, match="a table with three configurations or more"):
        leave_one_out([_table({(0, 0): 0.5, (1, 1): 0.6})])


def test_better_neighbours_help_and_weaker_ones_may_hurt() -> None:
    """The sign that Self-MoA found: quality of the neighbours counts, and diversity by itself adds nothing one can see."""
    model = fit_gains()
    coefficients = model.coefficients()
    quality, diversity = coefficients["quality"], coefficients["diversity"]
    assert quality[0] > 3 * quality[1]
    assert abs(diversity[0]) < 2 * diversity[1]
    configurations = [(0, 0), (1, 0), (1, 3), (2, 3)]
    mean, deviation = model.accuracy([0.3, 0.6, 0.6], [0.6, 0.3, 0.6], [0.5, 0.5, 0.0], configurations)
    assert mean.shape == deviation.shape == (3, 4)
    assert mean[:, 0] == pytest.approx([0.3, 0.6, 0.6])
    assert mean[0, 2] > mean[0, 1] > 0.3
    assert mean[1, 2] < 0.6
    assert mean[2, 2] > 0.6
    assert "SECONDARY" in model.remark
    with pytest.raises(InputError, match=r"^diversity = 2.0: from 0 to 1$"):
        model.accuracy(0.3, 0.4, 2, configurations)


def test_covariates_of_ones_own_tables() -> None:
    """Aggregators that are stronger alone gain less from the same proposers; tables without covariates are refused."""
    model = fit_gains(read_tables("together2024-aggregators"))
    assert model.coefficients()["quality"][0] > 0
    result = assess(read_tables("together2024-aggregators"))
    assert result.gains is not None
    assert result.payload()["gains"]["quality"]["mean"] == pytest.approx(model.coefficients()["quality"][0])
    assert assess([read_accuracy("mitra2024-same")]).gains is None
    with pytest.raises(InputError, match=r"^tables = no covariates: 4 entries or more with proposer_quality"):
        fit_gains([read_accuracy("mitra2024-same")])


@pytest.mark.parametrize("name", bundled_tables())
def test_an_assessment_of_every_bundled_table(name: str) -> None:
    """Every figure is in the table and the records, second-hand ones labelled; single figures are not fitted."""
    tables = read_tables(name)
    result = assess(tables[:3], name=name)
    assert result.to_dict()["name"] == name
    count = sum(len(part.table.entries) for part in result.parts)
    assert len(result.table().rows) == len(result.records()) == count
    for part in result.parts:
        assert (part.belief is None) == (len(part.table.entries) == 1)
        assert part.p_best_as_measured.sum() == pytest.approx(1)
        for row, entry in zip(part.as_table().rows, part.table.entries, strict=True):
            assert (row[-1] == "SECONDARY") == entry.secondary
    second_hand = any(table.secondary for table in tables[:3])
    assert second_hand == any("SECONDARY" in warning for warning in result.warnings())
    assert len(result.to_frame()) == count


def test_the_listing_counts_what_is_there() -> None:
    found = {each["name"]: each for each in bundled_listing()}
    assert tuple(found) == bundled_tables()
    assert found["mitra2024-same"]["figures"] == 7
    assert found["mitra2024-same"]["n_eval"] == [10]
    assert found["together2024-math"]["secondary"] == found["together2024-math"]["figures"] == 14


def _scored(scores: Sequence[Sequence[float]], configurations: Sequence[tuple[int, int]]) -> AccuracyTable:
    """A table of scores, a row a prompt, a column a configuration."""
    held = PromptScores(prompts=tuple(map(str, range(len(scores)))), scores=np.array(scores, dtype=float))
    entries = tuple(
        AccuracyEntry(M=M, k=k, accuracy=float(mean), standard_error=float(error), n_eval=len(scores))
        for (M, k), mean, error in zip(
            configurations, np.nanmean(held.scores, axis=0), np.sqrt(np.diag(held.covariance())), strict=True
        )
    )
    return AccuracyTable(name="mine", source="", metric="", entries=entries, per_prompt_deviation=None, scores=held)


@pytest.mark.parametrize("size", [4, 10, 1000])
def test_answers_that_never_differed_are_not_alike_for_certain(size: int) -> None:
    """Two configurations scored alike on every prompt: the error of their gap, and the prompts that a true one takes."""
    alike = _scored([[place % 2, place % 2] for place in range(size)], [(0, 0), (1, 1)])
    gap = tell_apart(alike, (0, 0), (1, 1))
    assert gap.deviation == pytest.approx(math.sqrt(2 / (size + 2)))
    assert gap.standard_error == pytest.approx(gap.deviation / math.sqrt(size))
    assert not gap.told
    said = evidence_sentence(alike)
    # whose means differ by 5 points, right or wrong, differ on 5 % of the prompts at least: 59 for one of them with 95 %
    prompts = int(said.partition("would take some ")[2].split()[0].replace(",", ""))
    assert prompts >= prompts_needed(0.05, max(gap.deviation, math.sqrt(0.05 * 0.95))) >= 59


def test_all_right_under_both_takes_more_than_two_prompts() -> None:
    """Without single scores too."""
    assert "some 2 prompts" not in evidence_sentence(_table({(0, 0): 1.0, (1, 1): 1.0}))


def test_ties_for_the_best_are_shared(diverse: Belief) -> None:
    """Draws are kept to [0, 1], so several may stand at 1 together: their order in the table decides nothing."""
    assert shares_of_best(np.array([[1.0, 1.0, 0.5], [0.2, 0.3, 0.3]])) == pytest.approx([0.25, 0.5, 0.25])
    sure = believe(_table({(0, 0): 1.0, (1, 1): 1.0, (1, 2): 1.0}, 0.001), shape="flat")
    tied = (sure.draws == sure.draws.max(axis=1, keepdims=True)).sum(axis=1) > 1
    assert tied.mean() > 0.2
    assert sure.p_best()[1] == pytest.approx(sure.p_best()[2], abs=0.04)
    assert sure.p_best([2, 1])[[1, 2]] == pytest.approx(sure.p_best([1, 2])[[1, 2]])
    assert diverse.p_best().sum() == pytest.approx(1)
    alike = assess([_scored([[1, 1], [0, 0], [1, 1]], [(0, 0), (1, 1)])])
    assert alike.parts[0].p_best_as_measured == pytest.approx([0.5, 0.5])


def test_unmeasured_configurations_deviate_from_the_surface_too() -> None:
    belief = believe(read_accuracy("together2024-diverse"), [(1, 5), (3, 8)])
    own = belief.draws - belief.smooth
    assert own[:, 1].std() == pytest.approx(FLOOR, rel=0.05)
    assert own[:, 0].std() < FLOOR


def test_the_cheapest_is_held_against_the_best_of_those_that_are_in(diverse: Belief) -> None:
    """Without the best of all, what is within epsilon of the best that is left counts."""
    cost = [entry.inferences for entry in diverse.table.entries]
    among = [diverse.index(0, 0), diverse.index(1, 1)]
    assert diverse.mean.max() - diverse.mean[among].max() > 0.02
    assert diverse.cheapest_within(cost, 0.02, among) == diverse.index(1, 1)
    assert diverse.cheapest_within(cost, 1.0, among) == diverse.index(0, 0)


def test_the_method_speaks_of_every_shape(diverse: Belief, monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = "posterior draws: Laplace approximation, weighed by importance sampling"
    assert diverse.method == f"{weighed}, averaged over shapes"
    assert believe(diverse.table, shape="log").method == weighed
    least = min(surface.effective for surface in diverse.surfaces)
    monkeypatch.setattr("dmoa_theory.accuracy.surface._LEAST", least * 1.001 / 16_000)
    mixed = believe(diverse.table)
    plain = [surface.shape.name for surface in mixed.surfaces if not surface.effective]
    assert len(plain) == 1
    assert f"posterior draws: Laplace approximation ({plain[0]})" in mixed.method
    assert weighed in mixed.method


@pytest.mark.parametrize("shape", SHAPES)
def test_both_ways_to_the_evidence_agree(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Laplace's and the weighed one: otherwise shapes of more parameters would be favoured or punished by the method."""
    table = read_accuracy("together2024-diverse")
    weighed = fit_surface(table, shape)
    monkeypatch.setattr("dmoa_theory.accuracy.surface._LEAST", 2.0)
    laplace = fit_surface(table, shape)
    assert weighed.effective
    assert not laplace.effective
    assert laplace.log_evidence == pytest.approx(weighed.log_evidence, abs=0.5)


def test_shared_prompts_count_in_the_fit() -> None:
    """Residuals are those of the full covariance: d' S^-1 d, whichever way it is taken apart."""
    rng = np.random.default_rng(2)
    ease = rng.random((40, 1))
    table = _scored((rng.random((40, 3)) < ease * [0.5, 0.8, 0.9]).astype(float).tolist(), [(0, 0), (1, 1), (2, 2)])
    residuals = _Residuals((table,), SHAPES["log"])
    parameters = np.array([[0.1, 0.4, -0.7]])
    surface = 1 / (1 + np.exp(-(0.1 + 0.4 * SHAPES["log"].values(parameters[:, 2:], table.configurations)[0])))
    difference = table.accuracy - surface
    spread = table.covariance() + FLOOR**2 * np.eye(3)
    assert abs(spread[0, 1]) > 0.1 * spread[0, 0]
    squares = (residuals(parameters)[0, parameters.size :] ** 2).sum()
    assert squares == pytest.approx(difference @ np.linalg.inv(spread) @ difference)


def test_collaborating_is_the_mean_of_all_against_the_mean_of_those_alone() -> None:
    """Two figures for one model alone, as with M = 0 at several k; error and prompts are those of that contrast."""
    table = _table({(0, 0): 0.2, (0, 1): 0.4, (1, 1): 0.5, (1, 2): 0.6, (2, 2): 0.7}, 0.03)
    whole = collaboration(table)
    assert whole is not None
    assert whole.gap == pytest.approx(0.6 - 0.3)
    assert whole.standard_error == pytest.approx(0.03 * math.sqrt(1 / 2 + 1 / 3))
    rng = np.random.default_rng(5)
    scores = (rng.random((30, 3)) < [0.3, 0.5, 0.6]).astype(float)
    paired = collaboration(_scored(scores.tolist(), [(0, 0), (1, 1), (2, 2)]))
    assert paired is not None
    single = scores[:, 1:].mean(axis=1) - scores[:, 0]
    assert paired.deviation == pytest.approx(single.std(ddof=1))
    assert paired.standard_error == pytest.approx(single.std(ddof=1) / math.sqrt(30))
    assert paired.prompts == prompts_needed(single.mean(), single.std(ddof=1))


def test_one_value_for_all_is_the_chi_squared_test() -> None:
    """Three figures, two degrees of freedom, of which the tail is exp(-x / 2)."""
    agree = one_value_for_all(_table({(0, 0): 0.9, (1, 1): 0.5, (1, 2): 0.52, (1, 3): 0.54}, 0.02))
    assert agree == pytest.approx(math.exp(-(0.02**2 + 0.02**2) / 0.02**2 / 2))


def test_a_figure_in_several_tables_is_left_out_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Together's model alone stands in three tables; what is predicted of it must not depend on what it was."""
    names = ("together2024-diverse", "together2024-same", "selfmoa2025-alpaca/diverse")
    tables = [table for table in bundled_surfaces() if table.name in names]
    assert [table.entry(0, 0).accuracy for table in tables if (0, 0) in table.configurations].count(0.439) == 3
    without = [_without(table, tables[0].metric, tables[-1].entry(0, 0)) for table in tables]
    assert all((0, 0) not in table.configurations for table in without)
    kept = _without(tables[0], "another metric", tables[-1].entry(0, 0))
    assert kept is tables[0]
    seen = []

    def watched(left: Sequence[AccuracyTable], shape: str, *, draws: int) -> Surface:
        seen.append([(entry.M, entry.k, entry.accuracy) for table in left for entry in table.entries])
        return fit_surface(left, shape, draws=draws)

    monkeypatch.setattr("dmoa_theory.accuracy.held_out.fit_surface", watched)
    held = leave_one_out(tables, ("flat",))
    assert len(held) == len(seen)
    for each, others in zip(held, seen, strict=True):
        assert (each.M, each.k, each.accuracy) not in others


def test_the_limit_for_the_best_of_several() -> None:
    """That of the studentised range where figures are independent and alike; two figures have the plain limit."""
    from scipy.stats import studentized_range

    for size in (3, 7, 12):
        table = _table({(1, k): 0.5 for k in range(size)}, 0.02)
        exact = studentized_range.ppf(0.95, size, np.inf) / math.sqrt(2)
        assert exact - 0.03 < simultaneous_limit(table) < exact + 0.13
    assert simultaneous_limit(_table({(0, 0): 0.3, (1, 1): 0.4})) == 2
    few = _scored(np.random.default_rng(1).random((6, 3)).tolist(), [(0, 0), (1, 1), (1, 2)])
    assert simultaneous_limit(few) > 2.8  # six prompts do not know their own errors
