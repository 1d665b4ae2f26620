"""From a scenario file to a :class:`~dmoa_theory.model.system.System`."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.checks import BoolArray, FloatArray, non_negative
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.footprint import Footprint, MeasuredFootprint
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.selection import weights_from_inclusion
from dmoa_theory.model.service import Law, MeasuredServiceTime, ServiceTime
from dmoa_theory.model.service_samples import read_samples
from dmoa_theory.model.system import System
from dmoa_theory.model.token_lists import workload
from dmoa_theory.model.tokens import INSTRUCTION_TOKENS, TokenCount, TokenLengths
from dmoa_theory.model.units import parse_byte_rate, parse_bytes

if TYPE_CHECKING:
    from dmoa_theory.model.graph_files import GraphFile
    from dmoa_theory.model.profile import Profile
    from dmoa_theory.model.scenario_file import MemorySection, MoaSection, NetworkSection, ScenarioFile, ServiceSection

__all__ = ["EXAMPLE", "bundled_profiles", "load_scenario", "system_of_text"]

#: What every verb takes when no scenario is named.
EXAMPLE = "example.toml"

_BUNDLED = resources.files("dmoa_theory").joinpath("data")

# Fields of the objects, and where a scenario file keeps them.
_KEY = {
    "arrival_rate": "arrivals.rate",
    "mean": "service.mean",
    "scv": "service.scv",
    "law": "service.law",
    "M": "moa.M",
    "k": "moa.k",
    "quorum": "moa.quorum",
    "selection": "moa.selection",
    "link_rate": "network.link_rate",
}


@contextmanager
def _speaking_of(file: str, section: str = "") -> Iterator[None]:
    """Let complaints name the scenario file and its keys instead of the objects' fields."""
    try:
        yield
    except InputError as error:
        if error.file is not None:  # it speaks of another file, in that file's own words
            raise
        stem, bracket, index = error.field.partition("[")
        field = (_KEY.get(stem) or (f"{section}.{stem}" if section and stem else stem)) + bracket + index
        raise error.located(field=field or section, file=file) from None


def load_scenario(path: str | Path | None = None, overrides: Iterable[str] = ()) -> System:
    """Read a scenario file.

    Parameters
    ----------
    path : str or Path, optional
        A TOML file as ``dmoa init`` writes it; default the bundled example.
    overrides : iterable of str
        ``"section.key=value"``, as ``--set`` takes them.

    Returns
    -------
    System

    Raises
    ------
    InputError
        One line naming file, field, value and what is allowed.

    Examples
    --------
    >>> from dmoa_theory import load_scenario
    >>> load_scenario(overrides=["moa.M=2", "moa.k=3"]).moa
    <MoA: M=2, k=3>
    """
    from dmoa_theory.model.scenario_file import read_scenario_file

    if path is None:
        with resources.as_file(_BUNDLED.joinpath(EXAMPLE)) as bundled:
            return _build(read_scenario_file(bundled, overrides), bundled)
    return _build(read_scenario_file(Path(path), overrides), Path(path))


def system_of_text(text: str, path: Path) -> System:
    r"""Read a scenario that is not written yet, as :func:`load_scenario` would once it were.

    Parameters
    ----------
    text : str
        The content of the file.
    path : Path
        Where it would be: the paths in it are relative to that folder.

    Raises
    ------
    InputError
        As for any scenario file.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmoa_theory.model.scenario import system_of_text
    >>> text = '[network]\ntopology = "ring"\nn = 3\n[arrivals]\nrate = "7.2/hour"\n[service]\nmean = "20 s"\n'
    >>> system_of_text(text, Path("ring.toml")).rates.tolist()
    [0.002, 0.002, 0.002]
    """
    from dmoa_theory.model.scenario_file import parse_scenario

    return _build(parse_scenario(text.encode(), str(path)), path)


def bundled_profiles() -> dict[str, Path]:
    """Profiles that come with the package, by name; a scenario may name them instead of a file."""
    folder = Path(str(_BUNDLED.joinpath("profiles")))
    return {path.stem: path for path in sorted(folder.glob("*.json"))}


