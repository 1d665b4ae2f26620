"""From a scenario file to a :class:`~dmoa_theory.model.system.System`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.arrival_log import ArrivalLog, read_arrivals
from dmoa_theory.model.checks import LARGEST, SMALLEST, BoolArray, non_negative
from dmoa_theory.model.constraints import Constraints
from dmoa_theory.model.moa import MoA
from dmoa_theory.model.network import Network
from dmoa_theory.model.scenario_service import bundled_profiles, footprint_of, listed, service_of
from dmoa_theory.model.selection_file import read_selection
from dmoa_theory.model.system import System
from dmoa_theory.model.units import parse_byte_rate, parse_bytes
from dmoa_theory.quantities import show_seconds
from dmoa_theory.text_files import refuse_workbook

if TYPE_CHECKING:
    from dmoa_theory.model.graph_files import GraphFile
    from dmoa_theory.model.scenario_file import MoaSection, NetworkSection, ScenarioFile

__all__ = ["EXAMPLE", "bundled_profiles", "load_scenario", "system_of_text"]

#: What every verb takes when no scenario is named.
EXAMPLE = "example.toml"

_BUNDLED = resources.files("dmoa_theory").joinpath("data")

# Chance below which prompts are held not to come as a Poisson process.
_DOUBTFUL = 0.01

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
        service, measured = service_of(scenario.service, network, graph, folder)
        footprint = footprint_of(scenario.memory, measured)
    with _speaking_of(file, "constraints"):
        limits = {name: value for name, value in scenario.constraints if value is not None}
        if "memory" in limits:
            limits["memory"] = parse_bytes("memory", limits["memory"])
        constraints = Constraints(**limits)
    with _speaking_of(file):
        factor = float(scenario.arrivals.factor)
        if not SMALLEST <= factor <= LARGEST:
            raise InputError("arrivals.factor", f"{factor:g}", "a number above 0, by which all rates are multiplied")
        log = None if scenario.arrivals.log is None else read_arrivals(folder / scenario.arrivals.log, network).faster(factor)
        if log is not None and scenario.arrivals.rate_of:
            raise InputError("arrivals.rate_of", ", ".join(scenario.arrivals.rate_of), "not beside log, whose rates are taken")
        if log is not None:
            arrival_rate = log.rates
        elif scenario.arrivals.rate is not None:
            arrival_rate = scenario.arrivals.rate
        elif graph is not None and graph.rate is not None:
            arrival_rate = graph.rate
        else:
            raise InputError("arrivals.rate", InputError.MISSING, "prompts/s of each user, a number or a list")
        arrival_rate = _by_name(arrival_rate, scenario.arrivals.rate_of, network)
        if factor != 1 and log is None:
            arrival_rate = np.asarray(arrival_rate, dtype=np.float64) * factor
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
            log=log,
            remarks=(
                *(() if graph is None else _overridden(scenario, graph)),
                *(() if log is None else _of_log(log, scenario.arrivals.rate)),
            ),
        )


def _of_log(log: ArrivalLog, rate: Any) -> Iterator[str]:
    """What a list of prompts takes the place of, and that it is not what latencies take it for."""
    if rate is not None:
        yield f"the rates of {log.label} take the place of arrivals.rate"
    yield from (f"{log.label}: {remark}" for remark in log.remarks())
    seen = log.dispersion()
    if seen.chance < _DOUBTFUL:
        yield (
            f"the prompts of {log.label} come in clumps, or at rates that change (their number in {show_seconds(seen.window)} "
            f"has a variance of {seen.counts:.3g} times its mean); formulas and simulations take Poisson arrivals (1 times) at "
            "the same rates; dmoa burst, plan and optimise also play the list as it is"
        )


def _by_name(rate: Any, rate_of: Mapping[str, float], network: Network) -> Any:
    """The rates, with those of single users in their place."""
    if not rate_of:
        return rate
    rates = np.broadcast_to(np.asarray(rate, dtype=np.float64), (network.n_devices,)).copy()
    for name, value in rate_of.items():
        rates[network.position(name, field="arrivals.rate_of")] = value
    return rates


def _overridden(scenario: ScenarioFile, graph: GraphFile) -> Iterator[str]:
    """What a graph file says of its devices and the scenario says otherwise."""
    service = scenario.service
    times = "service.samples" if service.samples is not None else "service.profile" if service.profile is not None else None
    instead = {
        "rate": "arrivals.log" if scenario.arrivals.log else None if scenario.arrivals.rate is None else "arrivals.rate",
        "service_mean": times or (None if service.mean is None else "service.mean"),
        "service_scv": times or (None if service.scv is None else "service.scv"),
    }
    for name, key in instead.items():
        if key is not None and getattr(graph, name) is not None:
            new = _new_users(scenario.arrivals.rate, graph) if key == "arrivals.rate" else ""
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
        "arrivals.log": scenario.arrivals.log,
        "service.profile": scenario.service.profile,
        "service.samples": scenario.service.samples,
        "moa.selection": scenario.moa.selection,
        "accuracy.table": scenario.accuracy.table,
    }
    for field, value in named.items():
        for name in () if value is None else listed(value):
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
    if table is not None:
        refuse_workbook(folder / table)
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


def _moa(section: MoaSection, network: Network, graph: GraphFile | None, folder: Path, idle: BoolArray) -> MoA:
    weight = graph.selection_weight if graph is not None else None
    if section.selection is None:
        return MoA(section.M, section.k, section.quorum, weight)
    moa = MoA(section.M, section.k, section.quorum)
    if moa.n_users not in (None, network.n_devices):
        raise InputError(
            "M" if np.ndim(section.M) else "k", f"{moa.n_users} values", f"one number, or a list of {network.n_devices}"
        )
    return replace(moa, selection_weight=read_selection(folder / section.selection, network, moa, idle))
