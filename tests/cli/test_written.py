"""What every verb says at the end of what it wrote to ``--out``: one sentence, and every file that is there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import System
from dmoa_theory.cli import VERBS, make_app
from dmoa_theory.cli.output import console, print_lines
from dmoa_theory.cli.testbed_report import report
from dmoa_theory.live.examples import small_run
from dmoa_theory.live.measured_run import evaluate

Dmoa = Callable[..., Any]

QUICK = ("--queries", "2000")
#: Arguments before --out; SCENARIO and TRACE are put in. The others of VERBS need minutes, a live network, or take no --out.
WRITING = {
    "plan": ("plan", "SCENARIO", "--no-simulation"),
    "region": ("region", "SCENARIO"),
    "derive": ("derive", "SCENARIO"),
    "derive a family": ("derive", "--family", "star"),
    "capacity": ("capacity", "SCENARIO"),
    "overload": ("overload", "SCENARIO"),
    "whatif": ("whatif", "SCENARIO", "--lose", "0"),
    "latency": ("latency", "SCENARIO"),
    "simulate": ("simulate", "SCENARIO", *QUICK),
    "burst": ("burst", "SCENARIO", "--prompts", "20", "--replications", "5"),
    "accuracy": ("accuracy",),
    "optimise": ("optimise", "SCENARIO", "--no-simulation"),
    "compare": ("compare", "SCENARIO", *QUICK, "--loads", "0.5"),
    "replay": ("replay", "TRACE"),
    "reproduce": ("reproduce", "theorem-1", "--quick"),
    "profile show": ("profile", "show", "epyc-1thread-qwen2-0.5b-2026-11-23"),
    "profile compare": ("profile", "compare", *("epyc-1thread-qwen2-0.5b-2026-11-23",) * 2),
}
TRACE = "query,arrival,user,stage,device,service\n0,0.0,0,0,0,1.0\n0,0.0,0,1,0,1.0\n"


@pytest.mark.parametrize("name", WRITING)
def test_what_was_written_is_said_last(dmoa: Dmoa, scenario: Callable[..., Path], tmp_path: Path, name: str) -> None:
    """Each file or folder that is there now, and no other; nothing of it in JSON."""
    (tmp_path / "trace.csv").write_text(TRACE)
    places = {"SCENARIO": scenario(), "TRACE": tmp_path / "trace.csv"}
    arguments = [places.get(each, each) for each in WRITING[name]]
    out = tmp_path / "a-new" / "folder"
    answer = dmoa(*arguments, "--out", out)
    assert answer.code == 0, answer.err
    words = " ".join(answer.out.split())
    said = re.findall(r"Written to (\S+): ([^:]*)\.( Next: .*)?$", words)
    assert [place for place, *_ in said] == [str(out)]  # the path in one piece
    assert words.count("Written to") == 1
    assert sorted(said[0][1].split(", ")) == sorted(path.name for path in out.iterdir())
    assert "Written to" not in dmoa(*arguments, "--out", out, "--json").out


def test_every_verb_that_takes_out_is_among_them() -> None:
    """A verb that comes to take --out has to come here too."""
    known = {arguments[0] for arguments in WRITING.values()} | {"testbed"}
    app = make_app()
    options = {verb: {name for one in app[verb].assemble_argument_collection() for name in one.names} for verb in VERBS}
    taking = {verb for verb, names in options.items() if "--out" in names}
    assert taking == known


def test_a_live_run_says_it_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """And what to do with it next."""
    run = evaluate(small_run(), System.from_arrays([[0, 1], [1, 0]], [0.02, 0], 1.0, M=1, k=1), runs=5)
    for name in ("trace.csv", "run.json"):
        (tmp_path / name).touch()
    report(run, tmp_path)
    words = " ".join(capsys.readouterr().out.split())
    assert f"Written to {tmp_path}: run.json, trace.csv. Next: dmoa replay {tmp_path / 'trace.csv'} plays it again, " in words
    (tmp_path / "trace.csv").unlink()
    report(run, tmp_path)
    assert "dmoa replay" not in capsys.readouterr().out


def test_a_path_stays_in_one_piece(capsys: pytest.CaptureFixture[str]) -> None:
    """However long it is, and wherever it has hyphens: it is there to be copied."""
    path = "/var/" + "-".join(["long"] * 40) + "/out"
    print_lines(console(), [f"Written to {path}: plan.json.", f"Some words first, then words with hy-phens, and {path[:60]}."])
    lines = capsys.readouterr().out.splitlines()
    assert any(path in line for line in lines)
    assert any(path[:60] in line for line in lines)
