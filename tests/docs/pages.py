"""Pages in Markdown, followed as a reader would: files saved, commands typed, examples run, outputs held against the page.

What a page may hold:

* ```` ```sh ````: commands. ``# exit code 3`` (or ``0 or 3``) behind one says that it need not end with 0. Lines that are plain
  ``dmoa`` commands run in this process, all others in bash, with ``dmoa`` and ``python`` on the path. Installations are not
  made: what they name has to be there.
* ```` ```text ```` or ```` ```json ```` behind one of the others: what it prints. A line ``...`` stands for lines left out.
  Words have to be there as printed, figures to within 2 % or one unit of their last digit.
* ```` ```python ````: run in this process; all of a page share their names.
* any language with ``title="name"``: a file to save.
* pictures, which ``<!-- made by: FOLDER/NAME.png -->`` says where to find after the page has been followed.

Where following to the letter would take long, or another machine, a comment right before the block says what is done instead:

* ``<!-- tested with: NEW for OLD; NEW for OLD -->``: the same block with these replacements, each of which must apply.
* ``<!-- varies, but not: PHRASE; PHRASE -->`` before an output: only these phrases have to be in the page and in the output.
"""

from __future__ import annotations

import os
import re
import shlex
import struct
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))

#: Which test file follows which pages, so that the files take about equally long. Whatever is named nowhere goes to "others".
GROUPS = {
    "planning": ("guides/will-my-devices-carry-this-load.md", "guides/which-m-and-k.md"),
    "waiting": (
        "guides/how-long-will-users-wait.md",
        "guides/what-if-something-fails.md",
        "guides/more-load-than-it-carries.md",
    ),
    "measuring": ("guides/measure-my-hardware.md", "guides/timings-i-already-have.md"),
}

