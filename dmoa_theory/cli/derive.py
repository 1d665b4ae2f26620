"""``dmoa derive``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from cyclopts import Parameter

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, write_text
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.system import System
    from dmoa_theory.stability.family_curves import CriticalCurves
    from dmoa_theory.symbolic.derivation import Derivation

__all__ = ["derive"]

What = Literal["stability", "delay", "capacity"]


def derive(
    scenario: Annotated[
        Path | None,
        Parameter(
            help="A scenario file; default the bundled example. Rates become the symbols lambda_0, lambda_1, ..., first-layer "
            "times alpha_0, alpha_1, ... M becomes a symbol where all users run the same (M, k) with M at least 1, and so does "
            "k where they draw neighbours uniformly; otherwise they keep the scenario's values, as everything else does."
        ),
    ] = None,
    /,
    *,
    what: Annotated[
        What,
        Parameter(help="When every queue stays bounded, how long jobs wait, or how large each rate, M and k may be."),
    ] = "stability",
    family: Annotated[
        str,
        Parameter(
            help="Instead of a scenario: a graph family in symbols, such as star; theorem-1 for the paper's own. "
            "With --out also a picture of its largest rate, by size and by k."
        ),
    ] = "",
    device: Annotated[
        list[str] | None,
        Parameter(negative="", help="Only this device, by name or number (in a family: its role); may be given again."),
    ] = None,
    latex: Annotated[Path | None, Parameter(help="LaTeX document to write; folders that are missing are made.")] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Derive the condition, the wait or the limits in symbols: assumptions, steps, result."""
    if family:
        _refuse_scenario(scenario, options)
    result = _derived(family or options.system(scenario), what, device or [])
    if latex is not None:
        _make_folder_of(latex)
        write_text(latex, result.latex())
    written = None if options.out is None else _write(result, family if what != "delay" else "", OutFolder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        print(result.text(), end="")
        if latex is not None:
            print(f"Wrote {latex}.")
        if written is not None:
            print_lines(console(), [str(written)])
    return 0


def _write(result: Derivation, family: str, out: OutFolder) -> OutFolder:
    """JSON, table and LaTeX; of a family also its largest rate."""
    out.document("derive.json", result.to_dict())
    out.table("derive.csv", result.records())
    out.text("derive.tex", result.latex())
    if family:
        _write_curves(family, out)
    else:
        out.remove(("critical_rate.png", "critical_rate.csv"))
    return out


def _make_folder_of(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        raise InputError("--latex", path, "a file in a folder, or in a place where one can be made") from None


def _write_curves(family: str, out: OutFolder) -> None:
    """The largest rate of growing networks of the family: what the loads of each network say, and what the formula says."""
    from dmoa_theory.plots.critical_rates import plot_critical_curves
    from dmoa_theory.stability.family_curves import critical_curves
    from dmoa_theory.symbolic.families import FAMILIES

    family = "complete" if family == "theorem-1" else family
    curves = critical_curves(family)
    picture = plot_critical_curves(curves, _formula(curves), approximate=FAMILIES[family].random)
    out.picture("critical_rate.png", picture)
    out.table("critical_rate.csv", curves.records())


def _formula(curves: CriticalCurves) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    from dmoa_theory.symbolic.family_rates import family_rate

    rate = family_rate(curves.family, M=curves.M, k=curves.ks[None, :], **curves.parameters())
    return np.broadcast_to(rate, curves.rate.shape)


def _refuse_scenario(scenario: Path | None, options: Options) -> None:
    if scenario is not None:
        raise InputError("--family", scenario, "a family in place of a scenario, not beside one")
    if options.set:
        raise InputError("--set", options.set[0], "only with a scenario: a family has no values to set")


def _derived(of: System | str, what: What, devices: list[str]) -> Derivation:
    from dmoa_theory.symbolic.derive import derive as derivation

    try:
        return derivation(of, what, devices)
    except InputError as error:  # of the options: the scenario has been read
        known = {"family": "--family", "device": "--device"}
        raise error.located(field=known[error.field]) if error.field in known else error from None
