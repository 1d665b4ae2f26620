"""Devices, models, queues, prompts and arrows, as our drawings show them. Units are those of the axes, equal on both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from dmoa_theory.plots.style import BLUE, GREEN, GREY, INK, ORANGE, PALE, PURPLE, SKY, VERMILION, house_style, new_figure

__all__ = ["USERS", "arrow", "blank", "box", "chip", "device", "label", "message", "queue", "server"]

#: Colours of users: their devices' rims and their prompts.
USERS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY)
Point = tuple[float, float]


def blank(width: float, height: float, limits: tuple[float, float, float, float]) -> Axes:
    """Empty axes without frame, one unit as long upwards as sideways.

    Parameters
    ----------
    width, height : float, inches
    limits : (left, right, bottom, top)
    """
    with house_style():
        axes = new_figure(width, height).add_subplot()
        axes.set_xlim(limits[0], limits[1])
        axes.set_ylim(limits[2], limits[3])
        axes.set_aspect("equal")
        axes.set_axis_off()
        return axes


def label(
    axes: Axes, place: Point, text: str, *, size: float = 9, colour: str = INK, bold: bool = False, ha: str = "center"
) -> None:
    """Write text, centred on its place."""
    axes.text(
        *place,
        text,
        ha=ha,
        va="center",
        fontsize=size,
        color=colour,
        fontweight="bold" if bold else "normal",
        linespacing=1.3,
        zorder=9,
    )


def box(
    axes: Axes,
    centre: Point,
    width: float,
    height: float,
    *,
    face: str = "white",
    edge: str = GREY,
    line: float = 1.1,
    z: float = 3,
) -> None:
    """A box with rounded corners."""
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    rounding = min(0.12 * min(width, height), 0.14)
    axes.add_patch(
        FancyBboxPatch(
            corner,
            width,
            height,
            boxstyle=f"round,pad=0,rounding_size={rounding}",
            facecolor=face,
            edgecolor=edge,
            linewidth=line,
            zorder=z,
        )
    )


def chip(axes: Axes, centre: Point, size: float, *, text: str = "LLM", edge: str = INK) -> None:
    """A language model: a chip with pins."""
    half = size / 2
    for step in np.linspace(-0.6, 0.6, 4) * half:
        for dx in (half, -half):
            axes.plot([centre[0] + dx, centre[0] + 1.22 * dx], [centre[1] + step] * 2, color=edge, linewidth=0.9, zorder=4)
        for dy in (half, -half):
            axes.plot([centre[0] + step] * 2, [centre[1] + dy, centre[1] + 1.22 * dy], color=edge, linewidth=0.9, zorder=4)
    box(axes, centre, size, size, face="#F4F4F4", edge=edge, line=1.1, z=5)
    label(axes, centre, text, size=min(9.5, 9.5 * size / 0.62), bold=True)


def device(axes: Axes, centre: Point, *, colour: str, name: str = "", size: float = 0.9) -> None:
    """An edge device: a small computer with a chip on its screen, and below it whose it is."""
    x, y = centre
    box(axes, (x, y + 0.06 * size), size, 0.68 * size, face="white", edge=colour, line=2.0)
    axes.add_patch(
        Rectangle((x - 0.09 * size, y - 0.37 * size), 0.18 * size, 0.09 * size, facecolor=colour, linewidth=0, zorder=3)
    )
    axes.add_patch(
        Rectangle((x - 0.27 * size, y - 0.42 * size), 0.54 * size, 0.055 * size, facecolor=colour, linewidth=0, zorder=3)
    )
    chip(axes, (x, y + 0.06 * size), 0.36 * size)
    if name:
        label(axes, (x, y - 0.6 * size), name, size=8.5, colour=colour, bold=True)


def server(axes: Axes, centre: Point, *, colour: str = INK, size: float = 1.0) -> None:
    """A rack of three units."""
    for unit in (-1, 0, 1):
        y = centre[1] + 0.34 * unit * size
        box(axes, (centre[0], y), 1.1 * size, 0.29 * size, face="#F4F4F4", edge=colour, line=1.6)
        for place, lamp in ((0.4, GREEN), (0.29, ORANGE)):
            axes.add_patch(Circle((centre[0] + place * size, y), 0.04 * size, facecolor=lamp, linewidth=0, zorder=5))
        axes.plot([centre[0] - 0.42 * size, centre[0] + 0.05 * size], [y, y], color=colour, linewidth=1.1, zorder=5)


def message(axes: Axes, centre: Point, *, colour: str, response: bool = False, size: float = 0.26, text: str = "") -> None:
    """A prompt (a sheet in the colour of its user) or a response (a white sheet with its rim)."""
    width, height = size, 0.74 * size
    corner = (centre[0] - width / 2, centre[1] - height / 2)
    face = "white" if response else colour
    axes.add_patch(Rectangle(corner, width, height, facecolor=face, edgecolor=colour, linewidth=1.2, zorder=7))
    if text:
        label(axes, centre, text, size=6.5, colour=colour if response else "white", bold=True)
        return
    for step in (0.22, 0.0, -0.22):
        y = centre[1] + step * height
        ink = colour if response else "white"
        axes.plot([centre[0] - 0.3 * width, centre[0] + 0.3 * width], [y, y], color=ink, linewidth=0.8, zorder=8)


def queue(axes: Axes, head: Point, colours: Sequence[str], *, slots: int, size: float = 0.3, texts: Sequence[str] = ()) -> None:
    """A first-come-first-served queue: its head at the right, the last to come at the left; empty slots are pale."""
    x, y = head
    pitch = 1.16 * size
    for slot in range(slots):
        place = (x - slot * pitch, y)
        if slot < len(colours):
            message(axes, place, colour=colours[slot], size=size, text=texts[slot] if texts else "")
        else:
            corner = (place[0] - size / 2, y - 0.37 * size)
            axes.add_patch(Rectangle(corner, size, 0.74 * size, facecolor="white", edgecolor=PALE, linewidth=1.0, zorder=6))
    left, right = x - (slots - 0.35) * pitch, x + 0.62 * pitch
    for side in (0.52, -0.52):
        axes.plot([left, right], [y + side * size] * 2, color=GREY, linewidth=1.2, zorder=5)


def arrow(
    axes: Axes,
    start: Point,
    end: Point,
    *,
    colour: str = INK,
    bend: float = 0.0,
    dashed: bool = False,
    width: float = 1.4,
    gap: float = 0.0,
    z: float = 2,
) -> None:
    """An arrow, bent to its left by ``bend`` of its length, that keeps ``gap`` points from both ends."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=5,head_width=2.6",
            connectionstyle=f"arc3,rad={-bend}",
            linestyle=(0, (4, 2.5)) if dashed else "solid",
            color=colour,
            linewidth=width,
            shrinkA=gap,
            shrinkB=gap,
            zorder=z,
        )
    )
