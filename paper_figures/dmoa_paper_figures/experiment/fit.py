"""Service times estimated from published rows, and the rows that were left out predicted.

A published row is one run: its latency and its "average queue size" are one draw of a pair whose law, for given service
times, is simulated. The logarithms of the pair are taken as normal with the simulated mean and covariance ("synthetic
likelihood": Wood, S. N. (2010), Statistical inference for noisy nonlinear ecological dynamic systems, Nature 466), which is
maximised over the service times. All steps of a fit use the same random numbers, so that the likelihood is smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from dmoa_paper_figures.experiment.draws import Draws, draw_runs
from dmoa_paper_figures.experiment.lengths import words_by_prompt
from dmoa_paper_figures.experiment.readings import READINGS, Reading
from dmoa_paper_figures.experiment.service import ServiceTimes, run_all, standard_times
from dmoa_paper_figures.published import DEVICES, published_table
from dmoa_paper_figures.settings import Settings
from dmoa_theory.model.checks import FloatArray

__all__ = ["Fit", "Prediction", "by_prompt", "fit_table", "predict_left_out"]

#: What a parameter may be: from a second, or a hundredth, to an hour.
_LOWEST, _HIGHEST = 0.01, 3600.0
#: Step of logarithms for slopes, and the most steps of a search.
_STEP, _MOST_STEPS = 0.03, 40
#: Added to logarithms of determinants, so that they have square roots.
_OFFSET = 40.0
#: Queue sizes below, which only absurd service times bring about, count as this.
_LEAST = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """What a fit says of one row: mean and covariance of the logarithms of latency and queue size of a run.

    Attributes
    ----------
    M, k : int
    mean : ndarray, shape (2,)
    covariance : ndarray, shape (2, 2)
        Of runs.
    parameters : ndarray, shape (2, 2)
        Covariance of ``mean`` that comes from the uncertainty of the parameters.
    observed : ndarray, shape (2,)
        The published row.
    """

    M: int
    k: int
    mean: FloatArray
    covariance: FloatArray
    parameters: FloatArray
    observed: FloatArray

    @property
    def typical(self) -> FloatArray:
        """Predicted latency and queue size: exponentials of the means, so medians; shape (2,)."""
        return np.exp(self.mean)

    @property
    def standardised(self) -> FloatArray:
        """Published less predicted, in standard deviations of a run and of the prediction; shape (2,)."""
        return np.asarray((self.observed - self.mean) / np.sqrt(np.diag(self.covariance + self.parameters)))

    @property
    def log_density(self) -> float:
        """Of the published pair, under the prediction with all its uncertainty."""
        return _log_density(self.observed - self.mean, self.covariance + self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fit:
    """Service times estimated from rows of a table.

    Attributes
    ----------
    table : str
    reading : Reading
    scv : float
        Held fixed.
    values : ndarray, shape (p,)
        Of the reading's parameters.
    covariance : ndarray, shape (p, p)
        Of their logarithms.
    rows : tuple of Prediction
        Of the rows fitted.
    chi_square : float
        Squared distance of what was fitted, in the covariance of a run.
    """

    table: str
    reading: Reading
    scv: float
    values: FloatArray
    covariance: FloatArray
    rows: tuple[Prediction, ...]
    chi_square: float

    @property
    def times(self) -> ServiceTimes:
        """The service times estimated."""
        return self.reading.times(self.values, self.scv)

    @property
    def factors(self) -> FloatArray:
        """Divide and multiply the values by these for 95 % intervals; shape (p,)."""
        return np.exp(np.minimum(1.96 * np.sqrt(np.diag(self.covariance)), 700.0))

    @property
    def degrees(self) -> int:
        """Numbers fitted less parameters."""
        return 2 * len(self.rows) - self.values.size

    @property
    def chance(self) -> float:
        """Of a chi-square at least as large, if the reading is right and logarithms are normal."""
        from scipy.stats import chi2

        return float(chi2.sf(self.chi_square, self.degrees))

    @property
    def log_likelihood(self) -> float:
        """Of the rows fitted."""
        return sum(_log_density(row.observed - row.mean, row.covariance) for row in self.rows)

    @property
    def aic(self) -> float:
        """Akaike's criterion; smaller is better."""
        return 2 * self.values.size - 2 * self.log_likelihood


def _log_density(gap: FloatArray, covariance: FloatArray) -> float:
    _, size = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * (gap @ np.linalg.solve(covariance, gap) + size))


class _Rows:
    """Draws of the rows of a table, and their moments under any service times."""

    def __init__(self, scv: float, settings: Settings, table: str) -> None:
        self.published = published_table(table)
        self.observed = np.log([(row.latency, row.queue) for row in self.published])
        self.scv = scv
        self.draws, self.standard = _drawn(settings, scv)

    def moments(self, times: ServiceTimes, place: int) -> tuple[FloatArray, FloatArray]:
        """Mean and covariance of the logarithms of latency and queue size of one row."""
        figures = run_all(self.draws[place], times, self.standard[place])
        logs = np.log(np.maximum([figures.latency, figures.queue], _LEAST))
        return logs.mean(axis=1), np.cov(logs)


@cache
def _drawn(settings: Settings, scv: float) -> tuple[tuple[Draws, ...], tuple[FloatArray, ...]]:
    draws = _draws(settings)
    return draws, tuple(standard_times(each.luck, scv) for each in draws)


