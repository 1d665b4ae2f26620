"""Write files whole: whoever reads one sees the old content or the new, never half of either."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: Path, content: bytes | str) -> None:
    """Write to a temporary name in the same folder, then rename.

    Parameters
    ----------
    path : Path
    content : bytes or str
        Text is written as UTF-8, line ends as they are.

    Raises
    ------
    OSError
        When the folder is not there or cannot be written to; nothing is left behind.
    """
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with draft.open("wb") as stream:
            stream.write(content.encode("utf-8", errors="replace") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(draft, path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
