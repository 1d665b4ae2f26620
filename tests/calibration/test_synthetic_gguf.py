"""GGUF files with random weights: what is in them, that they are the same for a seed, and what happens when a disk is full."""

from __future__ import annotations

import errno
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

from dmoa_calibration import synthetic_gguf as module
from dmoa_calibration.gguf_header import read_gguf_header
from dmoa_calibration.synthetic import SHAPES
from dmoa_calibration.synthetic_gguf import cache_folder, synthetic_gguf, write_gguf
from dmoa_theory.errors import BackendUnavailableError, CalibrationError, InputError

gguf = pytest.importorskip("gguf")

BITS = {"f16": 16.0, "q8": 8.5, "q4": 4.5}  # a number in a matrix, its share of the scale included


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("name", ["llama-tiny", "qwen2-tiny"])
def test_a_file_holds_exactly_its_shape(tmp_path, name, dtype):
    shape = SHAPES[name]
    path = tmp_path / "model.gguf"
    write_gguf(path, shape, dtype)
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    assert sum(int(tensor.n_elements) for tensor in reader.tensors) == shape.n_params
    vectors = sum(int(t.n_elements) for t in reader.tensors if t.tensor_type == gguf.GGMLQuantizationType.F32)
    weight_bytes = sum(int(tensor.n_bytes) for tensor in reader.tensors)
    assert weight_bytes == (shape.n_params - vectors) * BITS[dtype] / 8 + 4 * vectors
    assert ("blk.0.attn_q.bias" in tensors) == (shape.arch == "qwen2")
    assert "output.weight" not in tensors

    header = read_gguf_header(path)
    assert (header.arch, header.n_layers, header.n_ctx, header.vocabulary) == (name.split("-")[0], 2, 2048, 1024)
    assert (header.n_params, header.weight_bytes) == (shape.n_params, weight_bytes)
    assert header.dtype.startswith(dtype)
    assert header.kv_bytes_per_token() == 2 * shape.n_layers * shape.n_kv_heads * shape.head_dim * 2


@pytest.mark.parametrize("dtype", BITS)
def test_weights_are_spread_as_models_are_initialised(tmp_path, dtype):
    path = tmp_path / "model.gguf"
    write_gguf(path, SHAPES["llama-tiny"], dtype)
    tensor = next(t for t in gguf.GGUFReader(path).tensors if t.name == "token_embd.weight")
    values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    assert values.shape == (1024, 64)
    assert np.isfinite(values).all()
    assert values.std() == pytest.approx(0.02, rel=0.03)
    assert abs(values.mean()) < 0.0025  # four bits count from -8 to 7: half a step below zero
    assert len(np.unique(values)) > 10


def test_an_output_matrix_of_its_own_is_written(tmp_path):
    shape = replace(SHAPES["llama-tiny"], tied=False)
    write_gguf(tmp_path / "model.gguf", shape, "q8")
    assert read_gguf_header(tmp_path / "model.gguf").n_params == shape.n_params


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    paths = [tmp_path / f"{i}.gguf" for i in range(3)]
    for path, seed in zip(paths, (7, 7, 8), strict=True):
        write_gguf(path, SHAPES["llama-tiny"], "q8", seed=seed)
    first, again, other = (path.read_bytes() for path in paths)
    assert first == again
    assert first != other
    assert len(first) == len(other)


def test_a_file_is_written_once_and_then_taken_from_the_cache(model_cache, monkeypatch):
    first = synthetic_gguf("llama-tiny", "q4", seed=11)
    assert first.parent == model_cache
    monkeypatch.setattr(module, "write_gguf", lambda *_, **__: pytest.fail("written twice"))
    assert synthetic_gguf("llama-tiny", "q4", seed=11) == first


def test_the_cache_is_the_users_unless_another_is_chosen(monkeypatch, tmp_path):
    monkeypatch.delenv("DMOA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "dmoa"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder().parts[-2:] == (".cache", "dmoa")
    monkeypatch.setenv("DMOA_CACHE_DIR", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"


def test_a_disk_without_room_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    with pytest.raises(CalibrationError, match=r"it takes 1 MB and 0 MB are free; set DMOA_CACHE_DIR to a folder with room"):
        write_gguf(tmp_path / "model.gguf", SHAPES["llama-tiny"], "q8")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(gguf.GGUFWriter, "write_tensor_data", full)
    with pytest.raises(CalibrationError, match=r"cannot be written \(.*No space left on device\): it takes") as refused:
        write_gguf(tmp_path / "model.gguf", SHAPES["llama-tiny"], "q8")
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_bad_requests_are_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="dtype = q5: one of f16, q8, q4"):
        write_gguf(tmp_path / "model.gguf", SHAPES["llama-tiny"], "q5")
    with pytest.raises(InputError, match="a vocabulary of 354 or more, and widths that are multiples of 32"):
        write_gguf(tmp_path / "model.gguf", replace(SHAPES["llama-tiny"], hidden=48), "q8")
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DMOA_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"DMOA_CACHE_DIR = .*file: a folder that can be made and written to"):
        synthetic_gguf("llama-tiny")
    monkeypatch.setitem(__import__("sys").modules, "gguf", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'dmoa\[llamacpp\]'"):
        write_gguf(tmp_path / "model.gguf", SHAPES["llama-tiny"], "q8")


def test_files_that_hold_no_language_model_are_refused_in_one_line(tmp_path):
    whole = tmp_path / "whole.gguf"
    write_gguf(whole, SHAPES["llama-tiny"], "q8")
    raw = whole.read_bytes()
    cases = {
        "torch.bin": (b"PK\x03\x04whatever", "a pickle file, which can run code when read, and is refused"),
        "bare.gguf": (b"\x80\x04\x95", "a pickle file, which can run code when read, and is refused"),
        "text.gguf": (b"hello", "this is something else"),
        "cut.gguf": (raw[:3000], "its header is cut off or damaged"),
        "huge.gguf": (raw[:8] + b"\xff" * 16 + raw[24:], "its header is cut off or damaged"),
        "other.gguf": (raw.replace(b"llama.block_count", b"llama.block_cound"), "this one holds something else"),
    }
    for name, (content, reason) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=reason) as refused:
            read_gguf_header(tmp_path / name)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="there is no such file"):
        read_gguf_header(tmp_path / "none.gguf")
    with pytest.raises(InputError, match="a GGUF file that can be read"):
        read_gguf_header(tmp_path)
