"""Fig. 2: the system model, as a moment of a simulated run shows it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.drawing.parts import USERS, arrow, blank, device, label, message, queue
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, ServiceTime, System, build_topology
from dmoa_theory.plots.style import INK, house_style
from dmoa_theory.simulation.kernel.recorded_run import record_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.simulation.traces.trajectory import Trajectory

__all__ = ["Moment", "draw", "moment_of", "reproduce", "run"]

_USERS, _SLOTS, _SEED = 5, 4, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is where at one time of a run.

    Attributes
    ----------
    waiting : tuple of tuple of int
        By device, the users whose jobs wait there, the next to be served first.
    served : tuple of int or None
        By device, the user whose job is being served.
    """

    waiting: tuple[tuple[int, ...], ...]
    served: tuple[int | None, ...]

    @property
    def jobs(self) -> int:
        """Waiting and in service."""
        return sum(map(len, self.waiting)) + sum(user is not None for user in self.served)


@cache
def run() -> Trajectory:
    """Five users on a complete network with M = 2, k = 2, at three quarters of the largest load; 400 prompts."""
    load = 0.75
    system = System(
        network=build_topology("complete", n=_USERS),
        arrival_rate=load / MoA(2, 2).inferences(),
        service=ServiceTime.gamma(1.0, 0.25),
        moa=MoA(2, 2),
    )
    return record_run(system, queries=400, seed=_SEED)


def moment_of(trajectory: Trajectory, time: float) -> Moment:
    """Exact: what is where at a time.

    Parameters
    ----------
    trajectory : Trajectory
    time : float, s
    """
    trace = trajectory.trace
    user = trace.user[trace.stage_query[trace.job_stage]]
    waiting, served = [], []
    for d in range(trace.n_devices):
        here = trace.device == d
        there = np.flatnonzero(here & (trajectory.reached <= time) & (time < trajectory.start))
        waiting.append(tuple(user[there[np.argsort(trajectory.start[there])]].tolist()))
        now = np.flatnonzero(here & (trajectory.start <= time) & (time < trajectory.end))
        served.append(int(user[now[0]]) if now.size else None)
    return Moment(waiting=tuple(waiting), served=tuple(served))


@cache
def _telling() -> float:
    """The time at which most devices are busy while no buffer overflows the drawing."""
    trajectory = run()
    times = trajectory.trace.arrival[100:] + 1e-6
    moments = [moment_of(trajectory, float(time)) for time in times]
    fits = [m.jobs if max(map(len, m.waiting)) <= _SLOTS else -1 for m in moments]
    return float(times[int(np.argmax(fits))])


def draw() -> Figure:
    """Devices on a ring, their buffers outside, and who is working for whom as arrows."""
    moment = moment_of(run(), _telling())
    axes = blank(8.0, 5.9, (-4.6, 4.6, -3.75, 3.2))
    angles = np.pi / 2 + 2 * np.pi * np.arange(_USERS) / _USERS
    places = [(1.75 * np.cos(a), 1.75 * np.sin(a) - 0.1) for a in angles]
    with house_style():
        for d, (colour, place, angle) in enumerate(zip(USERS, places, angles, strict=False)):
            out = np.array([np.cos(angle), np.sin(angle)])
            device(axes, place, colour=colour, size=0.95)
            x, y = place[0] + (1.55 if abs(out[0]) > 0.9 else 0.6) * out[0], place[1] + 1.0 * out[1]
            head = (x + 0.55, y - (0.12 if out[1] < 0 else 0))
            queue(axes, head, [USERS[u] for u in moment.waiting[d]], slots=_SLOTS)
            above = 1 if out[1] > 0 else -1
            label(axes, (x + 0.02, head[1] + 0.36 * above), f"user {d + 1}, device {d + 1}", size=8.5, colour=colour, bold=True)
            owner = moment.served[d]
            if owner is not None and owner != d:
                _work(axes, places[owner], place, USERS[owner])
        _legend(axes)
        return axes.figure.canvas.figure


def _work(axes, owner, helper, colour) -> None:  # type: ignore[no-untyped-def]
    """A prompt on its way to the helper, and the response's way back."""
    owner, helper = np.array(owner), np.array(helper)
    along = (helper - owner) / np.linalg.norm(helper - owner)
    side = 0.1 * np.array([-along[1], along[0]])
    first, last = owner + 0.58 * along, helper - 0.58 * along
    arrow(axes, tuple(first + side), tuple(last + side), colour=colour, z=1)
    arrow(axes, tuple(last - side), tuple(first - side), colour=colour, dashed=True, z=1)


def _legend(axes) -> None:  # type: ignore[no-untyped-def]
    y = -3.16
    message(axes, (-3.95, y), colour=INK)
    label(axes, (-3.72, y), "prompt, in the colour of its user", size=8, ha="left")
    arrow(axes, (-0.45, y), (0.05, y), colour=INK)
    label(axes, (0.15, y), "prompt to a neighbour", size=8, ha="left")
    arrow(axes, (2.55, y), (2.05, y), colour=INK, dashed=True)
    label(axes, (2.65, y), "response", size=8, ha="left")
    queue(axes, (-3.92, y - 0.42), [INK], slots=1, size=0.24)
    label(axes, (-3.72, y - 0.42), "buffer of a device, the next to be served at the right", size=8, ha="left")
    label(axes, (0.9, y - 0.42), "a moment of a simulated run: M = 2, k = 2", size=8, ha="left", colour="#555555")


def reproduce(settings: Settings) -> Outcome:
    """The drawing, from a simulated run.

    Parameters
    ----------
    settings : Settings
    """
    trajectory, time = run(), _telling()
    moment = moment_of(trajectory, time)
    counted = int(trajectory.in_system.counts([time]).sum())
    return Outcome(
        published="Fig. 2 shows five users, each with a device and a prompt buffer, and arrows of prompts and responses.",
        how=(
            "Five users on a complete network with M = 2, k = 2 are simulated exactly at load 0.75 (gamma service, SCV 0.25); "
            f"the drawing is the state after {time:.1f} mean services of the run of seed {_SEED}, chosen because all that "
            "waits fits the buffers drawn. A prompt in a buffer is a job that waits; an arrow leads to each device that serves "
            "somebody else's job.",
        ),
        findings=(f"{moment.jobs} jobs are in the system at that moment, {sum(map(len, moment.waiting))} of them waiting.",),
        not_reproduced=("The original artwork, whose buffers show no particular state.",),
        checks=(
            Check(
                quantity="jobs drawn",
                unit="",
                expected=counted,
                reproduced=moment.jobs,
                ci95=None,
                against="the simulator's own count of that moment",
            ),
        ),
        pictures=(
            Picture(
                name="figure-2",
                caption="A moment of a simulated run: who waits in whose buffer, and which devices work for others.",
                draw=draw,
            ),
        ),
    )
