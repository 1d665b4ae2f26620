"""One door to the derivations: what is asked, of which system or graph family, of which devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from dmoa_theory.errors import InputError
from dmoa_theory.model.system import System
from dmoa_theory.symbolic.capacity import derive_capacity
from dmoa_theory.symbolic.derivation import Derivation
from dmoa_theory.symbolic.families import FAMILIES, family_pattern
from dmoa_theory.symbolic.graphs import system_pattern
from dmoa_theory.symbolic.pattern import Pattern
from dmoa_theory.symbolic.stability import derive_stability
from dmoa_theory.symbolic.theorem_one import derive_theorem_one
from dmoa_theory.symbolic.waiting import derive_delay

__all__ = ["What", "derive"]

What: TypeAlias = Literal["stability", "delay", "capacity"]

#: Links beyond which expressions are longer than anybody waits for: of the whole network, and of all devices at once.
MOST_LINKS, MOST_LINKS_AT_ONCE = 200_000, 20_000
_RULES = {"stability": derive_stability, "delay": derive_delay, "capacity": derive_capacity}


def derive(of: System | str, what: What = "stability", devices: Sequence[str | int] = ()) -> Derivation:
    """Derive in symbols when queues stay bounded or how large rates may be (exact), or how long jobs wait (approximation).

    Parameters
    ----------
    of : System or str
        A system, whose rates and first-layer times become symbols, or the name of a graph family such as ``"star"``;
        ``"theorem-1"`` for the paper's own statement.
    what : str
        ``"stability"``: when every queue stays bounded. ``"delay"``: how long jobs wait. ``"capacity"``: how large each rate,
        M and k may be.
    devices : sequence of str or int
        Only these, by name or position (in a family: its roles by name); default all.

    Returns
    -------
    Derivation
        Assumptions, steps and results, with ``text()`` and ``latex()``; in a notebook it shows itself.

    Raises
    ------
    InputError
        For a family, a device or a question that is not known, and for a network too large to be written in symbols.

    Examples
    --------
    >>> from dmoa_theory import derive
    >>> derivation = derive("star", devices=["centre"])
    >>> derivation.text().splitlines()[0]
    'When the queues stay bounded: the family star'
    """
    if what not in _RULES:
        raise InputError("what", what, "one of " + ", ".join(_RULES))
    if of == "theorem-1":
        if what != "stability" or devices:
            raise InputError("family", of, "stability, and of no device alone: the family complete has the others")
        return derive_theorem_one()
    pattern, places = _of_family(of, devices) if isinstance(of, str) else _of_system(of, devices)
    return _RULES[what](pattern, places)


def _of_family(family: str, devices: Sequence[str | int]) -> tuple[Pattern, list[int]]:
    if family not in FAMILIES:
        raise InputError("family", family, "one of theorem-1, " + ", ".join(FAMILIES))
    pattern = family_pattern(family)
    names = [str(role.device) for role in pattern.roles]
    wrong = [name for name in devices if str(name) not in names]
    if wrong:
        raise InputError("device", wrong[0], "one of " + ", ".join(names))
    return pattern, [names.index(str(name)) for name in devices]


def _of_system(system: System, devices: Sequence[str | int]) -> tuple[Pattern, list[int]]:
    links = system.network.n_links
    places = [system.network.position(name, field="device") for name in devices]
    if links > MOST_LINKS:
        raise InputError("network", f"{links} links", f"at most {MOST_LINKS} to be written in symbols")
    if links > MOST_LINKS_AT_ONCE and not devices:
        raise InputError("device", InputError.MISSING, f"needed for a network of {links} links: name the devices to derive")
    return system_pattern(system), places