_FENCE = re.compile(r"^```(\w+)?(.*)\n((?:.*\n)*?)^```$", re.MULTILINE)
_MARK = re.compile(r"<!-- (tested with|varies, but not): ((?:(?!-->).)+) -->\s*\Z", re.DOTALL)
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)\s*<!-- made by: (\S+) -->")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_EXIT = re.compile(r"\s+# exit code (\d+)(?: or (\d+))?\s*$")
_PLAIN = re.compile(r"dmoa\s[^$`]*")
_OPERATORS = {"|", ">", ">>", "<", "&&", "||", ";", "&", "(", ")"}
#: Largest difference of a figure from the page's, beside one unit of the last digit printed.
RELATIVE = 0.02
OUTPUTS = ("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block of a page: its language, what stands behind that, its text, its line, and the comment right before it."""

    language: str
    rest: str
    text: str
    line: int
    mark: tuple[str, str] | None

    @property
    def title(self) -> str | None:
        found = re.search(r'title="([^"]+)"', self.rest)
        return found[1] if found else None

    def adapted(self) -> str:
        """The text with the replacements that a comment names."""
        text = self.text
        for pair in self.mark[1].split(";") if self.mark and self.mark[0] == "tested with" else ():
            new, _, old = (part.strip() for part in pair.partition(" for "))
            assert old, f"line {self.line}: NEW for OLD, not {pair!r}"
            assert old in text, f"line {self.line}: {old!r} is not in the block"
            text = text.replace(old, new)
        return text


def read_blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        mark = _MARK.search(text[: match.start()])
        found.append(
            Block(
                language=match[1] or "",
                rest=match[2],
                text=match[3],
                line=text.count("\n", 0, match.start()) + 1,
                mark=(mark[1], " ".join(mark[2].split())) if mark else None,
            )
        )
    return found


def made_pictures(page: Path) -> list[tuple[Path, str]]:
    """The pictures of a page that its commands make: the file beside the page, and where the commands leave it."""
    return [(page.parent / shown, made) for shown, made in _PICTURE.findall(page.read_text(encoding="utf-8"))]


def png_size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file in pixels."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n", path
    width, height = struct.unpack(">II", head[16:])
    return width, height


# -- what is printed ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Word:
    """A word of an output: its text with ``#`` for each figure, the figures, and one unit of the last digit of each."""

    shape: str
    figures: tuple[float, ...]
    units: tuple[float, ...]

    def agrees(self, printed: Word) -> bool:
        """Whether a printed word is the page's, figures to within the tolerance."""
        return self.shape == printed.shape and all(
            abs(a - b) <= 1.001 * max(unit, RELATIVE * abs(a))
            for a, b, unit in zip(self.figures, printed.figures, self.units, strict=True)
        )


def word(text: str) -> Word:
    figures = _NUMBER.findall(text)
    plain = [each.replace(",", "") for each in figures]
    units = tuple(
        10.0 ** (int((re.search(r"e([-+]?\d+)", each) or [0, 0])[1]) - len(each.partition("e")[0].partition(".")[2]))
        for each in plain
    )
    return Word(_NUMBER.sub("#", text), tuple(float(each) for each in plain), units)


def words(text: str) -> list[Word]:
    """The words of an output, rules of tables left out: lines may be wrapped elsewhere, columns set wider."""
    return [word(each) for each in text.split() if each.strip("─")]


def missing(stated: str, printed: str) -> str | None:
    """The first passage of a page that is not in what was printed, in order; None where all are there."""
    have, start = words(printed), 0
    for passage in re.split(r"^\s*\.\.\.\s*$", stated, flags=re.MULTILINE):
        want = words(passage)
        places = (i for i in range(start, len(have) - len(want) + 1) if all(map(Word.agrees, want, have[i : i + len(want)])))
        found = next(places, None)
        if found is None:
            return passage.strip("\n")
        start = found + len(want)
    return None


# -- following ---------------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[tuple[str, set[int]]]:
    """Lines of a block with the exit codes that each may have; lines that end with a backslash are joined to the next."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        code = _EXIT.search(line)
        if line.strip() and not line.lstrip().startswith("#"):
            yield _EXIT.sub("", line), {int(each) for each in code.groups() if each} if code else {0}


def is_plain(command: str) -> bool:
    """Whether a line is a ``dmoa`` command that needs no shell."""
    if not _PLAIN.fullmatch(command):
        return False
    parts = shlex.shlex(command, posix=False, punctuation_chars=True)
    return not _OPERATORS & set(parts)


@dataclass(slots=True, kw_only=True)
class Reader:
    """Someone who follows a page in an empty folder.

    ``run_dmoa`` runs the command in this process and returns exit code, output and complaints; ``run_python`` runs code and
    returns what it prints. ``adapt`` makes a command cheaper where the page itself does not say how.
    """

    folder: Path
    run_dmoa: Callable[[list[str]], tuple[int, str, str]]
    run_python: Callable[[str, dict[str, Any]], str]
    adapt: Callable[[str], str] = str
    names: dict[str, Any] = field(default_factory=dict)

    def follow(self, page: Path) -> None:
        """Do what a page says, block by block; hold outputs and pictures against it."""
        blocks = read_blocks(page)
        printed = ""
        for before, block in pairwise([None, *blocks]):
            assert block is not None
            where = f"{page.name}, line {block.line}"
            if block.title:
                (self.folder / block.title).write_text(block.adapted(), encoding="utf-8")
            elif block.language == "sh":
                printed = self.type_in(block.adapted(), where)
            elif block.language == "python":
                printed = self.run_python(block.adapted(), self.names)
            else:
                assert block.language in OUTPUTS, f"{where}: a block of {block.language or 'no language'} is nothing to follow"
                assert before is not None, f"{where}: an output of nothing"
                assert before.language in ("sh", "python"), f"{where}: an output of nothing"
                self.compare(block, printed, where)
        for shown, made in made_pictures(page):
            assert png_size(shown) == png_size(self.folder / made), f"{shown.name} is not {made}: make it anew"

    def compare(self, block: Block, printed: str, where: str) -> None:
        if block.mark and block.mark[0] == "varies, but not":
            for phrase in block.mark[1].split(";"):
                for text in (block.text, printed):
                    assert phrase.strip() in " ".join(text.split()), f"{where}: no {phrase.strip()!r} in\n{text}"
        else:
            lacking = missing(block.text, printed)
            assert lacking is None, f"{where}: not printed:\n{lacking}\n-- printed was:\n{printed}"

    def type_in(self, text: str, where: str) -> str:
        """Run the commands of a block; what the last of them prints, complaints included."""
        printed = ""
        for command, wanted in commands(text):
            if command.startswith(("pip install ", "make ", ". .venv/bin/activate")):
                check_installation(command)
                continue
            code, out, err = self.run(self.adapt(command))
            assert code in wanted, f"{where}: {command}\nexit code {code}, not {wanted}\n{out}{err}"
            printed = out + err
        return printed

    def run(self, command: str) -> tuple[int, str, str]:
        if is_plain(command):
            return self.run_dmoa(shlex.split(command, comments=True)[1:])
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def environment(self) -> dict[str, str]:
        """For bash: ``dmoa`` and ``python`` of this checkout and interpreter first."""
        tools = self.folder.parent / "tools"
        if not tools.exists():
            tools.mkdir()
            for name, call in (
                ("dmoa", f"{shlex.quote(sys.executable)} -m dmoa_theory"),
                ("python", shlex.quote(sys.executable)),
            ):
                (tools / name).write_text(f'#!/bin/sh\nexec {call} "$@"\n')
                (tools / name).chmod(0o755)
        paths = os.pathsep.join(str(ROOT / each) for each in (".", "calibration", "paper_figures"))
        search = os.pathsep.join([str(tools), os.environ.get("PATH", os.defpath)])
        return {**os.environ, "PATH": search, "PYTHONPATH": paths, "PYTHONIOENCODING": "utf-8", "TERM": "dumb"}


def check_installation(command: str) -> None:
    """What an installation names is there: extras in pyproject.toml, targets in the Makefile. Nothing is installed."""
    if command.startswith("."):
        assert "VENV := .venv\n" in (ROOT / "Makefile").read_text()
        return
    if command.startswith("make "):
        target = command.split()[1]
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), f"{command}: no such target"
        return
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    extras = re.findall(r"(?:\.|dmoa)\[([\w,]+)\]", command)
    assert extras, f"{command}: installs no extra of dmoa"
    assert set(",".join(extras).split(",")) <= set(known), f"{command}: no such extra"
