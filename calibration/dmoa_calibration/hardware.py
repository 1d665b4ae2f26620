"""What machine this is. Every question has a fallback: an unknown machine is described poorly, never refused."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["describe_hardware"]

_ISA = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_bf16", "amx_int8", "asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16", "neon"),
)


def describe_hardware(proc: str | os.PathLike[str] = "/proc") -> dict[str, Any]:
    """Describe this machine as the ``hardware`` part of a profile.

    Parameters
    ----------
    proc : path
        Where Linux says what it knows; absent elsewhere.

    Returns
    -------
    dict
        ``cpu_model``, ``n_cores`` (those this process may use), ``isa``, ``mem_total_bytes`` or None, ``accelerator`` None.

    Examples
    --------
    >>> sorted(describe_hardware())
    ['accelerator', 'cpu_model', 'isa', 'mem_total_bytes', 'n_cores']
    """
    cpu = _table(Path(proc) / "cpuinfo")
    flags = set((cpu.get("flags") or cpu.get("Features") or "").split())
    return {
        "cpu_model": _cpu_model(cpu),
        "n_cores": _n_cores(),
        "isa": [name for name in _ISA if name in flags],
        "mem_total_bytes": _mem_total(_table(Path(proc) / "meminfo")),
        "accelerator": None,
    }


def _table(path: Path) -> dict[str, str]:
    """``key : value`` lines of a file, the first of each key; empty where there is no such file."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    table: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        table.setdefault(key.strip(), value.strip())
    return table


def _cpu_model(cpu: dict[str, str]) -> str:
    # x86 and some ARM kernels; Raspberry Pi boards; older ARM kernels
    for key in ("model name", "Model", "Hardware"):
        if cpu.get(key):
            return " ".join(cpu[key].split())
    if sys.platform == "darwin":
        try:
            asked = subprocess.run(["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, timeout=5)
            brand = asked.stdout.decode(errors="replace").strip()
        except (OSError, subprocess.SubprocessError):
            brand = ""
        if brand:
            return brand
    return platform.processor() or platform.machine() or "unknown processor"


def _n_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _mem_total(memory: dict[str, str]) -> int | None:
    words = memory.get("MemTotal", "").split()
    if words and words[0].isdigit():
        return int(words[0]) * 1024
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
