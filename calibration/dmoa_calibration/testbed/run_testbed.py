"""A whole run of a live network on this machine: start it, drive it, stop it, and put its record together."""

from __future__ import annotations

import asyncio
import platform
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dmoa_calibration.hardware import describe_hardware
from dmoa_calibration.testbed.config import BackendConfig, Limits, Timeouts
from dmoa_calibration.testbed.drive import Driven, Snapshot, drive, query_id
from dmoa_calibration.testbed.drive_plan import QUESTIONS, ArrivalPlan, as_listed, plan_arrivals
from dmoa_calibration.testbed.interruptions import Interruptions, interruptions
from dmoa_calibration.testbed.launch import CLIENT_TOKEN, PEER_KEY, LocalNetwork
from dmoa_calibration.testbed.run_events import prompt_table, read_events, tables_of
from dmoa_calibration.testbed.scenario_nodes import device_names, held_ports, node_configs
from dmoa_theory import __version__
from dmoa_theory.errors import InputError
from dmoa_theory.model.arrival_log import FEWEST_PROMPTS, ArrivalLog
from dmoa_theory.model.run_record import DONE, RunRecord
from dmoa_theory.model.system import System

__all__ = ["MODES", "RunPlan", "TestbedRun", "run_testbed"]

MODES = ("paced", "padded", "real")
#: A prompt that is sent later than this, or than a tenth of the shortest mean service, counts as late, s.
LATE = 0.005
#: More nodes than this on one machine are a slip of the keyboard.
MOST_NODES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What to run.

    Parameters
    ----------
    mode : {"paced", "padded", "real"}
        Sleep the scenario's service times; let an LLM answer and sleep up to them; let it answer in its own time.
    backend : BackendConfig or None
        The LLM; None with ``paced``, and only then.
    prompts : int
        How many are sent.
    arrivals : ArrivalLog, optional
        Send ``prompts`` as listed, instead of as a Poisson process.
    seed : int
        Of arrivals, choices and service times.
    texts : tuple of str
        What is sent, in turn; empty for questions of our own.
    max_output_tokens, exact_output
        How long answers are; exact ones are needed from random weights, which never end by themselves.
    limits, timeouts : optional
        Of every node.
    patience : float, s
        How long to wait after the last prompt while nothing is answered.
    """

    mode: Literal["paced", "padded", "real"]
    backend: BackendConfig | None = None
    prompts: int
    arrivals: ArrivalLog | None = None
    seed: int = 0
    texts: tuple[str, ...] = ()
    max_output_tokens: int = 16
    exact_output: bool = False
    limits: Limits | None = None
    timeouts: Timeouts | None = None
    patience: float = 60.0

    def __post_init__(self) -> None:
        """Check what does not depend on the scenario."""
        if self.mode not in MODES:
            raise InputError("mode", self.mode, f"one of {', '.join(MODES)}")
        if self.prompts < 1:
            raise InputError("queries", self.prompts, "a whole number, 1 or more")
        if self.arrivals is not None and self.prompts != self.arrivals.prompts:
            raise InputError("queries", self.prompts, f"{self.arrivals.prompts}, as in the list")
        if (self.backend is None) != (self.mode == "paced"):
            given = InputError.MISSING if self.backend is None else self.backend.name
            raise InputError("backend", given, "an LLM with modes padded and real, paced with mode paced")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedRun:
    """What came of a run.

    Attributes
    ----------
    record : RunRecord
    answers : dict of int to str
        By prompt; empty unless they were asked for.
    events : list of dict
        Of all nodes, in order of time.
    resident : list
        Moments (s), and bytes of every node's process then.
    """

    __test__ = False  # no test, whatever its name

    record: RunRecord
    answers: dict[int, str]
    events: list[dict[str, Any]]
    resident: list[tuple[float, tuple[int | None, ...]]]


def run_testbed(
    system: System,
    plan: RunPlan,
    *,
    answers: bool = False,
    watch: Callable[[Snapshot], None] | None = None,
    opened: Callable[[str], None] | None = None,
) -> TestbedRun:
    """Measured: run the scenario on this machine, one process a device, until every prompt is answered.

    Ctrl-C or SIGTERM ends it and keeps what was answered; a second one, or one before anything was sent, ends it with nothing.
    Whatever happens, no process and no temporary folder stays behind; signals that come while these go are only counted.

    Parameters
    ----------
    system : System
    plan : RunPlan
    answers : bool
        Keep the texts of the answers.
    watch : callable, optional
        Told of the network twice a second.
    opened : callable, optional
        Told the address of the first device's page, with the token of this run in it, as soon as all nodes are there.

    Raises
    ------
    InputError
        When the scenario has more devices than a machine can play, or the backend does not suit it.
    CalibrationError
        When a node does not start.
    KeyboardInterrupt
        When interrupted twice, or with nothing answered.
    """
    if system.n_devices > MOST_NODES:
        raise InputError("network", f"{system.n_devices} devices", f"at most {MOST_NODES}: each is a process on this machine")
    if plan.arrivals is not None and plan.arrivals.n_devices != system.n_devices:
        raise InputError("arrivals", f"{plan.arrivals.n_devices} devices", f"{system.n_devices}, as in the scenario")
    run: TestbedRun | None = None
    with interruptions() as heard, held_ports(system.n_devices) as ports:
        place = Path(tempfile.mkdtemp(prefix="dmoa-testbed-"))
        try:
            run = asyncio.run(_run(system, plan, place, ports, answers, watch, opened, heard))
        except asyncio.CancelledError:
            if not heard.count:
                raise
        finally:
            shutil.rmtree(place, ignore_errors=True)
    if run is None or heard.count > int(run.record.facts["partial"]):
        raise KeyboardInterrupt
    return run


async def _run(
    system: System,
    plan: RunPlan,
    place: Path,
    ports: list[int],
    answers: bool,
    watch: Callable[[Snapshot], None] | None,
    opened: Callable[[str], None] | None,
    heard: Interruptions,
) -> TestbedRun | None:
    """The run; None where an interruption left nothing to report."""
    optional: dict[str, Any] = {
        name: section.model_dump()
        for name, section in (("backend", plan.backend), ("limits", plan.limits), ("timeouts", plan.timeouts))
        if section is not None
    }
    configs = node_configs(
        system,
        place,
        mode=plan.mode,
        ports=ports,
        seed=plan.seed,
        max_output_tokens=plan.max_output_tokens,
        exact_output=plan.exact_output,
        peer_key={"env": PEER_KEY},
        client_token={"env": CLIENT_TOKEN},
        **optional,
    )
    arrivals = plan_arrivals(system, plan.prompts, plan.seed) if plan.arrivals is None else as_listed(plan.arrivals)
    started = datetime.now(UTC)
    stop, task = asyncio.Event(), asyncio.current_task()
    assert task is not None
    heard.answer_with(task.cancel)
    if heard.count:  # before there was a loop to tell
        return None
    try:
        async with LocalNetwork(configs, place) as network:
            engine = await network.nodes[0].client.status()
            heard.answer_with(stop.set, task.cancel)
            if opened is not None:
                opened(network.page())
            try:
                driven = await drive(
                    network, arrivals, plan.texts or QUESTIONS, stop=stop, patience=plan.patience, texts=answers, watch=watch
                )
            finally:
                heard.answer_with()  # nodes are ended in peace
            gone = [place for place, node in enumerate(network.nodes) if not node.running]
    finally:
        heard.answer_with()
    events = read_events(config.data_dir / "events.jsonl" for config in configs)
    if driven.stopped and not _tells(driven, plan):
        return None
    facts = {"created": started.isoformat(timespec="seconds"), "engine": engine.get("engine"), "ended_nodes": gone}
    record = _record(system, plan, arrivals, driven, events, facts)
    return TestbedRun(record=record, answers=driven.texts, events=_shifted(events, driven.zero), resident=driven.resident)


def _tells(driven: Driven, plan: RunPlan) -> bool:
    """Whether an interrupted run got far enough to be evaluated: an answer, and of a list so many prompts that it has rates."""
    if plan.arrivals is None:
        return bool((driven.outcome == DONE).any())
    sent = driven.plan.time[~np.isnan(driven.sent)]
    return bool((driven.outcome == DONE).any()) and sent.size >= FEWEST_PROMPTS and bool(sent[-1] > sent[0])


def _record(
    system: System,
    plan: RunPlan,
    arrivals: ArrivalPlan,
    driven: Driven,
    events: Sequence[dict[str, Any]],
    facts: dict[str, Any],
) -> RunRecord:
    """Put driver and nodes together; of an interrupted run the prompts that were sent."""
    sent = int((~np.isnan(driven.sent)).sum()) if driven.stopped else plan.prompts
    tables = tables_of(events, {query_id(q): q for q in range(sent)}, device_names(system), driven.zero)
    M, k, quorum = system.moa.per_user(system.n_devices)
    late_after = max(LATE, 0.1 * _shortest(system))
    lateness = driven.sent[:sent] - arrivals.time[:sent]
    late = lateness[~np.isnan(lateness) & (lateness > late_after)]
    peak = [max((each for each in now if each is not None), default=0) for _, now in driven.resident]
    facts = {
        "dmoa": __version__,
        **facts,
        "title": system.title,
        "mode": plan.mode,
        "backend": None if plan.backend is None else plan.backend.name,
        "model": None if plan.backend is None else plan.backend.synthetic or plan.backend.model,
        "seed": plan.seed,
        "prompts": plan.prompts,
        "partial": driven.stopped,
        "list": None if plan.arrivals is None else plan.arrivals.label,
        "rates": (system if plan.arrivals is None else plan.arrivals).rates.tolist(),
        "moa": {"layers": M.tolist(), "k": k.tolist(), "quorum": quorum.tolist()},
        "late": {"count": int(late.size), "more_than": late_after, "largest": float(late.max(initial=0.0))},
        "duplicates": tables.duplicates,
        "failed_jobs": tables.failed_jobs,
        "refusals": tables.refusals,
        "peak_rss_bytes": max(peak, default=None),
        "hardware": describe_hardware() | {"python": platform.python_version()},
    }
    prompts = prompt_table(
        tables, arrivals.user[:sent], arrivals.time[:sent], driven.sent[:sent], driven.answered[:sent], driven.outcome[:sent]
    )
    names = tuple(system.network.name(d) for d in range(system.n_devices))
    return RunRecord(names=names, prompts=prompts, stages=tables.stages, jobs=tables.jobs, facts=facts)


def _shortest(system: System) -> float:
    return min(float(system.service.for_k(group.k).mean.min()) for group in system.groups())


def _shifted(events: Sequence[dict[str, Any]], zero: float) -> list[dict[str, Any]]:
    """The events with the time since the start of the run before all else."""
    return [{"time": round(event["mono"] - zero, 6), **event} for event in events]
