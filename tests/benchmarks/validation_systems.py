"""The simulations that the latency estimate is held against: some thousand random systems, each simulated once.

    python tests/benchmarks/validation_systems.py --journal journal.jsonl

draws the systems by seed (``random_systems.py``), simulates each with :func:`dmoa_theory.simulate`, and appends what it found
to the journal: some fifty minutes on one core. Started again with the same journal it goes on where it was. ``--keep`` then
packs the journal into ``validation_systems.jsonl.xz``, which lies beside this file, so that a table of a better estimate's
errors (``latency_errors.py``) costs no simulation.

The default tests draw other systems from the same generator (``tests/statistical/test_latency_errors.py``).
"""

from __future__ import annotations

import argparse
import json
import lzma
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import dmoa_theory
from dmoa_theory import simulate
from dmoa_theory.stability.loads import job_rates
from dmoa_theory.whole_files import write_whole

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_suffix(".jsonl.xz")
DRAWN = runpy.run_path(str(Path(__file__).with_name("random_systems.py")))
#: The reference systems, of which those with layers are simulated too.
REFERENCE = runpy.run_path(str(ROOT / "tests" / "statistical" / "test_reference_simulations.py"))
Case, GENERATOR, SEED = DRAWN["Case"], DRAWN["GENERATOR"], 20261201
QUANTITIES = ("mean", "p50", "p95", "p99")
#: Random systems of each kind, for each class of load and of SCV.
SYSTEMS = {"plain": 40, "weighted": 8, "delay": 12, "quorum": 12, "mixed": 8}
#: Half widths of mean and p95 at which a simulation ends, and how many jobs it has at least and at most.
PRECISION, FEWEST_JOBS, MOST_JOBS = 0.008, 8e6, 8e7


def cases(seed: int = SEED) -> Iterator[Any]:
    """All systems of the study, the classes in turn, and the reference systems that have layers."""
    for number in range(max(SYSTEMS.values())):
        for kind, count in SYSTEMS.items():
            if number < count:
                for load_class, scv_class in DRAWN["CLASSES"]:
                    yield DRAWN["draw"](kind, load_class, scv_class, number, seed)
    for place, (name, case) in enumerate(REFERENCE["CASES"].items()):
        if case["M"] > 0:
            yield Case(name=name, kind="plain", system=REFERENCE["system_of"](name), seed=seed + place)


def simulated(
    case: Any, *, precision: float = PRECISION, fewest: float = FEWEST_JOBS, most: float = MOST_JOBS
) -> dict[str, Any]:
    """Mean and percentiles over all prompts, means by user, mean waits by device, with half widths: a line of the journal."""
    jobs_each = float(job_rates(case.system).sum() / case.system.rates.sum())
    found = simulate(
        case.system, queries=int(fewest / jobs_each), seed=case.seed, precision=precision, max_queries=int(most / jobs_each)
    )
    if not found.stable:  # no load reaches 1: the simulator would be wrong, and its figures are NaN
        raise RuntimeError(f"{case.name}: queues grew at load {case.load:.2f}")
    return {
        "generator": GENERATOR,
        "name": case.name,
        "seed": case.seed,
        "simulator": dmoa_theory.__version__,
        **{name: float(getattr(found, name).value) for name in QUANTITIES},
        "half_width": {name: float(getattr(found, name).half_width) for name in QUANTITIES},
        "user_mean": _listed(found.user_mean.value),
        "user_half_width": _listed(found.user_mean.half_width),
        "device_wait": _listed(found.wait_mean.value),
        "device_half_width": _listed(found.wait_mean.half_width),
        "jobs": found.jobs,
        "sound": found.settled and found.independent,
        "seconds": found.seconds,
    }


def _listed(values: Any) -> list[float | None]:
    """Six figures of each, null where there is nothing."""
    return [float(f"{x:.6g}") if np.isfinite(x) else None for x in np.asarray(values, dtype=float).tolist()]


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """Every finished system by name; a last line that a kill cut short is removed."""
    if path.suffix == ".xz":
        text = lzma.decompress(path.read_bytes()).decode()
    elif path.exists():
        text, newline, rest = path.read_text(encoding="utf-8").rpartition("\n")
        if rest:
            write_whole(path, text + newline)
    else:
        return {}
    rows = [json.loads(line) for line in text.splitlines()]
    if any(row["generator"] != GENERATOR for row in rows):
        raise SystemExit(f"{path}: of another generator than {GENERATOR}; take a new journal")
    return {row["name"]: row for row in rows}


def with_simulations(journal: Path = KEPT) -> list[tuple[Any, dict[str, Any]]]:
    """All systems, each with what was found of it."""
    done, every = read_journal(journal), list(cases())
    lacking = [case.name for case in every if case.name not in done or done[case.name]["seed"] != case.seed]
    if lacking:
        raise SystemExit(f"{journal}: {len(lacking)} systems are not simulated, the first of them {lacking[0]}")
    return [(case, done[case.name]) for case in every]


def progress_bar() -> Progress:
    """On standard error, with the time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def run(journal: Path) -> None:
    """Simulate what the journal lacks."""
    done = read_journal(journal)
    missing = [case for case in cases() if case.name not in done or done[case.name]["seed"] != case.seed]
    with progress_bar() as bar, journal.open("a", encoding="utf-8") as stream:
        task = bar.add_task("simulating", total=len(missing))
        for case in missing:
            stream.write(json.dumps(simulated(case)) + "\n")
            stream.flush()
            bar.advance(task)


def main() -> None:
    """Simulate what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, required=True, help="file that finished systems are appended to")
    parser.add_argument("--keep", action="store_true", help=f"pack it into {KEPT.name} when all are there")
    given = parser.parse_args()
    run(given.journal)
    if given.keep:
        write_whole(KEPT, lzma.compress(given.journal.read_bytes(), preset=9))


if __name__ == "__main__":
    main()
