"""Read graphs written as tables: edge lists, edge tables with a header, adjacency matrices."""

from __future__ import annotations

import re
from difflib import get_close_matches

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.graph_files.records import (
    ONE_RATE,
    Attributes,
    Edge,
    NodeId,
    Records,
    number_or_text,
    shown,
    stands_for_delay,
)
from dmoa_theory.text_files import csv_rows, delimiter_of

__all__ = ["DEVICE_COLUMNS", "EDGE_COLUMNS", "parse_csv", "parse_edge_list"]

EDGE_COLUMNS = ("link_delay", "weight")
DEVICE_COLUMNS = ("name", "rate", "service_mean", "service_scv")

_SEPARATOR = re.compile(r"\s*,\s*|\s+")
_ENTRIES = {"0": 0.0, "1": 1.0}
_NOTHING: Attributes = {}
_MARKS = {",": "comma", ";": "semicolon", "\t": "tab"}
_NO_DATA = "{}"  # what networkx writes after an edge without attributes


def _plain_order(seen: dict[NodeId, Attributes]) -> dict[NodeId, Attributes]:
    """Put nodes that are exactly 0, 1, ..., n - 1 into numeric order; leave others in order of first appearance."""
    numbers = [str(i) for i in range(len(seen))]
    return {name: seen[name] for name in numbers} if set(numbers) == set(seen) else seen


def parse_edge_list(text: str, file: str) -> Records:
    r"""Read lines ``from to [link_delay [weight]]``, separated by blanks or commas; ``#`` starts a comment.

    Parameters
    ----------
    text : str
        The file's text.
    file : str
        Its name, for messages.

    Raises
    ------
    TopologyError
        When a line has too few or too many fields.

    Examples
    --------
    >>> from dmoa_theory.model.graph_files.tables import parse_edge_list
    >>> [edge.v for edge in parse_edge_list("a b 0.5  # slow\na,c", "office.edges").edges]
    ['b', 'c']
    """
    seen: dict[NodeId, Attributes] = {}
    records = Records(directed=None, default=True)
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        fields = _SEPARATOR.split(content)
        if fields[-1] == _NO_DATA:
            fields.pop()
        if not 2 <= len(fields) <= 4 or not fields[0] or not fields[1]:
            raise TopologyError(f"line {number}", content, "from to [link_delay [weight]]", file=file)
        given = {key: number_or_text(value) for key, value in zip(EDGE_COLUMNS, fields[2:], strict=False) if value}
        seen.setdefault(fields[0], {})
        seen.setdefault(fields[1], {})
        records.edges.append(Edge(u=fields[0], v=fields[1], attributes=given))
    records.nodes.update(_plain_order(seen))
    return records


def parse_csv(text: str, file: str) -> Records:
    r"""Read an edge table where the header has ``from`` and ``to``, else an adjacency matrix.

    Parameters
    ----------
    text : str
        The file's text.
    file : str
        Its name, for messages.

    Raises
    ------
    TopologyError
        When quotes do not close, rows differ in length, columns are unknown, or the matrix is not a square of 0 and 1.

    Notes
    -----
    A row of an edge table whose ``to`` is empty declares the device ``from``, which may then have a name and attributes of its
    own (columns ``name``, ``rate``, ``service_mean``, ``service_scv``). Declared devices come in the order of declaration.
    Where the first line has no comma, cells may be separated by semicolons or tabs.

    Examples
    --------
    >>> from dmoa_theory.model.graph_files.tables import parse_csv
    >>> [(edge.u, edge.v) for edge in parse_csv("from,to\nhub,left\nhub,right\n", "star.csv").edges]
    [('hub', 'left'), ('hub', 'right')]
    >>> [(edge.u, edge.v) for edge in parse_csv(",a,b\na,0,1\nb,0,0\n", "pair.csv").edges]
    [('a', 'b')]
    """
    rows = list(csv_rows(text, file=file, error=TopologyError))
    if not rows:
        return Records(directed=None)
    header = [cell.casefold() for cell in rows[0][1]]
    if {"from", "to"} <= set(header):
        return _edge_table(header, rows[1:], file, _MARKS[delimiter_of(text)])
    try:
        return _adjacency(rows, file)
    except TopologyError:
        if {"source", "target"} <= set(header):
            allowed = "did you mean from,to? an edge table has from, the device that may ask, and to"
            raise TopologyError("header", "source,target", allowed, file=file) from None
        raise


