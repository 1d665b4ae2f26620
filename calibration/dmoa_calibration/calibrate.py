"""Measure this machine from beginning to end: open the engine, time it, fit, judge the fit, write the profile."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from dmoa_calibration.backends import Backend, open_backend
from dmoa_calibration.fit import Clock, cpu_wall_ratios, drift, fit_timings
from dmoa_calibration.hardware import describe_hardware
from dmoa_calibration.measure import Design, Progress, default_prompt_tokens, measure
from dmoa_calibration.samples import Journal, Sample, journal_path
from dmoa_theory import __version__
from dmoa_theory.errors import InputError
from dmoa_theory.model.profile import SCHEMA, SCHEMA_VERSION, Profile, ServiceFit, read_profile, write_profile

__all__ = ["calibrate"]

_CONTENDED_BELOW = 0.9
_DRIFTED_ABOVE = 0.05


def calibrate(
    backend_name: str = "transformers",
    *,
    model: str | None = None,
    synthetic: str | None = None,
    profile_path: str | os.PathLike[str],
    budget: float = 60.0,
    prompt_tokens: Sequence[int] | None = None,
    output_tokens: Sequence[int] | None = None,
    repeats: int = 3,
    n_threads: int = 1,
    dtype: str | None = None,
    seed: int = 0,
    target_error: float = 0.02,
    resume: bool = False,
    progress: Progress | None = None,
) -> Profile:
    """Measure one model on this machine, write its profile, and return it.

    Parameters
    ----------
    backend_name : str
        Inference engine; see :data:`dmoa_calibration.backends.LOADERS`.
    model, synthetic : str, optional
        Exactly one: a model folder, or a shape of :data:`dmoa_calibration.synthetic.SHAPES` with random weights.
    profile_path : path
        Where the profile goes; its journal of samples lies beside it as ``<profile>.samples.jsonl``.
    budget : float, seconds
        Time for warm-ups and samples; loading the model comes before it.
    prompt_tokens, output_tokens : sequence of int, optional
        Lengths to measure, at least three and two; default 32, 128, 512 (less in a short context) and 8, 64.
    repeats : int
        Samples of each pair of lengths, at most.
    n_threads : int
        Threads of the engine. Only with one can CPU seconds tell a busy machine.
    dtype : str, optional
        Number type of the weights; default: the model's own.
    seed : int
        Of order, prompts, random weights and bootstrap.
    target_error : float
        Leave-one-out error that ends the run before all repeats are done; 0 for never.
    resume : bool
        Go on with the journal of an interrupted run instead of starting afresh.
    progress : callable, optional
        ``progress(done, total, message)``.

    Raises
    ------
    InputError
        An engine, model, length or journal that cannot be used.
    BackendUnavailableError
        The engine is not installed.
    CalibrationError
        The budget does not suffice, or the engine did not do what was asked.
    ProfileError
        The profile cannot be written.
    """
    profile = Path(profile_path)
    if not os.access(profile.parent, os.W_OK) or profile.is_dir():
        raise InputError("profile", profile_path, "a file in a folder that exists and can be written to")
    if not (math.isfinite(budget) and budget > 0):
        raise InputError("budget", budget, "a number of seconds above 0")
    outputs = tuple(output_tokens) if output_tokens is not None else (8, 64)
    if prompt_tokens is not None:  # refuse bad lengths before minutes are spent on loading a model
        Design(prompt_tokens=tuple(prompt_tokens), output_tokens=outputs, repeats=repeats, seed=seed)
    backend = open_backend(backend_name, model=model, synthetic=synthetic, n_threads=n_threads, dtype=dtype, seed=seed)
    try:
        about, hardware = backend.describe(), describe_hardware()
        n_ctx = about["runtime"]["n_ctx"]
        prompts = tuple(prompt_tokens) if prompt_tokens is not None else default_prompt_tokens(n_ctx, max(outputs))
        design = Design(prompt_tokens=prompts, output_tokens=outputs, repeats=repeats, seed=seed)
        if n_ctx is not None and design.prompt_tokens[-1] + design.output_tokens[-1] > n_ctx:
            longest = f"{design.prompt_tokens[-1]} + {design.output_tokens[-1]}"
            raise InputError("prompt_tokens + output_tokens", longest, f"at most {n_ctx}, the model's context")
        journal = Journal(journal_path(profile), _identity(about, hardware, design))
        done = journal.resume() if resume else []
        if not resume:
            journal.start_afresh()
        samples, stopped = measure(
            backend, design, journal, budget=budget, done=done, target_error=target_error, progress=progress
        )
        document = _document(backend, about, hardware, samples, n_threads, seed)
    finally:
        backend.close()
    document["quality"]["stopped"] = stopped
    write_profile(profile, document)
    return read_profile(profile)


def _identity(about: dict[str, dict[str, Any]], hardware: dict[str, Any], design: Design) -> dict[str, str]:
    """Say what samples must share to be of one profile."""
    runtime, model = about["runtime"], about["model"]
    weights = "random" if model["random_weights"] else "trained"
    return {
        "machine": f"{hardware['cpu_model']}, {hardware['n_cores']} cores",
        "backend": f"{runtime['backend']} ({runtime['backend_version']})",
        "model": f"{model['name']} ({model['n_params']} parameters, {weights} weights)",
        "settings": f"{runtime['n_threads']} thread(s), {runtime['dtype']}",
        "design": design.describe(),
    }


def _document(
    backend: Backend,
    about: dict[str, dict[str, Any]],
    hardware: dict[str, Any],
    samples: Sequence[Sample],
    n_threads: int,
    seed: int,
) -> dict[str, Any]:
    """Put together the whole profile file."""
    timings = [sample.timing for sample in samples]
    # with several threads CPU seconds exceed wall seconds by design, and say nothing about other work
    ratios = cpu_wall_ratios(timings) if n_threads == 1 else None
    contended = ratios is not None and float(np.median(ratios)) < _CONTENDED_BELOW
    clock: Clock = "cpu" if contended else "wall"
    fit = fit_timings(timings, clock=clock, seed=seed)
    drifted = drift(timings, fit)
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "version": __version__,
        "source": "measured",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware,
        **about,
        "memory": backend.memory().to_dict(),
        "samples": [sample.to_dict() for sample in samples],
        "fit": fit.to_dict(),
        "quality": {
            "median_cpu_wall_ratio": None if ratios is None else float(np.median(ratios)),
            "lowest_cpu_wall_ratio": None if ratios is None else float(ratios.min()),
            "contended": contended,
            "drift": drifted,
            "verdict": _verdict(fit, contended=contended, drifted=drifted),
        },
    }


def _verdict(fit: ServiceFit, *, contended: bool, drifted: float) -> str:
    """How far to trust the fit, in words that a report can print."""
    percent = max(1, math.ceil(100 * fit.loo_median_rel_err - 1e-9))
    words = [
        f"good to {percent} % between {fit.p_range[0]} and {fit.p_range[1]} prompt tokens"
        f" and {fit.o_range[0]} to {fit.o_range[1]} output tokens; do not use beyond"
    ]
    if contended:
        words.append("the machine was busy, so CPU seconds were fitted: the times hold for a core of its own")
    if abs(drifted) > _DRIFTED_ABOVE:
        change = "slower" if drifted > 0 else "faster"
        words.append(f"the machine became {100 * abs(drifted):.0f} % {change} during the run: measure again when it is quiet")
    return "; ".join(words)
