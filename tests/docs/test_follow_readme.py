"""The commands of the README, typed one after the other; its other blocks are held to in ``tests/unit/test_readme.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from pages import ROOT, Reader, read_blocks


@pytest.fixture
def page() -> Path:
    return ROOT / "README.md"


def test_commands_of_the_readme(page: Path, reader: Reader) -> None:
    blocks = [block for block in read_blocks(page) if block.language == "sh"]
    assert len(blocks) >= 3
    for block in blocks:
        reader.type_in(block.adapted(), f"README.md, line {block.line}")
    assert (reader.folder / "office" / "plan.png").is_file()
