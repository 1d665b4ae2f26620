"""What is sent to a live network, and when: fixed beforehand, whatever the network does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import FloatArray, IntArray, owned
from dmoa_theory.model.system import System

__all__ = ["QUESTIONS", "ArrivalPlan", "Instruction", "as_listed", "plan_arrivals", "read_instructions"]

#: What is asked where no prompts are given.
QUESTIONS = (
    "Why does bread rise, and what happens if the dough rests too long?",
    "Explain to a ten-year-old how a queue at a till grows when people come faster than they are served.",
    "Name three ways to keep a small flat cool in summer without air conditioning, and compare what they cost.",
    "Write a short letter that declines an invitation politely.",
    "What is the difference between weather and climate?",
    "Plan a day in a city that one has never been to, with little money and bad shoes.",
    "How would you find out whether a coin is fair?",
    "Summarise the advantages and drawbacks of working in the open rather than in private.",
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrivalPlan:
    """When each prompt is to be sent, and by which device's user.

    Parameters
    ----------
    time : ndarray, shape (n_prompts,), s
        Not falling.
    user : ndarray of int, shape (n_prompts,)
    """

    time: FloatArray
    user: IntArray

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        object.__setattr__(self, "time", owned(np.asarray(self.time, dtype=np.float64)))
        object.__setattr__(self, "user", owned(np.asarray(self.user, dtype=np.int64)))


def plan_arrivals(system: System, prompts: int, seed: int) -> ArrivalPlan:
    """Exact (one sample path): the first prompts of independent Poisson processes, one a user, at the rates of the system.

    Parameters
    ----------
    system : System
    prompts : int
    seed : int
        Same seed, same plan; at another load the same plan stretched.

    Examples
    --------
    >>> plan = plan_arrivals(System.from_arrays([[0]], 2.0, 0.1, M=0, k=0), 1000, seed=1)
    >>> bool(0.45 < plan.time[-1] / 1000 < 0.55)
    True
    """
    rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(1)[0])
    total = float(system.rates.sum())
    gaps = rng.standard_exponential(prompts)
    user = rng.choice(system.n_devices, size=prompts, p=system.rates / total)
    return ArrivalPlan(time=np.cumsum(gaps) / total, user=user)


def as_listed(log: ArrivalLog) -> ArrivalPlan:
    """The prompts of a list, at its times from the first one on."""
    return ArrivalPlan(time=np.asarray(log.time), user=np.asarray(log.user))


@dataclass(frozen=True, slots=True)
class Instruction:
    """A prompt, and what else its file says of it."""

    text: str
    rest: dict[str, Any]


def read_instructions(path: Path) -> tuple[Instruction, ...]:
    """Prompts from a JSON file as AlpacaEval has them: a list of objects with ``instruction``.

    Raises
    ------
    InputError
        When it is no such file.
    """
    allowed = 'a JSON list of objects with "instruction", as AlpacaEval takes them'
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError:
        raise InputError("--prompts", path, f"a file that can be read: {allowed}") from None
    except (ValueError, RecursionError):
        raise InputError("--prompts", path, allowed) from None
    if not isinstance(content, list) or not content:
        raise InputError("--prompts", path, allowed)
    found = []
    for place, each in enumerate(content):
        text = each.get("instruction") if isinstance(each, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"[{place}].instruction", InputError.MISSING, allowed, file=str(path))
        found.append(Instruction(text, {key: value for key, value in each.items() if key not in {"instruction", "output"}}))
    return tuple(found)
