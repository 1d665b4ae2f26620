"""A calibration beside a busy loop on the same core: flagged, and its CPU seconds still predict clean wall times."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dmoa_calibration.samples import Sample
from tests.benchmarks.calibration_engine import measured, print_cells

LENGTHS = {"prompt_tokens": (32, 96, 320), "output_tokens": (8, 48), "repeats": 4}


@contextmanager
def one_core() -> Iterator[int]:
    """This process keeps to one core, the same in both runs."""
    before = os.sched_getaffinity(0)
    core = max(before)
    try:
        os.sched_setaffinity(0, {core})
        yield core
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def busy_loop(core: int) -> Iterator[None]:
    """An endless loop on that core."""
    loop = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that ties a process to a core")
def test_a_contended_run_is_flagged_and_still_predicts(tmp_path: Path) -> None:
    """Prints clean wall times beside what the contended run's CPU seconds predict; asserts the flag."""
    with one_core() as core:
        before = measured(tmp_path / "before.json", **LENGTHS)
        with busy_loop(core):
            contended = measured(tmp_path / "contended.json", **LENGTHS)
        after = measured(tmp_path / "after.json", **LENGTHS)
    for name, profile in (("clean, before", before), ("contended", contended), ("clean, after", after)):
        quality = profile.document["quality"]
        print(f"\n{name}: CPU over wall {quality['median_cpu_wall_ratio']:.3f}; {quality['verdict']}")
    # clean runs on both sides, so that a machine whose clock wanders does not pass for an error of the fit
    timings = [Sample.from_profile(entry).timing for clean in (before, after) for entry in clean.document["samples"]]
    cells = sorted({(t.prompt_tokens, t.output_tokens) for t in timings})
    rows = []
    for p, o in cells:
        took = float(np.median([t.wall_s for t in timings if (t.prompt_tokens, t.output_tokens) == (p, o)]))
        rows.append((p, o, took, contended.fit.seconds(p, o)))
    errors = print_cells("clean wall times predicted from CPU seconds of a contended run", rows)
    assert contended.contended
    assert contended.fit.clock == "cpu"
    assert np.isfinite(errors).all()
