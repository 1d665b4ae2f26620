"""Prompts as they came: when and whose, the rates that they stand for, and how far they are from a Poisson process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import LARGEST, FloatArray, IntArray, owned, read_only
from dmoa_theory.model.network import Network
from dmoa_theory.text_files import csv_rows, read_text

__all__ = ["FEWEST_PROMPTS", "ArrivalLog", "Dispersion", "read_arrivals"]

_COLUMNS = ("time", "user")
_TIME = "seconds, or a date and time such as 2026-05-04T09:30:00"
# Days since 1900 of the years 2000 to 2100, which is how spreadsheets keep dates, and the longest list of them.
_DAYS, _LONGEST = (36_526.0, 73_050.0), 400.0
# Share of different times below which they are taken for rounded.
_DISTINCT = 0.9
#: Prompts in a window on average, and fewest windows, when prompts are counted window by window.
_IN_A_WINDOW, _FEWEST_WINDOWS = 10, 5
#: Prompts for there to be a rate.
FEWEST_PROMPTS = 3
# Prompts fewer than which are told to leave their rates uncertain.
_FEW = 100


class Dispersion(NamedTuple):
    """How unevenly prompts came; a Poisson process has 1 in the long run in the first two, and less evenness more.

    ``counts``: variance over mean of the prompts in ``windows`` windows of ``window`` seconds (index of dispersion);
    ``gaps``: SCV of the times between prompts, those of all users together; ``chance``: that counts of a Poisson process
    vary as much or more. NaN where there are too few prompts to tell.
    """

    counts: float
    gaps: float
    chance: float
    window: float
    windows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class ArrivalLog:
    """Prompts in order of arrival.

    Parameters
    ----------
    time : array_like, shape (prompts,), s
        In any order and from any origin; kept sorted, the first at 0.
    user : array_like of int, shape (prompts,)
        Whose device each came to.
    n_devices : int
    name : str
        Of the file.
    speed : float
        How many times faster than in the file they come.
    remark : str
        What to be wary of in it.

    Raises
    ------
    InputError
        When there are fewer than three prompts, a time is not finite or all are the same, or a user is no device.

    Examples
    --------
    >>> from dmoa_theory.model.arrival_log import ArrivalLog
    >>> log = ArrivalLog(time=[60.0, 0.0, 20.0], user=[0, 0, 1], n_devices=2)
    >>> log.time.tolist(), log.rates.round(4).tolist()
    ([0.0, 20.0, 60.0], [0.0111, 0.0056])
    """

    time: npt.ArrayLike
    user: npt.ArrayLike
    n_devices: int
    name: str = ""
    speed: float = 1.0
    remark: str = ""

    def __post_init__(self) -> None:
        """Check and sort."""
        time, user = np.asarray(self.time, dtype=np.float64), np.asarray(self.user)
        if time.ndim != 1:
            raise InputError("time", f"shape {time.shape}", "one time for each prompt")
        if time.size < FEWEST_PROMPTS:
            raise InputError("prompts", time.size, f"{FEWEST_PROMPTS} or more, for there to be a rate")
        if user.shape != time.shape or user.dtype.kind not in "iu" or not ((user >= 0) & (user < self.n_devices)).all():
            raise InputError("user", f"shape {user.shape}", f"for each prompt a device from 0 to {self.n_devices - 1}")
        if not (np.abs(time) <= LARGEST).all():
            raise InputError("time", float(time[~(np.abs(time) <= LARGEST)][0]), _TIME)
        order = np.argsort(time, kind="stable")
        if time[order[0]] == time[order[-1]]:
            raise InputError("time", "all the same", "times that differ, for there to be a rate")
        object.__setattr__(self, "time", owned(time[order] - time[order[0]]))
        object.__setattr__(self, "user", read_only(user[order].astype(np.int64)))

    @property
    def label(self) -> str:
        """The list, in words."""
        return (self.name or "the list") + ("" if self.speed == 1 else f" ({self.speed:g} times as fast)")

    @property
    def prompts(self) -> int:
        """How many."""
        return np.asarray(self.time).size

    @property
    def span(self) -> float:
        """Seconds from the first prompt to the last."""
        return float(np.asarray(self.time)[-1])

    @property
    def counts(self) -> IntArray:
        """Prompts of each user; shape (n,)."""
        return np.bincount(np.asarray(self.user), minlength=self.n_devices)

    @property
    def rates(self) -> FloatArray:
        """Estimate, unbiased for Poisson arrivals: arrival rates; shape (n,), prompts/s.

        From the first of N prompts to the last a Poisson process of rate r takes N - 1 gaps, a gamma variate whose inverse has
        the mean r / (N - 2).
        """
        total = (self.prompts - 2) / self.span
        return np.asarray(total * self.counts / self.prompts)

    def faster(self, factor: float) -> ArrivalLog:
        """The same prompts with all times between them divided by a number; its rates are as many times higher.

        Parameters
        ----------
        factor : float
            Above 0; 1 leaves the list as it is.

        Examples
        --------
        >>> from dmoa_theory.model.arrival_log import ArrivalLog
        >>> ArrivalLog(time=[0.0, 20.0, 60.0], user=[0, 0, 0], n_devices=1, name="log.csv").faster(2.0)
        <ArrivalLog: 3 prompts of 1 user in 30 s>
        """
        return self if factor == 1 else replace(self, time=np.asarray(self.time) / factor, speed=self.speed * factor)

    def remarks(self) -> tuple[str, ...]:
        """What to be wary of in the list, one sentence each."""
        found = [self.remark] if self.remark else []
        if self.prompts < _FEW:
            found.append(f"{self.prompts} prompts tell rates {self._error()}")
        return tuple(found)

    def _error(self) -> str:
        """How far the total rate may be off: of an inverse gamma variate, relative to its mean."""
        if self.prompts <= FEWEST_PROMPTS:
            return "hardly at all"
        return f"to some {100 / np.sqrt(self.prompts - FEWEST_PROMPTS):.0f} % only (standard error of their total)"

    def dispersion(self) -> Dispersion:
        """Estimate: how unevenly prompts came, beside a Poisson process.

        Notes
        -----
        Of a Poisson process ``(windows - 1)`` times the index of dispersion is close to chi-square with as many degrees of
        freedom (D. R. Cox, P. A. W. Lewis, The Statistical Analysis of Series of Events, Methuen 1966, section 6.3). Clumps
        of prompts raise it, and so do rates that change over the day.
        """
        from scipy.special import chdtrc

        time = np.asarray(self.time)
        gap = np.diff(time)
        gaps = float(gap.var(ddof=1) / gap.mean() ** 2) if gap.size > 1 else np.nan
        windows = self.prompts // _IN_A_WINDOW
        if windows < _FEWEST_WINDOWS:
            return Dispersion(np.nan, gaps, np.nan, np.nan, 0)
        window = self.span / windows
        counts = np.bincount(np.minimum((time / window).astype(np.int64), windows - 1), minlength=windows)
        index = float(counts.var(ddof=1) / counts.mean())
        return Dispersion(index, gaps, float(chdtrc(windows - 1, (windows - 1) * index)), window, windows)

    def __repr__(self) -> str:
        """How many, of whom, for how long."""
        users = int(np.count_nonzero(self.counts))
        return f"<ArrivalLog: {self.prompts:,} prompts of {users:,} user{'s' * (users != 1)} in {self.span:.6g} s>"


def read_arrivals(path: Path, network: Network) -> ArrivalLog:
    """Prompts from a CSV with the columns ``time`` and ``user``, one row a prompt, in any order.

    Parameters
    ----------
    path : Path
        Times are seconds, or dates and times as ISO 8601 has them, with or without a time zone. Users are devices, by name or
        number; a network of one device needs no such column.
    network : Network
        Whose devices they are.

    Returns
    -------
    ArrivalLog

    Raises
    ------
    InputError
        In one line: file, line, field, value and what is allowed.
    """
    file = str(path)
    text = read_text(path, content="rows with the columns time and user")
    rows = csv_rows(text, file=file)
    header = next(rows)[1]
    columns = [cell.casefold() for cell in header]
    alone = network.n_devices == 1 and "user" not in columns
    if len(set(columns)) != len(columns) or not {"time", *(() if alone else ("user",))} <= set(columns):
        raise InputError("columns", ",".join(header), "time and user, each once; others are not read", file=file)
    place = network.positions()
    at_time, at_user = columns.index("time"), None if alone else columns.index("user")
    times, users = [], []
    before: str | None = None
    for line, cells in rows:
        if len(cells) != len(columns):
            raise InputError(f"line {line}", f"{len(cells)} cells", f"{len(columns)}, as in the header", file=file)
        who = "0" if at_user is None else cells[at_user]
        if who not in place:
            raise InputError(f"line {line}: user", who, network.known_devices(who), file=file)
        seconds, kind = _seconds(cells[at_time], line, file)
        if before not in (None, kind):
            raise InputError(f"line {line}: time", cells[at_time], f"{before}, as in the rows before it", file=file)
        before = kind
        times.append(seconds)
        users.append(place[who])
    try:
        user = np.array(users, dtype=np.int64)
        return ArrivalLog(time=times, user=user, n_devices=network.n_devices, name=path.name, remark=_wary(times, before))
    except InputError as error:
        raise error.located(file=file) from None


def _wary(times: list[float], kind: str | None) -> str:
    """What may be wrong with times that can be read."""
    if len(set(times)) < _DISTINCT * len(times) and all(time % 60 == 0 for time in times):
        return "times are rounded to the minute, so that prompts of one minute count as coming at once"
    if kind != "seconds" or not times or not _DAYS[0] <= min(times) <= max(times) <= _DAYS[1]:
        return ""
    if max(times) - min(times) > _LONGEST or all(time.is_integer() for time in times):
        return ""
    return "the times may be a spreadsheet's numbers of days, but are read as seconds: write dates such as 2026-05-04T09:30"


def _seconds(text: str, line: int, file: str) -> tuple[float, str]:
    """A time in seconds, and how it was written; dates without a zone are read as if summer time never began or ended."""
    try:
        seconds, kind = float(text), "seconds"
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise InputError(f"line {line}: time", text, _TIME, file=file) from None
        zone = None if moment.tzinfo is None else UTC
        kind = "a date and time without a zone" if zone is None else "a date and time with its zone"
        seconds = (moment - datetime(1970, 1, 1, tzinfo=zone)).total_seconds()
    if not abs(seconds) <= LARGEST:
        raise InputError(f"line {line}: time", text, _TIME, file=file)
    return seconds, kind
