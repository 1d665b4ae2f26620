"""The scenario file as written: sections, keys, types; read from TOML, overridden by ``section.key=value``, checked.

pydantic works at this border only; :mod:`dmoa_theory.model.scenario` turns what comes out into a
:class:`~dmoa_theory.model.system.System`.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from dmoa_theory.errors import InputError
from dmoa_theory.model.units import parse_rate, parse_seconds
from dmoa_theory.text_files import refuse_workbook, suggestion

__all__ = ["ScenarioFile", "parse_scenario", "read_scenario_file"]


def _plain_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: object) -> object:
    if not _plain_number(value):
        raise ValueError("a number")
    return value


def _amount(value: object, read: Callable[[str, object], float], *, key: int | str | None = None, more: str = "") -> object:
    """Text with a unit as a number; numbers stay as they are, and are held against their limits where these are known."""
    if _plain_number(value):
        return value
    try:
        return read("", value)
    except InputError as error:
        where = "" if key is None else f"[{key}]" if isinstance(key, int) else f".{key}"
        looks_like_a_number = isinstance(value, str) and value.strip()[-1:].isdigit()
        shown = f'"{value}"' if looks_like_a_number else value
        about = {"where": where, "value": shown, "allowed": error.allowed + more}
        raise PydanticCustomError("amount", "{allowed}", about) from None


def _amounts(value: object, read: Callable[[str, object], float]) -> object:
    """An amount, or a list of amounts."""
    if isinstance(value, list) and value and not any(isinstance(each, list) for each in value):
        return [_amount(each, read, key=place) for place, each in enumerate(value)]
    return _amount(value, read, more="; or a list of these (one a device), texts in quotes")


def _rates_by_name(value: object) -> object:
    """A table of rates by the names of users."""
    if not isinstance(value, dict):
        raise ValueError('rates by name, such as { desk-1 = "10/hour" }')
    return {name: _amount(rate, parse_rate, key=name) for name, rate in value.items()}


def _numbers(value: object) -> object:
    if _plain_number(value) or (isinstance(value, list) and value and all(map(_plain_number, value))):
        return value
    raise ValueError("a number, or a list of numbers (one a device)")


def _texts(value: object) -> object:
    if isinstance(value, str) or (isinstance(value, list) and value and all(isinstance(v, str) for v in value)):
        return value
    raise ValueError("text, or a list of texts (one a device)")


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("text in quotes")
    return value


def _names(value: object) -> object:
    if not (isinstance(value, list) and value and all(isinstance(v, str) and v.strip() and v.isprintable() for v in value)):
        raise ValueError("a list of texts, one a device, each of them printable and not empty")
    return value


def _flag(value: object) -> object:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _count(value: object) -> object:
    """A token count: a number, a {mean, scv} table, or a list of either."""
    if isinstance(value, dict):
        unknown = set(value) - {"mean", "scv"}
        if unknown or "mean" not in value or not all(map(_plain_number, value.values())):
            raise ValueError("a number of tokens, or { mean = ..., scv = ... }")
        return value
    if isinstance(value, list) and value and not any(isinstance(v, list) for v in value):
        return [_count(v) for v in value]
    if not _plain_number(value):
        raise ValueError("a number of tokens, or { mean = ..., scv = ... }")
    return value


Number = Annotated[Any, BeforeValidator(_number)]
Numbers = Annotated[Any, BeforeValidator(_numbers)]
Seconds = Annotated[Any, BeforeValidator(partial(_amount, read=parse_seconds))]
Delays = Annotated[Any, BeforeValidator(partial(_amounts, read=partial(parse_seconds, zero=True)))]
Times = Annotated[Any, BeforeValidator(partial(_amounts, read=parse_seconds))]
Rates = Annotated[Any, BeforeValidator(partial(_amounts, read=parse_rate))]
RatesByName = Annotated[Any, BeforeValidator(_rates_by_name)]
Text = Annotated[Any, BeforeValidator(_text)]
Texts = Annotated[Any, BeforeValidator(_texts)]
Names = Annotated[Any, BeforeValidator(_names)]
Flag = Annotated[Any, BeforeValidator(_flag)]
Count = Annotated[Any, BeforeValidator(_count)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NetworkSection(BaseModel):
    """Who may ask whom: a named family with its own keys, or a file."""

    model_config = ConfigDict(extra="allow")  # the keys of a family are checked by the family

    topology: Text = None
    file: Text = None
    directed: Flag = None
    names: Names = None
    link_delay: Delays = None
    link_rate: Any = None


class ArrivalsSection(_Section):
    """How often users ask."""

    rate: Rates = None
    log: Text = None  # a list of prompts, whose rates are taken
    rate_of: RatesByName = Field(default_factory=dict)  # of single users, in the place of theirs above
    factor: Number = 1.0  # by which all of them are multiplied, and times between listed prompts divided


class StagesSection(_Section):
    """Mean service of later stages, as multiples of the first layer."""

    layer: Numbers = 1.0
    aggregate: Numbers = 1.0


class ServiceSection(_Section):
    """How long an inference takes: numbers, samples, or a profile with token counts."""

    mean: Times = None
    scv: Numbers = None
    law: Text = None
    stages: StagesSection | None = None
    samples: Text = None
    profile: Texts = None
    prompt_tokens: Count = None
    output_tokens: Count = None
    tokens: Texts = None
    instruction_tokens: Number = None


class MoaSection(_Section):
    """What users run."""

    M: Numbers = 1
    k: Numbers = 1
    quorum: Numbers = None
    selection: Text = None


class ConstraintsSection(_Section):
    """Limits on a plan."""

    mean_latency: Seconds = None
    p95_latency: Seconds = None
    memory: Any = None
    max_utilisation: Number = None
    overflow_probability: Number = None
    min_accuracy: Number = None


class MemorySection(_Section):
    """What devices keep in memory."""

    weights: Any = None
    kv_bytes_per_token: Any = None
    context_tokens: Numbers = None
    bytes_per_prompt: Any = None
    bytes_per_response: Any = None


class AccuracySection(_Section):
    """Which accuracy data a plan goes by."""

    table: Text = None


class ScenarioFile(_Section):
    """A scenario file, section by section."""

    title: Text = ""
    network: NetworkSection
    arrivals: ArrivalsSection = Field(default_factory=ArrivalsSection)
    service: ServiceSection = Field(default_factory=ServiceSection)
    moa: MoaSection = Field(default_factory=MoaSection)
    constraints: ConstraintsSection = Field(default_factory=ConstraintsSection)
    memory: MemorySection | None = None
    accuracy: AccuracySection = Field(default_factory=AccuracySection)


#: Extensions of files that describe a network and are no scenario.
_NETWORKS = (".csv", ".graphml", ".gml", ".edges", ".edgelist")


def read_scenario_file(path: Path, overrides: Iterable[str] = ()) -> ScenarioFile:
    """Read and check a scenario file.

    Parameters
    ----------
    path : Path
    overrides : iterable of str
        ``"section.key=value"``, values written as in TOML (bare words are taken as text); ``"arrivals.rate.NAME=value"`` for
        the rate of one user.

    Raises
    ------
    InputError
        One line: the file is missing or not TOML, a key is not known (the nearest known one is suggested), a value is of
        the wrong kind.
    """
    file = str(path)
    if path.suffix.lower() in _NETWORKS and path.is_file():
        allowed = f'a scenario; one for this network is begun by "dmoa init NAME.toml --network {path.name}"'
        raise InputError("", "a table or graph", allowed, file=file)
    refuse_workbook(path, '; a scenario itself is TOML text, begun by "dmoa init NAME.toml"')
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError("", InputError.MISSING, f"no such file{suggestion(path)}", file=file) from None
    except OSError as error:
        raise InputError(
            "", InputError.MISSING, f"cannot be read ({(error.strerror or 'unreadable').lower()})", file=file
        ) from None
    return parse_scenario(raw, file, overrides)


def parse_scenario(raw: bytes, file: str, overrides: Iterable[str] = ()) -> ScenarioFile:
    """Check the content of a scenario file; see :func:`read_scenario_file`.

    Parameters
    ----------
    raw : bytes
    file : str
        What to call it in a complaint.
    overrides : iterable of str
    """
    try:
        document = tomllib.loads(raw.decode("utf-8-sig"))  # some editors put a byte-order mark first
    except UnicodeDecodeError:
        raise InputError("", InputError.MISSING, "not valid TOML: it is not UTF-8 text", file=file) from None
    except tomllib.TOMLDecodeError as error:
        raise InputError("", InputError.MISSING, f"not valid TOML: {error}", file=file) from None
    except RecursionError:
        raise InputError("", InputError.MISSING, "not valid TOML: brackets nested too deeply", file=file) from None
    except ValueError:  # Python refuses to read whole numbers of thousands of digits
        raise InputError("", InputError.MISSING, "not valid TOML: a number too long to read", file=file) from None
    for override in overrides:
        _override(document, override)
    try:
        return ScenarioFile.model_validate(document)
    except ValidationError as error:
        raise _one_line(error, file) from None


def _override(document: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    keys = name.strip().split(".")
    if keys[:2] == ["arrivals", "rate"] and all(keys[2:]) and len(keys) > 2:  # of one user, whose name may hold dots
        keys = ["arrivals", "rate_of", ".".join(keys[2:])]
    if not equals or not all(keys):
        raise InputError("--set", override, 'of the form section.key=value, such as "moa.k=2"')
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    place = document
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise InputError("--set", override, f'section.key=value, and "{key}" is not a section')
    # a family's keys mean nothing to another family or to a file
    if keys[0] == "network" and keys[-1] in {"topology", "file"} and place.get(keys[-1]) != value:
        for stale in set(place) - {"names", "link_delay", "link_rate"}:
            del place[stale]
    place[keys[-1]] = value


def _in_sections(key: str) -> Iterator[str]:
    """The full names of a key that belongs into a section."""
    for name in ScenarioFile.model_fields:
        section = _section_type(ScenarioFile, name)
        if key in getattr(section, "model_fields", {}):
            yield f"{name}.{key}"


def _one_line(error: ValidationError, file: str) -> InputError:
    """The first complaint of pydantic, in our words."""
    first = error.errors(include_url=False)[0]
    place = [str(part) for part in first["loc"]]
    field = ".".join(place)
    if first["type"] == "extra_forbidden":
        section: Any = ScenarioFile
        for part in place[:-1]:
            section = _section_type(section, part)
        known = list(section.model_fields)
        near = [name for name in known if name.casefold() == place[-1].casefold()]
        near = near or difflib.get_close_matches(place[-1], known, n=1)
        near = near or ([] if len(place) > 1 else list(_in_sections(place[0])))
        hint = f'did you mean "{near[0]}"? ' if near else ""
        return InputError("", f"unknown key {field}", f"{hint}known here: {', '.join(known)}", file=file)
    if first["type"] == "missing":
        return InputError(f"[{field}]", InputError.MISSING, f"a scenario has a section [{field}]", file=file)
    if first["type"] in {"model_type", "model_attributes_type"}:
        return InputError(field, first["input"], f"a section, written [{field}]", file=file)
    if first["type"] == "amount":
        about = first["ctx"]
        return InputError(field + about["where"], about["value"], about["allowed"], file=file)
    return InputError(field, first["input"], first["msg"].removeprefix("Value error, "), file=file)


def _section_type(section: type[BaseModel], name: str) -> Any:
    annotation = section.model_fields[name].annotation
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return section
