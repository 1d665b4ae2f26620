"""The pictures of a profile: what was measured as dots, what was fitted as lines, nothing left out, nothing cut off."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.text import Text

from dmoa_theory.errors import InputError
from dmoa_theory.model.profile import Profile, profile_from_document, read_profile
from dmoa_theory.model.scenario import bundled_profiles
from dmoa_theory.plots.profile import plot_clocks, plot_profile, plot_residuals, plot_times
from dmoa_theory.plots.style import new_axes, save


@pytest.fixture(scope="module")
def profile() -> Profile:
    return read_profile(next(iter(bundled_profiles().values())))


def changed(profile: Profile, samples: object = None, **quality: object) -> Profile:
    document = copy.deepcopy(profile.document)
    if samples is not None:
        document["samples"] = samples
    document["fit"] |= quality
    return profile_from_document(document)


def dots(axes: Axes) -> np.ndarray:
    drawn = [line.get_xydata() for line in axes.get_lines() if line.get_marker() != "None"]
    return np.concatenate([np.asarray(points) for points in drawn])


def words(axes: Axes) -> str:
    return " ".join(" ".join(text.get_text() for text in axes.findobj(Text)).split())


def test_every_sample_is_a_dot_and_every_answer_length_a_line(profile: Profile) -> None:
    axes = plot_times(profile)
    samples = profile.document["samples"]
    assert len(dots(axes)) == len(samples)
    lengths = {s["output_tokens"] for s in samples}
    curves = [line for line in axes.get_lines() if line.get_marker() == "None"]
    assert len(curves) == len(lengths) == len(axes.collections)
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [f"{length} answer tokens" for length in sorted(lengths)]
    assert dots(axes)[:, 0].max() == max(s["prompt_tokens"] for s in samples)
    low, high = axes.get_ylim()
    assert low == 0
    assert dots(axes)[:, 1].max() < high
    assert "random weights" in words(axes)


def test_residuals_are_those_of_the_fit(profile: Profile) -> None:
    axes = plot_residuals(profile)
    found = dots(axes)
    order = np.argsort(found[:, 0])
    samples = profile.document["samples"]
    p, o, wall = (
        np.array([s[key] for s in samples], dtype=float) for key in ("prompt_tokens", "output_tokens", "request_latency_ms")
    )
    np.testing.assert_allclose(found[order, 1], 100 * (profile.fit.seconds(p, o) / (wall / 1e3) - 1))
    low, high = axes.get_ylim()
    assert low < found[:, 1].min()
    assert found[:, 1].max() < high


def test_a_busy_machine_stands_out(profile: Profile) -> None:
    calm = plot_clocks(profile)
    assert f"0 of {len(profile.document['samples'])} samples below 0.9" in words(calm)
    samples = [s | {"cpu_ms": 0.5 * s["cpu_ms"]} for s in profile.document["samples"]]
    busy = plot_clocks(changed(profile, samples))
    assert f"{len(samples)} of {len(samples)} samples below 0.9" in words(busy)
    np.testing.assert_allclose(dots(busy)[:, 1].mean(), 0.5, atol=0.01)
    legend = busy.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["on a core of its own", "busy machine"]


def test_what_a_profile_does_not_hold_is_not_drawn(profile: Profile) -> None:
    bare = changed(profile, [])
    assert len(plot_profile(bare).axes) == 1
    assert len(plot_times(bare).get_lines()) >= 2
    with pytest.raises(InputError, match="samples = none: a profile with single timings"):
        plot_residuals(bare)
    unwatched = changed(profile, [s | {"cpu_ms": None} for s in profile.document["samples"]])
    assert len(plot_profile(unwatched).axes) == 2
    with pytest.raises(InputError, match="samples = no CPU seconds"):
        plot_clocks(unwatched)


def test_a_file_of_real_prompts_has_a_few_lines_and_all_dots(profile: Profile) -> None:
    pattern = profile.document["samples"][0]
    rng = np.random.default_rng(3)
    samples = [
        pattern
        | {
            "prompt_tokens": int(p),
            "output_tokens": int(o),
            "request_latency_ms": 1e3 * profile.fit.seconds(float(p), float(o)),
        }
        for p, o in rng.integers(16, 250, (60, 2))
    ]
    many = changed(profile, samples)
    axes = plot_times(many)
    assert len(dots(axes)) == 60
    assert len([line for line in axes.get_lines() if line.get_marker() == "None"]) == 7
    assert len(dots(plot_residuals(many))) == 60


def test_the_whole_figure(profile: Profile, tmp_path: Path) -> None:
    figure = plot_profile(profile)
    assert len(figure.axes) == 3
    picture = image.imread(save(figure, tmp_path / "profile.png"))
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert edge.min() == 1.0  # nothing touches the rim
    axes = new_axes()
    assert plot_times(profile, ax=axes) is axes
