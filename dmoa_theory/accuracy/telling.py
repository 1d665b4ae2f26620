"""Can the data tell two configurations apart, and how many prompts would? In figures, and in a plain sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from dmoa_theory.accuracy.belief import Belief
from dmoa_theory.accuracy.measured import AccuracyTable, single_variance
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray

__all__ = [
    "Gap",
    "collaboration",
    "evidence_sentence",
    "one_value_for_all",
    "prompts_needed",
    "simultaneous_limit",
    "tell_apart",
]

#: Standard deviation of the difference of a judge's scores of two answers to one prompt: 39.2 points, from AlpacaEval 2.0,
#: where ten prompts leave a paired difference with a standard error of 12.4 points.
DEVIATION = 0.392
#: Correlation of such scores that this comes from, with a standard deviation of 42 points each.
CORRELATION = 1 - DEVIATION**2 / (2 * 0.42**2)
#: A gap this many standard errors wide is told, between two configurations that were chosen before anything was measured.
STANDARD_ERRORS = 2.0
#: How often a true gap is to be told.
POWER = 0.8
#: How often the best of several may be told from one that is as good or better; draws behind the limit that keeps to it.
ERROR, _DRAWS = 0.05, 20_000
#: What a sentence takes as a gap worth telling.
WORTH = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What a table says of the difference between two configurations, or two groups of them.

    Attributes
    ----------
    first, second : str
    gap : float
        Accuracy of the first less that of the second, as measured.
    standard_error : float
    paired : bool
        Whether the same prompts' scores were compared one by one.
    deviation : float
        Of single prompts' differences: measured, or what it is typically.
    told : bool
        Whether the gap exceeds two standard errors: for two configurations that were not picked by their figures.
    prompts : int or None
        Prompts, asked of both, that would tell a gap that large with 80 % power; None for no gap.
    """

    first: str
    second: str
    gap: float
    standard_error: float
    paired: bool
    deviation: float
    told: bool
    prompts: int | None

    @property
    def sentence(self) -> str:
        """In words."""
        size = f"{100 * abs(self.gap):.1f} ± {100 * self.standard_error:.1f} points"
        if self.gap == 0:
            return f"{self.first} and {self.second} are measured as equal, ± {100 * self.standard_error:.1f} points"
        better, worse = (self.first, self.second) if self.gap > 0 else (self.second, self.first)
        if self.told:
            return f"{better} is told from {worse}: {size} apart"
        many = f"some {self.prompts:,} prompts asked of both would tell a gap that large with {100 * POWER:.0f} % power"
        return f"the data cannot tell {better} from {worse}: {size} apart; {many}"


def prompts_needed(
    gap: float, deviation: float = DEVIATION, standard_errors: float = STANDARD_ERRORS, *, power: float = POWER
) -> int:
    """Prompts, asked of both configurations, that tell a true gap so often: exact for normal errors of the deviation given.

    Parameters
    ----------
    gap : float
        Difference in accuracy, 0 to 1.
    deviation : float
        Standard deviation of single prompts' differences; default that of a judge's scores on AlpacaEval 2.0.
    standard_errors : float
        A measured gap wider than this is told.
    power : float
        Probability that the true gap is told: 0.5 gives the prompts at which it is so many standard errors wide, and is
        missed every other time.

    Raises
    ------
    InputError
        For a gap of 0, or a power below one half or of 1.

    Examples
    --------
    >>> from dmoa_theory import prompts_needed
    >>> prompts_needed(0.05), prompts_needed(0.05, power=0.5)
    (497, 246)
    """
    if not (math.isfinite(gap) and gap != 0):
        raise InputError("gap", gap, "a difference other than 0")
    if not (math.isfinite(deviation) and deviation > 0):
        raise InputError("deviation", deviation, "above 0")
    if not 0.5 <= power < 1:
        raise InputError("power", power, "from 0.5 to below 1")
    width = standard_errors + (NormalDist().inv_cdf(power) if power > 0.5 else 0.0)
    return max(math.ceil((width * deviation / gap) ** 2), 2)


def tell_apart(table: AccuracyTable, first: tuple[int, int], second: tuple[int, int]) -> Gap:
    """Whether a table tells two of its configurations apart; normal approximation of the sampling errors.

    Parameters
    ----------
    table : AccuracyTable
    first, second : (int, int)
        (M, k), both measured.

    Returns
    -------
    Gap

    Raises
    ------
    KeyError
        For a configuration that was not measured.

    Examples
    --------
    >>> from dmoa_theory import tell_apart
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> tell_apart(read_accuracy("mitra2024-diverse"), (2, 3), (1, 1)).told
    False
    """
    one, other = table.index(*first), table.index(*second)
    contrast = np.zeros(len(table.entries))
    contrast[one] += 1.0
    contrast[other] -= 1.0
    return _gap(table, contrast, table.entries[one].name, table.entries[other].name)


