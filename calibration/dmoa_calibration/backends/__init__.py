"""Inference engines behind one small protocol: run one prompt of exact length to an answer of exact length, and time it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

from dmoa_calibration.memory import Memory
from dmoa_theory.errors import InputError

__all__ = ["LOADERS", "Backend", "ChoosesPrompts", "Timing", "open_backend"]

LOADERS: dict[str, str] = {
    "transformers": "dmoa_calibration.backends.transformers_backend:load",
    "llama_cpp": "dmoa_calibration.backends.llama_cpp_backend:load",
    "openai_http": "dmoa_calibration.backends.openai_http_backend:load",
}
"""Where each engine's loader stands, as ``module:function``; a module is imported only when its engine is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """One timed inference.

    Parameters
    ----------
    prompt_tokens, output_tokens : int
        Exact lengths, checked by the engine.
    prefill_s, decode_s : float
        Wall seconds until the first token, and from the first token to the last.
    prefill_cpu_s, decode_cpu_s : float or None
        CPU seconds of this process in the same two spans; None where the engine runs elsewhere.
    cached_tokens : int
        Prompt tokens that the engine took from a cache instead of computing them.

    Examples
    --------
    >>> Timing(prompt_tokens=32, output_tokens=5, prefill_s=0.5, decode_s=1.0, prefill_cpu_s=0.5, decode_cpu_s=0.9).wall_s
    1.5
    """

    prompt_tokens: int
    output_tokens: int
    prefill_s: float
    decode_s: float
    prefill_cpu_s: float | None = None
    decode_cpu_s: float | None = None
    cached_tokens: int = 0

    @property
    def wall_s(self) -> float:
        """Wall seconds of the whole inference."""
        return self.prefill_s + self.decode_s

    @property
    def cpu_s(self) -> float | None:
        """CPU seconds of the whole inference; None where unknown."""
        if self.prefill_cpu_s is None or self.decode_cpu_s is None:
            return None
        return self.prefill_cpu_s + self.decode_cpu_s


class Backend(Protocol):
    """An engine with one model loaded."""

    def infer(self, prompt_tokens: int, output_tokens: int) -> Timing:
        """Run one inference of exactly these lengths.

        Raises
        ------
        CalibrationError
            When the engine did not produce exactly what was asked for.
        InputError
            When the lengths do not fit into the model's context.
        """
        ...

    def describe(self) -> dict[str, dict[str, Any]]:
        """Give the ``runtime`` and ``model`` parts of a profile; the same words every time the same thing is opened.

        An engine that does not run on this machine's processors alone says in a ``hardware`` part what is different.
        """
        ...

    def memory(self) -> Memory:
        """Say what the model needs; to be asked after the last inference, when the peak has been reached."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


@runtime_checkable
class ChoosesPrompts(Protocol):
    """An engine that cannot have a prompt of every length."""

    def prompt_lengths(self, asked: tuple[int, ...]) -> tuple[int, ...]:
        """Give the lengths that can be had in place of those asked for."""
        ...


def open_backend(
    name: str,
    *,
    model: str | None = None,
    synthetic: str | None = None,
    url: str | None = None,
    api_key_env: str | None = None,
    device: str | None = None,
    n_threads: int = 1,
    dtype: str | None = None,
    n_ctx: int | None = None,
    timeout: float = 300.0,
    seed: int = 0,
) -> Backend:
    """Open the engine of that name with one model: a trained one, or random weights of a named shape.

    Parameters
    ----------
    name : str
        A key of :data:`LOADERS`.
    model, synthetic : str, optional
        Exactly one of them: a folder (``transformers``) or a GGUF file (``llama_cpp``), or a shape, for ``llama_cpp`` with its
        number type (``llama-small-q8``). For ``openai_http`` the name of the model at the server; none if it has only one.
    url : str, optional
        Of the server, for ``openai_http`` and for nothing else.
    api_key_env : str, optional
        Name of the environment variable that holds the server's key; the key itself is neither printed nor stored.
    device : str, optional
        Where to compute: ``cpu``, or what the engine offers (``cuda``, ``cuda:1``, ``mps``; for llama.cpp ``gpu`` or a name).
    n_threads : int
        Threads the engine may use.
    dtype : str, optional
        Number type of the weights; default: the model's own, or that of the synthetic shape.
    n_ctx : int, optional
        Tokens of context that will be needed, for engines that reserve memory beforehand.
    timeout : float, seconds
        Longest that one inference may take where the engine runs in another process.
    seed : int
        Of random weights and of the prompts' random tokens.

    Raises
    ------
    InputError
        An unknown engine, neither or both of ``model`` and ``synthetic``, or a model, server or device that cannot be used.
    BackendUnavailableError
        The engine is not installed.
    CalibrationError
        The engine fails.
    """
    if name not in LOADERS:
        raise InputError("backend", name, f"one of {', '.join(sorted(LOADERS))}")
    if name == "openai_http":
        _only_a_server(url, synthetic, device, dtype)
    elif url is not None or api_key_env is not None:
        option, value = ("url", url) if url is not None else ("api_key_env", "given")
        raise InputError(option, value, f"nothing with {name}, which runs here; a server is timed with openai_http")
    elif (model is None) == (synthetic is None):
        given = InputError.MISSING if model is None else f"{model} and {synthetic}"
        raise InputError("model or synthetic", given, "exactly one: a model folder or file, or the name of a synthetic shape")
    if n_threads < 1:
        raise InputError("n_threads", n_threads, "a whole number, 1 or more")
    if not (math.isfinite(timeout) and timeout > 0):
        raise InputError("timeout", timeout, "a number of seconds above 0")
    module, function = LOADERS[name].split(":")
    load = cast(Callable[..., Backend], getattr(import_module(module), function))
    return load(
        model=model,
        synthetic=synthetic,
        url=url,
        api_key_env=api_key_env,
        device=device,
        n_threads=n_threads,
        dtype=dtype,
        n_ctx=n_ctx,
        timeout=timeout,
        seed=seed,
    )


def _only_a_server(url: str | None, synthetic: str | None, device: str | None, dtype: str | None) -> None:
    """Refuse what a server decides for itself."""
    if url is None:
        raise InputError("url", InputError.MISSING, "where the server is, such as http://127.0.0.1:8080")
    for option, given in (("synthetic", synthetic), ("device", device), ("dtype", dtype)):
        if given is not None:
            raise InputError(option, given, "nothing with openai_http: the server has its model already")
