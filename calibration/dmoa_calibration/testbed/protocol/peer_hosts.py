"""Where other nodes may be: any member can name any address for any node, and what it names would be sent to."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from dmoa_calibration.testbed.config import is_loopback, is_network

__all__ = ["PeerHosts"]

_THIS_MACHINE = ("127.0.0.0/8", "::1", "localhost")


class PeerHosts:
    """Hosts that other nodes may be at.

    Parameters
    ----------
    own : str
        Address of this node.
    seeds : sequence of str
        Addresses that it was given; their hosts may always be.
    allowed : sequence of str, optional
        Addresses, networks and names; by default this machine's own where the node cannot be reached from any other, and any
        host where it can.

    Examples
    --------
    >>> hosts = PeerHosts("http://192.168.1.5:8400", [], ["192.168.1.0/24"])
    >>> hosts.may_have("http://192.168.1.77:8400"), hosts.may_have("http://169.254.169.254:80")
    (True, False)
    >>> PeerHosts("http://127.0.0.1:8400", [], None).may_have("http://192.168.1.77:8400")
    False
    """

    def __init__(self, own: str, seeds: Sequence[str], allowed: Sequence[str] | None) -> None:
        if allowed is None and is_loopback(_host(own)):
            allowed = _THIS_MACHINE
        self._anywhere = allowed is None
        self._names = set(allowed or ()) | {_host(url) for url in seeds}
        self._networks = [ipaddress.ip_network(name, strict=False) for name in self._names if is_network(name)]

    def may_have(self, url: str) -> bool:
        """Whether a node may be at that address."""
        host = _host(url)
        if self._anywhere or host in self._names:
            return True
        return is_network(host) and any(ipaddress.ip_address(host) in network for network in self._networks)


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
