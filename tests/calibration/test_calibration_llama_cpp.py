"""llama.cpp for real, on tiny models with random weights: exact lengths, honest facts, no child left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest

from dmoa_calibration.backends import llama_child, llama_process, open_backend
from dmoa_calibration.backends.llama_child import _CpuClock
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.samples import journal_path
from dmoa_calibration.synthetic import SHAPES
from dmoa_calibration.synthetic_gguf import synthetic_gguf, write_gguf
from dmoa_theory.cli import main
from dmoa_theory.errors import BackendUnavailableError, CalibrationError, InputError

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

LENGTHS = {"prompt_tokens": (8, 32, 128), "output_tokens": (4, 12), "budget": 1e4}  # however slow the machine
PATIENCE = 300.0  # seconds; only a run that hangs takes as long


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        os.kill(pid, 0)
        return not (status.exists() and "State:\tZ" in status.read_text(encoding="utf-8"))
    except (ProcessLookupError, FileNotFoundError):  # it may end between two looks
        return False


def is_gone(pid: int) -> bool:
    until = time.monotonic() + PATIENCE
    while is_running(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize(("p", "o"), [(1, 1), (7, 1), (5, 2), (32, 9), (600, 3)])
def test_lengths_are_exact_and_every_span_has_its_cpu_seconds(llama, p, o):
    timing = llama.infer(p, o)
    assert (timing.prompt_tokens, timing.output_tokens, timing.cached_tokens) == (p, o, 0)
    assert timing.prefill_s > 0
    assert timing.decode_s >= 0
    assert timing.prefill_cpu_s > 0
    assert timing.decode_cpu_s >= 0


def test_the_same_prompt_again_is_computed_again(llama):
    for _ in range(3):
        assert llama.process.infer([5] * 100, 2, timeout=PATIENCE)["cache_n"] == 0


def test_lengths_that_do_not_fit_are_refused(llama):
    with pytest.raises(InputError, match=r"2040 \+ 9: 1 or more each, in all at most 2048"):
        llama.infer(2040, 9)
    with pytest.raises(CalibrationError, match=r"llama.cpp failed: request .* exceeds the available context size"):
        llama.process.infer([5] * 3000, 2, timeout=PATIENCE)
    assert llama.infer(4, 2).output_tokens == 2  # and it goes on


@pytest.mark.parametrize(
    ("name", "full", "dtype"), [("qwen2-tiny-f16", "qwen2-tiny-f16", "f16"), ("llama-tiny-q4",) * 2 + ("q4_0",)]
)
def test_a_synthetic_model_is_what_its_shape_says(model_cache, name, full, dtype):
    shape = SHAPES[name.rsplit("-", 1)[0]]
    opened = open_backend("llama_cpp", synthetic=name)
    about, needs = opened.describe(), opened.memory()
    assert opened.infer(40, 5).output_tokens == 5
    opened.close()
    assert (about["model"]["name"], about["model"]["arch"]) == (full, shape.arch)
    assert (about["model"]["n_params"], about["model"]["random_weights"]) == (shape.n_params, True)
    assert (about["runtime"]["dtype"], about["runtime"]["n_threads"]) == (dtype, 1)
    assert needs.kv_bytes_per_token == 2 * shape.n_layers * shape.n_kv_heads * shape.head_dim * 2
    assert 0 < needs.weight_bytes < 3 * shape.n_params
    assert needs.peak_rss_bytes > 10_000_000
    assert "hardware" not in about


def test_memory_is_reserved_for_the_context_that_is_needed(model_cache):
    opened = open_backend("llama_cpp", synthetic="llama-tiny", n_ctx=300)
    assert opened.describe()["runtime"]["n_ctx"] == 512
    assert opened.infer(300, 12).prompt_tokens == 300
    opened.close()


def test_cpu_seconds_are_split_where_the_first_token_came():
    clock = _CpuClock()
    clock._wall, clock._cpu = [0.0, 1.0, 2.0, 4.0], [10.0, 10.5, 11.5, 12.0]
    assert clock.split(1.5) == (1.0, 1.0)
    assert clock.split(3.0) == (1.75, 0.25)
    assert clock.split(-1.0) == (0.0, 2.0)
    assert clock.split(9.0) == (2.0, 0.0)


def test_a_child_that_stood_still_still_waits_for_its_log(monkeypatch):
    """The thread that writes down the reason stood still with it, and no clock says when it went on."""
    written = iter([b"", b"", b"0.1 E why", b"0.1 E why\n0.2 E and", b"0.1 E why\n0.2 E and"])
    clock = SimpleNamespace(monotonic=iter(range(0, 10**6, 3600)).__next__, sleep=lambda _: None)
    monkeypatch.setattr(llama_child, "time", clock)
    monkeypatch.setattr(llama_child, "os", SimpleNamespace(pread=lambda *_: next(written)))
    llama_child._wait_for_the_log()
    assert not list(written)


def test_from_beginning_to_end(model_cache, tmp_path, capsys):
    path = tmp_path / "tiny.json"
    options = LENGTHS | {"synthetic": "llama-tiny-q8", "profile_path": path, "repeats": 2}
    profile = calibrate("llama_cpp", **options)
    schema = json.loads(files("dmoa_theory").joinpath("data/schemas/calibrate.json").read_text(encoding="utf-8"))
    jsonschema.validate(profile.document, schema)
    assert len(profile.document["samples"]) == 12
    assert profile.document["quality"]["median_cpu_wall_ratio"] > 0
    assert (profile.name, profile.backend, profile.random_weights) == ("llama-tiny-q8", "llama_cpp", True)
    assert str(model_cache) not in path.read_text(encoding="utf-8")

    kept = journal_path(path).read_bytes()
    again = calibrate("llama_cpp", **options, resume=True)
    assert journal_path(path).read_bytes() == kept
    assert again.document["fit"] == profile.document["fit"]

    # looking again needs no options: engine and shape stand in the profile
    assert main(["calibrate", "--check", "--budget", "1000", "--profile", str(path)]) in (0, 3)
    told = capsys.readouterr().out
    assert "inferences took" in told
    assert "the profile is of" not in told


def test_a_gguf_file_of_ones_own_is_timed(tmp_path):
    path = tmp_path / "my-model.gguf"
    write_gguf(path, SHAPES["llama-tiny"], "q8", seed=5)
    opened = open_backend("llama_cpp", model=str(path))
    about = opened.describe()["model"]
    assert (about["name"], about["random_weights"], about["n_params"]) == ("my-model", False, SHAPES["llama-tiny"].n_params)
    assert opened.infer(6, 11).output_tokens == 11
    opened.close()


def test_names_and_number_types_that_do_not_go_together(model_cache):
    def refused(backend="llama_cpp", **options):
        with pytest.raises(InputError) as refusal:
            open_backend(backend, **options)
        return str(refusal.value)

    assert refused(synthetic="llama-tiny-q8", dtype="q4").startswith("dtype = q4: q8, as the name llama-tiny-q8 says")
    assert refused(synthetic="llama-tiny", dtype="float32") == "dtype = float32: one of f16, q8, q4"
    assert refused(synthetic="llama-giant-q8").startswith("synthetic = llama-giant: one of llama-tiny (0.19 M)")
    assert refused(model="model.gguf", dtype="q8").startswith("dtype = q8: nothing: a GGUF file has the number type")
    assert refused(model="nowhere.gguf").startswith("model = nowhere.gguf: a GGUF file (nothing is downloaded)")
    assert refused(synthetic="llama-tiny", device="cuda").startswith(
        "device = cuda: one that is there: this build of llama.cpp"
    )
    assert refused(synthetic="llama-tiny", url="http://127.0.0.1:1").startswith(
        "url = http://127.0.0.1:1: nothing with llama_cpp"
    )
    assert "needs --backend llama_cpp" in refused("transformers", synthetic="llama-tiny-q8")


def test_files_that_llama_cpp_cannot_load_are_one_line(model_cache, tmp_path):
    raw = synthetic_gguf("llama-tiny").read_bytes()
    cut, strange = tmp_path / "cut.gguf", tmp_path / "strange.gguf"
    cut.write_bytes(raw[: len(raw) // 2])
    strange.write_bytes(
        raw.replace(b"llama", b"lxama").replace(
            b"tokenizer.ggml.model\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00lxama",
            b"tokenizer.ggml.model\x08\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00llama",
        )
    )
    for path, reason in ((cut, "data is not within the file bounds"), (strange, "unknown model architecture: 'lxama'")):
        with pytest.raises(CalibrationError, match=f"could not be loaded: .*{reason}") as failed:
            open_backend("llama_cpp", model=str(path))
        assert "\n" not in str(failed.value)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be given less memory")
def test_a_context_that_does_not_fit_into_memory_is_one_line(model_cache):
    code = """
