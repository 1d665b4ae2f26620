"""Twenty random systems in which the bounds on layers must hold; ``tests/benchmarks/test_fork_join_bounds.py`` has 624."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

study = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "test_fork_join_bounds.py"))
DRAWN = [("plain", load, scv) for load in range(4) for scv in range(3)] + [
    (kind, load, load % 3) for kind in ("weighted", "delay") for load in range(2)
]
DRAWN += [("quorum", load, (load + 1) % 3) for load in range(4)]


@pytest.mark.parametrize("kind", ["plain", "weighted", "delay", "quorum"])
def test_bounds_hold(kind: str) -> None:
    """For every user and kind of layer, with the laws that the run itself shows; and they say something."""
    rows = []
    for _, load, scv in (drawn for drawn in DRAWN if drawn[0] == kind):
        case = study["STUDY"]["draw"](kind, load, scv, 0, 11)
        rows += study["check"](case.system, seed=case.seed, queries=4_000)
    lower, averaged, upper = np.array(rows).T
    assert len(DRAWN) == 20
    assert (lower > 0.1).mean() > 0.9
    if kind != "quorum":
        assert np.mean(upper) < 1.3
    if kind in {"plain", "weighted"}:
        assert np.nanmean(averaged) > 0.6
