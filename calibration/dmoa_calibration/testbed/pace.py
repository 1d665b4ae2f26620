"""How long a paced or padded inference is to take: drawn from the scenario's law for the device and stage."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dmoa_calibration.testbed.choice import generator_for
from dmoa_calibration.testbed.config import ServiceConfig
from dmoa_calibration.testbed.protocol.messages import KINDS, Kind
from dmoa_theory.model.service import Law

__all__ = ["Pace"]


class Pace:
    """Draws service times; the same job always gets the same one.

    Parameters
    ----------
    laws : mapping from str to ServiceConfig
        By the number of neighbours that the asking user asks, on which the length of later prompts depends.
    seed : int
    """

    def __init__(self, laws: Mapping[str, ServiceConfig], seed: int) -> None:
        self._laws = {int(k): law for k, law in laws.items()}
        self._seed = seed

    def seconds(self, job: str, kind: Kind, k: int) -> float:
        """Service time of a job; of a k that is not listed, that of the nearest listed one."""
        law = self._laws[min(self._laws, key=lambda known: (abs(known - k), known))]
        stage = KINDS.index(kind)
        mean, scv = law.mean[stage], law.scv[stage]
        rng = generator_for(self._seed, "service", job)
        if law.law is Law.EMPIRICAL:
            assert law.samples is not None
            sample = law.samples[int(rng.integers(len(law.samples)))]
            return sample * mean / (math.fsum(law.samples) / len(law.samples))
        if law.law is Law.DETERMINISTIC or scv == 0 or mean == 0:
            return mean
        if law.law is Law.LOGNORMAL:
            spread = math.log1p(scv)
            return float(rng.lognormal(math.log(mean) - spread / 2, math.sqrt(spread)))
        if law.law is Law.EXPONENTIAL:
            return float(rng.exponential(mean))
        return float(rng.gamma(1 / scv, mean * scv))
