"""The modelling language of the programs, loaded where it is used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["modelling"]


def modelling() -> Any:
    """cvxpy; importing it takes most of a second, and its names carry no types."""
    return import_module("cvxpy")
