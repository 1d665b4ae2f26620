"""A reproduction as a report, in Markdown and as one HTML page: published, ours, difference, how, what is out of reach."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from dmoa_paper_figures.outcome import Check, Formula, Outcome, Picture
from dmoa_paper_figures.reproduction import Reproduction, made_with, rows_table, show
from dmoa_theory.plots.style import save
from dmoa_theory.results import Table
from dmoa_theory.whole_files import write_whole

__all__ = ["as_html", "as_markdown", "draw_pictures", "write_report"]

_PAPER = (
    'P. Mitra, P. Kaswan, S. Ulukus, "Distributed Mixture-of-Agents for Edge Inference with Large Language Models", '
    "arXiv:2412.21200"
)
_LEGEND = (
    "Reproduced: mean of simulated runs of the published experiment, with service times estimated from the table (one number "
    "for Table I, five for Table II). Run ±: standard deviation of one run; every published figure is one. Below: share of "
    "simulated runs below the published figure. Left out: the same figure, service times estimated from the other six rows.",
)
_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1.2rem; }
table { border-collapse: collapse; font-size: 0.86rem; margin: 1rem 0; display: block; overflow-x: auto; }
caption, .caption { text-align: left; font-weight: 600; padding: 0.3rem 0; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #e3e3e3; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
pre { background: #f6f6f6; padding: 0.6rem 1rem; overflow-x: auto; line-height: 1.25; }
img { max-width: 100%; } figcaption { color: #555; font-size: 0.9rem; } figure { margin: 1rem 0; }
dt { font-weight: 600; margin-top: 0.6rem; } nav li { margin: 0.1rem 0; }
"""


@dataclass(frozen=True, slots=True)
class _Heading:
    text: str
    anchor: str


@dataclass(frozen=True, slots=True)
class _Section:
    head: str
    sentences: tuple[str, ...]


_Block: TypeAlias = _Heading | _Section | Formula | Table | Picture


def _blocks(result: Reproduction) -> Iterator[_Block]:
    """What the report says, in order; both formats print these."""
    for item, outcome in zip(result.items, result.outcomes, strict=True):
        yield _Heading(item.title, item.name)
        yield _Section("Published" if item.of_paper else "What the paper says", (outcome.published,))
        yield from outcome.pictures
        yield _Section("Found", outcome.findings)
        yield from outcome.formulas
        yield from outcome.tables
        if outcome.checks:
            yield _checks_table(outcome.checks)
        yield _Section("How", outcome.how)
        if outcome.not_reproduced:
            yield _Section("Not reproduced, and why", outcome.not_reproduced)


def _checks_table(checks: Sequence[Check]) -> Table:
    return Table(
        "Checks",
        ("", "expected", "reproduced", "95 % interval", "difference", "expected from"),
        tuple(
            (
                check.quantity,
                show(check.expected, check.unit),
                show(check.reproduced, check.unit),
                "" if check.ci95 is None else f"± {show(check.ci95, check.unit)}",
                "" if check.difference is None else f"{100 * check.difference:+.1f} %",
                check.against,
            )
            for check in checks
        ),
    )


def _summary(result: Reproduction) -> list[str]:
    made = ", ".join(f"{name} {version}" for name, version in made_with().items())
    settings = result.settings
    kind = "Quick run" if settings.quick else "Full run"
    return [
        f"The figures, tables and formulas of {_PAPER}, ours beside theirs; and what follows from them.",
        f"{kind}, seed {settings.seed}; made with {made}. The same seed and versions give the same report.",
    ]


def _command(result: Reproduction) -> str:
    names = [item.name for item in result.items]
    everything = len(names) == len(_all_names())
    options = " --quick" * result.settings.quick + f" --seed {result.settings.seed}"
    return "dmoa reproduce" + ("" if everything else " " + " ".join(names)) + options + " --out DIR"


def _all_names() -> list[str]:
    from dmoa_paper_figures.registry import ITEMS

    return list(ITEMS)


# -- Markdown -----------------------------------------------------------------------------------------------------------


