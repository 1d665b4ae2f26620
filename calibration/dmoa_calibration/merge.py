"""Several profiles of one machine, model and engine made into one: their samples pooled, and fitted anew."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmoa_calibration.contention import cpu_wall_ratios
from dmoa_calibration.judge import head, judged
from dmoa_calibration.samples import Sample
from dmoa_theory.errors import CalibrationError, InputError, ProfileError
from dmoa_theory.model.profile import Profile, read_profile, write_profile

__all__ = ["merge_profiles", "samples_of"]

# What must be the same for samples to be pooled, as (part, key, in words).
_SAME = (
    ("hardware", "cpu_model", "processor"),
    ("hardware", "n_cores", "cores"),
    ("hardware", "accelerator", "accelerator"),
    ("runtime", "backend", "engine"),
    ("runtime", "backend_version", "engine version"),
    ("runtime", "n_threads", "threads"),
    ("runtime", "dtype", "number type"),
    ("runtime", "kv_type", "cache type"),
    ("model", "name", "model"),
    ("model", "n_params", "parameters"),
    ("model", "random_weights", "random weights"),
)


def merge_profiles(
    paths: Sequence[str | os.PathLike[str]], target: str | os.PathLike[str], *, force: bool = False, seed: int = 0
) -> Profile:
    """Pool the samples of profiles of the same machine, model and engine, fit them, write the profile, and return it.

    Parameters
    ----------
    paths : sequence of path
        Two or more.
    target : path
        Where the profile goes.
    force : bool
        Replace a profile that is there already.
    seed : int
        Of the bootstrap.

    Raises
    ------
    InputError
        Fewer than two, unlike ones, the same samples twice, or a target that is there.
    ProfileError
        One that cannot be read, holds no samples, or the target cannot be written.
    CalibrationError
        When some were measured on a busy machine and others hold no CPU seconds.
    """
    if len(paths) < 2:
        raise InputError("profiles", len(paths), "two or more")
    if Path(target).exists() and not force:
        raise InputError("-o", target, "a file that is not there yet; --force replaces it")
    by_path = {str(path): read_profile(path) for path in paths}
    ordered = sorted(by_path.items(), key=lambda item: item[1].created)
    first_path, first = ordered[0]
    if len(by_path) < len(paths):
        raise InputError("profiles", first_path, "each once")
    pooled: list[Sample] = []
    seen: set[tuple[float, ...]] = set()
    for path, profile in ordered:
        _check_alike(first_path, first, path, profile)
        samples = samples_of(profile, path)
        own = {(t.prompt_tokens, t.output_tokens, t.prefill_s, t.decode_s) for t in (sample.timing for sample in samples)}
        shared = len(own & seen)
        if shared > 1:  # a single pair of equal times may be chance
            allowed = "samples of its own: these are in another of the profiles too, and would count twice"
            raise InputError("samples", f"{shared} known already", allowed, file=path)
        seen |= own
        pooled += samples
    timings = [sample.timing for sample in pooled]
    watched = first.document["runtime"]["n_threads"] == 1 and first.document["hardware"]["accelerator"] is None
    complete = all(timing.cpu_s is not None for timing in timings)
    busy = [path for path, profile in ordered if profile.contended]
    if busy and not (watched and complete):
        raise CalibrationError(
            f"{busy[0]} was measured on a busy machine, and not every profile holds CPU seconds to go by instead"
        )
    runs = len(ordered)
    parts = judged(
        timings,
        watched=watched and complete and cpu_wall_ratios(timings) is not None,
        seed=seed,
        busy=bool(busy),
        lacking=[f"pooled from {runs} runs of {ordered[0][1].created[:10]} to {ordered[-1][1].created[:10]}"],
    )
    parts["quality"]["stopped"] = f"merged from {runs} profiles"
    latest = ordered[-1][1].document
    document = {
        **head(),
        **{part: latest[part] for part in ("hardware", "runtime", "model")},
        "memory": _memory([profile.document["memory"] for _, profile in ordered]),
        "samples": [sample.to_dict() for sample in _renumbered(pooled)],
        **parts,
    }
    write_profile(target, document)
    return read_profile(target)


def samples_of(profile: Profile, path: str) -> list[Sample]:
    """The samples in a profile.

    Raises
    ------
    ProfileError
        When it holds none, as one made of llama-bench rows.
    """
    entries = profile.document["samples"]
    if not entries:
        raise ProfileError("samples", "none", "single timings: import the files of several runs together instead", file=path)
    return [Sample.from_profile(entry) for entry in entries]


def _check_alike(first_path: str, first: Profile, path: str, profile: Profile) -> None:
    for part, key, word in _SAME:
        ours, theirs = first.document[part][key], profile.document[part][key]
        if ours != theirs:
            raise InputError(word, theirs, f"{ours}, as in {first_path}: only like profiles can be merged", file=path)


def _renumbered(samples: Sequence[Sample]) -> list[Sample]:
    """The same samples, each with how many of its cell came before it."""
    count: dict[tuple[int, int], int] = {}
    again = []
    for sample in samples:
        cell = sample.timing.prompt_tokens, sample.timing.output_tokens
        again.append(Sample(repeat=count.get(cell, 0), timing=sample.timing))
        count[cell] = count.get(cell, 0) + 1
    return again


def _memory(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The latest, with the largest peak of all."""
    peaks = [part["peak_rss_bytes"] for part in parts if part["peak_rss_bytes"] is not None]
    return dict(parts[-1]) | {"peak_rss_bytes": max(peaks) if peaks else None}
