"""A calibration in a process of its own, to be killed: ``python killed_run.py ENGINE PROFILE HOW``.

ENGINE is ``sleeping``, whose inferences take exactly known milliseconds, or ``BACKEND:SHAPE`` of a real one. HOW is ``afresh``,
``resume``, or ``held``: afresh, and in the middle of its run until its standard input ends.
"""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

from dmoa_calibration.backends import LOADERS, Timing
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.memory import Memory

COEFFICIENTS = {"c0": 1e-3, "c1": 2e-5, "c2": 1e-8, "d0": 2e-4, "d1": 1e-8}
OPTIONS = {"budget": 600.0, "target_error": 0.0, "repeats": 4}
LENGTHS = {"prompt_tokens": (16, 64, 256), "output_tokens": (4, 12)}


class SleepingEngine:
    """Sleeps for the time of known coefficients, and reports exactly that."""

    def infer(self, prompt_tokens: int, output_tokens: int) -> Timing:
        s = output_tokens - 1
        prefill = COEFFICIENTS["c0"] + COEFFICIENTS["c1"] * prompt_tokens + COEFFICIENTS["c2"] * prompt_tokens**2
        decode = s * (COEFFICIENTS["d0"] + COEFFICIENTS["d1"] * (prompt_tokens + s / 2))
        time.sleep(prefill + decode)
        return Timing(
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
            prefill_s=prefill,
            decode_s=decode,
            prefill_cpu_s=prefill,
            decode_cpu_s=decode,
        )

    def describe(self) -> dict:
        runtime = {"backend": "sleeping", "backend_version": "1", "n_threads": 1, "dtype": "none", "kv_type": "none"}
        model = {"name": "sleeping", "arch": "none", "n_params": 1, "weight_bytes": 4, "random_weights": True}
        return {
            "runtime": runtime | {"n_ctx": None},
            "model": model | {"n_layers": 1, "n_kv_heads": 1, "head_dim": 1},
        }

    def memory(self) -> Memory:
        return Memory(weight_bytes=4, kv_bytes_per_token=8, peak_rss_bytes=None, load_time_s=0.0)

    def close(self) -> None:
        pass


def main(engine: str, profile: str, how: str) -> None:
    def report(done: int, *_: object) -> None:
        print(done, flush=True)
        if how == "held" and done == 1:
            sys.stdin.read()

    backend, _, shape = engine.partition(":")
    if backend == "sleeping":
        sys.modules["sleeping_engine"] = SimpleNamespace(load=lambda **_: SleepingEngine())  # type: ignore[assignment]
        LOADERS["sleeping"] = "sleeping_engine:load"
    options = LENGTHS | OPTIONS | {"progress": report}
    calibrate(backend, synthetic=shape or "sleeping", profile_path=profile, resume=how == "resume", **options)


if __name__ == "__main__":
    main(*sys.argv[1:])
