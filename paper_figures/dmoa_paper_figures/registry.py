"""Every item that can be reproduced, by name: figures, formulas and tables of the paper, and what lies beyond them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from types import MappingProxyType

from dmoa_paper_figures.outcome import Outcome
from dmoa_paper_figures.settings import Settings
from dmoa_theory.errors import InputError

__all__ = ["ITEMS", "Item", "select"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something to reproduce.

    Attributes
    ----------
    name : str
        As the command line takes it.
    title : str
    of_paper : bool
        Whether it stands in the paper; else it follows from it, or goes beyond.
    """

    name: str
    title: str
    of_paper: bool

    def reproduce(self, settings: Settings) -> Outcome:
        """Do the work; the item's module is loaded first.

        Parameters
        ----------
        settings : Settings
        """
        module = import_module(f"dmoa_paper_figures.items.{self.name.replace('-', '_')}")
        outcome = module.reproduce(settings)
        assert isinstance(outcome, Outcome)
        return outcome


_PAPER = {
    "figure-1": "Fig. 1: one central server, and collaborating edge devices",
    "figure-2": "Fig. 2: the system model",
    "figure-3": "Fig. 3: a Mixture-of-Agents of two layers",
    "figure-4": "Fig. 4: one device and its queue",
    "theorem-1": "Theorem 1, Remark 1 and equations 2 to 6",
    "table-1": "Table I: one model on every device",
    "table-2": "Table II: four different models",
    "trade-off": "Accuracy against latency and against queue size",
}
_BEYOND = {
    "queue-metric": "The published average queue size is not the usual one",
    "model-loading": "Do the times of Table II contain the loading of models?",
    "service-variability": "The variability behind Table I, and real answers",
    "transient": "The tables are transients of an overloaded system",
    "boundary": "The stability boundary over (M, k) and over topologies",
    "capacity-gain": "More load by better gossip",
    "prompt-growth": "Longer prompts move the boundary of Theorem 1",
    "central-server": "A central server against distributed devices",
    "latency-theory": "Latency in theory and in simulation",
    "live-testbed": "Calibrated predictions against the live network",
    "choice-map": "Which (M, k), by load and latency budget",
}

ITEMS: Mapping[str, Item] = MappingProxyType(
    {
        name: Item(name=name, title=title, of_paper=of_paper)
        for of_paper, group in ((True, _PAPER), (False, _BEYOND))
        for name, title in group.items()
    }
)
"""By name, in the order of the report."""


def select(names: Sequence[str]) -> tuple[Item, ...]:
    """The items of these names, in the order of the report; of no names all.

    Parameters
    ----------
    names : sequence of str

    Raises
    ------
    InputError
        For a name that is not known.

    Examples
    --------
    >>> [item.name for item in select(["table-2", "theorem-1"])]
    ['theorem-1', 'table-2']
    """
    for name in names:
        if name not in ITEMS:
            near = get_close_matches(name, ITEMS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise InputError("ITEM", name, f"{hint}one of {', '.join(ITEMS)}")
    return tuple(item for item in ITEMS.values() if not names or item.name in names)
