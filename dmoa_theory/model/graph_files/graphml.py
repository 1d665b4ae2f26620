"""Read GraphML, in one pass and without entities: a DOCTYPE is refused, so no text can expand into gigabytes."""

from __future__ import annotations

from dataclasses import dataclass
from xml.parsers import expat

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.graph_files.records import Edge, Records, number_or_text, shown

__all__ = ["parse_graphml"]

_DIRECTIONS = {"directed": True, "undirected": False}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
_UNREAD = {"hyperedge": "an edge between more than two devices", "port": "a port"}


@dataclass(frozen=True, slots=True)
class _Key:
    """What a ``<key>`` declares: the attribute's name, of nodes or edges, and what holds where it is left out."""

    name: str
    of: str
    default: list[str]


class _Reader:
    """The state between two tags."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.records: Records | None = None
        self.keys: dict[str, _Key] = {}
        self.path: list[str] = []
        self.owner: dict[str, object] | None = None  # attributes of the node or edge that is open
        self.edges: list[tuple[str, str, bool | None, dict[str, object]]] = []
        self.nodes: dict[str, dict[str, object]] = {}
        self.text: list[str] | None = None
        self.key: _Key | None = None

    def refuse(self, field: str, value: object, allowed: str) -> TopologyError:
        return TopologyError(field, value, allowed, file=self.file)

    def required(self, tag: str, given: dict[str, str], key: str) -> str:
        if key not in given:
            raise self.refuse(f"<{tag}> {key}", InputError.MISSING, f"every <{tag}> has one")
        return given[key]

    def doctype(self, name: str, *_: object) -> None:
        raise self.refuse("", f"<!DOCTYPE {name}>", "GraphML without a DOCTYPE")

    def open(self, tag: str, given: dict[str, str]) -> None:
        tag = tag.rsplit(" ", 1)[-1]  # the namespace stands before the blank
        inside = self.path[-1] if self.path else ""
        self.path.append(tag)
        if not inside and tag != "graphml":
            raise self.refuse("", f"<{shown(tag)}>", "a GraphML file, which starts with <graphml>")
        if "data" in self.path[:-1] or "default" in self.path[:-1]:
            self.text = None  # a drawing of another program, not a plain value
        elif tag == "key" and inside == "graphml":
            key = _Key(given.get("attr.name", ""), given.get("for", "all"), [])
            self.keys[self.required(tag, given, "id")] = self.key = key
        elif tag == "default" and inside == "key":
            self.text = []
        elif tag == "graph":
            if self.records is not None:
                raise self.refuse("", "a second <graph>", "one graph a file, without graphs inside nodes")
            says = given.get("edgedefault")
            if says is not None and says not in _DIRECTIONS:
                raise self.refuse("edgedefault", says, "directed or undirected")
            self.records = Records(directed=None if says is None else _DIRECTIONS[says])
        elif tag == "node" and inside == "graph":
            name = self.required(tag, given, "id")
            if name in self.nodes:
                raise self.refuse("node", shown(name), "each node once")
            self.nodes[name] = self.owner = {}
        elif tag == "edge" and inside == "graph":
            says = given.get("directed")
            if says is not None and says not in _TRUTH:
                raise self.refuse("<edge> directed", says, "true or false")
            both = None if says is None else not _TRUTH[says]
            self.owner = {}
            self.edges.append((self.required(tag, given, "source"), self.required(tag, given, "target"), both, self.owner))
        elif tag == "data" and inside in ("node", "edge"):
            name = self.required(tag, given, "key")
            if name not in self.keys:
                raise self.refuse("<data> key", name, "a key that the file declares")
            self.key, self.text = self.keys[name], []
        elif tag in _UNREAD:
            raise self.refuse("", _UNREAD[tag], "plain nodes and edges")

    def close(self, tag: str) -> None:
        self.path.pop()
        tag = tag.rsplit(" ", 1)[-1]
        inside = self.path[-1] if self.path else ""
        if tag == "default" and inside == "key" and self.key is not None and self.text is not None:
            self.key.default.append("".join(self.text))
            self.text = None
        elif tag == "data" and inside in ("node", "edge"):
            if self.text is not None and self.key is not None and self.key.name and self.owner is not None:
                if self.key.name in self.owner:
                    raise self.refuse(shown(self.key.name), "given twice", f"once a {inside}")
                self.owner[self.key.name] = _value(self.key.name, "".join(self.text))
            self.text = None

    def characters(self, text: str) -> None:
        if self.text is not None:
            self.text.append(text)

    def finish(self) -> Records:
        if self.records is None:
            raise self.refuse("", "no <graph>", "GraphML with one <graph> of nodes and edges")
        for key in self.keys.values():
            if key.default and key.name:
                of = [*self.nodes.values()] if key.of in ("node", "all") else []
                of += [edge[-1] for edge in self.edges] if key.of in ("edge", "all") else []
                for attributes in of:
                    attributes.setdefault(key.name, _value(key.name, key.default[0]))
        self.records.nodes.update(self.nodes)
        self.records.edges.extend(Edge(u=u, v=v, attributes=a, both=both) for u, v, both, a in self.edges)
        return self.records


def _value(name: str, text: str) -> float | str:
    return text if name == "name" else number_or_text(text)


def parse_graphml(text: str, file: str) -> Records:
    """Read a GraphML document.

    Parameters
    ----------
    text : str
        The document.
    file : str
        Its name, for messages.

    Raises
    ------
    TopologyError
        When it is not well-formed, has a DOCTYPE, or holds hyperedges, ports or more than one graph.

    Examples
    --------
    >>> from dmoa_theory.model.graph_files.graphml import parse_graphml
    >>> xml = '<graphml><graph edgedefault="directed"><node id="a"/><node id="b"/></graph></graphml>'
    >>> list(parse_graphml(xml, "two.graphml").nodes)
    ['a', 'b']
    """
    reader = _Reader(file)
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.open
    parser.EndElementHandler = reader.close
    parser.CharacterDataHandler = reader.characters
    try:
        parser.Parse(text.encode("utf-8"), True)
    except expat.ExpatError as error:
        raise TopologyError(f"line {error.lineno}", expat.errors.messages[error.code], "well-formed XML", file=file) from None
    return reader.finish()
