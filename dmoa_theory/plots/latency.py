"""How long prompts take, user by user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dmoa_theory.delay.expected_error import show_error
from dmoa_theory.plots.region import plot_utilisation
from dmoa_theory.plots.scales import draw_limit, grid_lines, legend_below, linear_scale, log_scale, pin_ticks
from dmoa_theory.plots.style import BLUE, GREEN, INK, ORANGE, PURPLE, VERMILION, house_style, new_axes
from dmoa_theory.plots.text import halo, heading, rows_that_fit, shorten
from dmoa_theory.quantities import show_seconds, time_unit
from dmoa_theory.stability.region import stability_region

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.delay.latency_estimate import LatencyEstimate
    from dmoa_theory.model.checks import FloatArray

__all__ = ["plot_latency"]

#: More rows than this cannot be read.
MOST_USERS = 30
#: A limit up to this factor beyond what is shown is drawn to scale.
_NEAR = 2.5

# name of the figure in the estimate, label, colour, marker, size
_FIGURES = (
    ("p50", "median", GREEN, "d", 6.0),
    ("mean", "mean", BLUE, "o", 6.5),
    ("p95", "p95", ORANGE, "s", 5.5),
    ("p99", "p99", PURPLE, "^", 6.0),
)


def plot_latency(
    estimate: LatencyEstimate, *, ax: Axes | None = None, note: str = "", target: tuple[str, float] | None = None
) -> Axes:
    """Draw median, mean, 95th and 99th percentile of the time from prompt to answer, over all prompts and by user.

    Bands round the figures over all prompts are the error that 95 % of comparable systems do not exceed. Of many users the 30
    slowest are shown. Where all of it is unbounded, the utilisation of the devices is drawn instead.

    Parameters
    ----------
    estimate : LatencyEstimate
    ax : Axes, optional
        Where to draw; default a new figure of its own.
    note : str
        What to say of the (M, k) in place of its numbers alone.
    target : tuple of str and float, optional
        A figure (``"mean"``, ``"p50"``, ``"p95"``, ``"p99"``) and the seconds that it should not exceed, drawn as a line.

    Returns
    -------
    Axes

    Examples
    --------
    >>> from dmoa_theory import System, latency
    >>> plot_latency(latency(System.from_arrays([[0, 1], [1, 0]], 0.002, [20.0, 30.0], M=1, k=1))).get_xlabel()
    'time from prompt to answer (s)'
    """
    with house_style():
        users = np.flatnonzero(estimate.system.rates > 0)
        n_users = users.size
        axes = ax if ax is not None else new_axes(6.8, 2.2 + 0.25 * max(min(n_users, MOST_USERS), 3))
        room = rows_that_fit(axes, MOST_USERS)
        if n_users > room:
            users = users[np.argsort(-estimate.user_mean[users], kind="stable")[:room]]  # slowest first, as in the table
        pin_ticks(axes)
        overall = np.array([getattr(estimate, name) for name, *_ in _FIGURES])
        by_user = np.column_stack([getattr(estimate, f"user_{name}")[users] for name, *_ in _FIGURES])
        values = np.vstack((overall, by_user))
        some = f"{users.size} slowest of {n_users:,} users; " if n_users > users.size else ""
        title, about = "Time from prompt to answer", f"{note or estimate.system.moa.label}; {some}{_state(estimate)}"
        if not np.isfinite(values).any():
            region = stability_region(estimate.system)
            return plot_utilisation(region, ax=axes, title=f"{title}: unbounded", note=_unbounded(estimate))
        axes.set_ylabel("prompts of")
        labels = ["all users", *(shorten(estimate.system.network.name(u)) for u in users.tolist())]
        axes.set_yticks(np.arange(len(labels)), labels, parse_math=False)
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.tick_params(axis="y", length=0)
        heading(axes, title, about)
        axes.set_ylim(max(len(labels), 4) - 0.4, -0.6)
        # the unit suits what most prompts take, not the slowest user's worst
        seconds, unit = time_unit(float(estimate.p95 if np.isfinite(estimate.p95) else values[np.isfinite(values)].max()))
        axes.set_xlabel(f"time from prompt to answer ({unit})")
        allowed = [value / seconds for value in _allowed(estimate) if value is not None]
        if target is not None:
            allowed.append(target[1] / seconds)
        _scale(axes, values / seconds, allowed)
        limits = _limits(axes, estimate, seconds, target)
        _draw_rows(axes, values / seconds)
        bands = _draw_bands(axes, estimate, seconds)
        marks = [
            Line2D([], [], color=colour, marker=marker, markersize=size, linestyle="none", label=label)
            for _, label, colour, marker, size in _FIGURES
        ]
        legend_below(axes, [*marks, *bands, *limits])
        return axes


def _state(estimate: LatencyEstimate) -> str:
    if not estimate.stable:
        return "UNSTABLE: some queues grow without bound"
    if estimate.expected_error.mean is not None and estimate.expected_error.mean.largest == 0:
        return "means exact, bands of percentiles hold 95 % of comparable systems"
    return "approximation, bands hold 95 % of comparable systems"


def _unbounded(estimate: LatencyEstimate) -> str:
    worst = int(estimate.utilisation.argmax())
    load = float(estimate.utilisation[worst])
    name = shorten(estimate.system.network.name(worst))
    return (
        f"Latency is unbounded: {name} is offered {load:.3g} seconds of work a second. "
        f"Queues stay bounded when all rates are scaled by less than {1 / load:.3g}."
    )


def _allowed(estimate: LatencyEstimate) -> tuple[float | None, float | None]:
    limits = estimate.system.constraints
    return limits.mean_latency, limits.p95_latency


def _limits(axes: Axes, estimate: LatencyEstimate, seconds: float, target: tuple[str, float] | None) -> list[Line2D]:
    """Limits of the scenario and the target as lines in the colours of what they are set on; one where they agree."""
    wanted: dict[tuple[str, float], list[str]] = {}
    for value, name in zip(_allowed(estimate), ("mean", "p95"), strict=True):
        if value is not None:
            wanted[name, value] = ["limit"]
    if target is not None:
        wanted.setdefault(target, []).append("target")
    lines = []
    for (level, value), kinds in wanted.items():
        label, colour = next((label, colour) for name, label, colour, _, _ in _FIGURES if name == level)
        preposition = "for" if "target" in kinds else "on"
        text = f"{' and '.join(kinds)} {preposition} the {label} of all: {show_seconds(value)}"
        style, width = ((0, (1, 1.5)), 1.6) if kinds == ["target"] else ((0, (4, 3)), 1.3)
        lines.append(draw_limit(axes, value / seconds, text, color=colour, linestyle=style, linewidth=width))
    return lines


def _scale(axes: Axes, values: FloatArray, limits: list[float]) -> None:
    """Linear from zero; logarithmic when users differ so much that the fast ones would be dots at the axis.

    Limits that are near stand on the axis too; one far off would press together what was found.
    """
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if high > 60 * low:
        near = [limit for limit in limits if low / _NEAR <= limit <= _NEAR * high]
        log_scale(axes, min([low, *near]) / 1.5, max([high, *near]) * 1.5)
    else:
        axes.set_xlim(0, 1.06 * max([high, *(limit for limit in limits if limit <= _NEAR * high)]))
        linear_scale(axes.xaxis, 8)
    grid_lines(axes.xaxis)


def _draw_rows(axes: Axes, values: FloatArray) -> None:
    for row, figures in enumerate(values):
        finite = figures[np.isfinite(figures)]
        if finite.size > 1:
            axes.plot(
                [finite.min(), finite.max()], [row, row], color="#BDBDBD", linewidth=2.0, solid_capstyle="round", zorder=2
            )
        if finite.size < figures.size:
            text = "unbounded" if not finite.size else "mean unbounded" if np.isfinite(figures[2]) else "percentiles unbounded"
            axes.annotate(
                text,
                (1, row),
                xycoords=("axes fraction", "data"),
                xytext=(-4, 0),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=8,
                color=VERMILION,
                path_effects=halo(),
                zorder=6,
            )
    rows = np.arange(len(values))
    for column, (_, label, colour, marker, size) in enumerate(_FIGURES):
        seen = np.isfinite(values[:, column])
        axes.plot(
            values[seen, column],
            rows[seen],
            marker,
            color=colour,
            markersize=size,
            markeredgecolor="white",
            label=label,
            zorder=4,
        )
    axes.axhline(0.5, color=INK, linewidth=0.6)


def _draw_bands(axes: Axes, estimate: LatencyEstimate, seconds: float) -> list[Patch]:
    """Round the mean and the 95th percentile over all prompts: the errors that 95 % of comparable systems do not exceed."""
    handles = []
    for name, label, colour in (("mean", "mean", BLUE), ("p95", "p95", ORANGE)):
        band, value = getattr(estimate.expected_error, name), getattr(estimate, name) / seconds
        if band is None or band.within == 0 or not np.isfinite(value):
            continue
        width = 2 * value * band.within
        axes.barh(0, width, left=value - width / 2, height=0.66, color=colour, alpha=0.3, linewidth=0, zorder=3)
        handles.append(Patch(color=colour, alpha=0.3, linewidth=0, label=f"±{show_error(band.within)} of the {label}"))
    return handles
