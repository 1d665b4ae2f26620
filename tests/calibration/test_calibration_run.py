"""The run around the engine: order, budget, journal, resuming, contention; on an engine whose times are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dmoa_calibration.backends import LOADERS
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.fit import fit_timings
from dmoa_calibration.measure import Design
from dmoa_calibration.samples import Sample, journal_path
from dmoa_theory.cli import main
from dmoa_theory.errors import CalibrationError, InputError
from dmoa_theory.model.profile import read_profile

COEFFICIENTS = {"c0": 0.05, "c1": 0.004, "c2": 1e-6, "d0": 0.1, "d1": 1e-5}
WARM_UPS = 3


@pytest.fixture
def path(tmp_path):
    return tmp_path / "known.json"


def run(path, **options):
    settings = {"synthetic": "known", "profile_path": path, "budget": 1e4, "target_error": 0.0} | options
    return calibrate("known", **settings)


def lines(path):
    return journal_path(path).read_text(encoding="utf-8").splitlines()


def test_a_run_gives_back_the_engine_it_timed(path, engine):
    seen = []
    profile = run(path, progress=lambda *report: seen.append(report))
    for name, value in COEFFICIENTS.items():
        assert getattr(profile.fit, name) == pytest.approx(value, rel=1e-6)
    quality = profile.document["quality"]
    assert quality["verdict"] == (
        "typically 1 % off, at worst 1 %, on lengths left out, between 32 and 512 prompt tokens and 8 to 64 output tokens; "
        "do not use beyond"
    )
    assert quality["stopped"] == "all 3 repeats measured"
    assert (profile.contended, profile.fit.clock, quality["drift"]) == (False, "wall", pytest.approx(0, abs=1e-6))
    assert [done for done, _, _ in seen] == list(range(19))
    assert {total for _, total, _ in seen} == {18}
    assert len(engine.calls) == WARM_UPS + 18
    assert len(lines(path)) == len(profile.document["samples"]) == 18
    assert read_profile(path).document == profile.document
    assert engine.closed


def test_the_order_is_random_whole_repeats_and_the_same_for_a_seed():
    design = Design(prompt_tokens=(512, 32, 128), output_tokens=(64, 8), seed=5)
    orders = [design.order(repeat) for repeat in range(4)]
    assert all(sorted(order) == sorted(design.cells) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert orders == [Design(prompt_tokens=(32, 128, 512), output_tokens=(8, 64), seed=5, repeats=9).order(r) for r in range(4)]


def test_a_good_fit_ends_the_run_after_two_repeats(path, engine):
    profile = run(path, target_error=0.02)
    assert len(profile.document["samples"]) == 12
    assert profile.document["quality"]["stopped"].startswith("each cell predicted from the others within 0.0 %")


def test_a_busy_machine_is_noticed_and_cpu_seconds_are_fitted(path, engine):
    engine.slowed = 2.0
    profile = run(path)
    assert (profile.contended, profile.fit.clock) == (True, "cpu")
    assert profile.fit.c1 == pytest.approx(COEFFICIENTS["c1"], rel=1e-6)
    assert profile.document["quality"]["median_cpu_wall_ratio"] == pytest.approx(0.5)
    assert "CPU seconds" in profile.document["quality"]["verdict"]
    assert "CPU seconds" in profile.describe()


def disturbed(engine, calls):
    """Only half a core in these calls."""
    honest = engine.infer

    def infer(p, o):
        engine.slowed = 2.0 if len(engine.calls) in calls else 1.0
        return honest(p, o)

    engine.infer = infer


def test_a_few_disturbed_samples_are_enough_for_cpu_seconds(path, engine):
    """Their median says that all was well; the fit of wall seconds is far off, that of CPU seconds exact."""
    disturbed(engine, {WARM_UPS + call for call in (2, 9, 16)})
    profile = run(path)
    quality = profile.document["quality"]
    assert (profile.contended, profile.fit.clock, quality["contended_samples"]) == (True, "cpu", 3)
    assert quality["median_cpu_wall_ratio"] == 1.0
    assert "the machine was busy (3 of 18 samples had less than 90 % of a core), so CPU seconds" in quality["verdict"]
    assert profile.fit.loo_max_rel_err < 1e-6
    by_wall = fit_timings([Sample.from_profile(entry).timing for entry in profile.document["samples"]])
    assert by_wall.loo_max_rel_err > 0.3


def test_one_disturbed_sample_in_many_is_left_at_that_and_counted(path, engine):
    disturbed(engine, {WARM_UPS + 5})
    profile = run(path, repeats=4)
    assert (profile.contended, profile.document["quality"]["contended_samples"]) == (False, 1)
    assert "busy" not in profile.document["quality"]["verdict"]
    assert profile.fit.off_by.startswith("typically 2 % off, at worst ")
    assert 0.4 < profile.fit.loo_max_rel_err < 0.6


def test_cpu_seconds_that_a_coarse_clock_did_not_count_are_not_fitted(path, engine):
    disturbed(engine, range(1000))
    slow = engine.infer
    engine.infer = lambda p, o: replace(slow(p, o), prefill_cpu_s=0.0)
    profile = run(path)
    assert (profile.contended, profile.fit.clock) == (True, "wall")
    assert "less than 90 % of a core): measure again when it is quiet" in profile.document["quality"]["verdict"]
    assert ", machine busy: first token" in profile.describe()


def test_several_threads_say_nothing_about_a_busy_machine(path, engine):
    engine.slowed = 2.0
    profile = run(path, n_threads=2)
    assert profile.document["quality"]["median_cpu_wall_ratio"] is None
    assert (profile.contended, profile.fit.clock) == (False, "wall")


def test_short_inferences_are_warmed_up_for_half_a_second(path, engine):
    """The first calls in a process are slow: an engine of milliseconds gets many uncounted ones, within the budget."""
    honest = engine.infer

    def quick(p, o):
        before = engine.now
        slow = honest(p, o)
        engine.now = before + slow.wall_s / 100
        spans = {name: getattr(slow, name) / 100 for name in ("prefill_s", "decode_s", "prefill_cpu_s", "decode_cpu_s")}
        return type(slow)(prompt_tokens=p, output_tokens=o, **spans)

    engine.infer = quick
    profile = run(path)
    uncounted = engine.calls[: len(engine.calls) - 18]
    assert set(uncounted) == {(32, 8), (512, 8)}
    spent = sum(profile.fit.seconds(p, o) for p, o in uncounted)
    assert 0.5 < spent < 0.6


def test_the_budget_ends_the_run_after_a_whole_repeat(path, engine):
    profile = run(path, repeats=50, budget=60.0)
    assert 6 <= len(profile.document["samples"]) < 300
    assert engine.now <= 60.0
    assert profile.document["quality"]["stopped"] == "budget of 60 s spent"


def test_a_budget_that_cannot_suffice_is_refused_with_one_that_does(path, engine):
    with pytest.raises(CalibrationError, match=r"20 s do not suffice: .* give a budget of (\d+) s") as refused:
        run(path, budget=20.0)
    assert not path.exists()
    assert len(engine.calls) == WARM_UPS + 2  # it looks twice before it refuses
    enough = float(str(refused.value).split("give a budget of ")[1].split(" s")[0])
    engine.now = 0.0
    assert len(run(path, budget=enough).document["samples"]) >= 6


@pytest.mark.parametrize("stalled", range(WARM_UPS))
def test_a_machine_that_stalls_in_the_warm_up_is_not_taken_for_a_slow_one(path, engine, stalled):
    honest = engine.infer

    def infer(p, o):
        timing = honest(p, o)
        if len(engine.calls) == stalled + 1:
            engine.now += 20.0
            return replace(timing, decode_s=timing.decode_s + 20.0)
        return timing

    engine.infer = infer
    assert len(run(path, repeats=1, budget=120.0).document["samples"]) == 6
    assert engine.now <= 120.0


def test_an_interrupted_run_goes_on_and_measures_nothing_twice(path, engine):
    engine.interrupt_at = WARM_UPS + 8
    with pytest.raises(KeyboardInterrupt):
        run(path)
    kept = lines(path)
    assert len(kept) == 7
    assert engine.closed
    assert not path.exists()

    engine.interrupt_at, engine.calls = 0, []
    profile = run(path, resume=True)
    assert len(engine.calls) == WARM_UPS + 11
    assert lines(path)[:7] == kept
    cells = [(s["repeat"], s["prompt_tokens"], s["output_tokens"]) for s in map(json.loads, lines(path))]
    assert len(cells) == len(set(cells)) == 18
    assert profile.document["samples"] == [
        {name: value for name, value in json.loads(line).items() if name in profile.document["samples"][0]}
        for line in lines(path)
    ]

    engine.calls = []
    again, before = run(path, resume=True), path.read_bytes()
    assert engine.calls == []
    assert again.document == profile.document
    assert path.read_bytes() == before
    more = run(path, resume=True, repeats=4)
    assert len(engine.calls) == WARM_UPS + 6
    assert len(more.document["samples"]) == 24


def test_a_finished_profile_is_left_as_it_is_and_said_to_be(path, engine, monkeypatch, capsys):
    """With --resume alone; with more repeats it goes on, with --force it is measured anew."""
    monkeypatch.setitem(LOADERS, "transformers", LOADERS["known"])
    monkeypatch.chdir(path.parent)  # its path may be longer than a line
    command = ["calibrate", "--synthetic", "known", "--profile", path.name, "--budget", "10000"]
    assert main(command) == 0
    assert f"Wrote {path.name}." in " ".join(capsys.readouterr().out.split())
    before, measured = path.read_bytes(), len(engine.calls)
    assert main([*command, "--resume"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert told.startswith(
        f"{path.name} is finished (each cell predicted from the others within 0.0 %, the median), and stays as it is. --force"
    )
    assert (path.read_bytes(), len(engine.calls)) == (before, measured)
    assert main([*command, "--resume", "--repeats", "60"]) == 0
    assert len(engine.calls) == measured, "what its precision ended, more repeats do not go on with"
    capsys.readouterr()
    assert main([*command, "--resume", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before)
    assert main([*command, "--force"]) == 0
    assert len(engine.calls) == 2 * measured
    assert "is finished" not in capsys.readouterr().out


def test_a_run_that_its_budget_ended_goes_on(path, engine):
    """The profile of what was measured until then is replaced, by one of more samples."""
    fit = run(path, repeats=1).fit
    once = sum(fit.seconds(p, o) for p in (32, 128, 512) for o in (8, 64))
    first = run(path, budget=2 * once, force=True)
    assert 6 < len(first.document["samples"]) < 18
    assert first.document["quality"]["stopped"].startswith("budget of ")
    more = run(path, resume=True)
    assert len(more.document["samples"]) == 18
    assert read_profile(path).document == more.document


def test_samples_without_their_profile_make_it_again(path, engine):
    """Where the run was over, but the file of the profile is lost or broken."""
    run(path)
    engine.calls = []
    for broken in ("", "{"):
        path.write_text(broken, encoding="utf-8")
        assert len(run(path, resume=True).document["samples"]) == 18
    path.unlink()
    assert len(run(path, resume=True).document["samples"]) == 18
    assert engine.calls == []


@pytest.mark.parametrize("torn", ['{"machine": "AMD', '{"machine": "AMD\n', '{"repeat": 1}\n', "\x00\x00"])
def test_a_torn_last_line_is_dropped_and_measured_again(path, engine, torn):
    run(path)
    kept = lines(path)
    journal_path(path).write_text("\n".join(kept[:10]) + "\n" + torn, encoding="utf-8")
    engine.calls = []
    profile = run(path, resume=True)
    assert len(engine.calls) == WARM_UPS + 8
    assert lines(path)[:10] == kept[:10]
    assert len(lines(path)) == len(profile.document["samples"]) == 18


def test_a_whole_last_line_without_its_end_is_kept(path, engine):
    run(path)
    kept = lines(path)
    journal_path(path).write_text("\n".join(kept[:10]), encoding="utf-8")
    engine.calls = []
    run(path, resume=True)
    assert len(engine.calls) == WARM_UPS + 8
    assert lines(path)[:10] == kept[:10]


def test_a_torn_line_in_the_middle_is_refused(path, engine):
    run(path)
    kept = lines(path)
    journal_path(path).write_text("\n".join([*kept[:3], "{", *kept[3:]]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"line 4 = \{: one sample"):
        run(path, resume=True)


def test_samples_of_something_else_are_refused_and_kept(path, engine):
    run(path)
    before = lines(path)
    engine.name = "other"
    with pytest.raises(InputError, match=r"model = known \(1 parameters, random weights\): this run is of other"):
        run(path, resume=True)
    engine.name = "known"
    with pytest.raises(InputError, match="design = p = 32,128,512; o = 8,64; seed = 0: this run is of p = 32,64,512"):
        run(path, resume=True, prompt_tokens=(32, 64, 512))
    assert lines(path) == before


def test_a_profile_whose_journal_is_gone_is_not_resumed(path, engine):
    run(path)
    before = path.read_bytes()
    journal_path(path).unlink()
    with pytest.raises(
        InputError, match=r"a profile with its samples in known\.json\.samples\.jsonl beside it; --force replaces it"
    ):
        run(path, resume=True)
    assert path.read_bytes() == before


def test_starting_afresh_puts_the_old_samples_aside(path, engine):
    run(path)
    with pytest.raises(
        InputError, match="a file that is not there yet; --resume goes on with its samples, --force replaces it"
    ):
        run(path, repeats=1)
    assert len(lines(path)) == 18
    run(path, repeats=1, force=True)
    assert len(lines(path)) == 6
    old = journal_path(path).with_name(journal_path(path).name + ".old")
    assert len(old.read_text(encoding="utf-8").splitlines()) == 18


def test_prompts_adapt_to_a_short_context(path, engine):
    engine.n_ctx = 128
    profile = run(path)
    assert profile.fit.p_range == (16, 64)
    with pytest.raises(InputError, match=r"512 \+ 64: at most 128"):
        run(path, prompt_tokens=(32, 128, 512), force=True)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"prompt_tokens": (32, 512)}, "prompt_tokens = [32, 512]: at least 3 different token counts, each 1 or more"),
        ({"prompt_tokens": (0, 32, 512)}, "prompt_tokens = [0, 32, 512]: at least 3"),
        ({"output_tokens": (1, 8)}, "output_tokens = [1, 8]: at least 2 different token counts, each 2 or more"),
        ({"repeats": 0}, "repeats = 0: a whole number, 1 or more"),
        ({"seed": -1}, "seed = -1: a whole number, 0 or more"),
        ({"budget": 0.0}, "budget = 0.0: a number of seconds above 0"),
        ({"n_threads": 0}, "n_threads = 0: a whole number, 1 or more"),
        ({"model": "folder"}, "model or synthetic = folder and known: exactly one"),
        ({"synthetic": None}, "model or synthetic is missing: exactly one"),
        ({"profile_path": "/nowhere/at/all.json"}, "profile = /nowhere/at/all.json: a file in a folder that exists"),
    ],
)
def test_bad_options_are_refused_before_anything_is_timed(path, engine, options, line):
    with pytest.raises(InputError) as refused:
        run(path, **options)
    assert str(refused.value).startswith(line)
    assert engine.calls == []


def test_an_unknown_engine_is_refused(path):
    with pytest.raises(InputError, match="backend = abacus: one of llama_cpp, openai_http, transformers"):
        calibrate("abacus", synthetic="llama-tiny", profile_path=path)


def test_the_samples_serve_a_fit_of_their_own(path, engine):
    """The profile's samples, in milliseconds, are the times that its fit describes."""
    profile = run(path)
    samples = profile.document["samples"]
    p = np.array([s["prompt_tokens"] for s in samples], dtype=float)
    o = np.array([s["output_tokens"] for s in samples], dtype=float)
    wall = np.array([s["request_latency_ms"] for s in samples])
    np.testing.assert_allclose(profile.fit.seconds(p, o), wall / 1e3, rtol=1e-6)
