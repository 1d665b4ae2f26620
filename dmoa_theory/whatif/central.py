"""The other way to run it: one central server beside the distributed network, on equal total compute.

Equal compute: the central server has c servers, and finishes as many inferences of each stage a second, all of them busy, as
the n devices do together: on one of its servers an inference takes ``c / sum_j (1 / alpha_j)`` on average. With c = n these
are devices of average speed side by side; with c = 1 it is one machine n times as fast. A query is one job there: all its
inferences one after the other on one server. That is the best that a single fast machine can do, and the worst for n slow ones,
which could run the proposers of a layer side by side; so the two enclose what a centre of this compute can be. Nothing is
batched: on a large accelerator that answers many prompts at once the centre does better than here (give it more ``speed``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, FloatArray, read_only
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_rate, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.whatif.availability import Availability, show_chance
from dmoa_theory.whatif.document import document
from dmoa_theory.whatif.pool import Pool

__all__ = ["Central", "CentralComparison", "LoadCurves", "against_central"]

_MOST_SERVERS = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Central:
    """One central server: a pool of servers, and the way there and back.

    Attributes
    ----------
    pool : Pool
    round_trip : float, s
    availability : float or None
        Probability that it is up; nobody is answered while it is not. None when it is not known.
    """

    pool: Pool
    round_trip: float
    availability: float | None

    @property
    def label(self) -> str:
        """How many servers, in words."""
        return "one server" if self.pool.servers == 1 else f"{self.pool.servers:,} servers"

    @property
    def stable(self) -> bool:
        """Whether its queue is bounded."""
        return self.pool.load < 1

    @property
    def mean(self) -> float:
        """Mean latency, s."""
        return self.pool.mean_time + self.round_trip

    def quantile(self, level: float) -> float:
        """A percentile of the latency, s."""
        return self.pool.quantile(level) + self.round_trip

    def at(self, scale: float) -> Central:
        """The same under rates that many times as large."""
        pool = self.pool
        scaled = Pool(servers=pool.servers, rate=pool.rate * scale, mean=pool.mean, scv=pool.scv)
        return Central(pool=scaled, round_trip=self.round_trip, availability=self.availability)

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        return {
            "servers": self.pool.servers,
            "service_mean": self.pool.mean,
            "service_scv": self.pool.scv,
            "round_trip": self.round_trip,
            "stable": self.stable,
            "utilisation": self.pool.load,
            "largest_rate": self.pool.capacity,
            "mean": self.mean,
            "p95": self.quantile(0.95),
            "availability": self.availability,
            "worst_single_failure": 1.0,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LoadCurves:
    """Latency over load, distributed and central.

    Attributes
    ----------
    rate : ndarray, shape (p,), prompts/s
        Of all users.
    mean, p95 : ndarray, shape (1 + c, p), s
        The distributed network, then each central server; infinite where queues grow.
    """

    rate: FloatArray
    mean: FloatArray
    p95: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class CentralComparison(Result):
    """The distributed network beside central servers of equal compute: regions exact, latencies approximations.

    Attributes
    ----------
    system : System
    estimate : LatencyEstimate
        Of the distributed network.
    centrals : tuple of Central
    speed : float
        Compute of a central server relative to that of all devices together.
    bare : bool
        Whether the centre runs one inference a prompt instead of the same query.
    availability : Availability or None
        Of the distributed network; None when nothing is known of its devices.
    """

    verb: ClassVar[str] = "whatif"

    system: System
    estimate: LatencyEstimate
    centrals: tuple[Central, ...]
    speed: float
    bare: bool
    availability: Availability | None

    @property
    def source(self) -> Source:
        """Latencies are approximations; the largest loads are exact."""
        return Source.APPROXIMATION

    @property
    def largest_rate(self) -> float:
        """Prompts/s of all users, in the proportions that they have, below which every queue of the network is bounded."""
        return float(self.system.rates.sum() / self.estimate.utilisation.max())

    @property
    def worst_single_failure(self) -> float:
        """Largest share of the prompts that the loss of one device leaves without an answer: that of its own user."""
        return float(self.system.rates.max() / self.system.rates.sum())

    def over_load(self, points: int = 24, *, progress: Callable[[float], None] | None = None) -> LoadCurves:
        """Approximation: mean and p95 over the total load, up to the largest that any of them can bear.

        Parameters
        ----------
        points : int
            Loads, denser towards each one's limit.
        progress : callable, optional
            Told the fraction done, from 0 to 1, as work goes on.
        """
        limits = np.array([self.largest_rate, *(central.pool.capacity for central in self.centrals)])
        share = 1 - np.linspace(0.98, 0.02, points) ** 2 if points > 1 else np.array([0.5])
        share = (share - share[0]) * (0.98 - 0.02) / (share[-1] - share[0]) + 0.02 if points > 1 else share
        rate = np.unique(np.concatenate([share * limit for limit in np.unique(limits)]))
        now = float(self.system.rates.sum())
        mean, p95 = (np.full((limits.size, rate.size), np.inf) for _ in range(2))
        for p, total in enumerate(rate.tolist()):
            scale = total / now
            if total < limits[0]:
                estimate = latency(self.system.with_rates(self.system.rates * scale))
                mean[0, p], p95[0, p] = estimate.mean, estimate.p95
            for c, central in enumerate(self.centrals):
                scaled = central.at(scale)
                mean[c + 1, p], p95[c + 1, p] = scaled.mean, scaled.quantile(0.95)
            if progress is not None:
                progress((p + 1) / rate.size)
        return LoadCurves(rate=read_only(rate), mean=read_only(mean), p95=read_only(p95))

    def part(self) -> dict[str, Any]:
        """What this answer puts into the JSON document."""
        known = self.availability
        return {
            "speed": self.speed,
            "bare": self.bare,
            "distributed": {
                "devices": self.system.n_devices,
                "stable": self.estimate.stable,
                "utilisation": float(self.estimate.utilisation.max()),
                "largest_rate": self.largest_rate,
                "mean": self.estimate.mean,
                "p95": self.estimate.p95,
                "availability": None if known is None else known.answered_share,
                "worst_single_failure": self.worst_single_failure,
            },
            "centrals": [central.to_dict() for central in self.centrals],
        }

    def reasons(self) -> list[str]:
        """Why figures are null."""
        found = [] if self.estimate.stable else ["the distributed network is unstable: its latencies are unbounded"]
        found += [
            f"the centre of {each.label} is unstable: its latencies are unbounded" for each in self.centrals if not each.stable
        ]
        return found + ([] if self.availability else ["availability of the network is null: that of its devices was not given"])

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return document(self.system, central=self.part(), reasons=self.reasons())

    def table(self) -> Table:
        """Side by side, a quantity a row."""
        known = self.availability
        columns = [
            (
                show_rate(self.largest_rate),
                show_share(float(self.estimate.utilisation.max())),
                show_seconds(self.estimate.mean),
                show_seconds(self.estimate.p95),
                "-" if known is None else show_chance(known.answered_share),
                show_share(self.worst_single_failure),
            ),
            *(
                (
                    show_rate(central.pool.capacity),
                    show_share(central.pool.load),
                    show_seconds(central.mean),
                    show_seconds(central.quantile(0.95)),
                    "-" if central.availability is None else show_chance(central.availability),
                    show_share(1.0),
                )
                for central in self.centrals
            ),
        ]
        quantities = (
            "stable below, prompts in all",
            "busiest device or server",
            "mean latency",
            "p95 latency",
            "answered at any time",
            "cut off by the worst single failure",
        )
        return Table(
            f"distributed and central, {self.system.moa.label} (latency: approximation)",
            ("", f"{self.system.n_devices:,} devices", *(f"centre: {central.label}" for central in self.centrals)),
            tuple((name, *cells) for name, *cells in zip(quantities, *columns, strict=True) if set(cells) != {"-"}),
        )

    def records(self) -> list[dict[str, Any]]:
        """The network, then each central server: plain numbers."""
        part = self.part()
        of = [("distributed", part["distributed"]), *((f"central, {c.label}", c.to_dict()) for c in self.centrals)]
        keys = ("stable", "utilisation", "largest_rate", "mean", "p95", "availability", "worst_single_failure")
        units = {"largest_rate": "largest_rate_per_s", "mean": "mean_s", "p95": "p95_s"}
        return [{"of": name, **{units.get(key, key): values[key] for key in keys}} for name, values in of]


def against_central(
    system: System,
    *,
    servers: int | Sequence[int] | None = None,
    speed: float = 1.0,
    round_trip: float = 0.0,
    availability: float | None = None,
    devices: Availability | None = None,
    bare: bool = False,
) -> CentralComparison:
    """Regions exact, latencies approximations: the network beside a central server of its total compute.

    Parameters
    ----------
    system : System
    servers : int or sequence of int, optional
        Servers of the centre, c; default both n of a device's average speed, and one n times as fast.
    speed : float
        Compute of the centre relative to that of all devices together.
    round_trip : float, s
        From a user to the centre and back; links between devices have their delays in the system.
    availability : float, optional
        Probability that the centre is up.
    devices : Availability, optional
        Of the distributed network, from :func:`dmoa_theory.whatif.availability.availability`.
    bare : bool
        The centre answers each prompt with a single first-layer inference; say with ``speed`` how much faster or slower its
        model is.

    Raises
    ------
    InputError
        When a number is out of range.

    Notes
    -----
    The centre's service is the sum of a query's inferences, ``(k + 1) S_first + (k + 1)(M - 1) S_later + S_aggregate``, all
    independent, with the SCV of a stage averaged over the devices; over users it is a mixture in the proportions of their
    prompts. Then :class:`dmoa_theory.whatif.pool.Pool`. A quorum saves the centre nothing: it runs every inference.

    Examples
    --------
    Theorem 1 against a centre of the same compute: both bear the same load.

    >>> from dmoa_theory import System, against_central
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> result = against_central(System.from_arrays(complete, 0.002, 20.0, M=1, k=2))
    >>> [round(rate, 9) for rate in (result.largest_rate, *(each.pool.capacity for each in result.centrals))]
    [0.05, 0.05, 0.05]
    """
    counts = tuple(dict.fromkeys((system.n_devices, 1))) if servers is None else _counts(servers)
    if not (np.isfinite(speed) and 1 / LARGEST < speed < LARGEST):
        raise InputError("speed", speed, "a finite number above 0")
    if not (np.isfinite(round_trip) and round_trip >= 0):
        raise InputError("round_trip", round_trip, "a finite number of seconds, 0 or more")
    if availability is not None and not 0 <= availability <= 1:
        raise InputError("availability", availability, "a probability from 0 to 1")
    if devices is not None and devices.system is not system:
        raise InputError("devices", "the availability of another system", "that of this one")
    mean, scv = _work(system, bare=bare)  # on all devices together, as if they were one server
    rate = float(system.rates.sum())
    pools = [Pool(servers=c, rate=rate, mean=mean * c / speed, scv=scv) for c in counts]
    return CentralComparison(
        system=system,
        estimate=latency(system),
        centrals=tuple(Central(pool=pool, round_trip=round_trip, availability=availability) for pool in pools),
        speed=float(speed),
        bare=bare,
        availability=devices,
    )


def _counts(servers: int | Sequence[int]) -> tuple[int, ...]:
    given = tuple(servers) if isinstance(servers, Sequence) else (servers,)
    for count in given:
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= _MOST_SERVERS:
            raise InputError("servers", count, f"a whole number from 1 to {_MOST_SERVERS:,}")
    if not given:
        raise InputError("servers", "none", f"at least one whole number from 1 to {_MOST_SERVERS:,}")
    return tuple(dict.fromkeys(int(count) for count in given))


def _work(system: System, *, bare: bool) -> tuple[float, float]:
    """Mean, in seconds of one server that is as fast as all devices together, and SCV of the work of one prompt."""
    first, second, n = 0.0, 0.0, system.n_devices
    total = float(system.rates.sum())
    for group in system.groups():
        weight = float(system.rates[group.users].sum()) / total
        service = system.service.for_k(group.k)
        shape = (n, len(Stage))
        mean = 1 / (1 / np.broadcast_to(service.mean, shape)).sum(axis=0)
        variance = np.broadcast_to(service.scv, shape).mean(axis=0) * mean**2
        proposers = group.k + 1
        counts = [1, 0, 0] if bare or group.M == 0 else [proposers, proposers * (group.M - 1), 1]
        own, spread = float(mean @ counts), float(variance @ counts)
        first += weight * own
        second += weight * (own**2 + spread)
    return first, max(second / first**2 - 1, 0.0)
