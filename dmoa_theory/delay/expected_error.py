"""How far the latency approximation is from simulation, so that it can be said beside every number.

The bundled table ``data/latency_errors.csv`` compares the approximation with exact simulations of random systems and of
eleven reference systems, by load and by SCV of service; quorums and link delays have rows of their own. Its header says how
the systems were drawn; ``tests/benchmarks/latency_errors.py`` makes it. The test-suite checks the table against the reference
simulations and against fresh systems.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

__all__ = ["ErrorBand", "ExpectedError", "expected_error"]


# Beyond its edges a class still speaks for systems this near: the worse of two neighbouring classes is quoted.
_LOAD_EDGE, _SCV_EDGE = 0.05, 1.1


@dataclass(frozen=True, slots=True)
class ErrorBand:
    """Relative error against simulation: typical (mean absolute), largest seen, and bias (mean; negative where too low)."""

    typical: float
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
        side = self.side
        return f"typically {100 * self.typical:.0f} % {side}, up to {100 * self.largest:.0f} % in simulations"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedError:
    """Error bands of a latency estimate; None for a quantity whose error has not been measured."""

    mean: ErrorBand | None
    p50: ErrorBand | None
    p95: ErrorBand | None
    p99: ErrorBand | None
    basis: str

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        bands = {name: getattr(self, name) for name in ("mean", "p50", "p95", "p99")}
        shown = {name: None if band is None else asdict(band) for name, band in bands.items()}
        return {**shown, "basis": self.basis}


@dataclass(frozen=True, slots=True)
class _Row:
    quantity: str
    kind: str
    load_up_to: float
    scv_up_to: float
    systems: int
    band: ErrorBand


@cache
def _table() -> tuple[_Row, ...]:
    text = resources.files("dmoa_theory").joinpath("data/latency_errors.csv").read_text(encoding="utf-8")
    return tuple(
        _Row(
            row["quantity"],
            row["kind"],
            float(row["load_up_to"]),
            float(row["scv_up_to"]),
            int(row["systems"]),
            ErrorBand(float(row["typical"]), float(row["largest"]), float(row["bias"])),
        )
        for row in csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    )


def expected_error(*, load: float, scv: float, layers: int, quorum: bool, delays: bool) -> ExpectedError:
    """What is known of the error of a latency estimate.

    Parameters
    ----------
    load : float
        Utilisation of the busiest device.
    scv : float
        Typical squared coefficient of variation of service.
    layers : int
        Largest M of any user.
    quorum, delays : bool
        Whether layers end early, and whether links take time.

    Examples
    --------
    With no layers every device is an M/G/1 queue, whose mean is exact.

    >>> expected_error(load=0.7, scv=1.0, layers=0, quorum=False, delays=False).mean
    ErrorBand(typical=0.0, largest=0.0, bias=0.0)
    """
    if not load < 1:
        return ExpectedError(mean=None, p50=None, p95=None, p99=None, basis="none: the system is unstable")
    kind = "quorum" if quorum else "delay" if delays else "plain"
    rows = [row for row in _table() if row.kind == kind]
    most_load, most_scv = max(row.load_up_to for row in rows), max(row.scv_up_to for row in rows)
    bands, systems = {}, 0
    for quantity in ("mean", "p50", "p95", "p99"):
        near = [row for row in rows if row.quantity == quantity and _near(row, rows, min(load, most_load), min(scv, most_scv))]
        worst = max(near, key=lambda row: row.band.typical)
        bands[quantity] = ErrorBand(worst.band.typical, max(row.band.largest for row in near), worst.band.bias)
        systems = sum(row.systems for row in near)
    basis = f"{systems} simulated systems of like load and variability"
    if kind != "plain":
        basis += {"quorum": ", with a quorum", "delay": ", with link delays"}[kind]
    beyond = [text for text, outside in (("load", load > most_load), ("SCV", scv > most_scv)) if outside]
    if quorum and delays:
        beyond.append("a quorum together with link delays")
    if beyond:
        basis += f"; {' and '.join(beyond)} beyond all of them: the error may be larger"
    if layers == 0:
        bands["mean"] = ErrorBand(0.0, 0.0, 0.0)
        basis += " (percentiles; with M = 0 the mean is exact)"
    return ExpectedError(**bands, basis=basis)


def _near(row: _Row, rows: list[_Row], load: float, scv: float) -> bool:
    """Whether a class holds a system, or nearly does: errors change gradually, and so must not jump at a class's edge."""
    load_above = max((other.load_up_to for other in rows if other.load_up_to < row.load_up_to), default=0.0)
    scv_above = max((other.scv_up_to for other in rows if other.scv_up_to < row.scv_up_to), default=0.0)
    return (
        load_above - _LOAD_EDGE <= load <= row.load_up_to + _LOAD_EDGE
        and scv_above / _SCV_EDGE <= scv <= row.scv_up_to * _SCV_EDGE
    )
