"""``dmoa latency --verify``: the estimate beside a simulation of the same system, by the schema, in words, and interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import latency, load_scenario, simulate
from dmoa_theory.cli import verification
from dmoa_theory.compare import Row
from dmoa_theory.delay.expected_error import ErrorBand

QUERIES = 20_000


def test_side_by_side(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Rows hold the estimate's and the simulator's own figures; the other keys stay; the same bytes again."""
    path = scenario()
    answer = dmoa("latency", path, "--verify", "--queries", "2e4", "--seed", 5, "--json")
    assert answer.code == 0
    document = answer.checked("latency")
    plain = dmoa("latency", path, "--json").checked("latency")
    found = document.pop("verification")
    assert plain["verification"] is None
    assert document | {"verification": None} == plain
    system = load_scenario(path)
    estimate, seen = latency(system), simulate(system, queries=QUERIES, seed=5)
    rows = {(row["quantity"], row["of"]): row for row in found["rows"]}
    wanted = {(f"{name} latency", "all prompts") for name in ("mean", "p50", "p95", "p99")}
    devices = [system.network.name(i) for i in range(4)]
    wanted |= {(name, device) for name in ("mean latency", "mean wait", "mean in system") for device in devices}
    assert set(rows) == wanted
    p95 = rows["p95 latency", "all prompts"]
    assert p95["theory"] == estimate.p95
    assert p95["simulated"] == float(seen.p95.value)
    assert p95["ci95"] == float(seen.p95.half_width)
    assert p95["difference"] == pytest.approx(estimate.p95 / float(seen.p95.value) - 1)
    assert rows["mean in system", devices[2]]["simulated"] == float(seen.jobs_mean.value[2])
    assert (found["queries"], found["jobs"], found["seed"], found["partial"]) == (seen.queries, seen.jobs, 5, False)
    assert found["stable"] is True
    assert found["within_band"] is True
    assert dmoa("latency", path, "--verify", "--queries", QUERIES, "--seed", 5, "--json").out == answer.out


