"""The study of the latency estimate: what it says of itself, that it is of this estimate, and fresh systems against it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import latency
from dmoa_theory.delay.expected_error import QUANTITIES, STUDIED, likeness, validation_rows
from dmoa_theory.stability.loads import work_moments

ROOT = Path(__file__).parents[2]
study = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "latency_errors.py"))
simulated = study["SIMULATED"]
drawn = simulated["DRAWN"]
TEXT = study["TABLE"].read_text(encoding="utf-8")
HEADER = " ".join(line.removeprefix("# ") for line in TEXT.splitlines() if line.startswith("#"))
#: Kind, class of load and class of SCV of the fresh systems, and a seed that the table does not have.
FRESH = [("plain", 0, 1), ("plain", 2, 0), ("plain", 1, 2), ("weighted", 1, 1), ("quorum", 1, 1), ("delay", 1, 0)]
FRESH += [("mixed", 0, 2)]
FRESH_SEED = 7


def case_of(row: dict[str, str]) -> Any:
    """The system of a row, drawn anew."""
    kind, classes, number = row["name"].split("-")
    return drawn["draw"](kind, int(classes[0]), int(classes[1]), int(number), simulated["SEED"])


def test_the_header_names_generator_and_seed() -> None:
    """Whoever changes the generator has to make the table anew."""
    assert f"generator {simulated['GENERATOR']}, seed {simulated['SEED']};" in HEADER


def test_the_table_and_the_simulations_kept_are_of_the_same_systems() -> None:
    """As many of each kind as the study draws, and the reference systems with layers."""
    names = [row["name"] for row in validation_rows()]
    assert set(names) == set(simulated["read_journal"](simulated["KEPT"]))
    assert len(set(names)) == len(names)
    classes = len(drawn["CLASSES"])
    for kind, count in simulated["SYSTEMS"].items():
        assert sum(name.startswith(f"{kind}-") for name in names) == count * classes
        assert f"{sum(row['kind'] == kind for row in validation_rows())} {kind}" in HEADER
    assert sum(name in simulated["REFERENCE"]["CASES"] for name in names) == len(names) - 80 * classes


@pytest.mark.parametrize("start", [0, 7, 13])
def test_the_table_is_of_this_estimate(start: int) -> None:
    """Systems drawn anew are those of the rows, and the estimate is off by what the rows say."""
    kept = simulated["read_journal"](simulated["KEPT"])
    for row in [row for row in validation_rows() if "-" in row["name"]][start::240]:
        case = case_of(row)
        like = likeness(case.system, work_moments(case.system))
        assert row["kind"] == like.kind == case.kind
        for name, value in zip(STUDIED[1:], like[1:-1], strict=True):
            assert float(row[name]) == pytest.approx(value, rel=1e-4, abs=1e-4)
        found = kept[row["name"]]
        assert case.seed == found["seed"]
        error = study["relative_errors"](case.system, found)
        for name in QUANTITIES:
            assert float(row[name]) == pytest.approx(error[name], abs=1e-3)


@pytest.fixture(scope="module")
def excess() -> list[dict[str, float]]:
    """Of each fresh system, by quantity: its error less the simulation's half width, over the largest of comparable ones."""
    rows = []
    for place in FRESH:
        case = drawn["draw"](*place, 0, seed=FRESH_SEED)
        found = simulated["simulated"](case, precision=0.5, fewest=3e6)
        error, bands = study["relative_errors"](case.system, found), latency(case.system).expected_error
        noise = {name: found["half_width"][name] / found[name] for name in QUANTITIES}
        assert max(noise.values()) < 0.07  # the comparison says something
        rows.append({name: (abs(error[name]) - noise[name]) / getattr(bands, name).largest for name in QUANTITIES})
    return rows


def test_fresh_systems_are_no_further_off_than_it_says(excess: list[dict[str, float]]) -> None:
    """A system that the study never saw exceeds the largest of forty with probability 1/41: here at most 2 figures of 28."""
    beyond = [value for row in excess for value in row.values() if value > 1]
    assert len(beyond) <= 2
    assert max(beyond, default=0.0) <= 1.5


def test_a_system_is_repeated_by_its_seed() -> None:
    """The same system from the same draw; another from another seed."""
    again, other = ([drawn["draw"]("plain", 0, 1, 3, seed=s).system for s in seeds] for seeds in ((7, 7), (7, 8)))
    assert latency(again[0]).mean == latency(again[1]).mean
    assert latency(other[0]).mean != latency(other[1]).mean


def test_a_journal_cut_short_loses_its_last_line_only(tmp_path: Path) -> None:
    """And one of another generator is refused, as is one that lacks systems."""
    journal = tmp_path / "journal.jsonl"
    generator = simulated["GENERATOR"]
    journal.write_text(f'{{"generator": {generator}, "name": "a", "mean": 1.0}}\n{{"gener', encoding="utf-8")
    assert simulated["read_journal"](journal) == {"a": {"generator": generator, "name": "a", "mean": 1.0}}
    assert journal.read_text(encoding="utf-8").endswith("}\n")
    journal.write_text('{"generator": 0, "name": "a"}\n', encoding="utf-8")
    with pytest.raises(SystemExit, match="another generator"):
        simulated["read_journal"](journal)


def test_the_printed_tables_are_of_the_rows() -> None:
    """Every method and kind once each; averages, largest errors and missed aims as counted by hand."""
    rows = [
        {"name": "x", "kind": kind, "load": load, "scv": 0.5, **dict.fromkeys(QUANTITIES, error), **_others(error)}
        for kind, load, error in (("plain", 0.4, 0.01), ("plain", 0.4, -0.09), ("plain", 0.6, 0.02), ("quorum", 0.4, 0.05))
    ]
    rows += [{**row, "kind": kind} for row in rows[:1] for kind in ("weighted", "delay", "mixed")]
    rows += [{**rows[0], "load": load} for load in (0.8, 0.95)] + [{**rows[0], "scv": scv} for scv in (0.1, 1.5)]
    text = "\n".join(study["report"](rows))
    assert "| load 0.5 to 0.75 | 1 | closure | 2.0 / 2.0 |" in text
    assert "| load 0.2 to 0.5 | 4 | closure | 3.0 / 9.0 |" in text
    assert "| mean | 1 / 6 | 2.50 / 9.0 | 1, beyond the half width 1 |" in text
    assert "| p99 | 2.5 / 10 | 2.50 / 9.0 | 0, beyond the half width 0 |" in text
    assert text.count("| M/M/1 |") == 6 + 3 + 5


def _others(error: float) -> dict[str, float]:
    """What else a row has, all of one size."""
    names = [*QUANTITIES, *study["PARTS"]]
    methods = {f"{method}_{name}": error for method in ("independent", "memoryless") for name in names}
    return methods | dict.fromkeys(study["PARTS"], error) | {f"{name}_noise": 0.001 for name in QUANTITIES}
