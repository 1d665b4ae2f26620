"""What a loaded model costs in memory: weights, key-value cache for each token, peak of the process."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Memory", "kv_bytes_per_token", "peak_rss_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of a model, in bytes; ``load_time_s`` is the seconds it took to load or build it.

    ``peak_rss_bytes`` is that of the whole measuring process since it started, engine and loading included: an upper bound
    for what a device needs, not the model's own share.
    """

    weight_bytes: int
    kv_bytes_per_token: float
    peak_rss_bytes: int | None
    load_time_s: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the ``memory`` part of a profile."""
        return asdict(self)


def kv_bytes_per_token(n_layers: int, n_kv_heads: int, head_dim: int, bytes_per_number: int) -> int:
    """Exact: bytes of key-value cache for each token held, one key and one value a layer and head.

    Examples
    --------
    >>> kv_bytes_per_token(24, 2, 64, 2)
    12288
    """
    return 2 * n_layers * n_kv_heads * head_dim * bytes_per_number


def peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far, bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)  # kibibytes everywhere but on macOS