def test_in_words(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """A table, the differences in per cent, and whether they are within the stated error."""
    said = " ".join(dmoa("latency", scenario(), "--verify", "--queries", QUERIES).out.split())
    assert "quantity of theory simulated ± 95 % difference in s.e." in said
    assert "Verified, estimate less simulation: mean" in said
    assert "all within the stated error" in said
    assert "Furthest off: a user's mean by" in said
    assert "± 95 %: how far off chance alone may put the simulated figure" in said
    assert "BEWARE" not in said
    assert "Simulated: 20,000 prompts" in said


@pytest.mark.parametrize(("queries", "prompts"), [(1, "Simulated: 1 prompt, "), (100, "Simulated: 100 prompts, ")])
def test_too_few_prompts_to_tell(dmoa: Callable[..., Any], scenario: Callable[..., Path], queries: int, prompts: str) -> None:
    """No verdict, neither in words nor in JSON, however far apart the figures are."""
    options = ("latency", scenario(), "--verify", "--queries", queries)
    said = " ".join(dmoa(*options).out.split())
    assert "; too few prompts to tell (--queries). " in said
    assert prompts in said
    assert not any(word in said for word in ("FURTHER OFF", "all within", "Furthest off", "too few for honest"))
    found = dmoa(*options, "--json").checked("latency")["verification"]
    assert (found["within_band"], found["within_expected"]) == (None, None)
    assert {row["within_expected"] for row in found["rows"]} == {None}


def test_an_exact_mean_is_not_blamed(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Without layers the simulation is off the mean, not the mean off the simulation."""
    path = scenario(("M = 1\nk = 2", "M = 0\nk = 0"))
    for queries in (200, 1):
        options = ("latency", path, "--verify", "--queries", queries)
        said = " ".join(dmoa(*options).out.split())
        assert not any(word in said for word in ("FURTHER OFF", "further off than", "BEWARE"))
        found = dmoa(*options, "--json").checked("latency")["verification"]
        assert found["within_band"] is not False
    assert "the simulation is off the exact mean by" in said  # of one prompt
    assert "so ask for more prompts" in said


NEAR = ErrorBand(typical=0.01, within=0.03, largest=0.05, bias=0.0)
EXACT = ErrorBand(typical=0.0, within=0.0, largest=0.0, bias=0.0)


@pytest.mark.parametrize(
    ("theory", "half_width", "band", "queries", "inside", "said"),
    [
        (101.0, 1.0, NEAR, 50_000, True, "all within the stated error"),
        (101.0, 4.0, NEAR, 50_000, None, "too few prompts to tell (--queries)"),
        (101.0, 1.0, NEAR, 500, None, "too few prompts to tell (--queries)"),
        (150.0, float("nan"), NEAR, 50_000, None, "too few prompts to tell (--queries)"),
        (104.5, 1.0, NEAR, 50_000, False, "mean further off than 95 % of comparable systems, though not than all"),
        (110.0, 1.0, NEAR, 50_000, False, "mean FURTHER OFF than in any comparable system"),
        (108.0, 4.0, NEAR, 50_000, None, "too few prompts to tell (--queries)"),  # 4 s.e., yet 1.5 intervals and a band
        (120.0, 4.0, NEAR, 50_000, False, "mean FURTHER OFF than in any comparable system"),
        (101.0, 1.5, EXACT, 50_000, True, "all within the stated error"),
        (125.0, 5.0, EXACT, 50_000, None, "the simulation is off the exact mean by 20 % (9.8 s.e.), so ask for more prompts"),
        (101.0, 1.0, None, 50_000, None, "the error of such estimates is not known"),
    ],
)
def test_what_is_said_of_one_figure(
    theory: float, half_width: float, band: ErrorBand | None, queries: int, inside: bool | None, said: str
) -> None:
    """Against a simulated 100: by the band, the interval and the number of prompts."""
    row = Row(
        quantity="mean latency",
        of="all prompts",
        unit="s",
        theory=theory,
        simulated=100.0,
        half_width=half_width,
        expected=band,
    )
    assert verification._in_band(row, queries) is inside
    assert verification._verdict([row], queries) == said


def test_a_wait_far_off_is_named() -> None:
    """In a line of its own, unless it is chance, or the waits are exact."""

    def wait(of: str, theory: float, half_width: float) -> Row:
        return Row(quantity="mean wait", of=of, unit="s", theory=theory, simulated=10.0, half_width=half_width)

    near, far, chance = wait("near", 11.5, 0.1), wait("far", 6.0, 0.5), wait("chance", 14.0, 3.0)
    said = list(verification._furthest([near, far, chance], exact=False))
    assert said[0] == (
        "Furthest off: a device's wait by -40.0 ± 5.0 % (far); the stated error is that of all prompts together."
    )
    assert said[1].startswith("BEWARE: the estimated wait at far is 40 % too short; ")
    assert len(list(verification._furthest([near, chance], exact=False))) == 1
    assert len(list(verification._furthest([far], exact=True))) == 1


def test_how_long_it_takes_is_said_first(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, from the speed of a short run; nothing of a run that is short itself."""
    options = ("latency", scenario(), "--verify", "--queries", QUERIES, "--json")
    assert dmoa(*options).err == ""
    monkeypatch.setattr(verification, "_FEW_JOBS", 0)
    monkeypatch.setattr(verification, "_PILOTS", (1e4, 1e5))
    monkeypatch.setattr(verification, "_LONG", 0.0)
    monkeypatch.setattr(verification, "_duration", lambda seconds: "a while" if 0 < seconds < 600 else "too long")
    answer = dmoa(*options)
    assert answer.err == "dmoa: simulating 20,000 prompts takes about a while; Ctrl-C ends it\n"
    assert answer.checked("latency")["verification"]["queries"] == QUERIES


@pytest.mark.parametrize(
    ("within", "largest", "said"),
    [
        (0.0, 1e-9, "FURTHER OFF than in any comparable system"),
        (1e-9, 1.0, "further off than 95 % of comparable systems, though not than all"),
    ],
)
def test_outside_the_stated_error(
    dmoa: Callable[..., Any],
    scenario: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    within: float,
    largest: float,
    said: str,
) -> None:
    """It says which figure is, and JSON too."""
    from dmoa_theory.delay import expected_error

    band = expected_error.ErrorBand(typical=0.0, within=within, largest=largest, bias=0.0)
    promised = expected_error.ExpectedError(mean=band, p50=band, p95=band, p99=band, basis="nothing")
    monkeypatch.setattr("dmoa_theory.delay.latency.expected_error", lambda *_args, **_named: promised)
    path = scenario(("mean = 24.0", 'mean = 24.0\nlaw = "deterministic"'), ("M = 1\nk = 2", "M = 3\nk = 1"))
    options = ("latency", path, "--verify", "--queries", 100_000)
    assert said in " ".join(dmoa(*options).out.split())
    found = dmoa(*options, "--json").checked("latency")["verification"]
    assert found["within_band"] is False
    assert found["within_expected"] is (largest == 1.0)


def test_an_unstable_system_is_not_simulated(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what is unstable, exit 3, and starts nothing that would not end."""
    monkeypatch.setattr("dmoa_theory.cli.verification.simulate", lambda *_args, **_named: pytest.fail("simulated"))
    path = scenario(("0.002", "0.05"))
    answer = dmoa("latency", path, "--verify", "--json")
    assert answer.code == 3
    found = answer.checked("latency")["verification"]
    assert (found["queries"], found["stable"], found["rows"], found["within_band"]) == (0, False, [], None)
    assert "not simulated: with device-0 offered" in found["reasons"][0]
    said = dmoa("latency", path, "--verify")
    assert said.code == 3
    assert "Not simulated: with device-0 offered" in " ".join(said.out.split())


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--queries", "5"), "--queries = 5: only beside --verify, which simulates"),
        (("--seed", "0"), "--seed = 0: only beside --verify, which simulates"),
        (("--verify", "--queries", "0"), "--queries = 0: a whole number of at least 1"),
        (("--verify", "--seed", "-1"), "--seed = -1: a whole number, 0 or more"),
        (
            ("--verify", "--queries", "1e11"),
            "--queries = 100,000,000,000: at most 2,500,000,000, which are 10,000,000,000 inferences of this system",
        ),
    ],
)
def test_options_that_cannot_be(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], options: tuple[str, ...], complaint: str
) -> None:
    """One line, exit 2."""
    assert dmoa("latency", scenario(), *options).complaint() == complaint


def test_files(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The JSON and a table of the rows."""
    monkeypatch.setattr("dmoa_theory.load_curves._MOST_LINKS", 0)  # no curves, which take longer
    out = tmp_path / "out"
    options = ("--verify", "--queries", QUERIES, "--json", "--out", out, "--set", "moa.k=1")
    answer = dmoa("latency", scenario(), *options)
    assert answer.code == 0
    assert json.loads((out / "latency.json").read_text()) == answer.json
    assert len((out / "verification.csv").read_text().splitlines()) == 1 + len(answer.json["verification"]["rows"])


def test_files_of_an_earlier_run_are_removed(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verb's own that this run does not write, and no others; what was written is said at the end."""
    monkeypatch.setattr("dmoa_theory.load_curves._MOST_LINKS", 0)
    out = tmp_path / "out"
    out.mkdir()
    (out / "over_load.png").write_text("of an earlier run")
    (out / "notes.csv").write_text("mine")
    assert dmoa("latency", scenario(), "--verify", "--queries", 500, "--queues", "--target", "p95=400", "--out", out).code == 0
    assert {"verification.csv", "target.csv", "single_queues.csv", "where_time_goes.png"} <= {f.name for f in out.iterdir()}
    answer = dmoa("latency", scenario(("0.002", "0.05")), "--out", out)
    assert answer.code == 3
    assert {file.name for file in out.iterdir()} == {"notes.csv", "latency.json", "latency.csv", "latency.png", "queues.csv"}
    said = " ".join(answer.out.split())
    assert said.endswith(f"Written to {out}: latency.json, latency.csv, queues.csv, latency.png.")
    (out / "target.csv").mkdir()
    assert dmoa("latency", scenario(), "--out", out).code == 2


def test_interrupted(interrupted: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Ctrl-C ends the simulation, and what is finished is printed: exit 130, one whole JSON object, no traceback."""
    answer = interrupted("latency", scenario(), "--verify", "--queries", "2000000000", "--json")
    assert answer.code == 130
    found = answer.json["verification"]
    assert found["partial"] is True
    assert answer.err.startswith("dmoa: simulating 2,000,000,000 prompts takes about ")
    assert answer.err.count("\n") == 1
    assert any(reason.startswith("interrupted: ") for reason in found["reasons"])
