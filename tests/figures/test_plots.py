"""Every picture is drawn from real results, says what it shows, and cuts nothing off."""

import subprocess
import sys
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from dmoa_theory.delay.expected_error import show_error
from dmoa_theory.delay.latency import latency
from dmoa_theory.errors import InputError
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.service import ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.model.topologies import build_topology
from dmoa_theory.optimisation.choose import optimise
from dmoa_theory.optimisation.plan import make_plan
from dmoa_theory.plots.choice import plot_choice
from dmoa_theory.plots.latency import plot_latency
from dmoa_theory.plots.layout import positions
from dmoa_theory.plots.network import plot_network
from dmoa_theory.plots.overview import plot_plan
from dmoa_theory.plots.region import plot_section, plot_utilisation, scaled_to_fit, telling_users
from dmoa_theory.plots.style import house_style, new_axes, save
from dmoa_theory.stability.region import stability_region

LLMS = ("llama", "qwen", "mixtral", "dbrx")


def system(network, rate=0.002, mean=25.0, *, M=1, k=1, title="", **limits):
    service = ServiceTime.from_law("gamma", mean, scv=1.0)
    moa, constraints = MoA(M, k), Constraints(**limits)
    return System(network=network, arrival_rate=rate, service=service, moa=moa, constraints=constraints, title=title)


def four(rate=0.002, **limits):
    network = replace(build_topology("complete", n=4), names=LLMS)
    return system(network, rate, [24.0, 31.0, 28.0, 40.0], k=2, title="Four devices", **limits)


def digraph():
    """Sixty devices with one-way links, some of whose users send nothing."""
    rng = np.random.default_rng(3)
    links = rng.random((60, 60)) < 0.03
    links[np.arange(60), (np.arange(60) + 1) % 60] = True
    np.fill_diagonal(links, False)
    rate = rng.uniform(0.0005, 0.004, 60) * (rng.random(60) > 0.2)
    return system(Network.from_adjacency(links), rate, rng.uniform(15.0, 40.0, 60))


SYSTEMS = {
    "stable": lambda: four(p95_latency=900.0, mean_latency=200.0),
    "unstable": lambda: four([0.02, 0.001, 0.006, 0.0], p95_latency=900.0),
    "hopeless": lambda: four(0.03),
    "single": lambda: system(build_topology("complete", n=1), 0.01, M=0, k=0),
    "digraph": digraph,
    "hostile": lambda: system(
        replace(build_topology("star", n=5), names=("a$b$", "_^{x", "x" * 80, "tab & <b>", r"\frac")), title="$x_{ " * 60
    ),
}

PLOTS = {
    "utilisation": lambda s: plot_utilisation(stability_region(s)),
    "network": lambda s: plot_network(stability_region(s)),
    "latency": lambda s: plot_latency(latency(s)),
    "choice": lambda s: plot_choice(optimise(s)),
    "plan": lambda s: plot_plan(make_plan(s)),
    "section": lambda s: plot_section(stability_region(s).section(0, 1)),
}


def the_figure(drawn):
    return drawn if isinstance(drawn, Figure) else drawn.figure


def shown_texts(figure):
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]


def words(figure):
    return " | ".join(text.get_text() for text in shown_texts(figure)).replace("\n", " ")


def boxes(figure, texts):
    renderer = figure.canvas.get_renderer()
    return [text.get_window_extent(renderer) for text in texts]


def hidden_tick(text, figure):
    """Whether a text is the label of a tick beyond the ends of its axis, which matplotlib keeps but does not draw."""
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if text in (tick.label1, tick.label2):
                    return not (axes.axison and low <= tick.get_loc() <= high)
            if text in (axis.label, axis.offsetText):
                return not axes.axison
    return False


# the plan holds every other picture: it alone stands for the two systems on which they have least to show
CASES = [(name, plot) for name in ("stable", "unstable", "digraph", "hostile") for plot in PLOTS] + [
    ("single", "plan"),
    ("hopeless", "plan"),
]


