"""How long real answers are: those to the ten prompts of the experiment, and those to the whole set they come from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from dmoa_theory.model.checks import FloatArray

__all__ = ["AnswerLengths", "first_prompts", "of_the_set", "words_by_prompt"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnswerLengths:
    """Words in answers.

    Attributes
    ----------
    model : str
    count : int
        Answers.
    mean : float
    scv : float
    """

    model: str
    count: int
    mean: float
    scv: float


@cache
def first_prompts() -> AnswerLengths:
    """Exact: words in the answers of Qwen1.5-72B-Chat to the first ten AlpacaEval prompts, which the published code takes.

    Examples
    --------
    >>> lengths = first_prompts()
    >>> lengths.count, round(lengths.scv, 3)
    (10, 0.065)
    """
    words = words_by_prompt()
    mean = float(words.mean())
    return AnswerLengths(model="Qwen1.5-72B-Chat", count=words.size, mean=mean, scv=float(words.var() / mean**2))


def words_by_prompt() -> FloatArray:
    """Exact: words in each of those ten answers; shape (10,)."""
    return np.array([float(row["words"]) for row in _rows("dmoa_paper_figures", "data/first_prompts.csv")])


@cache
def of_the_set() -> tuple[AnswerLengths, ...]:
    """Exact: words in the answers of the four models to all 805 AlpacaEval prompts.

    Examples
    --------
    >>> [(lengths.model, lengths.scv) for lengths in of_the_set()][0]
    ('Qwen1.5-72B-Chat', 0.3509)
    """
    rows = {
        row["model"]: row
        for row in _rows("dmoa_theory", "data/tokens/lengths.csv")
        if (row["what"], row["unit"]) == ("output", "words")
    }
    models = ("Qwen1.5-72B-Chat", "Meta-Llama-3-70B-Instruct", "Mixtral-8x22B-Instruct-v0.1", "dbrx-instruct")
    return tuple(
        AnswerLengths(model=model, count=int(rows[model]["n"]), mean=float(rows[model]["mean"]), scv=float(rows[model]["scv"]))
        for model in models
    )


def _rows(package: str, path: str) -> list[dict[str, str]]:
    text = resources.files(package).joinpath(path).read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))
