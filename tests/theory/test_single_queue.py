"""One device: closed forms, transforms, bounds and Lindley's recursion for waits, sojourns, tails and busy periods."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.delay.queue import pollaczek_khinchine
from dmoa_theory.delay.single_queue.busy_period import busy_periods
from dmoa_theory.delay.single_queue.closed_form import md1_wait_tail, mm1_wait_tail
from dmoa_theory.delay.single_queue.job_mix import JobMix, job_mix
from dmoa_theory.delay.single_queue.lattice import tail_bracket
from dmoa_theory.delay.single_queue.moments import queue_moments
from dmoa_theory.delay.single_queue.tail import (
    decay,
    lundberg_bound,
    sojourn_tail,
    subexponential_tail,
    wait_quantile,
    wait_tail,
)
from dmoa_theory.errors import InputError, UnstableSystemError
from dmoa_theory.model.service import Law, Stage
from dmoa_theory.stability.loads import work_moments


def alone(load: float, service: ServiceTime) -> System:
    """One device that serves its own prompts."""
    return System(
        network=Network.from_adjacency([[0]]),
        arrival_rate=load / float(service.mean[0, 0]),
        service=service,
        moa=MoA(0, 0),
    )


SERVICES = {
    "exponential": ServiceTime.exponential(2.0),
    "constant": ServiceTime.deterministic(2.0),
    "gamma 0.3": ServiceTime.gamma(2.0, 0.3),
    "gamma 3": ServiceTime.gamma(2.0, 3.0),
    "lognormal": ServiceTime.lognormal(2.0, 2.0),
    "samples": ServiceTime.empirical([1.0, 1.5, 2.0, 3.5]),
}


def mixed(law: str = "gamma") -> System:
    """Two devices whose jobs are of three kinds."""
    service = ServiceTime.from_law(law, [1.0, 2.0], scv=None if law in {"exponential", "deterministic"} else 0.5, later=2.0)
    return System(network=Network.from_adjacency([[0, 1], [1, 0]]), arrival_rate=[0.05, 0.04], service=service, moa=MoA(2, 1))


@pytest.mark.parametrize("name", SERVICES)
def test_mean_and_variance_are_those_of_pollaczek_and_khinchine(name: str) -> None:
    """And the sojourn adds the job's own service, which its wait does not depend on."""
    system = alone(0.6, SERVICES[name])
    found, known = queue_moments(system), pollaczek_khinchine(work_moments(system))
    assert found.wait_mean[0] == pytest.approx(known.mean[0], rel=1e-12)
    assert found.wait_variance[0] == pytest.approx(known.variance[0], rel=1e-12)
    service = SERVICES[name]
    assert found.sojourn_variance[0, 0] == pytest.approx(known.variance[0] + 4.0 * service.scv[0, 0], rel=1e-12)
    assert np.isnan(found.sojourn_mean[0, 1:]).all()


def test_cumulants_of_the_exponential_queue() -> None:
    """M/M/1: the sojourn is exponential of mean m = 1 / (mu - lambda), with cumulants m, m^2 and 2 m^3."""
    found = queue_moments(alone(0.8, SERVICES["exponential"]))
    assert [x[0, 0] for x in (found.sojourn_mean, found.sojourn_variance, found.sojourn_third)] == pytest.approx(
        [10, 100, 2000]
    )


@pytest.mark.parametrize("name", ["gamma 0.3", "lognormal", "samples"])
def test_third_cumulant_of_a_geometric_sum(name: str) -> None:
    """Of the wait as a geometric number of equilibrium service times, which needs the fourth moment of service."""
    system = alone(0.7, SERVICES[name])
    service = SERVICES[name]
    with mpmath.workdps(50):
        c = mpmath.mpf(float(service.scv[0, 0]))
        if name == "samples":
            moments = [mpmath.mpf(sum(x**r for x in (1, 1.5, 2, 3.5))) / 4 for r in range(1, 5)]
        elif name == "lognormal":
            moments = [mpmath.mpf(2) ** r * (1 + c) ** (r * (r - 1) / mpmath.mpf(2)) for r in range(1, 5)]
        else:
            moments = [mpmath.mpf(2) ** r * mpmath.mpf(math.prod(1 + i * float(c) for i in range(r))) for r in range(1, 5)]
        load = mpmath.mpf("0.7")
        # the equilibrium service time has moments E[S^(r+1)] / ((r + 1) E[S]); the wait is a geometric number of them
        e = [moments[r] / ((r + 1) * moments[0]) for r in range(1, 4)]
        geometric = [load / (1 - load), load / (1 - load) ** 2, load * (1 + load) / (1 - load) ** 3]  # cumulants of the number
        v, third = e[1] - e[0] ** 2, e[2] - 3 * e[1] * e[0] + 2 * e[0] ** 3
        expected = geometric[0] * third + 3 * geometric[1] * e[0] * v + geometric[2] * e[0] ** 3
    assert queue_moments(system).wait_third[0] == pytest.approx(float(expected), rel=1e-9)


