"""Networks in files: GraphML, GML, JSON node-link, edge lists, edge tables and adjacency matrices.

An edge u -> v means that u may ask v; an undirected file means both ways. Devices stand in the order of the file's nodes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import cast

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.checks import FloatArray, FloatLike, non_negative, positive
from dmoa_theory.model.graph_notations import parse_gml, parse_json
from dmoa_theory.model.graph_records import Records, device_names, link_arrays, node_column
from dmoa_theory.model.graph_tables import parse_csv, parse_edge_list
from dmoa_theory.model.graph_writers import WRITERS
from dmoa_theory.model.graph_xml import parse_graphml
from dmoa_theory.model.network import Network

__all__ = ["READERS", "GraphFile", "read_graph", "write_graph"]

READERS: Mapping[str, Callable[[str, str], Records]] = MappingProxyType(
    {
        ".graphml": parse_graphml,
        ".gml": parse_gml,
        ".json": parse_json,
        ".edges": parse_edge_list,
        ".edgelist": parse_edge_list,
        ".txt": parse_edge_list,
        ".csv": parse_csv,
    }
)
"""From the extension to the function that reads the file's text."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GraphFile:
    """A network and what its file says of devices and links; None where the file says nothing.

    Parameters
    ----------
    network : Network
        Devices, links and link delays.
    rate : ndarray, shape (n,), prompts/s, or None
        Arrival rate of each device's user.
    service_mean : ndarray, shape (n,), seconds, or None
        Mean first-layer inference time of each device.
    service_scv : ndarray, shape (n,), or None
        Squared coefficient of variation of it.
    selection_weight : ndarray, shape (n_links,), or None
        How strongly a device prefers each neighbour, in the link order of ``network``; 0 means never asked.

    Raises
    ------
    TopologyError
        When an array has the wrong length or a value out of range.

    Examples
    --------
    >>> network = Network.from_links(2, [0, 1], [1, 0])
    >>> GraphFile(network=network, rate=0.01).rate.tolist()
    [0.01, 0.01]
    """

    network: Network
    rate: FloatArray | None = None
    service_mean: FloatArray | None = None
    service_scv: FloatArray | None = None
    selection_weight: FloatArray | None = None

    def __post_init__(self) -> None:
        """Check every value, and freeze the arrays."""
        n, n_links = self.network.n_devices, self.network.n_links
        rules = {
            "rate": (non_negative, n, "device"),
            "service_mean": (positive, n, "device"),
            "service_scv": (non_negative, n, "device"),
            "selection_weight": (non_negative, n_links, "link"),
        }
        for name, (check, size, one) in rules.items():
            value = getattr(self, name)
            if value is None:
                continue
            try:
                object.__setattr__(self, name, check(name, value, size))
            except InputError as error:
                allowed = error.allowed.replace("one a device", f"one a {one}")
                raise TopologyError(error.field, error.value, allowed) from None


def _text(path: Path) -> str:
    """Read a file as UTF-8, with or without a byte-order mark."""
    file = str(path)
    if os.path.lexists(path) and not os.path.isfile(path):  # a pipe would be waited for without end
        raise TopologyError("", "a folder" if os.path.isdir(path) else "not a regular file", "a file", file=file)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        near = get_close_matches(path.name, _beside(path), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise TopologyError("", "no such file", f"the path of an existing file{hint}", file=file) from None
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise TopologyError("", reason, "a file that can be read", file=file) from None
    if not data.strip():
        raise TopologyError("", "an empty file", "a graph of at least one device", file=file)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TopologyError(f"line {line}", f"byte 0x{data[error.start]:02x}", "text in UTF-8", file=file) from None


def _beside(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return []


def read_graph(path: str | os.PathLike[str], *, directed: bool | None = None) -> GraphFile:
    r"""Read a network from a file; the extension says the format.

    Parameters
    ----------
    path : str or path
        ``.graphml``; ``.gml``; ``.json`` (networkx node-link, ``edges`` or ``links``); ``.edges``, ``.edgelist``, ``.txt``
        (lines ``from to [link_delay [weight]]``, blanks or commas, ``#`` comments); ``.csv`` (an edge table where the header
        has ``from`` and ``to``, else a square adjacency matrix of 0 and 1, with or without names around it).
    directed : bool, optional
        Whether an edge means one way only, where the format does not say: edge lists and edge tables (directed unless said
        otherwise), and JSON or GraphML files that keep silent. Elsewhere it must agree with the file.

    Returns
    -------
    GraphFile
        From the node attributes ``name`` (GML also ``label``), ``rate`` (prompts/s), ``service_mean`` (s), ``service_scv``, and
        the edge attributes ``link_delay`` (s each way; 0 where left out) and ``weight`` (selection weight). An undirected edge
        gives both its ways the same delay and weight. Other attributes are ignored.

    Raises
    ------
    TopologyError
        In one line: file, field, value and what is allowed.

    Notes
    -----
    Devices stand in the order of the file's nodes; in edge lists and tables in order of first appearance, or in numeric order
    where the nodes are exactly 0, 1, ..., n - 1. Such numbers are not taken for names.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "office.edges")
    ...     _ = path.write_text("hub left 0.2\nhub right 0.3\nleft hub\n")
    ...     graph = read_graph(path)
    >>> graph.network.names, graph.network.link_delay.tolist()
    (('hub', 'left', 'right'), [0.2, 0.3, 0.0])
    """
    path = Path(path)
    file = str(path)
    if path.suffix.lower() not in READERS:
        raise TopologyError("", path.suffix or "no extension", f"a file ending in {', '.join(READERS)}", file=file)
    records = READERS[path.suffix.lower()](_text(path), file)
    if not records.nodes:
        raise TopologyError("", "no devices", "a graph of at least one device", file=file)
    if directed is None:
        directed = records.directed if records.directed is not None else records.default
        if directed is None:
            raise TopologyError("edgedefault", InputError.MISSING, "directed or undirected", file=file)
    elif records.directed is not None and records.directed != directed:
        allowed = f"{records.directed}, as the file says; or leave it out"
        raise TopologyError("directed", directed, allowed, file=file)
    names = device_names(records, file)
    source, target, link_delay, weight = link_arrays(records, directed, names, file)
    return GraphFile(
        network=Network.from_links(
            len(records.nodes), source, target, link_delay=link_delay, names=names, description=f"the graph of {path.name}"
        ),
        rate=node_column(records, names, "rate", file),
        service_mean=node_column(records, names, "service_mean", file),
        service_scv=node_column(records, names, "service_scv", file),
        selection_weight=weight,
    )


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
    given = {"rate": rate, "service_mean": service_mean, "service_scv": service_scv, "selection_weight": selection_weight}
    columns = {name: cast("FloatArray | None", value) for name, value in given.items()}  # GraphFile spreads single numbers
    graph = GraphFile(network=network, **columns)
    text = WRITERS[path.suffix.lower()](graph)
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        os.replace(draft, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TopologyError("", reason, "a path that can be written", file=file) from None
    finally:
        with suppress(OSError, ValueError):
            draft.unlink(missing_ok=True)
    return path
