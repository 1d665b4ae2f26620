"""What people read in a terminal: the answer in words, no wider than a page, no markup, quiet when nobody watches."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory import load_scenario, stability_region
from dmoa_theory.plots import plot_body, plot_section

WIDEST = 110
VERBS = ["plan", "region", "latency", "optimise"]


def _words(text: str) -> str:
    """The report as one line, so that line breaks do not matter."""
    return " ".join(text.split())


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("rate", ["0.002", "0.05"])
def test_reports_keep_to_the_page(dmoa: Callable[..., Any], scenario: Callable[..., Path], verb: str, rate: str) -> None:
    """Stable or not, with names that are long or look like markup."""
    path = scenario(
        ("n = 4", f'n = 4\nnames = ["[bold]x[/bold]", "[/]", "{"long" * 40}", "d"]'), ("0.002", rate), ("four", "[red]four[/]")
    )
    answer = dmoa(verb, path)
    assert answer.err == ""
    lines = answer.out.splitlines()
    assert max(map(len, lines)) <= WIDEST
    assert "[red]four[/] desks" in answer.out
    assert "\x1b" not in answer.out
    assert not re.search(r"\b(nan|inf|None|np\.float64)\b", answer.out)
    if verb != "optimise":
        assert "[bold]x[/bold]" in answer.out


@pytest.mark.parametrize("asked", [("compare", "--queries", "500"), ("whatif",)])
def test_long_names_give_way_to_figures(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], asked: tuple[str, ...]
) -> None:
    """In whatever column they stand."""
    names = ", ".join(f'"{where} of the department of public relations"' for where in ("attic", "basement", "lift", "roof"))
    answer = dmoa(asked[0], scenario(("n = 4", f"n = 4\nnames = [{names}]")), *asked[1:])
    table = answer.out.partition("standard errors")[0].partition("secure: whatever")[0].splitlines()[3:]
    assert max(map(len, table)) <= WIDEST
    assert not re.search(r"[0-9%]…", "\n".join(table))
    assert re.search(r"basement.*…", "\n".join(table))


def test_a_stable_region(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = _words(dmoa("region", scenario(("24.0", "[24.0, 31.0, 28.0, 40.0]"))).out)
    assert "four desks network: complete graph of 4 devices; 4 of 4 with users, 28.8 per hour in all" in said
    assert "service: 24.0 s to 40.0 s for a first-layer inference" in said
    assert "With M=1, k=2 every queue stays bounded; the busiest device is device-3, at 32.0 %." in said
    assert "All rates may grow up to 3.12 times; then device-3 gives way first." in said
    assert "Proved sufficient: one layer at most: load below one suffices." in said


@pytest.mark.parametrize("mean", ["24.0", "1.0", "0.01"])
def test_a_region_has_one_unit_for_rates(dmoa: Callable[..., Any], scenario: Callable[..., Path], mean: str) -> None:
    """In the table as along the axes of its pictures, however far the rates of now are from those that devices can carry."""
    path = scenario(("24.0", mean), ("0.002", "[0.003, 0.002, 0.002, 0.001]"))
    region = stability_region(load_scenario(path))
    labels = (plot_section(region.section(0, 1)).get_xlabel(), plot_body(region.body(0, 1, 2)).get_zlabel())
    assert "prompts per hour" in dmoa("region", path).out
    assert all("(per hour)" in label for label in labels)


def test_an_unstable_region_says_which_device_by_how_much_and_what_works(
    dmoa: Callable[..., Any], scenario: Callable[..., Path]
) -> None:
    said = _words(dmoa("region", scenario(("24.0", "[24.0, 31.0, 28.0, 40.0]"), ("0.002", "0.01"))).out)
    assert "UNSTABLE with M=1, k=2: device-3 is offered 1.6 seconds of work a second." in said
    assert "Its backlog grows by up to 2160 s of work an hour." in said
    assert "Queues stay bounded when all rates are scaled by less than 0.625." in said


_BAND = r"\d+(\.\d+)? % \(95 % of comparable systems within \d+(\.\d+)? %\)"


def test_latency_says_how_far_off_it_may_be(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = _words(dmoa("latency", scenario()).out)
    assert re.search(rf"With M=1, k=2 a prompt takes \d+(\.\d+)? s on average, expected error {_BAND}", said)
    assert re.search(rf"and 95 in 100 take less than \d+ s, expected error {_BAND}", said)
    unstable = _words(dmoa("latency", scenario(("0.002", "0.05"))).out)
    assert "UNSTABLE: device-0 is offered 4.8 seconds of work a second, so waits grow without bound." in unstable
    assert "Scale all rates by less than 0.208 to bound them." in unstable


def test_a_plan_says_what_to_run_first(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    out = dmoa("plan", scenario()).out
    lines = [line.strip() for line in out.splitlines()]
    run = next(line for line in lines if line.startswith("Run "))
    assert re.fullmatch(r"Run M=\d, k=\d\.", run)
    said = _words(out)
    assert re.search(r"stable up to [\d.]+ prompts/s in all", said)
    assert "Accuracy: Mitra, Kaswan, Ulukus (2024), arXiv:2412.21200, Table II" in said
    assert re.search(r"10 prompts, which means [\d.]+ to 13(\.\d)? points of standard error", said)


def test_a_plan_says_what_the_error_of_service_times_does(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    """Measured ones: every mean longer by two of its standard errors. In plain numbers: nothing, for nothing is known."""
    document = dmoa("plan", "--no-simulation", "--json").checked("plan")
    longer, settled = document["settled"]["slower_service"], document["settled"]
    assert longer["standard_errors"] == 2
    assert 1 < longer["mean"] / settled["latency"]["mean"] < 1.1
    assert 1 < longer["p95"] / settled["latency"]["p95"] < 1.1
    assert 0.9 < longer["critical_scale"] / settled["region"]["critical_scale"] < 1
    assert "with service times 2 standard errors longer: mean " in _words(dmoa("plan", "--no-simulation").out)
    plain = dmoa("plan", scenario(), "--no-simulation", "--json").checked("plan")
    assert plain["settled"]["slower_service"] is None
    assert "standard errors longer: mean" not in _words(dmoa("plan", scenario(), "--no-simulation").out)


def test_what_a_plan_says_to_type_next_is_of_the_same_system(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    """With the overrides that it was made with; typed into a shell, it runs."""
    folder = tmp_path / "with blank"
    folder.mkdir()
    file = folder / "office.toml"
    file.write_text(scenario().read_text(encoding="utf-8"), encoding="utf-8")
    changed = "network.link_delay=20 ms"
    words = _words(dmoa("plan", str(file), "--no-simulation", "--set", changed).out)
    (typed,) = re.findall(r"Next: dmoa (.*) \(or region\)", words)
    verb, path, *given = shlex.split(typed)
    assert (verb, path, given[:2]) == ("latency", str(file), ["--set", changed])
    assert dmoa(verb, path, *given).code == 0


def test_an_infeasible_plan_says_what_would_mend_it(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    for verb in ("plan", "optimise"):
        answer = dmoa(verb, scenario(more="[constraints]\nmean_latency = 20.0\n"))
        said = _words(answer.out)
        assert answer.code == 3
        assert "No configuration meets every limit." in said
        assert re.search(r"Nearest is M=0, k=0: mean latency 2\d\.\d s against 20\.0 s\.", said)
        assert re.search(r"Smallest change: move mean latency from 20\.0 s to 2\d\.\d s; then M=0, k=0 runs\.", said)
        assert "A smaller load alone does not mend it: some limit fails even on idle devices." in said
    overloaded = _words(dmoa("plan", scenario(("0.002", "0.05"))).out)
    assert "UNSTABLE: busiest device-0 at 480.0 %" in overloaded
    assert "Every one of them overloads a device, M=0, k=0 the least: 120.0 % of its time." in overloaded
    assert re.search(r"Bring the load down to 79\.\d % of what it is; then M=0, k=0 meets the limits\.", overloaded)


def test_nobody_sees_a_bar_in_a_pipe(process: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    answer = process("plan", scenario())
    assert (answer.code, answer.err) == (0, "")
    assert "\r" not in answer.out
    assert max(map(len, answer.out.splitlines())) <= WIDEST


@pytest.mark.parametrize("arguments", [("plan",), ("region", "--json"), ("--help",), ("schema", "plan")])
def test_a_reader_who_leaves_is_no_fault(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    """The pipe is closed before anything is written: exit code 0, not a word on standard error."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dmoa_theory", *arguments],
            env=environment,
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [("region",), ("--help",)])
def test_a_full_disk_is_said_in_a_line(environment: dict[str, str], arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dmoa_theory", *arguments],
            env=environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=600,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "dmoa: standard output: no space left on device\n")