def as_markdown(result: Reproduction) -> str:
    """The report as Markdown, formulas in LaTeX; pictures are expected in ``figures`` beside it.

    Parameters
    ----------
    result : Reproduction
    """
    lines = ["# The paper, reproduced", "", *(f"{line}\n" for line in _summary(result)), f"    {_command(result)}", ""]
    lines += [f"- [{item.title}](#{item.name})" for item in result.items] + [""]
    if result.rows:
        lines += [_markdown_table(rows_table(result.rows, "Published and reproduced")), "", *(f"{line}\n" for line in _LEGEND)]
    for block in _blocks(result):
        lines += [_markdown(block), ""]
    return "\n".join(lines).rstrip() + "\n"


def _markdown(block: _Block) -> str:
    if isinstance(block, _Heading):
        return f'<a id="{block.anchor}"></a>\n\n## {block.text}'
    if isinstance(block, _Section):
        sentences = [_escape(sentence) for sentence in block.sentences]
        if len(sentences) == 1:
            return f"**{block.head}.** {sentences[0]}"
        return f"**{block.head}.**\n\n" + "\n".join(f"- {sentence}" for sentence in sentences)
    if isinstance(block, Formula):
        return f"{_escape(block.reason)}\n\n$$\n{block.latex}\n$$"
    if isinstance(block, Table):
        return _markdown_table(block)
    return f"![{block.caption}](figures/{block.name}.png)\n\n*{_escape(block.caption)}* ([PDF](figures/{block.name}.pdf))"


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_escape(cell.strip()) for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(table.heads) - 1)
    return "\n".join([f"**{_escape(table.caption)}**", "", line(table.heads), rule, *(line(row) for row in table.rows)])


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("*", "\\*").replace("<", "&lt;")


# -- HTML ---------------------------------------------------------------------------------------------------------------


def as_html(result: Reproduction) -> str:
    """The report as one HTML page that needs nothing but its pictures in ``figures`` beside it.

    Parameters
    ----------
    result : Reproduction
    """
    contents = "".join(f'<li><a href="#{item.name}">{html.escape(item.title)}</a></li>' for item in result.items)
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>The paper, reproduced</title><style>{_STYLE}</style></head><body>',
        "<h1>The paper, reproduced</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in _summary(result)),
        f"<pre>{html.escape(_command(result))}</pre>",
        f"<nav><ul>{contents}</ul></nav>",
    ]
    if result.rows:
        parts.append(rows_table(result.rows, "Published and reproduced").to_html())
        parts += [f"<p>{html.escape(line)}</p>" for line in _LEGEND]
    parts += [_html(block) for block in _blocks(result)]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _html(block: _Block) -> str:
    if isinstance(block, _Heading):
        return f'<h2 id="{block.anchor}">{html.escape(block.text)}</h2>'
    if isinstance(block, _Section):
        sentences = "".join(f"<dd>{html.escape(sentence)}</dd>" for sentence in block.sentences)
        return f"<dl><dt>{html.escape(block.head)}</dt>{sentences}</dl>"
    if isinstance(block, Formula):
        return f"<p>{html.escape(block.reason)}</p><pre>{html.escape(block.text)}</pre>"
    if isinstance(block, Table):
        return block.to_html()
    return (
        f'<figure><img src="figures/{block.name}.png" alt="{html.escape(block.caption)}">'
        f'<figcaption>{html.escape(block.caption)} <a href="figures/{block.name}.pdf">PDF</a></figcaption></figure>'
    )


# -- files --------------------------------------------------------------------------------------------------------------


def draw_pictures(outcomes: Sequence[Outcome], folder: Path) -> Iterator[Path]:
    """Draw every picture as PNG and PDF, and yield each file as it is written.

    Parameters
    ----------
    outcomes : sequence of Outcome
    folder : Path
    """
    for outcome in outcomes:
        for picture in outcome.pictures:
            drawn = picture.draw()
            for kind in ("png", "pdf"):
                yield save(drawn, folder / f"{picture.name}.{kind}")


def write_report(result: Reproduction, folder: Path) -> None:
    """Write ``report.md`` and ``report.html``.

    Parameters
    ----------
    result : Reproduction
    folder : Path
    """
    write_whole(folder / "report.md", as_markdown(result))
    write_whole(folder / "report.html", as_html(result))
