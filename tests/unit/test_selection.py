"""Weights from inclusion probabilities: the law that they define gives the probabilities back, however uneven they are."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model import selection
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins, inclusion_of_users, weights_from_inclusion


def _reproduced(weights: np.ndarray, k: int) -> np.ndarray:
    return inclusion_from_coins(coin_chances(weights, k), k)


@pytest.mark.parametrize(
    "inclusion",
    [
        [0.9999, 0.5, 0.5001],
        [0.999999, 0.5, 0.500001],
        [1e-4, 1 - 1e-4],
        [1.0, 0.0, 0.5, 0.5],
        [0.999] * 10 + [0.01],
        [0.9999] * 5 + [0.0005],
        [2 / 3] * 3,
    ],
)
def test_uneven_probabilities_are_met(inclusion: list[float]) -> None:
    """Close to 0 and 1 too, where the iteration of Chen, Dempster and Liu crawls."""
    target = np.array(inclusion)
    assert _reproduced(weights_from_inclusion(target), round(target.sum())) == pytest.approx(target, abs=1e-10)


@pytest.mark.parametrize("seed", range(20))
def test_random_probabilities_are_met(seed: int) -> None:
    rng = np.random.default_rng(seed)
    d = int(rng.integers(2, 12))
    k = int(rng.integers(1, d))
    weights = np.exp(rng.normal(0, rng.choice([0.5, 3.0, 6.0]), d))
    target = _reproduced(weights, k)
    assert _reproduced(weights_from_inclusion(target), k) == pytest.approx(target, abs=1e-10)


@pytest.mark.parametrize(
    ("inclusion", "complaint"),
    [
        ([0.5, 0.7], r"^selection = a sum of 1\.2: inclusion probabilities of a user that sum to its k$"),
        ([1.5, 0.5], r"^selection = 1\.5: a probability from 0 to 1$"),
        ([np.nan, 0.5], r"^selection = nan: a probability from 0 to 1$"),
    ],
)
def test_what_is_no_selection(inclusion: list[float], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        weights_from_inclusion(np.array(inclusion), field="selection")


@pytest.mark.parametrize("at_once", [1, 4_000_000])
def test_many_users_together_are_each_one_alone(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Reckoned together or in small portions, every link gets the very number that its user gets alone."""
    monkeypatch.setattr(selection, "_CELLS", at_once)
    rng = np.random.default_rng(3)
    degree = rng.integers(0, 7, 40)
    indptr = np.concatenate(([0], np.cumsum(degree)))
    weights = rng.choice([0.3, 1.0, 4.0, np.inf, 1e-3], indptr[-1], p=[0.3, 0.3, 0.2, 0.1, 0.1])
    k = np.minimum(degree, np.add.reduceat(np.append(np.isinf(weights), 0), indptr[:-1]) * (degree > 0) + 1)
    users = np.flatnonzero((k > 0) & (np.arange(40) % 5 > 0))
    found = inclusion_of_users(indptr, weights, k, users)
    alone = np.zeros(weights.size)
    for u in users.tolist():
        row = slice(indptr[u], indptr[u + 1])
        alone[row] = inclusion_from_coins(coin_chances(weights[row], int(k[u])), int(k[u]))
        assert found[row].sum() == pytest.approx(k[u])
    np.testing.assert_array_equal(found, alone)
    assert not inclusion_of_users(indptr, weights, k, users[:0]).any()


@pytest.mark.parametrize(
    ("moa", "label"),
    [
        (MoA(1, 2), "M=1, k=2"),
        (MoA([1, 1, 1], 2), "M=1, k=2"),
        (MoA([1, 1], [2, 2], quorum=2), "M=1, k=2, quorum=2"),
        (MoA([1, 2, 1], 1), "M and k by user"),
    ],
)
def test_configurations_say_what_they_are(moa: MoA, label: str) -> None:
    assert moa.label == label
    assert label in repr(moa)
