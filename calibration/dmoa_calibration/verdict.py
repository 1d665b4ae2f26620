"""How far to trust a fit, in words that a report can print."""

from __future__ import annotations

from collections.abc import Sequence

from dmoa_calibration.contention import CONTENDED_BELOW
from dmoa_theory.model.service_fit import ServiceFit

__all__ = ["DRIFTED_ABOVE", "verdict"]

#: Change of speed during a run, up or down, that is worth a word.
DRIFTED_ABOVE = 0.05


def verdict(
    fit: ServiceFit,
    *,
    contended: tuple[int, int] | None = None,
    watched: bool = True,
    drifted: float | None = 0.0,
    lacking: Sequence[str] = (),
) -> str:
    """Say how good a fit is, between which lengths, and what stands in the way of trusting it.

    Parameters
    ----------
    fit : ServiceFit
    contended : tuple of int or None
        In how many samples, of how many, other work had part of the core; None where so few that they are left at that.
    watched : bool
        Whether anything could have shown that.
    drifted : float or None
        Relative change of speed during the run; None where the order is not known.
    lacking : sequence of str
        What the measurement could not say.

    Examples
    --------
    >>> import numpy as np
    >>> fit = ServiceFit(c0=0.1, c1=0.01, c2=0.0, d0=0.2, d1=0.0, cov=np.zeros((5, 5)), p_range=(32, 1024), o_range=(8, 64),
    ...                  median_rel_err=0.01, max_rel_err=0.02, loo_median_rel_err=0.015, loo_max_rel_err=0.04, clock="wall")
    >>> verdict(fit).partition(", between ")[0]
    'typically 2 % off, at worst 4 %, on lengths left out'
    """
    words = [
        f"{fit.off_by}, on lengths left out, between {fit.p_range[0]} and {fit.p_range[1]} prompt tokens"
        f" and {fit.o_range[0]} to {fit.o_range[1]} output tokens; do not use beyond"
    ]
    if contended is not None:
        words.append(_busy(*contended, fit))
    if not watched:
        words.append("nothing here shows whether other work kept the machine busy")
    if drifted is not None and abs(drifted) > DRIFTED_ABOVE:
        change = "slower" if drifted > 0 else "faster"
        words.append(f"the machine became {100 * abs(drifted):.0f} % {change} during the run: measure again when it is quiet")
    return "; ".join([*words, *lacking])


def _busy(disturbed: int, samples: int, fit: ServiceFit) -> str:
    """What other work did to the run, and what to do about it."""
    seen = f"the machine was busy ({disturbed} of {samples} samples had less than {100 * CONTENDED_BELOW:.0f} % of a core)"
    if fit.clock == "cpu":
        return f"{seen}, so CPU seconds were fitted, which hold for a core of its own; better measured anew when it is quiet"
    return f"{seen}: measure again when it is quiet"
