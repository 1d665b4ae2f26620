"""The parts of the mean latency: they add up to it, and are what they are called where the truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dmoa_theory import MoA, System, latency
from dmoa_theory.delay.closure.queries import query_laws
from dmoa_theory.delay.where_time_goes import Part, where_time_goes
from dmoa_theory.model.service import Stage
from dmoa_theory.stability.loads import work_moments

COMPLETE = np.ones((5, 5)) - np.eye(5)
MEANS = [20.0, 30.0, 25.0, 40.0, 22.0]


def systems() -> dict[str, System]:
    """All kinds of queries, links and choices."""
    plain = System.from_arrays(COMPLETE, [0.002, 0.001, 0, 0.0005, 0.002], MEANS, M=2, k=2)
    ring = np.roll(np.eye(6), 1, axis=1) + np.roll(np.eye(6), 2, axis=1)
    mixed = System.from_arrays(COMPLETE, 0.001, MEANS, M=[0, 1, 2, 3, 2], k=[0, 2, 0, 4, 1], scv=0.4)
    weights = np.arange(1.0, 1.0 + plain.network.n_links)
    return {
        "plain": plain,
        "alike": System.from_arrays(COMPLETE, 0.001, 25.0, M=3, k=3, scv=0.0),
        "links": System.from_arrays(COMPLETE, 0.001, MEANS, M=2, k=2, link_delay=3.0),
        "one way": System.from_arrays(ring, 0.002, 20.0, M=2, k=1, law="lognormal", scv=2.0),
        "every user its own": mixed,
        "quorum": replace(System.from_arrays(COMPLETE, 0.0005, MEANS, M=3, k=4), moa=MoA(3, 4, quorum=2)),
        "weighted": replace(plain, moa=MoA(2, 2, selection_weight=weights)),
    }


@pytest.mark.parametrize("name", systems())
def test_parts_add_up(name: str) -> None:
    """To every user's mean, every stage's mean, and the mean over all prompts, to rounding."""
    system = systems()[name]
    estimate, parts = latency(system), where_time_goes(system)
    asks = system.rates > 0
    M, _, _ = system.moa.per_user(system.n_devices)
    assert parts.mean == pytest.approx(estimate.mean, rel=1e-12)
    assert sum(parts.parts.values()) == pytest.approx(estimate.mean, rel=1e-12)
    np.testing.assert_allclose(parts.by_user.sum(axis=(1, 2))[asks], estimate.user_mean[asks], rtol=1e-12)
    times = np.column_stack((np.ones_like(M), M - 1, np.ones_like(M)))[asks]
    stage = np.where(np.isnan(estimate.stage_mean), 0.0, estimate.stage_mean)[asks] * times
    np.testing.assert_allclose(parts.by_user.sum(axis=2)[asks], stage, rtol=1e-12, atol=1e-12)
    assert np.isnan(parts.by_user[~asks]).all()


@pytest.mark.parametrize("name", ["plain", "one way", "weighted", "every user its own"])
@pytest.mark.parametrize("stage", [Stage.FIRST, Stage.LATER])
def test_waits_by_user_are_those_by_device(name: str, stage: Stage) -> None:
    """A job returns with a chance that depends on who sends it; over all jobs of a stage that adds up to the devices' waits."""
    system = systems()[name]
    M, k, _ = system.moa.per_user(system.n_devices)
    if name == "every user its own":  # who asks nobody has a wait that is the rest of a duration: left out
        M = np.where(k > 0, M, 0)
        system = replace(system, moa=replace(system.moa, M=M))
    forks = (system.rates > 0) & (k > 0)
    layers = np.where(forks, 1 if stage is Stage.FIRST else np.maximum(M - 1, 0), 0)
    by_user, places = where_time_goes(system).by_user, list(Part)
    waits = by_user[:, stage, [places.index(Part.OWN_WAIT), places.index(Part.NEIGHBOUR_WAIT)]].sum(axis=1)
    jobs = np.eye(system.n_devices) + system.network.matrix(system.inclusion()).toarray()
    rate = (system.rates * layers) @ jobs
    groups = [group._replace(users=group.users[system.rates[group.users] > 0]) for group in system.groups()]
    laws = query_laws(system, [group for group in groups if group.users.size], work_moments(system))
    users = np.flatnonzero(forks & (layers > 0))
    found = system.rates[users] @ (waits[users] * (k[users] + 1))
    assert found == pytest.approx(rate[rate > 0] @ laws.stage_wait[rate > 0, stage], rel=1e-9)


