"""The simulator against exact results of queueing theory, fixed seeds, everything within 4 standard errors.

Where a system is random in nothing but its arrivals, or its queues are empty, figures agree to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq
from scipy.special import stdtrit
from scipy.stats import poisson

from dmoa_theory import MoA, Network, ServiceTime, System
from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.simulation.steady.simulate import simulate
from dmoa_theory.simulation.steady.simulation_result import LEVELS, SimulationResult

QUERIES = 1_000_000
#: Shares of time below this are not compared: a batch sees too few visits for their scatter to be normal.
RAREST = 1e-3

Transform = Callable[[npt.NDArray[np.complex128]], npt.NDArray[np.complex128]]
Checks = Iterator[tuple[str, Interval, npt.ArrayLike]]


def deviations(result: SimulationResult, checks: Checks) -> dict[str, np.ndarray]:
    """(found - exact) / standard error of every figure; the intervals are those of Student's t over the batches."""
    quantile = stdtrit(result.batches - 1, 0.975)
    found = {}
    for name, interval, exact in checks:
        error = interval.half_width / quantile
        assert np.isfinite(error).all(), f"{name}: no interval"
        assert (error > 0).all(), f"{name}: no scatter"
        found[name] = np.atleast_1d((interval.value - exact) / error)
    return found


def assert_within_four(found: dict[str, np.ndarray]) -> None:
    """Nothing is more than 4 standard errors off."""
    off = {name: np.round(values, 1).tolist() for name, values in found.items() if (np.abs(values) > 4).any()}
    assert not off


def part(interval: Interval, at: object) -> Interval:
    """Some of the estimates of an interval."""
    return Interval(**{name: getattr(interval, name)[at] for name in ("value", "half_width", "lower", "upper")})


# -- one queue: M/G/1 -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Queue:
    """M/G/1, FCFS: all that is exact about it.

    Wait: mean ``lambda E[S^2] / (2 (1 - rho))`` (Pollaczek, Khinchine), second moment
    ``2 E[W]^2 + lambda E[S^3] / (3 (1 - rho))`` (Takacs, 1962). The number in system has the generating function
    ``(1 - rho) (1 - z) b(lambda (1 - z)) / (b(lambda (1 - z)) - z)`` with ``b`` the transform of the service time; the
    sojourn time the transform ``(1 - rho) s b(s) / (s - lambda + lambda b(s))`` (Kleinrock, Queueing Systems I, 5.7).
    """

    rate: float
    service: ServiceTime
    transform: Transform
    #: Whether the sojourn time has a smooth density, so that its transform can be inverted.
    smooth: bool = False

    @property
    def load(self) -> float:
        return self.rate * float(self.service.mean[0, 0])

    @property
    def wait(self) -> float:
        return self.rate * float(self.service.second_moment()[0, 0]) / (2 * (1 - self.load))

    @property
    def sojourn_variance(self) -> float:
        second, third = float(self.service.second_moment()[0, 0]), float(self.service.third_moment()[0, 0])
        wait_squared = 2 * self.wait**2 + self.rate * third / (3 * (1 - self.load))
        return wait_squared - self.wait**2 + second - float(self.service.mean[0, 0]) ** 2

    def shares(self) -> np.ndarray:
        """P(N = m) for every m of more than rare chance, from values of the generating function on the unit circle."""
        z = np.exp(2j * np.pi * np.arange(1, 4096) / 4096)
        b = self.transform(self.rate * (1 - z))
        values = np.concatenate(([1.0], (1 - self.load) * (1 - z) * b / (b - z)))
        share = np.fft.fft(values).real / 4096
        return share[: int(np.flatnonzero(share > RAREST)[-1]) + 1]

    def sojourn_below(self, t: float) -> float:
        """P(T <= t), by the Euler algorithm of Abate and Whitt (1995), ORSA Journal on Computing 7(1)."""
        terms, averaged, a = 60, 14, 20.0
        s = (a + 2j * np.pi * np.arange(terms + averaged + 1)) / (2 * t)
        b = self.transform(s)
        values = ((1 - self.load) * b / (s - self.rate + self.rate * b)).real * (-1.0) ** np.arange(s.size)
        values[0] /= 2
        sums = np.exp(a / 2) / t * np.cumsum(values)
        weights = np.array([comb(averaged, i) for i in range(averaged + 1)]) / 2**averaged
        return float(weights @ sums[terms:])

    def sojourn_quantile(self, level: float) -> float:
        mean = self.wait + float(self.service.mean[0, 0])
        return float(brentq(lambda t: self.sojourn_below(t) - level, mean / 100, mean + 6 * np.sqrt(self.sojourn_variance)))


