"""Replications on a Dask cluster, through joblib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dmoa_theory.errors import BackendUnavailableError, InputError

__all__ = ["on_cluster"]

_PATIENCE = 3.0


@contextmanager
def on_cluster(scheduler: str) -> Iterator[None]:
    """Let joblib send its work to the workers of a running Dask scheduler.

    Parameters
    ----------
    scheduler : str
        Its address, such as ``"tcp://127.0.0.1:8786"``.

    Raises
    ------
    BackendUnavailableError
        When Dask is not installed.
    InputError
        When no scheduler answers there, it has no workers, or these lack dmoa.
    """
    try:
        from dask.distributed import Client
    except ImportError:
        raise BackendUnavailableError("Dask cluster", "cluster") from None
    from joblib import parallel_config

    try:
        client = Client(scheduler, timeout=_PATIENCE, set_as_default=True)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError):
        raise InputError(
            "scheduler", scheduler, "the address of a running Dask scheduler, such as tcp://127.0.0.1:8786"
        ) from None
    try:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise InputError("scheduler", scheduler, "a scheduler that has workers: this one has none") from None
        try:
            with parallel_config(backend="dask"):
                yield
        except ImportError as error:
            allowed = f"a scheduler whose workers have this dmoa installed ({error})"
            raise InputError("scheduler", scheduler, allowed) from None
    finally:
        client.close()  # type: ignore[no-untyped-call]
