"""The one object that every analysis takes: a network, its prompts, its service times, and the MoA that its users run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import ArrivalLog
from dmoa_theory.model.checks import BoolArray, FloatArray, FloatLike, IntArray, IntLike, non_negative, read_only
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint, MeasuredFootprint
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.selection import inclusion_of_users
from dmoa_theory.model.service import Law, MeasuredServiceTime, ServiceTime

if TYPE_CHECKING:
    from scipy import sparse

__all__ = ["System", "UserGroup"]


class UserGroup(NamedTuple):
    """Users who run the same (M, k) with the same quorum."""

    M: int
    k: int
    quorum: int
    users: IntArray

    @property
    def rows(self) -> IntArray | slice:
        """What picks the users out of an array of all devices: a slice, which copies nothing, when they stand in one row."""
        if self.users.size and self.users[-1] - self.users[0] + 1 == self.users.size:
            return slice(int(self.users[0]), int(self.users[-1]) + 1)
        return self.users


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class System:
    """A distributed Mixture-of-Agents system under load.

    Parameters
    ----------
    network : Network
        Who may ask whom.
    arrival_rate : float or ndarray, shape (n,), prompts/s
        Poisson rate of the prompts of each device's own user; zero for pure helpers, not for all.
    service : ServiceTime or MeasuredServiceTime
        How long inferences take.
    moa : MoA
        Layers and neighbours of each user's queries.
    footprint : Footprint or MeasuredFootprint, optional
        What devices keep in memory.
    link_rate : float, optional, bytes/s
        Adds message bytes / rate to each hop; needs a footprint, which knows the bytes.
    constraints : Constraints
        Limits that a plan has to respect.
    accuracy : str, optional
        Bundled accuracy data set, or the path of a CSV.
    title : str
        For reports.
    remarks : tuple of str
        What to be wary of in where it comes from.
    log : ArrivalLog, optional
        The prompts as they came that the rates were taken from; dropped where the rates are others.

    Raises
    ------
    InputError
        When a rate is negative or not finite, lengths differ from the number of devices, every rate is zero, or a user
        asks more neighbours than it has.

    Examples
    --------
    >>> from dmoa_theory import MoA, Network, ServiceTime, System
    >>> system = System(
    ...     network=Network.from_adjacency([[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
    ...     arrival_rate=0.01,
    ...     service=ServiceTime.exponential([20.0, 25.0, 30.0]),
    ...     moa=MoA(1, 2),
    ... )
    >>> system.n_devices
    3
    """

    network: Network
    arrival_rate: FloatLike
    service: ServiceTime | MeasuredServiceTime
    moa: MoA
    footprint: Footprint | MeasuredFootprint | None = None
    link_rate: float | None = None
    constraints: Constraints = field(default_factory=Constraints)
    accuracy: str | None = None
    title: str = ""
    remarks: tuple[str, ...] = ()
    log: ArrivalLog | None = None

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        n = self.network.n_devices
        rate = non_negative("arrival_rate", self.arrival_rate, n, what="a finite number of prompts/s, 0 or more")
        if not rate.any():
            raise InputError("arrival_rate", 0, "above 0 for at least one user")
        object.__setattr__(self, "arrival_rate", rate)
        for name, part in (("mean", self.service), ("M", self.moa), ("memory", self.footprint)):
            size = getattr(part, "n_users" if part is self.moa else "n_devices", None)
            if size is not None and size != n:
                raise InputError(name, f"{size} values", f"one number, or a list of {n} (one a device)")
        if self.log is not None and not np.array_equal(rate, self.log.rates):
            object.__setattr__(self, "log", None)
        weight = self.moa.selection_weight
        if weight is not None and weight.size != self.network.n_links:
            raise InputError("selection", f"{weight.size} weights", f"one for each of the {self.network.n_links} links")
        if self.link_rate is not None and self.footprint is None:
            raise InputError("link_rate", self.link_rate, "only with message sizes (a [memory] section, or a measured profile)")
        self._check_neighbours(rate)

    def _check_neighbours(self, rate: FloatArray) -> None:
        """Every user who sends prompts needs k neighbours; nobody may stand wholly apart from a system that asks neighbours."""
        _, k, _ = self.moa.per_user(self.n_devices)
        forced = (self._always_asked() > k) & (k > 0) & (rate > 0)
        if forced.any():
            u = int(np.flatnonzero(forced)[0])
            always = int(self._always_asked()[u])
            name = "k" if self.moa.n_users is None else f"k[{u}]"
            allowed = f"at least {always}, for device {self.network.name(u)} asks {always} neighbours always (infinite weight)"
            raise InputError(name, int(k[u]), allowed)
        choice = self.choice_size()
        short = (k > choice) & (rate > 0)
        if short.any():
            u = int(np.flatnonzero(short)[0])
            name = "k" if self.moa.n_users is None else f"k[{u}]"
            degree = int(choice[u])
            if degree == 0:
                if (self.network.indices == u).any():
                    state, cure = "is asked but has nobody to ask", "links of this network go one way: give it one of its own"
                else:
                    state, cure = "is isolated", "link it"
                allowed = f"device {self.network.name(u)} {state}: {cure}, or let it work alone (k = 0)"
            else:
                allowed = f"device {self.network.name(u)} has {degree} neighbour{'s' * (degree > 1)}, so k is 0 to {degree}"
                if self.moa.n_users is None:
                    common = int(choice[rate > 0].min())
                    allowed += f" (the largest k that works for every user is {common})"
            raise InputError(name, int(k[u]), allowed)
        apart = (self.network.out_degree == 0) & (rate == 0) & (k > 0)
        if apart.any():
            asked = np.zeros(self.n_devices, dtype=bool)
            asked[self.network.indices] = True
            apart &= ~asked
            if apart.any():
                u = int(np.flatnonzero(apart)[0])
                raise InputError(
                    "network",
                    f"device {self.network.name(u)}",
                    "isolated and without prompts, it takes no part: link it or drop it",
                )

    @classmethod
    def from_arrays(
        cls,
        adjacency: sparse.sparray | sparse.spmatrix | npt.ArrayLike,
        arrival_rate: FloatLike,
        service_mean: FloatLike,
        *,
        M: IntLike,
        k: IntLike,
        scv: FloatLike | None = None,
        law: Law | str = Law.GAMMA,
        link_delay: FloatLike = 0.0,
    ) -> System:
        """A system from plain arrays, in one line.

        Parameters
        ----------
        adjacency : sparse array or array_like, shape (n, n)
            Non-zero where the row's device may ask the column's.
        arrival_rate : float or array_like, shape (n,), prompts/s
        service_mean : float or array_like, shape (n,), seconds
        M, k : int or array_like, shape (n,)
        scv : float or array_like, shape (n,)
            Squared coefficient of variation of service; default 1.
        law : Law or str
        link_delay : float or array_like, shape (n_links,), seconds

        Examples
        --------
        >>> from dmoa_theory import System
        >>> System.from_arrays([[0, 1], [1, 0]], 0.01, [20.0, 30.0], M=1, k=1).title
        'network of 2 devices'
        """
        network = Network.from_adjacency(adjacency, link_delay=link_delay)
        return cls(
            network=network,
            arrival_rate=arrival_rate,
            service=ServiceTime.from_law(law, service_mean, scv=scv),
            moa=MoA(M, k),
            title=f"network of {network.n_devices} devices",
        )

    # -- the same system, changed ---------------------------------------------------------------------------------

    def with_moa(self, M: IntLike, k: IntLike) -> System:
        """The same system with another (M, k) for every user; a common quorum stays, at most the new k + 1 answers."""
        moa = MoA(M, k, selection_weight=self.moa.selection_weight)
        if self.moa.quorum is not None and self.moa.is_common and moa.n_users is None:
            _, new_k, _ = moa.per_user(1)
            moa = replace(moa, quorum=min(int(np.ravel(self.moa.quorum)[0]), int(new_k[0]) + 1))
        return replace(self, moa=moa)

    def with_rates(self, arrival_rate: FloatLike) -> System:
        """The same system under other arrival rates."""
        return replace(self, arrival_rate=arrival_rate)

    # -- what it is -----------------------------------------------------------------------------------------------

    @property
    def n_devices(self) -> int:
        """Number of devices, n."""
        return self.network.n_devices

    @property
    def rates(self) -> FloatArray:
        """Arrival rates as an array; shape (n,), prompts/s."""
        return np.asarray(self.arrival_rate)

    def choice_size(self) -> IntArray:
        """From how many neighbours each user chooses: its out-degree, less links of weight zero; shape (n,)."""
        weight = self.moa.selection_weight
        return self.network.out_degree if weight is None else self._count_links(weight > 0)

    def can_ask(self) -> BoolArray:
        """Users who can choose k neighbours; only a user without prompts may be unable to. Shape (n,)."""
        _, k, _ = self.moa.per_user(self.n_devices)
        return np.asarray((k == 0) | ((k <= self.choice_size()) & (k >= self._always_asked())))

    def _always_asked(self) -> IntArray:
        """How many neighbours of each user have an infinite weight; shape (n,)."""
        weight = self.moa.selection_weight
        return np.zeros(self.n_devices, dtype=np.int64) if weight is None else self._count_links(np.isinf(weight))

    def _count_links(self, marked: BoolArray) -> IntArray:
        """How many of each user's links are marked; shape (n,)."""
        counted = np.concatenate(([0], np.cumsum(marked)))
        return np.asarray(np.diff(counted[self.network.indptr]))

    def groups(self) -> Iterator[UserGroup]:
        """Users who can ask, by what they run: one group for each distinct (M, k, quorum)."""
        able = self.can_ask()
        if self.moa.n_users is None:
            M, k, quorum = self.moa.per_user(1)
            yield UserGroup(int(M[0]), int(k[0]), int(quorum[0]), np.flatnonzero(able))
            return
        runs = np.column_stack(self.moa.per_user(self.n_devices))
        distinct, which = np.unique(runs[able], axis=0, return_inverse=True)
        users = np.flatnonzero(able)
        for g, (group_M, group_k, group_quorum) in enumerate(distinct.tolist()):
            yield UserGroup(group_M, group_k, group_quorum, users[which.ravel() == g])

    def inclusion(self) -> FloatArray:
        """Exact: the probability that one layer of user ``u`` uses link u -> j; shape (n_links,), in link order.

        Uniform choice: ``k / out-degree``, counted from subsets (Mitra2024, proof of Theorem 1, gives k / (n - 1) for the
        complete graph). Weighted choice: conditional-Poisson inclusion probabilities. Zero for users with M = 0.
        """
        _, k, _ = self.moa.per_user(self.n_devices)
        able = self.can_ask()
        degree = self.network.out_degree
        weight = self.moa.selection_weight
        if weight is None:
            share = np.divide(k * able, degree, out=np.zeros(self.n_devices), where=degree > 0)
            return read_only(np.repeat(share, degree))
        return read_only(inclusion_of_users(self.network.indptr, weight, k, np.flatnonzero(able & (k > 0))))

    def one_way(self, stage: int, k: int) -> tuple[FloatArray, FloatArray]:
        """Time that a job's prompt takes over each link, and its response back; two arrays, shape (n_links,), seconds.

        There: the link's delay, and prompt bytes / link rate. Back: the delay of the opposite link (the link's own where the
        opposite is not listed), and the bytes of the asked device's response / link rate.

        Parameters
        ----------
        stage : int
            Column of :class:`dmoa_theory.model.service.Stage`.
        k : int
            Neighbours of the asking user, on which the length of a later prompt depends.
        """
        there = np.asarray(self.network.link_delay)
        back = _opposite_delay(self.network, there)
        if self.link_rate is not None and self.footprint is not None:
            footprint = self.footprint.for_k(k)
            n = self.n_devices
            prompt = np.broadcast_to(footprint.prompt_bytes, (n, 3))[:, stage]
            response = np.broadcast_to(footprint.response_bytes, (n,))
            there = there + np.repeat(prompt, self.network.out_degree) / self.link_rate
            back = back + response[self.network.indices] / self.link_rate
        return there, back

    def round_trip(self, stage: int, k: int) -> FloatArray:
        """Time that each link adds to a job: there and back, as :meth:`one_way` has them; shape (n_links,), seconds.

        Parameters
        ----------
        stage : int
            Column of :class:`dmoa_theory.model.service.Stage`.
        k : int
            Neighbours of the asking user, on which the length of a later prompt depends.
        """
        there, back = self.one_way(stage, k)
        return there + back

    def warnings(self) -> tuple[str, ...]:
        """What to be wary of in where the system comes from and the measurements behind it, one sentence each."""
        ks = {group.k for group in self.groups() if group.M > 0} or {0}
        return tuple(dict.fromkeys([*self.remarks, *(text for k in sorted(ks) for text in self.service.warnings(k))]))

    @property
    def has_delay(self) -> bool:
        """Whether any hop takes time."""
        return self.network.has_delay or self.link_rate is not None

    def __repr__(self) -> str:
        """The parts, one a line."""
        total = float(self.rates.sum())
        lines: list[Any] = [self.title or "system", self.network, f"{total:.6g} prompts/s in all", self.service, self.moa]
        return "<System: " + "\n  ".join(str(line) for line in lines) + ">"


def _opposite_delay(network: Network, delay: FloatArray) -> FloatArray:
    """Delay of each link's opposite; the link's own where the opposite is not listed."""
    if not delay.any():
        return np.zeros(network.n_links)
    n = network.n_devices
    source = network.link_sources().astype(np.int64)
    target = network.indices.astype(np.int64)
    key, opposite = source * n + target, target * n + source  # keys rise: links are sorted by source, then target
    place = np.minimum(np.searchsorted(key, opposite), key.size - 1)
    return np.where(key[place] == opposite, delay[place], delay)
