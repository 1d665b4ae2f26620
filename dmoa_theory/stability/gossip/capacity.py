"""The capacity: how much load a network carries when every user may choose whom it asks, and how often."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dmoa_theory.errors import InfeasiblePlanError, InputError
from dmoa_theory.model.checks import FloatArray, FloatLike, IntArray, non_negative, read_only
from dmoa_theory.model.system import System
from dmoa_theory.stability.gossip.among_best import always_full, nearest_to_uniform
from dmoa_theory.stability.gossip.prices import MOST_LINKS
from dmoa_theory.stability.gossip.program import Optimum, Program, solve
from dmoa_theory.stability.gossip.result import Capacity
from dmoa_theory.stability.gossip.work import capacity_program

__all__ = ["capacity"]


def capacity(system: System, *, min_inclusion: float = 0.0, direction: FloatLike | None = None) -> Capacity:
    """Exact: the largest load over all gossip probabilities on the network, by a linear program.

    Parameters
    ----------
    system : System
        Its own selection is only compared with.
    min_inclusion : float
        Smallest probability with which a layer uses each link, for diversity; at most k / out-degree of every user.
    direction : float or array_like, shape (n,), prompts/s, optional
        How rates grow: at scale ``s`` they are ``rates + (s - 1) direction``. Default: all in proportion.

    Returns
    -------
    Capacity

    Raises
    ------
    InputError
        When the least probability leaves no choice, or the direction is negative, zero, or of a user with too few neighbours.

    Notes
    -----
    With ``w_ui = mean_i,first + (M_u - 1) mean_i,later`` (means for the k of user ``u``) and ``h_i`` the work of a prompt at
    home, maximise ``s`` subject to

        h_i r_i(s) + sum_u r_u(s) w_ui q_ui <= 1,   sum_i q_ui = k_u,   q_min <= q_ui <= 1 on links,

    one ``q`` for all layers. Every such ``q`` is the inclusion law of a conditional-Poisson choice of k distinct neighbours
    (Chen, Dempster and Liu 1994, Biometrika 81(3)), so the optimum is reached exactly. A law that differs by layer has the same
    capacity when services do not depend on the stage, since loads then only see the average over layers.

    Examples
    --------
    One device is three times as slow as the others, and need not be asked:

    >>> from dmoa_theory import System, capacity
    >>> complete = [[0, 1, 1, 1], [1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 0]]
    >>> found = capacity(System.from_arrays(complete, 0.05, [1.0, 1.0, 1.0, 3.0], M=2, k=1))
    >>> round(found.scale_uniform, 6), round(found.scale_best, 6), round(found.gain, 6)
    (1.333333, 2.222222, 0.666667)
    """
    if isinstance(min_inclusion, bool) or not isinstance(min_inclusion, int | float) or not 0 <= min_inclusion <= 1:
        raise InputError("min_inclusion", min_inclusion, "a probability from 0 to 1")
    growth = None
    if direction is not None:
        growth = non_negative("direction", direction, system.n_devices, what="a finite number of prompts/s, 0 or more")
        if not growth.any():
            raise InputError("direction", 0, "above 0 for at least one user")
    program = capacity_program(system, growth, float(min_inclusion))
    uniform = program.uniform()
    try:
        optimum = solve(program)
    except InfeasiblePlanError:
        return _infeasible(system, program)
    scale_uniform = program.scale_of(uniform)
    best, scale = uniform, scale_uniform
    if not scale_uniform >= optimum.scale * (1 - 1e-9) - 1e-9 * (growth is not None):
        best, scale = _best(program, optimum)
    own = scale_uniform if system.moa.is_uniform else _own_scale(system, program)
    return _result(system, program, optimum, best, (scale, scale_uniform, own), program.full(scale, best))


def _infeasible(system: System, program: Program) -> Capacity:
    """No scale works; what is best for the users who do not grow says which devices they overload."""
    fixed = replace(program, rates=program.rates_at(program.lowest_scale()).clip(0), growth=None)
    optimum = solve(fixed)
    full = fixed.full(optimum.scale, optimum.inclusion)
    return _result(system, program, optimum, optimum.inclusion, (math.nan, math.nan, math.nan), full, of=fixed)


def _result(
    system: System,
    program: Program,
    optimum: Optimum,
    best: FloatArray,
    scales: tuple[float, float, float],
    full: IntArray,
    *,
    of: Program | None = None,
) -> Capacity:
    """``of`` is the program that the optimum solves, where that is another one."""
    always = always_full(of or program, optimum, full, most_links=MOST_LINKS)
    inclusion = np.zeros(system.network.n_links)
    inclusion[(program.degree > 0)[system.network.link_sources()]] = best
    return Capacity(
        given=system,
        min_inclusion=program.least,
        direction=read_only(program.step),
        scale_best=scales[0],
        scale_uniform=scales[1],
        scale_own=scales[2],
        inclusion=read_only(inclusion),
        utilisation_uniform=read_only(program.load(program.rates, program.uniform())),
        utilisation_best=read_only(program.load(program.rates, best)),
        bottlenecks=read_only(always[np.argsort(-optimum.device_slope[always], kind="stable")]),
        program=program,
        optimum=optimum,
    )


def _best(program: Program, optimum: Optimum) -> tuple[FloatArray, float]:
    """The optimal gossip nearest to uniform, and the scale that it carries; the corner found first if that is better."""
    near = nearest_to_uniform(program, optimum.scale)
    tried = [(program.scale_of(near), near), (program.scale_of(optimum.inclusion), optimum.inclusion)]
    for scale, inclusion in tried:
        if scale >= optimum.scale - 1e-7 * max(1.0, abs(optimum.scale)):
            return inclusion, scale
    raise RuntimeError(f"the linear program promises {optimum.scale:.12g}, and its gossip carries {tried[1][0]:.12g}")


def _own_scale(system: System, program: Program) -> float:
    """Capacity of the system's own selection; NaN where a user who is to grow cannot ask with it."""
    asks = program.degree > 0
    if not system.can_ask()[asks].all():
        return math.nan
    return program.scale_of(system.inclusion()[asks[system.network.link_sources()]])
