"""What every importer makes of a file: timings or spans, what they were taken on, and what the file does not say."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_theory.errors import InputError

__all__ = ["Results", "Span", "documents", "number", "refuse", "whole"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A timed stretch of one kind: reading ``n`` tokens at once, or making ``n`` steps, after ``depth`` tokens of context."""

    reading: bool
    depth: int
    n: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What a file of another program's measurements says.

    Parameters
    ----------
    file : str
        Its name.
    tool : str
        The program that wrote it, with its version where the file says so.
    model : str
        The model, as the file calls it.
    backend : str
        The engine that was timed.
    created : str or None
        When, ISO 8601 with time zone.
    timings : tuple of Timing
        Whole inferences, in the order of the file.
    spans : tuple of Span
        Or stretches of them.
    facts : mapping of str to value
        What else the file says of hardware, runtime and model: keys of a profile's parts.
    lacking : tuple of str
        What it does not say, in words for the verdict.
    """

    file: str
    tool: str
    model: str
    backend: str
    created: str | None = None
    timings: tuple[Timing, ...] = ()
    spans: tuple[Span, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    lacking: tuple[str, ...] = ()


def documents(path: Path) -> list[Any]:
    """The JSON values in a file, one after the other: a single one, or one a line as some programs append them.

    Raises
    ------
    InputError
        When the file cannot be read, or is not JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError("", InputError.MISSING, "there is no such file", file=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError("", InputError.MISSING, f"cannot be read ({reason.lower()})", file=str(path)) from None
    decoder = json.JSONDecoder()
    found, place, end = [], 0, len(text)
    try:
        while place < end:
            if text[place].isspace():
                place += 1
                continue
            value, place = decoder.raw_decode(text, place)
            found.append(value)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError("", f"not JSON ({reason})", "JSON, or JSON lines, as the program wrote it", file=str(path)) from None
    if not found:
        raise InputError("", "an empty file", "JSON, or JSON lines, as the program wrote it", file=str(path))
    return found


def refuse(file: str, reason: str) -> InputError:
    """A whole file that cannot be used, and why."""
    return InputError("", InputError.MISSING, reason, file=file)


def number(entry: Mapping[str, Any], key: str, where: str, file: str, *, least: float = 0.0) -> float:
    """A finite number of an entry, ``least`` or more.

    Raises
    ------
    InputError
        Where it is missing or something else.
    """
    value = entry.get(key, InputError.MISSING)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
        raise InputError(f"{where}.{key}".lstrip("."), value, f"a number, {least:g} or more", file=file)
    return float(value)


def whole(entry: Mapping[str, Any], key: str, where: str, file: str, *, least: int = 0) -> int:
    """A whole number of an entry, ``least`` or more; refusals as :func:`number`."""
    value = number(entry, key, where, file, least=least)
    if value != int(value):
        raise InputError(f"{where}.{key}".lstrip("."), value, f"a whole number, {least} or more", file=file)
    return int(value)
