"""Samples as a law of service: what is accepted, what is refused and how it is named, who owns the arrays."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System, latency, stability_region
from dmoa_theory.errors import InputError
from dmoa_theory.model.service import Law, MeasuredServiceTime
from dmoa_theory.optimisation.candidates import evaluate

POSITIVE = "a finite number of seconds above 0"


@pytest.mark.parametrize(
    ("samples", "complaint"),
    [
        ([], "samples = no samples: at least one, in seconds"),
        ([1.0, -2.0], f"samples[1] = -2.0: {POSITIVE}"),
        ([1.0, 0.0], f"samples[1] = 0.0: {POSITIVE}"),
        ([1, np.nan], f"samples[1] = nan: {POSITIVE}"),
        ([1, np.inf], f"samples[1] = inf: {POSITIVE}"),
        ([1, 1e31], f"samples[1] = 1e+31: {POSITIVE}, from 1e-30 to 1e+30"),
        ([[1.0], [2.0], [1.0] * 17 + [-1.0]], f"samples[2][17] = -1.0: {POSITIVE}"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), f"samples[1][0] = 0.0: {POSITIVE}"),
        ([[1.0, 2.0], []], "samples[1] = no samples: at least one, in seconds"),
        ([[1.0, 2.0], 3.0], "samples[1] = 3.0: a list of seconds"),
        ([[1.0], [[2.0]]], "samples[1] = [[2.0]]: a list of seconds"),
        ([[1.0], [[2.0], 3.0]], "samples[1] = [[2.0], 3.0]: a list of seconds"),
        (np.empty((0, 3)), "samples = no lists: one list of seconds for all devices, or one a device"),
        (24.0, "samples = 24.0: a list of seconds"),
        ("24", "samples = 24: a list of seconds"),
        (None, "samples = None: a list of seconds"),
        ([True, False], f"samples = [ True False]: {POSITIVE}"),
        ([1.0, None], f"samples = [1.0 None]: {POSITIVE}"),
    ],
)
def test_samples_that_are_refused(samples: Any, complaint: str) -> None:
    with pytest.raises(InputError) as caught:
        ServiceTime.empirical(samples)
    assert str(caught.value) == complaint


@pytest.mark.parametrize(
    "times", [[1, 2, 3], (1, 2, 3), np.array([1, 2, 3]), np.array([1, 2, 3], dtype=np.float32), range(1, 4)]
)
def test_samples_of_every_kind(times: Any) -> None:
    """Lists, tuples, arrays of whole numbers: for all devices, and one a device."""
    for samples in (times, [times], [times, times]):
        service = ServiceTime.empirical(samples)
        assert all(own.dtype == np.float64 and own.tolist() == [1, 2, 3] for own in service.samples)
        assert (service.mean == 2).all()
    assert ServiceTime.empirical(times).n_devices is None
    assert ServiceTime.empirical([times, times]).n_devices == 2


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: ServiceTime.empirical([1.0], later=0.0), "stages.layer = 0.0: a finite number above 0"),
        (
            lambda: ServiceTime.empirical([[1.0], [2.0]], aggregate=[1, 2, 3]),
            "stages.aggregate = 3 values: one number, or a list of 2 (one a device)",
        ),
        (
            lambda: ServiceTime(mean=[[1.0] * 3], scv=0.0, law="empirical"),
            'samples is missing: seconds of single inferences, for the law "empirical"',
        ),
        (
            lambda: ServiceTime(mean=[[1.0] * 3], scv=0.0, samples=([1.0],)),
            'samples = 1 lists: only with the law "empirical"',
        ),
        (
            lambda: ServiceTime(mean=[[1.0] * 3] * 3, scv=0.0, law="empirical", samples=([1.0], [1.0])),
            "samples = 2 lists: one for all devices, or 3 (one a row of mean)",
        ),
        (
            lambda: ServiceTime(mean=[[1.0] * 3], scv=1.0, law="empirical", samples=([1.0, 3.0],)),
            "scv = 1.0: 0.25, that of the samples",
        ),
        (
            lambda: ServiceTime.from_law("empirical", 1.0),
            "law = empirical: given by samples alone: ServiceTime.empirical, or service.samples of a scenario",
        ),
        (
            lambda: System.from_arrays([[0]], 0.1, 1.0, M=0, k=0, law="empirical"),
            "law = empirical: given by samples alone: ServiceTime.empirical, or service.samples of a scenario",
        ),
        (
            lambda: MeasuredServiceTime(profiles=(), tokens=(), law=Law.EMPIRICAL),
            "law = empirical: gamma or lognormal: a profile holds no samples to draw from",
        ),
    ],
)
def test_laws_at_odds_with_their_samples(build: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=re.escape(complaint) + "$"):
        build()


def test_the_samples_are_not_changed_from_outside() -> None:
    times = np.array([1.0, 2.0, 3.0])
    services = [ServiceTime.empirical(times), ServiceTime.empirical([times])]
    services.append(ServiceTime(mean=[[4.0] * 3], scv=services[0].scv, law=Law.EMPIRICAL, samples=(times,)))
    services.append(services[0].at_upper_limit(2.0))
    times[:] = 7
    for service in services:
        assert service.samples[0].tolist() == [1.0, 2.0, 3.0]
        with pytest.raises(ValueError, match="read-only"):
            service.samples[0][0] = 7


def test_what_it_says_of_itself() -> None:
    assert repr(ServiceTime.empirical([[1, 3], [4]])) == "<ServiceTime: empirical (3 samples), mean 2 to 4 s, SCV 0 to 0.25>"
    assert repr(ServiceTime.empirical([2])) == "<ServiceTime: empirical (1 sample), mean 2 s, SCV 0>"


def test_every_analysis_takes_an_empirical_law() -> None:
    """Region and latency go by moments: a gamma law of that mean and SCV has the same region and nearly the same latency."""
    rng = np.random.default_rng(3)
    service = ServiceTime.empirical([rng.gamma(2.0, 5.0, 400) for _ in range(4)], later=1.2)
    network = Network.from_adjacency(1.0 - np.eye(4))
    system = System(network=network, arrival_rate=0.01, service=service, moa=MoA(2, 2))
    like = replace(system, service=ServiceTime(mean=service.mean, scv=service.scv))
    assert stability_region(system).to_dict() == stability_region(like).to_dict()
    ours, theirs = latency(system), latency(like)
    np.testing.assert_allclose(ours.wait_mean, theirs.wait_mean, rtol=0.01)
    assert ours.p95 == pytest.approx(theirs.p95, rel=0.05)
    assert ours.p95 != theirs.p95


def test_a_defended_choice_bears_the_error_of_few_samples() -> None:
    """Raising the means by standard errors raises load and latency, and keeps samples with them."""
    from dmoa_theory.accuracy.table import AccuracyEntry

    entry = AccuracyEntry(M=1, k=1, accuracy=0.5, standard_error=0.1, n_eval=10)
    service = ServiceTime.empirical([8.0, 12.0, 10.0])
    system = System(network=Network.from_adjacency([[0, 1], [1, 0]]), arrival_rate=0.01, service=service, moa=MoA(1, 1))
    plain, raised = evaluate(system, entry), evaluate(system, entry, standard_errors=2.0)
    error = np.std([8, 12, 10], ddof=1) / 3**0.5
    assert raised.utilisation / plain.utilisation == pytest.approx((10 + 2 * error) / 10)
    assert raised.mean_latency > plain.mean_latency
