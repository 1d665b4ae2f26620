"""Scenario files: every documented key, defaults, files beside the scenario, graph attributes, lists, workloads."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory import latency, load_scenario, stability_region
from dmoa_theory.errors import DmoaError, InputError
from dmoa_theory.model.footprint import Footprint, MeasuredFootprint
from dmoa_theory.model.scenario import bundled_profiles
from dmoa_theory.model.service import Law, MeasuredServiceTime, ServiceTime
from dmoa_theory.model.system import System
from dmoa_theory.model.tokens import named_workload, workload_names

EXAMPLE = resources.files("dmoa_theory").joinpath("data/example.toml").read_text(encoding="utf-8")
PROFILE = "epyc-1thread-qwen2-0.5b-2026-11-23"
PLAIN = """\
[network]
topology = "complete"
n = 4
[arrivals]
rate = 0.002
[service]
mean = 24.0
"""
GRAPH = {
    "directed": True,
    "nodes": [
        {"id": "a", "rate": 0.001, "service_mean": 20.0, "service_scv": 0.5},
        {"id": "b", "rate": 0.0, "service_mean": 30.0, "service_scv": 0.25},
        {"id": "c", "rate": 0.002, "service_mean": 40.0, "service_scv": 2.0},
    ],
    "links": [
        {"source": "a", "target": "b", "weight": 3.0, "link_delay": 0.5},
        {"source": "a", "target": "c", "weight": 1.0},
        {"source": "c", "target": "a", "weight": 1.0},
    ],
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., System]:
    def write_and_read(text: str, *overrides: str) -> System:
        path = tmp_path / "office.toml"
        path.write_text(text, encoding="utf-8")
        return load_scenario(path, overrides)

    return write_and_read


def _uncommented(text: str, *keys: str, without: tuple[str, ...] = ()) -> str:
    """The example with some commented keys in force, and some others (and sections) taken out."""
    lines = []
    for line in text.splitlines():
        key = re.match(r"# (\[?\w+\]?)( =|\s|$)", line)
        if key and key[1] in keys and ("=" in line or key[1].startswith("[")):
            line = line.removeprefix("# ")
        if not any(re.match(rf"{name}\s*=", line) for name in without):
            lines.append(line)
    return "\n".join(lines) + "\n"


# -- the example ------------------------------------------------------------------------------------------------------


def test_the_example_is_what_it_says(read: Callable[..., System]) -> None:
    system = read(EXAMPLE)
    assert system.title == "Four desks, one small model each"
    assert system.network.names == ("desk-1", "desk-2", "desk-3", "desk-4")
    assert system.rates.tolist() == [0.003, 0.002, 0.002, 0.001]
    assert (np.asarray(system.network.link_delay) == 0.01).all()
    assert isinstance(system.service, MeasuredServiceTime)
    assert isinstance(system.footprint, MeasuredFootprint)
    assert system.constraints.p95_latency == 300
    assert system.constraints.memory == 4 * 2**30
    assert system.accuracy == "mitra2024-diverse"
    assert stability_region(system).stable


NUMBERS = ("mean", "scv", "law", "stages")
TOKENS = ("profile", "prompt_tokens", "output_tokens")


@pytest.mark.parametrize(
    ("keys", "without"),
    [
        (("link_rate",), ()),
        (("rate_of",), ()),
        (("factor",), ()),
        (("tokens",), ("prompt_tokens", "output_tokens")),
        (NUMBERS, (*TOKENS, "memory")),
        (("quorum",), ()),
        (("mean_latency",), ()),
        (("min_accuracy",), ()),
        (
            ("[memory]", "weights", "kv_bytes_per_token", "context_tokens", "bytes_per_prompt", "bytes_per_response"),
            (),
        ),
        ((*NUMBERS, "[memory]", "weights", "context_tokens"), TOKENS),
    ],
)
def test_every_commented_key_of_the_example_works(
    read: Callable[..., System], keys: tuple[str, ...], without: tuple[str, ...]
) -> None:
    text = _uncommented(EXAMPLE, *keys, without=without)
    for key in keys:
        assert re.search(rf"^{re.escape(key)}", text, re.MULTILINE), key
    changed, plain = read(text), load_scenario()
    assert latency(changed).stable
    parts = ("rates", "service", "footprint", "link_rate", "moa", "constraints")
    assert any(repr(getattr(changed, part)) != repr(getattr(plain, part)) for part in parts) or keys == ("quorum",)


@pytest.mark.parametrize("factor", ["0", "-1", "inf", '"two"', "[1, 2]"])
def test_a_factor_of_the_rates_is_a_number_above_0(read: Callable[..., System], factor: str) -> None:
    assert read(PLAIN.replace("[arrivals]\n", "[arrivals]\nfactor = 3\n")).rates == pytest.approx(3 * read(PLAIN).rates)
    with pytest.raises(InputError, match=r"arrivals\.factor = .*: a number"):
        read(PLAIN.replace("[arrivals]\n", f"[arrivals]\nfactor = {factor}\n"))


def test_limits_of_latency_may_have_units(read: Callable[..., System]) -> None:
    """As a target may; what is no time is refused by its name."""
    limits = read(PLAIN + '[constraints]\nmean_latency = "5 min"\np95_latency = "0.2 hours"\n').constraints
    assert (limits.mean_latency, limits.p95_latency) == (300.0, 720.0)
    with pytest.raises(InputError, match=r"constraints\.p95_latency = 5 fortnights: a time above 0"):
        read(PLAIN + '[constraints]\np95_latency = "5 fortnights"\n')


def test_every_commented_key_of_the_example_is_tried() -> None:
    """Those of a line that starts with "# key ="; file, selection, samples and log need a file of their own (below)."""
    commented = set(re.findall(r"^# (\w+) =", EXAMPLE, re.MULTILINE))
    tried = {"link_rate", "rate_of", "factor", "tokens", *NUMBERS, "quorum", "mean_latency", "min_accuracy"}
    tried |= {"weights", "kv_bytes_per_token", "context_tokens", "bytes_per_prompt", "bytes_per_response"}
    assert commented - tried == {"file", "directed", "selection", "samples", "log"}


def test_the_list_of_prompts_of_the_example(read: Callable[..., System], tmp_path: Path) -> None:
    """Its rates take the place of those in numbers; that they come in clumps is told."""
    rows = [f"{900 * (i // 20) + 10 * (i % 20)},desk-{1 + i % 2}\n" for i in range(100)]
    (tmp_path / "prompts.csv").write_text("time,user\n" + "".join(rows), encoding="utf-8")
    system = read(_uncommented(EXAMPLE, "log"))
    assert system.rates == pytest.approx([98 / 3790 / 2, 98 / 3790 / 2, 0, 0])
    replaced, clumped = system.remarks
    assert replaced == "the rates of prompts.csv take the place of arrivals.rate"
    assert "the prompts of prompts.csv come in clumps" in clumped
    alone = read(_uncommented(EXAMPLE, "log").replace("rate = [", "# rate = ["))
    assert alone.rates.tolist() == system.rates.tolist()
    assert alone.remarks == (clumped,)
    doubled = read(_uncommented(EXAMPLE, "log", "factor"))
    assert doubled.rates == pytest.approx(2 * system.rates)
    assert system.log is not None
    assert doubled.log is not None
    np.testing.assert_allclose(np.asarray(doubled.log.time), np.asarray(system.log.time) / 2)
    assert doubled.remarks[0] == "the rates of prompts.csv (2 times as fast) take the place of arrivals.rate"
    seen, twice = system.log.dispersion(), doubled.log.dispersion()
    assert (twice.counts, twice.gaps, twice.window) == pytest.approx((seen.counts, seen.gaps, seen.window / 2))
    even = "".join(f"{170 * i},desk-{1 + i % 2}\n" for i in range(100))
    (tmp_path / "prompts.csv").write_text("time,user\n" + even, encoding="utf-8")
    assert read(_uncommented(EXAMPLE, "log").replace("rate = [", "# rate = [")).remarks == ()
    with pytest.raises(InputError, match=r"prompt\.csv: no such file.*did you mean prompts\.csv\?"):
        read(_uncommented(EXAMPLE, "log").replace('"prompts.csv"', '"prompt.csv"'))


def test_the_file_and_selection_of_the_example(read: Callable[..., System], tmp_path: Path) -> None:
    (tmp_path / "office.graphml").write_text(
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">'
        + "".join(f'<node id="{u}"/>' for u in "wxyz")
        + "".join(f'<edge source="{u}" target="{v}"/>' for u, v in ("wx", "wy", "wz", "xy", "xz", "yz"))
        + "</graph></graphml>"
    )
    rows = [f"desk-{u},desk-{v},{2 / 3}" for u in range(1, 5) for v in range(1, 5) if u != v]
    (tmp_path / "best.csv").write_text("\n".join(["from,to,probability", *rows]))
    system = read(_uncommented(EXAMPLE, "file", "selection", without=("topology", "n")))
    assert system.network.n_links == 12
    assert system.network.names[0] == "desk-1"  # the scenario's names go before the file's
    assert system.inclusion() == pytest.approx([2 / 3] * 12)


def test_the_samples_of_the_example(read: Callable[..., System], tmp_path: Path) -> None:
    (tmp_path / "times.csv").write_text("device,seconds\n" + "".join(f"desk-{u},{20 + u}\n" for u in (4, 2, 3, 1)))
    system = read(_uncommented(EXAMPLE, "samples", "stages", without=(*TOKENS, "memory")))
    assert system.service.mean == pytest.approx(np.outer([21, 22, 23, 24], [1, 1.3, 1.3]))
    assert latency(system).stable


# -- defaults ---------------------------------------------------------------------------------------------------------


def test_defaults(read: Callable[..., System]) -> None:
    system = read(PLAIN)
    assert repr(system.moa) == "<MoA: M=1, k=1>"
    assert isinstance(system.service, ServiceTime)
    assert system.service.law is Law.EXPONENTIAL
    assert system.service.scv.tolist() == [[1.0, 1.0, 1.0]] * system.service.scv.shape[0]
    assert np.unique(system.service.mean).tolist() == [24.0]  # no stage takes longer unless said
    assert (system.footprint, system.link_rate, system.accuracy) == (None, None, None)
    limits = system.constraints
    assert (limits.mean_latency, limits.p95_latency, limits.memory, limits.min_accuracy) == (None,) * 4
    assert (limits.max_utilisation, limits.overflow_probability) == (0.95, 1e-3)
    assert system.title == "office"  # the file's name
    assert not system.network.has_delay


def test_the_law_follows_from_the_scv(read: Callable[..., System]) -> None:
    assert read(PLAIN, "service.scv=0.3").service.law is Law.GAMMA
    assert read(PLAIN, "service.law=deterministic").service.scv.max() == 0
    assert read(PLAIN, "service.law=lognormal").service.scv.max() == 1
    with pytest.raises(InputError, match=r'service\.scv = 0\.3: 1 for the law "exponential", or another law'):
        read(PLAIN, "service.law=exponential", "service.scv=0.3")


def test_stages_are_multiples_of_the_first(read: Callable[..., System]) -> None:
    system = read(PLAIN, "service.stages={layer = 1.5, aggregate = [1, 2, 3, 4]}")
    assert system.service.mean.tolist() == [[24.0, 36.0, 24.0 * a] for a in (1, 2, 3, 4)]


def test_samples_for_all_devices(read: Callable[..., System], tmp_path: Path) -> None:
    """Without a column device; blank lines, blanks, semicolons, capitals and a byte-order mark do no harm."""
    (tmp_path / "times.csv").write_text("\n\ufeffSeconds\n20\n\n 1e1 \n30.0\n".lstrip(), encoding="utf-8")
    text = PLAIN.replace("mean = 24.0", 'samples = "times.csv"')
    service = read(text).service
    assert isinstance(service, ServiceTime)
    assert service.law is Law.EMPIRICAL
    assert [times.tolist() for times in service.samples] == [[20.0, 10.0, 30.0]]
    assert service.mean.tolist() == [[20.0] * 3]
    by_device = read(text, "service.stages.layer=[1, 2, 3, 4]").service
    assert by_device.mean[:, 1].tolist() == [20.0, 40.0, 60.0, 80.0]
    (tmp_path / "times.csv").write_text("device;seconds\n3;4\n0;1\ndevice-1;2\n2;3\n0;5\n")
    assert [times.tolist() for times in read(text).service.samples] == [[1.0, 5.0], [2.0], [3.0], [4.0]]


@pytest.mark.usefixtures("graph")
def test_samples_go_before_graph_attributes(read: Callable[..., System], tmp_path: Path) -> None:
    """The graph file knows mean and SCV of its devices too; its names are those of the column device."""
    (tmp_path / "graphs" / "times.csv").write_text("seconds,device\n7,b\n5,a\n6,2\n8,c\n")
    system = read(ON_GRAPH, "service.samples=graphs/times.csv")
    assert system.service.law is Law.EMPIRICAL
    assert system.service.mean[:, 0].tolist() == [5.0, 7.0, 7.0]


# -- lists and numbers ------------------------------------------------------------------------------------------------


def test_a_number_is_a_list_of_equal_ones(read: Callable[..., System]) -> None:
    for key, value in {"arrivals.rate": 0.002, "service.mean": 24.0, "moa.M": 2, "moa.k": 2, "network.link_delay": 0.1}.items():
        one, listed = read(PLAIN, f"{key}={value}"), read(PLAIN, f"{key}={[value] * 4}")
        assert latency(one).to_dict() == latency(listed).to_dict()


def test_every_user_its_own(read: Callable[..., System]) -> None:
    system = read(PLAIN, "moa.M=[0, 1, 2, 3]", "moa.k=[1, 2, 3, 0]", "moa.quorum=[1, 2, 3, 1]")
    M, k, quorum = system.moa.per_user(4)
    assert M.tolist() == [0, 1, 2, 3]
    assert k.tolist() == [0, 2, 3, 0]
    assert quorum.tolist() == [1, 2, 3, 1]


def test_link_delays_are_those_of_the_links_that_leave(read: Callable[..., System]) -> None:
    system = read(PLAIN, "network.topology=star", "network.n=4", "network.link_delay=[0.1, 0.2, 0.3, 0.4]")
    assert np.asarray(system.network.link_delay).tolist() == [0.1, 0.1, 0.1, 0.2, 0.3, 0.4]


def test_link_rates_add_bytes_over_rate(read: Callable[..., System]) -> None:
    memory = '[memory]\nbytes_per_prompt = "2 MB"\nbytes_per_response = [1e6, 2e6, 3e6, 4e6]\n'
    system = read(PLAIN + memory, "network.link_rate=2 MB/s", "network.link_delay=0.25")
    # there and back 0.5 s, the prompt 1 s, the answer of the neighbour asked
    neighbours = system.network.indices
    assert system.round_trip(0, 1) == pytest.approx(1.5 + (neighbours + 1) / 2)
    assert latency(system).mean > latency(read(PLAIN + memory)).mean + 1.0


def test_one_way_is_half_of_a_round_trip(read: Callable[..., System]) -> None:
    """There the delay of the asking device's links and the prompt; back that of the asked one's, and its answer."""
    delay = "network.link_delay=[0.1, 0.2, 0.3, 0.4]"
    plain = read(PLAIN, delay)
    source, target = plain.network.link_sources(), plain.network.indices
    there, back = plain.one_way(0, 1)
    assert there.tolist() == [[0.1, 0.2, 0.3, 0.4][u] for u in source]
    assert back.tolist() == [[0.1, 0.2, 0.3, 0.4][u] for u in target]
    assert plain.round_trip(0, 1).tolist() == (there + back).tolist()
    memory = "[memory]\nbytes_per_prompt = [1e6, 2e6, 3e6, 4e6]\nbytes_per_response = [1e5, 2e5, 3e5, 4e5]\n"
    slow = read(PLAIN + memory, delay, "network.link_rate=2 MB/s")
    there, back = slow.one_way(2, 1)
    assert there == pytest.approx((source + 1) * 0.6)
    assert back == pytest.approx((target + 1) * 0.15)
    assert slow.round_trip(2, 1) == pytest.approx(there + back, rel=1e-15)


def test_one_way_over_measured_lengths(read: Callable[..., System]) -> None:
    """A later prompt holds k + 1 answers and takes longer to send; the answer does not."""
    text = PLAIN.replace("mean = 24.0", f'profile = "{PROFILE}"\nprompt_tokens = 100\noutput_tokens = 50')
    system = read(text, "network.link_rate=1 kB/s")
    (first, answer), (later, same) = system.one_way(0, 2), system.one_way(1, 2)
    assert (later > first).all()
    assert (system.one_way(1, 3)[0] > later).all()
    assert answer.tolist() == same.tolist()


# -- graph files ------------------------------------------------------------------------------------------------------

ON_GRAPH = '[network]\nfile = "graphs/office.json"\n[moa]\nM = 1\nk = 1\n'


@pytest.fixture
def graph(tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    (tmp_path / "graphs" / "office.json").write_text(json.dumps(GRAPH))


@pytest.mark.usefixtures("graph")
def test_graph_attributes_feed_the_system(read: Callable[..., System]) -> None:
    system = read(ON_GRAPH)
    assert system.network.names == ("a", "b", "c")
    assert system.rates.tolist() == [0.001, 0.0, 0.002]
    assert system.service.mean[:, 0].tolist() == [20.0, 30.0, 40.0]
    assert system.service.scv[:, 0].tolist() == [0.5, 0.25, 2.0]
    assert system.service.law is Law.GAMMA
    assert np.asarray(system.network.link_delay).tolist() == [0.5, 0.0, 0.0]
    assert system.inclusion() == pytest.approx([0.75, 0.25, 1.0])  # k = 1: in proportion to the weights


@pytest.mark.usefixtures("graph")
def test_the_scenario_overrides_graph_attributes(read: Callable[..., System], tmp_path: Path) -> None:
    (tmp_path / "best.csv").write_text("from,to,probability\na,b,0.5\na,c,0.5\nc,a,1\n")
    system = read(
        ON_GRAPH,
        "arrivals.rate=[0.01, 0, 0.03]",
        "service.mean=[1, 2, 3]",
        "service.scv=1",
        "network.link_delay=2",
        "moa.selection=best.csv",
    )
    assert system.rates.tolist() == [0.01, 0.0, 0.03]
    assert system.service.mean[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert system.service.scv.max() == system.service.scv.min() == 1
    assert np.asarray(system.network.link_delay).tolist() == [2.0, 2.0, 2.0]
    assert system.inclusion() == pytest.approx([0.5, 0.5, 1.0])


@pytest.mark.usefixtures("graph")
def test_a_key_of_a_family_is_dropped_with_the_family(read: Callable[..., System]) -> None:
    """--set network.topology=... takes the place of a file or another family, with all that belonged to it."""
    base = PLAIN.replace('"complete"\nn = 4', '"regular"\nn = 4\ndegree = 2\nseed = 1')
    assert read(base, "network.topology=line", "network.n=4").network.n_links == 6
    assert read(base, "network.file=graphs/office.json", "arrivals.rate=[1e-3, 0, 1e-3]").network.n_devices == 3


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_are_taken_relative_to_the_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario in one folder, its files below it, the command run from a third."""
    office, data, elsewhere = tmp_path / "office", tmp_path / "office" / "data", tmp_path / "elsewhere"
    data.mkdir(parents=True)
    elsewhere.mkdir()
    (data / "mine.json").write_bytes(bundled_profiles()[PROFILE].read_bytes())
    (data / "best.csv").write_text("from,to,probability\n0,1,1\n1,0,1\n")
    (data / "pair.edges").write_text("0 1\n1 0\n")
    (data / "own.csv").write_text("M,k,value,n_eval\n1,1,0.5,100\n")
    text = """
        [network]
        file = "data/pair.edges"
        [arrivals]
        rate = 0.001
        [service]
        profile = ["data/mine.json", "data/mine.json"]
        tokens = "azure-conv"
        [moa]
        M = 1
        k = 1
        selection = "data/best.csv"
        [accuracy]
        table = "data/own.csv"
    """
    (office / "pair.toml").write_text(text)
    monkeypatch.chdir(elsewhere)
    system = load_scenario("../office/pair.toml")
    assert latency(system).stable
    assert system.accuracy == str(Path("../office/data/own.csv"))
    monkeypatch.chdir(office)
    assert load_scenario("pair.toml").accuracy == str(Path("data/own.csv"))


