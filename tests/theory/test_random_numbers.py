"""The random numbers of compiled code: the published generator, and laws that fit as samples of this size should."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit
from scipy import stats

from dmoa_theory.simulation.kernel.random_numbers import (
    exponential,
    fill_exponential,
    fill_uniform,
    gamma,
    new_stream,
    normal,
    uniform,
)

SIZE = 400_000
LEAST_P = 1e-4
SHAPES = (0.1, 0.5, 1.7, 30.0)
WORD = 2**64


def rotated(x: int, by: int) -> int:
    return ((x << by) | (x >> (64 - by))) % WORD


class Published:
    """xoshiro256++ 1.0 as Blackman and Vigna give it, in whole numbers without end."""

    def __init__(self, state: list[int]) -> None:
        self.s = list(state)

    def next(self) -> int:
        s = self.s
        result = (rotated((s[0] + s[3]) % WORD, 23) + s[0]) % WORD
        t = (s[1] << 17) % WORD
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotated(s[3], 45)
        return result


@njit(cache=True)
def many_uniform(state, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = uniform(state)


@njit(cache=True)
def many_exponential(state, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = exponential(state)


@njit(cache=True)
def many_normal(state, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = normal(state)


@njit(cache=True)
def many_gamma(state, shape, out):  # type: ignore[no-untyped-def]
    for i in range(out.size):
        out[i] = gamma(state, shape)


def stream(*seed: int) -> Any:
    return new_stream(np.random.SeedSequence(seed))


def drawn(fill: Callable[..., None], *seed: int, size: int = SIZE) -> np.ndarray:
    out = np.empty(size)
    fill(stream(*seed), out)
    return out


def gammas(shape: float) -> np.ndarray:
    out = np.empty(SIZE)
    many_gamma(stream(5, int(10 * shape)), shape, out)
    return out


LAWS: dict[str, tuple[Callable[[], np.ndarray], Any]] = {
    "uniform": (lambda: drawn(many_uniform, 1), stats.uniform()),
    "uniform, in blocks": (lambda: drawn(fill_uniform, 2), stats.uniform()),
    "exponential": (lambda: drawn(many_exponential, 3), stats.expon()),
    "exponential, in blocks": (lambda: drawn(fill_exponential, 4), stats.expon()),
    "normal": (lambda: drawn(many_normal, 6), stats.norm()),
    **{f"gamma {shape}": (lambda shape=shape: gammas(shape), stats.gamma(shape)) for shape in SHAPES},
}


@pytest.fixture(scope="module")
def samples() -> dict[str, np.ndarray]:
    return {name: draw() for name, (draw, _) in LAWS.items()}


# -- the generator ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [[1, 2, 3, 4], [2**64 - 1, 0, 2**63, 0x9E3779B97F4A7C15]])
@pytest.mark.parametrize("fill", [many_uniform, fill_uniform])
def test_the_generator_is_the_published_one(state: list[int], fill: Callable[..., None]) -> None:
    """A thousand outputs from a given state, 53 bits of each, and the state after them."""
    published, words, out = Published(state), np.array(state, dtype=np.uint64), np.empty(1000)
    fill(words, out)
    assert out.tolist() == [(published.next() >> 11) / 2**53 for _ in range(1000)]
    assert words.tolist() == published.s


def test_the_published_one_begins_as_published() -> None:
    """The first outputs from the state 1, 2, 3, 4, as the generator's ports to other languages list them."""
    published = Published([1, 2, 3, 4])
    assert [published.next() for _ in range(4)] == [41943041, 58720359, 3588806011781223, 3591011842654386]


def test_blocks_hold_what_single_draws_give() -> None:
    """A block of variates is the same numbers as drawing one by one, and leaves the stream in the same state."""
    for block, single in ((fill_uniform, many_uniform), (fill_exponential, many_exponential)):
        one, other = stream(11), stream(11)
        a, b = np.empty(100_000), np.empty(100_000)
        block(one, a)
        single(other, b)
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(one, other)


