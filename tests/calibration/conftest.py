"""An engine whose times are known exactly, so that everything around the real one can be tested in milliseconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmoa_calibration.backends import LOADERS, Timing, open_backend
from dmoa_calibration.memory import Memory

COEFFICIENTS = {"c0": 0.05, "c1": 0.004, "c2": 1e-6, "d0": 0.1, "d1": 1e-5}


def known_seconds(p: int, o: int, c0: float, c1: float, c2: float, d0: float, d1: float) -> tuple[float, float]:
    s = o - 1
    return c0 + c1 * p + c2 * p * p, s * (d0 + d1 * (p + s / 2))


class KnownEngine:
    """Takes exactly the seconds of known coefficients, on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[tuple[int, int]] = []
        self.slowed = 1.0  # wall seconds for each CPU second
        self.interrupt_at = 0
        self.name = "known"
        self.closed = False
        self.n_ctx = 32768

    def infer(self, prompt_tokens: int, output_tokens: int) -> Timing:
        self.calls.append((prompt_tokens, output_tokens))
        if len(self.calls) == self.interrupt_at:
            raise KeyboardInterrupt
        prefill, decode = known_seconds(prompt_tokens, output_tokens, **COEFFICIENTS)
        self.now += (prefill + decode) * self.slowed
        return Timing(
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prefill_s=prefill * self.slowed,
            decode_s=decode * self.slowed,
            prefill_cpu_s=prefill,
            decode_cpu_s=decode,
        )

    def describe(self) -> dict:
        runtime = {"backend": "known", "backend_version": "1", "n_threads": 1, "dtype": "float32", "kv_type": "float32"}
        model = {"name": self.name, "arch": "none", "n_params": 1, "weight_bytes": 4, "random_weights": True}
        return {
            "runtime": runtime | {"n_ctx": self.n_ctx},
            "model": model | {"n_layers": 1, "n_kv_heads": 1, "head_dim": 1},
        }

    def memory(self) -> Memory:
        return Memory(weight_bytes=4, kv_bytes_per_token=8, peak_rss_bytes=None, load_time_s=0.0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def engine(monkeypatch):
    """The known engine, registered as backend ``known``; measuring runs on its clock."""
    known = KnownEngine()
    monkeypatch.setitem(sys.modules, "known_engine", SimpleNamespace(load=lambda **_: known))
    monkeypatch.setitem(LOADERS, "known", "known_engine:load")
    monkeypatch.setattr("dmoa_calibration.measure.time", SimpleNamespace(monotonic=lambda: known.now))
    return known


@pytest.fixture(scope="session")
def model_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own for generated models."""
    folder = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMOA_CACHE_DIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def llama(model_cache):
    """A real llama.cpp with a tiny model, and its own server."""
    pytest.importorskip("xllamacpp")
    backend = open_backend("llama_cpp", synthetic="llama-tiny")
    yield backend
    backend.close()
