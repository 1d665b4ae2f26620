"""The README keeps its word: its example runs, its table lists the verbs, and its report is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dmoa_theory.cli import VERBS, main

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    for code, said in zip(re.findall(r"```python\n(.*?)```", README, re.DOTALL), ("all prompts", "M=2, k=3"), strict=True):
        exec(compile(code, "README.md", "exec"), {})
        assert said in capsys.readouterr().out


def test_the_table_lists_every_verb() -> None:
    assert re.findall(r"^\| `dmoa (\w+)` \|", README, re.MULTILINE) == list(VERBS)


def test_the_report_is_what_plan_prints(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = re.findall(r"```text\n(.*?)```", README, re.DOTALL)
    assert main(["plan"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    wanted = block.rstrip().splitlines()
    assert printed[: len(wanted)] == wanted


def test_files_and_pictures_it_points_to_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda path: path.stem)
def test_examples_run(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", str(path)]) == 0
    assert "Run M=" in capsys.readouterr().out
