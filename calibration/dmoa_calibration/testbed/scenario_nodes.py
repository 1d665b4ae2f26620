"""From a scenario's system to the configurations of its nodes."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dmoa_calibration.testbed.config import NodeConfig, checked_config
from dmoa_theory.errors import InputError
from dmoa_theory.model.service import Stage
from dmoa_theory.model.system import System

__all__ = ["device_names", "free_ports", "held_ports", "node_configs"]

KEY_VARIABLE, TOKEN_VARIABLE = "DMOA_PEER_KEY", "DMOA_CLIENT_TOKEN"


def device_names(system: System) -> list[str]:
    """Names of the nodes, in the system's order: those of the devices, as far as they can stand in addresses.

    Examples
    --------
    >>> from dmoa_theory import System
    >>> device_names(System.from_arrays([[0, 1], [1, 0]], 0.01, [20.0, 30.0], M=1, k=1))
    ['device-0', 'device-1']
    """
    names: list[str] = []
    for i in range(system.n_devices):
        name = re.sub(r"[^A-Za-z0-9._-]", "-", system.network.name(i))[:56] or "device"
        names.append(name if name not in names else f"{name}-{i}")
    return names


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on now; a moment later somebody may."""
    with ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Ports of 127.0.0.1 that nobody else is given meanwhile, however long the nodes take to start.

    On Linux an address may be taken by several who allow it (SO_REUSEADDR, as nodes do) as long as only one of them listens;
    elsewhere they are free now, and a moment later somebody may take them.
    """
    if sys.platform != "linux":
        yield free_ports(count)
        return
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            each.bind(("127.0.0.1", 0))
        yield [int(each.getsockname()[1]) for each in sockets]


def node_configs(
    system: System,
    folder: Path,
    *,
    mode: Literal["paced", "padded", "real"],
    ports: Sequence[int],
    backend: dict[str, Any] | None = None,
    seed: int = 0,
    max_output_tokens: int = 16,
    exact_output: bool = False,
    limits: dict[str, Any] | None = None,
    timeouts: dict[str, Any] | None = None,
    peer_key: dict[str, str] | None = None,
    client_token: dict[str, str] | None = None,
    web: bool = True,
) -> list[NodeConfig]:
    """One configuration a device, all on this machine.

    Parameters
    ----------
    system : System
    folder : Path
        Every node keeps its files in a folder of its name in here.
    mode : {"paced", "padded", "real"}
    ports : sequence of int
        One a device, such as :func:`free_ports` finds.
    backend, limits, timeouts, peer_key, client_token : dict, optional
        As :class:`NodeConfig` has them; key and token by default from ``DMOA_PEER_KEY`` and ``DMOA_CLIENT_TOKEN``.
    seed : int
        Of neighbours and service times.
    max_output_tokens : int
    exact_output : bool
    web : bool

    Raises
    ------
    InputError
        When a port is missing, or a configuration cannot be made of what is given.

    Examples
    --------
    >>> from pathlib import Path
    >>> from dmoa_theory import load_scenario
    >>> nodes = node_configs(load_scenario(), Path("run"), mode="paced", ports=[7001, 7002, 7003, 7004])
    >>> nodes[0].seeds[1], len(nodes[0].neighbours)
    ('http://127.0.0.1:7002', 3)
    """
    n, names = system.n_devices, device_names(system)
    if len(ports) != n:
        raise InputError("ports", f"{len(ports)} ports", f"{n}, one a device")
    M, k, quorum = system.moa.per_user(n)
    able = system.can_ask()
    service = None if mode == "real" else _service(system)
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    neighbours, delays = _links(system, names)
    sizes = [None] * n if mode == "real" else _message_bytes(system)
    return [
        checked_config(
            {
                "name": names[i],
                "port": ports[i],
                "seeds": urls,
                "data_dir": folder / names[i],
                "moa": {
                    "M": int(M[i]) if able[i] else 0,
                    "k": int(k[i]) if able[i] else 0,
                    "quorum": int(quorum[i]) if able[i] and quorum[i] <= k[i] else None,
                },
                "neighbours": neighbours[i],
                "link_delay": delays[i],
                "link_rate": system.link_rate,
                "message_bytes": sizes[i],
                "mode": mode,
                "service": None if service is None else service[i],
                "backend": backend,
                "max_output_tokens": max_output_tokens,
                "exact_output": exact_output,
                "seed": seed,
                "web": web,
                "peer_key": peer_key or {"env": KEY_VARIABLE},
                "client_token": client_token or {"env": TOKEN_VARIABLE},
                "limits": limits or {},
                "timeouts": timeouts or {},
            }
        )
        for i in range(n)
    ]


def _links(system: System, names: list[str]) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Weights of each device's neighbours, and the delay of what it sends: jobs along its links, responses back."""
    network, n = system.network, system.n_devices
    weight = system.moa.selection_weight
    there, back = replace(system, link_rate=None).one_way(Stage.FIRST, 0)
    neighbours: list[dict[str, float]] = [{} for _ in range(n)]
    delays: list[dict[str, float]] = [{} for _ in range(n)]
    sources = network.link_sources()
    for link, (u, j) in enumerate(zip(sources.tolist(), network.indices.tolist(), strict=True)):
        neighbours[u][names[j]] = 1.0 if weight is None else float(weight[link])
        delays[u][names[j]] = float(there[link])
    for link, (u, j) in enumerate(zip(sources.tolist(), network.indices.tolist(), strict=True)):
        delays[j].setdefault(names[u], float(back[link]))
    return neighbours, [{name: seconds for name, seconds in each.items() if seconds > 0} for each in delays]


def _message_bytes(system: System) -> list[dict[str, Any] | None]:
    """Bytes of what every device's user asks and of what the device answers, where a link rate makes them take time."""
    if system.link_rate is None or system.footprint is None:
        return [None] * system.n_devices
    sizes: list[dict[str, Any] | None] = [None] * system.n_devices
    for i, k in enumerate(system.moa.per_user(system.n_devices)[1].tolist()):
        needs = system.footprint.for_k(k)
        prompt = np.broadcast_to(needs.prompt_bytes, (system.n_devices, len(Stage)))
        response = np.broadcast_to(needs.response_bytes, (system.n_devices,))
        sizes[i] = {"prompt": prompt[i].tolist(), "response": float(response[i])}
    return sizes


def _service(system: System) -> list[dict[str, dict[str, Any]]]:
    """Law of every device's service times, by the k of those who ask."""
    laws: list[dict[str, dict[str, Any]]] = [{} for _ in range(system.n_devices)]
    for k in sorted({group.k for group in system.groups()}):
        service = system.service.for_k(k)
        shape = system.n_devices, len(Stage)
        mean, scv = np.broadcast_to(service.mean, shape), np.broadcast_to(service.scv, shape)
        for i, law in enumerate(laws):
            samples = None if service.samples is None else service.samples[i % len(service.samples)].tolist()
            law[str(k)] = {"law": service.law.value, "mean": mean[i].tolist(), "scv": scv[i].tolist(), "samples": samples}
    return laws
