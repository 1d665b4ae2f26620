"""Which (M, k) is best, over the load and the latency budget."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.plots.scales import log_scale, pin_ticks
from dmoa_theory.plots.style import house_style, new_axes
from dmoa_theory.plots.text import axes_size, halo, heading, panel_message, text_width
from dmoa_theory.quantities import rate_unit, show_number, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from dmoa_theory.optimisation.choice_map import ChoiceMap

__all__ = ["plot_choice_map"]

_SIZE = 9.0
_WORDS = {
    "mean_latency": "mean latency",
    "p95_latency": "p95 latency",
    "p99_latency": "p99 latency",
    "user_mean_latency": "mean latency of every user",
    "user_p95_latency": "p95 latency of every user",
    "user_p99_latency": "p99 latency of every user",
}


def plot_choice_map(found: ChoiceMap, *, ax: Axes | None = None) -> Axes:
    """Draw the most accurate (M, k) as a region for every load and latency budget.

    Parameters
    ----------
    found : ChoiceMap
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory import System
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> from dmoa_theory.optimisation.candidates import Evaluations
    >>> from dmoa_theory.optimisation.choice_map import choice_map
    >>> system = System.from_arrays(1 - np.eye(4), 0.002, 25.0, M=1, k=2)
    >>> found = choice_map(Evaluations(system), read_accuracy("mitra2024-diverse").entries, points=6)
    >>> plot_choice_map(found).get_ylabel()
    'limit on p95 latency (s)'
    """
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    with house_style():
        axes = ax if ax is not None else new_axes(6.8, 4.8)
        pin_ticks(axes)
        ring = "; ring: the scenario" if found.limit is not None else ""
        note = f"by load and limit on latency, accuracies as stated; blank: none{ring}"
        heading(axes, "Most accurate (M, k) within the limits", note)
        per, unit = rate_unit(found.rate * float(np.median(found.scales)))
        seconds, time_name = time_unit(float(np.median(found.budgets)))
        rates, budgets = found.rate * found.scales * per, found.budgets / seconds
        axes.set_xlabel(f"prompts per {unit}, all users")
        axes.set_ylabel(f"limit on {_WORDS[found.latency]} ({time_name})")
        used = [c for c in range(len(found.configurations)) if (found.best == c).any()]
        log_scale(axes, float(rates[0]), float(rates[-1]))
        axes.set_yscale("log")
        axes.set_ylim(budgets[0], budgets[-1])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: show_number(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        if not used:
            panel_message(axes, "Nothing meets the limits at any of these loads.")
            return axes
        # few distinct tones, light enough for the names that stand on them
        tones = colormaps["viridis"](np.linspace(0.95, 0.25, len(used)))
        tones[:, :3] = 0.45 + 0.55 * tones[:, :3]
        place = np.full(found.best.shape, np.nan)
        for row, c in enumerate(used):
            place[found.best == c] = row
        norm = BoundaryNorm(np.arange(len(used) + 1) - 0.5, len(used))
        axes.pcolormesh(rates, budgets, place.T, cmap=ListedColormap(tones), norm=norm, shading="nearest", rasterized=True)
        cell = np.array(axes_size(axes)) / place.shape
        for row, c in enumerate(used):
            name = "({},{})".format(*found.configurations[c])
            for across, up in _middles(place == row, cell, text_width(name, _SIZE), _SIZE):
                style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": _SIZE, "path_effects": halo()}
                axes.text(rates[across], budgets[up], name, clip_on=True, **style)
        _mark_present(axes, found.rate * per, None if found.limit is None else found.limit / seconds)
        return axes


def _mark_present(axes: Axes, now: float, limit: float | None) -> None:
    """The present load and the limit as it stands as lines, and a ring where they cross: what the scenario's choice is."""
    line: dict[str, Any] = {"color": "0.25", "linewidth": 1.1, "linestyle": (0, (4, 3))}
    word: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "path_effects": halo()}
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    loaded, late = left <= now <= right, np.log(now / left) > 0.93 * np.log(right / left)  # no room for words on the right
    if loaded:
        axes.axvline(now, **line)
        side: dict[str, Any] = {"xytext": (-3 if late else 3, -3), "ha": "right" if late else "left", "va": "top"}
        axes.annotate("now", (now, 1), xycoords=("data", "axes fraction"), **side, **word)
    if limit is None or not low <= limit <= high:
        return
    axes.axhline(limit, **line)
    over = np.log(limit / low) > 0.93 * np.log(high / low)
    side = {"xytext": (3 if late else -3, -3 if over else 3), "ha": "left" if late else "right"}
    side["va"] = "top" if over else "bottom"
    axes.annotate("limit", (0 if late else 1, limit), xycoords=("axes fraction", "data"), **side, **word)
    if loaded:
        ring: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": "0.1", "markeredgewidth": 1.4}
        axes.plot(now, limit, "o", markersize=8, clip_on=False, zorder=5, **ring)


def _middles(inside: np.ndarray, cell: np.ndarray, wide: float, high: float) -> Iterator[tuple[int, int]]:
    """Where to name a region: in each of its parts where the name fits, and in its largest part anyhow."""
    from scipy.ndimage import label

    parts, count = label(inside)
    sizes = np.bincount(parts.ravel(), minlength=count + 1)[1:]
    for part in range(count):
        where = _middle(parts == part + 1)
        row, column = parts[:, where[1]], parts[where[0]]
        room = (_run(row == part + 1, where[0]) * cell[0] >= wide) and (_run(column == part + 1, where[1]) * cell[1] >= high)
        if room or part == int(sizes.argmax()):
            yield where


def _run(inside: np.ndarray, place: int) -> int:
    """How many cells in a row, as many before the place as behind it, are inside; cells at the ends are seen by half."""
    outside = np.concatenate(([0], np.flatnonzero(~inside), [inside.size - 1]))
    return 2 * int(np.abs(outside - place).min()) - 1


def _middle(inside: np.ndarray) -> tuple[int, int]:
    """A cell well inside a region: the one furthest from what is outside."""
    from scipy.ndimage import distance_transform_cdt

    padded = np.pad(inside, 1)
    depth = distance_transform_cdt(padded, metric="chessboard")[1:-1, 1:-1]
    deepest = np.argwhere(depth == depth.max())
    centre = deepest[np.abs(deepest - deepest.mean(axis=0)).sum(axis=1).argmin()]
    return int(centre[0]), int(centre[1])
