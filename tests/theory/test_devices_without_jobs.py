"""A device that nobody asks changes nothing for the others."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_theory import MoA, ServiceTime, System, build_topology, latency
from dmoa_theory.stability.loads import utilisation

#: Timings of four devices whose laws are as unlike as can be; the second gets no jobs.
TIMES = ([0.5, 0.5, 0.6, 4.0], [1.0, 1.0, 1.2], [0.1, 3.0, 0.2, 0.2, 0.1, 2.0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("quorum", [None, 1])
@pytest.mark.parametrize("load", [1e-6, 0.6])
def test_every_device_keeps_its_own_timings_where_one_has_no_jobs(load: float, quorum: int | None) -> None:
    """The same answers as without that device."""
    network = build_topology("complete", n=4)
    asked = np.where((network.indices == 1) & (network.link_sources() != 1), 0.0, 1.0)
    there = System(
        network=network,
        arrival_rate=[1.0, 0.0, 1.0, 1.0],
        service=ServiceTime.empirical(TIMES),
        moa=MoA(2, 1, quorum=quorum, selection_weight=asked),
    )
    gone = System(
        network=build_topology("complete", n=3),
        arrival_rate=1.0,
        service=ServiceTime.empirical([TIMES[0], TIMES[2], TIMES[3]]),
        moa=MoA(2, 1, quorum=quorum),
    )
    with_it, without = (latency(each.with_rates(each.rates * load / float(utilisation(each).max()))) for each in (there, gone))
    for figure in ("mean", "p50", "p95", "p99"):
        assert getattr(with_it, figure) == pytest.approx(getattr(without, figure), rel=1e-9), figure
