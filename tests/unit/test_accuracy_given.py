"""Accuracy tables from what one has in Python are those that the same figures in a file would make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmoa_theory import accuracy_from_figures, accuracy_from_scores, read_accuracy, tell_apart
from dmoa_theory.errors import InputError

PAIRS = [(0, 0), (1, 2), (2, 3)]


def test_scores_are_what_the_same_file_holds(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    scores = (rng.random((30, 3)) < (0.4, 0.5, 0.8)).astype(float)
    scores[4, 1] = np.nan
    rows = [f"{M},{k},p{i},{scores[i, c]:g}" for c, (M, k) in enumerate(PAIRS) for i in range(30) if not np.isnan(scores[i, c])]
    (tmp_path / "own.csv").write_text("\n".join(["M,k,prompt_id,score", *rows]), encoding="utf-8")
    read = read_accuracy(str(tmp_path / "own.csv"))
    given = accuracy_from_scores(PAIRS, scores, prompts=[f"p{i}" for i in range(30)], name="own")
    assert given.entries == read.entries
    assert [entry.n_eval for entry in given.entries] == [30, 29, 30]
    np.testing.assert_array_equal(given.covariance(), read.covariance())
    assert tell_apart(given, (2, 3), (0, 0)) == tell_apart(read, (2, 3), (0, 0))


def test_figures_are_what_the_same_file_holds(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("M,k,value,n_eval\n0,0,0.25,50\n2,3,0.75,50\n", encoding="utf-8")
    read = read_accuracy(str(tmp_path / "own.csv"))
    assert accuracy_from_figures({(0, 0): 0.25, (2, 3): 0.75}, 50).entries == read.entries
    stated = accuracy_from_figures({(0, 0): 0.25}, 50, standard_error={(0, 0): 0.01})
    assert (stated.entries[0].standard_error, stated.entries[0].basis) == (0.01, "stated")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (([(0, 0)], [[0.5, 0.5]]), r"scores = shape \(1, 2\): one row a prompt, 1 columns"),
        (([(0, 0)], [[0.5], [1.5]]), "scores = 1.5: from 0 to 1, or NaN"),
        (([(0, 0)], [[0.5], ["right"]]), "scores = not a matrix of numbers"),
        (([(0, 0)], [[0.5], [np.nan]]), "scores of M=0, k=0 = fewer than 2: two prompts or more"),
        (([(0, 0), (0, 0)], [[0.5, 0.5]]), "configurations = M=0, k=0: each once"),
        (([(0, -1)], [[0.5]]), r"configurations = \(0, -1\): pairs"),
        (([7], [[0.5]]), "configurations = 7: pairs"),
        (([], [[0.5]]), "configurations = none: at least one"),
    ],
)
def test_scores_that_are_refused(arguments: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=f"^{complaint}"):
        accuracy_from_scores(*arguments)


def test_prompts_have_names_of_their_own() -> None:
    with pytest.raises(InputError, match=r"^prompts = 1 names: 2 different ones"):
        accuracy_from_scores([(0, 0)], [[1], [0]], prompts=["a", "a"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (({(0, 0): 40.0}, 50), "accuracy of M=0, k=0 = 40.0: from 0 to 1"),
        (({(0, 0): 0.4}, 0), "n_eval = 0: a whole number of prompts, 1 or more"),
        (({}, 50), "configurations = none"),
    ],
)
def test_figures_that_are_refused(arguments: Any, complaint: str) -> None:
    with pytest.raises(InputError, match=f"^{complaint}"):
        accuracy_from_figures(*arguments)
    with pytest.raises(InputError, match=r"^standard error of M=0, k=0 = None: from 0 to 1"):
        accuracy_from_figures({(0, 0): 0.4}, 50, standard_error={})
