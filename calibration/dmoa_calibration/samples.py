"""One counted sample, and the journal that keeps every sample of a run on disk from the moment it was measured."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["Journal", "Sample", "journal_path"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A timing that counts, and which repeat of the design it belongs to."""

    repeat: int
    timing: Timing

    @property
    def key(self) -> tuple[int, int, int]:
        """Repeat, prompt tokens, output tokens: what is never measured twice."""
        return self.repeat, self.timing.prompt_tokens, self.timing.output_tokens

    def to_dict(self) -> dict[str, Any]:
        """Return the sample as in a profile's ``samples``; field names follow what serving engines call these times.

        Examples
        --------
        >>> timing = Timing(prompt_tokens=32, output_tokens=5, prefill_s=0.5, decode_s=1.0)
        >>> Sample(repeat=0, timing=timing).to_dict()["inter_token_latency_ms"]
        250.0
        """
        timing = self.timing
        steps = timing.output_tokens - 1
        return {
            "repeat": self.repeat,
            "prompt_tokens": timing.prompt_tokens,
            "output_tokens": timing.output_tokens,
            "cached_tokens": timing.cached_tokens,
            "time_to_first_token_ms": _ms(timing.prefill_s),
            "decode_ms": _ms(timing.decode_s),
            "inter_token_latency_ms": _ms(timing.decode_s / steps) if steps else None,
            "request_latency_ms": _ms(timing.wall_s),
            "cpu_ms": _ms(timing.cpu_s),
            "prefill_cpu_ms": _ms(timing.prefill_cpu_s),
            "decode_cpu_ms": _ms(timing.decode_cpu_s),
        }

    def rounded(self) -> Sample:
        """Return the sample as the journal will give it back, so that a resumed run fits the very same numbers."""
        return Sample.from_dict(self.to_dict())

    @classmethod
    def from_profile(cls, entry: Mapping[str, Any]) -> Sample:
        """Read an entry of a profile's ``samples``, where CPU seconds by span and the repeat may be missing."""
        return cls.from_dict({"repeat": 0, "prefill_cpu_ms": None, "decode_cpu_ms": None} | dict(entry))

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Sample:
        """Read what :meth:`to_dict` wrote; KeyError, TypeError or ValueError where it is not that."""
        return cls(
            repeat=int(line["repeat"]),
            timing=Timing(
                prompt_tokens=int(line["prompt_tokens"]),
                output_tokens=int(line["output_tokens"]),
                cached_tokens=int(line["cached_tokens"]),
                prefill_s=float(line["time_to_first_token_ms"]) / 1e3,
                decode_s=float(line["decode_ms"]) / 1e3,
                prefill_cpu_s=_seconds(line["prefill_cpu_ms"]),
                decode_cpu_s=_seconds(line["decode_cpu_ms"]),
            ),
        )


def journal_path(profile: str | os.PathLike[str]) -> Path:
    """Where the samples of a profile are kept: ``<profile>.samples.jsonl``, beside it."""
    path = Path(profile)
    return path.with_name(path.name + ".samples.jsonl")


