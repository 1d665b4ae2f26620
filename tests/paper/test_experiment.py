"""The published experiment, many runs at once: its draws, its replay, the loading of models, the service times."""

from __future__ import annotations

import numpy as np
import pytest

from dmoa_paper_figures.experiment.draws import Draws, draw_runs
from dmoa_paper_figures.experiment.service import ServiceTimes, run_all, standard_times
from dmoa_paper_figures.published import configurations
from dmoa_theory.model.service import Stage
from dmoa_theory.simulation.traces.published_metrics import published_metrics
from dmoa_theory.simulation.traces.reference import run_reference
from dmoa_theory.simulation.traces.trace import Trace

TIMES = ServiceTimes(mean=(40.0, 50.0, 60.0, 70.0), scv=0.5, multiplier=(1.0, 1.3, 0.7), load=(100.0, 30.0, 200.0, 50.0))


def _services(draws: Draws, times: ServiceTimes) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    mean, load, multiplier = np.array(times.mean), np.array(times.load), np.array(times.multiplier)
    standard = standard_times(draws.luck, times.scv)
    return standard * mean[draws.device] * multiplier[draws.stage] + load[draws.device] * draws.loads


def _trace(draws: Draws, service: np.ndarray[tuple[int, ...], np.dtype[np.float64]], run: int) -> Trace:
    sizes = [draws.k + 1] * draws.M + [1]
    queries = draws.arrival.shape[1]
    return Trace(
        n_devices=4,
        arrival=draws.arrival[run],
        user=draws.device[run, :, -1],
        stage_start=np.arange(queries + 1) * (draws.M + 1),
        job_start=np.concatenate(([0], np.cumsum(sizes * queries))),
        device=draws.device[run].ravel(),
        service=service[run].ravel(),
    )


@pytest.mark.parametrize(("M", "k"), configurations())
def test_the_replay_is_that_of_the_published_code(M: int, k: int) -> None:
    """Latencies to the last bit, the queue figure and the time average to rounding, against the plain implementations."""
    draws = draw_runs(M, k, 4, np.random.default_rng(7))
    figures, service = run_all(draws, TIMES), _services(draws, TIMES)
    for run in range(draws.runs):
        trace = _trace(draws, service, run)
        published, trajectory = published_metrics(trace), run_reference(trace)
        assert published.query_latency.tolist() == figures.stay[run].tolist()
        assert published.latency == pytest.approx(figures.latency[run], rel=1e-14)
        assert published.average_queue_size == pytest.approx(figures.queue[run], rel=1e-12)
        usual = trajectory.waiting.time_average(float(trajectory.end.max())).mean()
        assert usual == pytest.approx(figures.waiting[run], rel=1e-12)


def test_draws_are_those_of_the_experiment() -> None:
    """Users uniform, k distinct others each as likely, arrivals one a second, the aggregation at home."""
    draws = draw_runs(2, 2, 3000, np.random.default_rng(1))
    first, own = draws.device[:, :, :3], draws.device[:, :, -1]
    assert (first[:, :, 0] == own).all()
    assert (np.sort(draws.device[:, :, 3:6], axis=2)[:, :, 1:] > np.sort(draws.device[:, :, 3:6], axis=2)[:, :, :-1]).all()
    count = own.size
    for d in range(4):
        assert abs((own == d).mean() - 1 / 4) < 4 * np.sqrt(3 / 16 / count)
    asked = (first[:, :, 1:] == (own[..., None] + 1) % 4).any(axis=2).mean()
    assert abs(asked - 2 / 3) < 4 * np.sqrt(2 / 9 / count)
    gaps = np.diff(draws.arrival, axis=1, prepend=0.0)
    assert abs(gaps.mean() - 1) < 4 / np.sqrt(count)
    assert draws.stage.tolist() == [Stage.FIRST] * 3 + [Stage.LATER] * 3 + [Stage.AGGREGATE]
    assert draw_runs(0, 0, 1, np.random.default_rng(1)).stage.tolist() == [Stage.FIRST]


@pytest.mark.parametrize(("M", "k"), [(0, 0), (1, 2), (2, 1)])
def test_loading_follows_one_machine_with_one_model_in_memory(M: int, k: int) -> None:
    """Layer by layer, device by device, prompt by prompt: a job loads when another model served last; device 0's is there."""
    draws = draw_runs(M, k, 20, np.random.default_rng(5))
    layer = np.append(np.repeat(np.arange(M), k + 1), M)
    for run in range(draws.runs):
        loaded = np.zeros(draws.loads.shape[1:], dtype=bool)
        memory = 0
        for stage in range(M + 1):
            for d in range(4):
                for query in range(10):
                    for job in np.flatnonzero(layer == stage):
                        if draws.device[run, query, job] == d:
                            loaded[query, job] = memory != d
                            memory = d
        assert (loaded == draws.loads[run]).all()


@pytest.mark.parametrize("scv", [0.0, 0.05, 0.25, 1.0])
def test_standard_times_have_mean_one_and_their_scv(scv: float) -> None:
    luck = (np.arange(200_000) + 0.5) / 200_000
    times = standard_times(luck, scv)
    assert times.mean() == pytest.approx(1, abs=2e-4)
    assert times.var() == pytest.approx(scv, rel=0.01, abs=1e-9)
    assert (np.diff(times) >= 0).all()


def test_longer_services_take_longer() -> None:
    """Twice the mean of every service takes nearly twice as long: only the arrivals stay."""
    draws = draw_runs(1, 1, 200, np.random.default_rng(2))
    short, long = (run_all(draws, ServiceTimes(mean=(mean,) * 4, scv=0.1)) for mean in (50.0, 100.0))
    assert (long.latency > short.latency).all()
    assert (long.latency / short.latency).mean() == pytest.approx(2, abs=0.1)
