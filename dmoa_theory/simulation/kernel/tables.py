"""What the compiled simulator reads of a system: flat arrays, nothing of which changes during a run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray
from dmoa_theory.model.selection import coin_chances
from dmoa_theory.model.service import Law, ServiceTime, Stage
from dmoa_theory.model.system import System

__all__ = ["DETERMINISTIC", "EMPIRICAL", "EXPONENTIAL", "GAMMA", "LOGNORMAL", "Tables", "tables_of"]

DETERMINISTIC, EXPONENTIAL, GAMMA, LOGNORMAL, EMPIRICAL = range(5)


class Tables(NamedTuple):
    """A system as the kernels read it.

    Service laws stand in rows, ``row = (group * devices_apart + device) * 3 + stage`` with groups of users by k (on which
    the length of later prompts depends); one row serves all devices where they are alike.
    """

    arrival_rate: float
    user_chance: FloatArray  # alias method: keep user u with this chance, else take the alias
    user_alias: npt.NDArray[np.uint32]
    M: npt.NDArray[np.uint32]
    k: npt.NDArray[np.uint32]
    quorum: npt.NDArray[np.uint32]
    group: npt.NDArray[np.uint32]
    row_step: npt.NDArray[np.uint64]  # rows a group, and rows a device
    law: npt.NDArray[np.uint8]
    parameter: FloatArray  # (2 * rows,)
    samples: FloatArray
    first_link: npt.NDArray[np.uint64]
    target: npt.NDArray[np.uint32]
    weighted: bool
    first_chance: IntArray
    chance: FloatArray
    delayed: bool
    there: FloatArray  # (groups, 2, links): first and later layers
    back: FloatArray
    prompt_bytes: FloatArray  # (rows,)
    cache_bytes: FloatArray  # (rows,)
    response_bytes: FloatArray  # (n,)
    weight_bytes: FloatArray  # (n,)
    tracks_memory: bool
    listed: bool  # when prompts arrive, and whose, stands in the record beforehand
    block: np.uint64  # jobs of a device between two workings through its log


def tables_of(system: System) -> Tables:
    """The arrays of a system.

    Parameters
    ----------
    system : System
    """
    n = system.n_devices
    M, k, quorum = system.moa.per_user(n)
    able = system.can_ask()
    k = np.where((M > 0) & able, k, 0)
    ks, group = np.unique(k, return_inverse=True)
    services = [system.service.for_k(int(each)) for each in ks]
    rows = max(service.mean.shape[0] for service in services)
    footprints = [] if system.footprint is None else [system.footprint.for_k(int(each)) for each in ks]
    if footprints:
        rows = max(rows, n if system.footprint is not None and system.footprint.n_devices else 1)
    laws = [_laws(service, rows) for service in services]
    chance, alias = _alias(system.rates)
    first_chance, take = _selection(system, k)
    there, back = _hops(system, ks)
    row_of_device = len(Stage) if rows > 1 else 0
    prompt, cache = np.zeros(rows * ks.size * len(Stage)), np.zeros(rows * ks.size * len(Stage))
    response, weights = np.zeros(n), np.zeros(n)
    if footprints:
        shape = (rows, len(Stage))
        prompt = np.concatenate([np.broadcast_to(f.prompt_bytes, shape).ravel() for f in footprints])
        contexts = [np.broadcast_to(f.context_tokens, shape) for f in footprints]
        per_token = np.broadcast_to(footprints[0].kv_bytes_per_token, (rows,))
        cache = np.concatenate([(context * per_token[:, None]).ravel() for context in contexts])
        response = np.broadcast_to(footprints[0].response_bytes, (n,)).astype(np.float64)
        weights = np.broadcast_to(footprints[0].weight_bytes, (n,)).astype(np.float64)
    return Tables(
        arrival_rate=float(system.rates.sum()),
        user_chance=chance,
        user_alias=alias,
        M=M.astype(np.uint32),
        k=k.astype(np.uint32),
        quorum=np.minimum(quorum, k + 1).astype(np.uint32),
        group=group.ravel().astype(np.uint32),
        row_step=np.array([rows * len(Stage), row_of_device], dtype=np.uint64),
        law=np.concatenate([law for law, _, _ in laws]).astype(np.uint8),
        parameter=np.concatenate([parameter for _, parameter, _ in laws]).ravel(),
        samples=laws[0][2],
        first_link=system.network.indptr.astype(np.uint64),
        target=system.network.indices.astype(np.uint32),
        weighted=system.moa.selection_weight is not None,
        first_chance=first_chance,
        chance=take,
        delayed=bool(there.any() or back.any()),
        there=there,
        back=back,
        prompt_bytes=prompt.astype(np.float64),
        cache_bytes=cache.astype(np.float64),
        response_bytes=response,
        weight_bytes=weights,
        tracks_memory=bool(footprints),
        listed=False,
        block=np.uint64(64 if n <= 256 else 16),
    )


def _laws(service: ServiceTime, rows: int) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
    """Kind of law and its two parameters, row by row, and the samples of an empirical law."""
    mean = np.broadcast_to(service.mean, (rows, len(Stage))).ravel()
    scv = np.broadcast_to(service.scv, (rows, len(Stage))).ravel()
    parameter = np.column_stack((mean, np.zeros_like(mean)))
    samples: FloatArray = np.zeros(0)
    if service.law.value == "empirical":
        given = service.samples
        assert given is not None
        samples = np.concatenate([each / each.mean() for each in given])
        sizes = np.array([each.size for each in given])
        start = np.concatenate(([0], np.cumsum(sizes)))[:-1]
        own = np.arange(rows) % len(given)
        law = np.full(mean.size, EMPIRICAL, dtype=np.int64)
        # where a device's samples start and how many there are, in one number: both are whole and small
        parameter[:, 1] = np.repeat(start[own] * 2.0**26 + sizes[own], len(Stage))
        if sizes.max() >= 2**26:
            raise InputError("samples", f"{sizes.max()} samples of a device", "fewer than 2^26")
        return law, parameter, samples
    law = np.full(mean.size, {Law.LOGNORMAL: LOGNORMAL}.get(service.law, GAMMA), dtype=np.int64)
    law[scv == 0] = DETERMINISTIC
    if service.law is not Law.LOGNORMAL:
        law[scv == 1] = EXPONENTIAL
    gamma, lognormal = law == GAMMA, law == LOGNORMAL
    parameter[gamma] = np.column_stack((mean[gamma] * scv[gamma], 1 / scv[gamma]))  # scale, shape
    spread = np.log1p(scv[lognormal])
    parameter[lognormal] = np.column_stack((np.log(mean[lognormal]) - spread / 2, np.sqrt(spread)))
    return law, parameter, samples


def _alias(rates: FloatArray) -> tuple[FloatArray, npt.NDArray[np.uint32]]:
    """Walker's alias tables for drawing a user with probability in proportion to its rate (Vose's construction)."""
    n = rates.size
    share = rates * (n / rates.sum())
    chance, alias = np.ones(n), np.arange(n)
    small, large = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
    share = share.copy()
    while small and large:
        poor, rich = small.pop(), large[-1]
        chance[poor], alias[poor] = share[poor], rich
        share[rich] -= 1 - share[poor]
        if share[rich] < 1:
            small.append(large.pop())
    for left in small:  # rounding left them just below one; a user without prompts must not be drawn, though
        if rates[left] == 0:
            chance[left], alias[left] = 0.0, int(rates.argmax())
    return chance, alias.astype(np.uint32)


def _selection(system: System, k: IntArray) -> tuple[IntArray, FloatArray]:
    """Chances of taking each neighbour in turn, given how many are still needed: conditional-Poisson sampling, exactly.

    With coins ``p_j`` and ``H_j(c)`` the chance of c heads from coin j on, neighbour j is taken with chance
    ``p_j H_{j+1}(c - 1) / H_j(c)`` when c are still needed; user u's chances stand at
    ``first_chance[u] + j (k_u + 1) + c``.
    """
    weight = system.moa.selection_weight
    n, indptr = system.n_devices, system.network.indptr
    if weight is None:
        return np.zeros(n, dtype=np.int64), np.zeros(0)
    degree = np.diff(indptr)
    first = np.concatenate(([0], np.cumsum(degree * (k + 1)))).astype(np.int64)
    chance = np.zeros(first[-1])
    for u in np.flatnonzero(k > 0).tolist():
        coins = coin_chances(weight[indptr[u] : indptr[u + 1]], int(k[u]))
        heads = np.zeros((coins.size + 1, int(k[u]) + 1))
        heads[-1, 0] = 1.0
        for j in range(coins.size - 1, -1, -1):
            heads[j] = heads[j + 1] * (1 - coins[j])
            heads[j, 1:] += heads[j + 1, :-1] * coins[j]
        block = np.zeros((coins.size, int(k[u]) + 1))
        reached = heads[:-1, 1:] > 0
        block[:, 1:][reached] = (coins[:, None] * heads[1:, :-1])[reached] / heads[:-1, 1:][reached]
        block[block > 1 - 1e-12] = 1.0  # certain, but for rounding
        chance[first[u] : first[u + 1]] = block.ravel()
    return first[:-1], chance


def _hops(system: System, ks: npt.NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Travel times there and back by group of users, layer (first, later) and link; shape (groups, 2, links)."""
    shape = (ks.size, 2, system.network.n_links)
    if not system.has_delay:
        return np.zeros((1, 2, 0)), np.zeros((1, 2, 0))
    there, back = np.zeros(shape), np.zeros(shape)
    for g, k in enumerate(ks.tolist()):
        for layer in (Stage.FIRST, Stage.LATER):
            there[g, layer], back[g, layer] = system.one_way(layer, k)
    return there, back