import resource, sys
from dmoa_calibration.backends.llama_process import LlamaProcess
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
try:
    LlamaProcess(sys.argv[1], n_ctx=2**23)
except Exception as error:
    print(error)
"""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # whose buffers, one a core, would fill the memory
    told = subprocess.run(
        [sys.executable, "-c", code, str(synthetic_gguf("llama-tiny"))],
        env=os.environ | threads,
        capture_output=True,
        text=True,
    )
    assert re.fullmatch(r"the model in .*\.gguf does not fit into memory: take .* or shorter --prompt-tokens\n", told.stdout)
    assert told.stderr == ""


def test_a_child_that_dies_ends_the_run_in_one_line_and_keeps_the_samples(model_cache, tmp_path):
    path, pids = tmp_path / "tiny.json", []
    real = llama_process.LlamaProcess.__init__

    def remembering(self, *args, **options):
        real(self, *args, **options)
        pids.append(self.pid)

    def kill_after_three(done, total, message):
        if done == 3:
            os.kill(pids[0], signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(llama_process.LlamaProcess, "__init__", remembering)
        with pytest.raises(
            CalibrationError, match=r"llama.cpp process ended by signal 9 \(SIGKILL\), most likely because memory"
        ):
            calibrate("llama_cpp", synthetic="llama-tiny", profile_path=path, progress=kill_after_three, **LENGTHS)
    assert len(journal_path(path).read_text(encoding="utf-8").splitlines()) == 3
    assert not path.exists()
    assert is_gone(pids[0])
    assert (
        len(calibrate("llama_cpp", synthetic="llama-tiny", profile_path=path, resume=True, **LENGTHS).document["samples"]) >= 12
    )


def test_a_child_that_hangs_is_given_up_and_killed(model_cache, monkeypatch):
    monkeypatch.setattr(llama_process, "_PATIENCE", 0.2)
    opened = open_backend("llama_cpp", synthetic="llama-tiny", timeout=0.3)
    os.kill(opened.process.pid, signal.SIGSTOP)
    with pytest.raises(CalibrationError, match=r"did not answer within 0\.3 s; give more time with --timeout"):
        opened.infer(4, 2)
    opened.close()
    assert is_gone(opened.process.pid)


def test_closing_ends_a_child_that_never_served(model_cache):
    opened = open_backend("llama_cpp", synthetic="llama-tiny")
    opened.close()
    assert is_gone(opened.process.pid)
    opened.close()


def test_the_child_outlives_the_thread_that_opened_it_but_not_the_process(model_cache):
    opened = []
    thread = threading.Thread(target=lambda: opened.append(open_backend("llama_cpp", synthetic="llama-tiny")))
    thread.start()
    thread.join()
    time.sleep(0.2)
    assert opened[0].infer(4, 2).output_tokens == 2
    opened[0].close()


def test_a_killed_parent_leaves_no_server_behind(model_cache):
    script = Path(__file__).with_name("orphaned_parent.py")
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        assert is_running(child)
        parent.kill()
    assert is_gone(child)


def test_a_missing_engine_says_how_to_install_it(model_cache, monkeypatch):
    monkeypatch.setattr(llama_process, "find_spec", lambda _: None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'dmoa\[llamacpp\]'"):
        open_backend("llama_cpp", synthetic="llama-tiny")


def test_the_backend_says_nothing_on_the_terminal(model_cache, capfd):
    opened = open_backend("llama_cpp", synthetic="llama-tiny")
    opened.infer(4, 3)
    opened.close()
    assert capfd.readouterr() == ("", "")
