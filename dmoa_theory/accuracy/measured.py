"""Measured accuracies: one configuration, a table of them, and the scores of single prompts behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray

__all__ = ["AccuracyEntry", "AccuracyTable", "PromptScores"]

#: Rows of weights that a bootstrap holds at a time: memory stays small with thousands of prompts.
_AT_ONCE = 500
#: With more prompts than this their mean is as good as normal.
_MANY = 2000
#: Prompts taken to be behind a figure of 0 or 1 when their number was not said.
_UNKNOWN_COUNT = 10
#: Scores this close are the same: what rounding leaves between them is smaller, what a judge tells apart larger.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyEntry:
    """One measured configuration.

    Attributes
    ----------
    M, k : int
    accuracy : float
        From 0 to 1.
    standard_error : float
        Of ``accuracy``, from 0 to 1.
    n_eval : int or None
        Prompts behind it.
    basis : str
        Where the standard error comes from: "stated", "judge scores" (the stated deviation of single prompts' scores over
        the root of their number), "binomial", "assumed size", "per-prompt scores" or "fitted".
    secondary : bool
        Read from somebody's transcription, not from the source itself.
    place : str
        Table or figure of the source.
    note : str
    proposer_quality : float or None
        Mean accuracy of the proposers' models alone, the own one included.
    diversity : float or None
        One less the sum of squared shares of the models among the proposers: 0 when all are alike.
    """

    M: int
    k: int
    accuracy: float
    standard_error: float
    n_eval: int | None
    basis: str = "stated"
    secondary: bool = False
    place: str = ""
    note: str = ""
    proposer_quality: float | None = None
    diversity: float | None = None

    @property
    def name(self) -> str:
        """Such as "M=1, k=2"."""
        return f"M={self.M}, k={self.k}"

    @property
    def inferences(self) -> int:
        """Inferences that a prompt takes, ``(k + 1) M + 1``."""
        return (self.k + 1) * self.M + 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptScores:
    """Scores of single prompts under several configurations.

    Attributes
    ----------
    prompts : tuple of str
    scores : ndarray, shape (n_prompts, n_configurations)
        From 0 to 1; NaN where a prompt was not asked. Read-only.
    """

    prompts: tuple[str, ...]
    scores: FloatArray

    def __post_init__(self) -> None:
        """Own the scores."""
        held = np.array(self.scores, dtype=np.float64)
        held.setflags(write=False)
        object.__setattr__(self, "scores", held)

    def covariance(self) -> FloatArray:
        """Sampling covariance of the means, shape (C, C): prompts are shared, so their ease is shared too."""
        asked, sure = np.isfinite(self.scores), self.without_spread
        counts = asked.sum(axis=0)
        centred = np.where(asked, self.scores - np.nanmean(self.scores, axis=0), 0.0)
        found = centred.T @ centred / np.outer(counts, counts) * (counts / np.maximum(counts - 1, 1))
        found = (found + found.T) / 2
        # nobody who was right ten times of ten is right always; what rounding left between equal scores says nothing
        found[sure, :] = 0.0
        found[:, sure] = 0.0
        found[sure, sure] = _certain_variance(counts[sure])
        return np.asarray(found)

    @property
    def without_spread(self) -> BoolArray:
        """Whether all scores of a configuration are the same, up to rounding, shape (C,)."""
        asked = np.isfinite(self.scores)
        highest, lowest = (np.where(asked, self.scores, end) for end in (-np.inf, np.inf))
        return np.asarray(highest.max(axis=0) - lowest.min(axis=0) <= _ROUNDING)

    @property
    def right_or_wrong(self) -> bool:
        """Whether every score is 0 or 1."""
        return bool(np.isin(self.scores[np.isfinite(self.scores)], (0.0, 1.0)).all())

    def bootstrap(self, draws: int = 4000, seed: int = 0) -> FloatArray:
        """Means of prompts drawn with replacement, shape (draws, C): the same prompts for every configuration.

        Where none of a configuration's prompts was drawn, its mean is that of as many of its own, drawn for it alone.
        """
        rng = np.random.default_rng(seed)
        asked = np.isfinite(self.scores)
        filled = np.where(asked, self.scores, 0.0)
        size = len(self.prompts)
        parts = []
        for start in range(0, draws, _AT_ONCE):
            count = min(_AT_ONCE, draws - start)
            drawn = rng.integers(size, size=(count, size)) + size * np.arange(count)[:, None]
            weight = np.bincount(drawn.ravel(), minlength=count * size).reshape(count, size).astype(np.float64)
            counts = weight @ asked
            means = (weight @ filled) / np.maximum(counts, 1.0)
            for column in np.flatnonzero((counts == 0).any(axis=0)):
                own, lost = self.scores[asked[:, column], column], np.flatnonzero(counts[:, column] == 0)
                means[lost, column] = rng.choice(own, (lost.size, own.size)).mean(axis=1)
            parts.append(means)
        return np.concatenate(parts)

    def deviation_of_difference(self, first: int, second: int) -> float:
        """Standard deviation of single prompts' differences between two configurations; NaN without two shared prompts.

        See :meth:`deviation_of_contrast`.
        """
        weights = np.zeros(self.scores.shape[1])
        weights[first] += 1.0
        weights[second] -= 1.0
        return self.deviation_of_contrast(weights)[0]

    def deviation_of_contrast(self, weights: FloatArray) -> tuple[float, int, bool]:
        """Standard deviation of a weighted sum of single prompts' scores, prompts behind it, whether it is the floor.

        Parameters
        ----------
        weights : ndarray, shape (C,)
            That sum to 0: 1 and -1 for a difference.

        Notes
        -----
        Only prompts asked of every configuration of weight other than 0 count; NaN with fewer than two. Where that sum was
        the same for all n of them, its deviation is taken as if two more prompts had differed, once to either side:
        ``sqrt(2 / (n + 2))``. n prompts that never differ do not prove that none does.
        """
        used = np.flatnonzero(weights)
        single = self.scores[:, used] @ weights[used]
        shared = single[np.isfinite(single)]
        if shared.size < 2:
            return math.nan, int(shared.size), False
        if np.ptp(shared) <= _ROUNDING and used.size:
            return math.sqrt(2 / (shared.size + 2)), int(shared.size), True
        return float(shared.std(ddof=1)), int(shared.size), False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyTable:
    """Measured accuracies of one user at one task.

    Usually read from a file or made by :func:`dmoa_theory.accuracy_from_scores`.

    Parameters
    ----------
    name : str
        Bundled name, or file name; of a file with several tables, what tells this one from the others behind a slash.
    source, metric : str
        Where the figures come from and what they count; empty when the file does not say.
    entries : tuple of AccuracyEntry
        One a configuration.
    per_prompt_deviation : tuple of float, optional
        Range of the standard deviation of single prompts' scores (0 to 1), where the source states it.
    task, user, mode, models, note : str
        What was asked, whose model aggregates, "same" or "diverse" models; empty when not said.
    scores : PromptScores, optional
        Scores of single prompts, columns in the order of ``entries``.

    Examples
    --------
    >>> from dmoa_theory.accuracy.table import read_accuracy
    >>> table = read_accuracy("mitra2024-same")
    >>> entry = table.entry(2, 3)
    >>> entry.accuracy, round(entry.standard_error, 3)
    (0.4063, 0.133)
    """

    name: str
    source: str
    metric: str
    entries: tuple[AccuracyEntry, ...]
    per_prompt_deviation: tuple[float, float] | None
    task: str = ""
    user: str = ""
    mode: str = ""
    models: str = ""
    note: str = ""
    scores: PromptScores | None = None

    @property
    def configurations(self) -> tuple[tuple[int, int], ...]:
        """(M, k) of every entry."""
        return tuple((entry.M, entry.k) for entry in self.entries)

    @property
    def accuracy(self) -> FloatArray:
        """Stated accuracies, shape (C,)."""
        return np.array([entry.accuracy for entry in self.entries])

    @property
    def secondary(self) -> bool:
        """Whether any figure was read from a transcription."""
        return any(entry.secondary for entry in self.entries)

    def entry(self, M: int, k: int) -> AccuracyEntry:
        """The entry for one configuration; KeyError when it was not measured."""
        return self.entries[self.index(M, k)]

    def index(self, M: int, k: int) -> int:
        """Place of a configuration among the entries; KeyError when it was not measured."""
        if (M, k) not in self.configurations:
            raise KeyError((M, k))
        return self.configurations.index((M, k))

    def covariance(self) -> FloatArray:
        """Sampling covariance of the stated accuracies, shape (C, C).

        From single prompts' scores where they are known. Otherwise errors are taken as independent, which makes
        differences look less sure than they are if all rows stand on the same prompts.
        """
        if self.scores is not None:
            return self.scores.covariance()
        return np.diag(np.array([entry.standard_error**2 for entry in self.entries]))

    def resampled(self, draws: int = 4000, seed: int = 0) -> FloatArray:
        """Draws of the true accuracies as the figures alone have them, shape (draws, C): no fit, no shape.

        Paired bootstrap over prompts; normal errors where single scores are not known, or so many that it makes no difference.
        Normal errors too where a configuration's scores are all the same: a bootstrap would find it without error.
        """
        scores = self.scores
        if scores is not None and len(scores.prompts) <= _MANY and not scores.without_spread.any():
            return scores.bootstrap(draws, seed)
        values, vectors = np.linalg.eigh(self.covariance())
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(self.accuracy + np.random.default_rng(seed).standard_normal((draws, values.size)) @ root.T)

    def only(self, keep: list[int]) -> AccuracyTable:
        """The table with those entries alone."""
        from dataclasses import replace

        scores = self.scores
        if scores is not None:
            scores = PromptScores(prompts=scores.prompts, scores=scores.scores[:, keep])
        return replace(self, entries=tuple(self.entries[place] for place in keep), scores=scores)

    def sampling_remark(self) -> str:
        """One sentence on how little or much the sample sizes say."""
        sizes = [entry.n_eval for entry in self.entries if entry.n_eval]
        if sizes and len(set(sizes)) == 1 and self.per_prompt_deviation and self._judged():
            points = _range([100 * sd / math.sqrt(sizes[0]) for sd in self.per_prompt_deviation])
            return f"each accuracy stands on {sizes[0]} prompts, which means {points} points of standard error"
        return f"standard errors of the accuracies: {_range([100 * entry.standard_error for entry in self.entries])} points"

    def _judged(self) -> bool:
        return all(entry.basis == "judge scores" for entry in self.entries)

    def remarks(self) -> tuple[str, ...]:
        """What has to be said wherever these figures are shown: second-hand rows, assumed sizes, unpaired prompts."""
        found = []
        second_hand = sum(entry.secondary for entry in self.entries)
        if second_hand:
            rows = "all rows" if second_hand == len(self.entries) else f"{second_hand} of {len(self.entries)} rows"
            found.append(f"SECONDARY: {rows} of {self.name} were read from a transcription, not from the source itself")
        if any(entry.basis == "assumed size" for entry in self.entries):
            found.append(
                f"how many prompts {self.name} stands on was not read: its standard errors follow from an assumed size"
            )
        if self.scores is not None and not np.isfinite(self.scores.scores).all():
            found.append(f"not every prompt of {self.name} was asked of every configuration: these are compared on fewer")
        return tuple(found)


def binomial_error(accuracy: float, n_eval: int) -> float:
    """Standard error of a share of right answers; of all or none right, that of one more right and one more wrong.

    Examples
    --------
    >>> from dmoa_theory.accuracy.measured import binomial_error
    >>> round(binomial_error(0.5, 100), 3), round(binomial_error(1.0, 10), 3)
    (0.05, 0.087)
    """
    if 0 < accuracy < 1:
        return math.sqrt(accuracy * (1 - accuracy) / n_eval)
    return math.sqrt(float(_certain_variance(np.array([n_eval]))[0]))


def single_variance(entry: AccuracyEntry) -> float:
    """Variance of single right-or-wrong scores with that mean; where all or none were right, as if one more had not been."""
    if 0 < entry.accuracy < 1:
        return entry.accuracy * (1 - entry.accuracy)
    count = entry.n_eval or _UNKNOWN_COUNT
    return float(_certain_variance(np.array([count]))[0]) * count


def _range(points: list[float]) -> str:
    """Such as "9.5 to 13.3"; one number where both ends read the same."""
    low, high = f"{min(points):.1f}", f"{max(points):.1f}"
    return low if low == high else f"{low} to {high}"


def _certain_variance(counts: FloatArray) -> FloatArray:
    """Variance of a mean that was 0 or 1 throughout: as if one more prompt had been right and one more wrong."""
    share = (counts + 1) / (counts + 2)
    return np.asarray(share * (1 - share) / counts)


def check_draws(draws: int) -> int:
    """A number of draws that says something, or a complaint."""
    if not 100 <= draws <= 1_000_000:
        raise InputError("draws", draws, "from 100 to 1000000")
    return draws
