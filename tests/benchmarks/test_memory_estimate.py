"""The memory estimate against simulation, in 72 random systems with a footprint that nothing was fitted to.

Three footprints in turn: answers alone, prompts and answers, and all with a cache as large as a prompt, so that nothing drowns
the rest. Errors are of the bytes beyond the weights, device by device for the quantile (the cache of the longest inference is
provided for in any case), and summed over the devices of a system for the mean. Once with the waits and durations of the
simulation, which judges the memory formulas alone, and once with those of the latency estimate. Systems come from
``random_systems.py``.
"""

from __future__ import annotations

import runpy
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import System, latency, simulate
from dmoa_theory.delay.memory import device_memory
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint
from dmoa_theory.stability.loads import work_moments

STUDY = runpy.run_path(str(Path(__file__).with_name("random_systems.py")))
SEED, QUERIES, LOOKS = 20270520, 400_000, 200_000
#: Systems of each kind in each of 12 classes of load and SCV, footprints, and overflow probabilities, which take turns.
SYSTEMS = {"plain": 3, "weighted": 1, "delay": 1, "quorum": 1}
FOOTPRINTS, OVERFLOW = ("answers", "texts", "all"), (1e-1, 1e-2, 1e-3)


def draw(kind: str, load_class: int, scv_class: int, number: int) -> tuple[str, System, int]:
    """A system with a footprint of one of the three sorts, its sort, and the seed of its simulation."""
    case = STUDY["draw"](kind, load_class, scv_class, number, SEED)
    turn = load_class + scv_class + number
    sort = FOOTPRINTS[turn % 3]
    rng = np.random.default_rng([SEED, turn, number])
    n = case.system.n_devices
    footprint = Footprint(
        weight_bytes=np.zeros(1),
        kv_bytes_per_token=np.array([1.0 if sort == "all" else 0.0]),
        context_tokens=rng.uniform(500, 4000, (1, 3)),
        prompt_bytes=rng.uniform(500, 4000, (1, 3)) * (sort != "answers"),
        response_bytes=rng.uniform(500, 3000, n),
    )
    overflow = OVERFLOW[(load_class + 2 * scv_class) % 3]
    system = replace(case.system, footprint=footprint, constraints=Constraints(overflow_probability=overflow))
    return sort, system, case.seed


def errors(system: System, *, seed: int, queries: int = QUERIES) -> dict[str, FloatArray]:
    """Relative errors of mean (one figure) and quantile (by device), with simulated and with estimated waits and durations."""
    found, estimate, work = simulate(system, queries=queries, seed=seed), latency(system), work_moments(system)
    assert found.memory_mean is not None
    assert found.memory_quantile is not None
    assert system.footprint is not None
    footprint = system.footprint.for_k(0)
    jobs = np.where(work.jobs > 0, work.load + work.jobs * np.nan_to_num(found.wait_mean.value), 0.0)
    stages = found.user_stage_mean.value
    by = {
        "simulated": device_memory(system, work, jobs, found.user_mean.value, stage_mean=stages),
        "estimated": device_memory(system, work, estimate.jobs_mean, estimate.user_mean, stage_mean=estimate.stage_mean),
    }
    longest = np.broadcast_to((footprint.kv_bytes_per_token[:, None] * footprint.context_tokens).max(axis=1), work.jobs.shape)
    quantile = np.maximum(found.memory_quantile.value, np.where(work.jobs > 0, longest, 0.0))
    seen = np.isfinite(quantile) & (quantile > 1.0)  # histograms tell nothing from what is below a byte
    answer = {}
    for name, memory in by.items():
        assert memory is not None
        held = np.array([found.memory_mean.value.sum()])  # with a quorum of one no answer ever waits
        answer[f"mean {name}"] = memory.mean.sum() / held[held > 0] - 1
        answer[f"quantile {name}"] = memory.quantile[seen] / quantile[seen] - 1
    return answer


def every() -> Iterator[tuple[str, str, System, int]]:
    """All systems, with kind and sort of footprint."""
    for kind, count in SYSTEMS.items():
        for number in range(count):
            for load_class, scv_class in STUDY["CLASSES"]:
                yield kind, *draw(kind, load_class, scv_class, number)


def test_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prints the table: bias, mean absolute, and the range that holds nine in ten."""
    monkeypatch.setattr(import_module("dmoa_theory.simulation.steady.simulate"), "LOOKS", LOOKS)
    began, rows = time.perf_counter(), []
    for kind, sort, system, seed in every():
        rows.append(
            ({"kind": kind, "sort": sort, "overflow": system.constraints.overflow_probability}, errors(system, seed=seed))
        )
    print(f"\n{len(rows)} systems, {time.perf_counter() - began:.0f} s; relative errors: bias, mean absolute [5 %, 95 %]")
    groups: list[tuple[str, Any]] = [("kind", kind) for kind in SYSTEMS] + [("sort", sort) for sort in FOOTPRINTS]
    for key, value in [*groups, *(("overflow", p) for p in OVERFLOW), (None, "all systems")]:
        of = [each for tags, each in rows if key is None or tags[key] == value]
        print(f"{value!s:12s} ({len(of)} systems)")
        for name in of[0]:
            error = np.concatenate([each[name] for each in of])
            low, high = np.quantile(error, (0.05, 0.95))
            print(
                f"    {name:20s} {error.mean():+.3f} {np.abs(error).mean():.3f} [{low:+.3f}, {high:+.3f}], {error.size} figures"
            )
    exact = np.concatenate([each["mean simulated"] for tags, each in rows if tags["kind"] != "quorum"])
    assert np.abs(exact).mean() < 0.03
