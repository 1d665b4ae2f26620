"""``dmoa reproduce``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from dmoa_paper_figures.reproduction import Reproduction

__all__ = ["reproduce"]

_SEED = 2024


def reproduce(
    *item: Annotated[str, Parameter(help="What to reproduce, such as table-1; default everything. --list names all.")],
    quick: Annotated[bool, Parameter(negative="", help="Fewer runs: the same steps, wider intervals, half a minute.")] = False,
    seed: Annotated[int, WHOLE, Parameter(help="Same seed, same figures.")] = _SEED,
    list_items: Annotated[bool, Parameter(name="--list", negative="", help="Name the items, and stop.")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[
        str | None, Parameter(help="Folder for the report, its pictures and tables; made if it is not there.")
    ] = None,
) -> int:
    """The paper's figures, tables and formulas, ours beside theirs, and what lies beyond."""
    from dmoa_paper_figures.registry import ITEMS
    from dmoa_paper_figures.reproduction import reproduce_items
    from dmoa_paper_figures.settings import Settings

    if list_items:
        width = max(map(len, ITEMS))
        print("\n".join(f"{name.ljust(width)}  {known.title}" for name, known in ITEMS.items()))
        return 0
    if seed < 0:
        raise InputError("--seed", seed, "a whole number, 0 or more")
    place = None if out is None else OutFolder(out)  # before minutes of work, not after
    with _steps() as tell:
        result = reproduce_items(item, Settings(quick=quick, seed=seed), progress=tell)
    if place is not None:
        _write(result, place)
    if json:
        print_json(result.to_dict())
    else:
        _report(result, console())
        if place is not None:
            print_lines(console(), [str(place)])
    return 0


@contextmanager
def _steps() -> Iterator[Callable[[float, str], None]]:
    """A progress bar on standard error that names the item at work; nothing when that is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda fraction, title: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}")
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda fraction, title: bar.update(task, completed=fraction, description=title)


def _write(result: Reproduction, place: OutFolder) -> None:
    from dmoa_paper_figures.report import draw_pictures, write_report

    place.document("reproduce.json", result.to_dict())
    if result.rows:
        place.table("reproduce.csv", result.records())
    for _ in draw_pictures(result.outcomes, place.path / "figures"):
        pass
    write_report(result, place.path)
    place.written += ["report.html", "report.md", "figures"]


def _report(result: Reproduction, out: Console) -> None:
    for item, outcome, seconds in zip(result.items, result.outcomes, result.seconds, strict=True):
        print_lines(out, [f"{item.title} ({seconds:.1f} s)"])
        for table in outcome.tables:
            print_table(out, table)
        print_lines(out, [f"  {finding}" for finding in outcome.findings])
        print_lines(out, [f"  Not reproduced: {reason}" for reason in outcome.not_reproduced])
        print_lines(out, [""])
