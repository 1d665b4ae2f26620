"""The warm-up rule: finds a transient that is there, drops little where there is none, and says when it cannot tell."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.output.warm_up import mser, settled

Series = npt.NDArray[np.float64]


def autoregressive(rng: np.random.Generator, n: int, phi: float) -> Series:
    """A stationary AR(1) series of variance 1 and mean 0."""
    noise = rng.standard_normal(n) * np.sqrt(1 - phi**2)
    noise[0] /= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def by_definition(values: Series, batch: int) -> int:
    """The rule written out: every possible truncation in turn, each with its own mean."""
    m = values.size // batch
    means = np.array([values[i * batch : (i + 1) * batch].mean() for i in range(m)])
    errors = [((means[d:] - means[d:].mean()) ** 2).sum() / (m - d) ** 2 for d in range(m // 2 + 1)]
    return batch * int(np.argmin(errors))


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_the_cumulative_sums_are_the_definition(batch: int) -> None:
    """On 150 random series, flat, correlated and with a transient, the truncation is that of the rule written out."""
    rng = np.random.default_rng(3)
    for trial in range(150):
        n = int(rng.integers(10 * batch, 400))
        start = rng.uniform(-20, 20) * np.exp(-np.arange(n) / rng.uniform(1, 40))
        values = autoregressive(rng, n, rng.uniform(0, 0.95)) + (trial % 2) * start + rng.uniform(-100, 100)
        assert mser(values, batch) == by_definition(values, batch)


@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_a_decaying_start_is_cut_where_it_sinks_into_the_noise(phi: float) -> None:
    """A start of 20 standard deviations with time constant 200 is cut after 1 to 8 time constants, in each of 100 runs."""
    rng = np.random.default_rng(5)
    cuts, left = [], []
    for _ in range(100):
        start = 20 * np.exp(-np.arange(20_000) / 200)
        values = autoregressive(rng, 20_000, phi) + start
        assert settled(values)
        cuts.append(mser(values))
        left.append(start[cuts[-1] :].mean())
    assert min(cuts) > 200
    assert max(cuts) < 1600
    # the bias that is left is below the standard error of the mean of what is left
    assert np.mean(left) < np.sqrt((1 + phi) / (1 - phi) / 20_000)


def test_stationary_noise_is_hardly_cut() -> None:
    """Of 200 independent stationary series less than a fiftieth is dropped on average, and nearly all count as settled."""
    rng = np.random.default_rng(7)
    series = [rng.exponential(size=5000) for _ in range(200)]
    assert np.mean([mser(values) for values in series]) < 5000 / 50
    assert np.mean([settled(values) for values in series]) > 0.97


@pytest.mark.parametrize("slope", [-0.002, 0.002])
def test_a_trend_is_never_settled(slope: float) -> None:
    """Rising or falling by ten standard deviations over the run leaves no truncation point, in each of 200 runs."""
    rng = np.random.default_rng(9)
    trend = slope * np.arange(5000)
    assert not any(settled(trend + rng.standard_normal(5000)) for _ in range(200))


def test_constants_ties_and_short_series() -> None:
    """A constant series is whole and settled; the earliest of equal minima counts; below ten batches nothing is dropped."""
    assert mser(np.full(1003, 0.1)) == 0
    assert settled(np.full(1003, 0.1))
    assert mser(np.concatenate([np.arange(30.0), np.full(500, 0.3)])) == 30  # all zero from there on
    short = np.concatenate([np.full(5, 100.0), np.ones(44)])
    assert mser(short) == 0
    assert not settled(short)
    assert mser(np.append(short, 1.0)) == 5
    assert mser(np.empty(0)) == 0
    assert not settled(np.empty(0))


def test_units_and_origin_do_not_matter() -> None:
    """The cut is the same for the series times 2^20 and far from zero, where its squares would have lost their digits."""
    rng = np.random.default_rng(11)
    values = np.round(autoregressive(rng, 4000, 0.7) * 1024) / 1024 + 8 * np.exp2(-np.arange(4000) // 50.0)
    assert mser(values) > 0
    assert mser(values * 2.0**20) == mser(values)
    assert mser(values + 2.0**30) == mser(np.asarray(values + 2.0**30) - 2.0**30)


@pytest.mark.parametrize(
    ("values", "batch", "named"),
    [(np.zeros((4, 4)), 5, "values"), (np.zeros(99), 0, "batch"), (np.array([0.0] * 70 + [np.nan]), 5, "values = nan")],
)
def test_what_is_no_series_is_refused(values: Series, batch: int, named: str) -> None:
    with pytest.raises(InputError, match=named):
        mser(values, batch)
