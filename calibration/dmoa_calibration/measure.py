"""Time a random-order design over prompt and output lengths within a budget; every counted sample is journalled at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from dmoa_calibration.backends import Backend, Timing
from dmoa_calibration.contention import CONTENDED_BELOW
from dmoa_calibration.fit import check_design, leave_one_cell_out
from dmoa_calibration.samples import Journal, Sample
from dmoa_theory.errors import CalibrationError, DmoaError, InputError

__all__ = ["LONGEST_PROMPT", "Design", "Progress", "default_prompt_tokens", "described", "infer", "measure", "reason"]

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, message)`` after each sample."""

LONGEST_PROMPT = 512
"""Tokens of the longest prompt, unless others are asked for or the context is short."""

Cell = tuple[int, int]

_WARM_SECONDS = 0.5
_MOST_WARM_UPS = 50
_LEAST_REPEATS = 2  # before the leave-one-out error may end a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Which lengths to measure, how often, and in which order.

    Parameters
    ----------
    prompt_tokens, output_tokens : tuple of int
        Every pair of them is a cell; at least three and two different ones.
    repeats : int
        How often each cell is measured at most.
    seed : int
        Of the order, drawn anew for each repeat.

    Raises
    ------
    InputError
        When there are too few lengths or one is below 1 (2 for outputs: the second token is the first decode step).

    Examples
    --------
    >>> design = Design(prompt_tokens=(32, 128, 512), output_tokens=(8, 64), repeats=1)
    >>> sorted(design.order(0)) == sorted(design.cells)
    True
    >>> design.describe()
    'p = 32,128,512; o = 8,64; seed = 0'
    """

    prompt_tokens: tuple[int, ...]
    output_tokens: tuple[int, ...]
    repeats: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        """Check the lengths, and sort them."""
        for name, least, fewest in (("prompt_tokens", 1, 3), ("output_tokens", 2, 2)):
            lengths = tuple(sorted(set(getattr(self, name))))
            if len(lengths) < fewest or lengths[0] < least:
                raise InputError(name, list(lengths), f"at least {fewest} different token counts, each {least} or more")
            object.__setattr__(self, name, lengths)
        if self.repeats < 1:
            raise InputError("repeats", self.repeats, "a whole number, 1 or more")
        if self.seed < 0:
            raise InputError("seed", self.seed, "a whole number, 0 or more")
        check_design(*np.array(self.cells).T)

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every (prompt tokens, output tokens) pair."""
        return tuple(product(self.prompt_tokens, self.output_tokens))

    def order(self, repeat: int) -> list[Cell]:
        """Give the cells in the order of that repeat; the same for the same seed, however many repeats follow."""
        rng = np.random.default_rng([self.seed, repeat])
        return [self.cells[i] for i in rng.permutation(len(self.cells))]

    def describe(self) -> str:
        """One line; two runs with the same line may be joined."""
        lengths = [",".join(map(str, tokens)) for tokens in (self.prompt_tokens, self.output_tokens)]
        return f"p = {lengths[0]}; o = {lengths[1]}; seed = {self.seed}"


