"""Service times: moments of each law, and of measured service by quadrature and by simulation."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special, stats

from dmoa_theory import ServiceTime
from dmoa_theory.errors import InputError
from dmoa_theory.model.service import Law, MeasuredServiceTime, Stage
from dmoa_theory.model.service_fit import ServiceFit
from dmoa_theory.model.tokens import TokenCount, TokenLengths


def fit(**changes: object) -> ServiceFit:
    """A fit with every term present."""
    given = {"c0": 0.4, "c1": 3e-3, "c2": 2e-6, "d0": 0.05, "d1": 4e-5, "cov": np.zeros((5, 5))}
    errors = {"median_rel_err": 0.01, "max_rel_err": 0.02, "loo_median_rel_err": 0.02}
    return ServiceFit(**(given | errors | {"p_range": (1, 4000), "o_range": (1, 1000), "clock": "wall"} | changes))


def measured(lengths: TokenLengths, model: ServiceFit | None = None) -> MeasuredServiceTime:
    """Measured service on one kind of device."""
    return MeasuredServiceTime(profiles=(SimpleNamespace(fit=model or fit(), name="box", contended=False),), tokens=(lengths,))


def frozen(law: Law, mean: float, scv: float) -> object:
    """The law in scipy."""
    if law is Law.LOGNORMAL:
        sigma2 = np.log1p(scv)
        return stats.lognorm(np.sqrt(sigma2), scale=mean * np.exp(-sigma2 / 2))
    return stats.gamma(1 / scv, scale=mean * scv)


@pytest.mark.parametrize("law", [Law.GAMMA, Law.LOGNORMAL])
@pytest.mark.parametrize("scv", [0.01, 0.3, 1.0, 2.5])
def test_moments_of_each_law(law: Law, scv: float) -> None:
    """Mean, E[S^2] and E[S^3] in every stage are those of scipy's law with that mean and SCV."""
    service = ServiceTime.from_law(law, [2.0, 7.0], scv=scv, later=1.5, aggregate=0.4)
    for (i, s), mean in np.ndenumerate(service.mean):
        exact = frozen(law, mean, scv)
        assert exact.mean() == pytest.approx(mean, rel=1e-12)
        assert service.second_moment()[i, s] == pytest.approx(exact.moment(2), rel=1e-10)
        assert service.third_moment()[i, s] == pytest.approx(exact.moment(3), rel=1e-10)


def test_exponential_and_constant_service() -> None:
    """E[S^r] = r! m^r and m^r; both are members of the gamma family."""
    exponential, constant = ServiceTime.exponential(3.0), ServiceTime.deterministic(3.0)
    np.testing.assert_allclose((exponential.second_moment(), exponential.third_moment()), [[[18.0] * 3], [[162.0] * 3]])
    np.testing.assert_allclose((constant.second_moment(), constant.third_moment()), [[[9.0] * 3], [[27.0] * 3]])
    np.testing.assert_allclose(ServiceTime.gamma(3.0, 1.0).third_moment(), exponential.third_moment())
    np.testing.assert_allclose(ServiceTime.gamma(3.0, 0.0).third_moment(), constant.third_moment())


def test_stage_multipliers() -> None:
    """Later layers and the aggregation are multiples of the first layer, by device where lists are given."""
    service = ServiceTime.gamma([2.0, 3.0], scv=[0.5, 2.0], later=[1.5, 1.0], aggregate=4.0)
    np.testing.assert_allclose(service.mean, [[2, 3, 8], [3, 3, 12]])
    np.testing.assert_allclose(service.scv, [[0.5] * 3, [2.0] * 3])
    assert (service.n_devices, ServiceTime.exponential(1.0).n_devices) == (2, None)
    assert service.for_k(7) is service


