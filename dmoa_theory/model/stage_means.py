"""Mean service times of all stages together with the covariance of their errors, for whoever optimises robustly.

Every mean of a measured device is linear in the five coefficients of its profile's fit, so errors of stages move together,
and so do those of all devices that share a profile. A robust choice of (M, k) must know that: taken as independent, the
errors of four equal devices would seem to cancel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.model.checks import FloatArray, owned

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile

__all__ = ["StageMeans"]


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

    @classmethod
    def with_own_errors(cls, mean: FloatArray, error: FloatArray) -> StageMeans:
        """Exact: of times in numbers, of which only standard errors are known.

        The stages of a device are multiples of one measured mean, so their errors move together; devices err independently.

        Parameters
        ----------
        mean, error : ndarray, shape (r, 3), seconds
        """
        covariance = np.zeros(mean.shape + mean.shape)
        for u, own in enumerate(error):
            covariance[u, :, u, :] = np.outer(own, own)
        return cls(mean=mean, covariance=covariance)

    @classmethod
    def of_profiles(cls, mean: FloatArray, sensitivity: FloatArray, profiles: Sequence[Profile]) -> StageMeans:
        """Exact within the fitted formula: of measured times, with the covariance that the fits leave.

        Parameters
        ----------
        mean : ndarray, shape (r, 3), seconds
        sensitivity : ndarray, shape (r, 3, 5)
            Derivatives of each mean by the five coefficients of its fit.
        profiles : sequence of Profile, length r

        Notes
        -----
        A measured mean is ``g . (c0, c1, c2, d0, d1)`` with ``g`` from the moments of the token lengths, so its covariance
        with another of the same profile is ``g V g'``, with ``V`` the fit's covariance; different profiles err independently.
        What the formula misses is in it as far as it shows when pairs of lengths are left out of the fit.
        """
        covariance = np.zeros(mean.shape + mean.shape)
        for u, one in enumerate(profiles):
            for v, other in enumerate(profiles):
                if one is other or one.document == other.document:
                    covariance[u, :, v, :] = sensitivity[u] @ one.fit.cov @ sensitivity[v].T
        return cls(mean=mean, covariance=covariance)

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
