"""The engine that the calibration benchmarks time, and how they compare seconds.

``DMOA_ENGINE=BACKEND:SHAPE`` chooses another; the default is a small shape on transformers, large enough that an inference
takes tenths of a second.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_calibration.backends import Backend, Timing, open_backend
from dmoa_calibration.calibrate import calibrate
from dmoa_theory.model.profile import Profile

ENGINE = os.environ.get("DMOA_ENGINE", "transformers:llama-small")
NAME, _, SHAPE = ENGINE.partition(":")


def opened(seed: int = 1) -> Backend:
    """The engine with its model loaded, one thread."""
    return open_backend(NAME, synthetic=SHAPE, n_threads=1, seed=seed)


def measured(path: Path, **options: Any) -> Profile:
    """A profile of the engine."""
    return calibrate(NAME, synthetic=SHAPE, profile_path=path, **({"budget": 300.0, "target_error": 0.0} | options))


def seconds(timings: Sequence[Timing], clock: str) -> np.ndarray:
    """Wall or CPU seconds of each timing."""
    return np.array([t.cpu_s if clock == "cpu" and t.cpu_s is not None else t.wall_s for t in timings])


def ratio(timings: Sequence[Timing]) -> float:
    """Median CPU over wall seconds; NaN where the engine does not tell."""
    return float(np.median([np.nan if t.cpu_s is None else t.cpu_s / t.wall_s for t in timings]))


def print_cells(title: str, rows: Sequence[tuple[int, int, float, float]]) -> np.ndarray:
    """A table of predicted beside measured seconds; returns the relative errors."""
    print(f"\n{ENGINE}: {title}\n  {'prompt':>6} {'answer':>6} {'measured':>10} {'predicted':>10} {'error':>8}")
    errors = np.array([predicted / took - 1 for _, _, took, predicted in rows])
    for (p, o, took, predicted), error in zip(rows, errors, strict=True):
        print(f"  {p:>6} {o:>6} {took:>9.4f}s {predicted:>9.4f}s {100 * error:>+7.2f}%")
    print(f"  median {100 * np.median(np.abs(errors)):.2f} %, largest {100 * np.abs(errors).max():.2f} %")
    return errors
