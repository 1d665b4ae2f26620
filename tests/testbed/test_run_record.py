"""The tables of a recorded run, and their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.live.examples import small_run
from dmoa_theory.model.run_record import OPEN, PromptTable, RunRecord, read_run, write_run
from tests.testbed.run_simulated import desks, simulated_record


def test_a_run_is_read_back_exactly(tmp_path: Path) -> None:
    """Every number of every table, those that are not known too, and the facts."""
    record = simulated_record(desks(0.6), 50)
    never = np.where(np.arange(50) % 7 == 0, np.nan, record.prompts.answered)
    record = replace(record, prompts=replace(record.prompts, answered=never))
    write_run(record, tmp_path)
    again = read_run(tmp_path)
    assert again.names == record.names
    assert again.facts == record.facts
    for table in ("prompts", "stages", "jobs"):
        mine, read = getattr(record, table), getattr(again, table)
        for column in type(mine).__slots__:
            np.testing.assert_array_equal(getattr(read, column), getattr(mine, column))


def test_an_empty_run_is_read_back(tmp_path: Path) -> None:
    """A run of which nothing was done has tables without rows."""
    record = simulated_record(desks(0.6), 1)
    nothing = {
        name: type(table)(**{c: getattr(table, c)[:0] for c in type(table).__slots__})
        for name, table in (("stages", record.stages), ("jobs", record.jobs))
    }
    write_run(replace(record, **nothing), tmp_path)
    assert len(read_run(tmp_path).jobs) == 0


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda place: (place / "run.json").unlink(), "run.json in it"),
        (lambda place: (place / "run.json").write_text("{"), "not JSON"),
        (lambda place: (place / "run.json").write_text("[]"), "schema is missing"),
        (lambda place: (place / "jobs.csv").unlink(), "jobs.csv"),
        (lambda place: (place / "jobs.csv").write_text("a,b\n1,2\n"), "columns = a,b"),
        (
            lambda place: (place / "prompts.csv").write_text((place / "prompts.csv").read_text().replace("0", "x")),
            "not a number",
        ),
    ],
)
def test_what_is_no_run_is_refused_in_a_line(tmp_path: Path, spoil: object, complaint: str) -> None:
    """The file, and what is wrong with it."""
    write_run(small_run(), tmp_path)
    spoil(tmp_path)  # type: ignore[operator]
    with pytest.raises(InputError, match=complaint) as found:
        read_run(tmp_path)
    assert "\n" not in str(found.value)


def test_rows_speak_of_what_is_there() -> None:
    """A device, prompt or outcome beyond the last is refused, and columns are equally long."""
    record = small_run()
    for table, column in (("prompts", "user"), ("prompts", "outcome"), ("jobs", "device"), ("jobs", "prompt")):
        before = getattr(record, table)
        wrong = replace(before, **{column: getattr(before, column) + 5})
        with pytest.raises(InputError, match="a whole number from 0 to"):
            RunRecord(**{name: getattr(record, name) for name in RunRecord.__slots__} | {table: wrong})
    with pytest.raises(InputError, match="as many as in the other columns"):
        PromptTable(**{c: getattr(record.prompts, c)[: 1 if c == "sent" else 2] for c in PromptTable.__slots__})
    assert record.count(OPEN) == 0
