"""From samples to the parts of a profile that say what they mean: fit, quality, verdict."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from dmoa_calibration.backends import Timing
from dmoa_calibration.contention import contended_samples, cpu_wall_ratios, is_contended
from dmoa_calibration.fit import Clock, drift, fit_timings
from dmoa_calibration.verdict import verdict
from dmoa_theory import __version__
from dmoa_theory.model.profile import SCHEMA, SCHEMA_VERSION

__all__ = ["head", "judged"]


def head(created: str | None = None) -> dict[str, Any]:
    """The first keys of a profile made by this version, measured now or when ``created`` says."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "source": "measured",
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
    }


def judged(
    timings: Sequence[Timing],
    *,
    watched: bool,
    seed: int = 0,
    busy: bool = False,
    ordered: bool = True,
    lacking: Sequence[str] = (),
) -> dict[str, Any]:
    """The ``fit`` and ``quality`` parts of a profile.

    Parameters
    ----------
    timings : sequence of Timing
        In the order in which they were taken, if ``ordered``.
    watched : bool
        Whether CPU seconds can tell a busy machine. With several threads they exceed wall seconds by design, on another
        machine or an accelerator they belong to something else; both say nothing.
    seed : int
        Of the bootstrap.
    busy : bool
        Whether some of the timings are known to have been taken on a busy machine, however many others there are.
    ordered : bool
        Whether the order is random, so that a slow cell cannot pass for a slow hour.
    lacking : sequence of str
        What else the verdict has to say.

    Raises
    ------
    CalibrationError
        When the lengths measured cannot tell the coefficients apart.
    """
    ratios = cpu_wall_ratios(timings) if watched else None
    contended = ratios is not None and (busy or is_contended(ratios))
    clock: Clock = "cpu" if contended and all(map(_has_cpu_seconds, timings)) else "wall"
    fit = fit_timings(timings, clock=clock, seed=seed, ordered=ordered)
    drifted = drift(timings, fit) if ordered else None
    return {
        "fit": fit.to_dict(),
        "quality": {
            "median_cpu_wall_ratio": None if ratios is None else float(np.median(ratios)),
            "lowest_cpu_wall_ratio": None if ratios is None else float(ratios.min()),
            "contended_samples": None if ratios is None else contended_samples(ratios),
            "contended": contended,
            "drift": drifted,
            "verdict": verdict(
                fit,
                contended=None if not contended or ratios is None else (contended_samples(ratios), ratios.size),
                watched=ratios is not None,
                drifted=drifted,
                lacking=lacking,
            ),
        },
    }


def _has_cpu_seconds(timing: Timing) -> bool:
    """Whether both spans have CPU seconds that can be fitted; a coarse clock may count none in a short one."""
    return bool(timing.prefill_cpu_s) and (timing.output_tokens == 1 or bool(timing.decode_cpu_s))
