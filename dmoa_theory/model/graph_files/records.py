"""What a graph file says, before it is checked: the one shape that every format is read into."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeAlias

import numpy as np

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.units import parse_rate, parse_seconds

__all__ = [
    "ONE_RATE",
    "Attributes",
    "Edge",
    "NodeId",
    "Records",
    "device_names",
    "in_short",
    "link_arrays",
    "node_column",
    "number_or_text",
    "passed_over",
    "shown",
    "stands_for_delay",
]

NodeId: TypeAlias = str | int | tuple[str | int, ...]
Attributes: TypeAlias = Mapping[str, object]

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_LONGEST_NAME = 40

#: What to do with the rate of a link in a graph file.
ONE_RATE = "left out: it is one for all links, link_rate under [network] of the scenario"

# What is allowed, and whether 0 is.
_RULES = {
    "rate": ("a finite number of prompts/s, 0 or more", True),
    "service_mean": ("a finite number of seconds, above 0", False),
    "service_scv": ("a finite number, 0 or more", True),
    "link_delay": ("a finite number of seconds, 0 or more", True),
    "weight": ("a finite number, 0 or more", True),
}

# What may have a unit, as text.
_WITH_UNIT = {"rate": "10/hour", "service_mean": "12 s", "link_delay": "2 ms"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One edge as a file gives it: ``u`` may ask ``v``, and ``v`` ``u`` where ``both`` holds (None: as the whole file says)."""

    u: NodeId
    v: NodeId
    attributes: Attributes
    both: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """A whole graph file.

    Parameters
    ----------
    directed : bool or None
        What the file says of itself; None where it does not say.
    default : bool or None
        Directed or not where neither the file nor the caller says; None where somebody has to.
    nodes : dict
        Attributes of every node by its id, in file order.
    edges : list of Edge
        In file order.
    without_row : frozenset
        Nodes of an edge table that stand in links alone, where others have a row of their own.
    """

    directed: bool | None
    default: bool | None = None
    nodes: dict[NodeId, Attributes] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    without_row: frozenset[NodeId] = frozenset()


# What stands on a node or an edge and is read, or is the notation's own.
_OF_NODES = {"id", "label", "name", "rate", "service_mean", "service_scv"}
_OF_EDGES = {"id", "label", "key", "source", "target", "link_delay", "weight", "link_rate"}


def passed_over(records: Records) -> tuple[str, ...]:
    """Name the attributes that nobody reads, in alphabetical order."""
    of_nodes = {str(key) for attributes in records.nodes.values() for key in attributes} - _OF_NODES
    of_edges = {str(key) for edge in records.edges for key in edge.attributes} - _OF_EDGES
    return tuple(sorted(of_nodes | of_edges))


def stands_for_delay(name: str) -> bool:
    """Whether an attribute that nobody reads is named like the delay of a link."""
    return any(part in name.casefold() for part in ("delay", "latency"))


def number_or_text(text: str) -> float | str:
    """Read a plain decimal number; anything else, ``nan`` and ``1_000`` included, stays text and is refused later."""
    return float(text) if _NUMBER.fullmatch(text) else text


def shown(name: object) -> str:
    """Shorten a name from a file until it fits into a one-line message."""
    text = "".join(c if c.isprintable() else "?" for c in " ".join(str(name).split()))
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."


def in_short(value: object) -> object:
    """Replace a nested value by what it is: printing one that nests a thousandfold would itself fail."""
    return "a list" if isinstance(value, list) else "an object" if isinstance(value, dict) else value


def _checked(field_name: str, value: object, owner: Sequence[object], file: str) -> float:
    """Read a number in range; ``owner`` is the node, or both ends of the edge, that it belongs to."""
    allowed, zero = _RULES[field_name]
    if isinstance(value, str) and field_name in _WITH_UNIT and value.strip() and not _NUMBER.fullmatch(value):
        try:
            value = parse_rate("", value) if field_name == "rate" else parse_seconds("", value, zero=zero)
        except InputError as error:
            hint = error.allowed.partition("? ")[0] + "? " if error.allowed.startswith("did you mean") else ""
            allowed = f'{hint}{allowed}, or with a unit, such as "{_WITH_UNIT[field_name]}"'
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number past the largest float
        number = math.inf
    if not math.isfinite(number) or number < 0 or (number == 0 and not zero):
        raise TopologyError(f"{field_name}[{_arrow(owner)}]", '""' if value == "" else in_short(value), allowed, file=file)
    return number


def _arrow(owner: Sequence[object]) -> str:
    return " -> ".join(shown(end) for end in owner)


