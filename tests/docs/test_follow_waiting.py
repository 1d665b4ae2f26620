"""The guides to latency, failures and overload, followed command by command."""

from __future__ import annotations

from pathlib import Path

from pages import Reader

GROUP = "waiting"


def test_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(page)
