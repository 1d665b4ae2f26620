"""The best gossip of 10,000 devices and 100,000 links: seconds, and that the region agrees."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, stability_region
from dmoa_theory.stability.gossip.capacity import capacity

DEVICES, LINKS_EACH = 10_000, 10


@pytest.fixture(scope="module")
def system() -> System:
    rng = np.random.default_rng(0)
    step = np.array([rng.choice(np.arange(1, DEVICES), LINKS_EACH, replace=False) for _ in range(DEVICES)])
    target = (np.arange(DEVICES)[:, None] + step) % DEVICES
    return System(
        network=Network.from_links(DEVICES, np.repeat(np.arange(DEVICES), LINKS_EACH), target.ravel()),
        arrival_rate=rng.uniform(0.2e-3, 1e-3, DEVICES),
        service=ServiceTime.exponential(4 ** rng.uniform(0, 1, DEVICES)),
        moa=MoA(2, 3),
    )


def test_ten_thousand_devices(system: System, tmp_path: Path) -> None:
    """Prints seconds; asserts the answer, never a time."""
    seconds = [time.perf_counter()]
    found = capacity(system)
    seconds.append(time.perf_counter())
    best = found.system()
    seconds.append(time.perf_counter())
    found.prices()
    seconds.append(time.perf_counter())
    found.save(tmp_path / "best.csv")
    seconds.append(time.perf_counter())
    taken = np.diff(seconds)
    print(
        f"\n{DEVICES:,} devices, {system.network.n_links:,} links"
        f"\n  scale             {found.scale_uniform:.4g} uniform, {found.scale_best:.4g} best"
        f"\n  linear programs   {taken[0]:.1f} s\n  selection weights {taken[1]:.1f} s\n  prices            {taken[2]:.1f} s"
        f"\n  CSV               {taken[3]:.1f} s"
    )
    assert stability_region(best).critical_scale == pytest.approx(found.optimum.scale, rel=1e-6)
    assert found.scale_best > found.scale_uniform


def test_a_hundred_users_grow(system: System) -> None:
    growth = system.rates * (np.arange(DEVICES) < 100)
    start = time.perf_counter()
    found = capacity(system, direction=growth)
    print(f"\n100 of {DEVICES:,} users grow: {time.perf_counter() - start:.1f} s, scale {found.scale_best:.4g}")
    assert stability_region(found.system(found.scale_best)).critical_scale == pytest.approx(1, rel=1e-6)