def device_names(records: Records, file: str) -> tuple[str, ...]:
    """Name the devices: the attribute ``name`` where there is one, else the id; empty where all ids are 0, 1, ... in order."""
    plain = all(str(node) == str(i) for i, node in enumerate(records.nodes))
    if plain and not any("name" in attributes for attributes in records.nodes.values()):
        return ()
    names: dict[str, None] = {}
    for node, attributes in records.nodes.items():
        name = attributes.get("name", node)
        text = str(name).strip()
        if isinstance(name, (bool, list, dict)) or name is None or not text or not text.isprintable():
            raise TopologyError(f"name[{shown(node)}]", repr(in_short(name)), "printable text on one line", file=file)
        if text in names:
            raise TopologyError("name", text, "each device once, and no two devices of one name", file=file)
        names[text] = None
    return tuple(names)


def node_column(records: Records, names: tuple[str, ...], field_name: str, file: str) -> FloatArray | None:
    """Collect one attribute of every device; None where no device has it.

    Returns
    -------
    ndarray, shape (n,), or None

    Raises
    ------
    TopologyError
        Where some devices have it and others have not, or a value is not a number in range.
    """
    if not any(field_name in attributes for attributes in records.nodes.values()):
        return None
    column = np.empty(len(records.nodes))
    for i, (node, attributes) in enumerate(records.nodes.items()):
        owner = (names[i] if names else node,)
        if field_name not in attributes:
            allowed = f"on every device or on none{_no_row(records, node)}"
            raise TopologyError(f"{field_name}[{_arrow(owner)}]", InputError.MISSING, allowed, file=file)
        column[i] = _checked(field_name, attributes[field_name], owner, file)
    return column


def _no_row(records: Records, node: NodeId) -> str:
    """The end of a complaint about a device that is only in links: the row that was perhaps meant."""
    if node not in records.without_row:
        return ""
    near = get_close_matches(str(node), [str(other) for other in records.nodes if other not in records.without_row], n=1)
    return f"; no row for {shown(node)}" + (f", did you mean {shown(near[0])}?" if near else "")


def link_arrays(
    records: Records, directed: bool, names: tuple[str, ...], file: str
) -> tuple[IntArray, IntArray, FloatArray, FloatArray | None]:
    """Turn the edges into parallel arrays, undirected ones both ways.

    Returns
    -------
    source, target : ndarray, shape (n_links,)
        Device numbers, in the link order of :class:`~dmoa_theory.model.network.Network`.
    link_delay : ndarray, shape (n_links,), seconds
        0 where the file gives none.
    selection_weight : ndarray, shape (n_links,), or None
        None where no edge has a weight.

    Raises
    ------
    TopologyError
        For an end that is no node, a self-loop, a repeated link, or a value that is not a number in range.
    """
    place = {node: i for i, node in enumerate(records.nodes)}
    weighted = any("weight" in edge.attributes for edge in records.edges)
    links: dict[tuple[int, int], tuple[float, float]] = {}
    for edge in records.edges:
        for end in (edge.u, edge.v):
            if end not in place:
                raise TopologyError(f"edge {_arrow((edge.u, edge.v))}", shown(end), "two nodes that the file lists", file=file)
        u, v = place[edge.u], place[edge.v]
        owner = (names[u], names[v]) if names else (edge.u, edge.v)
        if u == v:
            raise TopologyError(f"edge {_arrow(owner)}", "a self-loop", "none: the own device always takes part", file=file)
        if "link_rate" in edge.attributes:
            raise TopologyError(f"link_rate[{_arrow(owner)}]", in_short(edge.attributes["link_rate"]), ONE_RATE, file=file)
        if weighted and "weight" not in edge.attributes:
            raise TopologyError(f"weight[{_arrow(owner)}]", InputError.MISSING, "on every edge or on none", file=file)
        delay = _checked("link_delay", edge.attributes["link_delay"], owner, file) if "link_delay" in edge.attributes else 0.0
        weight = _checked("weight", edge.attributes["weight"], owner, file) if weighted else 1.0
        both = not directed if edge.both is None else edge.both
        for link in ((u, v), (v, u)) if both else ((u, v),):
            if link in links:
                hint = "each link once; an undirected edge already means both ways" if both else "each link once"
                raise TopologyError(f"edge {_arrow(owner)}", "listed twice", hint, file=file)
            links[link] = (delay, weight)
    ends: IntArray = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    values = np.array(list(links.values())).reshape(-1, 2)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends, values = ends[order], values[order]
    return ends[:, 0], ends[:, 1], values[:, 0].copy(), values[:, 1].copy() if weighted else None
