"""A real model, in a thread beside the event loop."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dmoa_calibration.testbed.engines import Generation, Task
from dmoa_calibration.testbed.engines.generate import TextBackend
from dmoa_theory.errors import CalibrationError

__all__ = ["ModelEngine"]


class ModelEngine:
    """One inference at a time of a model with text in and out.

    Parameters
    ----------
    backend : TextBackend
    max_tokens : int
        Of every answer, at most.
    exact : bool
        Whether an answer goes on past the end-of-text token, so that each has that length.
    timeout : float, seconds
        After which an inference counts as failed. What hangs in this process cannot be stopped; those after it fail too.
    """

    def __init__(self, backend: TextBackend, *, max_tokens: int, exact: bool, timeout: float) -> None:
        self._backend, self._max_tokens, self._exact, self._timeout = backend, max_tokens, exact, timeout
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def run(self, task: Task) -> Generation:
        """Ask the model."""
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        call = loop.run_in_executor(
            self._thread, lambda: self._backend.generate(task.prompt, max_tokens=self._max_tokens, exact=self._exact)
        )
        try:
            made = await asyncio.wait_for(call, self._timeout)
        except TimeoutError:
            raise CalibrationError(f"the model did not answer within {self._timeout:g} s") from None
        return Generation(
            text=made.text,
            prompt_tokens=made.prompt_tokens,
            output_tokens=made.output_tokens,
            engine_s=time.monotonic() - began,
        )

    def describe(self) -> dict[str, Any]:
        """The model."""
        return {"mode": "real"} | self._backend.describe()

    def close(self) -> None:
        """Free the model."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._backend.close()
