"""The largest rate of a family, from its derived loads, at given sizes: closed forms as numbers to draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy  # type: ignore[import-untyped]

from dmoa_theory.errors import InputError
from dmoa_theory.symbolic import symbols
from dmoa_theory.symbolic.families import family_pattern
from dmoa_theory.symbolic.stability import device_load

__all__ = ["family_rate"]


def family_rate(family: str, **values: Any) -> Any:
    """Exact (random families: an approximation): largest rate of every user times the mean service time.

    Parameters
    ----------
    family : str
        One of :data:`~dmoa_theory.symbolic.families.FAMILIES`.
    **values : numbers or arrays
        ``M``, ``k``, and the sizes that the loads hold, such as ``n``.

    Returns
    -------
    ndarray
        One over the largest load of any role at unit rate and unit mean service time.

    Raises
    ------
    InputError
        When a size is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from dmoa_theory.symbolic.family_rates import family_rate
    >>> float(family_rate("star", M=1, k=1, n=10)), family_rate("complete", M=2, k=np.array([0, 1])).round(4).tolist()
    (0.09090909090909091, [0.3333, 0.2])
    """
    pattern = family_pattern(family)
    loads = []
    for place in range(len(pattern.roles)):
        value = device_load(pattern, place).subs({symbols.alpha: 1, symbols.lam: 1})
        letters = sorted(value.free_symbols, key=str)
        absent = [str(letter) for letter in letters if str(letter) not in values]
        if absent:
            raise InputError(absent[0], InputError.MISSING, "a number, or an array of numbers")
        given = [np.asarray(values[str(letter)], dtype=np.float64) for letter in letters]
        loads.append(np.asarray(sympy.lambdify(letters, value, modules="numpy")(*given), dtype=np.float64))
    return 1 / np.maximum.reduce(np.broadcast_arrays(*loads))
