"""A scenario's link rate, lived: every message takes its bytes over the rate, as theory and simulation have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmoa_calibration.testbed.config import BackendConfig, checked_config
from dmoa_calibration.testbed.link_times import LinkTimes
from dmoa_calibration.testbed.protocol.messages import GossipMessage, InferenceRequest, InferenceResponse, job_id
from dmoa_calibration.testbed.run_testbed import RunPlan, run_testbed
from dmoa_calibration.testbed.scenario_nodes import node_configs
from dmoa_theory import Footprint, System, latency
from dmoa_theory.errors import InputError
from dmoa_theory.live.replayed import replay_run
from dmoa_theory.live.run_system import sped_up

TRIANGLE = [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
#: Seconds of a prompt of the first layer, of one of a later layer, and of a response, at 1 MB/s.
FIRST, LATER, BACK = 0.10, 0.25, 0.05


@pytest.fixture
def slow_links() -> System:
    """Two layers, two neighbours each; service is short and always the same, and prompts are far between."""
    system = System.from_arrays(TRIANGLE, 0.5, 0.02, M=2, k=2, law="deterministic", link_delay=0.01)
    sizes = Footprint.from_numbers(response_bytes=1e6 * BACK)
    sizes = replace(sizes, prompt_bytes=1e6 * np.array([[FIRST, LATER, LATER]]))
    return replace(system, footprint=sizes, link_rate=1e6)


def test_messages_take_their_bytes_over_the_rate(slow_links: System) -> None:
    """Prompts of either layer and responses; the quickest answer takes what the theory says of empty queues."""
    alone = 3 * 0.02 + (FIRST + LATER + 2 * BACK) + 4 * 0.01  # what a prompt takes that meets no other
    assert latency(slow_links.with_rates(1e-9)).mean == pytest.approx(alone, rel=1e-6)
    for seed in range(1, 21):  # a busy machine takes its time beside
        took, replayed = _quickest(slow_links, seed, alone)
        if took < 2 * alone and replayed < alone + 0.05:
            break
    assert took < 2 * alone  # without the rate it would be a fifth of it, with it on all messages twice more
    assert replayed == pytest.approx(alone, abs=0.05)


def _quickest(slow_links: System, seed: int, alone: float) -> tuple[float, float]:
    """The quickest answers of a run and of its replay, after a look at every message."""
    record = run_testbed(slow_links, RunPlan(mode="paced", prompts=8, seed=seed)).record
    stages, jobs = record.stages, record.jobs
    forked = dict(zip(zip(stages.prompt.tolist(), stages.stage.tolist(), strict=True), stages.forked.tolist(), strict=True))
    since = np.array([forked[key] for key in zip(jobs.prompt.tolist(), jobs.stage.tolist(), strict=True)])
    away = jobs.device != record.prompts.user[jobs.prompt]
    for stage, seconds in ((0, FIRST), (1, LATER)):
        there = (jobs.reached - since)[away & (jobs.stage == stage)]
        assert there.size == 16
        assert (there >= seconds + 0.01).all()
    assert ((jobs.back - jobs.ended)[away] >= BACK + 0.01).all()
    took = record.prompts.answered - record.prompts.intended
    assert took.min() >= alone
    again = replay_run(record, slow_links)
    assert again.overhead > -0.02
    return float(took.min()), float(again.replayed.min())


def test_only_prompts_and_responses_take_time(slow_links: System) -> None:
    """By their kind and the scenario's bytes, whatever their text; gossip goes at once, and so does all without a rate."""
    configs = node_configs(slow_links, Path("run"), mode="paced", ports=[7001, 7002, 7003])
    times = LinkTimes(configs[0])

    def request(kind: str, text: str) -> InferenceRequest:
        known = {"job": job_id("a", "q", 0, "b"), "query": "q", "stage": 0, "origin": "a", "k": 2}
        return InferenceRequest.model_validate({**known, "kind": kind, "prompt": text})

    assert times.seconds(request("first", "")) == pytest.approx(FIRST)
    assert times.seconds(request("later", "x" * 999)) == pytest.approx(LATER)
    answer = InferenceResponse(job=job_id("a", "q", 0, "b"), query="q", stage=0, device="b", text="ä" * 500)
    assert times.seconds(answer) == pytest.approx(BACK)
    assert times.seconds(GossipMessage(sender="a", members=[])) == 0
    real = checked_config(
        configs[0].model_dump()
        | {
            "mode": "real",
            "message_bytes": None,
            "backend": BackendConfig(name="transformers", synthetic="llama-tiny").model_dump(),
        }
    )
    assert LinkTimes(real).seconds(answer) == pytest.approx(1000 / 1e6)  # bytes, not characters
    assert LinkTimes(real).seconds(request("later", "x" * 2000)) == pytest.approx(2000 / 1e6)
    unlimited = node_configs(replace(slow_links, link_rate=None), Path("run"), mode="paced", ports=[7001, 7002, 7003])
    assert LinkTimes(unlimited[0]).seconds(answer) == 0
    assert unlimited[0].link_delay == configs[0].link_delay == {"device-1": 0.01, "device-2": 0.01}


def test_sizes_without_a_rate_are_refused(slow_links: System) -> None:
    """They would say nothing."""
    content = node_configs(slow_links, Path("run"), mode="paced", ports=[7001, 7002, 7003])[0].model_dump()
    with pytest.raises(InputError, match="belongs to a link_rate"):
        checked_config(content | {"link_rate": None})


def test_a_hurried_link_carries_more(slow_links: System) -> None:
    """At ten times the speed all loads stay, and every hop takes a tenth."""
    fast = sped_up(slow_links, 10)
    np.testing.assert_allclose(fast.round_trip(1, 2), slow_links.round_trip(1, 2) / 10)
    assert latency(fast).mean == pytest.approx(latency(slow_links).mean / 10)
