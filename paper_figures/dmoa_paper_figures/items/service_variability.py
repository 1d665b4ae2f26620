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
from dmoa_theory.plots.style import BLUE, GREEN, GREY, ORANGE, house_style, new_axes
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def _draw(settings: Settings) -> Axes:
    with house_style():
        axes = new_axes(6.4, 3.8)
        scv, value, _ = np.array(profile(settings)).T
        axes.plot(scv, value - value.max(), color=BLUE, marker="o", markersize=4, zorder=3)
        real = by_prompt(settings)[1] - value.max()
        axes.plot(first_prompts().scv, real, color=ORANGE, marker="D", markersize=6, linestyle="none", zorder=5)
        axes.annotate(
            "every prompt as long as its real answer", (first_prompts().scv, real), xytext=(7, 3), textcoords="offset points",
            fontsize=7.5, color=ORANGE, va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
        )  # fmt: skip
        axes.axhline(-_DROP, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate("95 % interval", (1.0, -_DROP), xytext=(0, 4), textcoords="offset points", ha="right", fontsize=8)
        marks = [(first_prompts().scv, "answers to the ten prompts, Qwen1.5-72B", ORANGE)]
        marks += [(lengths.scv, f"805 prompts, {lengths.model}", GREEN) for lengths in of_the_set()]
        low = float((value - value.max()).min()) - 1
        heights = low + np.array([0.10, 0.22, 0.34, 0.46, 0.58]) * (0 - low)
        for (x, text, colour), height in zip(marks, heights, strict=True):
            axes.axvline(x, color=colour, linewidth=1.3, zorder=2)
            axes.annotate(
                text, (x, height), xytext=(4, 0), textcoords="offset points", fontsize=7.5, color=colour, va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8},
            )  # fmt: skip
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(low, max(0.0, real) + 0.7)
        axes.set_xlabel("SCV of service times")
        axes.set_ylabel("log likelihood of Table I, less its largest")
        grid_lines(axes.yaxis)
        heading(axes, "How variable were the services?", "curve: what Table I says; vertical lines: words in real answers")
        return axes


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
