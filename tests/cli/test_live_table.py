"""The table that follows a live network on the terminal."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from dmoa_calibration.testbed.drive import Snapshot
from dmoa_theory import System
from dmoa_theory.cli.testbed_live import live_table, snapshot_table


def _snapshot(n: int, time: float = 3.0, waiting: int = 0, recent: float = float("nan"), refused: int = 0) -> Snapshot:
    return Snapshot(
        time=time,
        sent=20,
        answered=12,
        refused=refused,
        recent=recent,
        waiting=tuple(waiting + d for d in range(n)),
        in_service=(1,) * n,
        open_prompts=(2,) * n,
        served=(1234,) * n,
        resident=(None, *(3 * 2**20,) * (n - 1)),
    )


def _text(n: int, seen: list[Snapshot], width: int = 120) -> str:
    system = System.from_arrays((1 - np.eye(n)).tolist(), 1.0, 1.0, M=1, k=1)
    console = Console(file=io.StringIO(), width=width)
    console.print(snapshot_table(system, 50, seen, width=width))
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_table_says_how_things_stand() -> None:
    """Counts, what the last prompts took, queues now and in the snapshots before."""
    text = _text(3, [_snapshot(3, 2.0), _snapshot(3, 3.0, waiting=4, recent=0.42, refused=1)])
    for words in (
        "20 of 50 prompts sent",
        "12 answered",
        "1 refused",
        "7 under way",
        "420 ms",
        "device-2",
        "1,234",
        "3 MiB",
    ):
        assert words in text, words
    assert "█" in text
    assert "the last took -" in _text(3, [_snapshot(3)])


@pytest.mark.parametrize(("width", "there"), [(80, "memory"), (60, "queue so far"), (45, "served"), (32, "waiting")])
def test_a_narrow_terminal_shows_less_and_cuts_nothing(width: int, there: str) -> None:
    """Whole names and numbers, however long the queues have been watched; what matters least goes first."""
    text = _text(3, [_snapshot(3, float(at), waiting=at) for at in range(60)], width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for word in ("device-2", "works", there):
        assert word in text


def test_of_many_devices_those_with_the_longest_queues_are_shown() -> None:
    text = _text(30, [_snapshot(30)])
    assert "device-29" in text
    assert "device-3 " not in text


def test_it_draws_on_standard_error_and_is_gone_in_the_end(capsys: object) -> None:
    system = System.from_arrays([[0]], 1.0, 1.0, M=0, k=0)
    with live_table(system, 10) as (watch, note):
        note("http://127.0.0.1:8400/#token=" + 16 * "[1a]")
        watch(_snapshot(1))
    seen = capsys.readouterr()  # type: ignore[attr-defined]
    assert seen.out == ""
    assert "http://127.0.0.1:8400/#token=" + 16 * "[1a]" + "\n" in seen.err  # whole, on one line
