"""A run of a live network, evaluated: what was measured, with intervals, beside theory and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.errors import InputError
from dmoa_theory.live.beside import BesideRow, growth_rows, steady_rows
from dmoa_theory.live.expected import RUNS, Cut, Expected, expected
from dmoa_theory.live.figures import LEVELS, figures_with_intervals, fitting_batches
from dmoa_theory.live.growth import growth_rates
from dmoa_theory.live.measured_system import listed_arrivals, measured_rates, measured_system
from dmoa_theory.live.observed import Observed, Window, observe
from dmoa_theory.live.replayed import Replayed, replay_run
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.run_record import DONE, FAILED, OPEN, REFUSED, UNSENT, RunRecord
from dmoa_theory.model.service import ServiceTime, Stage
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.simulation.output.intervals import Interval
from dmoa_theory.stability.growth.overload import overload

__all__ = ["MOST_OVERRUNS", "MeasuredRun", "evaluate"]

#: Share of padded inferences that may take longer than the time they were to take.
MOST_OVERRUNS = 0.01
#: Prompts below which intervals from batches are hardly honest.
_FEW = 250
_SHOWN = 12
_STAGES = ("first", "later", "aggregate")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class MeasuredRun(Result):
    """Measured: a live network's latency and queues with 95 % intervals, and what theory and simulation say of them.

    Attributes
    ----------
    system : System
        The scenario, at the load of the run.
    record : RunRecord
    observed : Observed
    cut : Cut
        Prompts left out of the figures, at the start and at the end.
    window : Window
    batches : int
        Parts of the run that intervals come from; one, which tells none, where prompts came as in a list.
    figures : dict of str to Interval
        As :func:`dmoa_theory.live.figures.figures` names them.
    grown : ndarray, shape (n,), jobs/s
        By how much every queue grew.
    at_measured : System
        The scenario at the measured service times.
    theory, nominal : LatencyEstimate
        Of that system, and of the scenario itself.
    simulated : Expected
        Simulated runs of the same length at the measured service times.
    replayed : Replayed
        The run itself through ideal queues.
    rows : tuple of BesideRow
        The comparison: of latency and queues, or of growth where a device is offered more than it can do.
    """

    verb: ClassVar[str] = "testbed"

    system: System
    record: RunRecord
    observed: Observed
    cut: Cut
    window: Window
    batches: int
    figures: dict[str, Interval]
    grown: FloatArray
    at_measured: System
    theory: LatencyEstimate
    nominal: LatencyEstimate
    simulated: Expected
    replayed: Replayed
    rows: tuple[BesideRow, ...]

    @property
    def source(self) -> Source:
        """Measured."""
        return Source.MEASURED

    @property
    def stable(self) -> bool:
        """Whether every device was offered less than one second of work a second, at the service times measured."""
        return self.theory.stable

    @property
    def averages(self) -> bool:
        """Whether averages are compared: not where queues grow without end, but a list has one."""
        return self.stable or self.list_name is not None

    @property
    def partial(self) -> bool:
        """Whether the run was interrupted."""
        return bool(self.record.facts.get("partial", False))

    @property
    def list_name(self) -> str | None:
        """Of the list by which prompts were sent; None where their times were drawn."""
        return self.record.facts.get("list")

    @property
    def answered(self) -> int:
        """Prompts answered."""
        return self.record.count(DONE)

    @property
    def kept(self) -> int:
        """Prompts that the figures are of; fewer where some have no answer."""
        return self.window.last - self.window.first

    @property
    def timed(self) -> int:
        """Prompts that latencies are of: those kept that were answered."""
        return int((~np.isnan(self.observed.latency[self.window.first : self.window.last])).sum())

    @property
    def overruns(self) -> float:
        """Share of the inferences that took longer than the time they were to take; 0 where none was given."""
        jobs = self.record.jobs
        timed = ~np.isnan(jobs.target)
        return float(jobs.overran[timed].mean()) if timed.any() else 0.0

    @property
    def sound(self) -> bool:
        """Whether the run is one to rely on: all prompts answered, and hardly an inference beyond its time."""
        padded = self.record.facts.get("mode") == "padded"
        return self.answered == len(self.record.prompts) and not (padded and self.overruns > MOST_OVERRUNS)

    def row(self, quantity: str, of: str = "all prompts") -> BesideRow:
        """A row of the comparison.

        Raises
        ------
        InputError
            When there is none.
        """
        for each in self.rows:
            if (each.quantity, each.of) == (quantity, of):
                return each
        raise InputError("quantity", f"{quantity} of {of}", "a row of the comparison")

    def reasons(self) -> list[str]:
        """Why figures are not to be trusted or prompts are missing, one sentence each."""
        record, found = self.record, []
        if self.partial:
            sent, planned = len(record.prompts), record.facts.get("prompts", len(record.prompts))
            found.append(
                f"interrupted when {self.answered:,} of {sent:,} prompts sent had been answered, of {planned:,} to be sent: "
                "latencies are of these, and simulated runs are stopped at the same moment"
            )
        if not self.stable and self.list_name is not None:
            worst = int(self.theory.utilisation.argmax())
            load = float(self.theory.utilisation[worst])
            found.append(
                f"at its mean rates the list offers {record.names[worst]} {load:.3g} seconds of work a second: theory has no "
                "steady state to compare"
            )
        elif not self.stable:
            worst = int(self.theory.utilisation.argmax())
            load = float(self.theory.utilisation[worst])
            found.append(
                f"unstable: {record.names[worst]} is offered {load:.3g} seconds of work a second at the measured service "
                "times; growth is compared instead of averages"
            )
        for outcome, words in (
            (REFUSED, "refused because a queue was full"),
            (FAILED, "failed"),
            (OPEN, "not answered when the run ended"),
            (UNSENT, "not accepted by their device"),
        ):
            count = record.count(outcome)
            if count:
                found.append(f"{count:,} of {len(record.prompts):,} prompts {'was' if count == 1 else 'were'} {words}")
        found += [f"the node of {record.names[d]} ended during the run" for d in record.facts.get("ended_nodes", [])]
        degraded = int(record.prompts.degraded.sum())
        if degraded:
            found.append(f"{degraded:,} answers are of other devices, or fewer, than were asked")
        late = record.facts.get("late", {}).get("count", 0)
        if late:
            found.append(
                f"{late:,} prompt{' was' if late == 1 else 's were'} sent more than "
                f"{show_seconds(record.facts['late']['more_than'])} late, up to "
                f"{show_seconds(record.facts['late']['largest'])}; latency counts from when each was to be sent"
            )
        if self.overruns > 0 and record.facts.get("mode") == "padded":
            verdict = "too many" if self.overruns > MOST_OVERRUNS else "few enough"
            found.append(f"{show_share(self.overruns)} of the inferences took longer than their padded time: {verdict}")
        if self.list_name is not None:
            found.append(
                f"prompts came as in {self.list_name}: theory and long simulations take Poisson arrivals at the list's rates, "
                "simulated runs as long as this one its very prompts"
            )
        elif self.stable and self.kept < _FEW:
            found.append(
                f"{self.kept:,} prompt{' is' if self.kept == 1 else 's are'} few for intervals from batches: "
                + ("let the run go on for longer" if self.partial else f"--queries {self._enough():,} are enough")
            )
        return found

    def _enough(self) -> int:
        """Prompts to send so that enough are kept, if the same share of them is: in round numbers."""
        return 50 * math.ceil(_FEW * len(self.record.prompts) / self.kept / 50)

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract: those of ``simulate``, and what only a live run has."""
        names = ("mean", "variance", *LEVELS)
        n, active = self.system.n_devices, self.system.rates > 0
        facts, f = self.record.facts, self.figures
        return {
            "configuration": self.system.moa.to_dict(),
            "mode": facts.get("mode"),
            "backend": facts.get("backend"),
            "speed": facts.get("speed", 1.0),
            "stable": self.stable,
            "sound": self.sound,
            "partial": self.partial,
            "queries": self.answered,
            "jobs": len(self.record.jobs),
            "seed": facts.get("seed", 0),
            "replications": 1,
            "warm_up": self.cut.left_out,
            "cut_off": self.cut.cut_off,
            "kept": self.kept,
            "batches": self.batches,
            **{name: f[name].value for name in names},
            "per_stage": self._stages("value"),
            "per_user": [self._user(u, "value") if active[u] else None for u in range(n)],
            "per_device": [self._device(i, "value") | self._counted(i) for i in range(n)],
            "queries_in_flight": f["in_flight"].value,
            "throughput": f["throughput"].value,
            "ci95": {
                **{name: f[name].half_width for name in names},
                "per_stage": self._stages("half_width"),
                "per_user": [self._user(u, "half_width") if active[u] else None for u in range(n)],
                "per_device": [self._device(i, "half_width") for i in range(n)],
                "queries_in_flight": f["in_flight"].half_width,
                "throughput": f["throughput"].half_width,
            },
            "outcomes": self._outcomes(),
            "service": self._service(),
            "comparison": {
                "simulated_runs": self.simulated.runs,
                "rows": [row.to_dict() for row in self.rows],
                "all_within": all(row.within is not False for row in self.rows if row.of == "all prompts"),
            },
            "replay": self.replayed.to_dict(),
            "reasons": self.reasons(),
            "warnings": self.system.warnings(),
        }

    def _outcomes(self) -> dict[str, Any]:
        record = self.record
        late = record.facts.get("late", {})
        return {
            "sent": len(record.prompts) - record.count(UNSENT),
            "answered": self.answered,
            "failed": record.count(FAILED),
            "refused": record.count(REFUSED),
            "open": record.count(OPEN),
            "unsent": record.count(UNSENT),
            "degraded": int(record.prompts.degraded.sum()),
            "sent_late": late.get("count", 0),
            "latest_s": late.get("largest", 0.0),
            "overruns": int(record.jobs.overran.sum()),
            "overrun_share": self.overruns,
            "duplicates": record.facts.get("duplicates", 0),
            "peak_rss_bytes": record.facts.get("peak_rss_bytes"),
        }

    def _service(self) -> list[dict[str, Any]]:
        """Mean service by device and stage: measured, and as the scenario says."""
        measured = self.at_measured.service
        assert isinstance(measured, ServiceTime)
        scenario = self.system.service.for_k(int(self.system.moa.per_user(self.system.n_devices)[1].max()))
        said = np.broadcast_to(scenario.mean, measured.mean.shape)
        jobs = self.record.jobs
        return [
            {
                "inferences": int((jobs.device == d).sum()),
                "measured": dict(zip(_STAGES, measured.mean[d], strict=True)),
                "scv": measured.scv[d, Stage.FIRST],
                "scenario": dict(zip(_STAGES, said[d], strict=True)),
            }
            for d in range(self.system.n_devices)
        ]

    def _stages(self, part: str) -> dict[str, dict[str, float]]:
        columns = {"duration": "mean", "variance": "variance", **{name: name for name in LEVELS}}
        columns |= {"wait": "wait", "sojourn": "sojourn"}
        return {
            stage: {key: getattr(self.figures[f"stage_{name}"], part)[s] for key, name in columns.items()}
            for s, stage in enumerate(_STAGES)
        }

    def _user(self, u: int, part: str) -> dict[str, Any]:
        found = {name: getattr(self.figures[f"user_{name}"], part)[u] for name in ("mean", "variance", *LEVELS)}
        return {**found, "per_stage": dict(zip(_STAGES, getattr(self.figures["user_stage_mean"], part)[u], strict=True))}

    def _device(self, i: int, part: str) -> dict[str, Any]:
        columns = {
            "utilisation": "utilisation",
            "mean_wait": "wait_mean",
            "mean_waiting": "waiting_mean",
            "mean_in_system": "jobs_mean",
            "job_rate": "job_rate",
        }
        return {key: getattr(self.figures[name], part)[i] for key, name in columns.items()}

    def _counted(self, i: int) -> dict[str, Any]:
        return {"largest": int(self.observed.in_system.largest()[i]), "growth_rate": self.grown[i]}

    def table(self) -> Table:
        """Latency and queues, or growth: measured, simulated, predicted."""
        overall = [row for row in self.rows if row.of in {"all prompts", "all devices"}]
        devices = [row for row in self.rows if row.of not in {"all prompts", "all devices"}]
        if self.averages:
            devices = [row for row in devices if row.quantity in {"utilisation", "mean in system"}]
        left_out = f" ({_SHOWN} of {len(devices)} rows by device)" if len(devices) > 2 * _SHOWN else ""
        if left_out:
            devices = devices[:_SHOWN]
        of = f"{self.timed:,} prompts" if self.averages else f"{len(self.record.prompts):,} prompts, all that came"
        marked = "; ! is outside of what such runs show" if any(row.within is False for row in self.rows) else ""
        return Table(
            f"measured ({of}) beside simulation and theory with {self.system.moa.label}{left_out}{marked}",
            (
                "figure" if self.averages else "jobs gained a second",
                *("measured", "simulated", "95 % of such runs", "off simulated"),
                *(("theory", "scenario") if self.averages else ("fluid limit", "scenario")),
            ),
            tuple(row.cells() for row in [*overall, *devices]),
        )

    def service_table(self) -> Table:
        """Mean service by device: measured, and as the scenario says."""
        rows = []
        for d, each in enumerate(self._service()[:_SHOWN]):
            cells = [self.record.names[d], f"{each['inferences']:,}"]
            for place, stage in enumerate(_STAGES):
                ran = ((self.record.jobs.device == d) & (self.record.jobs.kind == place)).any()
                cells += [show_seconds(each["measured"][stage]) if ran else "-", show_seconds(each["scenario"][stage])]
            rows.append((*cells, show_number(each["scv"])))
        heads = ("device", "inferences", "first", "scenario", "later", "scenario", "aggregate", "scenario", "SCV")
        n = self.system.n_devices
        some = f" ({_SHOWN} of {n:,} devices)" if n > _SHOWN else ""
        return Table(f"mean service, measured and in the scenario{some}", heads, tuple(rows))

    def records(self) -> list[dict[str, Any]]:
        """One row a figure of the comparison."""
        return [{**row.to_dict(), "range95": f"{row.lower} {row.upper}"} for row in self.rows]


