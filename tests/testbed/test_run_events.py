"""From the events of nodes to the tables of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_calibration.testbed.run_events import read_events, tables_of


def _event(what: str, at: float, node: str = "a", query: str = "p000000", **more: Any) -> dict[str, Any]:
    return {"event": what, "node": node, "boot": 1, "mono": at, "wall": at, "query": query, **more}


def _job(device: str, stage: int, queued: float, started: float, ended: float, **more: Any) -> list[dict[str, Any]]:
    name = f"p000000:{stage}:{device}"
    kind = "first" if stage == 0 else "aggregate"
    shared = {"job": name, "stage": stage, "kind": kind, "origin": "a", "device": device}
    done = {"ok": True, "queued": queued, "started": started, "service_s": ended - started, "target_s": 0.5, "overran": False}
    return [
        _event("job_queued", queued, device, **shared, ahead=0),
        _event("job_ended", ended, device, **shared, **done | more),
    ]


def _run() -> list[dict[str, Any]]:
    """One prompt of a, asked of a and b, aggregated at a."""
    events = [
        _event("query_arrived", 100.0, user="a", bytes=5),
        _event("stage_started", 100.1, stage=0, kind="first", quorum=2, asked=["a", "b"], jobs=[]),
        *_job("a", 0, 100.1, 100.2, 100.7),
        *_job("b", 0, 100.3, 100.3, 101.0),
        _event("response", 101.1, job="p000000:0:b", stage=0, device="b", used=True),
        _event("stage_ended", 101.1, stage=0, answered=["a", "b"], missing=0),
        _event("stage_started", 101.1, stage=1, kind="aggregate", quorum=1, asked=["a"], jobs=[]),
        *_job("a", 1, 101.1, 101.1, 101.6),
        _event("stage_ended", 101.6, stage=1, answered=["a"], missing=0),
        _event("query_ended", 101.65, state="done", latency_s=1.65, degraded=False),
    ]
    return sorted(events, key=lambda event: event["mono"])


def test_the_tables_of_a_run() -> None:
    """Times count from the given zero; jobs stand in order of stage and start."""
    found = tables_of(_run(), {"p000000": 0}, ["a", "b"], zero=100.0)
    np.testing.assert_allclose(found.stages.forked, [0.1, 1.1])
    np.testing.assert_allclose(found.stages.joined, [1.1, 1.6])
    assert found.stages.quorum.tolist() == [2, 1]
    assert found.jobs.device.tolist() == [0, 1, 0]
    assert found.jobs.kind.tolist() == [0, 0, 2]
    np.testing.assert_allclose(found.jobs.reached, [0.1, 0.3, 1.1])
    np.testing.assert_allclose(found.jobs.service, [0.5, 0.7, 0.5])
    np.testing.assert_allclose(found.jobs.back, [np.nan, 1.1, np.nan])
    assert found.accepted == {0: 0.0}
    np.testing.assert_allclose(found.ended[0], 1.65)
    assert found.duplicates == 0


def test_prompts_of_others_are_passed_over() -> None:
    """Somebody may use a node of the network beside the run."""
    found = tables_of(_run(), {"p000001": 0}, ["a", "b"], zero=100.0)
    assert (len(found.jobs), len(found.stages), found.accepted) == (0, 0, {})


def test_what_is_done_again_counts_once_and_as_done_last() -> None:
    """After a restart an inference may be done a second time; a failed one is none."""
    again = _job("b", 0, 100.3, 100.9, 101.05)[1]
    failed = _job("a", 0, 100.3, 100.9, 101.06, ok=False)[1]
    events = sorted([*_run(), again, failed, {**_event("refused", 105.0), "what": "query"}], key=lambda event: event["mono"])
    found = tables_of(events, {"p000000": 0}, ["a", "b"], zero=100.0)
    assert (len(found.jobs), found.duplicates, found.failed_jobs) == (3, 1, 1)
    assert np.isclose(found.jobs.ended[found.jobs.device == 1], 1.05).all()
    assert found.refusals == {"query": 1}


def test_half_a_line_is_passed_over(tmp_path: Path) -> None:
    """A killed node leaves one; files that are not there hold nothing; the rest is in order of time."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    run = _run()
    first.write_text("".join(json.dumps(event) + "\n" for event in run[::2]) + '{"event": "job_en')
    second.write_text("[]\n" + "".join(json.dumps(event) + "\n" for event in run[1::2]))
    found = read_events([first, second, tmp_path / "c.jsonl"])
    assert [event["mono"] for event in found] == [event["mono"] for event in run]
    assert all(event in found for event in run)