@pytest.mark.parametrize(
    "bad",
    [
        lambda: ServiceTime.exponential(0.0),
        lambda: ServiceTime.exponential([1.0, -2.0]),
        lambda: ServiceTime.gamma(1.0, -0.1),
        lambda: ServiceTime.gamma([1.0, 2.0], [1.0, 1.0, 1.0]),
        lambda: ServiceTime.from_law("weibull", 1.0),
        lambda: ServiceTime.from_law("exponential", 1.0, scv=0.5),
        lambda: ServiceTime.from_law("deterministic", 1.0, scv=0.5),
        lambda: ServiceTime(mean=[[1.0, 2.0]], scv=[[1.0, 1.0]]),
    ],
)
def test_impossible_service_is_refused(bad: object) -> None:
    """Means not above 0, negative SCVs, lengths that differ, laws unknown or at odds with their SCV, missing stages."""
    with pytest.raises(InputError):
        bad()


def test_upper_limit_raises_every_mean_by_its_standard_errors() -> None:
    """Two standard errors up, the SCV and the law kept; known means stay."""
    error = np.array([[0.1, 0.2, 0.3]])
    service = ServiceTime(mean=[[1.0, 2.0, 3.0]], scv=[[0.5, 1.0, 2.0]], law=Law.LOGNORMAL, mean_error=error)
    above = service.at_upper_limit(2.0)
    np.testing.assert_allclose(above.mean, [[1.2, 2.4, 3.6]])
    np.testing.assert_array_equal(above.scv, service.scv)
    assert above.law is Law.LOGNORMAL
    np.testing.assert_array_equal(ServiceTime.exponential(2.0).at_upper_limit(5.0).mean, [[2.0] * 3])


@pytest.mark.parametrize("seed", range(3))
def test_empirical_moments_are_those_of_the_samples(seed: int) -> None:
    """Mean, SCV, E[S^2] and E[S^3] are numpy's population moments of the samples, times the multiplier in later stages."""
    rng = np.random.default_rng(seed)
    samples = [rng.lognormal(rng.normal(), 1.0, size) for size in (1, 2, 50, 1000)]
    multiple = np.column_stack((np.ones(4), [1.5, 1.0, 0.2, 7.0], np.full(4, 0.4)))
    service = ServiceTime.empirical(samples, later=multiple[:, 1], aggregate=0.4)
    assert service.law is Law.EMPIRICAL
    for (i, s), factor in np.ndenumerate(multiple):
        times = factor * samples[i]
        assert service.mean[i, s] == pytest.approx(times.mean(), rel=1e-13)
        assert service.scv[i, s] == pytest.approx(times.var() / times.mean() ** 2, rel=1e-12, abs=1e-30)
        assert service.second_moment()[i, s] == pytest.approx((times**2).mean(), rel=1e-12)
        assert service.third_moment()[i, s] == pytest.approx((times**3).mean(), rel=1e-12)
        error = stats.sem(times) if times.size > 1 else 0.0
        assert service.mean_error[i, s] == pytest.approx(error, rel=1e-12)
    alike = ServiceTime.empirical(samples[3], later=2.0)
    np.testing.assert_allclose(alike.third_moment(), (samples[3] ** 3).mean() * np.array([[1, 8, 1]]))


def test_drawing_from_an_empirical_law() -> None:
    """A sample times ``mean`` over the samples' mean, drawn uniformly, has the moments that the law states; raised or not."""
    samples = [np.array([1.0, 2.0, 6.0]), np.array([4.0, 5.0])]
    service = ServiceTime.empirical(samples, later=[2.0, 3.0], aggregate=0.5)
    for law in (service, service.at_upper_limit(2.0)):
        np.testing.assert_array_equal(law.scv, service.scv)
        for (i, s), mean in np.ndenumerate(law.mean):
            drawn = law.samples[i] * mean / law.samples[i].mean()
            assert drawn.mean() == pytest.approx(mean, rel=1e-14)
            assert law.second_moment()[i, s] == pytest.approx((drawn**2).mean(), rel=1e-14)
            assert law.third_moment()[i, s] == pytest.approx((drawn**3).mean(), rel=1e-14)
    np.testing.assert_allclose(
        service.at_upper_limit(2.0).mean, service.mean * (1 + 2 * np.array([[stats.sem(x) / x.mean()] for x in samples]))
    )


