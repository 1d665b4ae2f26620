"""How much work a reproduction does, and from which seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Counts of runs and prompts; every random number follows from the seed.

    Parameters
    ----------
    quick : bool
        Fewer runs, for a look or a test: the same steps, wider intervals.
    seed : int
    """

    quick: bool = False
    seed: int = 2024

    @property
    def fitting_runs(self) -> int:
        """Runs of each configuration behind every step of a fit."""
        return 150 if self.quick else 1500

    @property
    def table_runs(self) -> int:
        """Runs of each configuration behind a figure that is put beside a published one."""
        return 2000 if self.quick else 20_000

    @property
    def queries(self) -> int:
        """Prompts of a steady simulation."""
        return 20_000 if self.quick else 1_000_000

    @property
    def trajectories(self) -> int:
        """Long runs on either side of a boundary."""
        return 6 if self.quick else 24

    @property
    def span(self) -> float:
        """How long those are, in mean services."""
        return 1000.0 if self.quick else 6000.0

    @property
    def live_runs(self) -> int:
        """Simulated runs beside a live one."""
        return 40 if self.quick else 200

    def random(self, *what: int) -> np.random.Generator:
        """The random numbers of one purpose; different purposes share none.

        Parameters
        ----------
        *what : int
            Numbers that say what for.
        """
        return np.random.default_rng([self.seed, *what])
