"""``dmoa capacity``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from cyclopts import Parameter

from dmoa_theory.cli.names import split_names
from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.system import System
from dmoa_theory.model.units import parse_rate
from dmoa_theory.quantities import show_number, show_rate, show_share
from dmoa_theory.stability.gossip.capacity import capacity as find_capacity
from dmoa_theory.stability.gossip.prices import FASTER, MOST_LINKS, DevicePrice, LinkPrice, Prices
from dmoa_theory.stability.gossip.result import Capacity

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
        str | None,
        Parameter(
            help='Users whose prompts grow, the others fixed, such as "0,3" or by name; "0=0.002,3=0.001" adds those prompts/s.'
        ),
    ] = None,
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
    growth = None if direction is None else _direction(system, direction)
    try:
        result = find_capacity(system, min_inclusion=min_inclusion, direction=growth)
    except InputError as error:  # of the options: the scenario has been read
        raise _of_the_option(error, direction or "") from None
    if save is not None and result.feasible:
        result.save(save)
    written = None if options.out is None else _write(result, OutFolder(options.out))
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import headline

        out = console()
        print_lines(out, headline(system))
        print_table(out, result.table())
        print_lines(out, _lines(result))
        if save is not None and not result.feasible:
            print_lines(out, [f"No gossip to save: {save} is not written."])
        elif save is not None:
            print_lines(out, [f"Wrote {save}. Run it with --set moa.selection={save.resolve()}"])
        if written is not None:
            print_lines(out, [str(written)])
    return 0 if result.stable else 3


def _of_the_option(error: InputError, direction: str) -> InputError:
    """A complaint of the computation in terms of what was typed."""
    if error.field.startswith("direction"):
        return InputError("--direction", direction, error.allowed)
    return error.located(field="--" + error.field.replace("_", "-"))


def _direction(system: System, text: str) -> FloatArray:
    """Rates that a rise of the scale by one adds: of each user named, its present rate or what stands behind "="."""
    places = system.network.positions()
    growth = np.zeros(system.n_devices)
    if not text.strip(" ,"):
        raise InputError("--direction", text, 'users whose prompts grow, such as "0,3" or by name')
    for part in split_names(text, system.network, field="--direction", ends=r"\s*=\s*[^,=]*"):
        # a name may hold "=" itself
        name, equals, amount = (part, "", "") if part in places else (piece.strip() for piece in part.rpartition("="))
        name = name if equals else part
        u = system.network.position(name, field="--direction")
        if growth[u]:
            raise InputError("--direction", name, "each user once")
        try:
            growth[u] = _rate(amount) if equals else system.rates[u]
        except ValueError:
            raise InputError("--direction", part, 'a number of prompts/s behind =, or such as "7.2/hour"') from None
        if not 0 < growth[u] < math.inf:
            more = f'a rate behind it, such as "{name}=0.002", for it has no prompts now'
            allowed = "a number of prompts/s above 0 behind =" if equals else more
            raise InputError("--direction", part.strip(), allowed)
    return growth


def _rate(text: str) -> float:
    """Prompts per second: a number, or text with a unit of time."""
    return parse_rate("--direction", text) if "/" in text else float(text)


def _write(result: Capacity, out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.capacity import plot_capacity

    out.document("capacity.json", result.to_dict())
    out.table("capacity.csv", result.records())
    if result.feasible:
        result.save(out.add("best.csv"))
    else:
        out.remove(("best.csv",))
    out.picture("capacity.png", plot_capacity(result))
    return out


def _lines(result: Capacity) -> Iterator[str]:
    """What the best gossip carries, what it gains, what limits it, what would help."""
    if not result.feasible:
        yield f"INFEASIBLE: {result.reasons[0].partition(': ')[2]}."
        return
    yield _carried(result)
    if not result.given.moa.is_uniform:
        yield f"The scenario's own selection carries {_times(result, result.scale_own)}{_gain(result.gain_over_own)}."
    if not result.stable:
        yield (
            "UNSTABLE at the present load, whatever the gossip."
            if not result.min_inclusion
            else ("UNSTABLE at the present load with every gossip of this diversity.")
        )
    yield from _full_lines(result)
    yield from _price_lines(result, result.prices())


def _carried(result: Capacity) -> str:
    uniform = _times(result, result.scale_uniform)
    if result.program.growth is None:
        best = show_number(result.scale_best)
        short = result.scale_best < 1
        may, but = ("All rates may only be", " what they are") if short else ("All rates may grow up to", "")
        return f"{may} {best} times{but} with the best gossip, {uniform} with uniform gossip{_gain(result.gain)}."
    grow = [result.given.network.name(u) for u in np.flatnonzero(result.direction > 0).tolist()]
    who = f"{grow[0]} alone" if len(grow) == 1 else " and ".join(grow) if len(grow) == 2 else _some(grow)
    best = _times(result, result.scale_best)
    carried = f"{best} with the best gossip, {uniform} with uniform gossip"
    return f"While {who} may grow and the others stay: {carried}{_gain(result.gain)}."


def _full_lines(result: Capacity) -> Iterator[str]:
    """Bottlenecks, which every best gossip fills, and what this one fills beside."""
    name, always = result.given.network.name, result.bottlenecks.size
    bottlenecks, others = ([name(i) for i in part.tolist()] for part in np.split(result.full, [always]))
    if bottlenecks:
        which = "bottlenecks" if len(bottlenecks) > 1 else "bottleneck"
        yield f"Full at capacity with every gossip that carries it, the {which}: {_some(bottlenecks)}."
    if others:
        proved = "" if result.program.source.size <= MOST_LINKS else ", as far as is proved"
        yield f"Full with the gossip found, but not with every best one{proved}: {_some(others)}."


def _price_lines(result: Capacity, prices: Prices) -> Iterator[str]:
    """What one thing better would add, in prompts: those tried, and how many more there are."""
    helpful = [price for price in prices.devices if price.best_known > 0]
    adding = [price for price in prices.links if price.rise != 0]
    if helpful or adding:
        yield "What would add prompts, in parts of those that all users may send at capacity:"
    for price in helpful:
        yield f"  {_device_words(result, price)}"
    others = [result.given.network.name(i) for i in prices.other_devices]
    if others:
        most = min(price.slope for price in prices.devices) * FASTER
        yield f"  Not tried: {_some(others)}; at most {_part(result, most)}{' each' * (len(others) > 1)}."
    if not helpful:
        tried = ", ".join(price.name for price in prices.devices)  # a device whose dual value is zero cannot help
        which = "No one device" if len(prices.devices) == 1 else f"None of {tried}"
        yield f"  {which} alone, made faster, would add anything: those that are full give way together."
    for link in adding:
        yield f"  {_link_words(result, link)}"
    if adding and prices.n_links > len(prices.links):
        yield f"  {_others(prices.n_links - len(prices.links))} not tried, and may add something too."
    if not adding:
        yield f"  {_no_link(prices)}"


def _no_link(prices: Prices) -> str:
    """That no link that was tried adds anything: of those that promise most, one a user."""
    tried = [f"{price.names[0]} to {price.names[1]}" for price in prices.links]
    more = prices.n_links - len(tried)
    if not tried:
        return "No one link would add anything alone."
    rest = f"; {_others(more)} not tried" if more > 0 else ""
    if len(tried) == 1:
        return f"The one link tried, {tried[0]}, would add nothing alone{rest}."
    return f"None of the {len(tried)} links tried would add anything alone ({', '.join(tried)}){rest}."


def _others(more: int) -> str:
    """Links that might add something and were not tried: at most one a user is looked at."""
    return "1 more missing link was" if more == 1 else f"{more:,} more missing links were"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _times(result: Capacity, scale: float) -> str:
    """What a scale means: times the present rates, or prompts of all users where only some of them grow."""
    if math.isnan(scale):
        return "no load"
    if result.program.growth is None:
        return f"{show_number(scale)} times"
    return f"{show_rate(float(result.rates(scale).sum()))} in all (scale {show_number(scale)})"


def _gain(gain: float) -> str:
    return "" if math.isnan(gain) else f": a gain of {show_share(gain)} in prompts of all users"


def _part(result: Capacity, rise: float) -> str:
    """The prompts that a rise of the scale adds, as a part of those at capacity."""
    return f"{100 * result.part(rise):.2g} %"


def _device_words(result: Capacity, price: DevicePrice) -> str:
    at_most = "at most " if math.isnan(price.rise) else ""
    return f"{price.name} one per cent faster would add {at_most}{_part(result, price.best_known)}."


def _link_words(result: Capacity, price: LinkPrice) -> str:
    link = f"from {price.names[0]} to {price.names[1]}"
    if math.isnan(price.rise):
        return f"A link {link} would add at most {_part(result, 0.01 * price.slope)} for each per cent of layers that use it."
    return f"A link {link} would add {_part(result, price.rise)}."
