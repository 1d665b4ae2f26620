"""Mixed-integer program: every user's (M, k), and with free gossip whom it asks, for the most accuracy within the limits.

With ``z_uc`` = 1 where user ``u`` runs configuration ``c`` and ``w_uci = q_ui z_uc`` (``q`` the inclusion probabilities) the
load is exactly linear. Congestion is that of :mod:`dmoa_theory.optimisation.programs.congestion`: with ``g_i`` above
``rho_i^2 / (1 - rho_i)``,

    mean latency = sum_u share_u idle_u(z, w) + sum_i crowd_i g_i / Lambda <= budget,

and with uniform gossip, for limits on every user, ``e_i`` above ``rho_i / (1 - rho_i)`` and one row a choice that is enforced
only where it is made. (With free gossip such limits go by the waits of the last plan, which makes them linear.) Tangents for
``g`` and ``e`` make the program a relaxation, which proves a bound; chords make every solution admissible. HiGHS solves both.
"""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dmoa_theory.errors import BackendUnavailableError, InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.optimisation.programs.congestion import Congestion, chords, grid, tangents, waiting
from dmoa_theory.optimisation.programs.modelling import modelling
from dmoa_theory.optimisation.programs.work import Work

__all__ = ["SOLVERS", "Budgets", "Certificate", "MixedProgram"]

SOLVERS = ("HIGHS", "SCIP")
# Points of the lines: of the relaxation, and of what is admissible.
_POINTS = 40
_ROUNDING = 1e-7
# What SCIP calls infinite, and the state of a solver that ended with empty hands.
_SCIP_INFINITY, _NOTHING = 1e20, "nothing"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Budgets:
    """What the surrogate is held to.

    Attributes
    ----------
    mean : float, seconds
        Mean latency over all prompts; infinite where there is no limit.
    user : ndarray, shape (U,), seconds
        Mean latency of every user.
    cap : ndarray, shape (n,)
        Largest utilisation of every device.
    min_accuracy : float
        Over all prompts.
    """

    mean: float
    user: FloatArray
    cap: FloatArray
    min_accuracy: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Certificate:
    """A solution of the surrogate's program, and how good it is proved to be.

    Attributes
    ----------
    choice : ndarray of int, shape (U,), or None
        None where nothing admissible was found.
    asked : ndarray, shape (L,), or None
        Inclusion probabilities.
    value, bound : float
        Objective of the solution, and what no solution can beat.
    status : str
        ``"optimal"`` (to the gap asked for), ``"within the lines' accuracy"``, ``"time limit"``; without a solution
        ``"infeasible"`` (proved), ``"time limit"``, or ``"none found"``: the relaxation's solutions do not keep the budgets.
    seconds : float
    """

    choice: IntArray | None
    asked: FloatArray | None
    value: float
    bound: float
    status: str
    seconds: float

    @property
    def gap(self) -> float:
        """Relative distance of the value to the bound."""
        if self.choice is None:
            return float("inf")
        return max(0.0, abs(self.bound - self.value)) / max(abs(self.value), 1e-12)


