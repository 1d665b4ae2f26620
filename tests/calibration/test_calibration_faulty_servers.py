"""Servers that are down, slow, broken or lying: one clear line each, the samples before kept, and never a key in sight."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_server import KEY, LONGEST, send, serving, stream

from dmoa_calibration.backends import open_backend
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.samples import journal_path
from dmoa_theory.cli import main
from dmoa_theory.errors import CalibrationError, DmoaError, InputError

LENGTHS = {"prompt_tokens": (8, 32, 128), "output_tokens": (3, 6), "budget": 1e4}  # however slow the machine
VARIABLE = "DMOA_TEST_KEY"


@pytest.fixture
def fake():
    with serving() as server:
        yield server


def failure(server, **options) -> str:
    """The one line in which opening, or one inference, ends."""
    with pytest.raises(DmoaError) as failed:
        open_backend("openai_http", url=server.url, **{"timeout": LONGEST} | options).infer(16, 6)
    line = str(failed.value)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < 300
    return line.replace(server.url, "URL")


def test_a_server_that_is_down():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # it listens to nobody, and keeps the port from all who would
        port = taken.getsockname()[1]
        with pytest.raises(CalibrationError, match=rf"nothing answers at http://127.0.0.1:{port}: is the server running\?"):
            open_backend("openai_http", url=f"http://127.0.0.1:{port}")


def test_a_host_that_is_not_known():
    with pytest.raises(CalibrationError, match=r"http://nowhere\.invalid:80 cannot be reached: "):
        open_backend("openai_http", url="http://nowhere.invalid")


def test_a_server_that_never_answers(fake):
    given_up = threading.Event()
    fake.answer["/v1/models"] = lambda handler: given_up.wait(LONGEST)
    assert failure(fake, timeout=0.2) == "URL did not answer within 0.2 s; give more time with --timeout"
    given_up.set()


def test_a_server_that_drips(fake):
    """A byte now and then must not stretch the time limit: it is for the whole answer."""

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        while True:  # until the client hangs up
            handler.wfile.write(b"d")
            handler.wfile.flush()
            time.sleep(0.02)

    fake.answer["/v1/completions"] = drip
    assert failure(fake, timeout=0.3) == "URL did not answer within 0.3 s; give more time with --timeout"


def test_garbage_in_place_of_http():
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def speak():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(b"\x00\x01\x02 not HTTP at all\r\n\r\n")

    thread = threading.Thread(target=speak, daemon=True)
    thread.start()
    with pytest.raises(DmoaError) as failed:
        open_backend("openai_http", url=url, model="m", timeout=LONGEST)
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    assert (
        str(failed.value).replace(url, "URL")
        == "URL/v1/completions answered with no HTTP: is this an OpenAI-compatible server?"
    )


@pytest.mark.parametrize(
    ("body", "kind", "line"),
    [
        (b"<html>hello</html>", "text/html", "URL/v1/completions answered with no event stream"),
        (b"data: {{{\n\ndata: [DONE]\n\n", "text/event-stream", "URL/v1/completions answered with no JSON:"),
        (b"data: 5\n\ndata: [DONE]\n\n", "text/event-stream", "URL/v1/completions answered with no JSON object"),
        (b"data: [[[\xff\n\n", "text/event-stream", "URL/v1/completions answered with no JSON:"),
        (
            b'data: {"error": {"message": "CUDA out\\n of \\u001b[31mmemory"}}\n\ndata: [DONE]\n\n',
            "text/event-stream",
            "URL/v1/completions answered: CUDA out of [31mmemory",
        ),
        (b"error: it broke\n\n", "text/event-stream", "URL/v1/completions answered: it broke"),
        (b"data: " + b"[" * 100_000 + b"\n\n", "text/event-stream", "URL/v1/completions answered with no JSON:"),
    ],
)
def test_garbage_in_place_of_an_answer(fake, body, kind, line):
    fake.knows_completions = False
    for path in ("/v1/completions", "/v1/chat/completions"):
        fake.answer[path] = lambda handler: send(handler, 200, body, kind)
    assert failure(fake).startswith(line)


@pytest.mark.parametrize(
    "models",
    [[], {"data": 5}, {"data": [5]}, {"data": [{"id": 7}]}, {"data": None}, "text", {"data": [{"id": "m", "meta": [1]}]}],
)
def test_garbage_in_place_of_a_list_of_models(fake, models):
    fake.models = models
    backend = open_backend("openai_http", url=fake.url, model="m")
    assert backend.infer(8, 2).output_tokens == 2


def test_an_error_of_the_server_is_passed_on(fake):
    fake.answer["/v1/completions"] = lambda handler: send(handler, 500, {"error": {"message": "model is still loading"}})
    fake.answer["/v1/chat/completions"] = fake.answer["/v1/completions"]
    assert failure(fake) == "URL/v1/completions answered HTTP 500: model is still loading"
    fake.answer["/v1/models"] = lambda handler: send(handler, 401, {"error": "who are you"})
    assert failure(fake) == "URL answered HTTP 401, a key is needed: name its environment variable with --api-key-env"
    fake.answer["/v1/models"] = lambda handler: send(handler, 302, b"", "text/plain")
    assert failure(fake).startswith("model is missing")


def test_a_connection_that_is_cut(fake):
    cut = iter([{"choices": [{"text": "w"}]}])
    fake.answer["/v1/completions"] = lambda handler: stream(handler, cut, end=False)
    assert failure(fake) == "URL broke off in the middle of its answer"
    fake.answer["/v1/completions"] = lambda handler: handler.connection.close()
    assert failure(fake) == "URL broke off in the middle of its answer"

    def promise(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"{")

    fake.answer["/v1/models"] = promise
    assert failure(fake) == "URL broke off in the middle of its answer"


def test_counts_that_are_wrong(fake):
    backend = open_backend("openai_http", url=fake.url)
    honest = fake.usage
    fake.usage = lambda p, o: honest(p + 3, o)
    with pytest.raises(CalibrationError, match="counts 19 prompt tokens where 16 were sent: its times cannot be used"):
        backend.infer(16, 6)
    fake.usage = honest
    fake.output = lambda o: min(o, 4)
    with pytest.raises(CalibrationError, match=r"wrote 4 tokens where 6 were asked for: .*only servers that honour ignore_eos"):
        backend.infer(16, 6)
    assert sum(len(body.get("prompt", "")) == 16 for _, body in fake.asked) == 6  # three times each
    fake.output = lambda o: o
    fake.timings = lambda p, o: {"prompt_n": p, "predicted_n": o + 1, "prompt_ms": 1.0, "predicted_ms": 1.0}
    with pytest.raises(CalibrationError, match=r"contradicts itself: 16 .* 6 tokens in its usage, 16 .* 7 in its timings"):
        backend.infer(16, 6)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": "8", "completion_tokens": True}, {"prompt_tokens": -1}, [1]])
def test_counts_that_are_not_there(fake, usage):
    fake.usage = lambda p, o: usage
    assert failure(fake).startswith("URL/v1/completions does not say how many tokens it read and wrote")


def test_counts_that_no_text_can_have(fake):
    fake.takes_ids = False
    fake.tokens = lambda text: 7
    assert failure(fake) == "the server counts 7 tokens in 4 words and 7 in 36: its counts cannot be right"


def test_an_answer_in_one_piece(fake):
    def at_once(handler):
        p = len(fake.asked[-1][1]["prompt"])
        events = [{"choices": [{"text": "wwwwww"}]}, {"choices": [], "usage": {"prompt_tokens": p, "completion_tokens": 6}}]
        stream(handler, iter(events))

    fake.answer["/v1/completions"] = at_once
    assert failure(fake).startswith("URL sends its answers in one piece: the time to the first token cannot be told")


def test_prompts_from_a_cache_are_no_samples(fake, tmp_path):
    fake.usage = lambda p, o: {
        "prompt_tokens": p,
        "completion_tokens": o,
        "prompt_tokens_details": {"cached_tokens": p // 2},
    }
    with pytest.raises(CalibrationError, match="took 4 of 8 prompt tokens from a cache: turn its prompt cache off"):
        calibrate("openai_http", url=fake.url, profile_path=tmp_path / "p.json", **LENGTHS)


def test_an_endless_answer_is_cut_short(fake, monkeypatch):
    monkeypatch.setattr("dmoa_calibration.backends.http_client._MOST_BYTES", 10_000)
    fake.answer["/v1/models"] = lambda handler: send(handler, 200, b" " * 20_000)
    for path in ("/v1/completions", "/v1/chat/completions"):
        fake.answer[path] = lambda handler: send(handler, 200, b":" * 20_000, "text/event-stream")
    assert failure(fake, model="m").startswith("URL sends more than")


def test_samples_before_a_failure_are_kept_and_gone_on_with(fake, tmp_path):
    path = tmp_path / "p.json"
    options = {"url": fake.url, "profile_path": path, "timeout": LONGEST, **LENGTHS}

    def break_after_four(done, total, message):
        if done == 4:
            fake.answer["/v1/completions"] = lambda handler: send(handler, 500, {"error": "out of memory"})

    with pytest.raises(CalibrationError, match="answered HTTP 500: out of memory"):
        calibrate("openai_http", progress=break_after_four, **options)
    kept = journal_path(path).read_text(encoding="utf-8").splitlines()
    assert len(kept) == 4
    fake.answer.clear()
    calibrate("openai_http", resume=True, repeats=1, **options)
    assert journal_path(path).read_text(encoding="utf-8").splitlines()[:4] == kept


def test_the_key_is_never_shown(fake, tmp_path, monkeypatch, capfd):
    """Not in files, output or errors, even where the server says it, or it stands in a URL or in its variable's place."""
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.chdir(tmp_path)
    said = []

    def dmoa(*options):
        code = main(["calibrate", *options])  # a URL says which engine
        said.append("".join(capfd.readouterr()))
        return code

    lengths = ["--prompt-tokens", "8,32,128", "--output-tokens", "3,6", "--repeats", "1", "--profile", "p.json"]
    lengths += ["--budget", "10000"]  # however slow the machine
    fake.key = KEY
    assert dmoa("--url", fake.url, "--api-key-env", VARIABLE, *lengths) == 0
    assert dmoa("--url", fake.url, "--api-key-env", VARIABLE, "--json", "--force", *lengths) == 0
    fake.key = "another"
    assert dmoa("--url", fake.url, "--api-key-env", VARIABLE, "--force", *lengths) != 0
    assert "HTTP 401, the key was refused" in said[-1]
    fake.answer["/v1/models"] = lambda handler: send(handler, 500, {"error": f"bad key {KEY}"})
    fake.answer["/v1/completions"] = fake.answer["/v1/chat/completions"] = fake.answer["/v1/models"]
    assert dmoa("--url", fake.url, "--model", "m", "--api-key-env", VARIABLE, "--force", *lengths) != 0
    assert "bad key ***" in said[-1]
    assert dmoa("--url", fake.url, "--api-key-env", KEY, "--force", *lengths) == 2
    assert "api_key_env = (not shown): the name of an environment variable" in said[-1]
    secret_url = fake.url.replace("http://", f"http://user:{KEY}@")
    assert dmoa("--url", secret_url, "--force", *lengths) == 2
    assert dmoa("--url", f"{fake.url}/v1?key={KEY}", "--force", *lengths) == 2
    monkeypatch.setenv(VARIABLE, f"{KEY}\r\nX-Other: 1")
    assert dmoa("--url", fake.url, "--api-key-env", VARIABLE, "--force", *lengths) == 2
    written = [file.read_text(encoding="utf-8") for file in tmp_path.iterdir() if file.is_file()]
    assert len(written) >= 2
    assert KEY not in "".join(said + written) + json.dumps([str(file) for file in tmp_path.iterdir()])


@pytest.mark.parametrize("content", ["", "   ", "two words", "caf\u00e9"])
def test_a_variable_without_a_key_is_refused(fake, monkeypatch, content):
    monkeypatch.setenv(VARIABLE, content)
    with pytest.raises(
        InputError, match=r"api_key_env = \(not shown\): the name of an environment variable that holds the key"
    ):
        open_backend("openai_http", url=fake.url, api_key_env=VARIABLE)
    assert fake.asked == []