def collaboration(table: AccuracyTable) -> Gap | None:
    """All configurations with M >= 1, on average, against one model alone; None where one side was not measured.

    Examples
    --------
    >>> from dmoa_theory.accuracy.telling import collaboration
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> gap = collaboration(read_accuracy("mitra2024-same"))
    >>> f"{100 * gap.gap:.1f} ± {100 * gap.standard_error:.1f} points"
    '14.5 ± 14.3 points'
    """
    together = np.array([entry.M > 0 for entry in table.entries])
    if together.all() or not together.any():
        return None
    contrast = together / together.sum() - ~together / (~together).sum()
    return _gap(table, contrast, "collaborating (M >= 1)", "one model alone")


def simultaneous_limit(table: AccuracyTable) -> float:
    """Standard errors that a gap has to exceed when any two configurations of a table may be picked by their figures.

    Picking the best first and testing it against each other one at two standard errors tells it from at least one of six
    equally good ones in four tables of ten. With this limit that happens in one of twenty; with a dozen shared prompts, whose
    errors are themselves not well known, in one of twelve.

    Parameters
    ----------
    table : AccuracyTable

    Returns
    -------
    float
        At least 2; rounded up to a tenth, so that the simulation's own error of about 0.01 makes no test laxer.

    Notes
    -----
    An approximation: the 95 % quantile of the largest of all pairs' gaps in units of their standard errors, were all
    configurations equally good, simulated from the covariance of the figures (for independent figures of one standard error
    the studentised range). Errors are normal, or, from single prompts' scores, t distributed, as few prompts do not tell
    their own errors well.

    References
    ----------
    Hsu, J. C. (1996), Multiple Comparisons: Theory and Methods, Chapman & Hall, London.

    Examples
    --------
    >>> from dmoa_theory.accuracy.telling import simultaneous_limit
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> print(f"{simultaneous_limit(read_accuracy('mitra2024-diverse')):.1f}")
    3.0
    """
    covariance = table.covariance()
    rng, size = np.random.default_rng(0), len(covariance)
    if size < 3 and table.scores is None:
        return STANDARD_ERRORS
    values, vectors = np.linalg.eigh(covariance)
    drawn = rng.standard_normal((_DRAWS, size)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    variances = np.diag(covariance)
    errors = np.sqrt(np.maximum(variances[:, None] + variances - 2 * covariance, 0.0))
    largest = np.zeros(_DRAWS)
    for one in range(size - 1):
        others = one + 1 + np.flatnonzero(errors[one, one + 1 :] > 1e-9)  # two that were scored alike never differ
        if others.size:
            apart = np.abs(drawn[:, others] - drawn[:, [one]]) / errors[one, others]
            np.maximum(largest, apart.max(axis=1), out=largest)
    if table.scores is not None:
        freedom = int(np.isfinite(table.scores.scores).sum(axis=0).min()) - 1
        largest *= np.sqrt(freedom / rng.chisquare(freedom, _DRAWS))
    return max(math.ceil(10 * float(np.quantile(largest, 1 - ERROR))) / 10, STANDARD_ERRORS)


def one_value_for_all(table: AccuracyTable) -> float | None:
    """Probability of figures with M >= 1 this unlike each other if one value were behind all; None with fewer than two.

    A chi-squared test of one common value, with the table's sampling errors.

    Examples
    --------
    >>> from dmoa_theory.accuracy.telling import one_value_for_all
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> round(one_value_for_all(read_accuracy("mitra2024-diverse")), 2)
    0.94
    """
    from scipy.stats import chi2

    together = [place for place, entry in enumerate(table.entries) if entry.M > 0]
    if len(together) < 2:
        return None
    part = table.only(together)
    precision = np.linalg.pinv(part.covariance(), hermitian=True)
    ones, seen = np.ones(len(together)), part.accuracy
    if not ones @ precision @ ones > 0:  # figures said to have no error at all
        return float(np.ptp(seen) == 0)
    common = ones @ precision @ seen / (ones @ precision @ ones)
    return float(chi2.sf((seen - common) @ precision @ (seen - common), len(together) - 1))


def evidence_sentence(table: AccuracyTable, belief: Belief | None = None) -> str:
    """What the data can and cannot tell, in plain sentences.

    Parameters
    ----------
    table : AccuracyTable
    belief : Belief, optional
        Of the same table; adds the chance that the configuration measured best is so.

    Examples
    --------
    >>> from dmoa_theory.accuracy.telling import evidence_sentence
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> print(evidence_sentence(read_accuracy("mitra2024-diverse")).partition(": ")[0])
    M=2, k=3 is measured best, but told from none of the 6 others (limit 3.0 standard errors, as it was picked from 7)
    """
    ranked = sorted(table.entries, key=lambda entry: (-entry.accuracy, entry.inferences))
    if len(ranked) < 2:
        return f"{ranked[0].name} alone was measured: there is nothing to compare it with."
    best = ranked[0]
    gaps = [(entry, tell_apart(table, (best.M, best.k), (entry.M, entry.k))) for entry in ranked[1:]]
    limit = simultaneous_limit(table)
    told = [entry for entry, gap in gaps if abs(gap.gap) > limit * gap.standard_error]
    chance = _chance(belief, best.M, best.k)
    bar = f" (limit {limit:.1f} standard errors, as it was picked from {len(ranked)})"
    parts = []
    if len(told) == len(gaps):
        entry, gap = gaps[0]
        others = "" if len(gaps) == 1 else f"every other{bar}; next is "
        parts.append(f"{best.name} is measured best{chance}, and told from {others}{entry.name}, {_size(gap)} behind")
    else:
        untold = [(entry, gap) for entry, gap in gaps if entry not in told]
        cheaper = [each for each in untold if each[0].inferences < best.inferences]
        # where none is cheaper, the nearest
        cheap, gap = min(cheaper, key=lambda each: each[0].inferences) if cheaper else untold[0]
        which = "the cheapest not told from it" if cheaper else "the next, of those not told from it none is cheaper"
        if len(gaps) == 1:
            parts.append(f"{best.name} is measured best{chance}, but not told from {cheap.name}, {_size(gap)} behind")
        else:
            parts.append(
                f"{best.name} is measured best{chance}, but told from {len(told) or 'none'} of the {len(gaps)} others{bar}: "
                f"{cheap.name}, {which}, is {_size(gap)} behind"
            )
        parts.append(_worth(table, gap))
    whole = collaboration(table)
    if whole is not None and len(ranked) > 2:
        side = "above" if whole.gap >= 0 else "below"
        times = f", {abs(whole.gap) / whole.standard_error:.1f} standard errors" if whole.standard_error else ""
        agree = one_value_for_all(table)
        same = f", and one value for all of them fits (p = {agree:.2f})" if agree is not None and agree > 0.05 else ""
        parts.append(f"collaborating (M >= 1) stands {_size(whole)} {side} one model alone{times}{same}")
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _worth(table: AccuracyTable, gap: Gap) -> str:
    """How many prompts would tell a gap worth telling.

    Scores of 0 and 1 whose means differ by g differ on a share g of the prompts at least, so by a deviation of
    ``sqrt(g (1 - g))`` at least, however alike those were that have been seen.
    """
    deviation = gap.deviation
    if table.scores is None or table.scores.right_or_wrong:
        deviation = max(deviation, math.sqrt(WORTH * (1 - WORTH)))
    needed, half = (prompts_needed(WORTH, deviation, power=power) for power in (POWER, 0.5))
    return (
        f"a true gap of {100 * WORTH:.0f} points between two chosen beforehand would take some {needed:,} prompts asked of "
        f"both to be told with {100 * POWER:.0f} % power, {half:,} with 50 %"
    )


def _chance(belief: Belief | None, M: int, k: int) -> str:
    if belief is None or (M, k) not in belief.configurations:
        return ""
    chance = 100 * float(belief.p_best()[belief.index(M, k)])
    shown = ">99" if chance > 99.5 else "<1" if chance < 0.5 else f"{chance:.0f}"
    return f" (chance of truly being it: {shown} %)"


def _size(gap: Gap) -> str:
    return f"{100 * abs(gap.gap):.1f} ± {100 * gap.standard_error:.1f} points"


def _deviation(table: AccuracyTable, contrast: FloatArray) -> tuple[float, float]:
    """Standard deviation of single prompts' contrasts, as measured or typical, and the standard error it makes the least.

    Where all prompts had the same contrast the deviation is a floor, which the error of their mean has to keep as well.
    """
    if table.scores is not None:
        measured, prompts, floor = table.scores.deviation_of_contrast(contrast)
        if math.isfinite(measured):
            return measured, measured / math.sqrt(prompts) if floor else 0.0
    if table.per_prompt_deviation is not None:
        variances = np.full(contrast.size, table.per_prompt_deviation[1] ** 2)
    else:
        variances = np.array([single_variance(entry) for entry in table.entries])
    return math.sqrt((1 - CORRELATION) * float(contrast**2 @ variances)), 0.0


def _gap(table: AccuracyTable, contrast: FloatArray, first: str, second: str) -> Gap:
    gap = round(float(contrast @ table.accuracy), 12)
    deviation, least = _deviation(table, contrast)
    error = max(math.sqrt(max(float(contrast @ table.covariance() @ contrast), 0.0)), least)
    return Gap(
        first=first,
        second=second,
        gap=gap,
        standard_error=error,
        paired=table.scores is not None,
        deviation=deviation,
        told=abs(gap) > STANDARD_ERRORS * error,
        prompts=prompts_needed(gap, deviation) if gap and deviation > 0 else None,
    )
