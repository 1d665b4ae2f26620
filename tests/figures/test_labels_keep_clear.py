"""No two texts of a picture lie on each other, and none leaves it, whatever the system; limits far off stretch no axis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from dmoa_theory import latency, load_scenario, make_plan, optimise, simulate, stability_region
from dmoa_theory.accuracy.table import read_accuracy
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.service import ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.model.topologies import build_topology
from dmoa_theory.optimisation.candidates import Evaluations
from dmoa_theory.optimisation.choice_map import choice_map
from dmoa_theory.optimisation.sweep import Sweep
from dmoa_theory.plots.choice import plot_choice
from dmoa_theory.plots.choice_map import plot_choice_map
from dmoa_theory.plots.latency import plot_latency
from dmoa_theory.plots.network import plot_network
from dmoa_theory.plots.overload import plot_loads
from dmoa_theory.plots.overview import plot_plan
from dmoa_theory.plots.placement import clear_places, place_labels
from dmoa_theory.plots.region import plot_section, plot_utilisation
from dmoa_theory.plots.scales import draw_limit
from dmoa_theory.plots.simulation import plot_latency_distribution
from dmoa_theory.plots.style import house_style, new_axes
from dmoa_theory.plots.sweep import plot_sweep
from dmoa_theory.plots.text import fold
from dmoa_theory.plots.whatif import plot_central, plot_single_losses
from dmoa_theory.stability.growth.overload import overload
from dmoa_theory.whatif.central import against_central
from dmoa_theory.whatif.single_losses import single_losses

LONG = (
    "workstation-in-the-basement-1", "radiology-reading-room-left-2", "emergency-department-desk-3",
    "server-room-rack-07-unit-12", "paediatrics-ward-tablet-dock", "pharmacy-dispensing-terminal",
    "laboratory-analyser-control-7", "administration-front-office", "intensive-care-central-monitor",
    "operating-theatre-2-console", "physiotherapy-reception-11", "night-porter-lodge-computer",
)  # fmt: skip


def system(network: Network, rate: Any, mean: Any = 28.0, *, M: int = 1, k: int = 1, **limits: float) -> System:
    service = ServiceTime.from_law("gamma", mean, scv=0.8, later=1.3, aggregate=1.3)
    return System(network=network, arrival_rate=rate, service=service, moa=MoA(M, k), constraints=Constraints(**limits))


def clinic() -> System:
    return load_scenario(Path(__file__).parents[2] / "examples" / "clinic.toml")


def long_names() -> System:
    rng = np.random.default_rng(3)
    network = replace(build_topology("erdos_renyi", n=12, p=0.35, seed=3), names=LONG)
    return system(network, rng.uniform(0.0005, 0.004, 12), rng.uniform(20.0, 40.0, 12), p95_latency=300.0)


SYSTEMS: dict[str, Callable[[], System]] = {
    "bundled": load_scenario,
    "clinic": clinic,
    "long names": long_names,
    "overloaded": lambda: system(
        build_topology("ring", n=6), [0.03, 0.012, 0.002, 0.001, 0.012, 0.02], k=2, p95_latency=300.0, mean_latency=60.0
    ),
    "far limits": lambda: system(
        build_topology("star", n=5), 0.0001, 2.0, p95_latency=3000.0, mean_latency=2500.0, min_accuracy=0.01
    ),
    "one device": lambda: system(build_topology("complete", n=1), 0.01, M=0, k=0, p95_latency=300.0),
    "forty": lambda: system(
        build_topology("watts_strogatz", n=40, degree=6, p=0.2, seed=1), 0.002, k=2, mean_latency=200.0, p95_latency=400.0
    ),
}


@cache
def of(name: str) -> System:
    return SYSTEMS[name]()


def mapped(s: System) -> Axes:
    return plot_choice_map(choice_map(Evaluations(s), read_accuracy("mitra2024-diverse").entries, points=12))


PICTURES: dict[str, Callable[[System], Figure | Axes]] = {
    "network": lambda s: plot_network(stability_region(s)),
    "section": lambda s: plot_section(stability_region(s).section(*np.argsort(-s.rates, kind="stable")[:2].tolist())),
    "utilisation": lambda s: plot_utilisation(stability_region(s)),
    "latency": lambda s: plot_latency(latency(s)),
    "choice": lambda s: plot_choice(optimise(s)),
    "loads": lambda s: plot_loads(overload(s)),
    "single losses": lambda s: plot_single_losses(single_losses(s, links=s.n_devices < 10)),
    "central": lambda s: plot_central(against_central(s), points=6),
    "simulated": lambda s: plot_latency_distribution(simulate(s, queries=4000)),
    "map": mapped,
}

# the plan, drawn of all systems but the largest, holds network, section, latency and choice too, and leaves them less room
SHOWN = {
    "bundled": ["simulated"],
    "clinic": ["single losses", "map", "central"],
    "long names": ["network", "section", "utilisation", "latency", "loads", "central", "simulated"],
    "overloaded": list(PICTURES),
    "far limits": ["section", "latency", "choice", "central", "simulated"],
    "one device": ["utilisation", "latency", "single losses", "simulated"],
    "forty": ["network", "single losses"],
}
CASES = [(name, picture) for name, pictures in SHOWN.items() for picture in pictures]


def seen(figure: Figure) -> list[tuple[Text, FloatArray]]:
    """The texts of a picture as it is drawn, each with the corners of its letters' box; shape (4, 2), pixels."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    hidden = set()
    for axes in figure.findobj(Axes):
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                shown = axes.axison and low - 1e-9 <= tick.get_loc() <= high + 1e-9
                hidden |= set() if shown else {tick.label1, tick.label2}
            hidden |= {axis.offsetText} if axes.axison else {axis.offsetText, axis.label}
    found = []
    for text in figure.findobj(Text):
        if text in hidden or not text.get_visible() or not text.get_text().strip():
            continue
        angle = text.get_rotation()
        box = Text.get_window_extent(text, renderer)
        middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
        text.set_rotation(0)
        flat = Text.get_window_extent(text, renderer)
        text.set_rotation(angle)
        # the box of a line holds the longest tails of letters and the room between lines: what is inked is less high
        half = np.array([flat.width, flat.height - 0.3 * flat.height / (1 + text.get_text().count("\n"))]) / 2
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half
        turn = np.radians(angle)
        turned = corners @ np.array([(np.cos(turn), np.sin(turn)), (-np.sin(turn), np.cos(turn))])
        found.append((text, turned + middle))
    return found