class MixedProgram:
    """The program of one system; compiled once, solved for any budgets, congestion and load.

    Parameters
    ----------
    work : Work
    accuracy : ndarray, shape (U, C)
    gossip : bool
        Whether inclusion probabilities are free.
    least : float
        Smallest inclusion probability of a link, as a share of uniform gossip's.
    objective : str
        ``"accuracy"`` or ``"latency"``.
    most_load : float
        Largest cap on utilisation that will be asked for.
    solver : str
        ``"HIGHS"``, or ``"SCIP"`` where it is installed.
    points : int
        Tangents, or chords, of each curve.
    """

    def __init__(
        self,
        work: Work,
        accuracy: FloatArray,
        *,
        gossip: bool = False,
        least: float = 0.0,
        objective: str = "accuracy",
        most_load: float = 0.95,
        solver: str = "HIGHS",
        points: int = _POINTS,
    ) -> None:
        self.work, self.accuracy, self.gossip, self.least = work, accuracy, gossip, least
        self.objective, self.most_load, self.solver, self.points = objective, most_load, check_solver(solver), points
        self._compiled: dict[tuple[bool, bool], _Compiled] = {}

    def solve(
        self,
        congestion: Congestion,
        budgets: Budgets,
        *,
        scale: float = 1.0,
        gap: float = 1e-4,
        time_limit: float = 10.0,
    ) -> Certificate:
        """Exact (to the gap) for the surrogate: the best plan by user, and a bound that no plan can beat.

        Parameters
        ----------
        congestion : Congestion
        budgets : Budgets
        scale : float
            Factor on all rates.
        gap : float
            Relative gap at which the solver may stop.
        time_limit : float, seconds
            For both programs together.
        """
        began = time.perf_counter()
        each = bool(np.isfinite(budgets.user).any())
        relaxed = self._solved(True, each, congestion, budgets, scale, gap, 0.6 * time_limit)
        if relaxed.status == "infeasible":
            return relaxed
        best, bound, cut = None, relaxed.bound, True
        if relaxed.choice is not None and self.admissible(relaxed, congestion, budgets, scale):
            best = relaxed
        spent = time.perf_counter() - began
        if best is None or (best.gap > gap and spent < 0.9 * time_limit):
            left = max(0.4 * time_limit, time_limit - spent)
            safe = self._solved(False, each, congestion, budgets, scale, gap, left)
            cut = relaxed.status != "optimal" or safe.status not in {"optimal", "infeasible"}
            better = safe.choice is not None and (best is None or self._better(safe.value, best.value))
            best = safe if better else best
        seconds = time.perf_counter() - began
        if best is None:
            status = "time limit" if cut else "none found"
            return Certificate(choice=None, asked=None, value=np.nan, bound=bound, status=status, seconds=seconds)
        found = replace(best, bound=bound, status="optimal", seconds=seconds)
        if found.gap > max(gap, 1e-9) * 1.01:
            return replace(found, status="time limit" if cut else "within the lines' accuracy")
        return found

    def _better(self, one: float, other: float) -> bool:
        return one > other if self.objective == "accuracy" else one < other

    def admissible(self, found: Certificate, congestion: Congestion, budgets: Budgets, scale: float = 1.0) -> bool:
        """Exact for the surrogate: whether a solution keeps the budgets without lines in place of the curves."""
        assert found.choice is not None
        assert found.asked is not None
        load = scale * self.work.load(found.choice, found.asked)
        if (load > budgets.cap * (1 + _ROUNDING)).any():
            return False
        mean = self.mean_latency(found.choice, found.asked, congestion, scale)
        if mean > budgets.mean * (1 + _ROUNDING):
            return False
        if self.gossip or not np.isfinite(budgets.user).any():
            return True
        users = self.work.user_latency(found.choice, found.asked, congestion.residual * waiting(load)) * congestion.user_ratio
        return bool((users <= budgets.user * (1 + _ROUNDING)).all())

    def mean_latency(self, choice: IntArray, asked: FloatArray, congestion: Congestion, scale: float = 1.0) -> float:
        """The surrogate's mean latency over all prompts, s."""
        load = scale * self.work.load(choice, asked)
        if (load >= 1).any():
            return float("inf")
        idle = float(self.work.share @ self.work.idle(choice, asked))
        crowd = congestion.crowd @ (load**2 / (1 - load))
        return idle + float(crowd) / (scale * float(self.work.rates.sum()))

    def _solved(
        self, below: bool, each: bool, congestion: Congestion, budgets: Budgets, scale: float, gap: float, time_limit: float
    ) -> Certificate:
        if (below, each) not in self._compiled:
            self._compiled[below, each] = _Compiled(self, below=below, each=each)
        return self._compiled[below, each].solve(congestion, budgets, scale, gap, time_limit)


def check_solver(name: str) -> str:
    """The solver, if it is there.

    Raises
    ------
    InputError
        When it is not known.
    BackendUnavailableError
        When it is not installed.
    """
    if name not in SOLVERS:
        raise InputError("solver", name, f"one of {', '.join(SOLVERS)}; SCIP comes with: pip install 'dmoa[scip]'")
    if name not in modelling().installed_solvers():
        raise BackendUnavailableError(name, name.lower())
    return name


