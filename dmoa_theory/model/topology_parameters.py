"""The parameters of a named graph family, handed out checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from numbers import Integral, Real

import numpy as np

from dmoa_theory.errors import InputError, TopologyError

__all__ = ["MOST_DEVICES", "MOST_LINKS", "Parameters"]

MOST_DEVICES = 50_000_000
MOST_LINKS = 200_000_000  # directed; past this the index array alone is close to a gigabyte
MOST_SEED = 2**63 - 1


class Parameters(Mapping[str, object]):
    """The parameters of one call, handed out checked: each refusal names the parameter, the value and what is allowed."""

    def __init__(self, family: str, values: Mapping[str, object]) -> None:
        self.family = family
        self._values = values

    def __getitem__(self, key: str) -> object:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def _missing(self, key: str, allowed: str) -> TopologyError:
        return TopologyError(key, InputError.MISSING, f"the family {self.family} needs {allowed}")

    def whole(self, key: str, low: int, high: int = MOST_DEVICES, *, default: int | None = None) -> int:
        """Return a whole number from ``low`` to ``high``."""
        if high < low:
            high = low
        allowed = f"a whole number, {low} or more" if high >= MOST_DEVICES else f"a whole number from {low} to {high}"
        if key not in self:
            if default is None:
                raise self._missing(key, allowed)
            return default
        value = self[key]
        # 4.0 is let through as 4, as everywhere else in the package; True and "4" are not numbers
        integral = isinstance(value, Integral) or (isinstance(value, (float, np.floating)) and float(value).is_integer())
        if isinstance(value, bool) or not integral:
            raise TopologyError(key, value, allowed)
        number = int(value)  # type: ignore[call-overload]
        if not low <= number <= high:
            raise TopologyError(key, value, allowed if number < low else f"a whole number from {low} to {high}")
        return int(number)

    def real(self, key: str, allowed: str, fits: Callable[[float], bool]) -> float:
        """Return a finite number for which ``fits`` holds."""
        if key not in self:
            raise self._missing(key, allowed)
        value = self[key]
        try:
            number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
        except OverflowError:  # a whole number past the largest float
            number = math.inf
        if not (math.isfinite(number) and fits(number)):
            raise TopologyError(key, value, allowed)
        return number

    def probability(self, key: str) -> float:
        """Return a number from 0 to 1."""
        return self.real(key, "a probability, 0 to 1", lambda p: 0 <= p <= 1)

    def seed(self) -> int:
        """Return the seed of a random family; 0 where none is given."""
        return self.whole("seed", 0, MOST_SEED, default=0)

    def agrees(self, n: int, because: str) -> None:
        """Refuse an ``n`` that contradicts the parameters that already fix the number of devices."""
        if n > MOST_DEVICES:
            raise TopologyError("n", n, f"{because} gives more than the {MOST_DEVICES} devices that fit")
        if "n" in self and self.whole("n", 1) != n:
            raise TopologyError("n", self["n"], f"{n}, which {because} gives; or leave n out")

    def affordable(self, links: float, key: str) -> None:
        """Refuse a network whose links would fill the memory, before anything is allocated."""
        if links > MOST_LINKS:
            raise TopologyError(key, self[key], f"less: this network has {links:.3g} directed links, and {MOST_LINKS:.0e} fit")
