"""What is proved never exceeds what is true, and does not depend on names, units or the order of devices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.guarantee import Verdict, stability_guarantee
from dmoa_theory.stability.proofs.head_of_line import LayerDelays
from dmoa_theory.stability.proofs.linear_program import WorkBalance
from dmoa_theory.stability.proofs.work_shares import work_paths


@st.composite
def systems(draw: st.DrawFn) -> System:
    """A network of 2 to 6 devices; everything by user or by device; the busiest device at load 0.2 to 1.5."""
    n = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    adjacency = rng.random((n, n)) < draw(st.sampled_from([0.3, 0.6, 1.0]))
    adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
    np.fill_diagonal(adjacency, False)
    degree = adjacency.sum(axis=1)
    rate = rng.uniform(0.01, 1, n) * (rng.random(n) < 0.8)
    rate[rng.integers(n)] = 1.0
    k = rng.integers(0, degree + 1)
    quorum = rng.integers(1, k + 2) if draw(st.booleans()) else None
    weight = 10.0 ** rng.uniform(-2, 2, int(degree.sum())) if draw(st.booleans()) else None
    spread = draw(st.sampled_from([0.0, 0.5, 2.0]))
    service = ServiceTime(mean=10.0 ** rng.uniform(-spread, spread, (n, 3)), scv=np.ones((n, 3)))
    moa = MoA(rng.integers(0, 7, n), k, quorum=quorum, selection_weight=weight)
    system = System(network=Network.from_adjacency(adjacency), arrival_rate=rate, service=service, moa=moa)
    return system.with_rates(rate * (draw(st.floats(0.2, 1.5)) / utilisation(system).max()))


@given(systems())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_never_more_than_is_true(system: System) -> None:
    """Unstable above load one; proved only below, with a certificate that holds; no scale is certified beyond the region."""
    found, peak = stability_guarantee(system), utilisation(system).max()
    assert (found.verdict is Verdict.UNSTABLE) is bool(peak > 1)
    assert 0 < found.certified_scale <= (1 + 1e-12) / peak
    assert (found.certificate is not None) is (found.verdict is Verdict.PROVED)
    if found.verdict is Verdict.PROVED:
        assert peak < 1
        assert found.certified_scale > 1
        balance = WorkBalance(work_paths(system), LayerDelays(system))
        assert (balance.bound(found.certificate) < found.certificate).all()
    elif peak < 1:
        assert found.certified_scale <= 1


@given(systems(), st.floats(0.1, 3), st.floats(-3, 3))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_scaling(system: System, factor: float, power: float) -> None:
    """More prompts: the certified scale falls in proportion. Another unit of time: nothing changes."""
    scale = stability_guarantee(system).certified_scale
    assert factor * stability_guarantee(system.with_rates(factor * system.rates)).certified_scale == pytest.approx(
        scale, rel=2e-2
    )
    unit = 10.0**power
    service = ServiceTime(mean=unit * system.service.mean, scv=system.service.scv)
    other = System(network=system.network, arrival_rate=system.rates / unit, service=service, moa=system.moa)
    assert stability_guarantee(other).certified_scale == pytest.approx(scale, rel=1e-6)


@given(systems(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_order_of_devices_plays_no_part(system: System, random: object) -> None:
    n = system.n_devices
    order = np.array(random.sample(range(n), n))  # type: ignore[attr-defined]
    network, weight = system.network, system.moa.selection_weight
    place = np.argsort(order)
    values = network.matrix(np.ones(network.n_links)).toarray()[np.ix_(order, order)] > 0
    weights = None
    if weight is not None:
        weights = network.matrix(weight).toarray()[np.ix_(order, order)][values]
    moa = MoA(
        *(np.broadcast_to(each, n)[order] for each in (system.moa.M, system.moa.k)),
        quorum=None if system.moa.quorum is None else np.broadcast_to(system.moa.quorum, n)[order],
        selection_weight=weights,
    )
    service = ServiceTime(mean=system.service.mean[order], scv=system.service.scv[order])
    other = System(network=Network.from_adjacency(values), arrival_rate=system.rates[order], service=service, moa=moa)
    found, again = stability_guarantee(system), stability_guarantee(other)
    assert again.certified_scale == pytest.approx(found.certified_scale, rel=1e-6)
    if abs(found.certified_scale - 1) > 1e-6:
        assert (again.verdict, again.theorem) == (found.verdict, found.theorem)
        if found.certificate is not None:
            assert again.certificate is not None
            assert again.certificate[place] == pytest.approx(found.certificate, rel=1e-5)
