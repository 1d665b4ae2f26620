"""How dmoa's pictures look, and how they are written to a file.

Figures are made without pyplot: no window, no global state, whatever the backend.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dmoa_theory.errors import InputError
from dmoa_theory.whole_files import write_whole

__all__ = [
    "BLUE", "GREEN", "GREY", "INK", "ORANGE", "PALE", "PALETTE", "PURPLE", "SKY", "VERMILION", "YELLOW",
    "house_style", "new_axes", "new_figure", "save",
]  # fmt: skip

# Okabe and Ito's palette, which people with any of the common colour deficiencies can tell apart.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, YELLOW = "#CC79A7", "#56B4E9", "#F0E442"
PALETTE = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, YELLOW)
INK, GREY, PALE = "#222222", "#7F7F7F", "#E3E3E3"

# What programs like to write into a file that would make two runs differ.
_NO_DATES: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


@cache
def _sheet() -> Any:
    with resources.as_file(resources.files("dmoa_theory.plots").joinpath("dmoa.mplstyle")) as path:
        return dict(mpl.rc_params_from_file(path, use_default_template=False))


@contextmanager
def house_style() -> Iterator[None]:
    """The style sheet of dmoa's pictures, until the end of the ``with`` block.

    Examples
    --------
    >>> from dmoa_theory.plots.style import house_style
    >>> import matplotlib
    >>> with house_style():
    ...     matplotlib.rcParams["axes.spines.top"]
    False
    """
    with mpl.rc_context(_sheet()):
        yield


def new_figure(width: float = 6.4, height: float = 4.4) -> Figure:
    """An empty figure of that many inches, known to no window and no list of open figures."""
    with house_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        return figure


def new_axes(width: float = 6.4, height: float = 4.4) -> Axes:
    """The only axes of a new figure."""
    with house_style():
        return new_figure(width, height).add_subplot()


def save(drawn: Figure | Axes, path: str | os.PathLike[str]) -> Path:
    """Write a picture: PNG (150 dots an inch), SVG or PDF, by the suffix of the path.

    The file holds no date, so the same picture gives the same bytes. It is complete or not there: it is written beside its
    place first.

    Parameters
    ----------
    drawn : Figure or Axes
        Of axes, the whole figure is written.
    path : path
        Folders that are missing are made.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        For another suffix, or a path that cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in _NO_DATES:
        raise InputError("path", path.name, f"a name that ends in {', '.join('.' + known for known in _NO_DATES)}")
    figure: Any = drawn if isinstance(drawn, Figure) else drawn.figure.canvas.figure
    held = io.BytesIO()
    with house_style():
        figure.savefig(held, format=kind, metadata=_NO_DATES[kind])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, held.getvalue())
    except OSError as error:
        raise InputError("", error.strerror or error, "a path that can be written", file=str(path)) from None
    return path
