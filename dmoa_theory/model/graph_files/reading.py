"""Read a network from a file; the extension says the format.

An edge u -> v means that u may ask v; an undirected file means both ways. Devices stand in the order of the file's nodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.graph_files.gml_and_json import parse_gml, parse_json
from dmoa_theory.model.graph_files.graph_file import GraphFile
from dmoa_theory.model.graph_files.graphml import parse_graphml
from dmoa_theory.model.graph_files.records import Records, device_names, link_arrays, node_column, passed_over
from dmoa_theory.model.graph_files.tables import parse_csv, parse_edge_list
from dmoa_theory.model.network import Network
from dmoa_theory.text_files import read_text, refuse_workbook

__all__ = ["READERS", "read_graph"]

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
        the edge attributes ``link_delay`` (s each way; 0 where left out) and ``weight`` (selection weight). Rates and times are
        numbers, or text with a unit such as ``10/hour`` and ``20 ms``. An undirected edge gives both its ways the same delay
        and weight. Other attributes are passed over, and named in ``passed_over``.

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
    >>> from dmoa_theory import read_graph
    >>> from dmoa_theory.model.graph_files.reading import Path
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
    others = ", ".join(extension for extension in READERS if extension != ".csv")
    refuse_workbook(path, f"; networks are read from {others} too", error=TopologyError)
    if path.suffix.lower() not in READERS:
        raise TopologyError("", path.suffix or "no extension", f"a file ending in {', '.join(READERS)}", file=file)
    text = read_text(path, content="a graph of at least one device", error=TopologyError)
    records = READERS[path.suffix.lower()](text, file)
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
        passed_over=passed_over(records),
    )