@dataclass(frozen=True)
class DeterministicQueue(Queue):
    """M/D/1 with service time 1, whose waiting time Erlang (1909) found in closed form."""

    def sojourn_below(self, t: float) -> float:
        """``P(W <= x) = (1 - rho) sum_j (-rho (x - j))^j / j! e^(rho (x - j))``, j up to x: few terms, mild cancellation."""
        x = t - 1
        j = np.arange(int(x) + 1 if x >= 0 else 0)
        # poisson.pmf(j, y) = y^j e^-y / j!
        y = self.load * (x - j)
        return float((1 - self.load) * ((-1.0) ** j * poisson.pmf(j, y) * np.exp(2 * y)).sum())


def gamma_transform(mean: float, scv: float) -> Transform:
    return lambda s: (1 + scv * mean * s) ** (-1 / scv) if scv else np.exp(-mean * s)


def exponential(rate: float) -> Queue:
    return Queue(rate, ServiceTime.exponential(1.0), gamma_transform(1.0, 1.0), smooth=True)


def gamma(rate: float, scv: float) -> Queue:
    return Queue(rate, ServiceTime.gamma(1.0, scv), gamma_transform(1.0, scv), smooth=True)


def lognormal(rate: float, scv: float) -> Queue:
    """The transform by the trapezoidal rule over the normal variate, exact to rounding."""
    x = np.linspace(-9, 9, 1801)
    weight = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    times = np.exp(np.sqrt(np.log1p(scv)) * x - np.log1p(scv) / 2)
    return Queue(rate, ServiceTime.lognormal(1.0, scv), lambda s: np.exp(-np.multiply.outer(s, times)) @ weight)


def empirical(rate: float, samples: list[float]) -> Queue:
    times = np.array(samples)
    return Queue(rate, ServiceTime.empirical(samples), lambda s: np.exp(-np.multiply.outer(s, times)).mean(axis=-1))


QUEUES = {
    "M/M/1 at 0.3": exponential(0.3),
    "M/M/1 at 0.7": exponential(0.7),
    "M/M/1 at 0.9": exponential(0.9),
    "M/D/1 at 0.6": DeterministicQueue(0.6, ServiceTime.deterministic(1.0), gamma_transform(1.0, 0.0), smooth=True),
    "M/D/1 at 0.8": DeterministicQueue(0.8, ServiceTime.deterministic(1.0), gamma_transform(1.0, 0.0), smooth=True),
    "gamma, SCV 0.25": gamma(0.7, 0.25),
    "gamma, SCV 0.7": gamma(0.7, 0.7),
    "gamma, SCV 2": gamma(0.7, 2.0),
    "lognormal, SCV 2": lognormal(0.6, 2.0),
    "empirical": empirical(0.4, [0.5, 1.0, 1.0, 2.0, 4.0]),
}
every_queue = pytest.mark.parametrize("name", QUEUES)


@cache
def queue_deviations(name: str) -> dict[str, np.ndarray]:
    queue = QUEUES[name]
    system = System(network=Network.from_adjacency([[0]]), arrival_rate=queue.rate, service=queue.service, moa=MoA(0, 0))
    result = simulate(system, queries=2 * QUERIES, seed=2)
    assert result.stable
    assert result.settled
    assert result.balance < 1e-9
    return deviations(result, queue_checks(queue, result))


def queue_checks(queue: Queue, result: SimulationResult) -> Checks:
    service, load = float(queue.service.mean[0, 0]), queue.load
    sojourn = queue.wait + service
    yield "mean", result.mean, sojourn
    yield "mean of user", result.user_mean, [sojourn]
    yield "variance", result.variance, queue.sojourn_variance
    yield "variance of user", result.user_variance, [queue.sojourn_variance]
    yield "variance of stage", part(result.stage_variance, 0), queue.sojourn_variance
    yield "wait", part(result.stage_wait, 0), queue.wait
    yield "wait at device", result.wait_mean, [queue.wait]
    yield "sojourn", part(result.stage_sojourn, 0), sojourn
    yield "duration of stage", part(result.stage_mean, 0), sojourn
    yield "utilisation", result.utilisation, [load]
    yield "waiting", result.waiting_mean, [queue.rate * queue.wait]
    yield "in system", result.jobs_mean, [queue.rate * sojourn]
    yield "in flight", result.in_flight, queue.rate * sojourn
    yield "throughput", result.throughput, queue.rate
    yield "job rate", result.job_rate, [queue.rate]
    shares = queue.shares()
    yield "P(N = m)", part(result.job_shares, (0, slice(shares.size))), shares
    if queue.smooth:
        for name, level in LEVELS.items():
            exact = queue.sojourn_quantile(level)
            yield name, getattr(result, name), exact
            yield f"{name} of user", getattr(result, f"user_{name}"), [exact]
            yield f"{name} of stage", part(getattr(result, f"stage_{name}"), 0), exact


