"""How far latency estimates are off where layers end early, above all at light load and with nearly constant service.

    python tests/benchmarks/latency_quorums.py [--write]

The study of ``latency_errors.py`` has 144 systems with a quorum, at loads from 0.2 to 0.95 and few with constant service. This
one draws 240 more, half of them with an SCV up to 0.1, at loads from 0.03 to 0.8, simulates each, holds the estimate against
it, and prints mean absolute error, bias and largest error in %. With ``--write`` the package gets one line a system,
``dmoa_theory/data/latency_quorums.csv``, which the expected errors of systems with a quorum are read from too. Two minutes.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import dmoa_theory
from dmoa_theory import MoA, Network, ServiceTime, System, latency, simulate
from dmoa_theory.delay.expected_error import QUANTITIES, STUDIED, likeness
from dmoa_theory.stability.loads import utilisation, work_moments
from dmoa_theory.whole_files import write_whole

TABLE = Path(dmoa_theory.__file__).parent / "data" / "latency_quorums.csv"
SYSTEMS, SEED = 240, 20261124
PRECISION, FEWEST_QUERIES, MOST_QUERIES = 0.006, 200_000, 1_500_000


def draw(number: int) -> System:
    """One system: every second a complete graph and every second pair with nearly constant service."""
    rng = np.random.default_rng([SEED, number])
    n, M = int(rng.integers(3, 13)), int(rng.integers(1, 5))
    k = int(rng.integers(1, min(4, n - 1) + 1))
    mean = rng.uniform(0.6, 1.6, n) if rng.random() < 0.5 else np.ones(n)
    later, aggregate = rng.uniform(0.5, 2.0, 2).tolist() if rng.random() < 0.3 else (1.0, 1.0)
    scv = rng.choice([0.0, 0.02, 0.05, 0.1]) if number % 4 < 2 else rng.uniform(0.1, 2.0)
    service = (
        ServiceTime.gamma(mean, scv, later=later, aggregate=aggregate)
        if scv > 0
        else ServiceTime.deterministic(mean, later=later, aggregate=aggregate)
    )
    rates = rng.uniform(0.5, 1.5, n) if rng.random() < 0.5 else np.ones(n)
    moa = MoA(M, k, quorum=int(rng.integers(1, k + 1)))
    system = System(network=_network(n, k, number, rng), arrival_rate=rates * 1e-3, service=service, moa=moa)
    return system.with_rates(system.rates * rng.uniform(0.03, 0.8) / utilisation(system).max())


def _network(n: int, k: int, number: int, rng: np.random.Generator) -> Network:
    """All linked, or links at random, at least k from each device."""
    adjacency = np.ones((n, n)) - np.eye(n)
    while number % 2:
        adjacency = (rng.random((n, n)) < max(0.4, (k + 1) / (n - 1))).astype(float)
        np.fill_diagonal(adjacency, 0.0)
        if adjacency.sum(axis=1).min() >= k:
            break
    return Network.from_adjacency(adjacency)


def row_of(number: int) -> dict[str, str]:
    """Likeness and errors of one system."""
    system = draw(number)
    seen = simulate(system, queries=FEWEST_QUERIES, seed=SEED + number, precision=PRECISION, max_queries=MOST_QUERIES)
    found, like = latency(system), likeness(system, work_moments(system))
    errors = {name: f"{getattr(found, name) / float(getattr(seen, name).value) - 1:+.4f}" for name in QUANTITIES}
    traits = {name: value if isinstance(value, str) else f"{value:.5g}" for name, value in zip(STUDIED, like, strict=False)}
    return {"name": f"early-{number}", **traits, **errors}


def table(rows: list[dict[str, str]]) -> Iterator[str]:
    """Header and lines of the file."""
    text = (
        f"Relative error of the latency estimate of dmoa {dmoa_theory.__version__} against exact simulation in {len(rows)} "
        "random systems with a quorum, one line each: estimate over simulation, less 1. Made by "
        f"tests/benchmarks/latency_quorums.py, seed {SEED}: complete and random directed graphs of 3 to 12 devices; "
        "M and k 1 to 4; quorum 1 to k; loads 0.03 to 0.8; SCV 0 to 0.1 in half of them, else up to 2. "
        "No constant of the estimate was fitted to them."
    )
    yield from textwrap.wrap(text, 128, initial_indent="# ", subsequent_indent="# ")
    yield ",".join(rows[0])
    yield from (",".join(row.values()) for row in rows)


def report(rows: list[dict[str, str]]) -> Iterator[str]:
    """Mean absolute error, bias and largest error, in %, by SCV and M."""
    groups = {
        "all": rows,
        "SCV up to 0.1, M >= 3": [row for row in rows if float(row["scv"]) < 0.11 and float(row["layers"]) >= 3],
        "SCV up to 0.1, M <= 2": [row for row in rows if float(row["scv"]) < 0.11 and float(row["layers"]) <= 2],
        "SCV above": [row for row in rows if float(row["scv"]) >= 0.11],
        "load up to 0.2": [row for row in rows if float(row["load"]) < 0.2],
    }
    for label, some in groups.items():
        error = {name: 100 * np.array([float(row[name]) for row in some]) for name in QUANTITIES}
        cells = (f"{name} {np.abs(e).mean():.1f}, {e.mean():+.1f}, {np.abs(e).max():.1f}" for name, e in error.items())
        yield f"{label} ({len(some)}): {' | '.join(cells)}"


def main() -> None:
    """Print errors; with ``--write`` write the file too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name} into the package's data")
    given = parser.parse_args()
    rows = [row_of(number) for number in range(SYSTEMS)]
    sys.stdout.write("\n".join(report(rows)) + "\n")
    if given.write:
        write_whole(TABLE, "\n".join(table(rows)) + "\n")


if __name__ == "__main__":
    main()
