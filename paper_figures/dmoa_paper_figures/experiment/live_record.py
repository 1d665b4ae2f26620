"""Recorded runs of the live network with real engines, and the profiles that say beforehand how long an inference takes."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.live.run_system import recorded_scenario, sped_up
from dmoa_theory.model.profile import Profile, read_profile, write_profile
from dmoa_theory.model.run_record import RunRecord, read_run, write_run
from dmoa_theory.model.service import MeasuredServiceTime
from dmoa_theory.whole_files import write_whole

if TYPE_CHECKING:
    from dmoa_theory.model.checks import FloatArray
    from dmoa_theory.model.system import System

__all__ = ["LiveRecord", "at_work", "keep", "read_live"]

#: Decimals of the times kept: a microsecond.
_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveRecord:
    """What was predicted from, and what came.

    Attributes
    ----------
    profile : Profile
        Measured beforehand, with one engine.
    system : System
        The scenario, its service times those of the profile, at the speed and rates of the run.
    record : RunRecord
        The run.
    read, written : ndarray, shape (n_jobs,), tokens
        Of every inference, in the order of the record.
    """

    profile: Profile
    system: System
    record: RunRecord
    read: FloatArray
    written: FloatArray

    @property
    def foreseen(self) -> FloatArray:
        """Approximation: seconds of every inference by the profile, from its tokens; shape (n_jobs,)."""
        return np.asarray(self.profile.fit.seconds(self.read, self.written))


@cache
def read_live(name: str) -> LiveRecord:
    """One of the bundled runs; ``made_by`` in its ``run.json`` says how it was made.

    Parameters
    ----------
    name : {"padded", "real"}
        Inferences padded to the seconds of the profile, or in their own time.
    """
    folder = Path(str(resources.files("dmoa_paper_figures").joinpath("data/live", name)))
    record = read_run(folder)
    rows = list(csv.DictReader((folder / "tokens.csv").read_text(encoding="utf-8").splitlines()))
    read, written = (np.array([float(row[column]) for row in rows]) for column in ("read", "written"))
    scenario = recorded_scenario(folder, record)
    assert isinstance(scenario.service, MeasuredServiceTime)
    system = sped_up(scenario, float(record.facts["speed"])).with_rates(record.facts["rates"])
    return LiveRecord(profile=scenario.service.profiles[0], system=system, record=record, read=read, written=written)


def at_work(record: RunRecord) -> FloatArray:
    """Exact: devices at work during each inference, itself included, on average over its service; shape (n_jobs,).

    Parameters
    ----------
    record : RunRecord

    Examples
    --------
    >>> from dmoa_theory.live.examples import small_run
    >>> at_work(small_run()).round(3).tolist()
    [1.95, 1.475, 1.0, 1.95, 1.475, 1.0]
    """
    start, end = record.jobs.started, record.jobs.ended
    shared = np.minimum(end[:, None], end) - np.maximum(start[:, None], start)
    return np.asarray(np.maximum(shared, 0.0).sum(axis=1) / (end - start))


def keep(run: Path, target: Path, made_by: list[str], profile: Path | None = None) -> None:
    """Reduce a folder that ``dmoa testbed --out`` wrote to what is bundled: times to the microsecond, tokens, the scenario.

    Parameters
    ----------
    run, target : Path
        The run's folder, and a folder that is there.
    made_by : list of str
        The commands that made them.
    profile : Path, optional
        The profile that the scenario names, where that is none of the bundled ones.
    """
    record = read_run(run)
    tables: dict[str, Any] = {name: _rounded(getattr(record, name)) for name in ("prompts", "stages", "jobs")}
    write_run(replace(record, **tables, facts={"made_by": made_by, **record.facts}), target)
    counted = {}
    for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["event"] == "job_ended" and event["ok"]:
            place = int(event["query"][1:]), event["stage"], record.names.index(event["device"])
            counted[place] = event["prompt_tokens"], event["output_tokens"]
    jobs = record.jobs
    rows = [counted[place] for place in zip(jobs.prompt.tolist(), jobs.stage.tolist(), jobs.device.tolist(), strict=True)]
    write_whole(target / "tokens.csv", "".join(f"{read},{written}\n" for read, written in [("read", "written"), *rows]))
    write_whole(target / "scenario.toml", (run / "scenario.toml").read_text(encoding="utf-8"))
    if profile is not None:
        write_profile(target / "profile.json", read_profile(profile).document)


def _rounded(table: Any) -> Any:
    """A table with its times rounded."""
    columns = {field.name: getattr(table, field.name) for field in fields(table)}
    return replace(table, **{name: np.round(values, _DECIMALS) for name, values in columns.items() if values.dtype.kind == "f"})


if __name__ == "__main__":
    _run, _target, _profile, *_made_by = sys.argv[1:]
    keep(Path(_run), Path(_target), _made_by, None if _profile == "-" else Path(_profile))
