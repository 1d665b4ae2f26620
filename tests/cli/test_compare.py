"""``dmoa compare``."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from dmoa_theory.cli import main
from dmoa_theory.cli.schema import read_schema

QUICK = ["--queries", "20000"]


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads(read_schema("compare")))
    return document


def test_json_keeps_to_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *QUICK, "--json"]) == 0
    document = _json(capsys)
    assert document["over_load"] is None
    assert len(document["rows"]) > 40


def test_same_seed_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for _ in range(2):
        main(["compare", *QUICK, "--seed", "7", "--json"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]


def test_over_load_writes_table_and_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *QUICK, "--loads", "0.3, 0.6", "--json", "--out", str(tmp_path)]) == 0
    assert len(_json(capsys)["over_load"]) == 8
    always = {"compare.json", "compare.csv", "compare.png"}
    assert {path.name for path in tmp_path.iterdir()} == always | {"over_load.csv", "over_load.png"}
    assert main(["compare", *QUICK, "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == always  # nothing of the run before is left
    said = capsys.readouterr().out
    assert "Written to" in said
    assert "compare.png" in said


def test_loads_may_be_a_span(capsys: pytest.CaptureFixture[str]) -> None:
    """As --sweep takes it, beside a list."""
    said = []
    for loads in ("0.2:0.4:2", "0.2,0.4"):
        assert main(["compare", "--queries", "2000", "--loads", loads, "--json"]) == 0
        said.append(_json(capsys)["over_load"])
    assert said[0] == said[1]
    for wrong in ("0.2:1.2:3", "0.2:0.8", "0.2:0.8:0", "a:b:c"):
        assert main(["compare", "--loads", wrong]) == 2
        assert '"0.3,0.6,0.9" or 0.2:0.8:4' in capsys.readouterr().err


def test_over_load_says_of_what_a_figure_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--queries", "2000", "--loads", "0.3"]) == 0
    (heads,) = (line for line in capsys.readouterr().out.splitlines() if "busiest device" in line)
    assert " ".join(heads.split()) == (
        "busiest device mean in theory mean simulated mean off by p95 in theory p95 simulated p95 off by"
    )


def test_the_report_says_how_far_off_the_theory_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *QUICK]) == 0
    text = capsys.readouterr().out
    assert "standard errors" in text
    assert "all prompts" in text


def test_what_is_not_known_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        '[network]\ntopology = "ring"\nn = 3\n[arrivals]\nrate = 0.002\n[service]\nmean = 20.0\n[moa]\nM = 1\nk = 1\n'
    )
    assert main(["compare", str(path), "--queries", "500"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "How much memory the queues need is not known: that takes weights and kv_bytes_per_token under [memory]" in said
    assert "null" not in said
    assert main(["compare", str(path), "--queries", "500", "--set", 'memory.weights="1 GiB"']) == 0
    assert "not known" not in capsys.readouterr().out


def test_an_unstable_system_exits_3_with_the_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--queries", "5000", "--set", "arrivals.rate=0.5", "--json"]) == 3
    document = _json(capsys)
    assert document["rows"] == []
    assert any("grew throughout the run" in reason for reason in document["reasons"])
    assert main(["compare", "--queries", "5000", "--set", "arrivals.rate=0.5"]) == 3
    assert "UNSTABLE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--queries", "0"], "queries = 0: a whole number, 1 or more"),
        (["--loads", "1.5"], "--loads = 1.5: utilisations above 0 and below 1"),
        (["--loads", "much"], "--loads = much: utilisations above 0 and below 1"),
        (["--seed", "-1"], "seed = -1: a whole number, 0 or more"),
    ],
)
def test_bad_input_gets_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert complaint in captured.err
