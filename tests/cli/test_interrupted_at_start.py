"""Ctrl-C in the first moments of a process: one line and exit code 130, whatever is being imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

# Runs a module as `python -m` does, and interrupts itself at the n-th import after the process began to heed Ctrl-C; for n = 0
# at none, and tells how many there were.
INTERRUPTED_AT = """
import os, runpy, signal, sys
module, wanted = sys.argv[1], int(sys.argv[2])
sys.argv[:] = [module, *sys.argv[3:]]
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background, where it is ignored
seen = 0

def count(event, _arguments):
    global seen
    if event == "import" and (seen or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        seen += 1
        if seen == wanted:
            os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(count)
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
finally:
    if not wanted:
        print("imports", seen)
"""


def _run(environment: dict[str, str], module: str, wanted: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", INTERRUPTED_AT, module, str(wanted), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)


def test_an_interrupted_import_ends_in_a_line(environment: dict[str, str]) -> None:
    """From the first import to the last: the parser's, numpy's, and those that a verb makes when it works."""
    whole = _run(environment, "dmoa_theory", 0, "region", "--json")
    assert whole.returncode == 0, whole.stderr
    imports = int(whole.stdout.split()[-1])
    assert imports > 300
    for part in (0.0, 0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.99):
        place = 1 + int(part * (imports - 1))
        ended = _run(environment, "dmoa_theory", place, "region", "--json")
        assert (ended.returncode, ended.stderr) == (130, "dmoa: interrupted\n"), (place, imports)


def test_an_interrupted_node_that_still_imports_ends_in_a_line(environment: dict[str, str], tmp_path: Path) -> None:
    """Nothing is there yet to be ended: no port, no journal."""
    data = tmp_path / "node"
    law = {"law": "deterministic", "mean": [1, 1, 1], "scv": [0, 0, 0]}
    config = {"name": "a", "data_dir": str(data), "moa": {"M": 0, "k": 0}, "mode": "paced", "service": {"0": law}}
    path = tmp_path / "node.json"
    path.write_text(json.dumps(config))
    for place in (1, 5, 60, 250):
        ended = _run(environment, "dmoa_calibration.testbed", place, str(path))
        assert (ended.returncode, ended.stderr) == (130, "dmoa: interrupted\n"), place
    assert not data.exists()


def test_what_is_ignored_stays_ignored(environment: dict[str, str]) -> None:
    """As in the background of a shell."""
    wrapper = "import signal, runpy, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); sys.argv[:] = ['dmoa', '--version']; "
    start = "runpy.run_module('dmoa_theory', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", wrapper + start], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("error", [ImportError("numpy did not load"), SystemError("a result with an error set")])
def test_an_interruption_that_became_another_error_is_one(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled modules make what they like of it; an error of our own stays one."""
    import dmoa_theory.cli as cli

    def interrupted(_given: list[str]) -> int:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise error  # noqa: B904 - as a compiled module does

    def faulty(_given: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli, "_run", interrupted)
    assert cli.main([]) == 130
    error.__context__ = None
    monkeypatch.setattr(cli, "_run", faulty)
    with pytest.raises(type(error)):
        cli.main([])