class Journal:
    """An append-only file, one JSON line a sample; each line says what was measured, so that runs are never mixed.

    To be used in a ``with`` block: the file is locked from its beginning to its end, so that of two calibrations into one
    file the second is refused at once. The lock is the process's own and ends with it, however that comes.

    Parameters
    ----------
    path : path
        The file; made when the block is entered, and taken away again if no sample came.

    Raises
    ------
    InputError
        On entering: another calibration writes to the file, or it cannot be written to.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.identity: dict[str, str] = {}
        self._stream = -1

    def __enter__(self) -> Journal:
        """Open and lock the file."""
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        """Let the file go."""
        empty = os.fstat(self._stream).st_size == 0
        os.close(self._stream)
        self._stream = -1
        if empty:
            with suppress(OSError):
                self.path.unlink()

    def begin(self, identity: Mapping[str, str], *, resume: bool) -> list[Sample]:
        """Say what is measured, and get the samples that are there already.

        Parameters
        ----------
        identity : mapping of str to str
            What must be the same for samples to belong together: machine, engine, model, design.
        resume : bool
            Go on with the file; otherwise an older one is put aside under ``.old``, because measured seconds are not thrown
            away for a forgotten ``--resume``.

        Returns
        -------
        list of Sample
            Each once. A torn last line, left by a crash while writing, is dropped from the file.

        Raises
        ------
        InputError
            When a line is not a sample, or the samples are of another machine, engine, model or design.
        """
        self.identity = dict(identity)
        if resume:
            return self._read()
        if os.fstat(self._stream).st_size > 0:
            os.replace(self.path, self.path.with_name(self.path.name + ".old"))
            os.close(self._stream)
            self._open()
        return []

    def append(self, sample: Sample) -> None:
        """Write one sample through to the disk; an interruption leaves a whole line, or a torn one that resuming drops.

        Raises
        ------
        CalibrationError
            When it cannot be written, on a full disk for instance; the samples before it stay as they are.
        """
        line = json.dumps({**self.identity, **sample.to_dict()}, allow_nan=False, ensure_ascii=False) + "\n"
        left = line.encode()
        before = os.fstat(self._stream).st_size
        try:
            while left:  # a disk that fills up takes a part first and complains of the rest
                left = left[os.write(self._stream, left) :]
            _sync(self._stream)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._stream, before)
            reason = (error.strerror or str(error)).lower()
            raise CalibrationError(
                f"{self.path}: cannot be written ({reason}); the samples before are kept: make room and go on with --resume"
            ) from None

    def _open(self) -> None:
        while True:
            try:
                # append: what is written by mistake from elsewhere is never overwritten
                self._stream = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise InputError("", reason, "a place where samples can be written", file=str(self.path)) from None
            if not _lock(self._stream):
                os.close(self._stream)
                advice = "wait for it, or give another --profile"
                raise InputError("", "another calibration writes to this file", advice, file=str(self.path))
            try:
                if os.path.samestat(os.fstat(self._stream), os.stat(self.path)):
                    return
            except FileNotFoundError:
                pass
            os.close(self._stream)  # put aside or taken away by another run between opening and locking

    def _read(self) -> list[Sample]:
        raw = _content(self._stream)
        lines = raw.splitlines(keepends=True)
        samples: dict[tuple[int, int, int], Sample] = {}
        for number, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
                sample = Sample.from_dict(fields)
            except (ValueError, KeyError, TypeError):
                if number == len(lines) and not (number == 1 and line.endswith(b"\n")):  # whole and alone: no journal at all
                    os.ftruncate(self._stream, len(raw) - len(line))
                    return list(samples.values())
                raise InputError(
                    f"line {number}",
                    line.decode(errors="replace"),
                    "one sample, as dmoa calibrate wrote it",
                    file=str(self.path),
                ) from None
            self._check(fields)
            samples.setdefault(sample.key, sample)
        if raw and not raw.endswith(b"\n"):  # the crash came between the line and its end
            os.write(self._stream, b"\n")
        return list(samples.values())

    def _check(self, fields: Mapping[str, Any]) -> None:
        for name, here in self.identity.items():
            there = fields.get(name, InputError.MISSING)
            if there != here:
                advice = f"this run is of {here}; give another --profile, or leave out --resume to start afresh"
                raise InputError(name, there, advice, file=str(self.path))


def _lock(stream: int) -> bool:
    """Take the file for this process alone, if nobody has it; the lock ends with the process."""
    try:
        import fcntl
    except ImportError:  # where the system has no such locks, nothing is locked
        return True
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)  # a file system without locks is no reason to refuse
    return True


def _sync(stream: int) -> None:
    try:
        os.fsync(stream)
    except OSError as error:
        if error.errno != errno.EINVAL:  # not a file on a disk, such as a pipe
            raise


def _content(stream: int) -> bytes:
    os.lseek(stream, 0, os.SEEK_SET)
    parts = []
    while part := os.read(stream, 1 << 20):
        parts.append(part)
    return b"".join(parts)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 6)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else float(ms) / 1e3
