"""``dmoa derive``: JSON, files, exit codes, complaints."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy

from dmoa_theory import __version__, load_scenario, stability_region
from dmoa_theory.symbolic.capacity import derive_capacity
from dmoa_theory.symbolic.families import FAMILIES, family_pattern

SELECTION = "from,to,probability\n" + "".join(
    f"{u},{(u + step) % 4},{p}\n" for u in range(4) for step, p in ((1, 0.9), (2, 0.6), (3, 0.5))
)


def loads_of(document: Any, path: Path) -> list[float]:
    """The conditions of a document at the rates, means, M and k of its scenario."""
    system = load_scenario(path)
    M, k, _ = system.moa.per_user(system.n_devices)
    mean = system.service.for_k(int(k[0])).mean
    values: dict[str, float] = {"M": int(M[0]), "k": int(k[0])}
    for i in range(system.n_devices):
        values |= {f"lambda_{i}": float(system.rates[i]), f"alpha_{i}": float(mean[i % mean.shape[0], 0])}
    return [float(sympy.sympify(entry["lhs"]).subs(values)) for entry in document["condition"]]


@pytest.mark.parametrize(
    "changes",
    [
        (),
        (("24.0", "[24.0, 31.0, 28.0, 40.0]\nstages = { layer = 1.3, aggregate = 1.7 }"), ("M = 1", "M = 3")),
        (('"complete"', '"line"'), ("k = 2", "k = 1"), ("0.002", "[0.002, 0, 0.001, 0.004]")),
        (("M = 1", "M = [0, 1, 2, 3]"), ("k = 2", "k = [0, 1, 2, 3]")),
        (("k = 2", 'k = 2\nselection = "best.csv"'),),
        (("M = 1\nk = 2", "M = 0\nk = 0"),),
        (("0.002", "0.05"),),
    ],
)
def test_conditions_are_the_loads_of_the_region(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, changes: tuple[tuple[str, str], ...]
) -> None:
    """One object, its schema, exit code 0 stable or not; and `lhs` is what `dmoa region` calls the utilisation."""
    (tmp_path / "best.csv").write_text(SELECTION)
    path = scenario(*changes)
    answer = dmoa("derive", path, "--json")
    assert (answer.code, answer.err) == (0, "")
    document = answer.checked("derive")
    assert (document["schema"], document["version"], document["source"]) == ("dmoa/derive/1", __version__, "exact")
    assert {"assumptions", "steps", "condition", "latex"} <= set(document)
    assert [entry["device"] for entry in document["condition"]] == [0, 1, 2, 3]
    assert loads_of(document, path) == pytest.approx(stability_region(load_scenario(path)).utilisation, rel=1e-10)
    assert dmoa("derive", path, "--json").out == answer.out


def test_the_bundled_example(dmoa: Callable[..., Any]) -> None:
    for what in ("stability", "delay", "capacity"):
        answer = dmoa("derive", "--what", what, "--json", "--device", "desk-2", "--device", "0")
        document = answer.checked("derive")
        assert document["what"] == what
        assert [(entry["device"], entry["name"]) for entry in document["condition"]] == [(1, "desk-2"), (0, "desk-1")]


@pytest.mark.parametrize("family", ["theorem-1", *FAMILIES])
def test_families(dmoa: Callable[..., Any], family: str) -> None:
    document = dmoa("derive", "--family", family, "--json").checked("derive")
    sizes = {"n", "left", "right", "branching", "d", "mean_degree", "dimension"}
    for entry in document["condition"]:
        names = {symbol.name for symbol in sympy.sympify(entry["lhs"]).free_symbols}
        assert {"M", "k", "alpha", "lam"} <= names <= {"M", "k", "alpha", "lam"} | sizes


def test_the_report_and_the_files(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    paper, out = tmp_path / "paper.tex", tmp_path / "made"
    answer = dmoa("derive", scenario(), "--latex", paper, "--out", out)
    assert answer.code == 0
    assert answer.out.startswith("When the queues stay bounded: four desks\n(exact)\n")
    assert paper.read_text().startswith(r"\documentclass{article}")
    assert sorted(entry.name for entry in out.iterdir()) == ["derive.csv", "derive.json", "derive.tex"]
    assert (out / "derive.tex").read_bytes() == paper.read_bytes()
    assert dmoa("derive", scenario(), "--latex", tmp_path / "new" / "folder" / "x.tex").code == 0
    assert (tmp_path / "new" / "folder" / "x.tex").read_bytes() == paper.read_bytes()
    assert (out / "derive.csv").read_text().startswith("device,name,meaning,expression\n0,load,device-0,")
    theorem = dmoa("derive", "--family", "theorem-1").out
    assert "α⋅λ⋅(M⋅(k + 1) + 1) < 1" in theorem


def test_more_than_twelve_devices_are_all_in_the_json_but_one_is_spelled_out(
    dmoa: Callable[..., Any], scenario: Callable[..., Path]
) -> None:
    path = scenario(('"complete"\nn = 4', '"star"\nn = 20'), ("k = 2", "k = 1"))
    document = dmoa("derive", path, "--json").checked("derive")
    assert len(document["condition"]) == 20
    assert [step["equation"].split(" ")[0] for step in document["steps"] if step["equation"].startswith("rho")] == ["rho_0"]
    assert loads_of(document, path) == pytest.approx(stability_region(load_scenario(path)).utilisation, rel=1e-10)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--family", "wheel"], "--family = wheel: one of theorem-1, complete, ring, "),
        (["--family", "star", "--device", "root"], "--device = root: one of centre, leaf"),
        (["--family", "star", "--set", "moa.k=1"], "--set = moa.k=1: only with a scenario: a family has no values to set"),
        (["--family", "theorem-1", "--what", "delay"], "--family = theorem-1: stability, and of no device alone"),
        (["--device", "desk-9"], "--device = desk-9: did you mean desk-4? a device by name, or by number from 0 to 3"),
        (["--what", "cost"], 'Invalid value "cost" for --what.'),
        (["--set", "moa.k=7"], "example.toml: moa.k = 7: device desk-1 has 3 neighbours, so k is 0 to 3"),
        (["--set", "network.topology=ring", "--set", "network.n=250000", "--set", "network.names=[]"], ""),
    ],
)
def test_bad_input(dmoa: Callable[..., Any], arguments: list[str], complaint: str) -> None:
    assert complaint in dmoa("derive", *arguments).complaint()


def test_a_family_is_not_beside_a_scenario(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    path = scenario()
    said = dmoa("derive", path, "--family", "ring").complaint()
    assert said == f"--family = {path}: a family in place of a scenario, not beside one"
    (tmp_path / "file").write_text("")
    assert dmoa("derive", "--latex", tmp_path / "file" / "x.tex").complaint().startswith(f"--latex = {tmp_path / 'file'}")


def test_networks_too_large_for_symbols(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    large = scenario(('"complete"\nn = 4', '"complete"\nn = 150'))
    said = dmoa("derive", large).complaint()
    assert said == "--device is missing: needed for a network of 22350 links: name the devices to derive"
    document = dmoa("derive", large, "--device", "17", "--json").checked("derive")
    assert [entry["device"] for entry in document["condition"]] == [17]
    larger = scenario(('"complete"\nn = 4', '"complete"\nn = 450'))
    assert (
        dmoa("derive", larger, "--device", "17").complaint()
        == "network = 202050 links: at most 200000 to be written in symbols"
    )


def test_of_a_quorum_no_more_is_said_than_is_proved(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """The model that is stated is the scenario's, and nothing is claimed of it that no proof covers."""
    whole = " ".join(dmoa("derive", scenario(), "--json").json["assumptions"])
    assert "all k + 1 jobs" in whole
    assert "proved to suffice" in whole
    early = " ".join(dmoa("derive", scenario(("k = 2", "k = 2\nquorum = 2")), "--json").json["assumptions"])
    assert "all k + 1 jobs" not in early
    assert "who ask all of their neighbours" not in early
    assert "With a quorum, loads below one are proved to suffice for M = 1," in early


