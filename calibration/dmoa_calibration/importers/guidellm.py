"""GuideLLM: its JSON report, read without GuideLLM itself, which would bring gigabytes of other programs.

Per request: ``prompt_tokens``, ``output_tokens``, ``time_to_first_token_ms``, ``inter_token_latency_ms`` (the mean gap between
tokens, the first excluded) and ``request_latency`` in seconds. Its ``time_per_output_token_ms`` counts the first token in and
is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_calibration.importers.results import Results, number, refuse, whole

__all__ = ["read", "recognises"]


def recognises(found: Sequence[Any]) -> bool:
    """Whether these JSON values are one GuideLLM report."""
    return len(found) == 1 and isinstance(found[0], dict) and isinstance(found[0].get("benchmarks"), list)


def read(found: Sequence[Any], file: str) -> Results:
    """Timings of the successful requests of every benchmark that sent one at a time.

    Raises
    ------
    InputError
        When none did, or a request lacks a count or a time.
    """
    report = found[0]
    benchmarks = [each for each in report["benchmarks"] if isinstance(each, dict)]
    if not benchmarks:
        raise refuse(file, "a GuideLLM report without benchmarks")
    quiet = [each for each in benchmarks if _one_at_a_time(_strategy(each))]
    if not quiet:
        kinds = " and ".join(dict.fromkeys(str(_strategy(each).get("type_", "unknown")) for each in benchmarks))
        raise refuse(
            file, f"made under load: profile {kinds}; a profile needs one request at a time: guidellm ... --profile synchronous"
        )
    timings: list[Timing] = []
    cached = 0
    models: dict[str, None] = {}
    for place, benchmark in enumerate(quiet):
        requests = (benchmark.get("requests") or {}).get("successful") or []
        for i, request in enumerate(requests):
            where = f"benchmarks[{place}].requests.successful[{i}]"
            if not isinstance(request, dict):
                raise refuse(file, f"{where} is no request")
            if (request.get("input_metrics") or {}).get("cached_tokens"):
                cached += 1
                continue
            timings.append(_timing(request, where, file))
        models[_model(benchmark)] = None
    if not timings:
        raise refuse(file, "no request that succeeded with a prompt that was computed rather than taken from a cache")
    if len(models) > 1:
        raise refuse(file, f"benchmarks of {' and '.join(models)}: a profile is of one model")
    lacking = ["times were taken by the client and hold the way to the server and back"]
    if len(quiet) < len(benchmarks):
        lacking.append(f"{len(benchmarks) - len(quiet)} of {len(benchmarks)} benchmarks left out: made under load")
    if cached:
        lacking.append(f"{cached} requests with a cached prompt left out")
    version = (report.get("metadata") or {}).get("guidellm_version")
    ended = quiet[-1].get("end_time")
    return Results(
        file=file,
        tool=f"GuideLLM {version}" if version else "GuideLLM",
        model=next(iter(models)),
        backend=str(_backend(quiet[0]).get("kind") or _backend(quiet[0]).get("type_") or "openai_http"),
        created=datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds") if isinstance(ended, int | float) else None,
        timings=tuple(timings),
        lacking=tuple(lacking),
    )


def _settings(benchmark: Mapping[str, Any]) -> Mapping[str, Any]:
    """How it was run: under ``config``, in older reports under ``args``."""
    settings = benchmark.get("config") or benchmark.get("args") or {}
    return settings if isinstance(settings, dict) else {}


def _strategy(benchmark: Mapping[str, Any]) -> Mapping[str, Any]:
    strategy = _settings(benchmark).get("strategy") or {}
    return strategy if isinstance(strategy, dict) else {}


def _backend(benchmark: Mapping[str, Any]) -> Mapping[str, Any]:
    backend = _settings(benchmark).get("backend") or {}
    return backend if isinstance(backend, dict) else {}


def _model(benchmark: Mapping[str, Any]) -> str:
    return str(_backend(benchmark).get("model") or "unknown model").rsplit("/", maxsplit=1)[-1]


def _one_at_a_time(strategy: Mapping[str, Any]) -> bool:
    """Synchronous, or concurrent with a single stream."""
    if strategy.get("type_") == "synchronous":
        return strategy.get("max_concurrency") in (None, 1)
    return strategy.get("type_") == "concurrent" and 1 in (strategy.get("streams"), strategy.get("max_concurrency"))


def _timing(request: Mapping[str, Any], where: str, file: str) -> Timing:
    output = whole(request, "output_tokens", where, file, least=1)
    first = number(request, "time_to_first_token_ms", where, file)
    if output == 1:
        decode = 0.0
    elif request.get("inter_token_latency_ms") is not None:
        decode = number(request, "inter_token_latency_ms", where, file) * (output - 1)
    else:
        decode = max(1e3 * number(request, "request_latency", where, file) - first, 0.0)
    return Timing(
        prompt_tokens=whole(request, "prompt_tokens", where, file, least=1),
        output_tokens=output,
        prefill_s=first / 1e3,
        decode_s=decode / 1e3,
    )
