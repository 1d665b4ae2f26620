"""How far latency estimates are from simulation: the systems of the bundled study, by load and by variability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import MultipleLocator

from dmoa_theory.delay.expected_error import KINDS, validation_rows
from dmoa_theory.errors import InputError
from dmoa_theory.plots.scales import grid_lines, pin_ticks
from dmoa_theory.plots.style import INK, house_style, new_figure
from dmoa_theory.plots.text import heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_latency_errors"]

_QUANTITIES = ("mean", "p95")
_METHODS = {"": "dmoa", "independent_": "P-K, independent", "memoryless_": "M/M/1"}
#: Classes of the absolute error, %, from light to dark; the last holds what is larger.
_EDGES = (0, 1, 2, 5, 10, 20, 50, 100)
_COLOURS = ("#D9E8F5", "#A9CFE8", "#6BAED6", "#FDD49E", "#FC8D59", "#D7301F", "#7F0000")


def plot_latency_errors(kind: str = "plain") -> Figure:
    """Draw the error of every system of the validation study: of dmoa's estimate, and of two textbook formulas beside it.

    A row of panels for the mean and one for the 95th percentile, a column a method; a point a system, by the utilisation of its
    busiest device and the SCV of its service times, coloured by the size of the error.

    Parameters
    ----------
    kind : str
        plain, weighted, delay, quorum or mixed.

    Returns
    -------
    Figure

    Raises
    ------
    InputError
        For another kind.
    """
    if kind not in KINDS:
        raise InputError("kind", kind, f"one of {', '.join(KINDS)}")
    rows = [row for row in validation_rows() if row["kind"] == kind]
    load, scv = (np.array([float(row[name]) for row in rows]) for name in ("load", "scv"))
    colours, norm = ListedColormap(_COLOURS), BoundaryNorm(_EDGES, len(_COLOURS))
    with house_style():
        figure = new_figure(9.2, 6.2)
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        for line, quantity in zip(panels, _QUANTITIES, strict=True):
            for axes, (prefix, method) in zip(line, _METHODS.items(), strict=True):
                error = 100 * np.array([float(row[prefix + quantity]) for row in rows])
                order = np.argsort(np.abs(error), kind="stable")  # the largest on top
                size = np.clip(np.abs(error[order]), 0.0, _EDGES[-1] - 1e-9)
                points = axes.scatter(
                    100 * load[order],
                    scv[order],
                    c=size,
                    cmap=colours,
                    norm=norm,
                    s=16,
                    linewidth=0.3,
                    edgecolor=INK,
                    clip_on=False,
                    zorder=3,
                )
                mean, bias = np.abs(error).mean(), error.mean()
                heading(axes, f"{quantity}: {method}", f"typically {mean:.1f} % off, bias {bias:+.1f} %")
                pin_ticks(axes)
                grid_lines(axes.xaxis)
                grid_lines(axes.yaxis)
                axes.xaxis.set_major_locator(MultipleLocator(20))
        for axes in panels[-1]:
            axes.set_xlabel("utilisation of the busiest device (%)")
        for axes in panels[:, 0]:
            axes.set_ylabel("SCV of service times")
        bar = figure.colorbar(points, ax=panels, shrink=0.7, aspect=30, pad=0.02)
        bar.set_label("error against simulation, absolute (%)")
        bar.set_ticks(list(_EDGES), labels=[*map(str, _EDGES[:-1]), "more"])
        bar.outline.set_visible(False)
        return figure
