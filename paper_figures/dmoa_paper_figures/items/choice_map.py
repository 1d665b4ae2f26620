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
from dmoa_theory.accuracy.table import read_accuracy
from dmoa_theory.optimisation.candidates import Evaluations
from dmoa_theory.optimisation.choice_map import ChoiceMap, choice_map
from dmoa_theory.optimisation.limits import Limits
from dmoa_theory.plots.style import PALETTE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.model.checks import IntArray

__all__ = ["NONE", "defended", "mapped", "reproduce"]

#: Where no configuration meets the budget.
NONE = -1
_ENTRIES = {(entry.M, entry.k): entry for entry in read_accuracy("mitra2024-diverse").entries}


@cache
def _evaluations(settings: Settings) -> Evaluations:
    return Evaluations(stable_system(0, 0, 0.5, settings), Limits())


@cache
def mapped(settings: Settings) -> ChoiceMap:
    """Approximation: the optimiser's map, the most accurate configuration as published by load and budget.

    Parameters
    ----------
    settings : Settings
    """
    entries = [_ENTRIES[configuration] for configuration in configurations()]
    return choice_map(_evaluations(settings), entries, latency="mean_latency", points=16 if settings.quick else 96)


def defended(settings: Settings) -> IntArray:
    """Approximation: instead of the map's configuration, the fastest of those within one standard error of its accuracy.

    Parameters
    ----------
    settings : Settings

    Returns
    -------
    ndarray of int, shape (loads, budgets)
        Place among the map's configurations; -1 where none meets the budget.
    """
    found, evaluations = mapped(settings), _evaluations(settings)
    entries = [_ENTRIES[configuration] for configuration in found.configurations]
    accuracy = np.array([entry.accuracy for entry in entries])
    error = np.array([entry.standard_error for entry in entries])
    mean = np.array([[evaluations.estimate(e.M, e.k, scale=scale).mean for e in entries] for scale in found.scales.tolist()])
    enough = accuracy >= (accuracy - error)[:, None]  # of each where the row's configuration is the best
    fast_enough = mean[:, None, :] <= found.budgets[None, :, None]
    waits = np.where(fast_enough & enough[found.best], mean[:, None, :], np.inf)
    return np.where(found.best == NONE, NONE, waits.argmin(axis=2))


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.6, 4.0)
        colours = ["white", *PALETTE[:7]]
        found = mapped(settings)
        rates = 3600 * found.rate * found.scales / 4
        panels = figure.subplots(1, 2, sharey=True)
        for axes, which, title, note in (
            (panels[0], found.best, "Most accurate, as published", "Table II as it stands"),
            (panels[1], defended(settings), "Defensible", "the fastest within one standard error"),
        ):
            axes.pcolormesh(
                rates, found.budgets, which.T + 1, cmap=ListedColormap(colours), vmin=-0.5, vmax=7.5, shading="nearest",
                rasterized=True,
            )  # fmt: skip
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_yticks([50, 100, 200, 400, 800, 1600], ["50", "100", "200", "400", "800", "1,600"])
            axes.set_xticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
            axes.minorticks_off()
            axes.set_xlabel("prompts of a user an hour")
            heading(axes, title, note)
        panels[0].set_ylabel("budget for the mean latency (s)")
        names = [f"M={M}, k={k}" for M, k in found.configurations]
        handles = [Patch(facecolor=colour, label=name) for colour, name in zip(colours[1:], names, strict=True)]
        handles.append(Patch(facecolor="white", edgecolor="#7F7F7F", linewidth=0.6, label="none"))
        figure.legend(handles=handles, loc="outside lower center", ncols=8, columnspacing=1.0, handlelength=1.2)
        return figure


def _shares(which: IntArray, configurations: int) -> list[float]:
    """Parts of the map where anything works, by configuration."""
    counted = np.bincount(which[which != NONE], minlength=configurations)
    return [float(part) for part in counted / counted.sum()]


def reproduce(settings: Settings) -> Outcome:
    """Choice over load and latency budget.

    Parameters
    ----------
    settings : Settings
    """
    found = mapped(settings)
    names = [f"M={M}, k={k}" for M, k in found.configurations]
    stated, defensible = (_shares(which, len(names)) for which in (found.best, defended(settings)))
    shares = tuple((name, f"{100 * a:.0f} %", f"{100 * b:.0f} %") for name, a, b in zip(names, stated, defensible, strict=True))
    alpha = fit_of("I", settings).times.mean[0]
    kept = ", ".join(f"{name} ({100 * part:.0f} %)" for name, part in zip(names, defensible, strict=True) if part > 0)
    return Outcome(
        published="The paper recommends its most accurate configuration.",
        how=(
            f"Four devices with mean service {alpha:.1f} s (Table I, no loading), accuracies of Table II as published. A map "
            "over the rate of each user and the budget for the mean latency; left by dmoa optimise --map, the most accurate "
            "configuration that is stable and meets the budget; right, with the same latencies, the fastest of those whose "
            "accuracy lies within one standard error of that one's.",
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
        tables=(Table("Share of the map", ("", "as published", "defensible"), shares),),
        pictures=(
            Picture(
                name="choice-map",
                caption="Which configuration to run by load and latency budget: as the published accuracies say, and as their "
                "errors allow.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
