"""The memory estimate in six random systems; ``tests/benchmarks/test_memory_estimate.py`` prints the errors of 72."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

study = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks" / "test_memory_estimate.py"))


@pytest.mark.parametrize(
    ("kind", "load_class", "scv_class"),
    [("plain", 0, 0), ("plain", 1, 1), ("plain", 2, 2), ("weighted", 2, 1), ("delay", 1, 2), ("quorum", 1, 1)],
)
def test_what_is_held(kind: str, load_class: int, scv_class: int) -> None:
    """With simulated waits and durations the mean is right to some per cent (with a quorum, tens); the quantile is no bound."""
    _, system, seed = study["draw"](kind, load_class, scv_class, 5)
    found = study["errors"](system, seed=seed, queries=100_000)
    assert abs(found["mean simulated"][0]) < (0.3 if kind == "quorum" else 0.06)
    assert np.median(np.abs(found["quantile simulated"])) < 0.5
