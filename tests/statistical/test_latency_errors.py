"""The table of the approximation's errors: what it says of itself, and six fresh systems against what it promises."""

from __future__ import annotations

import csv
import runpy
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import latency

ROOT = Path(__file__).parents[2]
study = runpy.run_path(str(ROOT / "tests" / "benchmarks" / "latency_errors.py"))
TEXT = (ROOT / "dmoa_theory" / "data" / "latency_errors.csv").read_text(encoding="utf-8")
HEADER = " ".join(line.removeprefix("# ") for line in TEXT.splitlines() if line.startswith("#"))
ROWS = list(csv.DictReader(line for line in TEXT.splitlines() if not line.startswith("#")))
#: Kind, class of load and class of SCV of the fresh systems, and a seed that the table does not have.
FRESH = [("plain", 0, 1), ("plain", 1, 0), ("plain", 1, 2), ("plain", 2, 1), ("quorum", 1, 1), ("delay", 1, 0)]
FRESH_SEED = 7
#: A maximum over so few systems is no bound, so a fresh error may be so many times the largest quoted. When the table was made,
#: 9 of 216 fresh systems of this seed lay beyond the largest in some figure, and one of them beyond this slack.
SLACK = 1.5


def test_the_header_names_generator_and_seed() -> None:
    """Whoever changes the generator has to make the table anew."""
    assert f"generator {study['GENERATOR']}, seed {study['SEED']}," in HEADER


def test_the_table_holds_the_systems_that_the_generator_draws() -> None:
    """Class by class as many, and in every quantity the same; rows in order, errors in order of size."""
    edges = study["LOAD_EDGES"], study["SCV_EDGES"]
    drawn: Counter[tuple[str, float, float]] = Counter()
    for case in study["cases"]():
        load, scv = (float(edge[study["_class_of"](x, edge) + 1]) for x, edge in zip((case.load, case.scv), edges, strict=True))
        drawn[case.kind, load, scv if case.kind == "plain" else edges[1][-1]] += 1
    assert sum(count for key, count in drawn.items() if key[0] == "plain") >= 200
    assert min(drawn.values()) >= 20
    for quantity in study["QUANTITIES"]:
        rows = [row for row in ROWS if row["quantity"] == quantity]
        stated = {(row["kind"], float(row["load_up_to"]), float(row["scv_up_to"])): int(row["systems"]) for row in rows}
        assert stated == drawn
        assert len(rows) == len(drawn)
        for row in rows:
            assert abs(float(row["bias"])) <= float(row["typical"]) + 5e-4
            assert float(row["typical"]) <= float(row["largest"])


@pytest.mark.parametrize("place", range(len(FRESH)), ids=lambda place: "-".join(map(str, FRESH[place])))
def test_fresh_systems_are_about_as_far_off_as_it_says(place: int) -> None:
    """A system that the study never saw: at most 1.5 times the largest error quoted for it, and 4 standard errors of noise."""
    case = study["draw"](*FRESH[place], 0, seed=FRESH_SEED)
    found = study["simulated"](case, precision=0.5, fewest=3e6)
    error, bands = study["relative_errors"](case, found), latency(case.system).expected_error
    for name in study["QUANTITIES"]:
        noise = 4 / 1.96 * found["half_width"][name] / found[name]
        assert abs(error[name]) <= SLACK * getattr(bands, name).largest + noise, name
        assert noise < 0.15  # the comparison says something


def test_a_simulation_is_repeated_by_its_seed() -> None:
    """The same system and the same figures from the same draw; other figures from another seed."""
    again, other = ([study["draw"]("plain", 0, 1, 3, seed=s).system for s in seeds] for seeds in ((7, 7), (7, 8)))
    assert latency(again[0]).mean == latency(again[1]).mean
    assert latency(other[0]).mean != latency(other[1]).mean


def test_a_journal_cut_short_loses_its_last_line_only(tmp_path: Path) -> None:
    """And one of another generator is refused."""
    journal = tmp_path / "journal.jsonl"
    row: dict[str, Any] = {"generator": study["GENERATOR"], "name": "a", "mean": 1.0}
    journal.write_text(f'{{"generator": {study["GENERATOR"]}, "name": "a", "mean": 1.0}}\n{{"gener', encoding="utf-8")
    assert study["read_journal"](journal) == {"a": row}
    assert journal.read_text(encoding="utf-8").endswith("}\n")
    journal.write_text('{"generator": 0, "name": "a"}\n', encoding="utf-8")
    with pytest.raises(SystemExit, match="another generator"):
        study["read_journal"](journal)


def test_rounding_is_upwards() -> None:
    """To a tenth of a per cent; what is one already stays."""
    assert [study["_up"](x) for x in (0.1231, 0.123, np.float64(0.0))] == ["0.124", "0.123", "0.000"]
