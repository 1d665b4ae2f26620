"""The fluid model of a system, integrated: how the work of a burst drains, in the limit of long bursts.

``E_uq(t)`` counts the queries of user ``u`` that entered stage ``q`` by ``t``. A job that reaches device ``i`` at ``x`` leaves
at ``psi_i(x) = x + W_i(x)``, and a layer that asks the set ``A`` ends when a quorum of ``A`` and ``u`` has; so

    E_u0(t) = lambda_u t,    E_u(q+1)(t) = E_A[ E_uq(r-th largest of psi_i^-1(t), i in A and u) ],

and ``W_j`` gains the work of those who enter, and loses a second a second while it is positive. Steps of one length; errors are
of the order of the step. Memory grows with users, layers and steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.growth.joins import Joins, all_joins
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.stability.proofs.work_shares import work_paths

__all__ = ["FluidPath", "FluidStart", "fluid_starts", "integrate"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FluidStart:
    """Where the fluid model begins.

    Attributes
    ----------
    name : str
    work : ndarray, shape (n,), s
        At the devices, of jobs that no query waits for.
    entering : ndarray, shape (n, M + 1), queries/s
        Who enters each stage, beside those from the stage before, until time 1.
    """

    name: str
    work: FloatArray
    entering: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FluidPath:
    """What became of a start.

    Attributes
    ----------
    start : FluidStart
    time : ndarray, shape (steps,)
    work : ndarray, shape (steps, n)
        At every device.
    under_way : ndarray, shape (steps, n, M)
        Queries of each user in each layer.
    size : float
        The most work that the start brings to a device, that of its queries' later stages included.
    drained : float
        From when on no device held more than a twentieth of that; infinite if it did to the end.
    """

    start: FluidStart
    time: FloatArray
    work: FloatArray
    under_way: FloatArray
    size: float
    drained: float


class _Stages:
    """The users' stages, what they bring to the devices, and the layers that lead from one to the next."""

    def __init__(self, system: System) -> None:
        n = self.n = system.n_devices
        M, k, _ = system.moa.per_user(n)
        self.layers: IntArray = np.where(system.rates > 0, M, 0)
        self.most = int(self.layers.max())
        self.joins: list[Joins] = list(all_joins(system))
        self._visits = system.network.matrix(system.inclusion()).T.tocsr()
        self._means = [(k == each, np.broadcast_to(system.service.for_k(each).mean, (n, 3))) for each in np.unique(k).tolist()]

    def brought(self, stage: int, entered: FloatArray) -> FloatArray:
        """Work for every device of users' queries that enter a stage; shape (n,)."""
        total = np.zeros(self.n)
        column = Stage.FIRST if stage == 0 else Stage.LATER
        for members, mean in self._means:
            ours = np.where(members, entered, 0.0)
            asking = np.where(stage < self.layers, ours, 0.0)
            total += mean[:, column] * (asking + self._visits @ asking)
            alone = Stage.FIRST if stage == 0 else Stage.AGGREGATE
            total += mean[:, alone] * np.where(stage == self.layers, ours, 0.0)
        return total


def fluid_starts(system: System) -> list[FluidStart]:
    """Starts that are unlike each other: all work at the busiest device, work everywhere, in late layers, a burst of prompts.

    Parameters
    ----------
    system : System
    """
    n, rates, load = system.n_devices, system.rates, utilisation(system)
    M, _, _ = system.moa.per_user(n)
    layers = np.where(rates > 0, M, 0)
    stages = int(layers.max()) + 1
    nobody = np.zeros((n, stages))
    one = (np.arange(n) == load.argmax()).astype(np.float64)
    late = nobody.copy()
    late[np.arange(n), np.maximum(layers - 1, 0)] = rates * layers
    burst = nobody.copy()
    burst[:, 0] = 9 * rates
    return [
        FluidStart(name="all work at the busiest device", work=one, entering=nobody),
        FluidStart(name="as much work at every device", work=(load > 0).astype(np.float64), entering=nobody),
        FluidStart(name="queries in their last layer behind the busiest device", work=one, entering=late),
        FluidStart(name="ten times the prompts for a while", work=np.zeros(n), entering=burst),
    ]


