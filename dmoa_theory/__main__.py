"""``python -m dmoa_theory`` is ``dmoa``."""

from __future__ import annotations

import sys

from dmoa_theory.cli import main

if __name__ == "__main__":
    sys.exit(main())
