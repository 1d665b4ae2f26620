"""A network together with what its file says of devices and links."""

from __future__ import annotations

from dataclasses import dataclass

from dmoa_theory.errors import InputError, TopologyError
from dmoa_theory.model.checks import FloatArray, non_negative, positive
from dmoa_theory.model.network import Network

__all__ = ["GraphFile"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GraphFile:
    """A network and what its file says of devices and links; None where the file says nothing.

    Parameters
    ----------
    network : Network
        Devices, links and link delays.
    rate : ndarray, shape (n,), prompts/s, or None
        Arrival rate of each device's user.
    service_mean : ndarray, shape (n,), seconds, or None
        Mean first-layer inference time of each device.
    service_scv : ndarray, shape (n,), or None
        Squared coefficient of variation of it.
    selection_weight : ndarray, shape (n_links,), or None
        How strongly a device prefers each neighbour, in the link order of ``network``; 0 means never asked.
    passed_over : tuple of str
        Names of attributes in the file that mean nothing here.

    Raises
    ------
    TopologyError
        When an array has the wrong length or a value out of range.

    Examples
    --------
    >>> from dmoa_theory import Network
    >>> from dmoa_theory.model.graph_files.graph_file import GraphFile
    >>> network = Network.from_links(2, [0, 1], [1, 0])
    >>> GraphFile(network=network, rate=0.01).rate.tolist()
    [0.01, 0.01]
    """

    network: Network
    rate: FloatArray | None = None
    service_mean: FloatArray | None = None
    service_scv: FloatArray | None = None
    selection_weight: FloatArray | None = None
    passed_over: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check every value, and freeze the arrays."""
        n, n_links = self.network.n_devices, self.network.n_links
        rules = {
            "rate": (non_negative, n, "device"),
            "service_mean": (positive, n, "device"),
            "service_scv": (non_negative, n, "device"),
            "selection_weight": (non_negative, n_links, "link"),
        }
        for name, (check, size, one) in rules.items():
            value = getattr(self, name)
            if value is None:
                continue
            try:
                object.__setattr__(self, name, check(name, value, size, bounded=False))
            except InputError as error:
                allowed = error.allowed.replace("one a device", f"one a {one}")
                raise TopologyError(error.field, error.value, allowed) from None
