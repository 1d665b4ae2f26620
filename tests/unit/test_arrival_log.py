"""Lists of prompts: how they are read, the rates that they stand for, and how far from Poisson they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, kstest

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog, read_arrivals
from dmoa_theory.model.network import Network

PAIR = Network.from_adjacency([[0, 1], [1, 0]], names=("ann", "bob"))


def logged(content: str, path: Path, network: Network = PAIR) -> ArrivalLog:
    file = path / "log.csv"
    file.write_text(content, encoding="utf-8")
    return read_arrivals(file, network)


@pytest.mark.parametrize(
    "content",
    [
        "time,user\n10,ann\n40,bob\n25,ann\n",
        "user;time;model\nann;10;x\n\nbob;40;\nann;25;y\n",
        "Time\tUser\n1e1\t0\n40.0\t1\n25\t0\n",
        "time,user\n2026-05-04T09:00:10,ann\n2026-05-04 09:00:40,bob\n2026-05-04T09:00:25.000,ann\n",
        "time,user\n2026-05-04T09:00:10Z,ann\n2026-05-04T11:00:40+02:00,bob\n2026-05-04T04:00:25-05:00,ann\n",
    ],
)
def test_ways_of_writing_the_same(content: str, tmp_path: Path) -> None:
    log = logged(content, tmp_path)
    assert log.time == pytest.approx([0.0, 15.0, 30.0])
    assert np.asarray(log.user).tolist() == [0, 0, 1]
    assert (log.prompts, log.span, log.name) == (3, 30.0, "log.csv")
    assert log.rates == pytest.approx([2 / 3 * 1 / 30, 1 / 3 * 1 / 30])


def test_one_device_needs_no_users(tmp_path: Path) -> None:
    log = logged("time\n3\n1\n2\n", tmp_path, Network.from_adjacency([[0]]))
    assert log.counts.tolist() == [3]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "an empty file: rows with the columns time and user"),
        ("when,user\n1,ann\n", "columns = when,user: time and user, each once; others are not read"),
        ("time\n1\n2\n", "columns = time: time and user"),
        ("time,user,user\n1,ann,ann\n", "columns = time,user,user: time and user"),
        ("time,user\n1,ann\n", "prompts = 1: 3 or more"),
        ("time,user\n", "prompts = 0: 3 or more"),
        ("time,user\n5,ann\n5,bob\n5,bob\n", "time = all the same: times that differ"),
        ("time,user\n1,ann\n2,an\n", "line 3: user = an: did you mean ann? a device by name"),
        ("time,user\n1,ann\n2,2\n", "line 3: user = 2: a device by name, or by number from 0 to 1"),
        ("time,user\n1,ann\n2\n", "line 3 = 1 cells: 2, as in the header"),
        ("time,user\nnoon,ann\n", "line 2: time = noon: seconds, or a date"),
        ("time,user\nnan,ann\n", "line 2: time = nan: seconds, or a date"),
        ("time,user\ninf,ann\n", "line 2: time = inf: seconds, or a date"),
        ("time,user\n1,ann\n2026-05-04,bob\n", "line 3: time = 2026-05-04: seconds, as in the rows before it"),
        (
            "time,user\n2026-05-04T09:00,ann\n2026-05-04T09:00Z,bob\n",
            "line 3: time = 2026-05-04T09:00Z: a date and time without",
        ),
        ('time,user\n1,"ann\n', "line 2 = unexpected end of data: comma-separated values with closed quotes"),
    ],
)
def test_what_is_refused(content: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        logged(content, tmp_path)
    assert str(refused.value).startswith(f"{tmp_path / 'log.csv'}: {complaint}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("time", "user", "field"),
    [
        ([[1.0, 2.0]], [0, 0], "time"),
        ([1.0, 2.0, 3.0], [0], "user"),
        ([1.0, 2.0, 3.0], [0, 2, 0], "user"),
        ([1.0, 2.0, 3.0], [0.0, 1.0, 0.0], "user"),
    ],
)
def test_arrays_that_are_refused(time: list[float], user: list[float], field: str) -> None:
    with pytest.raises(InputError) as refused:
        ArrivalLog(time=time, user=user, n_devices=2)
    assert refused.value.field == field


def poisson(rng: np.random.Generator, prompts: int) -> ArrivalLog:
    return ArrivalLog(time=np.cumsum(rng.exponential(3.0, prompts)), user=np.zeros(prompts, dtype=int), n_devices=1)


def test_a_poisson_process_is_taken_for_one() -> None:
    """Over 400 lists the chance is uniform, as it is of a right hypothesis: a test at 1 % refuses about that many."""
    rng = np.random.default_rng(11)
    seen = [poisson(rng, 400).dispersion() for _ in range(400)]
    assert kstest([each.chance for each in seen], "uniform").pvalue > 0.01
    refused = sum(each.chance < 0.01 for each in seen)
    assert binom.ppf(0.001, 400, 0.01) <= refused <= binom.ppf(0.999, 400, 0.01)
    for name in ("counts", "gaps"):
        values = np.array([getattr(each, name) for each in seen])
        assert (
            abs(values.mean() - 1) < 4 * values.std() / np.sqrt(values.size) + 2 / 400
        )  # both have a bias of order 1 / prompts


def test_rates_are_found_again() -> None:
    """Each user's rate, from lists of 400 prompts of a Poisson process: unbiased."""
    rng = np.random.default_rng(5)
    found = []
    for _ in range(300):
        user = (rng.random(400) < 0.25).astype(int)
        found.append(ArrivalLog(time=np.cumsum(rng.exponential(2.0, 400)), user=user, n_devices=2).rates)
    error = np.std(found, axis=0) / np.sqrt(300)
    assert (np.abs(np.mean(found, axis=0) - np.array([0.375, 0.125])) < 4 * error).all()
    few = [
        1 / 2.0 - ArrivalLog(time=np.cumsum(rng.exponential(2.0, 5)), user=[0] * 5, n_devices=1).rates[0] for _ in range(20_000)
    ]
    assert abs(np.mean(few)) < 4 * np.std(few) / np.sqrt(20_000)


