"""What the report of a live run says, word by word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmoa_theory.cli.testbed_report import run_lines
from dmoa_theory.live.measured_run import MeasuredRun, evaluate
from tests.testbed.run_simulated import desks, simulated_record


def _said(result: MeasuredRun) -> str:
    return "\n".join(run_lines(result))


@pytest.mark.parametrize(
    ("last", "words"), [(30, "all 30 prompts."), (27, "27 prompts, without the last 3 (queues running empty).")]
)
def test_what_is_left_out_is_said_and_nothing_else(last: int, words: str) -> None:
    """No count of zero."""
    system = desks(0.6)
    result = evaluate(simulated_record(system, 30), system, runs=20)
    assert f"Figures are of {words}" in _said(replace(result, window=replace(result.window, first=0, last=last)))


@pytest.mark.parametrize(
    ("lower", "upper", "words"),
    [
        (1.0, 1.2, "as chance explains: it is within 1.00 s to 1.20 s, where 19 in 20"),
        (1.0, 1.05, "but by no more than the 5 % that count as close"),
        (0.9, 1.0, "MORE than chance explains"),
    ],
)
def test_a_verdict_says_how_far_and_whether_by_chance(lower: float, upper: float, words: str) -> None:
    """Against the middle 95 % of the simulated runs, and 5 %."""
    system = desks(0.6)
    result = evaluate(simulated_record(system, 30), system, runs=20)
    simulated = 1.0 if "MORE" in words else 1.08
    row = replace(result.row("mean latency"), measured=1.1, lower=lower, upper=upper, simulated=simulated)
    said = _said(replace(result, rows=(row,)))
    assert f"% above the mean of the simulated runs{': ' if 'close' in words else ', '}" in said
    assert words in said


def test_growth_names_what_it_is_held_against() -> None:
    """Simulated runs at the rates of the scenario, the fluid limit at those of the run; the table says so too."""
    system = desks(1.4)
    result = evaluate(simulated_record(system, 200), system, runs=20)
    row, table, said = result.row("jobs gained", "all devices"), result.table(), _said(result)
    assert table.heads[0] == "jobs gained a second"
    assert table.heads[4:6] == ("off simulated", "fluid limit")
    assert table.rows[0][0] == "all devices"
    assert f"{100 * row.difference:+.1f} % off simulated runs, whose prompts come as often as the scenario says" in said
    assert f"{100 * (row.measured / row.theory - 1):+.1f} % off the fluid limit" in said
