"""Profiles from what other programs measured: llama-bench, GuideLLM, vLLM, Ollama.

The program is recognised from the file. Only measurements of one request at a time are used, because a profile is of a device
that serves one; a file made under load is refused with the reason. What a program does not measure is said in the verdict.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_calibration.importers import guidellm, llama_bench, ollama, vllm
from dmoa_calibration.importers.results import Results, documents, refuse
from dmoa_calibration.importers.span_fit import fit_spans
from dmoa_calibration.judge import head, judged
from dmoa_calibration.samples import Sample
from dmoa_calibration.verdict import verdict
from dmoa_theory.errors import InputError
from dmoa_theory.model.profile import Profile, read_profile, write_profile

__all__ = ["import_profile", "read_results"]

_PROGRAMS = {"llama-bench": llama_bench, "GuideLLM": guidellm, "vLLM": vllm, "Ollama": ollama}


def read_results(path: str | os.PathLike[str]) -> Results:
    """Read a file of measurements, whichever of the known programs wrote it.

    Raises
    ------
    InputError
        When it is of none of them, was made under load, or is damaged: one line that says so.
    """
    file = str(path)
    found = documents(Path(path))
    for program in _PROGRAMS.values():
        if program.recognises(found):
            results: Results = program.read(found, file)
            return results
    raise refuse(file, f"measurements of none of the programs known: {', '.join(_PROGRAMS)}")


def import_profile(
    files: Sequence[str | os.PathLike[str]], profile_path: str | os.PathLike[str], *, force: bool = False, seed: int = 0
) -> Profile:
    """Make a profile of measurements that another program took, write it, and return it.

    Parameters
    ----------
    files : sequence of path
        Of one program and one model; several where each holds other lengths.
    profile_path : path
        Where the profile goes.
    force : bool
        Replace a profile that is there already.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        When a file cannot be used, or the files do not belong together.
    CalibrationError
        When the lengths measured cannot fix the service time.
    ProfileError
        The profile cannot be written.
    """
    target = Path(profile_path)
    if target.exists() and not force:
        raise InputError("profile", profile_path, "a file that is not there yet; --force replaces it")
    results = [read_results(path) for path in files]
    first = results[0]
    for other in results[1:]:
        for name in ("tool", "model", "facts"):
            ours, theirs = getattr(first, name), getattr(other, name)
            if ours != theirs:
                raise refuse(other.file, f"of {name} {theirs}, and {first.file} is of {ours}: a profile is of one")
    lacking = list(dict.fromkeys(word for each in results for word in each.lacking))
    timings = [timing for each in results for timing in each.timings]
    spans = [span for each in results for span in each.spans]
    if spans:
        fit, unsaid = fit_spans(spans, seed=seed)
        words = verdict(fit, watched=False, drifted=None, lacking=[*lacking, *unsaid])
        judgement = {"fit": fit.to_dict(), "quality": _quality(words)}
    else:
        judgement = judged(timings, watched=False, seed=seed, ordered=_mixed(timings), lacking=lacking)
    judgement["quality"]["stopped"] = f"imported from {first.tool}"
    document = {
        **head(_created(results)),
        **_about(first),
        "samples": [Sample(repeat=i, timing=timing).to_dict() for i, timing in _numbered(timings)],
        **judgement,
        "imported": {
            "tool": first.tool,
            "files": [Path(each.file).name for each in results],
            "spans": [
                {"reading": span.reading, "depth": span.depth, "tokens": span.n, "ms": span.seconds * 1e3} for span in spans
            ],
        },
    }
    write_profile(target, document)
    return read_profile(target)


def _mixed(timings: Sequence[Timing]) -> bool:
    """Whether the same lengths came early and late, so that drift can be told from the fit's error at some length."""
    third = max(1, len(timings) // 3)
    early, late = ({(t.prompt_tokens, t.output_tokens) for t in part} for part in (timings[:third], timings[-third:]))
    return len(early & late) > 1


def _numbered(timings: Sequence[Timing]) -> list[tuple[int, Timing]]:
    """Each timing with how many of its cell came before it."""
    seen: dict[tuple[int, int], int] = {}
    numbered: list[tuple[int, Timing]] = []
    for timing in timings:
        cell = timing.prompt_tokens, timing.output_tokens
        numbered.append((seen.get(cell, 0), timing))
        seen[cell] = seen.get(cell, 0) + 1
    return numbered


def _quality(words: str) -> dict[str, Any]:
    return {
        "median_cpu_wall_ratio": None,
        "lowest_cpu_wall_ratio": None,
        "contended_samples": None,
        "contended": False,
        "drift": None,
        "verdict": words,
    }


def _created(results: Sequence[Results]) -> str | None:
    """The latest time in the files that can be read as one with its zone."""
    stamps = {}
    for each in results:
        try:
            when = datetime.fromisoformat(str(each.created))
        except ValueError:
            continue
        if when.tzinfo is not None:
            stamps[when.timestamp()] = when.isoformat(timespec="seconds")
    return stamps[max(stamps)] if stamps else None


def _about(results: Results) -> dict[str, Any]:
    """Machine, runtime and model as far as the files know them; the rest is null, never a guess."""
    facts = results.facts
    unknown = "unknown"
    return {
        "hardware": {
            "cpu_model": facts.get("cpu_model") or f"unknown machine ({results.tool})",
            "n_cores": None,
            "isa": [],
            "mem_total_bytes": None,
            "accelerator": facts.get("accelerator"),
        },
        "runtime": {
            "backend": results.backend,
            "backend_version": results.tool,
            "n_threads": facts.get("n_threads"),
            "dtype": facts.get("dtype", unknown),
            "kv_type": facts.get("kv_type", unknown),
            "n_ctx": None,
        },
        "model": {
            "name": results.model,
            "arch": facts.get("arch", unknown),
            "n_params": facts.get("n_params"),
            "weight_bytes": facts.get("weight_bytes"),
            "random_weights": False,
            "n_layers": None,
            "n_kv_heads": None,
            "head_dim": None,
        },
        "memory": {
            "weight_bytes": facts.get("weight_bytes"),
            "kv_bytes_per_token": None,
            "peak_rss_bytes": None,
            "load_time_s": None,
        },
    }
