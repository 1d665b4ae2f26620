"""``kill -9`` at 20 random moments of a calibration: nothing lost, nothing doubled, the fit of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dmoa_theory.model.profile import read_profile
from tests.calibration.killed_run import LENGTHS, OPTIONS
from tests.calibration.test_calibration_journal import keys, killed_and_resumed, started

KILLS = 20
CALM = 4


@pytest.mark.parametrize("engine", ["sleeping", "transformers:llama-tiny"])
def test_twenty_kills(tmp_path: Path, engine: str) -> None:
    """Asserts after every kill that no whole sample is lost or doubled; prints what was left, and the fits."""
    profile = tmp_path / "killed.json"
    left = killed_and_resumed(profile, KILLS, seed=1, engine=engine)
    calm = []
    for i in range(CALM):
        run = started(tmp_path / f"calm-{i}.json", engine, how="afresh")
        _, complaint = run.communicate()
        assert run.returncode == 0, complaint
        calm.append(read_profile(tmp_path / f"calm-{i}.json").fit)
    cells = [(p, o) for p in LENGTHS["prompt_tokens"] for o in LENGTHS["output_tokens"]]
    assert len(keys(profile)) == len(set(keys(profile))) == OPTIONS["repeats"] * len(cells)
    killed = read_profile(profile).fit
    print(f"\n{engine}: samples on disk after each of {KILLS} kills: {left}")
    print(f"  prompt + answer: killed {KILLS} times; mean of {CALM} undisturbed runs, and their range")
    for p, o in cells:
        each = np.array([fit.seconds(p, o) for fit in calm])
        centre = each.mean()
        spread = ", ".join(f"{100 * (edge / centre - 1):+.1f} %" for edge in (each.min(), each.max()))
        shift = 100 * (killed.seconds(p, o) / centre - 1)
        print(f"  {p:>4} + {o:<3} {1e3 * killed.seconds(p, o):8.3f} ms ({shift:+.1f} %); {1e3 * centre:8.3f} ms ({spread})")
