"""Latency against load, and where the time goes, as drawn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.text import Text

from dmoa_theory import MoA, System, latency
from dmoa_theory.delay.where_time_goes import where_time_goes
from dmoa_theory.errors import InputError
from dmoa_theory.load_curves import LoadCurves, load_curves, neighbouring_configurations
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.plots.load_curves import plot_load_curves
from dmoa_theory.plots.waterfall import plot_waterfall
from dmoa_theory.stability.loads import utilisation

COMPLETE = np.ones((4, 4)) - np.eye(4)
FOUR = System.from_arrays(COMPLETE, 0.002, [20.0, 30.0, 25.0, 40.0], M=1, k=2)


def words(drawn) -> str:
    return " | ".join(text.get_text() for text in drawn.findobj(Text))


@pytest.fixture(scope="module")
def curves() -> LoadCurves:
    """Four devices with (1, 2) and (1, 3)."""
    return load_curves([FOUR, FOUR.with_moa(1, 3)], points=(0.4, 0.8), steps=5, queries=10_000)


def test_curves_and_limits(curves: LoadCurves) -> None:
    """Each curve where its estimates are, from 10 to 97 % of its own limit, which is a vertical line; labels and units."""
    figure = plot_load_curves(curves)
    assert [axes.get_xlabel() for axes in figure.axes] == ["prompts per hour, all users"] * 2
    for axes, name in zip(figure.axes, ("mean", "p95"), strict=True):
        assert axes.get_ylabel() == "time from prompt to answer (s)"
        solid = [line for line in axes.get_lines() if len(line.get_xdata()) == 5 and line.get_linestyle() == "-"]
        upright = [float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_linestyle() not in {"-", "None"}]
        for line, curve in zip(solid, curves.curves, strict=True):
            limit = 3600 * 0.008 / float(utilisation(curve.system).max())
            np.testing.assert_allclose(line.get_ydata(), getattr(curve, name))
            np.testing.assert_allclose(np.array(line.get_xdata())[[0, -1]], [0.1 * limit, 0.97 * limit])
            assert any(x == pytest.approx(limit) for x in upright)
    names = {text.get_text(): text.get_fontweight() for text in figure.axes[0].get_legend().get_texts()}
    assert names["M=1, k=2 (yours)"] == "bold"
    assert names["M=1, k=3"] != "bold"


@pytest.mark.parametrize("rate", [0.0001, 0.002])
def test_todays_latency_can_be_read_off(rate: float) -> None:
    """However light the present load, every curve begins before it."""
    four = FOUR.with_rates(np.full(4, rate))
    for curve in load_curves([four, four.with_moa(0, 0)], points=(), steps=3).curves:
        assert curve.scale[0] < 0.6
        assert curve.scale[-1] == pytest.approx(0.97 * curve.critical_scale)


def test_points_and_intervals(curves: LoadCurves) -> None:
    """Simulated means with their 95 % intervals; near the curve."""
    upper = plot_load_curves(curves).axes[0]
    assert len(upper.containers) == 2
    for drawn, curve in zip(upper.containers, curves.curves, strict=True):
        np.testing.assert_allclose(drawn.lines[0].get_ydata(), [point.mean for point in curve.points])
        spans = np.array([segment[:, 1] for segment in drawn.lines[2][0].get_segments()])
        wanted = [(p.mean - p.mean_half_width, p.mean + p.mean_half_width) for p in curve.points]
        np.testing.assert_allclose(spans, wanted)
        for point in curve.points:
            estimate = latency(curve.system.with_rates(curve.system.rates * point.scale)).mean
            assert estimate == pytest.approx(point.mean, rel=0.1)


def test_every_point_has_a_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points that share their chance would err to one side together; the same ones again from the same seed."""
    seeds = []

    def noted(*_args, seed: int, **_named):
        seeds.append(seed)
        return SimpleNamespace(whole=lambda: SimpleNamespace(stable=False, queries=0))

    monkeypatch.setattr("dmoa_theory.load_curves.simulate", noted)
    for seed in (0, 0, 1):
        load_curves([FOUR, FOUR.with_moa(1, 3)], points=(0.4, 0.8), steps=2, seed=seed)
    assert len(set(seeds)) == 8
    assert seeds[:4] == seeds[4:8]


def test_limits_and_targets_are_lines_across() -> None:
    """In the panel of their figure, one where they agree; far ones, which would press the curves together, are arrow heads."""
    limited = replace(FOUR, constraints=Constraints(p95_latency=300.0, mean_latency=1e6))
    curves = load_curves([limited], points=(), steps=4)

    def across(figure) -> list[list[float]]:
        return [[line.get_ydata()[0] for line in axes.get_lines() if list(line.get_xdata()) == [0, 1]] for axes in figure.axes]

    both = plot_load_curves(curves, target=("p95", 300.0))
    assert across(both) == [[], [300.0]]
    assert "limit and target, p95: 300 s" in words(both)
    assert "limit, mean: 11.6 days, beyond the axis" in words(both)
    assert [line.get_marker() for line in both.axes[0].get_lines()].count("^") == 1
    apart = plot_load_curves(curves, target=("mean", 120.0))
    assert across(apart) == [[120.0], [300.0]]
    assert all(
        axes.get_ylim()[0] < y < axes.get_ylim()[1] for axes, ys in zip(apart.axes, across(apart), strict=True) for y in ys
    )


