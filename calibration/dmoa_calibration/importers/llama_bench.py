"""llama-bench: what ``llama-bench -o json`` (or ``-o jsonl``) writes.

A row is a test: ``n_prompt`` tokens read at once (pp), or ``n_gen`` steps made (tg), after ``n_depth`` tokens of context, with
one entry in ``samples_ns`` a repetition
(https://github.com/ggml-org/llama.cpp/blob/master/tools/llama-bench/README.md). No tokens are chosen and no request is made, so
what every call costs (``c0``) is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmoa_calibration.importers.results import Results, Span, number, refuse, whole

__all__ = ["read", "recognises"]

# What must be the same in all rows of one machine, model and setting.
_SAME = ("model_filename", "model_type", "cpu_info", "n_threads", "n_gpu_layers", "type_k", "type_v", "n_batch", "n_ubatch")


def recognises(found: Sequence[Any]) -> bool:
    """Whether these JSON values are rows of llama-bench, or one list of them."""
    rows = _rows(found)
    return bool(rows) and all(isinstance(row, dict) and {"n_prompt", "n_gen", "avg_ns"} <= set(row) for row in rows)


def read(found: Sequence[Any], file: str) -> Results:
    """Spans of the pp and tg rows; combined rows (``-pg``) are passed over.

    Raises
    ------
    InputError
        When rows are of more than one model or setting, or lack a number.
    """
    rows = _rows(found)
    for name in _SAME:
        values = list(dict.fromkeys(str(row[name]) for row in rows if name in row))
        if len(values) > 1:
            raise refuse(file, f"rows of {name} {' and '.join(values)}: a profile is of one, so run llama-bench with one")
    spans, combined = [], 0
    for place, row in enumerate(rows):
        where = f"[{place}]"
        prompt, made = whole(row, "n_prompt", where, file), whole(row, "n_gen", where, file)
        if prompt and made:
            combined += 1
            continue
        if not prompt and not made:
            raise refuse(file, f"{where} neither reads a prompt nor makes tokens")
        depth = whole({"n_depth": 0} | dict(row), "n_depth", where, file)
        times = row.get("samples_ns") or [row["avg_ns"]]
        for i, _ in enumerate(times):
            seconds = number(dict(enumerate(times)), i, f"{where}.samples_ns", file, least=1.0) / 1e9  # type: ignore[arg-type]
            spans.append(Span(reading=bool(prompt), depth=depth, n=prompt or made, seconds=seconds))
    lacking = ["no c0: what every call costs beside its tokens is not in llama-bench"]
    if combined:
        lacking.append(f"{combined} combined rows (-pg) left out")
    return Results(
        file=file,
        tool=_tool(rows[0]),
        model=str(rows[0].get("model_filename") or rows[0].get("model_type") or "unknown model").rsplit("/", maxsplit=1)[-1],
        backend="llama.cpp",
        created=rows[-1].get("test_time"),
        spans=tuple(spans),
        facts=_facts(rows[0]),
        lacking=tuple(lacking),
    )


def _rows(found: Sequence[Any]) -> list[Any]:
    return list(found[0]) if len(found) == 1 and isinstance(found[0], list) else list(found)


def _tool(row: Mapping[str, Any]) -> str:
    build = row.get("build_number")
    return f"llama-bench (build {build})" if build else "llama-bench"


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    layers = row.get("n_gpu_layers")
    processor = str(row.get("gpu_info") or "").strip()
    offloaded = isinstance(layers, int) and layers > 0 and processor and str(row.get("backends", "")).upper() != "CPU"
    kind = str(row.get("model_type") or "unknown")
    return {
        "cpu_model": str(row.get("cpu_info") or "").strip() or None,
        "accelerator": processor if offloaded else None,
        "n_threads": row.get("n_threads") if isinstance(row.get("n_threads"), int) else None,
        "dtype": kind,
        "kv_type": str(row.get("type_k") or "unknown"),
        "arch": kind.split()[0],
        "n_params": row.get("model_n_params") or None,
        "weight_bytes": row.get("model_size") or None,
    }
