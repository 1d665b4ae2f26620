"""The text of a scenario for a network that is there already: what its file says is left to it, the rest is filled in."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np

from dmoa_theory.model.graph_files import GraphFile
from dmoa_theory.model.graph_files.records import shown, stands_for_delay
from dmoa_theory.model.network import Network

__all__ = ["Found", "example_words", "passed_over_words", "scenario_text", "unasked_words", "words"]

#: Neighbours asked in a layer, where everybody has as many.
_K = 2
_COLUMN = 26
_KNOWN = "name, rate, service_mean, service_scv; links link_delay, weight"
#: Names of attributes that are said one by one.
_NAMED = 6
#: Devices asked by nobody that are named.
_UNASKED = 3

_HEAD = """\
# A dmoa scenario. Every value may be one number (all devices) or a list with one entry a device. Times are in seconds, or have
# a unit ("10 ms", "5 min"); rates are in prompts per second, or such as "7.2/hour".
# Keys that are commented out show their default or an example.
"""
_LIMITS = """\
[constraints]             # all optional
# mean_latency = "2 min"  # over the prompts of all users
# p95_latency = "5 min"   # over the prompts of all users
# memory = "4 GiB"        # of each device; needs a measured profile, or [memory]
max_utilisation = 0.95
overflow_probability = 1e-3   # with which the memory need may be exceeded
# min_accuracy = 0.35
"""
_IN_NUMBERS = """\
# law = "gamma"                                 # exponential, deterministic, gamma, lognormal
# stages = { layer = 1.3, aggregate = 1.3 }     # later layers and the aggregation, as multiples of the first
# Measured instead of in numbers, with: dmoa calibrate --synthetic qwen2-0.5b --profile mine.json
# profile = "mine.json"
# prompt_tokens = { mean = 120, scv = 0.5 }     # the user's prompt; scv = variance / mean^2
# output_tokens = { mean = 200, scv = 0.3 }     # one answer
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A network to write a scenario for.

    Parameters
    ----------
    network : Network
    graph : GraphFile or None
        What its file says beside; None for a named family.
    keys : mapping
        What [network] says: the file, or the family with its keys.
    both_ways : bool
        Whether each link of the file is taken both ways although the file does not say so.
    open_direction : bool
        Whether the file leaves open which way its links work, and they are taken one way.
    """

    network: Network
    graph: GraphFile | None
    keys: Mapping[str, object]
    both_ways: bool = False
    open_direction: bool = False

    @property
    def given(self) -> tuple[str, ...]:
        """Attributes that the file gives, by the names that they have there."""
        if self.graph is None:
            return ()
        there = {
            "name": bool(self.network.names),
            "rate": self.graph.rate is not None,
            "service_mean": self.graph.service_mean is not None,
            "service_scv": self.graph.service_scv is not None,
            "link_delay": self.network.has_delay,
            "weight": self.graph.selection_weight is not None,
        }
        return tuple(name for name, given in there.items() if given)

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Attributes of the file that mean nothing to dmoa."""
        return () if self.graph is None else self.graph.passed_over

    @property
    def users(self) -> int:
        """Devices that send prompts."""
        rate = None if self.graph is None else self.graph.rate
        return self.network.n_devices if rate is None else int((rate > 0).sum())

    @property
    def links(self) -> str:
        """How many links there are, in words: each pair once where all of them work both ways."""
        matrix = self.network.matrix(np.ones(self.network.n_links))
        n, answered = self.network.n_links, int(matrix.multiply(matrix.T).sum())
        if n == 0:
            return "no links"
        if answered == n:
            return f"{n // 2:,} link{'s' * (n != 2)} both ways"
        return f"{n:,} link{'s' * (n != 1)} one way" if answered == 0 else f"{n:,} directed links"

    def neighbours(self) -> int | list[int]:
        """The k of all users, or of each where somebody has nobody to ask."""
        weight = None if self.graph is None else self.graph.selection_weight
        network = self.network
        askable = np.ones(network.n_links) if weight is None else (weight > 0).astype(float)
        size = np.rint(network.matrix(askable).sum(axis=1)).astype(int)
        rate = None if self.graph is None else self.graph.rate
        least = int(size[np.ones(size.size, dtype=bool) if rate is None else rate > 0].min(initial=_K))
        alone = network.out_degree + np.bincount(network.indices, minlength=network.n_devices) == 0
        return min(_K, least) if least and not alone.any() else np.minimum(size, _K).tolist()


def scenario_text(found: Found, *, title: str, rate: str) -> str:
    """A commented scenario.

    Parameters
    ----------
    found : Found
    title : str
    rate : str
        Of each user, where the file gives none.
    """
    blocks = (
        f"{_HEAD}\ntitle = {_quoted(title)}\n",
        _network(found),
        _arrivals(found, rate),
        _service(found),
        _moa(found),
        _LIMITS,
        _bundled("# [memory]"),
        _bundled("[accuracy]"),
    )
    return "\n".join(blocks)


