"""Bounds on the tail of the wait for any service law, the lognormal among them, as near as one likes.

The wait of an M/G/1 queue is a geometric number of equilibrium service times (the ladder heights of the work), so with these
rounded down to a lattice it is too short, and rounded up too long (Beneš; the recursion is Panjer's).
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.delay.single_queue.job_mix import JobMix
from dmoa_theory.model.checks import FloatArray

__all__ = ["tail_bracket"]


def tail_bracket(mix: JobMix, x: float, *, steps: int = 2000) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Bounds for M/G/1, exact in the limit of many steps: ``P(W > t)`` at lattice points from 0 up to ``x``.

    Parameters
    ----------
    mix : JobMix
        Of load below 1, of any law.
    x : float, seconds
        The largest time of interest.
    steps : int
        Lattice points up to there; the work grows with their square.

    Returns
    -------
    t, lower, upper : ndarray, shape (steps + 1,)
        Times in seconds, and two numbers between which ``P(W > t)`` lies.

    References
    ----------
    Beneš, V. E. (1957), "On queues with Poisson arrivals", Annals of Mathematical Statistics 28(3), 670-677. Panjer, H. H.
    (1981), "Recursive evaluation of a family of compound distributions", ASTIN Bulletin 12(1), 22-26.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> from dmoa_theory.delay.single_queue.job_mix import job_mix
    >>> mix = job_mix(System.from_arrays([[0]], 0.5, 1.0, M=0, k=0), 0)
    >>> t, lower, upper = tail_bracket(mix, 4.0)
    >>> exact = 0.5 * np.exp(-t / 2)
    >>> bool((lower <= exact).all() and (upper >= exact).all())
    True
    >>> bool((upper - lower).max() < 1e-3)
    True
    """
    t = x * np.arange(steps + 1) / steps
    beyond = mix.excess(np.append(t, t[-1] + x / steps)) / mix.service_mean
    cell = -np.diff(beyond)  # mass of the equilibrium law between neighbouring points
    down = _compound(mix.load, cell)
    up = _compound(mix.load, np.append(0.0, cell[:-1]))
    return t, np.clip(1 - np.cumsum(down), 0.0, 1.0), np.clip(1 - np.cumsum(up), 0.0, 1.0)


def _compound(load: float, mass: FloatArray) -> FloatArray:
    """Law of a geometric number (ratio ``load``) of lattice variables: its mass at 0, 1, 2, ... steps."""
    law = np.zeros(mass.size)
    scale = 1 / (1 - load * mass[0])
    law[0] = (1 - load) * scale
    for j in range(1, mass.size):
        law[j] = load * scale * (mass[1 : j + 1] @ law[j - 1 :: -1])
    return law
