"""Graph files: every format read by hand, and everything that is wrong with one refused in one line."""

from __future__ import annotations

import os
from pathlib import Path

import networkx as nx
import numpy as np
import pytest

from dmoa_theory.errors import TopologyError
from dmoa_theory.model.graph_files import READERS, GraphFile, read_graph, write_graph
from dmoa_theory.model.network import Network

KEYS = (
    '<key id="n" for="node" attr.name="name" attr.type="string"/><key id="r" for="node" attr.name="rate" attr.type="double"/>'
    '<key id="m" for="node" attr.name="service_mean" attr.type="double"><default>2.5</default></key>'
    '<key id="d" for="edge" attr.name="link_delay" attr.type="double"/><key id="w" for="edge" attr.name="weight"/>'
)


def graphml(body: str, default: str = 'edgedefault="directed"', keys: str = KEYS) -> str:
    head = '<?xml version="1.0"?><graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    return f"{head}{keys}<graph {default}>{body}</graph></graphml>"


AB = '<node id="a"/><node id="b"/>'


def put(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def links(network: Network) -> list[tuple[str, str, float]]:
    delays = np.asarray(network.link_delay).tolist()
    pairs = zip(network.link_sources().tolist(), network.indices.tolist(), delays, strict=True)
    return [(network.name(u), network.name(v), d) for u, v, d in pairs]


def values(array: object) -> list[float] | None:
    return None if array is None else np.asarray(array).tolist()


# -- every format -----------------------------------------------------------------------------------------------------


def test_graphml_with_every_attribute(tmp_path: Path) -> None:
    body = (
        '<edge source="x" target="y"><data key="d">0.5</data><data key="w"> 3 </data></edge>'
        '<node id="x"><data key="n">Büro &amp; Flur</data><data key="r">0.1</data></node>'
        '<node id="y"><data key="r">1e-3</data><data key="m">7</data></node>'
        '<edge source="y" target="x"><data key="w">0</data></edge>'
    )
    graph = read_graph(put(tmp_path, "office.graphml", graphml(body)))
    assert links(graph.network) == [("Büro & Flur", "y", 0.5), ("y", "Büro & Flur", 0.0)]
    assert values(graph.rate) == [0.1, 0.001]
    assert values(graph.service_mean) == [2.5, 7.0]
    assert graph.service_scv is None
    assert values(graph.selection_weight) == [3.0, 0.0]
    assert graph.network.description == "the graph of office.graphml"


def test_graphml_single_edges_may_differ_from_the_default(tmp_path: Path) -> None:
    body = (
        '<node id="a"/><node id="b"/><node id="c"/><edge source="b" target="a" directed="false"/><edge source="a" target="c"/>'
    )
    graph = read_graph(put(tmp_path, "g.graphml", graphml(body)))
    assert [link[:2] for link in links(graph.network)] == [("a", "b"), ("a", "c"), ("b", "a")]


def test_graphml_drawings_of_other_programs_are_ignored(tmp_path: Path) -> None:
    body = '<node id="a"><data key="y"><s:Shape xmlns:s="urn:s"><s:graph/><s:node>5</s:node></s:Shape></data></node>'
    keys = '<key id="y" for="node" yfiles.type="nodegraphics"/>'
    assert read_graph(put(tmp_path, "yed.graphml", graphml(body, keys=keys))).network.names == ("a",)


def test_graphml_that_keeps_silent_about_direction(tmp_path: Path) -> None:
    path = put(tmp_path, "g.graphml", graphml(AB + '<edge source="a" target="b"/>', default=""))
    assert read_graph(path, directed=False).network.n_links == 2
    assert read_graph(path, directed=True).network.n_links == 1


def test_undirected_delays_and_weights_go_both_ways(tmp_path: Path) -> None:
    body = AB + '<edge source="b" target="a"><data key="d">0.25</data><data key="w">2</data></edge>'
    graph = read_graph(put(tmp_path, "g.graphml", graphml(body, 'edgedefault="undirected"')))
    assert links(graph.network) == [("a", "b", 0.25), ("b", "a", 0.25)]
    assert values(graph.selection_weight) == [2.0, 2.0]


def test_gml(tmp_path: Path) -> None:
    text = """# by hand
    Creator "nobody" graph [ directed 1
      node [ id 5 label "A&#38;B" rate .5 graphics [ x 1 x 2 ] ]
      node [ id 3 name "c" label "ignored" rate +1E-2 point 1 point 2 ]
      edge [ source 3 target 5 link_delay 2 weight 0.5 ] ]"""
    graph = read_graph(put(tmp_path, "g.gml", text))
    assert graph.network.names == ("A&B", "c")
    assert links(graph.network) == [("c", "A&B", 2.0)]
    assert values(graph.rate) == [0.5, 0.01]
    assert values(graph.selection_weight) == [0.5]


@pytest.mark.parametrize("spelling", ["edges", "links"])
def test_json_in_both_spellings(tmp_path: Path, spelling: str) -> None:
    nodes = '[{"id": [0, 1], "service_scv": 0}, {"id": "b", "name": "B", "service_scv": 2}]'
    text = f'{{"directed": true, "nodes": {nodes}, "{spelling}": [{{"source": "b", "target": [0, 1], "link_delay": 1}}]}}'
    graph = read_graph(put(tmp_path, "g.json", text))
    assert links(graph.network) == [("B", "(0, 1)", 1.0)]
    assert values(graph.service_scv) == [0.0, 2.0]


def test_json_that_keeps_silent_about_direction(tmp_path: Path) -> None:
    path = put(tmp_path, "g.json", '{"nodes": [{"id": 0}, {"id": 1}], "links": [{"source": 0, "target": 1}]}')
    assert read_graph(path).network.n_links == 2
    assert read_graph(path, directed=True).network.n_links == 1


@pytest.mark.parametrize("extension", [".edges", ".edgelist", ".txt", ".TXT"])
def test_edge_lists(tmp_path: Path, extension: str) -> None:
    text = "\ufeff# who asks whom\r\n\r\nhub left 0.5 2\r\nhub,right,,1 # no delay\r\nleft ,\thub , 1e-1 , 0\r\n"
    graph = read_graph(put(tmp_path, "office" + extension, text))
    assert links(graph.network) == [("hub", "left", 0.5), ("hub", "right", 0.0), ("left", "hub", 0.1)]
    assert values(graph.selection_weight) == [2.0, 1.0, 0.0]


def test_plain_numbers_stand_in_numeric_order(tmp_path: Path) -> None:
    graph = read_graph(put(tmp_path, "g.edges", "2 0\n0 1 {}\n"))
    assert graph.network.names == ()
    assert [device.neighbours for device in graph.network] == [(1,), (), (0,)]
    assert read_graph(put(tmp_path, "h.edges", "2 1\n1 3\n")).network.names == ("2", "1", "3")


def test_edge_lists_may_be_declared_undirected(tmp_path: Path) -> None:
    assert links(read_graph(put(tmp_path, "g.edges", "a b 3"), directed=False).network) == [("a", "b", 3.0), ("b", "a", 3.0)]
    assert read_graph(put(tmp_path, "g.csv", "from,to\na,b\n"), directed=False).network.n_links == 2


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_separators(tmp_path: Path, mark: str) -> None:
    edges = read_graph(put(tmp_path, "g.csv", "from,to,link_delay\na,b,2\n".replace(",", mark)))
    assert links(edges.network) == [("a", "b", 2.0)]
    assert read_graph(put(tmp_path, "m.csv", ",a,b\na,0,1\nb,0,0\n".replace(",", mark))).network.names == ("a", "b")


def test_edge_table_with_device_rows(tmp_path: Path) -> None:
    text = 'To,weight,From,rate,name\n,,b,0.5,\n,,a,0.25,"A, the first"\n,,alone,1,\nb,2,a,,\n'
    graph = read_graph(put(tmp_path, "g.csv", text))
    assert graph.network.names == ("b", "A, the first", "alone")
    assert links(graph.network) == [("A, the first", "b", 0.0)]
    assert values(graph.rate) == [0.5, 0.25, 1.0]
    assert values(graph.selection_weight) == [2.0]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0,1,1\n0,0,0\n1,0,0\n", ()),
        ("a,b,c\n0,1,1\n0,0,0\n1,0,0\n", ("a", "b", "c")),
        ("a,0,1,1\nb,0,0,0\nc,1,0,0\n", ("a", "b", "c")),
        (",a,b,c\na,0,1.0,1\nb,0,0,0\nc,1,0,0.00\n", ("a", "b", "c")),
        ("a,b,c\na,0,1,1\nb,0,0,0\nc,1,0,0\n", ("a", "b", "c")),
        (",0,1,2\n0,0,1,1\n1,0,0,0\n2,1,0,0\n", ()),
    ],
)
def test_adjacency_matrices(tmp_path: Path, text: str, names: tuple[str, ...]) -> None:
    network = read_graph(put(tmp_path, "g.csv", text)).network
    assert network.names == names
    assert [device.neighbours for device in network] == [(1, 2), (), (0,)]


