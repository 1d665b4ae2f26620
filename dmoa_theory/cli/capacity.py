"""``dmoa capacity``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import console, folder, print_json, print_lines, print_table, write_csv, write_json
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_number, show_share
from dmoa_theory.stability.gossip.capacity import Capacity
from dmoa_theory.stability.gossip.capacity import capacity as find_capacity
from dmoa_theory.stability.gossip.prices import DevicePrice, LinkPrice

__all__ = ["capacity"]

_MOST_NAMES = 6


def capacity(
    scenario: Path | None = None,
    /,
    *,
    min_inclusion: Annotated[
        float, Parameter(help="Smallest probability with which a layer uses each link, such as 0.05.")
    ] = 0.0,
    direction: Annotated[
        str,
        Parameter(
            help='Users whose prompts grow, the others fixed, such as "0,3" or by name; "0=0.002,3=0.001" adds those prompts/s.'
        ),
    ] = "",
    save: Annotated[Path | None, Parameter(help="CSV for the best gossip, as moa.selection reads it.")] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """The best gossip: the largest load over all selection probabilities, and the gain over uniform gossip.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    system = options.system(scenario)
    with options.speaking_of(scenario):
        result = find_capacity(
            system, min_inclusion=min_inclusion, direction=_direction(system, direction) if direction else None
        )
    if save is not None:
        result.save(save)
    if options.out is not None:
        _write(result, folder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import headline

        out = console()
        print_lines(out, headline(system))
        print_table(out, result.table())
        print_lines(out, _lines(result))
        if save is not None:
            print_lines(out, [f"Saved. Run it with --set moa.selection={save.resolve()}"])
    return 0 if result.stable else 3


def _direction(system: System, text: str) -> FloatArray:
    """Rates that a rise of the scale by one adds: of each user named, its present rate or what stands behind "="."""
    place = {str(u): u for u in range(system.n_devices)} | {system.network.name(u): u for u in range(system.n_devices)}
    growth = np.zeros(system.n_devices)
    for part in text.split(","):
        name, equals, amount = (piece.strip() for piece in part.rpartition("=")) if "=" in part else (part.strip(), "", "")
        if name not in place:
            allowed = f'users, by number from 0 to {system.n_devices - 1} or by name, such as "0,1" or "0=0.002"'
            raise InputError("--direction", name, allowed)
        u = place[name]
        if growth[u]:
            raise InputError("--direction", name, "each user once")
        try:
            growth[u] = float(amount) if equals else system.rates[u]
        except ValueError:
            raise InputError("--direction", part, "a number of prompts/s behind =") from None
        if not 0 < growth[u] < math.inf:
            allowed = "a number of prompts/s above 0 behind =" if equals else f'such as "{name}=0.002": it has no prompts now'
            raise InputError("--direction", part.strip(), allowed)
    return growth


def _write(result: Capacity, out: Path) -> None:
    from dmoa_theory.plots.capacity import plot_capacity
    from dmoa_theory.plots.style import save

    write_json(out / "capacity.json", result)
    write_csv(out / "capacity.csv", result.records())
    result.save(out / "best.csv")
    save(plot_capacity(result), out / "capacity.png")


def _lines(result: Capacity) -> Iterator[str]:
    """What the best gossip carries, what it gains, what limits it, what would help."""
    what = "All rates may grow up to" if result.program.growth is None else "In the direction given the scale may grow up to"
    best = show_number(result.scale_best)
    yield f"{what} {best} times with the best gossip, {_times(result.scale_uniform)} with uniform gossip{_gain(result.gain)}."
    if not result.given.moa.is_uniform:
        yield f"The scenario's own selection carries {_times(result.scale_own)}{_gain(result.gain_over_own)}."
    if not result.stable:
        yield (
            "UNSTABLE at the present load, whatever the gossip."
            if not result.min_inclusion
            else ("UNSTABLE at the present load with every gossip of this diversity.")
        )
    names = [result.given.network.name(i) for i in result.bottlenecks.tolist()]
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    yield f"Full at capacity: {', '.join(names[:_MOST_NAMES])}{more}."
    prices = result.prices()
    helpful = [price for price in prices.devices if price.best_known > 0]
    for price in helpful:
        yield f"  {_device_words(result, price)}"
    if not helpful:
        tried = ", ".join(price.name for price in prices.devices)  # a device whose dual value is zero cannot help
        which = "No one device" if len(prices.devices) == 1 else f"None of {tried}"
        yield f"  {which} alone, made faster, would add anything: those that are full give way together."
    adding = [price for price in prices.links if price.gain != 0]
    for link in adding:
        yield f"  {_link_words(result, link)}"
    if not adding:
        tried = ", ".join(f"{price.names[0]} to {price.names[1]}" for price in prices.links)
        yield f"  {f'None of the links {tried}' if tried else 'No one link'} would add anything alone."


def _times(scale: float) -> str:
    return "no load" if math.isnan(scale) else f"{show_number(scale)} times"


def _gain(gain: float) -> str:
    return "" if math.isnan(gain) else f" (a gain of {show_share(gain)})"


def _part(result: Capacity, rise: float) -> str:
    """A rise of the scale, as a part of the capacity."""
    return f"{100 * rise / result.scale_best:.2g} %"


def _device_words(result: Capacity, price: DevicePrice) -> str:
    at_most = "at most " if math.isnan(price.gain) else ""
    return f"{price.name} one per cent faster would add {at_most}{_part(result, price.best_known)}."


def _link_words(result: Capacity, price: LinkPrice) -> str:
    link = f"from {price.names[0]} to {price.names[1]}"
    if math.isnan(price.gain):
        return f"A link {link} would add at most {_part(result, 0.01 * price.slope)} for each per cent of layers that use it."
    return f"A link {link} would add {_part(result, price.gain)}."
