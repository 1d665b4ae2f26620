"""``dmoa init``."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dmoa_theory import __version__
from dmoa_theory.cli.options import WHOLE, only_beside
from dmoa_theory.cli.output import print_json, write_text
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.cli.scenario_template import Found
    from dmoa_theory.stability.region import StabilityRegion

__all__ = ["init"]

#: Prompts an hour of each user to begin with, or as many as leave every device half idle.
_RATE = 10.0
_ENOUGH = 0.5


def init(
    path: Path = Path("scenario.toml"),
    /,
    *,
    network: Annotated[
        Path | None,
        Parameter(help="For this network: GraphML, GML, node-link JSON, edge list, edge table or adjacency CSV."),
    ] = None,
    topology: Annotated[str | None, Parameter(help="Or for a named family, such as ring, with --n.")] = None,
    n: Annotated[int | None, WHOLE, Parameter(name="--n", help="Number of devices of the family.")] = None,
    key: Annotated[
        list[str] | None, Parameter(negative="", help='A further key of the family, such as "degree=4"; may be given again.')
    ] = None,
    force: Annotated[bool, Parameter(negative="", help="Replace a file that is already there.")] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False,
) -> int:
    """Write a commented scenario file to start from: four desks, or a network of your own.

    Parameters
    ----------
    path
        Where to write it.
    """
    if network is not None and topology is not None:
        raise InputError("--topology", topology, "not beside --network: one of the two says who may ask whom")
    only_beside("--topology", topology is not None, {"--n": n, "--key": None if not key else key[0]})
    if path.is_dir():
        path = path / "scenario.toml"
    if path.exists() and not force:
        raise InputError("path", path, "a file that is not there yet; --force replaces one")
    if not path.parent.is_dir():
        raise InputError("path", path, f"in a folder that exists, and {path.parent} does not")
    document: dict[str, Any] = {"schema": "dmoa/init/1", "version": __version__, "source": "bundled", "path": str(path)}
    said = ""
    if network is None and topology is None:
        text = resources.files("dmoa_theory").joinpath("data/example.toml").read_text(encoding="utf-8")
    else:
        found = _of_file(network, path) if network is not None else _of_family(topology or "", n, key or [])
        text, region = _written_for(found, path, network.stem if network is not None else found.network.description)
        document |= {"source": "network", "network": _facts(found, region)}
        said = _sentence(found, region) + "\n"
    write_text(path, text)
    if json:
        print_json(document)
    else:
        print(f"{said}Wrote {path}. Change what differs for you, then: dmoa plan {path}")
    return 0


def _of_file(file: Path, path: Path) -> Found:
    """The network of a file; links both ways where they may be, and somebody would have nobody to ask otherwise."""
    from dmoa_theory.cli.scenario_template import Found
    from dmoa_theory.model.graph_files import read_graph

    graph = read_graph(file)
    if path.exists() and path.samefile(file):
        raise InputError("path", path, "another file than that of the network")
    if graph.rate is not None and not graph.rate.any():
        raise InputError("rate", 0, "above 0 for at least one device, or left out of the file", file=str(file))
    named = {"file": _seen_from(path.parent, file)}
    found = Found(network=graph.network, graph=graph, keys=named)
    if isinstance(found.neighbours(), list):
        try:
            both = read_graph(file, directed=False)
        except InputError:  # the file itself says what its links are
            return found
        other = Found(network=both.network, graph=both, keys=named, both_ways=True)
        if not isinstance(other.neighbours(), list):
            return other
    return replace(found, open_direction=_may_be_both(file, found))


def _may_be_both(file: Path, found: Found) -> bool:
    """Whether the file leaves open which way its links work, and both ways would be another network."""
    from dmoa_theory.model.graph_files import read_graph

    try:
        return read_graph(file, directed=False).network.n_links != found.network.n_links
    except InputError:
        return False


def _seen_from(folder: Path, file: Path) -> str:
    """The file relative to a folder where there is such a path, else from the root."""
    try:
        name = os.path.relpath(file, folder)
        if (folder / name).samefile(file):
            return Path(name).as_posix()
    except (OSError, ValueError):  # on another drive, or links in the way
        pass
    return file.resolve().as_posix()


def _of_family(name: str, n: int | None, further: list[str]) -> Found:
    """The network of a named family."""
    import tomllib

    from dmoa_theory.cli.scenario_template import Found
    from dmoa_theory.model.topologies import build_topology

    keys: dict[str, Any] = {} if n is None else {"n": n}
    for part in further:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        try:
            number = tomllib.loads(f"value = {value}")["value"]
        except ValueError:
            equals = ""
        if not (key and equals):
            raise InputError("--key", part, 'of the form key=number, such as "degree=4"')
        if key in keys:
            raise InputError("--key", part, f"each key once, and {key} is given already")
        keys[key] = number
    try:
        drawn = build_topology(name, **keys)
    except InputError as error:
        raise error.located(field=f"--{error.field}" if error.field in {"topology", "n"} else f"--key {error.field}") from None
    return Found(network=drawn, graph=None, keys={"topology": name, **keys})


def _written_for(found: Found, path: Path, title: str) -> tuple[str, StabilityRegion]:
    """A scenario that loads, and how its queues stand."""
    from dmoa_theory.cli.scenario_template import scenario_text
    from dmoa_theory.model.scenario import system_of_text
    from dmoa_theory.stability.region import stability_region

    text = scenario_text(found, title=title, rate=f"{_RATE:g}/hour")
    region = stability_region(system_of_text(text, path))
    if "rate" not in found.given and region.bottleneck.utilisation > _ENOUGH:
        text = scenario_text(found, title=title, rate=_round_rate(_RATE * _ENOUGH * region.critical_scale))
        region = stability_region(system_of_text(text, path))
    return text, region


def _round_rate(per_hour: float) -> str:
    """The next lower of 1, 2 and 5 times a power of ten, an hour or a day.

    Examples
    --------
    >>> _round_rate(7.2), _round_rate(0.1), _round_rate(0.0009)
    ('5/hour', '2/day', '0.02/day')
    """
    amount, unit = (per_hour, "hour") if per_hour >= 1 else (24 * per_hour, "day")
    power = 10.0 ** math.floor(math.log10(amount))
    return f"{max(digit for digit in (1, 2, 5) if digit * power <= amount) * power:g}/{unit}"


def _sentence(found: Found, region: StabilityRegion) -> str:
    """What was found, and how it stands."""
    from dmoa_theory.cli.scenario_template import example_words, passed_over_words, unasked_words, words
    from dmoa_theory.quantities import show_share

    count = found.network.n_devices
    given = ", ".join(words(found))
    said = (f"{given} from the file" if given else "", passed_over_words(found), unasked_words(found))
    beside = "".join(f"; {part}" for part in said if part)
    guessed = ", as one way somebody would have nobody to ask" if found.both_ways else ""
    state = "stable" if region.stable else "UNSTABLE"
    busiest = f"{state}: busiest {region.bottleneck.name} at {show_share(region.bottleneck.utilisation)}"
    stands = f"{busiest} with {region.system.moa.label}.{example_words(found)}"
    return f"{count:,} device{'s' * (count > 1)}, {found.links}{guessed}{beside}; {stands}"


def _facts(found: Found, region: StabilityRegion) -> dict[str, Any]:
    """The same for JSON."""
    return {
        "keys": dict(found.keys),
        "devices": found.network.n_devices,
        "directed_links": found.network.n_links,
        "users": int((region.system.rates > 0).sum()),
        "from_file": list(found.given),
        "passed_over": list(found.passed_over),
        "taken_both_ways": found.both_ways,
        "stable": region.stable,
        "busiest": {"name": region.bottleneck.name, "utilisation": region.bottleneck.utilisation},
    }