def integrate(
    system: System,
    start: FluidStart,
    *,
    step: float = 0.02,
    longest: float = 200.0,
) -> FluidPath:
    """Approximation (to the order of the step): the fluid model from a start until it has drained.

    Parameters
    ----------
    system : System
    start : FluidStart
    step : float
        In units of the start's size.
    longest : float
        Where it ends at the latest, in the same units.

    Examples
    --------
    One device at load one half: two seconds for every second of work.

    >>> from dmoa_theory import System
    >>> from dmoa_theory.stability.proofs.fluid import fluid_starts, integrate
    >>> alone = System.from_arrays([[0]], 0.5, 1.0, M=0, k=0)
    >>> path = integrate(alone, fluid_starts(alone)[0])
    >>> bool(abs(path.drained - 1.9) < 0.05)
    True
    """
    stages, n = _Stages(system), system.n_devices
    size = _size(system, start)
    dt = step * size
    steps = int(longest / step)
    room = 256
    entered = np.zeros((stages.most + 1, n, room))
    leave, work = np.empty((room, n)), np.empty((room, n))
    work[0] = start.work
    leave[0] = start.work
    place = np.zeros(n, dtype=np.int64)  # the last step whose job has left
    rows = np.arange(n)
    quiet = 0
    for m in range(1, steps + 1):
        if m == room:
            room *= 2
            entered = np.concatenate((entered, np.zeros_like(entered)), axis=2)
            leave, work = (np.concatenate((each, np.empty_like(each))) for each in (leave, work))
        now = m * dt
        head = _head_of_line(leave, place, m, now, dt, work[m - 1], rows)
        extra = start.entering * min(now, 1.0)
        entered[0, :, m] = system.rates * now + extra[:, 0]
        for q in range(1, stages.most + 1):
            entered[q, :, m] = extra[:, q] + _joined(stages, entered[q - 1], head / dt, m, q)
        arrived = sum((stages.brought(q, entered[q, :, m] - entered[q, :, m - 1]) for q in range(stages.most + 1)), np.zeros(n))
        work[m] = np.maximum(work[m - 1] + arrived - dt, 0.0)
        leave[m] = np.maximum(now + work[m], leave[m - 1])
        quiet = quiet + 1 if work[m].max() <= size / 20 and now > 1.0 else 0
        if quiet * dt > 2 * size:
            break
    time = np.arange(m + 1) * np.float64(dt)
    layers = entered[:, :, : m + 1]
    ended = layers[1:] - start.entering.T[1:, :, None] * np.minimum(time, 1.0)
    return FluidPath(
        start=start,
        time=time,
        work=work[: m + 1].copy(),
        under_way=(layers[:-1] - ended).transpose(2, 1, 0).copy(),
        size=size,
        drained=(m - quiet) * dt if quiet else float("inf"),
    )


def _size(system: System, start: FluidStart) -> float:
    """The most work that a start brings to a device."""
    paths = work_paths(system)
    total = start.work.copy()
    with np.errstate(invalid="ignore"):
        per_query = 1 / np.where(system.rates > 0, system.rates, np.inf)[paths.user]
    for q in range(start.entering.shape[1]):
        stays = paths.layers >= q
        ahead = np.where(stays, np.maximum(paths.layers - max(q, 1), 0) * paths.later + paths.home, 0.0)
        ahead += paths.first if q == 0 else 0.0
        total += paths.by_device(start.entering[paths.user, q] * per_query * ahead)
    return float(total.max())


def _head_of_line(
    leave: FloatArray, place: IntArray, m: int, now: float, dt: float, waiting: FloatArray, rows: IntArray
) -> FloatArray:
    """``psi_i^-1(now)``: when the job at the head of each line arrived, interpolated; -1 where it was there at the start."""
    while True:
        onward = (place < m - 1) & (leave[np.minimum(place + 1, m - 1), rows] <= now)
        if not onward.any():
            break
        place[onward] += 1
    before = leave[place, rows]
    after = leave[np.minimum(place + 1, m - 1), rows]
    part = np.clip((now - before) / np.where(after > before, after - before, 1.0), 0.0, 1.0)
    inside = (place + part) * dt
    latest = now - np.minimum(waiting, dt)  # the line is shorter than a step
    head = np.where(place == m - 1, latest, inside)
    return np.asarray(np.where(before > now, -1.0, head))


def _joined(stages: _Stages, entered: FloatArray, head: FloatArray, m: int, q: int) -> FloatArray:
    """Queries that have entered stage ``q`` from the layer before; shape (n,). Positions are in steps."""
    total = np.zeros(head.size)
    for joins in stages.joins:
        if stages.layers[joins.users[0]] < q:
            continue
        history = entered[joins.users]

        def entered_by(minus_position: FloatArray, history: FloatArray = history) -> FloatArray:
            position = np.clip(-minus_position, 0.0, m)
            low = np.minimum(position.astype(np.int64), m - 1)
            row = np.arange(history.shape[0]).reshape(-1, *([1] * (position.ndim - 1)))
            before, after = history[row, low], history[row, low + 1]
            return np.asarray(before + (position - low) * (after - before))

        # the r-th smallest of the moments of leaving is reached when the r-th largest head of line is: signs turn the order
        total[joins.users] = joins.average(entered_by, -head)
    return total
