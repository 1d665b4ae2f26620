"""One counted sample, and the journal that keeps every sample of a run on disk from the moment it was measured."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmoa_calibration.backends import Timing
from dmoa_theory.errors import InputError

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

    Parameters
    ----------
    path : path
        The file; made with the first sample.
    identity : mapping of str to str
        What must be the same for samples to belong together: machine, engine, model, design.
    """

    def __init__(self, path: str | os.PathLike[str], identity: Mapping[str, str]) -> None:
        self.path = Path(path)
        self.identity = dict(identity)

    def append(self, sample: Sample) -> None:
        """Write one sample through to the file, in a single call: an interruption leaves a whole line or none."""
        line = json.dumps({**self.identity, **sample.to_dict()}, allow_nan=False, ensure_ascii=False) + "\n"
        with self.path.open("ab", buffering=0) as stream:
            stream.write(line.encode())

    def start_afresh(self) -> None:
        """Put an older journal aside under ``.old``: measured seconds are not thrown away for a forgotten ``--resume``."""
        if self.path.exists():
            os.replace(self.path, self.path.with_name(self.path.name + ".old"))

    def resume(self) -> list[Sample]:
        """Read the samples already there; a torn last line, left by a crash while writing, is dropped from the file.

        Raises
        ------
        InputError
            When a line is not a sample, or the samples are of another machine, engine, model or design.
        """
        if not self.path.exists():
            return []
        raw = self.path.read_bytes()
        lines = raw.splitlines(keepends=True)
        samples: list[Sample] = []
        for number, line in enumerate(lines, start=1):
            try:
                fields = json.loads(line)
                sample = Sample.from_dict(fields)
            except (ValueError, KeyError, TypeError):
                if number == len(lines):
                    os.truncate(self.path, len(raw) - len(line))
                    return samples
                raise InputError(
                    f"line {number}",
                    line.decode(errors="replace"),
                    "one sample, as dmoa calibrate wrote it",
                    file=str(self.path),
                ) from None
            self._check(fields)
            samples.append(sample)
        if raw and not raw.endswith(b"\n"):  # the crash came between the line and its end
            with self.path.open("ab", buffering=0) as stream:
                stream.write(b"\n")
        return samples

    def _check(self, fields: Mapping[str, Any]) -> None:
        for name, here in self.identity.items():
            there = fields.get(name, InputError.MISSING)
            if there != here:
                advice = f"this run is of {here}; give another --profile, or leave out --resume to start afresh"
                raise InputError(name, there, advice, file=str(self.path))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 6)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else float(ms) / 1e3
