"""How far the latency estimate is from simulation in comparable systems, so that it can be said beside every number.

The bundled table ``data/latency_validation.csv`` holds one line for each of several hundred random systems that nothing was
fitted to: what kind of system it was, and by how much the estimate missed an exact simulation of it.
``tests/benchmarks/latency_errors.py`` makes it; its header says how the systems were drawn. ``data/latency_quorums.csv`` has
more systems with a quorum (``tests/benchmarks/latency_quorums.py``). A new system is held against the systems of its kind that
are most like it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

import numpy as np

from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import WorkMoments

__all__ = [
    "KINDS",
    "NEAREST",
    "QUANTITIES",
    "STUDIED",
    "ErrorBand",
    "ExpectedError",
    "Likeness",
    "error_rows",
    "expected_error",
    "likeness",
    "place_of",
    "show_error",
    "typical_scv",
    "validation_rows",
]  # fmt: skip

QUANTITIES = ("mean", "p50", "p95", "p99")
#: Kinds of systems, and what to say of those that are comparable.
KINDS = {
    "plain": "",
    "weighted": " with weighted choice",
    "delay": " with link delays",
    "quorum": " with a quorum",
    "mixed": " that mix quorums, link delays, weighted choice and users of unlike M and k",
}
#: So many systems, the nearest in likeness, are comparable ones.
NEAREST = 40
#: Of so many, the error at this place in order of size (from 0) is not exceeded by a further one with probability 39/41.
_WITHIN = 38
#: What counts as one step apart: in log10 of the idle share, SCV, share of the neighbours asked, layers, log2 of the ratio of
#: an aggregation's mean service to a layer's.
_STEP = np.array([0.2, 0.4, 0.35, 1.0, 0.7])
#: Where more than this share of the neighbours is asked queues move as one, and errors are larger: so many steps away from the
#: others. Without them only 90 to 93 in 100 of such systems keep to the band of the others, with them 93 to 95.
_NEARLY_ALL, _APART = 0.9, 2.0
#: Further than this from its nearest system of the study, a system is called unlike all of them.
_UNLIKE = 1.5
#: The study's systems have up to 25 devices, and among those errors do not depend on how many; of 42 larger ones 86 to 100 in
#: 100 kept to the bands (``tests/benchmarks/test_errors_of_large_systems.py``). Beyond this many devices it is said.
_MOST_DEVICES = 50
#: Mean services of the study's devices lie up to 4 apart. At 1,000 apart means and tails were within the bands, medians up to
#: 9 % off. Beyond this it is said.
_WIDEST_SPREAD = 10.0
#: Beyond so many, devices with M = 0 share shapes of waits, and tables are coarser.
_MANY_DEVICES = 2000


@dataclass(frozen=True, slots=True)
class ErrorBand:
    """Relative error against simulation in comparable systems.

    ``typical``: mean absolute error; ``within``: not exceeded in 95 % of such systems; ``largest``: the largest seen; ``bias``:
    mean error, negative where estimates are too low.
    """

    typical: float
    within: float
    largest: float
    bias: float

    @property
    def side(self) -> str:
        """To which side estimates err: "too low" or "too high" for a bias of more than half the typical error, else "off"."""
        return "off" if abs(self.bias) < self.typical / 2 else "too low" if self.bias < 0 else "too high"

    def __str__(self) -> str:
        """In words."""
        if self.largest == 0:
            return "exact"
        return f"expected error {show_error(self.typical)} (95 % of comparable systems within {show_error(self.within)})"


def show_error(share: float) -> str:
    """A relative error in per cent: two figures at most, rounded up so that nothing is promised that was not seen.

    Examples
    --------
    >>> show_error(0.0213), show_error(0.02), show_error(0.111)
    ('2.2 %', '2 %', '12 %')
    """
    percent = 100 * share
    return f"{abs(np.ceil(10 * percent - 1e-9)) / 10:.2g} %" if percent < 10 else f"{np.ceil(percent - 1e-9):.0f} %"


#: M = 0: errors of percentiles against exact ones, by the largest SCV; the worst of all laws (lognormal), and the median of
#: unlike constants. ``tests/benchmarks/test_errors_without_layers.py`` measures them; here rounded up.
_CONVOLUTION: tuple[tuple[float, dict[str, ErrorBand]], ...] = (
    (
        1.0,
        {
            "p50": ErrorBand(0.0005, 0.0024, 0.0073, 0.0003),
            "p95": ErrorBand(0.0005, 0.0012, 0.0031, 0.0004),
            "p99": ErrorBand(0.0007, 0.0013, 0.0049, 0.0006),
        },
    ),
    (
        2.0,
        {
            "p50": ErrorBand(0.0015, 0.0050, 0.0076, -0.0008),
            "p95": ErrorBand(0.0015, 0.0063, 0.0086, 0.0014),
            "p99": ErrorBand(0.0029, 0.0106, 0.0156, 0.0027),
        },
    ),
    (
        4.0,
        {
            "p50": ErrorBand(0.0062, 0.0285, 0.0335, -0.0049),
            "p95": ErrorBand(0.0032, 0.0129, 0.0156, 0.0030),
            "p99": ErrorBand(0.0094, 0.0418, 0.0475, 0.0094),
        },
    ),
)
#: Above 1, by rounding, an SCV is still 1.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ExpectedError:
    """Error bands of a latency estimate over all prompts; None for a quantity whose error has not been measured.

    They are of the figures over all prompts: those of single users are further off, the worst of them beyond the band of the
    mean in a quarter of the study's systems.
    """

    mean: ErrorBand | None
    p50: ErrorBand | None
    p95: ErrorBand | None
    p99: ErrorBand | None
    basis: str

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        bands = {name: getattr(self, name) for name in QUANTITIES}
        shown = {name: None if band is None else asdict(band) for name, band in bands.items()}
        return {**shown, "basis": self.basis}

    def __repr__(self) -> str:
        """What is expected of each figure, and of which systems that is known."""
        lines = [f"expected errors, compared with {self.basis}"]
        for name in QUANTITIES:
            band = getattr(self, name)
            lines.append(f"  {name}: {'not measured' if band is None else str(band).removeprefix('expected error ')}")
        return "\n".join(lines)


class Likeness(NamedTuple):
    """What tells how good an estimate is.

    ``kind``: plain, weighted (choice), delay (on links), quorum, or mixed (of these, or users with an (M, k) of their own).
    ``devices``: how many there are. ``load``: utilisation of the busiest device. ``scv``: of the service times that a device
    meets. ``reach``: share of its neighbours that a layer asks. ``layers``: M. ``aggregate``: mean service of an aggregation
    over that of a layer. These three are averages over prompts. ``spread``: mean service of the slowest device over that of the
    fastest; the study has only what it calls 1, up to 4.
    """

    kind: str
    devices: int
    load: float
    scv: float
    reach: float
    layers: float
    aggregate: float
    spread: float = 1.0


#: What the study tells of its systems.
STUDIED = Likeness._fields[:-1]


def likeness(system: System, work: WorkMoments) -> Likeness:
    """What kind of system it is, in the terms in which the errors were studied."""
    n = system.n_devices
    M, k, quorum = system.moa.per_user(n)
    active = system.rates > 0
    share = system.rates / system.rates.sum()
    reach = np.divide(k, system.choice_size(), out=np.zeros(n), where=(k > 0) & (M > 0) & active)
    ratio = np.ones(n)
    for group in system.groups():
        if group.M > 0:
            mean = np.broadcast_to(system.service.for_k(group.k).mean, (n, len(Stage)))[group.users]
            layer = (mean[:, Stage.FIRST] + (group.M - 1) * mean[:, Stage.LATER]) / group.M
            ratio[group.users] = mean[:, Stage.AGGREGATE] / layer
    traits = {
        "quorum": bool(((quorum <= k) & active & (M > 0)).any()),
        "delay": _delays_matter(system, work),
        "weighted": not system.moa.is_uniform,
        "own": not system.moa.is_common,
    }
    found = [name for name, present in traits.items() if present]
    kind = "plain" if not found else found[0] if len(found) == 1 and found[0] != "own" else "mixed"
    load, used = float(work.load.max()), work.jobs > 0
    seconds = work.load[used] / work.jobs[used]
    spread = float(seconds.max() / seconds.min())
    return Likeness(kind, n, load, typical_scv(work), float(share @ reach), float(share @ M), float(share @ ratio), spread)


def typical_scv(work: WorkMoments) -> float:
    """SCV of the service times that a device meets, averaged over the jobs of all devices."""
    used = work.jobs > 0
    mean, second = work.load[used] / work.jobs[used], work.second[used] / work.jobs[used]
    return max(0.0, float(np.average(second / mean**2 - 1, weights=work.jobs[used])))  # rounding may leave it below 0


def _delays_matter(system: System, work: WorkMoments) -> bool:
    """Whether the way there and back takes any user's job more than 1 % of the mean service time."""
    if not system.has_delay:
        return False
    sources = system.network.link_sources()
    longest = 0.0
    for group in system.groups():
        if group.M > 0 and group.k > 0:
            asking = np.isin(sources, group.users[system.rates[group.users] > 0])
            trips = (system.round_trip(stage, group.k)[asking].max(initial=0.0) for stage in Stage)
            longest = max(longest, *map(float, trips))
    return longest > 0.01 * float(work.load.sum() / work.jobs.sum())


