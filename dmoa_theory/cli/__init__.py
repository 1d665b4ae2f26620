"""The ``dmoa`` command: one module a verb, loaded when the verb is called, so that ``dmoa --help`` is quick.

Exit codes: 0 done; 2 bad input (one line on standard error); 3 what was asked for is unstable or infeasible (the full answer
is still printed); 1 a fault of ours; 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmoa_theory import __version__
from dmoa_theory.errors import DmoaError, InfeasiblePlanError, UnstableSystemError
from dmoa_theory.interrupted import INTERRUPTED, ignore_interruptions, raise_when_interrupted, was_interrupted

if TYPE_CHECKING:
    from cyclopts import App

__all__ = ["VERBS", "front_page", "main", "make_app"]

DONE, BAD_INPUT, UNSTABLE = 0, 2, 3

#: Verb, and what it does in a line.
VERBS = {
    "plan": "The main job: stability region, latency, and which (M, k) to run.",
    "region": "Do the queues stay bounded? Loads, bottleneck, and how far every rate can grow.",
    "derive": "The formulas, derived step by step for your network or a family, as text or LaTeX.",
    "capacity": "The best gossip: the largest load over all selection probabilities, and the gain over uniform.",
    "overload": "Outside the region: which queues grow, how fast, what still gets through, when a buffer is full.",
    "whatif": "What if a device or link fails, each in turn (N-1), or one central server did it all?",
    "latency": "How long do prompts take? Mean and percentiles, and the memory that queues need.",
    "simulate": "Simulate exactly: latency, queues and memory, each figure with its 95 % interval.",
    "burst": "Finite runs from empty queues: a burst of prompts, queues over time, when a buffer is full.",
    "accuracy": "How accurate is each (M, k), and how sure is that? Published data or your own, fitted, with bands.",
    "optimise": "Choose (M, k): the most accurate configuration within the limits.",
    "compare": "How good is the theory here? Every figure beside an exact simulation.",
    "replay": "Play recorded inference times through the queues: latencies, queues, and the published count of them.",
    "testbed": "Run the live network on this machine, and hold what it does against theory and simulation.",
    "reproduce": "The paper's figures, tables and formulas, ours beside theirs, and what lies beyond.",
    "calibrate": "Measure this machine: how long an inference takes, and the memory it needs.",
    "profile": "Measured profiles: show one, compare several, merge runs of one machine.",
    "init": "Write a commented scenario file to start from.",
    "schema": "Print the JSON Schema of what a verb prints with --json.",
}


def front_page() -> str:
    """What ``dmoa --help`` prints."""
    width = max(map(len, VERBS))
    return "\n".join(
        [
            "Usage: dmoa VERB [SCENARIO] [--set section.key=value ...] [--json] [--out DIR]",
            "",
            "Plan and run distributed Mixture-of-Agents: edge devices that gossip prompts and aggregate the answers.",
            "",
            *(f"  {verb.ljust(width)}  {summary}" for verb, summary in VERBS.items()),
            "",
            "Without a SCENARIO a verb takes the bundled example. dmoa VERB --help says more; dmoa --version says which dmoa.",
        ]
    )


def make_app() -> App:
    """The verbs as a cyclopts app; their modules are imported when they are called."""
    from cyclopts import App

    app = App(
        name="dmoa",
        help="Plan and run distributed Mixture-of-Agents.",
        help_format="plaintext",
        result_action="return_value",
        suppress_keyboard_interrupt=False,
    )
    for verb, summary in VERBS.items():
        app.command(f"dmoa_theory.cli.{verb}:{verb}", name=verb, help=summary)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stdout is None:  # started with standard output closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without a sign for "±" still gets its report
    try:
        code = _run(given)
        sys.stdout.flush()
    except (UnstableSystemError, InfeasiblePlanError) as error:
        return _complain(str(error), UNSTABLE)
    except DmoaError as error:
        return _complain(str(error), BAD_INPUT)
    except KeyboardInterrupt as error:
        return _interrupted(error)
    except MemoryError:
        return _complain("out of memory: a smaller or sparser network fits", BAD_INPUT)
    except BrokenPipeError:  # the reader of our output went away
        _drop_output()
        return DONE
    except OSError as error:  # a full disk, a folder that was taken away: nothing that a traceback would explain
        if error.filename is None:
            _drop_output()
        return _complain(f"{error.filename or 'standard output'}: {(error.strerror or str(error)).lower()}", BAD_INPUT)
    except Exception as error:
        if was_interrupted(error):  # in the middle of an import, which made another error of it
            return _interrupted(error)
        raise
    return code


def _run(given: list[str]) -> int:
    if not given or given[0] in {"--help", "-h"}:  # at once, without the machinery that reads options
        print(front_page())
        return DONE
    if given[0] == "--version":
        print(__version__)
        return DONE
    from cyclopts import CycloptsError, UnusedCliTokensError

    from dmoa_theory.cli.output import OutFolder

    try:
        verb, bound, _ = make_app().parse_args(given, exit_on_error=False, print_error=False)  # imports the verb
        raise_when_interrupted()
        OutFolder.latest = None
        try:
            code = verb(*bound.args, **bound.kwargs)
        except KeyboardInterrupt as error:
            if OutFolder.latest is not None and OutFolder.latest.written:
                error.add_note(f"written till then to {OutFolder.latest.path}: {', '.join(OutFolder.latest.written)}")
            raise
    except UnusedCliTokensError as error:
        extra = " ".join(error.unused_tokens or ())
        return _complain(f"{extra}: unexpected; dmoa {given[0]} --help says what it takes", BAD_INPUT)
    except CycloptsError as error:
        return _complain(str(error), BAD_INPUT)
    return code if isinstance(code, int) else DONE


def _interrupted(error: BaseException) -> int:
    ignore_interruptions()
    return _complain("; ".join(("interrupted", *getattr(error, "__notes__", ()))), INTERRUPTED)


def _drop_output() -> None:
    """Send what is still buffered nowhere, so that Python does not complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str, code: int) -> int:
    line = "".join(sign if sign.isprintable() else "?" for sign in " ".join(message.split()))
    print(f"dmoa: {line}", file=sys.stderr)
    return code
