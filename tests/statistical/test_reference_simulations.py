"""Twelve long exact simulations against the theory: loads, Little's law, and the latency approximation.

``tests/data/reference_simulations.json`` holds about 1.2e8 jobs a system, by a simulator that shares no code with the theory.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, latency
from dmoa_theory.model.service import Law
from dmoa_theory.stability.loads import job_rates, utilisation, work_moments

LAWS = {"exp": Law.EXPONENTIAL, "det": Law.DETERMINISTIC, "gamma": Law.GAMMA, "lognormal": Law.LOGNORMAL}
DATA = Path(__file__).parents[1] / "data" / "reference_simulations.json"
CASES: dict[str, dict[str, Any]] = {case["name"]: case for case in json.loads(DATA.read_text(encoding="utf-8"))["cases"]}
every_case = pytest.mark.parametrize("name", CASES)


@cache
def system_of(name: str) -> System:
    """The system that a case simulated."""
    case = CASES[name]
    service = ServiceTime.from_law(
        LAWS[case["distribution"]],
        case["alpha"],
        scv=case["scv"],
        later=case["mult"]["layers_ge2"],
        aggregate=case["mult"]["aggregation"],
    )
    source, target = np.transpose(case["edges"])
    return System(
        network=Network.from_links(case["n"], source, target),
        arrival_rate=case["lambda"],
        service=service,
        moa=MoA(case["M"], case["k"]),
    )


def test_there_are_twelve() -> None:
    """The set covers M 0 to 3, four laws, complete, ring, star, regular and directed graphs."""
    assert len(CASES) == 12
    assert {case["M"] for case in CASES.values()} == {0, 1, 2, 3}
    assert {case["distribution"] for case in CASES.values()} == set(LAWS)


@every_case
def test_loads_are_the_nominal_ones(name: str) -> None:
    """Utilisation equals the simulation's own nominal load to rounding."""
    np.testing.assert_allclose(utilisation(system_of(name)), CASES[name]["nominal_rho"], rtol=1e-12)


@every_case
def test_loads_are_those_simulated(name: str) -> None:
    """Within 4 standard errors of the fraction of time each device was busy.

    Over a time T the work that arrives at a device has variance at most ``(M + 1) R E[S^2] T``: a query brings it at most
    M + 1 jobs, and the square of their sum is at most M + 1 times the sum of their squares. A fifth of T goes to warm-up.
    """
    case, system = CASES[name], system_of(name)
    work = work_moments(system)
    time = 0.8 * case["jobs_simulated"] / job_rates(system).sum()
    error = np.sqrt((case["M"] + 1) * work.second / time)
    assert (np.abs(utilisation(system) - case["utilisation"]) < 4 * error).all()
    assert error.max() < 2e-3  # the comparison says something


@every_case
def test_littles_law_and_flow_balance_hold_in_the_data(name: str) -> None:
    """Jobs present less jobs waiting are those in service, one for each busy second; latency is the sum of its stages.

    With M = 0 also ``L = lambda T`` at every device, to 4 standard errors.
    """
    case, system = CASES[name], system_of(name)
    in_service = np.subtract(case["mean_number_in_system"], case["mean_number_waiting"])
    np.testing.assert_allclose(in_service, case["utilisation"], rtol=1e-9)
    assert sum(case["stage_mean_latency"]) == pytest.approx(case["mean_latency"], rel=1e-3)
    by_user, rates = np.array(case["mean_latency_by_user"], dtype=float), system.rates
    asks = rates > 0
    assert by_user[asks] @ rates[asks] / rates.sum() == pytest.approx(case["mean_latency"], rel=2e-3)
    if case["M"] == 0:
        error = np.array(case["mean_number_in_system_ci95_half"]) / 1.96 + rates * case["mean_latency_ci95_half"] / 1.96
        assert (np.abs(case["mean_number_in_system"] - rates * by_user) < 4 * error).all()
    work = float(job_rates(system).sum() / rates.sum())
    assert work == pytest.approx((case["k"] + 1) * case["M"] + 1, rel=1e-12)
    served = np.sum(np.array(case["utilisation"])) / np.sum(case["nominal_rho"])
    assert served == pytest.approx(1, abs=1e-3)


@every_case
@pytest.mark.parametrize("quantity", ["mean", "p50", "p95", "p99"])
def test_latency_is_as_near_as_it_says(name: str, quantity: str) -> None:
    """The error against simulation is no larger than the largest that ``expected_error`` quotes, noise (4 SE) allowed."""
    case = CASES[name]
    estimate = latency(system_of(name))
    band = getattr(estimate.expected_error, quantity)
    key = "mean_latency" if quantity == "mean" else quantity
    noise = 4 / 1.96 * case.get(f"{key}_ci95_half", case["p95_ci95_half"] / 2) / case[key]
    error = abs(getattr(estimate, quantity) / case[key] - 1)
    assert error <= band.largest + noise, f"{error:.3f} against {band.largest:.3f}"


def test_the_waits_of_lone_devices_are_exact() -> None:
    """M = 0: mean, median, p95 and p99 of M/M/1 within 4 standard errors of the simulation (median: half the p95's)."""
    case, found = CASES["mm1"], latency(system_of("mm1"))
    assert found.mean == pytest.approx(case["mean_latency"], abs=4 / 1.96 * case["mean_latency_ci95_half"])
    assert found.p50 == pytest.approx(case["p50"], abs=2 / 1.96 * case["p95_ci95_half"])
    assert found.p95 == pytest.approx(case["p95"], abs=4 / 1.96 * case["p95_ci95_half"])
    assert found.p99 == pytest.approx(case["p99"], abs=4 / 1.96 * case["p99_ci95_half"])
    np.testing.assert_allclose(found.jobs_mean, case["mean_number_in_system"], atol=4 / 1.96 * 0.01)
