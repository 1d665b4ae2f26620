"""Time a random-order design over prompt and output lengths within a budget; every counted sample is journalled at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from dmoa_calibration.backends import Backend, Timing
from dmoa_calibration.fit import check_design, leave_one_cell_out
from dmoa_calibration.samples import Journal, Sample
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["Design", "Progress", "default_prompt_tokens", "measure"]

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, message)`` after each sample."""

Cell = tuple[int, int]

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
    longest = 512 if n_ctx is None else min(512, n_ctx - longest_output)
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
        When the budget does not suffice for one repeat of the design.
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
                guesses = _warm_up(backend, design)
                cost = guesses | cost
                if repeat == 0:
                    _check_budget(design, keys, cost, time.monotonic() - started, budget)
                warm = True
            if repeat > 0 and time.monotonic() - started + cost[cell] > budget:
                return samples, f"budget of {budget:g} s spent"
            sample = Sample(repeat=repeat, timing=backend.infer(*cell)).rounded()
            journal.append(sample)
            samples.append(sample)
            cost[cell] = sample.timing.wall_s
            report(len(samples), total, f"{cell[0]} prompt + {cell[1]} output tokens: {sample.timing.wall_s:.3g} s")
        if target_error > 0 and _LEAST_REPEATS <= repeat + 1 < design.repeats:
            error = leave_one_cell_out([s.timing for s in samples])
            if error <= target_error:
                return samples, f"each cell predicted from the others within {100 * error:.1f} %"
    return samples, f"all {design.repeats} repeats measured"


def _warm_up(backend: Backend, design: Design) -> dict[Cell, float]:
    """Run the two ends of the prompt range once, uncounted, and guess from them what each cell will take, seconds."""
    ends = design.prompt_tokens[0], design.prompt_tokens[-1]
    few = design.output_tokens[0]
    backend.infer(ends[0], few)  # the very first inference pays for everything that is set up once
    short, long = (backend.infer(p, few) for p in ends)
    return {(p, o): _guess(short, long, p, o) for p, o in design.cells}


def _guess(short: Timing, long: Timing, p: int, o: int) -> float:
    share = (p - short.prompt_tokens) / (long.prompt_tokens - short.prompt_tokens)
    prefill = short.prefill_s + share * (long.prefill_s - short.prefill_s)
    steps = short.decode_s + share * (long.decode_s - short.decode_s)
    return max(prefill, 0.0) + max(steps, 0.0) * (o - 1) / (short.output_tokens - 1)


def _check_budget(
    design: Design, keys: set[tuple[int, int, int]], cost: dict[Cell, float], spent: float, budget: float
) -> None:
    """Refuse before measuring, not after: a budget that one repeat of the design would overrun."""
    missing = [cell for cell in design.cells if (0, *cell) not in keys]
    needed = sum(cost[cell] for cell in missing)
    if spent + needed > budget:
        raise CalibrationError(
            f"{budget:g} s do not suffice: the warm-up took {spent:.3g} s and one pass over the {len(missing)} (prompt, output)"
            f" pairs ({design.describe()}) will take about {needed:.3g} s more;"
            f" give a budget of {math.ceil(1.2 * (spent + needed))} s, or shorter prompts and outputs"
        )
