"""``dmoa latency``."""

from __future__ import annotations

from pathlib import Path

from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import console, folder, print_json, print_lines, print_table, progress, write_csv, write_json
from dmoa_theory.delay.latency import latency as estimate_latency

__all__ = ["latency"]


def latency(scenario: Path | None = None, /, *, options: Options = Options()) -> int:  # noqa: B008 - frozen
    """How long do prompts take? Mean and percentiles, and the memory that queues need (an approximation).

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    system = options.system(scenario)
    with progress("latency of every user") as advance:
        result = estimate_latency(system, progress=advance)
    if options.out is not None:
        from dmoa_theory.plots.latency import plot_latency
        from dmoa_theory.plots.style import save

        out = folder(options.out)
        write_json(out / "latency.json", result)
        write_csv(out / "latency.csv", result.records())
        write_csv(out / "queues.csv", result.device_records())
        save(plot_latency(result), out / "latency.png")
    if options.json:
        print_json(result.to_dict())
    else:
        from dmoa_theory.cli.report import headline, latency_lines

        out_console = console()
        print_lines(out_console, headline(system))
        print_table(out_console, result.table())
        print_table(out_console, result.device_table())
        print_lines(out_console, latency_lines(result))
    return 0 if result.stable else 3
