"""Rates, durations and shares as people read them: the unit in which a figure is a number one can hold."""

from __future__ import annotations

import math

__all__ = ["rate_unit", "show_number", "show_rate", "show_seconds", "show_share", "time_unit"]


def rate_unit(per_second: float) -> tuple[float, str]:
    """Seconds of the unit of time in which a rate is at least one, and its name.

    Examples
    --------
    >>> rate_unit(0.002), rate_unit(3.5)
    ((3600.0, 'hour'), (1.0, 'second'))
    """
    for seconds, unit in ((1.0, "second"), (60.0, "minute"), (3600.0, "hour")):
        if per_second * seconds >= 1:
            return seconds, unit
    return 86400.0, "day"


def time_unit(seconds: float) -> tuple[float, str]:
    """Seconds of the unit for a duration, and its symbol: milliseconds below one second, hours from ten thousand seconds.

    Scenario files speak of seconds, so most figures stay in the unit of their limits.

    Examples
    --------
    >>> time_unit(41.0), time_unit(18000.0)
    ((1.0, 's'), (3600.0, 'h'))
    """
    return (1e-3, "ms") if seconds < 1 else (1.0, "s") if seconds < 1e4 else (3600.0, "h")


def show_rate(per_second: float) -> str:
    """A rate to three digits, per second, minute, hour or day.

    Examples
    --------
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
    >>> show_number(81532.0), show_number(7.2), show_number(0.00181)
    ('81,500', '7.2', '0.00181')
    """
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:g}"


def show_seconds(seconds: float) -> str:
    """A duration to three digits.

    Examples
    --------
    >>> show_seconds(41.27), show_seconds(0.0042), show_seconds(1234.5), show_seconds(18000)
    ('41.3 s', '4.20 ms', '1234 s', '5.00 h')
    """
    if not math.isfinite(seconds):
        return "unbounded"
    size, unit = time_unit(seconds)
    amount = seconds / size
    return f"{amount:.0f} {unit}" if amount >= 100 or amount == 0 else f"{amount:#.3g} {unit}"


def show_share(share: float) -> str:
    """A fraction as a percentage with one decimal.

    Examples
    --------
    >>> show_share(0.7314)
    '73.1 %'
    """
    return f"{100 * share:.1f} %" if math.isfinite(share) else "-"
