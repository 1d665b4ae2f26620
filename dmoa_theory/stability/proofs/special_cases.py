"""Systems for which load below one is enough, whatever the load: corollaries of Theorems 2 and 3 with equal weights."""

from __future__ import annotations

import numpy as np

from dmoa_theory.model.system import System
from dmoa_theory.stability.proofs.work_shares import Paths

__all__ = ["FULL_FAN_OUT", "MIXED", "ONE_LAYER", "TWO_LAYERS", "special_case"]

ONE_LAYER = "one layer at most: load below one suffices"
FULL_FAN_OUT = "every user asks a fixed set of neighbours and waits for all: load below one suffices"
MIXED = "every user has one layer at most or asks a fixed set of neighbours, and waits for all: load below one suffices"
TWO_LAYERS = "two layers at most, and a closed-form condition at every device: load below one suffices"


def special_case(system: System, paths: Paths) -> str | None:
    """Which theorem makes load below one sufficient; None when none of these does.

    Parameters
    ----------
    system : System
    paths : Paths
        Its :func:`~dmoa_theory.stability.proofs.work_shares.work_paths`.
    """
    n = system.n_devices
    M, k, quorum = system.moa.per_user(n)
    active = system.rates > 0
    single = M[active] <= 1
    fixed = ((k == 0) | (k == system.choice_size()) | (k == _always_asked(system)))[active]
    waits = (quorum > k)[active]  # a quorum beside other users' many layers is not covered: only one layer for all is
    whole = fixed & waits
    if single.all():
        return ONE_LAYER
    if whole.all():
        return FULL_FAN_OUT
    if (whole | (single & waits)).all():
        return MIXED
    if (M[active] <= 2).all() and _two_layers(system, paths):
        return TWO_LAYERS
    return None


def _always_asked(system: System) -> np.ndarray:
    """How many neighbours each user asks in every layer, by an infinite weight; -1 where the choice is uniform."""
    weight = system.moa.selection_weight
    if weight is None:
        return np.full(system.n_devices, -1)
    return np.bincount(system.network.link_sources()[np.isinf(weight)], minlength=system.n_devices)


def _two_layers(system: System, paths: Paths) -> bool:
    """The closed form for users with two layers at most: one of three inequalities at every device.

    With the loads ``a`` of first layers and bare prompts, ``l`` of own second layers and ``g`` of aggregations, and
    ``b = l + g``: the own user has at most one layer; or ``g <= a``; or the own user waits for all answers and
    ``b (1 - b) <= a + l`` in shares of the device's load.
    """
    n = system.n_devices
    M, k, quorum = system.moa.per_user(n)
    load = paths.by_device(paths.first + np.maximum(paths.layers - 1, 0) * paths.later + paths.home)
    used = load > 0
    first, home = paths.by_device(paths.first), paths.by_device(paths.home)
    own = paths.device == paths.user
    second = paths.by_device(np.where(own & (paths.layers == 2), paths.later, 0.0))
    share = 1 / np.where(used, load, 1.0)
    b = (second + home) * share
    light = (M <= 1) | (system.rates == 0) | (home <= first)
    balanced = (quorum > k) & (b * (1 - b) <= (first + second) * share * (1 - 1e-12))
    return bool((light | balanced).all())
