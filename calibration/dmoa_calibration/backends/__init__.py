"""Inference engines behind one small protocol: run one prompt of exact length to an answer of exact length, and time it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from dmoa_calibration.memory import Memory
from dmoa_theory.errors import InputError

__all__ = ["LOADERS", "Backend", "Timing", "open_backend"]

LOADERS: dict[str, str] = {
    "transformers": "dmoa_calibration.backends.transformers_backend:load",
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
        """Give the ``runtime`` and ``model`` parts of a profile; the same words every time the same thing is opened."""
        ...

    def memory(self) -> Memory:
        """Say what the model needs; to be asked after the last inference, when the peak has been reached."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


def open_backend(
    name: str,
    *,
    model: str | None = None,
    synthetic: str | None = None,
    n_threads: int = 1,
    dtype: str | None = None,
    seed: int = 0,
) -> Backend:
    """Open the engine of that name with one model: a folder (``model``), or random weights of a named shape (``synthetic``).

    Parameters
    ----------
    name : str
        A key of :data:`LOADERS`.
    model, synthetic : str, optional
        Exactly one of them.
    n_threads : int
        Threads the engine may use.
    dtype : str, optional
        Number type of the weights; default: the model's own, or that of the synthetic shape.
    seed : int
        Of random weights and of the prompts' random tokens.

    Raises
    ------
    InputError
        An unknown engine, neither or both of ``model`` and ``synthetic``, or a model that cannot be used.
    BackendUnavailableError
        The engine is not installed.
    """
    if name not in LOADERS:
        raise InputError("backend", name, f"one of {', '.join(sorted(LOADERS))}")
    if (model is None) == (synthetic is None):
        given = InputError.MISSING if model is None else f"{model} and {synthetic}"
        raise InputError("model or synthetic", given, "exactly one: a model folder, or the name of a synthetic shape")
    if n_threads < 1:
        raise InputError("n_threads", n_threads, "a whole number, 1 or more")
    module, function = LOADERS[name].split(":")
    load = cast(Callable[..., Backend], getattr(import_module(module), function))
    return load(model=model, synthetic=synthetic, n_threads=n_threads, dtype=dtype, seed=seed)
