"""The real engine on the smallest shapes: exact lengths, honest facts, safe loading, and a run from beginning to end."""

from __future__ import annotations

import json
import sys
from importlib.resources import files

import jsonschema
import pytest

from dmoa_calibration.backends import open_backend
from dmoa_calibration.backends.transformers_backend import TransformersBackend
from dmoa_calibration.calibrate import calibrate
from dmoa_calibration.samples import journal_path
from dmoa_calibration.synthetic import SHAPES
from dmoa_theory.errors import BackendUnavailableError, CalibrationError, InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def backend():
    opened = open_backend("transformers", synthetic="llama-tiny")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory, backend):
    """A model folder as people have them: safetensors, and defaults of its own that must not leak into a timed run."""
    place = tmp_path_factory.mktemp("models") / "my-model"
    backend._network.save_pretrained(place)
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    (place / "config.json").write_text(json.dumps(config | {"eos_token_id": 3}), encoding="utf-8")
    defaults = {"do_sample": True, "temperature": 0.7, "eos_token_id": list(range(1000)), "repetition_penalty": 1.1}
    (place / "generation_config.json").write_text(json.dumps(defaults), encoding="utf-8")
    return place


@pytest.mark.parametrize(("p", "o"), [(1, 1), (7, 1), (5, 2), (32, 9)])
def test_lengths_are_exact_and_spans_add_up(backend, p, o):
    timing = backend.infer(p, o)
    assert (timing.prompt_tokens, timing.output_tokens, timing.cached_tokens) == (p, o, 0)
    assert timing.prefill_s > 0
    assert timing.decode_s > 0
    assert timing.cpu_s > 0


def test_a_wrong_length_is_an_error_not_a_sample(backend, monkeypatch):
    honest = backend._network.generate
    monkeypatch.setattr(backend._network, "generate", lambda *a, **k: honest(*a, **k)[:, :-1])
    with pytest.raises(CalibrationError, match="made 3 tokens in 4 passes where 4 were asked for"):
        backend.infer(8, 4)


@pytest.mark.parametrize(("p", "o"), [(0, 4), (4, 0), (2040, 9)])
def test_lengths_that_do_not_fit_are_refused(backend, p, o):
    with pytest.raises(InputError, match=f"{p} \\+ {o}: 1 or more each, in all at most 2048"):
        backend.infer(p, o)


@pytest.mark.parametrize("name", ["llama-tiny", "qwen2-tiny"])
def test_a_synthetic_model_is_what_its_shape_says(name):
    shape = SHAPES[name]
    before = torch.get_default_dtype(), torch.get_num_threads(), torch.random.get_rng_state()
    opened = open_backend("transformers", synthetic=name, dtype="bfloat16")
    about, needs = opened.describe(), opened.memory()
    opened.close()
    assert about["model"]["n_params"] == shape.n_params
    assert about["model"]["arch"] == shape.arch
    assert about["model"]["random_weights"] is True
    assert about["runtime"]["dtype"] == "bfloat16"
    assert needs.weight_bytes == 2 * shape.n_params
    assert needs.kv_bytes_per_token == 2 * shape.n_layers * shape.n_kv_heads * shape.head_dim * 2
    assert torch.get_default_dtype() == before[0]
    assert torch.get_num_threads() == before[1]
    assert torch.equal(torch.random.get_rng_state(), before[2])


def test_the_cache_takes_the_bytes_that_are_stated(backend):
    with torch.inference_mode():
        cache = backend._network(torch.zeros((1, 50), dtype=torch.long), use_cache=True).past_key_values
    held = sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))
    assert held == 50 * backend.memory().kv_bytes_per_token


def test_from_beginning_to_end(tmp_path):
    path = tmp_path / "tiny.json"
    options = {"synthetic": "llama-tiny", "profile_path": path, "prompt_tokens": (8, 32, 64), "output_tokens": (4, 12)}
    options["budget"] = 1e4  # however slow the machine
    profile = calibrate("transformers", **options, repeats=2)
    schema = json.loads(files("dmoa_theory").joinpath("data/schemas/calibrate.json").read_text(encoding="utf-8"))
    jsonschema.validate(profile.document, schema)
    assert len(profile.document["samples"]) == 12
    assert profile.fit.seconds(32, 8) > 0
    assert profile.random_weights
    assert profile.document["model"]["name"] == profile.name == "llama-tiny"
    assert str(tmp_path) not in path.read_text(encoding="utf-8")

    kept = journal_path(path).read_bytes()
    again = calibrate("transformers", **options, repeats=2, resume=True)
    assert journal_path(path).read_bytes() == kept
    assert again.document["fit"] == profile.document["fit"]


def test_a_model_folder_is_timed_without_its_own_generation_defaults(folder):
    opened = open_backend("transformers", model=str(folder))
    about = opened.describe()
    assert (about["model"]["name"], about["model"]["random_weights"]) == ("my-model", False)
    assert about["model"]["n_params"] == SHAPES["llama-tiny"].n_params
    assert opened.infer(6, 11).output_tokens == 11
    opened.close()


def test_pickle_weights_are_refused(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=r"pytorch_model\.bin is a pickle file, which can run code when read, and is refused"):
        open_backend("transformers", model=str(tmp_path))


def test_an_index_that_leads_elsewhere_is_refused(folder, tmp_path):
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    index = tmp_path / "model.safetensors.index.json"
    for target in ("pytorch_model.bin", "../model.safetensors"):
        index.write_text(json.dumps({"weight_map": {"lm_head.weight": target}}), encoding="utf-8")
        with pytest.raises(InputError, match=f"index.json points to {target}"):
            open_backend("transformers", model=str(tmp_path))
    index.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be read"):
        open_backend("transformers", model=str(tmp_path))


def test_folders_that_hold_no_model_are_refused_in_one_line(folder, tmp_path):
    with pytest.raises(InputError, match="nothing is downloaded"):
        open_backend("transformers", model="Qwen/Qwen2-0.5B")
    with pytest.raises(InputError, match=r"there is no config\.json"):
        open_backend("transformers", model=str(tmp_path))
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(CalibrationError, match="could not be loaded") as refused:
        open_backend("transformers", model=str(tmp_path))
    assert "\n" not in str(refused.value)


def test_code_that_comes_with_a_model_is_never_run(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"model_type": "homemade", "auto_map": {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    (tmp_path / "code.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    with pytest.raises(CalibrationError, match="could not be loaded"):
        open_backend("transformers", model=str(tmp_path))


def test_an_unknown_number_type_is_refused():
    with pytest.raises(InputError, match="dtype = int3: one of float32, bfloat16, float16"):
        open_backend("transformers", synthetic="llama-tiny", dtype="int3")


@pytest.mark.parametrize("absent", ["torch", "transformers"])
def test_a_missing_engine_says_how_to_install_it(monkeypatch, absent):
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'dmoa\[transformers\]'"):
        open_backend("transformers", synthetic="llama-tiny")


def test_the_backend_says_nothing_on_the_terminal(backend, capfd):
    assert isinstance(backend, TransformersBackend)
    backend.infer(4, 3)
    assert capfd.readouterr() == ("", "")
