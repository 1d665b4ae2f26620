"""An accuracy experiment that really runs: measure, fit, optimise, with digit classifiers in the place of language models.

Images of handwritten digits are the prompts; four devices hold weak classifiers, which answer at a temperature; an aggregator
adds the votes that it is shown to its own log-posterior. This says NOTHING about language models: it shows the way from
measured scores to a choice of (M, k), on a task where everything can be checked.

    python examples/digits/measure.py --out digits
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from digits_agents import TEST_IMAGES, Agents, right, train_agents

CONFIGURATIONS = [(0, 0)] + [(M, k) for M in (1, 2, 3) for k in range(4)]
STATEMENT = "Digit classifiers, not language models: this says nothing about LLMs."
SCENARIO = """\
# Four devices that classify digits; accuracies measured by examples/digits/measure.py. No statement about language models.
title = "Four devices that recognise digits"
[network]
topology = "complete"
n = 4
[arrivals]
rate = 0.02
[service]
mean = 2.0
scv = 0.5
[constraints]
mean_latency = 20.0
[accuracy]
table = "digits-diverse.csv"
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment; see ``--help``."""
    given = parse(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    groups = [(seed, train_agents(seed, given.images)) for seed in range(given.first_seed, given.first_seed + given.seeds)]
    print(STATEMENT)
    sure = np.array([agents.right_when_sure() for _, agents in groups])
    print(f"{given.seeds} seeds, {given.images} images each; images right when an agent gives its likeliest answer, %:")
    print(f"  weak agents {show(sure[:, :-1].mean(axis=1))}, the strong one {show(sure[:, -1])}")
    for mode in ("same", "diverse"):
        scores = [same_or_diverse(agents, mode, given.temperature, seed) for seed, agents in groups]
        write(given.out / f"digits-{mode}.csv", [(mode, "", place, part) for place, part in enumerate(scores)])
        print_scores(f"{mode} agents on four devices", scores)
    parts = [own_and_mixed(agents, given.temperature, seed) for seed, agents in groups]
    rows = [(mode, "strong", place, part[mode]) for place, part in enumerate(parts) for mode in part]
    write(given.out / "own-or-mixed.csv", rows)
    print_effect(parts)
    print(f"measured in {time.perf_counter() - start:.1f} s")
    (given.out / "digits.toml").write_text(SCENARIO, encoding="utf-8")
    decide(given.out)
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="splits and sets of agents to measure with (default 5)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument(
        "--images", type=int, default=TEST_IMAGES, help=f"test images of each, at most {TEST_IMAGES} (default all)"
    )
    parser.add_argument("--temperature", type=float, default=0.7, help="at which agents answer (default 0.7)")
    parser.add_argument("--out", type=Path, default=Path("digits"), help="folder for the measured tables (default digits)")
    given = parser.parse_args(arguments)
    if not 2 <= given.images <= TEST_IMAGES:
        parser.error(f"--images: from 2 to {TEST_IMAGES}")
    if given.seeds < 2:
        parser.error("--seeds: 2 or more, to know how much they differ")
    if not given.temperature > 0:
        parser.error("--temperature: above 0")
    return given


def same_or_diverse(agents: Agents, mode: str, temperature: float, seed: int) -> dict[tuple[int, int], Any]:
    """Scores of every image and configuration, all four users asking: one classifier on every device, or four."""
    rng = np.random.default_rng([seed, 1 if mode == "same" else 2])
    devices = agents.log_posterior[[seed % agents.weak] * 4 if mode == "same" else rng.permutation(agents.weak)[:4]]
    return {(M, k): right(devices, agents.label, [0, 1, 2, 3], M, k, temperature, rng) for M, k in CONFIGURATIONS}


def own_and_mixed(agents: Agents, temperature: float, seed: int) -> dict[str, dict[tuple[int, int], Any]]:
    """Scores of a strong user: with samples of its own classifier only, and with weak neighbours."""
    rng = np.random.default_rng([seed, 3])
    strong = agents.weak
    mixed = agents.log_posterior[[strong, *rng.permutation(agents.weak)[:3]]]
    own = agents.log_posterior[[strong] * 4]
    return {
        name: {(M, k): right(devices, agents.label, [0], M, k, temperature, rng) for M, k in CONFIGURATIONS}
        for name, devices in (("own", own), ("mixed", mixed))
    }


def write(path: Path, parts: list[tuple[str, str, int, dict[tuple[int, int], Any]]]) -> None:
    """The scores of single prompts as a CSV that ``dmoa accuracy`` reads."""

    def rows() -> Iterator[str]:
        for mode, user, place, scores in parts:
            for (M, k), each in scores.items():
                for image, score in enumerate(each.tolist()):
                    yield f"digits,{user},{M},{k},{mode},{place}-{image},{score:g}\n"

    head = (
        "# source: measured by examples/digits/measure.py; digit classifiers, no statement about language models\n"
        "# metric: share of images recognised\n"
        "task,user,M,k,mode,prompt_id,score\n"
    )
    path.write_text(head + "".join(rows()), encoding="utf-8")


def print_scores(title: str, scores: list[dict[tuple[int, int], Any]]) -> None:
    """Accuracies by layers and neighbours, with standard errors over seeds."""
    print(f"\n{title}: images recognised, %, ± standard error over seeds")
    print("  M = 0: " + show(np.array([part[0, 0].mean() for part in scores])))
    for M in (1, 2, 3):
        cells = (show(np.array([part[M, k].mean() for part in scores])) for k in range(4))
        print(f"  M = {M}: " + "  ".join(f"k={k} {cell}" for k, cell in enumerate(cells)))


def print_effect(parts: list[dict[str, dict[tuple[int, int], Any]]]) -> None:
    """What a strong user gains from keeping to itself: paired over images, errors over seeds."""
    print("\na strong user among weak neighbours: images recognised, %, ± standard error over seeds")
    print("  alone, M = 0: " + show(np.array([part["own"][0, 0].mean() for part in parts])))
    for M, k in ((1, 3), (2, 3)):
        own, mixed = (np.array([part[mode][M, k].mean() for part in parts]) for mode in ("own", "mixed"))
        alone = np.array([part["own"][0, 0].mean() for part in parts])
        print(f"  M = {M}, k = {k}: own samples {show(own)}, mixed {show(mixed)}; own less mixed {show(own - mixed)}, ", end="")
        print(f"alone less mixed {show(alone - mixed)}")


def show(values: Any) -> str:
    """A mean over seeds with its standard error, in percent."""
    return f"{100 * values.mean():.1f} ± {100 * values.std(ddof=1) / np.sqrt(values.size):.1f}"


def decide(folder: Path) -> None:
    """Fit the measured tables, and choose (M, k) for four devices with a limit on latency."""
    from dmoa_theory import load_scenario, optimise
    from dmoa_theory.accuracy.assessment import assess
    from dmoa_theory.accuracy.table import read_tables

    print("\nfits: errors over images, for these agents; other agents (seeds) differ by more")
    for name in ("digits-same", "digits-diverse"):
        start = time.perf_counter()
        (part,) = assess(read_tables(str(folder / f"{name}.csv"))).parts
        print(f"\n{part.as_table()}\n{part.sentence}")
        print(f"fitted in {time.perf_counter() - start:.1f} s")
    decision = optimise(load_scenario(folder / "digits.toml"))
    for what, picked in (("most accurate as measured", decision.choice), ("recommended", decision.recommended)):
        print(f"{what}, within the limits: {'nothing' if picked is None else f'M={picked.M}, k={picked.k}'}")
    print(STATEMENT)


if __name__ == "__main__":
    sys.exit(main())