@cache
def _draws(settings: Settings) -> tuple[Draws, ...]:
    return tuple(
        draw_runs(row.M, row.k, settings.fitting_runs, settings.random(1, place))
        for place, row in enumerate(published_table("I"))
    )


@cache
def fit_table(table: str, reading: str, scv: float, settings: Settings, left_out: int | None = None) -> Fit:
    """Simulated likelihood, maximised: a table's service times under a reading.

    Parameters
    ----------
    table : str
        ``"I"`` or ``"II"``.
    reading : str
        One of :data:`~dmoa_paper_figures.experiment.readings.READINGS`.
    scv : float
        Of all service times.
    settings : Settings
    left_out : int, optional
        Place of a row that is not fitted.
    """
    rows, chosen = _Rows(scv, settings, table), READINGS[reading]
    places = [place for place in range(len(rows.published)) if place != left_out]
    start = np.log(chosen.start if left_out is None else fit_table(table, reading, scv, settings).values)
    values, covariance = _maximise(rows, chosen, places, start)
    predictions = tuple(_predict(rows, chosen, values, covariance, place) for place in places)
    square = sum(float((p.observed - p.mean) @ np.linalg.solve(p.covariance, p.observed - p.mean)) for p in predictions)
    return Fit(
        table=table,
        reading=chosen,
        scv=scv,
        values=np.exp(values),
        covariance=covariance,
        rows=predictions,
        chi_square=square,
    )


def _maximise(rows: _Rows, reading: Reading, places: Sequence[int], start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithms of the parameters that maximise the likelihood, and their covariance."""
    from scipy.optimize import least_squares

    def terms(at: FloatArray) -> FloatArray:
        """Numbers whose squares add up to a constant less twice the logarithm of the likelihood."""
        tried = reading.times(np.exp(at), rows.scv)
        found = []
        for place in places:
            mean, covariance = rows.moments(tried, place)
            lower = np.linalg.cholesky(covariance)
            found += np.linalg.solve(lower, rows.observed[place] - mean).tolist()
            found.append(np.sqrt(_OFFSET + 2 * np.log(np.diag(lower)).sum()))
        return np.array(found)

    found = least_squares(
        terms,
        start,
        bounds=(np.log(_LOWEST), np.log(_HIGHEST)),
        diff_step=np.full(start.size, _STEP),
        ftol=1e-6,
        xtol=1e-4,
        max_nfev=_MOST_STEPS,
    )
    gap = np.arange(found.fun.size) % 3 < 2
    slopes = np.asarray(found.jac)[gap]
    return found.x, np.linalg.pinv(slopes.T @ slopes, hermitian=True)


def _predict(rows: _Rows, reading: Reading, values: FloatArray, covariance: FloatArray, place: int) -> Prediction:
    """Moments of a row at an estimate, with what the estimate's own uncertainty adds."""
    mean, spread = rows.moments(reading.times(np.exp(values), rows.scv), place)
    slopes = np.empty((2, values.size))
    for p in range(values.size):
        shift = np.zeros(values.size)
        shift[p] = _STEP
        ahead, behind = (rows.moments(reading.times(np.exp(values + s), rows.scv), place)[0] for s in (shift, -shift))
        slopes[:, p] = (ahead - behind) / (2 * _STEP)
    published = rows.published[place]
    return Prediction(
        M=published.M,
        k=published.k,
        mean=mean,
        covariance=spread,
        parameters=slopes @ covariance @ slopes.T,
        observed=rows.observed[place],
    )


def predict_left_out(table: str, reading: str, scv: float, settings: Settings) -> tuple[Prediction, ...]:
    """Every row of a table, predicted from the other six.

    Parameters
    ----------
    table, reading : str
    scv : float
    settings : Settings
    """
    found = []
    for place in range(len(published_table(table))):
        fit = fit_table(table, reading, scv, settings, place)
        rows = _Rows(scv, settings, table)
        found.append(_predict(rows, fit.reading, np.log(fit.values), fit.covariance, place))
    return tuple(found)


@cache
def by_prompt(settings: Settings) -> tuple[float, float]:
    """Simulated likelihood of Table I, maximised, where a prompt takes the same time everywhere: in proportion to its answer.

    The ten prompts arrive in their order in the set, and nothing else varies. Returns the mean service time, s, and the
    logarithm of the likelihood; one number is estimated.

    Parameters
    ----------
    settings : Settings
    """
    from scipy.optimize import minimize_scalar

    words = words_by_prompt()
    rows = published_table("I")
    observed = np.log([(row.latency, row.queue) for row in rows])
    fixed = [np.broadcast_to((words / words.mean())[:, None], draws.luck.shape) for draws in _draws(settings)]

    def loss(mean: float) -> float:
        times, total = ServiceTimes(mean=(mean,) * len(DEVICES), scv=0.0), 0.0
        for place, (draws, standard) in enumerate(zip(_draws(settings), fixed, strict=True)):
            figures = run_all(draws, times, standard)
            logs = np.log([figures.latency, figures.queue])
            total -= _log_density(observed[place] - logs.mean(axis=1), np.cov(logs))
        return total

    found = minimize_scalar(loss, bounds=(20.0, 100.0), method="bounded", options={"xatol": 0.05})
    return float(found.x), -float(found.fun)
