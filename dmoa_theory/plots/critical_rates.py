"""How far the rates of a graph family reach, against its size and against the number of neighbours that are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.artist import Artist
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from dmoa_theory.plots.scales import grid_lines, legend_below, linear_scale, pin_ticks
from dmoa_theory.plots.style import INK, PALETTE, house_style, new_axes, new_figure
from dmoa_theory.plots.text import heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dmoa_theory.model.checks import FloatArray, IntArray
    from dmoa_theory.stability.family_curves import CriticalCurves

__all__ = ["plot_critical_curves", "plot_rate_by_k", "plot_rate_by_size"]

#: The k and the sizes that get a line; more could not be told apart.
_SHOWN_K, _MOST_SIZES = (0, 1, 2, 4, 8), 4
_MARKS = "osD^vPX"
_RATE = "largest rate of every user × mean service time"


def plot_critical_curves(curves: CriticalCurves, formula: FloatArray | None = None, *, approximate: bool = False) -> Figure:
    """Draw both: the largest rate against the size of the family, and against k.

    Parameters
    ----------
    curves : CriticalCurves
    formula : ndarray, shape of ``curves.rate``, optional
        What a formula says, drawn as lines below the marks of the networks.
    approximate : bool
        Whether the formula is an approximation.

    Returns
    -------
    Figure

    Examples
    --------
    >>> from dmoa_theory.plots.critical_rates import plot_critical_curves
    >>> from dmoa_theory.stability.family_curves import critical_curves
    >>> len(plot_critical_curves(critical_curves("star")).axes)
    2
    """
    with house_style():
        figure = new_figure(10.5, 4.6)
        left, right = figure.subplots(1, 2, sharey=True)
        plot_rate_by_size(curves, formula, approximate=approximate, ax=left)
        plot_rate_by_k(curves, formula, approximate=approximate, ax=right)
        right.set_ylabel("")
        return figure


def plot_rate_by_size(
    curves: CriticalCurves, formula: FloatArray | None = None, *, approximate: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the largest rate of every user against the size of the family, a line for some k.

    Parameters
    ----------
    curves : CriticalCurves
    formula : ndarray, shape of ``curves.rate``, optional
    approximate : bool
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        axes = ax if ax is not None else new_axes(5.8, 4.4)
        shown = curves.ks if curves.ks.size <= len(_SHOWN_K) else np.intersect1d(curves.ks, _SHOWN_K)
        columns = np.searchsorted(curves.ks, shown).tolist()
        names = [f"k = {k}" for k in shown.tolist()]
        lines = [(curves.sizes, curves.rate[:, c], None if formula is None else formula[:, c]) for c in columns]
        _draw(axes, lines, names, with_formula=formula is not None, approximate=approximate)
        _finish(axes, curves, "As the network grows", curves.growing.axis, approximate=approximate)
        return axes


def plot_rate_by_k(
    curves: CriticalCurves, formula: FloatArray | None = None, *, approximate: bool = False, ax: Axes | None = None
) -> Axes:
    """Draw the largest rate of every user against k, a line for some sizes; one where the size does not matter.

    Parameters
    ----------
    curves : CriticalCurves
    formula : ndarray, shape of ``curves.rate``, optional
    approximate : bool
    ax : Axes, optional
        Where to draw; default a new figure of its own.

    Returns
    -------
    Axes
    """
    with house_style():
        axes = ax if ax is not None else new_axes(5.8, 4.4)
        rows, symbol = _rows(curves), curves.growing.symbol
        names = [f"{symbol} = {curves.sizes[r]}" for r in rows]
        if len(rows) == 1:
            names = ["every size with so many neighbours"]
        lines = [(curves.ks, curves.rate[r], None if formula is None else formula[r]) for r in rows]
        _draw(axes, lines, names, with_formula=formula is not None, approximate=approximate)
        _finish(axes, curves, "As more neighbours are asked", "neighbours asked in a layer k", approximate=approximate)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
        return axes


def _rows(curves: CriticalCurves) -> list[int]:
    """Sizes to draw: spread over all, or the one with most neighbours where the size changes nothing."""
    known = ~np.isnan(curves.rate)
    widest = int(known.sum(axis=1).argmax())
    same = np.isclose(curves.rate, curves.rate[widest], rtol=1e-9) | ~known
    if same.all():
        return [widest]
    spread = np.linspace(0, curves.sizes.size - 1, min(_MOST_SIZES, curves.sizes.size))
    return list(dict.fromkeys(np.rint(spread).astype(int).tolist()))


def _draw(
    axes: Axes,
    lines: list[tuple[IntArray, FloatArray, FloatArray | None]],
    names: list[str],
    *,
    with_formula: bool,
    approximate: bool,
) -> None:
    pin_ticks(axes)
    handles: list[Artist] = []
    style: tuple[float, Sequence[float]] | None = (0, (5, 2.5)) if approximate else None
    for place, ((at, rate, line), name) in enumerate(zip(lines, names, strict=True)):
        colour, mark = PALETTE[place], _MARKS[place]
        known = ~np.isnan(rate)
        drawn = (rate if line is None else line)[known]
        axes.add_line(Line2D(at[known], drawn, color=colour, linestyle=style, linewidth=1.6, zorder=3))
        axes.plot(
            at[known], rate[known], mark, color=colour, markersize=5.5, markeredgecolor="white", markeredgewidth=0.8, zorder=4
        )
        handles.append(Line2D([], [], color=colour, marker=mark, markersize=5.5, linewidth=2.4, label=name))
    if with_formula:
        label = "formula (approximation)" if approximate else "formula"
        handles.append(Line2D([], [], color=INK, linestyle=style, linewidth=1.6, label=label))
    handles.append(Line2D([], [], color=INK, marker="o", linestyle="none", markersize=5.5, label="loads of the network"))
    legend_below(axes, handles)


def _finish(axes: Axes, curves: CriticalCurves, title: str, across: str, *, approximate: bool) -> None:
    family = curves.family.replace("_", "-")
    drawn = "; one graph of each size, and the formula at its largest degree" if approximate else ""
    heading(axes, title, f"{family}; M = {curves.M}, uniform gossip, equal devices and users{drawn}")
    axes.set_ylim(0, 1.06 * float(np.nanmax(curves.rate)))
    linear_scale(axes.xaxis, 8)
    linear_scale(axes.yaxis)
    grid_lines(axes.yaxis)
    axes.set_xlabel(across)
    axes.set_ylabel(_RATE)
