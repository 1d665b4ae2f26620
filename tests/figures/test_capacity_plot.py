"""The picture of the capacity: what it shows is what was found, on small and on large networks, and nothing is cut off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.text import Text

from dmoa_theory import System
from dmoa_theory.plots.capacity import plot_capacity, plot_gossip, plot_relief
from dmoa_theory.plots.style import save
from dmoa_theory.stability.gossip.capacity import capacity


def uneven(n: int, *, M: int = 2, k: int = 1) -> System:
    return System.from_arrays(1 - np.eye(n), 0.01, np.geomspace(0.5, 4, n), M=M, k=k)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_nothing_is_cut_off(n: int, tmp_path: Path) -> None:
    figure = plot_capacity(capacity(uneven(n)))
    path = save(figure, tmp_path / "capacity.png")
    pixels = image.imread(path)[..., :3]
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge > 0.99).all()
    assert save(plot_capacity(capacity(uneven(n))), tmp_path / "again.png").read_bytes() == path.read_bytes()


def test_marks_stand_where_the_figures_are() -> None:
    found = capacity(uneven(5))
    axes = plot_relief(found)
    best = axes.collections[-1].get_offsets()
    assert np.asarray(best)[:, 0] == pytest.approx(100 * found.utilisation_best * found.scale_best)
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"device-{u}" for u in range(5)]
    links = plot_gossip(found)
    shown = np.asarray(links.collections[-1].get_offsets())[:, 0]
    changed = np.abs(found.inclusion - 0.25) > 1e-6
    assert shown == pytest.approx(100 * found.inclusion[changed])
    assert links.get_xlabel() == "layers that use the link (%)"


def test_uniform_gossip_that_is_best_is_said_to_be() -> None:
    axes = plot_gossip(capacity(System.from_arrays(1 - np.eye(3), 0.01, 1.0, M=1, k=1)))
    assert "Uniform gossip is already best" in " ".join(text.get_text() for text in axes.findobj(Text))


def test_a_direction_is_named() -> None:
    found = capacity(uneven(5), direction=[1, 0, 0, 0, 0])
    words = " ".join(text.get_text() for text in plot_relief(found).findobj(Text))
    assert "in the direction given" in " ".join(words.split())
