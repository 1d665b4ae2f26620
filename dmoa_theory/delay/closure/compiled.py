"""How the closure's inner loops are compiled.

Kernels are kept in numba's cache on disk, which :mod:`dmoa_theory.kernel_build` keeps honest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["inlined", "kernel"]


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call."""
    made: Callable[..., Any] = njit(error_model="numpy")(function)
    return made


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that Python calls; kept on disk once compiled."""
    made: Callable[..., Any] = njit(cache=True, error_model="numpy")(function)
    return made
