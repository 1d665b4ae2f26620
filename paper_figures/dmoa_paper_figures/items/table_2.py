"""Table II: four different models."""

from __future__ import annotations

from dmoa_paper_figures.drawing.tables import draw_table
from dmoa_paper_figures.experiment.fit import Fit
from dmoa_paper_figures.experiment.lengths import first_prompts
from dmoa_paper_figures.experiment.rows import fit_of, root_mean_square, rows_of
from dmoa_paper_figures.items.table_1 import EXPERIMENT
from dmoa_paper_figures.outcome import Outcome, Picture
from dmoa_paper_figures.reproduction import rows_table
from dmoa_paper_figures.settings import Settings

__all__ = ["parameter_words", "reproduce"]

#: Beyond this factor a table tells next to nothing of a parameter.
_UNKNOWN = 5.0


def parameter_words(fit: Fit) -> str:
    """The parameters of a fit with their intervals; where the table hardly tells them, that.

    Parameters
    ----------
    fit : Fit
    """
    parts = []
    for name, value, factor in zip(fit.reading.parameters, fit.values.tolist(), fit.factors.tolist(), strict=True):
        what, _, unit = name.rpartition(", ")
        span = "hardly determined" if factor > _UNKNOWN else f"{value / factor:.3g} to {value * factor:.3g}"
        parts.append(f"{what} {value:.3g} {unit} ({span})")
    return "; ".join(parts)


def reproduce(settings: Settings) -> Outcome:
    """Fit of five numbers, and all fourteen figures.

    Parameters
    ----------
    settings : Settings
    """
    fit, rows = fit_of("II", settings), rows_of("II", settings)
    outside = [r for r in rows if not 0.025 <= r.share_below <= 0.975]
    strays = ", ".join(f"{r.quantity} at M={r.M}, k={r.k} ({100 * r.share_below:.1f} % of runs lie below it)" for r in outside)
    return Outcome(
        published="Accuracy, mean latency and average queue size of seven (M, k), a different model on each device, one run of "
        "ten prompts each.",
        how=(
            EXPERIMENT,
            f"Five numbers are estimated from the table, with 95 % intervals: {parameter_words(fit)}. Times are read as the "
            "published code takes them: it loads a model within the time of the first inference of each layer at that device "
            "(device 0's is there at first); loading takes the model's weights over one rate. The item model-loading holds "
            "other readings against this one.",
            f"The SCV of service times is that of Table I, {first_prompts().scv:.3f}.",
            "Predictions of a row use the other six rows only.",
        ),
        findings=(
            f"Latency is reproduced to {100 * root_mean_square(rows, 'latency', predicted=False):.1f} % (root mean square of "
            f"seven rows; left out, {100 * root_mean_square(rows, 'latency', predicted=True):.1f} %), queue size to "
            f"{100 * root_mean_square(rows, 'queue', predicted=False):.0f} % "
            f"({100 * root_mean_square(rows, 'queue', predicted=True):.0f} %).",
            f"In all, the distance of the fourteen figures from the fit is such that chance exceeds it in "
            f"{100 * fit.chance:.0f} of 100 tables.",
            f"Outside the middle 95 % of simulated runs: {strays}."
            if outside
            else "No figure lies outside the middle 95 % of runs.",
        ),
        not_reproduced=(
            "Accuracy, as for Table I.",
            "The means of single models: fourteen numbers from single runs tell little of each of them. Searches that begin "
            "elsewhere end at means as different as 83, 14, 65 and 13 s, or 54, 17, 52 and 75 s, with nearly the same "
            "likelihood (logarithm 11.1 and 10.7).",
            'The best configuration that the text names, "M = 2, k = 4": with four devices k is at most 3, the k of the '
            "table's row.",
        ),
        tables=(rows_table(rows, "Table II: published and reproduced"),),
        rows=rows,
        pictures=(
            Picture(
                name="table-2",
                caption="Table II: published figures, and what runs of the same experiment yield with model loading inside the "
                "measured times.",
                draw=lambda: draw_table("II", rows, settings),
            ),
        ),
    )
