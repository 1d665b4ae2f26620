"""Samples outlive whatever happens to a run: being killed, a full disk, a second calibration into the same file."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dmoa_calibration.backends import Timing
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.samples import Journal, Sample, journal_path
from dmoa_theory.errors import CalibrationError, InputError, ProfileError
from dmoa_theory.model.profile import read_profile
from tests.calibration.killed_run import COEFFICIENTS, LENGTHS, OPTIONS

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("killed_run.py")
IDENTITY = {"machine": "this", "design": "that"}


def sample(repeat: int, p: int = 32, o: int = 8) -> Sample:
    return Sample(repeat=repeat, timing=Timing(prompt_tokens=p, output_tokens=o, prefill_s=0.5, decode_s=1.0)).rounded()


def started(profile: Path, engine: str = "sleeping", *, how: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "calibration")])}
    command = [sys.executable, str(PROGRAM), engine, str(profile), how]
    return subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def keys(profile: Path) -> list[tuple[int, int, int]]:
    path = journal_path(profile)
    if not path.exists():
        return []
    lines = [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return [(s["repeat"], s["prompt_tokens"], s["output_tokens"]) for s in map(json.loads, lines)]


def killed_and_resumed(profile: Path, kills: int, seed: int, engine: str = "sleeping") -> list[int]:
    """Kill a calibration at random moments until it is through; returns how many samples each kill left behind."""
    rng = random.Random(seed)
    before: list[tuple[int, int, int]] = []
    left = []
    for kill in range(kills):
        run = started(profile, engine, how="resume" if kill else "afresh")
        assert run.stdout is not None
        for _ in range(rng.randint(1, 3)):  # so that every run measures something
            run.stdout.readline()
        time.sleep(rng.uniform(0, 0.01))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        after = keys(profile)
        assert after[: len(before)] == before  # nothing lost
        assert len(set(after)) == len(after)  # nothing doubled
        before = after
        left.append(len(after))
    run = started(profile, engine, how="resume")
    _, complaint = run.communicate()
    assert run.returncode == 0, complaint
    assert keys(profile)[: len(before)] == before
    return left


def test_a_killed_run_loses_nothing_and_doubles_nothing(tmp_path):
    profile = tmp_path / "sleeping.json"
    left = killed_and_resumed(profile, kills=3, seed=4)
    assert left[-1] > 0
    cells = len(LENGTHS["prompt_tokens"]) * len(LENGTHS["output_tokens"])
    assert len(keys(profile)) == len(set(keys(profile))) == OPTIONS["repeats"] * cells
    fit = read_profile(profile).fit
    for name, value in COEFFICIENTS.items():  # the engine reports exact times, so the fit is that of an undisturbed run
        assert getattr(fit, name) == pytest.approx(value, rel=1e-4)


def test_of_two_calibrations_into_one_file_the_second_is_refused(tmp_path):
    profile = tmp_path / "sleeping.json"
    first = started(profile, how="held")
    assert first.stdout is not None
    while first.stdout.readline() == "0\n":
        continue
    second = started(profile, how="resume")
    _, complaint = second.communicate()
    assert second.returncode == 1
    expected = f"{journal_path(profile)}: another calibration writes to this file: wait for it, or give another --profile"
    assert complaint.splitlines()[-1].endswith(expected)
    _, complaint = first.communicate()
    assert first.returncode == 0, complaint
    assert len(keys(profile)) == len(set(keys(profile))) == 24


def test_the_lock_ends_with_the_run(tmp_path):
    with Journal(tmp_path / "x.jsonl") as journal:
        journal.begin(IDENTITY, resume=False)
        journal.append(sample(0))
    with Journal(tmp_path / "x.jsonl") as journal:
        assert journal.begin(IDENTITY, resume=True) == [sample(0)]


def test_a_run_without_samples_leaves_no_file(tmp_path):
    with Journal(tmp_path / "x.jsonl") as journal:
        journal.begin(IDENTITY, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_the_same_sample_twice_counts_once(tmp_path):
    with Journal(tmp_path / "x.jsonl") as journal:
        journal.begin(IDENTITY, resume=False)
        for _ in range(2):
            journal.append(sample(0))
    with Journal(tmp_path / "x.jsonl") as journal:
        assert journal.begin(IDENTITY, resume=True) == [sample(0)]


def test_a_full_disk_is_said_in_a_line_and_leaves_whole_samples(tmp_path, monkeypatch):
    """The disk takes half of a line, then nothing: the half is taken back."""
    honest = os.write

    def full(stream: int, data: bytes) -> int:
        if len(data) < 200:
            raise OSError(28, "No space left on device")
        return honest(stream, data[: len(data) // 2])

    path = tmp_path / "x.jsonl"
    with Journal(path) as journal:
        journal.begin(IDENTITY, resume=False)
        journal.append(sample(0))
        before = path.read_bytes()
        monkeypatch.setattr("dmoa_calibration.samples.os.write", full)
        said = (
            r"x.jsonl: cannot be written \(no space left on device\); the samples before are kept: make room and go on with --"
        )
        with pytest.raises(CalibrationError, match=said):
            journal.append(sample(1))
    assert path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_device_that_is_full(tmp_path):
    (tmp_path / "x.jsonl").symlink_to("/dev/full")
    journal = Journal(tmp_path / "x.jsonl")
    with journal, pytest.raises(CalibrationError, match="no space left on device"):
        journal.append(sample(0))


def test_a_full_disk_at_the_profile_keeps_the_samples(tmp_path, engine, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "known.json"
    monkeypatch.setattr("dmoa_theory.model.profile.write_whole", full)
    with pytest.raises(ProfileError) as refused:
        calibrate("known", synthetic="known", profile_path=path, budget=1e4)
    assert str(refused.value).startswith(f"{path}: cannot be written (No space left on device); the samples are kept in ")
    assert "\n" not in str(refused.value)
    monkeypatch.undo()
    assert len(keys(path)) == 12
    assert not path.exists()


def test_a_place_where_no_file_can_be(tmp_path):
    (tmp_path / "x.jsonl").mkdir()
    with (
        pytest.raises(InputError, match=r"x\.jsonl: is a directory: a place where samples can be written"),
        Journal(tmp_path / "x.jsonl"),
    ):
        pass
