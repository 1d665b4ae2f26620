"""Engines, models and options that ``dmoa calibrate`` cannot use: one line each, exit code 2, nothing lost, nothing left."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY = ["--synthetic", "llama-tiny"]
GGUF = ["--backend", "llama_cpp", "--model"]


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models that are none, and a profile with its samples that nothing may touch."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DMOA_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "empty").mkdir()
    for name, weights in (("pickled", "pytorch_model.bin"), ("torn", "model.safetensors")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
        (tmp_path / name / weights).write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "text.gguf").write_text("no model", encoding="utf-8")
    (tmp_path / "torn.gguf").write_bytes(b"GGUF\x03\x00\x00\x00")
    (tmp_path / "kept.json").write_text("{}", encoding="utf-8")
    (tmp_path / "kept.json.samples.jsonl").write_text('{"a": 1}\n', encoding="utf-8")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--synthetic", "llama-huge"], "synthetic = llama-huge: "),
        (["--synthetic", "llama-tiny-q3", "--backend", "llama_cpp"], "synthetic = llama-tiny-q3: "),
        ([*TINY, "--model", "empty"], "model or synthetic = empty and llama-tiny: exactly one"),
        (["--model", "nowhere"], "model = nowhere: "),
        (["--model", "empty"], "model = empty: "),
        (["--model", "pickled"], "model = pickled: "),
        (["--model", "torn"], "the model in torn could not be loaded: "),
        ([*GGUF, "nowhere.gguf"], "model = nowhere.gguf: "),
        ([*GGUF, "text.gguf"], "model = text.gguf: "),
        ([*GGUF, "torn.gguf"], "model = torn.gguf: "),
        ([*TINY, "--device", "abacus"], "device = abacus: "),
        ([*TINY, "--dtype", "int3"], "dtype = int3: "),
        ([*TINY, "--threads", "0"], "n_threads = 0: "),
        ([*TINY, "--repeats", "0"], "repeats = 0: "),
        ([*TINY, "--seed", "-1"], "seed = -1: "),
        ([*TINY, "--budget", "-5"], "budget = -5.0: "),
        ([*TINY, "--prompt-tokens", "8,16"], "prompt_tokens = [8, 16]: "),
        ([*TINY, "--prompt-tokens", "8,16,4000"], "prompt_tokens + output_tokens = 4000 + 64: "),
        ([*TINY, "--output-tokens", "1,2"], "output_tokens = [1, 2]: "),
        ([*TINY, "--profile", "nowhere/p.json"], "profile = nowhere/p.json: "),
        ([*TINY, "--profile", "kept.json"], "profile = kept.json: a file that is not there yet"),
        ([*TINY, "--profile", "kept.json", "--resume"], "kept.json.samples.jsonl: line 1 = "),
        (["--url", "ftp://127.0.0.1"], "url = ftp://127.0.0.1: "),
        (["--url", "http://127.0.0.1:1", "--api-key-env", "DMOA_NO_KEY"], "api_key_env = (not shown): "),
        (["--url", "http://127.0.0.1:1", *TINY], "synthetic = llama-tiny: "),
        (["--backend", "openai_http", *TINY], "url is missing: "),
    ],
)
def test_faults(dmoa: Callable[..., Any], models: Path, arguments: list[str], said: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("xllamacpp")
    before = contents(models)
    assert said in dmoa("calibrate", *arguments).complaint()
    after = contents(models)
    assert {name: after.get(name) for name in before} == before
    assert not {name for name in after.keys() - before.keys() if name.endswith("profile.json")}


def test_a_server_that_is_not_there(dmoa: Callable[..., Any], models: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # it listens to nobody, and keeps the port from all who would
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert url.removeprefix("http://") in dmoa("calibrate", "--url", url).complaint()
    assert not (models / "profile.json").exists()


def test_an_interrupted_calibration_says_how_to_go_on(
    dmoa: Callable[..., Any], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was measured stays; where nothing was, nothing is promised."""
    from dmoa_calibration import calibrate as measuring

    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "calibrate", interrupted)
    before = contents(models)
    kept = "dmoa: the samples taken are in kept.json.samples.jsonl: --resume goes on with them\n"
    for profile, said in (("kept.json", kept), ("new.json", "")):
        answer = dmoa("calibrate", *TINY, "--profile", profile)
        assert (answer.code, answer.out, answer.err) == (130, "", said + "dmoa: interrupted\n")
    assert contents(models) == before
