"""The names that people import: all there, all documented."""

from __future__ import annotations

import ast
import builtins
import doctest
import inspect
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

import dmoa_theory

MODULES = sorted(
    info.name for info in pkgutil.walk_packages(dmoa_theory.__path__, "dmoa_theory.") if not info.name.endswith("__main__")
)
EXPORTED = sorted(set(dmoa_theory.__all__) - {"__version__"})


def _public_methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Methods, class methods and properties that a class itself defines under a public name."""
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        if isinstance(member, classmethod | staticmethod):
            yield name, member.__func__
        elif isinstance(member, property):
            yield name, member.fget
        elif inspect.isfunction(member):
            yield name, member


def _documented(docstring: str | None) -> set[str]:
    """Names in the Parameters section of a numpydoc docstring."""
    text = inspect.cleandoc(docstring or "")
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}$|\Z)", text, re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^(\S[^:\n]*?)(?: ?:.*)?$", section[1], re.MULTILINE) if section else []
    return {name.strip().lstrip("*") for head in heads for name in head.split(",")}


@pytest.mark.parametrize("name", EXPORTED)
def test_every_exported_name_imports(name: str) -> None:
    value = getattr(dmoa_theory, name)
    assert value is getattr(import_module(value.__module__), name)
    assert name in value.__name__


def test_the_listing_is_sorted_and_whole() -> None:
    assert sorted(dmoa_theory.__all__) == dmoa_theory.__all__
    assert len(set(dmoa_theory.__all__)) == len(dmoa_theory.__all__)
    assert set(dmoa_theory.__all__) <= set(dir(dmoa_theory))
    assert dir(dmoa_theory) == sorted(dir(dmoa_theory))


def test_the_names_of_the_design_are_exported() -> None:
    promised = {"Network", "ServiceTime", "MoA", "System", "load_scenario", "stability_region", "latency", "optimise"}
    assert promised <= set(dmoa_theory.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'dmoa_theory' has no attribute 'optimize'"):
        dmoa_theory.optimize  # noqa: B018
    with pytest.raises(ImportError):
        exec("from dmoa_theory import nothing_of_the_kind")


def test_no_function_shares_its_name_with_a_folder() -> None:
    folders = {info.name.rpartition(".")[2] for info in pkgutil.iter_modules(dmoa_theory.__path__) if info.ispkg}
    assert not folders & set(dmoa_theory.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_of_a_module_is_there_and_documented(name: str) -> None:
    module: ModuleType = import_module(name)
    assert module.__doc__, name
    for public in getattr(module, "__all__", ()):
        value = getattr(module, public)
        if not callable(value) or getattr(value, "__module__", name) != name:
            continue
        assert (value.__doc__ or "").strip(), f"{name}.{public}"
        # a dataclass without a docstring gets its signature for one
        assert not (value.__doc__ or "").startswith(f"{public}("), f"{name}.{public}"
        if inspect.isclass(value):
            for method, function in _public_methods(value):
                assert (function.__doc__ or "").strip(), f"{name}.{public}.{method}"


@pytest.mark.parametrize("name", EXPORTED)
def test_every_parameter_of_what_is_exported_is_documented(name: str) -> None:
    value = getattr(dmoa_theory, name)
    if is_dataclass(value):
        wanted = {field.name for field in fields(value) if field.init}
    elif inspect.isclass(value):
        return
    else:
        wanted = {parameter for parameter in inspect.signature(value).parameters if not parameter.startswith("_")}
    assert wanted <= _documented(value.__doc__), wanted - _documented(value.__doc__)


@pytest.mark.parametrize("name", EXPORTED)
def test_examples_of_what_is_exported_run_when_copied(name: str) -> None:
    """The doctests run inside their module, whose names they see: whoever copies an example has only what it imports."""
    value = getattr(dmoa_theory, name)
    texts = [value.__doc__, *(function.__doc__ for _, function in (_public_methods(value) if inspect.isclass(value) else ()))]
    for text in texts:
        examples = doctest.DocTestParser().get_examples(text or "")
        missing = _undefined("".join(example.source for example in examples))
        assert not missing, (name, missing)


def _undefined(source: str) -> set[str]:
    """Names that a piece of code uses and neither imports nor sets."""
    nodes = list(ast.walk(ast.parse(source)))
    imports = (alias for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names)
    known = {(alias.asname or alias.name).partition(".")[0] for alias in imports}
    known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    names = [node for node in nodes if isinstance(node, ast.Name)]
    known |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - known - set(dir(builtins))


def test_the_reader_of_examples_reads() -> None:
    assert _undefined("import numpy as np\nfrom a import b as c\nx = [np.sin(y) for y in c]\nprint(lambda z: z + b)") == {"b"}


def test_the_reader_of_docstrings_reads() -> None:
    """The check above is worth nothing if this finds names that are not there."""
    text = """First line.

    Parameters
    ----------
    a, b : float
        Two of them: not c.
    *d
        More.

    Returns
    -------
    e : float
    """
    assert _documented(text) == {"a", "b", "d"}
