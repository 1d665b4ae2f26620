"""``dmoa schema``."""

from __future__ import annotations

from importlib import resources

from dmoa_theory.errors import InputError

__all__ = ["read_schema", "schema"]


def read_schema(verb: str | None) -> str:
    """The published JSON Schema of a verb, as text.

    Raises
    ------
    InputError
        For a verb that is not known, or none.
    """
    folder = resources.files("dmoa_theory").joinpath("data/schemas")
    known = sorted(item.name.removesuffix(".json") for item in folder.iterdir() if item.name.endswith(".json"))
    if verb not in known:
        raise InputError("verb", InputError.MISSING if verb is None else verb, "one of " + ", ".join(known))
    return folder.joinpath(f"{verb}.json").read_text(encoding="utf-8")


def schema(verb: str | None = None, /) -> int:
    """Print the JSON Schema of what a verb prints with --json.

    Parameters
    ----------
    verb
        A verb that prints JSON, such as plan.
    """
    print(read_schema(verb), end="")
    return 0
