"""Shapes of language models that can be built with random weights: no download, and the same times as trained ones."""

from __future__ import annotations

from dataclasses import dataclass

from dmoa_theory.errors import InputError

__all__ = ["SHAPES", "SUFFIXES", "Shape", "find_shape", "split_name"]

SUFFIXES = ("f16", "q8", "q4")
"""Number types that may end a synthetic name: ``llama-small-q8``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a decoder-only transformer.

    Parameters
    ----------
    arch : {"llama", "qwen2"}
        Family: qwen2 adds biases to the attention projections.
    n_layers, hidden, intermediate : int
        Layers, width, and width inside the feed-forward block.
    n_heads, n_kv_heads : int
        Query heads, and the key-value heads they share.
    vocabulary, n_ctx : int
        Token ids, and the longest context in tokens.
    tied : bool
        Whether the output matrix is the embedding.
    dtype : str
        Number type used unless another is asked for.

    Examples
    --------
    >>> f"{SHAPES['qwen2-0.5b'].n_params:,}"
    '494,032,768'
    """

    arch: str
    n_layers: int
    hidden: int
    intermediate: int
    n_heads: int
    n_kv_heads: int
    vocabulary: int
    n_ctx: int
    tied: bool
    dtype: str

    @property
    def head_dim(self) -> int:
        """Numbers in one attention head."""
        return self.hidden // self.n_heads

    @property
    def n_params(self) -> int:
        """Exact: number of parameters."""
        kv = self.n_kv_heads * self.head_dim
        attention = self.hidden * (2 * self.hidden + 2 * kv) + (self.hidden + 2 * kv if self.arch == "qwen2" else 0)
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return self.n_layers * layer + embeddings + self.hidden


def _shape(arch: str, sizes: tuple[int, int, int, int, int, int, int], *, tied: bool, dtype: str) -> Shape:
    n_layers, hidden, intermediate, n_heads, n_kv_heads, vocabulary, n_ctx = sizes
    return Shape(
        arch=arch,
        n_layers=n_layers,
        hidden=hidden,
        intermediate=intermediate,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        vocabulary=vocabulary,
        n_ctx=n_ctx,
        tied=tied,
        dtype=dtype,
    )


SHAPES: dict[str, Shape] = {
    # layers, width, feed-forward, heads, kv heads, vocabulary, context
    "llama-tiny": _shape("llama", (2, 64, 256, 4, 2, 1024, 2048), tied=True, dtype="float32"),
    "qwen2-tiny": _shape("qwen2", (2, 64, 256, 4, 2, 1024, 2048), tied=True, dtype="float32"),
    "llama-small": _shape("llama", (8, 384, 1024, 6, 2, 32000, 4096), tied=True, dtype="float32"),
    "llama-160m": _shape("llama", (12, 768, 3072, 12, 12, 32000, 2048), tied=False, dtype="float32"),
    "qwen2-0.5b": _shape("qwen2", (24, 896, 4864, 14, 2, 151936, 32768), tied=True, dtype="bfloat16"),
}
"""Synthetic models by name, smallest first; ``qwen2-0.5b`` is the published 0.5B shape."""


def find_shape(name: str) -> Shape:
    """Look up a synthetic shape.

    Raises
    ------
    InputError
        When there is no such shape; the message lists those there are.
    """
    if name not in SHAPES:
        sizes = ", ".join(f"{known} ({_short(shape.n_params)})" for known, shape in SHAPES.items())
        raise InputError("synthetic", name, f"one of {sizes}, for llama_cpp with -f16, -q8 or -q4 at the end if you like")
    return SHAPES[name]


def split_name(name: str) -> tuple[str, str | None]:
    """Take the number type off a synthetic name; None where there is none.

    Examples
    --------
    >>> split_name("qwen2-0.5b-q8"), split_name("llama-tiny")
    (('qwen2-0.5b', 'q8'), ('llama-tiny', None))
    """
    shape, _, suffix = name.rpartition("-")
    return (shape, suffix) if shape and suffix in SUFFIXES else (name, None)


def _short(count: int) -> str:
    return f"{count / 1e9:.1f} B" if count >= 5e8 else f"{count / 1e6:.2g} M" if count < 1e7 else f"{count / 1e6:.0f} M"
