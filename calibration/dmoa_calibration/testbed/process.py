"""A node as a process: from its configuration file until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import socket
import ssl
import sys
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from dmoa_calibration.testbed.config import NodeConfig, is_loopback, read_node_config
from dmoa_calibration.testbed.engines import open_engine
from dmoa_calibration.testbed.node import Node
from dmoa_calibration.testbed.protocol.secret_values import Secret, read_secret
from dmoa_calibration.testbed.server.app import believed_certificates, make_app, own_certificate
from dmoa_calibration.testbed.server.doorman import Doorman, connections_that_fit
from dmoa_theory.errors import CalibrationError, DmoaError, InputError
from dmoa_theory.whole_files import write_whole

__all__ = ["run_node"]

_log = logging.getLogger("dmoa.testbed")
_READY = "ready.json"
_BACKLOG, _AT_ONCE = 1024, 64  # connections that wait to be let in, and that are let in before anything else is done
_LAST_REQUESTS = 0.5  # seconds that open requests have when the node stops
_REFUSED_BODY = 2.0  # seconds in which the rest of a message is read that was refused before its end


def run_node(path: Path, *, stop_with_stdin: bool = False) -> int:
    """Run a node until it is told to stop; the exit code.

    Parameters
    ----------
    path : Path
        Its configuration.
    stop_with_stdin : bool
        Whether the end of standard input stops it too, as it comes with the end of the process that started it.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s", stream=sys.stderr)
    for name in ("aiohttp", "asyncio"):  # what they log may hold what was sent
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        config = read_node_config(path)
        secrets = read_secret("peer_key", config.peer_key), read_secret("client_token", config.client_token)
        asyncio.run(_serve(config, *secrets, stop_with_stdin=stop_with_stdin))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    except DmoaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _serve(config: NodeConfig, key: Secret | None, token: Secret | None, *, stop_with_stdin: bool) -> None:
    if config.tls is None and not is_loopback(config.host):
        _log.warning("prompts and answers travel in the clear: give certificates (tls), or keep to a network you trust")
    certificate, believed = own_certificate(config), believed_certificates(config.tls)
    with _listen(config) as listening:  # to be closed also where a node comes to its end before it listens
        await _serve_at(listening, config, key, token, certificate, believed, stop_with_stdin=stop_with_stdin)


async def _serve_at(
    listening: socket.socket,
    config: NodeConfig,
    key: Secret | None,
    token: Secret | None,
    certificate: ssl.SSLContext | None,
    believed: ssl.SSLContext | None,
    *,
    stop_with_stdin: bool,
) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = (config.advertise or f"{'https' if certificate else 'http'}://{shown}:{port}").rstrip("/")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stop_with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    try:
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        raise InputError("data_dir", config.data_dir, "a folder that can be made and written to") from None
    engine = await asyncio.to_thread(open_engine, config)
    try:
        node = Node(config, engine, url, key=key, token=token, tls=believed)
        (config.data_dir / _READY).unlink(missing_ok=True)  # that of the process before
    except BaseException:
        engine.close()
        raise
    runner = web.AppRunner(
        make_app(node),
        access_log=None,
        shutdown_timeout=_LAST_REQUESTS,
        keepalive_timeout=config.limits.idle_seconds,
        lingering_time=_REFUSED_BODY,
    )
    door: asyncio.Server | None = None
    try:
        await runner.setup()
        node.start()
        assert runner.server is not None
        try:
            door = await loop.create_server(
                Doorman(runner.server, connections_that_fit(config.limits.connections), node.served),
                sock=listening,
                ssl=certificate,
                backlog=_AT_ONCE,
                ssl_handshake_timeout=None if certificate is None else config.limits.read_seconds,
            )
            listening.listen(_BACKLOG)
        except OSError as error:  # somebody else who had it too listens already
            raise _taken(config, error) from None
        _say_ready(config, node)
        gc.collect()
        gc.freeze()  # what is here now stays: later collections need not look at it
        stopped_by: asyncio.Future[Any] = asyncio.create_task(stop.wait())
        ends: set[asyncio.Future[Any]] = {stopped_by, node.failed}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped_by.cancel()
        if node.failed.done():
            raise CalibrationError(f"the node failed ({node.failed.result()}); start it again, the journal has everything")
    finally:
        node.stopping = True
        if door is not None:
            door.close()
        stopped = asyncio.create_task(node.stop())
        await runner.cleanup()
        await stopped


def _listen(config: NodeConfig) -> socket.socket:
    """Take the address before anything else is opened."""
    with ExitStack() as unless_taken:
        try:
            family, kind, proto, _, address = socket.getaddrinfo(
                config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = unless_taken.enter_context(socket.socket(family, kind, proto))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError as error:
            raise _taken(config, error) from None
        unless_taken.pop_all()
    return listening


def _taken(config: NodeConfig, error: OSError) -> InputError:
    return InputError("host and port", f"{config.host}:{config.port}", f"a free address ({error.strerror})")


def _say_ready(config: NodeConfig, node: Node) -> None:
    ready = {"ready": True, "name": config.name, "pid": os.getpid(), "url": node.url, "incarnation": node.incarnation}
    line = json.dumps(ready)
    try:
        write_whole(config.data_dir / _READY, line + "\n")
    except OSError as error:
        raise InputError("data_dir", config.data_dir, f"a folder with room to write ({error.strerror})") from None
    with suppress(OSError):
        print(line, flush=True)


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with suppress(OSError, ValueError):
        while os.read(0, 4096):
            continue
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(stop.set)
