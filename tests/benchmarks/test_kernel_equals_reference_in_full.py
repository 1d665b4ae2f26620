"""Twenty random systems of 50,000 queries each, compiled and plain: every time equal to the last bit."""

from __future__ import annotations

import runpy
import time
from pathlib import Path

import pytest

SYSTEMS, QUERIES = 20, 50_000
compare = runpy.run_path(str(Path(__file__).parents[1] / "property" / "test_kernel_equals_reference.py"))["compare"]


@pytest.mark.parametrize("number", range(SYSTEMS))
def test_a_random_system(number: int) -> None:
    """Prints what there is in the system."""
    start = time.perf_counter()
    features, jobs = compare(number, QUERIES)
    print(f"\nsystem {number}: {jobs:,} jobs alike, {time.perf_counter() - start:.1f} s; {', '.join(sorted(features))}")
