"""Keys and tokens: read from the environment or a file, and never shown."""

from __future__ import annotations

import hmac
import os
import stat

from dmoa_calibration.testbed.config import SecretSource
from dmoa_theory.errors import InputError

__all__ = ["Secret", "read_secret"]

_SHORTEST = 16


class Secret:
    """Bytes that neither ``repr`` nor a log line gives away.

    Examples
    --------
    >>> Secret(b"correct horse battery staple")
    <Secret>
    """

    __slots__ = ("value",)

    def __init__(self, value: bytes) -> None:
        self.value = value

    def __repr__(self) -> str:
        """Nothing of the value."""
        return "<Secret>"

    def matches(self, other: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(self.value, other.encode("utf-8", errors="replace"))


def read_secret(field: str, source: SecretSource | None) -> Secret | None:
    """Read a secret from where the configuration says it is; None where none is configured.

    Raises
    ------
    InputError
        When it is not there, shorter than 16 characters, holds blanks or other than printable ASCII, or lies in a file that
        everybody on the machine can read.
    """
    if source is None:
        return None
    if source.env is not None:
        place = f"{field}.env"
        text = os.environ.get(source.env)
        if text is None:
            raise InputError(place, source.env, "an environment variable that is set, holding the secret")
    else:
        place = f"{field}.file"
        assert source.file is not None
        try:
            if source.file.stat().st_mode & stat.S_IROTH:
                raise InputError(place, source.file, "a file that not everybody can read: chmod 600")
            text = source.file.read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError):
            raise InputError(place, source.file, "a readable file holding the secret") from None
    text = text.strip()
    if len(text) < _SHORTEST or not (text.isascii() and text.isprintable()) or " " in text:
        raise InputError(place, "(not shown)", f"a secret of at least {_SHORTEST} printable ASCII characters without blanks")
    return Secret(text.encode())
