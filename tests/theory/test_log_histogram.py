"""Histograms by the bits of the numbers: every number in its bin, quantiles within a bin of the sample's."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.output.log_histogram import LogHistogram

FINE = LogHistogram(fraction_bits=8, lowest_exponent=-20, octaves=40)
histograms = st.builds(
    lambda b, low, octaves: LogHistogram(fraction_bits=b, lowest_exponent=low, octaves=octaves),
    st.integers(0, 8),
    st.integers(-40, 20),
    st.integers(1, 40),
)
amounts = st.floats(0, allow_nan=False)


@given(histograms, amounts, amounts)
def test_index_never_falls(bins: LogHistogram, x: float, y: float) -> None:
    """Of two numbers the larger is in the same bin or a later one."""
    low, high = sorted((x, y))
    assert bins.index(low) <= bins.index(high)


@given(histograms, amounts)
def test_edges_bracket_what_they_hold(bins: LogHistogram, x: float) -> None:
    """``edges[i] <= x < edges[i + 1]`` for the bin ``i`` of ``x``; only infinity reaches the last edge."""
    edges, i = bins.edges(), int(bins.index(x))
    assert edges[i] <= x
    assert x < edges[i + 1] or np.isinf(x)


@given(histograms, st.floats(allow_nan=False))
def test_a_kernel_finds_the_same_bin_with_a_shift(bins: LogHistogram, x: float) -> None:
    """``(bits >> shift) - offset``, clipped, in plain integers: negative numbers, zeros of either sign and infinities too."""
    (bits,) = struct.unpack("<q", struct.pack("<d", x))
    assert min(max((bits >> bins.shift) - bins.offset, 0), bins.n_bins - 1) == int(bins.index(x))
    assert bins.index(-abs(x)) == 0


@given(histograms)
def test_edges_go_round_trip(bins: LogHistogram) -> None:
    """Every edge is in the bin it opens, the number just below in the bin before; all bins of an octave are equally wide."""
    edges = bins.edges()
    assert edges.shape == (bins.n_bins + 1,)
    np.testing.assert_array_equal(bins.index(edges[:-1]), np.arange(bins.n_bins))
    np.testing.assert_array_equal(bins.index(np.nextafter(edges[1:-1], 0)), np.arange(bins.n_bins - 1))
    assert edges[1] == 2.0**bins.lowest_exponent
    assert edges[-2] == 2.0 ** (bins.lowest_exponent + bins.octaves)
    width = np.diff(edges[1:-1]) / edges[1:-2]
    assert width.max() == 2.0**-bins.fraction_bits
    assert width.min() > 2.0 ** -(bins.fraction_bits + 1)


@pytest.mark.parametrize("fraction_bits", [4, 6, 8])
def test_quantiles_are_those_of_the_sample_within_a_bin(fraction_bits: int) -> None:
    """On lognormal samples every quantile lies in the bin of the order statistic that the inverse of the sample's law gives."""
    rng = np.random.default_rng(1)
    bins = LogHistogram(fraction_bits=fraction_bits, lowest_exponent=-20, octaves=40)
    for size in (1, 7, 1000, 20_000):
        sample = rng.lognormal(sigma=1.5, size=size)
        levels = np.concatenate([[0.0, 1.0], rng.uniform(size=50)])
        found = bins.quantile(bins.count(sample), levels)
        exact = np.quantile(sample, levels, method="inverted_cdf")
        np.testing.assert_array_less(np.abs(found / exact - 1), 2.0**-fraction_bits * (1 + 1e-12))
        assert (found >= bins.edges()[bins.index(exact)]).all()
        assert (found <= bins.edges()[bins.index(exact) + 1]).all()


@pytest.mark.parametrize("fraction_bits", [4, 6, 8])
def test_interpolation_error_of_a_smooth_law(fraction_bits: int) -> None:
    """With the exact mass of an exponential law in every bin, quantiles are off by at most ``w^2 |f'| / (8 f) = w^2 / 8``."""
    bins = LogHistogram(fraction_bits=fraction_bits, lowest_exponent=-20, octaves=30)
    edges = bins.edges()
    mass = -np.diff(np.exp(-edges))
    levels = np.linspace(0.001, 0.999, 999)
    exact = -np.log1p(-levels)
    width = np.diff(edges)[bins.index(exact)]
    # the curvature is largest at the lower edge, hence exp(w); the total of the masses is rounded
    assert (np.abs(bins.quantile(mass, levels) - exact) <= width**2 / 8 * np.exp(width) + 1e-12 / (1 - levels)).all()


def test_quantile_and_cdf_are_inverse() -> None:
    """``cdf(quantile(p)) = p``, on one histogram and on many at once, each with its own level."""
    rng = np.random.default_rng(2)
    counts = np.stack([FINE.count(rng.gamma(shape, size=3000)) for shape in (0.3, 1.0, 5.0)])
    levels = np.array([[0.01], [0.5], [0.95], [0.999]])
    found = FINE.quantile(counts, levels)
    assert found.shape == (4, 3)
    np.testing.assert_allclose(FINE.cdf(counts, found), np.broadcast_to(levels, (4, 3)), rtol=1e-12)
    np.testing.assert_allclose(FINE.count_below(counts, found) - levels * 3000, 0.0, atol=1e-9)
    for row, column in np.ndindex(4, 3):
        assert FINE.quantile(counts[column], levels[row, 0]) == found[row, column]


def test_what_lies_outside_the_range() -> None:
    """Below it quantiles come from between 0 and the first edge; beyond it they are infinite; of nothing they are NaN."""
    bins = LogHistogram(fraction_bits=2, lowest_exponent=0, octaves=3)
    counts = bins.count(np.array([0.0, -0.0, 0.5, 1.0, 100.0, np.inf]))
    assert counts.sum() == 6
    assert counts[0] == 3
    assert counts[-1] == 2
    assert bins.quantile(counts, np.array([0.0, 0.25, 0.5, 0.9, 1.0])).tolist() == [0.0, 0.5, 1.0, np.inf, np.inf]
    assert bins.cdf(counts, np.array([-1.0, 0.0, 1.0, 7.9, 8.0, 1e9, np.inf])).tolist() == [0, 0, 0.5, 4 / 6, 4 / 6, 4 / 6, 1]
    empty = np.zeros(bins.n_bins, dtype=np.int64)
    assert np.isnan(bins.quantile(empty, 0.5))
    assert np.isnan(bins.cdf(empty, 0.5))
    assert bins.quantile(np.eye(bins.n_bins)[-1], 0.0) == np.inf


@pytest.mark.parametrize(
    "wrong",
    [
        {"fraction_bits": -1},
        {"fraction_bits": 17},
        {"lowest_exponent": -1023},
        {"lowest_exponent": 1023},
        {"octaves": 0},
        {"octaves": 1024},
    ],
)
def test_bins_beyond_the_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(wrong))} = "):
        LogHistogram(**{"fraction_bits": 4, "lowest_exponent": 0, "octaves": 4, **wrong})


def test_levels_and_counts_that_do_not_fit_are_refused() -> None:
    counts = np.ones(FINE.n_bins)
    for level in (-0.1, 1.1, np.nan):
        with pytest.raises(InputError, match="level = "):
            FINE.quantile(counts, level)
    with pytest.raises(InputError, match="last axis has the 10242 bins"):
        FINE.quantile(counts[:-1], 0.5)
