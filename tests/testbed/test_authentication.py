"""Signed messages: any change, any other receiver, any second time is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmoa_calibration.testbed.config import SecretSource
from dmoa_calibration.testbed.protocol import authentication
from dmoa_calibration.testbed.protocol.authentication import ANYBODY, Gatekeeper, RefusedMessageError, Signer
from dmoa_calibration.testbed.protocol.secret_values import Secret, read_secret
from dmoa_theory.errors import InputError

KEY = Secret(b"0123456789abcdef")


class Clock:
    def __init__(self) -> None:
        self.now = round(time.time() - 1.0, 6)  # as messages tell the time
        self.passed = 0.0  # seconds, however the clock was set

    def stopwatch(self) -> float:
        return self.passed

    def __call__(self) -> float:
        return self.now


def refusal(gate: Gatekeeper, method: str, path: str, headers: dict[str, str], body: bytes) -> str:
    with pytest.raises(RefusedMessageError) as refused:
        gate.check(method, path, headers, body)
    return str(refused.value)


@settings(deadline=None)
@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_signed_comes_in_once(body, path):
    gate = Gatekeeper(KEY, "b", skew=60.0, clock=Clock())  # before the message, however long either takes
    headers = Signer(KEY, "a").sign("POST", path, body, "b")
    assert gate.check("POST", path, headers, body)[0] == "a"
    assert refusal(gate, "POST", path, headers, body) == "it was seen before"


@settings(deadline=None)
@given(st.data())
def test_any_change_is_noticed(data):
    body = b'{"prompt": "why?"}'
    headers = Signer(KEY, "a").sign("POST", "/peer/v1/infer", body, "b")
    method, path = "POST", "/peer/v1/infer"
    what = data.draw(st.sampled_from(["method", "path", "body", *headers]))
    if what == "method":
        method = "GET"
    elif what == "path":
        path = "/peer/v1/response"
    elif what == "body":
        at = data.draw(st.integers(0, len(body) - 1))
        body = body[:at] + bytes([body[at] ^ data.draw(st.integers(1, 255))]) + body[at + 1 :]
    else:
        headers = headers | {what: data.draw(st.text(max_size=40).filter(lambda text: text != headers[what]))}
    gate = Gatekeeper(KEY, "b", skew=60.0, clock=Clock())
    assert refusal(gate, method, path, headers, body) in {"the signature is wrong", "a header is missing or too long"}


def test_another_key_another_receiver_and_another_time_are_refused():
    path, clock = "/peer/v1/infer", Clock()
    gate = Gatekeeper(KEY, "b", skew=60.0, clock=clock)
    stranger = Signer(Secret(b"another key, as long"), "a").sign("POST", path, b"", "b")
    assert refusal(gate, "POST", path, stranger, b"") == "the signature is wrong"
    for receiver in ("c", ANYBODY):
        assert refusal(gate, "POST", path, Signer(KEY, "a").sign("POST", path, b"", receiver), b"") == "it is for another node"
    gossip = "/peer/v1/gossip"
    assert gate.check("POST", gossip, Signer(KEY, "a").sign("POST", gossip, b"", ANYBODY), b"")[0] == "a"
    headers = Signer(KEY, "a").sign("POST", path, b"", "b")
    clock.now += 100.0
    assert refusal(gate, "POST", path, headers, b"") == "its time is off"


def test_a_message_from_before_the_process_is_refused_because_it_may_have_been_seen():
    headers = Signer(KEY, "a").sign("POST", "/p", b"", "b")
    clock = Clock()
    clock.now += 2.0
    gate = Gatekeeper(KEY, "b", skew=60.0, clock=clock, stopwatch=clock.stopwatch)
    assert refusal(gate, "POST", "/p", headers, b"") == "it is older than this process"


def test_a_clock_that_is_set_back_after_the_start_locks_nobody_out():
    """A machine without a battery for its clock: far ahead at first, right a minute later."""
    clock = Clock()
    clock.now += 3600.0
    gate = Gatekeeper(KEY, "b", skew=60.0, clock=clock, stopwatch=clock.stopwatch)
    clock.passed, clock.now = 60.0, time.time() + 1.0
    assert gate.check("POST", "/p", Signer(KEY, "a").sign("POST", "/p", b"", "b"), b"")[0] == "a"


def test_what_was_seen_stays_refused_when_the_clock_goes_forth_and_back(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(authentication.time, "time", clock)
    gate = Gatekeeper(KEY, "b", skew=60.0, clock=clock, stopwatch=clock.stopwatch)
    clock.passed, clock.now = 1.0, clock.now + 1.0

    def message() -> dict[str, str]:
        return Signer(KEY, "a").sign("POST", "/p", b"", "b")

    seen = message()
    gate.check("POST", "/p", seen, b"")
    clock.now += 3600.0
    gate.check("POST", "/p", message(), b"")  # what is an hour old is forgotten
    clock.now -= 3599.0
    clock.passed += 1.0
    assert refusal(gate, "POST", "/p", seen, b"") == "it was seen before"
    assert gate.check("POST", "/p", message(), b"")[0] == "a"


@pytest.mark.parametrize("stamp", ["nan", "soon", "", "inf", "-1e999", "1_0"])
def test_a_time_that_is_none_is_refused_even_if_it_is_signed(monkeypatch, stamp):
    """Not a number is neither too old nor too new, for ever."""
    gate = Gatekeeper(KEY, "b", skew=60.0)
    signer = Signer(KEY, "a")
    digest = authentication._digest
    monkeypatch.setattr(authentication, "_digest", lambda key, *parts: digest(key, *parts[:5], stamp, *parts[6:]))
    headers = signer.sign("POST", "/p", b"", "b") | {"X-Dmoa-Time": stamp}
    monkeypatch.undo()
    assert refusal(gate, "POST", "/p", headers, b"") in {"its time is off", "a header is missing or too long"}


def test_nonces_are_forgotten_when_their_messages_are_too_old_anyway(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(authentication.time, "time", clock)
    gate = Gatekeeper(KEY, "b", skew=1.5, clock=clock, stopwatch=clock.stopwatch)
    first = Signer(KEY, "a").sign("POST", "/p", b"", "b")
    gate.check("POST", "/p", first, b"")
    clock.now += 5.0
    assert refusal(gate, "POST", "/p", first, b"") == "its time is off"


def test_an_answer_belongs_to_its_question():
    signer = Signer(KEY, "b")
    headers = signer.sign_answer("nonce", 202, b"{}")
    assert signer.is_answer(headers, "nonce", 202, b"{}")
    for nonce, status, body in (("other", 202, b"{}"), ("nonce", 200, b"{}"), ("nonce", 202, b"{ }")):
        assert not signer.is_answer(headers, nonce, status, body)
    assert not signer.is_answer({}, "nonce", 202, b"{}")


@pytest.mark.parametrize("value", ["short", "has a blank in the middle", "not äscii but long enough"])
def test_a_secret_that_is_none_is_refused_without_being_shown(monkeypatch, value):
    monkeypatch.setenv("DMOA_TEST_SECRET", value)
    with pytest.raises(InputError) as refused:
        read_secret("peer_key", SecretSource(env="DMOA_TEST_SECRET"))
    assert value not in str(refused.value)
    assert value not in repr(Secret(value.encode()))
