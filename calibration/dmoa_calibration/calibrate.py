"""Measure this machine from beginning to end: open the engine, time it, fit, judge the fit, write the profile."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from dmoa_calibration.backends import Backend, ChoosesPrompts, open_backend
from dmoa_calibration.hardware import describe_hardware
from dmoa_calibration.judge import head, judged
from dmoa_calibration.measure import (
    LONGEST_PROMPT,
    Design,
    Progress,
    default_prompt_tokens,
    described,
    measure,
    reason,
)
from dmoa_calibration.memory import Memory, measured_kv_bytes_per_token
from dmoa_calibration.samples import Journal, Sample, journal_path
from dmoa_theory.errors import CalibrationError, DmoaError, InputError, ProfileError
from dmoa_theory.model.profile import Profile, read_profile, write_profile

__all__ = ["calibrate"]


def calibrate(
    backend_name: str = "transformers",
    *,
    model: str | None = None,
    synthetic: str | None = None,
    url: str | None = None,
    api_key_env: str | None = None,
    device: str | None = None,
    profile_path: str | os.PathLike[str],
    budget: float = 60.0,
    prompt_tokens: Sequence[int] | None = None,
    output_tokens: Sequence[int] | None = None,
    repeats: int = 3,
    n_threads: int = 1,
    dtype: str | None = None,
    timeout: float = 300.0,
    seed: int = 0,
    target_error: float = 0.02,
    resume: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Profile:
    """Measure one model on this machine, write its profile, and return it.

    Parameters
    ----------
    backend_name : str
        Inference engine; see :data:`dmoa_calibration.backends.LOADERS`.
    model, synthetic : str, optional
        Exactly one: a model folder or file, or a shape of :data:`dmoa_calibration.synthetic.SHAPES` with random weights.
    url, api_key_env, device : str, optional
        Server, name of the variable with its key, place to compute; see :func:`dmoa_calibration.backends.open_backend`.
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
    timeout : float, seconds
        Longest that one inference may take where the engine runs in another process.
    seed : int
        Of order, prompts, random weights and bootstrap.
    target_error : float
        Leave-one-out error that ends the run before all repeats are done; 0 for never.
    resume : bool
        Go on with the journal of a run that was interrupted or whose budget ended, instead of starting afresh. A profile that
        is there is replaced if samples come to it, and left as it is if there is nothing left to measure.
    force : bool
        Replace a profile that is there already; its samples are put aside under ``.old``.
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
    if profile.exists() and not (resume or force):
        allowed = "a file that is not there yet; --resume goes on with its samples, --force replaces it"
        raise InputError("profile", profile_path, allowed)
    if profile.exists() and not force and not journal_path(profile).exists():
        allowed = f"a profile with its samples in {journal_path(profile).name} beside it; --force replaces it"
        raise InputError("profile", profile_path, allowed)
    if not (math.isfinite(budget) and budget > 0):
        raise InputError("budget", budget, "a number of seconds above 0")
    outputs = tuple(output_tokens) if output_tokens is not None else (8, 64)
    if prompt_tokens is not None:  # refuse bad lengths before minutes are spent on loading a model
        Design(prompt_tokens=tuple(prompt_tokens), output_tokens=outputs, repeats=repeats, seed=seed)
    with Journal(journal_path(profile)) as journal:
        backend = open_backend(
            backend_name,
            model=model,
            synthetic=synthetic,
            url=url,
            api_key_env=api_key_env,
            device=device,
            n_threads=n_threads,
            dtype=dtype,
            n_ctx=max(prompt_tokens or (LONGEST_PROMPT,)) + max(outputs),
            timeout=timeout,
            seed=seed,
        )
        try:
            about = described(backend)
            hardware = describe_hardware() | about.pop("hardware", {})
            design = _design(backend, about["runtime"]["n_ctx"], prompt_tokens, outputs, repeats, seed)
            done = journal.begin(_identity(about, hardware, design), resume=resume)
            watched = n_threads == 1 and hardware["accelerator"] is None
            samples, stopped = measure(
                backend,
                design,
                journal,
                budget=budget,
                done=done,
                target_error=target_error,
                watch_processor=watched,
                progress=progress,
            )
            finished = _finished(profile, samples) if resume and not force else None
            if finished is not None:
                return finished
            document = _document(about, hardware, _memory(backend, design), samples, watched, seed)
        finally:
            with suppress(Exception):  # the samples are taken: an engine that ends badly takes nothing back
                backend.close()
        document["quality"]["stopped"] = stopped
        try:
            write_profile(profile, document)
        except ProfileError as error:
            kept = f"{error.allowed}; the samples are kept in {journal.path.name}: make room and go on with --resume"
            raise ProfileError(error.field, error.value, kept, file=error.file) from None
    return read_profile(profile)


