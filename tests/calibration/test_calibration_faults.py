"""Engines and files that misbehave: each gives one line, and no sample that was taken is lost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.samples import journal_path
from dmoa_theory.errors import CalibrationError, DmoaError, InputError
from dmoa_theory.model.profile import read_profile

GOOD = 3 + 4  # warm-ups, and samples before the fault


def broken(**changes):
    return lambda timing: replace(timing, **changes)


def raising(error):
    def fault(_):
        raise error

    return fault


FAULTS = {
    "another prompt length": (broken(prompt_tokens=31), r"and timed \d+ after 31: its times cannot be used"),
    "another answer length": (broken(output_tokens=63), r"and timed 63 after \d+: its times cannot be used"),
    "a cached prompt": (broken(cached_tokens=16), r"took 16 of \d+ prompt tokens from a cache: turn its prompt cache off"),
    "no time for the prompt": (broken(prefill_s=0.0), "reports 0 s of prefill"),
    "no time for the answer": (broken(decode_s=0.0), "reports 0 s of decode"),
    "a time before zero": (broken(prefill_s=-1.0), "reports -1 s of prefill"),
    "a time that is no number": (broken(decode_s=math.nan), "reports nan s of decode"),
    "an endless time": (broken(prefill_s=math.inf), "reports inf s of prefill"),
    "CPU seconds that are no number": (broken(decode_cpu_s=math.nan), "reports nan CPU seconds of decode"),
    "CPU seconds before zero": (broken(prefill_cpu_s=-0.1), "reports -0.1 CPU seconds of prefill"),
    "an exception": (
        raising(RuntimeError("CUDA error:\n  out of memory")),
        "the engine failed on .*: CUDA error: out of memory;",
    ),
    "an exception without words": (raising(KeyError()), "the engine failed on .*: KeyError; the samples before are kept"),
    "a very long exception": (raising(ValueError("x" * 10_000)), "the engine failed on"),
    "a lost connection": (raising(ConnectionResetError(104, "Connection reset by peer")), "Connection reset by peer"),
    "a timeout": (raising(TimeoutError("no answer for 60 s")), "no answer for 60 s; the samples before are kept"),
    "a complaint of its own": (raising(CalibrationError("the engine made 3 tokens")), "the engine made 3 tokens"),
    "a context that is too short": (
        raising(InputError("prompt_tokens", 512, "at most 256")),
        "prompt_tokens = 512: at most 256",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_engine_that_fails_says_so_in_a_line_and_keeps_the_samples(tmp_path, engine, monkeypatch, fault):
    spoil, said = FAULTS[fault]
    honest = engine.infer

    def infer(prompt_tokens, output_tokens):
        timing = honest(prompt_tokens, output_tokens)
        return spoil(timing) if len(engine.calls) > GOOD else timing

    path = tmp_path / "known.json"
    engine.infer = infer
    with pytest.raises(DmoaError, match=said) as refused:
        calibrate("known", synthetic="known", profile_path=path, budget=1e4)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400
    assert engine.closed
    assert not path.exists()
    kept = journal_path(path).read_text(encoding="utf-8").splitlines()
    assert len(kept) == GOOD - 3

    engine.infer, engine.calls = honest, []
    profile = calibrate("known", synthetic="known", profile_path=path, budget=1e4, resume=True)
    assert journal_path(path).read_text(encoding="utf-8").splitlines()[: len(kept)] == kept
    assert profile.fit.c1 == pytest.approx(0.004, rel=1e-6)


@pytest.mark.parametrize("method", ["memory", "close", "describe"])
def test_an_engine_that_fails_beside_its_inferences(tmp_path, engine, method):
    def fault():
        raise RuntimeError("gone")

    path = tmp_path / "known.json"
    setattr(engine, method, fault)
    if method == "close":
        assert calibrate("known", synthetic="known", profile_path=path, budget=1e4).fit.c1 > 0
        return
    with pytest.raises(CalibrationError, match="gone"):
        calibrate("known", synthetic="known", profile_path=path, budget=1e4)
    assert journal_path(path).exists() == (method == "memory")


def test_a_cache_that_can_be_shown_is_measured(tmp_path, engine):
    engine.kv_bytes_held = lambda prompt_tokens: 4096 + 8 * prompt_tokens
    path = tmp_path / "known.json"
    calibrate("known", synthetic="known", profile_path=path, budget=1e4)
    assert read_profile(path).document["memory"]["kv_bytes_per_token_measured"] == 8.0


def test_a_busy_machine_is_said_while_it_happens_and_how_long_is_left(tmp_path, engine):
    engine.slowed = 2.0
    seen = []
    path = tmp_path / "known.json"
    calibrate("known", synthetic="known", profile_path=path, budget=1e4, progress=lambda *told: seen.append(told[2]))
    assert "50 % of a core: the machine is busy" in seen[1]
    left = [float(line.split("at most ")[1].split(" s left")[0]) for line in seen if " s left" in line]
    assert left == sorted(left, reverse=True)
    assert len(left) > 6
