"""How well fitted surfaces predict a figure that they have not seen, beside the plainest guess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable
from dmoa_theory.accuracy.shapes import SHAPES, shapes_for
from dmoa_theory.accuracy.surface import fit_surface
from dmoa_theory.accuracy.table import bundled_tables, read_tables
from dmoa_theory.errors import InputError
from dmoa_theory.results import Table

__all__ = ["HeldOut", "bundled_surfaces", "held_out_table", "leave_one_out", "root_mean_square"]

#: A guess at a figure needs two others of its table, of which a level and a gain can be known.
_LEAST = 3
#: What the plainest guess goes by, and the average over shapes.
MEAN, AVERAGE = "mean of the others", "average"


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """One figure, predicted from all the others.

    Attributes
    ----------
    table : str
    M, k : int
    accuracy : float
        As measured.
    predicted : dict
        By shape, by their average ("average"), and by "mean of the others" of its table.
    """

    table: str
    M: int
    k: int
    accuracy: float
    predicted: dict[str, float]


def bundled_surfaces() -> tuple[AccuracyTable, ...]:
    """The bundled tables with three configurations or more, of which a surface says something."""
    tables = [table for name in bundled_tables() for table in read_tables(name)]
    return tuple(table for table in tables if len(table.entries) >= _LEAST)


def leave_one_out(
    tables: Sequence[AccuracyTable] | None = None, shapes: Sequence[str] | None = None, *, draws: int = 400
) -> tuple[HeldOut, ...]:
    """Predict each figure from all the others; fits are approximations.

    A figure that stands in several tables, such as that of one model alone, is left out of all of them.

    Parameters
    ----------
    tables : sequence of AccuracyTable, optional
        Fitted together, with one shape; those with fewer than three configurations are left aside. Default the bundled ones.
    shapes : sequence of str, optional
        Default all that the data can bear.
    draws : int
        Behind the weights of the average.

    Returns
    -------
    tuple of HeldOut
        One a figure.

    Raises
    ------
    InputError
        When no table has three configurations.
    """
    listed = [table for table in (bundled_surfaces() if tables is None else tables) if len(table.entries) >= _LEAST]
    if not listed:
        raise InputError("tables", "none", "a table with three configurations or more")
    names = tuple(shapes or shapes_for(max(len(table.entries) for table in listed)))
    return tuple(
        _hold_out(listed, place, cell, names, draws) for place, table in enumerate(listed) for cell in range(len(table.entries))
    )


def _hold_out(tables: list[AccuracyTable], place: int, cell: int, names: tuple[str, ...], draws: int) -> HeldOut:
    table = tables[place]
    entry = table.entries[cell]
    others = table.only([other for other in range(len(table.entries)) if other != cell])
    left = [others if each is table else _without(each, table.metric, entry) for each in tables]
    fits = [fit_surface(left, name, draws=draws) for name in names]
    predicted = {fit.shape.name: float(fit.most_probable(place, [(entry.M, entry.k)])[0]) for fit in fits}
    evidence = np.array([fit.log_evidence for fit in fits])
    weights = np.exp(evidence - evidence.max())
    predicted[AVERAGE] = float(weights @ np.array(list(predicted.values())) / weights.sum())
    predicted[MEAN] = float(others.accuracy.mean())
    return HeldOut(table=table.name, M=entry.M, k=entry.k, accuracy=entry.accuracy, predicted=predicted)


def _without(table: AccuracyTable, metric: str, figure: AccuracyEntry) -> AccuracyTable:
    """The table without a figure that is known from another: the same (M, k), value, prompts and metric."""
    said = (figure.M, figure.k, figure.accuracy, figure.n_eval)
    keep = [place for place, each in enumerate(table.entries) if (each.M, each.k, each.accuracy, each.n_eval) != said]
    if table.metric != metric or len(keep) == len(table.entries):
        return table
    return table.only(keep)


def root_mean_square(held: Sequence[HeldOut], by: str) -> float:
    """Root of the mean squared error of one way to predict (a key of ``predicted``)."""
    return float(np.sqrt(np.mean([(each.predicted[by] - each.accuracy) ** 2 for each in held])))


def held_out_table(held: Sequence[HeldOut]) -> Table:
    """Leave-one-out errors in points, a row a table and one for all, a column a way to predict.

    Parameters
    ----------
    held : sequence of HeldOut
    """
    ways = [way for way in (*SHAPES, AVERAGE, MEAN) if way in held[0].predicted]
    names = dict.fromkeys(each.table for each in held)
    parts = [(name, [each for each in held if each.table == name]) for name in names]
    parts += [("all", list(held)), ("all with M >= 1", [each for each in held if each.M > 0])]
    rows = [(name, str(len(part)), *(f"{100 * root_mean_square(part, way):.1f}" for way in ways)) for name, part in parts]
    return Table("leave-one-out error, points (root mean square)", ("table", "figures", *ways), tuple(rows))
