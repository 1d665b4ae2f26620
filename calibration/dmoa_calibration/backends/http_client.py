"""A small HTTP client for JSON and event streams, on the standard library: deadlines that hold, one line for every failure.

A key is sent and nothing else: it is in no message, and what a server says is shown without it and without control characters.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from dmoa_theory.errors import CalibrationError, InputError

__all__ = ["HttpClient", "RefusedError", "key_from_environment", "split_url"]

_MOST_BYTES = 2**26  # of an answer
_LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}


class RefusedError(CalibrationError):
    """The server answered, but not with what was asked for; ``status`` is its HTTP code, 200 for nonsense."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def key_from_environment(name: str | None) -> str | None:
    """Read the key; the message never shows what was given, because it may be the key itself.

    Raises
    ------
    InputError
        When there is no such variable, or its content cannot be a key.
    """
    if name is None:
        return None
    allowed = "the name of an environment variable that holds the key"
    key = os.environ.get(name, "").strip()
    if not key:
        raise InputError("api_key_env", "(not shown)", f"{allowed}; it is not set or empty")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise InputError("api_key_env", "(not shown)", f"{allowed}; its content cannot be a key")
    return key


def split_url(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path of a server's address, the path without its last slash.

    Raises
    ------
    InputError
        When it is no http or https address, or holds a user, a password or a query, which may be secrets.

    Examples
    --------
    >>> split_url("http://127.0.0.1:8080/v1/")
    ('http', '127.0.0.1', 8080, '/v1')
    """
    allowed = "an address such as http://127.0.0.1:8080 or https://host/v1"
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment or "@" in url:
        raise InputError("url", "(not shown)", f"{allowed}, without user, password or query; a key goes to --api-key-env")
    path = parts.path.rstrip("/")
    plain = path.isascii() and path.isprintable() and " " not in path
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise InputError("url", url, allowed)
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path


class HttpClient:
    """Requests to one server, one after the other, each on a connection of its own.

    Parameters
    ----------
    url : str
        Of the server; paths of requests start from its root.
    key : str, optional
        Sent as bearer token.
    timeout : float, seconds
        Longest that one request may take as a whole, however slowly the body of its answer drips.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout: float = 300.0) -> None:
        self._scheme, self._host, self._port, self.path = split_url(url)
        self._key = key
        self._timeout = timeout
        shown = f"[{self._host}]" if ":" in self._host else self._host
        self.shown = f"{self._scheme}://{shown}:{self._port}"
        self.host = self._host
        self.is_local = self._host in _LOCAL

    def __repr__(self) -> str:
        """Show the address; never the key."""
        return f"<HttpClient {self.shown}>"

    def get(self, path: str, *, timeout: float | None = None) -> Any:
        """Get JSON."""
        with self._request("GET", path, None, timeout) as (response, connected, until):
            return self._parsed(b"".join(data for _, data in self._read(response, connected, until)), path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Post JSON, get JSON."""
        with self._request("POST", path, body, None) as (response, connected, until):
            return self._parsed(b"".join(data for _, data in self._read(response, connected, until)), path)

    def stream(self, path: str, body: dict[str, Any]) -> Iterator[tuple[float, dict[str, Any]]]:
        """Post JSON, and give each event of the answer with the moment it came (``time.perf_counter``).

        Raises
        ------
        RefusedError
            When the answer is an error, no event stream, or holds an event that is not a JSON object.
        CalibrationError
            When the server is not there, breaks off, or takes too long.
        """
        ended = False
        with self._request("POST", path, body, None) as (response, connected, until):
            if "text/event-stream" not in (response.getheader("Content-Type") or ""):
                raise self._nonsense(path, "no event stream")
            line = b""
            for stamp, data in self._read(response, connected, until):
                *lines, line = (line + data).split(b"\n")
                for event in (one.strip() for one in lines):
                    if event.startswith(b"data:"):
                        text = event[5:].strip()
                        ended = ended or text == b"[DONE]"
                        if text != b"[DONE]":
                            yield stamp, self._object(text, path)
                    elif event.startswith(b"error:"):
                        raise RefusedError(f"{self.shown}{path} answered: {self.clean(event[6:])}", 200)
        if not ended:
            raise CalibrationError(f"{self.shown} broke off in the middle of its answer")

    def clean(self, said: bytes | str) -> str:
        """What a server said, fit to be shown: one line, printable, short, without the key."""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        if self._key:
            text = text.replace(self._key, "***")
        text = "".join(c if c.isprintable() else " " for c in text)
        text = " ".join(text.split())
        return text if len(text) <= 160 else text[:157] + "..."

    @contextmanager
    def _request(
        self, method: str, path: str, body: dict[str, Any] | None, timeout: float | None
    ) -> Iterator[tuple[http.client.HTTPResponse, socket.socket, float]]:
        allowed = self._timeout if timeout is None else min(timeout, self._timeout)
        until = time.monotonic() + allowed
        kind = http.client.HTTPSConnection if self._scheme == "https" else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=allowed)
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        response = None
        try:
            connection.connect()
            connected = connection.sock
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            response = connection.getresponse()
            if response.status != 200:
                said = b""
                for _, data in self._read(response, connected, until):
                    said += data
                raise self._refused(response.status, path, said)
            yield response, connected, until
        except TimeoutError:
            message = f"{self.shown} did not answer within {allowed:g} s; give more time with --timeout"
            raise CalibrationError(message) from None
        except ConnectionRefusedError:
            raise CalibrationError(f"nothing answers at {self.shown}: is the server running?") from None
        except (http.client.IncompleteRead, http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            raise CalibrationError(f"{self.shown} broke off in the middle of its answer") from None
        except http.client.HTTPException:
            raise self._nonsense(path, "no HTTP") from None
        except ssl.SSLError as error:
            raise CalibrationError(f"{self.shown}: no secure connection ({self.clean(error.reason or 'TLS')})") from None
        except OSError as error:
            reason = self.clean(error.strerror or str(error)) or type(error).__name__
            raise CalibrationError(f"{self.shown} cannot be reached: {reason}") from None
        finally:
            if response is not None:
                response.close()
            connection.close()

    def _read(
        self, response: http.client.HTTPResponse, connected: socket.socket, until: float
    ) -> Iterator[tuple[float, bytes]]:
        """Pieces of the body as they come, each with its moment."""
        total = 0
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connected.settimeout(left)
            data = response.read1(2**16)
            if not data:
                if response.length:  # fewer bytes than were announced
                    raise http.client.IncompleteRead(b"")
                return
            total += len(data)
            if total > _MOST_BYTES:
                raise RefusedError(f"{self.shown} sends more than {_MOST_BYTES >> 20} MB for one answer", 200)
            yield time.perf_counter(), data

    def _refused(self, status: int, path: str, said: bytes) -> RefusedError:
        with_reason = f": {reason}" if (reason := self.clean(_message(said))) else ""
        if status in (401, 403):
            advice = "the key was refused" if self._key else "a key is needed: name its environment variable with --api-key-env"
            return RefusedError(f"{self.shown} answered HTTP {status}, {advice}", status)
        return RefusedError(f"{self.shown}{path} answered HTTP {status}{with_reason}", status)

    def _parsed(self, raw: bytes, path: str) -> Any:
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            raise self._nonsense(path, "no JSON") from None

    def _object(self, raw: bytes, path: str) -> dict[str, Any]:
        found = self._parsed(raw, path)
        if not isinstance(found, dict):
            raise self._nonsense(path, "no JSON object")
        if found.get("error"):
            raise RefusedError(f"{self.shown}{path} answered: {self.clean(_message(raw))}", 200)
        return found

    def _nonsense(self, path: str, what: str) -> RefusedError:
        return RefusedError(f"{self.shown}{path} answered with {what}: is this an OpenAI-compatible server?", 200)


def _message(said: bytes) -> str:
    """The reason in an error answer, as OpenAI, vLLM, llama.cpp and Ollama phrase it."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        return said.decode(errors="replace")
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error
    return error if isinstance(error, str) else json.dumps(error)
