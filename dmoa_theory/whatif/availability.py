"""Devices and links that are down by chance: how likely a prompt is answered, and how likely what is left is stable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, FloatLike, non_negative, read_only
from dmoa_theory.model.system import System
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.whatif.answers import answer_probability
from dmoa_theory.whatif.document import document
from dmoa_theory.whatif.loss import WhenShort
from dmoa_theory.whatif.states import loads_of_states

__all__ = ["Availability", "Chance", "availability", "show_chance"]

_SHOWN = 12
#: Parts that can be down up to which all states are gone through.
_ALL_STATES = 14
#: Numbers of a matrix of states held at a time.
_NUMBERS = 2**21
_NORMAL = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """A probability with its 95 % interval: both ends at the value where it is exact."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {"value": self.value, "ci95": [self.low, self.high]}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Availability(Result):
    """How likely prompts are answered when devices and links are up with given probabilities, independently of each other.

    Attributes
    ----------
    system : System
    devices : ndarray, shape (n,)
        Probability that each device is up.
    links : ndarray, shape (n_links,)
        Probability that each directed link is.
    when_short : WhenShort
    blind : bool
        Whether users draw without knowing who is up.
    answered : ndarray, shape (n,)
        Probability that a user's prompt is answered, waits left out of account; NaN for users without prompts.
    exact : ndarray of bool, shape (n,)
        False where that is a lower bound.
    stable : Chance
        Probability that the queues of what is left stay bounded; those of nothing are.
    served : Chance or None
        Share of prompts that come while that is so and their user is answered; None for blind draws.
    states : int
        States gone through, or drawn.
    sampled : bool
        Whether they were drawn.
    seed : int
    """

    verb: ClassVar[str] = "whatif"

    system: System
    devices: FloatArray
    links: FloatArray
    when_short: WhenShort
    blind: bool
    answered: FloatArray
    exact: BoolArray
    stable: Chance
    served: Chance | None
    states: int
    sampled: bool
    seed: int

    @property
    def source(self) -> Source:
        """Exact where all states were gone through; else simulated."""
        return Source.SIMULATED if self.sampled else Source.EXACT if self.exact.all() else Source.BOUND

    @property
    def answered_share(self) -> float:
        """Expected share of all prompts that are answered, waits left out of account."""
        rates = self.system.rates
        used = rates > 0
        return float(rates[used] @ self.answered[used] / rates.sum())

    def part(self) -> dict[str, Any]:
        """What this answer puts into the JSON document."""
        return {
            "devices": self.devices,
            "links": float(self.links[0]) if self.links.size and (self.links == self.links[0]).all() else self.links,
            "when_short": self.when_short.value,
            "blind": self.blind,
            "answered": self.answered,
            "answered_share": self.answered_share,
            "exact": bool(self.exact.all()),
            "stable": self.stable.to_dict(),
            "served": None if self.served is None else self.served.to_dict(),
            "states": self.states,
            "sampled": self.sampled,
            "seed": self.seed,
        }

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return document(self.system, availability=self.part())

    def table(self) -> Table:
        """Users and how likely they are answered; of many those answered least."""
        users = np.flatnonzero(self.system.rates > 0)
        left_out = ""
        if users.size > _SHOWN:
            left_out = f" ({_SHOWN} answered least of {users.size} users)"
            users = users[np.argsort(self.answered[users], kind="stable")[:_SHOWN]]
        rows = tuple(
            (
                self.system.network.name(u),
                show_chance(self.devices[u]),
                ("" if self.exact[u] else "at least ") + show_chance(self.answered[u]),
            )
            for u in users.tolist()
        )
        return Table(f"who is answered with {self.system.moa.label}{left_out}", ("user", "own device up", "answered"), rows)

    def records(self) -> list[dict[str, Any]]:
        """One row a user with prompts: plain numbers."""
        return [
            {
                "user": self.system.network.name(u),
                "device_up": float(self.devices[u]),
                "answered": float(self.answered[u]),
                "exact": bool(self.exact[u]),
            }
            for u in np.flatnonzero(self.system.rates > 0).tolist()
        ]


def show_chance(chance: float) -> str:
    """A probability as a percentage: one decimal, and beyond 99 % two digits of what is missing.

    Examples
    --------
    >>> from dmoa_theory.whatif.availability import show_chance
    >>> show_chance(0.9), show_chance(0.99983), show_chance(1.0)
    ('90.0 %', '99.983 %', '100 %')
    """
    if not np.isfinite(chance):
        return "-"
    missing = 1 - chance
    if missing <= 1e-12:
        return "100 %"
    decimals = max(1, -1 - int(f"{missing:.1e}".partition("e")[2]))  # of what is missing as rounded
    return f"{100 * chance:.{decimals}f} %"