def test_clumps_are_seen() -> None:
    """Clumps of 1 + Poisson(2) prompts: variance over mean of the counts is E[B^2] / E[B] = (2 + 9) / 3."""
    rng = np.random.default_rng(2)
    clump = 1 + rng.poisson(2, 30_000)
    time = np.repeat(np.cumsum(rng.exponential(60.0, clump.size)), clump)
    seen = ArrivalLog(time=time, user=np.zeros(time.size, dtype=int), n_devices=1).dispersion()
    assert seen.counts == pytest.approx(11 / 3, rel=0.05)  # standard error sqrt(2 / 9,000), 1.5 %
    assert seen.gaps > 3
    assert seen.chance < 1e-12


def test_clocks_are_seen_and_too_few_prompts_tell_nothing() -> None:
    even = ArrivalLog(time=np.arange(1000.0), user=np.zeros(1000, dtype=int), n_devices=1).dispersion()
    assert even.counts < 0.1
    assert even.gaps == 0
    assert even.chance > 1 - 1e-12
    few = ArrivalLog(time=np.arange(49.0), user=np.zeros(49, dtype=int), n_devices=1).dispersion()
    assert (few.windows, np.isnan(few.counts), np.isnan(few.chance)) == (0, True, True)


def test_of_pairs_a_long_list_tells_more() -> None:
    """What the guide says of the power of the test at 1 %."""
    rng = np.random.default_rng(7)
    found = {}
    for prompts in (100, 500):
        times = [np.repeat(np.cumsum(rng.exponential(60.0, prompts // 2)), 2) for _ in range(200)]
        lists = [ArrivalLog(time=time, user=np.zeros(prompts, dtype=int), n_devices=1) for time in times]
        found[prompts] = np.mean([each.dispersion().chance < 0.01 for each in lists])
    assert 0.15 < found[100] < 0.4
    assert 0.85 < found[500] < 0.97


@pytest.mark.parametrize(
    ("content", "remark"),
    [
        ("".join(f"{46146 + i / 300:.4f},ann\n" for i in range(200)), "the times may be a spreadsheet's numbers of days"),
        ("".join(f"2026-05-04T09:{i // 10:02d},ann\n" for i in range(200)), "times are rounded to the minute"),
        ("".join(f"{7 * i},ann\n" for i in range(40)), "40 prompts tell rates to some 16 % only"),
        ("".join(f"{7 * i},ann\n" for i in range(200)), ""),
    ],
)
def test_what_may_be_wrong_with_a_list_is_told(content: str, remark: str, tmp_path: Path) -> None:
    remarks = logged("time,user\n" + content, tmp_path).remarks()
    assert [each[: len(remark)] for each in remarks] == ([remark] if remark else [])
