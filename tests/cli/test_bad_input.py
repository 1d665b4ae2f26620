"""Whatever a careless user types: one line on standard error, exit code 2, nothing on standard output, nothing written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmoa_theory.accuracy.table import bundled_tables
from dmoa_theory.model.scenario import bundled_profiles

GRAPHML = (
    '<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="directed">'
    '<node id="a"/><node id="b"/><node id="c"/>'
    '<edge source="a" target="b"/><edge source="b" target="a"/><edge source="b" target="c"/></graph></graphml>'
)
BYTES = 'bytes as a number, or text such as "24 GiB" (units: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)'
NUMBERS = "a number, or a list of numbers (one a device)"
RATE = 'a rate, 0 or more: prompts/s as a number, or text such as "7.2/hour" (/s, /min, /h, /day)'
SOME_TIME = 'seconds as a number, or text such as "1.5 min" (units: ms, s, min, h; seconds, minutes, hours)'
LISTED = "; or a list of these (one a device), texts in quotes"
ONE_EACH = "one number, or a list of 4 (one a device)"

# --set, and the whole complaint after the file's name
OVERRIDES = [
    # k and M
    ("moa.k=4", "moa.k = 4: device device-0 has 3 neighbours, so k is 0 to 3 (the largest k that works for every user is 3)"),
    ("moa.k=[1, 2, 3, 4]", "moa.k[3] = 4: device device-3 has 3 neighbours, so k is 0 to 3"),
    ("moa.k=-1", "moa.k = -1: a whole number, 0 or more"),
    ("moa.k=1.5", "moa.k = 1.5: a whole number, 0 or more"),
    ("moa.k=[1, 2]", f"moa.k = 2 values: {ONE_EACH}"),
    ("moa.k=[]", f"moa.k = []: {NUMBERS}"),
    ("moa.k=", f'moa.k = "": {NUMBERS}'),
    ("moa.M=1.5", "moa.M = 1.5: a whole number, 0 or more"),
    ("moa.M=-1", "moa.M = -1: a whole number, 0 or more"),
    ("moa.M=1e400", "moa.M = inf: a whole number, 0 or more"),
    ("moa.M=2000000000", "moa.M = 2000000000: a whole number from 0 to 1000000000"),
    (f"moa.M={10**30}", f"moa.M = {10**30}: a whole number, 0 or more"),
    ("moa.M=[1, 2, 1.5, 1]", "moa.M[2] = 1.5: a whole number, 0 or more"),
    ("moa.quorum=4", "moa.quorum = 4: a whole number from 1 to k + 1 = 3"),
    ("moa.quorum=[1, 2, 3, 9]", "moa.quorum[3] = 9: a whole number from 1 to k + 1 = 3"),
    ("moa.quorum=[1, 2]", f"moa.quorum = 2 values: {ONE_EACH}"),
    # rates
    ("arrivals.rate=-1", "arrivals.rate = -1: a finite number of prompts/s, 0 or more"),
    ("arrivals.rate=nan", "arrivals.rate = nan: a finite number of prompts/s, 0 or more"),
    ("arrivals.rate=[1, 2, inf, 3]", "arrivals.rate[2] = inf: a finite number of prompts/s, 0 or more"),
    ("arrivals.rate=often", f"arrivals.rate = often: {RATE}{LISTED}"),
    ("arrivals.rate=true", f"arrivals.rate = True: {RATE}{LISTED}"),
    ("arrivals.rate=[[1, 2], [3, 4]]", f"arrivals.rate = [[1, 2], [3, 4]]: {RATE}{LISTED}"),
    ("arrivals.rate=[1, 2]", f"arrivals.rate = 2 values: {ONE_EACH}"),
    ("arrivals.rate=0", "arrivals.rate = 0: above 0 for at least one user"),
    ("arrivals.rate=[0, 0, 0, 0]", "arrivals.rate = 0: above 0 for at least one user"),
    ("arrivals.rate=1e300", "arrivals.rate = 1e+300: a finite number of prompts/s, 0 or more, from 1e-30 to 1e+30"),
    ("arrivals.rate=", f'arrivals.rate = "": {RATE}{LISTED}'),
    ("arrivals.rate=[]", f"arrivals.rate = []: {RATE}{LISTED}"),
    ("arrivals.rate='7.2'", f'arrivals.rate = "7.2": {RATE}{LISTED}'),
    ("arrivals.rate=7.2/", f"arrivals.rate = 7.2/: {RATE}{LISTED}"),
    ("arrivals.rate=/hour", f"arrivals.rate = /hour: {RATE}{LISTED}"),
    ("arrivals.rate=7.2/fortnight", f"arrivals.rate = 7.2/fortnight: {RATE}{LISTED}"),
    ("arrivals.rate=7.2/Hour", f"arrivals.rate = 7.2/Hour: did you mean hour? {RATE}{LISTED}"),
    ("arrivals.rate=7.2 per hour", f'arrivals.rate = 7.2 per hour: did you mean "7.2/hour"? {RATE}{LISTED}'),
    ("arrivals.rate=-1/hour", f"arrivals.rate = -1/hour: {RATE}{LISTED}"),
    ("arrivals.rate=1e300/s", f"arrivals.rate = 1e300/s: {RATE}{LISTED}"),
    ("arrivals.rate=['1/h', 0.1, '2 h', 0]", f"arrivals.rate[2] = 2 h: {RATE}"),
    ("arrivals.rate=[1/h, 2/h]", f"arrivals.rate = [1/h, 2/h]: {RATE}{LISTED}"),
    ("arrivals.rate=0/hour", "arrivals.rate = 0: above 0 for at least one user"),
    # service
    ("service.mean=20 parsecs", f"service.mean = 20 parsecs: a time above 0: {SOME_TIME}{LISTED}"),
    ("service.mean=0 s", f"service.mean = 0 s: a time above 0: {SOME_TIME}{LISTED}"),
    ("service.mean=['20 s', 'soon', 3, 4]", f"service.mean[1] = soon: a time above 0: {SOME_TIME}"),
    ("service.mean=0", "service.mean = 0: a finite number above 0"),
    ("service.mean=1e-320", "service.mean = 1e-320: a finite number above 0, from 1e-30 to 1e+30"),
    ("service.mean=[1, 2, 3]", f"service.mean = 3 values: {ONE_EACH}"),
    ("service.scv=[1, 2]", f"service.scv = 2 values: {ONE_EACH}"),
    ("service.scv=-1", "service.scv = -1: a finite number, 0 or more"),
    ("service.law=weibull", "service.law = weibull: one of exponential, deterministic, gamma, lognormal"),
    (
        "service.law=empirical",
        "service.law = empirical: given by samples alone: ServiceTime.empirical, or service.samples of a",
    ),
    ("service.law=", 'service.law = "": one of exponential, deterministic, gamma, lognormal'),
    ("service.stages=3", "service.stages = 3: a section, written [service.stages]"),
    ("service.stages.layer=[1, 2]", f"service.stages.layer = 2 values: {ONE_EACH}"),
    ("service.stages.aggregate=0", "service.stages.aggregate = 0: a finite number above 0"),
    ("service.stages.later=2", 'unknown key service.stages.later: did you mean "layer"? known here: layer, aggregate'),
    ("service.profile=mine.json", "service.mean = 24.0: not beside profile: service times follow from the profile"),
    ("service.samples=times.csv", "service.mean = 24.0: not beside samples: they are the law of service"),
    ("service.samples=[1, 2]", "service.samples = [1, 2]: text in quotes"),
    ("service.samples=", 'service.samples = "": the name of a file, or of bundled data'),
    ("service.prompt_tokens=9", "service.prompt_tokens = 9: only beside profile: token counts need a measured profile"),
    # network
    ("network.n=0", "network.n = 0: a whole number, 1 or more"),
    ("network.n=1000000000", "network.n = 1000000000: a whole number from 1 to 50000000"),
    ("network.n=100000", "network.n = 100000: less: this network has 1e+10 directed links, and 2e+08 fit"),
    ("network.topology=compleet", "network.topology = compleet: did you mean complete? the families are complete, ring, "),
    ("network.degree=3", "network.degree = 3: the family complete takes n"),
    ("network.names=[]", "network.names = []: a list of texts, one a device, each of them printable and not empty"),
    ('network.names=["a", "a", "b", "c"]', "network.names = a: each name once"),
    ('network.names=["a"]', "network.names = 1 names: a list of 4 (one a device)"),
    ("network.link_delay=-1", "network.link_delay = -1: a finite number of seconds, 0 or more"),
    ("network.link_delay=", f'network.link_delay = "": a time, 0 or more: {SOME_TIME}{LISTED}'),
    ("network.link_delay=5 parsecs", f"network.link_delay = 5 parsecs: a time, 0 or more: {SOME_TIME}{LISTED}"),
    ("network.link_delay=5 MS", f"network.link_delay = 5 MS: did you mean ms? a time, 0 or more: {SOME_TIME}{LISTED}"),
    ("network.link_delay=-5 ms", f"network.link_delay = -5 ms: a time, 0 or more: {SOME_TIME}{LISTED}"),
    ("network.link_delay=['5 ms', 0, true, 1]", f"network.link_delay[2] = True: a time, 0 or more: {SOME_TIME}"),
    ("network.link_delay=[1, 2]", f"network.link_delay = 2 values: {ONE_EACH}"),
    ("network.link_rate=2 MB", 'network.link_rate = 2 MB: bytes per second as a number above 0, or text such as "2 MB/s"'),
    ("network.link_rate=2 MB/s", "network.link_rate = 2000000.0: only with message sizes (a [memory] section, or a measured"),
    ("network.directed=true", "network.directed = True: only beside file: the named families link both ways"),
    # constraints and memory
    ("constraints.memory=24 GiBs", f"constraints.memory = 24 GiBs: {BYTES}"),
    ("constraints.memory=24 gib", f"constraints.memory = 24 gib: did you mean GiB? {BYTES}"),
    ("constraints.memory=-1 GiB", f"constraints.memory = -1 GiB: {BYTES}"),
    ("constraints.memory=GiB", f"constraints.memory = GiB: {BYTES}"),
    ("constraints.memory=4 GiB", "constraints.memory = 4 GiB: only with a [memory] section or a measured profile to count"),
    ("constraints.max_utilisation=1", "constraints.max_utilisation = 1: a number above 0 and below 1"),
    ("constraints.overflow_probability=0", "constraints.overflow_probability = 0: a number above 0 and below 1"),
    ("constraints.mean_latency=-3", "constraints.mean_latency = -3: a finite number above 0"),
    (f"constraints.mean_latency={10**400}", f"constraints.mean_latency = 1{'0' * 56}...: a finite number above 0"),
    ("constraints.p95_latency=10 days", f"constraints.p95_latency = 10 days: a time above 0: {SOME_TIME}"),
    ("constraints.mean_latency=true", f"constraints.mean_latency = True: a time above 0: {SOME_TIME}"),
    ("constraints.min_accuracy=55", "constraints.min_accuracy = 55: a number from 0 to 1"),
    (
        "constraints.max_utilization=0.9",
        'unknown key constraints.max_utilization: did you mean "max_utilisation"? known here: ',
    ),
    ("memory.weights=[1, 2]", f"memory.weights = 2 values: {ONE_EACH}"),
    (f"memory.weights={10**400}", f"memory.weights = 1{'0' * 56}...: {BYTES}"),
    ("memory.weights=1e400 GiB", f"memory.weights = 1e400 GiB: {BYTES}"),
    ("memory.context_tokens=-1", "memory.context_tokens = -1: a finite number, 0 or more"),
    ("memory=3", "memory = 3: a section, written [memory]"),
    # keys
    ("moa.m=3", 'unknown key moa.m: did you mean "M"? known here: M, k, quorum, selection'),
    ("constrains.memory=3", 'unknown key constrains: did you mean "constraints"? known here: title, network, arrivals, '),
    ("netwrok.n=3", 'unknown key netwrok: did you mean "network"? known here: title, network, arrivals, '),
    ("k=2", 'unknown key k: did you mean "moa.k"? known here: title, network, arrivals, '),
    ("simulation.seed=3", "unknown key simulation: known here: title, network, arrivals, service, moa, constraints, memory, "),
    ("title=3", "title = 3: text in quotes"),
]


@pytest.mark.parametrize(("override", "complaint"), OVERRIDES)
def test_overrides(dmoa: Callable[..., Any], scenario: Callable[..., Path], override: str, complaint: str) -> None:
    path = scenario()
    said = dmoa("region", path, "--set", override, "--json").complaint()
    assert said.startswith(f"{path}: {complaint}")
    assert complaint.endswith((" ", " a", "measured")) or said == f"{path}: {complaint}"


@pytest.mark.parametrize("override", ["moa.k", "=3", "", "moa.=3", ".k=3", "moa..k=3"])
def test_overrides_need_a_name_and_a_value(dmoa: Callable[..., Any], scenario: Callable[..., Path], override: str) -> None:
    said = dmoa("region", scenario(), "--set", override).complaint()
    assert said == f'--set = {override or chr(34) * 2}: of the form section.key=value, such as "moa.k=2"'


def test_a_value_is_no_section(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = dmoa("region", scenario(), "--set", "moa.k.x=3").complaint()
    assert said == '--set = moa.k.x=3: section.key=value, and "k" is not a section'


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "[network] is missing: a scenario has a section [network]"),
        (b"[network\n", "not valid TOML: Expected ']' at the end of a table declaration (at line 1, column 9)"),
        (b"a = 1\na = 2\n", "not valid TOML: Cannot overwrite a value (at line 2, column 6)"),
        (b'title = "caf\xe9"\n', "not valid TOML: it is not UTF-8 text"),
        (b"a = " + b"[" * 20_000, "not valid TOML: brackets nested too deeply"),
        (b"a = " + b"9" * 10_000, "not valid TOML: a number too long to read"),
        (b'{"network": {}}', "not valid TOML: Invalid statement (at line 1, column 1)"),
        (b"[network]\nn = 4\n", 'network.topology is missing: a family such as "complete", or a graph as file = "..."'),
        (
            b'[network]\ntopology = "ring"\nfile = "g.gml"\n',
            "network.file = g.gml: not beside topology: one of the two says who may ask whom",
        ),
        (b'[network]\ntopology = "ring"\n', "network.n is missing: the family ring needs a whole number, 2 or more"),
        (b'[network]\ntopology = "ring"\nn = 4\n[[moa]]\nM = 1\n', "moa = [{'M': 1}]: a section, written [moa]"),
        (
            b'[network]\ntopology = "ring"\nn = 4\n',
            "service.mean is missing: seconds of a first-layer inference, samples of it, or a measured profile",
        ),
        (
            b'[network]\ntopology = "ring"\nn = 4\n[service]\nmean = 3\n',
            "arrivals.rate is missing: prompts/s of each user, a number or a list",
        ),
        (
            b'[network]\ntopology = "ring"\nn = 4\n[moa]\nselection = "a\\u0000b.csv"\n',
            "moa.selection = a?b.csv: the name of a file, or of bundled data",
        ),
    ],
)
def test_scenario_files(dmoa: Callable[..., Any], tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "office.toml"
    path.write_bytes(content)
    assert dmoa("plan", path).complaint() == f"{path}: {complaint}"


def test_files_that_cannot_be_read(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    assert dmoa("plan", tmp_path / "no.toml").complaint() == f"{tmp_path}/no.toml: no such file"
    (tmp_path / "office.toml").touch()
    for slip in ("offic.toml", "offcie.toml", "office"):
        assert dmoa("plan", tmp_path / slip).complaint() == f"{tmp_path}/{slip}: no such file; did you mean office.toml?"
    assert dmoa("plan", tmp_path).complaint() == f"{tmp_path}: cannot be read (is a directory)"
    assert dmoa("plan", tmp_path / ("x" * 300)).complaint().endswith("x: cannot be read (file name too long)")


def test_workbooks_are_to_be_saved_as_text(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    """Wherever a file of a spreadsheet program is named, and whatever its name says."""
    book = tmp_path / "book.xlsx"
    for path in (book, tmp_path / "book.csv"):
        path.write_bytes(b"PK\x03\x04\x14\x00\xff")
    path = scenario()
    cure = (
        f"{book}: an Excel workbook or a zip file: text: save it as CSV (in the spreadsheet program: File, Save as, CSV UTF-8)"
    )
    assert dmoa("region", book).complaint() == f'{cure}; a scenario itself is TOML text, begun by "dmoa init NAME.toml"'
    assert dmoa("region", path, "--set", "moa.selection=book.xlsx").complaint() == cure
    assert dmoa("plan", path, "--set", "accuracy.table=book.xlsx").complaint() == cure
    assert dmoa("accuracy", tmp_path / "book.csv").complaint() == cure.replace(".xlsx", ".csv")
    begun = dmoa("init", tmp_path / "new.toml", "--network", book).complaint()
    assert begun == f"{cure}; networks are read from .graphml, .gml, .json, .edges, .edgelist, .txt too"
    path = scenario(("mean = 24.0", 'samples = "book.csv"'))
    assert dmoa("region", path).complaint() == cure.replace(".xlsx", ".csv")


def test_a_byte_order_mark_does_no_harm(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert dmoa("region", path).code == 0


@pytest.mark.parametrize(
    ("topology", "k", "complaint"),
    [
        ("star", "2", "device device-1 has 1 neighbour, so k is 0 to 1 (the largest k that works for every user is 1)"),
        ("line", "2", "device device-0 has 1 neighbour, so k is 0 to 1 (the largest k that works for every user is 1)"),
        ("ring", "3", "device device-0 has 2 neighbours, so k is 0 to 2 (the largest k that works for every user is 2)"),
    ],
)
def test_k_beyond_the_neighbours(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], topology: str, k: str, complaint: str
) -> None:
    path = scenario(('"complete"', f'"{topology}"'), ("k = 2", f"k = {k}"))
    assert dmoa("latency", path).complaint() == f"{path}: moa.k = {k}: {complaint}"


def test_k_beyond_the_neighbours_of_a_directed_file(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "g.graphml").write_text(GRAPHML)
    path = scenario(('topology = "complete"\nn = 4', 'file = "g.graphml"'))
    both = "moa.k = 2: device a has 1 neighbour, so k is 0 to 1 (the largest k that works for every user is 0)"
    assert dmoa("region", path).complaint() == f"{path}: {both}"
    one = dmoa("region", path, "--set", "moa.k=[1, 3, 0]").complaint()
    assert one == f"{path}: moa.k[1] = 3: device b has 2 neighbours, so k is 0 to 2"
    alone = dmoa("region", path, "--set", "moa.k=1").complaint()
    cure = "links of this network go one way: give it one of its own"
    assert alone == f"{path}: moa.k = 1: device c is asked but has nobody to ask: {cure}, or let it work alone (k = 0)"
    assert dmoa("region", path, "--set", "moa.k=1", "--set", "arrivals.rate=[0.002, 0.002, 0]").code == 0


def test_isolated_devices(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    path = scenario(('"complete"', '"erdos_renyi"\np = 0.0'))
    said = dmoa("region", path).complaint()
    assert said == f"{path}: moa.k = 2: device device-0 is isolated: link it, or let it work alone (k = 0)"


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("g.graphml", "", "an empty file: a graph of at least one device"),
        ("g.graphml", "<graphml><graph>", "line 1 = no element found: well-formed XML"),
        ("g.graphml", GRAPHML.replace('target="c"', 'target="z"'), "edge b -> z = z: two nodes that the file lists"),
        ("g.gml", "graph [ node [ id 0 ] ", "line 1 = the end of the file: a closing ]"),
        ("g.json", "{", "line 1 = Expecting property name enclosed in double quotes: well-formed JSON"),
        ("g.json", "[]", 'nodes is missing: node-link JSON: {"directed": ..., "nodes": [...], "edges": [...]}'),
        (
            "g.json",
            '{"nodes": [{"id": 0, "rate": NaN}], "edges": []}',
            "rate[0] = nan: a finite number of prompts/s, 0 or more",
        ),
        ("g.csv", "0,1\n1\n", "line 2 = 1 cells: 2, as in the first row"),
        ("g.csv", "0,2\n1,0\n", "entry 0 -> 1 = 2: 0 for no link, 1 for a link; delays and weights stand in an edge table"),
        ("g.edges", "a\n", "line 1 = a: from to [link_delay [weight]]"),
        ("g.xyz", "a b\n", ".xyz: a file ending in .graphml, .gml, .json, .edges, .edgelist, .txt, .csv"),
        ("g.json", b"\xff\xfe", "line 1 = byte 0xff: text in UTF-8"),
    ],
)
def test_graph_files(
    dmoa: Callable[..., Any],
    scenario: Callable[..., Path],
    tmp_path: Path,
    name: str,
    content: str | bytes,
    complaint: str,
) -> None:
    graph = tmp_path / name
    graph.write_bytes(content if isinstance(content, bytes) else content.encode())
    path = scenario(('topology = "complete"\nn = 4', f'file = "{name}"'))
    assert dmoa("region", path).complaint() == f"{graph}: {complaint}"


def test_keys_beside_a_graph_file(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "g.graphml").write_text(GRAPHML)
    path = scenario(('topology = "complete"', 'file = "g.graphml"'))
    assert dmoa("region", path).complaint() == f"{path}: network.n = 4: no further keys beside file: the file says it all"


PAIRS = [(u, v) for u in range(4) for v in range(4) if u != v]
ROWS = {pair: f"{pair[0]},{pair[1]},{2 / 3}" for pair in PAIRS}


def _selection(header: str = "from,to,probability", *, extra: str = "", **changed: str) -> str:
    rows = {f"r{u}{v}": row for (u, v), row in ROWS.items()} | changed
    return "\n".join([header, *rows.values()]) + "\n" + extra


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "columns = none: from,to,probability"),
        (_selection("from,to,p"), "columns = from,to,p: from,to,probability"),
        (
            _selection(r01="0,1,0.5"),
            "device device-0 = a sum of 1.83333: probabilities that sum to k = 2 over the neighbours that it asks",
        ),
        (_selection(r01="zz,1,0.5"), "line 2 = zz: a device by name, or by number from 0 to 3"),
        (_selection(r01="0,0,0.5"), "line 2 = 0 to 0: a link of the network"),
        (_selection(r01="0,1,often"), "line 2 = often: a probability from 0 to 1"),
        (_selection(r01="0,1,nan"), "line 2 = nan: a probability from 0 to 1"),
        (_selection(r01="0,1,-0.5"), "line 2 = -0.5: a probability from 0 to 1"),
        (_selection(extra="0,1\n"), "line 14 = too few or too many columns: from,to,probability"),
        (_selection(extra=ROWS[0, 1] + "\n"), "line 14 = 0 to 1: each link once"),
    ],
)
def test_selections(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, content: str, complaint: str
) -> None:
    (tmp_path / "best.csv").write_text(content)
    path = scenario(("k = 2", 'k = 2\nselection = "best.csv"'))
    assert dmoa("region", path).complaint() == f"{tmp_path}/best.csv: {complaint}"


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_selections_that_are_no_file(dmoa: Callable[..., Any], scenario: Callable[..., Path], name: str) -> None:
    path = scenario(("k = 2", f'k = 2\nselection = "{name}"'))
    said = dmoa("region", path).complaint()
    assert said.startswith(f"{path}: moa.selection = ")
    assert said.endswith(": an existing CSV with columns from,to,probability")


TIMES = "device,seconds\n0,20\n1,21.5\ndevice-2,19\n\n3,30\n3,25\n"
SECONDS = "a number of seconds above 0, from 1e-30 to 1e+30"
TIMES_HEADER = "a header with seconds, and device where devices differ"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", f"columns = none: {TIMES_HEADER}"),
        ("\n \n", f"columns = none: {TIMES_HEADER}"),
        ("20\n30\n", f"columns = 20: {TIMES_HEADER}"),
        ("seconds\n", "rows = none: at least one time in seconds"),
        (TIMES.replace("seconds", "time"), f"columns = device,time: {TIMES_HEADER}"),
        (TIMES.replace("device,", "devcie,"), f"columns = devcie,seconds: {TIMES_HEADER}"),
        (TIMES.replace("device,", "seconds,"), "columns = seconds,seconds: each column once"),
        (TIMES.replace("1,21.5", "4,21.5"), "line 3: device = 4: a device by name, or by number from 0 to 3"),
        (TIMES.replace("1,21.5", ",21.5"), 'line 3: device = "": a device by name, or by number from 0 to 3'),
        (
            TIMES.replace("1,21.5", ""),
            "device device-1 is missing: at least one row for every device, or no column device where",
        ),
        (TIMES.replace("30", "-30"), f"line 6: seconds = -30: {SECONDS}"),
        (TIMES.replace("30", "0"), f"line 6: seconds = 0: {SECONDS}"),
        (TIMES.replace("30", "nan"), f"line 6: seconds = nan: {SECONDS}"),
        (TIMES.replace("30", "1e31"), f"line 6: seconds = 1e31: {SECONDS}"),
        (TIMES.replace("30", "a while"), f"line 6: seconds = a while: {SECONDS}"),
        (TIMES.replace("30", ""), f'line 6: seconds = "": {SECONDS}'),
        (TIMES.replace("1,21.5", "1,21,5"), "line 3 = 3 cells: 2, as in the header"),
        (TIMES.replace("1,21.5", "1"), "line 3 = 1 cells: 2, as in the header"),
        (TIMES + '3,"30\n', "line 8 = unexpected end of data: comma-separated values with closed quotes"),
        (b"\xff\xfe", "cannot be read as UTF-8 text"),
    ],
)
def test_samples(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, content: str | bytes, complaint: str
) -> None:
    times = tmp_path / "times.csv"
    times.write_bytes(content if isinstance(content, bytes) else content.encode())
    said = dmoa("region", scenario(("mean = 24.0", 'samples = "times.csv"'))).complaint()
    assert said.startswith(f"{times}: {complaint}")
    assert complaint.endswith(" where") or said == f"{times}: {complaint}"


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_samples_that_are_no_file(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, name: str) -> None:
    said = dmoa("region", scenario(("mean = 24.0", f'samples = "{name}"'))).complaint()
    assert said == f"{tmp_path}/office.toml: service.samples = {tmp_path / name}: an existing CSV with a column seconds"


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("service.mean=24", "service.mean = 24: not beside samples: they are the law of service"),
        ("service.scv=1", "service.scv = 1: not beside samples: they are the law of service"),
        ("service.law=gamma", "service.law = gamma: not beside samples: they are the law of service"),
        ("service.law=empirical", "service.law = empirical: not beside samples: they are the law of service"),
        ("service.profile=mine.json", "service.profile = mine.json: not beside samples: they are the law of service"),
        ("service.prompt_tokens=9", "service.prompt_tokens = 9: only beside profile: token counts need a measured profile"),
        ("service.stages.layer=[1, 2]", f"service.stages.layer = 2 values: {ONE_EACH}"),
        ("service.stages.aggregate=0", "service.stages.aggregate = 0: a finite number above 0"),
    ],
)
def test_overrides_of_a_scenario_with_samples(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, override: str, complaint: str
) -> None:
    (tmp_path / "times.csv").write_text(TIMES)
    path = scenario(("mean = 24.0", 'samples = "times.csv"'))
    assert dmoa("region", path, "--json").code == 0
    assert dmoa("region", path, "--set", override).complaint() == f"{path}: {complaint}"


ACCURACY = "M,k,value,n_eval\n0,0,0.2,10\n1,1,0.4,10\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "columns = none: M,k,value and n_eval or se"),
        ("M,k,value,n_eval\n", "rows = none: at least one row M,k,value,n_eval"),
        (ACCURACY.replace("value", "val"), "columns = M,k,val,n_eval: M,k,value and n_eval or se"),
        (ACCURACY.replace("n_eval", "neval"), 'columns = neval: did you mean "n_eval"? known columns: M, k, mode, n_eval, '),
        ("M,k,value\n0,0,0.2\n", "line 2 = neither n_eval nor se: one of the two, to know the sampling error"),
        (ACCURACY.replace("0.4", "-0.4"), "line 3: value = -0.4: a fraction from 0 to 1, or a percentage"),
        (ACCURACY.replace("0.4", "140"), "line 3: value = 140: a fraction from 0 to 1, or a percentage"),
        (ACCURACY.replace("0.4", "nan"), "line 3: value = nan: a fraction from 0 to 1, or a percentage"),
        (ACCURACY.replace("0.4", ""), "line 3: value = empty: a fraction from 0 to 1, or a percentage"),
        (ACCURACY.replace("1,1,", "1.5,1,"), "line 3: M = 1.5: a whole number, 0 or more"),
        (ACCURACY.replace("1,1,", f"1{'0' * 5000},1,"), f"line 3: M = 1{'0' * 56}...: a whole number, 0 or more"),
        (ACCURACY.replace("1,1,", "1,-1,"), "line 3: k = -1: a whole number, 0 or more"),
        (ACCURACY.replace("0.4,10", "0.4,0"), "line 3: n_eval = 0: a whole number, 1 or more"),
        (ACCURACY + "1,1,0.5,10\n", "line 4 = M=1, k=1: each configuration once: keep one mode, user or task"),
        (ACCURACY + "1,2\n", "line 4 = too few or too many columns: M,k,value,n_eval"),
        ("M,k,value,se\n0,0,0.2,-0.1\n", "line 2: se = -0.1: a fraction from 0 to 1, or a percentage"),
        (b"\xff\xfe", "cannot be read as UTF-8 text"),
    ],
)
def test_accuracy_files(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, content: str | bytes, complaint: str
) -> None:
    table = tmp_path / "own.csv"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    path = scenario(more='[accuracy]\ntable = "own.csv"\n')
    said = dmoa("optimise", path, "--json").complaint()
    assert said.startswith(f"{table}: {complaint}")
    assert complaint.endswith(", ") or said == f"{table}: {complaint}"


@pytest.mark.parametrize(
    ("table", "allowed"),
    [("mitra2024-divers", 'did you mean "mitra2024-diverse"? a CSV file, or one of '), ("best", "a CSV file, or one of ")],
)
def test_accuracy_names(dmoa: Callable[..., Any], scenario: Callable[..., Path], table: str, allowed: str) -> None:
    path = scenario()
    for verb in ("plan", "optimise"):
        said = dmoa(verb, path, "--set", f"accuracy.table={table}").complaint()
        assert said == f"{path}: accuracy.table = {table}: {allowed}{', '.join(bundled_tables())}"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"c0": -1}, "fit.c0 = -1: greater than or equal to 0"),
        ({"c0": 1e300}, "fit.c0 = 1e+300: a finite number, 0 or more, to 1e+30"),
        ({"d0": None}, "fit.d0 is missing: every profile has it; measure again with: dmoa calibrate"),
        ({"cov": [[1]]}, "fit.cov = shape (1, 1): a symmetric, positive semi-definite 5 x 5 matrix of finite numbers"),
    ],
)
def test_profiles(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    document = json.loads(next(iter(bundled_profiles().values())).read_text(encoding="utf-8"))
    document["fit"] = {key: value for key, value in {**document["fit"], **change}.items() if value is not None}
    (tmp_path / "mine.json").write_text(json.dumps(document))
    path = scenario(("mean = 24.0", 'profile = "mine.json"\nprompt_tokens = 100\noutput_tokens = 50'))
    assert dmoa("region", path).complaint().startswith(f"{tmp_path}/mine.json: {complaint}")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not JSON ("),
        (b"{", "not JSON ("),
        (b"[]", "a JSON list: a profile, that is a JSON object"),
        (b"{}", "schema is missing: every profile has it"),
        (b"\xff\xfe", "not a profile: JSON in UTF-8 is needed"),
    ],
)
def test_profiles_that_are_none(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "mine.json").write_bytes(content)
    path = scenario(("mean = 24.0", 'profile = "mine.json"\nprompt_tokens = 100\noutput_tokens = 50'))
    assert dmoa("region", path).complaint().startswith(f"{tmp_path}/mine.json: {complaint}")


@pytest.mark.parametrize(
    ("override", "complaint"),
    [
        ("service.profile=none.json", "service.profile = none.json: a file beside the scenario, or one of the bundled"),
        ('service.profile=["a", "b"]', f"service.profile = 2 values: {ONE_EACH}"),
        ("service.profile=", 'service.profile = "": the name of a file, or of bundled data'),
        ("service.prompt_tokens=0", "service.prompt_tokens = 0: a number of tokens, 1 or more"),
        ("service.prompt_tokens=1e300", "service.prompt_tokens = 1e+300: a number of tokens, 1 or more, to 1e+09"),
        ("service.prompt_tokens=[1, 2]", f"service.prompt_tokens = 2 values: {ONE_EACH}"),
        ("service.output_tokens=[[1]]", "service.output_tokens = [[1]]: a number of tokens, or { mean = ..., scv = ... }"),
        ("service.output_tokens={mean = 3, svc = 1}", "service.output_tokens = {'mean': 3, 'svc': 1}: a number of tokens"),
        (
            "service.tokens=alpaca-eval",
            "service.prompt_tokens = {'mean': 120, 'scv': 0.5}: not beside tokens, which gives both",
        ),
        ("service.instruction_tokens=-1", "service.instruction_tokens = -1: a number of tokens, 0 or more"),
        ("service.law=exponential", "service.law = exponential: gamma or lognormal: the profile and the token counts fix the"),
        ("service.law=empirical", "service.law = empirical: gamma or lognormal: the profile and the token counts fix the SCV"),
        ("service.samples=times.csv", "service.profile = epyc-1thread-qwen2-0.5b-2026-11-23: not beside samples: they are"),
        ("memory.context_tokens=-1", "memory.context_tokens = -1: a finite number, 0 or more"),
    ],
)
def test_overrides_of_a_measured_scenario(dmoa: Callable[..., Any], override: str, complaint: str) -> None:
    """The bundled example, which goes by a profile."""
    assert f"example.toml: {complaint}" in dmoa("region", "--set", override).complaint()


NOBODY = "a device by name, or by number from 0 to 3"


@pytest.mark.parametrize(
    ("users", "complaint"),
    [
        ("0", '0: two or three users, by number from 0 to 3 or by name, such as "0,1"'),
        ("0,1,2,3", '0,1,2,3: two or three users, by number from 0 to 3 or by name, such as "0,1"'),
        ("0,9", f"9: {NOBODY}"),
        ("a,b", f"a: {NOBODY}"),
        (",", ',: two or three users, by number from 0 to 3 or by name, such as "0,1"'),
        ("-1,0", f"-1: {NOBODY}"),
        ("0,1", "0,1: only beside --out, without which it says nothing"),
    ],
)
def test_users_of_a_section(dmoa: Callable[..., Any], scenario: Callable[..., Path], users: str, complaint: str) -> None:
    assert dmoa("region", scenario(), f"--users={users}").complaint() == f"--users = {complaint}"


def test_users_of_a_section_who_make_none(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    said = dmoa("region", scenario(), "--users", "0,device-0", "--out", tmp_path / "out").complaint()
    assert said == "--users = 0,device-0: two different users"
    star = scenario(('"complete"', '"star"'), ("0.002", "[0.002, 0, 0, 0]"))
    mute = dmoa("region", star, "--users", "0,1", "--out", tmp_path / "out").complaint()
    assert mute == "--users = 0,1: users who can ask, and device-1 has fewer neighbours than its k"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["plam"], 'Unknown command "plam". Did you mean "plan"?'),
        (["--json"], 'Unknown command "--json".'),
        (["plan", "--jsn"], "Unknown option: --jsn. Did you mean --json?"),
        (["plan", "--users", "0,1"], "Unknown option: --users."),
        (["plan", "--set"], 'Command "plan" parameter --set requires an argument.'),
        (["plan", "a.toml", "b.toml"], "b.toml: unexpected; dmoa plan --help says what it takes"),
        (["schema"], "verb is missing: one of accuracy, burst, calibrate, capacity, "),
        (["schema", "plam"], "verb = plam: one of accuracy, burst, calibrate, capacity, "),
        (["calibrate"], "--model is missing: a model folder, or --synthetic NAME"),
        (["calibrate", "--synthetic", "qwen2-tiny", "--prompt-tokens", "few"], "--prompt-tokens = few: whole numbers with"),
    ],
)
def test_verbs_and_options(dmoa: Callable[..., Any], arguments: list[str], complaint: str) -> None:
    assert dmoa(*arguments).complaint().startswith(complaint)


def test_folders_that_cannot_be(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "busy" / "region.json").mkdir(parents=True)
    for name in (tmp_path / "file", tmp_path / "file" / "x", ""):
        said = dmoa("region", scenario(), "--out", name).complaint()
        assert said == f"--out = {name or chr(34) * 2}: a folder, or a place where one can be made"
    said = dmoa("region", scenario(), "--out", tmp_path / "busy").complaint()
    assert said == f"{tmp_path}/busy/region.json: is a directory: a place where a file can be written"
    assert [path.name for path in (tmp_path / "busy").iterdir()] == ["region.json"]


def test_init_replaces_nothing(dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path) -> None:
    path = scenario()
    before = path.read_bytes()
    assert dmoa("init", path).complaint() == f"path = {path}: a file that is not there yet; --force replaces one"
    said = dmoa("init", tmp_path / "none" / "x.toml").complaint()
    assert said == f"path = {tmp_path}/none/x.toml: in a folder that exists, and {tmp_path}/none does not"
    assert path.read_bytes() == before


def test_complaints_carry_no_control_codes(dmoa: Callable[..., Any], scenario: Callable[..., Path]) -> None:
    said = dmoa("region", scenario(("M = 1", 'M = "\\u001b[31mred"'))).complaint()
    assert "moa.M = ?[31mred: " in said
    assert re.fullmatch(r"[ -~]*", said)


@pytest.mark.parametrize("verb", ["plan", "region", "latency", "optimise"])
def test_nothing_is_written_for_bad_input(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path, verb: str
) -> None:
    path = scenario()
    dmoa(verb, path, "--set", "moa.k=-9", "--out", tmp_path / "out").complaint()
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.name]


def test_memory_that_runs_out_is_said_in_a_line(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dmoa_theory.model.scenario.load_scenario", exhausted)
    assert dmoa("region", scenario()).complaint() == "out of memory: a smaller or sparser network fits"


def test_a_network_in_place_of_a_scenario(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    """The way from one to the other is named."""
    (tmp_path / "office.csv").write_text("from,to\na,b\n")
    said = dmoa("region", tmp_path / "office.csv").complaint()
    assert said.endswith('a scenario; one for this network is begun by "dmoa init NAME.toml --network office.csv"')
