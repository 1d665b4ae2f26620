"""Whether other work was in the way of a run: CPU seconds beside wall seconds, for one thread on the processor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dmoa_calibration.backends import Timing
from dmoa_calibration.least_squares import Floats

__all__ = ["CONTENDED_BELOW", "contended_samples", "cpu_wall_ratios", "is_contended"]

#: CPU over wall seconds below which a sample on one thread is called contended: other work had part of its core.
CONTENDED_BELOW = 0.9

#: Share of contended samples above which a run is. Each of 18 samples that had half a core moved a fit of wall seconds by
#: 1.5 %; a fit of CPU seconds was as far off without any as with a few.
_CONTENDED_SHARE = 0.05


def cpu_wall_ratios(timings: Sequence[Timing]) -> Floats | None:
    """CPU over wall seconds of each timing; None where the engine cannot tell. Meaningful for one thread only."""
    pairs = [(t.cpu_s, t.wall_s) for t in timings if t.cpu_s is not None and t.wall_s > 0]
    return np.array([cpu / wall for cpu, wall in pairs]) if pairs else None


def contended_samples(ratios: Floats) -> int:
    """How many samples had less of a core than :data:`CONTENDED_BELOW`."""
    return int((ratios < CONTENDED_BELOW).sum())


def is_contended(ratios: Floats) -> bool:
    """Whether more than one sample in twenty was contended; the median shows no more than every second one.

    Examples
    --------
    >>> import numpy as np
    >>> is_contended(np.array([0.99] * 22 + [0.6] * 5)), is_contended(np.array([1.0] * 26 + [0.8]))
    (True, False)
    """
    return contended_samples(ratios) > _CONTENDED_SHARE * ratios.size
