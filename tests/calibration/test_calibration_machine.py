"""What a machine and a shape are said to be, also where the system tells nothing."""

from __future__ import annotations

import os

import pytest

from dmoa_calibration import memory
from dmoa_calibration.hardware import describe_hardware
from dmoa_calibration.synthetic import SHAPES, find_shape
from dmoa_theory.errors import InputError


def test_linux_tables_are_read(tmp_path):
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: Some   CPU 9\nflags\t\t: fpu avx2 fma avx\n", encoding="utf-8"
    )
    (tmp_path / "meminfo").write_text("MemTotal:       16 kB\n", encoding="utf-8")
    found = describe_hardware(tmp_path)
    assert found["cpu_model"] == "Some CPU 9"
    assert found["isa"] == ["avx", "avx2", "fma"]
    assert found["mem_total_bytes"] == 16384


def test_an_arm_board_names_itself(tmp_path):
    (tmp_path / "cpuinfo").write_text("Features\t: fp asimd\nModel\t\t: Raspberry Pi 5\n", encoding="utf-8")
    found = describe_hardware(tmp_path)
    assert (found["cpu_model"], found["isa"]) == ("Raspberry Pi 5", ["asimd"])


def test_a_system_that_tells_nothing_is_still_described(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.delattr(os, "sysconf", raising=False)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "")
    monkeypatch.setattr("sys.platform", "plan9")
    found = describe_hardware(tmp_path)
    assert found["cpu_model"] == "unknown processor"
    assert found["n_cores"] >= 1
    assert found["mem_total_bytes"] is None


def test_memory_of_the_process_is_told_in_bytes():
    peak = memory.peak_rss_bytes()
    assert peak is None or peak > 10_000_000


def test_an_unknown_shape_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"synthetic = gpt-9: one of llama-tiny \(0.19 M\), .*qwen2-0.5b \(494 M\)"):
        find_shape("gpt-9")


def test_shapes_are_listed_from_small_to_large():
    sizes = [shape.n_params for shape in SHAPES.values()]
    assert sizes == sorted(sizes)
    assert all(shape.hidden % shape.n_heads == 0 and shape.n_heads % shape.n_kv_heads == 0 for shape in SHAPES.values())
