"""A prompt under way, and the account that its answer gives of itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from dmoa_calibration.testbed.stage_run import StageOutcome, StageRun

__all__ = ["Query"]

_OF_A_RESPONSE = {"device", "text", "prompt_tokens", "output_tokens", "service_s"}


@dataclass(slots=True, eq=False)
class Query:
    """A prompt under way; ``arrived`` is on the monotonic clock, None in a process that took it over."""

    id: str
    prompt: str
    arrived_wall: float
    arrived: float | None
    resumed: int = 0
    run: StageRun | None = None
    layers: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    held_bytes: int = 0
    durable: asyncio.Future[None] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def note_stage(self, run: StageRun, outcome: StageOutcome, *, quorum: int, places: int, words: str) -> None:
        """Add a stage that has ended, in words where it was not as it should be.

        Parameters
        ----------
        run, outcome
            The stage, and how it ended.
        quorum, places : int
            Answers and devices that there should have been.
        words : str
            What to call the stage.
        """
        answered = len(outcome.responses)
        for one in outcome.replaced:
            what = f"replaced by {one['by']}" if one["by"] else "left out"
            self.notes.append(f"{words}: {one['device']} was {what}: {one['reason']}")
        if len(run.places) < places:
            self.notes.append(f"{words}: {len(run.places) - 1} of {places - 1} neighbours could be asked")
        if answered < quorum:
            self.notes.append(f"{words}: went on with {answered} of {quorum} answers")
        self.layers.append(
            {
                "stage": run.stage,
                "kind": run.kind,
                "quorum": quorum,
                "asked": run.asked,
                "missing": quorum - answered,
                "replaced": outcome.replaced,
                "responses": [response.model_dump(include=_OF_A_RESPONSE) for response in outcome.responses],
            }
        )

    def account(self, state: str, **known: Any) -> dict[str, Any]:
        """What is told of the query, with what is known of its end."""
        told = {"id": self.id, "state": state, "answer": None, "error": None, "arrived_wall": self.arrived_wall}
        told |= {"ended_wall": None, "latency_s": None, "resumed": self.resumed, "degraded": bool(self.notes)}
        return told | {"notes": self.notes, "layers": self.layers} | known
