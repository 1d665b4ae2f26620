"""llama.cpp in a process of its own: started, asked and ended from here, and never left behind."""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dmoa_theory.errors import BackendUnavailableError, CalibrationError, InputError

__all__ = ["LlamaProcess"]

_BINDINGS = {"xllamacpp": "xllamacpp", "llama_cpp": "llama-cpp-python"}  # by module, the preferred one first
_LONGEST_LOAD = 1800.0  # seconds
_PATIENCE = 5.0  # seconds for the process to end by itself

_REASON = re.compile(r"(?:error loading model: |failed to initialize the context: |failed to create context: )(.*)")
_TOO_LITTLE_MEMORY = re.compile(r"bad_alloc|(?:insufficient|cannot allocate|out of) memory|failed to allocate", re.IGNORECASE)


class LlamaProcess:
    """One model in llama.cpp, in a child process that ends when this one ends, killed or not.

    Parameters
    ----------
    model : str or path
        A GGUF file.
    n_ctx : int
        Tokens of context to reserve memory for.
    n_threads : int
        Threads for prefill and decode.
    device : str
        ``cpu``, ``gpu``, or the beginning of a device's name in llama.cpp, such as ``cuda`` or ``metal``.

    Attributes
    ----------
    pid : int
        Of the child.
    url : str or None
        Where the child's own server listens, on this machine only; None with ``llama-cpp-python``, which has none.
    api_key : str
        What that server demands; made anew for each process.
    facts : dict
        ``version``, ``load_time_s`` and ``accelerator``.

    Raises
    ------
    InputError
        A device that the engine does not offer, or a file that it cannot read.
    CalibrationError
        When the engine fails, most often for want of memory.
    BackendUnavailableError
        When neither ``xllamacpp`` nor ``llama-cpp-python`` is installed.
    """

    def __init__(self, model: str | os.PathLike[str], *, n_ctx: int, n_threads: int = 1, device: str = "cpu") -> None:
        module = next((module for module in _BINDINGS if find_spec(module) is not None), None)
        if module is None:
            raise BackendUnavailableError("llama_cpp", "llamacpp")
        self._model = Path(model)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the process
        self.api_key = secrets.token_hex(16)
        child = Path(__file__).with_name("llama_child.py")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(child)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        self.pid = self._process.pid
        self._unread = b""
        settings = {"binding": _BINDINGS[module], "model": str(self._model.absolute()), "parent": os.getpid()}
        settings |= {"n_ctx": n_ctx, "n_threads": n_threads, "device": device, "api_key": self.api_key}
        try:
            self._write(settings)
            self.facts = self._read(_LONGEST_LOAD)
            if "error" in self.facts:
                raise self._not_loaded(self.facts["error"], device)
        except BaseException:
            self.close()
            raise
        self.url: str | None = self.facts["url"]

    def infer(self, prompt: list[int], output_tokens: int, *, timeout: float) -> dict[str, Any]:
        """Run one inference; counts, milliseconds and CPU seconds as the engine tells them.

        Raises
        ------
        CalibrationError
            When it fails, ends, or takes longer than ``timeout`` seconds.
        """
        return self._ask({"prompt": prompt, "n": output_tokens}, timeout)

    def peak_rss_bytes(self) -> int:
        """Largest resident memory of the child so far, bytes."""
        return int(self._ask({"peak": True}, 60.0)["peak_rss_bytes"])

    def close(self) -> None:
        """End the child: let it go, and kill it if it does not."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()  # the end of its input tells it to leave
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def _ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        self._write(request)
        answer = self._read(timeout)
        if "error" in answer:
            raise CalibrationError(f"llama.cpp failed: {answer['error'][:200]}")
        return answer

    def _write(self, line: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def _read(self, timeout: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        until = time.monotonic() + timeout
        while b"\n" not in self._unread:
            if not select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                raise CalibrationError(f"llama.cpp did not answer within {timeout:g} s; give more time with --timeout")
            read = os.read(self._process.stdout.fileno(), 2**16)
            if not read:
                raise self._ended()
            self._unread += read
        line, self._unread = self._unread.split(b"\n", 1)
        return dict(json.loads(line))

    def _ended(self) -> CalibrationError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE)
        code = self._process.poll()
        how = f"with exit code {code}"
        if code is not None and code < 0:
            how = f"by signal {-code} ({signal.Signals(-code).name})"
            if code == -signal.SIGKILL:
                how += ", most likely because memory ran out: take a smaller model or shorter lengths"
        return CalibrationError(f"the llama.cpp process ended {how}{self._last_error()}")

    def _not_loaded(self, error: str, device: str) -> Exception:
        """Turn what the log says into one line."""
        if error.startswith("this build"):
            return InputError("device", device, f"one that is there: {error}")
        log = self._errors()
        if any(_TOO_LITTLE_MEMORY.search(line) for line in [error, *log]):
            return CalibrationError(
                f"the model in {self._model} does not fit into memory: take a smaller one, or shorter --prompt-tokens"
            )
        reasons = [found.group(1) for line in log if (found := _REASON.search(line))]
        reason = (reasons or log or [error])[0]
        return CalibrationError(f"the model in {self._model} could not be loaded: {reason[:200]}")

    def _last_error(self) -> str:
        log = self._errors()
        return f": {log[-1][:200]}" if log else ""

    def _errors(self) -> list[str]:
        """Lines of the log that are complaints, without their time stamps."""
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()
        found = [re.sub(r"^[\d.]+ E \s*(?:\S+ +)??", "", line).strip() for line in lines if re.match(r"^[\d.]+ E ", line)]
        return ["".join(c if c.isprintable() else " " for c in line) for line in found] or lines[-1:]
