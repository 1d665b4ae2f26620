"""A derivation: assumptions, steps that are each an equation with a sentence of reason, and what comes out.

It prints as text and as a LaTeX document, shows itself in a notebook, and turns its results into functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import sympy  # type: ignore[import-untyped]

from dmoa_theory.errors import InputError
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.symbolic.printing import Page, as_document, as_html, as_text, equation_latex, plain
from dmoa_theory.symbolic.steps import Quantity, Step

__all__ = ["Derivation", "Quantity", "Step"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Derivation(Result):
    """From assumptions to a result, step by step.

    Attributes
    ----------
    title : str
    what : str
        ``"stability"``, ``"delay"`` or ``"capacity"``.
    origin : Source
        Exact or approximation.
    assumptions : tuple of str
    steps : tuple of Step
    condition : tuple of Quantity
        The load of every device: queues stay bounded only where it is below one.
    results : tuple of Quantity
        What else was derived.
    """

    verb: ClassVar[str] = "derive"

    title: str
    what: str
    origin: Source
    assumptions: tuple[str, ...]
    steps: tuple[Step, ...]
    condition: tuple[Quantity, ...]
    results: tuple[Quantity, ...] = ()

    @property
    def source(self) -> Source:
        """Exact, or an approximation."""
        return self.origin

    def find(self, name: str, device: int | str | None = None) -> sympy.Basic:
        """The expression of a quantity, such as ``find("load", 3)``; the device may be left out where only one has it.

        Raises
        ------
        InputError
            When there is no such quantity, or several devices have it and none is named.
        """
        having = [q for q in (*self.condition, *self.results) if q.name == name]
        if not having:
            known = dict.fromkeys(q.name for q in (*self.condition, *self.results))
            raise InputError("name", name, "one of " + ", ".join(known))
        chosen = having if device is None else [q for q in having if q.device == device]
        if len(chosen) != 1:
            known = dict.fromkeys(str(q.device) for q in having)
            raise InputError("device", InputError.MISSING if device is None else device, "one of " + ", ".join(known))
        return chosen[0].value

    def function(self, name: str, device: int | str | None = None) -> Callable[..., Any]:
        """A quantity as a function of numbers or arrays, which takes its symbols by name: ``function("load", 0)(M=2, ...)``.

        Numbers for symbols that the quantity does not hold are let pass, so that one set of values serves every device.
        """
        value = self.find(name, device)
        if value.has(sympy.harmonic):
            value = value.rewrite(sympy.digamma)
        arguments = sorted(value.free_symbols, key=str)
        compiled = sympy.lambdify(arguments, value, modules=["scipy", "numpy"])

        def evaluate(**values: Any) -> Any:
            absent = [str(symbol) for symbol in arguments if str(symbol) not in values]
            if absent:
                raise InputError(absent[0], InputError.MISSING, "a number, or an array of numbers")
            return compiled(*(values[str(symbol)] for symbol in arguments))

        return evaluate

    def text(self) -> str:
        """The whole derivation as plain text."""
        return as_text(self._page())

    def latex(self) -> str:
        """The whole derivation as a LaTeX document."""
        return as_document(self._page())

    def _page(self) -> Page:
        """What goes into print: results that a step has stated are not said again."""
        stated = {step.equation.rhs for step in self.steps if isinstance(step.equation, sympy.core.relational.Relational)}
        unsaid = tuple(q for q in self.results if q.value not in stated)
        return Page(self.title, self.source.value, self.assumptions, self.steps, unsaid)

    def payload(self) -> dict[str, Any]:
        """Assumptions, steps, condition, results and the LaTeX document; expressions can be read back by sympy."""
        return {
            "what": self.what,
            "title": self.title,
            "assumptions": list(self.assumptions),
            "steps": [
                {"reason": s.reason, "equation": plain(s.equation), "latex": equation_latex(s.equation)} for s in self.steps
            ],
            "condition": [{"device": q.device, "name": q.meaning, "lhs": plain(q.value)} for q in self.condition],
            "results": [
                {"device": q.device, "name": q.name, "meaning": q.meaning, "value": plain(q.value)} for q in self.results
            ],
            "latex": self.latex(),
        }

    def table(self) -> Table:
        """Every result in a line."""
        rows = [(q.meaning, f"{plain(q.value)} < 1") for q in self.condition]
        rows += [(q.meaning, plain(q.value)) for q in self.results]
        return Table(self.title, ("quantity", "expression"), tuple(rows))

    def records(self) -> list[dict[str, Any]]:
        """One row a quantity."""
        return [
            {"device": q.device, "name": q.name, "meaning": q.meaning, "expression": plain(q.value)}
            for q in (*self.condition, *self.results)
        ]

    def _repr_html_(self) -> str:
        return as_html(self._page())

    def _repr_latex_(self) -> str:
        rows = r" \\ ".join(equation_latex(step.equation) for step in self.steps)
        return rf"$\displaystyle \begin{{array}}{{l}} {rows} \end{{array}}$"
