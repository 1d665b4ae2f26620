"""Every error that dmoa raises on purpose.

Each derives from :class:`DmoaError` and from the built-in that a caller would expect, so both
``except DmoaError`` and ``except ValueError`` work. Messages are one line: where, what, value, and what is allowed.
"""

from __future__ import annotations

from pathlib import PurePath

__all__ = [
    "BackendUnavailableError",
    "CalibrationError",
    "DmoaError",
    "InfeasiblePlanError",
    "InputError",
    "ProfileError",
    "TopologyError",
    "UnstableSystemError",
]

_LONGEST_VALUE = 60


class DmoaError(Exception):
    """Base of every error that dmoa raises on purpose."""


class InputError(DmoaError, ValueError):
    """A value that was given is not allowed.

    Parameters
    ----------
    field : str
        What the value was given for, such as ``"moa.k"`` or ``"rate[3]"``.
    value : object
        The offending value; ``InputError.MISSING`` where nothing was given.
    allowed : str
        What would have been accepted, or how to mend it.
    file : str, optional
        The file the value stands in.

    Examples
    --------
    >>> from dmoa_theory import InputError
    >>> print(InputError("moa.k", 7, "an integer from 0 to 3", file="office.toml"))
    office.toml: moa.k = 7: an integer from 0 to 3
    """

    MISSING = object()

    def __init__(self, field: str, value: object, allowed: str, *, file: str | None = None) -> None:
        super().__init__(field, value, allowed, file)
        self.field = field
        self.value = value
        self.allowed = allowed
        self.file = file

    def __str__(self) -> str:
        """One line: file, field, value, what is allowed."""
        where = f"{self.file}: " if self.file else ""
        if self.value is InputError.MISSING:
            return f"{where}{self.field} is missing: {self.allowed}" if self.field else f"{where}{self.allowed}"
        shown = " ".join(str(self.value).split()) or '""'
        if len(shown) > _LONGEST_VALUE and not isinstance(self.value, PurePath):  # a path says most at its end
            shown = shown[: _LONGEST_VALUE - 3] + "..."
        return f"{where}{self.field} = {shown}: {self.allowed}" if self.field else f"{where}{shown}: {self.allowed}"

    def located(self, *, field: str | None = None, file: str | None = None) -> InputError:
        """The same complaint with the field renamed or the file filled in."""
        return type(self)(field or self.field, self.value, self.allowed, file=file or self.file)


class TopologyError(InputError):
    """A network or a network file is not usable."""


class ProfileError(InputError):
    """A measured service-time profile is not readable or not usable."""


class UnstableSystemError(DmoaError, ValueError):
    """A stationary quantity was asked of a system whose queues grow without bound.

    Parameters
    ----------
    device : str
        The busiest device.
    utilisation : float
        Its load, at least one.
    critical_scale : float
        Factor on all arrival rates below which every queue stays bounded.
    """

    def __init__(self, device: str, utilisation: float, critical_scale: float) -> None:
        super().__init__(device, utilisation, critical_scale)
        self.device = device
        self.utilisation = utilisation
        self.critical_scale = critical_scale

    def __str__(self) -> str:
        """One line: which device, by how much, and the largest load that works."""
        return (
            f"unstable: {self.device} is asked for {self.utilisation:.4g} seconds of work a second; "
            f"queues stay bounded when all rates are scaled by less than {self.critical_scale:.4g}"
        )


class InfeasiblePlanError(DmoaError, ValueError):
    """No configuration meets every limit; ``conflicts`` holds one sentence for each limit in the way."""

    def __init__(self, conflicts: tuple[str, ...]) -> None:
        super().__init__(*conflicts)
        self.conflicts = conflicts

    def __str__(self) -> str:
        """The limits that are in the way, on one line."""
        return "no configuration meets every limit: " + "; ".join(self.conflicts)


class CalibrationError(DmoaError, RuntimeError):
    """A measurement failed or says too little to fit a service-time model."""


class BackendUnavailableError(DmoaError, ImportError):
    """An inference engine is not installed.

    Examples
    --------
    >>> from dmoa_theory.errors import BackendUnavailableError
    >>> print(BackendUnavailableError("transformers", "transformers"))
    the transformers backend is not installed; mend it with: pip install 'dmoa[transformers]'
    """

    def __init__(self, backend: str, extra: str) -> None:
        super().__init__(backend, extra)
        self.backend = backend
        self.extra = extra

    def __str__(self) -> str:
        """The engine, and the command that installs it."""
        return f"the {self.backend} backend is not installed; mend it with: pip install 'dmoa[{self.extra}]'"
