"""The words around prompts and responses: the aggregation prompt of later layers and of the last inference."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["INSTRUCTION", "aggregation_prompt", "conversation_text", "shortened"]

INSTRUCTION = (
    "Several assistants have answered the request above, each on its own; their responses follow. Write one answer of your own "
    "that serves the request better than any of them. Judge what they say before you use it: a response may be mistaken, "
    "one-sided or made up, and agreement among them is no proof. Keep what is right and useful, mend what is wrong, add what "
    "is missing, and put it in good order. Do not copy a response as it stands, and say nothing of the responses or of how "
    "the answer came about."
)
"""Our own wording of what Mitra2024 takes from Wang et al., arXiv:2406.04692."""


def aggregation_prompt(prompt: str, responses: Sequence[str]) -> str:
    """Prompt, instruction and responses, numbered from 1 (Mitra2024, section II).

    Examples
    --------
    >>> print(aggregation_prompt("Why is the sky blue?", ["Scattering.", "Rayleigh."])[-46:])
    Response-1: Scattering.
    <BLANKLINE>
    Response-2: Rayleigh.
    """
    parts = [prompt, INSTRUCTION]
    parts += [f"Response-{number}: {response}" for number, response in enumerate(responses, start=1)]
    return "\n\n".join(parts)


def conversation_text(turns: Sequence[tuple[str, str]]) -> str:
    r"""A conversation as one prompt: a lone user turn stays as it is, others are marked with who speaks.

    Examples
    --------
    >>> conversation_text([("user", "Hello")])
    'Hello'
    >>> conversation_text([("system", "Be brief."), ("user", "Hello")])
    'System: Be brief.\n\nUser: Hello'
    """
    if len(turns) == 1 and turns[0][0] == "user":
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {text}" for role, text in turns)


def shortened(text: str, most_bytes: int) -> str:
    """The beginning of a text that fits into so many bytes of UTF-8.

    Examples
    --------
    >>> shortened("né", 2)
    'n'
    """
    raw = text.encode("utf-8", errors="replace")  # what an engine makes of bytes may be no text at all
    return raw[:most_bytes].decode("utf-8", errors="ignore")
