"""``dmoa region``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import console, folder, print_json, print_lines, print_table, write_csv, write_json
from dmoa_theory.errors import InputError
from dmoa_theory.model.system import System
from dmoa_theory.stability.region import StabilityRegion, stability_region

__all__ = ["region"]


def region(
    scenario: Path | None = None,
    /,
    *,
    users: Annotated[str, Parameter(help='Two users for the section through the region, such as "0,3" or by name.')] = "",
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Do the queues stay bounded? Loads, bottleneck, and how far every rate can grow.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    system = options.system(scenario)
    result = stability_region(system)
    pair = _pair(system, users)
    if options.out is not None:
        _write(result, pair, folder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import headline, region_lines

        out = console()
        print_lines(out, headline(system))
        print_table(out, result.table())
        print_lines(out, region_lines(result))
    return 0 if result.stable else 3


def _pair(system: System, users: str) -> tuple[int, int] | None:
    """The users of the section: those named, or the two with most prompts; None when only one can ask."""
    able = np.flatnonzero(system.can_ask())
    if not users:
        busiest = able[np.argsort(-system.rates[able], kind="stable")[:2]]
        return (int(busiest.min()), int(busiest.max())) if busiest.size == 2 else None
    place = {str(u): u for u in range(system.n_devices)} | {system.network.name(u): u for u in range(system.n_devices)}
    named = [part.strip() for part in users.split(",")]
    if len(named) != 2 or any(name not in place for name in named):
        raise InputError("--users", users, f'two users, by number from 0 to {system.n_devices - 1} or by name, such as "0,1"')
    first, second = place[named[0]], place[named[1]]
    if first == second:
        raise InputError("--users", users, "two different users")
    mute = [u for u in (first, second) if u not in able]
    if mute:
        name = system.network.name(mute[0])
        raise InputError("--users", users, f"users who can ask, and {name} has fewer neighbours than its k")
    return first, second


def _write(result: StabilityRegion, pair: tuple[int, int] | None, out: Path) -> None:
    from dmoa_theory.plots.network import plot_network
    from dmoa_theory.plots.region import plot_section, plot_utilisation
    from dmoa_theory.plots.style import save

    write_json(out / "region.json", result)
    write_csv(out / "region.csv", result.records())
    save(plot_utilisation(result), out / "utilisation.png")
    save(plot_network(result), out / "network.png")
    if pair is not None:
        save(plot_section(result.section(*pair), note=result.system.moa.label), out / "section.png")
