"""The fit gives back known coefficients, says how sure it is, and refuses lengths that cannot tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_calibration.backends import Timing
from dmoa_calibration.contention import cpu_wall_ratios
from dmoa_calibration.fit import check_design, drift, fit_timings, leave_one_cell_out
from dmoa_theory.errors import CalibrationError

NAMES = ("c0", "c1", "c2", "d0", "d1")
CELLS = [(p, o) for p in (32, 128, 512) for o in (8, 64)]


def timings(coefficients, cells=CELLS, noise=0.0, rng=None, slowed=1.0):
    c0, c1, c2, d0, d1 = coefficients
    made = []
    for p, o in cells:
        s = o - 1
        a, b = (1.0, 1.0) if not noise else 1 + noise * rng.standard_normal(2)
        prefill, decode = (c0 + c1 * p + c2 * p * p) * a, s * (d0 + d1 * (p + s / 2)) * b
        made.append(
            Timing(
                prompt_tokens=p,
                output_tokens=o,
                prefill_s=prefill * slowed,
                decode_s=decode * slowed,
                prefill_cpu_s=prefill,
                decode_cpu_s=decode,
            )
        )
    return made


def found(fit):
    return np.array([getattr(fit, name) for name in NAMES])


@pytest.mark.parametrize(
    "coefficients",
    [
        (0.05, 0.004, 1e-6, 0.1, 1e-5),
        (0.0, 0.004, 0.0, 0.1, 0.0),
        (0.0, 0.0, 1e-6, 0.0, 1e-5),
        (0.3, 0.0, 0.0, 1e-4, 0.0),
    ],
)
def test_known_coefficients_come_back(coefficients):
    fit = fit_timings(timings(coefficients))
    np.testing.assert_allclose(found(fit), coefficients, rtol=1e-7, atol=1e-14)
    assert fit.max_rel_err < 1e-9
    assert fit.loo_median_rel_err < 1e-9
    assert np.sqrt(np.diag(fit.cov)).max() < 1e-9
    assert (fit.p_range, fit.o_range, fit.clock) == ((32, 512), (8, 64), "wall")


@settings(deadline=None)  # the bootstrap takes its time on a busy machine
@given(
    c0=st.floats(0, 1),
    c1=st.floats(1e-5, 1e-1),
    c2=st.floats(0, 1e-5),
    d0=st.floats(1e-4, 1),
    d1=st.floats(0, 1e-4),
    p=st.lists(st.integers(1, 4096), min_size=3, max_size=5, unique=True),
    o=st.lists(st.integers(2, 512), min_size=2, max_size=3, unique=True),
)
def test_the_fit_is_exact_on_noiseless_times(c0, c1, c2, d0, d1, p, o):
    """Whatever the coefficients and the design, every measured time is given back."""
    p, o = np.array(p), np.array(o)
    made = timings((c0, c1, c2, d0, d1), [(int(a), int(b)) for a in p for b in o])
    try:
        fit = fit_timings(made)
    except CalibrationError:  # lengths so close together that the coefficients cannot be told apart
        assert np.diff(np.sort(p)).min() / p.max() < 0.01
        return
    for timing in made:
        assert fit.seconds(timing.prompt_tokens, timing.output_tokens) == pytest.approx(timing.wall_s, rel=1e-6)


def test_the_bootstrap_covers_the_error_that_noise_makes():
    truth = np.array([0.05, 0.004, 1e-6, 0.1, 1e-5])
    rng = np.random.default_rng(7)
    fits = [fit_timings(timings(truth, CELLS * 3, noise=0.02, rng=rng), seed=i) for i in range(20)]
    spread = np.std([found(fit) for fit in fits], axis=0, ddof=1)
    claimed = np.sqrt(np.median([np.diag(fit.cov) for fit in fits], axis=0))
    # 20 fits tell a standard deviation to about 16 %
    assert (claimed / spread > 0.5).all()
    assert (claimed / spread < 2).all()
    assert all(0.002 < fit.median_rel_err < 0.03 for fit in fits)


def test_the_same_seed_gives_the_same_covariance():
    made = timings((0.05, 0.004, 1e-6, 0.1, 1e-5), CELLS * 2, noise=0.02, rng=np.random.default_rng(1))
    assert (fit_timings(made, seed=3).cov == fit_timings(made, seed=3).cov).all()
    assert (fit_timings(made, seed=3).cov != fit_timings(made, seed=4).cov).any()


@pytest.mark.parametrize(
    ("cells", "missing"),
    [
        ([(p, o) for p in (32, 512) for o in (8, 64)], "3 different prompt lengths are needed, and 32, 512 were measured"),
        ([(p, 8) for p in (32, 128, 512)], "2 different output lengths are needed, and 8 was measured"),
        ([(32, 8), (128, 1), (512, 1)], "after at least 2 different prompt lengths"),
        ([(32, 8), (128, 64), (512, 8)], "measure at least one pair more"),
        ([], "3 different prompt lengths are needed, and none were measured"),
    ],
)
def test_lengths_that_cannot_tell_are_refused_with_what_is_missing(cells, missing):
    with pytest.raises(CalibrationError, match=missing):
        fit_timings(timings((0.05, 0.004, 1e-6, 0.1, 1e-5), cells))
    with pytest.raises(CalibrationError, match=missing):
        check_design([p for p, _ in cells], [o for _, o in cells])


def test_single_token_answers_serve_prefill():
    truth = (0.05, 0.004, 1e-6, 0.1, 1e-5)
    fit = fit_timings(timings(truth, [(p, o) for p in (32, 128, 512) for o in (1, 16)]))
    np.testing.assert_allclose(found(fit), truth, rtol=1e-7)


def test_a_time_that_is_not_above_zero_is_refused():
    made = [*timings((0.05, 0.004, 1e-6, 0.1, 1e-5)), Timing(prompt_tokens=32, output_tokens=8, prefill_s=0.0, decode_s=1.0)]
    with pytest.raises(CalibrationError, match=r"32 prompt and 8 output tokens took 0 s \+ 1 s"):
        fit_timings(made)


def test_cpu_seconds_are_fitted_when_asked_for():
    truth = (0.05, 0.004, 1e-6, 0.1, 1e-5)
    busy = timings(truth, slowed=2.0)
    np.testing.assert_allclose(found(fit_timings(busy)), 2 * np.array(truth), rtol=1e-7)
    np.testing.assert_allclose(found(fit_timings(busy, clock="cpu")), truth, rtol=1e-7)
    np.testing.assert_allclose(cpu_wall_ratios(busy), 0.5)
    without = [Timing(prompt_tokens=32, output_tokens=8, prefill_s=1.0, decode_s=1.0)]
    assert cpu_wall_ratios(without) is None
    with pytest.raises(CalibrationError, match="did not report them"):
        fit_timings(without, clock="cpu")


def test_leaving_a_cell_out_finds_a_cell_that_does_not_fit():
    made = timings((0.05, 0.004, 0.0, 0.1, 0.0))
    assert leave_one_cell_out(made) < 1e-9
    assert leave_one_cell_out([*made[1:], *timings((0.1, 0.008, 0.0, 0.2, 0.0), CELLS[:1])]) > 0.01


def test_a_machine_that_slows_down_is_noticed():
    truth = (0.05, 0.004, 1e-6, 0.1, 1e-5)
    steady = timings(truth) + timings(truth) + timings(truth)
    assert abs(drift(steady, fit_timings(steady))) < 1e-9
    slowing = timings(truth) + timings(truth, slowed=1.1) + timings(truth, slowed=1.2)
    assert drift(slowing, fit_timings(slowing)) == pytest.approx(0.2, abs=1e-6)
