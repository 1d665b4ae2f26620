"""Which (M, k) to run, by load and latency budget: as the published accuracies say, and as their errors allow."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from dmoa_paper_figures.experiment.rows import fit_of
from dmoa_paper_figures.items.transient import stable_system
from dmoa_paper_figures.outcome import Outcome, Picture
from dmoa_paper_figures.published import configurations
from dmoa_paper_figures.settings import Settings
from dmoa_theory import latency
from dmoa_theory.accuracy.table import read_accuracy
from dmoa_theory.plots.style import PALETTE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["NONE", "chosen", "means", "reproduce"]

#: Where no configuration meets the budget.
NONE = -1
_BUDGETS = np.geomspace(40.0, 1200.0, 120)


@cache
def _rates(settings: Settings) -> FloatArray:
    """Prompts/s of a user, up to where one inference a prompt fills the devices."""
    alone = float(stable_system(0, 0, 1.0, settings).rates[0])
    return np.geomspace(0.02, 0.98, 16 if settings.quick else 60) * alone


@cache
def means(settings: Settings) -> FloatArray:
    """Approximation: mean latency of the seven configurations at every rate, infinite where unstable; shape (7, rates).

    Parameters
    ----------
    settings : Settings
    """
    found = np.empty((len(configurations()), _rates(settings).size))
    for row, (M, k) in enumerate(configurations()):
        edge = float(stable_system(M, k, 1.0, settings).rates[0])
        for column, rate in enumerate(_rates(settings).tolist()):
            load = rate / edge
            found[row, column] = latency(stable_system(M, k, load, settings)).mean if load < 1 else np.inf
    return found


def chosen(settings: Settings, *, defended: bool) -> IntArray:
    """The configuration at every (budget, rate), by its place in the table; -1 where none meets the budget.

    Parameters
    ----------
    settings : Settings
    defended : bool
        Instead of the most accurate as published, the fastest of those within one standard error of it.
    """
    entries = [read_accuracy("mitra2024-diverse").entry(M, k) for M, k in configurations()]
    accuracy = np.array([entry.accuracy for entry in entries])
    error = np.array([entry.standard_error for entry in entries])
    mean = means(settings)
    found = np.full((_BUDGETS.size, mean.shape[1]), NONE)
    for row, budget in enumerate(_BUDGETS.tolist()):
        for column in range(mean.shape[1]):
            meets = np.flatnonzero(mean[:, column] <= budget)
            if not meets.size:
                continue
            best = meets[accuracy[meets].argmax()]
            if defended:
                near = meets[accuracy[meets] >= accuracy[best] - error[best]]
                best = near[mean[near, column].argmin()]
            found[row, column] = best
    return found


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.6, 4.0)
        colours = ["white", *PALETTE[:7]]
        rates = 3600 * _rates(settings)
        for axes, (defended, title, note) in zip(
            figure.subplots(1, 2, sharey=True),
            (
                (False, "Most accurate, as published", "Table II as it stands"),
                (True, "Defensible", "the fastest within one standard error"),
            ),
            strict=True,
        ):
            axes.pcolormesh(
                rates, _BUDGETS, chosen(settings, defended=defended) + 1, cmap=ListedColormap(colours), vmin=-0.5, vmax=7.5,
                shading="nearest", rasterized=True,
            )  # fmt: skip
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_yticks([50, 100, 200, 400, 800], ["50", "100", "200", "400", "800"])
            axes.set_xticks([2, 5, 10, 20, 50], ["2", "5", "10", "20", "50"])
            axes.minorticks_off()
            axes.set_xlabel("prompts of a user an hour")
            heading(axes, title, note)
            if not defended:
                axes.set_ylabel("budget for the mean latency (s)")
        names = [f"M={M}, k={k}" for M, k in configurations()]
        handles = [Patch(facecolor=colour, label=name) for colour, name in zip(colours[1:], names, strict=True)]
        handles.append(Patch(facecolor="white", edgecolor="#7F7F7F", linewidth=0.6, label="none"))
        figure.legend(handles=handles, loc="outside lower center", ncols=8, columnspacing=1.0, handlelength=1.2)
        return figure


def reproduce(settings: Settings) -> Outcome:
    """Choice over load and latency budget.

    Parameters
    ----------
    settings : Settings
    """
    stated, defended = (chosen(settings, defended=choice) for choice in (False, True))
    shares = []
    for place, (M, k) in enumerate(configurations()):
        shares.append(
            (f"M={M}, k={k}", *(f"{100 * np.mean(which[which != NONE] == place):.0f} %" for which in (stated, defended)))
        )
    alpha = fit_of("I", settings).times.mean[0]
    parts = [(name, float(np.mean(defended[defended != NONE] == place))) for place, (name, *_) in enumerate(shares)]
    kept = ", ".join(f"{name} ({100 * part:.0f} %)" for name, part in parts if part > 0)
    return Outcome(
        published="The paper recommends its most accurate configuration.",
        how=(
            f"Four devices with mean service {alpha:.1f} s (Table I, no loading), latencies by dmoa latency, accuracies of "
            "Table II as published. A map over the rate of each user and the budget for the mean latency; left the most "
            "accurate configuration that is stable and meets the budget, right the fastest of those whose accuracy lies within "
            "one standard error of that one's.",
        ),
        findings=(
            "As published, accuracy steps down from M=2, k=3 through cheaper configurations as load rises or the budget "
            "shrinks, to a single model, and then to nothing.",
            f"With the errors of ten prompts only {kept} remain, on these parts of the map where anything works; the others "
            "never are the fastest within one standard error of the best.",
        ),
        not_reproduced=(
            "What larger evaluations would say: on 805 prompts others find clear gains of more proposers and layers for other "
            "models; dmoa optimise takes such data.",
        ),
        tables=(Table("Share of the map", ("", "as published", "defensible"), tuple(shares)),),
        pictures=(
            Picture(
                name="choice-map",
                caption="Which configuration to run by load and latency budget: as the published accuracies say, and as their "
                "errors allow.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
