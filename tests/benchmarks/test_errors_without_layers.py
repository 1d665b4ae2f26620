"""M = 0: percentiles of single jobs against exact ones of M/G/1, from which ``expected_error`` has its bands. About a minute.

pytest tests/benchmarks/test_errors_without_layers.py --override-ini addopts= --import-mode=importlib -s
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize

from dmoa_theory import System, latency
from dmoa_theory.delay.expected_error import ErrorBand, expected_error, likeness
from dmoa_theory.delay.single_queue.job_mix import JobMix, job_mix
from dmoa_theory.delay.single_queue.lattice import tail_bracket
from dmoa_theory.delay.single_queue.tail import sojourn_tail, wait_tail
from dmoa_theory.stability.loads import work_moments

LEVELS = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
#: By the SCV up to which they are taken together.
LAWS = {
    1.0: [
        *(("deterministic", 0.0), ("gamma", 0.05), ("gamma", 0.25), ("gamma", 0.5), ("gamma", 1.0)),
        *(("lognormal", 0.05), ("lognormal", 0.25), ("lognormal", 1.0)),
    ],
    2.0: [("gamma", 1.5), ("gamma", 2.0), ("lognormal", 1.5), ("lognormal", 2.0)],
    4.0: [("gamma", 3.0), ("gamma", 4.0), ("lognormal", 3.0), ("lognormal", 4.0)],
}
LOADS = (0.1, 0.3, 0.45, 0.5, 0.52, 0.55, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
MIXTURES = 8


def tail_of(mix: JobMix, reach: float) -> Callable[[float], float]:
    """The chance that a job takes longer than x: exact but for inversion, for lognormal service a fine lattice's middle."""
    if mix.has_transform and mix.scv.any():
        return lambda x: float(sojourn_tail(mix, mix, np.array([x]))[0])
    if mix.has_transform:
        service = float(mix.mean[0])
        return lambda x: 1.0 if x < service else float(wait_tail(mix, np.array([x - service]))[0])
    t, lower, upper = tail_bracket(mix, reach, steps=6000)
    reached = 1 - (lower + upper) / 2
    mass, beyond = np.diff(reached, prepend=0.0), 1 - float(reached[-1])
    return lambda x: float(mass @ mix.survival(np.maximum(x - t, 0.0))) + beyond


def errors_of(system: System) -> list[float]:
    """Relative errors of the three percentiles over all prompts."""
    found = latency(system)
    tails = [tail_of(job_mix(system, i), 1.3 * found.p99) for i in range(system.n_devices)]
    share = system.rates / system.rates.sum()
    errors = []
    for name, level in LEVELS.items():
        value = getattr(found, name)

        def beyond(x: float, level: float = level) -> float:
            return sum(a * tail(x) for a, tail in zip(share.tolist(), tails, strict=True)) - (1 - level)

        errors.append(value / optimize.brentq(beyond, 1e-9, 1.25 * found.p99, xtol=1e-9) - 1)
    return errors


def systems(law: str, scv: float) -> list[System]:
    """Single devices by load, and several unlike devices, whose prompts are looked at together."""
    rng = np.random.default_rng(5)
    more = {} if law == "deterministic" else {"scv": scv}
    found = [System.from_arrays([[0]], load, 1.0, M=0, k=0, law=law, **more) for load in LOADS]
    for _ in range(MIXTURES if law != "lognormal" else 0):
        n = int(rng.integers(2, 9))
        mean, load = rng.uniform(1, 4, n), rng.uniform(0.1, 0.95, n)
        found.append(System.from_arrays(np.zeros((n, n)), load / mean, mean, M=0, k=0, law=law, **more))
    return found


@pytest.mark.parametrize("most", LAWS)
def test_errors_are_those_that_are_stated(most: float) -> None:
    """By class of SCV: mean size, the 95 % that are smaller, the largest; none of them beyond the band that an estimate has."""
    chosen = [system for law, scv in LAWS[most] for system in systems(law, scv)]
    errors = np.array([errors_of(system) for system in chosen])
    size = np.abs(errors)
    stated = expected_error(likeness(chosen[-1], work_moments(chosen[-1])))
    for place, name in enumerate(LEVELS):
        one, band = size[:, place], getattr(stated, name)
        print(
            f"SCV up to {most:g}, {name}: {100 * one.mean():.3f} %, 95 % within {100 * np.quantile(one, 0.95):.3f} %, "
            f"largest {100 * one.max():.3f} %, bias {100 * errors[:, place].mean():+.3f} %; stated {band}"
        )
        assert isinstance(band, ErrorBand)
        assert one.mean() <= band.typical
        assert np.quantile(one, 0.95) <= band.within
        assert one.max() <= band.largest
