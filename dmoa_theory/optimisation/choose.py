"""Choose (M, k): the best configuration within the limits as stated, and the one that can be defended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.accuracy.table import DEFAULT_TABLE, AccuracyTable, read_accuracy
from dmoa_theory.errors import InputError
from dmoa_theory.model.system import System
from dmoa_theory.optimisation.candidates import Candidate, Evaluations, evaluate_all
from dmoa_theory.optimisation.decision import OBJECTIVES, Decision
from dmoa_theory.optimisation.limits import Limits, Violation
from dmoa_theory.optimisation.mend import Relaxation, conflicts, relax
from dmoa_theory.optimisation.prices import how_far_it_holds, prices
from dmoa_theory.optimisation.reach import at_its_reach
from dmoa_theory.optimisation.recommend import STANDARD_ERRORS, Recommendation, recommend, standings
from dmoa_theory.optimisation.replayed import Replays
from dmoa_theory.optimisation.verify import Trial, try_out

if TYPE_CHECKING:
    from dmoa_theory.accuracy.belief import Belief

__all__ = ["STANDARD_ERRORS", "Decision", "Relaxation", "optimise", "table_of"]


def table_of(system: System, accuracy: AccuracyTable | str | None = None) -> AccuracyTable:
    """The accuracy data that a choice goes by: those named, failing that the system's own, failing that the default."""
    if isinstance(accuracy, AccuracyTable):
        return accuracy
    named = accuracy if accuracy is not None else system.accuracy
    return read_accuracy(DEFAULT_TABLE if named is None else named)


