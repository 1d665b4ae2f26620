"""How long a live run takes, and how many times faster than the scenario it may go before it measures messages only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cyclopts import Parameter, Token

from dmoa_theory.errors import InputError
from dmoa_theory.quantities import show_seconds

if TYPE_CHECKING:
    from dmoa_theory.model.system import System

__all__ = ["LONG", "SPEED", "check_length", "good_speed", "span_of", "sped_up_for", "warn_of_speed"]

#: A run longer than this is announced with its length, s.
LONG = 60.0
# One longer than this has to be asked for, and even then one longer than the last is warned of, s.
_TOO_LONG, _MUCH_TOO_LONG = 600.0, 1800.0
# Mean service below which messages and the machine's own ticks show, s.
_SHORTEST = 0.05
# What a node needs between two jobs, s, and the share of their mean service beyond which that is warned of.
_BETWEEN_JOBS, _NOTICED = 0.0003, 0.02
# Mean service below which a run would measure nothing but messages, s.
_QUICKEST = 0.001


def _factor(_kind: type, tokens: Sequence[Token]) -> float | str:
    text = tokens[0].value
    try:
        return text if text == "auto" else float(text)
    except ValueError:
        raise ValueError(f"{text}: a number, or auto") from None


#: The option for it.
SPEED = Parameter(
    converter=_factor,
    help="Run the scenario's times so many times faster: service, delays, arrivals (paced, padded); auto takes about a minute, "
    "or longer where inferences would take less than 50 ms.",
)


def good_speed(system: System, prompts: int) -> float:
    """At this a run takes about a minute, or longer where devices would have to be too quick for real processes."""
    length = _length(system, prompts)
    return float(f"{min(max(length / LONG, 1.0), _shortest(system) / _SHORTEST):.1g}")


def warn_of_speed(system: System, prompts: int, speed: float) -> None:
    """Say in a line that a run, sped up as it is, will show the nodes' own overhead, or will take very long."""
    good = float(f"{speed * good_speed(system, prompts):.1g}")
    shortest, length = _shortest(system), span_of(system, prompts)
    if _NOTICED * shortest < _BETWEEN_JOBS:
        said = (
            f"inferences of {show_seconds(shortest)} are short for real processes, which need {1000 * _BETWEEN_JOBS:g} ms "
            f"between two and more for a message; --speed {good:g} makes them {show_seconds(shortest * speed / good)}"
        )
    elif length > _MUCH_TOO_LONG and good > speed:
        said = f"this run takes {show_seconds(length)}; --speed {good:g} makes that {show_seconds(length * speed / good)}"
    else:
        return
    print(f"dmoa: {said}", file=sys.stderr)


def check_length(system: System, prompts: int, speed: float | str | None, mode: str) -> None:
    """Refuse a long run that nobody asked for by name."""
    length = span_of(system, prompts)
    if speed is None and mode != "real" and length > _TOO_LONG:
        times = max(good_speed(system, prompts), 1.0)
        allowed = (
            f"a factor: as it stands the run takes {show_seconds(length)}; {times:g} (or auto) makes that "
            f"{show_seconds(length / times)}"
        )
        raise InputError("--speed", InputError.MISSING, allowed)


def sped_up_for(system: System, speed: float | str, mode: str) -> System:
    """All times of the scenario divided by one number; loads stay."""
    from dmoa_theory.live.run_system import sped_up

    if mode == "real" and speed != 1:
        raise InputError("--speed", speed, "1 with mode real: an LLM takes its own time")
    speed = float(speed)
    found = sped_up(system, speed)
    shortest = _shortest(found)
    if speed > 1 and shortest < _QUICKEST:
        most = float(f"{speed * shortest / _QUICKEST:.2g}")
        allowed = f"at most {most:g}, or devices would have to be quicker than {1000 * _QUICKEST:g} ms, as no message is"
        raise InputError("--speed", speed, allowed)
    return found


def span_of(system: System, prompts: int) -> float:
    """Seconds until the last prompt comes: those of the list, or the mean."""
    return prompts / float(system.rates.sum()) if system.log is None else system.log.span


def _length(system: System, prompts: int) -> float:
    """Seconds until the last answer, roughly: the busiest device does its work, then the last prompt takes its layers."""
    from dmoa_theory.stability.loads import utilisation

    longest = max(float(system.service.for_k(group.k).mean.max()) * (group.M + 1) for group in system.groups())
    return span_of(system, prompts) * max(1.0, float(utilisation(system).max())) + longest


def _shortest(system: System) -> float:
    """Shortest mean service time of any device and stage."""
    return min(float(system.service.for_k(group.k).mean.min()) for group in system.groups())
