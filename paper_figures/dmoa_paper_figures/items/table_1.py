"""Table I: the same model on every device."""

from __future__ import annotations

from dmoa_paper_figures.drawing.tables import draw_table
from dmoa_paper_figures.experiment.lengths import first_prompts
from dmoa_paper_figures.experiment.rows import fit_of, root_mean_square, rows_of
from dmoa_paper_figures.outcome import Check, Outcome, Picture
from dmoa_paper_figures.published import ARRIVAL_RATE, PROMPTS
from dmoa_paper_figures.reproduction import rows_table
from dmoa_paper_figures.settings import Settings
from dmoa_theory import MoA, ServiceTime, System, build_topology, simulate_burst

__all__ = ["EXPERIMENT", "checked_against_simulator", "reproduce"]

EXPERIMENT = (
    f"The published experiment is simulated exactly: {PROMPTS} prompts, one Poisson stream of {ARRIVAL_RATE:g} prompt/s, users "
    "uniform among four devices, k of the other three drawn anew in every layer, and the two metrics of the published code, "
    "which the simulation follows job by job."
)


def checked_against_simulator(settings: Settings) -> tuple[Check, ...]:
    """The same figures by dmoa's own simulator, which shares no code with the replay used for the fits.

    Parameters
    ----------
    settings : Settings
    """
    fit, rows, found = fit_of("I", settings), rows_of("I", settings), []
    for M, k in ((1, 1), (2, 3)):
        system = System(
            network=build_topology("complete", n=4),
            arrival_rate=ARRIVAL_RATE / 4,
            service=ServiceTime.gamma(fit.times.mean[0], fit.scv),
            moa=MoA(M, k),
        )
        runs = simulate_burst(system, prompts=PROMPTS, replications=settings.table_runs // 10, seed=settings.seed).whole()
        assert runs.published is not None
        for row in rows:
            if (row.M, row.k) == (M, k):
                mine = runs.published.latency if row.quantity == "latency" else runs.published.average_queue_size
                found.append(
                    Check(
                        quantity=f"{row.quantity}, M={M}, k={k}, by simulate_burst",
                        unit="s" if row.quantity == "latency" else "queries",
                        expected=row.reproduced,
                        reproduced=float(mine.value),
                        ci95=float(mine.half_width),
                        against="the replay used here, with random numbers of its own",
                    )
                )
    return tuple(found)


def reproduce(settings: Settings) -> Outcome:
    """Fit of one number, and all fourteen figures.

    Parameters
    ----------
    settings : Settings
    """
    fit, rows = fit_of("I", settings), rows_of("I", settings)
    alpha, factor = float(fit.values[0]), float(fit.factors[0])
    outside = [r for r in rows if not 0.025 <= r.share_below <= 0.975]
    strays = ", ".join(f"{r.quantity} at M={r.M}, k={r.k} ({100 * r.share_below:.1f} % of runs lie below it)" for r in outside)
    words = first_prompts()
    return Outcome(
        published="Accuracy, mean latency and average queue size of seven (M, k), Qwen1.5-72B on every device, one run of ten "
        "prompts each.",
        how=(
            EXPERIMENT,
            f"One number is estimated from the table: the mean time of an inference, alpha = {alpha:.1f} s (95 % interval "
            f"{alpha / factor:.1f} to {alpha * factor:.1f} s), the same at every device and stage. The SCV of service times is "
            f"not estimated but that of real answers: {words.scv:.3f}, of the words Qwen1.5-72B-Chat answers to the ten "
            "prompts that the published code takes; law gamma.",
            "Estimation is by simulated likelihood: each published pair of latency and queue size is one draw, its logarithms "
            "normal with the simulated mean and covariance. Predictions of a row use the other six rows only.",
        ),
        findings=(
            f"Latency is reproduced to {100 * root_mean_square(rows, 'latency', predicted=False):.1f} % (root mean square of "
            f"seven rows; left out, {100 * root_mean_square(rows, 'latency', predicted=True):.1f} %), queue size to "
            f"{100 * root_mean_square(rows, 'queue', predicted=False):.0f} % "
            f"({100 * root_mean_square(rows, 'queue', predicted=True):.0f} %).",
            "What remains is chance: every published figure is a single run, which strays by the standard deviations shown. "
            f"In all, the distance of the fourteen figures from the fit is such that chance exceeds it in "
            f"{100 * fit.chance:.0f} of 100 tables.",
            f"Outside the middle 95 % of simulated runs: {strays}."
            if outside
            else "No figure lies outside the middle 95 % of runs.",
        ),
        not_reproduced=(
            "Accuracy: it needs the four large models, the prompts and a paid judge. It is quoted with its standard error of "
            "about 13 points in the item trade-off.",
            "The very runs behind the table: their arrivals, choices and timings are not published.",
        ),
        tables=(rows_table(rows, "Table I: published and reproduced"),),
        rows=rows,
        checks=checked_against_simulator(settings),
        pictures=(
            Picture(
                name="table-1",
                caption="Table I: published figures, and what runs of the same experiment yield with one estimated number.",
                draw=lambda: draw_table("I", rows, settings),
            ),
        ),
    )
