"""Rates, durations and shares as people read them: the unit in which a figure is a number one can hold."""

from __future__ import annotations

import math

__all__ = [
    "rate_unit",
    "show_number",
    "show_rate",
    "show_seconds",
    "show_share",
    "show_uncertain",
    "show_uncertain_rate",
    "show_uncertain_seconds",
    "show_uncertain_share",
    "time_unit",
]

#: A half width below this part of its figure is rounding, not chance.
_ROUNDING = 1e-7


def rate_unit(per_second: float) -> tuple[float, str]:
    """Seconds of the unit of time in which a rate is at least one, and its name.

    Examples
    --------
    >>> from dmoa_theory.quantities import rate_unit
    >>> rate_unit(0.002), rate_unit(3.5)
    ((3600.0, 'hour'), (1.0, 'second'))
    """
    for seconds, unit in ((1.0, "second"), (60.0, "minute"), (3600.0, "hour")):
        if per_second * seconds >= 1:
            return seconds, unit
    return 86400.0, "day"


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds of the unit for a duration, and its symbol: milliseconds below one second, hours from ten thousand seconds.

    Scenario files speak of seconds, so most figures stay in the unit of their limits. Days follow after a hundred hours and
    years after a thousand days.

    Examples
    --------
    >>> from dmoa_theory.quantities import time_unit
    >>> time_unit(41.0), time_unit(18000.0), time_unit(1e6)
    ((1.0, 's'), (3600.0, 'h'), (86400.0, 'days'))
    """
    for below, size, unit in ((1.0, 1e-3, "ms"), (1e4, 1.0, "s"), (3.6e5, 3600.0, "h"), (8.64e7, 86400.0, "days")):
        if seconds < below:
            return size, unit
    return 86400 * 365.25, "years"


def show_rate(per_second: float) -> str:
    """A rate to three digits, per second, minute, hour or day.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_rate
    >>> show_rate(0.002), show_rate(3.5)
    ('7.2 per hour', '3.5 per second')
    """
    if not math.isfinite(per_second):
        return "unlimited"
    if per_second == 0:
        return "0"
    seconds, unit = rate_unit(per_second)
    return f"{show_number(per_second * seconds)} per {unit}"


def show_number(value: float) -> str:
    """A number to three digits, with separators instead of powers of ten.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_number
    >>> show_number(81532.0), show_number(7.2), show_number(0.00181)
    ('81,500', '7.2', '0.00181')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def show_seconds(seconds: float) -> str:
    """A duration to three digits.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_seconds
    >>> show_seconds(41.27), show_seconds(0.0042), show_seconds(1234.5), show_seconds(18000), show_seconds(99.96)
    ('41.3 s', '4.20 ms', '1234 s', '5.00 h', '100 s')
    """
    if not math.isfinite(seconds):
        return "unbounded"
    size, unit = time_unit(seconds)
    amount = seconds / size
    shown = f"{amount:.0f}" if amount >= 100 or amount == 0 else f"{amount:#.3g}".rstrip(".")  # 99.96 becomes "100."
    return f"{shown} {unit}"


def show_share(share: float) -> str:
    """A fraction as a percentage with one decimal.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_share
    >>> show_share(0.7314)
    '73.1 %'
    """
    return f"{100 * share:.1f} %" if math.isfinite(share) else "-"


def show_uncertain(value: float, half_width: float) -> str:
    """A figure and the half width of its interval: two digits of the half width, and the figure to the same place.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_uncertain
    >>> show_uncertain(18.1034, 0.1284), show_uncertain(0.0904, 0.000797), show_uncertain(8597.0, 341.0)
    ('18.10 ± 0.13', '0.09040 ± 0.00080', '8,600 ± 340')
    >>> show_uncertain(3.0, 0.0), show_uncertain(0.5, float("nan"))
    ('3 ± 0', '0.5')
    """
    return _uncertain(value, half_width, 2)


def show_uncertain_seconds(seconds: float, half_width: float) -> str:
    """A duration and the half width of its interval, in one unit.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_uncertain_seconds
    >>> show_uncertain_seconds(18.1034, 0.1284), show_uncertain_seconds(0.0421, 0.0005)
    ('18.10 ± 0.13 s', '42.10 ± 0.50 ms')
    >>> show_uncertain_seconds(101.0, float("nan"))
    '101 s'
    """
    if not _known(seconds, half_width):
        return show_seconds(seconds)
    size, unit = time_unit(max(abs(seconds), half_width))
    return f"{_uncertain(seconds / size, half_width / size, 2)} {unit}"


def show_uncertain_share(share: float, half_width: float) -> str:
    """A fraction and the half width of its interval as percentages: one decimal, more where the half width is below 0.1 %.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_uncertain_share
    >>> show_uncertain_share(0.7314, 0.0018), show_uncertain_share(0.731412, 0.00018), show_uncertain_share(0.5, 0.0)
    ('73.1 ± 0.2 %', '73.14 ± 0.02 %', '50.0 ± 0.0 %')
    """
    if not _known(share, half_width):
        return show_share(share)
    return f"{_uncertain(100 * share, 100 * half_width, 1, fewest_decimals=1)} %"


def show_uncertain_rate(per_second: float, half_width: float) -> str:
    """A rate and the half width of its interval, per second, minute, hour or day.

    Examples
    --------
    >>> from dmoa_theory.quantities import show_uncertain_rate
    >>> show_uncertain_rate(0.002, 0.000013)
    '7.200 ± 0.047 per hour'
    """
    if per_second == 0 or not _known(per_second, half_width):
        return show_rate(per_second)
    seconds, unit = rate_unit(per_second)
    return f"{_uncertain(per_second * seconds, half_width * seconds, 2)} per {unit}"


def _known(value: float, half_width: float) -> bool:
    return math.isfinite(value) and math.isfinite(half_width)


def _uncertain(value: float, half_width: float, digits: int, *, fewest_decimals: int | None = None) -> str:
    if not math.isfinite(value):
        return "-"
    if not math.isfinite(half_width):
        return show_number(value)
    if half_width <= _ROUNDING * abs(value):
        return (
            f"{show_number(value)} ± 0"
            if fewest_decimals is None
            else f"{value:,.{fewest_decimals}f} ± {0.0:.{fewest_decimals}f}"
        )
    # of the half width as rounded: 0.0996 is 0.10 to two digits
    decimals = digits - 1 - math.floor(math.log10(float(f"{half_width:.{digits - 1}e}")))
    if value != 0:  # however wide the interval, the figure keeps its first digit
        decimals = max(decimals, -math.floor(math.log10(abs(value))))
    if fewest_decimals is not None:
        decimals = max(decimals, fewest_decimals)
    shown = (f"{round(number, decimals):,.{max(decimals, 0)}f}" for number in (value, half_width))
    return " ± ".join(shown)
