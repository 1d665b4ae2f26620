"""Profiles pooled, and profiles looked at again: on an engine whose times are known."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.check import check_profile
from dmoa_calibration.importers import import_profile
from dmoa_calibration.merge import merge_profiles
from dmoa_theory.cli.calibrate import calibrate as check_from_the_command_line
from dmoa_theory.errors import CalibrationError, InputError, ProfileError
from dmoa_theory.model.profile import read_profile, write_profile
from tests.calibration.test_importers import LLAMA, saved

SCHEMA = json.loads(files("dmoa_theory").joinpath("data/schemas/calibrate.json").read_text(encoding="utf-8"))


def measured(path, **options):
    return calibrate("known", synthetic="known", profile_path=path, budget=1e4, target_error=0.0, **options)


@pytest.fixture
def two(tmp_path, engine):
    """Two runs of one machine: other lengths, and the second a little slower."""
    engine.slowed = 1.0
    measured(tmp_path / "a.json", repeats=2)
    engine.slowed = 1.02
    measured(tmp_path / "b.json", prompt_tokens=(16, 64, 256), output_tokens=(4, 32), repeats=3)
    return tmp_path / "a.json", tmp_path / "b.json"


def test_a_merged_profile_stands_on_all_samples(tmp_path, two):
    merged = merge_profiles(two, tmp_path / "c.json")
    samples = merged.document["samples"]
    assert len(samples) == 12 + 18
    cells = [(s["repeat"], s["prompt_tokens"], s["output_tokens"]) for s in samples]
    assert len(set(cells)) == len(cells)
    assert (merged.fit.p_range, merged.fit.o_range) == ((16, 512), (4, 64))
    low, high = (read_profile(path).fit.seconds(128, 32) for path in two)
    assert low < merged.fit.seconds(128, 32) < high
    assert "pooled from 2 runs of " in merged.document["quality"]["verdict"]
    jsonschema.validate(merged.document, SCHEMA)
    with pytest.raises(InputError, match=r"-o = .*: a file that is not there yet; --force replaces it"):
        merge_profiles(two, tmp_path / "c.json")
    again = merge_profiles(two, tmp_path / "c.json", force=True)
    assert again.document["fit"] == merged.document["fit"]


@pytest.mark.parametrize(
    ("part", "key", "value", "said"),
    [
        ("hardware", "cpu_model", "another", "processor = another: "),
        ("hardware", "n_cores", 99, "cores = 99: "),
        ("runtime", "backend_version", "2", "engine version = 2: 1, as in "),
        ("runtime", "n_threads", 2, "threads = 2: 1, as in "),
        ("runtime", "dtype", "int8", "number type = int8: float32, as in "),
        ("model", "name", "other", "model = other: known, as in "),
        ("model", "random_weights", False, "random weights = False: True, as in "),
    ],
)
def test_unlike_profiles_are_not_merged(tmp_path, two, part, key, value, said):
    document = read_profile(two[1]).document
    document[part][key] = value
    write_profile(two[1], document)
    with pytest.raises(InputError) as refused:
        merge_profiles(two, tmp_path / "c.json")
    assert str(refused.value).startswith(f"{two[1]}: {said}")
    assert str(refused.value).endswith(": only like profiles can be merged")
    assert not (tmp_path / "c.json").exists()


def test_the_same_samples_are_not_counted_twice(tmp_path, two):
    merged = tmp_path / "c.json"
    merge_profiles(two, merged)
    with pytest.raises(InputError, match=r"samples = \d+ known already: samples of its own: these are in another"):
        merge_profiles([two[0], merged], tmp_path / "d.json")
    with pytest.raises(InputError, match="each once"):
        merge_profiles([two[0], two[0]], tmp_path / "d.json")
    with pytest.raises(InputError, match="profiles = 1: two or more"):
        merge_profiles(two[:1], tmp_path / "d.json")


def test_a_profile_without_single_timings_cannot_be_merged(tmp_path):
    path = saved(tmp_path / "bench.json", LLAMA)
    for name in ("a", "b"):
        import_profile([path], tmp_path / f"{name}.json")
    with pytest.raises(ProfileError, match=r"a\.json: samples = none: single timings: import the files"):
        merge_profiles([tmp_path / "a.json", tmp_path / "b.json"], tmp_path / "c.json")


def test_busy_runs_are_pooled_in_cpu_seconds(tmp_path, engine):
    for i, slowed in enumerate((2.0, 2.5)):
        engine.slowed = slowed
        measured(tmp_path / f"{i}.json", repeats=2, seed=i)
    # the engine's CPU seconds are exact, so that the samples of the two runs differ in wall seconds alone
    merged = merge_profiles([tmp_path / "0.json", tmp_path / "1.json"], tmp_path / "c.json")
    assert (merged.contended, merged.fit.clock) == (True, "cpu")
    assert merged.fit.c1 == pytest.approx(0.004, rel=1e-6)


def test_one_busy_run_among_many_quiet_ones_is_not_outvoted(tmp_path, engine):
    for i, slowed in enumerate((1.0, 1.01, 2.0)):
        engine.slowed = slowed
        measured(tmp_path / f"{i}.json", repeats=3, seed=i)
    paths = [tmp_path / f"{i}.json" for i in range(3)]
    merged = merge_profiles(paths, tmp_path / "c.json")
    assert merged.document["quality"]["median_cpu_wall_ratio"] > 0.9
    assert (merged.contended, merged.fit.clock) == (True, "cpu")
    assert merged.fit.c1 == pytest.approx(0.004, rel=1e-6)
    document = read_profile(paths[0]).document
    for sample in document["samples"]:
        sample |= {"cpu_ms": None, "prefill_cpu_ms": None, "decode_cpu_ms": None}
    write_profile(paths[0], document)
    with pytest.raises(
        CalibrationError, match=r"2\.json was measured on a busy machine, and not every profile holds CPU seconds"
    ):
        merge_profiles(paths, tmp_path / "d.json")


@pytest.fixture
def profile(tmp_path, engine):
    return measured(tmp_path / "known.json")


@pytest.fixture
def clock(monkeypatch, engine):
    monkeypatch.setattr("dmoa_calibration.check.time", type("Clock", (), {"monotonic": staticmethod(lambda: engine.now)}))


def test_a_profile_that_holds(profile, engine, clock):
    engine.now = 0.0
    check = check_profile(profile, engine, budget=60.0)
    assert check.holds
    assert check.median_ratio == pytest.approx(1.0)
    assert check.differences == ()
    assert engine.now <= 60.0
    assert {cell.prompt_tokens for cell in check.cells} == {32, 128, 512}
    assert check.describe().endswith("the profile holds")
    jsonschema.validate(check.to_dict(), SCHEMA)


def test_a_machine_that_became_slower_fails_the_check(profile, engine, clock):
    honest = engine.infer

    def slower(p, o):
        t = honest(p, o)
        engine.now += 0.3 * t.wall_s
        return type(t)(
            prompt_tokens=p, output_tokens=o, prefill_s=1.3 * t.prefill_s, decode_s=1.3 * t.decode_s,
            prefill_cpu_s=1.3 * t.prefill_s, decode_cpu_s=1.3 * t.decode_s,
        )  # fmt: skip

    engine.infer, engine.name, engine.now = slower, "another", 0.0
    check = check_profile(profile, engine, budget=60.0)
    assert not check.holds
    assert check.median_ratio == pytest.approx(1.3)
    assert check.differences == ("model another, and the profile is of known",)
    assert "30.0 % longer than the profile says" in check.describe()
    assert engine.now <= 60.0


def test_a_busy_machine_is_checked_in_cpu_seconds(profile, engine, clock):
    engine.slowed, engine.now = 2.0, 0.0
    check = check_profile(profile, engine, budget=60.0)
    assert (check.contended, check.clock, check.holds) == (True, "cpu", True)
    assert check.median_ratio == pytest.approx(1.0)


def test_a_budget_without_room_for_one_inference(profile, engine, clock):
    engine.now = 0.0
    with pytest.raises(CalibrationError, match=r"1 s do not suffice: one inference of 32 \+ 8 takes 0.88"):
        check_profile(profile, engine, budget=1.0)


def test_a_merged_drift_is_that_between_the_runs(tmp_path, engine):
    measured(tmp_path / "a.json", repeats=2)
    document = read_profile(tmp_path / "a.json").document
    for sample in document["samples"]:
        for key in ("time_to_first_token_ms", "decode_ms", "request_latency_ms", "cpu_ms", "prefill_cpu_ms", "decode_cpu_ms"):
            sample[key] *= 1.2
    write_profile(tmp_path / "b.json", document | {"created": "2026-02-01T00:00:00+00:00"})
    before = read_profile(tmp_path / "a.json").document | {"created": "2026-01-01T00:00:00+00:00"}  # whatever the day is
    write_profile(tmp_path / "a.json", before)
    merged = merge_profiles([tmp_path / "b.json", tmp_path / "a.json"], tmp_path / "c.json")
    assert merged.document["quality"]["drift"] == pytest.approx(0.2, rel=1e-3)
    assert "became 20 % slower during the run" in merged.document["quality"]["verdict"]
    assert np.isfinite(merged.fit.cov).all()


def test_a_check_runs_the_engine_as_the_profile_was_measured(tmp_path, profile, engine, clock, monkeypatch):
    asked = {}

    def opened(name, **options):
        asked.update(options)
        return engine

    path = tmp_path / "known.json"
    document = profile.document | {"runtime": profile.document["runtime"] | {"backend": "transformers", "n_threads": 2}}
    write_profile(path, document)
    monkeypatch.setattr("dmoa_calibration.backends.open_backend", opened)
    assert check_from_the_command_line(profile=path, check=True, budget=60.0) == 0
    assert (asked["n_threads"], asked["dtype"]) == (2, document["runtime"]["dtype"])
    check_from_the_command_line(profile=path, check=True, budget=60.0, threads=1, dtype="float16")
    assert (asked["n_threads"], asked["dtype"]) == (1, "float16")
