"""A table on the terminal while a live network runs: queues, work in progress, latency."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dmoa_theory.model.units import show_bytes
from dmoa_theory.quantities import show_seconds

if TYPE_CHECKING:
    from rich.table import Table

    from dmoa_calibration.testbed.drive import Snapshot
    from dmoa_theory.model.system import System

__all__ = ["live_table", "snapshot_table"]

_SHOWN = 16
#: Snapshots that the little curves are drawn of.
_KEPT = 40
#: Place of those among the columns.
_CURVE = 3
_BLOCKS = " ▁▂▃▄▅▆▇█"


@contextmanager
def live_table(system: System, prompts: int) -> Iterator[tuple[Callable[[Snapshot], None], Callable[[str], None]]]:
    """A table on standard error that follows the network until the end of the ``with`` block, and is gone then.

    What it gives takes snapshots, and the address of a page that is then named above the table, once.

    Parameters
    ----------
    system : System
    prompts : int
        That will be sent.
    """
    from rich.console import Console
    from rich.live import Live

    seen: deque[Snapshot] = deque(maxlen=_KEPT)
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:

        def watch(snapshot: Snapshot) -> None:
            seen.append(snapshot)
            live.update(snapshot_table(system, prompts, list(seen), width=live.console.width), refresh=True)

        def note(address: str) -> None:
            said = f"The page of {system.network.name(0)}, for this run only: {address}"
            live.console.print(said, markup=False, highlight=False, soft_wrap=True)

        yield watch, note


def snapshot_table(system: System, prompts: int, seen: list[Snapshot], *, width: int = 120) -> Table:
    """The network as it is, and its queues as they were in the last snapshots.

    Parameters
    ----------
    system : System
    prompts : int
    seen : list of Snapshot
        The last one is now; at least one.
    width : int
        Columns of the terminal: what matters least is left out where they are few.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    now = seen[-1]
    recent = show_seconds(now.recent) if now.recent == now.recent else "-"
    refused = f", {now.refused:,} refused" if now.refused else ""
    title = (
        f"{max(now.time, 0.0):.0f} s: {now.sent:,} of {prompts:,} prompts sent, {now.answered:,} answered{refused}, "
        f"{max(now.sent - now.answered - now.refused, 0):,} under way; the last took {recent}"
    )
    words = Text(title, style="bold")
    table = Table(box=box.SIMPLE_HEAD, title=words, title_justify="left", pad_edge=False, min_width=min(len(title), width))
    heads = ("device", "works", "waiting", "queue so far", "own prompts", "served", "memory")
    wide = [max(len(system.network.name(d)) for d in range(system.n_devices)), 5, 7, 12, 11, 6, 8]
    shown = _columns_that_fit(wide, width)
    for place in shown:
        table.add_column(heads[place], justify="left" if place in {0, _CURVE} else "right", no_wrap=True)
    curve = max(min(_KEPT, width - sum(wide[place] + 3 for place in shown if place != _CURVE) - 2), 4)
    order = sorted(range(system.n_devices), key=lambda d: -now.waiting[d])[:_SHOWN] if system.n_devices > _SHOWN else None
    for d in range(system.n_devices) if order is None else order:
        resident = now.resident[d]
        cells = (
            system.network.name(d),
            "●" if now.in_service[d] else "·",
            f"{now.waiting[d]:,}",
            sparkline([snapshot.waiting[d] + snapshot.in_service[d] for snapshot in seen[-curve:]]),
            f"{now.open_prompts[d]:,}",
            f"{now.served[d]:,}",
            "-" if resident is None else show_bytes(resident),
        )
        table.add_row(*(Text(cells[place]) for place in shown))
    return table


def _columns_that_fit(wide: list[int], width: int) -> list[int]:
    """Places of the columns to show: those that tell least go first (memory, own prompts, the curve, served)."""
    shown = list(range(len(wide)))
    for place in (6, 4, _CURVE, 5):
        if sum(wide[each] + 3 for each in shown) - 3 > width:
            shown.remove(place)
    return shown


def sparkline(values: list[int]) -> str:
    """A row of blocks as high as the numbers.

    Examples
    --------
    >>> sparkline([0, 1, 2, 4])
    ' ▂▄█'
    """
    top = max(max(values), 1)
    return "".join(_BLOCKS[round(value / top * (len(_BLOCKS) - 1))] for value in values)
