"""The pick to defend: fitted accuracy, robust to uncertain service times, the cheapest within the noise, tried out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.optimisation.candidates import Candidate, Evaluations
from dmoa_theory.optimisation.verify import Trial

if TYPE_CHECKING:
    from dmoa_theory.accuracy.belief import Belief

__all__ = ["STANDARD_ERRORS", "Recommendation", "Standing", "recommend", "standings"]

#: Service times of a defended pick are raised by this many standard errors (two: about 2 % are larger still).
STANDARD_ERRORS = 2.0
#: Differences in accuracy that nobody would pay for, and the most that is given up for cheapness, however poor the data.
NO_DIFFERENCE, MOST_GIVEN_UP = 0.005, 0.05
# Where nothing but fitted accuracies can be in the way.
_AS_FITTED = "its fitted accuracy"
# Picks that are tried out before none is recommended.
_TRIALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is believed of the accuracy of one configuration.

    Attributes
    ----------
    candidate : Candidate
    accuracy, error : float
        Fitted (failing that, stated) accuracy and its standard deviation, from 0 to 1.
    p_best : float or None
        Probability of being the most accurate of those that meet every limit; None without a fit.
    regret : float or None
        Accuracy that it is expected to give up against the truly best of them.
    sturdy : bool
        Whether it meets every limit also with margins.
    """

    candidate: Candidate
    accuracy: float
    error: float
    p_best: float | None
    regret: float | None
    sturdy: bool

    def to_dict(self) -> dict[str, object]:
        """For the JSON contract."""
        return {
            "M": self.candidate.M,
            "k": self.candidate.k,
            "fitted_accuracy": self.accuracy,
            "fitted_error": self.error,
            "p_best": self.p_best,
            "expected_regret": self.regret,
            "robust": self.sturdy,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The pick, why, and what was tried out on the way to it.

    Attributes
    ----------
    pick : Candidate or None
    why : str
        To be read after "because it", or, where nothing is recommended, after "nothing is recommended:".
    trials : dict of (M, k) to Trial
        Simulations, the last of them that of the pick.
    """

    pick: Candidate | None
    why: str
    trials: dict[tuple[int, int], Trial]


def standings(
    evaluations: Evaluations,
    candidates: tuple[Candidate, ...],
    belief: Belief | None,
    *,
    standard_errors: float = STANDARD_ERRORS,
    margin: bool = True,
) -> tuple[Standing, ...]:
    """What is believed of every configuration, and whether it meets the limits with margins; in the order given.

    Parameters
    ----------
    evaluations : Evaluations
    candidates : tuple of Candidate
        As stated, without margins.
    belief : Belief or None
        Fitted accuracies of the same configurations, in the same order; None to go by those stated.
    standard_errors : float
        By which mean service times are raised.
    margin : bool
        Whether latencies are raised by their typical error.
    """
    feasible = np.array([c.feasible for c in candidates])
    p_best = regret = None
    if belief is not None and feasible.any():
        p_best, regret = belief.p_best(feasible), belief.regret(feasible)
    found = []
    for place, c in enumerate(candidates):
        accuracy = c.accuracy if belief is None else float(belief.mean[place])
        error = c.accuracy_error if belief is None else float(belief.standard_deviation[place])
        sturdy = c.feasible and _sturdy(evaluations, c, accuracy, standard_errors, margin)
        known = c.feasible and p_best is not None and regret is not None
        found.append(
            Standing(
                candidate=c,
                accuracy=accuracy,
                error=error,
                p_best=float(p_best[place]) if known and p_best is not None else None,
                regret=float(regret[place]) if known and regret is not None else None,
                sturdy=sturdy,
            )
        )
    return tuple(found)


def _sturdy(evaluations: Evaluations, c: Candidate, accuracy: float, standard_errors: float, margin: bool) -> bool:
    """Whether a configuration meets every limit with margins; its fitted accuracy has to be enough as well."""
    from dmoa_theory.accuracy.table import AccuracyEntry

    least = min(accuracy, c.accuracy)
    entry = AccuracyEntry(M=c.M, k=c.k, accuracy=least, standard_error=c.accuracy_error, n_eval=None)
    return evaluations.candidate(entry, standard_errors=standard_errors, margin=margin, scale=c.scale).feasible


def recommend(
    standing: tuple[Standing, ...],
    *,
    belief: Belief | None,
    caution: str,
    cost: Callable[[Candidate], float] | None = None,
    prefer: str = "accuracy",
    objection: Callable[[Candidate], str] | None = None,
    try_out: Callable[[Candidate], Trial] | None = None,
) -> Recommendation:
    """Choose what can be defended.

    Parameters
    ----------
    standing : tuple of Standing
    belief : Belief or None
        As the standings have it; tells the noise of a difference.
    caution : str
        What a sturdy configuration bears, in words; empty where it bears nothing beyond what is stated.
    cost : callable, optional
        What is least among equals; default the mean latency.
    prefer : str
        ``"accuracy"``: the cheapest within the noise of the most accurate; anything else: the cheapest of all.
    objection : callable, optional
        Says why a configuration is passed over, to be read after "since"; empty where nothing speaks against it.
    try_out : callable, optional
        Simulates a configuration to which there is no objection; one that misses a limit by more than its interval is passed
        over.

    Notes
    -----
    Sampling error makes the best of several noisy figures look better than it is. So the cheapest is taken of those whose
    fitted accuracy is below the best fitted one by no more than the standard deviation of the difference: the
    one-standard-error rule, on differences. Half a point is always given up, more than five never: poor data are no reason to
    forgo what is expected of them. Without a fit the rule is the plain one, on the standard error of the best.

    References
    ----------
    Breiman, L., Friedman, J. H., Olshen, R. A. and Stone, C. J. (1984), Classification and Regression Trees, section 3.4.3.
    """
    price = cost or (lambda c: c.mean_latency)
    trials: dict[tuple[int, int], Trial] = {}
    sturdy = [each for each in standing if each.sturdy]
    if not sturdy:
        feasible = ", ".join(each.candidate.name for each in standing if each.candidate.feasible)
        return Recommendation(
            pick=None,
            why=f"no configuration still meets every limit with {caution or _AS_FITTED}; {feasible} meets them with nothing to "
            "spare",
            trials=trials,
        )
    fallen: dict[str, list[str]] = {}
    while sturdy:
        best = max(sturdy, key=lambda each: (each.accuracy, -price(each.candidate)))
        if prefer == "accuracy":
            near = [each for each in sturdy if best.accuracy - each.accuracy <= _noise(standing, belief, best, each)]
        else:
            near = sturdy
        pick = min(near, key=lambda each: (price(each.candidate), -each.accuracy))
        reason = "" if objection is None else objection(pick.candidate)
        if not reason:
            if try_out is None:
                break
            trial = trials[pick.candidate.configuration] = try_out(pick.candidate)
            if trial.holds:
                break
            reason = f"in simulation it did not hold ({trial})"
        fallen.setdefault(reason, []).append(pick.candidate.name)
        sturdy = [each for each in sturdy if each is not pick]
        if len(trials) == _TRIALS:
            sturdy = []
    said = "; ".join(
        f"{' and '.join(names)} {'were' if len(names) > 1 else 'was'} passed over, since {reason}"
        for reason, names in fallen.items()
    )
    if not sturdy:
        return Recommendation(pick=None, why=said or "nothing holds in simulation", trials=trials)
    why = _why(standing, best, pick, caution, prefer, belief)
    return Recommendation(pick=pick.candidate, why=why + (f"; {said}" if said else ""), trials=trials)


def _noise(standing: tuple[Standing, ...], belief: Belief | None, best: Standing, each: Standing) -> float:
    """By how much fitted accuracies may differ and still count as alike."""
    if best is each:
        return 0.0
    if belief is None:
        return best.error
    first, second = standing.index(best), standing.index(each)
    return float(np.clip(belief.difference(first, second).standard_deviation, NO_DIFFERENCE, MOST_GIVEN_UP))


def _why(
    standing: tuple[Standing, ...], best: Standing, pick: Standing, caution: str, prefer: str, belief: Belief | None
) -> str:
    tight = [
        each.candidate.name
        for each in standing
        if each.candidate.feasible and not each.sturdy and each.accuracy > pick.accuracy
    ]
    margin = f"; {' and '.join(tight)}, more accurate, {'do' if len(tight) > 1 else 'does'} not" if tight else ""
    borne = f"also with {caution}" if caution else "with the figures as they are stated"
    why = f"meets every limit {borne}{margin}"
    if prefer == "latency":
        return f"{why}; of those that do it is the fastest"
    if prefer == "load":
        return f"{why}; of those that do it carries the most"
    if pick is best:
        return f"{why}; of those that do it is the most accurate, and none faster comes within the noise"
    word = "stated" if belief is None else "fitted"
    gap, noise = 100 * (best.accuracy - pick.accuracy), 100 * _noise(standing, belief, best, pick)
    slower = best.candidate.mean_latency / pick.candidate.mean_latency
    chance, within = "", f"less than its standard error of {noise:.1f} points"
    if belief is not None:
        found = belief.difference(standing.index(best), standing.index(pick))
        within = f"within the noise of {noise:.1f} points ({_noise_in_words(found.standard_deviation)})"
        chance = f" (truly so with probability {float(found.probability):.2f})"
    return (
        f"{why}; {best.candidate.name} is {word} to be {gap:.1f} points more accurate{chance}, {within}, "
        f"and takes {slower:.1f} times as long"
    )


def _noise_in_words(deviation: float) -> str:
    """What the noise of a difference is, given the standard deviation of that difference."""
    if deviation > MOST_GIVEN_UP:
        return f"the most that is given up for speed; the standard error of the difference is {100 * deviation:.1f}"
    if deviation < NO_DIFFERENCE:
        return "which nobody would pay for"
    return "the standard error of the difference"
