"""``dmoa profile``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from dmoa_theory.cli.options import WHOLE
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table
from dmoa_theory.errors import InputError
from dmoa_theory.model.units import show_bytes
from dmoa_theory.quantities import show_seconds, show_share
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from dmoa_calibration.fit import HeldOut
    from dmoa_theory.model.profile import Profile, ServiceFit
    from dmoa_theory.model.profile_comparison import ProfileComparison
    from dmoa_theory.model.stage_times import StageTime

__all__ = ["fit_lines", "profile"]

_MOST_CELLS = 24


def profile(
    action: Literal["show", "compare", "merge"],
    /,
    *files: str,
    tokens: Annotated[
        str, Parameter(help="With show: a workload, or a CSV of lengths, for the times of stages.")
    ] = "alpaca-eval",
    M: Annotated[int, WHOLE, Parameter(name="--M", help="With show: layers of the query.")] = 2,
    k: Annotated[int, WHOLE, Parameter(name="--k", help="With show: neighbours asked in each layer.")] = 2,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], help="With merge: the profile to write.")] = None,
    force: Annotated[bool, Parameter(negative="", help="With merge: replace a profile that is there.")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[str | None, Parameter(name="--out", help="Folder for plots and tables; made if it is not there.")] = None,
) -> int:
    """Measured profiles: show one, compare several, or merge runs of one machine into one.

    Parameters
    ----------
    action
        show, compare or merge.
    files
        Profiles: one to show, two or more to compare or merge. The bundled ones also go by name.
    """
    paths = [_path(name) for name in files]
    if action == "show":
        if len(paths) != 1:
            raise InputError("profiles", len(paths), "one to show")
        return _show(paths[0], tokens, M, k, json, out)
    if len(paths) < 2:
        raise InputError("profiles", len(paths), f"two or more to {action}")
    return _compare(paths, json, out) if action == "compare" else _merge(paths, output, force, json)


def _path(name: str) -> Path:
    """A file, or else a bundled profile of that name."""
    from dmoa_theory.model.scenario import bundled_profiles

    path = Path(name)
    known = bundled_profiles()
    return known[name] if name in known and not path.exists() else path


def _show(path: Path, tokens: str, M: int, k: int, json: bool, out: str | None) -> int:
    from dmoa_theory.model.profile import read_profile
    from dmoa_theory.model.stage_times import stage_times
    from dmoa_theory.model.token_lists import workload

    for name, value in (("--M", M), ("--k", k)):
        if value < 0:
            raise InputError(name, value, "a whole number, 0 or more")
    shown = read_profile(path)
    try:
        lengths = workload(tokens)
    except InputError as error:
        raise error if error.file else error.located(field="--tokens") from None
    stages = stage_times(shown, lengths, M=M, k=k)
    cells = _held_out(shown)
    document = shown.document | {
        "held_out": [
            {
                "prompt_tokens": cell.prompt_tokens,
                "output_tokens": cell.output_tokens,
                "measured_s": cell.measured,
                "predicted_s": cell.predicted,
                "error": cell.error,
            }
            for cell in cells
        ],
        "stages": [_stage(stage) for stage in stages],
    }
    written = None if out is None else _draw(shown, document, OutFolder(out))
    if json:
        print_json(document)
        return 0
    report = console()
    print_lines(report, _lines(shown))
    if cells:
        print_table(report, _cell_table(cells))
    print_lines(report, [f"A query of M={M}, k={k} on this device, lengths of {lengths.source}:"])
    print_lines(report, [f"  {stage}" for stage in stages])
    if written is not None:
        print_lines(report, [str(written)])
    return 0


def _held_out(shown: Profile) -> list[HeldOut]:
    """Cells predicted from the others; none where the profile holds no timings, or too few."""
    from dmoa_calibration.fit import check_design, held_out
    from dmoa_calibration.samples import Sample
    from dmoa_theory.errors import CalibrationError

    timings = [Sample.from_profile(entry).timing for entry in shown.document["samples"]]
    clock = shown.fit.clock if all(t.prefill_cpu_s is not None for t in timings) else "wall"
    try:
        check_design([t.prompt_tokens for t in timings], [t.output_tokens for t in timings])
        return held_out(timings, clock=clock)
    except CalibrationError:
        return []


def _stage(stage: StageTime) -> dict[str, Any]:
    return {
        "name": stage.name,
        "layers": stage.layers,
        "tokens_read": stage.tokens_read,
        "tokens_written": stage.tokens_written,
        "mean_s": stage.mean,
        "standard_error_s": stage.standard_error,
        "scv": stage.scv,
        "covered": stage.covered,
    }


def _lines(shown: Profile) -> Iterator[str]:
    """What was measured, the formula, how good it is, and the memory."""
    fit, document = shown.fit, shown.document
    yield shown.describe()
    formula, errors = fit_lines(fit)
    yield f"  {formula}"
    origin = document.get("imported", {}).get("tool")
    came = f"imported from {origin}" if origin else f"measured with dmoa {document['version']}"
    yield f"  {came}, {shown.created}; {len(document['samples'])} samples; fitted to {fit.clock} seconds"
    yield f"  {errors}"
    quality = document["quality"]
    if quality["median_cpu_wall_ratio"] is not None:
        contended = quality.get("contended_samples")
        below = f"; below 0.9 in {contended} of {len(document['samples'])} samples" if contended else ""
        yield f"  CPU over wall seconds: {quality['median_cpu_wall_ratio']:.2f} (1 on a core of its own){below}"
    memory = [f"{show_bytes(shown.weight_bytes)} weights"] if shown.weight_bytes is not None else []
    if shown.kv_bytes_per_token is not None:
        measured = document["memory"].get("kv_bytes_per_token_measured")
        beside = f" ({show_bytes(measured)} measured)" if measured is not None else ""
        memory.append(f"{show_bytes(shown.kv_bytes_per_token)} of cache a token{beside}")
    if shown.peak_rss_bytes is not None:
        memory.append(f"{show_bytes(shown.peak_rss_bytes)} at most for the measuring process")
    yield f"  memory: {', '.join(memory) or 'not known'}"
    if quality.get("verdict"):
        yield f"  verdict: {quality['verdict']}"


def fit_lines(fit: ServiceFit) -> tuple[str, str]:
    """The formula with its coefficients, and how far single inferences are off it."""
    worst = "" if fit.loo_max_rel_err is None else f", at worst {show_share(fit.loo_max_rel_err)}"
    return (
        f"T(p, o) = {fit.c0:.3g} + {fit.c1:.3g} p + {fit.c2:.3g} p^2 + s ({fit.d0:.3g} + {fit.d1:.3g} (p + s/2)) seconds, "
        "with p tokens read, o written and s = o - 1",
        f"error on lengths left out: typically {show_share(fit.loo_median_rel_err)}{worst}; on the fit's own samples: "
        f"typically {show_share(fit.median_rel_err)}, at worst {show_share(fit.max_rel_err)}",
    )


def _cell_table(cells: Sequence[HeldOut]) -> Table:
    """Predicted beside measured; of many cells the worst."""
    shown = sorted(cells, key=lambda cell: -abs(cell.error))[:_MOST_CELLS] if len(cells) > _MOST_CELLS else list(cells)
    which = "" if len(cells) <= _MOST_CELLS else f", the worst {_MOST_CELLS} of {len(cells)}"
    rows = tuple(
        (
            f"{cell.prompt_tokens} + {cell.output_tokens}",
            show_seconds(cell.measured),
            show_seconds(cell.predicted),
            f"{100 * cell.error:+.1f} %",
        )
        for cell in shown
    )
    return Table(
        f"Each pair of lengths predicted from all the others{which}",
        ("prompt + answer", "measured", "predicted", "error"),
        rows,
    )


def _draw(shown: Profile, document: dict[str, Any], out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.profile import plot_profile

    out.document("profile.json", document)
    if document["held_out"]:
        out.table("held_out.csv", document["held_out"])
    else:
        out.remove(("held_out.csv",))
    out.table("stages.csv", document["stages"])
    out.picture("profile.png", plot_profile(shown))
    return out


def _compare(paths: Sequence[Path], json: bool, out: str | None) -> int:
    from dmoa_theory.model.profile import read_profile
    from dmoa_theory.model.profile_comparison import compare_profiles

    profiles = [read_profile(path) for path in paths]
    names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        names = [f"{i}: {name}" for i, name in enumerate(names, start=1)]
    result = compare_profiles(profiles, names)
    written = None if out is None else OutFolder(out)
    if written is not None:
        written.document("comparison.json", result.to_dict())
        written.table("comparison.csv", result.records())
    if json:
        print_json(result.to_dict())
        return 0
    report = console()
    print_lines(report, _legend(result))
    print_table(report, result.table())
    if not result.common:
        print_lines(
            report, [f"No lengths were measured in all of them: those of {names[0]} are shown, beyond what others cover."]
        )
    if written is not None:
        print_lines(report, [str(written)])
    return 0


def _legend(result: ProfileComparison) -> Iterator[str]:
    for letter, name, each in zip(result.letters, result.names, result.profiles, strict=True):
        yield f"{letter} = {name}: {each.describe()}"


def _merge(paths: Sequence[Path], output: Path | None, force: bool, json: bool) -> int:
    from dmoa_calibration.merge import merge_profiles

    if output is None:
        raise InputError("-o", InputError.MISSING, "the profile to write")
    merged = merge_profiles(paths, output, force=force)
    if json:
        print_json(merged.document)
        return 0
    report = console()
    print_lines(report, _lines(merged))
    print_lines(
        report, [f"Wrote {output}: {len(merged.document['samples'])} samples of {len(paths)} profiles, fitted together."]
    )
    return 0
