"""How long prompts and answers are, in tokens, and what every stage of a query therefore reads and writes.

The first layer reads the user's prompt. Every later layer and the aggregation read the aggregation instruction, the prompt
again, and the ``k + 1`` answers of the layer before (Mitra2024, section II): prompts grow with ``k``. Lengths are taken as
independent: gamma variables where mean and SCV are given, or draws from a list of lengths. A gamma law has the cumulants
``(r - 1)! m^r scv^(r - 1)``, a list those of its numbers; cumulants add over independent parts, so every moment of a
concatenated prompt is exact.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from dmoa_theory.errors import InputError
from dmoa_theory.model.checks import MOST, FloatArray, FloatLike

__all__ = ["TokenCount", "TokenLengths", "named_workload", "workload_names"]

#: Tokens of an aggregation instruction of about ninety English words.
INSTRUCTION_TOKENS = 120.0
#: English text: three words make about four tokens (a rule of thumb; named workloads given in words use it).
TOKENS_PER_WORD = 4.0 / 3.0
#: English text: about four bytes a token.
BYTES_PER_TOKEN = 4.0


@dataclass(frozen=True, slots=True)
class TokenCount:
    """A length in tokens: its mean and its squared coefficient of variation (variance / mean^2).

    Parameters
    ----------
    mean, scv : float
    higher : tuple of float, optional
        Third and fourth cumulant; default those of a gamma law. :meth:`of` takes them from a list of lengths.
    """

    mean: float
    scv: float = 0.0
    higher: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse lengths that no text has."""
        if not 1 <= self.mean <= MOST:
            raise InputError("mean", self.mean, f"a number of tokens, 1 or more, to {MOST:g}")
        if not 0 <= self.scv <= MOST:
            raise InputError("scv", self.scv, f"a finite number, 0 or more, to {MOST:g}")

    @classmethod
    def of(cls, lengths: FloatLike) -> TokenCount:
        """The law of a draw from a list of lengths: its moments are exact.

        Parameters
        ----------
        lengths : array_like, shape (n,), tokens

        Examples
        --------
        >>> from dmoa_theory.model.tokens import TokenCount
        >>> TokenCount.of([10, 30]).cumulants().tolist()
        [20.0, 100.0, 0.0, -20000.0]
        """
        tokens = np.asarray(lengths, dtype=np.float64)
        if tokens.ndim != 1 or not tokens.size:
            raise InputError("lengths", "no list", "a list of token counts")
        wrong = ~((tokens >= 1) & (tokens <= MOST))
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise InputError(f"lengths[{place}]", tokens[place].item(), f"a number of tokens, 1 or more, to {MOST:g}")
        mean = float(tokens.mean())
        m2, m3, m4 = (float(np.mean((tokens - mean) ** r)) for r in (2, 3, 4))
        return cls(mean, m2 / mean**2, (m3, m4 - 3 * m2**2))

    def cumulants(self) -> FloatArray:
        """First four cumulants of the law; shape (4,)."""
        if self.higher is not None:
            return np.array([self.mean, self.scv * self.mean**2, *self.higher])
        orders = np.arange(1, 5)
        factorial = np.array([1.0, 1.0, 2.0, 6.0])
        return np.asarray(factorial * self.mean**orders * np.where(orders == 1, 1.0, self.scv ** (orders - 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLengths:
    """Token counts of a workload.

    Parameters
    ----------
    prompt : TokenCount
        The user's prompt.
    output : TokenCount
        One answer, the same law in every stage.
    instruction : float
        Tokens of the aggregation instruction, put before the prompt in every stage but the first.
    source : str
        Where the lengths come from, for reports.

    Examples
    --------
    >>> from dmoa_theory import TokenLengths
    >>> from dmoa_theory.model.tokens import TokenCount
    >>> lengths = TokenLengths(prompt=TokenCount(100), output=TokenCount(50), instruction=20)
    >>> lengths.read(later=True, k=2).tolist()[0]
    270.0
    """

    prompt: TokenCount
    output: TokenCount
    instruction: float = INSTRUCTION_TOKENS
    source: str = "given"

    def __post_init__(self) -> None:
        """Refuse an instruction of impossible length."""
        if not 0 <= self.instruction <= MOST:
            raise InputError("instruction_tokens", self.instruction, f"a number of tokens, 0 or more, to {MOST:g}")

    def read(self, *, later: bool, k: int) -> FloatArray:
        """Cumulants of the tokens a stage reads; shape (4,). ``later`` stages read the answers of ``k + 1`` proposers too."""
        cumulants = self.prompt.cumulants()
        if later:
            cumulants = cumulants + (k + 1) * self.output.cumulants()
            cumulants[0] += self.instruction
        return cumulants

    def decode_steps(self) -> FloatArray:
        """Cumulants of the decode steps of one answer (its tokens less the first, which prefill yields); shape (4,)."""
        cumulants = self.output.cumulants()
        cumulants[0] -= 1.0
        return cumulants


@cache
def _lengths_table() -> dict[tuple[str, str, str], tuple[float, float, str]]:
    text = resources.files("dmoa_theory").joinpath("data/tokens/lengths.csv").read_text(encoding="utf-8")
    return {
        (row["model"], row["what"], row["unit"]): (float(row["mean"]), float(row["scv"]), row["source"])
        for row in csv.DictReader(text.splitlines())
    }


@cache
def workload_names() -> tuple[str, ...]:
    """Names that :func:`named_workload` knows."""
    models = [model for model, what, unit in _lengths_table() if what == "output" and unit == "words"]
    return ("alpaca-eval", *(f"alpaca-eval:{model}" for model in models), "azure-code", "azure-conv")


def named_workload(name: str) -> TokenLengths:
    """Length facts of a public workload, with their source.

    ``alpaca-eval`` takes the 805 instructions of AlpacaEval 2.0 and the answers of Qwen1.5-72B-Chat to them
    (``alpaca-eval:MODEL`` those of another model), counted in words and turned into tokens at 4/3 tokens a word;
    ``azure-code`` and ``azure-conv`` are token counts of the Azure LLM inference trace 2023.

    Parameters
    ----------
    name : str
        One of :func:`workload_names`.

    Raises
    ------
    InputError
        For a name that is not known.

    Examples
    --------
    >>> from dmoa_theory import named_workload
    >>> round(named_workload("azure-conv").output.mean, 2)
    211.13
    """
    if name not in workload_names():
        raise InputError("tokens", name, "one of " + ", ".join(workload_names()))
    table = _lengths_table()
    family, _, rest = name.partition("-")
    if family == "azure":
        prompt, output = table[(rest, "prompt", "tokens")], table[(rest, "output", "tokens")]
        factor = 1.0
    else:
        model = name.partition(":")[2] or "Qwen1.5-72B-Chat"
        prompt, output = table[("(prompts)", "instruction", "words")], table[(model, "output", "words")]
        factor = TOKENS_PER_WORD
    return TokenLengths(
        prompt=TokenCount(prompt[0] * factor, prompt[1]),
        output=TokenCount(output[0] * factor, output[1]),
        source=prompt[2] if factor == 1.0 else f"{prompt[2]}, words x 4/3",
    )
