"""Random prompts for servers: token ids where they are taken, and texts fitted to a number of tokens where they are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dmoa_theory.errors import CalibrationError

__all__ = ["Prompts"]

_FIRST_ID, _LAST_ID = 300, 1000  # ordinary tokens in every vocabulary that is not tiny; special ones lie at the ends
_TOLERANCE = 0.05
_LEAST_TOLERANCE = 2  # tokens
_TRIES = 8
_ENDS = 4, 36  # words of the two texts that tell tokens a word

# short English words, one token each in most vocabularies
_WORDS: list[
    str
] = """the of and to in is was for on that by this with you it not or be are from at as your all have new more an
we will can us about if my has but our one other do no time they up what which their out use any there see only so
his when here who also now get been would how may were work first some these like than find day back top had last
just over year into good make should name way part people set high left right well still long life through each
small large open read same world used help next best even must before after while name city home line page house
old form four five free water hand side kind food room point case week main late sure four call plan real land
north south east west field group table paper press law word book light music road class team air game heart""".split()  # noqa: SIM905 - a hundred quotation marks would not make them clearer


class Prompts:
    """Prompts that differ from call to call, so that no server has read the beginning of one before.

    Parameters
    ----------
    seed : int
    vocabulary : int or None
        Number of token ids, where the server tells.
    """

    def __init__(self, seed: int, vocabulary: int | None = None) -> None:
        self._rng = np.random.default_rng(seed)
        self._last_id = _LAST_ID if vocabulary is None else vocabulary
        self._fitted: dict[int, tuple[list[str], str]] = {}
        self._line: tuple[float, float] | None = None  # tokens of no word, and of each further word

    def ids(self, length: int) -> list[int]:
        """Token ids, drawn at random."""
        return [int(i) for i in self._rng.integers(min(_FIRST_ID, self._last_id // 2), self._last_id, length)]

    def text(self, tokens: int) -> str:
        """A text of that many tokens, after :meth:`fit` reached it: its words in a new random order."""
        words, tail = self._fitted[tokens]
        return " ".join(words[i] for i in self._rng.permutation(len(words))) + tail

    def fit(self, tokens: int, count: Callable[[str], int]) -> int:
        """Find a text of that many tokens, as the server counts them, or of nearly as many; give how many it has.

        Raises
        ------
        CalibrationError
            When none is found within 5 % or 2 tokens.

        Examples
        --------
        >>> Prompts(0).fit(40, lambda text: 12 + len(text.split()))
        40
        """
        if tokens in self._fitted:
            return tokens
        none, each = self._words_to_tokens(count)
        best: tuple[int, list[str], str] | None = None
        counts: dict[int, int] = {}  # by number of words
        n, tail = max(1, round((tokens - none) / each)), 0
        for _ in range(_TRIES):
            words, end = self._words(n), "x" * tail
            has = count(" ".join(words) + end)
            if best is None or abs(has - tokens) < abs(best[0] - tokens):
                best = has, words, end
            if has == tokens:
                break
            if tail:
                tail = max(1, tail + tokens - has)
                continue
            counts[n] = has
            further = n + (round((tokens - has) / each) or (1 if tokens > has else -1))
            if further >= 1 and further not in counts:
                n = further
            else:  # a word more is too much, a word less too little: the last one is made longer
                n = max((m for m, less in counts.items() if less < tokens), default=n)
                tail = max(1, tokens - counts[n])
        assert best is not None
        if abs(best[0] - tokens) > max(_LEAST_TOLERANCE, _TOLERANCE * tokens):
            raise CalibrationError(
                f"no text of {tokens} tokens was found for this server, the nearest has {best[0]}: choose other --prompt-tokens"
            )
        self._fitted[best[0]] = best[1], best[2]
        return best[0]

    def _words_to_tokens(self, count: Callable[[str], int]) -> tuple[float, float]:
        if self._line is None:
            few, many = (count(" ".join(self._words(n))) for n in _ENDS)
            if many <= few:
                raise CalibrationError(
                    f"the server counts {few} tokens in {_ENDS[0]} words and {many} in {_ENDS[1]}: its counts cannot be right"
                )
            each = (many - few) / (_ENDS[1] - _ENDS[0])
            self._line = few - _ENDS[0] * each, each
        return self._line

    def _words(self, n: int) -> list[str]:
        """The first ``n`` words of an endless text that is the same for every length."""
        return [_WORDS[i] for i in np.random.default_rng(1).integers(0, len(_WORDS), n)]