def test_a_selection_may_be_written_with_six_digits(read: Callable[..., System], tmp_path: Path) -> None:
    rows = [f"{u},{v},0.666667" for u in range(4) for v in range(4) if u != v]
    (tmp_path / "best.csv").write_text("\n".join(["from,to,probability", *rows]))
    system = read(PLAIN, "moa.k=2", "moa.selection=best.csv")
    assert system.inclusion() == pytest.approx([2 / 3] * 12, abs=1e-6)


def test_a_profile_by_name_or_by_file(read: Callable[..., System], tmp_path: Path) -> None:
    text = PLAIN.replace("mean = 24.0", f'profile = "{PROFILE}"\nprompt_tokens = 100\noutput_tokens = 50')
    by_name = read(text)
    (tmp_path / "mine.json").write_bytes(bundled_profiles()[PROFILE].read_bytes())
    by_file = read(text, "service.profile=mine.json")
    assert latency(by_name).to_dict() == latency(by_file).to_dict()
    (tmp_path / PROFILE).write_text("{}")  # a file of that name beside the scenario goes before the bundled one
    with pytest.raises(DmoaError, match="schema is missing"):
        read(text)


def test_profiles_and_token_counts_by_device(read: Callable[..., System]) -> None:
    text = PLAIN.replace("mean = 24.0", f'profile = "{PROFILE}"\nprompt_tokens = [100, 200, 300, 400]\noutput_tokens = 50')
    mean = read(text).service.for_k(1).mean
    assert (np.diff(mean[:, 0]) > 0).all()  # longer prompts take longer
    assert (mean[:, 1] > mean[:, 0]).all()  # later layers read the answers too
    assert (read(text).service.for_k(2).mean[:, 1] > mean[:, 1]).all()
    assert (read(text, "service.instruction_tokens=500").service.for_k(1).mean[:, 2] > mean[:, 2]).all()


