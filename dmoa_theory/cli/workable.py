"""A scenario whose own k is too large for some user: read all the same, where another k will be chosen anyway."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmoa_theory.cli.options import Options
from dmoa_theory.errors import InputError

if TYPE_CHECKING:
    from dmoa_theory.model.scenario_file import MoaSection
    from dmoa_theory.model.system import System

__all__ = ["workable_system"]

_OF_K = re.compile(r"(moa\.)?k(\[\d+\])?")


def workable_system(options: Options, scenario: Path | None, further: Iterable[str] = ()) -> tuple[System, str]:
    """The scenario; where a user has fewer neighbours than its k, with what each can ask, and a sentence that says so.

    Parameters
    ----------
    options : Options
    scenario : Path or None
    further : iterable of str
        Overrides after those of the options.
    """
    given = replace(options, set=[*options.set, *further])
    try:
        return given.system(scenario), ""
    except InputError as error:
        if not _OF_K.fullmatch(error.field) or not isinstance(error.value, int):
            raise
        try:
            return _clipped(given, scenario, error)
        except InputError:
            raise error from None


def _clipped(options: Options, scenario: Path | None, error: InputError) -> tuple[System, str]:
    alone = replace(options, set=[*options.set, "moa.k=0"]).system(scenario)
    section = _section(options, scenario)
    wanted, choice = np.asarray(section.k), alone.choice_size()
    users = alone.rates > 0
    if wanted.ndim == 0:
        k: Any = min(int(wanted), int(choice[users].min()))
        said = f"k={k}"
    else:
        k, said = np.minimum(wanted, choice), "as many as each user has"
    system = replace(alone, moa=replace(alone.moa, M=section.M, k=k))
    return (
        system,
        f"the scenario's k = {error.value} asks for more neighbours than some user has, and is not used: (M, k) is chosen "
        f"among those that every user can run, and what is shown of the scenario's own is with {said}",
    )


def _section(options: Options, scenario: Path | None) -> MoaSection:
    """What the scenario says of M and k, overrides included."""
    from importlib import resources

    from dmoa_theory.model.scenario import EXAMPLE
    from dmoa_theory.model.scenario_file import read_scenario_file

    if scenario is not None:
        return read_scenario_file(scenario, options.set).moa
    with resources.as_file(resources.files("dmoa_theory").joinpath("data", EXAMPLE)) as bundled:
        return read_scenario_file(bundled, options.set).moa
