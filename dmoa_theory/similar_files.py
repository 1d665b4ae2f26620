"""Which file was meant: names beside a path at which there is none."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

__all__ = ["suggestion"]


def suggestion(path: Path) -> str:
    """The end of a complaint about a missing file: ``"; did you mean ...?"``, or nothing.

    Names are compared without the extension, among files of the same one; all extensions where the path has none.

    Examples
    --------
    >>> suggestion(Path("nowhere/office.toml"))
    ''
    """
    try:
        there = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return ""
    alike = {Path(name).stem: name for name in there if path.suffix in ("", Path(name).suffix)}
    near = get_close_matches(path.stem, alike, n=1)
    return f"; did you mean {alike[near[0]]}?" if near else ""
