"""Write a network and what its devices and links carry, as GraphML, JSON node-link or an edge table."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from dmoa_theory.errors import TopologyError
from dmoa_theory.model.checks import FloatArray, FloatLike
from dmoa_theory.model.graph_files.graph_file import GraphFile
from dmoa_theory.model.network import Network
from dmoa_theory.whole_files import write_whole

__all__ = ["WRITERS", "write_graph"]

Row = dict[str, float | str]


def _nodes(graph: GraphFile) -> Iterator[Row]:
    """List the attributes of every device, in order."""
    names = graph.network.names
    columns = {key: value for key in ("rate", "service_mean", "service_scv") if (value := getattr(graph, key)) is not None}
    for u in range(graph.network.n_devices):
        row: Row = {"name": names[u]} if names else {}
        yield row | {key: float(column[u]) for key, column in columns.items()}


def _edges(graph: GraphFile) -> Iterator[tuple[int, int, Row]]:
    """List the ends and the attributes of every link, in order."""
    network = graph.network
    columns: dict[str, FloatArray] = {"link_delay": np.asarray(network.link_delay)} if network.has_delay else {}
    if graph.selection_weight is not None:
        columns["weight"] = graph.selection_weight
    for e, (u, v) in enumerate(zip(network.link_sources().tolist(), network.indices.tolist(), strict=True)):
        yield u, v, {key: float(column[e]) for key, column in columns.items()}


def _graphml(graph: GraphFile) -> str:
    from xml.sax.saxutils import escape

    kinds = [("node", key) for key in next(_nodes(graph))] + [("edge", key) for key in next(_edges(graph), (0, 0, {}))[2]]
    lines = ['<?xml version="1.0" encoding="utf-8"?>', '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">']
    for of, key in kinds:
        kind = "string" if key == "name" else "double"
        lines.append(f'  <key id="{key}" for="{of}" attr.name="{key}" attr.type="{kind}"/>')
    lines.append('  <graph edgedefault="directed">')

    def element(start: str, row: Row) -> str:
        data = "".join(f'<data key="{key}">{escape(str(value))}</data>' for key, value in row.items())
        return f"    <{start}>{data}</{start.split()[0]}>" if data else f"    <{start}/>"

    lines += [element(f'node id="{u}"', row) for u, row in enumerate(_nodes(graph))]
    lines += [element(f'edge source="{u}" target="{v}"', row) for u, v, row in _edges(graph)]
    return "\n".join([*lines, "  </graph>", "</graphml>", ""])


def _json(graph: GraphFile) -> str:
    def listed(rows: Iterator[Row]) -> str:
        return ",\n    ".join(json.dumps(row, ensure_ascii=False, allow_nan=False) for row in rows)

    nodes = listed({"id": u, **row} for u, row in enumerate(_nodes(graph)))
    edges = listed({"source": u, "target": v, **row} for u, v, row in _edges(graph))
    head = '{\n  "directed": true,\n  "multigraph": false,\n  "graph": {},\n'
    return f'{head}  "nodes": [\n    {nodes}\n  ],\n  "edges": [\n    {edges}\n  ]\n}}\n'


def _csv(graph: GraphFile) -> str:
    network = graph.network
    numbers = [str(u) for u in range(network.n_devices)]
    ids = list(network.names) or numbers
    edges, nodes = list(_edges(graph)), list(_nodes(graph))
    met = list(dict.fromkeys(end for u, v, _ in edges for end in (u, v)))
    columns = [key for key in nodes[0] if key != "name"]
    if network.names and ids == numbers:
        columns.insert(0, "name")  # without it they would be taken for numbers
    # The links alone name every device in its order, so the plain table says it all; else each device gets a row first.
    plain = len(met) == len(ids) if set(ids) == set(numbers) and ids == numbers else met == list(range(len(ids)))
    rows: list[Row] = []
    if columns or not plain or (ids != numbers and set(ids) == set(numbers)):
        rows += [{"from": ids[u], "to": "", **{key: row[key] for key in columns}} for u, row in enumerate(nodes)]
    rows += [{"from": ids[u], "to": ids[v], **row} for u, v, row in edges]
    text = io.StringIO(newline="")
    header = ["from", "to", *(edges[0][2] if edges else ()), *columns]
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


WRITERS: Mapping[str, Callable[[GraphFile], str]] = MappingProxyType({".graphml": _graphml, ".json": _json, ".csv": _csv})
"""From the extension to the function that gives the file's text."""


def write_graph(
    path: str | os.PathLike[str],
    network: Network,
    *,
    rate: FloatLike | None = None,
    service_mean: FloatLike | None = None,
    service_scv: FloatLike | None = None,
    selection_weight: FloatLike | None = None,
) -> Path:
    """Write a network so that :func:`read_graph` gives back the same links, delays, names and attributes, bit for bit.

    Parameters
    ----------
    path : str or path
        Ending in ``.graphml``, ``.json`` or ``.csv`` (an edge table). An existing file is replaced in one step, so that nobody
        ever reads half of the new one.
    network : Network
        Its ``description`` is not kept: a network from a file is described by its file.
    rate, service_mean, service_scv, selection_weight
        As in :class:`GraphFile`.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    TopologyError
        For an unknown extension, a value out of range, a name that a line of text cannot hold, or a folder that is not there.

    Examples
    --------
    >>> from dmoa_theory import Network
    >>> from dmoa_theory.model.graph_files.writing import Path, write_graph
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_graph(Path(folder, "pair.csv"), Network.from_links(2, [0, 1], [1, 0], names=("a", "b")))
    ...     print(path.read_text().split())
    ['from,to', 'a,b', 'b,a']
    """
    path = Path(path)
    file = str(path)
    if path.suffix.lower() not in WRITERS:
        raise TopologyError("", path.suffix or "no extension", f"a file ending in {', '.join(WRITERS)}", file=file)
    for name in network.names:
        if not name or name != name.strip() or not name.isprintable():
            raise TopologyError("names", repr(name), "printable text on one line, without blanks around it", file=file)
    columns: dict[str, Any] = {"rate": rate, "service_mean": service_mean, "service_scv": service_scv}
    columns["selection_weight"] = selection_weight
    graph = GraphFile(network=network, **columns)  # which spreads single numbers
    text = WRITERS[path.suffix.lower()](graph)
    try:
        write_whole(path, text)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise TopologyError("", reason, "a path that can be written", file=file) from None
    return path