@pytest.mark.parametrize("name", workload_names())
def test_named_workloads(read: Callable[..., System], name: str) -> None:
    text = PLAIN.replace("mean = 24.0", f'profile = "{PROFILE}"\ntokens = "{name}"')
    service = read(text).service
    assert isinstance(service, MeasuredServiceTime)
    assert service.tokens[0].output.mean == named_workload(name).output.mean
    assert service.tokens[0].source


def test_workload_facts() -> None:
    """AlpacaEval 2.0 by Qwen1.5-72B-Chat is counted in words; a word makes 4/3 tokens."""
    assert named_workload("alpaca-eval").output == named_workload("alpaca-eval:Qwen1.5-72B-Chat").output
    assert named_workload("azure-code").output.mean < named_workload("azure-conv").output.mean


# -- memory -----------------------------------------------------------------------------------------------------------


def test_memory_in_numbers(read: Callable[..., System]) -> None:
    system = read(PLAIN + '[memory]\nweights = ["1 GiB", "2 GiB", 3e9, 4]\ncontext_tokens = 2048\n')
    assert isinstance(system.footprint, Footprint)
    assert system.footprint.weight_bytes.tolist() == [2**30, 2 * 2**30, 3e9, 4]
    assert system.footprint.context_tokens.tolist() == [[2048] * 3] * 4