def test_empirical_service_of_equal_samples_is_constant() -> None:
    """All samples alike, or a single one: the deterministic law, without error."""
    for samples in ([0.1] * 7, [0.1]):
        service, constant = ServiceTime.empirical(samples), ServiceTime.deterministic(0.1)
        np.testing.assert_allclose(service.scv, 0.0, atol=1e-30)
        np.testing.assert_allclose(service.third_moment(), constant.third_moment())
        assert not np.any(service.mean_error)


def nodes(count: TokenCount, points: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Laguerre points and weights of a gamma law; exact for polynomials of degree 9."""
    if count.scv == 0:
        return np.array([count.mean]), np.array([1.0])
    x, w = special.roots_genlaguerre(points, 1 / count.scv - 1)
    return x * count.mean * count.scv, w / w.sum()


@pytest.mark.parametrize(("prompt_scv", "output_scv"), [(0.0, 0.0), (0.8, 0.0), (0.0, 0.5), (1.3, 0.6), (0.4, 2.0)])
@pytest.mark.parametrize("k", [0, 1])
def test_measured_service_equals_quadrature(prompt_scv: float, output_scv: float, k: int) -> None:
    """Mean and SCV over gamma prompt, k + 1 gamma answers read and one written, by nested Gauss-Laguerre quadrature."""
    lengths = TokenLengths(prompt=TokenCount(300, prompt_scv), output=TokenCount(150, output_scv), instruction=90)
    service = measured(lengths).for_k(k)
    model = fit()
    for stage in Stage:
        answers = 0 if stage is Stage.FIRST else k + 1
        moment = np.zeros(3)
        read, written = nodes(lengths.prompt), nodes(lengths.output)
        for points in product(*[list(zip(*part, strict=True)) for part in (read, written, *[written] * answers)]):
            (prompt, output, *given) = (x for x, _ in points)
            p = prompt + sum(given) + (lengths.instruction if answers else 0)
            s = output - 1
            seconds = model.c0 + model.c1 * p + model.c2 * p**2 + s * (model.d0 + model.d1 * (p + s / 2))
            moment += np.prod([w for _, w in points]) * seconds ** np.arange(3)
        assert moment[0] == pytest.approx(1, rel=1e-10)
        assert service.mean[0, stage] == pytest.approx(moment[1], rel=1e-10)
        assert service.scv[0, stage] == pytest.approx(moment[2] / moment[1] ** 2 - 1, abs=1e-9)


def test_measured_service_against_monte_carlo() -> None:
    """A million queries with gamma lengths, k = 3: mean and second moment to 4 standard errors, in every stage."""
    lengths = TokenLengths(prompt=TokenCount(200, 1.1), output=TokenCount(120, 0.7), instruction=120)
    service = measured(lengths).for_k(3)
    rng, size = np.random.default_rng(1), 500_000

    def draw(count: TokenCount, shape: object) -> np.ndarray:
        return rng.gamma(1 / count.scv, count.mean * count.scv, shape)

    model = fit()
    for stage in Stage:
        p = draw(lengths.prompt, size)
        if stage is not Stage.FIRST:
            p = p + draw(lengths.output, (4, size)).sum(axis=0) + lengths.instruction
        s = draw(lengths.output, size) - 1
        seconds = model.c0 + model.c1 * p + model.c2 * p**2 + s * (model.d0 + model.d1 * (p + s / 2))
        second = service.second_moment()[0, stage]
        assert service.mean[0, stage] == pytest.approx(seconds.mean(), abs=4 * seconds.std() / size**0.5)
        assert second == pytest.approx((seconds**2).mean(), abs=4 * (seconds**2).std() / size**0.5)


def test_standard_error_of_a_measured_mean() -> None:
    """The mean is linear in the coefficients, so its variance is ``g' cov g`` with ``g`` by finite differences."""
    lengths = TokenLengths(prompt=TokenCount(200, 1.1), output=TokenCount(120, 0.7))
    root = np.random.default_rng(2).normal(size=(5, 5)) * np.array([[1e-2], [1e-5], [1e-9], [1e-4], [1e-7]])
    cov = root @ root.T
    service = measured(lengths, fit(cov=cov)).for_k(2)
    for stage in Stage:
        slope = []
        for name in ("c0", "c1", "c2", "d0", "d1"):
            value = getattr(fit(), name)
            up = measured(lengths, fit(**{name: 2 * value})).for_k(2).mean[0, stage]
            slope.append((up - service.mean[0, stage]) / value)
        expected = np.sqrt(np.array(slope) @ cov @ np.array(slope))
        assert service.mean_error[0, stage] == pytest.approx(expected, rel=1e-6)
        above = service.at_upper_limit(3.0).mean[0, stage]
        assert above == pytest.approx(service.mean[0, stage] + 3 * expected, rel=1e-9)


def test_only_later_stages_grow_with_k() -> None:
    """The first layer reads the bare prompt; later layers and the aggregation read k + 1 answers each, alike."""
    lengths = TokenLengths(prompt=TokenCount(200), output=TokenCount(100), instruction=50)
    service = measured(lengths, fit(c2=0.0, d1=0.0))
    assert service.grows_with_k
    few, many = service.for_k(1).mean[0], service.for_k(4).mean[0]
    assert few[Stage.FIRST] == many[Stage.FIRST]
    assert many[Stage.LATER] - few[Stage.LATER] == pytest.approx(3e-3 * 3 * 100)
    assert few[Stage.LATER] == few[Stage.AGGREGATE]
    assert few[Stage.LATER] - few[Stage.FIRST] == pytest.approx(3e-3 * (50 + 2 * 100))


def test_devices_with_profiles_of_their_own() -> None:
    """One profile a device and one workload for all give one row a device."""
    lengths = TokenLengths(prompt=TokenCount(200), output=TokenCount(100))
    slow, quick = (SimpleNamespace(fit=fit(d0=d0), name=str(d0), contended=False) for d0 in (0.5, 0.05))
    both = MeasuredServiceTime(profiles=(slow, quick), tokens=(lengths,))
    assert both.n_devices == 2
    for i, one in enumerate((slow, quick)):
        alone = MeasuredServiceTime(profiles=(one,), tokens=(lengths,))
        np.testing.assert_array_equal(both.for_k(2).mean[i], alone.for_k(2).mean[0])


def test_gamma_lengths_have_gamma_cumulants() -> None:
    """Mean, variance, skewness and excess kurtosis of scipy's gamma law; of a concatenated prompt by adding parts."""
    count = TokenCount(80, 0.6)
    mean, variance, skew, excess = stats.gamma(1 / 0.6, scale=80 * 0.6).stats("mvsk")
    np.testing.assert_allclose(count.cumulants(), [mean, variance, skew * variance**1.5, excess * variance**2], rtol=1e-10)
    lengths = TokenLengths(prompt=TokenCount(30, 1.0), output=count, instruction=7)
    later = TokenCount(30, 1.0).cumulants() + 4 * count.cumulants() + [7, 0, 0, 0]
    np.testing.assert_allclose(lengths.read(later=True, k=3), later)
    np.testing.assert_allclose(lengths.decode_steps(), count.cumulants() - [1, 0, 0, 0])


def test_shorthands_are_the_laws() -> None:
    """Each shorthand is ``from_law`` with its law."""
    for shorthand, law in ((ServiceTime.gamma, "gamma"), (ServiceTime.lognormal, "lognormal")):
        short, long = shorthand([2.0, 3.0], 0.5, later=1.2), ServiceTime.from_law(law, [2.0, 3.0], scv=0.5, later=1.2)
        assert short.law is long.law
        np.testing.assert_array_equal(short.mean, long.mean)
        np.testing.assert_array_equal(short.scv, long.scv)
