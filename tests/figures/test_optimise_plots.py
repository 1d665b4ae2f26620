"""Pictures of the optimiser: the map of the best (M, k) and a sweep show what was found, and nothing is cut off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.text import Text

from dmoa_theory import System, optimise
from dmoa_theory.accuracy.table import read_accuracy
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.optimisation.candidates import Evaluations
from dmoa_theory.optimisation.choice_map import ChoiceMap, choice_map
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.optimisation.sweep import Sweep
from dmoa_theory.plots.choice import plot_choice
from dmoa_theory.plots.choice_map import plot_choice_map
from dmoa_theory.plots.style import BLUE, save
from dmoa_theory.plots.sweep import plot_sweep
from dmoa_theory.quantities import show_number


@pytest.fixture(scope="module")
def found() -> ChoiceMap:
    system = System.from_arrays(1 - np.eye(4), 0.002, 25.0, M=1, k=2)
    return choice_map(Evaluations(system, Limits()), read_accuracy("mitra2024-diverse").entries, points=8)


def _words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.findobj(Text)]


def test_the_map_names_every_region(found: ChoiceMap) -> None:
    axes = plot_choice_map(found)
    used = {found.configurations[c] for c in np.unique(found.best) if c >= 0}
    words = _words(axes)
    for M, k in used:
        assert words.count(f"({M},{k})") >= 1
    assert sum(word.startswith("(") for word in words) <= 4 * len(used), "parts in which no name has room have none"
    assert "now" in words
    mesh = np.ma.filled(axes.collections[0].get_array(), np.nan)  # type: ignore[no-untyped-call]
    np.testing.assert_array_equal(np.isnan(mesh), (found.best < 0).T)


def test_what_misses_a_limit_under_the_list_is_hollow(tmp_path: Path) -> None:
    """Points within the limits in theory, over which prompts that come four at a time push them."""
    time = np.repeat(np.arange(25) * 10_000.0, 4) + np.tile(10.0 * np.arange(4), 25)
    log = ArrivalLog(time=time, user=np.tile(np.arange(4), 25), n_devices=4, name="log.csv")
    system = replace(System.from_arrays(1 - np.eye(4), log.rates, 25.0, M=1, k=2), log=log)
    decision = optimise(system, limits=Limits(p95_latency=150.0))
    missed = {each.candidate.configuration for each in decision.replayed if each.misses}
    assert missed
    axes = plot_choice(decision)
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white" and line.get_color() == BLUE]
    points = np.concatenate([np.asarray(line.get_xydata()) for line in hollow if line.get_xydata().size])
    there = [(c.mean_latency, 100 * c.accuracy) for c in decision.candidates if c.configuration in missed]
    np.testing.assert_allclose(np.unique(points, axis=0), np.unique(there, axis=0))
    assert "not so under log.csv" in _words(axes)
    save(axes.get_figure(root=True), tmp_path / "choice.png")
    verdicts = {row[0]: row[-1] for row in decision.table().rows}
    said = {name for name, verdict in verdicts.items() if verdict.endswith(", not under log.csv")}
    assert said == {c.name for c in decision.candidates if c.configuration in missed}


@pytest.mark.parametrize("limit", [30.0, 120.0])
def test_the_map_marks_the_scenarios_own_point(limit: float) -> None:
    """Lines at the present load and at the limit, and a ring where they cross, at the lower edge of the map too."""
    system = System.from_arrays(1 - np.eye(4), 0.002, 25.0, M=1, k=2)
    entries = read_accuracy("mitra2024-diverse").entries
    axes = plot_choice_map(choice_map(Evaluations(system, Limits(p95_latency=limit)), entries, points=8))
    assert {"now", "limit"} <= set(_words(axes))
    now, allowed, ring = axes.lines
    (x,), (y,) = ring.get_data()
    assert (x, y) == (now.get_xdata()[0], allowed.get_ydata()[0]) == (pytest.approx(0.48), limit)  # type: ignore[index]


def test_a_map_where_nothing_works_says_so(found: ChoiceMap) -> None:
    from dataclasses import replace

    axes = plot_choice_map(replace(found, best=np.full_like(found.best, -1)))
    assert any("Nothing meets the limits" in " ".join(text.split()) for text in _words(axes))


ROWS = tuple(
    {
        "constraints.p95_latency": 100.0 * place,
        "choice": None if place == 0 else f"M={place} k=1",
        "accuracy": None if place == 0 else 0.3 + 0.1 * place,
        "accuracy_error": 0.05,
        "mean_s": 50.0 * place or None,
        "p95_s": 90.0 * place or None,
        "by_user_accuracy": 0.35 + 0.1 * place,
    }
    for place in range(4)
)


def test_a_sweep_shows_its_points() -> None:
    figure = plot_sweep(Sweep(key="constraints.p95_latency", rows=ROWS, partial=False, resumed=0))
    top, bottom = figure.axes
    mean, p95 = bottom.lines[:2]
    np.testing.assert_allclose(mean.get_ydata(), [np.nan, 50, 100, 150])
    np.testing.assert_allclose(p95.get_xdata(), [0, 100, 200, 300])
    assert {line.get_drawstyle() for line in bottom.lines[:2]} == {"steps-post"}
    assert {"(1,1)", "(2,1)", "(3,1)"} <= set(_words(top))
    assert bottom.get_xlabel() == "limit on p95 latency (s); dotted: nothing meets the limits"


def test_a_sweep_shows_the_recommended_and_joins_no_two_configurations_by_a_slope() -> None:
    """Latency moves with the rate, so there is a line, yet none from one configuration's to the next one's."""
    rows = tuple(
        {
            "arrivals.rate": 0.001 * (place + 1),
            "choice": "M=2 k=1" if place < 2 else "M=1 k=1",
            "accuracy": 0.5 if place < 2 else 0.4,
            "accuracy_error": 0.05,
            "mean_s": 50.0 + place,
            "p95_s": 90.0 + place,
            "recommended": "M=1 k=1",
            "recommended_accuracy": 0.4,
            "recommended_mean_s": 40.0,
            "recommended_p95_s": 80.0,
        }
        for place in range(4)
    )
    top, bottom = plot_sweep(Sweep(key="arrivals.rate", rows=rows, partial=False, resumed=0)).axes
    assert bottom.get_xlabel() == "arrivals.rate (prompts/s of a user)"
    lines = {str(line.get_label()): line for line in bottom.lines}
    np.testing.assert_allclose(lines["mean, choice"].get_ydata(), [50, 51, np.nan, 52, 53])
    np.testing.assert_allclose(lines["p95, recommended"].get_ydata(), [80] * 4)
    assert {"recommended, as stated"} <= {text.get_text() for text in top.get_legend().get_texts()}


@pytest.mark.parametrize("mean_latency", [90.0, 400.0])
def test_largest_loads_are_drawn_as_such(mean_latency: float, tmp_path: Path) -> None:
    """Every point says at which load it stands; those that carry none are named; nothing is cut off."""
    system = System.from_arrays(1 - np.eye(4), 0.002, 25.0, M=1, k=2)
    decision = optimise(system, objective="load", limits=Limits(mean_latency=mean_latency), simulation=False)
    axes = plot_choice(decision)
    words = _words(axes)
    carried = [c for c in decision.candidates if decision.carries(c) is not None]
    for c in carried:
        assert f"({c.M},{c.k}) {show_number(c.scale)}×" in words
    assert axes.get_xlabel() == "mean latency (s), each at the largest load that it carries"
    none = len(carried) < len(decision.candidates)
    assert none == (mean_latency < 100)
    assert any("drawn at the present one" in " ".join(text.split()) for text in words) is none
    pixels = image.imread(save(axes, tmp_path / "choice.png"))[..., :3]
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge > 0.99).all()


@pytest.mark.parametrize(("values", "scale"), [((1.0, 10.0, 100.0), "log"), ((100.0, 200.0, 300.0), "linear")])
def test_even_ratios_stand_at_even_distances(values: tuple[float, ...], scale: str) -> None:
    rows = tuple({**row, "arrivals.rate.desk": value} for row, value in zip(ROWS, values, strict=False))
    figure = plot_sweep(Sweep(key="arrivals.rate.desk", rows=rows, partial=False, resumed=0))
    assert figure.axes[1].get_xscale() == scale
    assert figure.axes[1].get_xlabel().startswith("rate of desk (prompts/s)")


def test_an_empty_sweep_is_a_picture_too(tmp_path: Path) -> None:
    assert save(plot_sweep(Sweep(key="a.b", rows=(), partial=True, resumed=0)), tmp_path / "sweep.png").exists()


def test_nothing_is_cut_off(found: ChoiceMap, tmp_path: Path) -> None:
    sweep = Sweep(key="constraints.p95_latency", rows=ROWS, partial=False, resumed=0)
    for name, picture in (("map", plot_choice_map(found)), ("sweep", plot_sweep(sweep))):
        path = save(picture, tmp_path / f"{name}.png")
        pixels = image.imread(path)[..., :3]
        for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            assert (edge > 0.99).all()