def _build(scenario: ScenarioFile, path: Path) -> System:
    file = str(path)
    folder = path.parent
    _printable_paths(scenario, file)
    with _speaking_of(file, "network"):
        network, graph = _network(scenario.network, folder)
        _check_lengths(scenario, network.n_devices, file)
        rate = scenario.network.link_rate
        link_rate = None if rate is None else parse_byte_rate("link_rate", rate)
    with _speaking_of(file):
        service, measured = _service(scenario.service, network, graph, folder)
        footprint = _footprint(scenario.memory, measured)
    with _speaking_of(file, "constraints"):
        limits = {name: value for name, value in scenario.constraints if value is not None}
        if "memory" in limits:
            limits["memory"] = parse_bytes("memory", limits["memory"])
        constraints = Constraints(**limits)
    if scenario.arrivals.rate is not None:
        arrival_rate = scenario.arrivals.rate
    elif graph is not None and graph.rate is not None:
        arrival_rate = graph.rate
    else:
        raise InputError("arrivals.rate", InputError.MISSING, "prompts/s of each user, a number or a list", file=file)
    with _speaking_of(file):
        idle = np.broadcast_to(np.asarray(arrival_rate) == 0, (network.n_devices,))
        moa = _moa(scenario.moa, network, graph, folder, idle)
    with _speaking_of(file):
        if constraints.memory is not None and footprint is None:
            if scenario.service.profile is None:
                allowed = "only with a [memory] section or a measured profile to count"
            else:
                allowed = "with weights under [memory] beside it: this profile tells nothing of memory"
            raise InputError("constraints.memory", scenario.constraints.memory, allowed)
        return System(
            network=network,
            arrival_rate=arrival_rate,
            service=service,
            moa=moa,
            footprint=footprint,
            link_rate=link_rate,
            constraints=constraints,
            accuracy=_accuracy_name(scenario.accuracy.table, folder),
            title=scenario.title or path.stem,
            remarks=() if graph is None else tuple(_overridden(scenario, graph)),
        )


def _overridden(scenario: ScenarioFile, graph: GraphFile) -> Iterator[str]:
    """What a graph file says of its devices and the scenario says otherwise."""
    service = scenario.service
    times = "service.samples" if service.samples is not None else "service.profile" if service.profile is not None else None
    instead = {
        "rate": None if scenario.arrivals.rate is None else "arrivals.rate",
        "service_mean": times or (None if service.mean is None else "service.mean"),
        "service_scv": times or (None if service.scv is None else "service.scv"),
    }
    for name, key in instead.items():
        if key is not None and getattr(graph, name) is not None:
            new = _new_users(scenario.arrivals.rate, graph) if name == "rate" else ""
            yield f"{key} takes the place of {name} in {scenario.network.file}{new}"
    if scenario.network.link_delay is not None and graph.network.has_delay:
        yield f"network.link_delay takes the place of link_delay in {scenario.network.file}"


def _new_users(rate: Any, graph: GraphFile) -> str:
    """How many devices have prompts that had none in the file."""
    had = np.asarray(graph.rate)
    count = int(((had == 0) & (np.broadcast_to(np.asarray(rate), had.shape) > 0)).sum())
    return f"; {count} device{'s' * (count != 1)} that had no prompts now ha{'ve' if count != 1 else 's'} them" if count else ""


def _printable_paths(scenario: ScenarioFile, file: str) -> None:
    """Refuse names that no file can have."""
    named = {
        "network.file": scenario.network.file,
        "service.profile": scenario.service.profile,
        "service.samples": scenario.service.samples,
        "moa.selection": scenario.moa.selection,
        "accuracy.table": scenario.accuracy.table,
    }
    for field, value in named.items():
        for name in () if value is None else _listed(value):
            if not name.strip() or not name.isprintable():
                raise InputError(field, name, "the name of a file, or of bundled data", file=file)