def _finished(profile: Path, samples: Sequence[Sample]) -> Profile | None:
    """The profile that is there, if it was made of these very samples."""
    try:
        there = read_profile(profile)
    except ProfileError:  # none, or none to be kept
        return None
    return there if there.document["samples"] == [sample.to_dict() for sample in samples] else None


def _design(
    backend: Backend, n_ctx: int | None, prompts: Sequence[int] | None, outputs: tuple[int, ...], repeats: int, seed: int
) -> Design:
    """The lengths that were asked for, or those that fit into the context; or what the engine can have in their place."""
    chosen = tuple(prompts) if prompts is not None else default_prompt_tokens(n_ctx, max(outputs))
    if isinstance(backend, ChoosesPrompts):
        chosen = backend.prompt_lengths(chosen)
    design = Design(prompt_tokens=chosen, output_tokens=outputs, repeats=repeats, seed=seed)
    if n_ctx is not None and design.prompt_tokens[-1] + design.output_tokens[-1] > n_ctx:
        longest = f"{design.prompt_tokens[-1]} + {design.output_tokens[-1]}"
        raise InputError("prompt_tokens + output_tokens", longest, f"at most {n_ctx}, the model's context")
    return design


def _identity(about: dict[str, dict[str, Any]], hardware: dict[str, Any], design: Design) -> dict[str, str]:
    """Say what samples must share to be of one profile."""
    runtime, model = about["runtime"], about["model"]
    weights = "random" if model["random_weights"] else "trained"
    return {
        "machine": f"{hardware['cpu_model']}, {hardware['n_cores']} cores",
        "backend": f"{runtime['backend']} ({runtime['backend_version']})",
        "model": f"{model['name']} ({model['n_params']} parameters, {weights} weights)",
        "settings": f"{runtime['n_threads'] or 'unknown'} thread(s), {runtime['dtype']}",
        "design": design.describe(),
    }


def _document(
    about: dict[str, dict[str, Any]],
    hardware: dict[str, Any],
    memory: Memory,
    samples: Sequence[Sample],
    watched: bool,
    seed: int,
) -> dict[str, Any]:
    """Put together the whole profile file."""
    return {
        **head(),
        "hardware": hardware,
        **about,
        "memory": memory.to_dict(),
        "samples": [sample.to_dict() for sample in samples],
        **judged([sample.timing for sample in samples], watched=watched, seed=seed),
    }


def _memory(backend: Backend, design: Design) -> Memory:
    """What the model needs, with the cache as measured; to be asked last, when the peak has been reached."""
    try:
        measured = measured_kv_bytes_per_token(backend, *design.prompt_tokens[:2])  # the longest could take minutes
        return replace(backend.memory(), kv_bytes_per_token_measured=measured)
    except (DmoaError, MemoryError):
        raise
    except Exception as error:  # as little to be foreseen as what goes wrong in an inference
        raise CalibrationError(
            f"the engine could not say what memory it needs: {reason(error)}; the samples are kept"
        ) from error