def test_an_interrupt_ends_in_a_line(environment: dict[str, str], listening: list[str], tmp_path: Path) -> None:
    """Ctrl-C while a verb works: one line, exit code 130."""
    fifo = tmp_path / "slow.toml"
    os.mkfifo(fifo)  # reading the scenario waits for a writer
    with subprocess.Popen(
        [*listening, "region", str(fifo)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        writer = os.open(fifo, os.O_WRONLY)  # returns when the command has opened the file to read it
        running.send_signal(signal.SIGINT)
        os.close(writer)  # a signal just before the read is heard only when the read ends
        out, err = running.communicate(timeout=600)
    assert (running.returncode, out, err) == (130, "", "dmoa: interrupted\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_every_sign_gets_its_report(
    environment: dict[str, str], scenario: Callable[..., Path], encoding: str
) -> None:
    path = scenario(("n = 4", 'n = 4\nnames = ["α", "é", "c", "d"]'))
    for options in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "dmoa_theory", "plan", str(path), *options],
            env={**environment, "PYTHONIOENCODING": encoding},
            capture_output=True,
            timeout=600,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        if options:
            import json

            assert json.loads(done.stdout.decode(encoding))["region"]["names"] == ["α", "é", "c", "d"]


def test_a_closed_standard_output_is_no_fault(environment: dict[str, str]) -> None:
    command = f'"{sys.executable}" -m dmoa_theory region >&-'
    done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert (done.returncode, done.stderr) == (0, "")