@pytest.mark.parametrize(
    ("family", "names"), [("star", ["star"]), ("theorem-1", ["complete"]), ("erdos_renyi", ["erdos-renyi"])]
)
def test_the_curves_of_a_family(dmoa: Callable[..., Any], tmp_path: Path, family: str, names: list[str]) -> None:
    assert dmoa("derive", "--family", family, "--out", tmp_path).code == 0
    assert (tmp_path / "critical_rate.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "critical_rate.csv").read_text().splitlines()))
    assert {row["family"].replace("_", "-") for row in rows} == set(names)
    if family == "star":
        rate = {(int(row["n"]), int(row["k"])): float(row["critical_rate_times_alpha"]) for row in rows}
        assert rate[10, 1] == pytest.approx(1 / (2 * 10 + 1))
        derived = derive_capacity(family_pattern("star")).function("critical_rate", "centre")
        assert all(found == pytest.approx(derived(M=2, k=k, n=n, alpha=1.0)) for (n, k), found in rate.items() if k)


def test_help_says_which_numbers_become_symbols(dmoa: Callable[..., Any], process: Callable[..., Any]) -> None:
    said = " ".join(process("derive", "--help").out.replace("│", " ").split())
    assert "M becomes a symbol where all users run the same (M, k) with M at least 1, and so does k where" in said


def test_results_stand_by_themselves(dmoa: Callable[..., Any]) -> None:
    """No result leans on the one before it, every symbol is explained, and no line falls back to the spelling of programs."""
    for arguments in (["--family", "complete"], ["--family", "star"], []):
        for what in ("stability", "delay", "capacity"):
            answer = dmoa("derive", *arguments, "--what", what)
            for leaning in ("at which it is", "twice that\n", "the same in light traffic", "by the rate\n"):
                assert leaning not in answer.out
            for spelling in ("lam*", "alpha*", "lambda_0*", "alpha_0*", "harmonic(", "**", "device 0 "):
                assert spelling not in answer.out, (arguments, what)
            assert "alpha" in answer.out.partition("\n1. ")[0]
            if arguments and what == "delay":
                assert "SCV is the squared coefficient of variation" in answer.out
            if not arguments:
                assert "0 desk-1, 1" in " ".join(answer.out.split())
    document = dmoa("derive", "--family", "complete", "--what", "delay", "--json").json
    stated = {quantity["name"]: quantity["meaning"] for quantity in document["results"]}
    assert stated["doubling_rate"] == "rate of each user at which the mean latency is twice that in light traffic, prompts/s"


def test_a_measured_device_is_called_by_its_name(dmoa: Callable[..., Any]) -> None:
    steps = dmoa("derive", "--json").json["steps"]
    assert "it takes at desk-1 (and, with letters of their own, at desk-2, desk-3, desk-4)" in steps[0]["reason"]
    loads = [step for step in steps if step["equation"].startswith("rho_0")]
    assert loads[0]["equation"] == "rho_0 = beta_0*lambda_0 + v_0*(alpha_0 + beta_0*(M - 1))"
    assert "where beta_0 is the mean of its later stages" in loads[0]["reason"]
