"""Any network survives every writable format; every family is networkx's own graph."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmoa_theory.errors import TopologyError
from dmoa_theory.model.graph_files import GraphFile, read_graph, write_graph
from dmoa_theory.model.network import Network
from dmoa_theory.model.topologies import build_topology

COLUMNS = ("rate", "service_mean", "service_scv", "selection_weight")
QUIET = settings(max_examples=60, derandomize=True, deadline=None)

name_of_device = st.one_of(
    st.integers(0, 12).map(str),  # names that look like numbers
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda s: s == s.strip() and s.isprintable()),
    st.sampled_from(["from", "to", "#a", "a,b", 'say "hi"', "<&>", "{}", "device-0", "null", "1e5"]),
)


def numbers(size: int, low: float = 0.0) -> st.SearchStrategy[list[float] | None]:
    value = st.floats(max(low, 1e-30), 1e30) | (st.just(0.0) if low == 0 else st.nothing())
    return st.none() | st.lists(value, min_size=size, max_size=size)


@st.composite
def graph_files(draw: st.DrawFn) -> GraphFile:
    n = draw(st.integers(1, 7))
    pairs = [(u, v) for u in range(n) for v in range(n) if u != v]
    links = sorted(draw(st.sets(st.sampled_from(pairs)))) if pairs else []
    names = draw(st.just(()) | st.lists(name_of_device, min_size=n, max_size=n, unique=True).map(tuple))
    delay = draw(numbers(len(links)))
    network = Network.from_links(
        n, [u for u, _ in links], [v for _, v in links], link_delay=0.0 if delay is None else np.array(delay), names=names
    )
    given: dict[str, Any] = {
        "rate": draw(numbers(n)),
        "service_mean": draw(numbers(n, low=1e-30)),
        "service_scv": draw(numbers(n)),
        "selection_weight": draw(numbers(len(links))) if links else None,
    }
    return GraphFile(network=network, **{key: None if value is None else np.array(value) for key, value in given.items()})


def same(one: GraphFile, other: GraphFile) -> None:
    assert one.network.names == other.network.names
    np.testing.assert_array_equal(one.network.indptr, other.network.indptr)
    np.testing.assert_array_equal(one.network.indices, other.network.indices)
    np.testing.assert_array_equal(one.network.link_delay, other.network.link_delay)
    for column in COLUMNS:
        a, b = getattr(one, column), getattr(other, column)
        assert (a is None) == (b is None), column
        if a is not None:
            np.testing.assert_array_equal(a, b)


def read_or_refused(path: Path) -> bool:
    """Either outcome is right; any other exception is not."""
    try:
        graph = read_graph(path)
    except TopologyError as error:
        return len(str(error).splitlines()) == 1
    return graph.network.n_devices > 0


@pytest.mark.parametrize("extension", [".graphml", ".json", ".csv"])
@QUIET
@given(graph=graph_files())
@example(graph=GraphFile(network=Network.from_links(2, [1], [0], names=("0", "1"))))
@example(graph=GraphFile(network=Network.from_links(2, [1], [0], names=("1", "0"))))
@example(graph=GraphFile(network=Network.from_links(3, [2], [0], names=("to", "from", "name"))))
def test_reading_gives_back_what_was_written(extension: str, graph: GraphFile) -> None:
    """Links, delays, names and attributes come back bit for bit from every writable format."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_graph(
            Path(folder, "g" + extension), graph.network, **{column: getattr(graph, column) for column in COLUMNS}
        )
        same(read_graph(path), graph)


