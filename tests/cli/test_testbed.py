"""``dmoa testbed``."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import System
from dmoa_theory.errors import InputError

QUICK = """\
title = "three desks"
[network]
topology = "complete"
n = 3
names = ["left", "middle", "right"]
[arrivals]
rate = 2.0
[service]
mean = [0.02, 0.03, 0.04]
scv = 0.5
[moa]
M = 1
k = 1
"""
FILES = {
    *("scenario.toml", "testbed.json", "comparison.csv", "run.json", "prompts.csv", "stages.csv", "jobs.csv", "events.jsonl"),
    *("trace.csv", "memory.csv", "latency.png", "queues.png", "utilisation.png"),
}


@pytest.fixture
def desks(tmp_path: Path) -> Path:
    """Three desks with quick devices."""
    path = tmp_path / "desks.toml"
    path.write_text(QUICK)
    return path


@pytest.fixture
def calm(dmoa: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """A run in which no device was offered more than it could do: where services took long, on a busy machine, another one."""

    def run(*arguments: object) -> Any:
        for number in range(20):
            answer = dmoa("testbed", *arguments, "--out", tmp_path / f"run-{number}")
            (tmp_path / "run").unlink(missing_ok=True)
            (tmp_path / "run").symlink_to(tmp_path / f"run-{number}")
            if json.loads((tmp_path / "run" / "testbed.json").read_text())["stable"]:
                break
        return answer

    return run


def test_a_run_its_record_and_its_replay(
    dmoa: Callable[..., Any], calm: Callable[..., Any], desks: Path, tmp_path: Path
) -> None:
    """JSON by the schema, all prompts answered, the folder whole; the trace replays, and the folder is evaluated again."""
    out = tmp_path / "run"
    answer = calm(desks, "--queries", 40, "--seed", 3, "--json")
    assert answer.code == 0, answer.err
    document = answer.checked("testbed")
    assert (document["queries"], document["jobs"], document["mode"], document["seed"]) == (40, 120, "paced", 3)
    assert document["outcomes"]["answered"] == document["outcomes"]["sent"] == 40
    assert {path.name for path in out.iterdir()} == FILES
    assert json.loads((out / "testbed.json").read_text()) == document
    rows = {(row["quantity"], row["of"]): row for row in document["comparison"]["rows"]}
    assert rows["mean latency", "all prompts"]["measured"] == document["mean"]
    assert rows["utilisation", "right"]["scenario"] == pytest.approx(2 * 3 * 0.04)
    assert document["replay"]["prompts"] == 40
    assert document["replay"]["overhead"] > 0
    for device, mean in zip(document["service"], (0.02, 0.03, 0.04), strict=True):
        assert device["scenario"]["first"] == mean
        assert device["measured"]["first"] > 0
    replayed = dmoa("replay", out / "trace.csv", "--json").checked("replay")
    assert replayed["mean"] == pytest.approx(document["replay"]["replayed"]["mean"])
    assert dmoa("testbed", "--from", out, "--json").checked("testbed") == document
    refused = dmoa("testbed", desks, "--queries", 40, "--out", out).complaint()
    assert "never written over another" in refused
    with (out / "jobs.csv").open() as table:
        jobs = list(csv.DictReader(table))
    ends: dict[str, float] = {}
    for job in sorted(jobs, key=lambda job: float(job["started"])):  # one inference at a time at each device
        assert float(job["reached"]) <= float(job["started"]) < float(job["ended"])
        assert float(job["started"]) >= ends.get(job["device"], 0.0)
        ends[job["device"]] = float(job["ended"])


def test_prompts_of_a_file_are_answered_in_its_format(dmoa: Callable[..., Any], desks: Path, tmp_path: Path) -> None:
    """As AlpacaEval takes them; and what the scenario names comes along, so that the run is evaluated wherever it goes."""
    (tmp_path / "near").mkdir()
    pairs = [
        ("left", "middle"),
        ("left", "right"),
        ("middle", "left"),
        ("middle", "right"),
        ("right", "left"),
        ("right", "middle"),
    ]
    (tmp_path / "near" / "best.csv").write_text("from,to,probability\n" + "".join(f"{a},{b},0.5\n" for a, b in pairs))
    chosen = ("--set", 'moa.selection="near/best.csv"')
    questions = tmp_path / "eval.json"
    questions.write_text(json.dumps([{"instruction": "Why?", "dataset": "koala"}, {"instruction": "How?"}]))
    hurried = ("--set", "arrivals.rate=20", *chosen)
    answer = dmoa("testbed", desks, *hurried, "--prompts", questions, "--json", "--out", tmp_path / "run")
    assert answer.checked("testbed")["queries"] == 2
    outputs = json.loads((tmp_path / "run" / "outputs.json").read_text())
    assert [each["instruction"] for each in outputs] == ["Why?", "How?"]
    assert outputs[0]["dataset"] == "koala"
    assert all(each["output"] and each["generator"] == "dmoa M=1,k=1 paced" for each in outputs)
    elsewhere = tmp_path / "elsewhere" / "run"
    elsewhere.parent.mkdir()
    (tmp_path / "run").rename(elsewhere)
    assert dmoa("testbed", "--from", elsewhere, "--json").json == answer.json
    document = dmoa("compare", desks, *hurried, "--measured", elsewhere, "--queries", 2000, "--json").checked("compare")
    assert document["measured"]["answered"] == 2


def test_a_full_device_refuses_and_overload_exits_3(dmoa: Callable[..., Any], desks: Path) -> None:
    """Refusals are counted, growth stands beside the fluid limit, and the report says so in words."""
    answer = dmoa("testbed", desks, "--load", 3, "--queries", 80, "--open-queries", 4, "--json")
    assert answer.code == 3, answer.err
    document = answer.checked("testbed")
    outcomes = document["outcomes"]
    assert outcomes["refused"] > 0
    assert outcomes["answered"] + outcomes["refused"] == 80
    rows = document["comparison"]["rows"]
    assert {row["quantity"] for row in rows} == {"jobs gained"}
    assert all(row["within"] is None and row["theory"] is not None for row in rows)  # queues without a bound would grow
    assert any("refused because a queue was full" in reason for reason in document["reasons"])


def test_the_report_speaks(calm: Callable[..., Any], desks: Path) -> None:
    """Times faster than the scenario's: loads stay, and so does the wording."""
    answer = calm(desks, "--set", "service.mean=2.0", "--set", "arrivals.rate=0.05", "--speed", 60, "--queries", 20)
    assert answer.code == 0, answer.err
    assert "Times are as run, 60 times faster than the scenario's." in answer.out
    assert "few for intervals from batches: --queries" in answer.out
    assert "first 0" not in answer.out
    for words in (
        "Measured, paced",
        "20 of 20 prompts answered",
        "of the simulated runs",
        "ideal queues",
        "mean latency",
        "utilisation, left",
    ):
        assert words in answer.out
    assert max(map(len, answer.out.splitlines())) <= 112


