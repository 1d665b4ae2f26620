"""How far the latency estimate is from exact simulation: makes ``dmoa_theory/data/latency_validation.csv``.

    python tests/benchmarks/latency_errors.py [--journal journal.jsonl] [--write]

holds the estimate against the simulations of ``validation_systems.py``, and beside it two textbook formulas: independent jobs
with Pollaczek-Khinchine waits, and the same with exponential service (M/M/1). Prints the tables of errors; with ``--write`` the
package gets one line a system, from which every estimate reads its expected error. About two minutes, no simulation.
"""

from __future__ import annotations

import argparse
import datetime
import runpy
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import dmoa_theory
from dmoa_theory import System, latency
from dmoa_theory.delay.expected_error import QUANTITIES, STUDIED, likeness
from dmoa_theory.delay.independent import independent_latency
from dmoa_theory.delay.queue import pollaczek_khinchine
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Law, ServiceTime
from dmoa_theory.stability.loads import work_moments
from dmoa_theory.whole_files import write_whole

TABLE = Path(dmoa_theory.__file__).parent / "data" / "latency_validation.csv"
SIMULATED = runpy.run_path(str(Path(__file__).with_name("validation_systems.py")))
DRAWN = SIMULATED["DRAWN"]
LOAD_EDGES, SCV_EDGES = DRAWN["LOAD_EDGES"], DRAWN["SCV_EDGES"]
METHODS = {"closure": "closure", "independent": "P-K, independent jobs", "memoryless": "M/M/1"}
#: What is aimed at for plain systems up to load 0.9: on average, and at worst.
AIMS = {"mean": (0.01, 0.06), "p95": (0.02, 0.08), "p99": (0.025, 0.10)}
#: Means by user, mean times and mean waits by device: mean absolute error, worst (with its sign), half width of the worst.
WORST = {"users": "worst_user", "times": "worst_time", "waits": "worst_wait"}
PARTS = tuple(column for name, worst in WORST.items() for column in (name, worst, f"{worst}_noise"))
Row = dict[str, Any]


# -- errors of one system ----------------------------------------------------------------------------------------------


def memoryless(system: System) -> System:
    """The same system with exponential service, of the same means."""
    service = system.service
    assert isinstance(service, ServiceTime)
    return replace(system, service=replace(service, law=Law.EXPONENTIAL, scv=np.ones_like(service.scv)))


def relative_errors(system: System, found: Row, method: str = "closure") -> dict[str, float]:
    """Of a method against what was simulated: negative where it is too low."""
    if method == "closure":
        estimate: Any = latency(system)
        waits = estimate.wait_mean
    else:
        taken = memoryless(system) if method == "memoryless" else system
        estimate, waits = independent_latency(taken), pollaczek_khinchine(work_moments(taken)).mean
    errors = {name: getattr(estimate, name) / found[name] - 1 for name in QUANTITIES}
    users = _parts(estimate.user_mean, found["user_mean"], found["user_half_width"])
    work = work_moments(system)
    service = np.divide(work.load, work.jobs, out=np.zeros_like(work.load), where=work.jobs > 0)
    times = _parts(waits, found["device_wait"], found["device_half_width"], service)
    devices = _parts(waits, found["device_wait"], found["device_half_width"])
    return errors | dict(zip(PARTS, (*users, *times, *devices), strict=True))


def _parts(
    estimated: FloatArray, simulated: list[float | None], half_width: list[float | None], more: FloatArray | float = 0.0
) -> tuple[float, float, float]:
    """Mean absolute relative error, the largest with its sign, and its half width; of the values and ``more``."""
    true, half = np.array(simulated, dtype=float) + more, np.array(half_width, dtype=float)
    values = estimated + more
    seen = np.isfinite(true) & (true > 0) & np.isfinite(half)
    if not seen.any():
        return 0.0, 0.0, 0.0
    error = values[seen] / true[seen] - 1
    worst = int(np.abs(error).argmax())
    return float(np.abs(error).mean()), float(error[worst]), float((half[seen] / true[seen])[worst])


def row_of(case: Any, found: Row) -> Row:
    """One line of the table: likeness, errors by method, and half widths of the simulation relative to what it found."""
    like = likeness(case.system, work_moments(case.system))
    noise = {f"{name}_noise": found["half_width"][name] / found[name] for name in QUANTITIES}
    by_method = {
        _column(method, name): error
        for method in METHODS
        for name, error in relative_errors(case.system, found, method).items()
    }
    return {"name": case.name, **like._asdict(), **by_method, **noise}


def _column(method: str, name: str) -> str:
    return name if method == "closure" else f"{method}_{name}"


# -- the file ----------------------------------------------------------------------------------------------------------

