"""``dmoa calibrate``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from dmoa_theory.cli.options import SECONDS
from dmoa_theory.cli.output import console, print_json, print_lines
from dmoa_theory.errors import InputError
from dmoa_theory.quantities import show_seconds

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile

__all__ = ["calibrate"]

_DOES_NOT_HOLD = 3


def calibrate(
    *,
    backend: Annotated[
        Literal["transformers", "llama_cpp", "openai_http"] | None,
        Parameter(help="Inference engine to time; default transformers, with --url openai_http."),
    ] = None,
    model: Annotated[
        str | None, Parameter(help="Folder with safetensors weights, GGUF file (llama_cpp), or name at the server.")
    ] = None,
    synthetic: Annotated[
        str | None, Parameter(help="Instead of a model: a shape with random weights, such as llama-small or qwen2-0.5b-q8.")
    ] = None,
    url: Annotated[str | None, Parameter(help="Server to time (openai_http), such as http://127.0.0.1:8080.")] = None,
    api_key_env: Annotated[
        str | None, Parameter(help="Name of the environment variable that holds the server's key; never the key itself.")
    ] = None,
    device: Annotated[
        str | None, Parameter(help="Where to compute, as the engine offers: cpu (default), cuda, mps; for llama_cpp also gpu.")
    ] = None,
    profile: Annotated[Path, Parameter(help="Profile to write; samples go to PROFILE.samples.jsonl as they are taken.")] = Path(
        "profile.json"
    ),
    budget: Annotated[
        float | None,
        SECONDS,
        Parameter(
            help='Seconds, or "10 min", for warm-ups and samples; loading engine and model comes before. Default 60, with '
            "--check 20."
        ),
    ] = None,
    prompt_tokens: Annotated[str | None, Parameter(help='Prompt lengths to measure, such as "32,256,1024".')] = None,
    output_tokens: Annotated[str | None, Parameter(help='Answer lengths to measure, such as "8,64".')] = None,
    repeats: Annotated[int, Parameter(help="Samples of each pair of lengths, at most.")] = 3,
    threads: Annotated[
        int | None,
        Parameter(
            help="Threads of the engine; default 1, with --check the profile's. Only with one is a busy machine noticed."
        ),
    ] = None,
    dtype: Annotated[
        str | None, Parameter(help="Number type of the weights; default the model's own (with --check the profile's).")
    ] = None,
    timeout: Annotated[float, SECONDS, Parameter(help="Seconds that one inference may take (llama_cpp, openai_http).")] = 300.0,
    seed: Annotated[int, Parameter(help="Of order, prompts and random weights.")] = 0,
    resume: Annotated[
        bool,
        Parameter(negative="", help="Go on with a run that was interrupted or whose budget ended; a finished one is left."),
    ] = False,
    force: Annotated[bool, Parameter(negative="", help="Measure anew, and replace a profile that is there.")] = False,
    imported: Annotated[
        list[Path] | None,
        Parameter(name="--import", help="Instead of measuring: results of llama-bench, GuideLLM, vLLM or Ollama; repeatable."),
    ] = None,
    check: Annotated[
        bool, Parameter(negative="", help="20 seconds against a profile that is there: does it hold? Exit code 3 if not.")
    ] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print the profile as JSON and nothing else.")] = False,
) -> int:
    """Measure this machine: how long an inference takes, and the memory it needs."""
    from dmoa_calibration.calibrate import calibrate as measure

    if imported:
        return _import(
            imported, profile, force=force, seed=seed, json=json, given=(model, synthetic, resume or None, check or None)
        )
    if backend is None and url is not None:
        backend = "openai_http"
    engine: dict[str, Any] = {"url": url, "api_key_env": api_key_env, "device": device, "timeout": timeout}
    engine |= {"model": model, "synthetic": synthetic, "n_threads": threads, "dtype": dtype, "seed": seed}
    if check:
        return _check(profile, backend, engine, 20.0 if budget is None else budget, json)
    if model is None and synthetic is None and backend != "openai_http":
        raise InputError("--model", InputError.MISSING, "a model folder, or --synthetic NAME for a shape with random weights")
    engine["n_threads"] = 1 if threads is None else threads
    before = profile.read_bytes() if resume and profile.is_file() else None
    with _progress() as advance, _told_where_samples_are(profile):
        measured = measure(
            backend or "transformers",
            **engine,
            profile_path=profile,
            budget=60.0 if budget is None else budget,
            prompt_tokens=_lengths("--prompt-tokens", prompt_tokens),
            output_tokens=_lengths("--output-tokens", output_tokens),
            repeats=repeats,
            resume=resume,
            force=force,
            progress=advance,
        )
    if json:
        print_json(measured.document)
    elif profile.read_bytes() == before:
        stopped = measured.document["quality"].get("stopped")
        print_lines(console(), [_left_as_it_is(profile, stopped)])
    else:
        _report(measured, profile)
    return 0


def _left_as_it_is(profile: Path, stopped: str | None) -> str:
    """What to say where --resume found nothing to do."""
    why = f" ({stopped})" if stopped else ""
    # a run that its own precision ended is ended by it again, and a budget counts for those alone that were cut short
    how = {"budget": "More --budget adds to it; ", "all": "More --repeats may add to it; "}
    more = next((said for start, said in how.items() if (stopped or "").startswith(f"{start} ")), "")
    return f"{profile} is finished{why}, and stays as it is. {more}--force measures anew."


@contextmanager
def _told_where_samples_are(profile: Path) -> Iterator[None]:
    """Say after an interruption that what was measured is not lost."""
    try:
        yield
    except KeyboardInterrupt:
        from dmoa_calibration.samples import journal_path

        samples = journal_path(profile)
        if samples.exists() and samples.stat().st_size:
            print(f"dmoa: the samples taken are in {samples}: --resume goes on with them", file=sys.stderr)
        raise


def _import(files: list[Path], profile: Path, *, force: bool, seed: int, json: bool, given: tuple[object, ...]) -> int:
    """Make a profile of what another program measured."""
    from dmoa_calibration.importers import import_profile

    if any(value is not None for value in given):
        raise InputError("--import", files[0], "not beside --model, --synthetic, --resume or --check: nothing is measured")
    made = import_profile(files, profile, force=force, seed=seed)
    if json:
        print_json(made.document)
    else:
        _report(made, profile)
    return 0


def _check(path: Path, backend: str | None, engine: dict[str, Any], budget: float, json: bool) -> int:
    """Time a few inferences, and say whether the profile still holds."""
    import math

    from dmoa_calibration.backends import LOADERS, open_backend
    from dmoa_calibration.check import check_profile
    from dmoa_theory.model.profile import read_profile

    existing = read_profile(path)
    if not (math.isfinite(budget) and budget > 0):
        raise InputError("budget", budget, "a number of seconds above 0")
    backend = backend or (existing.backend if existing.backend in LOADERS else "transformers")
    if engine["model"] is None and engine["synthetic"] is None and backend != "openai_http":
        if not existing.random_weights:
            raise InputError("--model", InputError.MISSING, f"the model that {path} was measured with")
        engine = engine | {"synthetic": existing.name}
    runtime = existing.document["runtime"]
    if engine["n_threads"] is None:
        engine = engine | {"n_threads": runtime["n_threads"] or 1}
    if engine["dtype"] is None and backend == existing.backend == "transformers":  # elsewhere the model's file says it
        engine = engine | {"dtype": runtime["dtype"]}
    with _progress() as advance:
        opened = open_backend(backend, **engine, n_ctx=existing.fit.p_range[1] + existing.fit.o_range[1])
        try:
            found = check_profile(existing, opened, budget=budget, progress=advance)
        finally:
            opened.close()
    if json:
        print_json(found.to_dict())
    else:
        out = console()
        print_lines(out, [found.describe()])
        print_lines(out, found.differences)
        for cell in found.cells:
            lengths = f"{cell.prompt_tokens} prompt + {cell.output_tokens} answer tokens"
            took, says = show_seconds(cell.measured), show_seconds(cell.predicted)
            print_lines(out, [f"  {lengths}: {took}, profile {says}, {cell.ratio:.3f} of it"])
        if found.contended:
            print_lines(out, ["The machine is busy: CPU seconds were compared."])
    return 0 if found.holds else _DOES_NOT_HOLD


def _lengths(option: str, text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(option, text, 'whole numbers with commas between, such as "32,256,1024"') from None


def _report(profile: Profile, path: Path) -> None:
    from dmoa_theory.cli.profile import fit_lines

    out = console()
    out.print(profile.describe(), markup=False)
    for line in fit_lines(profile.fit):
        out.print(line, markup=False)
    verdict = profile.document.get("quality", {}).get("verdict")
    if verdict:
        out.print(f"verdict: {verdict}", markup=False)
    out.print(f'Wrote {path}. Use it in a scenario: [service] profile = "{path}"', markup=False)


@contextmanager
def _progress() -> Iterator[Callable[[int, int, str], None] | None]:
    """A bar on standard error, with what was measured last and the time left; nothing when that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")  # which says the time left
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading the model", total=None)
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)
