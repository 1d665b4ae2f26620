"""What a derivation is made of: steps with their reasons, and the quantities that come out."""

from __future__ import annotations

from dataclasses import dataclass

import sympy  # type: ignore[import-untyped]

__all__ = ["Quantity", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: an equation or inequality, and why it holds."""

    reason: str
    equation: sympy.Basic


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Something derived: ``name`` for programs, ``meaning`` for people; ``device`` is None for the whole system."""

    name: str
    meaning: str
    value: sympy.Basic
    device: int | str | None = None
