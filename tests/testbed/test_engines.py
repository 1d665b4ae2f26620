"""Text in, text out: real engines with tiny random models, padded or not. What they say is gibberish."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from dmoa_calibration.testbed.config import BackendConfig, ServiceConfig
from dmoa_calibration.testbed.engines import Generation, Task
from dmoa_calibration.testbed.engines.generate import TextAnswer, open_text_backend
from dmoa_calibration.testbed.engines.model import ModelEngine
from dmoa_calibration.testbed.engines.padded import PaddedEngine
from dmoa_calibration.testbed.pace import Pace
from dmoa_theory.errors import CalibrationError, InputError
from tests.testbed.network_of_nodes import PATIENCE, eventually, run

TASK = Task(job="a:q:0:a", kind="first", k=0, prompt="Why is the sky blue?")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    """llama.cpp in a child process."""
    pytest.importorskip("xllamacpp")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DMOA_CACHE_DIR", str(tmp_path_factory.mktemp("models")))
        opened = open_text_backend(BackendConfig(name="llama_cpp", synthetic="llama-tiny"), seed=1)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def transformers():
    """torch in this process."""
    pytest.importorskip("torch")
    opened = open_text_backend(BackendConfig(name="transformers", synthetic="llama-tiny"), seed=1)
    yield opened
    opened.close()


@pytest.fixture(params=["transformers", "llama"])
def backend(request):
    return request.getfixturevalue(request.param)


def test_an_exact_answer_has_the_tokens_asked_for_and_is_printable(backend):
    answer = backend.generate("Why is the sky blue?", max_tokens=7, exact=True)
    assert answer.output_tokens == 7
    assert answer.prompt_tokens >= 20
    assert answer.text.isprintable()
    assert backend.describe()["random_weights"] is True


def test_a_longer_prompt_is_read_with_more_tokens(backend):
    short, long = (backend.generate("word " * n, max_tokens=1, exact=False) for n in (4, 40))
    assert long.prompt_tokens > short.prompt_tokens


def test_a_server_with_one_model_needs_no_name_and_one_without_address_is_refused(llama, monkeypatch):
    process = llama._backend.process
    monkeypatch.setenv("DMOA_TEST_LLAMA_KEY", process.api_key)
    server = open_text_backend(
        BackendConfig(name="openai_http", url=process.url + "/v1", api_key_env="DMOA_TEST_LLAMA_KEY"), seed=0
    )
    assert server.generate("Why?", max_tokens=3, exact=True).output_tokens == 3
    with pytest.raises(InputError, match=r"backend\.url"):
        open_text_backend(BackendConfig(name="openai_http"), seed=0)


class Slow:
    """A model that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def generate(self, prompt: str, *, max_tokens: int, exact: bool) -> TextAnswer:
        time.sleep(self.seconds)
        return TextAnswer(text="t", prompt_tokens=1, output_tokens=max_tokens)

    def describe(self) -> dict:
        return {}

    def close(self) -> None: ...


def test_padding_keeps_the_drawn_time_and_marks_what_overran():
    pace = Pace({"0": ServiceConfig(law="deterministic", mean=[0.05] * 3, scv=[0.0] * 3)}, seed=0)

    async def padded(seconds: float) -> Generation:
        engine = PaddedEngine(ModelEngine(Slow(seconds), max_tokens=2, exact=False, timeout=PATIENCE), pace)
        began = time.monotonic()
        made = await engine.run(TASK)
        assert time.monotonic() - began >= max(seconds, 0.05)
        assert (made.target_s, made.text) == (0.05, "t")
        assert made.engine_s >= seconds
        engine.close()
        return made

    assert run(lambda: padded(0.08)).overran
    run(lambda: eventually(lambda _: padded(0.001), lambda made: not made.overran))


def test_a_model_that_hangs_fails_its_job_and_does_not_stop_the_event_loop():
    """The loop goes round while the model is at work, and gives it up before it has ended."""

    async def hang(_: int) -> bool:
        """Whether the model was at work: on a busy machine its thread may not have begun when the time is over."""
        begun, freed = threading.Event(), threading.Event()

        class Hanging(Slow):
            def generate(self, prompt: str, *, max_tokens: int, exact: bool) -> TextAnswer:
                begun.set()
                freed.wait(PATIENCE)
                return super().generate(prompt, max_tokens=max_tokens, exact=exact)

        engine = ModelEngine(Hanging(0.0), max_tokens=1, exact=False, timeout=0.1)
        asking = asyncio.create_task(engine.run(TASK))
        while not (begun.is_set() or asking.done()):
            await asyncio.sleep(0.001)
        with pytest.raises(CalibrationError, match=r"did not answer within 0\.1 s"):
            await asking
        at_work = begun.is_set()
        freed.set()
        engine.close()
        return at_work

    run(lambda: eventually(hang, bool))
