"""Service times that somebody timed: their checks, their moments, and the CSV that a scenario names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dmoa_theory import text_files
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, SMALLEST, FloatArray, owned, positive

if TYPE_CHECKING:
    from pathlib import Path

    from dmoa_theory.model.network import Network

__all__ = ["SampleLike", "csv_rows", "read_samples", "relative_moment", "sample_arrays", "sample_scv"]

SampleLike: TypeAlias = Sequence[float] | npt.NDArray[Any] | Sequence[Sequence[float] | npt.NDArray[Any]]

# What the rounding of their mean leaves of the SCV of equal samples.
_ROUNDING = 1e-28

_COLUMNS = ("seconds", "device")
_HEADER = "a header with seconds, and device where devices differ"
_SECONDS = f"a number of seconds above 0, from {SMALLEST:g} to {LARGEST:g}"


def sample_arrays(samples: SampleLike) -> tuple[FloatArray, ...]:
    """Check samples, and make read-only arrays of them: one for all devices, or one a device.

    Parameters
    ----------
    samples : array_like of numbers, or list of array_like, seconds
        A list (or a matrix, row by row) of array-likes means one a device.

    Raises
    ------
    InputError
        Naming the first sample that is not positive and finite, such as ``samples[2][17]``, or the device without samples.

    Examples
    --------
    >>> from dmoa_theory.model.service_samples import sample_arrays
    >>> [times.tolist() for times in sample_arrays([[20.0, 30.0], [25]])]
    [[20.0, 30.0], [25.0]]
    """
    if isinstance(samples, np.ndarray):
        by_device = samples.ndim > 1
    else:
        by_device = isinstance(samples, list | tuple) and any(np.iterable(each) for each in samples)
    if not by_device:
        return (_times("samples", samples),)
    if not len(samples):
        raise InputError("samples", "no lists", "one list of seconds for all devices, or one a device")
    return tuple(_times(f"samples[{i}]", each) for i, each in enumerate(samples))


def _times(field: str, times: object) -> FloatArray:
    try:
        array = np.asarray(times)
    except ValueError:
        raise InputError(field, times, "a list of seconds") from None
    if array.ndim != 1:
        raise InputError(field, times, "a list of seconds")
    if not array.size:
        raise InputError(field, "no samples", "at least one, in seconds")
    return owned(positive(field, array, array.size, what="a finite number of seconds above 0"))


def relative_moment(samples: Sequence[FloatArray], order: int) -> FloatArray:
    """Exact: ``E[S^r] / E[S]^r`` of a draw from each array; shape (len(samples),)."""
    return np.array([np.mean((times / times.mean()) ** order) for times in samples])


def sample_scv(samples: Sequence[FloatArray]) -> FloatArray:
    """Exact: variance / mean^2 of a draw from each array (divided by the number of samples); shape (len(samples),)."""
    scv = np.array([np.mean((times / times.mean() - 1) ** 2) for times in samples])
    return np.where(scv < _ROUNDING, 0.0, scv)


def read_samples(path: Path, network: Network) -> tuple[FloatArray, ...]:
    """Samples from a CSV with a column ``seconds`` and, where devices differ, ``device`` (number or name).

    Parameters
    ----------
    path : Path
    network : Network
        Whose devices the file speaks of.

    Returns
    -------
    tuple of ndarray, seconds
        One array for all devices without a column ``device``, else one a device.

    Raises
    ------
    InputError
        In one line: file, line, field, value and what is allowed.
    """
    file = str(path)
    rows = csv_rows(path)
    header = next(rows, (1, []))[1]
    columns = [column.casefold() for column in header]
    if "seconds" not in columns or set(columns) - set(_COLUMNS):
        raise InputError("columns", ",".join(header) or "none", _HEADER, file=file)
    if len(set(columns)) != len(columns):
        raise InputError("columns", ",".join(header), "each column once", file=file)
    by_device = "device" in columns
    place = network.positions()
    times: list[list[float]] = [[] for _ in range(network.n_devices if by_device else 1)]
    for line, cells in rows:
        if len(cells) != len(columns):
            raise InputError(f"line {line}", f"{len(cells)} cells", f"{len(columns)}, as in the header", file=file)
        row = dict(zip(columns, cells, strict=True))
        if by_device and row["device"] not in place:
            raise InputError(f"line {line}: device", row["device"], network.known_devices(row["device"]), file=file)
        try:
            seconds = float(row["seconds"])
        except ValueError:
            seconds = np.nan
        if not SMALLEST <= seconds <= LARGEST:
            raise InputError(f"line {line}: seconds", row["seconds"], _SECONDS, file=file)
        times[place[row["device"]] if by_device else 0].append(seconds)
    if not any(times):
        raise InputError("rows", "none", "at least one time in seconds", file=file)
    for u, own in enumerate(times):
        if not own:
            allowed = "at least one row for every device, or no column device where all are alike"
            raise InputError(f"device {network.name(u)}", InputError.MISSING, allowed, file=file)
    return tuple(owned(np.array(own)) for own in times)


def csv_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of a CSV, the header among them, blank lines left out."""
    file = str(path)
    text_files.refuse_workbook(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("service.samples", path, "an existing CSV with a column seconds") from None
    except (OSError, UnicodeDecodeError):
        raise InputError("", InputError.MISSING, "cannot be read as UTF-8 text", file=file) from None
    yield from text_files.csv_rows(text, file=file)
