"""The process that holds llama.cpp: run as a script by :mod:`dmoa_calibration.backends.llama_process`, which it talks to.

One line of JSON on standard input says what to load; every further line asks for one inference, and is answered by one line.
The end of standard input is the end of the parent, however it died, and ends this process. It stands alone, so that nothing but
the engine is loaded here. It leaves by ``os._exit``: taking down a server that never served a request can hang.
"""

from __future__ import annotations

import bisect
import contextlib
import ctypes
import json
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

__all__ = ["main"]

_SAMPLE_EVERY = 0.02  # seconds between looks at the CPU clock: about one part in two thousand of a core
_MOST_LOOKS = 50  # at a log that is not written yet, a tenth of a second between two
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Load the model, then serve until standard input ends."""
    answers = _own_output()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    settings = json.loads(sys.stdin.readline() or "{}")
    _die_with_parent(settings.get("parent"), until_loaded=True)
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    try:
        load = {"xllamacpp": _load_xllamacpp, "llama-cpp-python": _load_llama_cpp_python}[settings["binding"]]
        began = time.perf_counter()
        infer, facts = load(settings)
        facts |= {"load_time_s": time.perf_counter() - began, "pid": os.getpid()}
    except BaseException as error:
        if not isinstance(error, LookupError | ImportError):
            _wait_for_the_log()
        _say(answers, {"error": " ".join(str(error).split()) or type(error).__name__})
        os._exit(1)
    _die_with_parent(None, until_loaded=False)
    _say(answers, facts)
    while True:
        request = asked.get()
        try:
            answer = {"peak_rss_bytes": _peak_rss()} if request.get("peak") else infer(request["prompt"], request["n"])
        except Exception as error:
            answer = {"error": " ".join(str(error).split()) or type(error).__name__}
        _say(answers, answer)


def _own_output() -> TextIO:
    """Keep standard output for answers: whatever the engine prints goes to standard error."""
    kept = os.dup(1)
    os.dup2(2, 1)
    return os.fdopen(kept, "w", encoding="utf-8")


def _say(answers: TextIO, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


def _wait_for_the_log() -> None:
    """Let the engine write down why it failed: it logs in a thread of its own, which may come to it only now.

    Looks are counted and no seconds: where all stood still for long, that thread stood still too.
    """
    before = b""
    with contextlib.suppress(OSError):  # of a standard error that is no file
        for _ in range(_MOST_LOOKS):
            log = os.pread(2, 2**20, 0)
            if log == before and re.search(rb"^[\d.]+ E ", log, re.MULTILINE):
                break
            before = log
            time.sleep(0.1)


def _listen(asked: queue.SimpleQueue[dict[str, Any]]) -> None:
    with contextlib.suppress(Exception):
        for line in sys.stdin:
            asked.put(json.loads(line))
    os._exit(0)


def _die_with_parent(parent: int | None, *, until_loaded: bool) -> None:
    """On Linux, die at once with the parent while the engine loads: it holds the interpreter, and :func:`_listen` cannot run.

    Only then, because Linux means the thread that started this process, which may end earlier than the parent.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if until_loaded else 0)
    if parent is not None and os.getppid() != parent:
        os._exit(0)


def _peak_rss() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# -- xllamacpp: llama.cpp's own server, and its own times ---------------------------------------------------------------


