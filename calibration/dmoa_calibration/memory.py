"""What a loaded model costs in memory: weights, key-value cache for each token, peak of the process."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Memory", "kv_bytes_per_token", "measured_kv_bytes_per_token", "peak_rss_bytes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of a model, in bytes; ``load_time_s`` is the seconds it took to load or build it.

    ``kv_bytes_per_token`` follows from the model's configuration, ``kv_bytes_per_token_measured`` from the cache that the
    engine held for a short and a long prompt, where it can show it. ``peak_rss_bytes`` is that of the whole measuring
    process since it started, engine and loading included: an upper bound for what a device needs, not the model's own
    share.
    """

    weight_bytes: int | None
    kv_bytes_per_token: float | None
    peak_rss_bytes: int | None
    load_time_s: float | None
    kv_bytes_per_token_measured: float | None = None

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


def measured_kv_bytes_per_token(engine: object, shorter: int, longer: int) -> float | None:
    """Bytes that the key-value cache grew by for each token, from a prompt of ``shorter`` tokens to one of ``longer``.

    An engine that can show its cache has a method ``kv_bytes_held(prompt_tokens)``; of others nothing is known: None.

    Examples
    --------
    >>> class Engine:
    ...     def kv_bytes_held(self, prompt_tokens):
    ...         return 1000 + 512 * prompt_tokens
    >>> measured_kv_bytes_per_token(Engine(), 16, 64), measured_kv_bytes_per_token(object(), 16, 64)
    (512.0, None)
    """
    held = getattr(engine, "kv_bytes_held", None)
    if held is None or longer <= shorter:
        return None
    return float(held(longer) - held(shorter)) / (longer - shorter)


def peak_rss_bytes() -> int | None:
    """Largest resident memory of this process so far, bytes; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)  # kibibytes everywhere but on macOS