def _check_lengths(scenario: ScenarioFile, n: int, file: str) -> None:
    """Refuse lists that have not one entry a device, here where their keys are known."""
    sections = {
        "network": ("link_delay",),
        "arrivals": ("rate",),
        "service": ("mean", "scv", "stages", "profile", "prompt_tokens", "output_tokens", "tokens"),
        "moa": ("M", "k", "quorum"),
        "memory": ("weights", "kv_bytes_per_token", "context_tokens", "bytes_per_prompt", "bytes_per_response"),
    }
    for section, keys in sections.items():
        given = {f"{section}.{key}": getattr(getattr(scenario, section), key, None) for key in keys}
        stages = given.pop("service.stages", None)
        if stages is not None:
            given |= {"service.stages.layer": stages.layer, "service.stages.aggregate": stages.aggregate}
        for field, value in given.items():
            if isinstance(value, list) and len(value) != n:
                raise InputError(field, f"{len(value)} values", f"one number, or a list of {n} (one a device)", file=file)


def _accuracy_name(table: str | None, folder: Path) -> str | None:
    """A bundled name stays a name; anything that looks like a file is taken relative to the scenario."""
    return str(folder / table) if table is not None and table.endswith(".csv") else table


def _network(section: NetworkSection, folder: Path) -> tuple[Network, GraphFile | None]:
    from dmoa_theory.model.graph_files import read_graph
    from dmoa_theory.model.topologies import build_topology

    family = dict(section.model_extra or {})
    if section.topology is None and section.file is None:
        raise InputError("topology", InputError.MISSING, 'a family such as "complete", or a graph as file = "..."')
    if section.topology is not None and section.file is not None:
        raise InputError("file", section.file, "not beside topology: one of the two says who may ask whom")
    graph = None
    if section.file is not None:
        if family:
            raise TopologyError(
                next(iter(family)), next(iter(family.values())), "no further keys beside file: the file says it all"
            )
        graph = read_graph(folder / section.file, directed=section.directed)
        network = graph.network
    else:
        if section.directed is not None:
            raise TopologyError("directed", section.directed, "only beside file: the named families link both ways")
        network = build_topology(section.topology, **family)
    if section.names is not None:
        network = replace(network, names=tuple(section.names))
    if section.link_delay is not None:
        delay = non_negative("link_delay", section.link_delay, network.n_devices, what="a finite number of seconds, 0 or more")
        network = replace(network, link_delay=np.repeat(delay, network.out_degree))  # of the links that leave each device
    return network, graph


def _service(
    section: ServiceSection, network: Network, graph: GraphFile | None, folder: Path
) -> tuple[ServiceTime | MeasuredServiceTime, MeasuredServiceTime | None]:
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
        profiles = tuple(_profile(name, folder) for name in _listed(section.profile))
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


def _listed(value: Any) -> list[Any]:
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
            return tuple(replace(workload(name, folder), instruction=instruction) for name in _listed(section.tokens))
        except InputError as error:
            raise error.located(field=f"service.{error.field}") from None
    counts = {}
    for name in ("prompt_tokens", "output_tokens"):
        given = getattr(section, name)
        if given is None:
            raise InputError(f"service.{name}", InputError.MISSING, 'token counts beside a profile, or tokens = "alpaca-eval"')
        try:
            counts[name] = [TokenCount(**each) if isinstance(each, dict) else TokenCount(each) for each in _listed(given)]
        except InputError as error:
            raise error.located(field=f"service.{name}") from None
    n = max(len(listed) for listed in counts.values())
    for name, listed in counts.items():
        if len(listed) not in (1, n):
            raise InputError(f"service.{name}", f"{len(listed)} values", f"one, or {n} like the other token count")
    prompts, outputs = (listed if len(listed) == n else listed * n for listed in counts.values())
    try:
        return tuple(TokenLengths(prompt=p, output=o, instruction=instruction) for p, o in zip(prompts, outputs, strict=True))
    except InputError as error:
        raise error.located(field=f"service.{error.field}") from None


# What memory cannot be told without; a profile imported from a file of timings may not hold it.
_MUST_BE_STATED = ("weight_bytes", "kv_bytes_per_token")


