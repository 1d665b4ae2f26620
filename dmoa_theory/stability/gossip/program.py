"""The linear program behind the capacity: the largest load over all inclusion probabilities that a network allows.

With ``x = rate * q``, the rate at which a user asks a neighbour, loads are linear in rates and asks together, and so are the
conditions on ``q``: ``sum_i x_ui = k_u rate_u`` and ``q_min rate_u <= x_ui <= rate_u``. Where all rates grow by one factor the
program is divided by that factor: then ``q`` itself is the unknown, between fixed limits, and the load of the busiest device
is what becomes least. It is solved by HiGHS through :func:`scipy.optimize.linprog`, which gives the dual values and has a
stable interface; the interior-point method (with crossover to a corner) takes a tenth of the time of the simplex method at
100,000 links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.errors import InfeasiblePlanError
from dmoa_theory.model.checks import FloatArray, IntArray

__all__ = ["ROUNDING", "Optimum", "Program", "linear_program", "solve", "tidy"]

#: Steps of the probabilities that are rounding of the solver.
ROUNDING = 1e-9
#: A device is full from here on.
_FULL = 1 - 1e-6
_OPTIONS = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Program:
    """Who may ask whom, at what cost, and which rates grow.

    Attributes
    ----------
    rates : ndarray, shape (n,), prompts/s
        At scale 1.
    growth : ndarray, shape (n,), prompts/s
        What a rise of the scale by one adds; ``None`` for the rates themselves.
    own : ndarray, shape (n,), seconds
        Work at home of a prompt of each user.
    source, target : ndarray, shape (n_links,)
        Links of the users who have prompts and ask.
    work : ndarray, shape (n_links,), seconds
        Work at the target of one prompt, per unit of inclusion probability.
    k : ndarray, shape (n,)
        Neighbours asked in a layer.
    least : float
        Smallest inclusion probability of a link.
    speed : ndarray, shape (n,)
        Seconds of work that each device does in a second; 1 unless a price is sought.
    """

    rates: FloatArray
    growth: FloatArray | None
    own: FloatArray
    source: IntArray
    target: IntArray
    work: FloatArray
    k: IntArray
    least: float
    speed: FloatArray

    @property
    def step(self) -> FloatArray:
        """What a rise of the scale by one adds to the rates; shape (n,), prompts/s."""
        return self.rates if self.growth is None else self.growth

    @property
    def degree(self) -> IntArray:
        """From how many neighbours each user chooses; shape (n,)."""
        return np.bincount(self.source, minlength=self.rates.size)

    def rates_at(self, scale: float) -> FloatArray:
        """Exact: rates at a scale; shape (n,), prompts/s."""
        return self.rates + (scale - 1) * self.step

    def uniform(self) -> FloatArray:
        """Exact: the inclusion probabilities of uniform gossip; shape (n_links,)."""
        return np.asarray(self.k[self.source] / self.degree[self.source])

    def load(self, rates: FloatArray, inclusion: FloatArray | float) -> FloatArray:
        """Exact: utilisation of each device under a gossip; shape (n,)."""
        asked = rates[self.source] * self.work * inclusion
        return np.asarray((self.own * rates + np.bincount(self.target, asked, rates.size)) / self.speed)

    def scale_of(self, inclusion: FloatArray) -> float:
        """Exact: the scale at which a gossip fills the first device; NaN if those who do not grow overload one."""
        if self.growth is None:
            return 1 / float(self.load(self.rates, inclusion).max())
        now, more = self.load(self.rates, inclusion), self.load(self.growth, inclusion)
        room = 1 - now
        grows = more > 0
        scale = 1 + float((room[grows] / more[grows]).min())
        fixed_fits = bool((room[~grows] >= -ROUNDING).all())
        return scale if fixed_fits and scale >= self.lowest_scale() - ROUNDING else float("nan")

    def full(self, scale: float, inclusion: FloatArray) -> IntArray:
        """Devices that a gossip fills at a scale."""
        return np.flatnonzero(self.load(self.rates_at(scale), inclusion) >= _FULL)

    def lowest_scale(self) -> float:
        """The scale at which the first growing rate would be zero."""
        grows = self.step > 0
        return 1 - float((self.rates[grows] / self.step[grows]).min())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optimum:
    """A solution of the program and its dual values.

    Attributes
    ----------
    scale : float
    inclusion : ndarray, shape (n_links,)
        One best gossip, a corner of the set of them.
    device_slope : ndarray, shape (n,)
        Rise of the scale for a small rise of a device's speed, per unit of relative speed (at most that: dual values need
        not be unique).
    device_cost, user_value : ndarray, shape (n,)
        Prices of a second of work a second at each device, and of the asks of each user, in units of the scale.
    """

    scale: float
    inclusion: FloatArray
    device_slope: FloatArray
    device_cost: FloatArray
    user_value: FloatArray

    def link_slope(self, user: int, device: FloatArray | int, work: FloatArray | float, rate: float) -> FloatArray:
        """Rise of the scale for a small use of a link that is not there yet, per unit of inclusion probability."""
        return np.asarray(self.user_value[user] - work * rate * self.device_cost[device])


def solve(program: Program) -> Optimum:
    """Exact (to 1e-9 of the solver): the largest scale, and a gossip that reaches it.

    Parameters
    ----------
    program : Program

    Raises
    ------
    InfeasiblePlanError
        When those who do not grow overload a device, whatever the gossip.

    Notes
    -----
    All rates scaled: minimise ``z`` subject to ``load_i(q) <= speed_i z``, and the scale is ``1 / z``. A growth direction:
    maximise the scale over it and ``x``, with ``q = x / rate`` afterwards.
    """
    from scipy import sparse

    p, n, n_links = program, program.rates.size, program.source.size
    growing = p.growth is not None
    uniform = p.uniform()
    unit = float(p.load(p.step, uniform).max())
    # the unknowns: asks over each link in units of a reference rate, and t, the least load or the scale
    now, more = (p.rates, p.step / unit) if growing else (p.rates, np.zeros(n))
    reference = now + more
    per = 1.0 if growing else unit
    base, slope = (np.divide(part, reference, out=np.zeros(n), where=reference > 0) for part in (now, more))
    askers, row = np.unique(p.source, return_inverse=True)
    columns = np.arange(n_links)
    loads = sparse.coo_array((p.work * reference[p.source] / per, (p.target, columns)), shape=(n, n_links))
    asks = sparse.coo_array((np.ones(n_links), (row, columns)), shape=(askers.size, n_links))
    fixed, rising = (p.load(part, p.least) * p.speed / per for part in (now, more))
    need = (p.k - p.least * p.degree).astype(np.float64)
    loads_t = (rising if growing else -p.speed)[:, None]
    upper_rows = [sparse.hstack([loads, sparse.coo_array(loads_t)])]
    upper = [(p.speed if growing else np.zeros(n)) - fixed]
    cap_now, cap_more = (1 - p.least) * base[p.source], (1 - p.least) * slope[p.source]
    # a limit that rises with the scale needs a row, unless the user's sum implies it
    moving = np.flatnonzero((cap_more > 0) & (need[p.source] > 1 - p.least))
    if moving.size:
        picked = sparse.coo_array((np.ones(moving.size), (np.arange(moving.size), moving)), shape=(moving.size, n_links))
        upper_rows.append(sparse.hstack([picked, sparse.coo_array(-cap_more[moving][:, None])]))
        upper.append(cap_now[moving])
    equal = sparse.hstack([asks, sparse.coo_array(-(need * slope)[askers][:, None])])
    limits = np.column_stack((np.zeros(n_links + 1), np.append(np.where(cap_more > 0, np.inf, cap_now), np.inf)))
    limits[-1, 0] = (p.lowest_scale() - 1) * unit if growing else 0.0
    found = linear_program(
        cost=np.append(np.zeros(n_links), -1.0 if growing else 1.0),
        upper_rows=sparse.vstack(upper_rows),
        upper=np.concatenate(upper),
        equal_rows=equal,
        equal=(need * base)[askers],
        limits=limits,
    )
    t = float(found.x[-1])
    scale = 1 + t / unit if growing else 1 / (unit * t)
    rate = p.rates_at(scale)
    asked = found.x[:-1] * reference[p.source] / rate[p.source].clip(1e-300) if growing else found.x[:-1]
    asked = np.where(rate[p.source] > 0, p.least + asked, uniform)
    # from prices of t to prices of the scale
    exchange = 1 / unit if growing else scale / t
    share = np.divide(rate, reference, out=np.zeros(n), where=reference > 0) if growing else np.ones(n)
    cost = -exchange * found.ineqlin.marginals[:n]
    value = np.zeros(n)
    value[askers] = exchange * share[askers] * found.eqlin.marginals
    return Optimum(
        scale=scale,
        inclusion=tidy(p, asked),
        device_slope=cost if growing else cost * t,
        device_cost=cost / per,
        user_value=value,
    )


def linear_program(
    *, cost: FloatArray, upper_rows: Any, upper: FloatArray, equal_rows: Any, equal: FloatArray, limits: FloatArray
) -> Any:
    """HiGHS, with dual values: minimise ``cost @ x`` with ``upper_rows @ x <= upper``, ``equal_rows @ x = equal``, limits.

    Raises
    ------
    InfeasiblePlanError
        When nothing meets all conditions, which only those who do not grow can bring about.
    """
    from scipy import optimize

    linprog: Any = optimize.linprog
    found = linprog(
        cost,
        A_ub=upper_rows.tocsr(),
        b_ub=upper,
        A_eq=equal_rows.tocsr() if equal.size else None,
        b_eq=equal if equal.size else None,
        bounds=limits,
        method="highs-ipm",
        options=_OPTIONS,
    )
    if found.status == 2:
        raise InfeasiblePlanError(("whatever the gossip, the users who do not grow overload a device by themselves",))
    if found.status != 0:
        raise RuntimeError(f"the linear program was not solved: {found.message}")
    return found


def tidy(program: Program, inclusion: FloatArray) -> FloatArray:
    """Probabilities without the solver's rounding: at their limits where they are near, and each user's sum exactly k."""
    p, least = program, program.least
    q = np.clip(inclusion, least, 1.0)
    uniform = p.uniform()
    for level in (uniform, least, 1.0):
        q = np.where(np.abs(q - level) < 10 * ROUNDING, level, q)
    n = p.rates.size
    for _ in range(2):
        missing = p.k - np.bincount(p.source, q, n)
        room = np.where(q == uniform, 0.0, np.minimum(q - least, 1 - q))
        for spare in (room, np.minimum(q - least, 1 - q)):  # what is uniform stays so where something else can give
            total = np.bincount(p.source, spare, n)
            share = np.divide(missing, total, out=np.zeros(n), where=total > 1e-6)
            q = np.clip(q + share[p.source] * spare, least, 1.0)
            missing = p.k - np.bincount(p.source, q, n)
    return q
