"""Accuracy tables from what one has in Python: scores of single prompts, or one figure a configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable, PromptScores, binomial_error
from dmoa_theory.errors import InputError

__all__ = ["accuracy_from_figures", "accuracy_from_scores", "scored_entries"]


def accuracy_from_scores(
    configurations: Sequence[tuple[int, int]],
    scores: npt.ArrayLike,
    *,
    prompts: Sequence[str] | None = None,
    name: str = "own scores",
    source: str = "",
    metric: str = "",
) -> AccuracyTable:
    """Exact means with paired standard errors: a table from the score of every prompt under every configuration.

    Parameters
    ----------
    configurations : sequence of (int, int)
        (M, k), one a column of the scores.
    scores : array_like, shape (n_prompts, n_configurations)
        From 0 to 1; NaN where a prompt was not asked.
    prompts : sequence of str, optional
        One name a row; default their numbers.
    name, source, metric : str
        For reports.

    Returns
    -------
    AccuracyTable

    Raises
    ------
    InputError
        When sizes do not fit, a score is not from 0 to 1, a configuration is listed twice or has fewer than two scores.

    Examples
    --------
    >>> from dmoa_theory import accuracy_from_scores
    >>> table = accuracy_from_scores([(0, 0), (2, 3)], [[0, 1], [0, 1], [1, 1], [0, 0]])
    >>> [entry.accuracy for entry in table.entries]
    [0.25, 0.75]
    """
    try:
        held = np.array(scores, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError("scores", "not a matrix of numbers", "one row a prompt, one column a configuration") from None
    asked = _configurations(configurations)
    if held.ndim != 2 or held.shape[1] != len(asked):
        raise InputError("scores", f"shape {held.shape}", f"one row a prompt, {len(asked)} columns (one a configuration)")
    wrong = held[~(np.isnan(held) | ((held >= 0) & (held <= 1)))]
    if wrong.size:
        raise InputError("scores", wrong[0].item(), "from 0 to 1, or NaN where a prompt was not asked")
    names = [str(place) for place in range(len(held))] if prompts is None else [str(prompt) for prompt in prompts]
    if len(names) != len(held) or len(set(names)) != len(names):
        raise InputError("prompts", f"{len(set(names))} names", f"{len(held)} different ones, one a row of the scores")
    few = np.flatnonzero(np.isfinite(held).sum(axis=0) < 2)
    if few.size:
        M, k = asked[int(few[0])]
        raise InputError(f"scores of M={M}, k={k}", "fewer than 2", "two prompts or more, to know the sampling error")
    known = PromptScores(prompts=tuple(names), scores=held)
    entries = scored_entries(asked, known)
    return AccuracyTable(name=name, source=source, metric=metric, entries=entries, per_prompt_deviation=None, scores=known)


def accuracy_from_figures(
    figures: Mapping[tuple[int, int], float],
    n_eval: int,
    *,
    standard_error: Mapping[tuple[int, int], float] | None = None,
    name: str = "own figures",
    source: str = "",
    metric: str = "",
) -> AccuracyTable:
    """Figures as given: a table from one accuracy a configuration, each over the same number of prompts.

    Parameters
    ----------
    figures : dict of (int, int) to float
        (M, k) and its accuracy, from 0 to 1.
    n_eval : int
        Prompts behind each.
    standard_error : dict of (int, int) to float, optional
        From 0 to 1; default ``sqrt(p (1 - p) / n_eval)``, the largest that scores between 0 and 1 can have.
    name, source, metric : str
        For reports.

    Returns
    -------
    AccuracyTable

    Raises
    ------
    InputError
        When a figure is not from 0 to 1, a number of prompts below 1, or a standard error missing or negative.

    Examples
    --------
    >>> from dmoa_theory import accuracy_from_figures
    >>> table = accuracy_from_figures({(0, 0): 0.5, (2, 3): 0.8}, 100)
    >>> round(table.entry(0, 0).standard_error, 12), round(table.entry(2, 3).standard_error, 12)
    (0.05, 0.04)
    """
    if isinstance(n_eval, bool) or not isinstance(n_eval, int | np.integer) or n_eval < 1:
        raise InputError("n_eval", n_eval, "a whole number of prompts, 1 or more")
    entries = []
    for M, k in _configurations(list(figures)):
        accuracy = float(figures[M, k])
        if not 0 <= accuracy <= 1:
            raise InputError(f"accuracy of M={M}, k={k}", figures[M, k], "from 0 to 1")
        error, basis = binomial_error(accuracy, int(n_eval)), "binomial"
        if standard_error is not None:
            error, basis = float(standard_error.get((M, k), np.nan)), "stated"
            if not 0 <= error <= 1:
                raise InputError(f"standard error of M={M}, k={k}", standard_error.get((M, k)), "from 0 to 1")
        entries.append(AccuracyEntry(M=M, k=k, accuracy=accuracy, standard_error=error, n_eval=int(n_eval), basis=basis))
    return AccuracyTable(name=name, source=source, metric=metric, entries=tuple(entries), per_prompt_deviation=None)


def scored_entries(configurations: Sequence[tuple[int, int]], held: PromptScores) -> tuple[AccuracyEntry, ...]:
    """Mean scores with their standard errors, one entry a column."""
    errors, means = np.sqrt(np.diag(held.covariance())), np.nanmean(held.scores, axis=0)
    counts = np.isfinite(held.scores).sum(axis=0).tolist()
    return tuple(
        AccuracyEntry(
            M=M,
            k=k,
            accuracy=float(means[place]),
            standard_error=float(errors[place]),
            n_eval=counts[place],
            basis="per-prompt scores",
        )
        for place, (M, k) in enumerate(configurations)
    )


def _configurations(given: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for each in given:
        try:
            M, k = each
        except (TypeError, ValueError):
            raise InputError("configurations", each, "pairs (M, k)") from None
        for value in (M, k):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
                raise InputError("configurations", each, "pairs (M, k) of whole numbers, 0 or more")
        if (M, k) in found:
            raise InputError("configurations", f"M={M}, k={k}", "each once")
        found.append((int(M), int(k)))
    if not found:
        raise InputError("configurations", "none", "at least one (M, k)")
    return found
