"""Who may send a message: an HMAC with the shared key over all of it, fresh, and seen only once.

Signed are the method, the path, sender and receiver, the time, a nonce and the body's digest, so that a message can be neither
changed, nor sent elsewhere, nor sent again. Answers are signed over the nonce of what they answer. Who has the key is a node:
nodes trust each other.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from dmoa_calibration.testbed.protocol.secret_values import Secret

__all__ = ["ANYBODY", "Gatekeeper", "RefusedMessageError", "Signer"]

ANYBODY = "*"
"""Receiver of a message to a node whose name is not known yet; only gossip may be sent so."""

_SENDER, _RECEIVER = "X-Dmoa-Sender", "X-Dmoa-Receiver"
_TIME, _NONCE, _SIGNATURE = "X-Dmoa-Time", "X-Dmoa-Nonce", "X-Dmoa-Signature"
_LONGEST = 128


class RefusedMessageError(Exception):
    """A message that is not let in; the reason is for the log, not for the sender."""


def _digest(key: Secret, *parts: str | bytes) -> str:
    """HMAC-SHA256 over the parts, each preceded by its length so that no two messages sign alike."""
    mac = hmac.new(key.value, digestmod=hashlib.sha256)
    for part in parts:
        raw = part.encode("utf-8", errors="surrogateescape") if isinstance(part, str) else part
        mac.update(len(raw).to_bytes(8, "big"))
        mac.update(raw)
    return mac.hexdigest()


class Signer:
    """Signs what this node sends.

    Parameters
    ----------
    key : Secret
        The same in all nodes.
    name : str
        Of this node.
    """

    def __init__(self, key: Secret, name: str) -> None:
        self._key, self._name = key, name

    def sign(self, method: str, path: str, body: bytes, receiver: str) -> dict[str, str]:
        """Headers for a message."""
        stamp, nonce = f"{time.time():.6f}", secrets.token_hex(16)
        signature = _digest(self._key, "request", method, path, self._name, receiver, stamp, nonce, body)
        return {_SENDER: self._name, _RECEIVER: receiver, _TIME: stamp, _NONCE: nonce, _SIGNATURE: signature}

    def sign_answer(self, nonce: str, status: int, body: bytes) -> dict[str, str]:
        """Headers for the answer to a message that came in with that nonce."""
        return {_SIGNATURE: _digest(self._key, "answer", nonce, str(status), body)}

    def is_answer(self, headers: Mapping[str, str], nonce: str, status: int, body: bytes) -> bool:
        """Whether an answer is that of a node with the key, to this very message."""
        expected = _digest(self._key, "answer", nonce, str(status), body)
        return hmac.compare_digest(expected.encode(), headers.get(_SIGNATURE, "").encode("utf-8", errors="replace"))


class Gatekeeper:
    """Lets messages in, or refuses them.

    Parameters
    ----------
    key : Secret
    name : str
        Of this node, the receiver that messages must name.
    skew : float, seconds
        How far the sender's clock may be off; how long nonces are remembered follows from it.
    clock, stopwatch : callable
        Give the time, s since 1970, which may be set, and seconds that only go on.
    """

    def __init__(
        self,
        key: Secret,
        name: str,
        *,
        skew: float,
        clock: Callable[[], float] = time.time,
        stopwatch: Callable[[], float] = time.monotonic,
    ) -> None:
        self._key, self._name, self._skew, self._clock, self._stopwatch = key, name, skew, clock, stopwatch
        self._seen: OrderedDict[str, tuple[float, float]] = OrderedDict()  # until when to remember, and when it was sent
        self._began = stopwatch()
        self._forgotten = -math.inf  # when the last of the messages was sent whose nonces are not remembered any more

    def check(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """Sender and nonce of a message.

        Raises
        ------
        RefusedMessageError
            When it is not signed with the key, for another receiver, stale, or seen before.
        """
        given = [headers.get(name, "") for name in (_SENDER, _RECEIVER, _TIME, _NONCE, _SIGNATURE)]
        if not all(0 < len(value) <= _LONGEST for value in given):
            raise RefusedMessageError("a header is missing or too long")
        sender, receiver, stamp, nonce, signature = given
        expected = _digest(self._key, "request", method, path, sender, receiver, stamp, nonce, body)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", errors="replace")):
            raise RefusedMessageError("the signature is wrong")
        if receiver != self._name and not (receiver == ANYBODY and path.endswith("/gossip")):
            raise RefusedMessageError("it is for another node")
        now, sent = self._clock(), _seconds(stamp)
        if not abs(now - sent) <= self._skew:
            raise RefusedMessageError("its time is off")
        if sent < now - (self._stopwatch() - self._began):  # its nonce may be one that the process before has seen
            raise RefusedMessageError("it is older than this process")
        self._forget(now)
        if nonce in self._seen or sent <= self._forgotten:
            raise RefusedMessageError("it was seen before")
        self._seen[nonce] = now + 2 * self._skew + 1.0, sent
        return sender, nonce

    def _forget(self, now: float) -> None:
        """Forget nonces of messages that are too old by now, and take in none as old even if the clock is set back."""
        while self._seen and next(iter(self._seen.values()))[0] < now:
            _, (_, sent) = self._seen.popitem(last=False)
            self._forgotten = max(self._forgotten, sent)


def _seconds(stamp: str) -> float:
    """The time that a message names; not a number where it names none."""
    try:
        return float(stamp)
    except ValueError:
        return math.nan
