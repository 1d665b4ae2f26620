"""Stage service times for M = 2, k = 3 from a profile, beside prompts of those very lengths timed directly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dmoa_theory.model.stage_times import stage_times
from dmoa_theory.model.tokens import TokenCount, TokenLengths
from tests.benchmarks.calibration_engine import measured, opened, print_cells, ratio, seconds

PROMPT, ANSWER, INSTRUCTION, M, k = 60, 40, 50, 2, 3
REPEATS = 8


def test_stages_of_a_profile_against_timed_prompts(tmp_path: Path) -> None:
    """Prints predicted and measured; asserts that the prompts have the lengths that the formula says."""
    profile = measured(tmp_path / "profile.json", prompt_tokens=(32, 96, 320), output_tokens=(8, 64), repeats=5)
    lengths = TokenLengths(prompt=TokenCount(PROMPT), output=TokenCount(ANSWER), instruction=INSTRUCTION)
    stages = stage_times(profile, lengths, M=M, k=k)
    read = [PROMPT, INSTRUCTION + PROMPT + (k + 1) * ANSWER, INSTRUCTION + PROMPT + (k + 1) * ANSWER]
    assert [stage.tokens_read for stage in stages] == read
    engine = opened()
    engine.infer(PROMPT, ANSWER)
    taken: list[list] = [[] for _ in stages]
    for _ in range(REPEATS):  # in turns, so that a slow minute meets all stages
        for timings, p in zip(taken, read, strict=True):
            timings.append(engine.infer(p, ANSWER))
    engine.close()
    clock = profile.fit.clock
    rows = [(p, ANSWER, float(np.median(seconds(t, clock))), s.mean) for p, t, s in zip(read, taken, stages, strict=True)]
    every = [timing for timings in taken for timing in timings]
    print(f"\n{profile.document['quality']['verdict']}\nCPU over wall seconds while checking: {ratio(every):.3f}")
    errors = print_cells(f"stages of M={M}, k={k}: {', '.join(stage.name for stage in stages)}", rows)
    assert np.isfinite(errors).all()
