"""What chance decides in a run of the published experiment, for many runs at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmoa_paper_figures.published import ARRIVAL_RATE, DEVICES, PROMPTS
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage

__all__ = ["Draws", "draw_runs"]

_N = len(DEVICES)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Draws:
    """Arrivals, devices and the luck of every inference; the times that inferences take are not part of it.

    Attributes
    ----------
    M, k : int
    arrival : ndarray, shape (runs, 10), s
        Rising.
    device : ndarray of int, shape (runs, 10, jobs)
        Layer by layer, in each the own device first; the aggregation last.
    luck : ndarray, shape (runs, 10, jobs)
        Uniform on (0, 1): the quantile of each service time.
    loads : ndarray of bool, shape (runs, 10, jobs)
        Jobs for which the published code loads a model first (:func:`loading_jobs`).
    stage : ndarray of int, shape (jobs,)
        Column of :class:`dmoa_theory.model.service.Stage`.
    """

    M: int
    k: int
    arrival: FloatArray
    device: npt.NDArray[np.int64]
    luck: FloatArray
    loads: npt.NDArray[np.bool_]
    stage: npt.NDArray[np.int64]

    @property
    def runs(self) -> int:
        """How many runs."""
        return int(self.arrival.shape[0])


def draw_runs(M: int, k: int, runs: int, random: np.random.Generator) -> Draws:
    """Exact: runs as the published code draws them.

    Parameters
    ----------
    M, k : int
    runs : int
    random : Generator

    Notes
    -----
    One Poisson stream of prompts at 1/s; each prompt's user is uniform among four; in every layer the own device and ``k``
    of the other three, uniformly without replacement; then the aggregation at home. M = 0 is one inference at home.

    Examples
    --------
    >>> draws = draw_runs(2, 1, 5, np.random.default_rng(1))
    >>> draws.device.shape, draws.stage.tolist()
    ((5, 10, 5), [0, 0, 1, 1, 2])
    """
    arrival = np.cumsum(random.exponential(1 / ARRIVAL_RATE, (runs, PROMPTS)), axis=1)
    user = random.integers(_N, size=(runs, PROMPTS))
    others = np.argsort(random.random((runs, PROMPTS, M, _N - 1)), axis=-1)[..., :k]  # which of the other three
    asked = others + (others >= user[..., None, None])
    own = np.broadcast_to(user[..., None, None], (runs, PROMPTS, M, 1))
    layers = np.concatenate([own, asked], axis=-1).reshape(runs, PROMPTS, M * (k + 1))
    device = np.concatenate([layers, user[..., None]], axis=-1)
    stage = np.array([Stage.FIRST] * (k + 1) * min(M, 1) + [Stage.LATER] * (k + 1) * max(M - 1, 0) + [Stage.AGGREGATE])
    if M == 0:
        stage[:] = Stage.FIRST
    layer = np.append(np.repeat(np.arange(M), k + 1), M)
    return Draws(
        M=M,
        k=k,
        arrival=arrival,
        device=device,
        luck=random.random(device.shape),
        loads=loading_jobs(device, layer),
        stage=stage.astype(np.int64),
    )


def loading_jobs(device: npt.NDArray[np.int64], layer: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Exact: the jobs whose timing includes loading a model, where every device has a model of its own.

    The published code times all inferences of a layer one after another, device by device and within a device prompt by
    prompt, on one machine that holds one model at a time; it loads within what it times. So the first job of a (layer,
    device) is a loading job, unless that device's model served last; device 0's is there at the start.

    Parameters
    ----------
    device : ndarray of int, shape (runs, prompts, jobs)
    layer : ndarray of int, shape (jobs,)
        Rising: 0 up to M, the aggregation.
    """
    runs, prompts, jobs = device.shape
    query = np.arange(prompts)[None, :, None]
    place = ((layer[None, None, :] * _N + device) * prompts + query).reshape(runs, -1)
    order = np.argsort(place, axis=1, kind="stable")
    served = np.take_along_axis(device.reshape(runs, -1), order, axis=1)
    before = np.concatenate([np.zeros((runs, 1), dtype=served.dtype), served[:, :-1]], axis=1)
    loading = np.zeros(served.shape, dtype=bool)
    np.put_along_axis(loading, order, served != before, axis=1)
    return loading.reshape(runs, prompts, jobs)
