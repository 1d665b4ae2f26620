"""``dmoa init``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dmoa_theory import __version__
from dmoa_theory.cli.output import print_json, write_text
from dmoa_theory.errors import InputError

__all__ = ["init"]


def init(
    path: Path = Path("scenario.toml"),
    /,
    *,
    force: Annotated[bool, Parameter(negative="", help="Replace a file that is already there.")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False,
) -> int:
    """Write a commented scenario file to start from.

    Parameters
    ----------
    path
        Where to write it.
    """
    if path.is_dir():
        path = path / "scenario.toml"
    if path.exists() and not force:
        raise InputError("path", path, "a file that is not there yet; --force replaces one")
    if not path.parent.is_dir():
        raise InputError("path", path, f"in a folder that exists, and {path.parent} does not")
    text = resources.files("dmoa_theory").joinpath("data/example.toml").read_text(encoding="utf-8")
    write_text(path, text)
    if json:
        print_json({"schema": "dmoa/init/1", "version": __version__, "source": "bundled", "path": str(path)})
    else:
        print(f"Wrote {path}. Change what differs for you, then: dmoa plan {path}")
    return 0
