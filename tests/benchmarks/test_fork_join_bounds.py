"""The bounds on a layer's mean duration in 624 random systems that nothing was fitted to, by user and kind of layer.

The laws of the jobs' sojourns are those that each run itself shows, by user, kind of layer and device asked, so the bounds must
hold in every run up to rounding; but for the lower bound averaged over the random choice, which holds on average over runs.
Runs begin empty, which is all one to the bounds. Systems come from ``random_systems.py``, drawn with a seed of this study.
"""

from __future__ import annotations

import runpy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_theory import System
from dmoa_theory.delay.fork_join_bounds.laws import SampleLaw
from dmoa_theory.delay.fork_join_bounds.stage_bounds import StageBounds, stage_bounds
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.selection import coin_chances
from dmoa_theory.simulation.kernel.recorded_run import record_run

STUDY = runpy.run_path(str(Path(__file__).with_name("random_systems.py")))
SEED, QUERIES = 20270412, 20_000
#: Systems of each kind, in each of 12 classes of load and SCV.
SYSTEMS = {"plain": 34, "weighted": 6, "delay": 6, "quorum": 6}
ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What a run shows of one user's first layers, or of its later ones."""

    user: int
    later: bool
    duration: FloatArray
    sojourns: dict[int, FloatArray]


def layers_of(run: Any) -> Iterator[Layer]:
    """Durations of layers, and sojourns of their jobs, the way there and back included, by user and kind of layer."""
    trace = run.trace
    query, stage = trace.stage_query, trace.job_stage
    number = np.arange(trace.n_stages) - trace.stage_start[query]
    fork = np.where(number == 0, trace.arrival[query], np.roll(run.stage_end, 1))
    last = np.diff(trace.stage_start)[query] - 1
    layers = np.diff(trace.job_start) > 1
    layers |= number < last
    back = 0.0 if trace.back is None else trace.back
    sojourn = run.end + back - fork[stage]
    kind = np.where(layers, 2 * trace.user[query] + (number > 0), -1)
    duration = run.stage_end - fork
    by_stage, by_job = _places(kind), _places(kind[stage] * np.int64(trace.n_devices) + trace.device)
    for which, places in by_stage.items():
        if which < 0:
            continue
        first = which * trace.n_devices
        sojourns = {j: sojourn[by_job[first + j]] for j in range(trace.n_devices) if first + j in by_job}
        yield Layer(user=which // 2, later=bool(which % 2), duration=duration[places], sojourns=sojourns)


def _places(keys: IntArray) -> dict[int, IntArray]:
    """Where each key stands."""
    order = np.argsort(keys, kind="stable")
    distinct, first = np.unique(keys[order], return_index=True)
    return dict(zip(distinct.tolist(), np.split(order, first[1:]), strict=True))


def bounds_of(system: System, layer: Layer) -> tuple[StageBounds, float]:
    """Bounds that hold in the run itself, and the lower bound averaged over the choice (NaN where it is not promised)."""
    _, k, quorum = (int(each[layer.user]) for each in system.moa.per_user(system.n_devices))
    asked = [j for j in layer.sojourns if j != layer.user]
    own, laws = SampleLaw(layer.sojourns[layer.user]), [SampleLaw(layer.sojourns[j]) for j in asked]
    inclusion = np.array([law.values.size for law in laws]) / layer.duration.size
    given: dict[str, Any] = {"k": k, "quorum": quorum}
    found = stage_bounds(own, laws, inclusion, **given)
    links = slice(*system.network.indptr[layer.user : layer.user + 2])
    if system.has_delay or quorum <= k or set(asked) != set(system.network.indices[links].tolist()):
        return found, float("nan")
    weight = system.moa.selection_weight
    coins = coin_chances(np.ones(len(asked)) if weight is None else weight[links], k)
    return found, stage_bounds(own, laws, inclusion, **given, coins=coins).lower


def check(system: System, *, seed: int, queries: int = QUERIES) -> list[tuple[float, float, float]]:
    """Of every user and kind of layer of one run: lower, averaged lower and upper bound over the mean duration."""
    rows = []
    for layer in layers_of(record_run(system, queries=queries, seed=seed)):
        mean = float(layer.duration.mean())
        found, averaged = bounds_of(system, layer)
        assert found.lower <= mean * (1 + ROUNDING), (layer.user, layer.later)
        assert mean <= found.upper * (1 + ROUNDING), (layer.user, layer.later)
        assert found.lower_by_means <= found.lower * (1 + ROUNDING)
        batches = [each.mean() for each in np.array_split(layer.duration, 20) if each.size]
        error = float(np.std(batches, ddof=1) / len(batches) ** 0.5) / mean
        if layer.duration.size >= 200 and np.isfinite(averaged):
            assert averaged <= mean * (1 + 4 * error + ROUNDING), (layer.user, layer.later)
        rows.append((found.lower / mean, averaged / mean, found.upper / mean))
    return rows


def test_bounds_hold_in_every_system() -> None:
    """Prints how tight they are; asserts that none is broken."""
    began, rows, systems = time.perf_counter(), [], 0
    for kind, count in SYSTEMS.items():
        for number in range(count):
            for load_class, scv_class in STUDY["CLASSES"]:
                case = STUDY["draw"](kind, load_class, scv_class, number, SEED)
                systems += 1
                rows += [(kind, load_class, *row) for row in check(case.system, seed=case.seed)]
    print(f"\n{systems} systems, {len(rows)} users and kinds of layer, {time.perf_counter() - began:.0f} s")
    print("by kind and largest load: lower bound in the run, averaged lower bound, upper bound, over the mean duration;")
    print(
        "width: upper less the better lower bound, over the mean; users whose averaged lower bound lies above their sample mean"
    )
    for kind in SYSTEMS:
        for load_class in range(len(STUDY["LOAD_EDGES"]) - 1):
            lower, averaged, upper = np.array([row[2:5] for row in rows if row[:2] == (kind, load_class)]).T
            promised = np.isfinite(averaged)
            width = upper - np.fmax(lower, averaged)
            mean, above = (averaged[promised].mean(), (averaged[promised] > 1).mean()) if promised.any() else (np.nan, np.nan)
            print(
                f"{kind:8s} {STUDY['LOAD_EDGES'][load_class + 1]:4.2f}: {lower.mean():.3f} {mean:.3f} {upper.mean():.3f}; "
                f"width {width.mean():.3f}, at most {width.max():.3f}; above {above:.4f}"
            )
    assert systems >= 600
