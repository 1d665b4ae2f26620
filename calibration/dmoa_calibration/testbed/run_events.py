"""From the events of all nodes to the tables of a run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_theory.model.run_record import JobTable, PromptTable, StageTable

__all__ = ["RunTables", "prompt_table", "read_events", "tables_of"]

_KINDS = {"first": 0, "later": 1, "aggregate": 2}
_NEVER = float("nan")

Event = Mapping[str, Any]


@dataclass(slots=True)
class RunTables:
    """The tables of a run, and what was seen beside."""

    stages: StageTable
    jobs: JobTable
    accepted: dict[int, float] = field(default_factory=dict)
    ended: dict[int, float] = field(default_factory=dict)
    degraded: set[int] = field(default_factory=set)
    duplicates: int = 0
    failed_jobs: int = 0
    refusals: dict[str, int] = field(default_factory=dict)


def read_events(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The events of several nodes in order of time; half-written lines, which a killed node may leave, are passed over."""
    found = [event for path in paths for event in _events(path)]
    return sorted(found, key=lambda event: event["mono"])


def _events(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("mono"), float) and "event" in event:
            yield event


def tables_of(events: Iterable[Event], place_of: Mapping[str, int], devices: Sequence[str], zero: float) -> RunTables:
    """Stages and inferences of the prompts of a run.

    Parameters
    ----------
    events : iterable of mapping
        In order of time.
    place_of : mapping from str to int
        Row of every prompt by its name; events of other prompts are passed over.
    devices : sequence of str
        Names of the nodes, in order of the devices.
    zero : float
        Time of the nodes' clock that is the zero of the run, s.

    Notes
    -----
    An inference that was done again, after a restart say, counts once, as done last, and is counted as a duplicate.
    """
    number = {name: d for d, name in enumerate(devices)}
    stages: dict[tuple[int, int], list[float]] = {}
    jobs: dict[str, dict[str, float]] = {}
    queued: dict[str, float] = {}
    back: dict[str, float] = {}
    beside: dict[str, Any] = {"accepted": {}, "ended": {}, "degraded": set(), "refusals": {}}
    duplicates = failed = 0
    for event in events:
        what, at = event["event"], event["mono"] - zero
        if what == "refused":
            kind = str(event.get("what"))
            beside["refusals"][kind] = beside["refusals"].get(kind, 0) + 1
        prompt = place_of.get(str(event.get("query")))
        if prompt is None:
            continue
        if what == "query_arrived":
            beside["accepted"].setdefault(prompt, at)
        elif what == "query_ended":
            beside["ended"][prompt] = at
            if event.get("degraded"):
                beside["degraded"].add(prompt)
        elif what == "stage_started":
            # a stage that a restart began afresh keeps the time of its first fork
            stages.setdefault((prompt, event["stage"]), [float(event["quorum"]), at, _NEVER])
        elif what == "stage_ended":
            if (prompt, event["stage"]) in stages:
                stages[prompt, event["stage"]][2] = at
        elif what == "job_queued":
            queued[event["job"]] = at
        elif what == "response":
            back.setdefault(event["job"], at)
        elif what == "job_ended" and event["device"] in number:
            if not event["ok"]:
                failed += 1
                continue
            duplicates += event["job"] in jobs
            jobs[event["job"]] = {
                "prompt": prompt,
                "stage": event["stage"],
                "device": number[event["device"]],
                "kind": _KINDS[event["kind"]],
                "started": event["started"] - zero,
                "ended": at,
                "target": _NEVER if event.get("target_s") is None else event["target_s"],
                "overran": bool(event.get("overran")),
            }
    for name, job in jobs.items():
        job["reached"] = min(queued.get(name, job["started"]), job["started"])
        job["back"] = back.get(name, _NEVER)
    return RunTables(
        stages=_stage_table(stages), jobs=_job_table(list(jobs.values())), duplicates=duplicates, failed_jobs=failed, **beside
    )


def _stage_table(stages: dict[tuple[int, int], list[float]]) -> StageTable:
    keys = sorted(stages)
    values = np.array([stages[key] for key in keys], dtype=np.float64).reshape(len(keys), 3)
    names = np.array(keys, dtype=np.int64).reshape(len(keys), 2)
    return StageTable(
        prompt=names[:, 0], stage=names[:, 1], quorum=values[:, 0].astype(np.int64), forked=values[:, 1], joined=values[:, 2]
    )


def _job_table(jobs: list[dict[str, float]]) -> JobTable:
    jobs = sorted(jobs, key=lambda job: (job["prompt"], job["stage"], job["started"]))
    kinds = {"prompt": np.int64, "stage": np.int64, "device": np.int64, "kind": np.int64, "overran": np.bool_}
    names = ("prompt", "stage", "device", "kind", "reached", "started", "ended", "back", "target", "overran")
    columns: dict[str, Any] = {name: np.array([job[name] for job in jobs], dtype=kinds.get(name, np.float64)) for name in names}
    return JobTable(**columns)


def prompt_table(tables: RunTables, user: Any, intended: Any, sent: Any, answered: Any, outcome: Any) -> PromptTable:
    """The prompts of a run: what the driver saw, and when their devices accepted and answered them."""
    n = len(intended)
    accepted, ended = (np.array([times.get(q, _NEVER) for q in range(n)]) for times in (tables.accepted, tables.ended))
    return PromptTable(
        user=user,
        intended=intended,
        sent=sent,
        accepted=accepted,
        ended=ended,
        answered=answered,
        outcome=outcome,
        degraded=np.array([q in tables.degraded for q in range(n)], dtype=np.bool_),
    )