def test_service_and_links_are_exact() -> None:
    """Service is the mean of the k + 1 jobs' means; links take k of k + 1 jobs there and back."""
    parts = where_time_goes(System.from_arrays(COMPLETE, 0.001, 20.0, M=3, k=2, link_delay=3.0)).parts
    assert parts[Part.SERVICE] == pytest.approx(3 * 20.0)
    assert parts[Part.AGGREGATION] == pytest.approx(20.0)
    assert parts[Part.LINKS] == pytest.approx(3 * 6.0 * 2 / 3)


def test_without_load_nothing_waits() -> None:
    """Two exponential jobs: the slowest takes 3/2 of the mean, so half a mean is waiting for it."""
    pair = System.from_arrays([[0, 1], [1, 0]], 1e-9, 10.0, M=1, k=1, law="exponential")
    parts = where_time_goes(pair).parts
    for part in (Part.OWN_WAIT, Part.NEIGHBOUR_WAIT, Part.AGGREGATION_WAIT):
        assert parts[part] == pytest.approx(0.0, abs=1e-5)
    assert parts[Part.SYNCHRONISATION] == pytest.approx(5.0, rel=1e-3)


def test_who_asks_nobody_waits_for_nobody() -> None:
    """Jackson network: three visits to a queue of M/M/1, and no other part."""
    parts = where_time_goes(System.from_arrays(COMPLETE, 0.01, 20.0, M=2, k=0, law="exponential")).parts
    wait = 20.0 * 0.6 / 0.4
    wanted = {Part.OWN_WAIT: 2 * wait, Part.SERVICE: 40.0, Part.AGGREGATION_WAIT: wait, Part.AGGREGATION: 20.0}
    for part, seconds in parts.items():
        assert seconds == pytest.approx(wanted.get(part, 0.0), rel=1e-9)


def test_a_quorum_saves_time() -> None:
    """A layer that ends with its first answer ends before its mean job does; the table has a word for it."""
    parts = where_time_goes(systems()["quorum"])
    assert parts.parts[Part.SYNCHRONISATION] < 0
    assert "slow ones not waited for" in str(parts)
    assert "−" in str(parts)


def test_users_who_wait_for_ever() -> None:
    """NaN for who may meet an overloaded device, figures for the others, and none over all prompts."""
    line = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    parts = where_time_goes(System.from_arrays(line, [0.5, 0.001, 0.001, 0.001], 20.0, M=1, k=1))
    assert np.isnan(parts.by_user[:2]).all()
    assert np.isfinite(parts.by_user[2:]).all()
    assert np.isnan(parts.mean)
    assert "unbounded" in str(parts)
    assert parts.to_dict()["mean"] is None


def test_records_and_json() -> None:
    """One row for all prompts and one a user with prompts; each sums to its mean."""
    parts = where_time_goes(systems()["plain"])
    rows = parts.records()
    assert [row["prompts_of"] for row in rows] == ["all", "device-0", "device-1", "device-3", "device-4"]
    for row in rows:
        assert sum(v for name, v in row.items() if name.endswith("_s") and name != "mean_s") == pytest.approx(row["mean_s"])
    document = parts.to_dict()
    assert sum(document["parts"].values()) == pytest.approx(document["mean"])
    assert document["per_user"][2] is None
    assert sum(sum(stage.values()) for stage in document["per_stage"].values()) == pytest.approx(document["mean"])
