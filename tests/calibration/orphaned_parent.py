"""A process that opens llama.cpp, says so, and waits to be killed: ``python orphaned_parent.py``."""

from __future__ import annotations

import time

from dmoa_calibration.backends import open_backend

if __name__ == "__main__":
    backend = open_backend("llama_cpp", synthetic="llama-tiny")
    print(backend.process.pid, flush=True)  # type: ignore[attr-defined]
    time.sleep(600)
