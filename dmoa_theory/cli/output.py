"""Printing and writing answers: JSON to standard output, reports to the terminal, files without a half-written moment."""

from __future__ import annotations

import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dmoa_theory.errors import InputError
from dmoa_theory.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.console import Console

    from dmoa_theory.results import Table

__all__ = [
    "OutFolder", "console", "json_text", "print_json", "print_lines", "print_table", "progress", "write_csv", "write_text",
]  # fmt: skip

_REPORT_WIDTH = 110
#: Characters that are left of a long name where a table is too wide.
_SHORTEST_NAME = 12
#: Columns of words that go over several lines where there is no room.
_WRAPPED = {"verdict", "asks in a layer"}
# Columns of words, which stand to the left.
_WORDS = {*_WRAPPED, "", "at capacity"}
#: Columns of names beside the first.
_NAMES = {"of", "then busiest"}
# The blank between a figure and what it counts.
_FIGURE = re.compile(r"(?<=[0-9,=]) (?=(?:%|±|s|ms|h|k=\d|[KMGT]iB|points|times|per|prompts)\b|%|±)|(?<=±) (?=\d)|(?<=per) ")

_PATH = re.compile(r"\S*/\S+")


def console() -> Console:
    """Where reports are printed: as wide as the terminal, or a fixed width into a file or pipe."""
    from rich.console import Console as RichConsole

    class Console(RichConsole):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # to be dealt with where every verb ends

    return Console(highlight=False, soft_wrap=False) if sys.stdout.isatty() else Console(highlight=False, width=_REPORT_WIDTH)


def print_lines(out: Console, lines: Iterable[str]) -> None:
    """Sentences, wrapped with a hanging indent; a figure is never parted from its unit, nor a path in two."""
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        whole = _PATH.sub(lambda path: path[0].replace("-", "\u2011"), _FIGURE.sub("\u00a0", line.strip()))
        hanging = indent + "  "
        wrapped = textwrap.wrap(whole, out.width, initial_indent=indent, subsequent_indent=hanging, break_long_words=False)
        out.print("\n".join(wrapped).replace("\u00a0", " ").replace("\u2011", "-"), markup=False, soft_wrap=True)


def json_text(document: dict[str, Any], encoding: str = "utf-8") -> str:
    """One JSON object as text; characters that the encoding lacks are escaped."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = json.dumps(document, indent=2, allow_nan=False)
    return text + "\n"


def print_json(document: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json_text(document, sys.stdout.encoding or "utf-8"), end="")


def print_table(out: Console, table: Table) -> None:
    """A table of a result, first column to the left, figures to the right, words to the left; long names give way first."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, title=Text(table.caption, style="bold"), title_justify="left", pad_edge=False)
    widths = [max(map(cell_len, column)) for column in zip(table.heads, *table.rows, strict=True)]
    names = [place for place, head in enumerate(table.heads) if place == 0 or head in _NAMES]
    others = sum(width for place, width in enumerate(widths) if place not in names)
    room = out.width - others - 3 * (len(widths) - 1) - 2  # three blanks between columns, one at either edge
    longest = range(max(widths[place] for place in names), _SHORTEST_NAME, -1)
    most = next((m for m in longest if sum(min(widths[place], m) for place in names) <= room), _SHORTEST_NAME)
    for place, head in enumerate(table.heads):
        words = place == 0 or head in _WORDS
        cut = most if place in names and not _WRAPPED.intersection(table.heads) else None
        drawn.add_column(head, justify="left" if words else "right", no_wrap=head not in _WRAPPED, max_width=cut)
    for row in table.rows:
        style = "bold" if row[-1].startswith("RECOMMENDED") else "red" if row[-1] == "overloaded" else ""
        drawn.add_row(*(Text(cell) for cell in row), style=style)
    out.print(drawn)


@contextmanager
def progress(message: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on standard error while work goes on; nothing when that is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda fraction: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(message, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction)


def write_text(path: Path, text: str) -> None:
    """Write a file whole: to a temporary name beside it, then renamed.

    Raises
    ------
    InputError
        When it cannot be written there.
    """
    try:
        write_whole(path, text)
    except OSError as error:
        reason = (error.strerror or "unwritable").lower()
        raise InputError("", reason, "a place where a file can be written", file=str(path)) from None


def write_csv(path: Path, records: list[dict[str, Any]]) -> None:
    """Records as CSV; an infinite number stands as inf."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_text(path, text.getvalue())


class OutFolder:
    """The folder of ``--out``, made if it is not there, and the names of what was written into it.

    Parameters
    ----------
    name : str

    Raises
    ------
    InputError
        When it cannot be a folder, or cannot be written to; by its methods, when a file cannot be written or removed.
    """

    #: The folder of the verb that runs, to be told what is in it when somebody interrupts the verb.
    latest: ClassVar[OutFolder | None] = None

    def __init__(self, name: str) -> None:
        self.path = Path(name)
        self.written: list[str] = []
        try:
            if not name.strip():
                raise OSError("no name")
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError:
            place = self.path if name.strip() else name
            raise InputError("--out", place, "a folder, or a place where one can be made") from None
        if not os.access(self.path, os.W_OK):
            raise InputError("--out", self.path, "a folder that can be written to")
        OutFolder.latest = self

    def add(self, name: str) -> Path:
        """Where a file of that name goes, which somebody else writes."""
        self.written.append(name)
        return self.path / name

    def text(self, name: str, text: str) -> None:
        """Write text."""
        write_text(self.path / name, text)
        self.add(name)

    def document(self, name: str, document: dict[str, Any]) -> None:
        """Write what --json prints."""
        self.text(name, json_text(document))

    def table(self, name: str, records: list[dict[str, Any]]) -> None:
        """Write records as CSV."""
        write_csv(self.path / name, records)
        self.add(name)

    def picture(self, name: str, drawn: Figure | Axes) -> None:
        """Write a picture."""
        from dmoa_theory.plots.style import save

        save(drawn, self.path / name)
        self.add(name)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files that an earlier run left, where they are there."""
        for name in names:
            path = self.path / name
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                reason = (error.strerror or "not removable").lower()
                raise InputError("", reason, "a file of an earlier run that can be removed", file=str(path)) from None

    def __str__(self) -> str:
        """What a report ends with."""
        return f"Written to {self.path}: {', '.join(self.written)}."
