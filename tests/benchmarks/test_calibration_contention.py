"""Inferences beside a busy loop on the same core: flagged, and their CPU seconds still predict clean wall times."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import numpy as np
import pytest

from dmoa_calibration.backends import Timing
from dmoa_calibration.fit import fit_timings
from dmoa_calibration.judge import judged
from tests.benchmarks.calibration_engine import opened, print_cells, ratio

CELLS = list(product((32, 96, 320), (8, 48)))
REPEATS = int(os.environ.get("DMOA_REPEATS", "5"))


@contextmanager
def one_core() -> Iterator[int]:
    """This process and its children keep to one core."""
    before = os.sched_getaffinity(0)
    core = max(before)
    try:
        os.sched_setaffinity(0, {core})
        yield core
    finally:
        os.sched_setaffinity(0, before)


class BusyLoop:
    """An endless loop on a core, that can be halted."""

    def __init__(self, core: int) -> None:
        code = f"import os; os.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
        self._process = subprocess.Popen([sys.executable, "-c", code])
        time.sleep(0.5)
        self.halt()

    def halt(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that ties a process to a core")
def test_a_contended_run_is_flagged_and_still_predicts() -> None:
    """Prints clean wall times beside what the contended inferences' CPU seconds predict; asserts the flag.

    Every cell is timed clean and contended right after each other, so that a machine whose clock wanders by more than what is
    looked for does not pass for an error of the fit.
    """
    clean: list[Timing] = []
    contended: list[Timing] = []
    rng = np.random.default_rng(1)
    with one_core() as core:
        engine, loop = opened(), BusyLoop(core)
        try:
            for cell in CELLS:  # not counted
                engine.infer(*cell)
            for _ in range(REPEATS):
                for place in rng.permutation(len(CELLS)):
                    first = rng.integers(2)
                    for busy in (first, 1 - first):
                        if busy:
                            loop.go_on()
                        (contended if busy else clean).append(engine.infer(*CELLS[place]))
                        loop.halt()
        finally:
            loop.end()
            engine.close()
    found, calm = judged(contended, watched=True), judged(clean, watched=True)
    fit, own = fit_timings(contended, clock=found["fit"]["clock"]), fit_timings(clean, clock="wall")
    print(f"\nclean: CPU over wall {ratio(clean):.3f}; {calm['quality']['verdict']}")
    print(f"contended: CPU over wall {ratio(contended):.3f}; {found['quality']['verdict']}")
    took = {c: float(np.median([t.wall_s for t in clean if (t.prompt_tokens, t.output_tokens) == c])) for c in CELLS}
    print_cells("clean wall times predicted from their own fit", [(*c, took[c], own.seconds(*c)) for c in CELLS])
    errors = print_cells(
        "clean wall times predicted from contended CPU seconds", [(*c, took[c], fit.seconds(*c)) for c in CELLS]
    )
    assert found["quality"]["contended"]
    assert found["fit"]["clock"] == "cpu"
    assert not calm["quality"]["contended"]
    assert np.isfinite(errors).all()
