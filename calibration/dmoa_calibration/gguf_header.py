"""What a GGUF file says about its model, read without the engine: sizes, architecture, number type."""

from __future__ import annotations

import math
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from dmoa_theory.errors import InputError

__all__ = ["GgufHeader", "read_gguf_header"]

_NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))  # struct codes by GGUF type
_TEXT, _LIST = 8, 9
_MOST_ENTRIES = 1_000_000  # of one header; more is no header
_LONGEST_TEXT = 2**26
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # torch's zip of pickles, and bare ones

# file_type: what most matrices are stored as
_FILE_TYPES = {0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k", 11: "q3_k_s"}
_FILE_TYPES |= {12: "q3_k_m", 13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s", 17: "q5_k_m", 18: "q6_k"}
_FILE_TYPES |= {19: "iq2_xxs", 20: "iq2_xs", 23: "iq3_xxs", 25: "iq4_nl", 26: "iq3_s", 27: "iq3_m", 30: "iq4_xs"}
_FILE_TYPES |= {32: "bf16", 38: "mxfp4"}

# bytes of a block, and numbers in it, of a tensor's type
_BLOCKS = {0: (4, 1), 1: (2, 1), 2: (18, 32), 3: (20, 32), 6: (22, 32), 7: (24, 32), 8: (34, 32), 9: (36, 32), 30: (2, 1)}
_BLOCKS |= {10: (84, 256), 11: (110, 256), 12: (144, 256), 13: (176, 256), 14: (210, 256), 15: (292, 256)}
_BLOCKS |= {16: (66, 256), 17: (74, 256), 18: (98, 256), 19: (50, 256), 20: (18, 32), 21: (110, 256), 22: (82, 256)}
_BLOCKS |= {23: (136, 256), 24: (1, 1), 25: (2, 1), 26: (4, 1), 27: (8, 1), 28: (8, 1), 29: (56, 256), 39: (17, 32)}


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """Facts of a GGUF file.

    ``n_params`` and ``weight_bytes`` are counted over the tensors; None where they are in further files, or of a type that is
    not known here. ``kv_heads`` and ``head_dims`` hold one number a layer; the latter is of keys and values together, halved.
    """

    arch: str
    dtype: str
    n_ctx: int | None
    n_layers: int
    vocabulary: int
    kv_heads: tuple[int, ...]
    head_dims: tuple[float, ...]
    n_params: int | None
    weight_bytes: int | None

    def kv_bytes_per_token(self, bytes_per_number: int = 2) -> float:
        """Exact for plain attention: bytes of key-value cache a token."""
        return 2 * bytes_per_number * sum(n * width for n, width in zip(self.kv_heads, self.head_dims, strict=True))


def read_gguf_header(path: str | os.PathLike[str]) -> GgufHeader:
    """Read the header of a GGUF file.

    Raises
    ------
    InputError
        In one line, when the file is not there, is a pickle file, is not GGUF, is cut off, or is no language model.
    """
    try:
        with Path(path).open("rb") as stream:
            start = stream.read(4)
            keys, tensors = _parse(stream) if start == b"GGUF" else ({}, [])
    except FileNotFoundError:
        raise InputError("model", Path(path), "a GGUF file (nothing is downloaded); there is no such file") from None
    except OSError as error:
        raise InputError("model", Path(path), f"a GGUF file that can be read ({error.strerror})") from None
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError):
        raise InputError("model", Path(path), "a whole GGUF file; its header is cut off or damaged") from None
    if start != b"GGUF":
        pickled = start.startswith(_PICKLES) or Path(path).suffix in {".bin", ".pt", ".pth", ".pkl"}
        what = "this is a pickle file, which can run code when read, and is refused" if pickled else "this is something else"
        raise InputError("model", Path(path), f"a GGUF file; {what}")
    return _header(Path(path), keys, tensors)


def _parse(stream: BinaryIO) -> tuple[dict[str, Any], list[tuple[int, int]]]:
    """Keys with their values (of lists of text only the length), and for each tensor its numbers and type."""
    version, n_tensors, n_keys = _read(stream, "<IQQ")
    if version not in (2, 3) or max(n_tensors, n_keys) > _MOST_ENTRIES:
        raise ValueError("version")
    keys = {}
    for _ in range(n_keys):
        name = _text(stream)
        (kind,) = _read(stream, "<I")
        keys[name] = _value(stream, kind)
    tensors = []
    for _ in range(n_tensors):
        _text(stream)
        (n_dims,) = _read(stream, "<I")
        if n_dims > 8:
            raise ValueError("dimensions")
        *shape, kind, _ = _read(stream, f"<{n_dims}QIQ")
        tensors.append((math.prod(shape), kind))
    return keys, tensors


def _read(stream: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(layout, stream.read(struct.calcsize(layout)))


def _text(stream: BinaryIO) -> str:
    (length,) = _read(stream, "<Q")
    if length > _LONGEST_TEXT:
        raise ValueError("text")
    raw = stream.read(length)
    if len(raw) < length:
        raise ValueError("cut off")
    return raw.decode(errors="replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(stream)
    if kind != _LIST:
        return _read(stream, "<" + _NUMBERS[kind])[0]
    inner, length = _read(stream, "<IQ")
    if length > _LONGEST_TEXT:
        raise ValueError("list")
    if inner == _TEXT:  # a vocabulary: nobody here needs the words
        for _ in range(length):
            _text(stream)
        return range(length)
    return _read(stream, f"<{length}{_NUMBERS[inner]}")


def _header(path: Path, keys: dict[str, Any], tensors: list[tuple[int, int]]) -> GgufHeader:
    arch = keys.get("general.architecture")
    missing = [key for key in ("block_count", "embedding_length", "attention.head_count") if f"{arch}.{key}" not in keys]
    words = keys.get("tokenizer.ggml.tokens", ())
    if not isinstance(arch, str) or missing or not len(words):
        raise InputError("model", path, "a GGUF file of a language model with its tokenizer; this one holds something else")

    def number(key: str, otherwise: Any = None) -> Any:
        return keys.get(f"{arch}.{key}", otherwise)

    n_layers = int(number("block_count"))

    def each_layer(value: Any) -> tuple[int, ...]:
        return tuple(map(int, value)) if isinstance(value, tuple) else (int(value),) * n_layers

    heads = each_layer(number("attention.head_count"))
    kv_heads = each_layer(number("attention.head_count_kv", heads))
    plain = number("embedding_length") / max(1, *heads)
    width = (number("attention.key_length", plain) + number("attention.value_length", plain)) / 2
    whole = keys.get("split.count", 1) <= 1
    known = whole and all(kind in _BLOCKS for _, kind in tensors)
    return GgufHeader(
        arch=arch,
        dtype=_FILE_TYPES.get(keys.get("general.file_type", -1), "mixed"),
        n_ctx=number("context_length"),
        n_layers=n_layers,
        vocabulary=len(words),
        kv_heads=kv_heads,
        head_dims=(width,) * len(kv_heads),
        n_params=sum(count for count, _ in tensors) if whole else None,
        weight_bytes=sum(n // _BLOCKS[kind][1] * _BLOCKS[kind][0] for n, kind in tensors) if known else None,
    )
