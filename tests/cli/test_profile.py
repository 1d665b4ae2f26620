"""``dmoa profile`` and the parts of ``dmoa calibrate`` that measure nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from dmoa_theory.model.profile import read_profile
from dmoa_theory.model.scenario import bundled_profiles

pytest.importorskip("dmoa_calibration")
NAME, BUNDLED = next(iter(bundled_profiles().items()))


def slower(path: Path, factor: float, **changes: Any) -> Path:
    """The bundled profile, every time multiplied."""
    document = json.loads(BUNDLED.read_text(encoding="utf-8"))
    for sample in document["samples"]:
        for key, value in sample.items():
            if key.endswith("_ms") and value is not None:
                sample[key] = value * factor
    for key in ("c0", "c1", "c2", "d0", "d1"):
        document["fit"][key] *= factor
    document["fit"]["cov"] = [[value * factor**2 for value in row] for row in document["fit"]["cov"]]
    for part, values in changes.items():
        document[part] |= values
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def schema(verb: str) -> dict[str, Any]:
    text = resources.files("dmoa_theory").joinpath(f"data/schemas/{verb}.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_show_by_name_and_by_file(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "out"
    by_name = dmoa("profile", "show", NAME, "--M", "3", "--k", "2", "--out", out)
    assert (by_name.code, by_name.err) == (0, "")
    by_file = dmoa("profile", "show", BUNDLED, "--M", "3", "--k", "2").out
    assert by_name.out.removeprefix(by_file).startswith("Written to ")
    text = " ".join(by_name.out.split())
    for said in (
        "T(p, o) = ",
        "verdict: typically 3 % off, at worst 11 %, on lengths left out",
        "error on lengths left out: typically 2.6 %, at worst 10.5 %; on the fit's own samples: typically 2.0 %, at worst",
        "CPU over wall seconds: 1.00",
        "of cache a token",
        "Each pair of lengths predicted",
    ):
        assert said in text
    assert "A query of M=3, k=2" in text
    assert "later layers: reads" in text
    assert sorted(each.name for each in out.iterdir()) == ["held_out.csv", "profile.json", "profile.png", "stages.csv"]
    with (out / "held_out.csv").open(encoding="utf-8") as stream:
        cells = list(csv.DictReader(stream))
    fit = read_profile(BUNDLED).fit
    lengths = {(s["prompt_tokens"], s["output_tokens"]) for s in json.loads(BUNDLED.read_text(encoding="utf-8"))["samples"]}
    assert {(int(cell["prompt_tokens"]), int(cell["output_tokens"])) for cell in cells} == lengths
    for cell in cells:
        assert float(cell["error"]) == pytest.approx(float(cell["predicted_s"]) / float(cell["measured_s"]) - 1)
        fitted = fit.seconds(float(cell["prompt_tokens"]), float(cell["output_tokens"]))
        assert float(cell["predicted_s"]) == pytest.approx(fitted, rel=0.1)


def test_show_as_json_is_the_profile_and_what_follows_from_it(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("prompt_tokens,output_tokens\n100,50\n200,80\n", encoding="utf-8")
    document = dmoa("profile", "show", NAME, "--tokens", tmp_path / "own.csv", "--M", "0", "--json").checked("profile")
    assert {key: document[key] for key in document if key not in {"held_out", "stages"}} == json.loads(BUNDLED.read_text())
    (stage,) = document["stages"]
    assert (stage["tokens_read"], stage["tokens_written"], stage["covered"]) == (150, 65, True)


def test_compare(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    other = slower(tmp_path / "slow.json", 1.5)
    answer = dmoa("profile", "compare", NAME, other, "--out", tmp_path / "out")
    assert (answer.code, answer.err) == (0, "")
    assert "B / A" in answer.out
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == ["comparison.csv", "comparison.json"]
    document = dmoa("profile", "compare", NAME, other, "--json").checked("profile")
    assert document["common"] is True
    assert [each["name"] for each in document["profiles"]] == [NAME, "slow"]
    for row in document["rows"]:
        second = row["profile"] == "slow"
        assert row["ratio"] == pytest.approx(1.5 if second else 1.0)
        relative = row["standard_error"] / row["seconds"]
        assert row["ratio_standard_error"] == pytest.approx(1.5 * 2**0.5 * relative if second else 0.0)


def test_profiles_without_common_lengths_are_compared_at_those_of_the_first(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    other = slower(tmp_path / "short.json", 1.0, fit={"p_range": [1, 16]})
    answer = dmoa("profile", "compare", NAME, other)
    assert f"No lengths were measured in all of them: those of {NAME} are shown" in " ".join(answer.out.split())
    document = dmoa("profile", "compare", other, NAME, "--json").checked("profile")
    assert document["common"] is False
    assert {row["prompt_tokens"] for row in document["rows"]} == {1, 4, 16}


def test_merge(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    other, merged = slower(tmp_path / "slow.json", 1.02), tmp_path / "merged.json"
    answer = dmoa("profile", "merge", NAME, other, "-o", merged)
    assert (answer.code, answer.err) == (0, "")
    both = 2 * len(read_profile(BUNDLED).document["samples"])
    assert f"Wrote {merged}: {both} samples of 2 profiles, fitted together." in " ".join(answer.out.split())
    document = dmoa("profile", "merge", NAME, other, "-o", merged, "--force", "--json").checked("profile")
    assert len(document["samples"]) == both


def test_the_schema_of_the_profile_is_one(dmoa: Callable[..., Any]) -> None:
    """`calibrate` and `profile` print the same file, so they publish the same schema of it."""
    assert schema("calibrate")["$defs"]["profile"] == schema("profile")["$defs"]["profile"]
    assert json.loads(dmoa("schema", "profile").out) == schema("profile")
    for verb in ("calibrate", "profile"):
        Draft202012Validator.check_schema(schema(verb))


LLAMA = [
    {"model_type": "m", "n_prompt": p, "n_gen": g, "n_depth": 0, "avg_ns": 10**7 * (p + 10 * g)}
    for p, g in ((32, 0), (128, 0), (512, 0), (0, 16), (0, 64))
]


def test_import(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    results, made = tmp_path / "bench.json", tmp_path / "p.json"
    results.write_text(json.dumps(LLAMA), encoding="utf-8")
    answer = dmoa("calibrate", "--import", results, "--profile", made)
    assert (answer.code, answer.err) == (0, "")
    assert "no c0: what every call costs" in " ".join(answer.out.split())
    again = dmoa("calibrate", "--import", results, "--profile", made)
    assert again.complaint() == f"profile = {made}: a file that is not there yet; --force replaces it"
    document = dmoa("calibrate", "--import", results, "--profile", made, "--force", "--json").checked("calibrate")
    assert document["imported"]["tool"] == "llama-bench"
    shown = dmoa("profile", "show", made, "--out", tmp_path / "out")
    assert shown.code == 0
    assert "memory: not known" in shown.out
    compared = dmoa("profile", "compare", made, NAME, "--json").checked("profile")
    assert compared["common"] is True


def test_a_profile_without_its_memory_still_plans(
    dmoa: Callable[..., Any], scenario: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "bench.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    dmoa("calibrate", "--import", tmp_path / "bench.json", "--profile", tmp_path / "p.json")
    path = scenario(("mean = 24.0", 'profile = "p.json"\nprompt_tokens = 100\noutput_tokens = 50'))
    assert dmoa("latency", path, "--json").checked("latency")["mean"] > 0
    own = scenario(
        ("mean = 24.0", 'profile = "p.json"\nprompt_tokens = 100\noutput_tokens = 50'),
        more='[memory]\nweights = "1 GB"\nkv_bytes_per_token = 12288\n',
    )
    assert dmoa("plan", own, "--json").code == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["show"], "profiles = 0: one to show"),
        (["show", NAME, NAME], "profiles = 2: one to show"),
        (["show", "nothing.json"], "nothing.json: there is no such file; measure a profile with: dmoa calibrate"),
        (
            ["show", NAME, "--tokens", "nothing"],
            "--tokens = nothing: a CSV with columns prompt_tokens and output_tokens, or one of",
        ),
        (["show", NAME, "--k", "-1"], "--k = -1: a whole number, 0 or more"),
        (["compare", NAME], "profiles = 1: two or more to compare"),
        (["merge", NAME, NAME], "-o is missing: the profile to write"),
        (["merge", NAME, NAME, "-o", "x.json"], "profiles = "),
        (["draw", NAME], 'Invalid value "draw" for ACTION.'),
    ],
)
def test_bad_input(dmoa: Callable[..., Any], tmp_path: Path, monkeypatch: Any, arguments: list[str], complaint: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert dmoa("profile", *arguments).complaint().startswith(complaint)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--import", "nothing.json"], "nothing.json: there is no such file"),
        (["--import", "nothing.json", "--synthetic", "llama-tiny"], "--import = nothing.json: not beside --model, --synthetic"),
        (["--check"], "profile.json: there is no such file; measure a profile"),
        (["--check", "--profile", str(BUNDLED), "--budget", "0"], "budget = 0.0: a number of seconds above 0"),
        (["--synthetic", "llama-tiny", "--budget", "nan"], "budget = nan: a number of seconds above 0"),
    ],
)
def test_bad_input_of_calibrate(
    dmoa: Callable[..., Any], tmp_path: Path, monkeypatch: Any, arguments: list[str], complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dmoa("calibrate", *arguments).complaint().startswith(complaint)
    assert list(tmp_path.iterdir()) == []


def test_a_trained_model_is_not_guessed_for_a_check(dmoa: Callable[..., Any], tmp_path: Path) -> None:
    trained = slower(tmp_path / "p.json", 1.0, model={"random_weights": False})
    assert (
        dmoa("calibrate", "--check", "--profile", trained).complaint()
        == f"--model is missing: the model that {trained} was measured with"
    )


def test_check_answers_with_an_exit_code(dmoa: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real engine against a profile of impossible speed: it does not hold, whatever the machine does meanwhile."""
    pytest.importorskip("transformers")
    from dmoa_calibration import check

    measured: list[check.Check] = []
    really = check.check_profile

    def once(*arguments: Any, **options: Any) -> check.Check:
        """The engine is timed for the first answer; the second reports the same timings."""
        if not measured:
            measured.append(really(*arguments, **options))
        return measured[0]

    monkeypatch.setattr(check, "check_profile", once)
    fast = slower(tmp_path / "p.json", 1e-5, model={"name": "llama-tiny"}, fit={"p_range": [8, 32], "o_range": [4, 8]})
    answer = dmoa("calibrate", "--check", "--profile", fast, "--budget", "30", "--json")
    assert answer.code == 3
    document = answer.checked("calibrate")
    assert document["holds"] is False
    assert document["median_ratio"] > 10
    answer = dmoa("calibrate", "--check", "--profile", fast, "--budget", "30")
    assert answer.code == 3
    assert "the profile does not hold here and now: measure again" in " ".join(answer.out.split())
