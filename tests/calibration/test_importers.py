"""Files of other programs: what is read, what is refused and why, and what the profile made of them says.

``guidellm_sample.json`` is a report of GuideLLM 0.8.1 on a small random-weights model served by llama.cpp. The other files are
made here, in the formats that the programs document.
"""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from dmoa_calibration.importers import import_profile, read_results
from dmoa_theory.errors import CalibrationError, InputError
from dmoa_theory.model.profile import read_profile

SAMPLE = Path(__file__).parents[1] / "data" / "guidellm_sample.json"
SCHEMA = json.loads(files("dmoa_theory").joinpath("data/schemas/profile.json").read_text(encoding="utf-8"))
C0, C1, C2, D0, D1 = TRUTH = (0.05, 0.004, 1e-6, 0.1, 1e-5)
CELLS = [(p, o) for p in (32, 128, 512) for o in (8, 64)]


def prefill(p: float, depth: float = 0.0) -> float:
    return C1 * p + C2 * ((depth + p) ** 2 - depth**2)


def decode(p: float, s: float) -> float:
    return s * (D0 + D1 * (p + s / 2))


def llama_row(p: int, g: int, d: int = 0, **changes: object) -> dict:
    seconds = prefill(p, d) if p else decode(d, g)
    row = {
        "build_commit": "8cf427ff",
        "build_number": 5163,
        "cpu_info": "A processor",
        "gpu_info": "",
        "backends": "CPU",
        "model_filename": "models/small-Q8_0.gguf",
        "model_type": "qwen2 0.5B Q8_0",
        "model_size": 530_000_000,
        "model_n_params": 494_032_768,
        "n_threads": 1,
        "type_k": "f16",
        "type_v": "f16",
        "n_gpu_layers": 0,
        "n_prompt": p,
        "n_gen": g,
        "n_depth": d,
        "test_time": "2025-04-24T11:58:50Z",
        "avg_ns": round(seconds * 1e9),
        "samples_ns": [round(seconds * 1e9)] * 3,
        "something_new": [1],
    }
    return row | changes


LLAMA = [
    *(llama_row(p, 0) for p in (32, 128, 512)),
    *(llama_row(0, g) for g in (16, 64)),
    *(llama_row(0, g, 512) for g in (16, 64)),
]


def ollama_response(i: int, p: int, o: int, **changes: object) -> dict:
    first, rest = C0 + prefill(p), decode(p, o - 1)
    ended = datetime(2026, 1, 31, tzinfo=UTC) + timedelta(seconds=60 * (i + 1))
    response = {
        "model": "gemma3",
        "created_at": ended.isoformat().replace("+00:00", "123Z"),
        "response": "...",
        "done": True,
        "done_reason": "length",
        "total_duration": round((first + rest + 0.002) * 1e9),
        "load_duration": 1_000_000,
        "prompt_eval_count": p,
        "prompt_eval_duration": round(first * 1e9),
        "eval_count": o,
        "eval_duration": round(rest * 1e9),
    }
    return response | changes


OLLAMA = [ollama_response(i, p, o) for i, (p, o) in enumerate(CELLS * 2)]


def vllm_run(cells=((16, 8), *CELLS), **changes: object) -> dict:
    steps = [decode(p, o - 1) / (o - 1) for p, o in cells]
    run = {
        "date": "20260131-120000",
        "backend": "vllm",
        "model_id": "facebook/opt-125m",
        "num_prompts": len(cells),
        "request_rate": "inf",
        "burstiness": 1.0,
        "max_concurrency": 1,
        "duration": 100.0,
        "completed": len(cells),
        "total_input_tokens": sum(p for p, _ in cells),
        "request_throughput": 1.0,
        "input_lens": [p for p, _ in cells],
        "output_lens": [o for _, o in cells],
        "ttfts": [C0 + prefill(p) for p, _ in cells],
        "itls": [[step] * (o - 1) for step, (_, o) in zip(steps, cells, strict=True)],
        "generated_texts": ["..."] * len(cells),
        "errors": [""] * len(cells),
        "max_concurrent_requests": 2,
    }
    return run | changes


