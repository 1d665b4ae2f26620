"""Laws known at uneven times, put on an even grid: compiled."""

from __future__ import annotations

import numpy as np

from dmoa_theory.delay.closure.compiled import kernel
from dmoa_theory.kernel_build import BUILD
from dmoa_theory.model.checks import FloatArray

__all__ = ["spread_masses"]


@kernel
def spread_masses(times: FloatArray, chances: FloatArray, width: FloatArray, masses: FloatArray, build: int = BUILD) -> None:
    """Mass at the nodes of an even grid, each bit of it shared by its two neighbours so that the mean stays the same.

    ``times`` rise within a row, ``width`` (rows,) are the steps; fills ``masses`` (rows, nodes).
    """
    points, nodes = times.shape[1], masses.shape[1]
    integral = np.zeros(nodes + 2)
    for u in range(times.shape[0]):
        t, reached = times[u], chances[u]
        place, area = 0, 0.0  # the integral of the distribution function up to t[place]
        for node in range(nodes + 2):
            x = width[u] * (node - 1)
            while place + 1 < points and t[place + 1] <= x:
                area += (t[place + 1] - t[place]) * (reached[place + 1] + reached[place]) / 2.0
                place += 1
            past, following = x - t[place], min(place + 1, points - 1)
            run = t[following] - t[place]
            slope = (reached[following] - reached[place]) / run if run > 0.0 else 0.0
            integral[node] = area + past * (reached[place] + slope * past / 2.0) if x >= t[0] else 0.0
        for node in range(nodes):
            second = (integral[node + 2] - integral[node + 1]) - (integral[node + 1] - integral[node])
            masses[u, node] = max(second / width[u], 0.0)