def test_the_bundled_scenario_runs_when_it_is_hurried(dmoa: Callable[..., Any], calm: Callable[..., Any]) -> None:
    """As it stands it takes hours, and says what to do; then its loads are those of the scenario."""
    said = dmoa("testbed", "--queries", 30).complaint()
    assert "takes 3750 s; 60 (or auto) makes that 62.5 s" in said
    document = calm("--queries", 30, "--speed", 1000, "--json").checked("testbed")
    assert (document["queries"], document["speed"]) == (30, 1000)
    loads = dmoa("region", "--json").checked("region")["utilisation"]
    rows = {(row["quantity"], row["of"]): row for row in document["comparison"]["rows"]}
    assert rows["utilisation", "desk-1"]["scenario"] == pytest.approx(loads[0])


@pytest.mark.parametrize(
    ("rate", "service", "arguments", "speed", "said"),
    [
        (1 / 30, 3.0, ("--speed", "auto"), 60, ""),  # an hour becomes a minute
        (1 / 30, 0.2, ("--speed", "auto"), 4, ""),  # or no inference would take 50 ms
        (50.0, 0.001, ("--speed", "auto"), 0.02, ""),
        (100.0, 0.2, ("--speed", "auto"), 1, ""),  # short enough as it is
        (
            100.0,
            0.2,
            ("--speed", "20"),
            20,
            "inferences of 10.0 ms are short for real processes, which need 0.3 ms between two",
        ),
        (1 / 300, 3.0, ("--speed", "2"), 2, "this run takes 5.00 h; --speed 60 makes that 600 s"),
        (1 / 300, 0.06, ("--speed", "1"), 1, ""),  # there is nothing better
    ],
)
def test_a_speed_is_chosen_and_one_that_tells_little_is_warned_of(
    dmoa: Callable[..., Any],
    desks: Path,
    monkeypatch: pytest.MonkeyPatch,
    rate: float,
    service: float,
    arguments: tuple[str, ...],
    speed: float,
    said: str,
) -> None:
    """Nothing is run: what would be is looked at."""
    import dmoa_theory.cli.testbed as verb

    ran: list[float] = []

    def looked_at(system: System, *_arguments: object, **_more: object) -> None:
        ran.append(float(system.rates[0]) / rate)
        raise InputError("", InputError.MISSING, "looked at")

    monkeypatch.setattr(verb, "_run", looked_at)
    values = ("--set", f"arrivals.rate={rate}", "--set", f"service.mean={service}")
    answer = dmoa("testbed", desks, *values, "--queries", 360, *arguments)
    assert ran == [pytest.approx(speed)]
    assert answer.err.count("\n") == 1 + bool(said)
    assert said in answer.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--queries", "0"), "--queries = 0"),
        (("--seed", "-1"), "--seed = -1"),
        (("--load", "0"), "--load = 0"),
        (("--load", "1e9"), "--load = 1000000000.0: a number above 0, at most 100"),
        (("--speed", "0"), "--speed = 0"),
        (("--speed", "fast"), "--speed: fast: a number, or auto"),
        (("--speed", "1e9"), "--speed = 1000000000.0: at most 20, or devices would have to be quicker than 1 ms"),
        (("--patience", "0"), "--patience = 0"),
        (("--mode", "real"), "--mode = real: paced with --backend paced"),
        (("--backend", "transformers", "--mode", "paced"), "--mode = paced"),
        (("--backend", "transformers"), "--model is missing"),
        (("--backend", "openai_http"), "--url is missing"),
        (("--model", "x"), "--model = x: only with a --backend"),
        (("--backend", "llama_cpp", "--synthetic", "llama-tiny", "--speed", "2"), "--speed = 2"),
        (("--prompts", "nowhere.json"), "--prompts = nowhere.json"),
        (("--open-queries", "0"), "--open-queries = 0"),
        (("--from", "nowhere"), "nowhere: no run"),
        (("--from", "run", "--speed", "10"), "--speed = 10.0: not beside --from, which evaluates a run that is over"),
        (("--from", "run", "--backend", "paced"), "--backend = paced: not beside --from"),
        (("--from", "run", "--seed", "0"), "--seed = 0: not beside --from"),
        (("--from", "run", "--live"), "--live = given: not beside --from"),
        (("--from", "run", "--model", "x"), "--model = x: not beside --from"),
        (("--set", "network.link_rate=1 MB/s"), "network.link_rate = 1000000.0: only with message sizes"),
        (("--set", "arrivals.rate=0.001"), "--speed is missing: a factor: as it stands the run takes 18.5 h"),
    ],
)
def test_bad_input_is_refused_in_a_line(
    dmoa: Callable[..., Any], desks: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    assert complaint in dmoa("testbed", desks, *arguments).complaint()


def test_what_is_not_installed_is_said_with_its_mend(dmoa: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and the command that mends it."""
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiohttp" else there(name))
    assert "pip install 'dmoa[testbed]'" in dmoa("testbed").complaint()


def test_a_node_by_hand_needs_its_configuration(dmoa: Callable[..., Any], desks: Path, tmp_path: Path) -> None:
    """Its complaints are those of the node."""
    assert "config is missing" in dmoa("testbed", "node").complaint()
    assert "comes after the word node" in dmoa("testbed", desks, desks).complaint()
    assert f"{tmp_path}/nope.toml: no such file" in dmoa("testbed", "node", tmp_path / "nope.toml").err
    wrong = tmp_path / "node.json"
    wrong.write_text('{"name": "a b"}')
    answer = dmoa("testbed", "node", wrong)
    assert answer.code == 2
    assert answer.err.count("\n") == 1


def test_a_run_that_cannot_be_written_is_reported_all_the_same(
    dmoa: Callable[..., Any], desks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at the end: the answer, then the complaint, and no half of a folder."""
    import dmoa_theory.cli.testbed_report as files

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device", "events.jsonl")

    monkeypatch.setattr(files, "write_text", full)
    out = tmp_path / "run"
    answer = dmoa("testbed", desks, "--set", "arrivals.rate=20", "--queries", 5, "--json", "--out", out)
    assert answer.code == 2
    assert answer.checked("testbed")["queries"] == 5
    assert answer.err == "dmoa: events.jsonl: no space left on device\n"
    assert not out.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"desks.toml"}


def test_an_interrupted_evaluation_keeps_the_record(
    dmoa: Callable[..., Any], desks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What took hours to record is not lost with the minute in which it is evaluated: --from does that another time."""
    from dmoa_theory.live import measured_run

    def interrupted(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measured_run, "evaluate", interrupted)
    out = tmp_path / "run"
    answer = dmoa("testbed", desks, "--set", "arrivals.rate=20", "--queries", 5, "--json", "--out", out)
    monkeypatch.undo()
    said = f"dmoa: what was recorded is in {out}: dmoa testbed --from {out} evaluates it\ndmoa: interrupted\n"
    assert (answer.code, answer.out, answer.err) == (130, "", said)
    assert {path.name for path in out.iterdir()} == FILES - {
        *("testbed.json", "comparison.csv", "latency.png", "queues.png", "utilisation.png")
    }
    assert dmoa("testbed", "--from", out, "--json").checked("testbed")["queries"] == 5


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_an_interruption_keeps_what_was_answered_and_leaves_no_process(
    listening: list[str], environment: dict[str, str], desks: Path, tmp_path: Path
) -> None:
    """Ctrl-C once: a partial answer, exit code 130, every node gone."""
    out, work = tmp_path / "run", tmp_path / "work"
    work.mkdir()
    command = [*listening, "testbed", str(desks), "--queries", "2500", "--json", "--out", str(out)]
    there = {**environment, "TMPDIR": str(work)}
    run = subprocess.Popen(command, env=there, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until(lambda: _answered(work), run)
        nodes = _nodes_of(run.pid)
        assert len(nodes) == 3
        run.send_signal(signal.SIGINT)
        printed, complaint = run.communicate(timeout=600)
    finally:
        run.kill()
        run.wait()
    assert run.returncode == 130, complaint
    document = json.loads(printed)
    assert document["partial"]
    assert 0 < document["queries"] < 2500
    assert (out / "trace.csv").is_file()
    assert not any(Path(f"/proc/{pid}").exists() for pid in nodes)
    assert list(work.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("when", "signals"),
    [
        ("starting", (signal.SIGINT, signal.SIGINT)),
        ("starting", (signal.SIGTERM,)),
        ("running", (signal.SIGINT, signal.SIGINT)),
        ("running", (signal.SIGTERM, signal.SIGTERM)),
    ],
)
def test_an_impatient_interruption_ends_in_a_line(
    listening: list[str],
    environment: dict[str, str],
    desks: Path,
    tmp_path: Path,
    when: str,
    signals: tuple[signal.Signals, ...],
) -> None:
    """Again and again, while nodes start or work: one line, exit code 130, every node and every file gone."""
    work = tmp_path / "work"
    work.mkdir()
    command = [*listening, "testbed", str(desks), "--queries", "2500"]
    there = {**environment, "TMPDIR": str(work)}
    run = subprocess.Popen(command, env=there, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        _wait_until(lambda: _answered(work) if when == "running" else bool(_nodes_of(run.pid)), run)
        nodes = _nodes_of(run.pid)
        run.send_signal(signals[0])
        if len(signals) > 1:  # two at once would be heard as one: again until it ends
            _wait_until(lambda: run.poll() is not None or run.send_signal(signals[1]), run, every=0.1)
        printed, complaint = run.communicate(timeout=600)
    finally:
        run.kill()
        run.wait()
    assert (run.returncode, printed, complaint) == (130, "", "dmoa: interrupted\n")
    assert not any(Path(f"/proc/{pid}").exists() for pid in nodes)
    assert list(work.iterdir()) == []


def _wait_until(so: Callable[[], object], run: subprocess.Popen[str], every: float = 0.02) -> None:
    """Wait for something that a run comes to, however slow the machine; one that ends before it, or hangs, is told of."""
    until = time.monotonic() + 600
    while not so():
        assert run.poll() is None or so(), f"the run ended before, with {run.returncode}"
        assert time.monotonic() < until, "the run did not come to it"
        time.sleep(every)


def _answered(work: Path) -> bool:
    """Whether some node has answered prompts."""
    return sum(path.read_text().count('"query_ended"') for path in work.glob("*/*/events.jsonl")) >= 3


def _nodes_of(parent: int) -> list[int]:
    """Processes that this one started."""
    found = []
    for task in Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            found += [int(pid) for pid in task.read_text().split()]
        except OSError:
            continue
    return [pid for pid in found if os.path.exists(f"/proc/{pid}")]


def test_prompts_as_they_came_are_sent_like_that(dmoa: Callable[..., Any], desks: Path, tmp_path: Path) -> None:
    """From a file or the scenario's own list, which --queries makes a rate of; the run is evaluated again from its folder."""
    rows = "".join(f"{0.5 * (i // 4):.1f},{name}\n" for i, name in enumerate(["left", "left", "middle", "left"] * 6))
    (tmp_path / "bouts.csv").write_text("time,user\n" + rows)
    out = tmp_path / "run"
    answer = dmoa("testbed", desks, "--arrivals", tmp_path / "bouts.csv", "--json", "--out", out)
    document = answer.checked("testbed")
    assert (document["queries"], document["warm_up"], document["cut_off"]) == (24, 0, 0)
    assert any(reason.startswith("prompts came as in bouts.csv: ") for reason in document["reasons"])
    with (out / "prompts.csv").open() as table:
        assert [float(row["intended"]) for row in csv.DictReader(table)] == [0.5 * (i // 4) for i in range(24)]
    assert dmoa("testbed", "--from", out, "--json").checked("testbed") == document
    beside = dmoa("compare", desks, "--measured", out, "--queries", 2000)
    assert "Of the run: prompts came as in bouts.csv" in " ".join(beside.out.split())
    own = tmp_path / "own.toml"
    own.write_text(QUICK.replace("rate = 2.0", 'log = "bouts.csv"'))
    report = dmoa("testbed", own, "--speed", 2)
    said = " ".join(report.out.split())
    assert "24 of 24 prompts answered" in said
    assert "runs of the same prompts at the same times" in said
    drawn = dmoa("testbed", own, "--queries", 10, "--json").checked("testbed")
    assert drawn["queries"] == 10
    assert not any("bouts.csv: theory" in reason for reason in drawn["reasons"])
    for option in (("--queries", 5), ("--load", 0.5)):
        assert "not beside --arrivals" in dmoa("testbed", desks, "--arrivals", tmp_path / "bouts.csv", *option).complaint()
