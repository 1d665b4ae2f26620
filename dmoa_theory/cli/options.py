"""What every verb that takes a scenario is told: the file, overrides, and where the answer goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, Token

from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.system import System

__all__ = ["SECONDS", "WHOLE", "Options", "only_beside"]


def _whole_number(_kind: type, tokens: Sequence[Token]) -> int:
    """A whole number, also written 1_000_000 or 1e6."""
    text = tokens[0].value
    try:
        exact = Decimal(text)
        if exact != exact.to_integral_value() or exact.adjusted() > 30:
            raise ValueError
    except (ArithmeticError, ValueError):
        raise ValueError(f"{text}: a whole number, such as 1000000 or 1e6") from None
    return int(exact)


#: An option that is a whole number.
WHOLE = Parameter(converter=_whole_number)


def _seconds(_kind: type, tokens: Sequence[Token]) -> float:
    """A time: a number of seconds, held against its limits where they are known, or text with a unit."""
    from dmoa_theory.model.units import parse_seconds

    text = tokens[0].value
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return parse_seconds("", text, zero=True)
    except InputError as error:
        raise ValueError(f"{text or repr(text)}: {error.allowed}") from None


#: An option that is a time.
SECONDS = Parameter(converter=_seconds)


def only_beside(partner: str, present: bool, options: Mapping[str, object]) -> None:
    """Refuse options that say nothing without another one.

    Raises
    ------
    InputError
        For the first that was given (is not None) while its partner was not.
    """
    for option, value in options.items():
        if value is not None and not present:
            shown = "given" if value is True else value
            raise InputError(option, shown, f"only beside {partner}, without which it says nothing")


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of every verb that takes a scenario."""

    set: Annotated[
        list[str],
        Parameter(
            name="--set",
            negative="",
            help='Override a value of the scenario, such as "moa.k=3"; may be given again. Paths are relative to it.',
        ),
    ] = field(default_factory=list)
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False
    out: Annotated[str | None, Parameter(name="--out", help="Folder for plots and tables; made if it is not there.")] = None

    def system(self, scenario: Path | None) -> System:
        """The scenario with its overrides."""
        from dmoa_theory.model.scenario import load_scenario

        return load_scenario(scenario, self.set)

    @contextmanager
    def speaking_of(self, scenario: Path | None) -> Iterator[None]:
        """Let complaints that come after reading, such as of the accuracy data, name the scenario file."""
        from dmoa_theory.model.scenario import EXAMPLE

        try:
            yield
        except InputError as error:
            if error.file is not None:
                raise
            raise error.located(file=EXAMPLE if scenario is None else str(scenario)) from None
