"""Derivations in print: LaTeX that parses, text that fits the page, HTML, expressions that sympy reads back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import sympy
from matplotlib.mathtext import MathTextParser

from dmoa_theory import MoA, Network, ServiceTime, System, build_topology, load_scenario
from dmoa_theory.errors import InputError
from dmoa_theory.results import Source
from dmoa_theory.symbolic.capacity import derive_capacity
from dmoa_theory.symbolic.counting import elementary, inclusion, weighted_inclusion
from dmoa_theory.symbolic.derivation import Derivation
from dmoa_theory.symbolic.families import FAMILIES, family_pattern
from dmoa_theory.symbolic.graphs import network_pattern, system_pattern
from dmoa_theory.symbolic.printing import equation_latex
from dmoa_theory.symbolic.stability import derive_stability
from dmoa_theory.symbolic.symbols import number
from dmoa_theory.symbolic.theorem_one import derive_theorem_one
from dmoa_theory.symbolic.waiting import derive_delay


def _awkward() -> System:
    """Names that LaTeX minds, a helper that can ask nobody, M and k by user."""
    network = Network.from_links(3, [0, 0, 1], [1, 2, 2], names=["a_1 & 50%", "{b}^#$~\\", "Erdős < c"])
    return System(
        network=network,
        arrival_rate=[0.1, 0.2, 0],
        service=ServiceTime.gamma([1.0, 2.0, 3.0], 0.37, later=1.3, aggregate=1 / 7),
        moa=MoA([2, 0, 1], [1, 0, 1]),
        title="100% of #1_",
    )


@pytest.fixture(scope="module")
def derivations() -> dict[str, Derivation]:
    made = {"theorem 1": derive_theorem_one(), "awkward": derive_stability(system_pattern(_awkward()))}
    made["measured"] = derive_stability(system_pattern(load_scenario(None)), [0])
    made["measured waits"] = derive_delay(system_pattern(load_scenario(None)), [0])
    made["measured limits"] = derive_capacity(system_pattern(load_scenario(None)), [1])
    made["growth"] = derive_stability(network_pattern(build_topology("line", n=3), stages="grow"))
    made["weights"] = derive_stability(network_pattern(build_topology("complete", n=4), k=2, weighted=True))
    made["twelve"] = derive_stability(network_pattern(build_topology("grid", rows=3, cols=4), stages="each"), [1, 6])
    for name in FAMILIES:
        made[name] = derive_stability(family_pattern(name))
    for name in ("complete", "star"):
        made[f"{name} waits"] = derive_delay(family_pattern(name))
        made[f"{name} limits"] = derive_capacity(family_pattern(name))
    made["stages waits"] = derive_delay(family_pattern("ring", stages=True))
    return made


def test_every_equation_is_mathematics_that_parses(derivations: dict[str, Derivation]) -> None:
    """Matplotlib's parser of LaTeX mathematics reads every step and every result."""
    parser = MathTextParser("path")
    every = {equation_latex(step.equation) for derivation in derivations.values() for step in derivation.steps}
    every |= {equation_latex(q.value) for derivation in derivations.values() for q in derivation.results}
    plain = [formula for formula in every if len(formula) < 250]
    assert len(plain) > 100
    for formula in [*plain, max(every, key=len)]:
        parser.parse(f"${formula}$")


def test_documents_are_whole(derivations: dict[str, Derivation]) -> None:
    """Environments and braces close in order; nothing special is left bare in the prose."""
    for name, derivation in derivations.items():
        document = derivation.latex()
        opened: list[str] = []
        for verb, environment in re.findall(r"\\(begin|end)\{(\w+\*?)\}", document):
            if verb == "begin":
                opened.append(environment)
            else:
                assert opened.pop() == environment, name
        assert opened == []
        bare = re.sub(r"\\[{}\\]", "", document)
        assert bare.count("{") == bare.count("}"), name
        for line in document.splitlines():
            if line.startswith((r"\item", r"\section")):
                assert not re.search(r"(?<!\\)[&%#_^~]", line), (name, line)
                assert len(re.findall(r"(?<!\\)\$", line)) % 2 == 0
        assert document.rstrip().endswith(r"\end{document}")


