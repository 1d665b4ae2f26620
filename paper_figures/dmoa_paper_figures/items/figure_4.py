"""Fig. 4: one device with its queue, its model, and where its responses go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.drawing.parts import USERS, arrow, blank, box, chip, label, message, queue
from dmoa_paper_figures.items.figure_2 import run
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory.plots.style import INK, house_style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.model.checks import IntArray

__all__ = ["draw", "reproduce", "sources"]

_DEVICE, _SHOWN = 0, 6


def sources(device: int = _DEVICE) -> IntArray:
    """Exact: the users of the jobs that a device serves in the run of Fig. 2, in order of service."""
    trajectory = run()
    trace = trajectory.trace
    jobs = np.flatnonzero(trace.device == device)
    jobs = jobs[np.argsort(trajectory.start[jobs], kind="stable")]
    return trace.user[trace.stage_query[trace.job_stage[jobs]]]


def draw() -> Figure:
    """Prompts in, the queue, the model, responses out, and the way back of concatenated prompts."""
    axes = blank(8.6, 3.9, (-4.9, 4.95, -2.35, 1.75))
    users = sources()[200 : 200 + _SHOWN].tolist()
    own = USERS[_DEVICE]
    with house_style():
        box(axes, (0.45, 0), 5.9, 2.3, face="#FAFAFA", edge=own, line=2.0)
        label(axes, (0.45, 1.42), "device 1", size=10.5, colour=own, bold=True)
        queue(axes, (0.62, 0), [USERS[u] for u in users], slots=_SHOWN, size=0.42, texts=[str(u + 1) for u in users])
        label(axes, (-0.55, -0.52), "queue, first come first served", size=8.5)
        arrow(axes, (0.98, 0), (1.62, 0), colour=INK, z=4)
        chip(axes, (2.1, 0), 0.8, edge=own)
        label(axes, (2.1, -0.75), "one inference\nat a time: α seconds", size=8.5)
        message(axes, (-4.35, 0.62), colour=own, size=0.36, text="1")
        label(axes, (-4.35, 1.08), "own user:\nλ prompts/s", size=8.5, colour=own)
        arrow(axes, (-4.1, 0.62), (-2.0, 0.08), colour=own, z=4)
        for place, user in enumerate((1, 2, 3, 4)):
            y = -0.35 - 0.42 * place
            message(axes, (-4.35, y), colour=USERS[user], size=0.36, text=str(user + 1))
            arrow(axes, (-4.1, y), (-2.0, -0.08), colour=USERS[user], width=1.0, z=4)
        label(axes, (-4.3, -2.1), "neighbours: kλ prompts/s a layer", size=8.5, ha="left")
        arrow(axes, (2.65, 0), (3.95, 0.62), colour=INK, z=4)
        message(axes, (4.25, 0.66), colour=USERS[2], response=True, size=0.36, text="3")
        label(axes, (4.2, 1.12), "responses\nto neighbours", size=8.5)
        arrow(axes, (2.65, -0.1), (3.95, -0.62), colour=own, z=4)
        message(axes, (4.25, -0.66), colour=own, response=True, size=0.36, text="1")
        label(axes, (4.2, -1.12), "answer to the\nown user", size=8.5, colour=own)
        axes.plot([4.25, 4.25], [-1.45, -1.75], color=own, linewidth=1.3)
        axes.plot([4.25, -2.2], [-1.75, -1.75], color=own, linewidth=1.3)
        arrow(axes, (-2.2, -1.75), (-2.2, -0.12), colour=own, z=4)
        label(axes, (1.1, -1.98), "next layer: prompt and responses, concatenated", size=8.5, colour=own)
        return axes.figure.canvas.figure


def reproduce(settings: Settings) -> Outcome:
    """The drawing, and the shares of own and foreign jobs of the device drawn.

    Parameters
    ----------
    settings : Settings
    """
    own = sources() == _DEVICE
    share, error = float(own.mean()), float(own.std() / np.sqrt(own.size))
    return Outcome(
        published="Fig. 4 shows one device: a queue of its own user's prompts and of neighbours', the model behind it, "
        "responses that go back, and concatenated prompts that come again.",
        how=("The queue drawn holds the jobs that device 1 serves one after another in the run of Fig. 2, by their users.",),
        findings=(
            f"Of the jobs that the device serves in that run {100 * share:.0f} % are its own user's; in the mean over all runs "
            f"(M + 1) / ((k + 1) M + 1) = {100 * 3 / 7:.0f} % are.",
        ),
        not_reproduced=("The original artwork.",),
        checks=(
            Check(
                quantity="share of own jobs at a device, M=2, k=2",
                unit="",
                expected=3 / 7,
                reproduced=share,
                ci95=1.96 * error,
                against="visits of Theorem 1's proof",
            ),
        ),
        pictures=(
            Picture(
                name="figure-4",
                caption="One device: prompts of its own user and of neighbours wait in one queue for one model; responses go "
                "back, and concatenated prompts return as the next layer.",
                draw=draw,
            ),
        ),
    )
