"""``dmoa testbed``."""

# ruff: noqa: PT028 - a verb whose name begins like that of a test

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from dmoa_theory.cli.options import SECONDS, WHOLE, Options
from dmoa_theory.cli.output import print_json, progress
from dmoa_theory.cli.testbed_pace import LONG, SPEED, check_length, good_speed, span_of, sped_up_for, warn_of_speed
from dmoa_theory.cli.testbed_report import report, write_run_folder
from dmoa_theory.cli.testbed_request import at_load, check_alone, read_prompts, run_plan, with_list
from dmoa_theory.errors import BackendUnavailableError, InputError
from dmoa_theory.interrupted import ignore_interruptions
from dmoa_theory.model.run_record import OUTCOMES
from dmoa_theory.quantities import show_seconds

if TYPE_CHECKING:
    from dmoa_calibration.testbed.drive import Snapshot
    from dmoa_calibration.testbed.drive_plan import Instruction
    from dmoa_calibration.testbed.run_testbed import RunPlan, TestbedRun
    from dmoa_theory.live.measured_run import MeasuredRun
    from dmoa_theory.model.system import System

__all__ = ["testbed"]

_NOT_AS_ASKED = 3
_INTERRUPTED = 130


def testbed(
    scenario: Path | None = None,
    config: Path | None = None,
    /,
    *,
    mode: Annotated[
        Literal["paced", "padded", "real"] | None,
        Parameter(help="Sleep the scenario's service times, pad an LLM to them, or let it take its own; default as --backend."),
    ] = None,
    backend: Annotated[
        Literal["paced", "transformers", "llama_cpp", "openai_http"] | None,
        Parameter(help="What answers at every device; default paced, which is no LLM at all."),
    ] = None,
    queries: Annotated[int | None, WHOLE, Parameter(help="Prompts to send; default 200, or those of --prompts.")] = None,
    arrivals: Annotated[
        Path | None,
        Parameter(help="CSV of prompts as they came (time, user), to be sent like that; a scenario with a log sends its own."),
    ] = None,
    seed: Annotated[int | None, WHOLE, Parameter(help="Of arrivals, choices and service times; default 0.")] = None,
    load: Annotated[
        float | None, Parameter(help="Scale all rates so that the busiest device has this load, by the scenario's times.")
    ] = None,
    speed: Annotated[float | Literal["auto"] | None, SPEED] = None,
    prompts: Annotated[
        Path | None, Parameter(help="JSON of AlpacaEval's kind to take prompts from; answers go to outputs.json in --out.")
    ] = None,
    model: Annotated[str | None, Parameter(help="Folder, GGUF file, or name at the server.")] = None,
    synthetic: Annotated[str | None, Parameter(help="Instead: a shape with random weights, such as llama-tiny-q8.")] = None,
    url: Annotated[str | None, Parameter(help="Server that all devices share (openai_http).")] = None,
    api_key_env: Annotated[str | None, Parameter(help="Environment variable that holds the server's key.")] = None,
    device: Annotated[str | None, Parameter(help="Where the engine computes.")] = None,
    output_tokens: Annotated[int | None, WHOLE, Parameter(help="Most tokens of an answer; default 16.")] = None,
    open_queries: Annotated[int | None, WHOLE, Parameter(help="Prompts that a device takes on; more are refused.")] = None,
    peer_jobs: Annotated[int | None, WHOLE, Parameter(help="Jobs of others that a device takes on; more are refused.")] = None,
    patience: Annotated[
        float | None, SECONDS, Parameter(help="Seconds to wait for a next answer after the last prompt; default 60.")
    ] = None,
    live: Annotated[
        bool, Parameter(negative="", help="Show queues and latency while it runs, and the address of a page.")
    ] = False,
    again: Annotated[
        Path | None, Parameter(name="--from", help="Run nothing: evaluate the run in this folder, which --out wrote, again.")
    ] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Run the live network on this machine, one process a device, and hold what it does against theory and simulation.

    Prompts arrive as in the scenario, whatever has become of those before; latency counts from when each was to be sent.
    With --queries, --load or --prompts they come as a Poisson process, also where the scenario has a list of them.
    Ctrl-C ends the run and reports what was answered; a second one ends it without a report. --out DIR gets everything
    recorded: it must not be there yet.

    ``dmoa testbed node CONFIG`` runs one node by hand, as its JSON or TOML configuration says.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example. Or the word node.
    config
        With node: its configuration.
    """
    if scenario is not None and str(scenario) == "node":
        return _node(config)
    if config is not None:
        raise InputError("argument", config, "one scenario; a configuration comes after the word node")
    with _ended_by_sigterm():
        engine = {"model": model, "synthetic": synthetic, "url": url, "api_key_env": api_key_env, "device": device}
        if again is not None:
            of_a_run: dict[str, object] = {
                "mode": mode,
                "backend": backend,
                "queries": queries,
                "arrivals": arrivals,
                "seed": seed,
                "load": load,
                "speed": speed,
            }
            of_a_run |= {"prompts": prompts, **engine, "output_tokens": output_tokens, "open_queries": open_queries}
            _not_beside_from(of_a_run | {"peer_jobs": peer_jobs, "patience": patience, "live": live or None})
            return _again(again, scenario, options)
        _needed()
        backend = backend or "paced"
        chosen = mode or ("paced" if backend == "paced" else "real")
        asked = None if prompts is None else read_prompts(prompts)
        check_alone(arrivals, queries, load)
        drawn = any(given is not None for given in (queries, load, asked))
        system = with_list(options.system(scenario), arrivals, drawn=drawn)
        if system.log is not None:
            count = system.log.prompts
        else:
            count = queries if queries is not None else 200 if asked is None else len(asked)
        seed = 0 if seed is None else seed
        output_tokens = 16 if output_tokens is None else output_tokens
        patience = 60.0 if patience is None else patience
        plan = run_plan(chosen, backend, engine, count, seed, asked, output_tokens, open_queries, peer_jobs, patience)
        system = at_load(system, load)
        check_length(system, count, speed, chosen)
        if speed == "auto" and chosen != "real":
            speed = good_speed(system, count)
        speed = 1.0 if speed is None else speed
        system = sped_up_for(system, speed, chosen)
        plan = replace(plan, arrivals=system.log)
        if chosen != "real":
            warn_of_speed(system, count, float(speed))
        out = None if options.out is None else Path(options.out)
        if out is not None:
            from dmoa_calibration.testbed.run_folder import check_new_folder

            check_new_folder(out)
        if live and (options.json or not sys.stderr.isatty()):
            live = False  # nobody would see it
        run = _run(system, plan, answers=asked is not None, live=live)
        run.record.facts.update({"overrides": list(options.set), "speed": speed, "load": load})
        return _evaluated(run, system, asked, out, options, scenario)


def _not_beside_from(options: Mapping[str, object]) -> None:
    """Refuse options of a run beside --from, which runs nothing."""
    for name, value in options.items():
        if value is not None:
            shown = "given" if value is True else value
            raise InputError(f"--{name.replace('_', '-')}", shown, "not beside --from, which evaluates a run that is over")


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what follows as Ctrl-C does; once one of them has, further ones do not disturb the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        if ignore_interruptions():
            before = signal.SIG_IGN
        raise
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _again(folder: Path, scenario: Path | None, options: Options) -> int:
    """Evaluate a run of old: needs no more than its folder."""
    from dmoa_theory.live.measured_run import evaluate
    from dmoa_theory.model.run_record import read_run

    if options.out is not None:
        raise InputError("--out", options.out, "not beside --from: the folder of the run has it all")
    record = read_run(folder)
    facts = record.facts
    overrides = [*facts.get("overrides", []), *options.set] if scenario is None else options.set
    system = replace(options, set=overrides).system(folder / "scenario.toml" if scenario is None else scenario)
    system = sped_up_for(system, float(facts.get("speed", 1.0)), facts["mode"])
    if len(facts["rates"]) != system.n_devices:
        raise InputError("--from", folder, f"a run of {system.n_devices} devices, as the scenario has them")
    system = system.with_rates(facts["rates"])
    with progress("simulating runs of this length") as advance:
        result = evaluate(record, system, seed=facts["seed"], progress=advance)
    if options.json:
        print_json(result.to_dict())
    else:
        report(result, None)
    return _code(result)


def _code(result: MeasuredRun) -> int:
    if result.partial:
        return _INTERRUPTED
    return 0 if result.averages and result.sound else _NOT_AS_ASKED


def _evaluated(
    run: TestbedRun,
    system: System,
    asked: tuple[Instruction, ...] | None,
    out: Path | None,
    options: Options,
    scenario: Path | None,
) -> int:
    """Hold the run against theory and simulation; print, write, and say how it went."""
    if not len(run.record.jobs):
        reasons = ", ".join(f"{count} {what}" for what, count in _outcomes(run).items() if count)
        raise InputError("run", reasons, "at least one inference; a larger queue, or a scenario that sends less")
    try:
        from dmoa_theory.live.measured_run import evaluate

        with progress("simulating runs of this length") as advance:
            result = evaluate(run.record, system, seed=run.record.facts["seed"], progress=advance)
    except KeyboardInterrupt:
        if out is not None:  # it may have taken hours to record
            write_run_folder(None, run, None, asked, out, scenario)
            print(f"dmoa: what was recorded is in {out}: dmoa testbed --from {out} evaluates it", file=sys.stderr)
        raise
    document = result.to_dict()
    unwritten: Exception | None = None
    if out is not None:
        try:
            write_run_folder(result, run, document, asked, out, scenario)
        except (OSError, InputError) as error:  # a full disk: what was found is said all the same
            unwritten = error
    if options.json:
        print_json(document)
    else:
        report(result, None if unwritten else out)
    if unwritten is not None:
        raise unwritten
    return _code(result)


def _needed() -> None:
    """The live network needs aiohttp, which comes with an extra."""
    from importlib.util import find_spec

    if find_spec("aiohttp") is None:
        raise BackendUnavailableError("testbed", "testbed")


def _node(config: Path | None) -> int:
    _needed()
    if config is None:
        raise InputError("config", InputError.MISSING, "dmoa testbed node CONFIG: a JSON or TOML file that describes the node")
    from dmoa_calibration.testbed.process import run_node

    return run_node(config)


def _run(system: System, plan: RunPlan, *, answers: bool, live: bool) -> TestbedRun:
    from dmoa_calibration.testbed.run_testbed import run_testbed

    length = span_of(system, plan.prompts)
    if sys.stderr.isatty() and length > LONG and not live:
        print(
            f"dmoa: this run takes {show_seconds(length)} or longer; Ctrl-C ends it and keeps what was answered",
            file=sys.stderr,
        )
    if live:
        from dmoa_theory.cli.testbed_live import live_table

        with live_table(system, plan.prompts) as (watch, note):
            return run_testbed(system, plan, answers=answers, watch=watch, opened=note)
    with _bar(plan.prompts) as watch_bar:
        return run_testbed(system, plan, answers=answers, watch=watch_bar)


@contextmanager
def _bar(prompts: int) -> Iterator[Callable[[Snapshot], None] | None]:
    """A bar on standard error; nothing, and no questions to the nodes, when that is not a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with progress("running the live network") as advance:
        yield lambda seen: advance((seen.answered + seen.refused) / prompts)


def _outcomes(run: TestbedRun) -> dict[str, int]:
    return {name: run.record.count(place) for place, name in enumerate(OUTCOMES)}
