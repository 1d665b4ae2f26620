"""``dmoa init --network`` and ``--topology``: a scenario for a network that is there already, which loads as it was written."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from dmoa_theory import load_scenario, stability_region

Dmoa = Callable[..., Any]

TABLE = """\
from,to,link_delay,rate,service_mean
hub,,,0,6
ward,,,0.004,30
desk,,,0.002,40
ward,hub,0.05,,
desk,hub,0.05,,
ward,desk,0.02,,
desk,ward,0.02,,
"""
#: Of users that ask a ring of three, which asks none of them.
PI_RATES = "hub,lab,\nlab,desk,\ndesk,hub,\n" + "".join(f"pi-{i},,0.001\n" for i in range(5)) + "hub,,0\nlab,,0\ndesk,,0\n"
#: Keys that a scenario leaves to the file, by the attribute that stands there.
LEFT = {
    "rate": ("arrivals", "rate"),
    "service_mean": ("service", "mean"),
    "service_scv": ("service", "scv"),
    "link_delay": ("network", "link_delay"),
    "name": ("network", "names"),
}


def graph(*attributes: str, directed: bool = False) -> nx.Graph[str]:
    """Five devices in a ring with a chord, with some of the attributes that dmoa knows."""
    made: nx.Graph[str] = nx.DiGraph() if directed else nx.Graph()
    names = ["a", "b", "c", "d", "e"]
    for place, name in enumerate(names):
        values = {"rate": 0.0 if name == "c" else 0.001 * (place + 1), "service_mean": 10.0 + place, "service_scv": 0.5}
        made.add_node(name, **{key: value for key, value in values.items() if key in attributes})
    for place, pair in enumerate([*zip(names, [*names[1:], "a"], strict=True), ("a", "c")]):
        values = {"link_delay": 0.01 * (place + 1), "weight": 1.0 + place}
        made.add_edge(*pair, **{key: value for key, value in values.items() if key in attributes})
    return made


def test_an_edge_table_says_it_all(dmoa: Dmoa, tmp_path: Path) -> None:
    """One line of what was found, then where it is; the file's figures are those of the system."""
    (tmp_path / "clinic.csv").write_text(TABLE)
    path = tmp_path / "clinic.toml"
    answer = dmoa("init", path, "--network", tmp_path / "clinic.csv")
    assert (answer.code, answer.err) == (0, "")
    found, wrote = answer.out.splitlines()
    assert found == (
        "3 devices, 4 directed links; names, rates of 2 users, service times, link delays from the file; "
        "stable: busiest desk at 32.0 % with M=1, k=2."
    )
    assert wrote == f"Wrote {path}. Change what differs for you, then: dmoa plan {path}"
    system = load_scenario(path)
    assert system.rates.tolist() == [0, 0.004, 0.002]
    assert system.service.for_k(2).mean[:, 0].tolist() == [6, 30, 40]
    assert sorted(set(np.asarray(system.network.link_delay))) == [0.02, 0.05]
    assert system.title == "clinic"
    assert not system.warnings()
    assert f"busiest desk at {100 * stability_region(system).bottleneck.utilisation:.1f} %" in found


@pytest.mark.parametrize("extension", ["graphml", "gml", "json"])
@pytest.mark.parametrize(
    "attributes",
    [(), ("rate",), ("service_mean",), ("service_scv",), ("rate", "service_mean", "service_scv", "link_delay", "weight")],
    ids=lambda names: "+".join(names) or "none",
)
def test_what_the_file_gives_is_left_to_it(dmoa: Dmoa, tmp_path: Path, extension: str, attributes: tuple[str, ...]) -> None:
    """No key in force takes the place of an attribute; every other key that a system needs is there."""
    file, path = tmp_path / f"office.{extension}", tmp_path / "office.toml"
    made = graph(*attributes)
    if extension == "json":
        file.write_text(json.dumps(nx.node_link_data(made, edges="edges")))
    else:
        getattr(nx, f"write_{extension}")(made, file)
    document = dmoa("init", path, "--network", file, "--json").checked("init")
    assert document["source"] == "network"
    told = document["network"]
    assert (told["devices"], told["directed_links"], told["keys"]) == (5, 12, {"file": file.name})
    assert set(told["from_file"]) == {"name", *attributes}
    assert told["users"] == (4 if "rate" in attributes else 5)
    written = tomllib.loads(path.read_text(encoding="utf-8"))
    for attribute in told["from_file"]:
        if attribute in LEFT:
            section, key = LEFT[attribute]
            assert key not in written[section]
    system = load_scenario(path)
    assert not system.warnings()
    assert system.network.names == ("a", "b", "c", "d", "e")
    assert (system.moa.selection_weight is not None) is ("weight" in attributes)
    region = stability_region(system)
    assert told["stable"] is region.stable is True
    assert told["busiest"] == {"name": region.bottleneck.name, "utilisation": region.bottleneck.utilisation}


