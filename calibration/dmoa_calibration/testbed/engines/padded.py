"""A real model, its times padded to those that the scenario's law draws."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from dmoa_calibration.testbed.engines import Generation, Task
from dmoa_calibration.testbed.engines.model import ModelEngine
from dmoa_calibration.testbed.engines.paced import sleep_until
from dmoa_calibration.testbed.pace import Pace

__all__ = ["PaddedEngine"]


class PaddedEngine:
    """Asks the model, then sleeps for what is left of the drawn time.

    Several devices on one machine take time from each other; as long as the model needs less than the drawn time, padding hides
    that. Where it needs more, the inference overruns and is marked so.
    """

    def __init__(self, model: ModelEngine, pace: Pace) -> None:
        self._model, self._pace = model, pace

    async def run(self, task: Task) -> Generation:
        """Answer, no earlier than after the drawn time."""
        began = time.monotonic()
        target = self._pace.seconds(task.job, task.kind, task.k)
        made = await self._model.run(task)
        overran = time.monotonic() > began + target
        await sleep_until(began + target)
        return replace(made, target_s=target, overran=overran)

    def describe(self) -> dict[str, Any]:
        """The model, and that its times are padded."""
        return self._model.describe() | {"mode": "padded"}

    def close(self) -> None:
        """Free the model."""
        self._model.close()
