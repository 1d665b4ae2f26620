"""The line of a target in the latency plot."""

from __future__ import annotations

from dataclasses import replace

import matplotlib.pyplot as plt
import pytest

from dmoa_theory import System, latency
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.plots.latency import plot_latency


@pytest.mark.parametrize(("level", "label"), [("mean", "mean"), ("p50", "median"), ("p95", "p95"), ("p99", "p99")])
def test_the_target_is_drawn_where_it_is(level: str, label: str) -> None:
    """A line at the seconds asked for, within the axes however far off, named in the legend; none without a target."""
    estimate = latency(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1))
    for seconds in (5.0, 300.0):
        axes = plot_latency(estimate, target=(level, seconds))
        named = [line for line in axes.get_lines() if str(line.get_label()).startswith("target")]
        assert [line.get_label() for line in named] == [f"target for the {label} of all: {seconds:#.3g} s".replace(". s", " s")]
        assert named[0].get_xdata()[0] == pytest.approx(seconds)
        assert axes.get_xlim()[0] <= seconds <= axes.get_xlim()[1]
    assert not [line for line in plot_latency(estimate).get_lines() if str(line.get_label()).startswith("target")]
    plt.close("all")


def test_a_target_that_is_the_limit_is_one_line() -> None:
    """Named for both."""
    system = System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1)
    system = replace(system, constraints=Constraints(p95_latency=300.0))
    lines = [line for line in plot_latency(latency(system), target=("p95", 300.0)).get_lines() if len(line.get_xdata()) == 2]
    at_limit = [line.get_label() for line in lines if list(line.get_xdata()) == [300.0, 300.0]]
    assert at_limit == ["limit and target for the p95 of all: 300 s"]
    plt.close("all")