def test_what_the_file_says_in_vain_is_named(dmoa: Dmoa, tmp_path: Path) -> None:
    """In the line of what was found, in JSON, and in the scenario beside what would be read; also past a line's length."""
    made = graph("rate")
    for place, (_, _, attributes) in enumerate(made.edges(data=True)):
        attributes.update({"latency": 0.1 * place, "colour": "red\nblue"})
    nx.write_graphml(made, tmp_path / "office.graphml")
    path = tmp_path / "office.toml"
    answer = dmoa("init", path, "--network", tmp_path / "office.graphml")
    assert (
        "; names, rates of 4 users from the file; colour, latency passed over (latency: did you mean link_delay, in seconds?); "
        in answer.out
    )
    assert "did you mean link_delay, in seconds?): devices may have name, rate, " in path.read_text(encoding="utf-8")
    for number in range(9):
        made.nodes["a"][f"x{number}"] = number
    nx.write_graphml(made, tmp_path / "office.graphml")
    document = dmoa("init", path, "--network", tmp_path / "office.graphml", "--force", "--json").checked("init")
    assert document["network"]["passed_over"] == ["colour", "latency", *(f"x{number}" for number in range(9))]
    answer = dmoa("init", path, "--network", tmp_path / "office.graphml", "--force")
    assert "; colour, latency, x0, x1, x2, x3 and 5 more passed over (latency: did" in answer.out
    load_scenario(path)


def test_every_commented_key_can_be_put_in_force(dmoa: Dmoa, tmp_path: Path) -> None:
    """A reader takes the sign off, one line at a time, and is not refused for how it is written."""
    nx.write_graphml(graph("rate", "service_mean", "link_delay"), tmp_path / "office.graphml")
    path = tmp_path / "office.toml"
    assert dmoa("init", path, "--network", tmp_path / "office.graphml").code == 0
    lines = path.read_text(encoding="utf-8").splitlines()
    keys = [place for place, line in enumerate(lines) if re.match(r"# \w+ = ", line)]
    assert len(keys) > 12
    # these need a list of the right length, a file, or a section of their own beside them
    for place in keys:
        key = lines[place].split()[1]
        if key in {"names", "profile", "prompt_tokens", "output_tokens", "selection", "link_rate", "memory"}:
            continue
        changed = [*lines[:place], lines[place].removeprefix("# "), *lines[place + 1 :]]
        text = "\n".join(changed).replace("# [memory] ", "[memory] ")
        (tmp_path / "changed.toml").write_text(text, encoding="utf-8")
        load_scenario(tmp_path / "changed.toml")


def test_links_that_leave_somebody_alone_are_taken_both_ways_where_they_may(dmoa: Dmoa, tmp_path: Path) -> None:
    """An edge list goes one way unless told so, which is said and written; a file that says so itself is believed."""
    (tmp_path / "line.edges").write_text("a b\nb c\nc d\n")
    answer = dmoa("init", tmp_path / "line.toml", "--network", tmp_path / "line.edges")
    assert answer.out.startswith(
        "4 devices, 3 links both ways, as one way somebody would have nobody to ask; names from the file; stable: "
    )
    assert tomllib.loads((tmp_path / "line.toml").read_text())["network"]["directed"] is False
    assert (load_scenario(tmp_path / "line.toml").network.out_degree == [1, 2, 2, 1]).all()

    one_way: nx.DiGraph[str] = nx.DiGraph([("a", "b"), ("b", "c")])
    nx.write_graphml(one_way, tmp_path / "way.graphml")
    document = dmoa("init", tmp_path / "way.toml", "--network", tmp_path / "way.graphml", "--json").checked("init")
    assert document["network"]["taken_both_ways"] is False
    assert load_scenario(tmp_path / "way.toml").moa.per_user(3)[1].tolist() == [1, 1, 0]


