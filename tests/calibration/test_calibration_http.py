"""Servers by HTTP: a real llama.cpp from beginning to end, and the ways that others want to be asked."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_server import KEY, send, serving

from dmoa_calibration.backends import open_backend
from dmoa_calibration.backends.http_prompts import Prompts
from dmoa_calibration.backends.openai_http_backend import OpenAiHttpBackend
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.samples import journal_path
from dmoa_theory.errors import CalibrationError, InputError

LENGTHS = {"prompt_tokens": (16, 64, 256), "output_tokens": (4, 12), "budget": 1e4}  # however slow the machine
VARIABLE = "DMOA_TEST_KEY"


@pytest.fixture
def fake():
    with serving() as server:
        yield server


@pytest.fixture
def key(llama, monkeypatch):
    monkeypatch.setenv(VARIABLE, llama.process.api_key)
    return VARIABLE


def opened(server, **options):
    return open_backend("openai_http", url=server.url, **options)


# -- llama.cpp for real ---------------------------------------------------------------------------------------------------


def test_a_real_server_from_beginning_to_end(llama, key, tmp_path):
    path = tmp_path / "served.json"
    options = LENGTHS | {"url": llama.process.url, "api_key_env": key, "profile_path": path, "repeats": 2}
    profile = calibrate("openai_http", **options)
    schema = json.loads(files("dmoa_theory").joinpath("data/schemas/calibrate.json").read_text(encoding="utf-8"))
    jsonschema.validate(profile.document, schema)
    assert {s["prompt_tokens"] for s in profile.document["samples"]} == {16, 64, 256}
    runtime, model = profile.document["runtime"], profile.document["model"]
    assert (runtime["timed_by"], runtime["n_ctx"], runtime["n_threads"]) == ("server", 2048, None)
    assert runtime["backend_version"] == "llamacpp, /v1/completions with token ids, its own clock"
    assert (model["n_params"], model["weight_bytes"]) == (188736, 201472)
    assert profile.document["quality"]["median_cpu_wall_ratio"] is None
    assert profile.document["hardware"]["cpu_model"]

    kept = journal_path(path).read_bytes()
    assert llama.process.api_key not in path.read_text(encoding="utf-8") + kept.decode()
    again = calibrate("openai_http", **options, resume=True)
    assert journal_path(path).read_bytes() == kept
    assert again.document["fit"] == profile.document["fit"]


def test_the_servers_clock_agrees_with_the_engines(llama, key):
    served = open_backend("openai_http", url=f"{llama.process.url}/v1/", api_key_env=key)
    for p, o in ((16, 2), (400, 40)):
        timing = served.infer(p, o)
        assert (timing.prompt_tokens, timing.output_tokens, timing.cached_tokens, timing.cpu_s) == (p, o, 0, None)
        assert timing.prefill_s > 0
        assert timing.decode_s > 0
    with pytest.raises(InputError, match=r"2040 \+ 9: 1 or more each, in all at most 2048, the server's context"):
        served.infer(2040, 9)


def test_texts_are_fitted_to_a_real_tokenizer(llama, key):
    """Made for servers that take text only: here the same llama.cpp, asked with texts, whose tokens are bytes."""
    served = open_backend("openai_http", url=llama.process.url, api_key_env=key)
    prompts = Prompts(3)
    way = type(served._way)(path="/v1/completions")
    count = lambda text: way.ask(served._client, served._server, text, 2).prompt_tokens  # noqa: E731
    for length in (32, 101, 300):
        assert prompts.fit(length, count) == length
        assert {count(prompts.text(length)) for _ in range(3)} == {length}


# -- other servers --------------------------------------------------------------------------------------------------------


def test_without_times_of_its_own_the_client_stamps_the_chunks(fake):
    fake.seconds = 0.05, 0.01
    backend = opened(fake)
    assert backend.describe()["runtime"]["timed_by"] == "client"
    for _ in range(100):  # a client that the machine lets wait stamps the first chunk late, and so finds too short a decoding
        timing = backend.infer(20, 6)
        assert (timing.prompt_tokens, timing.output_tokens) == (20, 6)
        assert timing.prefill_s >= 0.05
        assert timing.prefill_s + timing.decode_s >= 0.05 + 5 * 0.01
        if timing.decode_s >= 5 * 0.01:
            break
    assert timing.decode_s >= 5 * 0.01
    path, body = fake.asked[-1]
    assert (path, len(body["prompt"]), body["ignore_eos"], body["cache_prompt"]) == ("/v1/completions", 20, True, False)
    assert body["stream_options"] == {"include_usage": True}


def test_the_servers_own_times_are_preferred(fake):
    fake.timings = lambda p, o: {"prompt_n": p, "cache_n": 0, "predicted_n": o, "prompt_ms": 250.0, "predicted_ms": 1250.0}
    backend = opened(fake)
    timing = backend.infer(20, 6)
    assert (timing.prefill_s, timing.decode_s) == (0.25, 1.25)
    assert backend.describe()["runtime"]["timed_by"] == "server"


def test_prompts_differ_so_that_no_cache_can_help(fake):
    backend = opened(fake)
    for _ in range(5):
        backend.infer(50, 2)
    prompts = [body["prompt"] for _, body in fake.asked if len(body.get("prompt", ())) == 50]
    assert len({tuple(prompt[:3]) for prompt in prompts}) == len(prompts) >= 5  # more where one was asked for again


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "fake, /v1/completions with token ids, our clock"),
        ({"takes_ids": False}, "fake, /v1/completions with texts, our clock"),
        ({"takes_ids": False, "knows_extras": False}, "fake, /v1/completions with texts, our clock"),
        ({"knows_completions": False, "template": 9}, "fake, /v1/chat/completions with texts, our clock"),
        ({"knows_completions": False, "knows_extras": False}, "fake, /v1/chat/completions with texts, our clock"),
    ],
)
def test_a_server_is_asked_as_it_wants(fake, changes, expected):
    for name, value in changes.items():
        setattr(fake, name, value)
    backend = opened(fake)
    assert backend.describe()["runtime"]["backend_version"] == expected
    assert backend.prompt_lengths((32, 100)) == (32, 100)
    timing = backend.infer(32, 5)
    assert (timing.prompt_tokens, timing.output_tokens) == (32, 5)
    assert ("ignore_eos" in fake.asked[-1][1]) == fake.knows_extras


def test_a_server_that_counts_ids_as_something_else_gets_texts(fake):
    honest = fake.usage
    fake.usage = lambda p, o: honest(3 * p if p == 8 else p, o)
    assert "with texts" in opened(fake).describe()["runtime"]["backend_version"]


def test_where_no_text_has_the_length_the_nearest_is_measured_and_said(fake, tmp_path):
    fake.takes_ids = False
    fake.tokens = lambda text: 2 * len(text.split()) + 1  # odd numbers only
    backend = opened(fake)
    assert backend.prompt_lengths((32, 101)) == (33, 101)
    assert backend.infer(33, 2).prompt_tokens == 33
    with pytest.raises(CalibrationError, match="takes texts only, and none of exactly 40 tokens was found, but of 41"):
        backend.infer(40, 2)
    options = LENGTHS | {"url": fake.url, "profile_path": tmp_path / "odd.json", "repeats": 2}
    options |= {"prompt_tokens": (16, 64, 200), "output_tokens": (3, 6)}
    profile = calibrate("openai_http", **options)
    lengths = {s["prompt_tokens"] for s in profile.document["samples"]}
    assert profile.fit.p_range == (min(lengths), max(lengths))
    assert all(length % 2 == 1 for length in lengths)
    before = journal_path(tmp_path / "odd.json").read_bytes()
    calibrate("openai_http", resume=True, **options)
    assert journal_path(tmp_path / "odd.json").read_bytes() == before


def test_ollama_tells_its_own_durations(fake):
    def generate(handler):
        _, body = fake.asked[-1]
        o = body["options"]["num_predict"]
        told = {"prompt_eval_count": len(body["prompt"].split()) + 1, "prompt_eval_cached_count": 1, "eval_count": o}
        send(handler, 200, told | {"prompt_eval_duration": 250_000_000, "eval_duration": 100_000_000 * (o - 1), "done": True})

    fake.models = {"data": [{"id": "small:latest", "owned_by": "library"}]}
    fake.answer = {"/api/version": lambda h: send(h, 200, {"version": "0.40.1"}), "/api/generate": generate}
    backend = opened(fake, model="small", n_ctx=4000)
    runtime = backend.describe()["runtime"]
    assert runtime["backend_version"] == "ollama 0.40.1, /api/generate with texts, its own clock"
    assert backend.prompt_lengths((32, 100)) == (32, 100)
    timing = backend.infer(32, 6)
    assert (timing.prefill_s, timing.decode_s, timing.cached_tokens) == (0.25, 0.5, 0)
    body = fake.asked[-1][1]
    assert (body["raw"], body["model"]) == (True, "small:latest")
    assert body["options"] == {"num_predict": 6, "temperature": 0, "num_ctx": 4000}


def test_a_model_is_chosen_by_name_where_there_are_several(fake):
    fake.models = {"data": [{"id": "a", "max_model_len": 512}, {"id": "b"}]}
    with pytest.raises(InputError, match="model is missing: the name of one at the server: a, b"):
        opened(fake)
    with pytest.raises(InputError, match="model = c: one that is at the server: a, b"):
        opened(fake, model="c")
    backend = opened(fake, model="a")
    assert (backend.describe()["model"]["name"], backend.describe()["runtime"]["n_ctx"]) == ("a", 512)
    fake.answer["/v1/models"] = lambda h: send(h, 404, {})
    with pytest.raises(InputError, match=r"model is missing: .* this server does not tell which it has"):
        opened(fake)
    assert opened(fake, model="unlisted").describe()["model"]["name"] == "unlisted"


def test_samples_of_another_model_are_not_gone_on_with(fake, tmp_path):
    options = {"url": fake.url, "profile_path": tmp_path / "p.json", **LENGTHS}
    calibrate("openai_http", repeats=1, **options)
    fake.models = {"data": [{"id": "fake-2", "owned_by": "fake"}]}
    with pytest.raises(InputError, match=r"model = fake-1 .*: this run is of fake-2"):
        calibrate("openai_http", resume=True, **options)


def test_a_server_elsewhere_is_not_taken_for_this_machine(fake):
    backend = opened(fake)
    assert "hardware" not in backend.describe()
    backend._client.is_local = False
    assert backend.describe()["hardware"] == {
        "cpu_model": "unknown, at 127.0.0.1",
        "n_cores": None,
        "isa": [],
        "mem_total_bytes": None,
        "accelerator": None,
    }


def test_options_that_a_server_decides_itself_are_refused():
    for options, line in (
        ({}, "url is missing: where the server is, such as http://127.0.0.1:8080"),
        ({"url": "http://h", "synthetic": "llama-tiny"}, "synthetic = llama-tiny: nothing with openai_http"),
        ({"url": "http://h", "device": "cuda"}, "device = cuda: nothing with openai_http"),
        ({"url": "http://h", "dtype": "q8"}, "dtype = q8: nothing with openai_http"),
        ({"url": "http://h", "timeout": 0.0}, "timeout = 0.0: a number of seconds above 0"),
        ({"url": "ftp://host/x"}, "url = ftp://host/x: an address such as http://127.0.0.1:8080"),
        ({"url": "http://host:port"}, "url = http://host:port: an address"),
        ({"url": "127.0.0.1:8080"}, "url = 127.0.0.1:8080: an address"),
    ):
        with pytest.raises(InputError) as refused:
            open_backend("openai_http", **options)
        assert str(refused.value).startswith(line)


def test_the_key_is_sent_and_nothing_else(fake, monkeypatch):
    fake.key = KEY
    monkeypatch.setenv(VARIABLE, KEY)
    backend = opened(fake, api_key_env=VARIABLE)
    assert isinstance(backend, OpenAiHttpBackend)
    assert backend.infer(8, 3).output_tokens == 3
    assert KEY not in json.dumps(backend.describe()) + repr(backend._client) + json.dumps(fake.asked)