def test_overloaded_and_idle_devices() -> None:
    """Infinite waits, NaN for stages that never come, and clear words from the functions of one device."""
    system = System.from_arrays([[0, 0], [0, 0]], [2.0, 0.0], 1.0, M=0, k=0)
    found, busy = queue_moments(system), busy_periods(system)
    assert np.isposinf(found.wait_mean[0])
    assert found.wait_mean[1] == 0
    assert np.isposinf(busy.mean[0])
    assert np.isnan(busy.mean[1])
    with pytest.raises(UnstableSystemError, match="device-0"):
        job_mix(system, 0)
    with pytest.raises(InputError, match="a device that jobs reach"):
        job_mix(system, 1)
    with pytest.raises(InputError, match="stage later"):
        job_mix(alone(0.5, SERVICES["gamma 3"]), 0, Stage.LATER)
    with pytest.raises(InputError, match="0 to 0"):
        job_mix(alone(0.5, SERVICES["gamma 3"]), 3)


def test_the_mix_of_a_device_by_hand() -> None:
    """M = 2, k = 1 at both: each device serves layers of both users and its own aggregation; integrals numerically."""
    system = mixed()
    mix = job_mix(system, 1)
    assert mix.rate == pytest.approx(0.09 * 2 + 0.04)
    assert mix.load == pytest.approx(0.09 * 2 + 0.09 * 4 + 0.04 * 2)
    assert mix.load == pytest.approx(work_moments(system).load[1])
    assert job_mix(system, 1, Stage.LATER).mean.tolist() == [4.0]
    t = np.linspace(0, 80, 80_001)
    assert np.trapezoid(mix.survival(t), t) == pytest.approx(mix.service_mean, rel=1e-6)
    np.testing.assert_allclose(mix.excess(np.array([3.0])), np.trapezoid(mix.survival(t[3000:]), t[3000:]), rtol=1e-6)


@pytest.mark.parametrize("name", SERVICES)
def test_excess_is_the_integral_of_survival(name: str) -> None:
    """``E[(S - x)+]`` against a fine sum, for every law."""
    mix = job_mix(alone(0.5, SERVICES[name]), 0)
    t = np.linspace(1.3, 400, 800_001)
    tail = float(np.trapezoid(mix.survival(t), t))
    assert float(mix.excess(np.array([1.3]))[0]) == pytest.approx(tail, rel=3e-4)
    assert float(mix.excess(np.array([0.0]))[0]) == pytest.approx(mix.service_mean, rel=1e-12)


@pytest.mark.parametrize("load", [0.05, 0.5, 0.95])
def test_exponential_tail(load: float) -> None:
    """M/M/1 in closed form, twenty decades down; sojourns are exponential."""
    mix = job_mix(alone(load, SERVICES["exponential"]), 0)
    x = np.array([0.0, 0.1, 2.0, 50.0, 100.0])
    np.testing.assert_allclose(wait_tail(mix, x), mm1_wait_tail(load, 2.0, x), rtol=2e-8)
    np.testing.assert_allclose(sojourn_tail(mix, mix, x), np.exp(-(1 - load) * x / 2), rtol=2e-8)
    rate, constant = decay(mix) or (0, 0)
    assert (rate, constant) == pytest.approx(((1 - load) / 2, load))


