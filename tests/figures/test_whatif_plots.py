"""The pictures of failure: what is coloured, marked and written, and that nothing is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from dmoa_theory import MoA, ServiceTime, System, against_central, build_topology, lose, loss_effect, single_losses
from dmoa_theory.plots import plot_central, plot_loss, plot_single_losses, save
from dmoa_theory.plots.style import PALE, VERMILION, new_figure


def line(rate: float = 0.012, n: int = 6) -> System:
    service = ServiceTime.exponential(np.linspace(10, 30, n))
    return System(network=build_topology("line", n=n), arrival_rate=rate, service=service, moa=MoA(1, 1))


def words(axes: Axes) -> str:
    return " ".join(" ".join(text.get_text() for text in axes.findobj(Text)).split())


def marked(axes: Axes, colour: str) -> int:
    return sum(isinstance(patch, Rectangle) and patch.get_facecolor() == to_rgba(colour) for patch in axes.patches)


def test_the_heat_map_holds_every_load() -> None:
    result = single_losses(line(), latency="none")
    axes = plot_single_losses(result)
    loads = result.utilisation_after(np.arange(6))
    (drawn,) = axes.get_images()
    array = np.ma.filled(np.ma.asarray(drawn.get_array()), np.nan)
    assert array.shape == (7, 6)
    np.testing.assert_allclose(array[1:], np.clip(loads, 0, 1))
    assert marked(axes, PALE) == 6
    over = int((loads >= 1).sum()) + 1  # and one device with nothing lost
    assert over > 3
    assert marked(axes, VERMILION) == over
    assert [text.get_text() for text in axes.get_yticklabels()] == ["nothing", *(f"device-{d}" for d in range(6))]
    said = words(axes)
    assert "not N-1 secure" in said
    for value in loads[~np.isnan(loads)]:
        assert f"{100 * value:.0f} %" in said
    for scale in result.critical_scale:
        assert f"{scale:.3g}" in said


def test_of_many_losses_the_worst_and_of_many_devices_the_busiest() -> None:
    system = System(
        network=build_topology("ring", n=80),
        arrival_rate=np.linspace(0.001, 0.01, 80),
        service=ServiceTime.exponential(20.0),
        moa=MoA(1, 2),
    )
    result = single_losses(system, links=True, latency="none")
    axes = plot_single_losses(result)
    (drawn,) = axes.get_images()
    assert np.asarray(drawn.get_array()).shape == (31, 31)
    assert axes.get_yticklabels()[1].get_text() == result.label[result.worst]
    said = words(axes)
    assert "the 30 worst of 160 single losses" in said
    assert "30 of 80, the busiest" in said
    assert "busiest other" in said


def test_users_before_and_after() -> None:
    effect = loss_effect(lose(line(), [2]))
    axes = plot_loss(effect)
    said = words(axes)
    assert "cut off" in said
    assert "grows without bound" in said
    assert f"{effect.load:.1%}".replace("%", " %") in said
    gentle = plot_loss(loss_effect(lose(line(0.002), [2])))
    assert "grows without bound" not in words(gentle)
    hopeless = plot_loss(loss_effect(lose(line(5.0), [])))
    assert "every latency is unbounded" in words(hopeless)
    assert hopeless.get_xlabel() == "utilisation of its device (% of time)"


def test_largest_loads_far_apart_are_all_seen() -> None:
    """Devices that differ a thousandfold: the network carries little, the centre of the same compute much."""
    system = System(
        network=build_topology("line", n=4), arrival_rate=1e-4, service=ServiceTime.exponential([1, 1, 1, 900]), moa=MoA(1, 1)
    )
    result = against_central(system)
    axes = plot_central(result, points=6)
    assert axes.get_xscale() == "log"
    low, high = axes.get_ylim()
    curves = [np.asarray(each.get_ydata(), dtype=float) for each in axes.get_lines() if len(np.asarray(each.get_xdata())) > 2]
    assert len(curves) == 6
    assert all(np.count_nonzero((low < curve) & (curve < high)) >= 2 for curve in curves)


def test_alike_latencies_are_told_apart_by_eye() -> None:
    """Dots need no axis from 0: where all lie close together they fill a good part of the width."""
    desks = System(
        network=build_topology("complete", n=5), arrival_rate=0.003, service=ServiceTime.exponential(20.0), moa=MoA(1, 2)
    )
    axes = plot_loss(loss_effect(lose(desks, links=["0->1"])))
    low, high = axes.get_xlim()
    drawn = np.concatenate([np.ravel(each.get_xdata()) for each in axes.lines if each.get_marker() == "o"]).astype(float)
    assert 0 < low < drawn.min()
    assert drawn.max() < high
    assert np.ptp(drawn) > 0.3 * (high - low)


def test_central_beside_distributed() -> None:
    result = against_central(line(0.003), round_trip=0.5)
    axes = plot_central(result, points=6)
    curves = [
        np.asarray(drawn.get_ydata(), dtype=float) for drawn in axes.get_lines() if len(np.asarray(drawn.get_xdata())) > 2
    ]
    assert len(curves) == 6
    for curve in curves:
        assert np.isfinite(curve).all()
        assert (np.diff(curve) > 0).all()
    legend = axes.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[:3] == ["6 devices", "centre: 6 servers", "centre: one server"]
    assert axes.get_yscale() == "log"
    limits = sorted(
        float(np.asarray(drawn.get_xdata())[0]) for drawn in axes.get_lines() if len(np.asarray(drawn.get_xdata())) == 2
    )
    assert 60 * result.largest_rate == pytest.approx(limits[1])


def test_they_fit_into_axes_that_are_given(tmp_path: Path) -> None:
    figure = new_figure(15, 5)
    left, middle, right = figure.subplots(1, 3)
    assert plot_single_losses(single_losses(line()), ax=left) is left
    assert plot_loss(loss_effect(lose(line(), [1])), ax=middle) is middle
    assert plot_central(against_central(line(0.003)), ax=right, points=4) is right
    picture = image.imread(save(figure, tmp_path / "three.png"))
    assert picture[:, 0].min() == picture[0].min() == 1.0
    for n in (2, 5, 40):
        alone = image.imread(save(plot_single_losses(single_losses(line(0.001, n), latency="none")), tmp_path / f"{n}.png"))
        for edge in (alone[0], alone[-1], alone[:, 0], alone[:, -1]):
            assert edge.min() == 1.0
