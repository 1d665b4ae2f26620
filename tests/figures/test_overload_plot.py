"""The pictures of overload: a fluid line and a simulated one a device, two bars a device, nothing cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from dmoa_theory.model.system import System
from dmoa_theory.plots.overload import plot_growth, plot_loads
from dmoa_theory.plots.style import new_figure, save
from dmoa_theory.simulation.bursts.burst import simulate_burst
from dmoa_theory.stability.growth.overload import overload


def system(n: int = 4, rate: float = 0.4) -> System:
    return System.from_arrays(1 - np.eye(n), rate, np.linspace(0.2, 3.0, n), M=2, k=2)


def labels(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def words(axes: Axes) -> str:
    return " ".join(" ".join(text.get_text() for text in axes.findobj(Text)).split())


def test_fluid_lines_over_simulated_ones() -> None:
    result = overload(system())
    seen = simulate_burst(result.system, until=200.0, replications=5).trajectories
    axes = plot_growth(result, seen)
    assert labels(axes)[:4] == [f"device-{d}" for d in range(4)]
    assert labels(axes)[4:] == ["fluid limit", "simulated, mean of runs", "5th to 95th percentile of runs"]
    dashed = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) == 2]
    ends = sorted(float(np.asarray(line.get_ydata())[-1]) for line in dashed)
    assert ends == pytest.approx(sorted(result.growth_rate * seen.time[-1]))
    assert len([drawn for drawn in axes.collections if isinstance(drawn, PolyCollection)]) == 4
    assert f"{int(result.growing.sum())} of 4 queues grow" in words(axes)
    assert axes.get_ylabel() == "jobs at a device"
    assert axes.get_ylim()[1] > seen.in_system.upper.max()


def test_theory_alone_ends_when_the_first_device_is_full() -> None:
    result = overload(system(), buffer=300)
    axes = plot_growth(result)
    assert axes.get_xlim()[1] == pytest.approx(result.time_to_full.min())
    assert "simulated, mean of runs" not in labels(axes)
    assert "no queue grows" in words(plot_growth(overload(system(rate=0.01))))
    assert "every line would lie on the axis" in words(plot_growth(overload(system(rate=0.01))))
    assert "every line would lie on the axis" not in words(axes)


def test_of_many_devices_the_fastest() -> None:
    result = overload(system(40))
    assert "6 of 40 devices" in words(plot_growth(result))
    axes = plot_loads(result)
    assert "of 40 devices" in words(axes)


def test_two_bars_a_device() -> None:
    result = overload(system())
    axes = plot_loads(result)
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_height() < 1]
    widths = sorted(bar.get_width() for bar in bars)
    assert widths == pytest.approx(sorted(100 * np.array([*result.nominal, *result.effective])))
    said = ["offered (nominal)", "arriving, queue bounded", "arriving, queue grows", "100 %: all that a device can do"]
    assert labels(axes) == said
    assert "arriving, queue grows" not in labels(plot_loads(overload(system(rate=0.01))))
    assert axes.get_xlim()[1] > 100 * result.nominal.max()


def test_they_fit_into_axes_that_are_given(tmp_path: Path) -> None:
    result = overload(system())
    figure = new_figure(11, 4.5)
    left, right = figure.subplots(1, 2)
    assert plot_growth(result, ax=left) is left
    assert plot_loads(result, ax=right) is right
    picture = image.imread(save(figure, tmp_path / "both.png"))
    assert picture[:, 0].min() == picture[0].min() == 1.0
