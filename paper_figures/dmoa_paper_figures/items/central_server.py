"""The premise of Fig. 1 in numbers: a central server with the devices' compute, against the devices themselves."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dmoa_paper_figures.items.transient import stable_system
from dmoa_paper_figures.outcome import Outcome, Picture
from dmoa_paper_figures.settings import Settings
from dmoa_theory import against_central
from dmoa_theory.plots.scales import grid_lines
from dmoa_theory.plots.style import BLUE, GREEN, ORANGE, house_style, new_figure
from dmoa_theory.plots.text import heading
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dmoa_theory.whatif.central import CentralComparison, LoadCurves

__all__ = ["compared", "reproduce"]

_SHOWN, _LOAD = ((1, 1), (2, 3)), 0.5


@cache
def compared(settings: Settings) -> tuple[CentralComparison, ...]:
    """The devices of Table I at load one half, beside centres of the same total compute.

    Parameters
    ----------
    settings : Settings
    """
    return tuple(against_central(stable_system(M, k, _LOAD, settings)) for M, k in _SHOWN)


@cache
def _curves(settings: Settings) -> tuple[LoadCurves, ...]:
    return tuple(result.over_load(8 if settings.quick else 20) for result in compared(settings))


def _draw(settings: Settings) -> Figure:
    with house_style():
        figure = new_figure(8.4, 3.6)
        for axes, (M, k), result, curves in zip(
            figure.subplots(1, 2), _SHOWN, compared(settings), _curves(settings), strict=True
        ):
            load = curves.rate / result.largest_rate
            names = ["devices", *(central.label for central in result.centrals)]
            for colour, name, mean, p95 in zip((BLUE, ORANGE, GREEN), names, curves.mean, curves.p95, strict=False):
                known = np.isfinite(mean) & (load < 0.95)
                axes.plot(load[known], mean[known], color=colour, label=name)
                axes.plot(load[known], p95[known], color=colour, linewidth=1.0, linestyle=(0, (3, 2)))
            axes.set_xlim(0, 1)
            axes.set_ylim(bottom=0, top=4 * float(np.interp(0.5, load, curves.mean[0])))
            axes.set_xlabel("load of the devices")
            axes.set_ylabel("latency (s)")
            axes.legend(loc="upper left")
            grid_lines(axes.yaxis)
            heading(axes, f"M={M}, k={k}", "mean, and dashed the 95th percentile")
        return figure


def reproduce(settings: Settings) -> Outcome:
    """Latency of the devices and of centres with the same compute.

    Parameters
    ----------
    settings : Settings
    """
    rows, findings = [], []
    for (M, k), result in zip(_SHOWN, compared(settings), strict=True):
        rows.append((f"M={M}, k={k}: devices", f"{result.estimate.mean:.0f} s", f"{result.estimate.p95:.0f} s"))
        rows += [
            (f"M={M}, k={k}: {central.label}", f"{central.mean:.0f} s", f"{central.quantile(0.95):.0f} s")
            for central in result.centrals
        ]
        best = min(result.centrals, key=lambda c: c.mean)
        findings.append(
            f"M={M}, k={k} at load {_LOAD:g}: {result.estimate.mean:.0f} s on the devices, {best.mean:.0f} s at the better "
            f"centre ({best.label})."
        )
    return Outcome(
        published="Fig. 1 and the introduction: a central server is a single point of failure at the end of long, error-prone "
        "links.",
        how=(
            "Devices and service times of Table I at load 0.5 of Theorem 1, beside a centre of the same total compute: four "
            "servers of a device's speed, or one four times as fast, each working through a query's inferences. The link to "
            "the centre takes no time here. Means and percentiles are approximations (dmoa latency, and a queue with several "
            "servers).",
        ),
        findings=(
            *findings,
            "So with equal compute and no distance a fast centre answers sooner: it runs a query's inferences one after "
            "another at n times the speed, and no queue of it waits while another is idle. What speaks for devices is what the "
            "paper says: the link, the failure of the centre (dmoa whatif has both), and who owns the compute.",
        ),
        not_reproduced=("Error rates and costs of links: the paper gives no numbers.",),
        tables=(Table("Latency at load 0.5", ("", "mean", "95th percentile"), tuple(rows)),),
        pictures=(
            Picture(
                name="central-server",
                caption="Latency over load: the four devices, and central servers with the same compute.",
                draw=lambda: _draw(settings),
            ),
        ),
    )