def overlap(one: FloatArray, other: FloatArray) -> bool:
    """Whether two rectangles meet by more than a pixel: no line parts them (separating axis theorem)."""
    for corners in (one, other):
        for side in np.diff(corners[:3], axis=0):
            across = np.array([-side[1], side[0]]) / max(float(np.hypot(*side)), 1e-9)
            a, b = one @ across, other @ across
            if min(a.max(), b.max()) - max(a.min(), b.min()) <= 1.0:
                return False
    return True


def troubles(drawn: Figure | Axes) -> list[str]:
    figure: Any = drawn if isinstance(drawn, Figure) else drawn.figure
    texts = seen(figure)
    wide, high = figure.bbox.width, figure.bbox.height
    found = [f"{a.get_text()!r} on {b.get_text()!r}" for (a, one), (b, other) in combinations(texts, 2) if overlap(one, other)]
    outside = [text for text, box in texts if (box < -0.5).any() or (box > (wide + 0.5, high + 0.5)).any()]
    return found + [f"{text.get_text()!r} leaves the picture" for text in outside]


@pytest.mark.parametrize(("name", "picture"), CASES)
def test_no_text_lies_on_another(name: str, picture: str) -> None:
    assert troubles(PICTURES[picture](of(name))) == []


@pytest.mark.parametrize("name", sorted(set(SYSTEMS) - {"forty"}))
def test_nor_in_the_plan(name: str) -> None:
    assert troubles(plot_plan(make_plan(of(name)))) == []


def test_nor_where_names_carry_figures() -> None:
    assert troubles(plot_choice(optimise(of("clinic"), objective="load"))) == []