def test_a_symmetric_matrix_may_be_called_either(tmp_path: Path) -> None:
    path = put(tmp_path, "g.csv", "0,1\n1,0\n")
    for directed in (None, True, False):
        assert read_graph(path, directed=directed).network.n_links == 2
    assert read_graph(put(tmp_path, "one.csv", "0")).network.n_devices == 1


@pytest.mark.parametrize("extension", [".graphml", ".gml", ".json", ".edgelist"])
@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_what_networkx_writes(tmp_path: Path, extension: str, kind: type) -> None:
    """Files written by networkx mean the same network as the graph itself."""
    import json

    graph = nx.gnp_random_graph(12, 0.4, seed=3, directed=kind is nx.DiGraph)
    for i, (_, _, data) in enumerate(graph.edges(data=True)):
        data["link_delay"] = 0.125 * i
    path = tmp_path / ("g" + extension)
    if extension == ".json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    elif extension == ".edgelist":
        nx.write_edgelist(graph, path, data=["link_delay"])
    else:
        {".graphml": nx.write_graphml, ".gml": nx.write_gml}[extension](graph, path)
    read = read_graph(path, directed=graph.is_directed() if extension == ".edgelist" else None).network
    expected = Network.from_networkx(graph)
    assert read.names == ()
    assert links(read) == links(expected)


