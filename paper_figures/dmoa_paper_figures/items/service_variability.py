"""How much service times vary, as Table I tells it, against the lengths of real answers."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.experiment.fit import by_prompt, fit_table
from dmoa_paper_figures.experiment.lengths import first_prompts, of_the_set
from dmoa_paper_figures.outcome import Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREEN, GREY, ORANGE, PALE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["profile", "reproduce", "upper_end"]

_GRID = (0.0, 0.02, 0.05, 0.1, 0.15, 0.25, 0.35, 0.5, 1.0)
#: Half the 95 % point of a chi-square with one degree of freedom.
_DROP = 1.9207


@cache
def profile(settings: Settings) -> tuple[tuple[float, float, float], ...]:
    """SCV, the largest log likelihood of Table I with it, and the mean service time that has it.

    Parameters
    ----------
    settings : Settings
    """
    fits = [fit_table("I", "alike", scv, settings) for scv in _GRID]
    return tuple((fit.scv, fit.log_likelihood, float(fit.values[0])) for fit in fits)


def upper_end(settings: Settings) -> float:
    """The SCV up to which the likelihood stays within 1.92 of its largest: the end of a 95 % interval, by interpolation.

    Parameters
    ----------
    settings : Settings
    """
    scv, value, _ = np.array(profile(settings)).T
    below = value - value.max() + _DROP
    behind = int(np.flatnonzero(below > 0)[-1])
    if behind == scv.size - 1:
        return float("inf")
    share = below[behind] / (below[behind] - below[behind + 1])
    return float(scv[behind] + share * (scv[behind + 1] - scv[behind]))


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(7.2, 5.0)
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1.0))
        scv, value, _ = np.array(profile(settings)).T
        axes.plot(scv, value - value.max(), color=BLUE, marker="o", markersize=4, label="independent services", zorder=3)
        real = by_prompt(settings)[1] - value.max()
        axes.plot(
            first_prompts().scv, real, color=ORANGE, marker="D", markersize=6, linestyle="none", zorder=5,
            label="every prompt as long as its real answer",
        )  # fmt: skip
        axes.axhline(-_DROP, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate("95 % interval", (1.0, -_DROP), xytext=(0, 4), textcoords="offset points", ha="right", fontsize=8)
        axes.legend(loc="lower left")
        axes.set_ylim(float((value - value.max()).min()) - 1, max(0.0, real) + 0.7)
        axes.set_ylabel("log likelihood,\nless its largest")
        grid_lines(axes.yaxis)
        heading(axes, "What Table I says of the variability of services")
        marks = [(first_prompts().scv, f"{first_prompts().model}, the ten prompts", ORANGE)]
        marks += [(lengths.scv, f"{lengths.model}, 805 prompts", GREEN) for lengths in of_the_set()]
        for row, (x, text, colour) in enumerate(marks):
            below.plot([0, x], [row, row], color=colour, linewidth=1.0)
            below.plot(x, row, "o", color=colour, markersize=5)
            below.annotate(text, (x, row), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8)
        below.axvspan(0, upper_end(settings), color=PALE, zorder=0)
        below.set_ylim(len(marks) - 0.4, -0.6)
        below.set_yticks([])
        below.set_xlim(-0.02, 1.02)
        below.set_xlabel("SCV: of service times (above), of words in real answers (below)")
        heading(below, "How much real answers vary", "grey: the interval from Table I")
        return figure


def reproduce(settings: Settings) -> Outcome:
    """The SCV that Table I asks for, and those of real answers.

    Parameters
    ----------
    settings : Settings
    """
    end, ten, whole = upper_end(settings), first_prompts(), of_the_set()
    largest = max(profile(settings), key=lambda p: p[1])
    speed, (mean, real) = ten.mean / largest[2], by_prompt(settings)
    rows = [(f"Table I, estimated (law gamma): 0 to {end:.2f}", "", "", f"{largest[0]:.2f}")]
    rows.append((f"{ten.model}, the ten prompts", f"{ten.count}", f"{ten.mean:.0f}", f"{ten.scv:.3f}"))
    rows += [(f"{w.model}, all prompts", f"{w.count}", f"{w.mean:.0f}", f"{w.scv:.3f}") for w in whole]
    return Outcome(
        published="Nothing is said of how inference times vary; prompts are from AlpacaEval 2.0.",
        how=(
            "The likelihood of Table I is maximised over the mean service time for each of nine SCVs (law gamma, all services "
            "independent); the interval is where it stays within 1.92 of its largest.",
            "Words in answers are counted by us: of Qwen1.5-72B-Chat to the first ten prompts of the set (in the order of the "
            "leaderboard's files), which are those that the published code takes; and bundled counts of four models over all "
            "805 prompts (tatsu-lab/alpaca_eval).",
        ),
        findings=(
            f"Table I asks for little variability: SCV {largest[0]:.2f}, 95 % interval 0 to {end:.2f}.",
            f"Answers over the whole set vary more than that (SCV {min(w.scv for w in whole):.2f} to "
            f"{max(w.scv for w in whole):.2f}), so service in proportion to such lengths would not fit. The answers to the ten "
            f"prompts that were really used do not: SCV {ten.scv:.3f}, inside the interval. They are also longer, "
            f"{ten.mean:.0f} words against {whole[0].mean:.0f}.",
            "Taken at their word, every prompt as long everywhere as its real answer, they explain Table I as well as the best "
            f"constant: log likelihood {real:.1f} against {largest[1]:.1f} for services that do not vary, with one number "
            f"estimated either way ({mean:.1f} s). Independent services with SCV 0.35 have "
            f"{next(v for scv, v, _ in profile(settings) if scv == 0.35):.1f}.",
            f"At {largest[2]:.1f} s for an answer of {ten.mean:.0f} words the machine wrote {speed:.1f} words a second. "
            "Somebody who expects prompts like the whole set should plan with SCV 0.35 and shorter means instead.",
        ),
        not_reproduced=(
            "Later layers and aggregations have answers of their own, whose lengths are not published, and the paper's runs "
            "drew their answers at temperature 0.7; ours are those of the leaderboard.",
        ),
        tables=(Table("Variability of services and of answers", ("", "answers", "words, mean", "SCV"), tuple(rows)),),
        pictures=(
            Picture(
                name="service-variability",
                caption="What Table I says of the variability of services, and how much the lengths of real answers vary.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
