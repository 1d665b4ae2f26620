"""A small client of a node, for programs that drive or watch one."""

from __future__ import annotations

import ssl
from types import TracebackType
from typing import Any

import aiohttp

__all__ = ["NodeClient", "RefusedQuery"]


class RefusedQuery(Exception):  # noqa: N818 - a refusal is an answer, not a fault
    """A node did not take a request.

    Parameters
    ----------
    status : int
        HTTP status; 429 when the node is full.
    message : str
    retry_after : float or None, seconds
    """

    def __init__(self, status: int, message: str, retry_after: float | None) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status, self.message, self.retry_after = status, message, retry_after


class NodeClient:
    """Talks to one node; to be used in one event loop, as a context manager or with :meth:`close`.

    Parameters
    ----------
    url : str
    token : str, optional
        The node's client token.
    ssl_context : ssl.SSLContext, optional
        Which certificates to believe.
    timeout : float, seconds
        Of one request, beyond what it asks the node to wait.
    """

    def __init__(
        self, url: str, token: str | None = None, ssl_context: ssl.SSLContext | None = None, *, timeout: float = 30.0
    ) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._tls = ssl_context
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._session: aiohttp.ClientSession | None = None

    async def submit(self, prompt: str, query_id: str | None = None) -> dict[str, Any]:
        """Hand in a prompt; when this comes back the node has it on disk.

        Raises
        ------
        RefusedQuery
            When the node does not take it; with status 429 it may be tried again later.
        aiohttp.ClientError, TimeoutError
            When the node is not there; whether it took the prompt is unknown, sending it again with the same id is harmless.
        """
        message = {"prompt": prompt} | ({"id": query_id} if query_id else {})
        return dict(await self._ask("POST", "/v1/submit", json=message))

    async def answer(self, query_id: str, wait: float = 0.0) -> dict[str, Any]:
        """What is known of a query, after waiting so long for its end (60 s at most)."""
        return dict(await self._ask("GET", f"/v1/queries/{query_id}", wait, params={"wait": f"{wait:g}"}))

    async def results(self, after: int = 0, wait: float = 0.0, limit: int = 1000, *, texts: bool = True) -> dict[str, Any]:
        """Queries that ended after the one of that number: ``results`` and ``last``."""
        params = {"after": str(after), "wait": f"{wait:g}", "limit": str(limit), "texts": str(int(texts))}
        return dict(await self._ask("GET", "/v1/results", wait, params=params))

    async def status(self) -> dict[str, Any]:
        """The node's state."""
        return dict(await self._ask("GET", "/v1/status"))

    async def health(self) -> bool:
        """Whether the node is there and can write its journal."""
        try:
            return bool((await self._ask("GET", "/healthz"))["ok"])
        except (RefusedQuery, aiohttp.ClientError, TimeoutError, OSError):
            return False

    async def metrics(self) -> str:
        """Prometheus' text."""
        return str(await self._ask("GET", "/metrics"))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> NodeClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        await self.close()

    async def _ask(self, method: str, path: str, wait: float = 0.0, **more: Any) -> Any:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, trust_env=False)
        timeout = aiohttp.ClientTimeout(total=self._timeout + wait)
        async with self._session.request(method, self.url + path, timeout=timeout, **more) as response:
            if response.status >= 400:
                raise await _refusal(response)
            return await response.json() if response.content_type == "application/json" else await response.text()


async def _refusal(response: aiohttp.ClientResponse) -> RefusedQuery:
    try:
        message = str((await response.json())["error"]["message"])
    except (aiohttp.ClientError, ValueError, KeyError, TypeError):
        message = response.reason or "refused"
    after = response.headers.get("Retry-After", "")
    return RefusedQuery(response.status, message, float(after) if after.isdecimal() else None)
