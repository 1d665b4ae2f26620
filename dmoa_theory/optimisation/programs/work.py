"""What every choice of every user brings to every device: work, inferences waited for, idle latency; all linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System

__all__ = ["Work", "quorum_of", "work_of"]

# A load that counts as none.
_IDLE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """Coefficients of the programs. Users are the devices with prompts; configurations are (M, k).

    Attributes
    ----------
    system : System
    configurations : tuple of (int, int)
    users : ndarray of int, shape (U,)
    rates : ndarray, shape (U,), prompts/s
    allowed : ndarray of bool, shape (U, C)
        Whether a user has neighbours enough.
    link_user, link_device : ndarray of int, shape (L,)
        Links of users: place of the user among the users, and the device asked.
    links : ndarray of int, shape (L,)
        The same links among those of the network.
    own_load : ndarray, shape (U, C)
        Load that each user brings to its own device.
    link_load : ndarray, shape (L, C)
        Load that each link brings to the device asked, per unit of inclusion probability.
    own_waits : ndarray, shape (U, C)
        Waits at the own device that count in a prompt's latency: ``M H_{k+1} / (k + 1) + 1``; with a quorum of ``r`` answers
        ``H_{k+1} - H_{k+1-r}`` stands for ``H_{k+1}``.
    link_waits : ndarray, shape (C,)
        The same at an asked device, per unit of inclusion probability: ``M H_{k+1} / (k + 1)``.
    own_idle : ndarray, shape (U, C), seconds
        Latency of a prompt in an idle network, less what depends on whom it asks.
    link_idle : ndarray, shape (L, C), seconds
        What does, per unit of inclusion probability.
    k : ndarray of int, shape (C,)
        Neighbours asked; 0 where M is 0.
    quorum : int or None
        Answers that end a layer, at most k + 1; None for all.
    """

    system: System
    configurations: tuple[tuple[int, int], ...]
    users: IntArray
    rates: FloatArray
    allowed: BoolArray
    link_user: IntArray
    link_device: IntArray
    links: IntArray
    own_load: FloatArray
    link_load: FloatArray
    own_waits: FloatArray
    link_waits: FloatArray
    own_idle: FloatArray
    link_idle: FloatArray
    k: IntArray
    quorum: int | None = None

    @property
    def n(self) -> int:
        """Number of devices."""
        return self.system.n_devices

    @property
    def share(self) -> FloatArray:
        """Share of the prompts that each user sends; shape (U,)."""
        return np.asarray(self.rates / self.rates.sum())

    @property
    def degree(self) -> IntArray:
        """Neighbours of each user; shape (U,)."""
        return np.bincount(self.link_user, minlength=self.users.size)

    def at_rates(self, rates: FloatArray) -> Work:
        """The same coefficients under other rates of the same users; shape (n,)."""
        factor = rates[self.users] / self.rates
        return replace(
            self,
            system=self.system.with_rates(rates),
            rates=rates[self.users],
            own_load=self.own_load * factor[:, None],
            link_load=self.link_load * factor[self.link_user][:, None],
        )

    def uniform(self, choice: IntArray) -> FloatArray:
        """Inclusion probabilities of uniform gossip, when users run these; shape (L,)."""
        degree = np.maximum(self.degree, 1)
        return np.asarray((self.k[choice] / degree)[self.link_user])

    def on_devices(self, own: FloatArray, link: FloatArray) -> FloatArray:
        """Sum by device of what users bring home (shape (U,)) and what links bring (shape (L,)); shape (n,)."""
        home = np.bincount(self.users, own, self.n)
        return np.asarray(home + np.bincount(self.link_device, link, self.n))

    def load(self, choice: IntArray, asked: FloatArray) -> FloatArray:
        """Exact: utilisation of every device; ``asked`` of shape (L,) are inclusion probabilities. Shape (n,)."""
        own = self.own_load[np.arange(choice.size), choice]
        return self.on_devices(own, self.link_load[np.arange(asked.size), choice[self.link_user]] * asked)

    def waits(self, choice: IntArray, asked: FloatArray) -> FloatArray:
        """Waits a second that count in latencies, at every device; shape (n,)."""
        own = self.rates * self.own_waits[np.arange(choice.size), choice]
        link = (self.rates[self.link_user] * self.link_waits[choice[self.link_user]]) * asked
        return self.on_devices(own, link)

    def idle(self, choice: IntArray, asked: FloatArray) -> FloatArray:
        """Latency of every user's prompts in an idle network, s; shape (U,)."""
        link = self.link_idle[np.arange(asked.size), choice[self.link_user]] * asked
        own = self.own_idle[np.arange(choice.size), choice]
        return np.asarray(own + np.bincount(self.link_user, link, self.users.size))

    def user_latency(self, choice: IntArray, asked: FloatArray, wait: FloatArray) -> FloatArray:
        """The surrogate's mean latency of every user when devices have these mean waits, s; shape (U,)."""
        own = self.own_waits[np.arange(choice.size), choice] * wait[self.users]
        link = self.link_waits[choice[self.link_user]] * asked * wait[self.link_device]
        return np.asarray(self.idle(choice, asked) + own + np.bincount(self.link_user, link, self.users.size))


