"""The JSON of ``dmoa whatif``: one head for all, and a part for each question that was asked; null for the others."""

from __future__ import annotations

from typing import Any

from dmoa_theory.model.system import System
from dmoa_theory.stability.loads import utilisation

__all__ = ["document"]


def document(
    system: System,
    *,
    load_factor: float = 1.0,
    single_losses: dict[str, Any] | None = None,
    loss: dict[str, Any] | None = None,
    availability: dict[str, Any] | None = None,
    central: dict[str, Any] | None = None,
    reasons: list[str] | None = None,
) -> dict[str, Any]:
    """The keys of the JSON contract.

    Parameters
    ----------
    system : System
        As it is before anything is lost, its load factor applied.
    load_factor : float
        By which all rates of the scenario were multiplied.
    single_losses, loss, availability, central : dict, optional
        The parts of the answers to what was asked.
    reasons : list of str, optional
        Why figures are null.
    """
    load = utilisation(system)
    busiest = int(load.argmax())
    return {
        "configuration": system.moa.to_dict(),
        "names": [system.network.name(u) for u in range(system.n_devices)],
        "load_factor": load_factor,
        "before": {
            "stable": bool(load[busiest] < 1),
            "busiest": system.network.name(busiest),
            "utilisation": float(load[busiest]),
            "critical_scale": 1 / float(load[busiest]),
        },
        "single_losses": single_losses,
        "loss": loss,
        "availability": availability,
        "central": central,
        "reasons": reasons or [],
        "warnings": system.warnings(),
    }
