"""What every result can do: print itself as a short table, show itself in a notebook, become a frame or JSON.

A result says where its figures come from (``source``): exact, bound, approximation, simulated or measured.
"""

from __future__ import annotations

import html
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dmoa_theory import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Result", "Source", "Table", "jsonable"]


class Source(StrEnum):
    """Where a figure comes from."""

    EXACT = "exact"
    BOUND = "bound"
    APPROXIMATION = "approximation"
    SIMULATED = "simulated"
    MEASURED = "measured"


@dataclass(frozen=True, slots=True)
class Table:
    """A caption, column heads and rows of text."""

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __str__(self) -> str:
        """Plain text, columns aligned: the first to the left, the others to the right."""
        cells = (self.heads, *self.rows)
        widths = [max(len(row[c]) for row in cells) for c in range(len(self.heads))]
        lines = [
            "  ".join(
                cell.ljust(width) if c == 0 else cell.rjust(width)
                for c, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in cells
        ]
        return "\n".join([self.caption, *(line.rstrip() for line in lines)])

    def to_html(self) -> str:
        """An HTML table."""

        def row(cells: tuple[str, ...], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows)
        return f"<table><caption>{html.escape(self.caption)}</caption>{row(self.heads, 'th')}{body}</table>"

    def _repr_html_(self) -> str:
        return self.to_html()


class Result(ABC):
    """Base of every result object."""

    __slots__ = ()

    #: Name in the JSON contract, such as ``"region"``.
    verb: ClassVar[str]

    @property
    @abstractmethod
    def source(self) -> Source:
        """Where the figures come from."""

    @abstractmethod
    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract, values still as numpy or floats."""

    @abstractmethod
    def table(self) -> Table:
        """The result as a short table."""

    def to_dict(self) -> dict[str, Any]:
        """What ``--json`` prints: schema, package version, source, and the keys of the verb; no NaN, no infinity."""
        head = {"schema": f"dmoa/{self.verb}/1", "version": __version__, "source": self.source.value}
        return {**head, **jsonable(self.payload())}

    @abstractmethod
    def records(self) -> list[dict[str, Any]]:
        """One row a device, user or configuration: plain numbers, units in the names of the columns."""

    def to_frame(self) -> pd.DataFrame:
        """The records as a pandas frame."""
        import pandas as pd

        return pd.DataFrame(self.records())

    def __repr__(self) -> str:
        """The short table."""
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table().to_html()


def jsonable(value: Any) -> Any:
    """Plain JSON types; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, StrEnum):
        return value.value
    return value
