"""How long it takes to start, as ratios to ``python -c pass`` in the same run."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

COMMANDS = {
    "import dmoa_theory": [sys.executable, "-c", "import dmoa_theory"],
    "import System (numpy)": [sys.executable, "-c", "from dmoa_theory import System"],
    "dmoa --help": [sys.executable, "-m", "dmoa_theory", "--help"],
    "dmoa region --help": [sys.executable, "-m", "dmoa_theory", "region", "--help"],
    "dmoa region": [sys.executable, "-m", "dmoa_theory", "region"],
    "dmoa plan": [sys.executable, "-m", "dmoa_theory", "plan"],
}


def _best(command: list[str], repeats: int = 9) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@pytest.mark.parametrize("name", COMMANDS)
def test_start_up(name: str) -> None:
    """Prints the ratio; asserts that the command works."""
    nothing = _best([sys.executable, "-c", "pass"])
    seconds = _best(COMMANDS[name])
    print(f"\n{name}: {seconds:.3f} s = {seconds / nothing:.1f} times python -c pass ({nothing:.3f} s)")
    assert seconds > 0
