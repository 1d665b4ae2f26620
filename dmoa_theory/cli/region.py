"""``dmoa region``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dmoa_theory.cli.names import split_names
from dmoa_theory.cli.options import WHOLE, Options, only_beside
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.errors import InputError
from dmoa_theory.quantities import show_share
from dmoa_theory.results import jsonable
from dmoa_theory.stability.region import StabilityRegion, stability_region

if TYPE_CHECKING:
    from dmoa_theory.drain import DrainCheck

__all__ = ["check_lines", "region"]


def region(
    scenario: Path | None = None,
    /,
    *,
    users: Annotated[str, Parameter(help='Users whose rates span the pictures: two or three, such as "0,3" or by name.')] = "",
    check: Annotated[
        bool, Parameter(negative="", help="Try it: fluid model and simulations, rates scaled so that the busiest is at 95 %.")
    ] = False,
    seed: Annotated[int | None, WHOLE, Parameter(help="Of the simulations of --check; default 0.")] = None,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Do the queues stay bounded? Loads, bottleneck, and how far every rate can grow.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    only_beside("--check", check, {"--seed": seed})
    system = options.system(scenario)
    result = stability_region(system)
    axes = _axes(result, users) if users or options.out is not None else ()
    only_beside("--out", options.out is not None, {"--users": users or None})
    out_folder = None if options.out is None else OutFolder(options.out)
    found = None
    if check:
        from dmoa_theory.drain import check_drain

        with progress("fluid model and simulations at load 0.95") as advance:
            try:
                found = check_drain(system, seed=seed or 0, progress=advance)
            except InputError as error:  # of the options: the scenario has been read
                raise error.located(field=f"--{error.field}") from None
    document = {**result.to_dict(), "check": None if found is None else jsonable(found.to_dict())}
    if out_folder is not None:
        _write(result, document, axes, out_folder)
    if options.json:
        print_json(document)
    else:
        from dmoa_theory.cli.report import headline, region_lines

        out = console()
        print_lines(out, headline(system))
        print_table(out, result.table())
        print_lines(out, region_lines(result))
        if found is not None:
            print_lines(out, check_lines(found))
        if out_folder is not None:
            print_lines(out, [str(out_folder)])
    return 0 if result.stable else 3


def check_lines(check: DrainCheck) -> Iterator[str]:
    """What was tried at the edge, and what became of it."""
    load = show_share(check.load)
    yield f"Tried with all rates scaled so that the busiest device is at {load} (a check, not a proof):"
    for run in check.fluid:
        end = (
            f"drained after {run.drained_after:.3g}"
            if run.drained_after < run.followed
            else f"NOT drained after {run.followed:.3g}"
        )
        yield f"  fluid model, {run.start}: {end} times its own length"
    state = "queues stayed bounded" if check.steady else "queues GREW"
    yield f"  simulation of {check.queries:,} prompts: {state}"
    for burst in check.bursts:
        forgotten = burst.forgotten_after <= burst.followed
        after = f"forgotten after {burst.forgotten_after:.3g}" if forgotten else f"NOT forgotten after {burst.followed:.3g}"
        yield f"  simulation from a burst of {burst.prompts:,} prompts: {after} times its own length"
    for text in check.left_out:
        yield f"  not tried: {text}"
    yield f"  Memory of a start is of the order of (M + 1) / (1 - load) = {check.expected:.3g} times its own length."


def _axes(result: StabilityRegion, users: str) -> tuple[int, ...]:
    """Up to three users whose rates span a picture: those named, then those who tell most; of two, in order of number."""
    from dmoa_theory.plots.region import telling_users

    system, telling = result.system, telling_users(result)
    if not users:
        return (*sorted(telling[:2]), *telling[2:3])
    named = split_names(users, system.network, field="--users")
    if len(named) not in (2, 3):
        allowed = f'two or three users, by number from 0 to {system.n_devices - 1} or by name, such as "0,1"'
        raise InputError("--users", users, allowed)
    chosen = [system.network.position(name, field="--users") for name in named]
    if len(set(chosen)) < len(chosen):
        raise InputError("--users", users, f"{'two' if len(chosen) == 2 else 'three'} different users")
    mute = [u for u in chosen if u not in telling]
    if mute:
        name = system.network.name(mute[0])
        raise InputError("--users", users, f"users who can ask, and {name} has fewer neighbours than its k")
    return (*chosen, *(u for u in telling if u not in chosen))[:3]


def _write(result: StabilityRegion, document: dict[str, Any], axes: tuple[int, ...], out: OutFolder) -> None:
    from dmoa_theory.plots.network import plot_network
    from dmoa_theory.plots.region import plot_section, plot_utilisation, scaled_to_fit

    out.document("region.json", document)
    out.table("region.csv", result.records())
    out.picture("utilisation.png", plot_utilisation(result))
    out.picture("network.png", plot_network(result))
    drawn = {"section.png": len(axes) > 1, "region_3d.png": len(axes) > 2}
    out.remove([picture for picture, there in drawn.items() if not there])
    fit, note = None if result.stable else scaled_to_fit(result), result.system.moa.label
    if len(axes) > 1:
        scaled = None if fit is None else fit.section(*axes[:2])
        out.picture("section.png", plot_section(result.section(*axes[:2]), note=note, scaled=scaled))
    if len(axes) > 2:
        from dmoa_theory.plots.body import plot_body

        body = None if fit is None else fit.body(*axes)
        out.picture("region_3d.png", plot_body(result.body(*axes), note=note, scaled=body))
