"""Theory beside simulation: right rows, right arithmetic, and a refusal to hold different systems against one another."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory import Footprint, MoA, Network, ServiceTime, System, latency
from dmoa_theory.compare import Comparison, Row, compare, compare_over_load
from dmoa_theory.delay.expected_error import ErrorBand
from dmoa_theory.errors import InputError
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.same_system import first_difference
from dmoa_theory.simulation.steady.simulate import simulate


@pytest.fixture(scope="module")
def base() -> System:
    """Three devices, all of whose parts can be changed."""
    return System(
        network=Network.from_adjacency([[0, 1, 1], [1, 0, 1], [1, 1, 0]], link_delay=0.01),
        arrival_rate=[0.01, 0.02, 0.0],
        service=ServiceTime.gamma([10.0, 8.0, 9.0], scv=0.5),
        moa=MoA(1, 1),
        footprint=Footprint.from_numbers(weight_bytes=1e9, prompt_bytes=1e3, response_bytes=2e3),
    )


@pytest.fixture(scope="module")
def compared(base: System) -> Comparison:
    """The same system by both."""
    return compare(latency(base), simulate(base, queries=100_000, seed=3))


def test_exact_quantities_agree_within_noise(compared: Comparison) -> None:
    """Utilisation is exact in theory: within 4 standard errors everywhere."""
    rows = [row for row in compared.rows if row.quantity == "utilisation"]
    assert [row.of for row in rows] == ["device-0", "device-1", "device-2"]
    assert all(abs(row.standard_errors) < 4 for row in rows)


def test_an_exact_theory_is_within_noise_in_every_row() -> None:
    """M/M/1: mean latency, its percentiles, utilisation, wait and number are all exact."""
    alone = System.from_arrays([[0]], 0.6, 1.0, M=0, k=0, law="exponential")
    result = compare(latency(alone), simulate(alone, queries=400_000, seed=5))
    assert len(result.rows) >= 11
    assert all(abs(row.standard_errors) < 4 for row in result.rows), result.rows


def test_difference_and_standard_errors_are_what_they_say(compared: Comparison) -> None:
    for row in compared.rows:
        assert row.difference == pytest.approx(row.theory / row.simulated - 1, rel=1e-12, abs=1e-15)
        assert row.standard_errors * row.half_width == pytest.approx(
            1.959964 * (row.theory - row.simulated), rel=1e-6, abs=1e-12
        )


def test_rows_cover_prompts_users_and_devices_once(compared: Comparison) -> None:
    keys = [(row.quantity, row.of) for row in compared.rows]
    assert len(keys) == len(set(keys))
    assert {row.of for row in compared.rows} == {"all prompts", "device-0", "device-1", "device-2"}
    assert ("mean latency", "device-2") not in keys  # a helper without prompts
    assert ("mean memory", "device-2") in keys
    assert ("mean first layer", "device-0") in keys


def test_rows_hold_the_figures_that_they_name(base: System) -> None:
    """With three layers every stage of a user has a row, with its own theory, its own simulation and that one's interval."""
    system = base.with_moa(3, 1).with_rates([0.005, 0.008, 0.0])
    estimate, simulation = latency(system), simulate(system, queries=20_000, seed=4)
    rows = {(row.quantity, row.of): row for row in compare(estimate, simulation).rows}
    for u in (0, 1):
        for stage, name in enumerate(("first layer", "later layer", "aggregation")):
            row = rows[f"mean {name}", f"device-{u}"]
            interval = simulation.user_stage_mean
            assert row.theory == estimate.stage_mean[u, stage]
            assert (row.simulated, row.half_width) == (interval.value[u, stage], interval.half_width[u, stage])
        for name in ("mean", "p50", "p95", "p99"):
            row, interval = rows[f"{name} latency", f"device-{u}"], getattr(simulation, f"user_{name}")
            assert row.theory == getattr(estimate, f"user_{name}")[u]
            assert (row.simulated, row.half_width) == (interval.value[u], interval.half_width[u])


def test_the_theory_keeps_its_word_here(compared: Comparison) -> None:
    """The error over all prompts is no larger than the largest seen before."""
    overall = [row for row in compared.rows if row.of == "all prompts"]
    assert [row.within_expected for row in overall] == [True] * 4


@pytest.mark.parametrize(("theory", "half_width", "within"), [(1.1, 0.05, True), (0.9, 0.05, True), (1.1, 0.03, False)])
def test_noise_is_allowed_on_top_of_the_expected_error(theory: float, half_width: float, within: bool) -> None:
    """Off by a tenth where six in a hundred are expected: the interval decides."""
    band = ErrorBand(typical=0.02, within=0.05, largest=0.06, bias=0.0)
    row = Row(quantity="mean latency", of="all", unit="s", theory=theory, simulated=1.0, half_width=half_width, expected=band)
    assert row.within_expected is within


