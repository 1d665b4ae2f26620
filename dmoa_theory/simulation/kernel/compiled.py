"""How the simulator's inner functions are compiled.

Nothing in them allocates, so all are compiled without reference counting (``_nrt=False``), which would cost more than what
they do. Kernels are kept in numba's cache on disk. That cache looks at the kernel's own file only; so that a kernel is also
compiled anew when a function that it calls has changed, each takes :data:`BUILD` as its last argument's default value, which
is part of what the cache goes by.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from importlib import resources
from typing import Any

from numba import njit

__all__ = ["BUILD", "compiled", "inlined", "kernel", "reordered"]

_MODULES = (
    "compiled", "device_queue", "draws", "event_heap", "memory_watch", "random_numbers", "records", "state", "tables",
    "with_delays", "without_delays",
)  # fmt: skip


def _build() -> int:
    """A checksum of everything that goes into the kernels."""
    folder = resources.files("dmoa_theory.simulation.kernel")
    checksum = 0
    for name in _MODULES:
        checksum = zlib.crc32(folder.joinpath(f"{name}.py").read_bytes(), checksum)
    return checksum


#: Changes whenever the kernels or what they call do.
BUILD = _build()


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
    made: Callable[..., Any] = njit(**options)(function)
    return made