def work_of(system: System, configurations: Sequence[tuple[int, int]]) -> Work:
    """Exact loads, and idle latencies by the latency theory, of every user in every configuration.

    Parameters
    ----------
    system : System
        Its own (M, k) and selection play no part: gossip is uniform unless a program chooses it. A quorum that is common to all
        users stays.
    configurations : sequence of (int, int)
        (M, k) on offer.
    """
    n, rates = system.n_devices, system.rates
    users = np.flatnonzero(rates > 0)
    place = np.full(n, -1)
    place[users] = np.arange(users.size)
    sources = system.network.link_sources().astype(np.int64)
    links = np.flatnonzero(place[sources] >= 0)
    link_user, link_device = place[sources[links]], system.network.indices[links].astype(np.int64)
    degree = np.bincount(link_user, minlength=users.size)
    shape, on_links = (users.size, len(configurations)), (links.size, len(configurations))
    k = np.array([k if M else 0 for M, k in configurations])
    quorum = quorum_of(system)
    allowed = k[None, :] <= degree[:, None]
    own_load, own_waits, own_idle = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    link_load, link_idle, link_waits = np.zeros(on_links), np.zeros(on_links), np.zeros(len(configurations))
    for c, (M, _) in enumerate(configurations):
        mean = np.broadcast_to(system.service.for_k(int(k[c])).mean, (n, len(Stage)))
        layers = (mean[:, Stage.FIRST] + (M - 1) * mean[:, Stage.LATER]) if M else mean[:, Stage.FIRST]
        final = mean[:, Stage.AGGREGATE] if M else np.zeros(n)
        answers = int(k[c]) + 1 if quorum is None else min(quorum, int(k[c]) + 1)
        slowest = float((1 / np.arange(k[c] + 2 - answers, k[c] + 2)).sum()) / (k[c] + 1)
        own_load[:, c] = rates[users] * (layers + final)[users]
        own_waits[:, c] = M * slowest + 1 if M else 1.0
        if not allowed[:, c].any():
            continue
        idle = _idle(system, users[allowed[:, c]], M, int(k[c]), None if quorum is None else answers)[users]
        own_idle[:, c] = idle
        if k[c]:
            link_load[:, c] = rates[users][link_user] * layers[link_device]
            link_waits[c] = M * slowest
            link_idle[:, c], own_idle[:, c] = _split(system, idle, users, (link_user, link_device, links), M, int(k[c]), degree)
    return Work(
        system=system,
        configurations=tuple(configurations),
        users=users,
        rates=rates[users],
        allowed=allowed,
        link_user=link_user,
        link_device=link_device,
        links=links,
        own_load=own_load,
        link_load=link_load,
        own_waits=own_waits,
        link_waits=link_waits,
        own_idle=np.nan_to_num(own_idle),
        link_idle=np.nan_to_num(link_idle),
        k=k,
        quorum=quorum,
    )


def quorum_of(system: System) -> int | None:
    """Answers that end a layer where that is the same for every user; None where all are waited for, or users differ."""
    moa = system.moa
    if moa.quorum is None or not moa.is_common or moa.n_users is not None:
        return None
    return int(np.ravel(np.asarray(moa.quorum))[0])


def _idle(system: System, able: IntArray, M: int, k: int, answers: int | None) -> FloatArray:
    """Latency of every able user's prompts when hardly anybody sends any, s; shape (n,). The others ask nobody."""
    of_users = np.zeros((3, system.n_devices), dtype=np.int64)
    of_users[2] = 1
    of_users[:, able] = [[M], [k], [k + 1 if answers is None else answers]]
    rates = system.rates * (_IDLE / system.rates.max())
    mean = system.service.for_k(k).mean.max()
    moa = MoA(of_users[0], of_users[1], of_users[2] if answers is not None else None)
    return latency(replace(system, arrival_rate=rates / max(1.0, float(mean)), moa=moa)).user_mean


def _split(
    system: System, idle: FloatArray, users: IntArray, links: tuple[Any, Any, Any], M: int, k: int, degree: IntArray
) -> tuple[FloatArray, FloatArray]:
    """What of the idle latency depends on whom a user asks, per unit of inclusion probability, and the rest.

    Layers take time in proportion to the mean inference of those who take part, the way there and back included.
    """
    link_user, link_device, places = links
    mean = np.broadcast_to(system.service.for_k(k).mean, (system.n_devices, len(Stage)))
    first, later = (system.round_trip(stage, k)[places] for stage in (Stage.FIRST, Stage.LATER))
    layers = mean[:, Stage.FIRST] + (M - 1) * mean[:, Stage.LATER]
    asked = layers[link_device] + first + (M - 1) * later
    uniform = k / np.maximum(degree, 1)
    sum_asked = np.bincount(link_user, asked * uniform[link_user], users.size)
    in_layers = idle - mean[users, Stage.AGGREGATE]
    per = in_layers / (layers[users] + sum_asked)
    on_link = per[link_user] * asked
    return on_link, idle - np.bincount(link_user, on_link * uniform[link_user], users.size)
