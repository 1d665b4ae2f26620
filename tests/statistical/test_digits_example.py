"""The digits experiment really runs, small: scores to CSV to fit to choice, and the sign of the Self-MoA effect."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from dmoa_theory.accuracy.table import read_accuracy, read_tables
from dmoa_theory.accuracy.telling import tell_apart

FOLDER = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def experiment() -> ModuleType:
    pytest.importorskip("sklearn")
    sys.path.insert(0, str(FOLDER))
    try:
        return import_module("measure")
    finally:
        sys.path.remove(str(FOLDER))


def test_from_scores_to_a_choice(experiment: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured, fitted, optimised. Diverse agents gain from layers."""
    assert experiment.main(["--seeds", "2", "--images", "150", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count("this says nothing about LLMs") == 2
    assert "recommended, within the limits: M=" in said
    diverse = read_accuracy(str(tmp_path / "digits-diverse.csv"))
    assert "no statement about language models" in diverse.source
    assert len(diverse.entries) == 13
    assert {entry.n_eval for entry in diverse.entries} == {300}
    own, mixed = read_tables(str(tmp_path / "own-or-mixed.csv"))
    assert (own.mode, mixed.mode, own.user) == ("own", "mixed", "strong")
    assert own.scores is not None
    assert mixed.scores is not None
    assert own.scores.prompts == mixed.scores.prompts
    gain = tell_apart(diverse, (2, 3), (0, 0))
    assert gain.paired
    assert gain.gap > 4 * gain.standard_error


def test_a_strong_user_is_better_off_with_samples_of_its_own(experiment: ModuleType) -> None:
    """The Self-MoA effect: own samples less weak neighbours, paired over images, beyond three standard errors."""
    gaps = []
    for seed in range(4):
        scores = experiment.own_and_mixed(experiment.train_agents(seed), 0.7, seed)
        gaps.append(np.mean([scores["own"][M, 3] - scores["mixed"][M, 3] for M in (1, 2, 3)], axis=0))
    gap = np.concatenate(gaps)
    assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(gap.size)


def test_same_seed_same_scores(experiment: ModuleType) -> None:
    agents = experiment.train_agents(5, 50)
    first, again = (experiment.same_or_diverse(agents, "diverse", 0.7, 5) for _ in range(2))
    assert all((first[key] == again[key]).all() for key in first)
    weak, strong = agents.right_when_sure()[:-1], agents.right_when_sure()[-1]
    assert strong > weak.max()


def test_without_layers_or_votes_an_agent_answers_by_its_posterior(experiment: ModuleType) -> None:
    """At a low temperature the likeliest answer, at a high one any; votes outweigh a posterior that knows nothing."""
    agents = experiment.train_agents(6, 60)
    rng = np.random.default_rng(0)
    cold = experiment.right(agents.log_posterior[:4], agents.label, [2], 0, 0, 1e-6, rng)
    assert cold.mean() == agents.right_when_sure()[2]
    answer = import_module("digits_agents").answer
    votes = np.zeros((500, 10))
    votes[:, 3] = 60
    assert (answer(np.full((500, 10), np.log(0.1)), votes, 1.0, rng) == 3).all()


@pytest.mark.parametrize("given", [["--seeds", "1"], ["--images", "1"], ["--temperature", "0"]])
def test_what_cannot_be_measured_is_refused(experiment: ModuleType, given: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        experiment.main(given)
