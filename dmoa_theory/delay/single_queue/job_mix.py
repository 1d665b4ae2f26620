"""Service times of the jobs that one device serves: a mixture of its stages' laws, weighted by their job rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError, UnstableSystemError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Law, ServiceTime, Stage
from dmoa_theory.model.service_samples import relative_moment
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import stage_flows

__all__ = ["JobMix", "fourth_moment", "job_mix"]

ComplexArray = npt.NDArray[np.complex128]


def fourth_moment(service: ServiceTime) -> FloatArray:
    """Exact: E[S^4] of each device and stage, s^4; shape as ``service.mean``.

    Gamma laws: ``mean^4 (1 + c2) (1 + 2 c2) (1 + 3 c2)``; lognormal: ``mean^4 (1 + c2)^6``; empirical: that of the samples.

    Examples
    --------
    >>> fourth_moment(ServiceTime.exponential(2.0)).tolist()
    [[384.0, 384.0, 384.0]]
    """
    if service.samples is not None:
        return np.asarray(service.mean**4 * relative_moment(service.samples, 4)[:, None])
    c = service.scv
    factor = (1 + c) ** 6 if service.law is Law.LOGNORMAL else (1 + c) * (1 + 2 * c) * (1 + 3 * c)
    return np.asarray(service.mean**4 * factor)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JobMix:
    """Jobs that reach one device: their rate, and the mixture of laws that their service times follow.

    Parameters
    ----------
    rate : float, jobs/s
    share : ndarray, shape (m,)
        Fraction of the jobs that follow each component; they sum to 1.
    mean : ndarray, shape (m,), seconds
    scv : ndarray, shape (m,)
    law : Law
        Family of every component; where the SCV is 0 it is a constant.
    samples : ndarray, optional
        With the empirical law: draws divided by their mean, the shape that all components share.

    Examples
    --------
    >>> mix = JobMix(rate=0.5, share=np.array([0.5, 0.5]), mean=np.array([1.0, 2.0]), scv=np.zeros(2), law=Law.GAMMA)
    >>> mix.load, mix.survival(np.array([0.5, 1.5, 2.5])).tolist()
    (0.75, [1.0, 0.5, 0.0])
    """

    rate: float
    share: FloatArray
    mean: FloatArray
    scv: FloatArray
    law: Law
    samples: FloatArray | None = None

    @property
    def service_mean(self) -> float:
        """E[S], seconds."""
        return float(self.share @ self.mean)

    @property
    def load(self) -> float:
        """Seconds of work a second."""
        return self.rate * self.service_mean

    @property
    def has_transform(self) -> bool:
        """Whether E[exp(-s S)] has a closed form: for every law but the lognormal."""
        return self.law is not Law.LOGNORMAL or not self.scv.any()

    @property
    def light_tailed(self) -> bool:
        """Whether E[exp(s S)] is finite for some s > 0: for every law but the lognormal, which has no such s."""
        return self.has_transform

    @property
    def abscissa(self) -> float:
        """The s up to which E[exp(s S)] is finite, 1/s: ``min 1 / (mean c2)`` for gamma laws, infinite for bounded ones."""
        if not self.light_tailed:
            return 0.0
        if self.samples is not None or not self.scv.any():
            return float("inf")
        return 1.0 / float((self.mean * self.scv).max())

    def transform(self, s: ComplexArray) -> ComplexArray:
        """Exact: ``E[exp(-s S)]`` at complex s, real part above minus the abscissa; not of lognormal laws."""
        s = np.asarray(s, dtype=np.complex128)
        total = np.zeros(s.shape, dtype=np.complex128)
        for share, mean, scv in zip(self.share, self.mean, self.scv, strict=True):
            if self.samples is not None:
                total += share * np.exp(-np.multiply.outer(s, mean * self.samples)).mean(axis=-1)
            elif scv == 0:
                total += share * np.exp(-s * mean)
            else:
                self._known()
                total += share * np.exp(-np.log1p(s * mean * scv) / scv)
        return total

    def growth(self, s: float) -> tuple[float, float]:
        """Exact: ``(E[exp(s S)] - 1) / s`` and ``E[S exp(s S)]`` at s between 0 and the abscissa."""
        self._known()
        ratio = slope = 0.0
        with np.errstate(over="ignore"):
            for share, mean, scv in zip(self.share.tolist(), self.mean.tolist(), self.scv.tolist(), strict=True):
                if self.samples is not None:
                    times = mean * self.samples
                    ratio += share * float(np.mean(np.expm1(s * times))) / s
                    slope += share * float(np.mean(times * np.exp(s * times)))
                elif scv == 0:
                    ratio += share * float(np.expm1(s * mean)) / s
                    slope += share * mean * float(np.exp(s * mean))
                else:
                    power = -float(np.log1p(-s * mean * scv)) / scv
                    ratio += share * float(np.expm1(power)) / s
                    slope += share * mean * float(np.exp(power * (1 + scv)))
        return ratio, slope

    def survival(self, x: FloatArray) -> FloatArray:
        """Exact: ``P(S > x)``; shape as ``x``."""
        return self._mixed(x, 0)

    def excess(self, x: FloatArray) -> FloatArray:
        """Exact: ``E[(S - x)+]``, seconds; shape as ``x``."""
        return self._mixed(x, 1)

    def _mixed(self, x: FloatArray, order: int) -> FloatArray:
        x = np.maximum(np.asarray(x, dtype=np.float64), 0.0)
        parts = (
            share * _partial(self.law, mean, scv, self.samples, x, order)
            for share, mean, scv in zip(self.share.tolist(), self.mean.tolist(), self.scv.tolist(), strict=True)
        )
        return np.asarray(sum(parts, np.zeros(x.shape)))

    def _known(self) -> None:
        if not self.has_transform:
            raise InputError("law", self.law.value, "a law whose transform is known: all but the lognormal")


def _partial(law: Law, mean: float, scv: float, samples: FloatArray | None, x: FloatArray, order: int) -> FloatArray:
    """``P(S > x)`` (order 0) or ``E[(S - x)+]`` (order 1) of one component."""
    from scipy import special

    if samples is not None:
        above = np.sort(mean * samples)
        first = np.searchsorted(above, x, side="right")
        left = (above.size - first) / above.size
        if order == 0:
            return np.asarray(left)
        upper = np.concatenate((np.cumsum(above[::-1])[::-1], [0.0])) / above.size
        return np.asarray(upper[first] - x * left)
    if scv == 0:
        return np.asarray((x < mean) * 1.0 if order == 0 else np.maximum(mean - x, 0.0))
    if law is Law.LOGNORMAL:
        spread = np.sqrt(np.log1p(scv))
        with np.errstate(divide="ignore"):
            z = (np.log(mean) - np.log(x)) / spread - spread / 2
        beyond = special.ndtr(z)
        return np.asarray(beyond if order == 0 else np.maximum(mean * special.ndtr(z + spread) - x * beyond, 0.0))
    shape, scale = 1 / scv, mean * scv
    beyond = special.gammaincc(shape, x / scale)
    return np.asarray(beyond if order == 0 else np.maximum(mean * special.gammaincc(shape + 1, x / scale) - x * beyond, 0.0))


def job_mix(system: System, device: int, stage: Stage | None = None) -> JobMix:
    """Exact: the jobs that reach one device, of all stages or of one.

    Parameters
    ----------
    system : System
    device : int
    stage : Stage, optional
        Only the jobs of this kind of stage.

    Raises
    ------
    InputError
        When no such job ever reaches the device, or there is no such device.
    UnstableSystemError
        When the device is offered a second of work a second, or more: it has no stationary queue.

    Examples
    --------
    >>> system = System.from_arrays([[0, 1], [1, 0]], [0.01, 0.0], [20.0, 30.0], M=1, k=1)
    >>> job_mix(system, 1).load, job_mix(system, 0).rate, job_mix(system, 0, Stage.AGGREGATE).rate
    (0.3, 0.02, 0.01)
    """
    n = system.n_devices
    if not 0 <= device < n:
        raise InputError("device", device, f"a device, 0 to {n - 1}")
    rates, means, scvs, load = [], [], [], 0.0
    law, samples = Law.GAMMA, None
    for flow in stage_flows(system):
        row = device if flow.service.mean.shape[0] > 1 else 0
        law = flow.service.law
        if flow.service.samples is not None:
            given = flow.service.samples[device % len(flow.service.samples)]
            samples = given / given.mean()
        for s in Stage:
            rate, mean = float(flow.rate[device, s]), float(flow.service.mean[row, s])
            load += rate * mean
            if rate > 0 and stage in (None, s):
                rates.append(rate)
                means.append(mean)
                scvs.append(float(flow.service.scv[row, s]))
    if not rates:
        what = "a device that jobs reach" if stage is None else f"a device that jobs of stage {stage.name.lower()} reach"
        raise InputError("device", system.network.name(device), what)
    if load >= 1:
        raise UnstableSystemError(system.network.name(device), load, 1 / load)
    total = sum(rates)
    return JobMix(rate=total, share=np.array(rates) / total, mean=np.array(means), scv=np.array(scvs), law=law, samples=samples)