@pytest.mark.parametrize(("name", "plot"), CASES)
def test_picture_is_drawn_and_nothing_is_cut_off(tmp_path, name, plot):
    drawn = PLOTS[plot](SYSTEMS[name]())
    figure = the_figure(drawn)
    figure.set_dpi(150)  # as in the file, so that texts can be measured where they were drawn
    pixels = image.imread(save(drawn, tmp_path / "picture.png"))
    assert pixels.shape[:2] == tuple(int(150 * inches + 1e-6) for inches in figure.get_size_inches()[::-1])
    assert 0.002 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.7
    frame = figure.bbox
    for text, box in zip(shown_texts(figure), boxes(figure, shown_texts(figure)), strict=True):
        if hidden_tick(text, figure):
            continue
        inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
        assert inside, (text.get_text(), box, frame)
    for axes in figure.axes:
        if axes.get_legend() is not None:
            box = axes.get_legend().get_window_extent()
            assert frame.x0 <= box.x0
            assert box.x1 <= frame.x1
            assert frame.y0 <= box.y0


@pytest.mark.parametrize("plot", PLOTS)
def test_same_result_same_bytes(tmp_path, plot):
    twice = [PLOTS[plot](SYSTEMS["stable"]()) for _ in range(2)]
    for suffix in (".png", ".svg", ".pdf") if plot == "section" else (".png",):
        first, second = (save(drawn, tmp_path / f"{i}{suffix}") for i, drawn in enumerate(twice))
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("plot", sorted(set(PLOTS) - {"plan"}))
def test_draws_on_the_axes_it_is_given_and_leaves_settings_alone(plot, monkeypatch):
    before = dict(mpl.rcParams)
    own = new_axes()
    module = sys.modules[f"dmoa_theory.plots.{ {'section': 'region', 'utilisation': 'region'}.get(plot, plot) }"]
    function = getattr(module, f"plot_{plot}")
    region = stability_region(four())
    result = {
        "section": region.section(0, 1),
        "utilisation": region,
        "network": region,
        "latency": latency(four()),
        "choice": optimise(four()),
    }[plot]
    assert function(result, ax=own) is own
    assert dict(mpl.rcParams) == before
    assert isinstance(function(result), Axes)


