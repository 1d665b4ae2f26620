"""What ``dmoa testbed`` says of a run, and the folder it writes."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmoa_theory.cli.output import console, json_text, print_lines, print_table, write_csv, write_text
from dmoa_theory.live.beside import CLOSE
from dmoa_theory.model.run_record import REFUSED
from dmoa_theory.quantities import show_number, show_seconds, show_share

if TYPE_CHECKING:
    from dmoa_calibration.testbed.drive_plan import Instruction
    from dmoa_calibration.testbed.run_testbed import TestbedRun
    from dmoa_theory.live.beside import BesideRow
    from dmoa_theory.live.measured_run import MeasuredRun

__all__ = ["report", "run_lines", "write_run_folder"]

#: Files that a scenario names and that are larger than this are not copied into a run's folder, bytes.
_LARGEST = 2**26


def report(result: MeasuredRun, out: Path | None) -> None:
    """Print a run: service times, the comparison, and what to make of it.

    Parameters
    ----------
    result : MeasuredRun
    out : Path or None
        Where it was written to.
    """
    from dmoa_theory.cli.report import headline

    where = console()
    print_lines(where, headline(result.system))
    print_table(where, result.service_table())
    print_table(where, result.table())
    print_lines(where, run_lines(result))
    if out is not None:
        names = sorted(path.name for path in out.iterdir())
        print_lines(where, [f"Written to {out}: {', '.join(names)}."])
        again = f"dmoa replay {out / 'trace.csv'} plays it again, " if "trace.csv" in names else ""
        apart = f"dmoa compare --measured {out} tells its service times and the scenario's apart"
        print_lines(where, [f"Next: {again}{apart}."])


def run_lines(result: MeasuredRun) -> Iterator[str]:
    """What was run, how it compares, and what keeps it from being the whole truth."""
    record, facts = result.record, result.record.facts
    engine = "no LLM: every device sleeps the scenario's service times" if facts["backend"] is None else facts["backend"]
    if facts.get("model"):
        engine += f" with {facts['model']}"
    yield (
        f"Measured, {facts['mode']} ({engine}): {result.answered:,} of {len(record.prompts):,} prompts answered, "
        f"{len(record.jobs):,} inferences, seed {facts['seed']}."
    )
    if facts.get("speed", 1) != 1:
        speed = float(facts["speed"])
        factor = f"{show_number(speed)} times faster" if speed > 1 else f"{show_number(1 / speed)} times slower"
        yield f"Times are as run, {factor} than the scenario's."
    if result.averages:
        alike = "of the same length, cut alike" if result.list_name is None else "of the same prompts at the same times"
        yield f"Figures are of {_kept(result)}. Simulated: {result.simulated.runs} runs {alike}, at the measured service times."
        yield from _verdict(result.row("mean latency"))
    else:
        yield _grown(result)
    again = result.replayed
    if again.prompts and not result.partial:  # one that was interrupted lacks jobs that others waited for
        yield (
            "The same prompts, choices and service times through ideal queues take "
            f"{show_seconds(float(again.replayed.mean()))} on average: {show_seconds(again.overhead)} "
            f"({show_share(again.share)} of that) more was measured, for network, hand-over and the wait for a processor."
        )
    yield from (f"{reason[0].upper()}{reason[1:]}." for reason in result.reasons() if not reason.startswith("unstable"))
    yield from (f"Beware: {text}." for text in result.system.warnings())


def _kept(result: MeasuredRun) -> str:
    """The prompts that figures are of, and those that they are not of."""
    first, last = result.window.first, len(result.record.prompts) - result.window.last
    without = [f"the first {first:,} (queues still filling)"] if first else []
    without += [f"the last {last:,} (queues running empty)"] if last else []
    prompts = f"{result.timed:,} prompt{'s' if result.timed != 1 else ''}"
    if result.timed < result.kept:
        return f"the {prompts} with an answer of {result.kept:,}"
    return f"{prompts}, without {' and '.join(without)}" if without else f"all {prompts}"


def _verdict(row: BesideRow) -> Iterator[str]:
    """How far the mean is from that of the simulated runs, and whether chance explains it; nothing where nothing was seen."""
    if row.within is None:
        return
    far = f"{100 * abs(row.difference):.1f} % {'above' if row.difference > 0 else 'below'} the mean of the simulated runs"
    where = f"{show_seconds(row.lower)} to {show_seconds(row.upper)}, where 19 in 20 of them lie"
    if row.lower <= row.measured <= row.upper:
        yield f"Mean latency is {far}, as chance explains: it is within {where}."
    elif row.within:
        yield f"Mean latency is {far}: outside of {where}, but by no more than the {100 * CLOSE:g} % that count as close."
    else:
        yield f"Mean latency is {far}, MORE than chance explains: it is outside of {where}."


def _grown(result: MeasuredRun) -> str:
    """How fast the queues of an overloaded run grew; of one with full queues, what they kept out."""
    row = result.row("jobs gained", "all devices")
    if result.partial:
        return "OVERLOADED, and interrupted: jobs not done by then are in no record, so how fast queues grew is not known."
    refused = result.record.count(REFUSED)
    if refused:
        share = show_share(refused / len(result.record.prompts))
        return (
            f"OVERLOADED: full devices refused {refused:,} prompts ({share}), so queues stayed short; without that they would "
            f"have grown by {show_number(row.theory)} jobs a second in all."
        )
    off = [f"{100 * row.difference:+.1f} % off simulated runs, whose prompts come as often as the scenario says"]
    if row.theory > 0:
        fluid = 100 * (row.measured / row.theory - 1)
        off.append(
            f"{fluid:+.1f} % off the fluid limit ({show_number(row.theory)}), whose prompts come as often as in this run"
        )
    return (
        f"OVERLOADED: queues grew by {show_number(row.measured)} jobs a second in all: {', and '.join(off)}; both at the "
        "measured service times. Averages mean nothing here."
    )


def _copy_scenario(scenario: Path | None, overrides: Iterable[str], draft: Path) -> None:
    """The scenario, and what files beside or below it it names, at their places: the run is evaluated wherever it goes."""
    from importlib import resources

    from dmoa_theory.model.scenario import EXAMPLE

    if scenario is None:
        text = resources.files("dmoa_theory").joinpath("data").joinpath(EXAMPLE).read_text(encoding="utf-8")
        write_text(draft / "scenario.toml", text)
        return
    text = scenario.read_text(encoding="utf-8")
    write_text(draft / "scenario.toml", text)
    with suppress(tomllib.TOMLDecodeError):  # changed since the run began
        for name in _words(tomllib.loads(text.removeprefix("\ufeff")), overrides):
            with suppress(OSError, ValueError):  # no name of a file, or of one that cannot be had
                _copy(scenario.parent, draft, Path(name))


def _copy(source: Path, target: Path, name: Path) -> None:
    """A file of one folder into another, unless it lies outside, is very large, or something of that name is there."""
    inside = not name.is_absolute() and ".." not in name.parts
    if inside and (source / name).is_file() and (source / name).stat().st_size <= _LARGEST and not (target / name).exists():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)


def _words(content: Any, overrides: Iterable[str] = ()) -> Iterator[str]:
    """All texts of a scenario and its overrides that may name a file."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list | dict):
        for each in content.values() if isinstance(content, dict) else content:
            yield from _words(each)
    for override in overrides:
        yield from (part.strip(" \"'[]") for part in override.partition("=")[2].split(","))


