"""What scripts rely on: JSON keys and schemas, exit codes, bytes, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import __version__
from dmoa_theory.cli import VERBS

BYTES_OF = (
    "weights = 8e9\nkv_bytes_per_token = 1e5\ncontext_tokens = 2048\nbytes_per_prompt = 4096\nbytes_per_response = 1024\n"
)
MEMORY = f"[memory]\n{BYTES_OF}"
MEASURED = (
    "mean = 24.0",
    'profile = "epyc-1thread-qwen2-0.5b-2026-11-23"\nprompt_tokens = 30\noutput_tokens = { mean = 20, scv = 0.5 }',
)
SELECTION = "from,to,probability\n" + "".join(
    f"{u},{(u + step) % 4},{p}\n" for u in range(4) for step, p in ((1, 0.9), (2, 0.6), (3, 0.5))
)

Changes = tuple[tuple[str, str], ...]

# name, changes to the plain scenario, text behind it, stable as configured, some configuration feasible
CASES: list[tuple[str, Changes, str, bool, bool]] = [
    ("plain", (), "", True, True),
    ("unstable", (("0.002", "0.05"),), "", False, False),
    ("one configuration too much", (("M = 1\nk = 2", "M = 3\nk = 3"), ("0.002", "0.0035")), "", False, True),
    ("infeasible", (), "[constraints]\nmean_latency = 1.0\n", True, False),
    ("every user its own", (("M = 1", "M = [0, 1, 2, 3]"), ("k = 2", "k = [0, 1, 2, 3]")), "", True, True),
    ("helpers", (("0.002", "[0.002, 0, 0.001, 0]"),), "", True, True),
    ("one device", (("n = 4", "n = 1"), ("M = 1\nk = 2", "M = 0\nk = 0")), "", True, True),
    ("memory", (), MEMORY + '[constraints]\nmemory = "16 GiB"\n', True, True),
    ("unstable with memory", (("0.002", "0.05"),), MEMORY + '[constraints]\nmemory = "16 GiB"\n', False, False),
    ("measured", (MEASURED,), "", True, True),
    ("weighted selection", (("k = 2", 'k = 2\nselection = "best.csv"'),), "", True, True),
    ("quorum", (("k = 2", "k = 2\nquorum = 2"),), "", True, True),
    ("link delays", (("n = 4", "n = 4\nlink_delay = [0.1, 0, 2.5, 0.3]"),), "", True, True),
    ("link rate", (("n = 4", 'n = 4\nlink_rate = "2 MB/s"'),), MEMORY, True, True),
    ("line", (('"complete"', '"line"'), ("k = 2", "k = 1")), "", True, True),
    ("some overloaded", (('"complete"', '"line"'), ("k = 2", "k = 1"), ("0.002", "[0.5, 0, 0.001, 0.001]")), "", False, False),
]
KEYS = {
    "plan": {"region", "latency", "choice", "recommended", "pareto"},
    "region": {"utilisation", "stable", "bottleneck", "critical_scale", "critical_rate", "slack", "guarantee"},
    "latency": {"mean", "p50", "p95", "p99", "per_user", "per_device", "expected_error"},
    "optimise": {"choice", "recommended", "verified", "feasible", "pareto", "binding", "runner_up"},
}


@pytest.fixture(params=CASES, ids=[case[0] for case in CASES])
def case(request: pytest.FixtureRequest, scenario: Callable[..., Path], tmp_path: Path) -> tuple[Path, bool, bool]:
    _, changes, more, stable, feasible = request.param
    (tmp_path / "best.csv").write_text(SELECTION)
    return scenario(*changes, more=more), stable, feasible


@pytest.mark.parametrize("verb", KEYS)
def test_json_keeps_its_schema(dmoa: Callable[..., Any], case: tuple[Path, bool, bool], verb: str) -> None:
    """Exit code, one object and nothing else, every key of DESIGN.md, the same bytes again."""
    path, stable, feasible = case
    answer = dmoa(verb, path, "--json")
    assert answer.err == ""
    document = answer.checked(verb)
    assert KEYS[verb] <= set(document)
    assert (document["schema"], document["version"]) == (f"dmoa/{verb}/1", __version__)
    good = stable if verb in {"region", "latency"} else feasible
    assert answer.code == (0 if good else 3)
    assert document["stable" if verb in {"region", "latency"} else "feasible"] is good
    if verb == "region":
        assert set(document["bottleneck"]) >= {"device", "utilisation"}
        assert set(document["guarantee"]) == {"verdict", "theorem", "certified_scale", "certificate", "warning"}
    assert dmoa(verb, path, "--json").out == answer.out


@pytest.mark.parametrize("verb", KEYS)
def test_the_schema_asks_for_every_key(dmoa: Callable[..., Any], verb: str) -> None:
    schema = dmoa("schema", verb).json
    assert {"schema", "version", "source"} | KEYS[verb] <= set(schema["required"])
    assert set(schema["required"]) == set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_what_is_unbounded_is_null_with_a_reason(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    latency = dmoa("latency", scenario(("0.002", "0.05")), "--json").json
    assert [latency[key] for key in ("mean", "p50", "p95", "p99")] == [None] * 4
    reason, memory = latency["reasons"]
    assert reason == (
        "unstable: device-0 is asked for 4.8 seconds of work a second; "
        "queues stay bounded when all rates are scaled by less than 0.2083"
    )
    assert memory.startswith("memory is null: ")
    region = dmoa("region", scenario(("0.002", "0.05")), "--json").json
    assert region["guarantee"]["verdict"] == "unstable"
    assert region["critical_scale"] == pytest.approx(1 / 4.8)
    assert region["critical_rate"] == [0, 0, 0, 0]  # three users alone overload every device


def test_users_without_prompts_are_null(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    users = dmoa("latency", scenario(("0.002", "[0.002, 0, 0.001, 0]")), "--json").json["per_user"]
    assert [user is None for user in users] == [False, True, False, True]


def test_only_users_who_reach_an_overloaded_device_wait_for_ever(
    dmoa: Callable[..., Any], scenario: Callable[..., Path]
) -> None:
    path = scenario(('"complete"', '"line"'), ("k = 2", "k = 1"), ("0.002", "[0.03, 0, 0, 0.001]"), ("M = 1", "M = 1"))
    users = dmoa("latency", path, "--json").json["per_user"]
    assert users[0]["mean"] is None
    assert users[3]["mean"] > 48


def test_theorem_1(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """`alpha ((k + 1) M + 1) lambda < 1` on the complete graph (Mitra2024, Theorem 1), for every M and k."""
    for M in (0, 1, 2, 5):
        for k in (0, 1, 2, 3):
            region = dmoa("region", scenario(("M = 1", f"M = {M}"), ("k = 2", f"k = {k}")), "--json").json
            load = 24.0 * ((k + 1) * M + 1) * 0.002
            assert region["utilisation"] == pytest.approx([load] * 4)
            assert region["critical_scale"] == pytest.approx(1 / load)
            assert region["slack"] == pytest.approx([1 - load] * 4)
            assert region["stable"] is (load < 1)


def test_remark_1_the_slowest_device_decides(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    region = dmoa("region", scenario(("24.0", "[24.0, 31.0, 28.0, 40.0]")), "--json").json
    assert region["bottleneck"] == {"device": 3, "name": "device-3", "utilisation": pytest.approx(40 * 4 * 0.002)}
    assert region["critical_scale"] * 0.002 == pytest.approx(1 / (40 * 4))


def test_stage_multipliers_do_nothing_to_the_bare_prompt(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """M = 0 is one job, served as a first-layer job."""
    path = scenario(("M = 1", "M = 0"))
    for verb in ("region", "latency"):
        plain = dmoa(verb, path, "--json").out
        assert dmoa(verb, path, "--set", "service.stages={layer = 2, aggregate = 3}", "--json").out == plain
    assert dmoa("region", path, "--set", "moa.M=1", "--set", "service.stages.aggregate=3", "--json").out != plain


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (["moa.k=3"], [("k = 2", "k = 3")]),
        (["moa.k = 3"], [("k = 2", "k = 3")]),
        (["moa.k=[0, 1, 2, 3]"], [("k = 2", "k = [0, 1, 2, 3]")]),
        (["service.law=lognormal", "service.scv=0.5"], [("24.0", '24.0\nlaw = "lognormal"\nscv = 0.5')]),
        (['service.law="lognormal"'], [("24.0", '24.0\nlaw = "lognormal"')]),
        (["service.stages={layer = 2.0}"], [("24.0", "24.0\nstages = { layer = 2.0 }")]),
        (["service.stages.layer=2.0"], [("24.0", "24.0\nstages = { layer = 2.0 }")]),
        (["memory.weights=8 GiB"], [("[moa]", '[memory]\nweights = "8 GiB"\n[moa]')]),
        (["network.topology=grid", "network.n=4"], [('"complete"', '"grid"')]),
        (["network.topology=grid", "network.rows=2", "network.cols=2"], [('"complete"\nn = 4', '"grid"\nrows = 2\ncols = 2')]),
        (["title=another office"], [("four desks", "another office")]),
        (["moa.k=1", "moa.k=3"], [("k = 2", "k = 3")]),
    ],
)
def test_an_override_is_as_if_written(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], overrides: list[str], same: list[tuple[str, str]]
) -> None:
    written = dmoa("latency", scenario(*same, name="written.toml"), "--json")
    options = [part for override in overrides for part in ("--set", override)]
    overridden = dmoa("latency", scenario(name="plain.toml"), *options, "--json")
    assert overridden.code == 0
    assert overridden.out == written.out


@pytest.mark.parametrize(
    ("overrides", "same"),
    [
        (["arrivals.rate=7.2/hour"], []),
        (["arrivals.rate=0.12 / min"], []),
        (['arrivals.rate=["7.2/hour", 0.002, "172.8/day", "2e-3/s"]'], [("0.002", "[0.002, 0.002, 0.002, 0.002]")]),
        (["service.mean=24 s"], []),
        (["service.mean=0.4min"], []),
        (['service.mean=["24 s", 24, "0.4 min", 24.0]'], [("24.0", "[24.0, 24.0, 24.0, 24.0]")]),
        (["network.link_delay=10 ms"], [("n = 4", "n = 4\nlink_delay = 0.01")]),
        (["network.link_delay=0 ms"], [("n = 4", "n = 4\nlink_delay = 0")]),
        (['network.link_delay=["10 ms", 0.2, 0, "1 s"]'], [("n = 4", "n = 4\nlink_delay = [0.01, 0.2, 0, 1]")]),
        (["constraints.p95_latency=5 min"], [("[moa]", "[constraints]\np95_latency = 300.0\n[moa]")]),
        (["constraints.mean_latency=1.5 minutes"], [("[moa]", "[constraints]\nmean_latency = 90.0\n[moa]")]),
    ],
)
def test_a_unit_is_as_the_number_in_seconds(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], overrides: list[str], same: list[tuple[str, str]]
) -> None:
    """Byte for byte, limits and all: nothing behind the file knows how it was written."""
    options = [part for override in overrides for part in ("--set", override)]
    for verb, more in (("latency", ()), ("optimise", ("--no-simulation",))):
        written = dmoa(verb, scenario(*same, name="written.toml"), *more, "--json")
        assert dmoa(verb, scenario(name="plain.toml"), *options, *more, "--json").out == written.out


@pytest.mark.parametrize(
    ("arguments", "option", "text", "number"),
    [
        (("burst", "--replications", "3"), "--until", "5 min", "300"),
        (("whatif",), "--round-trip", "80 ms", "0.08"),
        (("optimise", "--no-simulation", "--per-user"), "--time-limit", "0.5 s", "0.5"),
    ],
)
def test_an_option_in_seconds_may_have_a_unit(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], arguments: tuple[str, ...], option: str, text: str, number: str
) -> None:
    verb, *more = arguments
    plain = dmoa(verb, scenario(), *more, option, number, "--json")
    assert plain.code == 0, plain.err
    if verb != "optimise":  # whose gap after half a second is not the same twice
        assert dmoa(verb, scenario(), *more, option, text, "--json").out == plain.out
    said = dmoa(verb, scenario(), *more, option, "5 dogs").complaint()
    assert said.startswith(f"Invalid value for {option}: 5 dogs: a time, 0 or more: seconds as a number, or text such as ")


@pytest.mark.parametrize("verb", ["plan", "region", "latency", "optimise"])
def test_files_are_whole(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, verb: str) -> None:
    """JSON as printed, tables that parse, pictures that are pictures; no drafts left; the same bytes again."""
    path, out = scenario(), tmp_path / "made" / "here"
    printed = dmoa(verb, path, "--out", out, "--json")
    assert printed.code == 0
    files = {entry.name: entry.read_bytes() for entry in out.iterdir()}
    assert json.loads(files[f"{verb}.json"]) == printed.json
    assert not [name for name in files if name.startswith(".")]
    tables = [content for name, content in files.items() if name.endswith(".csv")]
    assert tables
    for content in tables:
        rows = content.decode().splitlines()
        assert len(rows) > 1
    pictures = [content for name, content in files.items() if name.endswith(".png")]
    assert pictures
    assert all(content.startswith(b"\x89PNG") and b"IEND" in content[-12:] for content in pictures)
    dmoa(verb, path, "--out", out)
    assert {entry.name: entry.read_bytes() for entry in out.iterdir()} == files


def test_files_of_what_is_unstable_are_written_too(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    for verb in ("plan", "region", "latency", "optimise"):
        answer = dmoa(verb, scenario(("0.002", "0.05")), "--out", tmp_path / verb, "--json")
        assert answer.code == 3
        assert json.loads((tmp_path / verb / f"{verb}.json").read_text()) == answer.json


def test_a_section_of_the_region_by_name_or_number(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    """Devices called 3, 2, 1, 0: a name goes before a number."""
    path = scenario(("n = 4", 'n = 4\nnames = ["3", "2", "1", "0"]'), ("0.002", "[0.002, 0.001, 0.003, 0.004]"))
    pictures = []
    for users in ("3,2", "0,1"):
        out = tmp_path / users
        assert dmoa("region", path, "--users", users, "--out", out).code == 0
        pictures.append([(out / name).read_bytes() for name in ("section.png", "region_3d.png")])
    assert pictures[0] != pictures[1]


def test_three_named_users_span_the_body_and_two_the_section(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    """The third user is the busiest other; a lone pair of users has a section and no body."""
    path = scenario(("n = 4", "n = 4"), ("0.002", "[0.002, 0.001, 0.003, 0.004]"))
    pictures = {}
    for users in ("0,1", "0,1,3", "0,1,2"):
        assert dmoa("region", path, "--users", users, "--out", tmp_path / users).code == 0
        pictures[users] = [(tmp_path / users / name).read_bytes() for name in ("section.png", "region_3d.png")]
    assert pictures["0,1"] == pictures["0,1,3"]
    assert pictures["0,1"][0] == pictures["0,1,2"][0]
    assert pictures["0,1"][1] != pictures["0,1,2"][1]


def test_init_writes_the_example_that_plan_reads(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    answer = dmoa("init", tmp_path, "--json")
    assert answer.code == 0
    assert answer.checked("init")["path"] == str(tmp_path / "scenario.toml")
    mine, bundled = dmoa("plan", tmp_path / "scenario.toml", "--json"), dmoa("plan", "--json")
    assert mine.code == bundled.code == 0
    assert mine.out == bundled.out
    assert dmoa("init", tmp_path / "scenario.toml", "--force").code == 0


def test_schemas_are_printed(dmoa: Callable[..., Any]) -> None:
    for verb in VERBS:
        if verb != "schema":
            answer = dmoa("schema", verb)
            assert answer.code == 0
            assert answer.json["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_the_whole_way_through_a_process(process: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Standard output and exit code as a script sees them, the same bytes in two processes."""
    path = scenario(("0.002", "0.05"))
    first, second = (process("latency", path, "--json") for _ in range(2))
    assert (first.code, first.err) == (3, "")
    assert first.out == second.out
    first.checked("latency")
    bad = process("latency", path, "--set", "moa.k=9")
    assert bad.complaint().startswith(f"{path}: moa.k = 9: ")
