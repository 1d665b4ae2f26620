"""Leave-one-out error of the accuracy surfaces on all bundled data, beside the mean of the others; and how long fits take."""

from __future__ import annotations

import time

from dmoa_theory.accuracy.assessment import assess
from dmoa_theory.accuracy.belief import believe
from dmoa_theory.accuracy.held_out import AVERAGE, MEAN, held_out_table, leave_one_out, root_mean_square
from dmoa_theory.accuracy.table import bundled_tables, read_accuracy, read_tables


def test_surfaces_predict_what_they_have_not_seen() -> None:
    start = time.perf_counter()
    held = leave_one_out()
    print(f"\n{held_out_table(held)}\n{time.perf_counter() - start:.0f} s for {len(held)} figures")
    for part in (held, [each for each in held if each.M > 0]):
        assert root_mean_square(part, AVERAGE) < 0.7 * root_mean_square(part, MEAN)


def test_how_long_a_fit_takes() -> None:
    for name in ("mitra2024-same", "mitra2024-diverse"):
        table = read_accuracy(name)
        start = time.perf_counter()
        belief = believe(table)
        print(f"\n{name}: {time.perf_counter() - start:.2f} s; {belief.shape_weights}")
        for (M, k), chance, regret in zip(belief.configurations, belief.p_best(), belief.regret(), strict=True):
            print(f"  M={M}, k={k}: P(best) {chance:.2f}, expected regret {100 * regret:.1f} points")
    for name in bundled_tables():
        start = time.perf_counter()
        assess(read_tables(name))
        print(f"assess {name}: {time.perf_counter() - start:.2f} s")
