"""What ``dmoa testbed`` is asked for: which prompts, at which load, of which engine; checked before anything starts."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_calibration.testbed.drive_plan import Instruction
    from dmoa_calibration.testbed.run_testbed import RunPlan
    from dmoa_theory.model.system import System

__all__ = ["at_load", "check_alone", "read_prompts", "run_plan", "with_list"]

# A load above this is a slip of the keyboard.
_MOST_LOAD = 100.0


def read_prompts(path: Path) -> tuple[Instruction, ...]:
    """The prompts of a file, as AlpacaEval has them."""
    from dmoa_calibration.testbed.drive_plan import read_instructions

    return read_instructions(path)


def run_plan(
    mode: Literal["paced", "padded", "real"],
    backend: str,
    engine: dict[str, Any],
    count: int,
    seed: int,
    asked: tuple[Instruction, ...] | None,
    output_tokens: int,
    open_queries: int | None,
    peer_jobs: int | None,
    patience: float,
) -> RunPlan:
    """What to run, checked before anything starts."""
    from dmoa_calibration.testbed.config import BackendConfig, Limits
    from dmoa_calibration.testbed.run_testbed import RunPlan

    if count < 1:
        raise InputError("--queries", count, "a whole number, 1 or more")
    if seed < 0:
        raise InputError("--seed", seed, "a whole number, 0 or more")
    if output_tokens < 1:
        raise InputError("--output-tokens", output_tokens, "a whole number, 1 or more")
    if not (math.isfinite(patience) and patience > 0):
        raise InputError("--patience", patience, "a number of seconds above 0")
    if (backend == "paced") != (mode == "paced"):
        allowed = "paced with --backend paced; padded or real with an LLM"
        raise InputError("--mode", mode, allowed)
    given = {name: value for name, value in engine.items() if value is not None}
    if backend == "paced" and given:
        name, value = next(iter(given.items()))
        raise InputError(f"--{name.replace('_', '-')}", value, "only with a --backend that is an LLM")
    if backend == "openai_http" and "url" not in given:
        raise InputError("--url", InputError.MISSING, "where the server is, such as http://127.0.0.1:8080")
    if backend in {"transformers", "llama_cpp"} and ("model" in given) == ("synthetic" in given):
        raise InputError("--model", given.get("model", InputError.MISSING), "a model, or --synthetic NAME: exactly one")
    limits = {}
    for name, most in (("open_queries", open_queries), ("peer_jobs", peer_jobs)):
        if most is not None:
            low = 1 if name == "open_queries" else 0
            if most < low:
                raise InputError(f"--{name.replace('_', '-')}", most, f"a whole number, {low} or more")
            limits[name] = most
    return RunPlan(
        mode=mode,
        backend=None if backend == "paced" else BackendConfig(name=backend, **given),
        prompts=count,
        seed=seed,
        texts=() if asked is None else tuple(each.text for each in asked),
        max_output_tokens=output_tokens,
        exact_output="synthetic" in given,  # answers of random weights have no end of their own
        limits=Limits(**{"open_queries": max(1000, count), "peer_jobs": 10**6, "held_bytes": 2**30} | limits),
        patience=patience,
    )


def check_alone(arrivals: Path | None, queries: int | None, load: float | None) -> None:
    """Refuse what a list of prompts says already."""
    for name, value in (("--queries", queries), ("--load", load)):
        if arrivals is not None and value is not None:
            raise InputError(name, value, "not beside --arrivals: the list says how many prompts come, and when")


def with_list(system: System, arrivals: Path | None, *, drawn: bool) -> System:
    """The system with the list that is to be played; without one where prompts are to be drawn at its rates."""
    if arrivals is None:
        return replace(system, log=None) if drawn else system
    from dmoa_theory.model.arrival_log import read_arrivals

    log = read_arrivals(arrivals, system.network)
    if log.remark:
        print(f"dmoa: {arrivals}: {log.remark}", file=sys.stderr)
    return replace(system, arrival_rate=log.rates, log=log)


def at_load(system: System, load: float | None) -> System:
    """The system with all rates scaled so that its busiest device has that load."""
    if load is None:
        return system
    if not 0 < load <= _MOST_LOAD:
        allowed = f"a number above 0, at most {_MOST_LOAD:g}, such as 0.8; 1 or more overloads a device"
        raise InputError("--load", load, allowed)
    from dmoa_theory.stability.loads import utilisation

    return system.with_rates(system.rates * (load / float(utilisation(system).max())))
