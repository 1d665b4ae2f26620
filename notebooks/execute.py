"""Execute the notebooks: from each ``NN_name.py`` (jupytext, percent format) write ``NN_name.ipynb`` with its outputs.

    python notebooks/execute.py                # all
    python notebooks/execute.py 03 06          # some

Edit the ``.py``, then run this. Pictures are reduced to a palette, which keeps them light; nothing is kept that says when or
where a notebook was run.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

HERE = Path(__file__).parent
#: Colours of a picture: as many as keep it below so many bytes.
COLOURS, LIGHT = (256, 128, 64, 32), 56_000


def sources() -> list[Path]:
    """The numbered notebooks as scripts, in order."""
    return sorted(HERE.glob("[0-9][0-9]_*.py"))


def read_script(path: Path) -> Any:
    """The notebook that a script stands for, without outputs, its cells numbered."""
    notebook = jupytext.read(path)
    for number, cell in enumerate(notebook.cells, start=1):
        cell["id"] = f"cell-{number:02d}"
        cell["metadata"] = {}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    paired = {"formats": "ipynb,py:percent"}
    notebook["metadata"] = {"jupytext": paired, "kernelspec": kernel, "language_info": {"name": "python"}}
    notebook["nbformat"], notebook["nbformat_minor"] = 4, 5
    return notebook


def execute(notebook: Any, folder: Path, timeout: int = 600) -> Any:
    """Run every cell in a fresh kernel, in place; they talk through a folder, since others may take a free port."""
    with tempfile.TemporaryDirectory() as place:
        ways = {"transport": "ipc", "connection_file": str(Path(place) / "kernel.json")}
        client = NotebookClient(
            notebook,
            timeout=timeout,
            startup_timeout=timeout,
            kernel_name="python3",
            record_timing=False,
            coalesce_streams=True,
            config=Config(KernelManager=ways),
        )
        client.execute(cwd=str(folder))
    return notebook


def lighten(notebook: Any) -> None:
    """Reduce pictures to a palette, in place."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _palette(data["image/png"])
                output["metadata"] = {}


def _palette(encoded: str) -> str:
    picture = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB")
    for colours in COLOURS:
        held = io.BytesIO()
        picture.quantize(colours, kmeans=2, dither=Image.Dither.NONE).save(held, format="PNG", optimize=True)
        if len(held.getvalue()) < LIGHT:
            break
    return base64.b64encode(held.getvalue()).decode("ascii")


def main(wanted: list[str]) -> int:
    """Execute the notebooks whose names begin so, or all."""
    for path in sources():
        if wanted and not any(path.name.startswith(start) for start in wanted):
            continue
        start = time.perf_counter()
        notebook = execute(read_script(path), path.parent)
        lighten(notebook)
        target = path.with_suffix(".ipynb")
        nbformat.write(notebook, target)
        print(f"{target.name}: {time.perf_counter() - start:.1f} s, {target.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