def test_memory_beside_a_profile_replaces_what_it_names(read: Callable[..., System]) -> None:
    text = PLAIN.replace("mean = 24.0", f'profile = "{PROFILE}"\nprompt_tokens = 100\noutput_tokens = 50')
    plain = read(text).footprint.for_k(1)
    changed = read(text + '[memory]\nweights = "7 GiB"\n').footprint.for_k(1)
    assert changed.weight_bytes.tolist() == [7 * 2**30]
    assert changed.prompt_bytes.tolist() == plain.prompt_bytes.tolist()
    assert plain.weight_bytes[0] < 7 * 2**30


# -- overrides --------------------------------------------------------------------------------------------------------


def test_overrides_are_read_in_order(read: Callable[..., System]) -> None:
    assert repr(read(PLAIN, "moa.k=1", "moa.M=3", "moa.k=2").moa) == "<MoA: M=3, k=2>"


def test_the_rate_of_one_user_is_set_by_name_or_number(read: Callable[..., System], tmp_path: Path) -> None:
    """By --set, or in the file; names may hold dots; all other rates stay, those of a graph file too."""
    rate = read(PLAIN).rates
    assert read(PLAIN, "arrivals.rate.1=3/min", "arrivals.rate.device-2=0").rates.tolist() == [rate[0], 0.05, 0, rate[3]]
    graph = tmp_path / "g.csv"
    graph.write_text("from,to,rate\na.b,c,\nc,a.b,\na.b,,0.001\nc,,0.002\n", encoding="utf-8")
    text = '[network]\nfile = "g.csv"\n[service]\nmean = 20\n[moa]\nM = 1\nk = 1\n'
    assert read(text, "arrivals.rate.a.b=0.003").rates.tolist() == [0.003, 0.002]
    assert read(text + '[arrivals]\nrate_of = { c = "7.2/hour", "a.b" = 1 }\n').rates.tolist() == [1, 0.002]
    with pytest.raises(InputError, match=r"arrivals\.rate_of = d: .*a device by name"):
        read(text, "arrivals.rate.d=1")
    with pytest.raises(InputError, match=r"arrivals\.rate_of\.c = fast: a rate"):
        read(text, "arrivals.rate.c=fast")


