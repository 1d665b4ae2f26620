"""The measured profile: what is read, what is refused and in which words, and that a file is never left half written."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from importlib.resources import files

import jsonschema
import numpy as np
import pytest

from dmoa_theory.errors import InputError, ProfileError
from dmoa_theory.model.profile import Profile, ServiceFit, profile_from_document, read_profile, write_profile

COV = np.diag([1e-4, 1e-8, 1e-14, 1e-6, 1e-12]).tolist()
DOCUMENT = {
    "schema": "dmoa/profile",
    "schema_version": 1,
    "version": "0.1.0",
    "source": "measured",
    "created": "2026-11-23T04:00:00+00:00",
    "hardware": {"cpu_model": "A processor", "n_cores": 2, "isa": ["avx2"], "mem_total_bytes": None, "accelerator": None},
    "runtime": {
        "backend": "transformers",
        "backend_version": "5",
        "n_threads": 1,
        "dtype": "float32",
        "kv_type": "float32",
        "n_ctx": 2048,
    },
    "model": {
        "name": "llama-tiny",
        "arch": "llama",
        "n_params": 188736,
        "weight_bytes": 754944,
        "random_weights": True,
        "n_layers": 2,
        "n_kv_heads": 2,
        "head_dim": 16,
    },
    "memory": {"weight_bytes": 754944, "kv_bytes_per_token": 512, "peak_rss_bytes": None, "load_time_s": 0.5},
    "samples": [
        {
            "prompt_tokens": 32,
            "output_tokens": 8,
            "cached_tokens": 0,
            "time_to_first_token_ms": 400.0,
            "decode_ms": 1400,
            "inter_token_latency_ms": 200.0,
            "request_latency_ms": 1800.0,
            "cpu_ms": None,
        }
    ],
    "fit": {
        "clock": "wall",
        "c0": 0.1,
        "c1": 0.01,
        "c2": 1e-6,
        "d0": 0.2,
        "d1": 1e-5,
        "p_range": [32, 512],
        "o_range": [8, 64],
        "median_rel_err": 0.01,
        "max_rel_err": 0.03,
        "loo_median_rel_err": 0.02,
        "cov": COV,
    },
    "quality": {"median_cpu_wall_ratio": 0.99, "contended": False},
}
SCHEMA = json.loads(files("dmoa_theory").joinpath("data/schemas/profile.json").read_text(encoding="utf-8"))["$defs"]["profile"]


def changed(path: str, value: object) -> dict:
    """The valid document with one value replaced, or removed where the value is ``...``."""
    document = copy.deepcopy(DOCUMENT)
    *parents, last = path.split(".")
    place = document
    for name in parents:
        place = place[int(name)] if name.isdigit() else place[name]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return document


@pytest.fixture
def path(tmp_path):
    return tmp_path / "laptop.json"


def test_round_trip_keeps_everything_and_unknown_keys(path):
    document = changed("later", {"anything": [1, 2]})
    write_profile(path, document)
    profile = read_profile(path)
    assert profile.document == document == json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(profile, Profile)
    assert (profile.name, profile.hardware.n_cores, profile.backend) == ("llama-tiny", 2, "transformers")
    assert profile.random_weights
    assert not profile.contended
    assert profile.fit.to_dict() == document["fit"]
    assert [p.name for p in path.parent.iterdir()] == ["laptop.json"]


def test_seconds_follow_the_formula_and_broadcast():
    fit = profile_from_document(DOCUMENT).fit
    p, o = np.array([[32.0], [512.0]]), np.array([1.0, 8.0, 64.0])
    s = o - 1
    expected = 0.1 + 0.01 * p + 1e-6 * p**2 + s * (0.2 + 1e-5 * (p + s / 2))
    np.testing.assert_allclose(fit.seconds(p, o), expected, rtol=1e-14)
    np.testing.assert_allclose(fit.prefill(p) + fit.decode(p, o), expected, rtol=1e-14)
    assert isinstance(fit.seconds(32, 8), float)
    assert fit.decode(32, 1) == 0
    assert fit.covers(p, o).tolist() == [[False, True, True], [False, True, True]]


@pytest.mark.parametrize(("p", "o"), [(0, 8), (32, 0), (32, float("nan")), ([32, -1], 8)])
def test_token_counts_below_one_are_refused(p, o):
    with pytest.raises(InputError, match=r"_tokens = .*: a token count, 1 or more"):
        profile_from_document(DOCUMENT).fit.seconds(p, o)


def test_description_is_one_line_and_says_what_the_times_stand_on():
    document = changed("quality.contended", True)
    document["fit"]["clock"] = "cpu"
    line = profile_from_document(document).describe()
    assert "\n" not in line
    for said in ("llama-tiny", "random weights", "A processor", "CPU seconds", "typically 2 % off", "32 and 512", "8 to 64"):
        assert said in line


def test_covariance_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        profile_from_document(DOCUMENT).fit.cov[0, 0] = 1


REFUSALS = [
    ("schema", "dmoa/scenario", "schema = dmoa/scenario: 'dmoa/profile'"),
    ("schema", ..., "schema is missing"),
    ("schema_version", 2, "schema_version = 2: 1 (a newer file needs a newer dmoa)"),
    ("created", "yesterday", "created = yesterday: an ISO 8601 date"),
    ("created", "2026-11-23T04:00:00", "created = 2026-11-23T04:00:00: an ISO 8601 date"),
    ("fit", ..., "fit is missing: every profile has it"),
    ("fit.c1", ..., "fit.c1 is missing"),
    ("fit.c1", "0.01", "fit.c1 = 0.01: a valid number"),
    ("fit.c1", True, "fit.c1 = True: a valid number"),
    ("fit.c1", -0.01, "fit.c1 = -0.01: greater than or equal to 0"),
    ("fit.c1", 10**400, "fit.c1 = "),
    ("fit.clock", "sundial", "fit.clock = sundial: 'wall' or 'cpu'"),
    ("fit.p_range", [512, 32], "fit.p_range = [512, 32]: smallest and largest"),
    ("fit.p_range", [32], "fit.p_range[1] is missing"),
    ("fit.median_rel_err", 0.5, "fit.median_rel_err = 0.5: no more than max_rel_err, 0.03"),
    ("fit.loo_max_rel_err", 0.01, "fit.loo_median_rel_err = 0.02: no more than loo_max_rel_err, 0.01"),
    ("fit.loo_max_rel_err", -1.0, "fit.loo_max_rel_err = -1.0: greater than or equal to 0"),
    ("fit.cov", COV[:4], "fit.cov = shape (4, 5): a symmetric"),
    ("fit.cov", [[1.0]] * 4 + [[1.0, 2.0]], "fit.cov = not a matrix: a symmetric"),
    ("fit.cov.0", [1e-4, 1e-7, 0.0, 0.0, 0.0], "fit.cov = not symmetric"),
    ("fit.cov.0", [-1e-4, 0.0, 0.0, 0.0, 0.0], "fit.cov = "),
    ("fit.cov.0.0", "x", "fit.cov[0][0] = x: a valid number"),
    ("samples.0.prompt_tokens", 0, "samples[0].prompt_tokens = 0: greater than or equal to 1"),
    ("samples.0.prompt_tokens", 1.5, "samples[0].prompt_tokens = 1.5: a valid integer"),
    ("samples", {}, "samples = {}: a valid array"),
    ("model.random_weights", "yes", "model.random_weights = yes: a valid boolean"),
    ("model.name", "", 'model.name = "": '),
    ("memory.kv_bytes_per_token", "8", "memory.kv_bytes_per_token = 8: a valid number"),
    ("hardware", [], "hardware = []: an object"),
]


@pytest.mark.parametrize(("field", "value", "line"), REFUSALS)
def test_a_bad_field_is_named_in_one_line(path, field, value, line):
    path.write_text(json.dumps(changed(field, value)), encoding="utf-8")
    with pytest.raises(ProfileError) as refused:
        read_profile(path)
    message = str(refused.value)
    assert message.startswith(f"{path}: {line}")
    assert "\n" not in message


def test_coefficients_that_are_all_zero_are_refused():
    document = copy.deepcopy(DOCUMENT)
    document["fit"] |= dict.fromkeys(("c0", "c1", "c2", "d0", "d1"), 0.0)
    with pytest.raises(ProfileError, match=r"fit\.c0\.\.d1 = 0\.0: coefficients that give every inference a finite time"):
        profile_from_document(document)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "a JSON list"),
        (b"7", "a JSON int"),
        (b'{"schema": NaN}', "NaN is not a JSON number"),
        (b'{"extra": 1e999}', "1e999 is too large a number"),
        (b"\xff\xfe\x00", "JSON in UTF-8 is needed"),
    ],
)
def test_a_file_that_is_no_profile_is_refused_in_one_line(path, content, line):
    path.write_bytes(content)
    with pytest.raises(ProfileError) as refused:
        read_profile(path)
    assert line in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ProfileError, match=r"nowhere\.json: there is no such file; measure a profile with: dmoa calibrate"):
        read_profile(tmp_path / "nowhere.json")
    with pytest.raises(ProfileError, match="cannot be read"):
        read_profile(tmp_path)


@pytest.mark.parametrize("document", [changed("fit.c0", float("nan")), changed("fit.c0", -1.0), changed("fit.c0", {1})])
def test_an_invalid_profile_is_not_written_over_a_good_one(path, document):
    write_profile(path, DOCUMENT)
    with pytest.raises(ProfileError):
        write_profile(path, document)
    assert read_profile(path).document == DOCUMENT
    assert [p.name for p in path.parent.iterdir()] == ["laptop.json"]


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ProfileError, match=r"laptop\.json: cannot be written"):
        write_profile(tmp_path / "nowhere" / "laptop.json", DOCUMENT)


def test_a_fit_says_how_far_it_is_off_typically_and_at_worst():
    """Rounded up; the worst where the file tells."""
    assert profile_from_document(DOCUMENT).fit.off_by == "typically 2 % off"
    fit = profile_from_document(changed("fit.loo_max_rel_err", 0.621)).fit
    assert (fit.off_by, fit.stated_error) == ("typically 2 % off, at worst 63 %", 0.02)
    assert fit.to_dict()["loo_max_rel_err"] == 0.621


@pytest.mark.parametrize("field", ["c0", "d1", "max_rel_err"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_a_fit_checks_its_numbers(field, value):
    fit = profile_from_document(DOCUMENT).fit
    values = {name: getattr(fit, name) for name in ServiceFit.__slots__} | {field: value}
    with pytest.raises(ProfileError, match=f"{field} = .*: a finite number, 0 or more"):
        ServiceFit(**values)


def test_the_json_schema_accepts_what_the_reader_accepts_and_asks_for_the_same_keys():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.validate(DOCUMENT)
    required = [(name,) for name in SCHEMA["required"]]
    for part in ("hardware", "runtime", "model", "memory", "fit", "quality"):
        required += [(part, name) for name in SCHEMA["properties"][part]["required"]]
    for keys in required:
        document = changed(".".join(keys), ...)
        assert not validator.is_valid(document)
        with pytest.raises(ProfileError, match="is missing"):
            profile_from_document(document)


def test_the_published_profiles_are_valid():
    folder = files("dmoa_theory").joinpath("data/profiles")
    profiles = [entry for entry in folder.iterdir() if entry.name.endswith(".json")]
    assert profiles
    for entry in profiles:
        jsonschema.validate(json.loads(entry.read_text(encoding="utf-8")), SCHEMA)
        assert read_profile(str(entry)).fit.seconds(128, 64) > 0


def test_importing_the_module_costs_no_pydantic():
    code = "import sys, dmoa_theory.model.profile; print({'pydantic', 'scipy', 'torch'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
