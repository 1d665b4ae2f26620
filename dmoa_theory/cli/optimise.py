"""``dmoa optimise``."""

from __future__ import annotations

from pathlib import Path

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import console, folder, print_json, print_lines, print_table, progress, write_csv, write_json
from dmoa_theory.optimisation.choose import optimise as choose

__all__ = ["optimise"]


def optimise(scenario: Path | None = None, /, *, options: Options = Options()) -> int:  # noqa: B008 - frozen
    """Choose (M, k): the most accurate configuration within the limits, and the one to defend.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    system = options.system(scenario)
    with options.speaking_of(scenario), progress("evaluating configurations") as advance:
        result = choose(system, progress=advance)
    if options.out is not None:
        from dmoa_theory.plots.choice import plot_choice
        from dmoa_theory.plots.style import save

        out = folder(options.out)
        write_json(out / "optimise.json", result)
        write_csv(out / "configurations.csv", result.records())
        save(plot_choice(result), out / "choice.png")
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import decision_lines, headline

        out_console = console()
        print_lines(out_console, headline(system))
        print_table(out_console, result.table())
        print_lines(out_console, decision_lines(result))
    return 0 if result.feasible else 3
