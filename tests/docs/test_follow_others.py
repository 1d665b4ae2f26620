"""Every page of docs that no other file follows, followed command by command: new ones come here by themselves."""

from __future__ import annotations

from pathlib import Path

from pages import Reader

GROUP = "others"


def test_page_does_what_it_says(page: Path, reader: Reader) -> None:
    reader.follow(page)
