"""The first things people type: help, version, a mistyped verb; and that they are quick."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, resources
from typing import Any

import pytest

from dmoa_theory import __version__
from dmoa_theory.cli import VERBS

HEAVY = [
    "scipy",
    "networkx",
    "pandas",
    "pydantic",
    "sympy",
    "cvxpy",
    "numba",
    "matplotlib",
    "torch",
    "rich",
    "cyclopts",
]
SCENARIO = ("--set", "--json", "--out")
OPTIONS = {
    "plan": SCENARIO,
    "region": (*SCENARIO, "--users", "--check"),
    "derive": (*SCENARIO, "--what", "--family", "--device", "--latex"),
    "capacity": (*SCENARIO, "--min-inclusion", "--direction", "--save"),
    "overload": (*SCENARIO, "--scale", "--buffer", "--prompts"),
    "whatif": (*SCENARIO, "--lose", "--lose-link", "--links", "--availability", "--central", "--round-trip", "--load-factor"),
    "latency": (*SCENARIO, "--target", "--verify", "--queries", "--seed", "--queues"),
    "simulate": (*SCENARIO, "--queries", "--seed", "--replications", "--workers", "--scheduler", "--precision"),
    "burst": (*SCENARIO, "--prompts", "--until", "--at-once", "--buffer", "--replications", "--seed"),
    "accuracy": ("TABLE", "--points", "--held-out", "--list", "--json", "--out"),
    "optimise": SCENARIO,
    "compare": (*SCENARIO, "--queries", "--seed", "--loads"),
    "replay": ("TRACE", "--json", "--out"),
    "testbed": (
        *(*SCENARIO, "--mode", "--backend", "--queries", "--seed", "--load", "--speed", "--prompts", "--model", "--synthetic"),
        *("--url", "--live", "--from", "--open-queries", "--peer-jobs", "--patience", "--output-tokens"),
    ),
    "reproduce": ("--quick", "--seed", "--json", "--out"),
    "calibrate": (
        *("--backend", "--model", "--synthetic", "--url", "--api-key-env", "--device", "--timeout", "--budget", "--profile"),
        *("--resume", "--import", "--check", "--force", "--json"),
    ),
    "profile": ("ACTION", "--tokens", "--M", "--k", "--output", "--json", "--out"),
    "init": ("--network", "--topology", "--n", "--key", "--force", "--json"),
    "schema": (),
}


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_the_front_page_lists_every_verb(dmoa: Callable[..., Any], arguments: tuple[str, ...]) -> None:
    answer = dmoa(*arguments)
    assert (answer.code, answer.err) == (0, "")
    for verb, summary in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(summary)}$", answer.out, re.MULTILINE)


def test_the_version(dmoa: Callable[..., Any]) -> None:
    assert dmoa("--version").out == f"{__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(dmoa: Callable[..., Any], verb: str) -> None:
    answer = dmoa(verb, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert f"dmoa {verb}" in answer.out
    for option in OPTIONS.get(verb, SCENARIO):
        assert option in answer.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_a_module_and_a_schema(verb: str) -> None:
    module = import_module(f"dmoa_theory.cli.{verb}")
    assert callable(getattr(module, verb))
    if verb != "schema":
        assert resources.files("dmoa_theory").joinpath(f"data/schemas/{verb}.json").is_file()


def test_schema_names_the_verbs_that_have_one(dmoa: Callable[..., Any]) -> None:
    said = dmoa("schema", "nothing").complaint()
    assert set(said.partition("one of ")[2].split(", ")) == set(VERBS) - {"schema"}


@pytest.mark.parametrize(
    "code",
    [
        "import dmoa_theory",
        "from dmoa_theory.cli import main; main(['--help'])",
        "from dmoa_theory.cli import main; main(['--version'])",
        "import dmoa_theory; dmoa_theory.DmoaError, dir(dmoa_theory)",
    ],
)
def test_nothing_heavy_is_imported(environment: dict[str, str], code: str) -> None:
    program = f"import sys\n{code}\nprint('\\n', *sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=600, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "dmoa_theory" in loaded
    assert not loaded & set(HEAVY)
