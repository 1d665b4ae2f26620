"""How far the latency approximation is from exact simulation: makes ``dmoa_theory/data/latency_errors.csv``.

    python tests/benchmarks/latency_errors.py --journal journal.jsonl --write

draws random systems by seed, simulates each with :func:`dmoa_theory.simulate`, appends what it found to the journal, and writes
the table. Some twenty minutes on one core. Started again with the same journal it goes on where it was, so a table for a
better approximation costs no simulation: the journal holds simulations only, and the estimates are made anew. Without
``--write`` the table goes to standard output.

The default tests draw other systems from the same generator (``tests/statistical/test_latency_errors.py``). Whoever changes
how systems are drawn or simulated counts :data:`GENERATOR` up, which makes old journals void.
"""

from __future__ import annotations

import argparse
import json
import math
import runpy
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import dmoa_theory
from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, latency, simulate
from dmoa_theory.delay.latency import _typical_scv
from dmoa_theory.stability.loads import job_rates, utilisation, work_moments
from dmoa_theory.whole_files import write_whole

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "dmoa_theory" / "data" / "latency_errors.csv"
#: The reference systems, of which those with layers are simulated too.
REFERENCE = runpy.run_path(str(ROOT / "tests" / "statistical" / "test_reference_simulations.py"))

GENERATOR, SEED = 1, 20261124
QUANTITIES = ("mean", "p50", "p95", "p99")
#: Classes: loads are drawn between the edges, the last up to 0.93; SCVs are drawn until they fall between theirs.
LOAD_EDGES, SCV_EDGES, HIGHEST_LOAD = (0.15, 0.5, 0.75, 0.95), (0.0, 0.3, 1.2, 3.0), 0.93
#: Random systems for each class of load and of SCV.
SYSTEMS = {"plain": 24, "quorum": 14, "delay": 14}
#: Half widths of mean and p95 at which a simulation ends, and how many jobs it has at least and at most.
PRECISION, FEWEST_JOBS, MOST_JOBS = 0.007, 1e7, 8e7


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One system of the study, and the seed that its simulation has."""

    name: str
    kind: str
    system: System
    seed: int

    @property
    def load(self) -> float:
        """Utilisation of the busiest device."""
        return float(utilisation(self.system).max())

    @property
    def scv(self) -> float:
        """SCV of service, as the approximation counts it when it looks its error up."""
        return _typical_scv(work_moments(self.system))


# -- drawing -----------------------------------------------------------------------------------------------------------


def cases(seed: int = SEED) -> Iterator[Case]:
    """All systems of the study, the classes in turn, and the reference systems that have layers."""
    for number in range(max(SYSTEMS.values())):
        for kind, count in SYSTEMS.items():
            if number < count:
                for load_class in range(3):
                    for scv_class in range(3):
                        yield draw(kind, load_class, scv_class, number, seed)
    for place, (name, case) in enumerate(REFERENCE["CASES"].items()):
        if case["M"] > 0:
            yield Case(name=name, kind="plain", system=REFERENCE["system_of"](name), seed=seed + place)


def draw(kind: str, load_class: int, scv_class: int, number: int, seed: int = SEED) -> Case:
    """One random system of a kind and class: drawn anew until its SCV is in the class, then scaled to a load in the class."""
    key = [seed, list(SYSTEMS).index(kind), load_class, scv_class, number]
    rng = np.random.default_rng(key)
    while True:
        system = _system(rng, kind)
        scv = _typical_scv(work_moments(system))
        if _class_of(scv, SCV_EDGES) == scv_class:
            break
    load = rng.uniform(LOAD_EDGES[load_class], min(LOAD_EDGES[load_class + 1], HIGHEST_LOAD))
    system = system.with_rates(system.rates * (load / utilisation(system).max()))
    own = int(np.random.SeedSequence([*key, 1]).generate_state(1)[0])
    return Case(name=f"{kind}-{load_class}{scv_class}-{number}", kind=kind, system=system, seed=own)


def _class_of(value: float, edges: tuple[float, ...]) -> int | None:
    """The class that a value falls into, its upper edge included; None beyond them all."""
    place = int(np.searchsorted(edges[1:], value - 1e-9))
    return place if place < len(edges) - 1 else None


def _system(rng: np.random.Generator, kind: str) -> System:
    """A random system, its load as it comes."""
    network = _network(rng)
    n = network.n_devices
    mean = 2.0 ** rng.uniform(-1, 1, n) if rng.random() < 0.5 else np.ones(n)
    rate = {"equal": np.ones(n), "unequal": rng.uniform(1, 5, n), "some": (rng.random(n) < 0.6).astype(float)}[
        rng.choice(["equal", "unequal", "some"])
    ]
    rate[rng.integers(n)] = 1.0  # somebody asks
    rate *= 1e-6
    later, aggregate = (1.0, 1.0) if rng.random() < 0.5 else rng.uniform(1, 2.5, 2)
    M = int(rng.integers(1, 5))
    k = int(rng.integers(1, min(4, network.out_degree.min()) + 1))
    if kind == "delay":
        delay = mean.mean() * 10.0 ** rng.uniform(-1, 1)
        spread = rng.uniform(0, 2, network.n_links) if rng.random() < 0.5 else 1.0
        network = Network(indptr=network.indptr, indices=network.indices, link_delay=delay * spread)
    return System(
        network=network,
        arrival_rate=rate,
        service=ServiceTime.from_law(**_law(rng), mean=mean, later=later, aggregate=aggregate),
        moa=MoA(M, k, quorum=int(rng.integers(1, k + 1)) if kind == "quorum" else None),
    )


def _network(rng: np.random.Generator) -> Network:
    """Complete, ring, star, random regular, or a random digraph with a cycle through all devices; 2 to 24 devices."""
    family = rng.choice(["complete", "ring", "star", "regular", "digraph"])
    n = int(rng.integers(2, 25))
    if family == "digraph":
        adjacency = rng.random((n, n)) < rng.uniform(0.2, 0.8)
        adjacency[np.arange(n), (np.arange(n) + 1) % n] = True
        np.fill_diagonal(adjacency, False)
        return Network.from_adjacency(adjacency)
    if family == "regular":
        degree = int(rng.integers(2, 7))
        n = max(n, degree + 2)
        return build_topology("regular", n=n + n * degree % 2, degree=degree, seed=int(rng.integers(2**31)))
    return build_topology(str(family), n=n)


def _law(rng: np.random.Generator) -> dict[str, Any]:
    """A law of service and its SCV."""
    scv = float(rng.choice([0.0, 0.05, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0]))
    if scv == 0:
        return {"law": "deterministic"}
    if scv == 1 and rng.random() < 0.5:
        return {"law": "exponential"}
    return {"law": rng.choice(["gamma", "lognormal"]), "scv": scv}


# -- simulating --------------------------------------------------------------------------------------------------------


def simulated(
    case: Case, *, precision: float = PRECISION, fewest: float = FEWEST_JOBS, most: float = MOST_JOBS
) -> dict[str, Any]:
    """Mean and percentiles over all prompts, with half widths, as one line of the journal."""
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
        "jobs": found.jobs,
        "sound": found.settled and found.independent,
        "seconds": found.seconds,
    }


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """Every finished system by name; a last line that a kill cut short is removed."""
    if not path.exists():
        return {}
    whole, newline, rest = path.read_text(encoding="utf-8").rpartition("\n")
    if rest:
        write_whole(path, whole + newline)
    rows = [json.loads(line) for line in whole.splitlines()]
    if any(row["generator"] != GENERATOR for row in rows):
        raise SystemExit(f"{path}: of another generator than {GENERATOR}; take a new journal")
    return {row["name"]: row for row in rows}


def run(journal: Path) -> list[tuple[Case, dict[str, Any]]]:
    """Simulate what the journal lacks; all systems with what was found of each."""
    done, every = read_journal(journal), list(cases())
    missing = [case for case in every if case.name not in done or done[case.name]["seed"] != case.seed]
    began = time.perf_counter()
    for place, case in enumerate(missing, start=1):
        row = simulated(case)
        with journal.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
        done[case.name] = row
        error = relative_errors(case, row)
        left = (time.perf_counter() - began) / place * (len(missing) - place) / 60
        print(
            f"{place}/{len(missing)} {case.name}: load {case.load:.2f}, SCV {case.scv:.2f}, {row['jobs']:.1e} jobs, "
            f"{row['seconds']:.1f} s; mean {error['mean']:+.1%} ± {row['half_width']['mean'] / row['mean']:.1%}, "
            f"p95 {error['p95']:+.1%} ± {row['half_width']['p95'] / row['p95']:.1%}; {left:.0f} min left",
            file=sys.stderr,
            flush=True,
        )
    return [(case, done[case.name]) for case in every]


def relative_errors(case: Case, row: dict[str, Any]) -> dict[str, float]:
    """Of the approximation against what was simulated, by quantity; negative where it is too low."""
    estimate = latency(case.system)
    return {name: getattr(estimate, name) / row[name] - 1 for name in QUANTITIES}


# -- the table ---------------------------------------------------------------------------------------------------------


def table(found: list[tuple[Case, dict[str, Any]]]) -> str:
    """Header and rows of the CSV."""
    by_class: dict[tuple[str, float, float], list[dict[str, float]]] = {}
    for case, row in found:
        load = _class_of(case.load, LOAD_EDGES)
        scv = _class_of(case.scv, SCV_EDGES)
        assert load is not None
        assert scv is not None
        edges = (LOAD_EDGES[load + 1], SCV_EDGES[scv + 1] if case.kind == "plain" else SCV_EDGES[-1])
        by_class.setdefault((case.kind, *edges), []).append(relative_errors(case, row))
    lines = [*_header(found, by_class), "quantity,kind,load_up_to,scv_up_to,systems,typical,largest,bias"]
    for quantity in QUANTITIES:
        for kind in SYSTEMS:
            for key in sorted(key for key in by_class if key[0] == kind):
                error = np.array([errors[quantity] for errors in by_class[key]])
                typical, largest = _up(np.abs(error).mean()), _up(np.abs(error).max())
                lines.append(f"{quantity},{kind},{key[1]},{key[2]},{error.size},{typical},{largest},{error.mean():+.3f}")
    return "\n".join(lines) + "\n"


def _up(value: float) -> str:
    """Rounded up to a tenth of a per cent."""
    return f"{math.ceil(1000 * value - 1e-9) / 1000:.3f}"


def _header(found: list[tuple[Case, dict[str, Any]]], by_class: dict[Any, list[dict[str, float]]]) -> Iterator[str]:
    """What the table says and how it was made, as comment lines."""
    random = {kind: 9 * n for kind, n in SYSTEMS.items()}
    reference = len(found) - sum(random.values())
    jobs = np.array([row["jobs"] for _, row in found])
    simulators = " and ".join(sorted({row["simulator"] for _, row in found}))
    noise, gaps = [], []
    for name in QUANTITIES:
        relative = 100 * np.array([row["half_width"][name] / row[name] for _, row in found])
        noise.append(f"{name} {np.median(relative):.1f} / {np.quantile(relative, 0.95):.1f} / {relative.max():.1f}")
        gaps.append(f"{name} {100 * max(_gap([errors[name] for errors in group]) for group in by_class.values()):.1f}")
    text = f"""
