"""Every fitted constant of the closure: what it does, where it was fitted, and what it is worth.

"The grid" is 1,172 simulated systems with M >= 1: six topologies, devices alike or not, eight (M, k), SCV 0, 0.25, 1 and 2,
loads 0.3 to 0.9. "The draws" are 120 random systems with n <= 20, M <= 4 and k <= 4. None was fitted to the random systems of
``data/latency_validation.csv``, which tell the errors.
"""

from __future__ import annotations

__all__ = [
    "ASSOCIATION_FACTOR",
    "ASSOCIATION_LOAD",
    "ASSOCIATION_POWER",
    "ASSOCIATION_POWER_BY_SCV",
    "ASSOCIATION_SYNCHRONOUS",
    "CORRELATION_CROSS",
    "CORRELATION_DELAY",
    "CORRELATION_LOAD",
    "CORRELATION_POWER_HOME",
    "CORRELATION_POWER_LAYERS",
    "CORRELATION_SCALE",
    "CORRELATION_THIRD",
    "DROP_DELAY",
    "DROP_MIXING",
    "DROP_QUORUM",
    "LEAST_SKEWNESS",
    "LEAST_WAIT_SCV",
    "MIXTURE_APART",
    "MIXTURE_HEAVY",
    "MIXTURE_HEAVY_TAIL",
    "MIXTURE_MEDIAN",
    "RETURN_SPLIT",
    "WAIT_SCV_SHIFT",
]

# -- association of the jobs of one layer (mean stage durations) --------------------------------------------------------
# omega = min(1, (FACTOR g^(POWER + POWER_BY_SCV c2) + SYNCHRONOUS g^8) rho^LOAD). Fitted to the mean latency on the grid: mean
# error 2.5 -> 1.4 % there against independent jobs. SYNCHRONOUS lets omega tend to 1 where queues move together: complete
# graph, k = n - 1, constant service, load 0.9: +10 % -> +0.2 % (n = 4, M = 2).
ASSOCIATION_FACTOR = 0.67
ASSOCIATION_POWER = 0.45
ASSOCIATION_POWER_BY_SCV = 0.67
ASSOCIATION_SYNCHRONOUS = 0.33
ASSOCIATION_LOAD = 0.18

# -- how much a shorter wait shortens a stage ---------------------------------------------------------------------------
# x = MIXING (1 - gamma)^2 sqrt(rho): share by which the drop factor leaves the independent value for the inclusion
# probability. Fitted on the grid together with the association: largest error 44.7 -> 9.9 %.
DROP_MIXING = 0.3
# Quorum: x rises by (1 - x) QUORUM (k + 1 - r) / k. Fitted on 30 random systems with a quorum.
DROP_QUORUM = 0.15
# Links: the drop factor tends to that of independent arrivals with the time constant DELAY / ((1 - rho) / (W + S)). Fitted on
# 30 random systems with delays: mean error 2.1 -> 0.8 %, of the waits 12 -> 3.8 %.
DROP_DELAY = 0.65

# -- shapes of the waits ------------------------------------------------------------------------------------------------
# SCV of the wait of a job that waits: that of M/G/1, plus SHIFT (W / W_PK - 1), at least LEAST (a floor, not fitted). Fitted on
# the draws, to stage variances.
WAIT_SCV_SHIFT = 0.25
LEAST_WAIT_SCV = 0.02
# A returning job's longer wait W + e: the chance to wait grows by (1 + e/W)^(1 - SPLIT), the rest makes the wait longer. Fitted
# on the draws: bias of the aggregation's variance for SCV < 0.3 from +22 % to about -3 %.
RETURN_SPLIT = 0.15

# -- correlation of a query's stages (percentiles) ----------------------------------------------------------------------
# Fitted on the draws, to correlations measured in simulation: rms error 0.045. See correlation.py for the form.
CORRELATION_SCALE = 0.856
CORRELATION_LOAD = 0.176
CORRELATION_POWER_LAYERS = 2.244
CORRELATION_POWER_HOME = 0.984
CORRELATION_CROSS = 1.067
CORRELATION_THIRD = 1.1
# Overlaps are multiplied by exp(-DELAY D (1 - rho) / (W + S)); from the random systems that DROP_DELAY was fitted on.
CORRELATION_DELAY = 0.3

# -- percentiles --------------------------------------------------------------------------------------------------------
# Weight of the mixture law up to the median, and the SCV (times the share of the third moment that a gamma law lacks) from
# which it has all weight. Chosen from five pairs on about half of 342 earlier random systems, plain ones and such with link
# delays (none of them in the table of errors); there p50 went from 2.2 to 1.7 % and p99 from 3.7 to 2.9 %.
MIXTURE_MEDIAN = 0.35
MIXTURE_HEAVY = 1.5
# The same SCV at the 99th percentile and beyond (linear from the 95th), and the largest share of the mixture that the sum of
# independent stages takes there. Chosen from 20 pairs on the lognormal systems among half of 342 earlier random systems, plain
# ones and such with link delays, whose p99 went from 4.7 to 2.9 %; in the other half, p99 of all plain systems up to load 0.9
# went from 3.2 to 2.5 %, p50 and p95 stayed the same to 0.02 points. That such percentiles were too high had been seen in the
# table's systems too.
MIXTURE_HEAVY_TAIL = 0.6
MIXTURE_APART = 0.45
# Pearson III with less skewness than this is as good as normal; the floor keeps its shape parameter finite.
LEAST_SKEWNESS = 0.05
