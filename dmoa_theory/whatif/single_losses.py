"""N-1: every device (and every link) lost in turn; what then gives way, and how much load survives the worst single loss.

The check is that of power grids: a network is N-1 secure when no single failure overloads what is left.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from dmoa_theory.delay.latency import latency as estimate_latency
from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import BoolArray, FloatArray, IntArray, read_only
from dmoa_theory.model.system import System
from dmoa_theory.quantities import show_number, show_seconds, show_share
from dmoa_theory.results import Result, Source, Table
from dmoa_theory.stability.loads import utilisation
from dmoa_theory.whatif.document import document
from dmoa_theory.whatif.effect import means_of_the_same
from dmoa_theory.whatif.loss import Loss, WhenShort, link_label, lose_marked
from dmoa_theory.whatif.reduced_loads import ReducedLoads, link_pairs

__all__ = ["SingleLosses", "single_losses"]

_SHOWN = 12
#: Devices up to which all latencies are worked out unless told otherwise, and how many of the worst beyond.
_ALL_UP_TO, _WORST = 30, 5
#: Devices of a block whose loads are held at a time.
_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SingleLosses(Result):
    """N-1, loads exact and latencies an approximation: what each single loss does; one entry a loss, devices first.

    Attributes
    ----------
    system : System
    when_short : WhenShort
    label : tuple of str
        The lost device, or the lost link.
    links : tuple of tuple of int
        Of each lost link its places among the network's links; the losses after the devices.
    busiest : ndarray of int
        The device that is busiest after the loss; -1 when no load is left.
    load : ndarray
        Its utilisation.
    cut_off, short : ndarray of int
        Users with prompts who get no answer any more; users left with fewer neighbours than their k.
    cut_off_share : ndarray
        Share of all prompts that get no answer any more.
    mean_before, mean_after : ndarray, s
        Mean latency over the prompts that are still answered; infinite where queues grow, NaN where it was not worked out.
    mean : float, s
        Mean latency over all prompts with nothing lost; infinite and NaN as above.
    """

    verb: ClassVar[str] = "whatif"

    system: System
    when_short: WhenShort
    label: tuple[str, ...]
    links: tuple[tuple[int, ...], ...]
    busiest: IntArray
    load: FloatArray
    cut_off: IntArray
    short: IntArray
    cut_off_share: FloatArray
    mean_before: FloatArray
    mean_after: FloatArray
    mean: float = float("nan")

    @property
    def source(self) -> Source:
        """Loads are exact, latencies approximations."""
        return Source.APPROXIMATION

    @property
    def critical_scale(self) -> FloatArray:
        """Factor on all remaining rates below which the queues that are left stay bounded; infinite without load."""
        return np.asarray(np.divide(1.0, self.load, out=np.full(self.load.size, np.inf), where=self.load > 0))

    @property
    def stable(self) -> BoolArray:
        """Whether the queues that are left stay bounded, loss by loss."""
        return np.asarray(self.load < 1)

    @property
    def worst(self) -> int:
        """The loss that leaves the smallest critical scale; of equals the one that cuts off most prompts, then the first."""
        return int(self.order()[0])

    @property
    def secure_scale(self) -> float:
        """All rates may be multiplied by less than this, and no single loss overloads a device, nor does losing nothing."""
        return min(1 / float(utilisation(self.system).max()), float(self.critical_scale.min()))

    @property
    def secure(self) -> bool:
        """N-1 secure: queues stay bounded as the system is and after any single loss."""
        return self.secure_scale > 1

    def order(self) -> IntArray:
        """The losses from worst to mildest."""
        return np.lexsort((-self.cut_off_share, -self.load))

    def loss(self, place: int) -> Loss:
        """What remains after one of the losses."""
        lost, gone = _marks(self.system, self.links, place)
        return lose_marked(self.system, lost, gone, self.when_short)

    def utilisation_after(self, losses: IntArray) -> FloatArray:
        """Exact: utilisation of every device after some of the losses; shape (len, n), NaN for the lost device."""
        losses = np.asarray(losses, dtype=np.int64)
        n = self.system.n_devices
        rows = np.full((losses.size, n), np.nan)
        of_devices = losses < n
        rows[of_devices] = ReducedLoads(self.system, self.when_short).without_devices(losses[of_devices])
        for row in np.flatnonzero(~of_devices).tolist():
            after = self.loss(int(losses[row])).after
            rows[row] = np.zeros(n) if after is None else utilisation(after)
        return rows

    def part(self) -> dict[str, Any]:
        """What this answer puts into the JSON document."""
        worst, n = self.worst, self.system.n_devices
        return {
            "when_short": self.when_short.value,
            "secure": self.secure,
            "secure_scale": self.secure_scale,
            "unstable": int((~self.stable).sum()),
            "worst": {"lost": self.label[worst], "critical_scale": self.critical_scale[worst], "busiest": self._busiest(worst)},
            "devices": [self._entry(place) for place in range(n)],
            "links": [self._entry(place) for place in range(n, len(self.label))] if self.links else None,
        }

    def reasons(self) -> list[str]:
        """Why figures are null."""
        unknown = int(np.isnan(self.mean_after).sum())
        found = [f"mean latencies of {unknown} losses were not worked out, or nobody is left to answer"] if unknown else []
        growing = int((~self.stable).sum())
        return found + ([f"mean latencies after {growing} losses are null: queues grow"] if growing else [])

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return document(self.system, single_losses=self.part(), reasons=self.reasons())

    def table(self) -> Table:
        """The losses from worst to mildest; of many the worst."""
        order = self.order()[:_SHOWN].tolist()
        rows = tuple(
            (
                self.label[place],
                self._busiest(place) or "-",
                show_share(float(self.load[place])),
                show_number(self.critical_scale[place]) if np.isfinite(self.critical_scale[place]) else "any",
                show_share(float(self.cut_off_share[place])),
                str(int(self.short[place])),
                _change(float(self.mean_before[place]), float(self.mean_after[place])),
                "" if self.stable[place] else "overloaded",
            )
            for place in order
        )
        now = utilisation(self.system)
        nothing = (
            "nothing",
            self.system.network.name(int(now.argmax())),
            show_share(float(now.max())),
            show_number(1 / float(now.max())),
            *("", "", "" if np.isnan(self.mean) else show_seconds(self.mean) if np.isfinite(self.mean) else "unbounded"),
            "" if now.max() < 1 else "overloaded",
        )
        left_out = f" ({_SHOWN} worst of {len(self.label)} losses)" if len(self.label) > _SHOWN else ""
        verdict = "N-1 secure" if self.secure else "NOT N-1 secure"
        heads = ("lost", "then busiest", "at", "carries ×", "cut off", "short of k", "mean latency", "")
        return Table(f"{verdict}: every single loss with {self.system.moa.label}{left_out}", heads, (nothing, *rows))

    def records(self) -> list[dict[str, Any]]:
        """One row a loss: plain numbers."""
        return [
            {
                "lost": self.label[place],
                "kind": "device" if place < self.system.n_devices else "link",
                **{key: value for key, value in self._entry(place).items() if key != "lost"},
            }
            for place in range(len(self.label))
        ]

    def _busiest(self, place: int) -> str | None:
        device = int(self.busiest[place])
        return None if device < 0 else self.system.network.name(device)

    def _entry(self, place: int) -> dict[str, Any]:
        return {
            "lost": self.label[place],
            "stable": bool(self.stable[place]),
            "busiest": self._busiest(place),
            "utilisation": float(self.load[place]),
            "critical_scale": float(self.critical_scale[place]),
            "cut_off": int(self.cut_off[place]),
            "cut_off_share": float(self.cut_off_share[place]),
            "short": int(self.short[place]),
            "mean_before_s": float(self.mean_before[place]),
            "mean_after_s": float(self.mean_after[place]),
        }


def _change(before: float, after: float) -> str:
    if np.isnan(after):
        return "-"
    if not np.isfinite(after) or not before > 0:
        return "unbounded"
    percent = round(100 * (after / before - 1)) if np.isfinite(before) else None
    return show_seconds(after) + ("" if percent is None else f" ({percent:+d} %)" if percent else " (±0 %)")


def single_losses(
    system: System,
    *,
    links: bool = False,
    when_short: str = WhenShort.FEWER,
    latency: str | None = None,
    progress: Callable[[float], None] | None = None,
) -> SingleLosses:
    """N-1, loads exact and latencies an approximation: lose every device, and every link, in turn.

    Parameters
    ----------
    system : System
    links : bool
        Lose every link too, both ways at once where both are listed.
    when_short : str
        ``"fewer"`` or ``"cut-off"``, as for :func:`dmoa_theory.whatif.loss.lose`.
    latency : str, optional
        Of which losses to work out the mean latency: ``"all"``, ``"worst"`` (five) or ``"none"``; default all of a network of
        up to 30 devices, the worst of a larger one.
    progress : callable, optional
        Told the fraction done, from 0 to 1, as work goes on.

    Raises
    ------
    InputError
        When a choice is none of the named ones.

    Notes
    -----
    Loads after all losses come from the products of sparse matrices of :mod:`dmoa_theory.whatif.reduced_loads`, without
    building the reduced systems; they equal those of the systems that :func:`dmoa_theory.whatif.loss.lose` builds to rounding.

    Examples
    --------
    A star: everybody leans on the middle, which has no load left to fear once it is gone.

    >>> from dmoa_theory import MoA, ServiceTime, System, build_topology, single_losses
    >>> hub, service = build_topology("star", n=5), ServiceTime.exponential(20.0)
    >>> star = System(network=hub, arrival_rate=0.004, service=service, moa=MoA(1, 1))
    >>> found = single_losses(star)
    >>> found.secure, found.short.tolist(), round(found.secure_scale, 4)
    (True, [4, 0, 0, 0, 0], 2.0833)
    """
    rule = WhenShort.of(when_short)
    choices = ("all", "worst", "none")
    wanted = latency if latency is not None else "all" if system.n_devices <= _ALL_UP_TO else "worst"
    if wanted not in choices:
        raise InputError("latency", wanted, f"one of {', '.join(choices)}")
    n, network = system.n_devices, system.network
    reduced = ReducedLoads(system, rule)
    busiest, load = np.empty(n, dtype=np.int64), np.empty(n)
    for start in range(0, n, _BLOCK):
        after = np.nan_to_num(reduced.without_devices(np.arange(start, min(start + _BLOCK, n))), nan=-1.0)
        busiest[start : start + _BLOCK], load[start : start + _BLOCK] = after.argmax(axis=1), after.max(axis=1)
    cut_off, cut_off_share, short = _users_hit_by_devices(system, rule)
    pairs = link_pairs(system) if links else []
    label = [network.name(u) for u in range(n)]
    if pairs:
        peaks = reduced.link_peaks(pairs)
        by_link = _users_hit_by_links(system, rule, pairs)
        busiest, load = np.concatenate((busiest, peaks[0])), np.concatenate((load, peaks[1]))
        hit = zip((cut_off, cut_off_share, short), by_link, strict=True)
        cut_off, cut_off_share, short = (np.concatenate(both) for both in hit)
        source = network.link_sources()
        for pair in pairs:
            ends = int(source[pair[0]]), int(network.indices[pair[0]])
            label.append(link_label(network, *ends, both=len(pair) == 2))
    idle = ~(load > 0)
    busiest[idle], load[idle] = -1, 0.0
    found = SingleLosses(
        system=system,
        when_short=rule,
        label=tuple(label),
        links=tuple(pairs),
        busiest=read_only(busiest),
        load=read_only(load),
        cut_off=read_only(cut_off),
        short=read_only(short),
        cut_off_share=read_only(cut_off_share),
        mean_before=np.full(load.size, np.nan),
        mean_after=np.full(load.size, np.nan),
    )
    places = {"all": np.arange(load.size), "worst": found.order()[:_WORST], "none": np.empty(0, dtype=np.int64)}[wanted]
    return _with_latencies(found, places, progress) if places.size else found


def _with_latencies(found: SingleLosses, places: IntArray, progress: Callable[[float], None] | None) -> SingleLosses:
    before = estimate_latency(found.system)
    means = np.full((2, found.load.size), np.nan)
    for done, place in enumerate(places.tolist()):
        loss = found.loss(place)
        after = None if loss.after is None else estimate_latency(loss.after)
        means[:, place] = means_of_the_same(loss, before, after)
        if progress is not None:
            progress((done + 1) / places.size)
    return replace(found, mean=before.mean, mean_before=read_only(means[0]), mean_after=read_only(means[1]))


def _marks(system: System, links: tuple[tuple[int, ...], ...], place: int) -> tuple[IntArray, BoolArray]:
    """The lost devices, and a mark on each lost link, of one of the losses."""
    gone, n = np.zeros(system.network.n_links, dtype=bool), system.n_devices
    if place < n:
        return np.array([place]), gone
    gone[list(links[place - n])] = True
    return np.empty(0, dtype=np.int64), gone


def _nearly_short(system: System) -> tuple[BoolArray, BoolArray]:
    """Users with prompts who need every neighbour that they can choose from, and the links that they choose from."""
    _, k, _ = system.moa.per_user(system.n_devices)
    weight = system.moa.selection_weight
    needs_all = (k > 0) & (system.rates > 0) & (system.choice_size() <= k)
    usable = np.ones(system.network.n_links, dtype=bool) if weight is None else weight > 0
    return needs_all, needs_all[system.network.link_sources()] & usable


def _users_hit_by_devices(system: System, rule: WhenShort) -> tuple[IntArray, FloatArray, IntArray]:
    n, rates = system.n_devices, system.rates
    _, links = _nearly_short(system)
    target = system.network.indices[links]
    short = np.bincount(target, minlength=n)
    cut_off, share = (rates > 0).astype(np.int64), rates.copy()
    if rule is WhenShort.CUT_OFF:
        cut_off = cut_off + short
        share = share + np.bincount(target, weights=rates[system.network.link_sources()[links]], minlength=n)
    return cut_off, share / rates.sum(), short


def _users_hit_by_links(system: System, rule: WhenShort, pairs: list[tuple[int, ...]]) -> tuple[IntArray, FloatArray, IntArray]:
    _, links = _nearly_short(system)
    source = system.network.link_sources()
    short = np.array([sum(bool(links[place]) for place in pair) for pair in pairs], dtype=np.int64)
    share = np.array([sum(float(system.rates[source[place]]) for place in pair if links[place]) for pair in pairs])
    if rule is WhenShort.FEWER:
        return np.zeros(short.size, dtype=np.int64), np.zeros(short.size), short
    return short, share / system.rates.sum(), short