def test_no_window_is_opened():
    code = (
        "import dmoa_theory, sys; assert 'matplotlib' not in sys.modules\n"
        "from dmoa_theory import System, stability_region; import dmoa_theory.plots; assert 'matplotlib' not in sys.modules\n"
        "from dmoa_theory.plots import plot_network\n"
        "plot_network(stability_region(System.from_arrays([[0, 1], [1, 0]], 0.01, 20.0, M=1, k=1)))\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_section_says_units_edges_and_where_the_system_stands():
    axes = plot_section(stability_region(four()).section(0, 1))
    assert axes.get_xlabel() == "prompts of llama (per hour)"
    assert axes.get_ylabel() == "prompts of qwen (per hour)"
    assert axes.get_title(loc="left") == "Stable rates of llama and qwen"
    section = stability_region(four()).section(0, 1)
    text = words(axes.figure)
    assert all(f"{name} full" in text for name in section.binding)
    assert "now: stable" in text
    corners = axes.patches[0].get_xy()[: len(section.corners)]
    assert np.allclose(corners, 3600 * section.corners)
    assert "now: unstable" in words(plot_section(stability_region(SYSTEMS["unstable"]()).section(0, 1)).figure)


def test_section_without_stable_rates_says_so():
    section = stability_region(four(0.03)).section(0, 1)
    assert section.corners.size == 0
    assert "the other users alone overload a device" in words(plot_section(section).figure)


def dot_of(axes):
    (dot,) = (line for line in axes.lines if line.get_marker() == "o" and line.get_markersize() == 8)
    return dot.get_xydata()[0]


def test_section_of_an_unstable_system_leads_to_where_two_rates_would_be_stable():
    region = stability_region(SYSTEMS["unstable"]())
    axes = plot_section(region.section(0, 2))
    assert (dot_of(axes) / 60 < region.system.rates[[0, 2]]).all()
    back = region.system.rates.copy()
    back[[0, 2]] = dot_of(axes) / 60
    assert region.contains(back)
    back[[0, 2]] /= 0.94
    assert not region.contains(back)
    factor = back[0] * 0.94 / region.system.rates[0]
    assert f"both rates × {factor:.3g}: stable" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_where_the_others_overload_a_device_the_region_is_drawn_with_all_rates_scaled():
    region = stability_region(four(0.03))
    fit = scaled_to_fit(region)
    assert fit.bottleneck.utilisation == pytest.approx(0.95)
    axes = plot_section(region.section(0, 1), scaled=fit.section(0, 1))
    assert np.allclose(axes.patches[0].get_xy()[: len(fit.section(0, 1).corners)], 60 * fit.section(0, 1).corners)
    assert dot_of(axes) / 60 == pytest.approx(fit.system.rates[:2])
    text = words(axes.figure)
    assert f"all rates × {0.95 * region.critical_scale:.3g}: stable" in text
    assert "as they alone overload a device" in text
    assert "now: unstable" in text
    assert "as far out" not in text
    far = stability_region(four(3.0))
    assert "times as far out" in words(plot_section(far.section(0, 1), scaled=scaled_to_fit(far).section(0, 1)).figure)
    idle = stability_region(four([0.0, 0.0, 0.1, 0.0]))
    assert "other users scaled down too" in words(
        plot_section(idle.section(0, 1), scaled=scaled_to_fit(idle).section(0, 1)).figure
    )


def test_of_an_unstable_system_those_who_load_its_busiest_device_tell_most():
    rates = [0.002, 0.0019, 0.001, 0.001, 0.0008, 0.0005]
    line = build_topology("line", n=6)
    stable, unstable = (stability_region(system(line, rates, [1.0, 1.0, 1.0, 1.0, 1.0, mean])) for mean in (1.0, 900.0))
    assert telling_users(stable)[:2] == [0, 1]
    assert telling_users(unstable)[:2] == [5, 4]


def test_utilisation_has_a_bar_a_device_and_marks_overload():
    axes = plot_utilisation(stability_region(SYSTEMS["unstable"]()))
    assert axes.get_xlabel() == "utilisation (% of time)"
    assert [bar.get_hatch() for bar in axes.patches] == [None, None, None, "////"]
    assert sorted(line.get_xdata()[0] for line in axes.lines) == [95, 100]
    assert "1 of 4 overloaded" in words(axes.figure)
    many = plot_utilisation(stability_region(digraph()))
    assert len(many.patches) == 30
    assert many.get_title(loc="left") == "The 30 busiest of 60 devices"


def test_network_draws_arrows_for_one_way_links_only():
    axes = plot_network(stability_region(digraph()))
    network = digraph().network
    adjacency = network.matrix(np.ones(network.n_links)).toarray() > 0
    arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
    assert len(arrows) == (adjacency & ~adjacency.T).sum()
    circles, squares = (c for c in axes.collections if isinstance(c, PathCollection))
    assert len(squares.get_offsets()) == (digraph().rates == 0).sum()
    assert len(circles.get_offsets()) + len(squares.get_offsets()) == 60
    both_ways = plot_network(stability_region(four()))
    assert not [patch for patch in both_ways.patches if isinstance(patch, FancyArrowPatch)]
    assert "utilisation (% of time)" in words(both_ways.figure)


@pytest.mark.parametrize("name", ["stable", "digraph", "hostile"])
def test_labels_of_devices_keep_clear_of_each_other(name):
    axes = plot_network(stability_region(SYSTEMS[name]()))
    axes.figure.draw_without_rendering()
    network = SYSTEMS[name]().network
    drawn = [text for text in axes.texts if "M=" not in text.get_text()]
    assert len(drawn) >= 0.75 * network.n_devices
    found = boxes(axes.figure, drawn)
    pairs = [(a, b) for i, a in enumerate(found) for b in found[:i] if a.overlaps(b)]
    assert len(pairs) <= 0.05 * len(found)


def test_large_network_becomes_a_histogram():
    region = stability_region(system(build_topology("barabasi_albert", n=400, links=2), 0.001))
    axes = plot_network(region)
    assert axes.get_title(loc="left") == "How busy 400 devices are"
    assert sum(bar.get_height() for bar in axes.patches) == 400
    assert "too many devices to draw the network" in words(axes.figure)


def test_latency_shows_every_user_limits_and_error_bands():
    estimate = latency(SYSTEMS["stable"]())
    axes = plot_latency(estimate)
    assert axes.get_xlabel() == "time from prompt to answer (s)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all users", *LLMS]
    by_label = {line.get_label(): line for line in axes.lines}
    assert np.allclose(by_label["p95"].get_xdata(), [estimate.p95, *estimate.user_p95])
    assert {line.get_xdata()[0] for label, line in by_label.items() if label.startswith("limit")} == {200.0, 900.0}
    error = estimate.expected_error
    assert f"±{show_error(error.p95.within)} of the p95" in words(axes.figure)
    assert "19" not in words(axes.figure)
    assert "30 slowest of" in words(plot_latency(latency(digraph())).figure)