def availability(
    system: System,
    devices: FloatLike = 0.99,
    *,
    links: FloatLike = 1.0,
    when_short: str = WhenShort.FEWER,
    blind: bool = False,
    samples: int = 10_000,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Availability:
    """Exact up to 14 parts that may be down, beyond them sampled for stability: who is answered, and is what is left stable.

    Parameters
    ----------
    system : System
    devices : float or array_like, shape (n,)
        Probability that each device is up.
    links : float or array_like, shape (n_links,)
        Probability that each directed link is up; the two ways of a link fail independently.
    when_short : str
        ``"fewer"``: users ask as many as are up, up to k. ``"cut-off"``: they need k of them, and are not answered otherwise.
    blind : bool
        Users do not know who is up: they draw from all neighbours, and a layer needs its quorum of answers.
    samples : int
        States to draw where there are too many to go through.
    seed : int
        Same seed, same states.
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Returns
    -------
    Availability

    Raises
    ------
    InputError
        When a probability is not one, or ``samples`` is below 1.

    Notes
    -----
    Assumes that parts fail independently, that they stay up or down for the whole of a query, and that who is up has settled
    long enough for queues to be at their new loads. The intervals of sampled figures are Wilson's; that of ``served``, a mean
    of numbers from 0 to 1, whose variance is at most that of coins with this mean, is wider than it need be.

    References
    ----------
    Wilson, E. B. (1927), Journal of the American Statistical Association 22(158), 209-212.

    Examples
    --------
    >>> from dmoa_theory import System, availability
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=2)
    >>> knowing, needy = (availability(triangle, 0.9, when_short=rule) for rule in ("fewer", "cut-off"))
    >>> round(knowing.answered_share, 6), round(needy.answered_share, 6)
    (0.9, 0.729)
    """
    rule = WhenShort.of(when_short)
    chances = _probabilities("devices", devices, system.n_devices)
    on_links = _probabilities("links", links, system.network.n_links)
    if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or not 1 <= samples <= 10**8:
        raise InputError("samples", samples, "a whole number from 1 to 100,000,000")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError("seed", seed, "a whole number, 0 or more")
    answered, exact = answer_probability(system, chances, on_links, rule, blind=blind)
    every = np.concatenate((chances, on_links))
    unsure = np.flatnonzero((every > 0) & (every < 1))
    sampled = unsure.size > _ALL_STATES
    count = int(samples) if sampled else 2**unsure.size
    rng = np.random.default_rng(seed)
    bounded, served = np.empty(count), np.empty(count)
    weight = np.full(count, 1 / count)
    block = max(1, _NUMBERS // max(every.size, 1))
    for start in range(0, count, block):
        size = min(block, count - start)
        up = np.broadcast_to(every == 1, (size, every.size)).copy()
        if sampled:
            up[:, unsure] = rng.random((size, unsure.size)) < every[unsure]
        else:
            up[:, unsure] = (np.arange(start, start + size)[:, None] >> np.arange(unsure.size)) & 1 == 1
            weight[start : start + size] = np.where(up[:, unsure], every[unsure], 1 - every[unsure]).prod(axis=1)
        n = system.n_devices
        found = loads_of_states(system, up[:, :n], None if (on_links == 1).all() else up[:, n:], rule, blind=blind)
        good = found.load.max(axis=1) < 1
        bounded[start : start + size] = good
        served[start : start + size] = good * (found.answered @ system.rates) / system.rates.sum()
        if progress is not None:
            progress((start + size) / count)
    return Availability(
        system=system,
        devices=chances,
        links=on_links,
        when_short=rule,
        blind=blind,
        answered=read_only(answered),
        exact=read_only(exact),
        stable=_chance(1 - float(weight @ (1 - bounded)), count if sampled else None),
        served=None if blind else _chance(float(weight @ served), count if sampled else None),
        states=count,
        sampled=sampled,
        seed=int(seed),
    )


def _probabilities(field: str, value: FloatLike, n: int) -> FloatArray:
    what = "a probability from 0 to 1"
    found = non_negative(field, value, n, what=what, bounded=False)
    wrong = np.flatnonzero(found > 1)
    if wrong.size:
        raise InputError(f"{field}[{wrong[0]}]" if np.ndim(value) else field, float(found[wrong[0]]), what)
    return found


def _chance(value: float, samples: int | None) -> Chance:
    """A share with Wilson's interval; exact where nothing was sampled."""
    value = min(max(value, 0.0), 1.0)
    if samples is None:
        return Chance(value=value, low=value, high=value)
    square = _NORMAL**2 / samples
    centre = (value + square / 2) / (1 + square)
    half = _NORMAL / (1 + square) * np.sqrt(value * (1 - value) / samples + square / (4 * samples))
    return Chance(value=value, low=max(0.0, float(centre - half)), high=min(1.0, float(centre + half)))
