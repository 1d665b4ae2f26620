"""llama.cpp in a child process: a GGUF file, or random weights of a named shape; times are the engine's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dmoa_calibration.backends import Timing
from dmoa_calibration.backends.llama_process import LlamaProcess
from dmoa_calibration.gguf_header import read_gguf_header
from dmoa_calibration.memory import Memory
from dmoa_calibration.synthetic import split_name
from dmoa_calibration.synthetic_gguf import GGUF_DTYPES, synthetic_gguf
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["LlamaCppBackend", "load"]

_MOST_CONTEXT = 4096  # tokens reserved unless more are needed
_STEP = 256  # llama.cpp rounds the context up to it


def load(
    *,
    model: str | None,
    synthetic: str | None,
    n_threads: int = 1,
    dtype: str | None = None,
    seed: int = 0,
    device: str | None = None,
    n_ctx: int | None = None,
    timeout: float = 300.0,
    **_: object,
) -> LlamaCppBackend:
    """Load a GGUF file, or write and load a synthetic one; see :func:`dmoa_calibration.backends.open_backend`."""
    if synthetic is not None:
        name, path = _synthetic(synthetic, dtype, seed)
    else:
        assert model is not None
        if dtype is not None:
            raise InputError("dtype", dtype, "nothing: a GGUF file has the number type it was written with")
        name, path = Path(model).stem, Path(model)
    return LlamaCppBackend(
        path,
        name=name,
        random_weights=synthetic is not None,
        n_threads=n_threads,
        device=device or "cpu",
        n_ctx=n_ctx,
        seed=seed,
        timeout=timeout,
    )


def _synthetic(asked: str, dtype: str | None, seed: int) -> tuple[str, Path]:
    """Full name and file of a synthetic model; without a number type it is q8."""
    shape, suffix = split_name(asked)
    if dtype is not None and dtype not in GGUF_DTYPES:
        raise InputError("dtype", dtype, f"one of {', '.join(GGUF_DTYPES)}")
    if dtype is not None and suffix not in (None, dtype):
        raise InputError("dtype", dtype, f"{suffix}, as the name {asked} says, or a name without it")
    kind = suffix or dtype or "q8"
    return f"{shape}-{kind}", synthetic_gguf(shape, kind, seed=seed)


class LlamaCppBackend:
    """A GGUF model in a llama.cpp of our own, one request at a time, no prompt cache, no stop token."""

    def __init__(
        self,
        path: Path,
        *,
        name: str,
        random_weights: bool,
        n_threads: int,
        device: str,
        n_ctx: int | None,
        seed: int,
        timeout: float,
    ) -> None:
        self._header = read_gguf_header(path)
        longest = self._header.n_ctx or _MOST_CONTEXT
        wanted = _MOST_CONTEXT if n_ctx is None else -(-n_ctx // _STEP) * _STEP
        self._n_ctx = min(longest, wanted)
        self._name, self._random_weights, self._n_threads = name, random_weights, n_threads
        self._timeout = timeout
        self._rng = np.random.default_rng(seed)
        self.process = LlamaProcess(path, n_ctx=self._n_ctx, n_threads=n_threads, device=device)

    def infer(self, prompt_tokens: int, output_tokens: int) -> Timing:
        """Time one greedy generation of exactly ``output_tokens`` from a prompt of random token ids."""
        if prompt_tokens < 1 or output_tokens < 1 or prompt_tokens + output_tokens > self._n_ctx:
            asked = f"{prompt_tokens} + {output_tokens}"
            raise InputError("prompt_tokens + output_tokens", asked, f"1 or more each, in all at most {self._n_ctx}")
        prompt = self._rng.integers(0, self._header.vocabulary, prompt_tokens).tolist()
        told = self.process.infer(prompt, output_tokens, timeout=self._timeout)
        if (told["prompt_n"], told["predicted_n"], told["cache_n"]) != (prompt_tokens, output_tokens, 0):
            raise CalibrationError(
                f"llama.cpp read {told['prompt_n']} tokens, took {told['cache_n']} from its cache and made"
                f" {told['predicted_n']} where {prompt_tokens}, 0 and {output_tokens} were asked for: its times cannot be used"
            )
        return Timing(
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prefill_s=told["prompt_ms"] / 1e3,
            decode_s=told["predicted_ms"] / 1e3,
            prefill_cpu_s=told["prompt_cpu_s"],
            decode_cpu_s=told["predicted_cpu_s"],
        )

    def describe(self) -> dict[str, dict[str, Any]]:
        """Give the ``runtime`` and ``model`` parts of a profile, and of ``hardware`` the accelerator, where one is used."""
        header, accelerator = self._header, self.process.facts["accelerator"]
        one_kind = len(set(header.kv_heads)) == 1
        about: dict[str, dict[str, Any]] = {
            "runtime": {
                "backend": "llama_cpp",
                "backend_version": self.process.facts["version"],
                "n_threads": self._n_threads,
                "dtype": header.dtype,
                "kv_type": "f16",
                "n_ctx": self._n_ctx,
                "timed_by": "engine",
            },
            "model": {
                "name": self._name,
                "arch": header.arch,
                "n_params": header.n_params,
                "weight_bytes": header.weight_bytes,
                "random_weights": self._random_weights,
                "n_layers": header.n_layers,
                "n_kv_heads": max(header.kv_heads[0], 1) if one_kind else None,
                "head_dim": max(round(header.head_dims[0]), 1) if one_kind else None,
            },
        }
        return about | ({"hardware": {"accelerator": accelerator}} if accelerator else {})

    def memory(self) -> Memory:
        """Say what the model needs; the peak is that of the child, weights mapped into memory included."""
        return Memory(
            weight_bytes=self._header.weight_bytes,
            kv_bytes_per_token=self._header.kv_bytes_per_token(),
            peak_rss_bytes=self.process.peak_rss_bytes(),
            load_time_s=self.process.facts["load_time_s"],
        )

    def close(self) -> None:
        """End the child."""
        self.process.close()
