"""Turn what a user typed into checked, read-only arrays; every refusal names the field, the value and what is allowed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError

__all__ = [
    "BoolArray",
    "FloatArray",
    "FloatLike",
    "IntArray",
    "IntLike",
    "counts",
    "non_negative",
    "owned",
    "positive",
    "read_only",
]

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]
FloatLike: TypeAlias = float | Sequence[float] | npt.NDArray[Any]
IntLike: TypeAlias = int | Sequence[int] | npt.NDArray[Any]

#: Amounts beyond these are slips of the keyboard, and their cubes would leave the range of floats.
LARGEST, SMALLEST = 1e30, 1e-30
#: Largest count of layers or neighbours.
MOST = 10**9


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A view of an array that refuses to be written to."""
    view = array.view()
    view.flags.writeable = False
    return view


def owned(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array made read-only, copied first if somebody else could still write to it."""
    return read_only(array.copy() if array.flags.writeable else array)


def _element(field: str, value: npt.NDArray[Any], index: int, scalar: bool) -> tuple[str, object]:
    """Name one offending element: ``rate[3]`` of a list, plain ``rate`` of a single number."""
    return (field, value[index].item()) if scalar else (f"{field}[{index}]", value[index].item())


def _refuse(wrong: npt.NDArray[np.bool_], field: str, array: npt.NDArray[Any], scalar: bool, what: str) -> None:
    """Complain of the first element that is marked wrong, if any is."""
    if wrong.any():
        raise InputError(*_element(field, array, int(np.flatnonzero(wrong)[0]), scalar), what)


def _numbers(field: str, value: object, n: int, allowed: str) -> tuple[npt.NDArray[Any], bool]:
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(field, value, allowed) from None
    if array.dtype.kind not in "iuf" or array.ndim > 1:
        raise InputError(field, value, allowed)
    if array.ndim == 1 and array.size != n:
        raise InputError(field, f"{array.size} values", f"one number, or a list of {n} (one a device)")
    return np.broadcast_to(array, (n,)), array.ndim == 0


def non_negative(
    field: str, value: FloatLike, n: int, *, what: str = "a finite number, 0 or more", bounded: bool = True
) -> FloatArray:
    """One number or a list of ``n``, finite and at least zero, as a read-only array of shape (n,).

    Where ``bounded``, amounts too large or too small to compute with are refused too.
    """
    array, scalar = _numbers(field, value, n, what)
    _refuse(~(np.isfinite(array) & (array >= 0)), field, array, scalar, what)
    if bounded:
        beyond = (array > LARGEST) | ((array > 0) & (array < SMALLEST))
        _refuse(beyond, field, array, scalar, f"{what}, from {SMALLEST:g} to {LARGEST:g}")
    return read_only(np.array(array, dtype=np.float64))  # a copy: the caller may go on writing into its own


def positive(
    field: str, value: FloatLike, n: int, *, what: str = "a finite number above 0", bounded: bool = True
) -> FloatArray:
    """One number or a list of ``n``, finite and above zero, as a read-only array of shape (n,)."""
    array, scalar = _numbers(field, value, n, what)
    _refuse(array == 0, field, array, scalar, what)
    return non_negative(field, value, n, what=what, bounded=bounded)


def counts(field: str, value: IntLike, n: int, *, low: int = 0) -> IntArray:
    """One whole number or a list of ``n``, each at least ``low``, as a read-only array of shape (n,)."""
    what = f"a whole number, {low} or more"
    array, scalar = _numbers(field, value, n, what)
    _refuse(~(np.isfinite(array) & (array >= low) & (np.floor(array) == array)), field, array, scalar, what)
    _refuse(array > MOST, field, array, scalar, f"a whole number from {low} to {MOST}")
    return read_only(np.array(array, dtype=np.int64))
