"""Fig. 1: users of one central server, and the same users with devices that ask each other."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle

from dmoa_paper_figures.drawing.parts import USERS, arrow, blank, box, device, label, server
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import build_topology
from dmoa_theory.plots.style import GREY, INK, VERMILION, house_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.model.network import Network

__all__ = ["draw", "networks", "reproduce"]

_USERS = 5
_NO_PLAN = "the paper's drawing is not a network with numbers; ours are the smallest networks of which its statement holds"


@cache
def networks() -> tuple[Network, Network]:
    """A star whose centre is the server, and a complete network of the same users."""
    return build_topology("star", n=_USERS + 1), build_topology("complete", n=_USERS)


def pairs_left(network: Network, lost: int) -> int:
    """Exact: how many ordered pairs of users can still reach each other without one node."""
    import networkx as nx

    graph = network.to_networkx()
    graph.remove_node(lost)
    return sum(len(nx.descendants(graph, u)) for u in graph)


def draw() -> Figure:
    """The two architectures beside each other."""
    axes = blank(8.6, 4.0, (-2.55, 6.85, -2.25, 2.2))
    ring = [(1.6 * np.cos(a), 1.45 * np.sin(a)) for a in np.pi / 2 + 2 * np.pi * np.arange(_USERS) / _USERS]
    star, complete = networks()
    with house_style():
        for u in range(1, _USERS + 1):
            x, y = ring[u - 1]
            side = 0.09 * np.array([-y, x]) / np.hypot(x, y)
            for end, sign in ((np.array([x, y]), 1), (np.zeros(2), -1)):
                other = np.array([x, y]) - end
                arrow(
                    axes,
                    tuple(end + sign * side),
                    tuple(other + sign * side),
                    colour=USERS[u - 1],
                    dashed=sign < 0,
                    gap=25,
                    z=6,
                )
        server(axes, (0, 0), colour=VERMILION, size=0.74)
        for u, (x, y) in enumerate(ring):
            device_without_model(axes, (x, y), USERS[u])
        right = [(x + 4.4, y) for x, y in ring]
        for u, v in zip(complete.link_sources().tolist(), complete.indices.tolist(), strict=True):
            if u < v:
                axes.plot(*zip(right[u], right[v], strict=True), color=GREY, linewidth=1.0, zorder=1)
        for u, place in enumerate(right):
            device(axes, place, colour=USERS[u], size=0.82)
        for middle, title, note in (
            (0.0, "(a) one central server", "long links; if the server fails, nobody is served"),
            (4.4, "(b) collaborating edge devices", "short links; if a device fails, the others go on"),
        ):
            label(axes, (middle, -1.78), title, size=10.5, bold=True)
            label(axes, (middle, -2.08), note, size=8.5, colour="#555555")
        assert star.n_devices == _USERS + 1
        return axes.figure.canvas.figure


def device_without_model(axes: Axes, place: tuple[float, float], colour: str) -> None:
    """A user's device that only asks: a screen without a chip."""
    x, y = place
    box(axes, (x, y + 0.03), 0.5, 0.36, face="white", edge=colour, line=2.0)
    axes.add_patch(Rectangle((x - 0.17, y - 0.24), 0.34, 0.05, facecolor=colour, linewidth=0, zorder=3))
    axes.plot([x - 0.13, x + 0.13], [y + 0.08] * 2, color=INK, linewidth=0.9, zorder=5)
    axes.plot([x - 0.13, x + 0.06], [y - 0.01] * 2, color=INK, linewidth=0.9, zorder=5)


def reproduce(settings: Settings) -> Outcome:
    """The drawing, and what it claims of failures, counted on the two networks.

    Parameters
    ----------
    settings : Settings
    """
    star, complete = networks()
    return Outcome(
        published="Fig. 1 contrasts a central server, a single point of failure at the end of long links, with devices that "
        "collaborate directly.",
        how=(
            "Drawn from two network objects: a star of six and a complete network of five. The claim about failures is "
            "counted on them: ordered pairs of the remaining nodes that can still reach each other when one is lost.",
        ),
        findings=(
            f"Without the server no user reaches another ({pairs_left(star, 0)} pairs of 20); without any one device the four "
            f"others all do ({pairs_left(complete, 0)} pairs of 12). What this costs in latency and load is the item "
            "central-server.",
        ),
        not_reproduced=(f"The original artwork: {_NO_PLAN}.",),
        checks=(
            Check(
                quantity="pairs of users left when the centre is lost",
                unit="",
                expected=0,
                reproduced=pairs_left(star, 0),
                ci95=None,
                against="the paper's statement",
            ),
            Check(
                quantity="pairs of users left when one of five devices is lost",
                unit="",
                expected=12,
                reproduced=pairs_left(complete, 0),
                ci95=None,
                against="the paper's statement",
            ),
        ),
        pictures=(
            Picture(
                name="figure-1",
                caption="Left, five users at the end of long links to one server; right, the same users with models of their "
                "own that ask each other.",
                draw=draw,
            ),
        ),
    )
