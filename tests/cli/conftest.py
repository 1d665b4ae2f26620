"""Run the command in this process or in one of its own, write scenarios, check JSON against the published schemas."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from jsonschema import Draft202012Validator

from dmoa_theory.cli import main
from dmoa_theory.cli.schema import read_schema

ROOT = Path(__file__).parents[2]
#: Seconds that a process takes only where it hangs.
LONGEST = 600.0

BASE = """\
title = "four desks"
[network]
topology = "complete"
n = 4
[arrivals]
rate = 0.002
[service]
mean = 24.0
[moa]
M = 1
k = 2
"""


@dataclass(frozen=True)
class Answer:
    """What a run left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON object on standard output; NaN and infinity are refused, and so is anything beside the object."""

        def refuse(constant: str) -> NoReturn:
            raise AssertionError(f"{constant} in JSON")

        return json.loads(self.out, parse_constant=refuse)

    def checked(self, verb: str) -> Any:
        """The JSON, validated against the schema that `dmoa schema VERB` prints."""
        schema = json.loads(read_schema(verb))
        Draft202012Validator.check_schema(schema)
        Draft202012Validator(schema).validate(self.json)
        return self.json

    def complaint(self) -> str:
        """The one line on standard error of a run that refused its input."""
        assert self.code == 2, (self.code, self.err)
        assert self.out == ""
        assert self.err.startswith("dmoa: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        return self.err.removeprefix("dmoa: ").removesuffix("\n")


@pytest.fixture
def dmoa(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """The command line in this process: `dmoa("region", path, "--json")`."""

    def run(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["dmoa", *map(str, arguments)])
        capsys.readouterr()
        code = main()
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """For processes: this checkout first, one encoding, no terminal."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "calibration"), str(ROOT / "paper_figures")])
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", "TERM": "dumb"}


@pytest.fixture
def listening() -> list[str]:
    """A command line for ``dmoa`` that heeds Ctrl-C also where the tests run in the background, which ignores it."""
    heed = "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    start = "os.execv(sys.executable, [sys.executable, '-m', 'dmoa_theory', *sys.argv[1:]])"
    return [sys.executable, "-c", heed + start]


@pytest.fixture
def process(environment: dict[str, str]) -> Callable[..., Answer]:
    """The command line in a process of its own."""

    def run(*arguments: object) -> Answer:
        command = [sys.executable, "-m", "dmoa_theory", *map(str, arguments)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


# Runs ``dmoa``, and makes a file as soon as something is finished of a simulation so long that it begins with a part.
_TELLING = """
import importlib, pathlib, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background, where it is ignored
told = pathlib.Path(sys.argv[1])
sys.argv[:] = ["dmoa", *sys.argv[2:]]
simulation = importlib.import_module("dmoa_theory.simulation.steady.simulate")
part_of = simulation._part_of

def telling(tell, begin, end):
    further = part_of(tell, begin, end)

    def part(fraction):
        further(fraction)
        if end < 1:
            told.touch()

    return part

simulation._part_of = telling
runpy.run_module("dmoa_theory", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def interrupted(environment: dict[str, str], tmp_path: Path) -> Callable[..., Answer]:
    """The command line in processes of its own, all of which Ctrl-C reaches, as in a terminal, when it has simulated some."""

    def run(*arguments: object) -> Answer:
        for number in range(3):
            told = tmp_path / f"told-{number}"
            with subprocess.Popen(
                [sys.executable, "-c", _TELLING, str(told), *map(str, arguments)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as running:
                try:
                    while not told.exists():
                        assert running.poll() is None
                        time.sleep(0.02)
                    os.killpg(running.pid, signal.SIGINT)  # once: it has to be heard
                    out, err = running.communicate(timeout=LONGEST)
                finally:
                    with suppress(ProcessLookupError):
                        os.killpg(running.pid, signal.SIGKILL)
            if out:
                break
            # it may have come between two parts, where nothing is at hand: once more
            assert (running.returncode, err.splitlines()[-1]) == (130, "dmoa: interrupted")
        return Answer(running.returncode, out, err)

    return run


@pytest.fixture
def scenario(tmp_path: Path) -> Callable[..., Path]:
    """A scenario file: the plain one with some of its text replaced, and more text behind it."""

    def write(*changes: tuple[str, str], more: str = "", name: str = "office.toml") -> Path:
        text = BASE
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / name
        path.write_text(text + more, encoding="utf-8")
        return path

    return write