def test_the_exact_figures_agree_with_one_another() -> None:
    """M/M/1: geometric numbers, exponential sojourn times; M/D/1: P(N = 0), P(N = 1) and Little's law; all sum to one."""
    queue = QUEUES["M/M/1 at 0.7"]
    shares = queue.shares()
    np.testing.assert_allclose(shares, 0.3 * 0.7 ** np.arange(shares.size), rtol=1e-9)
    assert queue.sojourn_quantile(0.95) == pytest.approx(np.log(20) / 0.3, rel=1e-6)
    assert queue.sojourn_variance == pytest.approx(1 / 0.09, rel=1e-12)
    unit = QUEUES["M/D/1 at 0.8"]
    np.testing.assert_allclose(unit.shares()[:2], [0.2, 0.2 * np.expm1(0.8)], rtol=1e-9)
    np.testing.assert_allclose([queue.shares().sum(), unit.shares().sum()], 1, atol=0.02)
    beyond = np.linspace(1, 25, 20_000)
    mean = 1 + np.trapezoid([1 - unit.sojourn_below(t) for t in beyond], beyond)
    assert mean == pytest.approx(unit.wait + 1, rel=1e-4)


@every_queue
def test_one_queue(name: str) -> None:
    """Latency and its variance, percentiles, waits, numbers, utilisation and the distribution of the number in system."""
    assert_within_four(queue_deviations(name))


def test_most_intervals_hold_the_truth() -> None:
    """Nine in ten or more of all figures of all queues, whose 95 % intervals are correlated within a queue."""
    inside = np.concatenate([np.abs(values) for name in QUEUES for values in queue_deviations(name).values()]) < stdtrit(
        31, 0.975
    )
    assert inside.size > 300
    assert inside.mean() > 0.9


def test_lone_devices_of_unequal_speed_and_load() -> None:
    """M = 0: every device is an M/M/1 queue of its own; overall percentiles are those of the mixture of exponentials."""
    rate, service = np.array([0.1, 0.5, 0.0, 2.0]), np.array([5.0, 0.6, 1.0, 0.45])
    result = simulate(System.from_arrays(np.zeros((4, 4)), rate, service, M=0, k=0, law="exponential"), queries=QUERIES, seed=2)
    used, load = rate > 0, rate * service
    sojourn = service / (1 - load)
    share = rate / rate.sum()

    def checks() -> Checks:
        yield "mean", result.mean, share @ sojourn
        yield "variance", result.variance, 2 * share @ sojourn**2 - (share @ sojourn) ** 2
        for name, level in LEVELS.items():
            exact = brentq(lambda t, level=level: share @ np.exp(-t / sojourn) - (1 - level), 1e-3, 1e3)
            yield name, getattr(result, name), exact
            yield f"{name} of users", part(getattr(result, f"user_{name}"), used), -np.log(1 - level) * sojourn[used]
        yield "means of users", part(result.user_mean, used), sojourn[used]
        yield "waits", part(result.wait_mean, used), (sojourn - service)[used]
        yield "utilisation", part(result.utilisation, used), load[used]
        yield "in system", part(result.jobs_mean, used), (load / (1 - load))[used]
        yield "waiting", part(result.waiting_mean, used), (load**2 / (1 - load))[used]
        yield "job rate", part(result.job_rate, used), rate[used]
        yield "in flight", result.in_flight, (load / (1 - load)).sum()
        yield "throughput", result.throughput, rate.sum()

    assert_within_four(deviations(result, checks()))
    assert np.isnan(result.user_mean.value[2])
    assert result.jobs_mean.value[2] == result.largest[2] == 0


