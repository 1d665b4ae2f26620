"""A device's measured profile: how long its LLM takes for a prompt of p and an answer of o tokens, and what memory it needs.

``dmoa calibrate`` measures profiles; this module says what they are, reads them, and writes them whole or not at all.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from dmoa_theory.errors import ProfileError
from dmoa_theory.model.service_fit import COEFFICIENTS, ServiceFit
from dmoa_theory.whole_files import write_whole

__all__ = [
    "COEFFICIENTS",
    "SCHEMA",
    "SCHEMA_VERSION",
    "Hardware",
    "Profile",
    "ServiceFit",
    "profile_from_document",
    "read_profile",
    "write_profile",
]

SCHEMA = "dmoa/profile"
SCHEMA_VERSION = 1
_MEASURE = "every profile has it; measure again with: dmoa calibrate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The machine a profile was measured on."""

    cpu_model: str
    n_cores: int | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Profile:
    """One device and its LLM as measured; ``document`` is the whole file.

    Parameters
    ----------
    name : str
        The model.
    hardware : Hardware
        Processor and number of cores.
    backend : str
        Inference engine that was timed.
    created : str
        When it was measured, ISO 8601 with time zone.
    random_weights : bool
        Whether the weights were drawn at random: times and memory hold for the shape, answers mean nothing.
    weight_bytes, kv_bytes_per_token : float or None
        Memory of the weights, and of the key-value cache for each token held; None in a profile imported from a file of
        timings that does not say.
    peak_rss_bytes : float or None
        Largest resident memory of the measuring process, where the engine could tell.
    fit : ServiceFit
        Seconds of an inference.
    contended : bool
        Whether other work kept the processor busy during the run.
    document : dict
        The whole JSON object, samples included.
    """

    name: str
    hardware: Hardware
    backend: str
    created: str
    random_weights: bool
    weight_bytes: float | None
    kv_bytes_per_token: float | None
    peak_rss_bytes: float | None
    fit: ServiceFit
    contended: bool
    document: dict[str, Any]

    def describe(self) -> str:
        """One line in words: what was measured, where, how fast it is, and how far to trust it."""
        fit, p = self.fit, self.fit.p_range[1]
        weights = " (random weights)" if self.random_weights else ""
        busy = ", machine busy" + ", CPU seconds fitted" * (fit.clock == "cpu") if self.contended else ""
        cores = "" if self.hardware.n_cores is None else f" ({self.hardware.n_cores} cores)"
        step = fit.d0 + fit.d1 * p
        return (
            f"{self.name}{weights}, {self.backend} on {self.hardware.cpu_model}{cores}{busy}: "
            f"first token of a {p}-token prompt after {fit.prefill(p):.3g} s, then {step:.3g} s a token; "
            f"{fit.off_by}, on lengths left out, between {fit.p_range[0]} and {p} prompt tokens "
            f"and {fit.o_range[0]} to {fit.o_range[1]} output tokens"
        )

    def __repr__(self) -> str:
        """Show :meth:`describe`; the samples stay in ``document``."""
        return f"<Profile: {self.describe()}>"


def read_profile(path: str | os.PathLike[str]) -> Profile:
    """Read the profile in a file.

    Parameters
    ----------
    path : path
        A file that ``dmoa calibrate`` wrote.

    Raises
    ------
    ProfileError
        One line that says what is wrong: no such file, not JSON, another kind of file, a field missing or not allowed.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise _unreadable("there is no such file; measure a profile with: dmoa calibrate --profile FILE", path) from None
    except UnicodeDecodeError:
        raise _unreadable("not a profile: JSON in UTF-8 is needed", path) from None
    except OSError as error:
        raise _unreadable(f"cannot be read ({error.strerror})", path) from None
    return _profile_from_text(text, str(path))


def profile_from_document(document: dict[str, Any], *, file: str | None = None) -> Profile:
    """Make a profile of a JSON object already in memory; ``file`` is named in complaints.

    Raises
    ------
    ProfileError
        As :func:`read_profile`.
    """
    return _profile_from_text(_dump(document, file), file)


def write_profile(path: str | os.PathLike[str], document: dict[str, Any]) -> None:
    """Check a profile, then write it in one step: a reader sees the old file or the new one, never half of either.

    Raises
    ------
    ProfileError
        When the document is not a valid profile (nothing is written), or the folder cannot be written to.
    """
    target = Path(path)
    text = _dump(document, str(path))
    _profile_from_text(text, str(path))
    try:
        write_whole(target, text)
    except OSError as error:
        raise _unreadable(f"cannot be written ({error.strerror})", path) from None


def _unreadable(complaint: str, path: str | os.PathLike[str]) -> ProfileError:
    """Complain of a whole file rather than of a field in it."""
    return ProfileError("", ProfileError.MISSING, complaint, file=str(path))


def _dump(document: object, file: str | None) -> str:
    try:
        return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    except (TypeError, ValueError) as error:
        raise ProfileError("", f"not JSON ({error})", "numbers, text, lists and objects", file=file) from None


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not np.isfinite(number):
        raise ValueError(f"{text} is too large a number")
    return number


def _profile_from_text(text: str, file: str | None) -> Profile:
    from pydantic import ValidationError

    from dmoa_theory.model._profile_schema import ProfileFile

    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ProfileError("", f"not JSON ({reason})", "a profile written by dmoa calibrate", file=file) from None
    if not isinstance(document, dict):
        raise ProfileError("", f"a JSON {type(document).__name__}", "a profile, that is a JSON object", file=file)
    try:
        checked = ProfileFile.model_validate_json(text)
    except ValidationError as error:
        raise _first_complaint(error.errors(include_url=False, include_context=False)[0], file) from None
    try:
        fit = ServiceFit(**{field.name: getattr(checked.fit, field.name) for field in fields(ServiceFit)})
    except ProfileError as error:
        raise error.located(field=f"fit.{error.field}", file=file) from None
    return Profile(
        name=checked.model.name,
        hardware=Hardware(cpu_model=checked.hardware.cpu_model, n_cores=checked.hardware.n_cores),
        backend=checked.runtime.backend,
        created=checked.created,
        random_weights=checked.model.random_weights,
        weight_bytes=checked.memory.weight_bytes,
        kv_bytes_per_token=checked.memory.kv_bytes_per_token,
        peak_rss_bytes=checked.memory.peak_rss_bytes,
        fit=fit,
        contended=checked.quality.contended,
        document=document,
    )


def _first_complaint(complaint: Any, file: str | None) -> ProfileError:
    """Turn the first complaint of pydantic into one line of ours: dotted path, value, what is allowed."""
    path = ""
    for step in complaint["loc"]:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    path = path.removeprefix(".")
    if complaint["type"] == "missing":
        return ProfileError(path, ProfileError.MISSING, _MEASURE, file=file)
    allowed = complaint["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if path == "schema_version":
        allowed = f"{SCHEMA_VERSION} (a newer file needs a newer dmoa)"
    return ProfileError(path, complaint["input"], allowed, file=file)
