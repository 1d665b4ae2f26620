"""``dmoa derive``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import folder, print_json, write_csv, write_json, write_text
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.system import System
    from dmoa_theory.symbolic.derivation import Derivation
    from dmoa_theory.symbolic.pattern import Pattern

__all__ = ["derive"]

#: Links beyond which expressions are longer than anybody waits for: of the whole network, and of all devices at once.
MOST_LINKS, MOST_LINKS_AT_ONCE = 200_000, 20_000

What = Literal["stability", "delay", "capacity"]


def derive(
    scenario: Path | None = None,
    /,
    *,
    what: Annotated[
        What, Parameter(help="When queues stay bounded, how long a job waits, or how far one may go.")
    ] = "stability",
    family: Annotated[
        str, Parameter(help="Instead of a scenario: a graph family in symbols, such as star; theorem-1 for the paper's own.")
    ] = "",
    device: Annotated[
        list[str] | None, Parameter(negative="", help="Only this device, by name or number; may be given again.")
    ] = None,
    latex: Annotated[Path | None, Parameter(help="LaTeX document to write.")] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Derive the condition, the wait or the limits in symbols: assumptions, steps, result.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example. Its rates and first-layer times become symbols.
    """
    if family:
        _refuse_scenario(scenario, options)
    result = _derived(what, family, device or [], None if family else options.system(scenario))
    if latex is not None:
        write_text(latex, result.latex())
    if options.out is not None:
        out = folder(options.out)
        write_json(out / "derive.json", result)
        write_csv(out / "derive.csv", result.records())
        write_text(out / "derive.tex", result.latex())
    if options.json:
        print_json(result.to_dict())
    else:
        print(result.text(), end="")
    return 0


def _refuse_scenario(scenario: Path | None, options: Options) -> None:
    if scenario is not None:
        raise InputError("--family", scenario, "a family in place of a scenario, not beside one")
    if options.set:
        raise InputError("--set", options.set[0], "only with a scenario: a family has no values to set")


def _derived(what: What, family: str, devices: list[str], system: System | None) -> Derivation:
    from dmoa_theory.symbolic.capacity import derive_capacity
    from dmoa_theory.symbolic.stability import derive_stability
    from dmoa_theory.symbolic.theorem_one import derive_theorem_one
    from dmoa_theory.symbolic.waiting import derive_delay

    if family == "theorem-1":
        if what != "stability" or devices:
            raise InputError("--family", family, 'with "--what stability" and no device; the family complete has the others')
        return derive_theorem_one()
    pattern, places = _of_family(family, devices) if system is None else _of_system(system, devices)
    rules = {"stability": derive_stability, "delay": derive_delay, "capacity": derive_capacity}
    return rules[what](pattern, places)


def _of_family(family: str, devices: list[str]) -> tuple[Pattern, list[int]]:
    from dmoa_theory.symbolic.families import FAMILIES, family_pattern

    if family not in FAMILIES:
        raise InputError("--family", family, "one of theorem-1, " + ", ".join(FAMILIES))
    pattern = family_pattern(family)
    names = [str(role.device) for role in pattern.roles]
    wrong = [name for name in devices if name not in names]
    if wrong:
        raise InputError("--device", wrong[0], "one of " + ", ".join(names))
    return pattern, [names.index(name) for name in devices]


def _of_system(system: System, devices: list[str]) -> tuple[Pattern, list[int]]:
    from dmoa_theory.symbolic.graphs import system_pattern

    n, links = system.n_devices, system.network.n_links
    place = {str(u): u for u in range(n)} | {system.network.name(u): u for u in range(n)}
    wrong = [name for name in devices if name not in place]
    if wrong:
        raise InputError("--device", wrong[0], f"a device by name, or by number from 0 to {n - 1}")
    if links > MOST_LINKS:
        raise InputError("network", f"{links} links", f"at most {MOST_LINKS} to be written in symbols")
    if links > MOST_LINKS_AT_ONCE and not devices:
        raise InputError("--device", InputError.MISSING, f"needed for a network of {links} links: name the devices to derive")
    return system_pattern(system), [place[name] for name in devices]
