"""``python -m dmoa_theory`` is ``dmoa``."""

from __future__ import annotations

import sys

from dmoa_theory.interrupted import INTERRUPTED, ignore_interruptions, leave_when_interrupted

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process, deaf to nothing from the first import on; its exit code."""
    leave_when_interrupted()
    from dmoa_theory.cli import main as run

    try:
        code = run()
    except KeyboardInterrupt:  # a second one, before the first was answered
        code = INTERRUPTED
        print("dmoa: interrupted", file=sys.stderr)
    ignore_interruptions()  # Python takes its time to end
    return code


if __name__ == "__main__":
    sys.exit(main())