@pytest.mark.parametrize("extension", [".graphml", ".json"])
def test_networkx_reads_what_we_write(tmp_path: Path, extension: str) -> None:
    import json

    network = Network.from_links(3, [0, 2], [1, 0], link_delay=[0.5, 0.1], names=("a", "b & c", "d"))
    path = write_graph(tmp_path / ("g" + extension), network, rate=0.5)
    graph = (
        nx.read_graphml(path, int)
        if extension == ".graphml"
        else nx.node_link_graph(json.loads(path.read_text()), edges="edges")
    )
    assert graph.is_directed()
    assert dict(graph.nodes(data="name")) == {0: "a", 1: "b & c", 2: "d"}
    assert dict(graph.nodes(data="rate")) == dict.fromkeys(range(3), 0.5)
    assert list(graph.edges(data="link_delay")) == [(0, 1, 0.5), (2, 0, 0.1)]


def test_labels_are_names_and_numbers_are_not(tmp_path: Path) -> None:
    nx.write_gml(nx.path_graph(["left", "hub", "right"]), tmp_path / "g.gml")
    assert read_graph(tmp_path / "g.gml").network.names == ("left", "hub", "right")


# -- refusals ---------------------------------------------------------------------------------------------------------

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><graphml>&c;</graphml>'
)
SELF = "a self-loop: none: the own device always takes part"
NODES = '"nodes": [{"id": 0}, {"id": 1}]'
MISSING_ROW = "rate[lap 1] is missing: on every device or on none; no row for lap 1, did you mean lap-1?"
REFUSED: list[tuple[str, str | bytes, str]] = [
    # whole files
    ("g.graphml", "", "an empty file: a graph of at least one device"),
    ("g.edges", " \n\n", "an empty file: a graph of at least one device"),
    ("g.edges", "# nothing\n", "no devices: a graph of at least one device"),
    ("g.csv", "from,to\n", "no devices: a graph of at least one device"),
    ("g.png", "x", ".png: a file ending in .graphml, .gml, .json, .edges, .edgelist, .txt, .csv"),
    ("g", "x", "no extension: a file ending in .graphml, "),
    ("g.edges", b"a b\na \xff\n", "line 2 = byte 0xff: text in UTF-8"),
    ("g.graphml", "\ufeffa".encode("utf-16"), "line 1 = byte 0xff: text in UTF-8"),
    # GraphML
    ("g.graphml", graphml(AB)[:-4], "line 1 = unclosed token: well-formed XML"),
    ("g.graphml", "<html></html>", "<html>: a GraphML file, which starts with <graphml>"),
    ("g.graphml", "<graphml></graphml>", "no <graph>: GraphML with one <graph> of nodes and edges"),
    ("g.graphml", graphml(""), "no devices: a graph of at least one device"),
    ("g.graphml", LAUGHS, "<!DOCTYPE lolz>: GraphML without a DOCTYPE"),
    ("g.graphml", "<!DOCTYPE g SYSTEM 'file:///etc/passwd'><graphml/>", "<!DOCTYPE g>: GraphML without a DOCTYPE"),
    ("g.graphml", graphml(AB, default=""), "edgedefault is missing: directed or undirected"),
    ("g.graphml", graphml(AB, default='edgedefault="maybe"'), "edgedefault = maybe: directed or undirected"),
    ("g.graphml", graphml('<node id="a"/><node id="a"/>'), "node = a: each node once"),
    ("g.graphml", graphml("<node/>"), "<node> id is missing: every <node> has one"),
    ("g.graphml", graphml(AB + '<edge source="a"/>'), "<edge> target is missing: every <edge> has one"),
    ("g.graphml", graphml(AB + '<edge source="a" target="z"/>'), "edge a -> z = z: two nodes that the file lists"),
    ("g.graphml", graphml(AB + '<edge source="a" target="a"/>'), f"edge a -> a = {SELF}"),
    ("g.graphml", graphml(AB + '<edge source="a" target="b"/>' * 2), "edge a -> b = listed twice: each link once"),
    ("g.graphml", graphml(AB + "<hyperedge/>"), "an edge between more than two devices: plain nodes and edges"),
    ("g.graphml", graphml('<node id="a"><graph/></node>'), "a second <graph>: one graph a file, without graphs inside nodes"),
    ("g.graphml", graphml('<node id="a"><data key="q">1</data></node>'), "<data> key = q: a key that the file declares"),
    (
        "g.graphml",
        graphml('<node id="a"><data key="r">1</data><data key="r">2</data></node>'),
        "rate = given twice: once a node",
    ),
    (
        "g.graphml",
        graphml('<node id="a"><data key="r">1</data></node><node id="b"/>'),
        "rate[b] is missing: on every device or on none",
    ),
    (
        "g.graphml",
        graphml('<node id="a"><data key="r">fast</data></node>'),
        "rate[a] = fast: a finite number of prompts/s, 0 or more",
    ),
    ("g.graphml", graphml('<node id="a"><data key="r"/></node>'), 'rate[a] = "": a finite number of prompts/s, 0 or more'),
    (
        "g.graphml",
        graphml('<node id="a"><data key="r">NaN</data></node>'),
        "rate[a] = NaN: a finite number of prompts/s, 0 or more",
    ),
    (
        "g.graphml",
        graphml('<node id="a"><data key="r">1_0</data></node>'),
        "rate[a] = 1_0: a finite number of prompts/s, 0 or more",
    ),
    (
        "g.graphml",
        graphml('<node id="a"><data key="r">1e999</data></node>'),
        "rate[a] = inf: a finite number of prompts/s, 0 or more",
    ),
    (
        "g.graphml",
        graphml('<node id="a"><data key="m">0</data></node>'),
        "service_mean[a] = 0.0: a finite number of seconds, above 0",
    ),
    (
        "g.graphml",
        graphml('<node id="a"><data key="n">b</data></node><node id="b"/>'),
        "name = b: each device once, and no two ",
    ),
    ("g.graphml", graphml('<node id="a"><data key="n">x&#10;y</data></node>'), "name[a] = 'x\\ny': printable text on one line"),
    ("g.graphml", graphml('<node id="a"><data key="n"/></node>'), "name[a] = '': printable text on one line"),
    # GML
    ("g.gml", "graph [ node [ id 0 ]", "line 1 = the end of the file: a closing ]"),
    ("g.gml", "graph [ node [ id 0 ] ] ]", "line 1 = ]: a [ before it"),
    ("g.gml", "graph [\nnode [ id ] ]", "line 2 = ]: a value"),
    ("g.gml", "graph [\nnode [ id ?", 'line 2 = ?: GML: keys with numbers, "texts" or [ lists ]'),
    ("g.gml", "graph [ node [ id zero ] ]", "line 1 = id zero: a value of id; texts stand in quotes"),
    ("g.gml", "graph [ 5 ]", "line 1 = 5: a key, such as node or edge"),
    ("g.gml", "graph", "line 1 = the end of the file: a value of graph"),
    ("g.gml", 'Creator "x"', "0 graphs: GML with one graph [ ... ]"),
    ("g.gml", "graph [ ]", "no devices: a graph of at least one device"),
    ("g.gml", "graph [ multigraph 1 node [ id 0 ] ]", "multigraph = 1: 0: each link once"),
    ("g.gml", "graph [ directed 7 ]", "directed = 7: 0 or 1"),
    ("g.gml", "graph [ node 3 ]", "node = 3: node [ ... ]"),
    ("g.gml", "graph [ node [ id 0 id 1 ] ]", "id = given twice: once a node"),
    ("g.gml", 'graph [ node [ label "a" ] ]', "node id is missing: every node has one"),
    (
        "g.gml",
        "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 link_rate 5 ] ]",
        "link_rate[0 -> 1] = 5: left out: it is one for all links, link_rate under [network] of the scenario",
    ),
    ("g.csv", "from,to,link_rate\na,b,5\n", "column = link_rate: left out: it is one for all links, link_rate under [network]"),
    ("g.gml", "graph [ node [ id 0.5 ] ]", "node id = 0.5: text or a whole number"),
    ("g.gml", "graph [ node [ id 0 rate +INF ] ]", "rate[0] = +INF: a finite number of prompts/s, 0 or more"),
    (
        "g.gml",
        "graph [ node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] edge [ source 1 target 0 ] ]",
        "edge 1 -> 0 = listed twice: each link once; an undirected edge already means both ways",
    ),
    ("g.gml", "graph [ node [ id 0 rate [ x 1 ] ] ]", "rate[0] = a list: a finite number of prompts/s, 0 or more"),
    (
        "g.gml",
        "graph [ node [ id 0 rate " + "[ a " * 50_000 + "0 " + "] " * 50_002,
        "rate[0] = a list: a finite number of prompts/s",
    ),
    ("g.gml", "graph [ directed " + "[ a " * 50_000 + "0 " + "] " * 50_001, "directed = a list: 0 or 1"),
    ("g.gml", "graph [ node [ id 1" + "0" * 5000 + " ] ]", "node id = inf: text or a whole number"),
    # JSON
    ("g.json", "{", "line 1 = Expecting property name enclosed in double quotes: well-formed JSON"),
    ("g.json", "[" * 200_000, "brackets nested too deeply: node-link JSON"),
    ("g.json", "[]", "nodes is missing: node-link JSON: "),
    ("g.json", f"{{{NODES}}}", "edges is missing: edges or links, one of them"),
    ("g.json", f'{{{NODES}, "edges": [], "links": []}}', "edges = beside links: edges or links, one of them"),
    ("g.json", f'{{{NODES}, {NODES}, "edges": []}}', "nodes = given twice: once a JSON object"),
    ("g.json", f'{{"multigraph": true, {NODES}, "edges": []}}', "multigraph = true: false: each link once"),
    ("g.json", f'{{"directed": "yes", {NODES}, "edges": []}}', "directed = yes: true or false"),
    ("g.json", '{"nodes": {}, "edges": []}', "nodes = an object: a list"),
    ("g.json", '{"nodes": [3], "edges": []}', 'nodes[0] = 3: an object such as {"id": 0}'),
    ("g.json", '{"nodes": [{}], "edges": []}', "node id is missing: every node has one"),
    ("g.json", '{"nodes": [{"id": null}], "edges": []}', "node id = None: text or a whole number"),
    (
        "g.json",
        '{"nodes": [{"id": 1}, {"id": "1"}], "edges": []}',
        "name = 1: each device once, and no two devices of one name",
    ),
    ("g.json", '{"nodes": [{"id": 0, "rate": NaN}], "edges": []}', "rate[0] = nan: a finite number of prompts/s, 0 or more"),
    ("g.json", '{"nodes": [{"id": 0, "rate": "1"}], "edges": []}', "rate[0] = 1: a finite number of prompts/s, 0 or more"),
    ("g.json", '{"nodes": [{"id": 0, "rate": true}], "edges": []}', "rate[0] = True: a finite number of prompts/s, 0 or more"),
    ("g.json", '{"nodes": [{"id": 0, "rate": 1' + "0" * 400 + '}], "edges": []}', "rate[0] = 1000"),
    ("g.json", '{"nodes": [{"id": 0, "rate": 1' + "0" * 5000 + '}], "edges": []}', "a number too long to read: finite numbers"),
    ("g.json", '{"nodes": [{"id": ' + "[" * 900 + "]" * 900 + '}], "edges": []}', "node id = a list: text or a whole number"),
    # edge lists
    ("g.edges", "a b\nlonely\n", "line 2 = lonely: from to [link_delay [weight]]"),
    ("g.edges", "a b 1 2 3\n", "line 1 = a b 1 2 3: from to [link_delay [weight]]"),
    ("g.edges", "a,,1\n", "line 1 = a,,1: from to [link_delay [weight]]"),
    ("g.edges", "a b -1\n", "link_delay[a -> b] = -1.0: a finite number of seconds, 0 or more"),
    ("g.edges", "a b slow\n", "link_delay[a -> b] = slow: a finite number of seconds, 0 or more"),
    ("g.edges", "a b 0 1\nb a\n", "weight[b -> a] is missing: on every edge or on none"),
    ("g.edges", "a b 0 -1\n", "weight[a -> b] = -1.0: a finite number, 0 or more"),
    ("g.edges", "a a\n", f"edge a -> a = {SELF}"),
    ("g.edges", "a b\na b\n", "edge a -> b = listed twice: each link once"),
    # tables
    ("g.csv", 'from,to\n"a,b\n', "line 2 = unexpected end of data: comma-separated values with closed quotes"),
    ("g.csv", "from,to,link_dealy\na,b,1\n", "column = link_dealy: did you mean link_delay? an edge table has from, to, "),
    (
        "g.csv",
        "from,to,delay_ms\na,b,1\n",
        "column = delay_ms: did you mean link_delay (seconds)? an edge table has from, to, ",
    ),
    ("g.csv", "source,target\na,b\n", "header = source,target: did you mean from,to?"),
    ("g.csv", "from,to,rate\nlap-1,,1\nlap 1,lap-1,\n", MISSING_ROW),
    ("g.csv", "from,to,link_delay\na,b,2 msec\n", "link_delay[a -> b] = 2 msec: did you mean ms? a finite number of seconds"),
    (
        "g.csv",
        "from,to,rate\na,,7/hrs\n",
        "rate[a] = 7/hrs: did you mean h? a finite number of prompts/s, 0 or more, or with a ",
    ),
    ("g.csv", "from,to,service_mean\na,,0 s\n", "service_mean[a] = 0 s: a finite number of seconds, above 0, or with a unit"),
    ("g.csv", b"PK\x03\x04\x00\xff", "an Excel workbook or a zip file: text: save it as CSV"),
    ("g.graphml", b"\xd0\xcf\x11\xe0\xa1", "an Excel workbook or a zip file: text: save it as CSV"),
    ("g.csv", "from,to,to\na,b,c\n", "column = to: each column once"),
    ("g.csv", "from,to\na,b,c\n", "line 2 = 3 cells: 2, as in the header; a name with a comma needs quotes"),
    ("g.csv", "from,to\n,b\n", "line 2: from is missing: the device that asks"),
    ("g.csv", "from,to,rate\na,b,1\n", "line 2: rate = 1: a row of its own, with an empty to"),
    ("g.csv", "from,to,weight\na,,1\n", "line 2: weight = 1: a row with both from and to"),
    ("g.csv", "from,to\na,\na,\n", "device = a: each device declared once"),
    ("g.csv", "from,to,rate\na,,1\na,b,\n", "rate[b] is missing: on every device or on none"),
    (
        "g.csv",
        "a,b,c\na,b,c\na,b,c\na,b,c\na,b,c\n",
        "5 rows of 3 cells: a square adjacency matrix, or an edge table with the header from,to",
    ),
    ("g.csv", "0,1,0\n1,0,0\n0,0\n", "line 3 = 2 cells: 3, as in the first row"),
    ("g.csv", "0,1\n0,2\n", "entry 1 -> 1 = 2: 0 for no link, 1 for a link; delays and weights stand in an edge table"),
    ("g.csv", "0,nan\n0,0\n", "entry 0 -> 1 = nan: 0 for no link, 1 for a link"),
    ("g.csv", "0,\n0,0\n", 'entry 0 -> 1 = "": 0 for no link, 1 for a link'),
    ("g.csv", "1,0\n0,0\n", f"edge 0 -> 0 = {SELF}"),
    ("g.csv", "a,a\n0,1\n0,0\n", "name = a: one name a device, each once"),
    ("g.csv", ",a,b\nb,0,1\na,0,0\n", "row b = column a: rows and columns in one order"),
]