def _load_xllamacpp(settings: dict[str, Any]) -> tuple[Callable[[list[int], int], dict[str, Any]], dict[str, Any]]:
    import xllamacpp  # type: ignore[import-untyped, unused-ignore]

    device = _xllamacpp_device(xllamacpp, settings["device"])
    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.n_ctx = settings["n_ctx"]
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings["n_threads"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.ui = False
    params.verbosity = 1  # errors only
    params.cache_ram_mib = 0
    params.fit_params = False  # what was asked for, or an error: no silent change to make it fit
    params.n_gpu_layers = 0 if device is None else 999
    params.no_kv_offload = params.no_op_offload = device is None
    server = xllamacpp.Server(params)

    def infer(prompt: list[int], n: int) -> dict[str, Any]:
        request = {"prompt": prompt, "max_tokens": n, "ignore_eos": True, "cache_prompt": False, "temperature": 0}
        with _CpuClock() as clock:
            answer = server.handle_completions(request)
            ended = time.perf_counter()
        if "error" in answer:
            raise RuntimeError(answer["error"].get("message", answer["error"]))
        timings = answer["timings"]
        prefill, decode = clock.split(ended - timings["predicted_ms"] / 1e3)
        keys = ("prompt_n", "cache_n", "predicted_n", "prompt_ms", "predicted_ms")
        return {key: timings[key] for key in keys} | {"prompt_cpu_s": prefill, "predicted_cpu_s": decode}

    facts = {"url": server.listening_address, "version": f"xllamacpp {xllamacpp.__version__}", "accelerator": device}
    return infer, facts


def _xllamacpp_device(xllamacpp: Any, asked: str) -> str | None:
    """Name of the accelerator asked for; None for the processor."""
    if asked == "cpu":
        return None
    kinds = {"GGML_BACKEND_DEVICE_TYPE_GPU", "GGML_BACKEND_DEVICE_TYPE_IGPU"}
    here = [d for d in xllamacpp.get_device_info() if d["type"].name in kinds]
    for device in here:
        if asked == "gpu" or device["name"].lower().startswith(asked.lower()):
            return str(device["description"] or device["name"])
    names = ", ".join(["cpu", *(d["name"].lower() for d in here)])
    raise LookupError(f"this build of llama.cpp offers {names}")


class _CpuClock:
    """CPU seconds of this process against the wall clock, over a ``with`` block."""

    def __enter__(self) -> _CpuClock:
        self._wall, self._cpu = [time.perf_counter()], [time.process_time()]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_EVERY):
            self._look()

    def _look(self) -> None:
        self._wall.append(time.perf_counter())
        self._cpu.append(time.process_time())

    def split(self, at: float) -> tuple[float, float]:
        """CPU seconds before and after that moment, on a straight line between two looks."""
        after = min(max(bisect.bisect_left(self._wall, at), 1), len(self._wall) - 1)
        span = self._wall[after] - self._wall[after - 1]
        share = min(max((at - self._wall[after - 1]) / span if span > 0 else 0.0, 0.0), 1.0)
        there = self._cpu[after - 1] + share * (self._cpu[after] - self._cpu[after - 1])
        return there - self._cpu[0], self._cpu[-1] - there


# -- llama-cpp-python: forward passes, stamped one by one -----------------------------------------------------------------


def _load_llama_cpp_python(settings: dict[str, Any]) -> tuple[Callable[[list[int], int], dict[str, Any]], dict[str, Any]]:
    import llama_cpp  # type: ignore[import-not-found, import-untyped, unused-ignore]

    if settings["device"] != "cpu" and not llama_cpp.llama_supports_gpu_offload():
        raise LookupError("this build of llama.cpp offers cpu")
    model = llama_cpp.Llama(
        settings["model"],
        n_ctx=settings["n_ctx"],
        n_threads=settings["n_threads"],
        n_threads_batch=settings["n_threads"],
        n_gpu_layers=0 if settings["device"] == "cpu" else -1,
        offload_kqv=settings["device"] != "cpu",
        op_offload=settings["device"] != "cpu",
        verbose=False,
    )

    def infer(prompt: list[int], n: int) -> dict[str, Any]:
        model.reset()
        stamps = [(time.perf_counter(), time.process_time())]
        model.eval(prompt)
        token = model.sample(temp=0.0)
        stamps.append((time.perf_counter(), time.process_time()))
        for _ in range(n - 1):
            model.eval([token])
            token = model.sample(temp=0.0)
        stamps.append((time.perf_counter(), time.process_time()))
        (wall_0, cpu_0), (wall_1, cpu_1), (wall_2, cpu_2) = stamps
        return {
            "prompt_n": model.n_tokens - (n - 1),
            "cache_n": 0,
            "predicted_n": n,
            "prompt_ms": (wall_1 - wall_0) * 1e3,
            "predicted_ms": (wall_2 - wall_1) * 1e3,
            "prompt_cpu_s": cpu_1 - cpu_0,
            "predicted_cpu_s": cpu_2 - cpu_1,
        }

    accelerator = None if settings["device"] == "cpu" else settings["device"]
    return infer, {"url": None, "version": f"llama-cpp-python {llama_cpp.__version__}", "accelerator": accelerator}


if __name__ == "__main__":
    main()
