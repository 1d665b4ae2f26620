"""Pictures of results: each function takes a result and returns the matplotlib Axes it drew on."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dmoa_theory.plots.choice import plot_choice
    from dmoa_theory.plots.latency import plot_latency
    from dmoa_theory.plots.network import plot_network
    from dmoa_theory.plots.overview import plot_plan
    from dmoa_theory.plots.region import plot_section, plot_utilisation
    from dmoa_theory.plots.style import house_style, save

__all__ = [
    "house_style",
    "plot_choice",
    "plot_latency",
    "plot_network",
    "plot_plan",
    "plot_section",
    "plot_utilisation",
    "save",
]

_HOME = {
    "house_style": "style",
    "plot_choice": "choice",
    "plot_latency": "latency",
    "plot_network": "network",
    "plot_plan": "overview",
    "plot_section": "region",
    "plot_utilisation": "region",
    "save": "style",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