def _network(found: Found) -> str:
    lines = ["[network]"]
    devices = f"{found.network.n_devices:,} device{'s' * (found.network.n_devices > 1)}, {found.links}"
    for place, (key, value) in enumerate(found.keys.items()):
        written = _quoted(value) if isinstance(value, str) else json.dumps(value)
        lines.append(_line(f"{key} = {written}", devices if place == 0 else ""))
    if found.passed_over:
        lines.append(f"# In the file, {passed_over_words(found)}: devices may have {_KNOWN}.")
    if found.graph is None:
        lines.append(_line('# names = ["hall", ...]', "one a device; else device-0, device-1, ..."))
    else:
        if found.both_ways:
            lines.append(_line("directed = false", "each link both ways; one way only, somebody would have nobody to ask"))
        if found.open_direction:
            lines.append(_line("# directed = false", "links work both ways; as it stands, only from the first to the second"))
        if "name" not in found.given:
            lines.append(_line('# names = ["hall", ...]', "one a device, in its order; else device-0, device-1, ..."))
    if "link_delay" in found.given:
        lines.append(_line('# link_delay = "10 ms"', "each way; in place of link_delay in the file"))
    else:
        lines.append(_line('link_delay = "10 ms"', "each way; an example"))
    lines.append(_line('# link_rate = "2 MB/s"', "adds message bytes / rate to each hop; needs a profile, or [memory]"))
    return "\n".join(lines) + "\n"


def _arrivals(found: Found, rate: str) -> str:
    if "rate" in found.given:
        line = _line('# rate = "7.2/hour"', f"of each user; in place of rate in the file, which has {found.users} with prompts")
    else:
        line = _line(f'rate = "{rate}"', "of each user, or a list with 0 for who only helps; an example")
    return f"[arrivals]\n{line}\n"


def _service(found: Found) -> str:
    if not {"service_mean", "service_scv"} & set(found.given):
        return _bundled("[service]")
    mean = '# mean = "20 s"' if "service_mean" in found.given else 'mean = "20 s"'
    said = "in place of service_mean in the file" if "service_mean" in found.given else "an example"
    scv = "in place of service_scv in the file" if "service_scv" in found.given else "variance / mean^2; default 1"
    lines = [_line(mean, f"first-layer inference; {said}"), _line("# scv = 0.4", scv)]
    return "[service]\n" + "\n".join(lines) + "\n" + _IN_NUMBERS


def _moa(found: Found) -> str:
    k = found.neighbours()
    if isinstance(k, int):
        asked = _line(f"k = {k}", "neighbours asked in each layer")
    else:
        listed = textwrap.fill(", ".join(map(str, k)), 120, initial_indent="    ", subsequent_indent="    ")
        asked = f"# Neighbours asked in each layer; 0 for who has nobody to ask.\nk = [\n{listed},\n]"
    lines = ["[moa]", _line("M = 1", "layers"), asked, _line("# quorum = 2", "answers to wait for in a layer; default k + 1")]
    if "weight" in found.given:
        lines.append("# Neighbours are chosen by the weights of the file; selection takes their place.")
    lines.append(_line('# selection = "best.csv"', "inclusion probabilities (columns from,to,probability)"))
    return "\n".join(lines) + "\n"


def _bundled(start: str) -> str:
    """A section of the bundled example."""
    text = resources.files("dmoa_theory").joinpath("data/example.toml").read_text(encoding="utf-8")
    blocks = text.rstrip("\n").split("\n\n")
    return next(block for block in blocks if block.startswith(start)) + "\n"


def _line(said: str, why: str) -> str:
    return f"{said.ljust(_COLUMN)}# {why}" if why else said


def _quoted(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's too."""
    return json.dumps(text, ensure_ascii=False)


def words(found: Found) -> Iterator[str]:
    """What the file gives, in words."""
    said = {
        "name": "names",
        "rate": f"rates of {found.users} user{'s' * (found.users != 1)}",
        "service_mean": "service times",
        "service_scv": "SCV of service",
        "link_delay": "link delays",
        "weight": "weights",
    }
    return (said[name] for name in found.given)


def passed_over_words(found: Found) -> str:
    """What of the file is not read, in words; nothing where all of it is."""
    names = [shown(name) for name in found.passed_over]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    delay = next((name for name in names if stands_for_delay(name)), None) if "link_delay" not in found.given else None
    meant = f" ({delay}: did you mean link_delay, in seconds?)" if delay is not None else ""
    return f"{', '.join(names[:_NAMED])}{more} passed over{meant}" if names else ""


def unasked_words(found: Found) -> str:
    """Devices that nobody may ask, in words, where the file leaves open which way its links work."""
    if not found.open_direction:
        return ""
    asked = np.bincount(found.network.indices, minlength=found.network.n_devices)
    names = [shown(found.network.name(i)) for i in np.flatnonzero(asked == 0).tolist()]
    if not names:
        return ""
    few = ", ".join(names[:_UNASKED]) + (", ..." if len(names) > _UNASKED else "")
    who = "1 device is" if len(names) == 1 else f"{len(names):,} devices are"
    return f"{who} asked by nobody: {few} (directed = false if links work both ways)"


def example_words(found: Found) -> str:
    """A sentence on what is filled in with examples; nothing where the network says it all."""
    said = {"rate": "rates", "link_delay": "link delays", "service_mean": "service times"}
    left = [words for name, words in said.items() if name not in found.given]
    if not left:
        return ""
    listed = left[0] if len(left) == 1 else f"{', '.join(left[:-1])} and {left[-1]}"
    return f" {listed.capitalize()} are examples: change them."
