"""Property tests: what they are asked does not depend on what else has run in the same process."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def _examples() -> list[int]:
    seen: list[int] = []

    @settings(max_examples=200)
    @given(st.integers())
    def note(number: int) -> None:
        seen.append(number)

    note()
    return seen


def test_examples_are_the_same_whatever_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files go to whichever worker is free, so what a worker has imported by then is a matter of chance."""
    before = _examples()
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = {[7919 * n for n in range(300)]}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("full_of_numbers")
    assert _examples() == before
