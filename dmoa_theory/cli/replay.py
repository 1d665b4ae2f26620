"""``dmoa replay``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table
from dmoa_theory.simulation.traces.files import read_trace
from dmoa_theory.simulation.traces.replay import replay as replay_trace

__all__ = ["replay"]


def replay(
    trace: Path,
    /,
    *,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[str | None, Parameter(name="--out", help="Folder for tables; made if it is not there.")] = None,
) -> int:
    """Play recorded inference times through the queues: latencies, and the queues as the published code counts them.

    Parameters
    ----------
    trace
        A trace file. As .csv one row a job, with columns query, arrival, user, stage, device, service (queries and stages
        counted from 0, the aggregation last; times in s) and perhaps there, back, quorum. As .json the same, nested.
    """
    result = replay_trace(read_trace(trace))
    written = None if out is None else OutFolder(out)
    if written is not None:
        written.document("replay.json", result.to_dict())
        written.table("replay.csv", result.records())
        written.table("queues.csv", result.device_records())
    if json:
        print_json(result.to_dict())
    else:
        out_console = console()
        print_table(out_console, result.table())
        print_table(out_console, result.device_table())
        print_lines(out_console, (f"{reason[0].upper()}{reason[1:]}." for reason in result.reasons))
        if written is not None:
            print_lines(out_console, [str(written)])
    return 0
