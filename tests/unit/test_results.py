"""What every result can do: text, HTML, frame, plain JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import numpy as np
import pytest

from dmoa_theory import Constraints, MoA, Network, ServiceTime, System, __version__, latency, optimise, stability_region
from dmoa_theory.optimisation.plan import make_plan
from dmoa_theory.results import Result, Source, Table, jsonable

MAKERS: list[Callable[[System], Result]] = [stability_region, latency, optimise, make_plan]


def _system(rate: float = 0.002) -> System:
    return System(
        network=Network.from_links(3, [0, 1, 2, 0], [1, 2, 0, 2], names=("<b>bold</b>", "a & b", 'c"')),
        arrival_rate=rate,
        service=ServiceTime.exponential(20.0),
        moa=MoA(1, 1),
        constraints=Constraints(),
        title="<i>three</i>",
    )


@pytest.fixture(params=MAKERS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[System], Result]:
    maker: Callable[[System], Result] = request.param
    return maker


def test_the_text_is_the_table(make: Callable[[System], Result]) -> None:
    result = make(_system())
    lines = repr(result).splitlines()
    table = result.table()
    assert repr(result) == str(table)
    assert lines[0] == table.caption
    assert len(lines) == 2 + len(table.rows)
    assert all(head in lines[1] for head in table.heads)


def test_html_is_escaped(make: Callable[[System], Result]) -> None:
    result = make(_system())
    shown = result._repr_html_()
    assert shown.startswith("<table><caption>")
    assert shown.endswith("</table>")
    assert shown.count("<tr>") == shown.count("</tr>") == 1 + len(result.table().rows)
    assert "<b>" not in shown
    assert "a & b" not in shown
    if result.verb in {"region", "latency"}:
        assert "&lt;b&gt;bold&lt;/b&gt;" in shown
        assert "a &amp; b" in shown


def test_the_frame_holds_plain_numbers(make: Callable[[System], Result]) -> None:
    """As many rows as the table has, figures as numbers, and units in the names of the columns."""
    result = make(_system())
    frame = result.to_frame()
    assert len(frame) == len(result.records())
    units = [name for name in frame.columns if name.endswith(("_s", "_per_s")) or name in {"utilisation", "accuracy"}]
    assert units
    assert all(frame[name].dtype.kind == "f" for name in units)


def test_frames_agree_with_the_results() -> None:
    system = _system()
    region, estimate, decision = stability_region(system), latency(system), optimise(system)
    np.testing.assert_array_equal(region.to_frame()["utilisation"], region.utilisation)
    np.testing.assert_array_equal(region.to_frame()["critical_rate_per_s"], region.critical_rate)
    assert estimate.to_frame()["p95_s"].tolist() == [estimate.p95, *estimate.user_p95]
    assert [row["mean_wait_s"] for row in estimate.device_records()] == estimate.wait_mean.tolist()
    frame = decision.to_frame()
    assert decision.choice is not None
    assert frame[frame["choice"]][["M", "k"]].to_numpy().tolist() == [[decision.choice.M, decision.choice.k]]


@pytest.mark.parametrize("rate", [0.002, 0.5])
def test_the_dictionary_is_plain_json(make: Callable[[System], Result], rate: float) -> None:
    """Stable or not: no numpy, no NaN, no infinity; the head first; a copy every time."""
    result = make(_system(rate))
    document = result.to_dict()
    assert list(document)[:3] == ["schema", "version", "source"]
    assert document["schema"] == f"dmoa/{result.verb}/1"
    assert document["version"] == __version__
    assert document["source"] == result.source.value
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    document.clear()
    assert result.to_dict()["schema"]


def test_sources_are_honest() -> None:
    sources = {make(_system()).verb: make(_system()).source for make in MAKERS}
    assert sources == {
        "region": Source.EXACT,
        "latency": Source.APPROXIMATION,
        "optimise": Source.APPROXIMATION,
        "plan": Source.APPROXIMATION,
    }


def test_large_networks_are_cut_short() -> None:
    n = 40
    ring = [(u + 1) % n for u in range(n)]
    system = System(
        network=Network.from_links(n, list(range(n)), ring),
        arrival_rate=np.linspace(0.001, 0.002, n),
        service=ServiceTime.exponential(20.0),
        moa=MoA(1, 1),
    )
    region = stability_region(system)
    assert len(region.table().rows) == 12
    assert "12 busiest of 40" in region.table().caption
    assert region.bottleneck.name in str(region)
    assert len(region.to_dict()["utilisation"]) == n


class _Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (math.nan, None),
        (-math.inf, None),
        (np.float64("inf"), None),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.array([[1.0, np.nan], [2.0, np.inf]]), [[1.0, None], [2.0, None]]),
        (np.array(2.0), 2.0),
        ((1, (2.0, math.nan)), [1, [2.0, None]]),
        ({1: {"x": math.inf}}, {"1": {"x": None}}),
        (_Colour.RED, "red"),
        (None, None),
        ("text", "text"),
        (True, True),
    ],
)
def test_plain_values(value: Any, plain: Any) -> None:
    found = jsonable(value)
    assert found == plain
    assert type(found) is type(plain)


def test_tables_are_aligned() -> None:
    table = Table("caption", ("device", "load"), (("a", "9.5 %"), ("much longer", "10.5 %")))
    assert str(table) == "caption\ndevice         load\na             9.5 %\nmuch longer  10.5 %"
    assert table.to_html().count("<td>") == 4
    assert table._repr_html_() == table.to_html()