def test_what_is_an_example_is_said(dmoa: Dmoa, tmp_path: Path) -> None:
    """Only what the file leaves open; nothing of it where the file says it all."""
    for attributes, told in (
        ((), "Rates, link delays and service times are examples: change them."),
        (("rate",), "Link delays and service times are examples: change them."),
        (("rate", "link_delay"), "Service times are examples: change them."),
        (("rate", "link_delay", "service_mean"), ""),
    ):
        nx.write_graphml(graph(*attributes), tmp_path / "office.graphml")
        answer = dmoa("init", tmp_path / "office.toml", "--network", tmp_path / "office.graphml", "--force")
        assert answer.out.splitlines()[0].endswith(f" with M=1, k=2. {told}".rstrip())


def test_a_direction_that_the_file_leaves_open_is_pointed_out(dmoa: Dmoa, tmp_path: Path) -> None:
    """With the devices that nobody would ask; the line that says otherwise can be put in force."""
    (tmp_path / "pis.csv").write_text("from,to\n" + "".join(f"pi-{i},hub\n" for i in range(5)) + "hub,lab\nlab,hub\n")
    path = tmp_path / "pis.toml"
    told = dmoa("init", path, "--network", tmp_path / "pis.csv").out
    assert "directed = false" not in told, "hub and lab are linked each way, so that the file cannot mean both ways"
    (tmp_path / "pis.csv").write_text("from,to,rate\n" + "".join(f"pi-{i},hub,\n" for i in range(5)) + PI_RATES)
    told = dmoa("init", path, "--network", tmp_path / "pis.csv", "--force").out
    assert "; 5 devices are asked by nobody: pi-0, pi-1, pi-2, ... (directed = false if links work both ways); " in told
    assert load_scenario(path).network.indices.min() == 5
    text = path.read_text(encoding="utf-8")
    assert "\n# directed = false " in text
    path.write_text(text.replace("# directed = false", "directed = false"), encoding="utf-8")
    assert set(load_scenario(path).network.indices) == set(range(8))


def test_a_device_without_links_works_alone(dmoa: Dmoa, tmp_path: Path) -> None:
    apart = graph("rate")
    apart.add_node("alone", rate=0.001)
    apart.add_node("idle", rate=0.0)
    nx.write_graphml(apart, tmp_path / "apart.graphml")
    assert dmoa("init", tmp_path / "apart.toml", "--network", tmp_path / "apart.graphml").code == 0
    assert load_scenario(tmp_path / "apart.toml").moa.per_user(7)[1].tolist() == [2, 2, 2, 2, 2, 0, 0]


