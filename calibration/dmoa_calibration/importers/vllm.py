"""vLLM: what ``vllm bench serve --save-result --save-detailed --max-concurrency 1`` writes.

Per request, in the order sent: ``input_lens`` and ``output_lens`` in tokens, ``ttfts`` in seconds, ``itls`` the gaps between
tokens in seconds (https://docs.vllm.ai/en/latest/cli/bench/serve/). ``vllm bench latency`` writes neither lengths nor the size
of its batch, and cannot be used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_calibration.importers.results import Results, number, refuse, whole

__all__ = ["read", "recognises"]

_HOW = "vllm bench serve --max-concurrency 1 --save-result --save-detailed"
_LISTS = ("input_lens", "output_lens", "ttfts", "itls")


def recognises(found: Sequence[Any]) -> bool:
    """Whether these JSON values are results of ``vllm bench``."""
    return all(isinstance(each, dict) and (_serving(each) or _batches(each)) for each in found)


def read(found: Sequence[Any], file: str) -> Results:
    """Timings of every request but the first of each run.

    vLLM may send the first prompt once before it counts, to see whether the server is there; the second time it can come from
    the prefix cache.

    Raises
    ------
    InputError
        When requests ran side by side, single requests are not in the file, or none succeeded.
    """
    timings: list[Timing] = []
    models: dict[str, None] = {}
    engines: dict[str, None] = {}
    for place, run in enumerate(found):
        if not _serving(run):
            raise refuse(file, f"of vllm bench latency, which says neither lengths nor batch size; use: {_HOW}")
        _one_at_a_time(run, file)
        missing = [name for name in _LISTS if not isinstance(run.get(name), list)]
        if missing:
            raise refuse(file, f"holds no single requests ({', '.join(missing)} missing); use: {_HOW}")
        if len({len(run[name]) for name in _LISTS}) > 1:
            raise refuse(file, f"{', '.join(_LISTS)} are of different lengths: the file is damaged")
        timings += _timings(run, f"[{place}]" * (len(found) > 1), file)
        models[str(run.get("model_id", "unknown model"))] = None
        engines[str(run.get("backend") or run.get("endpoint_type") or "vllm")] = None
    if not timings:
        raise refuse(file, "no request that succeeded, the first of each run not counted")
    if len(models) > 1:
        raise refuse(file, f"runs of {' and '.join(models)}: a profile is of one model")
    return Results(
        file=file,
        tool="vllm bench serve",
        model=next(iter(models)),
        backend=next(iter(engines)),
        created=_created(found[-1]),
        timings=tuple(timings),
        lacking=(
            "times were taken by the client and hold the way to the server and back",
            "the file does not say whether prompts came from a cache",
            "the first request of each run left out, which vLLM may have sent before",
        ),
    )


def _serving(run: Mapping[str, Any]) -> bool:
    return {"request_throughput", "model_id"} <= set(run) and ("total_input_tokens" in run or "input_lens" in run)


def _batches(run: Mapping[str, Any]) -> bool:
    return {"avg_latency", "latencies", "percentiles"} <= set(run)


def _one_at_a_time(run: Mapping[str, Any], file: str) -> None:
    limit, seen = run.get("max_concurrency"), run.get("max_concurrent_requests")
    if limit != 1:
        rate = run.get("request_rate")
        pace = f" at {rate} requests/s" if isinstance(rate, int | float) else ""
        sent = f"up to {limit} requests side by side" if limit is not None else f"requests sent{pace} without waiting"
        raise refuse(file, f"made under load: {sent}; a profile needs one at a time: {_HOW}")
    if isinstance(seen, int | float) and seen > 2:  # counted by the second, in which one may end and the next begin
        raise refuse(file, f"made under load: {seen:g} requests were under way in one second and may have met; {_HOW}")


def _timings(run: Mapping[str, Any], where: str, file: str) -> list[Timing]:
    made = []
    errors = run.get("errors") or [""] * len(run["ttfts"])
    rows = list(zip(*(run[name] for name in _LISTS), errors, strict=False))
    for place, (prompt, output, ttft, gaps, error) in enumerate(rows):
        if place == 0 or error or not output:
            continue
        entry = {"input_lens": prompt, "output_lens": output, "ttfts": ttft, "itls": sum(gaps) if _numbers(gaps) else gaps}
        spot = f"{where}[{place}]"
        made.append(
            Timing(
                prompt_tokens=whole(entry, "input_lens", spot, file, least=1),
                output_tokens=whole(entry, "output_lens", spot, file, least=1),
                prefill_s=number(entry, "ttfts", spot, file),
                decode_s=number(entry, "itls", spot, file),
            )
        )
    return made


def _numbers(gaps: object) -> bool:
    return isinstance(gaps, list) and all(isinstance(gap, int | float) for gap in gaps)


def _created(run: Mapping[str, Any]) -> str | None:
    """The time of the run, ISO 8601: vLLM writes 20260131-235959, in a zone it does not name."""
    try:
        return datetime.strptime(str(run.get("date")), "%Y%m%d-%H%M%S").replace(tzinfo=UTC).isoformat()
    except ValueError:
        return None
