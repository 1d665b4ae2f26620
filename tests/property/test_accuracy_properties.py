"""What holds of any table of accuracies, and of any checkable task."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory.accuracy.belief import believe
from dmoa_theory.accuracy.checkable import coverage, layered_aggregation, majority_vote
from dmoa_theory.accuracy.csv_file import parse_tables
from dmoa_theory.accuracy.telling import evidence_sentence, prompts_needed, tell_apart
from dmoa_theory.errors import InputError

SHARE = st.floats(0, 1, allow_subnormal=False)
ROWS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 1000), st.integers(2, 5000)),
    min_size=2,
    max_size=9,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_beliefs_of_any_table(rows: list[tuple[int, int, int, int]]) -> None:
    """Chances sum to one, no regret is negative, bands lie in [0, 1], the cheapest costs no more than the best; words come."""
    text = "M,k,value,n_eval\n" + "".join(f"{M},{k},{value / 1000},{size}\n" for M, k, value, size in rows)
    (table,) = parse_tables(text, "any", "any.csv")
    belief = believe(table, draws=300)
    assert belief.p_best().sum() == pytest.approx(1)
    assert belief.regret().min() >= 0
    low, high = belief.band()
    assert (low >= 0).all()
    assert (high <= 1).all()
    assert (low <= high).all()
    cost = [entry.inferences for entry in table.entries]
    assert cost[belief.cheapest_within(cost)] <= cost[int(belief.mean.argmax())]
    assert evidence_sentence(table, belief).endswith(".")


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_percent_and_fractions_are_one_table(rows: list[tuple[int, int, int, int]]) -> None:
    """Said to be percent or not, the same figures give the same table; a gap is the same seen from either side."""
    fractions = "M,k,value,n_eval\n" + "".join(f"{M},{k},{value / 1000},{size}\n" for M, k, value, size in rows)
    percent = "# metric: percent\nM,k,value,n_eval\n" + "".join(f"{M},{k},{value / 10},{size}\n" for M, k, value, size in rows)
    (one,), (other,) = parse_tables(fractions, "any", "f"), parse_tables(percent, "any", "f")
    assert one.accuracy == pytest.approx(other.accuracy)
    assert one.covariance() == pytest.approx(other.covariance())
    first, second = one.configurations[:2]
    there, back = tell_apart(one, first, second), tell_apart(one, second, first)
    assert there.gap == pytest.approx(-back.gap)
    assert (there.told, there.prompts, there.standard_error) == (back.told, back.prompts, pytest.approx(back.standard_error))


@settings(max_examples=150)
@given(st.text(alphabet="Mk,01.5%#\n \"'valuen_promtidsc", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Never another error than a complaint."""
    with suppress(InputError):
        assert parse_tables("M,k,value,n_eval\n" + text, "any", "any.csv")


@given(p=SHARE, n=st.integers(1, 40), correlation=st.floats(0, 0.99))
def test_votes_and_coverage(p: float, n: int, correlation: float) -> None:
    """Right and wrong are symmetric; a perfect selector does no worse than a vote; one voter is one voter."""
    voted, covered = majority_vote(p, n, correlation), coverage(p, n, correlation)
    assert -1e-9 <= voted <= covered + 1e-9 <= 1 + 2e-9
    assert voted + majority_vote(1 - p, n, correlation) == pytest.approx(1, abs=1e-7)
    assert majority_vote(p, 1, correlation) == pytest.approx(p, abs=1e-9)


@settings(max_examples=60)
@given(p=SHARE, share=SHARE, n=st.integers(1, 8), M=st.integers(0, 5), pull=SHARE)
def test_layers_keep_probability(p: float, share: float, n: int, M: int, pull: float) -> None:
    """Right and lured probabilities swap with their roles and never exceed one; without pull nothing changes."""
    lure = (1 - p) * share
    right, lured = layered_aggregation(p, lure, n, M, pull), layered_aggregation(lure, p, n, M, pull)
    assert right >= -1e-9
    assert right + lured <= 1 + 1e-9
    assert layered_aggregation(p, lure, n, M, 0.0) == pytest.approx(p, abs=1e-9)


@given(gap=st.floats(0.001, 1), deviation=st.floats(0.01, 1), factor=st.floats(1, 5))
def test_smaller_gaps_take_more_prompts(gap: float, deviation: float, factor: float) -> None:
    many = prompts_needed(gap, deviation)
    assert many >= prompts_needed(gap * factor, deviation)
    assert (2 + 0.8416212) * deviation / np.sqrt(many) <= gap * (1 + 1e-6) or many == 2
    assert many >= prompts_needed(gap, deviation, power=0.5)
