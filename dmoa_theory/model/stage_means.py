"""Mean service times of all stages together with the covariance of their errors, for whoever optimises robustly.

Every mean of a measured device is linear in the five coefficients of its profile's fit, so errors of stages move together,
and so do those of all devices that share a profile. A robust choice of (M, k) must know that: taken as independent, the
errors of four equal devices would seem to cancel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.model.checks import FloatArray, owned
from dmoa_theory.model.service import MeasuredServiceTime, ServiceTime, Stage, mean_sensitivity
from dmoa_theory.quantities import show_number, show_seconds

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile
    from dmoa_theory.model.tokens import TokenLengths

__all__ = ["StageMeans", "StageTime", "stage_means", "stage_times"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StageMeans:
    """Mean service times and the covariance of their errors.

    Parameters
    ----------
    mean : ndarray, shape (r, 3), seconds
        Of each device (one row where all are alike) in the first layer, the later layers and the aggregation.
    covariance : ndarray, shape (r, 3, r, 3), s^2
        Of the errors of ``mean``: ``covariance[u, s, v, t]`` between device u in stage s and device v in stage t.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.model.stage_means import StageMeans
    >>> means = StageMeans(mean=np.array([[2.0, 3.0, 3.0]]), covariance=np.full((1, 3, 1, 3), 0.01))
    >>> means.standard_error.tolist()
    [[0.1, 0.1, 0.1]]
    >>> round(means.error_of(np.array([[1.0, 2.0, 1.0]])), 9)  # of a query's work: one, two and one inference
    0.4
    """

    mean: FloatArray
    covariance: FloatArray

    def __post_init__(self) -> None:
        """Freeze the arrays."""
        object.__setattr__(self, "mean", owned(np.asarray(self.mean, dtype=np.float64)))
        object.__setattr__(self, "covariance", owned(np.asarray(self.covariance, dtype=np.float64)))

    @property
    def standard_error(self) -> FloatArray:
        """Standard error of each mean, s; shape (r, 3)."""
        variance = np.einsum("usus->us", self.covariance)
        return np.asarray(np.sqrt(np.clip(variance, 0.0, None)))

    def error_of(self, weights: FloatArray) -> float:
        """Standard error of ``sum(weights * mean)``, s; ``weights`` of shape (r, 3)."""
        variance = np.einsum("us,usvt,vt", weights, self.covariance, weights)
        return float(np.sqrt(max(float(variance), 0.0)))

    def matrix(self) -> FloatArray:
        """The covariance as a matrix of shape (3 r, 3 r), devices outside, stages inside."""
        size = self.mean.size
        return self.covariance.reshape(size, size)


def stage_means(service: ServiceTime | MeasuredServiceTime, k: int) -> StageMeans:
    """Approximation: mean service times when ``k`` neighbours are asked, with the covariance that measuring leaves.

    Parameters
    ----------
    service : ServiceTime or MeasuredServiceTime
    k : int
        Neighbours asked in each layer: later prompts hold ``k + 1`` answers.

    Returns
    -------
    StageMeans

    Notes
    -----
    A measured mean is ``g . (c0, c1, c2, d0, d1)`` with ``g`` from the moments of the token lengths, so its covariance with
    another of the same profile is ``g V g'``, with ``V`` the fit's covariance; different profiles err independently. Of
    times in numbers only ``mean_error`` is known: the stages of a device are multiples of one measured mean, so their errors
    move together, and devices err independently. What the fit's formula cannot describe is in neither.
    """
    mean = service.for_k(k).mean
    rows = mean.shape[0]
    covariance = np.zeros((rows, len(Stage), rows, len(Stage)))
    if isinstance(service, MeasuredServiceTime):
        profiles = [service.profiles[u % len(service.profiles)] for u in range(rows)]
        lengths = [service.tokens[u % len(service.tokens)] for u in range(rows)]
        by = np.array([[mean_sensitivity(each, later=stage is not Stage.FIRST, k=k) for stage in Stage] for each in lengths])
        for u in range(rows):
            for v in range(rows):
                if _same_fit(profiles[u], profiles[v]):
                    covariance[u, :, v, :] = by[u] @ profiles[u].fit.cov @ by[v].T
    else:
        assert service.mean_error is not None
        for u, error in enumerate(service.mean_error):
            covariance[u, :, u, :] = np.outer(error, error)
    return StageMeans(mean=mean, covariance=covariance)


def _same_fit(one: Profile, other: Profile) -> bool:
    return one is other or one.document == other.document


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage of a query on one device: how often it runs, what it reads, how long it takes.

    Parameters
    ----------
    name : str
    layers : str
        Which layers it stands for, such as ``"2 to 3"``.
    tokens_read, tokens_written : float
        Mean lengths.
    mean, standard_error, deviation : float, seconds
        Mean service time, its standard error, and the standard deviation of a service time.
    scv : float
        Squared coefficient of variation.
    covered : bool
        Whether the mean lengths lie inside what was measured.
    """

    name: str
    layers: str
    tokens_read: float
    tokens_written: float
    mean: float
    standard_error: float
    deviation: float
    scv: float
    covered: bool

    def __str__(self) -> str:
        """One line for reports."""
        beyond = "" if self.covered else "; beyond the lengths measured"
        return (
            f"{self.name}: reads {show_number(self.tokens_read)}, writes {show_number(self.tokens_written)} tokens in "
            f"{show_seconds(self.mean)}, standard error {show_seconds(self.standard_error)}, SCV {self.scv:.3f}{beyond}"
        )


def stage_times(profile: Profile, lengths: TokenLengths, *, M: int, k: int) -> tuple[StageTime, ...]:
    """Approximation: service times of the stages of one query on the device of that profile.

    Parameters
    ----------
    profile : Profile
    lengths : TokenLengths
    M, k : int
        Layers, and neighbours asked in each. With ``M = 0`` the only stage is one inference on the bare prompt.

    Returns
    -------
    tuple of StageTime
        First layer; with ``M`` of 2 or more the later layers; with ``M`` of 1 or more the aggregation.
    """
    service = MeasuredServiceTime(profiles=(profile,), tokens=(lengths,))
    times, means = service.for_k(k), stage_means(service, k)
    stages = [(Stage.FIRST, "first layer", "1")]
    if M >= 2:
        stages.append((Stage.LATER, "later layers" if M > 2 else "second layer", "2" if M == 2 else f"2 to {M}"))
    if M >= 1:
        stages.append((Stage.AGGREGATE, "aggregation", ""))
    made = []
    for stage, name, layers in stages:
        read = float(lengths.read(later=stage is not Stage.FIRST, k=k)[0])
        mean, scv = float(times.mean[0, stage]), float(times.scv[0, stage])
        made.append(
            StageTime(
                name=name,
                layers=layers,
                tokens_read=read,
                tokens_written=lengths.output.mean,
                mean=mean,
                standard_error=float(means.standard_error[0, stage]),
                deviation=mean * scv**0.5,
                scv=scv,
                covered=bool(profile.fit.covers(max(read, 1.0), lengths.output.mean)),
            )
        )
    return tuple(made)
