"""Whether the times of Table II contain the loading of models: readings with and without it, held against each other."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dmoa_paper_figures.experiment.fit import Fit, Prediction, fit_table, predict_left_out
from dmoa_paper_figures.experiment.lengths import first_prompts
from dmoa_paper_figures.experiment.readings import READINGS, WEIGHTS
from dmoa_paper_figures.experiment.rows import fit_of
from dmoa_paper_figures.items.table_2 import parameter_words
from dmoa_paper_figures.outcome import Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREY, ORANGE, VERMILION, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Verdict", "reproduce", "verdicts"]

#: A large one, for rival readings whose services vary more.
_VARIED = 0.35


class Verdict(NamedTuple):
    """One reading of Table II: its fit, the rows it predicts when they are left out, and how well."""

    name: str
    fit: Fit
    left_out: tuple[Prediction, ...]

    @property
    def score(self) -> float:
        """Logarithm of the predictive density of the seven rows, each left out in turn."""
        return sum(prediction.log_density for prediction in self.left_out)

    @property
    def alone(self) -> Prediction:
        """The prediction of M = 0."""
        return self.left_out[0]


@cache
def verdicts(settings: Settings) -> tuple[Verdict, ...]:
    """Every reading of Table II, the one without any structure first.

    Parameters
    ----------
    settings : Settings
    """
    scv = first_prompts().scv
    readings = [(name, scv) for name in READINGS if not (settings.quick and name in _SLOW)]
    if not settings.quick:
        readings.append(("devices", _VARIED))
    return tuple(
        Verdict(
            name=READINGS[name].words + (f", SCV {value:g}" if value == _VARIED else ""),
            fit=fit_table("II", name, value, settings),
            left_out=predict_left_out("II", name, value, settings),
        )
        for name, value in readings
    )


_SLOW = {"alike, stages", "devices, stages", "loads", "one load"}


def _draw(settings: Settings) -> Figure:
    with house_style():
        found = verdicts(settings)
        figure = new_figure(8.6, 1.3 + 0.34 * len(found))
        left, right = figure.subplots(1, 2, sharey=True)
        rows = np.arange(len(found))
        colours = [ORANGE if verdict.fit.reading.loading else BLUE for verdict in found]
        left.barh(rows, [verdict.score for verdict in found], 0.6, color=colours, zorder=2)
        left.axvline(0, color=GREY, linewidth=0.8, zorder=3)
        left.set_yticks(rows, [_short(verdict) for verdict in found])
        left.tick_params(axis="y", length=0)
        left.set_ylim(len(found) - 0.4, -0.6)
        left.set_xlabel("log density of rows left out (right is better)")
        heading(left, "How well readings predict", "orange: with loading, blue: without")
        for row, (verdict, colour) in enumerate(zip(found, colours, strict=True)):
            p = verdict.alone
            width = 1.96 * np.sqrt((p.covariance + p.parameters)[0, 0])
            centre = float(np.exp(p.mean[0]))
            right.plot(
                np.exp(p.mean[0] + np.array([-width, width])), [row, row], color=colour, linewidth=3, alpha=0.5, zorder=2
            )
            right.plot(centre, row, "o", color=colour, markersize=5, zorder=3)
        right.axvline(float(np.exp(found[0].alone.observed[0])), color=VERMILION, linewidth=1.4, zorder=1)
        right.set_xlim(80, 1200)
        right.set_xscale("log")
        right.set_xticks([100, 200, 400, 800], ["100", "200", "400", "800"])
        right.minorticks_off()
        right.set_xlabel("latency at M = 0, predicted from the other rows (s)")
        heading(right, "M = 0 of Table II", "red: published; bars: 95 % of single runs")
        for axes in (left, right):
            grid_lines(axes.xaxis)
        return figure


def _short(verdict: Verdict) -> str:
    name = verdict.fit.reading.name
    return f"{name} ({verdict.fit.values.size})" + (f", SCV {_VARIED:g}" if verdict.fit.scv == _VARIED else "")


def reproduce(settings: Settings) -> Outcome:
    """The readings, and the evidence.

    Parameters
    ----------
    settings : Settings
    """
    found = verdicts(settings)
    listed = "; ".join(f"{v.fit.reading.name}: {v.fit.reading.words}" for v in found if v.fit.scv != _VARIED)
    rows = tuple(
        (
            _short(verdict).partition(" (")[0] + (f", SCV {_VARIED:g}" if verdict.fit.scv == _VARIED else ""),
            f"{verdict.fit.values.size}",
            f"{verdict.fit.chi_square:.1f} / {verdict.fit.degrees}",
            f"{verdict.fit.aic:.1f}",
            f"{verdict.score:.1f}",
            f"{verdict.alone.typical[0]:.0f} s",
            f"{verdict.alone.standardised[0]:+.1f}",
        )
        for verdict in found
    )
    without = max((v for v in found if not v.fit.reading.loading), key=lambda v: v.score)
    loading = max((v for v in found if v.fit.reading.loading), key=lambda v: v.score)
    simple = next(v for v in found if v.fit.reading.name == "load by size")
    one = fit_of("I", settings)
    factor = float(simple.fit.factors[0])
    return Outcome(
        published="Latencies of Table II are two to four times those of Table I; the paper says nothing of loading.",
        how=(
            "The published code (repository purbeshmitra/distributed_moa) plays all models on one machine, layer by layer and "
            "device by device, and takes the time around a function that loads the device's model if another is in memory. So "
            "the first job of each (layer, device) of a run with different models is timed with a load of 140 to 280 GB of "
            "weights; with one model nothing is loaded. What part of that reached the table is not published.",
            "Each reading is fitted to the 14 figures of Table II by simulated likelihood, and judged by the rows it predicts "
            "when they are left out (score: logarithm of the density of the rows left out, larger is better; deviations: how "
            "far the published latency at M = 0 lies above the prediction, in standard deviations); services have the SCV of "
            f"Table I. Weights by which loading is shared out, in GB: {', '.join(f'{w:g}' for w in WEIGHTS)} (two bytes a "
            "parameter).",
        ),
        findings=(
            f"Readings: {listed}.",
            f"The sign is M = 0: one inference at home, published 410 s. From the other rows and without loading it should be "
            f"{without.alone.typical[0]:.0f} s ({without.alone.standardised[0]:.1f} standard deviations short, for the best "
            f"such reading); with loading {loading.alone.typical[0]:.0f} s ({loading.alone.standardised[0]:.1f}).",
            f"With loading in proportion to the weights, two numbers describe the table: {parameter_words(simple.fit)}. Its "
            f"mean inference is that of Table I ({one.values[0]:.1f} s against {simple.fit.values[0]:.1f} s, known to a factor "
            f"of {factor:.2f}), which no reading without loading gives.",
            f"The best reading with loading predicts the rows left out better than the best without, by "
            f"{loading.score - without.score:.1f} in the logarithm of the density, with "
            f"{loading.fit.values.size} estimated numbers against {without.fit.values.size}.",
            "So loading inside the measured times is likely; it is an inference, as the timings themselves are not published. "
            "Who plans devices that keep their models in memory should not take service times from Table II.",
        ),
        not_reproduced=(
            "A proof: fourteen figures from single runs, of which each model takes several numbers.",
            *(("The quick run leaves out four of the readings.",) if settings.quick else ()),
        ),
        tables=(
            Table(
                "Readings of Table II",
                ("reading", "numbers", "chi² / degrees", "AIC", "score", "M=0 predicted", "deviations"),
                rows,
            ),
        ),
        pictures=(
            Picture(
                name="model-loading",
                caption="Left, how well each reading of Table II predicts rows that were left out; right, the latency at M = 0 "
                "that it predicts from the rest.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