def optimise(
    system: System,
    *,
    accuracy: AccuracyTable | str | None = None,
    limits: Limits | None = None,
    evaluations: Evaluations | None = None,
    objective: str = "accuracy",
    robust: bool = True,
    fitted: bool = True,
    simulation: bool = True,
    replays: Replays | None = None,
    explain: bool = True,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Decision:
    """Choose one (M, k) for all users among the configurations whose accuracy is known, by evaluating every one.

    Parameters
    ----------
    system : System
        Its ``constraints`` are the limits; its own (M, k) plays no part.
    accuracy : AccuracyTable or str, optional
        Accuracy by (M, k); default the system's own table, and failing that ``"mitra2024-diverse"``.
    limits : Limits, optional
        In place of the system's; can also hold p99 and every user to a limit.
    evaluations : Evaluations, optional
        Of the system under these limits; to share what is evaluated with other questions.
    objective : str
        ``"accuracy"``; ``"latency"``: the fastest of those that meet the limits, the least accuracy among them; ``"load"``:
        the largest factor on all rates at which they are met.
    robust : bool
        Whether what is recommended has to meet the limits with margins: service times two standard errors longer, latencies
        raised by their typical error.
    fitted : bool
        Whether what is recommended goes by accuracies fitted to the data, rather than by those stated.
    simulation : bool
        Whether to simulate what is chosen and recommended, also under the system's list of prompts where it has one (but for
        the objective load: a list is not made denser); what misses a limit there is not recommended.
    replays : Replays, optional
        Of the evaluations' system under its list of prompts; to share what is played with other questions.
    explain : bool
        Whether to look how far the choice holds when loads or service times differ.
    seed : int
        Of the simulations.
    progress : callable, optional
        Told the fraction done, from 0 to 1.

    Returns
    -------
    Decision

    Raises
    ------
    InputError
        When the accuracy data cannot be read, or the objective is not known.

    Notes
    -----
    Exact as an optimisation: every configuration is evaluated. What it is exact for are the latency theory's figures, with
    their errors, and accuracies with theirs; hence ``recommended`` beside ``choice``.

    Examples
    --------
    >>> from dmoa_theory import load_scenario, optimise
    >>> decision = optimise(load_scenario(), simulation=False)
    >>> decision.feasible
    True
    """
    if objective not in OBJECTIVES:
        raise InputError("objective", objective, f"one of {', '.join(OBJECTIVES)}")
    table = table_of(system, accuracy)
    evaluations = evaluations or Evaluations(system, limits)
    if objective == "load":
        candidates = at_its_reach(evaluations, table.entries, progress=progress)
    else:
        candidates = evaluate_all(evaluations, table.entries, progress=progress)
    ranked = sorted((c for c in candidates if c.feasible), key=lambda c: _rank(c, objective))
    choice = ranked[0] if ranked else None
    belief = _belief(table) if fitted else None
    errors = STANDARD_ERRORS if robust else 0.0
    held = candidates
    if objective == "load" and robust:
        held = at_its_reach(evaluations, table.entries, standard_errors=errors, margin=True)
    standing = standings(evaluations, held, belief, standard_errors=errors, margin=robust) if choice else ()
    trials: dict[tuple[int, int], Trial] = {}

    def simulate(c: Candidate) -> Trial:
        if c.configuration not in trials:
            configured = evaluations.configured(c.M, c.k, scale=c.scale)
            trials[c.configuration] = try_out(configured, evaluations.limits, predicted=c.figures, seed=seed)
        return trials[c.configuration]

    if system.log is None or not simulation or objective == "load":
        replays = None
    elif replays is None:
        replays = Replays(evaluations, seed=seed)
    found = Recommendation(pick=None, why="no configuration meets every limit", trials={})
    if choice is not None:
        found = recommend(
            standing,
            belief=belief,
            caution=_caution(evaluations, robust),
            prefer=objective,
            cost=(lambda c: -c.scale) if objective == "load" else None,
            objection=None if replays is None else replays.objection,
            try_out=simulate if simulation else None,
        )
        if simulation:
            simulate(choice)
        if replays is not None:
            replays.of(choice)
    able = {(e.M, e.k): e for e in table.entries}
    plain = objective == "accuracy" and choice is not None
    return Decision(
        system=system,
        accuracy=table,
        limits=evaluations.limits,
        objective=objective,
        candidates=candidates,
        standings=standing,
        choice=choice,
        recommended=found.pick,
        why=found.why,
        runner_up=ranked[1] if len(ranked) > 1 else None,
        binding=_binding(candidates, choice, objective),
        relaxation=None if choice is not None else relax(evaluations, table.entries, candidates),
        conflicts=() if choice is not None else conflicts(evaluations.limits, candidates),
        trials=trials,
        replayed=() if replays is None else replays.played(found.pick, choice),
        not_replayed="" if replays is None else replays.failed,
        prices=prices(candidates, choice) if plain and choice is not None else (),
        holds=how_far_it_holds(evaluations, able, choice) if plain and explain and choice is not None else (),
        evidence=_evidence(table, belief),
        robust=robust,
        draws=None if belief is None else np.asarray(belief.draws),
        remarks=tuple(table.remarks()) if hasattr(table, "remarks") else (),
    )


def _rank(c: Candidate, objective: str) -> tuple[float, ...]:
    if objective == "latency":
        return c.mean_latency, -c.accuracy
    if objective == "load":
        return -c.scale, -c.accuracy
    return -c.accuracy, c.mean_latency


def _binding(
    candidates: tuple[Candidate, ...], choice: Candidate | None, objective: str
) -> tuple[tuple[Candidate, Violation], ...]:
    """Better configurations, and the limits that keep them out."""
    if objective == "load":
        return ()
    if objective == "latency":
        bar = np.inf if choice is None else choice.mean_latency
        return tuple((c, v) for c in candidates if c.mean_latency < bar for v in c.violations)
    least = choice.accuracy if choice is not None else -np.inf
    return tuple((c, v) for c in candidates if c.accuracy > least for v in c.violations)


def _belief(table: AccuracyTable) -> Belief | None:
    from dmoa_theory.accuracy.belief import believe

    return believe(table)


def _evidence(table: AccuracyTable, belief: Belief | None) -> str:
    if belief is None:
        return ""
    from dmoa_theory.accuracy.telling import evidence_sentence

    return evidence_sentence(table, belief)


def _caution(evaluations: Evaluations, robust: bool) -> str:
    """What a defended pick has to bear, in words; empty where nothing."""
    if not robust:
        return ""
    longer = f"service times {STANDARD_ERRORS:g} standard errors longer and " if evaluations.uncertain else ""
    return f"{longer}latencies raised by their typical error"
