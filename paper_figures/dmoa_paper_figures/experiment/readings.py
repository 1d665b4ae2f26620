"""Readings of the tables: which service times lie behind them, with the numbers that each reading leaves to be estimated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from dmoa_paper_figures.experiment.service import ServiceTimes
from dmoa_paper_figures.published import DEVICES
from dmoa_theory.model.checks import FloatArray

__all__ = ["READINGS", "WEIGHTS", "Reading"]

_N = len(DEVICES)
#: Weights of the four models in GB, two bytes a parameter: 72, 70, 141 and 132 thousand million parameters.
WEIGHTS = (144.0, 140.0, 282.0, 264.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a table is taken to be made of.

    Attributes
    ----------
    name : str
    words : str
        What is assumed, for a report.
    parameters : tuple of str
        What is estimated, each a positive number.
    start : tuple of float
        Where the search begins.
    times : callable
        From the parameters and an SCV to service times.
    loading : bool
        Whether times contain the loading of models.
    """

    name: str
    words: str
    parameters: tuple[str, ...]
    start: tuple[float, ...]
    times: Callable[[FloatArray, float], ServiceTimes]
    loading: bool = False


def _alike(values: FloatArray, scv: float) -> ServiceTimes:
    return ServiceTimes(mean=(float(values[0]),) * _N, scv=scv)


def _alike_stages(values: FloatArray, scv: float) -> ServiceTimes:
    return ServiceTimes(mean=(float(values[0]),) * _N, scv=scv, multiplier=(1.0, float(values[1]), float(values[2])))


def _by_device(values: FloatArray, scv: float) -> ServiceTimes:
    return ServiceTimes(mean=tuple(values[:_N].tolist()), scv=scv)


def _by_device_stages(values: FloatArray, scv: float) -> ServiceTimes:
    multiplier = (1.0, float(values[_N]), float(values[_N + 1]))
    return ServiceTimes(mean=tuple(values[:_N].tolist()), scv=scv, multiplier=multiplier)


def _one_load(values: FloatArray, scv: float) -> ServiceTimes:
    return ServiceTimes(mean=(float(values[0]),) * _N, scv=scv, load=(float(values[1]),) * _N)


def _load_by_size(values: FloatArray, scv: float) -> ServiceTimes:
    load = tuple((np.array(WEIGHTS) / values[1]).tolist())
    return ServiceTimes(mean=(float(values[0]),) * _N, scv=scv, load=load)


def _load_by_device(values: FloatArray, scv: float) -> ServiceTimes:
    return ServiceTimes(mean=(float(values[0]),) * _N, scv=scv, load=tuple(values[1:].tolist()))


def _device_and_size(values: FloatArray, scv: float) -> ServiceTimes:
    load = tuple((np.array(WEIGHTS) / values[_N]).tolist())
    return ServiceTimes(mean=tuple(values[:_N].tolist()), scv=scv, load=load)


_MEANS = tuple(f"alpha of {name}, s" for name in DEVICES)
_LOADS = tuple(f"loading of {name}, s" for name in DEVICES)

READINGS: Mapping[str, Reading] = MappingProxyType(
    {
        reading.name: reading
        for reading in (
            Reading(
                name="alike",
                words="all devices and stages alike, no loading",
                parameters=("alpha, s",),
                start=(50.0,),
                times=_alike,
            ),
            Reading(
                name="alike, stages",
                words="all devices alike, stages of their own, no loading",
                parameters=("alpha, s", "later layers, times", "aggregation, times"),
                start=(46.0, 1.0, 1.0),
                times=_alike_stages,
            ),
            Reading(
                name="devices",
                words="a mean for each device, no loading",
                parameters=_MEANS,
                start=(100.0, 110.0, 120.0, 80.0),
                times=_by_device,
            ),
            Reading(
                name="devices, stages",
                words="a mean for each device, stages of their own, no loading",
                parameters=(*_MEANS, "later layers, times", "aggregation, times"),
                start=(100.0, 110.0, 120.0, 80.0, 1.0, 1.0),
                times=_by_device_stages,
            ),
            Reading(
                name="one load",
                words="all devices alike, each model takes the same time to load",
                parameters=("alpha, s", "loading, s"),
                start=(60.0, 150.0),
                times=_one_load,
                loading=True,
            ),
            Reading(
                name="load by size",
                words="all devices alike, models load in proportion to their weights",
                parameters=("alpha, s", "loading rate, GB/s"),
                start=(60.0, 1.0),
                times=_load_by_size,
                loading=True,
            ),
            Reading(
                name="loads",
                words="all devices alike, a loading time for each model",
                parameters=("alpha, s", *_LOADS),
                start=(55.0, 150.0, 100.0, 200.0, 300.0),
                times=_load_by_device,
                loading=True,
            ),
            Reading(
                name="devices, load by size",
                words="a mean for each device, models load in proportion to their weights",
                parameters=(*_MEANS, "loading rate, GB/s"),
                start=(60.0, 60.0, 60.0, 60.0, 1.0),
                times=_device_and_size,
                loading=True,
            ),
        )
    }
)
"""By name."""
