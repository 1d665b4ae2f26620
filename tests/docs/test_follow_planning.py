"""The guides to planning, followed command by command."""

from __future__ import annotations

from pathlib import Path

from pages import Reader

GROUP = "planning"


def test_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(page)
