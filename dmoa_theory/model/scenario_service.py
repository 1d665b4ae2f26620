"""The sections ``[service]`` and ``[memory]`` of a scenario: from numbers, samples or measured profiles to laws."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray
from dmoa_theory.model.footprint import Footprint, MeasuredFootprint
from dmoa_theory.model.network import Network
from dmoa_theory.model.service import Law, MeasuredServiceTime, ServiceTime
from dmoa_theory.model.service_samples import read_samples
from dmoa_theory.model.token_lists import workload
from dmoa_theory.model.tokens import INSTRUCTION_TOKENS, TokenCount, TokenLengths
from dmoa_theory.model.units import parse_bytes

if TYPE_CHECKING:
    from dmoa_theory.model.graph_files import GraphFile
    from dmoa_theory.model.profile import Profile
    from dmoa_theory.model.scenario_file import MemorySection, ServiceSection

__all__ = ["bundled_profiles", "footprint_of", "listed", "service_of"]


def bundled_profiles() -> dict[str, Path]:
    """Profiles that come with the package, by name; a scenario may name them instead of a file."""
    folder = Path(str(resources.files("dmoa_theory").joinpath("data/profiles")))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def service_of(
    section: ServiceSection, network: Network, graph: GraphFile | None, folder: Path
) -> tuple[ServiceTime | MeasuredServiceTime, MeasuredServiceTime | None]:
    """The law of service, and the same where it follows from measured profiles.

    Parameters
    ----------
    section : ServiceSection
    network : Network
    graph : GraphFile or None
        The file of the network, whose devices may hold service times of their own.
    folder : Path
        Where the scenario is.

    Returns
    -------
    ServiceTime or MeasuredServiceTime, MeasuredServiceTime or None

    Raises
    ------
    InputError
        When keys contradict each other, are missing, or name what cannot be read.
    """
    in_numbers = {"mean": section.mean, "scv": section.scv, "stages": section.stages}
    of_profile = {
        "prompt_tokens": section.prompt_tokens,
        "output_tokens": section.output_tokens,
        "tokens": section.tokens,
        "instruction_tokens": section.instruction_tokens,
    }
    if section.samples is not None:
        for name in ("mean", "scv", "law", "profile"):
            if getattr(section, name) is not None:
                raise InputError(f"service.{name}", getattr(section, name), "not beside samples: they are the law of service")
    if section.profile is not None:
        for name, value in in_numbers.items():
            if value is not None:
                raise InputError(f"service.{name}", value, "not beside profile: service times follow from the profile")
        profiles = tuple(_profile(name, folder) for name in listed(section.profile))
        if section.law not in (None, Law.GAMMA, Law.LOGNORMAL):
            raise InputError("service.law", section.law, "gamma or lognormal: the profile and the token counts fix the SCV")
        law = Law(section.law or Law.GAMMA)
        measured = MeasuredServiceTime(profiles=profiles, tokens=_tokens(section, folder), law=law)
        if len(profiles) > 1 and len(measured.tokens) > 1 and len(profiles) != len(measured.tokens):
            raise InputError(
                "service.profile", f"{len(profiles)} profiles", f"one, or {len(measured.tokens)} like the token counts"
            )
        return measured, measured
    for name, value in of_profile.items():
        if value is not None:
            raise InputError(f"service.{name}", value, "only beside profile: token counts need a measured profile")
    later, aggregate = (section.stages.layer, section.stages.aggregate) if section.stages else (1.0, 1.0)
    if section.samples is not None:
        build = partial(ServiceTime.empirical, read_samples(folder / section.samples, network))
    else:
        mean = section.mean if section.mean is not None else graph.service_mean if graph is not None else None
        scv = section.scv if section.scv is not None else graph.service_scv if graph is not None else None
        if mean is None:
            allowed = "seconds of a first-layer inference, samples of it, or a measured profile"
            raise InputError("service.mean", InputError.MISSING, allowed)
        law = section.law if section.law is not None else Law.EXPONENTIAL if scv is None else Law.GAMMA
        build = partial(ServiceTime.from_law, law, mean, scv=scv)
    try:
        return build(later=later, aggregate=aggregate), None
    except InputError as error:
        raise error.located(field=f"service.{error.field}") from None


def listed(value: Any) -> list[Any]:
    """One value, or one a device, as a list."""
    return value if isinstance(value, list) else [value]


def _profile(name: str, folder: Path) -> Profile:
    from dmoa_theory.model.profile import read_profile

    known = bundled_profiles()
    path = folder / name
    if not path.exists() and name in known:
        path = known[name]
    if not path.exists():
        bundled = ", ".join(known)
        raise InputError("service.profile", name, f"a file beside the scenario, or one of the bundled profiles: {bundled}")
    return read_profile(path)


def _tokens(section: ServiceSection, folder: Path) -> tuple[TokenLengths, ...]:
    instruction = INSTRUCTION_TOKENS if section.instruction_tokens is None else section.instruction_tokens
    if section.tokens is not None:
        for name in ("prompt_tokens", "output_tokens"):
            if getattr(section, name) is not None:
                raise InputError(f"service.{name}", getattr(section, name), "not beside tokens, which gives both counts")
        try:
            return tuple(replace(workload(name, folder), instruction=instruction) for name in listed(section.tokens))
        except InputError as error:
            raise error.located(field=f"service.{error.field}") from None
    counts = {}
    for name in ("prompt_tokens", "output_tokens"):
        given = getattr(section, name)
        if given is None:
            raise InputError(f"service.{name}", InputError.MISSING, 'token counts beside a profile, or tokens = "alpaca-eval"')
        try:
            counts[name] = [TokenCount(**each) if isinstance(each, dict) else TokenCount(each) for each in listed(given)]
        except InputError as error:
            raise error.located(field=f"service.{name}") from None
    n = max(map(len, counts.values()))
    for name, each in counts.items():
        if len(each) not in (1, n):
            raise InputError(f"service.{name}", f"{len(each)} values", f"one, or {n} like the other token count")
    prompts, outputs = (each if len(each) == n else each * n for each in counts.values())
    try:
        return tuple(TokenLengths(prompt=p, output=o, instruction=instruction) for p, o in zip(prompts, outputs, strict=True))
    except InputError as error:
        raise error.located(field=f"service.{error.field}") from None


# What memory cannot be told without; a profile imported from a file of timings may not hold it.
_MUST_BE_STATED = ("weight_bytes", "kv_bytes_per_token")


def footprint_of(section: MemorySection | None, measured: MeasuredServiceTime | None) -> Footprint | MeasuredFootprint | None:
    """What devices keep in memory: stated, measured, or both; None where the scenario and its profiles do not say.

    Parameters
    ----------
    section : MemorySection or None
    measured : MeasuredServiceTime or None

    Raises
    ------
    InputError
        When an amount cannot be read.
    """
    given: dict[str, FloatArray] = {}
    if section is not None:
        keys = {
            "weights": "weight_bytes",
            "kv_bytes_per_token": "kv_bytes_per_token",
            "context_tokens": "context_tokens",
            "bytes_per_prompt": "prompt_bytes",
            "bytes_per_response": "response_bytes",
        }
        for name, value in section:
            if value is not None:
                field = f"memory.{name}"
                amounts = [v if name == "context_tokens" else parse_bytes(field, v) for v in listed(value)]
                given[keys[name]] = np.array(amounts) if isinstance(value, list) else np.array(amounts[0])
    in_numbers = Footprint.from_numbers(**given)  # checks them, also where they only replace what the profile says
    unsaid = measured is not None and not all(name in given or measured.states(name) for name in _MUST_BE_STATED)
    if measured is not None and not unsaid:
        return MeasuredFootprint(profiles=measured.profiles, tokens=measured.tokens, given=given)
    return in_numbers if section is not None else None
