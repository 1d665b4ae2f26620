"""Sweeps shared by processes and by the workers of a real Dask cluster: rows and their order are those of one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli import main
from dmoa_theory.errors import InputError
from dmoa_theory.optimisation.sweep import sweep
from dmoa_theory.quantities import show_seconds

# Dask warns where its folder in /tmp takes a second to make, which says nothing but that the machine is busy.
pytestmark = pytest.mark.filterwarnings("ignore:Creating scratch directories is taking:UserWarning")

ROOT = Path(__file__).parents[2]
DOCUMENTED = ROOT / "docs" / "theory" / "optimisation.md"
VALUES = (300.0, 100.0, 200.0, 50.0, 400.0)


def _answer(value: float) -> dict[str, Any]:
    return {"squared": value**2, "said": show_seconds(value), "none": None}


@pytest.fixture(scope="module")
def two_workers() -> Iterator[Any]:
    """In threads of this process: no start-up to wait for."""
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0")
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(two_workers: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """It is there, however long a busy machine lets it take to answer."""
    monkeypatch.setattr("dmoa_theory.simulation.steady.cluster._PATIENCE", 300.0)
    return two_workers


def test_a_cluster_gives_the_rows_of_one_process(cluster: Any, tmp_path: Path) -> None:
    """By address, and inside joblib's own context; on file as well, from which the rest is read."""
    from distributed import Client
    from joblib import parallel_config

    alone = sweep("a.b", VALUES, _answer)
    assert [row["a.b"] for row in alone.rows] == list(VALUES)
    file = tmp_path / "sweep.csv"
    assert sweep("a.b", VALUES, _answer, file=file, scheduler=cluster.scheduler_address).rows == alone.rows
    again = sweep("a.b", VALUES, _answer, file=file)
    assert (again.rows, again.resumed) == (alone.rows, len(VALUES))
    with Client(cluster), parallel_config(backend="dask"):
        assert sweep("a.b", VALUES, _answer).rows == alone.rows


def test_processes_give_the_rows_of_one_process() -> None:
    assert sweep("a.b", VALUES, _answer, workers=2).rows == sweep("a.b", VALUES, _answer).rows


def test_no_scheduler_is_one_line() -> None:
    pytest.importorskip("distributed")
    with pytest.raises(InputError, match=r"scheduler = tcp://127\.0\.0\.1:1: the address of a running Dask scheduler"):
        sweep("a.b", VALUES, _answer, scheduler="tcp://127.0.0.1:1")


def test_the_command_on_a_cluster(cluster: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """``dmoa optimise --sweep`` with and without ``--scheduler``: the same JSON to the last digit."""
    arguments = ["optimise", "--sweep", "constraints.p95_latency=60:300:4", "--no-simulation", "--json"]
    answers = []
    for further in ([], ["--scheduler", cluster.scheduler_address]):
        assert main([*arguments, *further]) == 0
        answers.append(json.loads(capsys.readouterr().out)["sweep"])
    assert answers[0] == answers[1]
    assert len(answers[0]["points"]) == 4


def test_the_documented_example_runs() -> None:
    """In a process of its own: it starts a cluster of its own."""
    pytest.importorskip("distributed")
    text = DOCUMENTED.read_text(encoding="utf-8")
    block = text[text.index("    from dask.distributed") : text.index("`to_frame()` is a pandas frame")]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(block)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["arrivals.rate", "choice", "load"]
    assert len(done.stdout.splitlines()) == 4
