"""The parts of a node alone: whom it chooses, how long it takes, what it writes down, in which order it serves."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from dmoa_calibration.testbed.asking import NeighbourDesk
from dmoa_calibration.testbed.choice import choose_neighbours, generator_for
from dmoa_calibration.testbed.config import ServiceConfig, check_url, read_node_config
from dmoa_calibration.testbed.engines import Generation, Task
from dmoa_calibration.testbed.engines.paced import PacedEngine
from dmoa_calibration.testbed.event_log import EventLog
from dmoa_calibration.testbed.pace import Pace
from dmoa_calibration.testbed.scenario_nodes import device_names, node_configs
from dmoa_calibration.testbed.work_queue import Work, WorkQueue
from dmoa_theory import MoA, Network, ServiceTime, System, load_scenario
from dmoa_theory.errors import CalibrationError, InputError
from dmoa_theory.model.selection import coin_chances, inclusion_from_coins
from tests.testbed.network_of_nodes import config, run

# -- whom -------------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 8), st.integers(0, 8), st.integers(0, 99), st.booleans())
def test_neighbours_are_distinct_and_as_many_as_can_be_had(d, k, seed, weighted):
    names = [f"n{i}" for i in range(d)]
    weights = {name: float(i + 1) for i, name in enumerate(names)} if weighted else None
    chosen = choose_neighbours(names, weights, k, np.random.default_rng(seed))
    assert len(chosen) == len(set(chosen)) == min(d, k)
    assert set(chosen) <= set(names)


@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 3.0, 0.7, 10.0], [np.inf, 1.0, 2.0, 0.0, 4.0]])
def test_each_neighbour_is_asked_as_often_as_the_model_says(weights):
    """Within 4 standard errors of the inclusion probabilities of conditional-Poisson sampling."""
    names, k, draws = list("vwxyz"), 2, 20_000
    expected = np.full(5, k / 5) if weights is None else inclusion_from_coins(coin_chances(np.array(weights), k), k)
    table = None if weights is None else dict(zip(names, weights, strict=True))
    rng = np.random.default_rng(3)
    counted = Counter(name for _ in range(draws) for name in choose_neighbours(names, table, k, rng))
    share = np.array([counted[name] for name in names]) / draws
    error = np.sqrt(expected * (1 - expected) / draws)
    assert (np.abs(share - expected) <= 4 * error + 1e-12).all()


def test_pairs_are_drawn_with_the_product_of_their_weights():
    """The law itself, not only its margins: P{i, j} proportional to w_i w_j."""
    weights = {"x": 1.0, "y": 2.0, "z": 5.0}
    rng, draws = np.random.default_rng(4), 20_000
    counted = Counter(frozenset(choose_neighbours("xyz", weights, 2, rng)) for _ in range(draws))
    total = 2.0 + 5.0 + 10.0
    for pair, weight in (("xy", 2.0), ("xz", 5.0), ("yz", 10.0)):
        p = weight / total
        assert abs(counted[frozenset(pair)] / draws - p) <= 4 * np.sqrt(p * (1 - p) / draws)


def test_users_choose_independently_even_where_their_queries_have_the_same_names(tmp_path):
    """Devices whose clients number their prompts alike do not all ask the same neighbour at the same time."""
    names = list("vwxyz")

    def chosen(own: str) -> list[str]:
        desk = NeighbourDesk.__new__(NeighbourDesk)
        desk.own, desk._config, desk._peers = own, config(own, tmp_path), object()
        desk._membership = SimpleNamespace(reachable=lambda: names)
        return [desk.choose(str(i), 0, 1)[0] for i in range(2000)]

    together = np.zeros((5, 5))
    for one, other in zip(chosen("a"), chosen("b"), strict=True):
        together[names.index(one), names.index(other)] += 1
    assert chi2_contingency(together).pvalue > 1e-3
    assert chisquare(together.sum(axis=0)).pvalue > 1e-3


def test_nodes_ask_as_a_scenario_with_very_unequal_probabilities_says_also_where_one_is_dead(tmp_path):
    """Chi-square over the sets that are asked, each as likely as the product of its weights; so is whoever stands in."""
    wanted = {"b": 0.95, "c": 0.6, "d": 0.3, "e": 0.1, "f": 0.05}
    rows = [f"a,{name},{p}" for name, p in wanted.items()]
    rows += [f"{u},{v},0.4" for u in wanted for v in "abcdef" if v != u]
    (tmp_path / "best.csv").write_text("from,to,probability\n" + "\n".join(rows))
    (tmp_path / "s.toml").write_text(
        '[network]\ntopology = "complete"\nn = 6\nnames = ["a", "b", "c", "d", "e", "f"]\n[arrivals]\nrate = 0.1\n'
        '[service]\nmean = 0.1\n[moa]\nM = 1\nk = 2\nselection = "best.csv"\n'
    )
    of_a = node_configs(load_scenario(tmp_path / "s.toml"), tmp_path, mode="paced", ports=range(1, 7), seed=5)[0]
    there = list(wanted)
    desk = NeighbourDesk.__new__(NeighbourDesk)
    desk.own, desk._config, desk._peers = "a", of_a, object()
    desk._membership = SimpleNamespace(reachable=lambda: there)

    def law(names: list[str], k: int) -> dict[frozenset[str], float]:
        weight = {frozenset(each): np.prod([of_a.neighbours[name] for name in each]) for each in combinations(names, k)}
        return {each: w / sum(weight.values()) for each, w in weight.items()}

    def agree(drawn: list[frozenset[str]], expected: dict[frozenset[str], float]) -> bool:
        counted = Counter(drawn)
        assert set(counted) <= set(expected)
        found = chisquare([counted[each] for each in expected], [len(drawn) * p for p in expected.values()])
        return found.pvalue > 1e-3

    draws, pairs = range(20_000), law(there, 2)
    assert {name: sum(p for each, p in pairs.items() if name in each) for name in wanted} == pytest.approx(wanted)
    assert agree([frozenset(desk.choose(str(i), 0, 2)) for i in draws], pairs)
    asked = [SimpleNamespace(asked=["a", "b", "c"], query=str(i), stage=0) for i in draws]
    assert agree([frozenset({desk.substitute(run)}) for run in asked], law(["d", "e", "f"], 1))
    there.remove("b")
    assert agree([frozenset(desk.choose(str(i), 0, 2)) for i in draws], law(there, 2))


# -- how long ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["exponential", "gamma", "lognormal", "deterministic", "empirical"])
def test_service_times_have_the_mean_and_spread_of_their_stage(law):
    scv = {"exponential": 1.0, "deterministic": 0.0}.get(law, 0.4)
    samples = [1.0, 2.0, 3.0] if law == "empirical" else None
    if samples:
        scv = float(np.var(samples) / np.mean(samples) ** 2)
    pace = Pace({"2": ServiceConfig(law=law, mean=[1.0, 2.0, 4.0], scv=[scv] * 3, samples=samples)}, seed=1)
    for kind, mean in (("first", 1.0), ("later", 2.0), ("aggregate", 4.0)):
        drawn = np.array([pace.seconds(f"job-{i}", kind, 2) for i in range(4000)])
        assert abs(drawn.mean() - mean) <= 4 * mean * np.sqrt(scv / drawn.size) + 1e-12
        assert drawn.var() / mean**2 == pytest.approx(scv, rel=0.2, abs=1e-12)


def test_a_job_takes_as_long_again_after_a_restart():
    law = {"2": ServiceConfig(law="gamma", mean=[1.0] * 3, scv=[0.5] * 3)}
    first, second, other = Pace(law, 1), Pace(law, 1), Pace(law, 2)
    assert first.seconds("j", "first", 2) == second.seconds("j", "first", 2) != other.seconds("j", "first", 2)
    assert generator_for(1, "a", "b").random() != generator_for(1, "a b").random()


# -- in which order ---------------------------------------------------------------------------------------------------


class Failing:
    """An engine that fails at one job, and otherwise says its name."""

    async def run(self, task: Task) -> Generation:
        await asyncio.sleep(0)
        if task.job.endswith("2"):
            raise CalibrationError("no")
        if task.job.endswith("3"):
            raise ZeroDivisionError
        return Generation(text=task.job[-1], prompt_tokens=1, output_tokens=1, engine_s=0.0)

    def describe(self) -> dict:
        return {}

    def close(self) -> None: ...


def work(number: int, done, prompt: str = "p") -> Work:
    return Work(job=f"a:q:0:{number}", query="q", stage=0, kind="first", origin="a", k=0, prompt=prompt, done=done)


def test_jobs_are_served_in_the_order_they_came_and_a_failing_one_does_not_stop_the_rest(tmp_path):
    async def serve() -> None:
        answers = []
        queue = WorkQueue("a", Failing(), EventLog(None, "a", 1), most_bytes=100)
        for i in range(6):
            queue.put(work(i, answers.append, "é"))
        assert (queue.waiting, queue.held_bytes) == (6, 12)
        serving = asyncio.create_task(queue.run())
        while len(answers) < 6:
            await asyncio.sleep(0.001)
        serving.cancel()
        assert [answer.job[-1] for answer in answers] == list("012345")
        assert [answer.text for answer in answers] == ["0", "1", None, None, "4", "5"]
        assert [answer.error for answer in answers[2:4]] == ["no", "ZeroDivisionError"]
        assert (queue.totals.served, queue.totals.failed, queue.waiting, queue.held_bytes) == (4, 2, 0, 0)

    run(serve)


@pytest.mark.parametrize(
    ("made", "text", "tokens", "error"),
    [
        (Generation(text="a\ud800", prompt_tokens=1, output_tokens=1, engine_s=0.0), "a?", (1, 1), None),
        (Generation(text="t", prompt_tokens=-1, output_tokens=10**12, engine_s=0.0), "t", (0, 10**9), None),
        (CalibrationError("file \udce9\nis broken"), None, (0, 0), "file ? is broken"),
        (CalibrationError("ü" * 400), None, (0, 0), "ü" * 150),
    ],
)
def test_a_device_goes_on_whatever_its_engine_says(made, text, tokens, error):
    """Half characters, counts below nothing, reasons without end: the answer is one that others take."""

    class Odd(Failing):
        async def run(self, task: Task) -> Generation:
            if isinstance(made, Exception):
                raise made
            return made

    async def serve() -> None:
        answers = []
        queue = WorkQueue("a", Odd(), EventLog(None, "a", 1), most_bytes=100)
        queue.put(work(0, answers.append))
        queue.put(work(1, answers.append))
        serving = asyncio.create_task(queue.run())
        while len(answers) < 2:
            assert not serving.done()
            await asyncio.sleep(0)
        serving.cancel()
        for answer in answers:
            assert (answer.text, answer.prompt_tokens, answer.output_tokens, answer.error) == (text, *tokens, error)

    run(serve)


def test_a_paced_device_is_busy_from_one_job_to_the_next(tmp_path):
    """Time lost between two jobs that wait is far below what a job takes; none is served before the one before has ended."""

    async def serve() -> list[dict]:
        law = {"0": ServiceConfig(law="deterministic", mean=[0.02] * 3, scv=[0.0] * 3)}
        log = EventLog(tmp_path / "events.jsonl", "a", 1)
        queue, answers = WorkQueue("a", PacedEngine(Pace(law, 0), 4), log, most_bytes=100), []
        for i in range(10):
            queue.put(work(i, answers.append))
        serving = asyncio.create_task(queue.run())
        while len(answers) < 10:
            await asyncio.sleep(0.005)
        serving.cancel()
        log.close()
        lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
        return [line for line in lines if line["event"] == "job_ended"]

    ended = run(serve)
    for before, after in pairwise(ended):
        assert after["started"] >= before["mono"]
        assert after["service_s"] >= 0.02
    assert [event["job"][-1] for event in ended] == [str(i) for i in range(10)]


# -- from files --------------------------------------------------------------------------------------------------


def test_a_scenario_becomes_nodes_with_its_links_laws_delays_and_weights(tmp_path: Path):
    scenario = tmp_path / "s.toml"
    (tmp_path / "best.csv").write_text("from,to,probability\na,b,0.9\na,c,0.1\nb,a,0.5\nb,c,0.5\nc,a,0.5\nc,b,0.5\n")
    scenario.write_text(
        '[network]\ntopology = "complete"\nn = 3\nnames = ["a", "b", "c"]\nlink_delay = [0.1, 0.0, 0.2]\n'
        "[arrivals]\nrate = [1.0, 0.5, 0.0]\n[service]\nmean = [0.1, 0.2, 0.3]\nscv = 0.5\n"
        "stages = { layer = 2.0, aggregate = 3.0 }\n"
        '[moa]\nM = 1\nk = 1\nquorum = 1\nselection = "best.csv"\n'
    )
    system = load_scenario(scenario)
    a, b, c = node_configs(system, tmp_path, mode="paced", ports=[1, 2, 3])
    assert (a.name, b.name, c.name) == ("a", "b", "c")
    assert a.moa.model_dump() == {"M": 1, "k": 1, "quorum": 1}
    assert a.neighbours["b"] / a.neighbours["c"] == pytest.approx(9.0)
    assert (a.link_delay, b.link_delay, c.link_delay) == ({"b": 0.1, "c": 0.1}, {}, {"a": 0.2, "b": 0.2})
    assert b.service["1"].mean == pytest.approx([0.2, 0.4, 0.6])
    assert a.seeds == ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"]
    assert a == type(a).model_validate_json(a.model_dump_json())


def test_a_node_set_up_by_hand_needs_little(tmp_path: Path):
    file = tmp_path / "node.toml"
    file.write_text(
        'name = "kitchen"\nhost = "192.168.1.5"\nport = 8400\nseeds = ["https://192.168.1.6:8400"]\n'
        'data_dir = "/var/lib/dmoa"\n'
        'mode = "real"\npeer_key = { file = "/etc/dmoa/key" }\nclient_token = { env = "DMOA_TOKEN" }\n'
        "[moa]\nM = 2\nk = 2\n"
        '[backend]\nname = "openai_http"\nurl = "http://127.0.0.1:8080"\n'
    )
    node = read_node_config(file)
    assert (node.neighbours, node.moa.quorum, node.limits.open_queries) == (None, None, 1000)
    file.write_text(file.read_text().replace("k = 2", "k = -2"))
    with pytest.raises(InputError, match=r"node.toml: moa.k = -2: .* greater than or equal to 0$"):
        read_node_config(file)


def test_all_that_is_wrong_with_a_configuration_is_told_at_once(tmp_path: Path):
    file = tmp_path / "node.toml"
    file.write_text('nam = "a"\nmode = "pased"\nseeds = ["http://a:1", "b"]\npeer_hosts = ["10.0.0.0/99"]\nmoa = { M = 1 }\n')
    with pytest.raises(InputError) as told:
        read_node_config(file)
    line = str(told.value)
    for wrong in (
        "name is missing: that of the node",
        "nam = a: no such key, did you mean name?",
        "mode = pased: ",
        "seeds.1 = b: an address such as",
        "peer_hosts.0 = 10.0.0.0/99: an address, a network such as 192.168.1.0/24, or a name",
        "data_dir is missing: a folder",
        "moa.k is missing: neighbours asked in each layer",
    ):
        assert line.count(wrong) == 1
    assert "\n" not in line
    file.write_text(
        'name = "a"\nhost = "0.0.0.0"\ndata_dir = "a"\nmode = "paced"\nbackend = { name = "llama_cpp" }\n'
        "moa = { M = 1, k = 1 }\n"
    )
    with pytest.raises(InputError) as told:
        read_node_config(file)
    for wrong in ("service is needed", "backend is needed", "peer_key and client_token are needed", "advertise is needed"):
        assert str(told.value).count(wrong) == 1


def test_names_that_cannot_stand_in_addresses_are_made_safe_and_stay_different():
    network = Network.from_adjacency(np.ones((3, 3)) - np.eye(3), names=("Büro 1", "Büro/1", "ok"))
    system = System(network=network, arrival_rate=1.0, service=ServiceTime.exponential(0.1), moa=MoA(1, 1))
    assert device_names(system) == ["B-ro-1", "B-ro-1-1", "ok"]


@pytest.mark.parametrize(
    "url",
    [
        "http://ev\nil",
        "http://ev il",
        "http://a\x00",
        "http://é",
        "http://a\u2028b",
        "http://127.0.0.1:1/\n",
        "http://a:b@c",
        "x",
    ],
)
def test_an_address_of_a_node_is_one_line_of_plain_characters(url):
    """It is written into logs, and comes from others."""
    with pytest.raises(ValueError, match="an address such as"):
        check_url(url)
    assert check_url("http://[fe80::1]:8400/") == "http://[fe80::1]:8400"


@pytest.mark.parametrize("name", [".", "..", ".hidden", "a/b", "a\nb", "", "x" * 65])
def test_no_name_leads_out_of_its_folder(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        config(name, tmp_path)
