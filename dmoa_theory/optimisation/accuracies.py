"""What is believed of every user's accuracy in every configuration."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dmoa_theory.accuracy.table import DEFAULT_TABLE, AccuracyTable, read_tables
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System

__all__ = ["Accuracies", "accuracies"]


class Accuracies(NamedTuple):
    """Configurations, and of every user with prompts the expected accuracy and its lower end; shapes (U, C)."""

    configurations: tuple[tuple[int, int], ...]
    expected: FloatArray
    lower: FloatArray
    tables: tuple[AccuracyTable, ...]


def accuracies(system: System, accuracy: str | AccuracyTable | None = None, *, fitted: bool = True) -> Accuracies:
    """Accuracies by user: fitted (failing that, as stated), and one standard deviation lower.

    Parameters
    ----------
    system : System
    accuracy : str or AccuracyTable, optional
        Default the system's own table. Data with a column ``user`` give every user its own; one for all otherwise.
    fitted : bool

    Raises
    ------
    InputError
        When the data are of some users only.
    """
    users = np.flatnonzero(system.rates > 0)
    if isinstance(accuracy, AccuracyTable):
        tables: tuple[AccuracyTable, ...] = (accuracy,)
    else:
        named = accuracy if accuracy is not None else system.accuracy
        tables = read_tables(DEFAULT_TABLE if named is None else named)
    by_user = {table.user: place for place, table in enumerate(tables)}
    if len(tables) == 1:
        which = np.zeros(users.size, dtype=np.int64)
    else:
        which = np.empty(users.size, dtype=np.int64)
        for place, u in enumerate(users.tolist()):
            found = by_user.get(system.network.name(u), by_user.get(str(u)))
            if found is None or len(by_user) < len(tables):
                known = ", ".join(sorted(by_user)) or "none"
                allowed = f"data of every user with prompts, or of one for all; there are: {known}"
                raise InputError("accuracy.table", system.network.name(u), allowed)
            which[place] = found
    configurations = tuple(dict.fromkeys((e.M, e.k) for table in tables for e in table.entries))
    mean, deviation = _beliefs(tables, configurations, fitted)
    expected = mean[which]
    return Accuracies(configurations, expected, np.clip(expected - deviation[which], 0.0, 1.0), tables)


def _beliefs(
    tables: tuple[AccuracyTable, ...], configurations: tuple[tuple[int, int], ...], fitted: bool
) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation of every table (rows) in every configuration."""
    if fitted:
        from dmoa_theory.accuracy.belief import believe_all

        beliefs = believe_all(tables, configurations)
        return np.array([b.mean for b in beliefs]), np.array([b.standard_deviation for b in beliefs])
    mean, deviation = (np.zeros((len(tables), len(configurations))) for _ in range(2))
    for row, table in enumerate(tables):
        for entry in table.entries:
            column = configurations.index((entry.M, entry.k))
            mean[row, column], deviation[row, column] = entry.accuracy, entry.standard_error
    return mean, deviation
