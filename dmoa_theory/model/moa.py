"""The Mixture-of-Agents a user runs: M layers of k + 1 proposers and a final aggregation at home."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import FloatArray, IntArray, IntLike, counts, owned

__all__ = ["MoA"]


@dataclass(frozen=True, slots=True, eq=False)
class MoA:
    """Layers and neighbours of a query (Mitra2024, section II).

    In each of ``M`` layers the prompt goes to the own device and to ``k`` distinct neighbours drawn anew; when all (or
    ``quorum``) answers are back the next layer starts; after layer ``M`` the own device aggregates. ``M = 0`` is a single
    inference at home, served like a first-layer job, whatever ``k``.

    Parameters
    ----------
    M : int or array_like, shape (n,)
        Layers, 0 or more; one number for every user, or one a user.
    k : int or array_like, shape (n,)
        Neighbours asked in each layer.
    quorum : int or array_like, shape (n,), optional
        Answers to wait for in a layer, from 1 to k + 1; default all. The other jobs still occupy their queues.
    selection_weight : ndarray, shape (n_links,), optional
        Weight of each link of the network in the choice of neighbours (conditional-Poisson sampling, see
        :mod:`dmoa_theory.model.selection`), from 0 to infinity; default uniform.

    Examples
    --------
    >>> from dmoa_theory import MoA
    >>> MoA(2, 3).inferences()
    9
    """

    M: IntLike
    k: IntLike
    quorum: IntLike | None = None
    selection_weight: FloatArray | None = None

    def __post_init__(self) -> None:
        """Check every entry, and freeze the arrays."""
        n = max((np.size(x) for x in (self.M, self.k, self.quorum) if x is not None and np.ndim(x)), default=1)
        M, k = counts("M", self.M, n), counts("k", self.k, n)
        object.__setattr__(self, "M", M)
        object.__setattr__(self, "k", k)
        if self.quorum is not None:
            quorum = counts("quorum", self.quorum, n, low=1)
            wrong = quorum > k + 1
            if wrong.any():
                u = int(np.flatnonzero(wrong)[0])
                name = f"quorum[{u}]" if np.ndim(self.quorum) else "quorum"
                raise InputError(name, int(quorum[u]), f"a whole number from 1 to k + 1 = {int(k[u]) + 1}")
            object.__setattr__(self, "quorum", quorum if (quorum < k + 1).any() else None)
        if self.selection_weight is not None:
            weight = np.asarray(self.selection_weight, dtype=np.float64)
            if weight.ndim != 1 or np.isnan(weight).any() or (weight < 0).any():
                raise InputError("selection", "a weight below 0 or not a number", "one weight a link, 0 or more")
            object.__setattr__(self, "selection_weight", owned(weight))

    @property
    def is_uniform(self) -> bool:
        """Whether neighbours are drawn uniformly."""
        return self.selection_weight is None

    @property
    def n_users(self) -> int | None:
        """Number of users described; None when every user runs the same."""
        return None if np.size(self.M) == 1 else int(np.size(self.M))

    def per_user(self, n: int) -> tuple[IntArray, IntArray, IntArray]:
        """M, k and quorum of each of ``n`` users; three arrays of shape (n,). Users with M = 0 ask nobody: their k is 0."""
        M = np.asarray(self.M, dtype=np.int64)
        k = np.where(M > 0, np.asarray(self.k, dtype=np.int64), 0)
        quorum = k + 1 if self.quorum is None else np.minimum(np.asarray(self.quorum, dtype=np.int64), k + 1)
        return np.broadcast_to(M, (n,)), np.broadcast_to(k, (n,)), np.broadcast_to(quorum, (n,))

    def inferences(self) -> int:
        """Inferences a query makes, ``(k + 1) M + 1`` (Mitra2024, section II); for a MoA that is the same for every user."""
        if self.n_users is not None:
            raise InputError("moa", "a MoA that differs by user", "one (M, k) for all; read M and k of each user instead")
        M, k, _ = self.per_user(1)
        return int((k[0] + 1) * M[0] + 1)

    @property
    def is_common(self) -> bool:
        """Whether every user runs the same."""
        given = (self.M, self.k, self.quorum)
        return all(value is None or bool((np.asarray(value) == np.ravel(np.asarray(value))[0]).all()) for value in given)

    @property
    def label(self) -> str:
        """In words: "M=1, k=2", with the quorum if there is one; "M and k by user" where users differ."""
        if not self.is_common:
            return "M and k by user"
        M, k, quorum = (int(values[0]) for values in self.per_user(self.n_users or 1))
        return f"M={M}, k={k}" + (f", quorum={quorum}" if quorum <= k else "")

    def to_dict(self) -> dict[str, Any]:
        """M, k and quorum for JSON: numbers, or lists with one entry a user; a quorum of None waits for all."""
        given = {"M": self.M, "k": self.k, "quorum": self.quorum}
        arrays = {name: None if value is None else np.ravel(np.asarray(value)) for name, value in given.items()}
        return {name: None if a is None else int(a[0]) if self.is_common else a.tolist() for name, a in arrays.items()}

    def __repr__(self) -> str:
        """(M, k), or that it differs by user."""
        return f"<MoA: {self.label}{'' if self.is_uniform else ', weighted selection'}>"
