"""Write a network and what its devices and links carry, as GraphML, JSON node-link or an edge table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.model.checks import FloatArray

if TYPE_CHECKING:
    from dmoa_theory.model.graph_files import GraphFile

__all__ = ["WRITERS"]

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
