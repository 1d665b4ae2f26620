"""Confidence intervals: how often they hold the truth, over thousands of cheap processes, and the algebra they rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.signal import lfilter
from scipy.stats import norm, t

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.output.intervals import (
    Interval,
    batches_are_independent,
    deviation_interval,
    merge_pairs,
    quantile_interval,
    ratio_interval,
    variance_interval,
)
from dmoa_theory.simulation.output.log_histogram import LogHistogram

Array = npt.NDArray[np.float64]
RUNS = 2000
BINS = LogHistogram(fraction_bits=8, lowest_exponent=-10, octaves=16)


def autoregressive(rng: np.random.Generator, n: int, runs: int, phi: float) -> Array:
    """Stationary AR(1) series of mean 0 and variance 1, shape (n, runs)."""
    noise = rng.standard_normal((n, runs)) * np.sqrt(1 - phi**2)
    noise[0] /= np.sqrt(1 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], noise, axis=0))


def batch_sums(values: Array, batches: int) -> Array:
    """Sums over that many equal batches of the first axis."""
    return np.asarray(values.reshape(batches, -1, *values.shape[1:]).sum(axis=1))


def held(interval: Interval, truth: float) -> npt.NDArray[np.bool_]:
    """Which of the intervals hold the truth."""
    return np.asarray((interval.lower <= truth) & (truth <= interval.upper))


def assert_covers(hits: npt.NDArray[np.bool_], confidence: float = 0.95) -> None:
    """The share of hits is within four standard errors of the confidence."""
    assert hits.size >= RUNS
    assert abs(hits.mean() - confidence) < 4 * np.sqrt(confidence * (1 - confidence) / hits.size)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_coverage_of_a_mean(confidence: float) -> None:
    """Independent exponential observations, 20 batches of 50."""
    sums = batch_sums(np.random.default_rng(1).exponential(size=(1000, RUNS)), 20)
    assert_covers(held(ratio_interval(sums, np.full((20, 1), 50), confidence), 1.0), confidence)


def test_coverage_of_a_correlated_mean() -> None:
    """AR(1) with coefficient 0.8 (correlation time 9), 20 batches of 400."""
    rng = np.random.default_rng(2)
    sums = np.concatenate([batch_sums(autoregressive(rng, 8000, 500, 0.8), 20) for _ in range(RUNS // 500)], axis=1)
    assert_covers(held(ratio_interval(sums, np.full((20, 1), 400)), 0.0))


def test_coverage_of_a_ratio() -> None:
    """Mean of what arrives in Poisson numbers: both the sum and the count of a batch are random, and correlated."""
    rng = np.random.default_rng(3)
    counts = rng.poisson(60, size=(20, RUNS))
    assert_covers(held(ratio_interval(rng.gamma(2.0 * counts), counts), 2.0))


def test_coverage_of_a_time_average() -> None:
    """Share of the time that a device is busy, 1 on average in every 3, over 20 windows cut without regard to its cycles."""
    rng = np.random.default_rng(4)
    cuts, busy = np.linspace(0, 2000, 21), []
    for _ in range(RUNS):
        on, off = rng.exponential(1.0, 1000), rng.exponential(2.0, 1000)
        at = np.concatenate([[0.0], np.cumsum(np.stack([on, off], axis=1).ravel())])
        area = np.concatenate([[0.0], np.repeat(np.cumsum(on), 2)])
        assert at[-1] > cuts[-1]
        busy.append(np.diff(np.interp(cuts, at, area)))
    assert_covers(held(ratio_interval(np.array(busy).T, np.diff(cuts)[:, None]), 1 / 3))


def test_coverage_of_the_spread() -> None:
    """Variance and standard deviation of gamma observations, 20 batches of 500; counts differ from batch to batch."""
    rng = np.random.default_rng(5)
    count, first, second = np.zeros((20, RUNS)), np.zeros((20, RUNS)), np.zeros((20, RUNS))
    for b in range(20):
        n = int(rng.integers(400, 600))
        values = rng.gamma(4.0, size=(n, RUNS))
        count[b], first[b], second[b] = n, values.sum(axis=0), (values**2).sum(axis=0)
    assert_covers(held(variance_interval(count, first, second), 4.0))
    assert_covers(held(deviation_interval(count, first, second), 2.0))


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_coverage_of_a_percentile(level: float) -> None:
    """Independent exponential observations, 20 batches of 500."""
    rng = np.random.default_rng(6)
    hits = []
    for _ in range(RUNS // 50):
        values = rng.exponential(size=(20, 50, 500))
        hits.append(held(quantile_interval(histograms(values), BINS, level), -np.log1p(-level)))
    assert_covers(np.concatenate(hits))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_coverage_of_a_correlated_percentile(level: float) -> None:
    """Lognormal observations whose logarithm is AR(1) with coefficient 0.8, 20 batches of 400."""
    rng = np.random.default_rng(7)
    hits = []
    for _ in range(RUNS // 50):
        values = np.exp(autoregressive(rng, 8000, 50, 0.8)).reshape(20, 400, 50).swapaxes(1, 2)
        hits.append(held(quantile_interval(histograms(values), BINS, level), np.exp(norm.ppf(level))))
    assert_covers(np.concatenate(hits))


def histograms(values: Array) -> npt.NDArray[np.int64]:
    """Counts over the last axis, shape (..., n_bins)."""
    rows = int(np.prod(values.shape[:-1]))
    index = BINS.index(values).reshape(rows, -1) + BINS.n_bins * np.arange(rows)[:, None]
    return np.bincount(index.ravel(), minlength=rows * BINS.n_bins).reshape(*values.shape[:-1], BINS.n_bins)


def test_replications_as_units() -> None:
    """Replications that differ from one another need them as the units: coverage holds then, and fails badly without."""
    rng = np.random.default_rng(8)
    shift = rng.standard_normal((16, 1, RUNS))  # what a replication shorter than the memory of its system looks like
    sums = (shift + rng.standard_normal((16, 4, RUNS))).reshape(64, RUNS)
    replication = np.repeat(np.arange(16), 4)
    assert_covers(held(ratio_interval(sums, np.ones((64, 1)), groups=replication), 0.0))
    assert held(ratio_interval(sums, np.ones((64, 1))), 0.0).mean() < 0.85


@pytest.mark.parametrize(("R", "B"), [(1, 8), (1, 20), (1, 64), (8, 4), (4, 16)])
def test_false_alarms_of_the_independence_test(R: int, B: int) -> None:
    """Independent batch means are called correlated once in a hundred times."""
    rng = np.random.default_rng(9)
    alarms = [not batches_are_independent(rng.standard_normal((R, B))) for _ in range(4000)]
    assert abs(np.mean(alarms) - 0.01) < 4 * np.sqrt(0.01 * 0.99 / 4000)


def test_power_of_the_independence_test() -> None:
    """Lag-one correlation 0.5 in 64 batches of one run, and replications of 4 batches each with a level of their own, show."""
    rng = np.random.default_rng(10)
    series = autoregressive(rng, 64, 500, 0.5).T
    assert np.mean([batches_are_independent(values) for values in series]) < 0.1
    apart = 1.5 * rng.standard_normal((500, 16, 1)) + rng.standard_normal((500, 16, 4))
    assert np.mean([batches_are_independent(values) for values in apart]) < 0.1


def test_the_independence_test_has_no_opinion_of_too_few_or_equal_batches() -> None:
    """Seven batches, one batch a replication, none at all, or batches that are all alike: nothing speaks against them."""
    for values in (np.arange(7.0), np.arange(20.0)[:, None], np.empty(0), np.full(30, 0.25)):
        assert batches_are_independent(values)
    # von Neumann: mean 1 and variance (B - 2) / (B^2 - 1) for one run; a ratio just inside and just outside the limit
    limit = 1 - norm.ppf(0.99) * np.sqrt(18 / 399)
    weave = np.cos(np.pi * np.arange(20))  # alternating, mean 0
    trend = np.arange(20.0) - 9.5

    def ratio(share: float) -> float:
        values = trend + share * weave
        return float((np.diff(values) ** 2).sum() / (2 * ((values - values.mean()) ** 2).sum()))

    shares = np.linspace(0, 10, 2001)
    for share in shares:
        assert batches_are_independent(trend + share * weave) == (ratio(share) >= limit)
    assert ratio(shares[0]) < limit < ratio(shares[-1])


def test_equal_denominators_give_the_textbook_interval() -> None:
    """With the same count in every batch: mean of the batch means, and Student's t times their standard error."""
    means = np.random.default_rng(11).normal(3.0, 1.0, size=(12, 5, 3))
    interval = ratio_interval(means * 40, np.array([40.0] * 12)[:, None, None], 0.9)
    np.testing.assert_allclose(interval.value, means.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(interval.half_width, t.ppf(0.95, 11) * means.std(axis=0, ddof=1) / np.sqrt(12), rtol=1e-12)
    np.testing.assert_allclose(interval.upper, interval.value + interval.half_width, rtol=1e-15)


def test_units_cancel_and_order_does_not_matter() -> None:
    """Numerators times 4 give 4 times the interval, denominators times 4 a quarter; batches may come in any order."""
    rng = np.random.default_rng(12)
    X, Y = rng.uniform(1, 2, (9, 4)), rng.uniform(1, 2, (9, 4))
    one = ratio_interval(X, Y)
    for factor, other in [
        (4.0, ratio_interval(4 * X, Y)),
        (0.25, ratio_interval(X, 4 * Y)),
        (1.0, ratio_interval(X[::-1], Y[::-1])),
    ]:
        np.testing.assert_allclose(other.value, factor * one.value, rtol=1e-14)
        np.testing.assert_allclose(other.half_width, factor * one.half_width, rtol=1e-12)


def test_batches_without_observations_are_no_evidence() -> None:
    """Adding empty batches changes nothing; one batch alone, or none with anything in it, has no half width."""
    rng = np.random.default_rng(13)
    X, Y = rng.uniform(1, 2, 6), rng.uniform(1, 2, 6)
    some, padded = ratio_interval(X, Y), ratio_interval(np.append(X, [0, 0, 0]), np.append(Y, [0, 0, 0]))
    np.testing.assert_allclose([padded.value, padded.half_width], [some.value, some.half_width], rtol=1e-14)
    rare = ratio_interval(np.array([[5.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]]))
    np.testing.assert_array_equal(rare.value, [2.5, np.nan])
    assert np.isnan(rare.half_width).all()
    assert np.isnan(ratio_interval(np.array([3.0]), np.array([1.0])).half_width)


def test_the_spread_is_that_of_all_observations() -> None:
    """Batches of unequal size, two columns: the values are numpy's variance and standard deviation of everything."""
    rng = np.random.default_rng(14)
    parts = [rng.gamma(2.0, size=(int(n), 2)) for n in rng.integers(5, 50, 10)]
    count = np.array([[len(part)] for part in parts])
    first, second = (np.array([(part**power).sum(axis=0) for part in parts]) for power in (1, 2))
    everything = np.concatenate(parts)
    variance, deviation = variance_interval(count, first, second), deviation_interval(count, first, second)
    np.testing.assert_allclose(variance.value, everything.var(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation.value, everything.std(axis=0), rtol=1e-12)
    np.testing.assert_allclose(deviation.half_width * 2 * deviation.value, variance.half_width, rtol=1e-12)
    still = deviation_interval(np.full(4, 8.0), np.full(4, 8.0), np.full(4, 8.0))
    assert (still.value, still.half_width) == (0.0, 0.0)


def test_merging_pairs_conserves_sums_and_values() -> None:
    """Pairs add up to the same totals, keep whole numbers whole, and leave every ratio as it was; an odd number is refused."""
    rng = np.random.default_rng(15)
    X, Y = rng.integers(0, 100, (16, 3)), rng.integers(1, 100, (16, 3))
    merged = merge_pairs(X)
    assert merged.dtype == X.dtype
    np.testing.assert_array_equal(merged, [X[2 * i] + X[2 * i + 1] for i in range(8)])
    np.testing.assert_allclose(ratio_interval(merged, merge_pairs(Y)).value, ratio_interval(X, Y).value, rtol=1e-14)
    np.testing.assert_allclose(
        ratio_interval(X, Y, groups=np.arange(16) // 2).half_width, ratio_interval(merged, merge_pairs(Y)).half_width
    )
    with pytest.raises(InputError, match="even number"):
        merge_pairs(X[:-1])


def test_groups_are_added_up_before_anything_else() -> None:
    """Percentiles and variances of batches in groups are those of the groups' sums, to the last bit."""
    rng = np.random.default_rng(21)
    shift = np.repeat(rng.uniform(0, 3, 8), 2)  # batches of a group are alike, so that it matters
    values = shift[:, None] + rng.exponential(size=(16, 300))
    counts, pairs = histograms(values), np.arange(16) // 2
    count, first, second = (np.array([(row**power).sum() for row in values]) for power in (0, 1, 2))
    for grouped, merged, apart in (
        (
            quantile_interval(counts, BINS, 0.5, groups=pairs),
            quantile_interval(merge_pairs(counts), BINS, 0.5),
            quantile_interval(counts, BINS, 0.5),
        ),
        (
            variance_interval(count, first, second, groups=pairs),
            variance_interval(*(merge_pairs(sums) for sums in (count, first, second))),
            variance_interval(count, first, second),
        ),
    ):
        assert (grouped.value, grouped.lower, grouped.upper) == (merged.value, merged.lower, merged.upper)
        assert grouped.value == pytest.approx(float(apart.value), rel=1e-12)
        assert grouped.half_width > 1.1 * apart.half_width


def test_percentile_intervals_are_vectorised_and_ordered() -> None:
    """Columns are as if computed one by one; lower <= value <= upper, and the half width is half their distance."""
    values = np.random.default_rng(16).gamma([[[0.5]], [[1.0]], [[3.0]]], size=(3, 10, 200)).swapaxes(0, 1)
    counts = histograms(values)
    for level in (0.1, 0.5, 0.95):
        together = quantile_interval(counts, BINS, level)
        for column in range(3):
            alone = quantile_interval(counts[:, column], BINS, level)
            assert (alone.value, alone.half_width) == (together.value[column], together.half_width[column])
        assert (together.lower < together.value).all()
        assert (together.value < together.upper).all()
        np.testing.assert_allclose(together.half_width, (together.upper - together.lower) / 2, rtol=1e-14)


def test_percentiles_that_are_not_known() -> None:
    """Too few observations beyond the percentile, one batch, or nothing at all: a value perhaps, but no half width."""
    rng = np.random.default_rng(17)
    for n, level, known in [
        (10, 0.95, True),
        (9, 0.95, False),
        (5, 0.9, True),
        (4, 0.9, False),
        (10, 0.05, True),
        (9, 0.05, False),
    ]:
        # n observations in each of 20 batches: the interval needs ten beyond the level
        interval = quantile_interval(histograms(rng.exponential(size=(20, n))), BINS, level)
        assert np.isfinite(interval.value)
        assert np.isfinite(interval.half_width) == known, (n, level)
    assert np.isnan(quantile_interval(histograms(rng.exponential(size=(1, 500))), BINS, 0.5).half_width)
    nothing = quantile_interval(np.zeros((5, BINS.n_bins)), BINS, 0.5)
    assert np.isnan([nothing.value, nothing.half_width]).all()


def test_percentiles_whose_interval_leaves_the_sample() -> None:
    """Batches so unlike that p + h exceeds one: the upper end is not known, the lower one may be."""
    values = np.linspace(1, [[2]] * 6 + [[4]] + [[9]], 300, axis=-1)[:, 0]
    interval = quantile_interval(histograms(values), BINS, 0.9)
    assert np.isnan(interval.upper)
    assert np.isnan(interval.half_width)
    assert 1 < interval.lower < interval.value < 9
    beyond = quantile_interval(histograms(values * 1e9), BINS, 0.9)
    assert beyond.value == np.inf
    assert np.isnan(beyond.half_width)


@pytest.mark.parametrize("atom", [0.0, 1.0 + 1e-9, 1.4999, 3.7])
def test_an_atom_is_held_by_the_interval_of_its_bin(atom: float) -> None:
    """When four fifths of the observations are one and the same number the interval holds it, though the bin is wide."""
    rng = np.random.default_rng(18)
    values = np.where(rng.random((20, 400)) < 0.8, atom, 5 + rng.exponential(size=(20, 400)))
    for level in (0.01, 0.3, 0.5, 0.77):
        assert held(quantile_interval(histograms(values), BINS, level), atom).all()


@pytest.mark.parametrize("place", [0.05, 0.3, 0.95])
def test_atoms_in_neighbouring_bins_are_held(place: float) -> None:
    """Four numbers, one a bin of a coarse histogram, where no bin holds more than its neighbours together."""
    coarse = LogHistogram(fraction_bits=5, lowest_exponent=-3, octaves=8)
    atoms = 1 + (np.arange(4) + place) / 32
    shares = np.array([0.2, 0.35, 0.25, 0.2])
    rng = np.random.default_rng(19)
    counts = np.array([coarse.count(rng.choice(atoms, 2000, p=shares)) for _ in range(20)])
    for level in (0.1, 0.35, 0.5, 0.7, 0.9):
        truth = atoms[np.searchsorted(shares.cumsum(), level)]
        assert held(quantile_interval(counts, coarse, level), truth).all(), level


def test_smooth_bins_are_not_taken_for_atoms() -> None:
    """Half a million exponential observations in the same coarse bins: the interval stays narrower than a bin."""
    coarse = LogHistogram(fraction_bits=5, lowest_exponent=-3, octaves=8)
    counts = np.array([coarse.count(sample) for sample in np.random.default_rng(20).exponential(size=(20, 25_000))])
    for level in (0.5, 0.7, 0.9):
        interval = quantile_interval(counts, coarse, level)
        assert held(interval, -np.log1p(-level)).all()
        assert interval.upper - interval.lower < interval.value / 64


def test_arrays_are_read_only() -> None:
    interval = ratio_interval(np.arange(4.0), np.ones(4))
    for array in (interval.value, interval.half_width, interval.lower, interval.upper):
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"confidence": 1.0}, "confidence = 1.0"),
        ({"groups": np.zeros(3)}, "groups = shape"),
        ({"numerator": np.array(1.0), "denominator": np.array(1.0)}, "batches = "),
    ],
)
def test_what_makes_no_interval_is_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        ratio_interval(**{"numerator": np.ones(4), "denominator": np.ones(4), **arguments})


def test_levels_outside_zero_to_one_and_cubes_of_batches_are_refused() -> None:
    for level in (0.0, 1.0, np.nan):
        with pytest.raises(InputError, match="level = "):
            quantile_interval(np.ones((4, BINS.n_bins)), BINS, level)
    with pytest.raises(InputError, match="batch means"):
        batches_are_independent(np.ones((2, 2, 2)))
