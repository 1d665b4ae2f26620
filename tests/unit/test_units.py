"""Amounts with units, read and written."""

from __future__ import annotations

import math

import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.units import parse_byte_rate, parse_bytes, show_bytes
from dmoa_theory.quantities import show_rate, show_seconds, show_share


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("24 GiB", 24 * 2**30),
        ("24GiB", 24 * 2**30),
        (" 1.5 MiB ", 1.5 * 2**20),
        (".5 kB", 500),
        ("1e3 B", 1000),
        ("2 GB", 2e9),
        ("1 TB", 1e12),
        ("1 TiB", 2**40),
        ("3 KiB", 3 * 1024),
        ("0 B", 0),
        (17, 17),
        (1.5, 1.5),
        (0, 0),
    ],
)
def test_amounts(text: object, amount: float) -> None:
    assert parse_bytes("memory", text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "24",
        "GiB",
        "",
        "24 GiBs",
        "-1 GiB",
        "1,5 GiB",
        "1 GiB/s",
        "1e400 GiB",
        "nan GiB",
        -1,
        math.nan,
        math.inf,
        True,
        None,
        [],
    ],
)
def test_what_is_no_amount(text: object) -> None:
    with pytest.raises(InputError, match=r'^memory = .*: bytes as a number, or text such as "24 GiB" \(units: B, kB, '):
        parse_bytes("memory", text)


def test_whole_numbers_past_the_largest_float() -> None:
    with pytest.raises(InputError):
        parse_bytes("memory", 10**400)


@pytest.mark.parametrize(("text", "meant"), [("24 gib", "GiB"), ("1 KB", "kB"), ("1 mb", "MB"), ("1 b", "B")])
def test_units_in_the_wrong_case_are_guessed_but_not_taken(text: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {meant}\\?"):
        parse_bytes("memory", text)


@pytest.mark.parametrize(("text", "rate"), [("2 MB/s", 2e6), ("2 MB / s", 2e6), ("1.5 KiB/s", 1536), (1000, 1000.0)])
def test_rates(text: object, rate: float) -> None:
    assert parse_byte_rate("link_rate", text) == rate


@pytest.mark.parametrize("text", ["2 MB", "2 MB/h", "MB/s", "0 MB/s", 0, -1, "2 mb/s", "2/s", True, math.inf, 10**400])
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(InputError, match=r"^link_rate = .*: bytes per second as a number above 0, or text such as"):
        parse_byte_rate("link_rate", text)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "0.977 KiB"),
        (1536, "1.5 KiB"),
        (946 * 2**20, "946 MiB"),
        (4 * 2**30, "4 GiB"),
        (2**50, "1.02e+03 TiB"),
        (math.inf, "unbounded"),
        (math.nan, "unbounded"),
    ],
)
def test_amounts_in_words(amount: float, text: str) -> None:
    assert show_bytes(amount) == text


@pytest.mark.parametrize("amount", [1.0, 1234.0, 5e6, 7.7e9, 3e12])
def test_what_is_shown_is_read_back_to_three_digits(amount: float) -> None:
    assert parse_bytes("memory", show_bytes(amount)) == pytest.approx(amount, rel=5e-3)


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (2.0, "2 per second"),
        (0.25, "15 per minute"),
        (0.002, "7.2 per hour"),
        (1e-4, "8.64 per day"),
        (0, "0"),
        (math.inf, "unlimited"),
    ],
)
def test_rates_in_words(rate: float, text: str) -> None:
    assert show_rate(rate) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0042, "4.20 ms"),
        (1.0, "1.00 s"),
        (41.27, "41.3 s"),
        (1234.5, "1234 s"),
        (9999.0, "9999 s"),
        (18000, "5.00 h"),
        (0, "0 ms"),
        (math.inf, "unbounded"),
        (math.nan, "unbounded"),
    ],
)
def test_durations_in_words(seconds: float, text: str) -> None:
    assert show_seconds(seconds) == text


def test_shares_in_words() -> None:
    assert [show_share(x) for x in (0, 0.7314, 1.5, math.nan)] == ["0.0 %", "73.1 %", "150.0 %", "-"]
