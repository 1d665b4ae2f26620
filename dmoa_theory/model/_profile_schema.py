"""The profile file's shape, checked with pydantic; a module of its own so that only reading a profile loads pydantic.

Types and presence are checked here; rules between values stand in :mod:`dmoa_theory.model.profile`. Keys that are not listed
are let through, so that a file of a later version with more to say can still be read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = ["ProfileFile"]


def _with_time_zone(text: str) -> str:
    """Refuse what is not an ISO 8601 date and time with its time zone."""
    try:
        zone = datetime.fromisoformat(text).tzinfo
    except ValueError:
        zone = None
    if zone is None:
        raise ValueError("an ISO 8601 date and time with its zone, such as 2026-11-23T04:00:00+00:00")
    return text


Timestamp = Annotated[str, AfterValidator(_with_time_zone)]
Name = Annotated[str, Field(min_length=1)]
Amount = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Bytes = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """No coercion ("3" is not 3), no infinities, unknown keys ignored."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="ignore", frozen=True)


class _Hardware(_Part):
    cpu_model: Name
    n_cores: Count | None
    isa: list[str]
    mem_total_bytes: Bytes | None
    accelerator: str | None


class _Runtime(_Part):
    backend: Name
    backend_version: str
    n_threads: Count | None
    dtype: str
    kv_type: str
    n_ctx: Count | None


class _Model(_Part):
    name: Name
    arch: str
    n_params: Count | None
    weight_bytes: Bytes | None
    random_weights: bool
    n_layers: Count | None
    n_kv_heads: Count | None
    head_dim: Count | None


class _Memory(_Part):
    weight_bytes: Bytes | None
    kv_bytes_per_token: Amount | None
    peak_rss_bytes: Bytes | None
    load_time_s: Amount | None


class _Sample(_Part):
    prompt_tokens: Count
    output_tokens: Count
    cached_tokens: Annotated[int, Field(ge=0)]
    time_to_first_token_ms: Amount
    decode_ms: Amount
    inter_token_latency_ms: Amount | None
    request_latency_ms: Amount
    cpu_ms: Amount | None


class _Fit(_Part):
    clock: Literal["wall", "cpu"]
    c0: Amount
    c1: Amount
    c2: Amount
    d0: Amount
    d1: Amount
    p_range: tuple[Count, Count]
    o_range: tuple[Count, Count]
    median_rel_err: Amount
    max_rel_err: Amount
    loo_median_rel_err: Amount
    loo_max_rel_err: Amount | None = None  # not in older files
    cov: list[list[float]]


class _Quality(_Part):
    median_cpu_wall_ratio: Amount | None
    contended: bool


class ProfileFile(_Part):
    """A whole profile file."""

    schema_name: Annotated[Literal["dmoa/profile"], Field(alias="schema")]
    schema_version: Literal[1]
    version: str
    source: Literal["measured"]
    created: Timestamp
    hardware: _Hardware
    runtime: _Runtime
    model: _Model
    memory: _Memory
    samples: list[_Sample]
    fit: _Fit
    quality: _Quality
