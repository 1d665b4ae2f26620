"""The web page of a node: how it stands, its queue over time, and a box to ask the network something.

The page is three files of this package, without anything from elsewhere; all it shows it asks of the node's own endpoints, with
the token that its user types in.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from dmoa_calibration.testbed.server.gate import public

if TYPE_CHECKING:
    from dmoa_calibration.testbed.node import Node

__all__ = ["add_routes"]

_FILES = {"/": ("index.html", "text/html"), "/page.js": ("page.js", "text/javascript"), "/page.css": ("page.css", "text/css")}
#: The page runs its own script and talks to its own node, and does nothing else, whatever an answer holds.
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def add_routes(app: web.Application, node: Node) -> None:
    """Serve the page; it needs no token, what it asks for does.

    Parameters
    ----------
    app : aiohttp.web.Application
    node : Node
    """
    folder = resources.files("dmoa_calibration.testbed").joinpath("live_page")
    for path, (name, kind) in _FILES.items():
        app.router.add_get(path, _file(folder.joinpath(name).read_text(encoding="utf-8"), kind))


def _file(text: str, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A handler that serves one text to everybody."""

    @public
    async def serve(request: web.Request) -> web.StreamResponse:
        return web.Response(text=text, content_type=kind, charset="utf-8", headers=_HEADERS)

    return serve
