"""The bundled run of the live network: whole, light, told how it was made; and what is computed from it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from dmoa_paper_figures.experiment.live_record import at_work, keep, read_live
from dmoa_paper_figures.items import live_testbed
from dmoa_paper_figures.settings import Settings
from dmoa_theory.live.examples import small_run
from dmoa_theory.model.run_record import DONE, read_run, write_run
from dmoa_theory.model.scenario import load_scenario
from dmoa_theory.model.service import MeasuredServiceTime, Stage
from dmoa_theory.plots.style import house_style, new_axes

QUICK = Settings(quick=True)
FOLDER = Path(str(resources.files("dmoa_paper_figures").joinpath("data/live")))


every_run = pytest.mark.parametrize("name", live_testbed.RUNS)


@every_run
def test_the_record_is_whole_light_and_says_how_it_was_made(name: str) -> None:
    """Every prompt answered by (k + 1) M + 1 inferences of a real engine; commands, machine, date and versions are told."""
    live = read_live(name)
    record, facts, moa = live.record, live.record.facts, live.system.moa
    assert record.count(DONE) == len(record.prompts) == facts["prompts"]
    assert not record.prompts.degraded.any()
    assert np.bincount(record.jobs.prompt).tolist() == [moa.inferences()] * len(record.prompts)
    assert (live.read.size, live.written.size) == (len(record.jobs), len(record.jobs))
    assert (facts["mode"], facts["backend"], facts["partial"]) == (name, "llama_cpp", False)
    assert facts["made_by"][-1].startswith("dmoa testbed ")
    assert (name == "real") == facts["made_by"][0].startswith("dmoa calibrate ")
    assert facts["created"].startswith("20")
    assert facts["hardware"]["n_cores"] == 2
    assert sum(path.stat().st_size for path in (FOLDER / name).iterdir()) < 120_000


def test_the_scenario_foresaw_the_tokens() -> None:
    """Lengths in the scenario, counted beforehand, are those of the run: reading to 5 %, writing exactly."""
    live = read_live("real")
    scenario = load_scenario(FOLDER / "real" / "scenario.toml").service
    assert isinstance(scenario, MeasuredServiceTime)
    lengths = scenario.tokens[0]
    for stage, later in ((Stage.FIRST, False), (Stage.AGGREGATE, True)):
        mine = live.record.jobs.kind == stage
        assert live.read[mine].mean() == pytest.approx(lengths.read(later=later, k=1)[0], rel=0.05)
    assert (live.written == lengths.output.mean).all()


def test_devices_at_work_are_counted() -> None:
    """At least the device itself, at most all four; in the small run by hand: two share two seconds, then one is alone."""
    crowd = at_work(read_live("real").record)
    assert crowd.min() >= 1 - 1e-9
    assert crowd.max() <= 4 + 1e-9
    overlap = 1.9 / 4  # of the inference from 0.1 to 4.1 with that from 0 to 2
    assert at_work(small_run())[1] == pytest.approx(1 + overlap)


@every_run
def test_theory_at_the_measured_service_times_agrees_with_the_run(name: str) -> None:
    """The mean lies where 19 of 20 simulated runs do, theory is within four errors, and a replay is hardly faster."""
    run = live_testbed.evaluated(name, QUICK)
    row = run.row("mean latency")
    assert run.stable
    assert row.within
    assert abs(row.measured - row.theory) < 4 * row.half_width / 1.96
    assert 0 <= run.replayed.share < 0.1


def test_a_profile_foretells_devices_that_keep_to_it() -> None:
    """Padded to the profile, the run's mean is where 19 of 20 runs simulated beforehand are, and few inferences overran."""
    run, before = live_testbed.evaluated("padded", QUICK), live_testbed.foreseen("padded", QUICK)
    assert run.sound
    assert before.lower["mean"] <= run.row("mean latency").measured <= before.upper["mean"]


def test_crowded_inferences_take_longer() -> None:
    live = read_live("real")
    groups = live_testbed.by_crowd(live)
    assert sum(count for *_, count in groups) == len(live.record.jobs)
    assert groups[0][1] < groups[-1][1]


def test_a_run_folder_is_reduced_to_what_is_bundled(tmp_path: Path) -> None:
    """Times to the microsecond, one line of tokens an inference in the order of the record, all else as it was."""
    run, target = tmp_path / "run", tmp_path / "kept"
    run.mkdir()
    target.mkdir()
    record = small_run()
    write_run(record, run)
    jobs = record.jobs
    events = [
        {
            "event": "job_ended",
            "ok": True,
            "query": f"p{prompt:06d}",
            "stage": stage,
            "device": record.names[device],
            "prompt_tokens": 100 * prompt + 10 * stage + device,
            "output_tokens": 7,
        }
        for prompt, stage, device in zip(jobs.prompt.tolist(), jobs.stage.tolist(), jobs.device.tolist(), strict=True)
    ]
    lost = {**events[0], "ok": False, "prompt_tokens": None}
    lines = [json.dumps(event) for event in (lost, *reversed(events), {"event": "member"})]
    (run / "events.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (run / "scenario.toml").write_text("title = 'x'\n", encoding="utf-8")
    keep(run, target, ["dmoa calibrate", "dmoa testbed"], FOLDER / "real" / "profile.json")
    kept = read_run(target)
    assert kept.facts["made_by"] == ["dmoa calibrate", "dmoa testbed"]
    assert kept.jobs.ended == pytest.approx(jobs.ended, abs=1e-6)
    tokens = (target / "tokens.csv").read_text(encoding="utf-8").splitlines()
    assert tokens == ["read,written", "0,7", "1,7", "10,7", "100,7", "101,7", "110,7"]
    assert sorted(path.name for path in target.iterdir()) == sorted(path.name for path in (FOLDER / "real").iterdir())


def test_the_grey_band_is_the_error_that_the_profile_states() -> None:
    """As wide as the fit is off typically, rounded up to whole per cent, and the heading says how wide."""
    fit = read_live("real").profile.fit
    assert fit.loo_median_rel_err <= fit.stated_error < fit.loo_median_rel_err + 0.01
    typical = f"typically {round(100 * fit.stated_error)} % off"
    assert fit.off_by.startswith(typical)
    axes = new_axes()
    with house_style():
        live_testbed._draw_services(axes, read_live("real"))
    (band,) = axes.patches
    low, high = band.get_extents().transformed(axes.transData.inverted()).intervaly
    assert (low, high) == pytest.approx((1 - fit.stated_error, 1 + fit.stated_error))
    assert any(typical in " ".join(text.get_text().split()) for text in axes.texts)
