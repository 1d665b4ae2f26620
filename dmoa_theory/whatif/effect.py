"""What a given loss does: stability, users cut off, and every remaining user's latency before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.latency import latency
from dmoa_theory.delay.latency_estimate import LatencyEstimate
from dmoa_theory.model.checks import FloatArray, IntArray, read_only
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.whatif.document import document
from dmoa_theory.whatif.loss import Loss

__all__ = ["LossEffect", "loss_effect", "means_of_the_same"]

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LossEffect(Result):
    """Before and after a loss: loads exact, latencies approximations. Arrays of all devices of the system before.

    Attributes
    ----------
    loss : Loss
    estimate_before : LatencyEstimate
    estimate_after : LatencyEstimate or None
        None when nothing with prompts remains.
    utilisation : ndarray, shape (n,)
        After the loss; NaN for lost devices.
    mean_before, mean_after : float, s
        Mean latency over the prompts that are still answered, so of the same users both times.
    """

    verb: ClassVar[str] = "whatif"

    loss: Loss
    estimate_before: LatencyEstimate
    estimate_after: LatencyEstimate | None
    utilisation: FloatArray
    mean_before: float
    mean_after: float

    @property
    def source(self) -> Source:
        """Latencies are approximations; loads, and who is cut off, are exact."""
        return Source.APPROXIMATION

    @property
    def stable(self) -> bool:
        """Whether somebody is left, and all queues that are left are bounded."""
        return self.loss.after is not None and self.load < 1

    @property
    def busiest(self) -> int | None:
        """The busiest device that is left, by its position before; None when nothing is left."""
        return None if self.loss.after is None else int(np.nanargmax(self.utilisation))

    @property
    def load(self) -> float:
        """Utilisation of the busiest device that is left; 0 when nothing is left."""
        return 0.0 if self.busiest is None else float(self.utilisation[self.busiest])

    @property
    def critical_scale(self) -> float:
        """Factor on all remaining rates below which the queues that are left stay bounded; infinite without load."""
        return 1 / self.load if self.load > 0 else float("inf")

    def user_latency(self, name: str) -> tuple[FloatArray, FloatArray]:
        """``"mean"``, ``"p50"``, ``"p95"`` or ``"p99"`` of every user before and after; two of shape (n,), s; NaN if none."""
        before = getattr(self.estimate_before, f"user_{name}")
        after = np.full(before.size, np.nan)
        if self.estimate_after is not None:
            after[self.loss.kept] = getattr(self.estimate_after, f"user_{name}")
        return before, after

    def part(self) -> dict[str, Any]:
        """What this answer puts into the JSON document."""
        loss, names = self.loss, self.loss.before.network.name
        return {
            "lost": loss.label,
            "devices": [names(u) for u in loss.lost.tolist()],
            "links": loss.lost_links.size,
            "when_short": loss.when_short.value,
            "stable": self.stable,
            "busiest": None if self.busiest is None else names(self.busiest),
            "utilisation": self.utilisation,
            "critical_scale": self.critical_scale,
            "cut_off": [names(u) for u in loss.cut_off.tolist()],
            "cut_off_share": loss.cut_off_share,
            "short": [names(u) for u in loss.short.tolist()],
            "mean_before": self.mean_before,
            "mean_after": self.mean_after,
            "per_user": self.records(),
        }

    def reasons(self) -> list[str]:
        """Why figures are null."""
        if self.loss.after is None:
            return [f"without {self.loss.label} no user with prompts is left"]
        return [] if self.stable else [f"without {self.loss.label} waits grow without bound"]

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return document(self.loss.before, loss=self.part(), reasons=self.reasons())

    def table(self) -> Table:
        """Every user with prompts before and after; of many those whose mean grows most."""
        users = self._users()
        left_out = ""
        if users.size > _SHOWN:
            before, after = self.user_latency("mean")
            grown = np.where(np.isnan(after), np.inf, after / before)[users]
            users = users[np.argsort(-grown, kind="stable")[:_SHOWN]]
            left_out = f" ({_SHOWN} hit hardest of {self._users().size} users)"
        mean, p95 = self.user_latency("mean"), self.user_latency("p95")
        _, asks, _ = self.loss.before.moa.per_user(self.loss.before.n_devices)
        left = self._asks()
        rows = tuple(
            (
                self.loss.before.network.name(u),
                *(show_seconds(x[u]) if not np.isnan(x[u]) else "-" for x in (*mean, *p95)),
                show_share(self.utilisation[u]),
                f"{left[u]} of {asks[u]}" if left[u] >= 0 else "-",
                "cut off" if u in self.loss.cut_off else "",
            )
            for u in users.tolist()
        )
        heads = ("user", "mean before", "after", "p95 before", "after", "device busy", "asks", "")
        return Table(f"without {self.loss.label}{left_out} (latency: approximation)", heads, rows)

    def records(self) -> list[dict[str, Any]]:
        """One row a user with prompts: plain numbers."""
        mean, p95 = self.user_latency("mean"), self.user_latency("p95")
        left = self._asks()
        return [
            {
                "user": self.loss.before.network.name(u),
                "cut_off": u in self.loss.cut_off,
                "asks": int(left[u]) if left[u] >= 0 else None,
                "mean_before_s": float(mean[0][u]),
                "mean_after_s": float(mean[1][u]),
                "p95_before_s": float(p95[0][u]),
                "p95_after_s": float(p95[1][u]),
            }
            for u in self._users().tolist()
        ]

    def _users(self) -> IntArray:
        return np.flatnonzero(self.loss.before.rates > 0)

    def _asks(self) -> IntArray:
        """How many neighbours each user asks after the loss; -1 for those cut off."""
        left = np.full(self.loss.before.n_devices, -1)
        if self.loss.after is not None:
            left[self.loss.kept] = self.loss.after.moa.per_user(self.loss.kept.size)[1]
        left[self.loss.cut_off] = -1
        return left


def means_of_the_same(loss: Loss, before: LatencyEstimate, after: LatencyEstimate | None) -> tuple[float, float]:
    """Mean latency over the prompts of those who are still answered, before and after; NaN when nobody is."""
    if loss.after is None or after is None:
        return float("nan"), float("nan")
    weight = loss.after.rates / loss.after.rates.sum()
    used = weight > 0
    return float(weight[used] @ before.user_mean[loss.kept][used]), after.mean


def loss_effect(loss: Loss, *, progress: Callable[[float], None] | None = None) -> LossEffect:
    """Loads exact, latencies an approximation: what a loss does to those who are left.

    Parameters
    ----------
    loss : Loss
        From :func:`dmoa_theory.whatif.loss.lose`.
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Examples
    --------
    >>> from dmoa_theory import System, loss_effect
    >>> from dmoa_theory.whatif.loss import lose
    >>> triangle = System.from_arrays([[0, 1, 1], [1, 0, 1], [1, 1, 0]], 0.01, 20.0, M=1, k=1)
    >>> effect = loss_effect(lose(triangle, [2]))
    >>> effect.stable, round(effect.load, 6), round(effect.critical_scale, 6)
    (True, 0.6, 1.666667)
    """
    advance = progress or (lambda fraction: None)
    before = latency(loss.before, progress=lambda part: advance(part / 2))
    after = None if loss.after is None else latency(loss.after, progress=lambda part: advance(0.5 + part / 2))
    load = np.full(loss.before.n_devices, np.nan)
    if loss.after is not None:
        load[loss.kept] = utilisation(loss.after)
    same_before, same_after = means_of_the_same(loss, before, after)
    return LossEffect(
        loss=loss,
        estimate_before=before,
        estimate_after=after,
        utilisation=read_only(load),
        mean_before=same_before,
        mean_after=same_after,
    )