def test_latency_without_bound_says_so():
    hopeless = latency(four(0.03))
    axes = plot_latency(hopeless)
    assert "Latency is unbounded: dbrx" in words(axes.figure)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(100 * hopeless.utilisation)


def test_latency_of_a_partly_overloaded_network_shows_the_others():
    network = Network.from_links(4, [0, 1, 2, 3], [1, 0, 3, 2])
    text = words(plot_latency(latency(system(network, [0.1, 0.001, 0.001, 0.001]))).figure)
    assert "UNSTABLE" in text
    assert "unbounded" in text
    assert "device-3" in text


def test_choice_marks_picks_limits_and_what_is_left_out():
    decision = optimise(SYSTEMS["stable"]())
    axes = plot_choice(decision)
    text = words(axes.figure)
    assert axes.get_xlabel() == "mean latency (s)"
    assert axes.get_ylabel() == "accuracy (%) ± 1 standard error"
    stable = [c for c in decision.candidates if c.stable]
    assert all(f"({c.M},{c.k})" in text for c in stable)
    assert "limit on mean latency: 200 s" in text
    assert f"recommended: {decision.recommended.name}" in text
    markers = {line.get_marker(): line.get_xydata() for line in axes.lines if line.get_marker() in ("*",)}
    assert np.allclose(markers["*"], [[decision.recommended.mean_latency, 100 * decision.recommended.accuracy]])
    star = words(plot_choice(optimise(system(build_topology("star", n=5), 0.001))).figure)
    assert "not drawn: impossible, a user has only 1 neighbour: (1,2)" in star
    hopeless = optimise(four(0.06))
    axes = plot_choice(hopeless)
    assert "No tabulated configuration keeps every queue bounded" in words(axes.figure)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(sorted(100 * c.utilisation for c in hopeless.candidates))


def test_plan_carries_title_and_configuration_of_every_panel():
    plan = make_plan(SYSTEMS["stable"]())
    text = words(plot_plan(plan))
    assert f"Four devices: run {plan.decision.recommended.name}" in text
    name = plan.decision.recommended.name
    panels = [part for part in text.split(" | ") if part.startswith(name)]
    assert len(panels) == 3, "network, stable rates and latency show the (M, k) to run"
    assert "no (M, k) meets every limit" in words(plot_plan(make_plan(SYSTEMS["hopeless"]())))


@pytest.mark.parametrize(
    "network",
    [build_topology("grid", rows=4, cols=6), build_topology("star", n=9), Network.from_links(6, [0, 2, 4], [1, 3, 5])],
)
def test_layout_parts_devices_and_is_repeatable(network):
    place = positions(network)
    assert np.array_equal(place, positions(network))
    gaps = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)) + 9 * np.eye(network.n_devices)
    assert gaps.min() > 0.03 * np.ptp(place, axis=0).max()


def test_save_refuses_what_it_cannot_write(tmp_path):
    axes = new_axes()
    with pytest.raises(InputError, match="a name that ends in"):
        save(axes, tmp_path / "picture.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a path that can be written"):
        save(axes, tmp_path / "file" / "picture.png")
    assert save(axes.figure, tmp_path / "new" / "picture.pdf").stat().st_size > 1000
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["picture.pdf"]


def test_style_ends_with_its_block():
    before = mpl.rcParams["axes.titlelocation"]
    with house_style():
        assert mpl.rcParams["axes.titlelocation"] == "left"
    assert mpl.rcParams["axes.titlelocation"] == before
