"""llama.cpp in a child process, asked through the server that it brings along."""

from __future__ import annotations

import re
from typing import Any

from dmoa_calibration.backends.http_client import HttpClient
from dmoa_calibration.backends.llama_cpp_backend import LlamaCppBackend
from dmoa_calibration.backends.llama_cpp_backend import load as load_backend
from dmoa_calibration.testbed.config import BackendConfig
from dmoa_calibration.testbed.engines.generate import TextAnswer
from dmoa_calibration.testbed.engines.openai_text import OpenAiText
from dmoa_theory.errors import BackendUnavailableError, InputError

__all__ = ["LlamaCppText", "load"]


def load(config: BackendConfig, *, seed: int) -> LlamaCppText:
    """Load a GGUF file, or write and load a synthetic one."""
    if (config.model is None) == (config.synthetic is None):
        raise InputError("backend", config.name, "exactly one of model, a GGUF file, and synthetic, the name of a shape")
    backend = load_backend(
        model=config.model,
        synthetic=config.synthetic,
        n_threads=config.n_threads,
        dtype=config.dtype,
        seed=seed,
        device=config.device,
        n_ctx=config.n_ctx,
        timeout=config.timeout,
    )
    if backend.process.url is None:
        backend.close()
        raise BackendUnavailableError("llama_cpp (with its server)", "llamacpp")
    return LlamaCppText(backend, timeout=config.timeout)


class LlamaCppText:
    """A GGUF model that this node alone can ask."""

    def __init__(self, backend: LlamaCppBackend, *, timeout: float) -> None:
        self._backend = backend
        process, model = backend.process, backend.describe()["model"]
        assert process.url is not None
        client = HttpClient(process.url, key=process.api_key, timeout=timeout)
        self._about = {"backend": "llama_cpp", "model": model["name"], "random_weights": model["random_weights"]}
        self._server = OpenAiText(client, "default")

    def generate(self, prompt: str, *, max_tokens: int, exact: bool) -> TextAnswer:
        """Ask for one answer; what random weights make of bytes is shown without control characters."""
        answer = self._server.generate(prompt, max_tokens=max_tokens, exact=exact)
        if not self._about["random_weights"]:
            return answer
        text = re.sub(r"[^ -~]+", " ", answer.text).strip()
        return TextAnswer(text=text, prompt_tokens=answer.prompt_tokens, output_tokens=answer.output_tokens)

    def describe(self) -> dict[str, Any]:
        """The model."""
        return dict(self._about)

    def close(self) -> None:
        """End the child."""
        self._backend.close()