def _edge_table(header: list[str], rows: list[tuple[int, list[str]]], file: str, mark: str) -> Records:
    known = ("from", "to", *EDGE_COLUMNS, *DEVICE_COLUMNS)
    for column in header:
        if column == "link_rate":
            raise TopologyError("column", column, ONE_RATE, file=file)
        if column not in known:
            near = get_close_matches(column, known, n=1)
            meant = near[0] if near else "link_delay (seconds)" if stands_for_delay(column) else None
            hint = "" if meant is None else f"did you mean {meant}? "
            raise TopologyError("column", column or '""', f"{hint}an edge table has {', '.join(known)}", file=file)
        if header.count(column) > 1:
            raise TopologyError("column", column, "each column once", file=file)
    seen: dict[NodeId, Attributes] = {}
    declared: dict[NodeId, Attributes] = {}
    edges: list[Edge] = []
    for number, cells in rows:
        if len(cells) != len(header):
            quotes = f"; a name with a {mark} needs quotes" if len(cells) > len(header) else ""
            raise TopologyError(f"line {number}", f"{len(cells)} cells", f"{len(header)}, as in the header{quotes}", file=file)
        given = {key: cell for key, cell in zip(header, cells, strict=True) if cell}
        u, v = given.pop("from", ""), given.pop("to", "")
        if not u:
            raise TopologyError(f"line {number}: from", InputError.MISSING, "the device that asks", file=file)
        for key, cell in given.items():
            if key in (DEVICE_COLUMNS if v else EDGE_COLUMNS):
                row = "a row of its own, with an empty to" if v else "a row with both from and to"
                raise TopologyError(f"line {number}: {key}", cell, row, file=file)
        attributes = {key: cell if key == "name" else number_or_text(cell) for key, cell in given.items()}
        if v:
            edges.append(Edge(u=u, v=v, attributes=attributes))
        elif u in declared:
            raise TopologyError("device", shown(u), "each device declared once", file=file)
        else:
            declared[u] = attributes
        for end in (u, v) if v else ():
            seen.setdefault(end, {})
    others = {node: attributes for node, attributes in seen.items() if node not in declared}
    nodes = declared | others if declared else _plain_order(seen)
    return Records(directed=None, default=True, nodes=nodes, edges=edges, without_row=frozenset(others if declared else ()))


def _adjacency(rows: list[tuple[int, list[str]]], file: str) -> Records:
    first, body = rows[0][1], rows[1:]
    if body and all(len(cells) == len(first) + 1 for _, cells in body):
        first = ["", *first]  # the header of a table with row names may leave its corner out
    height, width = len(rows), len(first)
    has_header = height == width + 1 or (height == width and not isinstance(number_or_text(first[0]), float))
    has_names = width == height + 1 or (height == width and has_header)
    size = height - has_header
    matrix = body if has_header else [(rows[0][0], first), *body]
    if size < 1 or size != width - has_names:
        allowed = "a square adjacency matrix, or an edge table with the header from,to"
        raise TopologyError("", f"{height} rows of {width} cells", allowed, file=file)
    header = first[has_names:] if has_header else None
    column = [cells[0] if cells else "" for _, cells in matrix] if has_names else None
    if header is not None and column is not None and header != column:
        at = next(i for i, (a, b) in enumerate(zip(header, column, strict=True)) if a != b)
        raise TopologyError(
            f"row {shown(column[at])}", f"column {shown(header[at])}", "rows and columns in one order", file=file
        )
    names = header or column or [str(i) for i in range(size)]
    if len(set(names)) != size or "" in names:
        wrong = next(name for name in names if not name or names.count(name) > 1)
        raise TopologyError("name", wrong or '""', "one name a device, each once", file=file)
    linked: dict[tuple[str, str], None] = {}
    for u, (number, cells) in zip(names, matrix, strict=True):
        if len(cells) != width:
            raise TopologyError(f"line {number}", f"{len(cells)} cells", f"{width}, as in the first row", file=file)
        for v, cell in zip(names, cells[has_names:], strict=True):
            entry = _ENTRIES[cell] if cell in _ENTRIES else number_or_text(cell)
            if entry == 1.0:
                linked[u, v] = None
            elif entry != 0.0:
                allowed = "0 for no link, 1 for a link; delays and weights stand in an edge table"
                raise TopologyError(f"entry {shown(u)} -> {shown(v)}", cell or '""', allowed, file=file)
    symmetric = all((v, u) in linked for u, v in linked)
    records = Records(directed=None if symmetric else True, default=True, nodes={name: {} for name in names})
    records.edges.extend(Edge(u=u, v=v, attributes=_NOTHING, both=False) for u, v in linked)  # as they stand
    return records