@pytest.mark.parametrize(("name", "content", "line"), REFUSED)
def test_refusals_are_one_line(tmp_path: Path, name: str, content: str | bytes, line: str) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(TopologyError) as caught:
        read_graph(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {line}")
    assert "\n" not in message
    assert caught.value.file == str(path)


def test_amounts_may_have_units(tmp_path: Path) -> None:
    """As in scenarios, in tables, edge lists and graph files; plain numbers are seconds and prompts a second, as ever."""
    table = "from,to,link_delay,rate,service_mean\na,,,10/hour,12 s\nb,,,0.25,0.5 min\na,b,2 ms,,\nb,a,0.5,,\n"
    made = nx.DiGraph([("a", "b", {"link_delay": "2 ms"}), ("b", "a", {"link_delay": "0.5 s"})])
    made.add_node("a", rate="10/hour", service_mean="12 s")
    made.add_node("b", rate="15/min", service_mean="0.5 min")
    nx.write_graphml(made, tmp_path / "g.graphml")
    for path in (put(tmp_path, "g.csv", table), tmp_path / "g.graphml"):
        graph = read_graph(path)
        assert graph.network.link_delay.tolist() == [0.002, 0.5]
        assert graph.rate is not None
        assert graph.service_mean is not None
        assert graph.rate.tolist() == [10 / 3600, 0.25]
        assert graph.service_mean.tolist() == [12.0, 30.0]
    assert read_graph(put(tmp_path, "g.edges", "a b 2ms\n")).network.link_delay.tolist() == [0.002]


def test_a_network_of_devices_named_source_and_target(tmp_path: Path) -> None:
    """An adjacency matrix is one, whatever its devices are called."""
    graph = read_graph(put(tmp_path, "g.csv", ",source,target\nsource,0,1\ntarget,1,0\n"))
    assert graph.network.names == ("source", "target")


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    put(tmp_path, "office.graphml", "x")
    (tmp_path / "folder.gml").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    for name, line in {
        "offise.graphml": "no such file: the path of an existing file; did you mean office.graphml?",
        "none/g.csv": "no such file: the path of an existing file",
        "folder.gml": "a folder: the path of a file",
        "pipe.json": "not a regular file: the path of a file",
        "x" * 300 + ".csv": "File name too long: a file that can be read",
        "nul\0.csv": "embedded null byte: a file that can be read",
    }.items():
        with pytest.raises(TopologyError) as caught:
            read_graph(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {line}"


@pytest.mark.parametrize(
    ("name", "content", "directed"),
    [
        ("g.graphml", graphml(AB), False),
        ("g.gml", "graph [ node [ id 0 ] ]", True),
        ("g.json", f'{{"directed": true, {NODES}, "edges": []}}', False),
        ("g.csv", "0,1\n0,0\n", False),
    ],
)
def test_a_contradicted_direction_is_refused(tmp_path: Path, name: str, content: str, directed: bool) -> None:
    path = put(tmp_path, name, content)
    with pytest.raises(TopologyError) as caught:
        read_graph(path, directed=directed)
    assert str(caught.value) == f"{path}: directed = {directed}: {not directed}, as the file says; or leave it out"


def test_messages_stay_short_however_long_the_names(tmp_path: Path) -> None:
    path = put(tmp_path, "g.edges", f"{'x' * 5000} {'y' * 5000} never\n")
    with pytest.raises(TopologyError) as caught:
        read_graph(path)
    assert len(str(caught.value)) < len(str(path)) + 250


# -- writing ----------------------------------------------------------------------------------------------------------

PAIR = Network.from_links(2, [0, 1], [1, 0], names=("a", "b"))


def test_an_edge_table_is_plain_where_it_can_be(tmp_path: Path) -> None:
    assert write_graph(tmp_path / "g.csv", PAIR).read_text() == "from,to\na,b\nb,a\n"
    table = write_graph(tmp_path / "h.csv", PAIR, rate=[0.5, 1], selection_weight=2).read_text()
    assert table == "from,to,weight,rate\na,,,0.5\nb,,,1.0\na,b,2.0,\nb,a,2.0,\n"


def test_replacing_leaves_one_file(tmp_path: Path) -> None:
    write_graph(tmp_path / "g.json", PAIR)
    write_graph(str(tmp_path / "g.json"), PAIR, rate=1.0)
    assert [entry.name for entry in tmp_path.iterdir()] == ["g.json"]
    assert values(read_graph(tmp_path / "g.json").rate) == [1.0, 1.0]
    assert READERS.keys() >= {".graphml", ".json", ".csv"}


@pytest.mark.parametrize(
    ("name", "network", "given", "line"),
    [
        ("g.gml", PAIR, {}, "{path}: .gml: a file ending in .graphml, .json, .csv"),
        ("none/g.csv", PAIR, {}, "{path}: No such file or directory: a path that can be written"),
        ("folder.csv", PAIR, {}, "{path}: Is a directory: a path that can be written"),
        ("nul\0.csv", PAIR, {}, "{path}: embedded null byte: a path that can be written"),
        ("g.csv", PAIR, {"rate": [1.0, -1.0]}, "rate[1] = -1.0: a finite number, 0 or more"),
        ("g.csv", PAIR, {"service_mean": 0}, "service_mean = 0: a finite number above 0"),
        ("g.csv", PAIR, {"selection_weight": [1.0]}, "selection_weight = 1 values: one number, or a list of 2 (one a link)"),
        ("g.csv", PAIR, {"service_scv": [1.0]}, "service_scv = 1 values: one number, or a list of 2 (one a device)"),
        (
            "g.json",
            Network.from_links(1, [], [], names=(" a",)),
            {},
            "{path}: names = ' a': printable text on one line, without blanks around it",
        ),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, network: Network, given: dict[str, object], line: str) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TopologyError) as caught:
        write_graph(tmp_path / name, network, **given)  # type: ignore[arg-type]
    assert str(caught.value) == line.format(path=tmp_path / name)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.csv"]


def test_graph_file_arrays_are_read_only() -> None:
    graph = GraphFile(network=PAIR, rate=np.array([1.0, 2.0]))
    assert graph.rate is not None
    with pytest.raises(ValueError, match="read-only"):
        graph.rate[0] = 3.0
