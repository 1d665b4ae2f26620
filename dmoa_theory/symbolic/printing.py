"""Derivations in print: plain text, a LaTeX document, HTML for notebooks."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Callable, Iterator
from typing import NamedTuple

import sympy  # type: ignore[import-untyped]
from sympy.printing.latex import LatexPrinter  # type: ignore[import-untyped]
from sympy.printing.str import StrPrinter  # type: ignore[import-untyped]

from dmoa_theory.symbolic.steps import Quantity, Step
from dmoa_theory.symbolic.symbols import LATEX_NAMES, lam, scv

__all__ = ["Page", "as_document", "as_html", "as_text", "equation_latex", "plain"]

_WIDTH = 100
_DIGITS = 5
_SPECIAL = {
    "\\": r"\textbackslash{}",
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
}
_RELATIONS = {sympy.Eq: "=", sympy.Lt: "<", sympy.StrictLessThan: "<", sympy.LessThan: "<=", sympy.StrictGreaterThan: ">"}

_PREAMBLE = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\usepackage{graphicx}
\usepackage[margin=2cm]{geometry}
\newsavebox{\widebox}
\newcommand{\fitted}[1]{\savebox{\widebox}{$\displaystyle #1$}\[\ifdim\wd\widebox>\linewidth
  \resizebox{\linewidth}{!}{\usebox{\widebox}}\else\usebox{\widebox}\fi\]}
"""


class Page(NamedTuple):
    """What of a derivation goes into print; ``status`` says whether it is exact, ``results`` are those that no step states."""

    title: str
    status: str
    assumptions: tuple[str, ...]
    steps: tuple[Step, ...]
    results: tuple[Quantity, ...]


def plain(expression: sympy.Basic) -> str:
    """One line that sympy can read back; an equation as ``left = right``."""
    return _line(expression, sympy.sstr)


def _line(expression: sympy.Basic, printed: Callable[[sympy.Basic], str]) -> str:
    relation = _RELATIONS.get(type(expression))
    if relation is None:
        return str(printed(expression))
    return f"{printed(expression.lhs)} {relation} {printed(expression.rhs)}"


class _Greek(StrPrinter):  # type: ignore[misc]
    """One line with the letters of the two-dimensional text."""

    def _print_Symbol(self, expression: sympy.Symbol) -> str:  # noqa: N802 - sympy's name
        return str(sympy.pretty(expression, use_unicode=True))


class _Latex(LatexPrinter):  # type: ignore[misc]
    """Harmonic numbers as H with an index."""

    def _print_harmonic(self, expression: sympy.Basic, exp: str | None = None) -> str:
        power = "" if exp is None else rf"^{{{exp}}}"
        return rf"H_{{{self._print(expression.args[0])}}}{power}"


def _shown(expression: sympy.Basic) -> sympy.Basic:
    """Floats to five digits, for people."""
    floats = expression.atoms(sympy.Float)
    return expression.xreplace({x: sympy.Float(x, _DIGITS) for x in floats}) if floats else expression


def equation_latex(expression: sympy.Basic) -> str:
    """LaTeX of an expression or equation, without delimiters."""
    return str(_Latex({"symbol_names": LATEX_NAMES}).doprint(_shown(expression)))


def _pretty(expression: sympy.Basic) -> str:
    """Two-dimensional text where it fits the line, else one line wrapped."""
    named = {lam: sympy.Symbol("lambda"), scv: sympy.Symbol("SCV"), sympy.IndexedBase("lambda"): sympy.IndexedBase("λ")}
    greek = _shown(expression).xreplace(named).replace(sympy.harmonic, sympy.Function("H"))
    drawn = sympy.pretty(greek, use_unicode=True, wrap_line=False)
    lines = str(drawn).splitlines()
    if max(map(len, lines)) > _WIDTH - 4:
        line = _line(greek, _Greek().doprint).replace("**", "^").replace("*", "⋅")
        lines = textwrap.wrap(line, _WIDTH - 4, subsequent_indent="  ", break_long_words=False)
    return "\n".join("    " + line.rstrip() for line in lines)


def as_text(page: Page) -> str:
    """The derivation as plain text: numbered steps, the equation under its reason, results at the end."""
    return "\n".join(_text_lines(page)) + "\n"


def _text_lines(page: Page) -> Iterator[str]:
    yield page.title
    yield f"({page.status})"
    yield ""
    yield "Assumptions"
    for assumption in page.assumptions:
        yield textwrap.fill(assumption, _WIDTH, initial_indent="  - ", subsequent_indent="    ")
    for place, step in enumerate(page.steps, 1):
        yield ""
        yield textwrap.fill(f"{place}. {step.reason}", _WIDTH, subsequent_indent=" " * len(f"{place}. "))
        yield _pretty(step.equation)
    if page.results:
        yield ""
        yield "Results"
        for quantity in page.results:
            yield textwrap.fill(f"  {quantity.meaning}:", _WIDTH, subsequent_indent="    ")
            yield _pretty(quantity.value)


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def as_document(page: Page) -> str:
    """The derivation as a LaTeX document; an equation wider than the line is shrunk to fit."""
    return "\n".join(_document_lines(page)) + "\n"


def _document_lines(page: Page) -> Iterator[str]:
    yield _PREAMBLE + r"\begin{document}"
    yield rf"\section*{{{_escaped(page.title)}}}"
    yield rf"\emph{{{page.status.capitalize()}.}}"
    yield r"\subsection*{Assumptions}"
    yield r"\begin{itemize}"
    for assumption in page.assumptions:
        yield rf"\item {_escaped(assumption)}"
    yield r"\end{itemize}"
    yield r"\subsection*{Steps}"
    yield r"\begin{enumerate}"
    for step in page.steps:
        yield rf"\item {_escaped(step.reason)}"
        yield rf"\fitted{{{equation_latex(step.equation)}}}"
    yield r"\end{enumerate}"
    if page.results:
        yield r"\subsection*{Results}"
        yield r"\begin{itemize}"
        for quantity in page.results:
            yield rf"\item {_escaped(quantity.meaning)}"
            yield rf"\fitted{{{equation_latex(quantity.value)}}}"
        yield r"\end{itemize}"
    yield r"\end{document}"


def as_html(page: Page) -> str:
    """The derivation for a notebook, equations as display mathematics."""

    def shown(expression: sympy.Basic) -> str:
        return f"$$ {html.escape(equation_latex(expression))} $$"

    assumptions = "".join(f"<li>{html.escape(text)}</li>" for text in page.assumptions)
    steps = "".join(f"<li>{html.escape(step.reason)}{shown(step.equation)}</li>" for step in page.steps)
    results = "".join(f"<li>{html.escape(q.meaning)}{shown(q.value)}</li>" for q in page.results)
    head = f"<b>{html.escape(page.title)}</b> ({page.status})"
    return f"{head}<p>Assumptions</p><ul>{assumptions}</ul><ol>{steps}</ol>" + (
        f"<p>Results</p><ul>{results}</ul>" * bool(results)
    )
