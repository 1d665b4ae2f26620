"""How the simulator's inner functions are compiled.

Nothing in them allocates, so all are compiled without reference counting (``_nrt=False``), which would cost more than what
they do. Kernels are kept in numba's cache on disk, which :mod:`dmoa_theory.kernel_build` keeps honest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from dmoa_theory.kernel_build import interruptible, kept_apart

__all__ = ["compiled", "inlined", "kernel", "reordered"]


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that becomes part of what calls it."""
    options: dict[str, Any] = {"forceinline": True, "_nrt": False}
    made: Callable[..., Any] = njit(**options)(function)
    return made


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is called: for what is rare, or long."""
    options: dict[str, Any] = {"_nrt": False}
    made: Callable[..., Any] = njit(**options)(function)
    return made


def reordered(function: Callable[..., Any]) -> Callable[..., Any]:
    """A called function whose sums and comparisons may be reordered, so that the processor does several at once."""
    options: dict[str, Any] = {"_nrt": False, "fastmath": {"reassoc", "nsz", "nnan"}}
    made: Callable[..., Any] = njit(**options)(function)
    return made


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that Python calls; kept on disk once compiled."""
    options: dict[str, Any] = {"cache": True, "error_model": "numpy", "_nrt": False}
    made: Callable[..., Any] = interruptible(kept_apart(njit(**options)(function)))
    return made