class _Compiled:
    """The program as cvxpy has it; what changes between solves are parameters, so it is compiled once."""

    def __init__(self, program: MixedProgram, *, below: bool, each: bool) -> None:
        cp = modelling()

        self.program, self.each = program, each
        w = program.work
        users, configurations = w.allowed.shape
        n = w.n
        self.scale = cp.Parameter(nonneg=True)
        self.crowd = cp.Parameter(n, nonneg=True)
        self.residual, self.wait = cp.Parameter(n, nonneg=True), cp.Parameter(n, nonneg=True)
        self.mean_budget, self.cap = cp.Parameter(nonneg=True), cp.Parameter(n, nonneg=True)
        self.user_budget = cp.Parameter(users, nonneg=True)
        self.least_accuracy = cp.Parameter(nonneg=True)
        self.slack = cp.Parameter((users, configurations), nonneg=True)
        self.z = z = cp.Variable((users, configurations), boolean=True)
        self.w = flows = cp.Variable((w.links.size, configurations), nonneg=True) if program.gossip else None
        loads, idle = self._linear(z, flows)
        self.load = cp.Variable(n, nonneg=True)
        self.g = cp.Variable(n, nonneg=True)
        lines = tangents if below else chords
        points = grid(program.most_load, program.points)
        slope, intercept = lines(points, squared=True)
        rows: list[Any] = [cp.sum(z, axis=1) == 1, z <= w.allowed.astype(float), self.load == self.scale * loads]
        rows += [self.load <= self.cap]
        rows += [self.g[:, None] >= cp.multiply(self.load[:, None], slope[None, :]) + intercept[None, :]]
        self.idle = idle
        mean = w.share @ idle + self.crowd @ self.g
        value = cp.sum(cp.multiply(w.share[:, None] * program.accuracy, z))
        if program.objective == "accuracy":
            rows += [mean <= self.mean_budget]
        rows += [value >= self.least_accuracy]
        if flows is not None:
            rows += self._flow_rows(z, flows)
        if each:
            rows += self._user_rows(z, lines(points, squared=False)) if flows is None else self._rows_at_last_waits(z, flows)
        goal = cp.Maximize(value) if program.objective == "accuracy" else cp.Minimize(mean)
        self.problem = cp.Problem(goal, rows)

    def _linear(self, z: Any, flows: Any) -> tuple[Any, Any]:
        """Loads at scale 1 (shape (n,)) and idle latencies (shape (U,)), as expressions."""
        from scipy import sparse

        cp = modelling()

        p, w = self.program, self.program.work
        users, n = w.users.size, w.n
        home = sparse.csr_array((np.ones(users), (w.users, np.arange(users))), shape=(n, users))
        own_load, own_idle = w.own_load, w.own_idle
        if not p.gossip:
            uniform = w.k[None, :] / np.maximum(w.degree, 1)[:, None]
            by_link = uniform[w.link_user]
            back = sparse.csr_array(
                (np.ones(w.links.size), (w.link_user, np.arange(w.links.size))), shape=(users, w.links.size)
            )
            own_idle = own_idle + back @ (w.link_idle * by_link)
            # what each user's choice brings to every device: one sparse matrix a configuration
            parts = []
            for c in range(len(w.configurations)):
                entries = w.link_load[:, c] * by_link[:, c]
                brought = sparse.csr_array((entries, (w.link_device, w.link_user)), shape=(n, users))
                parts.append((brought + home @ sparse.diags_array(own_load[:, c])) @ z[:, c])
            return sum(parts[1:], parts[0]), cp.sum(cp.multiply(own_idle, z), axis=1)
        into = sparse.csr_array((np.ones(w.links.size), (w.link_device, np.arange(w.links.size))), shape=(n, w.links.size))
        back = sparse.csr_array((np.ones(w.links.size), (w.link_user, np.arange(w.links.size))), shape=(users, w.links.size))
        loads = home @ cp.sum(cp.multiply(own_load, z), axis=1) + into @ cp.sum(cp.multiply(w.link_load, flows), axis=1)
        idle = cp.sum(cp.multiply(own_idle, z), axis=1) + back @ cp.sum(cp.multiply(w.link_idle, flows), axis=1)
        return loads, idle

    def _flow_rows(self, z: Any, flows: Any) -> list[Any]:
        """Flows are probabilities of the configuration that is run: they sum to its k."""
        from scipy import sparse

        cp = modelling()

        w, least = self.program.work, self.program.least
        users = w.users.size
        back = sparse.csr_array((np.ones(w.links.size), (w.link_user, np.arange(w.links.size))), shape=(users, w.links.size))
        pick = sparse.csr_array((np.ones(w.links.size), (np.arange(w.links.size), w.link_user)), shape=(w.links.size, users))
        rows = [back @ flows == cp.multiply(w.k[None, :].astype(float), z), flows <= pick @ z]
        if least > 0:
            uniform = np.minimum(w.k[None, :] / np.maximum(w.degree, 1)[:, None], 1.0)
            rows.append(flows >= pick @ cp.multiply(least * uniform, z))
        return rows

    def _rows_at_last_waits(self, z: Any, flows: Any) -> list[Any]:
        """Limits on every user at given waits; free gossip."""
        from scipy import sparse

        cp = modelling()

        w = self.program.work
        links = np.arange(w.links.size)
        back = sparse.csr_array((np.ones(links.size), (w.link_user, links)), shape=(w.users.size, links.size))
        home = sparse.csr_array((np.ones(w.users.size), (np.arange(w.users.size), w.users)), shape=(w.users.size, w.n))
        there = sparse.csr_array((np.ones(links.size), (links, w.link_device)), shape=(links.size, w.n))
        own = cp.multiply(home @ self.wait, cp.sum(cp.multiply(w.own_waits, z), axis=1))
        asked = back @ cp.multiply(there @ self.wait, flows @ w.link_waits)
        return [self.idle + own + asked <= self.user_budget]

    def _user_rows(self, z: Any, lines: tuple[FloatArray, FloatArray]) -> list[Any]:
        """Limits on every user, of the configuration that it runs; uniform gossip."""
        from scipy import sparse

        cp = modelling()

        w = self.program.work
        slope, intercept = lines
        e = cp.Variable(w.n, nonneg=True)
        wait = cp.multiply(self.residual, e)
        rows = [e[:, None] >= cp.multiply(self.load[:, None], slope[None, :]) + intercept[None, :]]
        uniform = w.k[None, :] / np.maximum(w.degree, 1)[:, None]
        for c in range(len(w.configurations)):
            entries = w.link_waits[c] * uniform[w.link_user, c]
            seen = sparse.csr_array((entries, (w.link_user, w.link_device)), shape=(w.users.size, w.n))
            seen = seen + sparse.csr_array((w.own_waits[:, c], (np.arange(w.users.size), w.users)), shape=seen.shape)
            idle = w.own_idle[:, c] + np.bincount(w.link_user, w.link_idle[:, c] * uniform[w.link_user, c], w.users.size)
            rows.append(idle + seen @ wait <= self.user_budget + cp.multiply(self.slack[:, c], 1 - z[:, c]))
        return rows

    def solve(self, congestion: Congestion, budgets: Budgets, scale: float, gap: float, time_limit: float) -> Certificate:
        """Set the parameters and solve."""
        p, w = self.program, self.program.work
        began = time.perf_counter()
        self.scale.value, self.cap.value = scale, np.minimum(budgets.cap, p.most_load)
        self.crowd.value = congestion.crowd / (scale * float(w.rates.sum()))
        self.residual.value, self.wait.value = congestion.residual, congestion.wait
        self.mean_budget.value = min(budgets.mean, 1e9)
        self.least_accuracy.value = budgets.min_accuracy
        if self.each:
            allowed = np.minimum(budgets.user / congestion.user_ratio, 1e9)
            self.user_budget.value = allowed
            worst = congestion.residual * waiting(self.cap.value)
            most = w.own_waits * worst[w.users][:, None] + w.k[None, :] * w.link_waits[None, :] * worst.max()
            idle = w.own_idle + np.column_stack(
                [np.bincount(w.link_user, w.link_idle[:, c], w.users.size) for c in range(w.link_idle.shape[1])]
            )
            self.slack.value = np.maximum(1.05 * (idle + most) - allowed[:, None], 0.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a time limit, which the status says
            status = self._run(gap, time_limit)
        seconds = time.perf_counter() - began
        accuracy = p.objective == "accuracy"
        nothing = Certificate(
            choice=None, asked=None, value=np.nan, bound=np.inf if accuracy else -np.inf, status="infeasible", seconds=seconds
        )
        if status in {"infeasible", "infeasible_inaccurate", "infeasible_or_unbounded"}:  # no objective here is unbounded
            return nothing
        if status == _NOTHING:
            return replace(nothing, status="time limit")
        bound = _bound(self.problem, accuracy)
        if self.z.value is None or self.z.value.max(axis=1).min() < 0.5:  # what HiGHS returns without an incumbent is no choice
            return replace(nothing, bound=bound, status="time limit")
        choice = np.asarray(self.z.value.argmax(axis=1))
        asked = self._asked(choice)
        if accuracy:
            value = float(w.share @ p.accuracy[np.arange(choice.size), choice])
        else:
            value = p.mean_latency(choice, asked, congestion, scale)
        return Certificate(choice=choice, asked=asked, value=value, bound=bound, status=status, seconds=seconds)

    def _run(self, gap: float, time_limit: float) -> str:
        """Solve, every time from the start, so that what was solved before leaves no trace in the answer."""
        if self.program.solver == "SCIP":
            options: dict[str, Any] = {"scip_params": {"limits/time": float(time_limit), "limits/gap": float(gap)}}
        else:
            options = {"time_limit": float(time_limit), "mip_rel_gap": float(gap)}
        try:
            self.problem.solve(solver=self.program.solver, warm_start=False, **options)
        except modelling().SolverError:  # SCIP, where the time was over before it found anything
            return _NOTHING
        if self.program.solver == "SCIP" and self.problem.solver_stats.extra_stats.get("scip_status") == "gaplimit":
            return "optimal"  # to the gap asked for
        return str(self.problem.status)

    def _asked(self, choice: IntArray) -> FloatArray:
        w = self.program.work
        if self.w is None:
            return w.uniform(choice)
        flows: Any = self.w.value
        asked = np.clip(flows[np.arange(w.links.size), choice[w.link_user]], 0.0, 1.0)
        return tidied(w, choice, asked, self.program.least)


def tidied(work: Work, choice: IntArray, asked: FloatArray, least: float) -> FloatArray:
    """Probabilities without the solver's rounding: within their limits, and each user's sum exactly k."""
    k, users = work.k[choice], work.users.size
    low = least * work.uniform(choice)
    q = np.where(asked < low + 1e-7, low, np.where(asked > 1 - 1e-7, 1.0, asked))
    q = np.where((k > 0)[work.link_user], np.clip(q, low, 1.0), 0.0)
    for _ in range(3):
        missing = k - np.bincount(work.link_user, q, users)
        room = np.where((missing > 0)[work.link_user], 1 - q, q - low)
        total = np.bincount(work.link_user, room, users)
        share = np.divide(missing, total, out=np.zeros(users), where=total > 1e-12)
        q = np.clip(q + share[work.link_user] * room, low, 1.0)
    return q


def _bound(problem: Any, maximising: bool) -> float:
    """What no solution can beat, as the solver has proved it."""
    worst = np.inf if maximising else -np.inf
    stats = problem.solver_stats.extra_stats if problem.solver_stats is not None else None
    if isinstance(stats, dict):  # of SCIP
        found = float(stats["model"].getDualbound()) if "model" in stats else np.nan
        bound = found if abs(found) < _SCIP_INFINITY else np.nan
    else:
        bound = float(getattr(stats, "mip_dual_bound", np.nan))
    if not np.isfinite(bound):
        return float(problem.value) if problem.status == "optimal" else worst
    return -bound if maximising else bound  # solvers minimise
