"""A distributed Mixture-of-Agents in SimPy, written as its manual would: processes, a Resource a device, AllOf for joins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import simpy

from dmoa_theory import System


class Model:
    """Exponential service, uniform choice of neighbours, equal (M, k) for every user, links that take no time.

    Parameters
    ----------
    system : System
    queries : int
        Prompts to let arrive; the model then runs until all are answered.
    seed : int
    """

    def __init__(self, system: System, *, queries: int, seed: int) -> None:
        self.env = simpy.Environment()
        self.rng = np.random.default_rng(seed)
        self.devices = [simpy.Resource(self.env) for _ in range(system.n_devices)]
        self.neighbours = [np.asarray(system.network.neighbours(u)) for u in range(system.n_devices)]
        self.service = system.service.for_k(0).mean[:, 0].tolist() * (1 if system.service.n_devices else system.n_devices)
        self.rate = system.rates.sum()
        self.share = system.rates / self.rate
        self.M, self.k = int(np.ravel(system.moa.M)[0]), int(np.ravel(system.moa.k)[0])
        self.latency = np.full(queries, np.nan)
        self.jobs = 0

    def run(self) -> npt.NDArray[np.float64]:
        """The latency of every query, in order of arrival."""
        self.env.process(self.prompts())
        self.env.run()
        return self.latency

    def prompts(self) -> Iterator[Any]:
        """Prompts arrive as a Poisson process."""
        for query in range(self.latency.size):
            yield self.env.timeout(self.rng.exponential(1 / self.rate))
            user = int(self.rng.choice(self.share.size, p=self.share))
            self.env.process(self.query(query, user))

    def query(self, number: int, user: int) -> Iterator[Any]:
        """M layers of k + 1 proposals, then the aggregation."""
        arrived = self.env.now
        for _ in range(self.M):
            asked = self.rng.choice(self.neighbours[user], self.k, replace=False).tolist()
            yield self.env.all_of([self.env.process(self.inference(device)) for device in [user, *asked]])
        yield self.env.process(self.inference(user))
        self.latency[number] = self.env.now - arrived

    def inference(self, device: int) -> Iterator[Any]:
        """Wait for the device, then keep it for a service time."""
        with self.devices[device].request() as turn:
            yield turn
            yield self.env.timeout(self.rng.exponential(self.service[device]))
        self.jobs += 1