def test_now_stays_within_the_axes() -> None:
    """Even where the present load is just below the limit."""
    near = FOUR.with_rates(FOUR.rates / float(utilisation(FOUR).max()))  # at the limit
    figure = plot_load_curves(load_curves([near], points=(), steps=4))
    figure.draw_without_rendering()
    for axes in figure.axes:
        (now,) = (text for text in axes.texts if text.get_text() == "now")
        box, frame = now.get_window_extent(), axes.get_window_extent()
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        lowest = min(float(np.min(line.get_ydata())) for line in axes.get_lines() if len(line.get_xdata()) == 4)
        assert box.y1 < axes.transData.transform((0, lowest))[1]


def test_now_in_overload_is_an_arrow_at_the_edge() -> None:
    """Far beyond what the queues can carry the load is named all the same, and the axes are not stretched."""
    figure = plot_load_curves(load_curves([FOUR.with_rates(40 * FOUR.rates)], points=(), steps=4))
    assert "now: 19.2 per minute, beyond the axis" in words(figure)
    for axes in figure.axes:
        assert [line.get_marker() for line in axes.get_lines()].count(">") == 1
        assert axes.get_xlim()[1] < 19.2


def test_nothing_is_cut_off(curves: LoadCurves) -> None:
    """Every label lies within the figure."""
    figure = plot_load_curves(curves)
    figure.draw_without_rendering()
    width, height = figure.bbox.width, figure.bbox.height
    for axes in figure.axes:
        for text in (*axes.texts, axes.xaxis.label, axes.yaxis.label):
            box = text.get_window_extent()
            assert -1 < box.x0 < box.x1 < width + 1, text
            assert -1 < box.y0 < box.y1 < height + 1, text


def test_records_of_curves(curves: LoadCurves) -> None:
    """One row an estimate and a simulation, rates in all prompts/s."""
    rows = curves.records()
    assert len(rows) == 2 * (5 + 2)
    simulated = [row for row in rows if row["source"] == "simulated"]
    assert [round(row["utilisation"], 9) for row in simulated] == [0.4, 0.8] * 2
    assert all(row["mean_ci95_s"] > 0 for row in simulated)
    assert rows[0]["prompts_per_s"] == pytest.approx(0.008 * rows[0]["scale"])
    assert "M=1, k=3" in str(curves)


def test_which_configurations_are_compared() -> None:
    """Own first, then one neighbour or layer more or less; no more neighbours than there are; alone where users differ."""
    labels = [s.moa.label for s in neighbouring_configurations(FOUR)]
    assert labels == ["M=1, k=2", "M=1, k=3", "M=2, k=2", "M=1, k=1"]
    most = neighbouring_configurations(FOUR.with_moa(2, 3))
    assert [s.moa.label for s in most] == ["M=2, k=3", "M=3, k=3", "M=2, k=2", "M=1, k=3"]
    single = System.from_arrays([[0]], 0.01, 10.0, M=0, k=0)
    assert neighbouring_configurations(single) == (single,)
    apart = replace(FOUR, moa=MoA([1, 1, 2, 2], 2))
    assert neighbouring_configurations(apart) == (apart,)
    with pytest.raises(InputError, match="points = 1"):
        load_curves([single], points=(1.0,))


def test_the_waterfall_adds_up() -> None:
    """Each bar begins where the one before ends, and the last, from zero, is the mean."""
    parts = where_time_goes(System.from_arrays(COMPLETE, 0.002, 25.0, M=2, k=2, link_delay=2.0))
    axes = plot_waterfall(parts)
    bars = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
    assert bars[0][0] == 0
    for (_, end), (start, _) in pairwise(bars[:-1]):
        assert start == pytest.approx(end)
    assert bars[-1][0] == 0
    assert bars[-1][1] == pytest.approx(parts.mean) == pytest.approx(bars[-2][1])
    assert axes.get_xlabel() == "time (s)"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "own wait", "neighbours' wait", "service", "links", "waiting for the slowest", "aggregation: wait",
        "aggregation: service", "mean latency",
    ]  # fmt: skip


def test_a_negative_part_leads_back() -> None:
    """With a quorum: hatched, to the left, and named for what it is."""
    system = replace(System.from_arrays(COMPLETE, 0.0005, 25.0, M=1, k=3), moa=MoA(1, 3, quorum=1))
    axes = plot_waterfall(where_time_goes(system))
    assert [bool(patch.get_hatch()) for patch in axes.patches].count(True) == 1
    assert "slow ones not waited for" in words(axes)
    starts = [patch.get_x() for patch in axes.patches]
    assert min(starts) == 0


def test_the_waterfall_has_one_minus_and_no_gaps() -> None:
    """A part too short to be seen still joins its neighbours; without layers there is no empty row, and it is exact."""
    system = replace(System.from_arrays(COMPLETE, 0.0005, 25.0, M=1, k=3, link_delay=1e-3), moa=MoA(1, 3, quorum=1))
    axes = plot_waterfall(where_time_goes(system))
    shares = [text.get_text() for text in axes.texts]
    assert any("\N{MINUS SIGN}" in text for text in shares)
    assert not any("-" in text for text in shares)
    rows = [label.get_text() for label in axes.get_yticklabels()]
    joins = {round(float(line.get_ydata()[1]) - 0.67): line.get_ydata()[0] for line in axes.get_lines()}
    links = rows.index("links")
    assert joins[links] == pytest.approx(links - 0.33)
    assert joins[0] == pytest.approx(0.33)
    alone = plot_waterfall(where_time_goes(System.from_arrays([[0]], 0.5, 1.0, M=0, k=0)))
    assert alone.get_ylim() == (2.6, -0.6)
    assert "M=0, k=0; exact" in words(alone)


def test_an_unbounded_latency_has_no_parts() -> None:
    assert "Latency is unbounded" in words(plot_waterfall(where_time_goes(System.from_arrays(COMPLETE, 1.0, 25.0, M=1, k=2))))
