"""A run directory that is there whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmoa_theory.errors import InputError

__all__ = ["check_new_folder", "whole_folder"]


def check_new_folder(path: Path) -> None:
    """Refuse a place where a run directory cannot be put: before minutes of work, not after.

    Raises
    ------
    InputError
        When something is there already, or nothing can be written there.
    """
    try:
        taken = path.exists() and not (path.is_dir() and not any(path.iterdir()))
        if not taken:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise InputError("--out", path, "a folder, or a place where one can be made") from None
    if taken:
        raise InputError("--out", path, "a folder that is not there yet, or is empty: a run is never written over another")
    if not os.access(path.parent, os.W_OK):
        raise InputError("--out", path, "a place that can be written to")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; it takes the given place when it is full, and goes away on any error.

    Raises
    ------
    InputError
        As :func:`check_new_folder`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     with whole_folder(Path(place, "run")) as draft:
    ...         _ = Path(draft, "a.txt").write_text("a")
    ...     sorted(entry.name for entry in Path(place).iterdir())
    ['run']
    """
    check_new_folder(path)
    draft = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    draft.mkdir()
    try:
        yield draft
        os.replace(draft, path)  # an empty folder in its place is replaced
    finally:
        shutil.rmtree(draft, ignore_errors=True)
