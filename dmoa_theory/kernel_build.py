"""One number that stands for the source of everything compiled here.

Kernels are kept in numba's cache on disk. That cache looks at the kernel's own file only; so that a kernel is also compiled
anew when a function that it calls has changed, each takes :data:`BUILD` as its last argument's default value, which is part
of what the cache goes by.

It is one number for all rooms, because numba's dispatcher takes two omitted arguments of the same type for the same argument:
after a kernel with one default value, every call of a kernel with another would be typed in Python, tens of times slower.
"""

from __future__ import annotations

import secrets
import zlib
from contextlib import suppress
from importlib import resources
from typing import Any

from dmoa_theory.interrupted import heard_outside_callbacks

__all__ = ["BUILD", "interruptible", "kept_apart"]

_SOURCES = {
    "dmoa_theory.simulation.kernel": (
        "compiled", "device_queue", "draws", "event_heap", "memory_watch", "random_numbers", "records", "state", "tables",
        "with_delays", "without_delays",
    ),
    "dmoa_theory.delay.closure": (
        "choice_polynomials", "compiled", "convolution_kernel", "drop_kernel", "law_tables", "pair_kernels",
        "path_kernel", "shared_kernel", "stage_kernel",
    ),
}  # fmt: skip


def _build() -> int:
    """A checksum of every source named."""
    checksum = 0
    for package, names in _SOURCES.items():
        folder = resources.files(package)
        for name in names:
            checksum = zlib.crc32(folder.joinpath(f"{name}.py").read_bytes(), checksum)
    return checksum


def interruptible(dispatcher: Any) -> Any:
    """The same kernel; Ctrl-C while it is compiled, or fetched from the cache, is not lost."""
    compile_for = dispatcher.compile

    def compile_heard(signature: Any) -> Any:
        with heard_outside_callbacks():
            return compile_for(signature)

    dispatcher.compile = compile_heard
    return dispatcher


def kept_apart(dispatcher: Any) -> Any:
    """The same kernel; its code goes to files on disk that no other process writes to.

    numba counts these files by the index it has read. Of two processes that compile at once for arguments of different types,
    both would take the same number, and the index of one could come to stand beside the code of the other: for everybody after
    them the kernel would read its arguments as what they are not.
    """
    with suppress(AttributeError):  # of a numba that keeps them in another way
        file = dispatcher._cache._cache_file
        file._data_name_pattern = file._data_name_pattern.replace(".{number:d}.", f".{secrets.token_hex(8)}.{{number:d}}.")
    return dispatcher


#: Changes whenever a kernel or what it calls does.
BUILD = _build()
