"""How the closure's inner loops are compiled.

Kernels are kept in numba's cache on disk, which :mod:`dmoa_theory.kernel_build` keeps honest. Innermost loops run over time, so
that the processor takes several points at once; sums may be added up in any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

from dmoa_theory.kernel_build import interruptible, kept_apart

__all__ = ["inlined", "kernel"]

_ANY_ORDER = {"reassoc", "contract", "nsz"}


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that kernels call."""
    made: Callable[..., Any] = njit(error_model="numpy", fastmath=_ANY_ORDER)(function)
    return made


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that Python calls; kept on disk once compiled."""
    made: Callable[..., Any] = interruptible(kept_apart(njit(cache=True, error_model="numpy", fastmath=_ANY_ORDER)(function)))
    return made
