"""Outside the stability region: which queues grow and how fast, and what still gets done.

From empty, queues of an overloaded system grow in proportion to time, and the system looks the same at every scale: device
``i`` holds the work ``w_i t``, a job that finds it leaves at ``t (1 + w_i)``, and a layer forked at ``t`` ends at ``t J`` with
``J`` the largest ``1 + w`` of the devices it asks (with a quorum ``r`` the r-th smallest). An overloaded device so holds back
the later layers of every query that visits it, and other devices see less than their nominal load. With
``phi_u = E[1 / J_u]`` over the random choice of neighbours, layer ``s`` of user ``u`` is forked at the rate
``lambda_u phi_u^s``, and

    w_i = max(0, sum_u lambda_u (pi_ui sum_{s<M} m_is phi_u^s + [u = i] m_iM phi_u^M) - 1).

Link delays are constants beside times that grow, and play no part; neither do the laws of service times beyond their means.
"""

from __future__ import annotations

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import MOST, FloatArray, read_only
from dmoa_theory.model.system import System
from dmoa_theory.stability.growth.flows import Flows
from dmoa_theory.stability.growth.memory import memory_growth, memory_left
from dmoa_theory.stability.growth.result import Overload
from dmoa_theory.stability.growth.solution import solve
from dmoa_theory.stability.loads import utilisation

__all__ = ["overload"]

_JOBS = 100


def overload(system: System, *, buffer: int | None = None, prompts: int = 100) -> Overload:
    """Exact in the fluid limit, an approximation for finite times: growth of queues, goodput, time until devices are full.

    Parameters
    ----------
    system : System
        Any; of a stable one nothing grows.
    buffer : int, optional
        Jobs that fill a device; default the memory limit of the scenario, and without one 100 jobs.
    prompts : int
        Of how many first prompts to work out the mean latency.

    Returns
    -------
    Overload

    Raises
    ------
    InputError
        When a count is not a whole number of at least one.

    Notes
    -----
    With ``a_i`` the jobs that arrive at device ``i`` and ``x_i = 1 + w_i``: the queue grows by ``a_i w_i / x_i`` a second and
    ``a_i / x_i`` jobs are done; queries of user ``u`` are answered at the rate ``lambda_u phi_u^M / x_u``, and one that arrives
    at ``t`` takes ``t (E[J_u]^M x_u - 1)``. A solution exists, and lies at zero when no nominal load exceeds one; when there
    is provably no other, ``uniqueness`` says why (:mod:`dmoa_theory.stability.growth.solution`). That a system which
    starts empty follows it is not proved, and is what simulations show: on 30 random systems with nominal loads from 1.2 to 4,
    in long runs, the largest error of growth was 1.8 % where a queue grows by more than 0.1 jobs in a mean service, and 0.005
    such jobs elsewhere, both within the noise. Short runs differ by more: devices equal in growth take turns at answering
    last, so layers end later than here by something like the root of the time (buffers of 400 jobs on four equal devices
    offered 3 were full 4 % later); and a burst after whose last prompt nothing arrives drains.

    Examples
    --------
    Four devices with 79 times too much to do, of which 35 times too much gets that far.

    >>> from dmoa_theory import System, overload
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> result = overload(System.from_arrays(complete, 0.25, 45.0, M=2, k=2))
    >>> result.nominal.round(2)[0].item(), result.effective.round(2)[0].item(), result.growth_rate.round(4)[0].item()
    (78.75, 34.73, 0.7496)
    """
    for field, value in (("buffer", buffer), ("prompts", prompts)):
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= MOST:
            raise InputError(field, value, f"a whole number from 1 to {MOST:,}")
    flows = Flows(system)
    rates = system.rates
    solution = solve(flows)
    x = solution.x
    phi = flows.phi(x)
    jobs: FloatArray = np.asarray(sum(flow.rate.sum(axis=1) for flow in flows.by_class(phi)))
    answered = np.where(flows.layers > 0, rates * phi**flows.layers, rates) / x
    left = memory_left(flows)
    return Overload(
        system=system,
        nominal=read_only(utilisation(system)),
        effective=read_only(flows.work(phi)),
        arriving_jobs=read_only(jobs),
        service_rate=read_only(jobs / x),
        growth_rate=read_only(jobs * (1 - 1 / x)),
        goodput=read_only(answered),
        latency_growth=read_only(_latency_growth(flows, x)),
        memory_growth=memory_growth(flows, x, phi),
        memory_left=left,
        buffer=_JOBS if buffer is None and left is None else buffer,
        prompts=prompts,
        uniqueness=solution.uniqueness,
        residual=solution.residual,
    )


def _latency_growth(flows: Flows, x: FloatArray) -> FloatArray:
    """Exact in the fluid limit: ``E[J]^M x - 1`` of every user; NaN without prompts."""
    stretch = np.ones(x.size)
    for joins in flows.joins:
        stretch[joins.users] = joins.average(np.positive, x)
    with np.errstate(over="ignore"):
        growth = stretch**flows.layers * x - 1
    return np.where(flows.rates > 0, growth, np.nan)
