"""Stage means and their covariance: against sums over lengths, and against coefficients drawn at random."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmoa_theory.errors import InputError
from dmoa_theory.model.profile import Profile, read_profile
from dmoa_theory.model.scenario import bundled_profiles, load_scenario
from dmoa_theory.model.service import MeasuredServiceTime, ServiceTime, Stage
from dmoa_theory.model.service_fit import COEFFICIENTS
from dmoa_theory.model.stage_times import stage_times
from dmoa_theory.model.token_lists import read_lengths, workload
from dmoa_theory.model.tokens import TokenCount, TokenLengths

LENGTHS = TokenLengths(prompt=TokenCount(100, 0.5), output=TokenCount(50, 0.3), instruction=20)


@pytest.fixture(scope="module")
def profile() -> Profile:
    return read_profile(next(iter(bundled_profiles().values())))


def measured(*profiles: Profile, lengths: TokenLengths = LENGTHS) -> MeasuredServiceTime:
    return MeasuredServiceTime(profiles=profiles, tokens=(lengths,))


def test_the_covariance_is_that_of_coefficients_drawn_at_random(profile: Profile) -> None:
    """Means are linear in the coefficients, so the sample covariance over draws must agree within its sampling error."""
    found = measured(profile).stage_means(3)
    rng = np.random.default_rng(1)
    centre = np.array([getattr(profile.fit, name) for name in COEFFICIENTS])
    n = 4000
    draws = rng.multivariate_normal(centre, profile.fit.cov, size=n)
    means = []
    for draw in draws[:50]:  # the service object itself, where the draw is a fit at all
        if (draw >= 0).all():
            again = replace(profile, fit=replace(profile.fit, **dict(zip(COEFFICIENTS, draw.tolist(), strict=True))))
            means.append((draw, measured(again).for_k(3).mean[0]))
    assert len(means) > 5
    by = np.linalg.lstsq(np.array([d for d, _ in means]), np.array([m for _, m in means]), rcond=None)[0]
    sampled = np.cov(draws @ by, rowvar=False)
    exact = found.matrix()
    spread = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(sampled, exact, atol=4 * np.sqrt(2 / n) * np.outer(spread, spread).max())
    np.testing.assert_allclose(found.mean[0], measured(profile).for_k(3).mean[0])


def test_standard_errors_are_those_of_the_service_times(profile: Profile) -> None:
    service = measured(profile)
    for k in (0, 2, 7):
        np.testing.assert_allclose(service.stage_means(k).standard_error, service.for_k(k).mean_error)


def test_devices_of_one_profile_err_together_and_others_apart(profile: Profile) -> None:
    twin = read_profile(next(iter(bundled_profiles().values())))
    other = replace(profile, document={**profile.document, "created": "2020-01-01T00:00:00+00:00"})
    means = measured(profile, twin, other).stage_means(2)
    error = means.standard_error
    correlation = means.covariance / (error[:, :, None, None] * error[None, None])
    np.testing.assert_allclose(correlation[0, :, 1, :].diagonal(), 1.0)
    assert (correlation[0, :, 2, :] == 0).all()
    together = means.error_of(np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0.0]]))
    apart = means.error_of(np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0.0]]))
    assert together == pytest.approx(2 * error[0, 0])
    assert apart == pytest.approx(np.sqrt(2) * error[0, 0])
    assert np.linalg.eigvalsh(means.matrix()).min() > -1e-12 * means.matrix().max()


def test_times_in_numbers_have_the_errors_that_were_given() -> None:
    known = ServiceTime.gamma([24.0, 31.0], 0.5).stage_means(2)
    assert (known.covariance == 0).all()
    timed = ServiceTime.empirical([[20.0, 30.0, 40.0], [25.0, 26.0]], later=2.0)
    means = timed.stage_means(5)
    np.testing.assert_allclose(means.standard_error, timed.mean_error)
    assert means.error_of(np.array([[1.0, 1.0, 0.0], [0, 0, 0]])) == pytest.approx(3 * timed.mean_error[0, 0])  # type: ignore[index]


def test_error_of_a_prediction_is_that_of_its_gradient(profile: Profile) -> None:
    fit = profile.fit
    p, o = np.array([[32.0], [512.0]]), np.array([8.0, 64.0])
    by = fit.sensitivity(p, o)
    assert by.shape == (2, 2, 5)
    centre = np.array([getattr(fit, name) for name in COEFFICIENTS])
    np.testing.assert_allclose(by @ centre, fit.seconds(p, o))
    np.testing.assert_allclose(fit.seconds_error(p, o) ** 2, np.einsum("abi,ij,abj->ab", by, fit.cov, by))
    assert isinstance(fit.seconds_error(32.0, 8.0), float)


@pytest.mark.parametrize(("M", "names"), [(0, ["first layer"]), (1, ["first layer", "aggregation"])])
def test_the_stages_of_a_query(profile: Profile, M: int, names: list[str]) -> None:
    assert [stage.name for stage in stage_times(profile, LENGTHS, M=M, k=3)] == names


def test_later_prompts_hold_the_answers_of_all_who_were_asked(profile: Profile) -> None:
    first, later, last = stage_times(profile, LENGTHS, M=4, k=3)
    assert (later.name, later.layers) == ("later layers", "2 to 4")
    assert (first.tokens_read, later.tokens_read) == (100, 20 + 100 + 4 * 50)
    times = measured(profile).for_k(3)
    assert (later.mean, later.scv) == (times.mean[0, Stage.LATER], times.scv[0, Stage.LATER])
    assert last.mean == later.mean
    assert not first.covered or profile.fit.covers(100, 50)
    assert "SCV" in str(first)


def lengths_file(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_list_of_lengths_gives_exact_moments(profile: Profile, tmp_path: Path) -> None:
    """Every pair of a prompt and an answer, as independence has it, timed and averaged: nothing is matched or approximated."""
    rng = np.random.default_rng(5)
    prompt, output = rng.integers(20, 900, 12), rng.integers(16, 250, 12)
    text = "id,prompt_tokens,output_tokens\n" + "".join(
        f"{i},{p},{o}\n" for i, (p, o) in enumerate(zip(prompt, output, strict=True))
    )
    lengths = read_lengths(lengths_file(tmp_path / "own.csv", text))
    assert lengths.source.startswith("own.csv, 12 prompts and answers")
    times = measured(profile, lengths=lengths).for_k(1)
    every = profile.fit.seconds(prompt[:, None].astype(float), output[None, :].astype(float))
    assert times.mean[0, Stage.FIRST] == pytest.approx(every.mean(), rel=1e-12)
    assert times.scv[0, Stage.FIRST] == pytest.approx(every.var() / every.mean() ** 2, rel=1e-9)
    # a later stage reads the instruction, the prompt and two answers, all independent
    p, a, b, o = np.ix_(prompt, output, output, output)
    later = profile.fit.seconds(lengths.instruction + p + a + b + 0.0 * o, o + 0.0 * p)
    assert times.mean[0, Stage.LATER] == pytest.approx(later.mean(), rel=1e-12)
    assert times.scv[0, Stage.LATER] == pytest.approx(later.var() / later.mean() ** 2, rel=1e-9)


def test_a_scenario_may_name_a_list_of_lengths(tmp_path: Path) -> None:
    lengths_file(tmp_path / "own.csv", "prompt_tokens;output_tokens\n100;50\n200;150\n")
    name = next(iter(bundled_profiles()))
    scenario = tmp_path / "s.toml"
    scenario.write_text(
        '[network]\ntopology = "complete"\nn = 3\n[arrivals]\nrate = 1e-4\n'
        f'[service]\nprofile = "{name}"\ntokens = "own.csv"\n[moa]\nM = 1\nk = 1\n',
        encoding="utf-8",
    )
    service = load_scenario(scenario).service
    assert isinstance(service, MeasuredServiceTime)
    assert service.tokens[0].prompt == TokenCount.of([100, 200])
    assert "their correlation of 1.00 left out" in service.tokens[0].source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "columns = none: a header with prompt_tokens and output_tokens"),
        ("prompt,output\n1,2\n", "columns = prompt,output: a header"),
        ("prompt_tokens,output_tokens\n", "rows = none: at least one prompt"),
        ("prompt_tokens,output_tokens\n1\n", "line 2 = 1 cells: 2, as in the header"),
        ("prompt_tokens,output_tokens\n12,0\n", "line 2: output_tokens = 0: a number of tokens, 1 or more, to 1e+09"),
        ("prompt_tokens,output_tokens\nmany,3\n", "line 2: prompt_tokens = many: a number of tokens"),
    ],
)
def test_bad_lists_are_refused_in_a_line(tmp_path: Path, text: str, said: str) -> None:
    path = lengths_file(tmp_path / "own.csv", text)
    with pytest.raises(InputError) as refused:
        read_lengths(path)
    assert str(refused.value).startswith(f"{path}: {said}")


def test_a_name_that_is_neither(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="tokens = alpaca: a CSV with columns prompt_tokens and output_tokens, or one of alpaca-eval"
    ):
        workload("alpaca", tmp_path)
    with pytest.raises(InputError, match=r"lengths\[1\] = 0\.0: a number of tokens"):
        TokenCount.of([1, 0])
    with pytest.raises(InputError, match="lengths = no list"):
        TokenCount.of([])