COLUMNS = (
    "name",
    *STUDIED,
    *QUANTITIES,
    *PARTS,
    *(f"{name}_noise" for name in QUANTITIES),
    *(f"{method}_{name}" for method in ("independent", "memoryless") for name in ("mean", "p95", "worst_user", "worst_time")),
)


def table(rows: list[Row], found: list[Row]) -> str:
    """Header and rows of the CSV."""
    lines = [*_header(rows, found), ",".join(COLUMNS)]
    lines += [",".join(_shown(name, row[name]) for name in COLUMNS) for row in rows]
    return "\n".join(lines) + "\n"


def _shown(name: str, value: Any) -> str:
    if name in STUDIED or isinstance(value, str):
        return value if isinstance(value, str) else f"{value:.5g}"
    return f"{value:.4f}" if "noise" in name else f"{value:+.4f}"


def _header(rows: list[Row], found: list[Row]) -> Iterator[str]:
    """What the table says and how it was made, as comment lines."""
    jobs = np.array([each["jobs"] for each in found])
    simulators = " and ".join(sorted({each["simulator"] for each in found}))
    kinds = {kind: sum(row["kind"] == kind for row in rows) for kind in DRAWN["KINDS"]}
    fewest, most = min(row["devices"] for row in rows), max(row["devices"] for row in rows)
    noise = []
    for name in QUANTITIES:
        half = 100 * np.array([row[f"{name}_noise"] for row in rows])
        noise.append(f"{name} {np.median(half):.1f} / {np.quantile(half, 0.95):.1f} / {half.max():.1f}")
    reference = sum(row["name"] in SIMULATED["REFERENCE"]["CASES"] for row in rows)
    generator, seed = SIMULATED["GENERATOR"], SIMULATED["SEED"]
    precision, sound = 100 * SIMULATED["PRECISION"], sum(each["sound"] for each in found)
    text = f"""
Relative error of the latency estimate of dmoa {dmoa_theory.__version__} against exact simulation, one line a system: estimate
over simulation, less 1, so negative where too low. Fractions.

mean, p50, p95, p99: over all prompts. users, times, waits: mean absolute error of the means by user, of the mean times that
jobs spend at a device (wait and service), and of their mean waits; worst_user, worst_time, worst_wait: the largest of them.
noise: half width of the simulation's 95 % interval, relative (of the worst: of that one). independent: Poisson arrivals
everywhere and independent jobs; memoryless: the same, service exponential. kind to aggregate: the likeness of
dmoa_theory/delay/expected_error.py.

Made by tests/benchmarks/latency_errors.py on {datetime.datetime.now(datetime.UTC).date()}; systems drawn by
tests/benchmarks/random_systems.py, generator {generator}, seed {seed}; simulated with dmoa {simulators}.

Systems: {", ".join(f"{count} {kind}" for kind, count in kinds.items())}; {reference} of the plain ones are the reference
systems with M >= 1, simulated anew. No constant of the estimate was fitted to the random ones.

Drawn, as many for each class of load ({_classes(LOAD_EDGES)}) and of SCV ({_classes(SCV_EDGES)}): complete, ring, star,
tree, torus, complete bipartite, random regular and small-world graphs, and random directed graphs with a cycle through all
devices; {fewest} to {most} devices; M 1 to 4; k 1 to 4, at most the neighbours of every device; mean service equal, or unequal
up to x4; rates equal, unequal up to x5, or zero for some; deterministic, exponential, gamma or lognormal service of SCV 0,
0.05, 0.25, 0.5, 1, 1.5 or 2, in one draw out of six another at every device; multipliers of later layers and of aggregation 1
in half of the draws, else 1 to 2.5 each. weighted: weights 1/4 to 4; delay: mean link delay 0.1 to 10 mean service times each
way, links alike or unequal; quorum: 1 to k; mixed: an (M, k) of its own for every user, and quorums, delays and weights with
probability 0.7 each. Not drawn: service by samples.

Simulation: {jobs.min():.1e} to {jobs.max():.1e} jobs a system, {jobs.sum():.1e} in all, until the half widths of mean and p95
were {precision:g} % or the most jobs were reached. Half widths (median / 95 % of systems below / largest), in %:
{", ".join(noise)}. Of {len(found)} runs {sound} were settled, with uncorrelated batches.
"""
    for paragraph in text.strip().split("\n\n"):
        yield from textwrap.wrap(paragraph, 128, initial_indent="# ", subsequent_indent="# ")


def _classes(edges: tuple[float, ...]) -> str:
    return ", ".join(f"{low:g} to {high:g}" for low, high in pairwise(edges))


# -- the tables that are printed ---------------------------------------------------------------------------------------


