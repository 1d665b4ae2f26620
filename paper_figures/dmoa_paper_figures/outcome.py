"""What reproducing one item yields: figures beside published ones, how they were found, what stays out of reach, pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Check", "Formula", "Outcome", "Picture", "Row"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One published figure of Table I or II beside ours.

    Attributes
    ----------
    item, table : str
    M, k : int
    quantity : str
        ``"latency"`` (s) or ``"queue"``, the published "average queue size".
    published : float
    reproduced : float
        Mean over simulated runs, with service times estimated from the whole table.
    ci95 : float
        Half width of its interval over runs.
    run_deviation : float
        Standard deviation of a single run; the published figure is one.
    share_below : float
        Share of simulated runs below the published figure.
    predicted : float
        The same figure with service times estimated from the other six rows.
    predicted_deviation : float
        Of a single run about the prediction, with the uncertainty of the estimate; relative, as of a logarithm.
    time_average : float or None
        For queues: the usual time-average number waiting of the same runs.
    """

    item: str
    table: str
    M: int
    k: int
    quantity: str
    published: float
    reproduced: float
    ci95: float
    run_deviation: float
    share_below: float
    predicted: float
    predicted_deviation: float
    time_average: float | None = None

    @property
    def difference(self) -> float:
        """Reproduced less published, relative to the published figure."""
        return self.reproduced / self.published - 1

    @property
    def predicted_difference(self) -> float:
        """Predicted less published, relative to the published figure."""
        return self.predicted / self.published - 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "item": self.item,
            "table": self.table,
            "M": self.M,
            "k": self.k,
            "quantity": self.quantity,
            "unit": "s" if self.quantity == "latency" else "queries",
            "published": self.published,
            "reproduced": self.reproduced,
            "difference": self.difference,
            "ci95": self.ci95,
            "run_deviation": self.run_deviation,
            "share_below": self.share_below,
            "predicted": self.predicted,
            "predicted_difference": self.predicted_difference,
            "predicted_deviation": self.predicted_deviation,
            "time_average": self.time_average,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure beside what it should be.

    Attributes
    ----------
    quantity : str
        What, and of which system.
    unit : str
        Empty for plain numbers.
    expected : float or None
        None where nothing is said of it.
    reproduced : float
    ci95 : float or None
        Half width of its interval; None for what is not random.
    against : str
        Where ``expected`` comes from.
    """

    quantity: str
    unit: str
    expected: float | None
    reproduced: float
    ci95: float | None
    against: str

    @property
    def difference(self) -> float | None:
        """Reproduced less expected, relative to the expected figure; None where that is 0 or missing."""
        return None if not self.expected else self.reproduced / self.expected - 1

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "quantity": self.quantity,
            "unit": self.unit,
            "expected": self.expected,
            "reproduced": self.reproduced,
            "difference": self.difference,
            "ci95": self.ci95,
            "against": self.against,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Formula:
    """One step of a derivation: why, and the equation as LaTeX and as plain text."""

    reason: str
    latex: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that is drawn when it is asked for.

    Attributes
    ----------
    name : str
        Of its files.
    caption : str
        What it shows, in a sentence.
    draw : callable
    """

    name: str
    caption: str
    draw: Callable[[], Figure | Axes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """All that came of one item.

    Attributes
    ----------
    published : str
        What the paper says or shows.
    how : tuple of str
        How ours was obtained.
    findings : tuple of str
        What came out, differences explained.
    not_reproduced : tuple of str
        What cannot be had, and why.
    formulas : tuple of Formula
    tables : tuple of Table
    rows : tuple of Row
        Figures of Tables I and II.
    checks : tuple of Check
        Other figures that have something to be compared with.
    pictures : tuple of Picture
    """

    published: str
    how: tuple[str, ...]
    findings: tuple[str, ...] = ()
    not_reproduced: tuple[str, ...] = ()
    formulas: tuple[Formula, ...] = ()
    tables: tuple[Table, ...] = ()
    rows: tuple[Row, ...] = ()
    checks: tuple[Check, ...] = ()
    pictures: tuple[Picture, ...] = ()
