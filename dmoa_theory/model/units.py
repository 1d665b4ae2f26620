"""Read amounts that people write with a unit, such as ``"24 GiB"``, ``"2 MB/s"``, ``"10 min"`` or ``"7.2/hour"``."""

from __future__ import annotations

import math
import re
from collections.abc import Collection

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, SMALLEST

__all__ = ["parse_byte_rate", "parse_bytes", "parse_rate", "parse_seconds", "show_bytes"]

_FACTOR = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SECONDS = {
    "": 1.0,
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
}
_PER = {
    **dict.fromkeys(("s", "second"), 1.0),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
}
#: Units as people shorten or spell them elsewhere, and those they stand for.
_MEANT = {
    **dict.fromkeys(("hr", "hrs"), ("h",)),
    "hours": ("hour",),
    **dict.fromkeys(("mins", "minutes"), ("min",)),
    **dict.fromkeys(("secs", "sec", "seconds"), ("s",)),
    **dict.fromkeys(("days",), ("day",)),
    **dict.fromkeys(("msec", "msecs", "millis"), ("ms",)),
}
_NUMBER = r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*"
_AMOUNT = re.compile(_NUMBER + r"([A-Za-z]*)\s*")
_RATE = re.compile(_NUMBER + r"(/|\bper\b)\s*([A-Za-z]+)\s*")


def parse_bytes(field: str, value: object) -> float:
    """An amount of memory in bytes: a number of bytes, or text with a unit.

    Raises
    ------
    InputError
        When the number or the unit cannot be read.

    Examples
    --------
    >>> from dmoa_theory.model.units import parse_bytes
    >>> parse_bytes("memory", "24 GiB") == 24 * 2**30
    True
    """
    allowed = 'bytes as a number, or text such as "24 GiB" (units: ' + ", ".join(_FACTOR) + ")"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value <= LARGEST:
            return float(value)
        raise InputError(field, value, allowed)
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise InputError(field, value, allowed)
    number, unit = found.groups()
    if unit not in _FACTOR:
        raise InputError(field, value, _alike(unit, _FACTOR) + allowed)
    amount = float(number) * _FACTOR[unit]
    if amount > LARGEST:
        raise InputError(field, value, allowed)
    return amount


def parse_byte_rate(field: str, value: object) -> float:
    """A link rate in bytes per second: a number above zero, or text such as ``"2 MB/s"``."""
    allowed = 'bytes per second as a number above 0, or text such as "2 MB/s"'
    text = value
    if isinstance(value, str):
        amount, slash, per = value.partition("/")
        if not slash or per.strip() != "s":
            raise InputError(field, value, allowed)
        text = amount
    try:
        rate = parse_bytes(field, text)
    except InputError:
        raise InputError(field, value, allowed) from None
    if rate == 0:
        raise InputError(field, value, allowed)
    return rate


def parse_seconds(field: str, value: object, *, zero: bool = False) -> float:
    """A time in seconds: a number of seconds, or text such as ``"60"``, ``"1.5 min"`` or ``"2 hours"``.

    Parameters
    ----------
    field : str
        What to call it in a complaint.
    value : object
    zero : bool
        Whether 0 is a time too.

    Raises
    ------
    InputError
        When the number or the unit cannot be read.

    Examples
    --------
    >>> from dmoa_theory.model.units import parse_seconds
    >>> parse_seconds("limit", "1.5 min"), parse_seconds("limit", 60), parse_seconds("limit", "2 hours")
    (90.0, 60.0, 7200.0)
    """
    amount = "a time, 0 or more" if zero else "a time above 0"
    allowed = f'{amount}: seconds as a number, or text such as "1.5 min" (units: ms, s, min, h; seconds, minutes, hours)'
    found = _AMOUNT.fullmatch(str(value))
    if found is None:
        raise InputError(field, value, allowed)
    if found[2] not in _SECONDS:
        raise InputError(field, value, _alike(found[2], _SECONDS) + allowed)
    seconds = float(found[1]) * _SECONDS[found[2]]
    if not (SMALLEST <= seconds <= LARGEST or (zero and seconds == 0)):
        raise InputError(field, value, allowed)
    return seconds


def parse_rate(field: str, value: object) -> float:
    """Prompts per second: a number, or text such as ``"7.2/hour"``.

    Raises
    ------
    InputError
        When the number or the unit of time cannot be read.

    Examples
    --------
    >>> from dmoa_theory.model.units import parse_rate
    >>> parse_rate("rate", "7.2/hour"), parse_rate("rate", "3 / min"), parse_rate("rate", 0.002)
    (0.002, 0.05, 0.002)
    """
    allowed = 'a rate, 0 or more: prompts/s as a number, or text such as "7.2/hour" (/s, /min, /h, /day)'
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return float(value)
    found = _RATE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InputError(field, value, allowed)
    number, per, unit = found.groups()
    if unit not in _PER:
        raise InputError(field, value, _alike(unit, _PER) + allowed)
    if per != "/":
        raise InputError(field, value, f'did you mean "{number}/{unit}"? {allowed}')
    rate = float(number) / _PER[unit]
    if not (SMALLEST <= rate <= LARGEST or rate == 0):
        raise InputError(field, value, allowed)
    return rate


def _alike(unit: str, known: Collection[str]) -> str:
    """The unit that was meant, where only the case of its letters is wrong, or it is another short form."""
    meant = (unit.lower(), *_MEANT.get(unit.lower(), ()))
    if "ms" in known and unit in ("us", "usec"):
        return "did you mean ms? 1 us is 0.001 ms; "
    alike = [each for name in meant for each in known if each.lower() == name]
    return f"did you mean {alike[0]}? " if alike else ""


def show_bytes(amount: float) -> str:
    """Bytes to three digits, in the unit that leaves one to three of them before the point.

    Examples
    --------
    >>> from dmoa_theory.model.units import show_bytes
    >>> show_bytes(1.5 * 2**30), show_bytes(946 * 2**20)
    ('1.5 GiB', '946 MiB')
    """
    if not math.isfinite(amount):
        return "unbounded"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 999.5:
            return f"{amount:.3g} {unit}"
        amount /= 1024
    return f"{amount:.3g} TiB"
