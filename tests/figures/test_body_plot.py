"""The stability region along three users: a true polytope, each face in the colour of the device that is full on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.text import Text
from mpl_toolkits.mplot3d.art3d import Poly3DCollection

from dmoa_theory import System, stability_region
from dmoa_theory.plots.body import plot_body
from dmoa_theory.plots.region import scaled_to_fit
from dmoa_theory.plots.style import new_figure, save
from dmoa_theory.stability.region_body import RegionBody, region_body


def body(scale: float = 1.0, *, n: int = 4, names: tuple[str, ...] | None = None) -> RegionBody:
    system = System.from_arrays(1 - np.eye(n), 0.002 * scale, np.linspace(24.0, 40.0, n), M=1, k=2)
    if names is not None:
        system = replace(system, network=replace(system.network, names=names))
    return stability_region(system).body(0, 1, n - 1)


def legend(axes) -> list[str]:  # type: ignore[no-untyped-def]
    return [text.get_text() for text in axes.get_legend().get_texts()]


def words(axes) -> str:  # type: ignore[no-untyped-def]
    return " ".join(" ".join(text.get_text() for text in axes.findobj(Text)).split())


def test_faces_are_those_of_the_body() -> None:
    drawn = body()
    axes = plot_body(drawn, note="M=1, k=2")
    faces = [artist for artist in axes.collections if isinstance(artist, Poly3DCollection)]
    assert len(faces) == len(drawn.faces) > 2
    shown = {tuple(np.round(corner, 6)) for face in faces for corner in face._faces[0]}
    assert shown == {tuple(np.round(3600 * drawn.corners[c], 6)) for face in drawn.faces for c in face.corners}
    assert sorted(legend(axes)[:-1]) == sorted(f"{face.names[0]} full" for face in drawn.faces)
    colours = {tuple(face.get_facecolor()[0]) for face in faces}
    assert len(colours) == len(faces)
    assert legend(axes)[-1] == "now: stable"
    assert [axes.get_xlabel(), axes.get_zlabel()] == [f"prompts of device-{u} (per hour)" for u in (0, 3)]
    assert "M=1, k=2; other users as they are" in words(axes)
    lines = [np.array(line.get_data_3d()) for line in axes.lines]
    point = 3600 * np.array(drawn.operating_point)
    drops = [line for line in lines if line.shape == (3, 2) and np.allclose(line[:2, 0], point[:2]) and line[2].max() > 0]
    assert len(drops) == 1
    assert drops[0][2] == pytest.approx([0, point[2]])


@pytest.mark.parametrize(("scale", "said"), [(1.0, "now: stable"), (4.0, "now: unstable")])
@pytest.mark.parametrize("long", [False, True])
def test_nothing_is_cut_off(scale: float, said: str, long: bool, tmp_path: Path) -> None:
    names = ("a$b$", "x" * 80, "tab & <b>", "workstation-in-the-basement-7") if long else None
    drawn = body(scale, names=names)
    path = save(plot_body(drawn), tmp_path / "body.png")
    pixels = image.imread(path)[..., :3]
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge > 0.99).all()
    assert said in legend(plot_body(drawn))
    assert save(plot_body(drawn), tmp_path / "again.png").read_bytes() == path.read_bytes()


def test_no_stable_rates_are_said_to_be_none() -> None:
    drawn = body(40.0)
    assert drawn.corners.size == 0
    assert "the other users alone overload a device" in words(plot_body(drawn))


def test_an_unstable_system_is_led_back_to_stable_rates() -> None:
    """By its own three rates where they can mend it, by all rates where the other users alone overload a device."""
    system = System.from_arrays(1 - np.eye(4), 0.002, np.linspace(24.0, 40.0, 4), M=1, k=2)
    for scale, of in ((4.0, "these"), (40.0, "all")):
        region = stability_region(system.with_rates(scale * system.rates))
        fit = scaled_to_fit(region)
        axes = plot_body(region.body(0, 1, 3), scaled=fit.body(0, 1, 3))
        (said,) = (text for text in legend(axes) if text.endswith(": stable"))
        assert said.startswith(f"{of} rates × ")
        factor = float(said.split("× ")[1].split(":")[0])
        rates = region.system.rates * (1.0 if of == "these" else factor)
        rates[[0, 1, 3]] = factor * region.system.rates[[0, 1, 3]]
        assert region.contains(rates)
        assert not region.contains(rates / 0.93)
    for scale, seen in ((40.0, True), (400.0, False)):
        region = stability_region(system.with_rates(scale * system.rates))
        axes = plot_body(region.body(0, 1, 3), scaled=scaled_to_fit(region).body(0, 1, 3))
        assert ("now: unstable" in legend(axes)) == seen
        assert any("times as far out" in text for text in legend(axes)) != seen


def test_many_faces_and_axes_that_are_given() -> None:
    """Of more faces than colours the smaller ones share a grey."""
    touching = np.array([(x, y, 1.5) for x in (0.2, 0.8, 1.4) for y in (0.2, 0.8, 1.4)])  # planes that touch one sphere
    touching /= np.linalg.norm(touching, axis=1)[:, None]
    who = {"users": (0, 1, 2), "operating_point": (0.1, 0.2, 0.3), "stable": True}
    drawn = region_body(touching, np.ones(9), names=tuple(f"device-{j}" for j in range(9)), **who)
    assert len(drawn.faces) > 7
    given = new_figure().add_subplot(projection="3d", computed_zorder=False)
    axes = plot_body(drawn, ax=given)
    assert axes is given
    assert f"{len(drawn.faces) - 6} smaller faces" in legend(axes)