def default_prompt_tokens(n_ctx: int | None, longest_output: int) -> tuple[int, int, int]:
    """Choose 32, 128 and 512 tokens, or less where the context is short: smallest, geometric middle, largest.

    Examples
    --------
    >>> default_prompt_tokens(32768, 64), default_prompt_tokens(256, 64)
    ((32, 128, 512), (32, 78, 192))
    """
    longest = LONGEST_PROMPT if n_ctx is None else min(LONGEST_PROMPT, n_ctx - longest_output)
    shortest = min(32, longest // 4)
    if shortest < 1:
        raise InputError(
            "output_tokens", longest_output, f"an output that leaves room for a prompt in {n_ctx} tokens of context"
        )
    return shortest, round(math.sqrt(shortest * longest)), longest


def measure(
    backend: Backend,
    design: Design,
    journal: Journal,
    *,
    budget: float,
    done: Sequence[Sample] = (),
    target_error: float = 0.02,
    watch_processor: bool = False,
    progress: Progress | None = None,
) -> tuple[list[Sample], str]:
    """Measure what the journal does not hold yet.

    Parameters
    ----------
    backend : Backend
        The engine, model loaded.
    design : Design
        What to measure.
    journal : Journal
        Receives every counted sample as soon as it is measured.
    budget : float, seconds
        Wall time for warm-ups and samples of this call; one repeat of the whole design is always finished.
    done : sequence of Sample
        Samples already in the journal, not to be measured again.
    target_error : float
        Stop after two repeats or more once each cell is predicted from the others this well (median); 0 never stops early.
    watch_processor : bool
        Whether CPU seconds can tell a busy machine (one thread, on the processor): if so, it is said while it happens.
    progress : callable, optional
        ``progress(done, total, message)``.

    Returns
    -------
    samples : list of Sample
        Those done before and those measured now, in order.
    stopped : str
        Why measuring ended, in words.

    Raises
    ------
    CalibrationError
        When the budget does not suffice for one repeat of the design, the engine fails, or a sample cannot be kept.
    """
    samples = list(done)
    keys = {sample.key for sample in samples}
    total = max(len(samples), len(design.cells) * design.repeats)  # a resumed journal may hold more repeats
    report = progress or (lambda *_: None)
    started = time.monotonic()
    cost: dict[Cell, float] = {(s.timing.prompt_tokens, s.timing.output_tokens): s.timing.wall_s for s in samples}
    warm = False
    for repeat in range(design.repeats):
        for cell in design.order(repeat):
            if (repeat, *cell) in keys:
                continue
            if not warm:
                report(len(samples), total, "warming up")
                guesses = _warm_up(backend, design, budget)
                if repeat == 0:
                    spent = time.monotonic() - started
                    if spent <= budget < spent + _needed(design, keys, guesses | cost):
                        again = _look(backend, design)  # a machine that stalled in the warm-up is not a slow one
                        guesses = {cell: min(seconds, again[cell]) for cell, seconds in guesses.items()}
                    _check_budget(design, keys, guesses | cost, time.monotonic() - started, budget)
                cost = guesses | cost
                warm = True
            if repeat > 0 and time.monotonic() - started + cost[cell] > budget:
                return samples, f"budget of {budget:g} s spent"
            sample = Sample(repeat=repeat, timing=infer(backend, *cell)).rounded()
            journal.append(sample)
            samples.append(sample)
            keys.add(sample.key)
            cost[cell] = sample.timing.wall_s
            left = _time_left(design, keys, cost, budget - (time.monotonic() - started))
            report(len(samples), total, _message(sample.timing, left, watched=watch_processor))
        if target_error > 0 and _LEAST_REPEATS <= repeat + 1 < design.repeats:
            error = leave_one_cell_out([s.timing for s in samples])
            if error <= target_error:
                return samples, f"each cell predicted from the others within {100 * error:.1f} %, the median"
    return samples, f"all {design.repeats} repeats measured"


def described(backend: Backend) -> dict[str, dict[str, Any]]:
    """What the engine says of itself.

    Raises
    ------
    CalibrationError
        In one line, whatever the engine raised.
    """
    try:
        return backend.describe()
    except (DmoaError, MemoryError):
        raise
    except Exception as error:  # as little to be foreseen as what goes wrong in an inference
        raise CalibrationError(f"the engine could not say what it is: {reason(error)}") from error


def infer(backend: Backend, prompt_tokens: int, output_tokens: int) -> Timing:
    """Time one inference, and believe the engine nothing that can be checked.

    Raises
    ------
    CalibrationError
        In one line, whatever the engine raised, or when its lengths or times cannot be those of what was asked for.
    """
    asked = f"{output_tokens} tokens after a prompt of {prompt_tokens}"
    try:
        timing = backend.infer(prompt_tokens, output_tokens)
    except (DmoaError, MemoryError):
        raise
    except Exception as error:  # engines fail in many ways, and the samples before are kept in every one of them
        raise CalibrationError(f"the engine failed on {asked}: {reason(error)}; the samples before are kept") from error
    if (timing.prompt_tokens, timing.output_tokens) != (prompt_tokens, output_tokens):
        made = f"{timing.output_tokens} after {timing.prompt_tokens}"
        raise CalibrationError(f"the engine was asked for {asked} and timed {made}: its times cannot be used")
    if timing.cached_tokens:
        raise CalibrationError(
            f"the engine took {timing.cached_tokens} of {prompt_tokens} prompt tokens from a cache: turn its prompt cache off"
        )
    spans = {"prefill": timing.prefill_s, "decode": timing.decode_s}
    for name, seconds in spans.items():
        if not (math.isfinite(seconds) and (seconds > 0 or (name == "decode" and output_tokens == 1))):
            raise CalibrationError(f"the engine reports {seconds:g} s of {name} for {asked}: its times cannot be used")
    for name, cpu in (("prefill", timing.prefill_cpu_s), ("decode", timing.decode_cpu_s)):
        if cpu is not None and not (math.isfinite(cpu) and cpu >= 0):
            raise CalibrationError(f"the engine reports {cpu:g} CPU seconds of {name} for {asked}: its times cannot be used")
    return timing


def reason(error: Exception) -> str:
    """What a foreign exception says, on one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def _time_left(design: Design, keys: set[tuple[int, int, int]], cost: dict[Cell, float], budget: float) -> float:
    """Seconds that the rest of the design will take at most: its samples as they took before, within the budget."""
    rest = sum(cost[cell] for repeat in range(design.repeats) for cell in design.cells if (repeat, *cell) not in keys)
    return max(min(rest, budget), _needed(design, keys, cost))


def _message(timing: Timing, left: float, *, watched: bool) -> str:
    """One line of progress: what was measured, how long it will take yet, and whether other work is in the way."""
    line = f"{timing.prompt_tokens} prompt + {timing.output_tokens} output tokens: {timing.wall_s:.3g} s"
    if watched and timing.cpu_s is not None and timing.cpu_s < CONTENDED_BELOW * timing.wall_s:
        line += f" ({100 * timing.cpu_s / timing.wall_s:.0f} % of a core: the machine is busy)"
    return line + (f", at most {left:.0f} s left" if left >= 0.5 else "")


def _warm_up(backend: Backend, design: Design, budget: float) -> dict[Cell, float]:
    """Run the two ends of the prompt range, uncounted, and guess from them what each cell will take, seconds.

    Once each where an inference takes long; again and again for half a second where it is short, because the first handful of
    calls in a process is slow, which would show in a fit to milliseconds.
    """
    infer(backend, design.prompt_tokens[0], design.output_tokens[0])  # the very first one pays for all that is set up once
    began = time.monotonic()
    for _ in range(_MOST_WARM_UPS):
        guesses = _look(backend, design)
        if time.monotonic() - began >= min(_WARM_SECONDS, 0.05 * budget):
            break
    return guesses


def _look(backend: Backend, design: Design) -> dict[Cell, float]:
    """Run the two ends of the prompt range once, and guess from them what each cell will take, seconds."""
    short, long = (infer(backend, p, design.output_tokens[0]) for p in (design.prompt_tokens[0], design.prompt_tokens[-1]))
    return {(p, o): _guess(short, long, p, o) for p, o in design.cells}


def _guess(short: Timing, long: Timing, p: int, o: int) -> float:
    share = (p - short.prompt_tokens) / (long.prompt_tokens - short.prompt_tokens)
    prefill = short.prefill_s + share * (long.prefill_s - short.prefill_s)
    steps = short.decode_s + share * (long.decode_s - short.decode_s)
    return max(prefill, 0.0) + max(steps, 0.0) * (o - 1) / (short.output_tokens - 1)


def _needed(design: Design, keys: set[tuple[int, int, int]], cost: dict[Cell, float]) -> float:
    """Seconds of one pass over what the first repeat does not have yet: done whatever the budget says."""
    return sum(cost[cell] for cell in design.cells if (0, *cell) not in keys)


def _check_budget(
    design: Design, keys: set[tuple[int, int, int]], cost: dict[Cell, float], spent: float, budget: float
) -> None:
    """Refuse before measuring, not after: a budget that one repeat of the design would overrun."""
    missing = [cell for cell in design.cells if (0, *cell) not in keys]
    needed = _needed(design, keys, cost)
    if spent + needed > budget:
        raise CalibrationError(
            f"{budget:g} s do not suffice: the warm-up took {spent:.3g} s and one pass over the {len(missing)} (prompt, output)"
            f" pairs ({design.describe()}) will take about {needed:.3g} s more;"
            f" give a budget of {math.ceil(1.2 * (spent + needed))} s, or shorter prompts and outputs"
        )
