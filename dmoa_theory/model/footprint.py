"""What a device keeps in memory: weights, the cache of the running inference, queued prompts, answers that wait for a join."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, FloatLike, non_negative
from dmoa_theory.model.service import Stage
from dmoa_theory.model.tokens import BYTES_PER_TOKEN

if TYPE_CHECKING:
    from dmoa_theory.model.profile import Profile
    from dmoa_theory.model.tokens import TokenLengths

__all__ = ["Footprint", "MeasuredFootprint"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Footprint:
    """Memory needs of the devices; every array has one row for all devices or one row a device.

    Parameters
    ----------
    weight_bytes : ndarray, shape (n,) or (1,), bytes
        Model weights, always resident.
    kv_bytes_per_token : ndarray, shape (n,) or (1,), bytes
        Key-value cache of one token of context of the running inference.
    context_tokens : ndarray, shape (n, 3) or (1, 3)
        Tokens of context at the end of an inference of each stage.
    prompt_bytes : ndarray, shape (n, 3) or (1, 3), bytes
        One queued prompt of each stage.
    response_bytes : ndarray, shape (n,) or (1,), bytes
        One answer that waits at home for the rest of its layer.
    """

    weight_bytes: FloatArray
    kv_bytes_per_token: FloatArray
    context_tokens: FloatArray
    prompt_bytes: FloatArray
    response_bytes: FloatArray

    @classmethod
    def from_numbers(
        cls,
        *,
        weight_bytes: FloatLike = 0.0,
        kv_bytes_per_token: FloatLike = 0.0,
        context_tokens: FloatLike = 0.0,
        prompt_bytes: FloatLike = 0.0,
        response_bytes: FloatLike = 0.0,
    ) -> Footprint:
        """A footprint whose contexts and prompts are alike in every stage; numbers, or lists with one entry a device.

        Examples
        --------
        >>> from dmoa_theory import Footprint
        >>> Footprint.from_numbers(weight_bytes=8e9, kv_bytes_per_token=1e5, context_tokens=2048).context_tokens.shape
        (1, 3)
        """
        given = {
            "weights": weight_bytes,
            "kv_bytes_per_token": kv_bytes_per_token,
            "context_tokens": context_tokens,
            "bytes_per_prompt": prompt_bytes,
            "bytes_per_response": response_bytes,
        }
        n = max(np.size(value) if np.ndim(value) else 1 for value in given.values())
        weights, kv, context, prompt, response = (non_negative(f"memory.{name}", value, n) for name, value in given.items())
        return cls(
            weight_bytes=weights,
            kv_bytes_per_token=kv,
            context_tokens=np.repeat(context[:, None], len(Stage), axis=1),
            prompt_bytes=np.repeat(prompt[:, None], len(Stage), axis=1),
            response_bytes=response,
        )

    @property
    def n_devices(self) -> int | None:
        """Number of devices described; None when one row serves all."""
        return None if self.weight_bytes.size == 1 else int(self.weight_bytes.size)

    def for_k(self, k: int) -> Footprint:
        """The footprint when every proposer group has ``k + 1`` members: this one itself."""
        return self


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredFootprint:
    """A footprint that follows from measured profiles and token lengths; prompts of later stages grow with ``k``.

    Parameters
    ----------
    profiles : tuple of Profile
        One for all devices, or one a device.
    tokens : tuple of TokenLengths
        One for all devices, or one a device.
    given : mapping of str to ndarray
        Arguments of :meth:`Footprint.from_numbers` that take the place of what would follow.
    """

    profiles: tuple[Profile, ...]
    tokens: tuple[TokenLengths, ...]
    given: Mapping[str, FloatArray] = field(default_factory=dict)

    @property
    def n_devices(self) -> int | None:
        """Number of devices described; None when one profile and one workload serve all."""
        longest = max(len(self.profiles), len(self.tokens), *(value.size for value in self.given.values()))
        return None if longest == 1 else longest

    def for_k(self, k: int) -> Footprint:
        """The footprint when every proposer group has ``k + 1`` members."""
        rows = range(max(len(self.profiles), len(self.tokens)))
        profiles = [self.profiles[i % len(self.profiles)] for i in rows]
        lengths = [self.tokens[i % len(self.tokens)] for i in rows]
        read = np.array([[t.read(later=stage is not Stage.FIRST, k=k)[0] for stage in Stage] for t in lengths])
        written = np.array([t.output.mean for t in lengths])
        needs = Footprint(
            weight_bytes=np.array([self._known(p, "weight_bytes", "weights") for p in profiles]),
            kv_bytes_per_token=np.array([self._known(p, "kv_bytes_per_token", "kv_bytes_per_token") for p in profiles]),
            context_tokens=read + written[:, None],
            prompt_bytes=read * BYTES_PER_TOKEN,
            response_bytes=written * BYTES_PER_TOKEN,
        )
        instead = Footprint.from_numbers(**self.given)
        return replace(needs, **{name: getattr(instead, name) for name in self.given})

    def _known(self, profile: Profile, name: str, key: str) -> float:
        """Bytes that a profile states; one imported from a file of timings may not."""
        amount = getattr(profile, name)
        if amount is not None:
            return float(amount)
        if name in self.given:
            return 0.0  # replaced by what is given
        raise InputError(
            f"memory.{key}", InputError.MISSING, f"{profile.name} was imported without its memory: give it in bytes"
        )
