"""What answers a prompt at a device: a language model, its times padded or not, or nothing but the time it would take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from dmoa_calibration.testbed.config import NodeConfig
from dmoa_calibration.testbed.pace import Pace
from dmoa_calibration.testbed.protocol.messages import Kind

__all__ = ["Engine", "Generation", "Task", "open_engine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One inference to make; ``k`` is how many neighbours the asking user asks."""

    job: str
    kind: Kind
    k: int
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What came of it.

    Parameters
    ----------
    text : str
    prompt_tokens, output_tokens : int
        As the engine counts them.
    engine_s : float
        Wall seconds the model took.
    target_s : float or None
        Service time that was to be kept; None in real mode.
    overran : bool
        Whether the model took longer than that.
    """

    text: str
    prompt_tokens: int
    output_tokens: int
    engine_s: float
    target_s: float | None = None
    overran: bool = False


class Engine(Protocol):
    """Makes one inference at a time, without holding up the event loop."""

    async def run(self, task: Task) -> Generation:
        """Make one.

        Raises
        ------
        CalibrationError
            When the engine fails or takes too long.
        """
        ...

    def describe(self) -> Mapping[str, Any]:
        """Mode, and which model of which engine; whether its weights are random."""
        ...

    def close(self) -> None:
        """Free the model."""
        ...


def open_engine(config: NodeConfig) -> Engine:
    """The engine of a node.

    Raises
    ------
    InputError, BackendUnavailableError, CalibrationError
        As :func:`dmoa_calibration.backends.open_backend` does.
    """
    if config.mode == "paced":
        from dmoa_calibration.testbed.engines.paced import PacedEngine

        assert config.service is not None
        return PacedEngine(Pace(config.service, config.seed), config.max_output_tokens)
    from dmoa_calibration.testbed.engines.generate import open_text_backend
    from dmoa_calibration.testbed.engines.model import ModelEngine

    assert config.backend is not None
    backend = open_text_backend(config.backend, seed=config.seed)
    model = ModelEngine(backend, max_tokens=config.max_output_tokens, exact=config.exact_output, timeout=config.backend.timeout)
    if config.mode == "real":
        return model
    from dmoa_calibration.testbed.engines.padded import PaddedEngine

    assert config.service is not None
    return PaddedEngine(model, Pace(config.service, config.seed))
