"""The guides to measuring, followed command by command, with toy models and small budgets."""

from __future__ import annotations

from pathlib import Path

from pages import Reader

GROUP = "measuring"


def test_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(page)
