"""Lists of devices in one option: names may hold commas, and "=" behind them is no part of the name."""

from __future__ import annotations

import pytest

from dmoa_theory import Network
from dmoa_theory.cli.names import split_names
from dmoa_theory.errors import InputError

NETWORK = Network.from_links(4, [0], [1], names=("a", "b,c", "left, right", "=x"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        (" a , 3 ,, ", ["a", "3"]),
        ("b,c", ["b,c"]),
        ("b, c,a", ["b,c", "a"]),
        ("a,left,right,b,c", ["a", "left, right", "b,c"]),
        ("left", ["left"]),
        ("right,left", ["right", "left"]),
        ("", []),
    ],
)
def test_a_comma_in_a_name_does_not_part(text: str, parts: list[str]) -> None:
    assert split_names(text, NETWORK, field="--lose") == parts


def test_what_stands_behind_a_name_stays_with_it() -> None:
    ends = r"\s*=\s*[^,=]*"
    assert split_names("b,c=0.1,left, right = 2,a=3,=x", NETWORK, field="--d", ends=ends) == [
        "b,c=0.1",
        "left, right = 2",
        "a=3",
        "=x",
    ]


def test_two_readings_are_refused() -> None:
    network = Network.from_links(3, [0], [1], names=("a", "b", "a,b"))
    with pytest.raises(
        InputError, match=r'^--lose = a,b: one reading: it may begin a list with "a" or "a,b"; give device numbers'
    ):
        split_names("a,b", network, field="--lose")
    assert split_names("b,a", network, field="--lose") == ["b", "a"]