def _footprint(section: MemorySection | None, measured: MeasuredServiceTime | None) -> Footprint | MeasuredFootprint | None:
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
                amounts = [v if name == "context_tokens" else parse_bytes(field, v) for v in _listed(value)]
                given[keys[name]] = np.array(amounts) if isinstance(value, list) else np.array(amounts[0])
    in_numbers = Footprint.from_numbers(**given)  # checks them, also where they only replace what the profile says
    unsaid = measured is not None and not all(name in given or measured.states(name) for name in _MUST_BE_STATED)
    if measured is not None and not unsaid:
        return MeasuredFootprint(profiles=measured.profiles, tokens=measured.tokens, given=given)
    return in_numbers if section is not None else None


def _moa(section: MoaSection, network: Network, graph: GraphFile | None, folder: Path, idle: BoolArray) -> MoA:
    weight = graph.selection_weight if graph is not None else None
    if section.selection is None:
        return MoA(section.M, section.k, section.quorum, weight)
    moa = MoA(section.M, section.k, section.quorum)
    if moa.n_users not in (None, network.n_devices):
        raise InputError(
            "M" if np.ndim(section.M) else "k", f"{moa.n_users} values", f"one number, or a list of {network.n_devices}"
        )
    return replace(moa, selection_weight=_selection(folder / section.selection, network, moa, idle))


def _selection(path: Path, network: Network, moa: MoA, idle: BoolArray) -> FloatArray:
    """Weights of the links whose inclusion probabilities a CSV (columns from, to, probability) gives.

    Users without prompts may be left out.
    """
    file = str(path)
    place = network.positions()
    inclusion = np.zeros(network.n_links)
    listed: set[int] = set()
    for line, row in _selection_rows(path):
        try:
            u, v = place[row["from"].strip()], place[row["to"].strip()]
        except KeyError as error:
            who = error.args[0]
            raise InputError(f"line {line}", who, network.known_devices(who), file=file) from None
        link = int(network.indptr[u] + np.searchsorted(network.neighbours(u), v))
        if link >= network.indptr[u + 1] or network.indices[link] != v:
            raise InputError(f"line {line}", f"{row['from']} to {row['to']}", "a link of the network", file=file)
        if link in listed:
            raise InputError(f"line {line}", f"{row['from']} to {row['to']}", "each link once", file=file)
        listed.add(link)
        try:
            inclusion[link] = float(row["probability"])
        except ValueError:
            inclusion[link] = np.nan
        if not 0 <= inclusion[link] <= 1:
            raise InputError(f"line {line}", row["probability"], "a probability from 0 to 1", file=file)
    M, k, _ = moa.per_user(network.n_devices)
    weight = np.ones(network.n_links)
    for u in np.flatnonzero((M > 0) & (k > 0)).tolist():
        links = slice(int(network.indptr[u]), int(network.indptr[u + 1]))
        total = inclusion[links].sum()
        if idle[u] and total == 0:
            continue
        if not abs(total - k[u]) <= 1e-6 * (1 + links.stop - links.start):  # entries may be written with six digits
            allowed = f"probabilities that sum to k = {k[u]} over the neighbours that it asks"
            raise InputError(f"device {network.name(u)}", f"a sum of {total:.6g}", allowed, file=file)
        try:
            weight[links] = weights_from_inclusion(inclusion[links], field=f"device {network.name(u)}")
        except InputError as error:
            raise error.located(file=file) from None
    return weight


def _selection_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    file = str(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        raise InputError("moa.selection", path, "an existing CSV with columns from,to,probability") from None
    except (OSError, UnicodeDecodeError):
        raise InputError("", InputError.MISSING, "cannot be read as UTF-8 text", file=file) from None
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if reader.fieldnames is None or not {"from", "to", "probability"} <= set(reader.fieldnames):
        raise InputError("columns", ",".join(reader.fieldnames or ()) or "none", "from,to,probability", file=file)
    for row in reader:
        if None in row.values() or None in row:
            raise InputError(f"line {reader.line_num}", "too few or too many columns", "from,to,probability", file=file)
        yield reader.line_num, row
