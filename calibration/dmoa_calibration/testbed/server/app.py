"""The web application of a node, and the socket it listens on."""

from __future__ import annotations

import ssl
from importlib import import_module
from importlib.util import find_spec

from aiohttp import web

from dmoa_calibration.testbed.config import NodeConfig, TlsConfig
from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.server.client_routes import add_client_routes
from dmoa_calibration.testbed.server.gate import gate
from dmoa_calibration.testbed.server.metrics import add_metrics
from dmoa_calibration.testbed.server.openai_routes import add_openai_routes
from dmoa_calibration.testbed.server.peer_routes import add_peer_routes
from dmoa_theory.errors import InputError

__all__ = ["believed_certificates", "make_app", "own_certificate"]

_WEB_PAGE = "dmoa_calibration.testbed.live_web"


def make_app(node: Node) -> web.Application:
    """All endpoints behind one gate."""
    app = web.Application(middlewares=[gate(node)], client_max_size=node.config.limits.body_bytes)
    add_client_routes(app, node)
    add_openai_routes(app, node)
    add_peer_routes(app, node)
    add_metrics(app, node)
    if node.config.web and find_spec(_WEB_PAGE) is not None:
        import_module(_WEB_PAGE).add_routes(app, node)
    return app


def own_certificate(config: NodeConfig) -> ssl.SSLContext | None:
    """What the node proves itself with; None without TLS.

    Raises
    ------
    InputError
        When certificate and key cannot be read or do not belong together.
    """
    if config.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(config.tls.certificate, config.tls.key)
    except (OSError, ssl.SSLError):
        allowed = "PEM files of a certificate and its key (tls.key)"
        raise InputError("tls.certificate", config.tls.certificate, allowed) from None
    return context


def believed_certificates(tls: TlsConfig | None) -> ssl.SSLContext | None:
    """Whose certificates other nodes may have; None for those the system believes.

    Raises
    ------
    InputError
        When the authority's certificate cannot be read.
    """
    if tls is None:
        return None
    try:
        return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(tls.authority))
    except (OSError, ssl.SSLError):
        raise InputError("tls.authority", tls.authority, "a PEM file with the certificate of an authority") from None
