"""What the paper prints: its two tables, and what is known of the experiment behind them (Mitra2024, section IV)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["ARRIVAL_RATE", "DEVICES", "PROMPTS", "PublishedRow", "configurations", "published_row", "published_table"]

#: Models in the order of the devices of the published code; device 0's is in memory before anything is timed.
DEVICES = ("Qwen1.5-72B", "Llama-3-70B", "Mixtral-8x22B", "dbrx-instruct")
#: Prompts of a run, and the rate at which they arrive over all users, prompts/s.
PROMPTS, ARRIVAL_RATE = 10, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One row of Table I or II: the outcome of a single run of ten prompts.

    Attributes
    ----------
    table : str
        ``"I"`` or ``"II"``.
    M, k : int
    accuracy : float
        From 0 to 1.
    latency : float, s
    queue : float
        The published "average queue size", which is not a time average.
    """

    table: str
    M: int
    k: int
    accuracy: float
    latency: float
    queue: float


@cache
def published_table(table: str) -> tuple[PublishedRow, ...]:
    """Table I (one model on every device) or II (four models), in the order of the paper.

    Parameters
    ----------
    table : str
        ``"I"`` or ``"II"``.

    Examples
    --------
    >>> row = published_table("II")[0]
    >>> row.M, row.k, row.latency
    (0, 0, 409.58)
    """
    text = resources.files("dmoa_paper_figures").joinpath("data/mitra2024.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        PublishedRow(
            table=table,
            M=int(row["M"]),
            k=int(row["k"]),
            accuracy=round(float(row["accuracy"]) / 100, 6),
            latency=float(row["latency"]),
            queue=float(row["queue"]),
        )
        for row in rows
        if row["table"] == table
    )


def configurations() -> tuple[tuple[int, int], ...]:
    """The seven (M, k) of either table, in the order of the paper."""
    return tuple((row.M, row.k) for row in published_table("I"))


def published_row(table: str, M: int, k: int) -> PublishedRow:
    """The row of one configuration.

    Parameters
    ----------
    table : str
    M, k : int
    """
    return next(row for row in published_table(table) if (row.M, row.k) == (M, k))