def write_run_folder(
    result: MeasuredRun | None,
    run: TestbedRun,
    document: dict[str, Any] | None,
    asked: tuple[Instruction, ...] | None,
    out: Path,
    scenario: Path | None,
) -> None:
    """Write everything that is known of a run into a folder, which is there whole or not at all.

    Parameters
    ----------
    result : MeasuredRun or None
        None where somebody interrupted the evaluation: then what was recorded is written, which can be evaluated later.
    run : TestbedRun
    document : dict or None
        What --json prints.
    asked : tuple of Instruction, optional
        Prompts of a file, whose answers are written in its format.
    out : Path
    scenario : Path or None
        The scenario's file; None for the bundled one.
    """
    import json

    from dmoa_calibration.testbed.run_folder import whole_folder
    from dmoa_theory.live.replayed import run_trace
    from dmoa_theory.model.run_record import write_run
    from dmoa_theory.simulation.traces.files import write_trace

    record = run.record
    with whole_folder(out) as draft:
        write_run(record, draft)
        write_text(draft / "events.jsonl", "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in run.events))
        trace = run_trace(record)
        if trace is not None:
            write_trace(trace[0], draft / "trace.csv")
        if asked is not None:
            write_text(draft / "outputs.json", json.dumps(_outputs(run, asked), indent=2, ensure_ascii=False) + "\n")
        memory: list[dict[str, Any]] = [{"time_s": at, **dict(zip(record.names, now, strict=True))} for at, now in run.resident]
        write_csv(draft / "memory.csv", memory)
        if result is not None and document is not None:
            _write_figures(result, document, draft)
        _copy_scenario(scenario, record.facts.get("overrides", []), draft)


def _write_figures(result: MeasuredRun, document: dict[str, Any], draft: Path) -> None:
    """What was made of the record."""
    from dmoa_theory.plots.style import save
    from dmoa_theory.plots.testbed import plot_live_latency, plot_live_queues, plot_live_utilisation

    write_text(draft / "testbed.json", json_text(document))
    write_csv(draft / "comparison.csv", result.records())
    save(plot_live_latency(result), draft / "latency.png")
    save(plot_live_queues(result), draft / "queues.png")
    save(plot_live_utilisation(result), draft / "utilisation.png")


def _outputs(run: TestbedRun, asked: tuple[Instruction, ...]) -> list[dict[str, Any]]:
    """Answers as AlpacaEval takes them: one an instruction that was answered, the first answer where it was sent twice."""
    moa, facts = run.record.facts["moa"], run.record.facts
    alike = all(len(set(moa[name])) == 1 for name in ("layers", "k"))
    what = f"M={moa['layers'][0]},k={moa['k'][0]}" if alike else "by user"
    generator = f"dmoa {what} {facts.get('model') or facts.get('backend') or facts['mode']}"
    found = []
    for place, each in enumerate(asked):
        sent = range(place, len(run.record.prompts), len(asked))
        answer = next((run.answers[q] for q in sent if q in run.answers), None)
        if answer is not None:
            found.append({**each.rest, "instruction": each.text, "output": answer, "generator": generator})
    return found
