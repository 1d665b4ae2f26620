"""How fast queues grew in a run from empty: the jobs at each device when the last prompt came, over the time until then."""

from __future__ import annotations

import numpy as np

from dmoa_theory.live.observed import Observed
from dmoa_theory.model.checks import FloatArray

__all__ = ["growth_rates"]


def growth_rates(run: Observed) -> FloatArray:
    """Exact, of this one run: jobs there when the last prompt came, over the time since the start; shape (n,), jobs/s.

    NaN for a run of a single instant.

    Notes
    -----
    What is there at the end is what came less what was done, so this goes with the rates and service times that the run really
    had. A short run is above the fluid limit at those: queues that do not grow are filled as well, and one that grows slowly
    begins with what chance puts into it. Four devices of 0.8, 1, 0.9 and 1 times one mean service at load 1.2 (M = 2, k = 2,
    SCV 0.5; 40 simulated runs of a length): above by 10.3, 6.0, 4.4, 2.6 and 1.5 % on average over 1,000, 2,000, 4,000, 8,000
    and 16,000 prompts, with a deviation of 9.6, 3.9, 4.1, 2.8 and 1.5 %. Against the fluid limit of the scenario, whose rates a
    run only has on average, the deviation is 29 % over 1,000 prompts and 10 % over 8,000.

    Examples
    --------
    Ten jobs that come one a second and never go.

    >>> at = np.arange(10.0)
    >>> nothing = np.zeros(0)
    >>> run = Observed(n_devices=1, arrival=at, latency=at * np.nan, user=np.zeros(10, int), stage_prompt=nothing.astype(int),
    ...                stage_kind=nothing.astype(int), stage_duration=nothing, device=np.zeros(10, int), kind=np.zeros(10, int),
    ...                reached=at, start=at + 100, end=at + 100)
    >>> growth_rates(run).round(2).tolist()
    [1.0]
    """
    end = float(run.arrival[-1])
    if not end > 0:
        return np.full(run.n_devices, np.nan)
    before = np.nextafter(end, 0.0)  # what the last prompt brings is there at once if simulated, and a message later if live
    return np.asarray(run.in_system.counts(before)[0] / end)
