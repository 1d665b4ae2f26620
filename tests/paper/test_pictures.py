"""Pictures beside committed ones, pixel by pixel, without words: what they say is checked elsewhere, as numbers and texts.

Words are left out because fonts are drawn differently by other builds of FreeType, which moves everything else in the picture;
what is left is lines, bars, colours, and where they stand. After a change that is meant to show, look at the new pictures and
commit them:

    python -m pytest tests/paper/test_pictures.py --mpl-generate-path=tests/paper/pictures
"""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import NullFormatter

from dmoa_paper_figures.registry import ITEMS
from dmoa_paper_figures.settings import Settings
from dmoa_theory import load_scenario, stability_region
from dmoa_theory.plots import plot_network, plot_section


def compared(tolerance: float = 1.0) -> pytest.MarkDecorator:
    """Compare up to a root mean square difference, of 255.

    Without words, matplotlib 3.8 to 3.11 and every way of hinting fonts gave the same pixels, but for a map of colours whose
    cells 3.11 rounds otherwise: 4. A line or bar that is missing makes 1 to 27, values that are off by 5 % at least 12.
    """
    return pytest.mark.mpl_image_compare(
        baseline_dir="pictures",
        tolerance=tolerance,
        style="default",
        savefig_kwargs={"dpi": 60, "metadata": {"Software": None}},
    )


def without_words(figure: Figure) -> Figure:
    """The figure without texts, legends and labels of ticks, and without a layout that would make room for them."""
    figure.set_layout_engine("none")
    for legend in (*figure.legends, *figure.findobj(Legend)):
        legend.set_visible(False)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(NullFormatter())
            axis.set_minor_formatter(NullFormatter())
    for text in figure.findobj(Text):
        text.set_text("")
    return figure


def picture(name: str) -> Figure:
    """What an item draws, wordless."""
    drawn = ITEMS[name].reproduce(Settings(quick=True)).pictures[0].draw()
    return without_words(drawn if isinstance(drawn, Figure) else drawn.figure.figure)


@compared()
def test_figure_1() -> Figure:
    """A server with five users, and five devices that all know each other."""
    return picture("figure-1")


@compared()
def test_figure_2() -> Figure:
    """Five devices, what waits in each buffer, and who works for whom."""
    return picture("figure-2")


@compared()
def test_figure_3() -> Figure:
    """Two layers of three proposers, and an aggregator."""
    return picture("figure-3")


@compared()
def test_figure_4() -> Figure:
    """A queue, a model, and where its answers go."""
    return picture("figure-4")


@compared(tolerance=6.0)
def test_boundary() -> Figure:
    """A map over (M, k), and a bar for each topology."""
    return picture("boundary")


@compared()
def test_capacity_gain() -> Figure:
    """Two bars a network."""
    return picture("capacity-gain")


@compared()
def test_prompt_growth() -> Figure:
    """Rates over k, three M, with and without growing prompts."""
    return picture("prompt-growth")


@compared()
def test_network() -> Figure:
    """The bundled scenario: four devices in the colours of their utilisation."""
    return without_words(plot_network(stability_region(load_scenario())).figure.figure)


@compared()
def test_region() -> Figure:
    """Two users' rates, the stable part shaded."""
    return without_words(plot_section(stability_region(load_scenario()).section("desk-1", "desk-4")).figure.figure)
