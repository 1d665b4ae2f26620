"""How long one inference takes: mean and variability for every device and every stage of a query.

A query has three kinds of stage: its first layer, its later layers, and the aggregation at home. A service time is either
given in numbers or by samples (:class:`ServiceTime`), or follows from a measured profile and token lengths
(:class:`MeasuredServiceTime`), in which case the prompt of a later stage, and with it the service time, grows with ``k``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, FloatLike, non_negative, owned, positive
from dmoa_theory.model.service_samples import SampleLike, relative_moment, sample_arrays, sample_scv
from dmoa_theory.model.stage_means import StageMeans

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile, ServiceFit
    from dmoa_theory.model.tokens import TokenLengths

__all__ = ["Law", "MeasuredServiceTime", "ServiceTime", "Stage"]


class Law(StrEnum):
    """Families of service-time distributions; each is fixed by its mean and its SCV, the empirical one by samples."""

    EXPONENTIAL = "exponential"
    DETERMINISTIC = "deterministic"
    GAMMA = "gamma"
    LOGNORMAL = "lognormal"
    EMPIRICAL = "empirical"


class Stage(IntEnum):
    """Kinds of stage: columns of every per-stage array."""

    FIRST = 0
    LATER = 1
    AGGREGATE = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ServiceTime:
    """Service-time laws of the devices, stage by stage.

    Usually made by :meth:`from_law` or its shorthands :meth:`exponential`, :meth:`deterministic`, :meth:`gamma` and
    :meth:`lognormal`; from somebody's own timings by :meth:`empirical`.

    Parameters
    ----------
    mean : ndarray, shape (n, 3) or (1, 3), seconds
        Mean service time at each device in the first layer, the later layers and the aggregation; one row for all alike.
    scv : ndarray, shape (n, 3) or (1, 3)
        Squared coefficient of variation (variance / mean^2).
    law : Law
        Family of the distribution.
    mean_error : ndarray, shape (n, 3) or (1, 3), seconds
        Standard error of ``mean``; zero where it is taken as known.
    samples : tuple of ndarray, seconds, optional
        With the empirical law, and only with it: first-layer times, one array for all devices or one a device. They give the
        law its shape, ``mean`` its scale: a service time of a stage is a sample drawn with replacement, times ``mean`` of
        that device and stage over the mean of the device's samples.

    Examples
    --------
    >>> from dmoa_theory import ServiceTime
    >>> service = ServiceTime.gamma([24.0, 31.0], scv=0.5, later=1.3, aggregate=1.3)
    >>> service.mean.round(1).tolist()
    [[24.0, 31.2, 31.2], [31.0, 40.3, 40.3]]
    """

    mean: FloatArray
    scv: FloatArray
    law: Law = Law.GAMMA
    mean_error: FloatArray | None = None
    samples: tuple[FloatArray, ...] | None = None

    def __post_init__(self) -> None:
        """Check shapes and values, and freeze the arrays."""
        mean = np.atleast_2d(np.asarray(self.mean, dtype=np.float64))
        if mean.ndim != 2 or mean.shape[1] != len(Stage):
            raise InputError("mean", f"shape {mean.shape}", "an array of shape (n, 3): first layer, later layers, aggregation")
        columns = [positive("mean", mean[:, s], mean.shape[0]) for s in Stage]
        scv = np.broadcast_to(np.asarray(self.scv, dtype=np.float64), mean.shape)
        for s in Stage:
            non_negative("scv", scv[:, s], mean.shape[0])
        law = Law(self.law)
        fixed = {Law.EXPONENTIAL: 1.0, Law.DETERMINISTIC: 0.0}.get(law)
        if fixed is not None and (scv != fixed).any():
            raise InputError("scv", scv[scv != fixed][0].item(), f'{fixed:g} for the law "{law.value}", or another law')
        samples = self._checked_samples(law, scv)
        error = np.zeros(()) if self.mean_error is None else np.asarray(self.mean_error, dtype=np.float64)
        object.__setattr__(self, "mean", owned(np.column_stack(columns)))
        object.__setattr__(self, "scv", owned(scv.copy()))
        object.__setattr__(self, "law", law)
        object.__setattr__(self, "mean_error", owned(np.broadcast_to(error, mean.shape).copy()))
        object.__setattr__(self, "samples", samples)

    def _checked_samples(self, law: Law, scv: FloatArray) -> tuple[FloatArray, ...] | None:
        """The samples as read-only arrays; they belong to the empirical law, and their SCV is that of every stage."""
        if self.samples is None:
            if law is Law.EMPIRICAL:
                raise InputError("samples", InputError.MISSING, f'seconds of single inferences, for the law "{law.value}"')
            return None
        if law is not Law.EMPIRICAL:
            raise InputError("samples", f"{len(self.samples)} lists", f'only with the law "{Law.EMPIRICAL.value}"')
        samples = sample_arrays(tuple(self.samples))
        if len(samples) not in (1, len(scv)):
            raise InputError("samples", f"{len(samples)} lists", f"one for all devices, or {len(scv)} (one a row of mean)")
        expected = np.broadcast_to(sample_scv(samples)[:, None], scv.shape)
        wrong = ~np.isclose(scv, expected, rtol=1e-9, atol=1e-12)
        if wrong.any():
            raise InputError("scv", scv[wrong][0].item(), f"{expected[wrong][0]:.10g}, that of the samples")
        return samples

    @classmethod
    def from_law(
        cls,
        law: Law | str,
        mean: FloatLike,
        *,
        scv: FloatLike | None = None,
        later: FloatLike = 1.0,
        aggregate: FloatLike = 1.0,
    ) -> ServiceTime:
        """Service times whose later stages are multiples of the first.

        Parameters
        ----------
        law : Law or str
            ``"exponential"``, ``"deterministic"``, ``"gamma"`` or ``"lognormal"``.
        mean : float or array_like, shape (n,), seconds
            Mean first-layer service time; one number for all devices alike, or one a device.
        scv : float or array_like, shape (n,)
            Squared coefficient of variation, the same in every stage; default 1 (0 for ``"deterministic"``).
        later, aggregate : float or array_like, shape (n,)
            Mean of a later layer and of the aggregation, as multiples of the first layer.

        Raises
        ------
        InputError
            For a law that is not known, values that are not positive, or lengths that differ.
        """
        try:
            law = Law(law)
        except ValueError:
            known = ", ".join(each.value for each in Law if each is not Law.EMPIRICAL)
            raise InputError("law", law, f"one of {known}") from None
        if law is Law.EMPIRICAL:
            raise InputError(
                "law", law.value, "given by samples alone: ServiceTime.empirical, or service.samples of a scenario"
            )
        if scv is None:
            scv = 0.0 if law is Law.DETERMINISTIC else 1.0
        n = max(np.size(x) if np.ndim(x) else 1 for x in (mean, scv, later, aggregate))
        first = positive("mean", mean, n)
        return cls(
            mean=np.column_stack(
                [first, first * positive("stages.layer", later, n), first * positive("stages.aggregate", aggregate, n)]
            ),
            scv=np.repeat(non_negative("scv", scv, n)[:, None], len(Stage), axis=1),
            law=law,
        )

    @classmethod
    def exponential(cls, mean: FloatLike, *, later: FloatLike = 1.0, aggregate: FloatLike = 1.0) -> ServiceTime:
        """Exponential service times (SCV 1); see :meth:`from_law`."""
        return cls.from_law(Law.EXPONENTIAL, mean, later=later, aggregate=aggregate)

    @classmethod
    def deterministic(cls, mean: FloatLike, *, later: FloatLike = 1.0, aggregate: FloatLike = 1.0) -> ServiceTime:
        """Service times that never vary (SCV 0); see :meth:`from_law`."""
        return cls.from_law(Law.DETERMINISTIC, mean, later=later, aggregate=aggregate)

    @classmethod
    def gamma(cls, mean: FloatLike, scv: FloatLike, *, later: FloatLike = 1.0, aggregate: FloatLike = 1.0) -> ServiceTime:
        """Gamma service times; see :meth:`from_law`."""
        return cls.from_law(Law.GAMMA, mean, scv=scv, later=later, aggregate=aggregate)

    @classmethod
    def lognormal(cls, mean: FloatLike, scv: FloatLike, *, later: FloatLike = 1.0, aggregate: FloatLike = 1.0) -> ServiceTime:
        """Lognormal service times; see :meth:`from_law`."""
        return cls.from_law(Law.LOGNORMAL, mean, scv=scv, later=later, aggregate=aggregate)

    @classmethod
    def empirical(cls, samples: SampleLike, *, later: FloatLike = 1.0, aggregate: FloatLike = 1.0) -> ServiceTime:
        """Service times drawn from samples, with replacement: the law is the sample, and its moments are exact.

        Parameters
        ----------
        samples : array_like of numbers, or list of n array_like, seconds
            Timed first-layer inferences, of all devices alike or of each device; a matrix has one row a device.
        later, aggregate : float or array_like, shape (n,)
            A later layer and the aggregation, as multiples of the first layer: the samples times that number.

        Raises
        ------
        InputError
            For a device without samples, a sample that is not positive and finite (``samples[2][17]``), or lengths that differ.

        Notes
        -----
        Mean, SCV and third moment divide by the number of samples N. ``mean_error`` is what N independent timings leave open,
        the deviation over ``sqrt(N - 1)``; zero for a single one, which says nothing of its error.

        Examples
        --------
        >>> from dmoa_theory import ServiceTime
        >>> ServiceTime.empirical([[20.0, 30.0, 40.0], [25.0]], later=2.0).mean.tolist()
        [[30.0, 60.0, 30.0], [25.0, 50.0, 25.0]]
        """
        arrays = sample_arrays(samples)
        n = len(arrays) if len(arrays) > 1 else max(np.size(x) if np.ndim(x) else 1 for x in (later, aggregate))
        multiple = np.column_stack([np.ones(n), positive("stages.layer", later, n), positive("stages.aggregate", aggregate, n)])
        first = np.array([times.mean() for times in arrays])
        scv = sample_scv(arrays)
        error = first * np.sqrt(scv / [max(times.size - 1, 1) for times in arrays])
        return cls(
            mean=first[:, None] * multiple,
            scv=np.broadcast_to(scv[:, None], multiple.shape),
            law=Law.EMPIRICAL,
            mean_error=error[:, None] * multiple,
            samples=arrays,
        )

    @property
    def n_devices(self) -> int | None:
        """Number of devices described; None when one row serves all."""
        return None if self.mean.shape[0] == 1 else int(self.mean.shape[0])

    @property
    def grows_with_k(self) -> bool:
        """Whether later stages take longer for larger k; never, for times given in numbers."""
        return False

    def for_k(self, k: int) -> ServiceTime:
        """The service times when every proposer group has ``k + 1`` members: these themselves."""
        return self

    def stage_means(self, k: int) -> StageMeans:
        """Mean service time of every device and stage, with the covariance of its errors; see :class:`StageMeans`."""
        assert self.mean_error is not None
        return StageMeans.with_own_errors(self.mean, self.mean_error)

    def warnings(self, k: int) -> tuple[str, ...]:
        """What to be wary of: nothing, for times given in numbers."""
        return ()

    def second_moment(self) -> FloatArray:
        """E[S^2] of each device and stage, s^2; shape as ``mean``."""
        return self.mean**2 * (1 + self.scv)

    def third_moment(self) -> FloatArray:
        """E[S^3] of each device and stage, s^3; shape as ``mean``.

        Gamma laws (exponential and deterministic among them): ``mean^3 (1 + c2) (1 + 2 c2)``; lognormal:
        ``mean^3 (1 + c2)^3``, with ``c2`` the SCV; empirical: that of the samples, scaled to the mean.
        """
        if self.samples is not None:
            return self.mean**3 * relative_moment(self.samples, 3)[:, None]
        factor = (1 + self.scv) ** 3 if self.law is Law.LOGNORMAL else (1 + self.scv) * (1 + 2 * self.scv)
        return self.mean**3 * factor

    def at_upper_limit(self, standard_errors: float) -> ServiceTime:
        """The same laws with every mean raised by that many of its standard errors; samples keep the shape of theirs."""
        assert self.mean_error is not None
        raised = self.mean + standard_errors * self.mean_error
        return ServiceTime(mean=raised, scv=self.scv, law=self.law, samples=self.samples)

    def __repr__(self) -> str:
        """Law, range of means, range of SCVs."""
        low, high = self.mean.min(), self.mean.max()
        span = f"{low:.4g} s" if low == high else f"{low:.4g} to {high:.4g} s"
        spread = (
            f"{self.scv.min():.3g}" if self.scv.min() == self.scv.max() else f"{self.scv.min():.3g} to {self.scv.max():.3g}"
        )
        law = self.law.value
        if self.samples is not None:
            count = sum(times.size for times in self.samples)
            law += f" ({count} sample{'s' * (count > 1)})"
        return f"<ServiceTime: {law}, mean {span}, SCV {spread}>"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredServiceTime:
    """Service times that follow from measured profiles and token lengths.

    The profile gives ``T(p, o) = c0 + c1 p + c2 p^2 + s (d0 + d1 (p + s/2))`` with ``s = o - 1`` decode steps; the token
    lengths give the joint moments of ``p`` (tokens read) and ``o`` (tokens written) in each stage. Mean and SCV are exact
    for gamma-distributed lengths and for lists of lengths; the law is then matched by its first two moments.

    Parameters
    ----------
    profiles : tuple of Profile
        One for all devices, or one a device.
    tokens : tuple of TokenLengths
        One for all devices, or one a device.
    law : Law
        Family that is matched to mean and SCV; not the empirical one.
    """

    profiles: tuple[Profile, ...]
    tokens: tuple[TokenLengths, ...]
    law: Law = Law.GAMMA

    def __post_init__(self) -> None:
        """Refuse the law that profiles cannot give."""
        if self.law == Law.EMPIRICAL:
            raise InputError("law", Law.EMPIRICAL.value, "gamma or lognormal: a profile holds no samples to draw from")

    @property
    def n_devices(self) -> int | None:
        """Number of devices described; None when one profile and one workload serve all."""
        longest = max(len(self.profiles), len(self.tokens))
        return None if longest == 1 else longest

    @property
    def grows_with_k(self) -> bool:
        """Whether later stages take longer for larger k: they do."""
        return True

    def states(self, name: str) -> bool:
        """Whether every profile holds that fact, such as ``"weight_bytes"``; imported ones may not."""
        return all(getattr(profile, name) is not None for profile in self.profiles)

    def for_k(self, k: int) -> ServiceTime:
        """The service times when every proposer group has ``k + 1`` members."""
        rows = max(len(self.profiles), len(self.tokens))
        moments = np.empty((rows, len(Stage), 3))
        for i in range(rows):
            fit = self.profiles[i % len(self.profiles)].fit
            lengths = self.tokens[i % len(self.tokens)]
            for stage in Stage:
                moments[i, stage] = _moments(fit, lengths, later=stage is not Stage.FIRST, k=k)
        mean, variance, error = np.moveaxis(moments, -1, 0)
        return ServiceTime(mean=mean, scv=np.maximum(variance, 0.0) / mean**2, law=self.law, mean_error=error)

    def stage_means(self, k: int) -> StageMeans:
        """Mean service time of every device and stage, with the covariance that the fits leave; see :class:`StageMeans`."""
        mean = self.for_k(k).mean
        lengths = [self.tokens[u % len(self.tokens)] for u in range(len(mean))]
        by = np.array([[_mean_sensitivity(each, later=stage is not Stage.FIRST, k=k) for stage in Stage] for each in lengths])
        return StageMeans.of_profiles(mean, by, [self.profiles[u % len(self.profiles)] for u in range(len(mean))])

    def warnings(self, k: int) -> tuple[str, ...]:
        """What to be wary of, one sentence each: lengths beyond those measured, and a machine that was busy."""
        found: dict[str, None] = {}
        for i in range(max(len(self.profiles), len(self.tokens))):
            profile, lengths = self.profiles[i % len(self.profiles)], self.tokens[i % len(self.tokens)]
            for stage, later in (("first-layer", False), ("later", True)):
                found |= _beyond(
                    f"{stage} prompts", float(lengths.read(later=later, k=k)[0]), profile.fit.p_range, profile.name
                )
            found |= _beyond("answers", lengths.output.mean, profile.fit.o_range, profile.name)
            if profile.contended:
                hold = "hold for a core of its own" if profile.fit.clock == "cpu" else "may be too long"
                found[f"the machine was busy when {profile.name} was measured: the times {hold}"] = None
        return tuple(found)

    def __repr__(self) -> str:
        """Which profiles and which lengths."""
        names = " and ".join(dict.fromkeys(profile.name for profile in self.profiles))
        return f"<MeasuredServiceTime: {names}; token lengths: {self.tokens[0].source}>"


def _beyond(what: str, tokens: float, measured: tuple[float, float], name: str) -> dict[str, None]:
    """A warning, if a mean length lies outside the lengths that were measured."""
    low, high = measured
    if low <= tokens <= high:
        return {}
    return {f"{what} of {tokens:.0f} tokens lie outside the {low:g} to {high:g} that {name} was measured with": None}


def _raw_moments(cumulants: FloatArray) -> FloatArray:
    """Moments of order 0 to 4 about zero, from the first four cumulants; shape (5,)."""
    k1, k2, k3, k4 = cumulants
    return np.array(
        [
            1.0,
            k1,
            k2 + k1**2,
            k3 + 3 * k2 * k1 + k1**3,
            k4 + 4 * k3 * k1 + 3 * k2**2 + 6 * k2 * k1**2 + k1**4,
        ]
    )


def _mean_sensitivity(lengths: TokenLengths, *, later: bool, k: int) -> FloatArray:
    """Exact: derivatives of a stage's mean by c0, c1, c2, d0, d1, which it is linear in; shape (5,)."""
    read, steps = _raw_moments(lengths.read(later=later, k=k)), _raw_moments(lengths.decode_steps())
    return np.array([1.0, read[1], read[2], steps[1], read[1] * steps[1] + steps[2] / 2])


def _moments(fit: ServiceFit, lengths: TokenLengths, *, later: bool, k: int) -> tuple[float, float, float]:
    """Mean, variance and standard error of the mean of one inference, in s, s^2 and s."""
    read, steps = _raw_moments(lengths.read(later=later, k=k)), _raw_moments(lengths.decode_steps())
    # T is a polynomial in tokens read (rows) and decode steps (columns), which are independent.
    polynomial = np.array([[fit.c0, fit.d0, fit.d1 / 2], [fit.c1, fit.d1, 0.0], [fit.c2, 0.0, 0.0]])
    mean = float(read[:3] @ polynomial @ steps[:3])
    squared = np.zeros((5, 5))
    for i, j in np.argwhere(polynomial):
        squared[i : i + 3, j : j + 3] += polynomial[i, j] * polynomial
    variance = float(read @ squared @ steps) - mean**2
    sensitivity = _mean_sensitivity(lengths, later=later, k=k)
    return mean, variance, float(np.sqrt(max(float(sensitivity @ fit.cov @ sensitivity), 0.0)))
