"""Replications on a real Dask cluster: the same figures as at home."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dmoa_theory import System, simulate
from dmoa_theory.errors import InputError

# Dask warns where its folder in /tmp takes a second to make, which says nothing but that the machine is busy.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories is taking:UserWarning")


def _system() -> System:
    adjacency = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    return System.from_arrays(adjacency, 0.004, [20.0, 25.0, 30.0], M=1, k=1)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A scheduler with two worker processes."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0")
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def scheduler(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its address; it is there, however long a busy machine lets it take to answer."""
    monkeypatch.setattr("dmoa_theory.simulation.steady.cluster._PATIENCE", 300.0)
    address: str = cluster.scheduler_address
    return address


@pytest.mark.parametrize("precision", [None, 0.03])
def test_the_figures_are_those_of_one_process(scheduler: str, precision: float | None) -> None:
    options = {"queries": 2000, "replications": 2, "seed": 3, "precision": precision}
    there = simulate(_system(), **options, scheduler=scheduler)
    here = simulate(_system(), **options)
    assert json.dumps(there.to_dict()) == json.dumps(here.to_dict())
    assert (there.distribution.value == here.distribution.value).all()
    if precision is not None:  # which took more than one round
        assert there.queries > 2000
        assert there.precise


def test_progress_is_told(scheduler: str) -> None:
    told: list[float] = []
    simulate(_system(), queries=400, replications=4, scheduler=scheduler, progress=told.append)
    assert told == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_scheduler_without_workers_is_refused() -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0") as cluster:
        for _ in range(20):
            with pytest.raises(InputError) as refused:
                simulate(_system(), queries=100, scheduler=cluster.scheduler_address)
            if "the address of" not in str(refused.value):  # else it did not answer in time, on a busy machine
                break
    assert "a scheduler that has workers: this one has none" in str(refused.value)


def test_no_scheduler_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match="the address of a running Dask scheduler"):
        simulate(_system(), queries=100, scheduler="tcp://127.0.0.1:1")
    assert capfd.readouterr() == ("", "")