def guidellm_report(cells=CELLS, strategy=None) -> dict:
    """The real report, its requests replaced by those of known times."""
    report = json.loads(SAMPLE.read_text(encoding="utf-8"))
    benchmark = report["benchmarks"][0]
    pattern = benchmark["requests"]["successful"][0]
    benchmark["requests"]["successful"] = [
        copy.deepcopy(pattern)
        | {
            "prompt_tokens": p,
            "output_tokens": o,
            "time_to_first_token_ms": 1e3 * (C0 + prefill(p)),
            "inter_token_latency_ms": 1e3 * decode(p, o - 1) / (o - 1),
        }
        for p, o in cells
    ]
    if strategy is not None:
        benchmark["config"]["strategy"] = strategy
    return report


def saved(path: Path, *documents: object) -> Path:
    path.write_text("\n".join(json.dumps(each) for each in documents), encoding="utf-8")
    return path


FORMATS = {
    "llama-bench list": ([LLAMA], "llama-bench (build 5163)", "small-Q8_0.gguf"),
    "llama-bench lines": (LLAMA, "llama-bench (build 5163)", "small-Q8_0.gguf"),
    "ollama list": ([OLLAMA], "Ollama", "gemma3"),
    "ollama lines": (OLLAMA, "Ollama", "gemma3"),
    "vllm": ([vllm_run()], "vllm bench serve", "facebook/opt-125m"),
    "vllm appended": ([vllm_run(), vllm_run()], "vllm bench serve", "facebook/opt-125m"),
    "guidellm": ([guidellm_report()], "GuideLLM 0.8.1", "small-Q8_0.gguf"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_back_the_times_it_was_made_with(tmp_path, name):
    documents, tool, model = FORMATS[name]
    path = saved(tmp_path / "results.json", *documents)
    profile = import_profile([path], tmp_path / "profile.json")
    bench = tool.startswith("llama-bench")
    expected = (0.0 if bench else C0, *TRUTH[1:])
    found = [getattr(profile.fit, each) for each in ("c0", "c1", "c2", "d0", "d1")]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-12)
    assert profile.document["imported"]["tool"] == tool
    assert profile.document["imported"]["files"] == ["results.json"]
    assert (profile.name, profile.contended, profile.random_weights) == (model, False, False)
    assert profile.kv_bytes_per_token is None
    assert profile.weight_bytes == (530_000_000 if bench else None)
    assert (profile.hardware.cpu_model == "A processor") == bench
    verdict = profile.document["quality"]["verdict"]
    assert verdict.startswith("typically 1 % off, at worst 1 %, on lengths left out, between 32 and 512 prompt tokens")
    assert "nothing here shows whether other work kept the machine busy" in verdict
    assert ("no c0: what every call costs beside its tokens" in verdict) == bench
    jsonschema.validate(profile.document, SCHEMA)
    assert read_profile(tmp_path / "profile.json").document == profile.document


def test_the_real_guidellm_report_is_read(tmp_path):
    results = read_results(SAMPLE)
    assert (results.tool, results.model, results.backend) == ("GuideLLM 0.8.1", "small-Q8_0.gguf", "openai_http")
    assert [(t.prompt_tokens, t.output_tokens, t.cached_tokens) for t in results.timings] == [(84, 16, 0)] * 6
    first = results.timings[0]
    assert first.prefill_s == pytest.approx(9.849309921264648e-3)
    assert first.decode_s == pytest.approx(15 * 0.3079414367675781e-3)
    assert first.cpu_s is None
    with pytest.raises(CalibrationError, match="3 different prompt lengths are needed, and 84 was measured"):
        import_profile([SAMPLE], tmp_path / "profile.json")
    assert list(tmp_path.iterdir()) == []


def test_files_of_several_lengths_make_one_profile(tmp_path):
    parts = [saved(tmp_path / f"{i}.json", guidellm_report([cell])) for i, cell in enumerate(CELLS)]
    profile = import_profile(parts, tmp_path / "profile.json")
    assert profile.fit.c1 == pytest.approx(C1, rel=1e-6)
    assert profile.document["imported"]["files"] == [part.name for part in parts]
    assert profile.document["quality"]["drift"] is None
    with pytest.raises(InputError, match=r"profile\.json: a file that is not there yet; --force replaces it"):
        import_profile(parts, tmp_path / "profile.json")
    import_profile(parts, tmp_path / "profile.json", force=True)
    other = saved(tmp_path / "ollama.json", OLLAMA)
    with pytest.raises(
        InputError, match=r"ollama.json: of tool Ollama, and .*0.json is of GuideLLM 0.8.1: a profile is of one"
    ):
        import_profile([parts[0], other], tmp_path / "both.json")


def side_by_side() -> list[dict]:
    return [each | {"created_at": "2026-01-31T00:01:00Z"} for each in OLLAMA]


def waiting() -> list[dict]:
    return [OLLAMA[0] | {"total_duration": OLLAMA[0]["total_duration"] * 3}, *OLLAMA[1:]]


def load(kind: str, **more: object) -> dict:
    return guidellm_report(strategy={"type_": kind} | more)


REFUSED = {
    "guidellm throughput": ([load("throughput")], "made under load: profile throughput; a profile needs one request at a time"),
    "guidellm poisson": ([load("poisson", rate=3)], "made under load: profile poisson"),
    "guidellm concurrent": ([load("concurrent", streams=4)], "made under load: profile concurrent"),
    "guidellm nothing": ([{"benchmarks": []}], "a GuideLLM report without benchmarks"),
    "vllm concurrent": ([vllm_run(max_concurrency=16)], "made under load: up to 16 requests side by side"),
    "vllm rate": ([vllm_run(max_concurrency=None, request_rate=2.0)], "made under load: requests sent at 2.0 requests/s"),
    "vllm all at once": ([vllm_run(max_concurrency=None)], "made under load: requests sent without waiting"),
    "vllm met": ([vllm_run(max_concurrent_requests=7)], "made under load: 7 requests were under way in one second"),
    "vllm summary": (
        [{k: v for k, v in vllm_run().items() if k != "itls"}],
        "holds no single requests (itls missing); use: vllm",
    ),
    "vllm lengths": ([vllm_run(ttfts=[1.0])], "of different lengths: the file is damaged"),
    "vllm failed": ([vllm_run(errors=["x"] * 7)], "no request that succeeded"),
    "vllm time": ([vllm_run(ttfts=[0.1, "fast", 1, 1, 1, 1, 1])], "[1].ttfts = fast: a number, 0 or more"),
    "vllm latency": (
        [{"avg_latency": 1.0, "latencies": [1.0], "percentiles": {}}],
        "of vllm bench latency, which says neither",
    ),
    "ollama side by side": ([side_by_side()], "made under load: 12 requests were under way side by side"),
    "ollama waiting": ([waiting()], "made under load: response 0 spent "),
    "ollama cached": (
        [[each | {"prompt_eval_cached_count": 3} for each in OLLAMA]],
        "no response with a prompt that was computed",
    ),
    "ollama models": ([[OLLAMA[0], OLLAMA[1] | {"model": "b"}]], "responses of gemma3 and b: a profile is of one model"),
    "ollama count": ([[OLLAMA[0] | {"eval_count": 0}]], "[0].eval_count = 0: a number, 1 or more"),
    "ollama duration": ([[OLLAMA[0] | {"eval_duration": "1s"}]], "[0].eval_duration = 1s: a number, 0 or more"),
    "llama-bench threads": ([[LLAMA[0], LLAMA[1] | {"n_threads": 8}]], "rows of n_threads 1 and 8: a profile is of one"),
    "llama-bench samples": ([[LLAMA[0] | {"samples_ns": ["x"]}]], "[0].samples_ns.0 = x: a number, 1 or more"),
    "llama-bench nothing": ([[llama_row(0, 1) | {"n_gen": 0}]], "[0] neither reads a prompt nor makes tokens"),
    "another program": ([{"results": []}], "of none of the programs known: llama-bench, GuideLLM, vLLM, Ollama"),
    "a number": ([7], "of none of the programs known"),
    "an empty list": ([[]], "of none of the programs known"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path, name):
    documents, reason = REFUSED[name]
    path = saved(tmp_path / "results.json", *documents)
    with pytest.raises(InputError) as refused:
        import_profile([path], tmp_path / "profile.json")
    assert str(refused.value).startswith(f"{path}: ")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    assert [each.name for each in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "an empty file: JSON"),
        (b"{", "not JSON ("),
        (b"\xff\xfe", "cannot be read (not utf-8 text)"),
        (b"[" * 99_999, "not JSON"),
    ],
)
def test_files_that_are_no_results(tmp_path, content, reason):
    path = tmp_path / "results.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_results(path)
    assert str(refused.value).startswith(f"{path}: {reason}")
    with pytest.raises(InputError, match="there is no such file"):
        read_results(tmp_path / "nothing.json")