@pytest.mark.parametrize("every", [1, 4])
def test_nor_in_a_sweep(every: int) -> None:
    choices = ["M=2 k=3", "M=2 k=2", "M=1 k=2", "M=1 k=1", "M=0 k=0"]
    rows: list[dict[str, Any]] = [
        {
            "arrivals.rate": 0.0005 * (1 + place),
            "choice": choices[place // every],
            "recommended": "M=1 k=1",
            "accuracy": 0.55 - 0.06 * (place // every),
            "accuracy_error": 0.13,
            "recommended_accuracy": 0.39,
            "mean_s": 160.0 - 20.0 * (place // every),
            "p95_s": 260.0 - 20.0 * (place // every),
            "recommended_mean_s": 90.0 + place,
            "recommended_p95_s": 140.0 + place,
        }
        for place in range(5 * every)
    ]
    assert troubles(plot_sweep(Sweep(key="arrivals.rate", rows=tuple(rows), partial=False, resumed=0))) == []


def test_the_check_finds_texts_on_each_other() -> None:
    axes = new_axes()
    axes.text(0.5, 0.5, "one")
    axes.text(0.5, 0.505, "other", rotation=30)
    axes.text(1.5, 0.9, "far out")
    assert troubles(axes) == ["'one' on 'other'", "'far out' leaves the picture"]


def test_limits_far_off_stretch_no_axis() -> None:
    """They are arrow heads at the edge, each with its figure in the legend."""
    axes = plot_latency(latency(of("far limits")))
    assert axes.get_xlim()[1] < 20
    arrows = [line for line in axes.get_lines() if line.get_marker() == ">"]
    assert len(arrows) == 2
    legend = axes.get_legend()
    assert legend is not None
    said = [text.get_text() for text in legend.get_texts()]
    assert said[-2:] == [
        "limit on the mean of all: 2500 s, beyond the axis",
        "limit on the p95 of all: 3000 s, beyond the axis",
    ]
    near = plot_latency(latency(replace(of("far limits"), constraints=Constraints(p95_latency=12.0))))
    assert [line.get_xdata() for line in near.get_lines() if str(line.get_label()).startswith("limit")] == [[12.0, 12.0]]


@pytest.mark.parametrize(
    ("value", "along", "head"), [(2.0, "x", ">"), (-1.0, "x", "<"), (2.0, "y", "^"), (-1.0, "y", "v"), (0.5, "x", "None")]
)
def test_a_limit_is_a_line_or_an_arrow_head_at_its_edge(value: float, along: str, head: str) -> None:
    with house_style():
        axes = new_axes()
        lines = [draw_limit(axes, value, "limit", along=along, color="black") for _ in range(2)]
    assert [line.get_marker() for line in lines] == [head] * 2
    assert axes.get_xlim() == axes.get_ylim() == (0.0, 1.0)
    assert [str(line.get_label()).endswith("beyond the axis") for line in lines] == [head != "None"] * 2
    places = [line.get_transform().transform((line.get_xdata()[0], line.get_ydata()[0])) for line in lines]
    if head != "None":
        assert np.hypot(*(places[1] - places[0])) > 10, "heads at one edge stand beside each other"


def test_labels_are_placed_anew_when_the_layout_changes() -> None:
    """Between two points far apart there is room; on paper a quarter as wide there is none."""
    axes = new_axes(8.0, 3.0)
    axes.set_ylim(0, 1)
    points = np.array([[0.45, 0.5], [0.55, 0.5]])
    assert place_labels(axes, points, ["a long label", "another label"], size=9, gap=4) == 0
    figure: Any = axes.figure
    figure.canvas.draw()
    before = [label.get_position() for label in axes.texts]
    figure.set_size_inches(2.0, 3.0)
    figure.canvas.draw()
    assert [label.get_position() for label in axes.texts] != before
    assert not overlap(*(box for text, box in seen(figure) if text in axes.texts))


def test_a_label_is_closer_to_its_own_point() -> None:
    points = [(50.0, 50.0), (59.0, 46.0)]
    found = clear_places(points, ["median", "mean"], size=8, gap=6.0, inside=(200, 100), sides=((1, 0.7), (-1, -0.7)))
    assert [where["ha"] for where in found if where] == ["right", "left"]


def test_long_names_take_two_lines() -> None:
    assert fold("desk-1") == "desk-1"
    for name in LONG:
        lines = fold(name).split("\n")
        assert len(lines) == 2
        assert max(map(len, lines)) <= 16
    assert fold("x" * 40).count("\n") == 0
