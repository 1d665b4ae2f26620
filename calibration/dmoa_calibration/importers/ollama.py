"""Ollama: final responses of ``/api/generate`` and ``/api/chat``, kept as a JSON list or one a line.

Fields as documented (https://docs.ollama.com/api/usage), all durations in nanoseconds: ``prompt_eval_count`` and
``prompt_eval_duration`` for the prompt, ``prompt_eval_cached_count`` for the part of it that came from a cache, ``eval_count``
and ``eval_duration`` for the answer. The prompt's duration ends, and the answer's begins, with the first token: the answer of
``n`` tokens takes ``n - 1`` steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_calibration.importers.results import Results, number, refuse, whole

__all__ = ["read", "recognises"]

# Time in a queue or under other load shows as time that no stage of the response accounts for.
_UNACCOUNTED = 0.25
_GRACE = 0.05


def recognises(found: Sequence[Any]) -> bool:
    """Whether these JSON values are Ollama responses, or one list of them."""
    return any("eval_duration" in each for each in _responses(found))


def read(found: Sequence[Any], file: str) -> Results:
    """Timings of the responses that are complete; parts of a stream are passed over.

    Raises
    ------
    InputError
        When a response lacks a count or a duration, or the responses were made under load.
    """
    timings: list[Timing] = []
    intervals: list[tuple[float, float]] = []
    models: dict[str, None] = {}
    cached = 0
    for place, response in enumerate(_responses(found)):
        if "eval_duration" not in response:
            continue  # a part of a stream
        where = f"[{place}]"
        if response.get("prompt_eval_cached_count") or "prompt_eval_count" not in response:
            cached += 1  # old versions leave the count out when the whole prompt came from the cache
            continue
        timing = Timing(
            prompt_tokens=whole(response, "prompt_eval_count", where, file, least=1),
            output_tokens=whole(response, "eval_count", where, file, least=1),
            prefill_s=number(response, "prompt_eval_duration", where, file) / 1e9,
            decode_s=number(response, "eval_duration", where, file) / 1e9,
        )
        models[str(response.get("model", "unknown model"))] = None
        timings.append(timing)
        if "total_duration" in response:
            total = number(response, "total_duration", where, file) / 1e9
            idle = total - timing.wall_s - number({"load_duration": 0} | dict(response), "load_duration", where, file) / 1e9
            if idle > _GRACE + _UNACCOUNTED * timing.wall_s:
                raise refuse(
                    file, f"made under load: response {place} spent {idle:.3g} s of {total:.3g} s waiting for its turn"
                )
            ended = _seconds(response.get("created_at"))
            if ended is not None:
                intervals.append((ended - total, ended))
    _one_at_a_time(intervals, file)
    if not timings:
        raise refuse(file, "no response with a prompt that was computed rather than taken from a cache")
    if len(models) > 1:
        raise refuse(file, f"responses of {' and '.join(models)}: a profile is of one model")
    lacking = ["times are the engine's own: no network, no queue"]
    if cached:
        lacking.append(f"{cached} responses with a cached prompt left out")
    if len(intervals) < len(timings):
        lacking.append("not every response says when it was made, so requests side by side would not be noticed")
    created = next((r["created_at"] for r in reversed(_responses(found)) if _seconds(r.get("created_at")) is not None), None)
    return Results(
        file=file,
        tool="Ollama",
        model=next(iter(models)),
        backend="ollama",
        created=created,
        timings=tuple(timings),
        lacking=tuple(lacking),
    )


def _responses(found: Sequence[Any]) -> list[Mapping[str, Any]]:
    flat = [each for value in found for each in (value if isinstance(value, list) else [value])]
    return [each for each in flat if isinstance(each, dict)]


def _seconds(stamp: object) -> float | None:
    """Seconds of a time stamp such as 2025-10-17T23:14:07.414671832Z, whose nine decimals are more than Python reads."""
    if not isinstance(stamp, str):
        return None
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return parsed.timestamp() if parsed.tzinfo else None


def _one_at_a_time(intervals: list[tuple[float, float]], file: str) -> None:
    """Refuse requests that were under way side by side."""
    together = 0
    for (_, ended), (began, end) in zip(sorted(intervals), sorted(intervals)[1:], strict=False):
        together += ended - began > _GRACE * (end - began)
    if together:
        raise refuse(
            file, f"made under load: {together + 1} requests were under way side by side; a profile needs one at a time"
        )
