"""Times with units, as people write them."""

from __future__ import annotations

import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.units import parse_seconds


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