def test_of_a_sweep_the_synchronous_part_is_used(tmp_path):
    report, loaded = guidellm_report(), load("throughput")
    report["benchmarks"].append(loaded["benchmarks"][0])
    results = read_results(saved(tmp_path / "sweep.json", report))
    assert len(results.timings) == 6
    assert "1 of 2 benchmarks left out: made under load" in results.lacking


def test_what_was_cached_is_left_out_and_said(tmp_path):
    report = guidellm_report()
    report["benchmarks"][0]["requests"]["successful"][0]["input_metrics"]["cached_tokens"] = 8
    assert "1 requests with a cached prompt left out" in read_results(saved(tmp_path / "a.json", report)).lacking
    without = {key: value for key, value in OLLAMA[0].items() if key != "prompt_eval_count"}  # as old versions of Ollama say it
    results = read_results(saved(tmp_path / "b.json", without, {"done": False, "response": "a part"}, *OLLAMA[1:]))
    assert len(results.timings) == 11
    assert "1 responses with a cached prompt left out" in results.lacking


def test_older_guidellm_reports_keep_their_settings_under_another_name(tmp_path):
    report = guidellm_report()
    benchmark = report["benchmarks"][0]
    benchmark["args"] = {"strategy": {"type_": "synchronous"}, "backend": {"model": "m"}}
    del benchmark["config"], report["metadata"]
    results = read_results(saved(tmp_path / "old.json", report))
    assert (results.tool, results.model, len(results.timings)) == ("GuideLLM", "m", 6)


def test_llama_bench_as_it_comes_is_refused_with_the_options_that_do(tmp_path):
    path = saved(tmp_path / "default.json", [llama_row(512, 0), llama_row(0, 128)])
    with pytest.raises(
        CalibrationError, match=r"1 and 1 such tests are there; such as llama-bench -p 32,128,512 -n 16,64 -d 0,512"
    ):
        import_profile([path], tmp_path / "profile.json")


def test_llama_bench_without_depths_says_what_it_lacks(tmp_path):
    rows = [*(llama_row(p, 0) for p in (32, 128, 512)), llama_row(0, 64), llama_row(64, 64)]
    profile = import_profile([saved(tmp_path / "flat.json", rows)], tmp_path / "profile.json")
    verdict = profile.document["quality"]["verdict"]
    assert profile.fit.d1 == 0.0
    assert "no d1: steps were timed after one length of context" in verdict
    assert "making tokens could not be checked: too few tests" in verdict
    assert "1 combined rows (-pg) left out" in verdict
