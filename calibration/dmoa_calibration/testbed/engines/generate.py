"""Text in, text out: the small protocol by which a node uses an inference engine, and how each engine is opened for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from dmoa_calibration.testbed.config import BackendConfig

__all__ = ["TextAnswer", "TextBackend", "open_text_backend"]

_LOADERS = {
    "transformers": "dmoa_calibration.testbed.engines.transformers_text:load",
    "llama_cpp": "dmoa_calibration.testbed.engines.llama_cpp_text:load",
    "openai_http": "dmoa_calibration.testbed.engines.openai_text:load",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextAnswer:
    """A text, and how many tokens the engine read and wrote for it."""

    text: str
    prompt_tokens: int
    output_tokens: int


class TextBackend(Protocol):
    """An engine with one model loaded, asked one prompt at a time from one thread."""

    def generate(self, prompt: str, *, max_tokens: int, exact: bool) -> TextAnswer:
        """Answer a prompt with at most ``max_tokens``; with exactly so many if ``exact``, as far as the engine can.

        Raises
        ------
        CalibrationError
            When the engine fails.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """Give ``backend``, ``model`` and ``random_weights``."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


def open_text_backend(config: BackendConfig, *, seed: int) -> TextBackend:
    """Open the engine of that name with one model; see :func:`dmoa_calibration.backends.open_backend` for the errors."""
    module, function = _LOADERS[config.name].split(":")
    load = cast(Callable[..., TextBackend], getattr(import_module(module), function))
    return load(config, seed=seed)