# -- several stages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("M", [1, 2, 5])
def test_layers_at_home_are_a_queue_with_feedback(M: int) -> None:
    """k = 0, exponential service alike in all stages: a FCFS queue whose jobs come back M times has product form.

    The number in system is geometric with ``rho = (M + 1) lambda alpha``, and a job that comes, or comes back, finds the
    queue as it is at any time, less itself (Baskett, Chandy, Muntz and Palacios, 1975; Sevcik and Mitrani, 1981); so every
    stage lasts ``alpha / (1 - rho)`` on average.
    """
    alpha, load = 2.0, 0.75
    rate = load / alpha / (M + 1)
    result = simulate(System.from_arrays([[0]], rate, alpha, M=M, k=0, law="exponential"), queries=QUERIES, seed=3)
    stage = alpha / (1 - load)
    seen = [0, 2] if M == 1 else [0, 1, 2]

    def checks() -> Checks:
        yield "mean", result.mean, (M + 1) * stage
        yield "stages", part(result.stage_mean, seen), stage
        yield "sojourns", part(result.stage_sojourn, seen), stage
        yield "waits", part(result.stage_wait, seen), stage - alpha
        yield "in flight", result.in_flight, load / (1 - load)
        yield "in system", result.jobs_mean, load / (1 - load)
        yield "waiting", result.waiting_mean, load**2 / (1 - load)
        yield "utilisation", result.utilisation, load
        yield "job rate", result.job_rate, (M + 1) * rate
        exact = (1 - load) * load ** np.arange(18)
        yield "P(N = m)", part(result.job_shares, (0, slice(18))), exact

    assert_within_four(deviations(result, checks()))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.85])
@pytest.mark.parametrize("users", [1, 2])
def test_two_servers_fork_and_join(load: float, users: int) -> None:
    """First layer of M = 1, k = 1 on two devices with aggregations that take next to no time: fork-join of two queues.

    Every prompt, whoever's, forks to both exponential servers, and the aggregation adds no work; so the first layer lasts
    ``(12 - rho) / 8 / (mu - lambda)`` on average (Flatto and Hahn, 1984, SIAM J. Appl. Math. 44(5); in this form Nelson and
    Tantawi, 1988, IEEE Trans. Computers 37(6)). Each server by itself is M/M/1, which says what a first-layer job waits.
    """
    rate = [load, 0.0] if users == 1 else [load / 3, 2 * load / 3]
    system = System(
        network=Network.from_adjacency([[0, 1], [1, 0]]),
        arrival_rate=rate,
        service=ServiceTime.exponential(1.0, aggregate=1e-9),
        moa=MoA(1, 1),
    )
    result = simulate(system, queries=QUERIES, seed=4)

    def checks() -> Checks:
        yield "layer", part(result.stage_mean, 0), (12 - load) / 8 / (1 - load)
        yield "by user", part(result.user_stage_mean, (slice(users), 0)), (12 - load) / 8 / (1 - load)
        yield "job", part(result.stage_sojourn, 0), 1 / (1 - load)
        yield "utilisation", result.utilisation, load
        if users == 1:  # the other server never sees an aggregation, so that its number in system counts too
            yield "in system", part(result.jobs_mean, 1), load / (1 - load)

    assert_within_four(deviations(result, checks()))


HELPERS = {"plain": {}, "delays": {"delay": 3.0}, "quorum": {"quorum": 1}, "weights": {"weighted": True}}
HELPERS["all of them"] = HELPERS["delays"] | HELPERS["quorum"] | HELPERS["weights"]


