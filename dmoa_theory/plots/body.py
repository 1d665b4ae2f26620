"""A picture of stability along three users: the body of rates that the devices can carry, coloured by what gives way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.plots.region import FULL_ENOUGH, in_sight, shared_factor
from dmoa_theory.plots.scales import legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import GREY, INK, PALE, PALETTE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import axes_size, halo, heading, shorten, wrap
from dmoa_theory.quantities import rate_unit, show_number

if TYPE_CHECKING:
    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.stability.region_body import RegionBody, RegionFace

__all__ = ["plot_body"]

#: Devices that get a colour of their own: without the vermilion that says unstable.
_COLOURS = tuple(colour for colour in PALETTE if colour != VERMILION)
_OTHERS = "#B8B8B8"
# From in front of the corner of large rates, so that every face on which a device gives way is seen.
_ELEVATION, _AZIMUTH = 24.0, 38.0
#: Letters of a name up to which it stands in one line with its unit.
_LONGEST = 12


def plot_body(body: RegionBody, *, ax: Any = None, note: str = "", scaled: RegionBody | None = None) -> Any:
    """Draw the rates of three users that keep every queue bounded, and where the system stands.

    Each face has the colour of the device that is full on it; the six largest get colours of their own. Lines drop from where
    the system stands to the floor and on to the axes; from an unstable system one leads to where it would be stable.

    Parameters
    ----------
    body : RegionBody
        From :meth:`dmoa_theory.stability.region.StabilityRegion.body`.
    ax : Axes3D, optional
        Where to draw, made with ``projection="3d"``; default a new figure of its own.
    note : str
        A remark below the title, such as the (M, k) that runs.
    scaled : RegionBody, optional
        The same body with all rates scaled down, from :func:`dmoa_theory.plots.region.scaled_to_fit`: drawn where the other
        users alone overload a device, so that no rates of these three are stable.

    Returns
    -------
    Axes3D

    Examples
    --------
    >>> from dmoa_theory.plots.body import plot_body
    >>> from dmoa_theory import System, stability_region
    >>> complete = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    >>> region = stability_region(System.from_arrays(complete, 0.002, [20.0, 30.0, 25.0], M=1, k=1))
    >>> plot_body(region.body(0, 1, 2)).get_zlabel()
    'prompts of device-2 (per hour)'
    """
    with house_style():
        axes = ax if ax is not None else new_figure(6.8, 6.2).add_subplot(projection="3d", computed_zorder=False)
        now = np.asarray(body.operating_point)
        drawn = scaled if scaled is not None and not body.faces else body
        reach = drawn.corners.max(axis=0) if drawn.corners.size else np.zeros(3)
        seen = in_sight(now, reach)
        far = np.maximum(reach, seen)
        seconds, unit = rate_unit(float(seen.max()) or float(far.max()))  # that of the present rates, as in the table
        names = [shorten(name, 18) for name in body.names]
        break_ = "\n" if max(map(len, names)) > _LONGEST else " "
        _prepare(axes, [f"prompts of {name}{break_}(per {unit})" for name in names])
        limits = np.where(far > 0, far, far.max() or 1 / seconds) * seconds * 1.06
        axes.set(xlim=(0, limits[0]), ylim=(0, limits[1]), zlim=(0, limits[2]))
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            linear_scale(axis, 5)
        title = f"Stable rates of {names[0]}, {names[1]} and {names[2]}"
        if not drawn.faces:
            heading(axes, title, note)
            _say(axes, "No rates of these three users keep every queue bounded: the other users alone overload a device.")
            return axes
        if drawn is body:
            factor, others = _target(body, now), "other users as they are"
        else:
            factor, others = shared_factor(drawn.operating_point, now)
        about = f"{others}; each face has the colour of the device that is full"
        heading(axes, title, "; ".join(filter(None, (note, about))))
        handles = _draw_faces(axes, drawn, drawn.corners * seconds)
        further = float(now.max() / seen.max()) if now.any() else 1.0
        _mark_now(axes, seen * seconds, stable=body.stable, further=further)
        handles.append(_now_handle(stable=body.stable, further=further))
        if not body.stable and now.any():
            label = f"{'these' if drawn is body else 'all'} rates × {show_number(factor)}: stable"
            handles.append(_lead_back(axes, seen * seconds, now * factor * seconds, label))
        legend_below(axes, handles, down=16.0 + 14.0 * (break_ == "\n"))
        return axes


def _target(body: RegionBody, now: FloatArray) -> float:
    """Factor on the three rates that leads to 95 % of the way from no prompts to the edge."""
    if not now.any():
        return 1.0
    along = []
    for face in body.faces:
        first, second, third = body.corners[face.corners[:3]]
        normal = np.cross(second - first, third - first)
        along.append(float(normal @ now) / float(normal @ first))  # 1 on the face
    return FULL_ENOUGH / max(along)


def _lead_back(axes: Any, now: FloatArray, target: FloatArray, label: str) -> Artist:
    """A line from where the system stands to where it would be stable, and its handle for the legend."""
    axes.plot(*zip(now.tolist(), target.tolist(), strict=True), color=VERMILION, linewidth=1.4, zorder=5)
    point: dict[str, Any] = {"marker": "o", "color": INK, "markersize": 7, "markeredgecolor": "white", "linestyle": "none"}
    axes.plot(*([value] for value in target.tolist()), **point, zorder=6)
    return Line2D([], [], **point, label=label)


def _prepare(axes: Any, labels: list[str]) -> None:
    """Labels, a good angle, pale panes, and the style sheet's ticks, which matplotlib makes only when it draws."""
    rc: Any = mpl.rcParams
    pin_ticks(axes)
    axes.tick_params(axis="z", labelcolor=rc["ytick.labelcolor"], labelsize=rc["ytick.labelsize"], color=rc["ytick.color"])
    for axis, name, label in zip((axes.xaxis, axes.yaxis, axes.zaxis), "xyz", labels, strict=True):
        getattr(axes, f"set_{name}label")(label, labelpad=6 + 8 * label.count("\n"))
        axis.set_pane_color((1.0, 1.0, 1.0, 0.0))
        axis.line.set_color(GREY)
        axis._axinfo["grid"].update(color=PALE, linewidth=0.7)  # mplot3d has no public way that outlives the style sheet
    axes.view_init(elev=_ELEVATION, azim=_AZIMUTH)
    axes.set_box_aspect((1, 1, 0.94), zoom=1.0)


