"""Where transformers computes: devices that torch offers, clocks that wait for them, and models that do not fit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dmoa_calibration.backends import open_backend, transformers_backend
from dmoa_theory.errors import CalibrationError, InputError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


def test_a_device_that_torch_does_not_offer_is_refused():
    with pytest.raises(InputError, match="device = cuda:99: one that torch offers here: cpu"):
        open_backend("transformers", synthetic="llama-tiny", device="cuda:99")
    opened = open_backend("transformers", synthetic="llama-tiny", device="cpu")
    assert "hardware" not in opened.describe()
    opened.close()


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_an_accelerator_there_is_can_be_chosen(device):
    try:
        opened = open_backend("transformers", synthetic="llama-tiny", device=device)
    except InputError:
        pytest.skip(f"no {device} here")
    assert opened.describe()["hardware"]["accelerator"]
    timing = opened.infer(32, 8)
    assert timing.prefill_s > 0
    assert timing.decode_s > 0
    opened.close()


def test_the_clock_waits_for_the_device_at_both_ends_of_each_span(monkeypatch):
    """Work given to an accelerator goes on after the call has returned: unwaited for, it would be timed too short."""
    seen = []
    opened = open_backend("transformers", synthetic="llama-tiny")
    monkeypatch.setattr(transformers_backend, "_synchronise", lambda engine, device: seen.append(device.type))
    opened.infer(8, 5)
    assert seen == ["cpu"] * 3
    opened.close()


def test_each_kind_of_device_is_waited_for_in_its_own_way():
    waited = []
    engine = SimpleNamespace(
        cuda=SimpleNamespace(synchronize=lambda device: waited.append(device.type)),
        mps=SimpleNamespace(synchronize=lambda: waited.append("apple")),
    )
    for kind in ("cpu", "cuda", "mps"):
        transformers_backend._synchronise(engine, SimpleNamespace(type=kind))
    assert waited == ["cuda", "apple"]


def test_half_precision_may_be_part_of_the_name():
    opened = open_backend("transformers", synthetic="llama-tiny-f16")
    assert opened.describe()["runtime"]["dtype"] == "float16"
    assert opened.describe()["model"]["name"] == "llama-tiny-f16"
    opened.close()
    with pytest.raises(InputError, match="dtype = bfloat16: float16, as the name llama-tiny-f16 says"):
        open_backend("transformers", synthetic="llama-tiny-f16", dtype="bfloat16")


def test_a_model_that_does_not_fit_into_memory_is_one_line(monkeypatch):
    def full(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't\nallocate memory")

    threads = torch.get_num_threads()
    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_config", full)
    with pytest.raises(CalibrationError, match=r"most likely because memory ran out; take a smaller one: \[enf") as it:
        open_backend("transformers", synthetic="llama-tiny", n_threads=threads + 1)
    assert "\n" not in str(it.value)
    assert torch.get_num_threads() == threads