CHANGES = {
    "arrival rate": lambda s: s.with_rates([0.01, 0.02, 0.001]),
    "M of": lambda s: s.with_moa(2, 1),
    "k of": lambda s: s.with_moa(1, 2),
    "quorum of": lambda s: replace(s, moa=MoA(1, 1, quorum=1)),
    "links": lambda s: replace(s, network=Network.from_adjacency([[0, 1, 0], [1, 0, 1], [1, 1, 0]], link_delay=0.01)),
    "link delays": lambda s: replace(s, network=Network.from_adjacency([[0, 1, 1], [1, 0, 1], [1, 1, 0]], link_delay=0.02)),
    "link rate": lambda s: replace(s, link_rate=1e6),
    "choice of neighbours": lambda s: replace(s, moa=MoA(1, 1, selection_weight=np.array([1.0, 2.0, 1.0, 1.0, 1.0, 1.0]))),
    "law of service": lambda s: replace(s, service=ServiceTime.lognormal([10.0, 8.0, 9.0], scv=0.5)),
    "mean of service": lambda s: replace(s, service=ServiceTime.gamma([10.0, 8.0, 9.1], scv=0.5)),
    "scv of service": lambda s: replace(s, service=ServiceTime.gamma([10.0, 8.0, 9.0], scv=0.6)),
    "memory needs": lambda s: replace(
        s, footprint=Footprint.from_numbers(weight_bytes=2e9, prompt_bytes=1e3, response_bytes=2e3)
    ),
    "memory": lambda s: replace(s, footprint=None),
    "number of devices": lambda s: System.from_arrays([[0, 1], [1, 0]], 0.01, 10.0, M=1, k=1),
}


@pytest.mark.parametrize("what", CHANGES)
def test_different_systems_are_refused(base: System, compared: Comparison, what: str) -> None:
    """Whatever part differs, the refusal names it, either way round."""
    other = CHANGES[what](base)
    for a, b in ((base, other), (other, base)):
        difference = first_difference(a, b)
        assert difference is not None
        assert difference.startswith(what)
    with pytest.raises(InputError, match="of systems that differ"):
        compare(latency(other), compared.simulation)


def test_samples_with_the_same_mean_and_spread_are_told_apart(base: System) -> None:
    one, other = (
        replace(base, service=ServiceTime.empirical(samples)) for samples in ([3.0, 3.0, 3.0, 7.0], [5.0, 5.0, 5.0, 1.0])
    )
    assert first_difference(one, other) == "samples of service times"
    assert first_difference(one, replace(one, title="again")) is None


def test_what_no_queue_depends_on_may_differ(base: System) -> None:
    named = Network(
        indptr=base.network.indptr, indices=base.network.indices, link_delay=base.network.link_delay, names=("a", "b", "c")
    )
    assert first_difference(base, replace(base, title="another", network=named)) is None


def test_memory_quantiles_of_different_overflow_probabilities_are_not_compared(base: System, compared: Comparison) -> None:
    """Limits may differ, yet what one time in two is exceeded is not what one time in a thousand is."""
    other = replace(base, constraints=Constraints(overflow_probability=0.5))
    quantities = {row.quantity for row in compare(latency(other), compared.simulation).rows}
    assert "mean memory" in quantities
    assert "memory quantile" not in quantities
    assert "memory quantile" in {row.quantity for row in compared.rows}


def test_unstable_systems_have_no_rows(base: System) -> None:
    crowded = base.with_rates([0.2, 0.2, 0.0])
    result = compare(latency(crowded), simulate(crowded, queries=20_000))
    assert not result.stable
    assert result.rows == ()
    assert any("grew throughout the run" in reason for reason in result.reasons())


def test_over_load_scales_the_busiest_device(base: System) -> None:
    sweep = compare_over_load(base, [0.6, 0.2], queries=20_000)
    assert sweep.loads == (0.2, 0.6)
    for load, each in zip(sweep.loads, sweep.comparisons, strict=True):
        assert each.estimate.utilisation.max() == pytest.approx(load, rel=1e-12)
    assert sweep.curve["mean"][0] == pytest.approx(sweep.comparisons[0].estimate.mean, rel=1e-12)
    assert sweep.curve["p99"][-1] == pytest.approx(sweep.comparisons[1].estimate.p99, rel=1e-12)
    assert len(sweep.records()) == 8
    assert all(math.isfinite(row["difference"]) for row in sweep.records())


@pytest.mark.parametrize("loads", [[], [0.0], [1.0], [0.5, -1]])
def test_loads_lie_between_0_and_1(base: System, loads: list[float]) -> None:
    with pytest.raises(InputError, match="loads"):
        compare_over_load(base, loads, queries=10)
