"""A small server that speaks as OpenAI-compatible ones do, or as it is told to: for everything that a real one seldom does."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "sk-a-secret-that-nobody-may-see"
#: Seconds that something takes only where it hangs.
LONGEST = 300.0


class FakeServer:
    """Behaviour in attributes; a test sets what it wants otherwise.

    ``answer`` maps a path to what is done there: a status with JSON, or a function that writes to the handler itself.
    """

    def __init__(self) -> None:
        self.models: Any = {"data": [{"id": "fake-1", "owned_by": "fake"}]}
        self.takes_ids = True
        self.knows_completions = True
        self.knows_extras = True
        self.usage: Callable[[int, int], dict[str, Any] | None] = lambda p, o: {"prompt_tokens": p, "completion_tokens": o}
        self.timings: Callable[[int, int], dict[str, Any] | None] = lambda p, o: None
        self.template = 0  # tokens that a chat template adds
        self.tokens: Callable[[str], int] = lambda text: len(text.split())
        self.output: Callable[[int], int] = lambda o: o
        self.seconds = 0.001, 0.001  # before the first token, and between two
        self.answer: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.key: str | None = None
        self.url = ""


def send(handler: BaseHTTPRequestHandler, status: int, body: Any, kind: str = "application/json") -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(raw)))
    handler.end_headers()
    handler.wfile.write(raw)


def stream(handler: BaseHTTPRequestHandler, events: Iterator[dict[str, Any]], *, end: bool = True) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/event-stream")
    handler.end_headers()
    for place, event in enumerate(events):
        if place == 1:
            _wait_until_read(handler)
        handler.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        handler.wfile.flush()
    if end:
        handler.wfile.write(b"data: [DONE]\n\n")


def _wait_until_read(handler: BaseHTTPRequestHandler) -> None:
    """Wait until the client has the first chunk, lest it comes in one piece with the next: that tells no time of decoding."""
    until = time.monotonic() + LONGEST
    time.sleep(0.004)  # elsewhere than on Linux, and before the first look
    while any(_waiting_bytes(handler)) and time.monotonic() < until:
        time.sleep(0.001)


def _waiting_bytes(handler: BaseHTTPRequestHandler) -> tuple[int, int]:
    """Bytes sent that are not at the client's socket yet, and those that it has not read from there; as far as Linux tells."""
    ours, theirs = handler.connection.getsockname()[1], handler.client_address[1]
    sent, _ = _queues().get((ours, theirs), (0, 0))
    _, received = _queues().get((theirs, ours), (0, 0))  # of a second look: what was on its way is counted
    return sent, received


def _queues() -> dict[tuple[int, int], tuple[int, int]]:
    """Bytes on the way out of each socket, and those that came in and were not read, by its port and the one it talks to."""
    found = {}
    with suppress(OSError):
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            local, remote, _state, queues = line.split()[1:5]
            out, come = queues.split(":")
            found[int(local[-4:], 16), int(remote[-4:], 16)] = int(out, 16), int(come, 16)
    return found


def _tokens_of(fake: FakeServer, prompt: Any, chat: bool) -> int:
    length = fake.tokens(prompt) if isinstance(prompt, str) else len(prompt)
    return length + (fake.template if chat else 0)


def _events(fake: FakeServer, body: dict[str, Any], chat: bool) -> Iterator[dict[str, Any]]:
    prompt = body["messages"][0]["content"] if chat else body["prompt"]
    p, o = _tokens_of(fake, prompt, chat), fake.output(body["max_tokens"])
    time.sleep(fake.seconds[0])
    for i in range(o):
        time.sleep(fake.seconds[1] if i else 0.0)
        yield {"choices": [{"delta": {"content": "w"}} if chat else {"text": "w"}]}
    last: dict[str, Any] = {"choices": []}
    for name, told in (("usage", fake.usage(p, o)), ("timings", fake.timings(p, o))):
        last |= {} if told is None else {name: told}
    yield last


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.respond({})

        def do_POST(self) -> None:
            self.respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def respond(self, body: dict[str, Any]) -> None:
            fake.asked.append((self.path, body))
            try:
                self.choose(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def choose(self, body: dict[str, Any]) -> None:
            if self.path in fake.answer:
                return fake.answer[self.path](self)
            if fake.key and self.headers.get("Authorization") != f"Bearer {fake.key}":
                return send(self, 401, {"error": {"message": f"wrong key {self.headers.get('Authorization')}"}})
            if self.path == "/v1/models":
                return send(self, 200, fake.models)
            chat = self.path == "/v1/chat/completions"
            if not chat and (self.path != "/v1/completions" or not fake.knows_completions):
                return send(self, 404, {"error": "no such path"})
            if not fake.knows_extras and "ignore_eos" in body:
                return send(self, 400, {"error": {"message": "Unrecognized request argument supplied: ignore_eos"}})
            if not chat and not fake.takes_ids and not isinstance(body["prompt"], str):
                return send(self, 422, {"detail": "prompt: str type expected"})
            return stream(self, _events(fake, body, chat))

    return Handler


@contextmanager
def serving() -> Iterator[FakeServer]:
    fake = FakeServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
