"""Read GML and JSON node-link: the two notations of nested keys and values."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.graph_files.records import Edge, NodeId, Records, in_short, shown

__all__ = ["parse_gml", "parse_json"]

_GML_TOKEN = re.compile(
    r"""\s+ | \#[^\n]* | (?P<bracket>[\[\]]) | "(?P<text>[^"]*)"
    | (?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.])) | (?P<signed>[+-](?:INF|NAN)\b)
    | (?P<key>[A-Za-z_]\w*)""",
    re.VERBOSE,
)
_LONGEST_INTEGER = 4000  # digits; Python itself refuses to read more
_GML_VALUES = ("INF", "NAN")  # words that may stand where a number does

Pairs = list[tuple[str, object]]


def _once(pairs: Pairs, what: str, file: str) -> dict[str, object]:
    """Turn keys and values into a mapping, refusing a key that stands twice."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise TopologyError(shown(key), "given twice", f"once a {what}", file=file)
        found[key] = value
    return found


# -- GML --------------------------------------------------------------------------------------------------------------


def _gml_tokens(text: str, file: str) -> Iterator[tuple[str, str, int]]:
    place, line = 0, 1
    while place < len(text):
        match = _GML_TOKEN.match(text, place)
        if match is None:
            raise TopologyError(
                f"line {line}", text[place : place + 20], 'GML: keys with numbers, "texts" or [ lists ]', file=file
            )
        if match.lastgroup:
            yield match.lastgroup, match[match.lastgroup], line
        line += text.count("\n", place, match.end())
        place = match.end()


def _gml_tree(text: str, file: str) -> Pairs:
    """Nested keys and values; a list in brackets is a list of pairs again."""
    top: Pairs = []
    stack, key = [top], None
    line = 1
    for kind, token, line in _gml_tokens(text, file):
        if kind == "bracket" and token == "]":
            if key is not None or len(stack) == 1:
                raise TopologyError(f"line {line}", "]", "a value" if key is not None else "a [ before it", file=file)
            stack.pop()
        elif key is None:
            if kind != "key":
                raise TopologyError(f"line {line}", token, "a key, such as node or edge", file=file)
            key = token
        else:
            value: object = token
            if kind == "bracket":
                inner: Pairs = []
                value = inner
            elif kind == "text":
                value = html.unescape(token)
            elif kind == "number":
                value = float(token) if not token.lstrip("+-").isdigit() or len(token) > _LONGEST_INTEGER else int(token)
            elif kind == "key" and token not in _GML_VALUES:
                raise TopologyError(f"line {line}", f"{key} {token}", f"a value of {key}; texts stand in quotes", file=file)
            stack[-1].append((key, value))
            if kind == "bracket":
                stack.append(inner)
            key = None
    if key is not None or len(stack) > 1:
        raise TopologyError(f"line {line}", "the end of the file", f"a value of {key}" if key else "a closing ]", file=file)
    return top


def parse_gml(text: str, file: str) -> Records:
    """Read a GML document; ``label`` names a device unless ``name`` does.

    Parameters
    ----------
    text : str
        The document.
    file : str
        Its name, for messages.

    Raises
    ------
    TopologyError
        When it is not GML, or its graph is no simple graph.

    Examples
    --------
    >>> from dmoa_theory.model.graph_files.gml_and_json import parse_gml
    >>> records = parse_gml("graph [ directed 1 node [ id 0 ] node [ id 1 ] edge [ source 0 target 1 ] ]", "two.gml")
    >>> records.directed, list(records.nodes)
    (True, [0, 1])
    """
    graphs = [value for key, value in _gml_tree(text, file) if key == "graph"]
    if len(graphs) != 1 or not isinstance(graphs[0], list):
        raise TopologyError("", f"{len(graphs)} graphs", "GML with one graph [ ... ]", file=file)
    flags = _once([pair for pair in graphs[0] if pair[0] not in ("node", "edge")], "graph", file)
    for flag in ("directed", "multigraph"):
        if flags.get(flag, 0) not in (0, 1) or isinstance(flags.get(flag), list):
            raise TopologyError(flag, in_short(flags[flag]), "0 or 1", file=file)
    if flags.get("multigraph"):
        raise TopologyError("multigraph", 1, "0: each link once", file=file)
    records = Records(directed=bool(flags.get("directed", 0)))
    for what, value in graphs[0]:
        if what not in ("node", "edge"):
            continue
        if not isinstance(value, list):
            raise TopologyError(what, value, f"{what} [ ... ]", file=file)
        # several values under one key are a list of another program's attribute; only ours must stand once
        given = dict(value) | _once([pair for pair in value if not isinstance(pair[1], list) and pair[0] in _OURS], what, file)
        if what == "node":
            _add_node(records, given, file)
        else:
            _add_edge(records, given, file)
    labels = [attributes.get("label") for attributes in records.nodes.values()]
    if [str(label) for label in labels] != [str(i) for i in range(len(labels))]:  # labels 0, 1, ... are numbers, not names
        for node, attributes in records.nodes.items():
            if "label" in attributes and "name" not in attributes:
                records.nodes[node] = {**attributes, "name": attributes["label"]}
    return records


