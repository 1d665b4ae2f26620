"""No model: a made-up answer after the service time that the scenario's law draws."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from dmoa_calibration.testbed.choice import generator_for
from dmoa_calibration.testbed.engines import Generation, Task
from dmoa_calibration.testbed.pace import Pace

__all__ = ["PacedEngine", "sleep_until"]

_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_SLACK = 0.0005  # seconds; what is shorter is not worth going to sleep for


async def sleep_until(moment: float) -> None:
    """Sleep until that moment of the monotonic clock, and not before it."""
    while (left := moment - time.monotonic()) > 0:
        await asyncio.sleep(left if left > _SLACK else 0)


class PacedEngine:
    """Sleeps, and says how many words it would have said.

    Parameters
    ----------
    pace : Pace
    tokens : int
        Words of every answer.
    """

    def __init__(self, pace: Pace, tokens: int) -> None:
        self._pace, self._tokens = pace, tokens

    async def run(self, task: Task) -> Generation:
        """Take the drawn time, then answer with made-up words."""
        began = time.monotonic()
        target = self._pace.seconds(task.job, task.kind, task.k)
        first = int(generator_for(0, task.job).integers(len(_WORDS)))
        text = " ".join(_WORDS[(first + i) % len(_WORDS)] for i in range(self._tokens))
        await sleep_until(began + target)
        prompt_tokens = task.prompt.count(" ") + 1
        return Generation(
            text=text, prompt_tokens=prompt_tokens, output_tokens=self._tokens, engine_s=0.0, target_s=target, overran=False
        )

    def describe(self) -> dict[str, Any]:
        """No model at all."""
        return {"mode": "paced", "backend": None, "model": None, "random_weights": None}

    def close(self) -> None:
        """Nothing to free."""
