"""Every notebook runs from top to bottom, and is committed with light outputs, in step with its script."""

from __future__ import annotations

import base64
import importlib.util
import re
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
#: Bytes of one picture, and of a whole notebook.
LARGEST_PICTURE, LARGEST_NOTEBOOK = 60_000, 400_000
#: Folders of machines, dates, and times of day with seconds.
TELL_TALES = re.compile(
    r"/(?:home|root|tmp|work|Users|var|opt|mnt)/|[A-Z]:\\|site-packages|\b20\d\d-[01]\d-[0-3]\d[T ]|\b[0-2]\d:[0-5]\d:[0-5]\d\b"
)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@cache
def runner() -> ModuleType:
    """``notebooks/execute.py``, which makes the notebooks."""
    spec = importlib.util.spec_from_file_location("execute_notebooks", FOLDER / "execute.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


def kinds(cell: Any) -> set[str]:
    """What a cell shows: streams by name, data by type."""
    found: set[str] = set()
    for output in cell.get("outputs", ()):
        found |= set(output["data"]) if "data" in output else {output.get("name", output["output_type"])}
    return found


def words(output: Any) -> str:
    """All that is written in an output, pictures aside."""
    data = output.get("data", {})
    texts = [output.get("text", ""), *(value for kind, value in data.items() if not kind.startswith("image/"))]
    return "\n".join(str(text) for text in texts)


def test_there_are_notebooks() -> None:
    """They are numbered from 01, each a script and a notebook."""
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(1, 10)]
    assert [path.stem for path in runner().sources()] == [path.stem for path in NOTEBOOKS]


@every_notebook
def test_script_and_notebook_are_in_step(path: Path) -> None:
    """The cells of ``NN_name.py`` are those of ``NN_name.ipynb``: after an edit, ``python notebooks/execute.py NN``."""
    script, notebook = jupytext.read(path.with_suffix(".py")), read(path)
    assert [(c.cell_type, c.source) for c in script.cells] == [(c.cell_type, c.source) for c in notebook.cells]


@every_notebook
def test_notebook_is_committed_executed(path: Path) -> None:
    """Cells were run once, in order, without warning or error, and pictures are shown."""
    notebook = read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for o in outputs(notebook) if o.output_type == "error" or o.get("name") == "stderr"]
    assert any("image/png" in o.get("data", {}) for o in outputs(notebook))


@every_notebook
def test_notebook_is_light(path: Path) -> None:
    """A code host shows it: small pictures, a small file, and nothing that only a live kernel can show."""
    assert path.stat().st_size < LARGEST_NOTEBOOK
    for output in outputs(read(path)):
        data = output.get("data", {})
        assert len(base64.b64decode(data.get("image/png", ""))) < LARGEST_PICTURE
        assert not [kind for kind in data if "widget" in kind or "javascript" in kind]


@every_notebook
def test_notebook_says_nothing_of_the_machine(path: Path) -> None:
    """No paths, no times of day, no execution times."""
    notebook = read(path)
    told = [found.group() for output in outputs(notebook) if (found := TELL_TALES.search(words(output)))]
    assert not told
    assert not [cell.metadata for cell in notebook.cells if cell.metadata]


@every_notebook
def test_notebook_ends_with_an_exercise(path: Path) -> None:
    """The last cell sets one, with a hint."""
    last = read(path).cells[-1]
    assert last.cell_type == "markdown"
    assert "## Exercise" in last.source
    assert "*Hint.*" in last.source


@every_notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning:jupyter_client")
def test_notebook_runs(path: Path) -> None:
    """From top to bottom in a fresh kernel, without warnings; every cell shows the same kinds as committed."""
    run = runner().execute(runner().read_script(path.with_suffix(".py")), path.parent, timeout=3600)
    assert not [words(output) for output in outputs(run) if output.get("name") == "stderr"]
    assert [kinds(cell) for cell in run.cells] == [kinds(cell) for cell in read(path).cells]
