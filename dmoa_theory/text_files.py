"""Read text files that users name: one line says what is wrong with the file, and which one was perhaps meant."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from dmoa_theory.errors import InputError

__all__ = ["csv_rows", "delimiter_of", "read_text", "refuse_workbook", "suggestion"]

#: How files of spreadsheet programs begin, whatever their name says.
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def read_text(path: Path, *, content: str, error: type[InputError] = InputError) -> str:
    """Read a file as UTF-8, with or without a byte-order mark.

    Parameters
    ----------
    path : Path
    content : str
        What the file should hold, for the complaint about an empty one.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        One line: no regular file, none of this name (a similar one is suggested), not readable, empty, not UTF-8.

    Examples
    --------
    >>> read_text(Path("nowhere/office.csv"), content="a trace")
    Traceback (most recent call last):
    dmoa_theory.errors.InputError: nowhere/office.csv: no such file: the path of an existing file
    """
    file = str(path)
    if os.path.lexists(path) and not os.path.isfile(path):  # a pipe would be waited for without end
        raise error("", "a folder" if os.path.isdir(path) else "not a regular file", "the path of a file", file=file)
    refuse_workbook(path, error=error)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise error("", "no such file", f"the path of an existing file{suggestion(path)}", file=file) from None
    except (OSError, ValueError) as failure:  # ValueError: a name that no file can have
        reason = getattr(failure, "strerror", None) or failure
        raise error("", reason, "a file that can be read", file=file) from None
    if not data.strip():
        raise error("", "an empty file", content, file=file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        raise error(f"line {line}", f"byte 0x{data[failure.start]:02x}", "text in UTF-8", file=file) from None


def refuse_workbook(path: Path, wanted: str = "", *, error: type[InputError] = InputError) -> None:
    """Say of a file of a spreadsheet program, which is not text, how to save one that is; other files pass.

    Parameters
    ----------
    path : Path
    wanted : str
        What is read instead, besides CSV.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        When the file begins as workbooks do.
    """
    try:
        with open(path if path.is_file() else os.devnull, "rb") as stream:  # a pipe would be waited for without end
            begins = stream.read(4)
    except (OSError, ValueError):  # whoever reads it will say why
        return
    if begins in _WORKBOOKS:
        allowed = f"text: save it as CSV (in the spreadsheet program: File, Save as, CSV UTF-8){wanted}"
        raise error("", "an Excel workbook or a zip file", allowed, file=str(path))


def suggestion(path: Path) -> str:
    """The end of a complaint about a missing file: ``"; did you mean ...?"``, or nothing.

    Names are compared without the extension, among files of the same one; all extensions where the path has none.

    Examples
    --------
    >>> suggestion(Path("nowhere/office.toml"))
    ''
    """
    try:
        there = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return ""
    alike = {Path(name).stem: name for name in there if path.suffix in ("", Path(name).suffix)}
    near = get_close_matches(path.stem, alike, n=1)
    return f"; did you mean {alike[near[0]]}?" if near else ""


def delimiter_of(text: str) -> str:
    r"""What separates the cells of a CSV: spreadsheets write commas, semicolons or tabs; the first line tells which.

    Examples
    --------
    >>> delimiter_of("seconds;device\n2;a,b\n")
    ';'
    """
    first_line = text.lstrip().partition("\n")[0]
    return next((mark for mark in ",;\t" if mark in first_line), ",")


def csv_rows(text: str, *, file: str, error: type[InputError] = InputError) -> Iterator[tuple[int, list[str]]]:
    r"""Line numbers and stripped cells of a CSV, the header among them, blank lines left out.

    Parameters
    ----------
    text : str
    file : str
        For complaints.
    error : type of InputError
        What to raise.

    Raises
    ------
    InputError
        When a quote is not closed.

    Examples
    --------
    >>> list(csv_rows("time; user\n\n1.5; a\n", file="log.csv"))
    [(1, ['time', 'user']), (3, ['1.5', 'a'])]
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True, delimiter=delimiter_of(text))
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error as failure:
        raise error(f"line {reader.line_num}", failure, "comma-separated values with closed quotes", file=file) from None