def test_complaints_name_the_scenario_and_its_own_keys(read: Callable[..., System], tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(PLAIN, "arrivals.rate=[1, 2, -3, 4]")
    error = caught.value
    assert (error.file, error.field, error.value) == (str(tmp_path / "office.toml"), "arrivals.rate[2]", -3)


INSTEAD = (("arrivals.rate", "rate"), ("service.mean", "service_mean"))


def test_what_a_scenario_says_in_place_of_its_graph_file_is_told(tmp_path: Path) -> None:
    """Rates and service times of the file that do not count, one sentence each; what counts is not spoken of."""
    (tmp_path / "g.csv").write_text(
        "from,to,rate,service_mean,service_scv\na,b,,,\nb,a,,,\na,,0.001,20,0.5\nb,,0.002,30,0.5\n", encoding="utf-8"
    )
    path = tmp_path / "s.toml"
    text = '[network]\nfile = "g.csv"\n[moa]\nM = 1\nk = 1\n[arrivals]\n{}\n[service]\n{}\n'
    path.write_text(text.format("", ""), encoding="utf-8")
    assert load_scenario(path).warnings() == ()
    path.write_text(text.format("rate = 0.004", "mean = 10"), encoding="utf-8")
    told = tuple(
        f"{key} takes the place of {name} in g.csv"
        for key, name in (("arrivals.rate", "rate"), ("service.mean", "service_mean"))
    )
    assert load_scenario(path).warnings() == told
    assert load_scenario(path).with_moa(0, 0).warnings() == told
    table = "from,to,rate,link_delay\na,b,,0.1\nb,a,,0.1\na,,0.001,\nb,,0,\n"
    (tmp_path / "helped.csv").write_text(table, encoding="utf-8")
    helped = text.replace("g.csv", "helped.csv").replace('.csv"\n', '.csv"\nlink_delay = "10 ms"\n', 1)
    path.write_text(helped.format('rate = "10/hour"', "mean = 10"), encoding="utf-8")
    assert load_scenario(path).warnings() == (
        "arrivals.rate takes the place of rate in helped.csv; 1 device that had no prompts now has them",
        "network.link_delay takes the place of link_delay in helped.csv",
    )
    profile = 'profile = "epyc-1thread-qwen2-0.5b-q8-llama.cpp-2026-11-23"\nprompt_tokens = 100\noutput_tokens = 50\n'
    path.write_text(text.format("", profile), encoding="utf-8")
    found = [text for text in load_scenario(path).warnings() if "takes the place" in text]
    assert found == [f"service.profile takes the place of {name} in g.csv" for name in ("service_mean", "service_scv")]
