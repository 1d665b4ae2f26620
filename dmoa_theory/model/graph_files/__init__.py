"""Networks in files: GraphML, GML, JSON node-link, edge lists, edge tables and adjacency matrices."""

from __future__ import annotations

from dmoa_theory.model.graph_files.graph_file import GraphFile
from dmoa_theory.model.graph_files.reading import READERS, read_graph
from dmoa_theory.model.graph_files.writing import WRITERS, write_graph

__all__ = ["READERS", "WRITERS", "GraphFile", "read_graph", "write_graph"]
