"""The stability region: the arrival rates for which every queue stays bounded, and where a system stands in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray, read_only
from dmoa_theory.model.system import System
from dmoa_theory.quantities import rate_unit, show_number, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.critical_rates import critical_rates, unit_loads
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.polytope import section_corners, vertices, volume
from dmoa_theory.stability.proofs.guarantee import Guarantee, stability_guarantee
from dmoa_theory.stability.region_body import RegionBody, region_body

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["Bottleneck", "RegionSection", "StabilityRegion", "stability_region"]

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bottleneck:
    """The busiest device."""

    device: int
    name: str
    utilisation: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegionSection:
    """A plane through the region: the rates of two users that keep every queue bounded, the others' rates fixed.

    Attributes
    ----------
    users : tuple of int
        The users along the two axes.
    names : tuple of str
    corners : ndarray, shape (c, 2), prompts/s
        Counter-clockwise from the origin; empty when the others alone overload a device.
    binding : tuple of str, length c - 2
        The device that gives way along each edge from corner ``i + 1`` to corner ``i + 2``.
    operating_point : tuple of float, prompts/s
        Where the system stands.
    stable : bool
        Whether that lies inside.
    """

    users: tuple[int, int]
    names: tuple[str, str]
    corners: FloatArray
    binding: tuple[str, ...]
    operating_point: tuple[float, float]
    stable: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class StabilityRegion(Result):
    """Exact: where a system stands in its stability region ``{lambda >= 0 : A lambda < 1}``.

    Attributes
    ----------
    system : System
    utilisation : ndarray, shape (n,)
        Offered load of each device.
    slack : ndarray, shape (n,)
        One less that: seconds a second that each device has left; negative where it is overloaded.
    bottleneck : Bottleneck
        The busiest device (of equals the first).
    critical_scale : float
        Every queue stays bounded when all rates are multiplied by a factor below this.
    critical_rate : ndarray, shape (n,), prompts/s
        Each user's largest rate with the others fixed; 0 where no rate works: the others alone fill a device's time, or the
        user has too few neighbours for its k.
    """

    verb: ClassVar[str] = "region"

    system: System
    utilisation: FloatArray
    slack: FloatArray
    bottleneck: Bottleneck
    critical_scale: float
    critical_rate: FloatArray

    @property
    def guarantee(self) -> Guarantee:
        """Which proof says that load below one suffices here; worked out when asked for."""
        return stability_guarantee(self.system)

    @property
    def source(self) -> Source:
        """Loads and their limits are exact."""
        return Source.EXACT

    @property
    def stable(self) -> bool:
        """Whether every device is offered less than one second of work a second."""
        return self.bottleneck.utilisation < 1

    def coefficients(self) -> sparse.csr_array:
        """The half-spaces: entry (j, u) is the load on device ``j`` per unit rate of user ``u``; shape (n, n), seconds.

        The region is ``{lambda >= 0 : A lambda < 1}``. Columns of users with too few neighbours to ask are empty.
        """
        from scipy import sparse

        system = self.system
        own, on_link = unit_loads(system)
        return sparse.csr_array(system.network.matrix(on_link).T + sparse.diags_array(own, format="csr"))

    def contains(self, rates: FloatArray) -> BoolArray | bool:
        """Exact: whether rate vectors lie inside the region, many at once.

        Parameters
        ----------
        rates : array_like, shape (n,) or (m, n), prompts/s

        Returns
        -------
        bool, or ndarray of bool with shape (m,)

        Raises
        ------
        InputError
            When the last axis is not n long, a rate is negative or not a number, or a user without enough neighbours asks.
        """
        rates = np.asarray(rates, dtype=np.float64)
        n = self.system.n_devices
        if rates.ndim not in (1, 2) or rates.shape[-1] != n:
            raise InputError("rates", f"shape {rates.shape}", f"one rate for each of {n} users, or rows of them")
        if np.isnan(rates).any() or (rates < 0).any():
            raise InputError("rates", rates[np.isnan(rates) | (rates < 0)].flat[0].item(), "numbers, 0 or more")
        mute = ~self.system.can_ask()
        if (np.atleast_2d(rates)[:, mute] > 0).any():
            u = int(np.flatnonzero(mute)[0])
            raise InputError("rates", f"prompts of {self.system.network.name(u)}", "0: it has fewer neighbours than its k")
        inside: BoolArray = np.asarray((self.coefficients() @ np.atleast_2d(rates).T < 1).all(axis=0))
        return bool(inside[0]) if rates.ndim == 1 else inside

    def vertices(self) -> FloatArray:
        """Exact: the corners of the region; shape (n_corners, n), prompts/s. For at most 8 users."""
        corners, able = self._small()
        full = np.zeros((corners.shape[0], self.system.n_devices))
        full[:, able] = corners
        return full

    def volume(self) -> float:
        """Exact: the volume of the region, (prompts/s)^n over the users who can ask. For at most 8 users."""
        able = self.system.can_ask()
        return volume(self.coefficients().toarray()[:, able])

    def _small(self) -> tuple[FloatArray, IntArray]:
        able = np.flatnonzero(self.system.can_ask())
        if able.size > 64:  # refuse before a large matrix is filled in
            raise InputError("n", able.size, "a handful of users for the corners of the region; a section works for any number")
        return vertices(self.coefficients().toarray()[:, able]), able

    def section(self, first: int | str, second: int | str) -> RegionSection:
        """Exact: the region in the plane of two users' rates, the others fixed where they are.

        Parameters
        ----------
        first, second : int or str
            Users, by number or by name.

        Raises
        ------
        InputError
            When the users are the same, do not exist, or have too few neighbours for their k.
        """
        first, second = self._user("first", first), self._user("second", second)
        if first == second:
            raise InputError("second", second, "another user than the first")
        columns, room = self._along((first, second))
        corners, binding = section_corners(columns[:, 0], columns[:, 1], room)
        network, rates = self.system.network, self.system.rates
        return RegionSection(
            users=(first, second),
            names=(network.name(first), network.name(second)),
            corners=corners,
            binding=tuple(network.name(j) for j in binding.tolist()),
            operating_point=(float(rates[first]), float(rates[second])),
            stable=self.stable,
        )

    def body(self, first: int | str, second: int | str, third: int | str) -> RegionBody:
        """Exact: the region along three users' rates, the others fixed where they are.

        Parameters
        ----------
        first, second, third : int or str
            Users, by number or by name.

        Raises
        ------
        InputError
            When two users are the same, or one does not exist or has too few neighbours for its k.
        """
        first, second, third = self._user("first", first), self._user("second", second), self._user("third", third)
        if second == first or third in (first, second):
            raise InputError("second" if second == first else "third", second if second == first else third, "another user")
        users = (first, second, third)
        columns, room = self._along(users)
        network, rates = self.system.network, self.system.rates
        return region_body(
            columns,
            room,
            users=users,
            names=tuple(network.name(u) for u in range(network.n_devices)),
            operating_point=(float(rates[first]), float(rates[second]), float(rates[third])),
            stable=self.stable,
        )

    def _along(self, users: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
        """Load on each device per unit rate of these users, shape (n, users), and what all others leave of its time."""
        columns = self.coefficients().tocsc()[:, list(users)].toarray()
        others = self.utilisation - columns @ self.system.rates[list(users)]
        return columns, 1 - np.where(np.abs(others) < 1e-12, 0.0, others)

    def _user(self, field: str, user: int | str) -> int:
        """The number of a user who can ask."""
        network = self.system.network
        names = {network.name(u): u for u in range(network.n_devices)} if isinstance(user, str) else {}
        u = names.get(user, -1) if isinstance(user, str) else user
        if not 0 <= u < network.n_devices or not self.system.can_ask()[u]:
            raise InputError(field, user, f"a user, by name or from 0 to {network.n_devices - 1}, with at least k neighbours")
        return u

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "configuration": self.system.moa.to_dict(),
            "names": [self.system.network.name(u) for u in range(self.system.n_devices)],
            "utilisation": self.utilisation,
            "stable": self.stable,
            "bottleneck": {
                "device": self.bottleneck.device,
                "name": self.bottleneck.name,
                "utilisation": self.bottleneck.utilisation,
            },
            "critical_scale": self.critical_scale,
            "critical_rate": self.critical_rate,
            "slack": self.slack,
            "guarantee": self.guarantee.to_dict(),
            "warnings": self.system.warnings(),
        }

    def table(self) -> Table:
        """Utilisation, and largest rates; the busiest devices of a large network."""
        order = np.arange(self.system.n_devices)
        if order.size > _SHOWN:
            order = np.argsort(-self.utilisation, kind="stable")[:_SHOWN]
        rates, name = self.system.rates, self.system.network.name
        seconds, unit = rate_unit(float(rates[order].max()))
        rows = tuple(
            (
                name(u),
                show_share(self.utilisation[u]),
                show_number(seconds * rates[u]),
                show_number(seconds * self.critical_rate[u]) if self.critical_rate[u] > 0 else "none",
                "overloaded" if self.utilisation[u] >= 1 else "",
            )
            for u in order.tolist()
        )
        left_out = f" ({_SHOWN} busiest of {self.system.n_devices})" if self.system.n_devices > _SHOWN else ""
        state = "stable" if self.stable else "UNSTABLE"
        busiest = f"busiest {self.bottleneck.name} at {show_share(self.bottleneck.utilisation)}"
        caption = f"{state}: {busiest} with {self.system.moa.label}{left_out}"
        return Table(caption, ("device", "utilisation", f"prompts per {unit}", "at most, others fixed", ""), rows)

    def records(self) -> list[dict[str, Any]]:
        """One row a device."""
        columns = (self.utilisation, self.slack, self.system.rates, self.critical_rate)
        names = ("utilisation", "slack", "arrival_rate_per_s", "critical_rate_per_s")
        return [
            {"device": self.system.network.name(u), **dict(zip(names, map(float, row), strict=True))}
            for u, row in enumerate(zip(*columns, strict=True))
        ]


def stability_region(system: System) -> StabilityRegion:
    """Exact: loads, slack, bottleneck, and how far every rate can grow.

    The loads are those of :mod:`dmoa_theory.stability.loads`; a queue grows without bound where the load exceeds one. That
    load below one suffices is proved in the cases that ``guarantee`` names.

    Parameters
    ----------
    system : System

    Returns
    -------
    StabilityRegion

    References
    ----------
    Mitra, P., Kaswan, P., Ulukus, S. (2024), arXiv:2412.21200, Theorem 1 and eq. 6, the complete graph with equal rates.

    Examples
    --------
    Theorem 1, ``alpha ((k + 1) M + 1) lambda < 1``:

    >>> from dmoa_theory import System, stability_region
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> region = stability_region(System.from_arrays(complete, 0.002, 30.0, M=2, k=3))
    >>> round(region.critical_scale, 9), round(1 / (30 * ((3 + 1) * 2 + 1) * 0.002), 9)
    (1.851851852, 1.851851852)
    """
    load = utilisation(system)
    busiest = int(load.argmax())
    slack = 1 - load
    return StabilityRegion(
        system=system,
        utilisation=read_only(load),
        slack=read_only(slack),
        bottleneck=Bottleneck(device=busiest, name=system.network.name(busiest), utilisation=float(load[busiest])),
        critical_scale=1 / float(load[busiest]),
        critical_rate=read_only(critical_rates(system, slack)),
    )