def evaluate(
    record: RunRecord, system: System, *, seed: int = 0, runs: int = RUNS, progress: Callable[[float], None] | None = None
) -> MeasuredRun:
    """Measured, with intervals from batches: a recorded run beside simulation and theory at its own service times.

    Parameters
    ----------
    record : RunRecord
    system : System
        The scenario at the load of the run.
    seed, runs : int
        Of the simulated runs.
    progress : callable, optional
        Told the share of the simulated runs that are in.

    Returns
    -------
    MeasuredRun
        Above the stability region its rows compare growth.

    Raises
    ------
    InputError
        When the run holds no inference, or is of another network.

    Notes
    -----
    The simulated runs are as long as the live one, start from empty queues like it, and are cut like it: nothing depends on
    how long a warm-up is. Where prompts came as in a list, the simulated runs have the same prompts at the same times. The
    theory's figures are those of the steady state with Poisson arrivals.
    """
    at_measured = measured_system(system, record)
    observed, n_prompts = observe(record), len(record.prompts)
    listed = listed_arrivals(record)
    stopped_after = _stop(record) if record.facts.get("partial") else math.inf
    simulated = expected(
        at_measured, n_prompts, arrivals=listed, stopped_after=stopped_after, seed=seed, runs=runs, progress=progress
    )
    theory, nominal = latency(at_measured), latency(system)
    averages = theory.stable or listed is not None
    cut = simulated.cut if averages else Cut(left_out=0, cut_off=0)
    window = observed.window(cut.left_out, cut.cut_off)
    batches = 1 if listed is not None else fitting_batches(window.last - window.first)
    measured = figures_with_intervals(observed, window, batches)
    grown = growth_rates(observed)
    if math.isfinite(stopped_after):
        grown = np.full_like(grown, np.nan)  # jobs that were never done are in no record
    if averages:
        rows = tuple(steady_rows(record.names, measured, simulated, theory, nominal))
    else:
        rates = measured_rates(record)
        came = at_measured.with_rates(rates) if rates.any() else at_measured
        bounded = record.count(REFUSED) > 0 or math.isfinite(stopped_after)
        rows = tuple(growth_rows(record.names, grown, simulated, overload(came), overload(system), bounded=bounded))
    return MeasuredRun(
        system=system,
        record=record,
        observed=observed,
        cut=cut,
        window=window,
        batches=batches,
        figures=measured,
        grown=grown,
        at_measured=at_measured,
        theory=theory,
        nominal=nominal,
        simulated=simulated,
        replayed=replay_run(record, system),
        rows=rows,
    )


def _stop(record: RunRecord) -> float:
    """Seconds from when the last prompt was to be sent to the last thing that an interrupted run tells of."""
    told = [record.prompts.sent, record.prompts.answered, record.jobs.ended]
    latest = max(float(np.nanmax(times)) for times in told if times.size and not np.isnan(times).all())
    return max(0.0, latest - float(record.prompts.intended[-1]))
