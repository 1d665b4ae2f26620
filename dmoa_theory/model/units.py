"""Read amounts that people write with a unit, such as ``"24 GiB"`` or ``"2 MB/s"``, and write them back."""

from __future__ import annotations

import math
import re

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST

__all__ = ["parse_byte_rate", "parse_bytes", "show_bytes"]

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
_AMOUNT = re.compile(r"\s*([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]+)\s*")


def parse_bytes(field: str, value: object) -> float:
    """An amount of memory in bytes: a number of bytes, or text with a unit.

    Raises
    ------
    InputError
        When the number or the unit cannot be read.

    Examples
    --------
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
        alike = [known for known in _FACTOR if known.lower() == unit.lower()]
        raise InputError(field, value, f"did you mean {alike[0]}? {allowed}" if alike else allowed)
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


def show_bytes(amount: float) -> str:
    """Bytes to three digits, in the unit that leaves one to three of them before the point.

    Examples
    --------
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
