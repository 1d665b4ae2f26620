"""Pictures of simulations are drawn from real results, say what they show, and cut nothing off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image
from matplotlib.text import Text

from dmoa_theory import Constraints, MoA, Network, ServiceTime, System, build_topology, simulate
from dmoa_theory.plots.simulation import plot_latency_distribution, plot_queue_lengths
from dmoa_theory.plots.style import new_axes, save
from dmoa_theory.quantities import show_uncertain_seconds
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.simulation.steady.simulation_result import SimulationResult


def system(network: Network, rate: Any = 0.002, mean: Any = 25.0, *, M: int = 1, k: int = 1, **more: Any) -> System:
    law = more.pop("law", "gamma")
    service = ServiceTime.from_law(law, mean, scv=more.pop("scv", 0.0 if law == "deterministic" else 1.0))
    return System(network=network, arrival_rate=rate, service=service, moa=MoA(M, k), **more)


def four(rate: Any = 0.002, **more: Any) -> System:
    network = replace(build_topology("complete", n=4), names=("llama", "qwen", "mixtral", "dbrx"))
    return system(network, rate, [24.0, 31.0, 28.0, 40.0], k=2, **more)


LIMITS = Constraints(mean_latency=120.0, p95_latency=9000.0)
RESULTS: dict[str, Callable[[], SimulationResult]] = {
    "plain": lambda: simulate(four(constraints=LIMITS), queries=50_000),
    "unstable": lambda: simulate(four(0.03), queries=5000),
    "few": lambda: simulate(four(), queries=30),
    "one": lambda: simulate(four(), queries=1),
    "grid": lambda: simulate(system(build_topology("grid", rows=4, cols=4), np.linspace(0.001, 0.006, 16)), queries=50_000),
    "single": lambda: simulate(system(build_topology("complete", n=1), 0.01, M=0, k=0), queries=5000),
    "heavy": lambda: simulate(system(build_topology("ring", n=3), 0.004, 30.0, law="lognormal", scv=9.0), queries=50_000),
    "constant": lambda: simulate(system(build_topology("ring", n=3), 0.001, 40.0, law="deterministic"), queries=5000),
    "fast": lambda: simulate(system(build_topology("ring", n=3), 20.0, 0.01), queries=20_000),
    "hostile": lambda: simulate(
        system(replace(build_topology("star", n=5), names=("a$b$", "_^{x", "x" * 80, "tab & <b>", r"\frac"))), queries=3000
    ),
}
PLOTS = {"latency": plot_latency_distribution, "lengths": plot_queue_lengths}


@cache
def result(name: str) -> SimulationResult:
    return RESULTS[name]()


def words(axes: Any) -> str:
    texts = [text.get_text() for text in axes.figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return " | ".join(texts).replace("\n", " ")


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("plot", PLOTS)
def test_picture_is_drawn_and_nothing_is_cut_off(tmp_path: Path, name: str, plot: str) -> None:
    axes = PLOTS[plot](result(name))
    figure: Any = axes.figure
    figure.set_dpi(150)
    pixels = image.imread(save(axes, tmp_path / "picture.png"))
    assert 0.002 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.7
    frame, renderer = figure.bbox, figure.canvas.get_renderer()
    legend = axes.get_legend()
    shown = [*axes.texts, axes.title, axes.xaxis.label, axes.yaxis.label, *(legend.get_texts() if legend else [])]
    for text in shown:
        box = text.get_window_extent(renderer)
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        assert inside, (text.get_text(), box, frame)


@pytest.mark.parametrize("name", ["plain", "grid", "heavy", "constant", "fast"])
def test_names_of_the_marks_keep_clear_of_each_other(name: str) -> None:
    axes = plot_latency_distribution(result(name))
    figure: Any = axes.figure
    figure.draw_without_rendering()
    named = [text for text in axes.texts if text.get_text() in {"median", "mean", "p95", "p99"}]
    assert len(named) == 4
    boxes = [text.get_window_extent(figure.canvas.get_renderer()) for text in named]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


@pytest.mark.parametrize("plot", PLOTS)
def test_same_result_same_bytes(tmp_path: Path, plot: str) -> None:
    first, second = (save(PLOTS[plot](result("plain")), tmp_path / f"{i}.png") for i in range(2))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("plot", PLOTS)
@pytest.mark.parametrize("name", ["plain", "unstable"])
def test_draws_on_the_axes_it_is_given_and_leaves_settings_alone(plot: str, name: str) -> None:
    before, own = dict(mpl.rcParams), new_axes()
    assert PLOTS[plot](result(name), ax=own, note="as configured") is own
    assert dict(mpl.rcParams) == before
    assert "as configured; " in words(own)


def test_latency_marks_its_figures_with_their_intervals() -> None:
    found = result("plain")
    axes = plot_latency_distribution(found)
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "time from prompt to answer (s)"
    marks = {line.get_marker(): line.get_xydata()[0] for line in axes.lines if line.get_marker() in {"d", "o", "s", "^"}}
    assert marks["o"][0] == pytest.approx(found.mean_latency)
    for marker, interval, share in (("d", found.p50, 50), ("s", found.p95, 5), ("^", found.p99, 1)):
        assert marks[marker][0] == pytest.approx(float(interval.value))
        assert marks[marker][1] == pytest.approx(share, rel=0.05)
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    assert [float(found.p95.lower), float(found.p95.upper)] in [list(bar) for bar in bars]
    text = words(axes)
    assert f"mean {show_uncertain_seconds(found.mean_latency, float(found.mean.half_width))}" in text
    assert "95 % band" in text
    assert "limit on the mean: 120 s" in text
    assert "limit on the p95: 9000 s, beyond the axis" in text
    assert "simulated, 50,000 prompts" in text


def test_latency_curve_is_the_distribution() -> None:
    found = result("plain")
    (curve,) = [line for line in plot_latency_distribution(found).lines if len(line.get_xdata()) > 100]
    x, y = curve.get_xdata(), curve.get_ydata()
    np.testing.assert_allclose(y / 100, 1 - np.interp(x, found.distribution_at, found.distribution.value))
    assert (y > 0).all()


def test_units_suit_the_times() -> None:
    assert plot_latency_distribution(result("fast")).get_xlabel() == "time from prompt to answer (ms)"
    assert plot_latency_distribution(result("heavy")).get_xscale() == "log"


def test_lengths_have_a_line_a_device() -> None:
    found = result("plain")
    axes = plot_queue_lengths(found)
    lines = {str(line.get_label()).partition(":")[0]: line for line in axes.lines}
    assert set(lines) == {"llama", "qwen", "mixtral", "dbrx"}
    assert lines["dbrx"].get_xdata()[0] == 1
    assert lines["dbrx"].get_ydata()[0] == pytest.approx(100 * found.utilisation.value[3])
    assert lines["dbrx"].get_xdata()[-1] == found.largest[3]
    assert "95 % band" in words(axes)


def test_large_networks_show_the_busiest() -> None:
    found = result("grid")
    axes = plot_queue_lengths(found)
    assert len(axes.lines) == 16
    busiest = int(found.jobs_mean.value.argmax())
    assert f"device-{busiest}: " in words(axes)
    assert "11 others" in words(axes)


def test_what_has_no_steady_state_says_so() -> None:
    found = result("unstable")
    for plot in PLOTS.values():
        text = words(plot(found))
        assert "There is no steady state: the queue of " in text
        assert "UNSTABLE" in text
    bars = plot_queue_lengths(found).patches
    assert sorted(bar.get_width() for bar in bars) == pytest.approx(sorted(3600 * found.growth_rate))  # type: ignore[attr-defined]


def test_what_was_interrupted_says_so() -> None:
    none = replace(
        result("plain"),
        partial=True,
        queries=0,
        distribution_at=np.zeros(0),
        distribution=Interval.around(np.zeros(0), np.zeros(0)),
    )
    some = replace(result("plain"), partial=True)
    for plot in PLOTS.values():
        assert "Interrupted before any figure was finished." in words(plot(none))
        assert "interrupted; simulated, 50,000 prompts" in words(plot(some))