@QUIET
@given(text=st.text(max_size=60), extension=st.sampled_from([".graphml", ".gml", ".json", ".edges", ".csv"]))
def test_no_text_gives_a_traceback(text: str, extension: str) -> None:
    """Any text is a network or one line of refusal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "g" + extension)
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        assert read_or_refused(path)


PIECES = {
    ".graphml": [
        *(
            "<graphml>",
            '<graph edgedefault="directed">',
            '<node id="a"/>',
            '<node id="b">',
            "</node>",
            "</graph>",
            "</graphml>",
        ),
        *('<key id="rate" for="node" attr.name="rate"/>', '<data key="rate">', "1", "</data>", '<edge source="a" target="b"/>'),
    ],
    ".gml": [
        "graph",
        "[",
        "]",
        "node",
        "edge",
        "id",
        "0",
        "1",
        "source",
        "target",
        '"a"',
        "label",
        "rate",
        "-1",
        "directed",
        "NAN",
    ],
    ".csv": ["from", "to", ",", "\n", "a", "b", "0", "1", '"', "rate", "name", ",", "\n"],
}


@pytest.mark.parametrize("extension", list(PIECES))
@settings(max_examples=150, derandomize=True, deadline=None)
@given(data=st.data())
def test_no_shuffled_file_gives_a_traceback(extension: str, data: st.DataObject) -> None:
    """The words of a format in any order are a network or one line of refusal."""
    glue = " " if extension == ".gml" else ""
    text = glue.join(data.draw(st.lists(st.sampled_from(PIECES[extension]), max_size=20)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "g" + extension)
        path.write_text(text)
        assert read_or_refused(path)


# -- the families -----------------------------------------------------------------------------------------------------


def cube(dimension: int) -> nx.Graph:
    graph = nx.hypercube_graph(dimension)  # nodes are tuples of binary digits, save in one dimension
    if dimension == 1:
        return graph
    return nx.relabel_nodes(graph, {node: sum(bit << i for i, bit in enumerate(node)) for node in graph})


def by_rows(graph: nx.Graph) -> nx.Graph:
    return nx.convert_node_labels_to_integers(graph, ordering="sorted")


size = st.integers(3, 30)
side = st.integers(3, 7)
seed = st.integers(0, 1000)
share = st.floats(0, 1)

SAME = {
    "complete": (st.fixed_dictionaries({"n": size}), lambda n: nx.complete_graph(n)),
    "ring": (st.fixed_dictionaries({"n": size}), lambda n: nx.cycle_graph(n)),
    "star": (st.fixed_dictionaries({"n": size}), lambda n: nx.star_graph(n - 1)),
    "line": (st.fixed_dictionaries({"n": size}), lambda n: nx.path_graph(n)),
    "grid": (st.fixed_dictionaries({"rows": side, "cols": side}), lambda rows, cols: by_rows(nx.grid_2d_graph(rows, cols))),
    "torus": (
        st.fixed_dictionaries({"rows": side, "cols": side}),
        lambda rows, cols: by_rows(nx.grid_2d_graph(rows, cols, periodic=True)),
    ),
    "tree": (
        st.fixed_dictionaries({"branching": st.integers(1, 3), "depth": st.integers(0, 3)}),
        lambda branching, depth: nx.balanced_tree(branching, depth),
    ),
    "hypercube": (st.fixed_dictionaries({"dimension": st.integers(1, 6)}), lambda dimension: cube(dimension)),
    "bipartite": (
        st.fixed_dictionaries({"left": st.integers(1, 8), "right": st.integers(1, 8)}),
        lambda left, right: nx.complete_bipartite_graph(left, right),
    ),
    "regular": (
        st.fixed_dictionaries({"n": st.integers(10, 30), "degree": st.sampled_from([2, 4]), "seed": seed}),
        lambda n, degree, seed: nx.random_regular_graph(degree, n, seed=seed),
    ),
    "erdos_renyi": (
        st.fixed_dictionaries({"n": size, "p": share, "seed": seed}),
        lambda n, p, seed: nx.erdos_renyi_graph(n, p, seed=seed),
    ),
    "watts_strogatz": (
        st.fixed_dictionaries({"n": st.integers(5, 30), "degree": st.sampled_from([2, 4]), "p": share, "seed": seed}),
        lambda n, degree, p, seed: nx.watts_strogatz_graph(n, degree, p, seed=seed),
    ),
    "barabasi_albert": (
        st.fixed_dictionaries({"n": size, "links": st.integers(1, 2), "seed": seed}),
        lambda n, links, seed: nx.barabasi_albert_graph(n, links, seed=seed),
    ),
    "geometric": (
        st.fixed_dictionaries({"n": size, "radius": st.floats(0.05, 1.5), "seed": seed}),
        lambda n, radius, seed: nx.random_geometric_graph(n, radius, seed=seed),
    ),
}


@pytest.mark.parametrize("family", list(SAME))
@settings(max_examples=12, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_family_is_networkx_s_own_graph(family: str, data: st.DataObject) -> None:
    """Same devices, same links, device by device; hence same degrees and same connectedness."""
    strategy, of_networkx = SAME[family]
    parameters = data.draw(strategy)
    network, expected = build_topology(family, **parameters), of_networkx(**parameters)
    assert network.n_devices == len(expected)
    assert network.n_links == 2 * expected.number_of_edges()
    assert [device.neighbours for device in network] == [tuple(sorted(expected[u])) for u in range(len(expected))]
    drawn = network.to_networkx().to_undirected()
    assert nx.is_connected(drawn) == nx.is_connected(expected)


@QUIET
@given(n=st.integers(2, 24), data=st.data())
def test_every_regular_degree_works(n: int, data: st.DataObject) -> None:
    """Every degree with n * degree even gives a simple graph of that degree, dense ones included."""
    degree = data.draw(st.integers(1, n - 1).filter(lambda d: n * d % 2 == 0) if n > 2 else st.just(1))
    network = build_topology("regular", n=n, degree=degree, seed=data.draw(seed))
    assert set(network.out_degree.tolist()) == {degree}
    assert (network.matrix(np.ones(network.n_links)) != network.matrix(np.ones(network.n_links)).T).nnz == 0
