"""Bytes that a device keeps for its own user's queries while their layers are out: prompts, and answers that are back.

An answer waits from when it is back until its layer ends. By Little's law the answers of user u's layers hold, on average,
``lambda_u sum_layers sum_j b_j pi_uj (E[layer] - E[T_j])`` bytes, with ``b_j`` the bytes of device j's answer, ``pi_uj`` the
probability that it is asked (1 at home) and ``T_j`` the time until its answer is back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System

__all__ = ["AtHome", "at_home"]

# How much of the congestion's variance shows in the number of queries under way; chosen on 90 simulated systems.
_SHARED = 0.5


@dataclass(frozen=True, slots=True)
class AtHome:
    """What is kept for the own queries, bytes: mean, variance, chance that it is not 0; shape (n,)."""

    mean: FloatArray
    variance: FloatArray
    some: FloatArray

    def while_working(self, idle: AtHome, load: FloatArray) -> AtHome:
        """The same while the device works, a share ``load`` of the time, if it is ``idle`` in the rest."""
        share = np.where((load > 0) & (load < 1), load, 1.0)

        def rest(whole: FloatArray, part: FloatArray) -> FloatArray:
            return np.maximum((whole - (1 - share) * part) / share, 0.0)

        mean = rest(self.mean, idle.mean)
        squared = rest(self.variance + self.mean**2, idle.variance + idle.mean**2)
        return AtHome(mean=mean, variance=np.maximum(squared - mean**2, 0.0), some=np.minimum(rest(self.some, idle.some), 1.0))


def at_home(
    system: System, waits: FloatArray, wait_variance: FloatArray, user_latency: FloatArray, stage_mean: FloatArray | None
) -> tuple[AtHome, AtHome]:
    """Approximation: what each device keeps for its own user's queries, over all time and while it is idle.

    While a device is idle the own job of every layer that is out is done; of those layers there are on average
    ``lambda_u sum_layers (E[layer] - E[T_u])``.

    Parameters
    ----------
    system : System
        With a footprint.
    waits : ndarray, shape (n, 3), seconds
        Mean wait of the jobs of each stage at each device.
    wait_variance : ndarray, shape (n,), s^2
    user_latency : ndarray, shape (n,), seconds
    stage_mean : ndarray, shape (n, 3), seconds, or None
        See :func:`dmoa_theory.delay.memory.device_memory`.
    """
    assert system.footprint is not None
    n = system.n_devices
    prompts, answers, layers_out, own_out, spread, most, some = (np.zeros(n) for _ in range(7))
    inclusion = system.inclusion()
    asked = system.network.matrix(inclusion)
    for group in system.groups():
        if group.M == 0:
            continue
        rows, k = group.rows, group.k
        service = np.broadcast_to(system.service.for_k(k).mean, (n, len(Stage)))
        footprint = system.footprint.for_k(k)
        answer = np.broadcast_to(footprint.response_bytes, (n,))
        prompt = np.broadcast_to(footprint.prompt_bytes, (n, len(Stage)))
        bytes_asked = answer + asked @ answer
        repeats = {Stage.FIRST: 1, Stage.LATER: group.M - 1}
        sojourn, held_by = {}, {}
        for stage in repeats:
            there = waits[:, stage] + service[:, stage]
            trip = system.network.matrix(inclusion * system.round_trip(stage, k)) if system.has_delay else None
            sojourn[stage] = there + asked @ there + (0.0 if trip is None else trip @ np.ones(n))
            held_by[stage] = answer * there + asked @ (answer * there) + (0.0 if trip is None else trip @ answer)
        aggregate = waits[:, Stage.AGGREGATE] + service[:, Stage.AGGREGATE]
        left = np.maximum(np.nan_to_num(user_latency, nan=0.0, posinf=0.0) - aggregate, 0.0)
        total = sum(times * sojourn[stage] for stage, times in repeats.items())
        for stage, times in repeats.items():
            duration = left * sojourn[stage] / total if stage_mean is None else np.nan_to_num(stage_mean[:, stage], posinf=0.0)
            out = (system.rates * times * duration)[rows]
            layers_out[rows] += out
            own_out[rows] += np.minimum(
                system.rates * times * (waits[:, stage] + service[:, stage]), system.rates * times * duration
            )[rows]
            prompts[rows] += out * prompt[rows, stage]
            if group.quorum == k + 1:
                waiting = np.maximum(duration * bytes_asked - held_by[stage], 0.0)
            else:
                waiting = duration * bytes_asked * _share_waiting(k + 1, group.quorum)
            answers[rows] += (system.rates * times * waiting)[rows]
        most[rows] = (bytes_asked * k / (k + 1))[rows]
        spread[rows] = (group.M**2 * (wait_variance + asked @ wait_variance) / (k + 1))[rows]
        some[rows] = _share_of_time(k + 1)
    shared = system.rates**2 * spread
    part = 1 - np.divide(own_out, layers_out, out=np.ones(n), where=layers_out > 0)
    everywhen = _moments(prompts, answers, layers_out, shared, most, some)
    return everywhen, _moments(part * prompts, part * answers, part * layers_out, part**2 * shared, most, some)


def _moments(
    prompts: FloatArray, answers: FloatArray, out: FloatArray, shared: FloatArray, most: FloatArray, some: FloatArray
) -> AtHome:
    """From mean bytes of prompts and answers, and the number of layers out, to mean, variance and chance of anything."""
    n = out.size
    each = np.divide(prompts + answers, out, out=np.zeros(n), where=out > 0)
    answers_each = np.divide(answers, out, out=np.zeros(n), where=out > 0)
    count_variance = out + _SHARED * shared
    variance = out * np.maximum(answers_each * (most - answers_each), 0.0) + count_variance * each**2
    holding = np.where(prompts > 0, out, np.where(answers > 0, out * some, 0.0))
    part = np.divide(holding, out, out=np.zeros(n), where=out > 0)
    squared = holding + _SHARED * shared * part**2 + holding**2
    chance = np.divide(2 * holding**2, holding + squared, out=np.zeros(n), where=holding > 0)
    return AtHome(mean=prompts + answers, variance=variance, some=np.minimum(chance, 1.0))


def _share_waiting(jobs: int, quorum: int) -> float:
    """Of independent exponential jobs: mean number of answers that wait during a layer, as a share of the jobs."""
    done_at = np.cumsum(1 / np.arange(jobs, jobs - quorum, -1))
    return float((done_at[-1] - done_at).sum() / done_at[-1] / jobs)


def _share_of_time(jobs: int) -> float:
    """Of independent exponential jobs: the share of the layer in which at least one answer waits."""
    return 1 - 1 / (jobs * float((1 / np.arange(1, jobs + 1)).sum()))
