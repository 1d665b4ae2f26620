"""Compiled kernels: compiled anew when anything that they call has changed, and called without detours."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dmoa_theory import kernel_build

SOURCES = kernel_build._SOURCES
#: What makes a compiled function of a plain one.
DECORATORS = {"compiled", "inlined", "kernel", "reordered"}


def modules(package: str) -> dict[str, ModuleType]:
    """All modules of a package, by their names in it."""
    folder = importlib.import_module(package).__path__
    return {found.name: importlib.import_module(f"{package}.{found.name}") for found in pkgutil.iter_modules(folder)}


def imports(module: ModuleType) -> list[tuple[str, str]]:
    """Where a module imports names from, and the names."""
    nodes = ast.walk(ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")))
    return [(str(node.module), alias.name) for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names]


@pytest.mark.parametrize("package", SOURCES)
def test_the_checksum_covers_all_that_is_compiled(package: str) -> None:
    """Every module that uses a compiled decorator, the decorators' own, and all that such modules take from their room."""
    room = modules(package)
    marked = {(f"{package}.compiled", decorator) for decorator in DECORATORS}
    compiled = {name for name, module in room.items() if marked & set(imports(module))}
    assert compiled  # the names of the decorators are still right
    needed = {"compiled"}
    left = list(compiled)
    while left:
        name = left.pop()
        if name in needed:
            continue
        needed.add(name)
        left += [f.removeprefix(f"{package}.") for f, _ in imports(room[name]) if f.startswith(f"{package}.")]
    assert needed <= set(SOURCES[package])
    assert set(SOURCES[package]) <= set(room)


def test_no_other_room_compiles() -> None:
    """numba's decorators are used where the checksum looks, and nowhere else."""
    root = Path(str(kernel_build.__file__)).parent
    using = {path.parent for path in root.rglob("*.py") if "from numba import" in path.read_text(encoding="utf-8")}
    assert using == {root.joinpath(*package.split(".")[1:]) for package in SOURCES}


@pytest.mark.parametrize("package", SOURCES)
def test_every_kernel_carries_the_one_build_number(package: str) -> None:
    """Its last argument's default; numba confuses two omitted arguments of one type that have different defaults."""
    from numba.core.caching import NullCache
    from numba.core.dispatcher import Dispatcher

    kernels = {
        f"{module.__name__}.{name}": made
        for module in modules(package).values()
        for name, made in vars(module).items()
        if isinstance(made, Dispatcher) and not isinstance(made._cache, NullCache)
    }
    assert kernels
    for name, made in kernels.items():
        arguments = list(inspect.signature(made.py_func).parameters.values())
        assert arguments[-1].default == kernel_build.BUILD, name
        assert all(argument.default is inspect.Parameter.empty for argument in arguments[:-1]), name


_SIMULATE_AFTER_LATENCY = """
from numba.core.dispatcher import Dispatcher
from dmoa_theory import System, latency, simulate

system = System.from_arrays([[0, 1], [1, 0]], 0.1, 1.0, M=2, k=1, law="exponential")
latency(system)
simulate(system, queries=2000, seed=1)
slow = []
typed = Dispatcher._compile_for_args

def counted(self, *arguments, **named):
    slow.append(self.py_func.__name__)
    return typed(self, *arguments, **named)

Dispatcher._compile_for_args = counted
simulate(system, queries=2000, seed=1)
latency(system)
print(*slow)
"""


def test_simulating_after_an_estimate_stays_on_the_quick_way() -> None:
    """In a process that did both before, numba finds every compiled kernel by itself: none is typed in Python again."""
    done = subprocess.run([sys.executable, "-c", _SIMULATE_AFTER_LATENCY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def _double(x: float) -> float:
    return x + x


def test_two_processes_that_compile_at_once_keep_their_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find the cache empty; one is the last to write the index, the other to write its code: of another signature."""
    import numba
    from numba.core.caching import IndexDataCacheFile

    from dmoa_theory.simulation.kernel.compiled import kernel

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    one, other, later = (kernel(_double) for _ in range(3))
    save_index, save_data = IndexDataCacheFile._save_index, IndexDataCacheFile._save_data
    first = one._cache._cache_file
    held: list[tuple[object, ...]] = []

    def index(file: IndexDataCacheFile, *entries: object) -> None:
        if file is first:  # it has read the index
            assert other(2) == 4
        save_index(file, *entries)

    def data(file: IndexDataCacheFile, *code: object) -> None:
        if file is first:
            save_data(file, *code)
            save_data(*held.pop())
        else:
            held.append((file, *code))

    monkeypatch.setattr(IndexDataCacheFile, "_save_index", index)
    monkeypatch.setattr(IndexDataCacheFile, "_save_data", data)
    assert one(0.75) == 1.5
    assert held == []
    monkeypatch.undo()
    assert later(0.75) == 1.5
