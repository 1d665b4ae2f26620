"""Predictions on (p, o) cells that the fit never saw: a table of predicted against measured."""

from __future__ import annotations

import numpy as np

from dmoa_calibration.backends import Timing
from dmoa_calibration.fit import fit_timings
from tests.benchmarks.calibration_engine import opened, print_cells, ratio, seconds

FITTED = [(p, o) for p in (32, 128, 512) for o in (8, 64)]
OTHER = [(48, 16), (80, 40), (200, 24), (200, 56), (320, 12), (400, 48), (450, 30)]
REPEATS = 5


def test_prediction_on_cells_not_in_the_fit() -> None:
    """Both kinds of cells in one random order, so that a slow minute meets both; prints the table of those not fitted."""
    engine = opened()
    for p, o in ((32, 8), (512, 8), (32, 64)):  # not counted
        engine.infer(p, o)
    rng = np.random.default_rng(1)
    taken: dict[tuple[int, int], list[Timing]] = {cell: [] for cell in FITTED + OTHER}
    for _ in range(REPEATS):
        for place in rng.permutation(len(taken)):
            cell = list(taken)[place]
            taken[cell].append(engine.infer(*cell))
    engine.close()
    every = [timing for timings in taken.values() for timing in timings]
    clock = "cpu" if ratio(every) < 0.9 else "wall"
    fit = fit_timings([timing for cell in FITTED for timing in taken[cell]], clock=clock)
    print(
        f"\nCPU over wall seconds: {ratio(every):.3f}; fitted to {clock} seconds;"
        f" median error on its own cells left out: {100 * fit.loo_median_rel_err:.1f} %"
    )
    rows = [(p, o, float(np.median(seconds(taken[p, o], clock))), fit.seconds(p, o)) for p, o in OTHER]
    errors = print_cells("cells that were not in the fit", rows)
    assert all(fit.covers(p, o) for p, o in OTHER)
    assert np.isfinite(errors).all()
