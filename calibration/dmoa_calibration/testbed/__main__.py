"""``python -m dmoa_calibration.testbed CONFIG``: run one node."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from dmoa_theory.interrupted import INTERRUPTED, leave_when_interrupted


def main() -> int:
    """Run the node of a configuration file; until it heeds signals itself, SIGINT ends it at once."""
    leave_when_interrupted()
    from dmoa_calibration.testbed.process import run_node

    parser = argparse.ArgumentParser(prog="python -m dmoa_calibration.testbed", description="Run one node of a live network.")
    parser.add_argument("config", type=Path, help="JSON or TOML file with the node's configuration")
    parser.add_argument("--stop-with-stdin", action="store_true", help="stop when standard input ends")
    given = parser.parse_args()
    return run_node(given.config, stop_with_stdin=given.stop_with_stdin)


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # all that matters is written; a model in the middle of an answer is not waited for
