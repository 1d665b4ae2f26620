"""Times with units, as people write them."""

from __future__ import annotations

import re

import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.units import parse_rate, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60", 60),
        ("60 s", 60),
        ("1.5 min", 90),
        ("10min", 600),
        (" 2 h ", 7200),
        ("800 ms", 0.8),
        ("1 hour", 3600),
        ("2 hours", 7200),
        ("5 minutes", 300),
        ("90 seconds", 90),
        ("1e3", 1000),
        (17, 17),
        (0.25, 0.25),
    ],
)
def test_times(text: object, seconds: float) -> None:
    assert parse_seconds("limit", text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "0", "-3 s", "5 days", "1 Min", "inf", "nan", "1e300 h", True, None, float("inf")]
)
def test_what_is_no_time(text: object) -> None:
    """One line that names the field and says what is allowed."""
    with pytest.raises(InputError, match=r'limit = .*a time above 0: seconds as a number, or text such as "1.5 min"'):
        parse_seconds("limit", text)


@pytest.mark.parametrize(("text", "seconds"), [("0 ms", 0), ("10 ms", 0.01), (0, 0), (".5 h", 1800)])
def test_times_of_links_may_be_nothing(text: object, seconds: float) -> None:
    assert parse_seconds("delay", text, zero=True) == seconds


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5 Min", "min"),
        ("5 MS", "ms"),
        ("5 Hours", "hours"),
        ("5 mins", "min"),
        ("5 hrs", "h"),
        ("5 msec", "ms"),
        ("5 us", "ms"),
    ],
)
def test_units_of_time_in_the_wrong_case_are_guessed_but_not_taken(text: str, meant: str) -> None:
    with pytest.raises(InputError, match=f"did you mean {meant}\\?"):
        parse_seconds("limit", text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("7.2/hour", 0.002),
        ("7.2/h", 0.002),
        (" 7.2 / hour ", 0.002),
        ("0.12/min", 0.002),
        ("0.12/minute", 0.002),
        ("172.8/day", 0.002),
        ("172.8/d", 0.002),
        ("2e-3/s", 0.002),
        (".002/second", 0.002),
        ("0/hour", 0),
        (0.002, 0.002),
        (3, 3),
    ],
)
def test_rates(text: object, rate: float) -> None:
    """To the last digit: a rate is a number of prompts over a number of seconds."""
    assert parse_rate("rate", text) == rate


@pytest.mark.parametrize(
    "text", ["", "7.2", "/hour", "7.2/", "7.2//hour", "-1/hour", "nan/hour", "1e400/s", "1e-40/day", "7,2/hour", True, None, -1]
)
def test_what_is_no_rate(text: object) -> None:
    with pytest.raises(InputError, match=r'^rate = .*: a rate, 0 or more: prompts/s as a number, or text such as "7\.2/hour"'):
        parse_rate("rate", text)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("7.2 per hour", '"7.2/hour"'),
        ("7.2/Hour", "hour"),
        ("2 per minute", '"2/minute"'),
        ("1/MIN", "min"),
        ("1/hr", "h"),
        ("1/hours", "hour"),
    ],
)
def test_a_rate_that_is_nearly_one(text: str, meant: str) -> None:
    """As reports print it, or in the wrong case."""
    with pytest.raises(InputError, match=re.escape(f"did you mean {meant}? a rate")):
        parse_rate("rate", text)
