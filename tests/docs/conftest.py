"""Readers of the documentation: each page is followed once, by the test file that names its group."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.cli import main

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "calibration"))

from fake_server import serving
from pages import DOCS, GROUPS, PAGES, ROOT, Reader

#: Where pages say that a server is: a small false one answers in its place.
SERVER = "http://127.0.0.1:8080"

#: A scenario for pages that speak of an ``office.toml`` without making one: as quick as a live network can be.
OFFICE = """\
title = "three desks"
[network]
topology = "complete"
n = 3
[arrivals]
rate = 4.0
[service]
mean = [0.02, 0.03, 0.04]
scv = 0.5
[moa]
M = 1
k = 1
"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for ``page`` gets those of its file's ``GROUP``."""
    group = getattr(metafunc.module, "GROUP", None)
    if group:
        named = {name for names in GROUPS.values() for name in names}
        others = [page for page in PAGES if page.relative_to(DOCS).as_posix() not in named]
        pages = [DOCS / name for name in GROUPS[group]] if group in GROUPS else others
        metafunc.parametrize("page", pages, ids=lambda page: page.stem)


def adapt(command: str) -> str:
    """What would take minutes, where the page does not say what is done instead: live runs, and measuring for the README.

    A live run sends few prompts, at a load so small that the slower devices of a busy machine carry it too; it is of ``OFFICE``
    where the page speaks of an ``office.toml`` that it does not make. The README measures a toy model.
    """
    if re.match(r"dmoa testbed(?! node\b)(?!.*--from\b)", command):
        if "office.toml" in command and not Path("office.toml").exists():
            Path("office.toml").write_text(OFFICE, encoding="utf-8")
        command = re.sub(r" --(queries|load) [\d.]+", "", command)
        return command.replace("dmoa testbed", "dmoa testbed --queries 12 --load 0.2", 1)
    return command.replace("--synthetic llama-160m", "--synthetic llama-tiny")


@pytest.fixture
def reader(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """Someone in an empty folder of a checkout that has ``examples``, with an ``office.toml`` from before."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run_dmoa(arguments: list[str]) -> tuple[int, str, str]:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "argv", ["dmoa", *arguments])
        with redirect_stdout(out), redirect_stderr(err):
            code = main()
        return code, out.getvalue(), err.getvalue()

    def run_python(code: str, names: dict[str, Any]) -> str:
        out = io.StringIO()
        names.setdefault("__name__", "__main__")
        with redirect_stdout(out):
            exec(compile(code, "page", "exec"), names)
        return out.getvalue()

    with serving() if SERVER in page.read_text(encoding="utf-8") else nullcontext() as server:
        yield Reader(
            folder=folder,
            run_dmoa=run_dmoa,
            run_python=run_python,
            adapt=lambda command: adapt(command).replace(SERVER, server.url if server else SERVER),
        )
