"""Read and write traces; the extension says the format: JSON or CSV."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from dmoa_theory.errors import InputError
from dmoa_theory.simulation.traces.csv_file import parse_trace_csv, trace_csv
from dmoa_theory.simulation.traces.json_file import parse_trace_json, trace_json
from dmoa_theory.simulation.traces.trace import Trace
from dmoa_theory.text_files import read_text
from dmoa_theory.whole_files import write_whole

__all__ = ["read_trace", "write_trace"]

_READERS: Mapping[str, Callable[[str, str], Trace]] = MappingProxyType({".json": parse_trace_json, ".csv": parse_trace_csv})
_WRITERS: Mapping[str, Callable[[Trace], str]] = MappingProxyType({".json": trace_json, ".csv": trace_csv})


def read_trace(path: str | os.PathLike[str]) -> Trace:
    r"""Read a trace from a file.

    Parameters
    ----------
    path : str or path
        ``.json``: ``{"schema": "dmoa/trace/1", "devices": ["a", "b"], "queries": [{"arrival": 0.0, "user": "a", "stages":
        [{"jobs": [{"device": "a", "service": 1.2}, ...]}, ...]}, ...]}``, where ``devices`` may be a count, a stage may have a
        ``quorum`` and a job ``there`` and ``back``. ``.csv``: one row a job, columns ``query, arrival, user, stage, device,
        service`` and perhaps ``there, back, quorum``. Times in seconds; devices by number, from 0, or by name.

    Raises
    ------
    InputError
        One line: the file, the place in it, the field, its value and what is allowed.

    Examples
    --------
    >>> from dmoa_theory import read_trace
    >>> from dmoa_theory.simulation.traces.files import Path
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "burst.csv")
    ...     _ = path.write_text("query,arrival,user,stage,device,service\n0,0,0,0,0,2.5\n1,1,1,0,1,3\n")
    ...     read_trace(path)
    <Trace of 2 queries, 2 stages and 2 jobs at 2 devices>
    """
    path = Path(path)
    parse = _READERS[_format(path)]
    return parse(read_text(path, content="a trace of at least one query"), str(path))


def write_trace(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """Write a trace to a file, as :func:`read_trace` reads it; every number is read back exactly.

    Parameters
    ----------
    trace : Trace
    path : str or path
        ``.json`` or ``.csv``. A file that is there is replaced whole.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    InputError
        For another extension, or a place that cannot be written to.
    """
    path = Path(path)
    text = _WRITERS[_format(path)](trace)
    try:
        write_whole(path, text)
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        reason = getattr(error, "strerror", None) or error
        raise InputError("", reason, "a path that can be written", file=str(path)) from None
    return path


def _format(path: Path) -> str:
    extension = path.suffix.lower()
    if extension not in _READERS:
        raise InputError("", path.suffix or "no extension", f"a file ending in {' or '.join(_READERS)}", file=str(path))
    return extension
