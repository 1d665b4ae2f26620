"""Items reproduced, one after another, as one result."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any, ClassVar

from dmoa_paper_figures.outcome import Outcome, Row
from dmoa_paper_figures.registry import Item, select
from dmoa_paper_figures.settings import Settings
from dmoa_theory import __version__
from dmoa_theory.quantities import show_number
from dmoa_theory.results import Result, Source, Table

__all__ = ["Reproduction", "reproduce_items"]

#: Libraries whose versions may show in the last digits of a figure, or in the pixels of a picture.
_LIBRARIES = ("numpy", "scipy", "numba", "networkx", "sympy", "cvxpy", "matplotlib")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Reproduction(Result):
    """Simulated, and otherwise as each item says: what came of the items asked for.

    Attributes
    ----------
    settings : Settings
    items : tuple of Item
    outcomes : tuple of Outcome
        One an item.
    seconds : tuple of float
        How long each took.
    """

    verb: ClassVar[str] = "reproduce"

    settings: Settings
    items: tuple[Item, ...]
    outcomes: tuple[Outcome, ...]
    seconds: tuple[float, ...]

    @property
    def source(self) -> Source:
        """Tables are simulated."""
        return Source.SIMULATED

    @property
    def rows(self) -> tuple[Row, ...]:
        """Figures of Tables I and II beside ours."""
        return tuple(row for outcome in self.outcomes for row in outcome.rows)

    def outcome(self, name: str) -> Outcome:
        """What came of one item.

        Parameters
        ----------
        name : str
        """
        return next(outcome for item, outcome in zip(self.items, self.outcomes, strict=True) if item.name == name)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "quick": self.settings.quick,
            "seed": self.settings.seed,
            "made_with": made_with(),
            "rows": [row.to_dict() for row in self.rows],
            "items": [
                {
                    "name": item.name,
                    "title": item.title,
                    "of_paper": item.of_paper,
                    "published": outcome.published,
                    "how": outcome.how,
                    "findings": outcome.findings,
                    "not_reproduced": outcome.not_reproduced,
                    "checks": [check.to_dict() for check in outcome.checks],
                    "pictures": [{"name": picture.name, "caption": picture.caption} for picture in outcome.pictures],
                }
                for item, outcome in zip(self.items, self.outcomes, strict=True)
            ],
        }

    def table(self) -> Table:
        """Published and reproduced figures of the tables."""
        return rows_table(self.rows, "Published and reproduced")

    def records(self) -> list[dict[str, Any]]:
        """One row a published figure."""
        return [row.to_dict() for row in self.rows]


def rows_table(rows: Sequence[Row], caption: str) -> Table:
    """Published figures beside ours: fitted to the whole table, and predicted from the other rows.

    Between them stand the standard deviation of one run, and the share of simulated runs below the published figure.

    Parameters
    ----------
    rows : sequence of Row
    caption : str
    """
    heads = ("", "published", "reproduced", "difference", "run ±", "below", "left out", "difference ")
    return Table(
        caption,
        heads,
        tuple(
            (
                f"{row.table}: M={row.M}, k={row.k}, {row.quantity}",
                _figure(row, row.published),
                _figure(row, row.reproduced),
                f"{100 * row.difference:+.1f} %",
                _figure(row, row.run_deviation),
                f"{100 * row.share_below:.0f} %",
                _figure(row, row.predicted),
                f"{100 * row.predicted_difference:+.1f} %",
            )
            for row in rows
        ),
    )


def _figure(row: Row, value: float) -> str:
    return f"{value:,.0f} s" if row.quantity == "latency" else f"{value:.2f}"


def made_with() -> dict[str, str]:
    """Versions of dmoa, Python and the libraries that figures and pictures depend on."""
    versions = {"dmoa": __version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        versions[name] = metadata.version(name)
    return versions


def reproduce_items(
    names: Sequence[str] = (), settings: Settings | None = None, *, progress: Callable[[float, str], None] | None = None
) -> Reproduction:
    """Reproduce items of the paper, or all.

    Parameters
    ----------
    names : sequence of str
        Of :data:`~dmoa_paper_figures.registry.ITEMS`; default all.
    settings : Settings, optional
    progress : callable, optional
        Told the fraction done and the title of the next item.

    Raises
    ------
    InputError
        For a name that is not known.

    Examples
    --------
    >>> reproduce_items(["figure-3"], Settings(quick=True)).outcome("figure-3").pictures[0].name
    'figure-3'
    """
    settings = settings or Settings()
    items, outcomes, seconds = select(names), [], []
    for place, item in enumerate(items):
        if progress is not None:
            progress(place / len(items), item.title)
        began = time.perf_counter()
        outcomes.append(item.reproduce(settings))
        seconds.append(time.perf_counter() - began)
    if progress is not None:
        progress(1.0, "done")
    return Reproduction(settings=settings, items=items, outcomes=tuple(outcomes), seconds=tuple(seconds))


def show(value: float | None, unit: str) -> str:
    """A figure and its unit; a dash where there is none.

    Parameters
    ----------
    value : float or None
    unit : str
    """
    return "-" if value is None else f"{show_number(value)} {unit}".strip()
