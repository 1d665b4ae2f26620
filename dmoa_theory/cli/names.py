"""Devices that are named in one option, with commas between them: names may hold commas themselves."""

from __future__ import annotations

import re

from dmoa_theory.errors import InputError
from dmoa_theory.model.network import Network

__all__ = ["split_links", "split_names"]


def split_names(text: str, network: Network, *, field: str, ends: str = "") -> list[str]:
    """The parts of a list with commas; a comma inside the name of a device does not part.

    Parameters
    ----------
    text : str
    network : Network
    field : str
        What to call the option in a complaint.
    ends : str
        Regular expression of what may stand behind a name.

    Raises
    ------
    InputError
        When the text can be read in several ways.

    Examples
    --------
    >>> from dmoa_theory import Network
    >>> from dmoa_theory.cli.names import split_names
    >>> split_names("hall, desk, left,0", Network.from_links(2, [0], [1], names=("desk, left", "hall")), field="--lose")
    ['hall', 'desk, left', '0']
    """
    pieces = [piece for piece in text.split(",") if piece.strip()]
    with_comma = [re.sub(r"\s*,\s*", ",", name) for name in network.names if "," in name]
    if not with_comma:
        return [piece.strip() for piece in pieces]
    places = network.positions()
    known = {re.sub(r"\s*,\s*", ",", name): name for name in places}
    found, start = [], 0
    while start < len(pieces):
        readings = []
        for stop in range(start + 1, len(pieces) + 1):
            joined = ",".join(piece.strip() for piece in pieces[start:stop])
            behind = re.search(f"(?:{ends})$", joined) if ends else None
            name = joined if joined in known or behind is None else joined[: behind.start()]
            if name in known:
                readings.append((stop, known[name] + joined[len(name) :]))
        if len(readings) > 1:
            ways = " or ".join(f'"{reading}"' for _, reading in readings)
            raise InputError(field, text, f"one reading: it may begin a list with {ways}; give device numbers")
        stop, name = readings[0] if readings else (start + 1, pieces[start].strip())
        found.append(name)
        start = stop
    return found


def split_links(text: str, network: Network) -> list[str]:
    """The links of ``--lose-link``; a comma inside the name of an end does not part.

    Each is the shortest run of parts that names a link.

    Examples
    --------
    >>> from dmoa_theory import Network
    >>> from dmoa_theory.cli.names import split_links
    >>> split_links("hall->lab, left", Network.from_links(2, [0], [1], names=("hall", "lab, left")))
    ['hall->lab, left']
    """
    from dmoa_theory.whatif.loss import find_links

    pieces = [piece.strip() for piece in text.split(",") if piece.strip()]
    spelt = {re.sub(r"\s*,\s*", ", ", name): name for name in network.names if "," in name}
    if not spelt:
        return pieces
    found, start = [], 0
    while start < len(pieces):
        stop, link = start + 1, pieces[start]
        for end in range(start + 1, len(pieces) + 1):
            joined = ", ".join(pieces[start:end])
            for name, own in spelt.items():
                joined = joined.replace(name, own)
            try:
                find_links(network, joined, field="--lose-link")
            except InputError:
                continue
            stop, link = end, joined
            break
        found.append(link)
        start = stop
    return found