def test_spawned_seeds_give_streams_of_their_own() -> None:
    """A thousand spawned streams: no two alike in state or first numbers, no correlation between neighbours; repeatable."""
    streams = [new_stream(seed) for seed in np.random.SeedSequence(1).spawn(1000)]
    again = [new_stream(seed) for seed in np.random.SeedSequence(1).spawn(1000)]
    np.testing.assert_array_equal(streams, again)
    assert len({tuple(each.tolist()) for each in streams}) == 1000
    numbers = np.empty((1000, 1000))
    for words, row in zip(streams, numbers, strict=True):
        many_uniform(words, row)
    assert np.unique(numbers[:, 0]).size == 1000
    correlation = ((numbers[:-1] - 0.5) * (numbers[1:] - 0.5)).mean() * 12
    assert abs(correlation) < 4 / np.sqrt(999_000)
    # by column: across streams, the numbers at one place are uniform
    assert stats.kstest(stats.kstest(numbers, "uniform", axis=0).pvalue, "uniform").pvalue > LEAST_P


# -- the laws ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAWS)
def test_law(name: str, samples: dict[str, np.ndarray]) -> None:
    """Kolmogorov-Smirnov, and chi-square over a thousand equally likely bins."""
    sample, law = samples[name], LAWS[name][1]
    ranks = law.cdf(sample)
    assert stats.kstest(ranks, "uniform").pvalue > LEAST_P
    counts = np.bincount(np.minimum((ranks * 1000).astype(np.int64), 999), minlength=1000)
    assert stats.chisquare(counts).pvalue > LEAST_P


@pytest.mark.parametrize("name", LAWS)
def test_moments(name: str, samples: dict[str, np.ndarray]) -> None:
    """The first four moments, within four standard errors."""
    sample, law = samples[name], LAWS[name][1]
    for order in (1, 2, 3, 4):
        error = np.sqrt((law.moment(2 * order) - law.moment(order) ** 2) / SIZE)
        assert (sample**order).mean() == pytest.approx(law.moment(order), abs=4 * error)


@pytest.mark.parametrize("name", LAWS)
def test_tails(name: str, samples: dict[str, np.ndarray]) -> None:
    """As many draws below and above far quantiles as the binomial law allows; what lies beyond has the law's shape."""
    sample, law = samples[name], LAWS[name][1]
    for chance in (1e-2, 1e-3, 1e-4):
        for beyond in (sample < law.ppf(chance), sample > law.isf(chance)):
            assert stats.binomtest(int(beyond.sum()), SIZE, chance).pvalue > LEAST_P
    above = sample[sample > law.isf(1e-3)]
    assert stats.kstest(law.sf(above) / 1e-3, "uniform").pvalue > LEAST_P


def test_beyond_the_last_layer() -> None:
    """The ziggurats' bases end at 7.7 and 3.65; four million draws reach beyond, and there the law goes on."""
    for fill, law, edge in (
        (many_exponential, stats.expon(), 7.697117470131487),
        (many_normal, stats.norm(), 3.654152885361009),
    ):
        sample = np.abs(drawn(fill, 21, size=4_000_000))
        chance = law.sf(edge) * (2 if fill is many_normal else 1)
        beyond = sample[sample > edge]
        assert stats.binomtest(beyond.size, sample.size, chance).pvalue > LEAST_P
        assert stats.kstest(law.sf(beyond) / law.sf(edge), "uniform").pvalue > LEAST_P
        assert beyond.max() > law.isf(law.sf(edge) / 200)


@pytest.mark.parametrize("name", LAWS)
def test_draws_are_independent(name: str, samples: dict[str, np.ndarray]) -> None:
    """Ranks of draws up to ten apart are uncorrelated, and pairs of neighbours fill the square evenly."""
    ranks = LAWS[name][1].cdf(samples[name]) - 0.5
    for lag in range(1, 11):
        correlation = 12 * (ranks[:-lag] * ranks[lag:]).mean()
        assert abs(correlation) * np.sqrt(SIZE - lag) < 4.5
    cells = np.minimum(((ranks + 0.5) * 30).astype(np.int64), 29)
    pairs = np.bincount(cells[:-1:2] * 30 + cells[1::2], minlength=900)
    assert stats.chisquare(pairs).pvalue > LEAST_P


def test_signs_do_not_depend_on_sizes(samples: dict[str, np.ndarray]) -> None:
    """A normal variate's sign comes from a bit of its own."""
    sample = samples["normal"]
    assert stats.ks_2samp(sample[sample > 0], -sample[sample < 0]).pvalue > LEAST_P
    assert stats.binomtest(int((sample > 0).sum()), SIZE).pvalue > LEAST_P
