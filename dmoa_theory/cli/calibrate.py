"""``dmoa calibrate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from dmoa_theory.cli.output import console, print_json
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile

__all__ = ["calibrate"]


def calibrate(
    *,
    backend: Annotated[Literal["transformers"], Parameter(help="Inference engine to time.")] = "transformers",
    model: Annotated[Path | None, Parameter(help="Folder of a Hugging Face model with safetensors weights.")] = None,
    synthetic: Annotated[
        str | None, Parameter(help="Instead of a model: a shape with random weights, such as llama-small or qwen2-0.5b.")
    ] = None,
    profile: Annotated[Path, Parameter(help="Profile to write; samples go to PROFILE.samples.jsonl as they are taken.")] = Path(
        "profile.json"
    ),
    budget: Annotated[float, Parameter(help="Seconds for warm-ups and samples.")] = 60.0,
    prompt_tokens: Annotated[str | None, Parameter(help='Prompt lengths to measure, such as "32,256,1024".')] = None,
    output_tokens: Annotated[str | None, Parameter(help='Answer lengths to measure, such as "8,64".')] = None,
    repeats: Annotated[int, Parameter(help="Samples of each pair of lengths, at most.")] = 3,
    threads: Annotated[int, Parameter(help="Threads of the engine; only with one is a busy machine noticed.")] = 1,
    dtype: Annotated[str | None, Parameter(help="Number type of the weights; default the model's own.")] = None,
    seed: Annotated[int, Parameter(help="Of order, prompts and random weights.")] = 0,
    resume: Annotated[bool, Parameter(negative="", help="Go on with an interrupted run.")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print the profile as JSON and nothing else.")] = False,
) -> int:
    """Measure this machine: how long an inference takes, and the memory it needs."""
    from dmoa_calibration.calibrate import calibrate as measure

    if model is None and synthetic is None:
        raise InputError("--model", InputError.MISSING, "a model folder, or --synthetic NAME for a shape with random weights")
    with _progress() as advance:
        measured = measure(
            backend,
            model=None if model is None else str(model),
            synthetic=synthetic,
            profile_path=profile,
            budget=budget,
            prompt_tokens=_lengths("--prompt-tokens", prompt_tokens),
            output_tokens=_lengths("--output-tokens", output_tokens),
            repeats=repeats,
            n_threads=threads,
            dtype=dtype,
            seed=seed,
            resume=resume,
            progress=advance,
        )
    if json:
        print_json(measured.document)
    else:
        _report(measured, profile)
    return 0


def _lengths(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(option, text, 'whole numbers with commas between, such as "32,256,1024"') from None


def _report(profile: Profile, path: Path) -> None:
    out = console()
    fit = profile.fit
    out.print(profile.describe(), markup=False)
    out.print(
        f"T(p, o) = {fit.c0:.3g} + {fit.c1:.3g} p + {fit.c2:.3g} p^2 + s ({fit.d0:.3g} + {fit.d1:.3g} (p + s/2)) seconds, "
        "with p tokens read, o written and s = o - 1",
        markup=False,
    )
    out.print(
        f"error: median {100 * fit.median_rel_err:.1f} %, largest {100 * fit.max_rel_err:.1f} %, "
        f"on lengths left out {100 * fit.loo_median_rel_err:.1f} %",
        markup=False,
    )
    verdict = profile.document.get("quality", {}).get("verdict")
    if verdict:
        out.print(f"verdict: {verdict}", markup=False)
    out.print(f'Wrote {path}. Use it in a scenario: [service] profile = "{path}"', markup=False)


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar with time left on standard error; nothing when that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)