def report(rows: list[Row]) -> Iterator[str]:
    """Errors by load, by SCV and by kind; the aims; each in Markdown."""
    plain = [row for row in rows if row["kind"] == "plain"]
    by_load = [(f"load {c}", _within(plain, "load", LOAD_EDGES, i)) for i, c in enumerate(_classes(LOAD_EDGES).split(", "))]
    upto = [row for row in plain if row["load"] <= LOAD_EDGES[-2]]
    by_scv = [(f"SCV {c}", _within(upto, "scv", SCV_EDGES, i)) for i, c in enumerate(_classes(SCV_EDGES).split(", "))]
    whole = [("load up to 0.9", upto), ("all plain", plain)]
    yield "### Plain systems: mean absolute / largest error, %\n"
    yield from _errors([*by_load, *whole])
    yield "\n### Plain systems up to load 0.9, by SCV\n"
    yield from _errors(by_scv)
    yield "\n### By kind, all loads\n"
    yield from _errors([(kind, [row for row in rows if row["kind"] == kind]) for kind in DRAWN["KINDS"]])
    yield "\n### Bias of the closure and how far 95 % of systems are off at most, %\n"
    yield from _spread([*by_load, *by_scv, *((kind, [row for row in rows if row["kind"] == kind]) for kind in DRAWN["KINDS"])])
    yield "\n### Aims, plain systems up to load 0.9\n"
    yield from _against_aims(upto)


def _within(rows: list[Row], name: str, edges: tuple[float, ...], place: int) -> list[Row]:
    return [row for row in rows if DRAWN["class_of"](row[name], edges) == place]


def _lines(heads: list[str], body: list[list[str]]) -> Iterator[str]:
    for line in (heads, ["---"] * len(heads), *body):
        yield f"| {' | '.join(line)} |"


def _errors(groups: list[tuple[str, list[Row]]]) -> Iterator[str]:
    """Mean absolute and largest error by method."""
    heads = ["systems", "", "method", *QUANTITIES, "means by user", "times by device", "waits by device"]
    body = []
    for label, rows in groups:
        for method, words in METHODS.items():
            cells = []
            for name in (*QUANTITIES, *WORST):
                size = np.abs([row[_column(method, name)] for row in rows])
                largest = np.abs([row[_column(method, WORST.get(name, name))] for row in rows]).max()
                cells.append(f"{100 * size.mean():.1f} / {100 * largest:.1f}")
            body.append([label, str(len(rows)), words, *cells])
    yield from _lines(heads, body)


def _spread(groups: list[tuple[str, list[Row]]]) -> Iterator[str]:
    """Bias and 95 % quantile of the closure's error."""
    body = []
    for label, rows in groups:
        error = {name: 100 * np.array([row[name] for row in rows]) for name in QUANTITIES}
        body.append([label, *(f"{each.mean():+.1f}, {np.quantile(np.abs(each), 0.95):.1f}" for each in error.values())])
    yield from _lines(["systems", *QUANTITIES], body)


def _against_aims(rows: list[Row]) -> Iterator[str]:
    """What was aimed at, what is reached, and how many systems miss the aim, by more than the simulation's half width."""
    body = []
    for name, (average, worst) in AIMS.items():
        size, noise = (np.array([row[column] for row in rows]) for column in (name, f"{name}_noise"))
        size = np.abs(size)
        reached = f"{100 * size.mean():.2f} / {100 * size.max():.1f}"
        beyond = f"{(size > worst).sum()}, beyond the half width {(size > worst + noise).sum()}"
        body.append([name, f"{100 * average:g} / {100 * worst:g}", reached, beyond])
    yield from _lines(["", "aim: average / worst, %", "reached", f"systems of {len(rows)} worse than the aim's worst"], body)


def every_row(found: list[tuple[Any, Row]], told: Callable[[], object] = lambda: None) -> list[Row]:
    """Lines of all systems."""
    rows = []
    for case, row in found:
        rows.append(row_of(case, row))
        told()
    return rows


def main() -> None:
    """Print the tables; with ``--write`` write the file too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kept = SIMULATED["KEPT"]
    parser.add_argument("--journal", type=Path, default=kept, help=f"simulations; default {kept.name}, beside this file")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} into the package's data")
    given = parser.parse_args()
    found = SIMULATED["with_simulations"](given.journal)
    with SIMULATED["progress_bar"]() as bar:
        task = bar.add_task("estimating", total=len(found))
        rows = every_row(found, lambda: bar.advance(task))
    sys.stdout.write("\n".join(report(rows)) + "\n")
    if given.write:
        write_whole(TABLE, table(rows, [row for _, row in found]))


if __name__ == "__main__":
    main()