@pytest.mark.parametrize("load", [0.1, 0.5, 0.9])
def test_constant_tail(load: float) -> None:
    """M/D/1: Erlang's alternating series with 60 digits, the sum of positive terms, and the inverted transform."""
    x = np.array([0.0, 0.3, 0.999, 1.0, 2.7, 7.4, 15.2])
    exact = []
    with mpmath.workdps(60):
        for at in x.tolist():
            below = sum(
                (-load * (mpmath.mpf(at) - j)) ** j / mpmath.factorial(j) * mpmath.exp(load * (mpmath.mpf(at) - j))
                for j in range(math.floor(at) + 1)
            )
            exact.append(float(1 - (1 - mpmath.mpf(load)) * below))
    np.testing.assert_allclose(md1_wait_tail(load, 1.0, x), exact, atol=1e-13)
    np.testing.assert_allclose(md1_wait_tail(load, 7.0, 7 * x), exact, atol=1e-13)
    mix = job_mix(alone(load, SERVICES["constant"]), 0)
    np.testing.assert_allclose(wait_tail(mix, 2 * x), exact, rtol=1e-5, atol=1e-13)
    halves = JobMix(rate=mix.rate, share=np.full(2, 0.5), mean=np.array([2.0, 2.0 + 1e-9]), scv=np.zeros(2), law=Law.GAMMA)
    smooth = (
        np.abs(x % 1 - 0.5) < 0.3
    )  # away from multiples of the service time the transform of nearly equal constants says the same
    np.testing.assert_allclose(wait_tail(halves, 2 * x[smooth]), np.array(exact)[smooth], rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("load", [0.3, 0.8])
def test_tails_lie_in_their_bracket(name: str, load: float) -> None:
    """Inverted transforms between the bounds that rounding gives for any law, and below Lundberg's."""
    mix = job_mix(alone(load, SERVICES[name]), 0)
    t, lower, upper = tail_bracket(mix, 40.0, steps=800)
    assert (lower <= upper + 1e-15).all()
    assert lower[0] <= load <= upper[0] + 1e-12
    if mix.light_tailed:
        some = np.flatnonzero(lower > 1e-11)[7::41]  # the bounds are sums, so smaller ones have lost their digits
        exact = wait_tail(mix, t[some])
        assert (exact >= lower[some] * (1 - 1e-4)).all()
        assert (exact <= upper[some] * (1 + 1e-4)).all()
        assert (exact <= lundberg_bound(mix, t[some])).all()
        rate, constant = decay(mix) or (0, 0)
        assert rate * mix.growth(rate)[0] * mix.rate == pytest.approx(rate, rel=1e-9)
        assert float(wait_tail(mix, np.array([200.0]))[0]) == pytest.approx(constant * math.exp(-200 * rate), rel=1e-6)
        assert float(wait_tail(mix, np.array([wait_quantile(mix, 0.99)]))[0]) == pytest.approx(0.01, rel=1e-6)
    else:
        assert decay(mix) is None
        assert (lundberg_bound(mix, t) == 1).all()
        with pytest.raises(InputError, match="light-tailed"):
            wait_tail(mix, t)


def test_tails_of_mixtures_integrate_to_their_moments() -> None:
    """Three kinds of stage at one device: the tail's integral is the mean of the wait, and of each stage's sojourn."""
    system = mixed()
    mix, moments = job_mix(system, 1), queue_moments(system)
    node, weight = np.polynomial.legendre.leggauss(40)
    edges = np.concatenate(([0.0], np.geomspace(0.1, 300, 12)))
    half = np.diff(edges)[:, None] / 2
    t, w = (edges[:-1, None] + half * (1 + node)).ravel(), (half * weight).ravel()
    assert wait_tail(mix, t) @ w == pytest.approx(moments.wait_mean[1], rel=1e-5)
    for stage in Stage:
        tail = sojourn_tail(mix, job_mix(system, 1, stage), t)
        assert tail @ w == pytest.approx(moments.sojourn_mean[1, stage], rel=1e-5)
        assert 2 * (tail * t) @ w == pytest.approx(
            moments.sojourn_mean[1, stage] ** 2 + moments.sojourn_variance[1, stage], rel=1e-4
        )


def test_lognormal_tails_are_far_above_their_asymptote_at_first() -> None:
    """The asymptote is approached from above, slowly: ten times too low at 20 services at load 0.6, and nearer further out."""
    mix = job_mix(alone(0.6, ServiceTime.lognormal(1.0, 3.0)), 0)
    t, lower, _ = tail_bracket(mix, 400.0, steps=4000)
    ratio = lower / np.where(t > 0, subexponential_tail(mix, t), 1)
    assert (ratio[200:] > 1).all()
    assert ratio[400] > ratio[2000] > ratio[-1] > 1


@pytest.mark.parametrize(("name", "load"), [("gamma 3", 0.5), ("lognormal", 0.5), ("samples", 0.7), ("constant", 0.8)])
def test_against_lindleys_recursion(name: str, load: float) -> None:
    """A million jobs: three moments of the wait, two tail probabilities and busy periods, to 4 standard errors of batches."""
    service = SERVICES[name]
    rng, size = np.random.default_rng(5), 1_000_000
    scv = float(service.scv[0, 0])
    if name == "samples":
        drawn = rng.choice([1.0, 1.5, 2.0, 3.5], size)
    elif name == "lognormal":
        drawn = rng.lognormal(math.log(2.0) - math.log1p(scv) / 2, math.sqrt(math.log1p(scv)), size)
    else:
        drawn = rng.gamma(1 / scv, 2.0 * scv, size) if scv else np.full(size, 2.0)
    system = alone(load, service)
    walk = np.concatenate(([0.0], np.cumsum(drawn - rng.exponential(float(service.mean[0, 0]) / load, size))))
    wait = (walk - np.minimum.accumulate(walk))[:size]
    found, mix = queue_moments(system), job_mix(system, 0)
    mean, variance, third = found.wait_mean[0], found.wait_variance[0], found.wait_third[0]
    checks = [(wait, mean), ((wait - mean) ** 2, variance), ((wait - mean) ** 3, third)]
    for x in (mean, 4 * mean):
        if mix.light_tailed:
            checks.append(((wait > x) * 1.0, float(wait_tail(mix, np.array([x]))[0])))
        else:
            _, lower, upper = tail_bracket(mix, x, steps=3000)
            checks.append(((wait > x) * 1.0, float(lower[-1] + upper[-1]) / 2))
    for values, expected in checks:
        batches = values.reshape(50, -1).mean(axis=1)
        assert batches.mean() == pytest.approx(expected, abs=4 * batches.std(ddof=1) / 50**0.5)
    starts = np.flatnonzero(wait == 0)
    lengths, counts = np.add.reduceat(drawn, starts)[:-1], np.diff(starts)
    busy = busy_periods(system)
    for sample, expected, spread in (
        (lengths, busy.mean[0], busy.variance[0]),
        (counts.astype(float), busy.jobs_mean[0], busy.jobs_variance[0]),
    ):
        assert sample.mean() == pytest.approx(expected, abs=4 * math.sqrt(spread / sample.size))
        squares = (sample - expected) ** 2
        assert squares.mean() == pytest.approx(spread, abs=5 * squares.std() / math.sqrt(sample.size))
    assert busy.scv[0] == pytest.approx(busy.variance[0] / busy.mean[0] ** 2)
    assert busy.idle_mean[0] == pytest.approx(float(service.mean[0, 0]) / load)


def test_without_a_transform_nothing_is_inverted() -> None:
    """Lognormal laws refuse by name; with SCV 0 they are constants."""
    mix = JobMix(rate=0.2, share=np.ones(1), mean=np.ones(1), scv=np.ones(1), law=Law.LOGNORMAL)
    with pytest.raises(InputError, match="lognormal"):
        mix.transform(np.array([1.0 + 0j]))
    with pytest.raises(InputError, match="lognormal"):
        wait_quantile(mix, 0.95)
    with pytest.raises(InputError, match="level"):
        wait_quantile(mix, 1.0)
    constant = JobMix(rate=0.2, share=np.ones(1), mean=np.ones(1), scv=np.zeros(1), law=Law.LOGNORMAL)
    assert constant.transform(np.array([1.0 + 0j]))[0] == pytest.approx(math.exp(-1))


def test_closed_forms_refuse_overload() -> None:
    """From load one on."""
    for tail in (mm1_wait_tail, md1_wait_tail):
        with pytest.raises(InputError, match="below 1"):
            tail(1.0, 1.0, np.zeros(1))