def test_the_file_is_named_from_the_scenarios_folder(dmoa: Dmoa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever one stands, and also through a link; with letters of other scripts and quotation marks."""
    (tmp_path / "plans" / "deep").mkdir(parents=True)
    (tmp_path / "graphs").mkdir()
    file = tmp_path / "graphs" / 'Büro "7".csv'
    file.write_text(TABLE)
    monkeypatch.chdir(tmp_path / "graphs")
    (tmp_path / "short").symlink_to(tmp_path / "plans" / "deep")
    for place, named in (("plans/deep", '../../graphs/Büro "7".csv'), (".", 'graphs/Büro "7".csv')):
        path = tmp_path / place / "office.toml"
        assert dmoa("init", path, "--network", file.name).code == 0
        assert tomllib.loads(path.read_text(encoding="utf-8"))["network"]["file"] == named
        assert load_scenario(path).n_devices == 3
    assert dmoa("init", tmp_path / "short" / "x.toml", "--network", file.name).code == 0
    assert load_scenario(tmp_path / "short" / "x.toml").n_devices == 3


def test_a_named_family_with_its_keys(dmoa: Dmoa, tmp_path: Path) -> None:
    path = tmp_path / "mesh.toml"
    answer = dmoa("init", path, "--topology", "regular", "--n", 12, "--key", "degree=4", "--key", "seed = 3")
    assert answer.out.startswith("12 devices, 24 links both ways; stable: busiest device-")
    system = load_scenario(path)
    assert system.network.description == "random 4-regular graph of 12 devices, seed 3"
    document = dmoa("init", path, "--topology", "ring", "--n", 5, "--force", "--json").checked("init")
    assert document["network"]["keys"] == {"topology": "ring", "n": 5}
    assert document["network"]["from_file"] == []


def test_rates_to_begin_with_leave_the_hub_half_idle(dmoa: Dmoa, tmp_path: Path) -> None:
    """Everybody in a star asks the centre, so more of them ask less often; but not so seldom that it would be idle."""
    rates = {}
    for n in (4, 40, 20_000):
        path = tmp_path / f"star-{n}.toml"
        told = dmoa("init", path, "--topology", "star", "--n", n, "--json").json["network"]
        assert told["stable"]
        assert 0.15 < told["busiest"]["utilisation"] <= 0.5
        rates[n] = load_scenario(path).rates[0]
    assert rates[20_000] < rates[40] < rates[4]


REFUSED = [
    (("--network", "none.csv"), "none.csv: no such file"),
    (("--network", "notes.md"), "notes.md: .md: a file ending in .graphml, .gml, .json, .edges, "),
    (("--network", "bad.csv"), "bad.csv: rate[b] = fast: a finite number of prompts/s, 0 or more"),
    (("--network", "some.csv"), "some.csv: rate[b] is missing: on every device or on none"),
    (("--network", "idle.csv"), "idle.csv: rate = 0: above 0 for at least one device, or left out of the file"),
    (("--network", "empty.edges"), "empty.edges: "),
    (("--network", "."), ""),
    (("--network", "ok.csv", "--topology", "ring"), "--topology = ring: not beside --network: one of the two says who"),
    (("--network", "ok.csv", "--n", "4"), "--n = 4: only beside --topology, without which it says nothing"),
    (("--key", "degree=4"), "--key = degree=4: only beside --topology, without which it says nothing"),
    (("--topology", "rign", "--n", "4"), "--topology = rign: did you mean ring? the families are complete, ring, "),
    (("--topology", "ring"), "--n is missing: the family ring needs a whole number, 2 or more"),
    (("--topology", "ring", "--n", "0"), "--n = 0: a whole number, 2 or more"),
    (("--topology", "ring", "--n", "four"), ""),
    (("--topology", "regular", "--n", "9"), "--key degree is missing: the family regular needs "),
    (("--topology", "ring", "--n", "9", "--key", "degree=4"), "--key degree = 4: the family ring takes n"),
    (("--topology", "ring", "--n", "9", "--key", "degree"), '--key = degree: of the form key=number, such as "degree=4"'),
    (("--topology", "ring", "--n", "9", "--key", "n=4"), "--key = n=4: each key once, and n is given already"),
    (("--topology", "ring", "--n", "9", "--key", "=4"), '--key = =4: of the form key=number, such as "degree=4"'),
    (("--topology", "ring", "--n", "9", "--key", "p=a b"), '--key = p=a b: of the form key=number, such as "degree=4"'),
]


@pytest.mark.parametrize(("arguments", "complaint"), REFUSED, ids=[" ".join(arguments) for arguments, _ in REFUSED])
def test_refusals_write_nothing(
    dmoa: Dmoa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], complaint: str
) -> None:
    """One line, code 2, and the folder as it was."""
    files = {
        "ok.csv": "from,to\na,b\nb,a\n",
        "bad.csv": "from,to,rate\na,,1\nb,,fast\na,b,\n",
        "some.csv": "from,to,rate\na,,1\nb,,\na,b,\n",
        "idle.csv": "from,to,rate\na,,0\nb,,0\na,b,\n",
        "empty.edges": "# nothing\n",
        "notes.md": "a b\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    for more in ((), ("--json",)):
        said = dmoa("init", "office.toml", *arguments, *more).complaint()
        assert said.startswith(complaint)
        if complaint.endswith("files"):
            assert said == complaint
    assert {path.name for path in tmp_path.iterdir()} == set(files)


def test_nothing_is_written_over_the_network(dmoa: Dmoa, tmp_path: Path) -> None:
    """Not even where a file may be replaced."""
    file = tmp_path / "office.csv"
    file.write_text(TABLE)
    said = dmoa("init", file, "--network", file, "--force").complaint()
    assert said == f"path = {file}: another file than that of the network"
    assert file.read_text() == TABLE
    (tmp_path / "office.toml").write_text("mine")
    said = dmoa("init", tmp_path / "office.toml", "--network", file).complaint()
    assert said == f"path = {tmp_path / 'office.toml'}: a file that is not there yet; --force replaces one"
    assert (tmp_path / "office.toml").read_text() == "mine"


def test_an_overloaded_network_is_an_answer(dmoa: Dmoa, tmp_path: Path) -> None:
    """It is written and loads; the line says how it stands."""
    (tmp_path / "busy.csv").write_text(TABLE.replace("0.004", "0.4"))
    answer = dmoa("init", tmp_path / "busy.toml", "--network", tmp_path / "busy.csv")
    assert answer.code == 0
    assert "UNSTABLE: busiest ward at " in answer.out
    assert not stability_region(load_scenario(tmp_path / "busy.toml")).stable