@pytest.mark.parametrize("scv", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("name", HELPERS)
def test_devices_that_only_help_with_one_layer(name: str, scv: float) -> None:
    """M = 1: three users choose two of four helpers without prompts of their own; every helper is an M/G/1 queue.

    The prompts of a user that choose a helper are a Poisson process thinned by independent coins; later by a constant delay
    it is still Poisson, and so is the sum over the users, which are independent. What users do with the answers has no way
    back to the helpers.
    """
    options = HELPERS[name]
    rng = np.random.default_rng(5)
    source, target = np.repeat([0, 1, 2], 4), np.tile([3, 4, 5, 6], 3)
    rate = np.array([0.2, 0.5, 0.3, 0, 0, 0, 0])
    system = System(
        network=Network.from_links(7, source, target, link_delay=rng.uniform(0, options.get("delay", 0.0), 12)),
        arrival_rate=rate,
        service=ServiceTime.gamma([0.5, 0.5, 0.5, 1.6, 1.2, 0.9, 0.6], scv),
        moa=MoA(1, 2, options.get("quorum"), rng.uniform(0.3, 3, 12) if "weighted" in options else None),
    )
    result = simulate(system, queries=QUERIES, seed=6)
    arrivals = np.bincount(target, rate[source] * system.inclusion(), 7)[3:]
    queues = [
        Queue(lam, ServiceTime.gamma(mean, scv), gamma_transform(mean, scv))
        for lam, mean in zip(arrivals, system.service.mean[3:, 0], strict=True)
    ]
    helpers = slice(3, 7)

    def checks() -> Checks:
        yield "job rate", part(result.job_rate, helpers), arrivals
        yield "utilisation", part(result.utilisation, helpers), [queue.load for queue in queues]
        yield "wait", part(result.wait_mean, helpers), [queue.wait for queue in queues]
        yield "waiting", part(result.waiting_mean, helpers), [queue.rate * queue.wait for queue in queues]
        yield "in system", part(result.jobs_mean, helpers), [queue.rate * queue.wait + queue.load for queue in queues]
        for place, queue in enumerate(queues, start=3):
            shares = queue.shares()
            yield f"P(N = m) at {place}", part(result.job_shares, (place, slice(shares.size))), shares

    assert_within_four(deviations(result, checks()))


@pytest.mark.parametrize(("links", "k"), [("complete", 2), ("directed ring", 1)], ids=["complete graph", "directed ring"])
def test_first_layers_find_poisson_queues(links: str, k: int) -> None:
    """M = 1 with aggregations that take next to no time: first-layer jobs wait as in M/M/1 at ``rho = (k + 1) lambda alpha``.

    Only first-layer jobs bring work, and they come to every device as the sum of independent thinned Poisson processes.
    """
    n, load = 5, 0.8
    adjacency = 1 - np.eye(n) if links == "complete" else np.roll(np.eye(n), 1, axis=1)
    system = System(
        network=Network.from_adjacency(adjacency),
        arrival_rate=load / (k + 1),
        service=ServiceTime.exponential(1.0, aggregate=1e-9),
        moa=MoA(1, k),
    )
    result = simulate(system, queries=QUERIES, seed=7)

    def checks() -> Checks:
        yield "wait", part(result.stage_wait, 0), load / (1 - load)
        yield "utilisation", result.utilisation, load

    assert_within_four(deviations(result, checks()))


@pytest.mark.parametrize(("n", "M", "k"), [(1, 0, 0), (4, 2, 2), (4, 3, 3)])
def test_first_layers_see_time_averages(n: int, M: int, k: int) -> None:
    """PASTA: first-layer jobs wait for what a device has to do on average over time, in any system.

    The work to do falls at rate one between arrivals, so its integral is a sum over the gaps between jobs. In M/M/1 it is
    ``rho / (mu - lambda)``. The error is that of the difference, from 50 stretches of the run.
    """
    load, stretches = 0.7, 50
    per_query = (k + 1) * M + 1
    system = System.from_arrays(1 - np.eye(n), load / per_query, 1.0, M=M, k=k, law="exponential")
    run = record_run(system, queries=2_000_000 // per_query, seed=8)
    trace = run.trace
    first_job = np.zeros(trace.n_stages, dtype=bool)
    first_job[trace.stage_start[:-1]] = True
    is_first = first_job[trace.job_stage]
    edges = np.linspace(0, trace.arrival[-1], stretches + 1)
    work, time = np.zeros(stretches), np.zeros(stretches)
    for d in range(n):
        mine = trace.device == d
        order = np.argsort(run.reached[mine], kind="stable")
        reached, left = run.reached[mine][order], (run.end - run.reached)[mine][order]
        gap = np.diff(reached)
        integral = (left[:-1] ** 2 - np.maximum(left[:-1] - gap, 0) ** 2) / 2
        stretch = np.searchsorted(edges, reached[:-1], side="right") - 1
        inside = stretch < stretches
        work += np.bincount(stretch[inside], integral[inside], stretches)
        time += np.bincount(stretch[inside], gap[inside], stretches)
    waits, stretch = (run.start - run.reached)[is_first], np.searchsorted(edges, run.reached[is_first], side="right") - 1
    inside = stretch < stretches
    number = np.bincount(stretch[inside], minlength=stretches)
    waited = np.bincount(stretch[inside], waits[inside], stretches)
    difference = work / time - waited / number
    assert abs(difference.mean()) < 4 * difference.std(ddof=1) / np.sqrt(stretches)
    assert difference.std(ddof=1) / np.sqrt(stretches) < 0.01 * work.sum() / time.sum()  # the comparison says something
    if M == 0:
        each = work / time
        assert each.mean() == pytest.approx(load / (1 - load), abs=4 * each.std(ddof=1) / np.sqrt(stretches))


def test_helpers_that_serve_one_user_cost_nothing_when_nothing_is_random() -> None:
    """Equal constant service, one user: a helper gets the user's jobs at the same moments but for the aggregations.

    So its queue is never the longer one, and latencies with k = n - 1 equal those with k = 0, to the last bit.
    """
    rate = [0.3, 0.0, 0.0, 0.0]
    alone, helped = (
        record_run(System.from_arrays(1 - np.eye(4), rate, 1.0, M=2, k=k, law="deterministic"), queries=20_000, seed=9)
        for k in (0, 3)
    )
    np.testing.assert_array_equal(alone.latency, helped.latency)
    assert alone.latency.max() > 10


# -- empty queues -----------------------------------------------------------------------------------------------------

RARELY = 1e-7  # prompts/s: one in a million meets another


@pytest.mark.parametrize(("M", "k", "quorum"), [(1, 1, 1), (1, 3, 2), (1, 3, 3), (1, 3, 4), (2, 3, 4), (3, 2, 3)])
def test_empty_queues_take_order_statistics(M: int, k: int, quorum: int) -> None:
    """The r-th of k + 1 unit exponentials takes ``sum_i 1 / (k + 1 - i)``, i below r.

    With a quorum the own job may still run when the aggregation comes, by chance of ``1 - r / (k + 1)``, and then for a unit
    more: it has no memory.
    """
    system = System(
        network=Network.from_adjacency(1 - np.eye(4)),
        arrival_rate=RARELY,
        service=ServiceTime.exponential(1.0),
        moa=MoA(M, k, quorum),
    )
    result = simulate(system, queries=200_000, seed=10)
    layer = sum(1 / (k + 1 - i) for i in range(quorum))
    seen = [0] if M == 1 else [0, 1]

    def checks() -> Checks:
        yield "layers", part(result.stage_mean, seen), layer
        yield "aggregation", part(result.stage_mean, 2), 2 - quorum / (k + 1)
        yield "mean", result.mean, M * layer + 2 - quorum / (k + 1)

    assert_within_four(deviations(result, checks()))


def test_empty_queues_and_links_that_take_time() -> None:
    """Exponential service, round trips c: ``E max(X, c + Y) = c + 1 + exp(-c) / 2``, layer by layer and user by user.

    Opposite links are unequal, and two ways: there by the link's own delay, back by that of the opposite link.
    """
    there, back = 0.4, 1.1
    system = System(
        network=Network.from_links(2, [0, 1], [1, 0], link_delay=[there, back]),
        arrival_rate=[RARELY, 2 * RARELY],
        service=ServiceTime.exponential(1.0),
        moa=MoA(2, 1),
    )
    result = simulate(system, queries=200_000, seed=11)
    layer = there + back + 1 + np.exp(-there - back) / 2

    def checks() -> Checks:
        yield "mean", result.mean, 2 * layer + 1
        yield "users", result.user_mean, 2 * layer + 1
        yield "layers", part(result.stage_mean, [0, 1]), layer

    assert_within_four(deviations(result, checks()))


@pytest.mark.parametrize("quorum", [1, 2, 3, 4])
def test_constant_service_on_empty_queues_takes_a_known_time(quorum: int) -> None:
    """Service s at home, s_j at the others, ways d_j there and back: the r-th of s and s_j + 2 d_j, then the aggregation."""
    service, delay = np.array([3.0, 1.0, 2.0, 5.0]), np.array([0.25, 0.75, 0.5])
    system = System(
        network=Network.from_links(4, [0, 0, 0], [1, 2, 3], link_delay=delay),
        arrival_rate=[1e-9, 0, 0, 0],
        service=ServiceTime.deterministic(service, aggregate=2.0),
        moa=MoA(1, 3, quorum),
    )
    result = simulate(system, queries=2_000, seed=12)
    layer = np.sort(np.append(service[0], service[1:] + 2 * delay))[quorum - 1]
    begins = max(layer, service[0])  # the home device finishes its own proposal first
    assert float(result.mean.value) == pytest.approx(begins + 2 * service[0], rel=1e-9)
    np.testing.assert_allclose(result.stage_mean.value[[0, 2]], [layer, begins - layer + 2 * service[0]], rtol=1e-6)
    assert float(result.variance.value) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(result.utilisation.value, 1e-9 * service * [3, 1, 1, 1], rtol=0.15)