@dataclass(frozen=True, slots=True)
class _Study:
    """The systems of one kind in the bundled table: places in steps of likeness, highest values, and errors by quantity."""

    place: FloatArray
    most: Likeness
    errors: dict[str, FloatArray]


@cache
def validation_rows() -> list[dict[str, str]]:
    """The bundled table, a row a system: its kind and likeness, and the errors of the estimate and of textbook formulas."""
    text = resources.files("dmoa_theory").joinpath("data/latency_validation.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def error_rows() -> list[dict[str, str]]:
    """Kind, likeness and errors of every system: the bundled table's, and those of a second one, all with a quorum.

    It has light loads and nearly constant service, of which the first has few.
    """
    text = resources.files("dmoa_theory").joinpath("data/latency_quorums.csv").read_text(encoding="utf-8")
    return validation_rows() + list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


@cache
def _study(kind: str) -> _Study:
    rows = [row for row in error_rows() if row["kind"] == kind]
    like = [Likeness(kind, int(row["devices"]), *(float(row[name]) for name in STUDIED[2:])) for row in rows]
    columns = list(zip(*like, strict=True))
    errors = {name: np.array([float(row[name]) for row in rows]) for name in QUANTITIES}
    return _Study(np.array([place_of(one) for one in like]), Likeness(kind, *map(max, columns[1:])), errors)


def place_of(like: Likeness) -> FloatArray:
    """Where a system stands among others; one is a step."""
    idle = np.log10(max(1 - like.load, 1e-6))
    steps = np.array([idle, like.scv, like.reach, like.layers, np.log2(max(like.aggregate, 1e-6))]) / _STEP
    return np.append(steps, _APART * (like.reach > _NEARLY_ALL))


def expected_error(like: Likeness) -> ExpectedError:
    """What is known of the error of a latency estimate: the errors in the forty most similar systems of the study.

    The study has systems with layers only; without any (M = 0) percentiles have been held against exact ones.

    Parameters
    ----------
    like : Likeness
        From :func:`likeness`.

    Examples
    --------
    With no layers every device is an M/G/1 queue, whose mean is exact.

    >>> expected_error(Likeness("plain", devices=4, load=0.7, scv=1.0, reach=0.0, layers=0.0, aggregate=1.0)).mean
    ErrorBand(typical=0.0, within=0.0, largest=0.0, bias=0.0)
    """
    if not like.load < 1:
        return ExpectedError(mean=None, p50=None, p95=None, p99=None, basis="none: the system is unstable")
    if like.layers == 0:
        return _without_layers(like)
    study = _study(like.kind)
    apart = np.linalg.norm(study.place - place_of(like), axis=1)
    nearest = np.argsort(apart, kind="stable")[:NEAREST]
    bands = {name: _band(study.errors[name][nearest]) for name in QUANTITIES}
    basis = f"the {NEAREST} most similar of {study.place.shape[0]} simulated systems{KINDS[like.kind]}"
    doubts = list(_beyond(like, study.most))
    if not doubts and apart.min() > _UNLIKE:
        doubts.append("none of them is much like this one")
    if doubts:
        basis += f"; {' and '.join(doubts)}: the error may be larger"
    return ExpectedError(**bands, basis=basis)


def _without_layers(like: Likeness) -> ExpectedError:
    """M = 0 for all, of which the study has none: an exact mean, and percentiles as exact as the numerical convolution."""
    basis = "exact M/G/1 percentiles (with M = 0 the mean is exact, percentiles are convolved numerically)"
    scv, bands = next((each for each in _CONVOLUTION if like.scv <= each[0] + _ROUNDING), _CONVOLUTION[-1])
    if like.scv > scv + _ROUNDING:
        basis += f"; SCV {like.scv:.3g} is above their {scv:.2g}: the error may be larger"
    if like.devices > _MANY_DEVICES:
        basis += f"; of more than {_MANY_DEVICES:,} devices alike ones are taken together: up to 1 % more"
    return ExpectedError(mean=ErrorBand(0.0, 0.0, 0.0, 0.0), **bands, basis=basis)


def _beyond(like: Likeness, most: Likeness) -> Iterator[str]:
    """Where a system lies outside the range that was studied, by more than a trifle."""
    if like.load > most.load + 0.01:
        yield f"load {like.load:.3g} is above their {most.load:.2g}"
    if like.scv > most.scv + 0.1:
        yield f"SCV {like.scv:.3g} is above their {most.scv:.2g}"
    if like.layers > most.layers:
        yield f"M = {like.layers:.3g} is above their {most.layers:.2g}"
    if like.spread > _WIDEST_SPREAD:
        yield f"mean services a factor {like.spread:.3g} apart are far more unlike than theirs"
    if like.devices > _MOST_DEVICES:
        yield f"{like.devices:,} devices are many more than theirs"


def _band(error: FloatArray) -> ErrorBand:
    size = np.sort(np.abs(error))
    return ErrorBand(float(size.mean()), float(size[_WITHIN]), float(size[-1]), float(error.mean()))
