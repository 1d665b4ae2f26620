"""The picture of queues over time: labels, units, a line and a band a device, nothing cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.text import Text

from dmoa_theory.model.moa import MoA
from dmoa_theory.model.service import ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.model.topologies import build_topology
from dmoa_theory.plots.style import new_figure, save
from dmoa_theory.plots.trajectories import plot_trajectories
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.simulation.bursts.burst_result import BurstResult


def burst(n: int, *, names: tuple[str, ...] = (), rate: float = 0.2, mean: float = 25.0, **options: Any) -> BurstResult:
    network = replace(build_topology("complete", n=n), names=names) if names else build_topology("complete", n=n)
    moa = MoA(1, min(2, n - 1)) if n > 1 else MoA(0, 0)
    system = System(network=network, arrival_rate=rate, service=ServiceTime.exponential(mean), moa=moa)
    return simulate_burst(system, **{"prompts": 10, "replications": 12, **options})


def labels(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def bands(axes: Axes) -> list[PolyCollection]:
    return [drawn for drawn in axes.collections if isinstance(drawn, PolyCollection)]


def words(axes: Axes) -> str:
    return " ".join(" ".join(text.get_text() for text in axes.findobj(Text)).split())


def test_a_line_and_a_band_for_each_device() -> None:
    result = burst(4, names=("llama", "qwen", "mixtral", "dbrx"), buffer=3)
    axes = plot_trajectories(result)
    last = "5th to 95th percentile of runs", "buffer full: 3 waiting"
    assert labels(axes) == ["llama", "qwen", "mixtral", "dbrx", *last]
    assert len(bands(axes)) == 4
    assert axes.get_xlabel() == "time from the start (s)"
    assert axes.get_ylabel() == "jobs waiting at a device"
    lines = {line.get_label(): line for line in axes.get_lines()}
    for d, name in enumerate(("llama", "qwen", "mixtral", "dbrx")):
        assert np.asarray(lines[name].get_ydata()).tolist() == result.trajectories.waiting.mean[:, d].tolist()
        assert np.asarray(lines[name].get_xdata()).tolist() == result.trajectories.time.tolist()
    assert "10 prompts, M=1, k=2; simulated, 12 runs" in words(axes)
    low, high = axes.get_ylim()
    assert low == 0 < result.trajectories.waiting.upper.max() < high
    assert "two layers" in words(plot_trajectories(result, note="two layers"))


def test_of_many_devices_the_busiest_and_the_mean() -> None:
    result = burst(12)
    axes = plot_trajectories(result)
    busiest = sorted(result.busiest[:4].tolist())
    assert labels(axes) == [*(f"device-{d}" for d in busiest), "mean of all devices", "95 % interval of the mean"]
    assert len(bands(axes)) == 5
    assert "4 busiest of 12 devices" in words(axes)


def test_short_queues_show_the_interval_of_the_mean() -> None:
    """Percentiles of a number that is nearly always 0 or 1 would only jump."""
    result = simulate_burst(System.from_arrays([[0]], 0.1, 1.0, M=0, k=0), prompts=20, replications=50)
    axes = plot_trajectories(result)
    assert labels(axes)[-1] == "95 % interval of the mean"
    seen = result.trajectories.waiting
    (band,) = bands(axes)
    assert band.get_datalim(axes.transData).y1 == pytest.approx((seen.mean + 1.96 * seen.error).max())


def test_one_run_has_no_bands() -> None:
    axes = plot_trajectories(burst(2, replications=1))
    assert labels(axes) == ["device-0", "device-1"]
    assert not bands(axes)
    assert "simulated, 1 run" in words(axes)


def test_long_runs_are_in_hours_and_short_ones_in_milliseconds() -> None:
    assert plot_trajectories(burst(2, rate=0.002, prompts=100)).get_xlabel() == "time from the start (h)"
    assert plot_trajectories(burst(2, rate=20.0, mean=0.01)).get_xlabel() == "time from the start (ms)"


def test_a_run_that_was_interrupted_says_so() -> None:
    assert "12 runs (interrupted)" in words(plot_trajectories(replace(burst(2), asked=50)))


def test_it_draws_where_it_is_told() -> None:
    figure = new_figure()
    axes = figure.add_subplot()
    assert plot_trajectories(burst(2), ax=axes) is axes


def test_same_result_same_bytes(tmp_path: Path) -> None:
    one, two = (save(plot_trajectories(burst(3)), tmp_path / f"{i}.png").read_bytes() for i in range(2))
    assert one == two


@pytest.mark.parametrize(
    "options",
    [
        {"n": 1, "prompts": None, "until": 1e-9},
        {"n": 1, "at_once": True, "buffer": 9},
        {"n": 5, "names": ("a$b$", "_^{x", "x" * 80, "tab & <b>", r"\frac")},
        {"n": 30, "prompts": None, "until": 600.0},
    ],
)
def test_nothing_is_cut_off(tmp_path: Path, options: dict[str, Any]) -> None:
    axes = plot_trajectories(burst(**options))
    figure: Any = axes.figure
    figure.set_dpi(150)  # as in the file
    pixels = image.imread(save(axes, tmp_path / "picture.png"))
    assert 0.002 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.7
    frame, renderer = figure.bbox, figure.canvas.get_renderer()
    shown = [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts, axes.get_legend()]
    boxes = [artist.get_window_extent(renderer) for artist in shown]
    assert all(frame.x0 <= b.x0 and b.x1 <= frame.x1 and frame.y0 <= b.y0 and b.y1 <= frame.y1 for b in boxes)
    legend, label = boxes[-1], boxes[1]
    assert legend.y1 <= label.y0