def _say(axes: Any, message: str) -> None:
    """Say in place of the picture why nothing is drawn."""
    axes.set_axis_off()
    shown = wrap(message, 0.8 * axes_size(axes)[0], 9.5)
    axes.text2D(0.5, 0.5, shown, transform=axes.transAxes, ha="center", va="center", fontsize=9.5, linespacing=1.4)


def _draw_faces(axes: Any, body: RegionBody, corners: FloatArray) -> list[Artist]:
    """The faces and their legend, the largest first; the faces where a rate is zero stay open, but for their edges."""
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    faces = sorted(body.faces, key=lambda face: -_area(corners[face.corners]))
    handles: list[Artist] = []
    for place, face in enumerate(faces):
        colour = _COLOURS[place] if place < len(_COLOURS) else _OTHERS
        drawn = Poly3DCollection(
            [corners[face.corners]], facecolors=[to_rgba(colour, 0.62)], edgecolors=INK, linewidths=0.8, zorder=3
        )
        axes.add_collection3d(drawn)
        if place < len(_COLOURS):
            handles.append(Patch(facecolor=to_rgba(colour, 0.62), edgecolor=INK, linewidth=0.8, label=_label(face)))
    for axis in range(3):
        on = corners[:, axis] <= 1e-12 * max(float(corners.max()), 1e-300)
        _outline(axes, corners[on], axis)
    if len(faces) > len(_COLOURS):
        more = f"{len(faces) - len(_COLOURS)} smaller faces"
        handles.append(Patch(facecolor=to_rgba(_OTHERS, 0.62), edgecolor=INK, linewidth=0.8, label=more))
    return handles


def _label(face: RegionFace) -> str:
    more = len(face.names) - 1
    return f"{shorten(face.names[0])} full" if not more else f"{shorten(face.names[0])} and {more} more full"


def _area(around: FloatArray) -> float:
    """Area of a flat face, in the units of the axes."""
    return 0.5 * float(np.linalg.norm(np.cross(around[1:-1] - around[0], around[2:] - around[0]).sum(axis=0)))


def _outline(axes: Any, points: FloatArray, axis: int) -> None:
    """The floor or a wall of the body, dashed: seen through the faces."""
    flat = np.delete(points, axis, axis=1)
    order = np.argsort(np.arctan2(flat[:, 1], flat[:, 0]), kind="stable")
    origin = np.flatnonzero((flat[order] == 0).all(axis=1))
    ring = np.delete(order, origin)
    ends = np.vstack((np.zeros(3), points[ring], np.zeros(3)))
    axes.plot(*ends.T, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=2)


def _mark_now(axes: Any, now: FloatArray, *, stable: bool, further: float) -> None:
    """Where the system stands, with lines that drop to the floor and from there to two axes; or in which direction."""
    x, y, z = now.tolist()
    colour = INK if stable else VERMILION
    if further == 1:
        for ends in (((x, x), (y, y), (0, z)), ((x, x), (0, y), (0, 0)), ((0, x), (y, y), (0, 0))):
            axes.plot(*ends, color=colour, linewidth=1.0, linestyle=(0, (2, 1.5)), zorder=5)
        axes.plot([x], [y], [0], marker=".", color=colour, markersize=4, zorder=5)
        axes.plot([x], [y], [z], marker="o" if stable else "X", color=colour, markersize=8, markeredgecolor="white", zorder=6)
    words = "  now" if further == 1 else "  now, further out"
    label = axes.text(x, y, z, words, color=colour, fontweight="bold", va="bottom", zorder=7)
    label.set_path_effects(halo())


def _now_handle(*, stable: bool, further: float) -> Line2D:
    colour, words = (INK, "now: stable") if stable else (VERMILION, "now: unstable")
    if further > 1:
        label = f"{words}, {further:.3g} times as far out"
        return Line2D([], [], color=colour, linewidth=1.4, label=label)
    marker = "o" if stable else "X"
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markeredgecolor="white", markersize=8, label=words)
