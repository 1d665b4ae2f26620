"""Random weights of a named shape as a GGUF file for llama.cpp, written once into a cache folder."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dmoa_calibration.synthetic import Shape, find_shape
from dmoa_theory.errors import BackendUnavailableError, CalibrationError, InputError

__all__ = ["GGUF_DTYPES", "cache_folder", "synthetic_gguf", "write_gguf"]

GGUF_DTYPES = {"f16": "F16", "q8": "Q8_0", "q4": "Q4_0"}
"""Number types of the matrices that can be written, by the suffix that asks for them."""

_SPREAD = 0.02  # standard deviation of the weights, as models are initialised
_BLOCK = 32  # numbers that share a scale in Q8_0 and Q4_0
_LEAST_VOCABULARY = 354  # llama.cpp's tokenizer wants its special tokens, 256 bytes and some pieces
_LAYOUT = 1  # part of the cached name; to be raised when the same shape and seed would give another file
_ROWS = 4096  # drawn at a time, so that memory stays small


def cache_folder() -> Path:
    """Give the folder for generated models: ``DMOA_CACHE_DIR``, or ``dmoa`` in the user's cache folder."""
    if chosen := os.environ.get("DMOA_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "dmoa"


def synthetic_gguf(name: str, dtype: str = "q8", *, seed: int = 0) -> Path:
    """Give a GGUF file of that synthetic shape, from the cache where it is there already.

    Parameters
    ----------
    name : str
        A key of :data:`dmoa_calibration.synthetic.SHAPES`, without suffix.
    dtype : str
        A key of :data:`GGUF_DTYPES`.
    seed : int
        Of the weights; the same seed gives the same bytes.

    Raises
    ------
    InputError
        An unknown shape or number type, or a cache folder that cannot be written to.
    CalibrationError
        When the disk has no room.
    BackendUnavailableError
        When the ``gguf`` package is not installed.
    """
    shape = find_shape(name)
    folder = cache_folder()
    target = folder / f"{name}-{dtype}-seed{seed}-{_LAYOUT}.gguf"
    if target.is_file():
        return target
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("DMOA_CACHE_DIR", folder, f"a folder that can be made and written to ({error.strerror})") from None
    write_gguf(target, shape, dtype, name=name, seed=seed)
    return target


def write_gguf(path: Path, shape: Shape, dtype: str, *, name: str = "synthetic", seed: int = 0) -> None:
    """Write random weights as a GGUF file, whole or not at all.

    Parameters
    ----------
    path : Path
        The file, in a folder that exists.
    shape : Shape
        Sizes of the model. Every width must be a multiple of 32 for ``q8`` and ``q4``.
    dtype : str
        A key of :data:`GGUF_DTYPES`; norms and biases are 32-bit always.
    name : str
        What the file calls the model.
    seed : int
        Of the weights.

    Raises
    ------
    InputError, CalibrationError, BackendUnavailableError
        As :func:`synthetic_gguf`.
    """
    if dtype not in GGUF_DTYPES:
        raise InputError("dtype", dtype, f"one of {', '.join(GGUF_DTYPES)}")
    if shape.vocabulary < _LEAST_VOCABULARY or shape.hidden % _BLOCK or shape.intermediate % _BLOCK:
        allowed = f"a vocabulary of {_LEAST_VOCABULARY} or more, and widths that are multiples of {_BLOCK}"
        raise InputError("synthetic", name, allowed)
    gguf = _package()
    tensors = list(_tensors(shape))
    sizes = [_n_bytes(rows, columns, dtype) for _, rows, columns in tensors]
    needed = sum(sizes) + 64 * shape.vocabulary + 2**20
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise _no_room(path, needed, free)
    draft = path.parent / f".{secrets.token_hex(8)}.tmp"
    writer = gguf.GGUFWriter(draft, shape.arch)
    try:
        _describe(gguf, writer, shape, dtype, name)
        for (label, rows, columns), size in zip(tensors, sizes, strict=True):
            kind = gguf.GGMLQuantizationType[GGUF_DTYPES[dtype]] if columns else gguf.GGMLQuantizationType.F32
            writer.add_tensor_info(label, (rows, columns) if columns else (rows,), np.dtype(np.float32), size, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        rng = np.random.default_rng(seed)
        for label, rows, columns in tensors:
            writer.write_tensor_data(_draw(rng, rows, columns, dtype) if columns else _vector(label, rows))
        writer.close()
        os.replace(draft, path)
    except OSError as error:  # numpy raises its own, without a number, when the disk is full
        raise _no_room(path, needed, shutil.disk_usage(path.parent).free, error) from None
    finally:
        with suppress(OSError):
            writer.close()
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _no_room(path: Path, needed: int, free: int, error: OSError | None = None) -> CalibrationError:
    why = f" ({' '.join(str(error).split())})" if error is not None else ""
    return CalibrationError(
        f"{path} cannot be written{why}: it takes {needed / 1e6:.0f} MB and {free / 1e6:.0f} MB are free;"
        " set DMOA_CACHE_DIR to a folder with room, or take a smaller shape"
    )


def _package() -> Any:
    try:
        import gguf
    except ImportError:
        raise BackendUnavailableError("llama_cpp", "llamacpp") from None
    return gguf


def _tensors(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """Names, rows and columns (0 for a vector) in the order of the file, as llama.cpp calls them."""
    wide, kv = shape.hidden, shape.n_kv_heads * shape.head_dim
    yield "token_embd.weight", shape.vocabulary, wide
    for layer in range(shape.n_layers):
        block = f"blk.{layer}."
        yield f"{block}attn_norm.weight", wide, 0
        for part, rows in (("q", wide), ("k", kv), ("v", kv)):
            yield f"{block}attn_{part}.weight", rows, wide
            if shape.arch == "qwen2":
                yield f"{block}attn_{part}.bias", rows, 0
        yield f"{block}attn_output.weight", wide, wide
        yield f"{block}ffn_norm.weight", wide, 0
        yield f"{block}ffn_gate.weight", shape.intermediate, wide
        yield f"{block}ffn_up.weight", shape.intermediate, wide
        yield f"{block}ffn_down.weight", wide, shape.intermediate
    yield "output_norm.weight", wide, 0
    if not shape.tied:
        yield "output.weight", shape.vocabulary, wide


def _n_bytes(rows: int, columns: int, dtype: str) -> int:
    if not columns:
        return 4 * rows
    return rows * (2 * columns if dtype == "f16" else columns // _BLOCK * (34 if dtype == "q8" else 18))


def _vector(label: str, length: int) -> npt.NDArray[np.float32]:
    return np.zeros(length, np.float32) if label.endswith(".bias") else np.ones(length, np.float32)


def _draw(rng: np.random.Generator, rows: int, columns: int, dtype: str) -> npt.NDArray[Any]:
    """Draw a matrix in the very layout of the file: quantised numbers are drawn as such, uniform, and never computed."""
    parts = [_rows(rng, min(_ROWS, rows - first), columns, dtype) for first in range(0, rows, _ROWS)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _rows(rng: np.random.Generator, rows: int, columns: int, dtype: str) -> npt.NDArray[Any]:
    if dtype == "f16":
        edge = _SPREAD * np.sqrt(3)  # of a uniform distribution with that spread
        return ((2 * rng.random((rows, columns), np.float32) - 1) * np.float32(edge)).astype(np.float16)
    blocks = rows * columns // _BLOCK
    if dtype == "q8":  # a half-precision scale, then 32 signed bytes
        numbers = rng.integers(-127, 128, (blocks, _BLOCK), np.int8).view(np.uint8)
        step = _SPREAD / np.sqrt((255**2 - 1) / 12)
    else:  # a half-precision scale, then 32 times four bits, 8 standing for zero
        numbers = rng.integers(0, 256, (blocks, _BLOCK // 2), np.uint8)
        step = _SPREAD / np.sqrt((16**2 - 1) / 12)
    scale = np.frombuffer(np.float16(step).tobytes(), np.uint8)
    return np.hstack([np.broadcast_to(scale, (blocks, 2)), numbers]).reshape(rows, -1)


def _describe(gguf: Any, writer: Any, shape: Shape, dtype: str, name: str) -> None:
    """Say what llama.cpp needs to know, tokenizer included: bytes, and pieces that stand for nothing."""
    writer.add_name(name)
    writer.add_file_type(gguf.LlamaFileType[{"f16": "MOSTLY_F16", "q8": "MOSTLY_Q8_0", "q4": "MOSTLY_Q4_0"}[dtype]])
    writer.add_vocab_size(shape.vocabulary)
    writer.add_context_length(shape.n_ctx)
    writer.add_embedding_length(shape.hidden)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(1e6 if shape.arch == "qwen2" else 1e4)
    writer.add_layer_norm_rms_eps(1e-6)
    kinds = gguf.TokenType
    special = ["<unk>", "<s>", "</s>"]
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = [f"\u2581w{number}" for number in range(shape.vocabulary - len(special) - len(bytes_))]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * len(bytes_) + [kinds.NORMAL] * len(pieces)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(special + bytes_ + pieces)
    writer.add_token_scores([0.0] * len(special + bytes_) + [-float(i) for i in range(len(pieces))])
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
