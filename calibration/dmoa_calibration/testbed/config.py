"""Configuration of one node: a JSON or TOML file, checked here and nowhere else."""

from __future__ import annotations

import ipaddress
import json
import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails

from dmoa_calibration.backends import LOADERS
from dmoa_theory.errors import InputError
from dmoa_theory.model.service import Law

__all__ = [
    "BackendConfig",
    "Limits",
    "MessageBytes",
    "MoaConfig",
    "Name",
    "NodeConfig",
    "SecretSource",
    "ServiceConfig",
    "Timeouts",
    "TlsConfig",
    "Url",
    "check_url",
    "is_loopback",
    "is_network",
    "read_node_config",
]

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
Seconds = Annotated[float, Field(ge=0, le=1e9)]
AboveZero = Annotated[float, Field(gt=0, le=1e9)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Three = Annotated[list[float], Field(min_length=3, max_length=3)]

_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_MESSAGE_OVERHEAD = 4096  # bytes of a peer's message beside its text
_NEEDED = {
    "name": "that of the node, such as desk-2",
    "data_dir": "a folder for its journal, made if it is not there",
    "moa": "layers and neighbours, such as { M = 1, k = 1 }",
    "moa.M": "layers, 0 or more",
    "moa.k": "neighbours asked in each layer, 0 or more",
    "mode": "paced, padded or real",
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


def check_url(url: str) -> str:
    """An address of a node: scheme, host and port, nothing else.

    Raises
    ------
    ValueError
        When it is anything else.
    """
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or parts.port == 0
        wrong = wrong or not url.isprintable() or not _HOST.fullmatch(parts.hostname or "")
    except ValueError:
        wrong = True
    if wrong or parts.path.rstrip("/") or parts.query or parts.fragment or parts.username is not None or len(url) > 300:
        raise ValueError("an address such as http://192.168.1.5:8400, without path, user or password")
    return url.rstrip("/")


def is_network(name: str) -> bool:
    """Whether it is an address in numbers, or a network of them such as 192.168.1.0/24."""
    try:
        ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False
    return True


def _check_host(name: str) -> str:
    if not is_network(name) and not _HOST.fullmatch(name):
        raise ValueError("an address, a network such as 192.168.1.0/24, or a name")
    return name.lower()


Url = Annotated[str, AfterValidator(check_url)]


class MoaConfig(_Section):
    """Layers, neighbours asked in each, and answers waited for (all when None)."""

    M: Annotated[int, Field(ge=0, le=64)]
    k: Annotated[int, Field(ge=0, le=1000)]
    quorum: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _quorum_fits(self) -> MoaConfig:
        if self.quorum is not None and self.quorum > self.k + 1:
            raise ValueError(f"quorum is a whole number from 1 to k + 1 = {self.k + 1}")
        return self


class ServiceConfig(_Section):
    """Law of the service times to be paced: mean and SCV in the first layer, later layers and the aggregation."""

    law: Law
    mean: Three
    scv: Three
    samples: list[float] | None = None

    @model_validator(mode="after")
    def _times_are_possible(self) -> ServiceConfig:
        if not all(0 <= value <= 1e9 for value in self.mean + self.scv):
            raise ValueError("mean and scv are numbers from 0 to 1e9")
        if (self.law is Law.EMPIRICAL) != bool(self.samples):
            raise ValueError("samples belong to the empirical law, and to no other")
        if self.samples and not all(0 < value <= 1e9 for value in self.samples):
            raise ValueError("samples are seconds above 0")
        return self


class MessageBytes(_Section):
    """Bytes of a prompt of each stage that the own user sends to neighbours, and of a response of this device."""

    prompt: Annotated[list[Annotated[float, Field(ge=0, le=1e15)]], Field(min_length=3, max_length=3)]
    response: Annotated[float, Field(ge=0, le=1e15)]


class BackendConfig(_Section):
    """Which engine answers, and with which model; as :func:`dmoa_calibration.backends.open_backend` takes them."""

    name: str
    model: str | None = None
    synthetic: str | None = None
    url: str | None = None
    api_key_env: str | None = None
    device: str | None = None
    n_threads: Annotated[int, Field(ge=1)] = 1
    dtype: str | None = None
    n_ctx: Annotated[int, Field(ge=64)] | None = None
    timeout: AboveZero = 300.0

    @model_validator(mode="after")
    def _known_engine(self) -> BackendConfig:
        if self.name not in LOADERS:
            raise ValueError(f"name is one of {', '.join(sorted(LOADERS))}")
        return self


class SecretSource(_Section):
    """Where a secret is: an environment variable or a file; never the secret itself."""

    env: str | None = None
    file: Path | None = None

    @model_validator(mode="after")
    def _one_place(self) -> SecretSource:
        if (self.env is None) == (self.file is None):
            raise ValueError("exactly one of env and file")
        return self


class TlsConfig(_Section):
    """PEM files: this node's certificate and key, and the authority that signed those of the others."""

    certificate: Path
    key: Path
    authority: Path


class Limits(_Section):
    """What a node holds at most; beyond, it refuses with 429 and says when to come back.

    Of more ``connections`` the oldest idle ones are closed; beyond ``event_bytes`` the file of events is begun anew, and
    the one before kept.
    """

    open_queries: Annotated[int, Field(ge=1)] = 1000
    peer_jobs: Count = 4000
    held_bytes: Annotated[int, Field(ge=1024)] = 2**28
    prompt_bytes: Annotated[int, Field(ge=16)] = 2**16
    response_bytes: Annotated[int, Field(ge=16)] = 2**16
    body_bytes: Annotated[int, Field(ge=1024)] = 2**21
    read_seconds: AboveZero = 10.0
    idle_seconds: AboveZero = 60.0
    kept_answers: Annotated[int, Field(ge=1)] = 10_000
    connections: Annotated[int, Field(ge=8)] = 1000
    event_bytes: Annotated[int, Field(ge=1024)] = 2**30


class Timeouts(_Section):
    """Seconds after which a node does not wait any longer, and how often it asks somebody else instead."""

    response: AboveZero = 600.0
    delivery: AboveZero = 5.0
    replacements: Annotated[int, Field(ge=0, le=16)] = 2
    gossip: AboveZero = 0.5
    suspect: AboveZero = 5.0
    dead: AboveZero = 15.0
    forget: AboveZero = 600.0
    clock_skew: AboveZero = 60.0

    @model_validator(mode="after")
    def _in_order(self) -> Timeouts:
        if not self.gossip < self.suspect <= self.dead <= self.forget:
            raise ValueError("gossip < suspect <= dead <= forget")
        return self


class NodeConfig(_Section):
    """Everything that a node is told.

    Examples
    --------
    >>> config = NodeConfig(name="a", data_dir="nodes/a", moa={"M": 0, "k": 0}, mode="paced",
    ...                     service={"0": {"law": "deterministic", "mean": [0.1, 0.1, 0.1], "scv": [0, 0, 0]}})
    >>> config.host, config.limits.open_queries
    ('127.0.0.1', 1000)
    """

    version: Literal[1] = 1
    name: Name
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    advertise: Url | None = None
    seeds: list[Url] = []
    peer_hosts: list[Annotated[str, AfterValidator(_check_host)]] | None = None
    data_dir: Path
    moa: MoaConfig
    neighbours: dict[Name, Annotated[float, Field(ge=0)]] | None = None
    link_delay: dict[Name, Seconds] = {}
    link_rate: Annotated[float, Field(gt=0, le=1e15)] | None = None
    message_bytes: MessageBytes | None = None
    mode: Literal["paced", "padded", "real"]
    service: dict[Annotated[str, StringConstraints(pattern=r"^\d{1,4}$")], ServiceConfig] | None = None
    backend: BackendConfig | None = None
    max_output_tokens: Annotated[int, Field(ge=1, le=10**6)] = 16
    exact_output: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    events: bool = True
    web: bool = True
    peer_key: SecretSource | None = None
    client_token: SecretSource | None = None
    tls: TlsConfig | None = None
    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()

    @model_validator(mode="after")
    def _fits_together(self) -> NodeConfig:
        if wrong := list(self._complaints()):
            raise ValueError("; ".join(wrong))
        return self

    def _complaints(self) -> Iterator[str]:
        """What does not fit together, all of it."""
        if self.mode != "real" and not self.service:
            yield f"service is needed in mode {self.mode}: the times to keep"
        if (self.backend is None) != (self.mode == "paced"):
            yield "backend is needed in modes padded and real, and has no place in mode paced"
        if self.message_bytes is not None and (self.link_rate is None or self.mode == "real"):
            yield "message_bytes belongs to a link_rate, in modes paced and padded; real texts have their own"
        answers = self.moa.k + 1 if self.moa.M else 0
        longest = self.limits.prompt_bytes + answers * (self.limits.response_bytes + 32) + _MESSAGE_OVERHEAD
        if longest > self.limits.body_bytes:
            yield (
                f"limits.body_bytes must hold a prompt and k + 1 responses: {longest} or more,"
                " or smaller prompt_bytes and response_bytes"
            )
        if self.neighbours is not None and self.moa.M and sum(w > 0 for w in self.neighbours.values()) < self.moa.k:
            yield f"neighbours must be at least k = {self.moa.k}, with weights above 0"
        missing = [name for name in ("peer_key", "client_token") if getattr(self, name) is None]
        if missing and not is_loopback(self.host):
            needed = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} needed"
            yield f"{needed} where others can reach the node (host {self.host}); 127.0.0.1 needs none"
        elif self.seeds and self.peer_key is None:
            yield "peer_key is needed with seeds, the same in all nodes: without a key a node has no neighbours"
        if self.advertise is None and self.host in ("0.0.0.0", "::", ""):
            yield "advertise is needed with a host that stands for all addresses: the one that others are to use"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_node_config(path: Path) -> NodeConfig:
    """Read a node's configuration.

    Raises
    ------
    InputError
        One line: the file, the field, its value and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        allowed = "the path of a JSON or TOML file with the configuration of a node"
        raise InputError("", "no such file", allowed, file=str(path)) from None
    except (OSError, UnicodeDecodeError):
        raise InputError("config", path, "a JSON or TOML file with the configuration of a node") from None
    try:
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError):
        raise InputError("config", path, "readable JSON, or TOML in a file that ends in .toml") from None
    return checked_config(content, str(path))


def checked_config(content: Any, file: str | None = None) -> NodeConfig:
    """A configuration from plain values; all that is wrong with it in one line."""
    try:
        return NodeConfig.model_validate(content)
    except ValidationError as error:
        first, *others = [_complaint(each) for each in error.errors(include_url=False)]
        allowed = "; ".join([first.allowed, *map(str, others)])
        raise InputError(first.field, first.value, allowed, file=file) from None


def _complaint(error: ErrorDetails) -> InputError:
    field = ".".join(str(part) for part in error["loc"]) or "config"
    allowed = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return InputError(field, InputError.MISSING, _NEEDED.get(field, allowed))
    if error["type"] == "extra_forbidden":
        near = get_close_matches(field, NodeConfig.model_fields, n=1)
        allowed = f"no such key{f', did you mean {near[0]}?' if near else ''}"
    if not error["loc"] and isinstance(error["input"], dict):
        return InputError("", InputError.MISSING, allowed)
    return InputError(field, "a table" if isinstance(error["input"], dict | BaseModel) else error["input"], allowed)