# -- JSON -------------------------------------------------------------------------------------------------------------

_OURS = ("id", "source", "target", "name", "label", "rate", "service_mean", "service_scv", "link_delay", "weight")


def parse_json(text: str, file: str) -> Records:
    """Read networkx's node-link JSON, with the edges under ``edges`` or ``links``.

    Parameters
    ----------
    text : str
        The document.
    file : str
        Its name, for messages.

    Raises
    ------
    TopologyError
        When it is not JSON or not of this shape.

    Examples
    --------
    >>> from dmoa_theory.model.graph_files.gml_and_json import parse_json
    >>> records = parse_json('{"directed": true, "nodes": [{"id": 0}, {"id": 1}], "edges": [{"source": 0, "target": 1}]}', "")
    >>> len(records.nodes), len(records.edges)
    (2, 1)
    """
    try:
        document = json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, "JSON object", file))
    except TopologyError:
        raise
    except json.JSONDecodeError as error:
        raise TopologyError(f"line {error.lineno}", error.msg, "well-formed JSON", file=file) from None
    except ValueError:  # a whole number of thousands of digits
        raise TopologyError("", "a number too long to read", "finite numbers", file=file) from None
    except RecursionError:
        raise TopologyError("", "brackets nested too deeply", "node-link JSON", file=file) from None
    shape = 'node-link JSON: {"directed": ..., "nodes": [...], "edges": [...]}'
    if not isinstance(document, dict) or "nodes" not in document:
        raise TopologyError("nodes", InputError.MISSING, shape, file=file)
    if ("edges" in document) == ("links" in document):
        both = "edges" in document
        raise TopologyError("edges", "beside links" if both else InputError.MISSING, "edges or links, one of them", file=file)
    for flag in ("directed", "multigraph"):
        if not isinstance(document.get(flag, False), bool):
            raise TopologyError(flag, in_short(document[flag]), "true or false", file=file)
    if document.get("multigraph"):
        raise TopologyError("multigraph", "true", "false: each link once", file=file)
    records = Records(directed=document.get("directed"), default=False)  # networkx, too, takes silence for undirected
    edges = "edges" if "edges" in document else "links"
    for key, add in (("nodes", _add_node), (edges, _add_edge)):
        if not isinstance(document[key], list):
            raise TopologyError(key, in_short(document[key]), "a list", file=file)
        for i, given in enumerate(document[key]):
            if not isinstance(given, dict):
                raise TopologyError(f"{key}[{i}]", in_short(given), 'an object such as {"id": 0}', file=file)
            add(records, given, file)
    return records


# -- both -------------------------------------------------------------------------------------------------------------


def _node_id(given: dict[str, object], key: str, what: str, file: str) -> NodeId:
    if key not in given:
        raise TopologyError(f"{what} {key}", InputError.MISSING, f"every {what} has one", file=file)
    value = given[key]
    listed = value if isinstance(value, list) else [value]  # networkx writes a tuple, such as a place on a grid, as a list
    parts: list[str | int] = [part for part in listed if isinstance(part, (str, int)) and not isinstance(part, bool)]
    if not parts or len(parts) != len(listed):
        raise TopologyError(f"{what} {key}", in_short(value), "text or a whole number", file=file)
    return tuple(parts) if isinstance(value, list) else parts[0]


def _add_node(records: Records, given: dict[str, object], file: str) -> None:
    node = _node_id(given, "id", "node", file)
    if node in records.nodes:
        raise TopologyError("node", shown(node), "each node once", file=file)
    records.nodes[node] = given


def _add_edge(records: Records, given: dict[str, object], file: str) -> None:
    u, v = _node_id(given, "source", "edge", file), _node_id(given, "target", "edge", file)
    records.edges.append(Edge(u=u, v=v, attributes=given))