Relative error of the latency approximation of dmoa {dmoa_theory.__version__} (Pollaczek-Khinchine waits, independent gamma
sojourns, gamma percentiles) against exact simulation, over all prompts of a system, by load of the busiest device and by SCV of
service. Fractions.

A row holds systems above the class before it and up to load_up_to and scv_up_to; typical: mean absolute relative error,
largest: maximum absolute relative error, both rounded up; bias: mean relative error, negative where too low. A maximum over so
few systems is no bound: the largest of a class lay above the second largest by up to (percentage points) {", ".join(gaps)}.

Made by tests/benchmarks/latency_errors.py, generator {GENERATOR}, seed {SEED}, simulated with dmoa {simulators}.

Systems: {sum(random.values())} random ones ({random["plain"]} plain, {random["quorum"]} with a quorum, {random["delay"]} with
link delays) and, in the plain rows, the {reference} reference systems with M >= 1, simulated anew.

Drawn, as many for each class of load and SCV (quorum and delay: a third of each row from each of the three SCV classes):
complete, ring, star and random regular graphs, and random directed graphs with a cycle through all devices; 2 to 24 devices;
M 1 to 4; k 1 to 4, at most the neighbours of every device; mean service equal, or unequal up to x4; rates equal, unequal up to
x5, or zero for some; deterministic, exponential, gamma or lognormal service of SCV 0, 0.05, 0.25, 0.5, 1, 1.5, 2 or 3, at most
3 with the stage multipliers counted in; multipliers of later layers and of aggregation 1 in half of the draws, else 1 to 2.5
each; load uniform within its class, {LOAD_EDGES[0]} to {HIGHEST_LOAD} in all; quorums from 1 to k; mean link delay 0.1 to 10
mean service times each way, links alike or unequal. Not drawn: users with an (M, k) of their own, weighted choice, service by
samples, quorums together with delays.

Simulation: {jobs.min():.1e} to {jobs.max():.1e} jobs a system, {jobs.sum():.1e} in all, until the 95 % half widths of mean and
p95 were {100 * PRECISION:g} % or the most jobs were reached. Half widths (median / 95 % of systems below / largest), in %:
{", ".join(noise)}. Of {len(found)} runs {sum(row["sound"] for _, row in found)} were settled, with uncorrelated batches."""
    for paragraph in text.strip().split("\n\n"):
        yield from textwrap.wrap(paragraph, width=126, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _gap(errors: list[float]) -> float:
    """How far the largest lies beyond the second largest."""
    second, first = np.sort(np.abs(errors))[-2:]
    return float(first - second)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--journal", type=Path, required=True, help="file that finished systems are appended to")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.relative_to(ROOT)}, else print the table")
    given = parser.parse_args()
    text = table(run(given.journal))
    if given.write:
        write_whole(TABLE, text)
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