def test_documents_compile(derivations: dict[str, Derivation], tmp_path: Path) -> None:
    """With a LaTeX at hand, every document becomes a page."""
    if shutil.which("pdflatex") is None:
        pytest.skip("no pdflatex here")
    for name in ("theorem 1", "awkward", "complete waits"):
        (tmp_path / "d.tex").write_text(derivations[name].latex(), encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "d.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, (name, done.stdout[-600:])


def test_text_fits_the_page(derivations: dict[str, Derivation]) -> None:
    for name, derivation in derivations.items():
        text = derivation.text()
        assert text.startswith(derivation.title)
        assert max(map(len, text.splitlines())) <= 110, name
        assert all(f"\n{i}. " in text for i in range(1, len(derivation.steps) + 1))


def test_expressions_are_read_back(derivations: dict[str, Derivation]) -> None:
    """What JSON carries is the expression itself, as far as its 15 digits go."""
    for name, derivation in derivations.items():
        if name in FAMILIES and name not in {"tree", "erdos_renyi"}:
            continue
        document = derivation.to_dict()
        json.dumps(document, allow_nan=False)
        pairs = [(entry["lhs"], q.value) for entry, q in zip(document["condition"], derivation.condition, strict=True)]
        pairs += [(entry["value"], q.value) for entry, q in zip(document["results"], derivation.results, strict=True)]
        for text, value in pairs:
            again = sympy.sympify(text)
            assert {s.name for s in again.free_symbols} == {s.name for s in value.free_symbols}
            point = {s.name: sympy.Rational(i + 2, 7) for i, s in enumerate(sorted(value.free_symbols, key=str))}
            mine = value.subs({s: point[s.name] for s in value.free_symbols})
            assert complex(again.subs(point).evalf()) == pytest.approx(complex(mine.evalf()), rel=1e-11)


def test_notebooks_get_mathematics(derivations: dict[str, Derivation]) -> None:
    page = derivations["awkward"]._repr_html_()
    assert "a_1 &amp; 50%" in page
    assert page.count("$$") == 2 * len(derivations["awkward"].steps)
    assert derivations["theorem 1"]._repr_latex_().count("$") == 2
    assert repr(derivations["theorem 1"]).startswith("Theorem 1")
    assert derivations["theorem 1"].to_frame().shape == (3, 4)
    assert derivations["theorem 1"].source is Source.EXACT


def test_what_is_asked_must_be_there() -> None:
    derivation = derive_stability(family_pattern("star"))
    for call, complaint in (
        (lambda: derivation.find("wait"), "name = wait: one of load"),
        (lambda: derivation.find("load"), "device is missing: one of centre, leaf"),
        (lambda: derivation.find("load", "root"), "device = root: one of centre, leaf"),
        (lambda: derivation.function("load", "leaf")(M=1, k=1), "alpha is missing: a number, or an array of numbers"),
        (lambda: family_pattern("wheel"), "family = wheel: one of complete, ring, "),
        (lambda: weighted_inclusion(0, sympy.symbols("w:3"), 4), "k = 4: 0 to 3, the neighbours there are"),
        (lambda: weighted_inclusion(0, sympy.symbols("w:30"), 9), "k = 9: fewer than 2000 sets of neighbours"),
    ):
        with pytest.raises(InputError) as caught:
            call()
        assert str(caught.value).startswith(complaint)


def test_counting() -> None:
    """Binomials against the enumeration of sets, for every d to 6; elementary polynomials against their definition."""
    from itertools import combinations

    for d in range(1, 7):
        for k in range(1, d + 1):
            sets = list(combinations(range(d), k))
            share = sympy.Rational(sum(0 in chosen for chosen in sets), len(sets))
            assert inclusion(sympy.Integer(d), sympy.Integer(k)) == share
            weights = sympy.symbols(f"w:{d}", positive=True)
            total = sympy.Add(*(sympy.Mul(*(weights[j] for j in chosen)) for chosen in sets))
            assert sympy.expand(elementary(k, weights) - total) == 0
            alike = weighted_inclusion(0, weights, k).subs(dict.fromkeys(weights, 1))
            assert alike == share


def test_numbers_stay_exact_where_they_are_plain() -> None:
    assert number(1.3) == sympy.Rational(13, 10)
    assert number(1 / 3) == sympy.Rational(1, 3)
    assert number(0.30000000000000004) == sympy.Rational(3, 10)
    assert number(0.123456789) == sympy.Float(0.123456789, 15)
