"""The stages of one query on one measured device: what each reads, and how long it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmoa_theory.model.service import MeasuredServiceTime, Stage
from dmoa_theory.quantities import show_number, show_seconds

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile
    from dmoa_theory.model.tokens import TokenLengths

__all__ = ["StageTime", "stage_times"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTime:
    """One stage of a query on one device: how often it runs, what it reads, how long it takes.

    Parameters
    ----------
    name : str
    layers : str
        Which layers it stands for, such as ``"2 to 3"``.
    tokens_read, tokens_written : float
        Mean lengths.
    mean, standard_error, deviation : float, seconds
        Mean service time, its standard error, and the standard deviation of a service time.
    scv : float
        Squared coefficient of variation.
    covered : bool
        Whether the mean lengths lie inside what was measured.
    """

    name: str
    layers: str
    tokens_read: float
    tokens_written: float
    mean: float
    standard_error: float
    deviation: float
    scv: float
    covered: bool

    def __str__(self) -> str:
        """One line for reports."""
        beyond = "" if self.covered else "; beyond the lengths measured"
        return (
            f"{self.name}: reads {show_number(self.tokens_read)}, writes {show_number(self.tokens_written)} tokens in "
            f"{show_seconds(self.mean)}, standard error {show_seconds(self.standard_error)}, SCV {self.scv:.3f}{beyond}"
        )


def stage_times(profile: Profile, lengths: TokenLengths, *, M: int, k: int) -> tuple[StageTime, ...]:
    """Approximation: service times of the stages of one query on the device of that profile.

    Parameters
    ----------
    profile : Profile
    lengths : TokenLengths
    M, k : int
        Layers, and neighbours asked in each. With ``M = 0`` the only stage is one inference on the bare prompt.

    Returns
    -------
    tuple of StageTime
        First layer; with ``M`` of 2 or more the later layers; with ``M`` of 1 or more the aggregation.
    """
    service = MeasuredServiceTime(profiles=(profile,), tokens=(lengths,))
    times, means = service.for_k(k), service.stage_means(k)
    stages = [(Stage.FIRST, "first layer", "1")]
    if M >= 2:
        stages.append((Stage.LATER, "later layers" if M > 2 else "second layer", "2" if M == 2 else f"2 to {M}"))
    if M >= 1:
        stages.append((Stage.AGGREGATE, "aggregation", ""))
    made = []
    for stage, name, layers in stages:
        read = float(lengths.read(later=stage is not Stage.FIRST, k=k)[0])
        mean, scv = float(times.mean[0, stage]), float(times.scv[0, stage])
        made.append(
            StageTime(
                name=name,
                layers=layers,
                tokens_read=read,
                tokens_written=lengths.output.mean,
                mean=mean,
                standard_error=float(means.standard_error[0, stage]),
                deviation=mean * scv**0.5,
                scv=scv,
                covered=bool(profile.fit.covers(max(read, 1.0), lengths.output.mean)),
            )
        )
    return tuple(made)
