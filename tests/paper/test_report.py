"""`dmoa reproduce`: every item, its pictures, the report in both formats, the JSON contract."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from matplotlib.figure import Figure

from dmoa_paper_figures.items import boundary, capacity_gain, figure_2, figure_4, prompt_growth, queue_metric, theorem_1
from dmoa_paper_figures.outcome import Check, Outcome, Row
from dmoa_paper_figures.registry import ITEMS, select
from dmoa_paper_figures.report import as_html, as_markdown
from dmoa_paper_figures.reproduction import reproduce_items
from dmoa_paper_figures.settings import Settings
from dmoa_theory.cli.reproduce import reproduce
from dmoa_theory.cli.schema import read_schema
from dmoa_theory.errors import InputError
from dmoa_theory.symbolic.symbols import M, alpha, k, lam

QUICK = Settings(quick=True)
OUT = Path(__file__).parents[2] / "paper_figures" / "out"
#: Items that need no fit, and little time.
LIGHT = ("figure-1", "figure-2", "figure-3", "figure-4", "boundary", "prompt-growth")


def _validated(text: str) -> Any:
    document, schema = json.loads(text), json.loads(read_schema("reproduce"))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    return document


@pytest.mark.parametrize("name", LIGHT)
def test_an_item_says_what_how_and_what_not(name: str) -> None:
    """Every exact check agrees, random ones within four of their errors, and every picture can be drawn."""
    outcome = ITEMS[name].reproduce(QUICK)
    assert outcome.published
    assert outcome.how
    assert outcome.findings
    for check in outcome.checks:
        if check.expected is None or "differs" in check.against:
            continue
        room = 1e-9 if check.ci95 is None else 4 * check.ci95 / 1.96
        assert abs(check.reproduced - check.expected) <= room, check
    for picture in outcome.pictures:
        drawn = picture.draw()
        figure = drawn if isinstance(drawn, Figure) else drawn.figure
        assert isinstance(figure, Figure)
        assert figure.axes
        assert any(axes.has_data() or axes.texts for axes in figure.axes)


def test_the_derivation_ends_in_the_theorem() -> None:
    """Equation 5 as the paper has it: the last but one step is the inequality, in the symbols of the paper."""
    formulas = theorem_1._formulas()
    derived = theorem_1.derive_theorem_one().find("load")
    assert (derived - alpha * ((k + 1) * M + 1) * lam).expand() == 0
    assert len(formulas) == 8
    assert all(formula.latex and formula.text and formula.reason for formula in formulas)


def test_queues_grow_on_the_right_side_of_the_boundary_only() -> None:
    """M=1, k=1: no growth at 0.95 within four errors, and the fluid limit's at 1.5."""
    from dmoa_paper_figures.experiment.growth import growth_of
    from dmoa_theory import overload

    below, above = (growth_of(theorem_1.system_at(1, 1, load), QUICK, 3, 1, step) for step, load in enumerate((0.95, 1.5)))
    assert abs(below.mean_rate) < 4 * below.mean_half_width / 1.96
    theory = float(overload(theorem_1.system_at(1, 1, 1.5)).growth_rate.mean())
    assert above.mean_rate == pytest.approx(theory, abs=4 * above.mean_half_width / 1.96)
    assert above.mean_rate > 0.2


def test_a_moment_of_a_run_is_what_the_simulator_counts() -> None:
    trajectory = figure_2.run()
    for time in (3.0, 50.5, 111.1):
        moment = figure_2.moment_of(trajectory, time)
        assert [len(w) for w in moment.waiting] == trajectory.waiting.counts([time])[0].tolist()
        assert [int(s is not None) for s in moment.served] == trajectory.in_service.counts([time])[0].tolist()
    assert set(figure_4.sources()) == set(range(5))


def test_the_published_queue_figure_in_steady_state() -> None:
    """rho Lq + lambda^2 E[S^2] of M/M/1 is (2 - rho) Lq, and a long run agrees within four errors."""
    for load in (0.1, 0.5, 0.9):
        published, usual = queue_metric.in_steady_state(load)
        assert published == pytest.approx((2 - load) * usual)
    for load, value, half, _ in queue_metric._long_runs(QUICK)[:2]:
        assert abs(value - queue_metric.in_steady_state(load)[0]) < 4 * half / 1.96 + 1e-12


def test_boundaries() -> None:
    """Theorem 1 over (M, k) on the complete network; other networks never carry more; longer prompts never help."""
    values = boundary.surface()
    rows, columns = np.indices(values.shape)
    assert values == pytest.approx(1 / ((columns + 1) * rows + 1))
    carried = dict(boundary._by_topology())
    assert carried["star"] == min(carried.values())
    assert max(carried.values()) == pytest.approx(carried["complete"])
    for _, _, theorem, true in prompt_growth.boundaries():
        assert true < theorem
    gains = [case.found.gain for case in capacity_gain.cases()]
    assert gains[0] == pytest.approx(0, abs=1e-9)
    assert gains[-1] == pytest.approx(0, abs=1e-9)
    assert max(gains) > 1


def test_report_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb writes report, JSON, and each picture twice; the JSON keeps its schema, and its bytes."""
    out = tmp_path / "new" / "folder"
    assert reproduce("figure-3", "figure-1", quick=True, json=True, out=str(out)) == 0
    printed = capsys.readouterr().out
    document = _validated(printed)
    assert [item["name"] for item in document["items"]] == ["figure-1", "figure-3"]
    assert document["rows"] == []
    assert (out / "reproduce.json").read_text(encoding="utf-8") == printed
    assert sorted(path.name for path in (out / "figures").iterdir()) == [
        f"{name}.{kind}" for name in ("figure-1", "figure-3") for kind in ("pdf", "png")
    ]
    page, text = ((out / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    for report in (page, text):
        for name in ("figure-1", "figure-3"):
            assert ITEMS[name].title in report
            assert f"figures/{name}.png" in report
        assert "dmoa reproduce figure-1 figure-3 --quick --seed 2024" in report
    assert reproduce("figure-3", "figure-1", quick=True, json=True) == 0
    assert capsys.readouterr().out == printed


def test_the_terminal_gets_a_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert reproduce("figure-3", quick=True) == 0
    assert "700" in capsys.readouterr().out
    assert reproduce(list_items=True) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ITEMS)


@pytest.mark.parametrize("wrong", ["tabel-1", "", "table 1", "items"])
def test_an_unknown_item_is_refused(wrong: str) -> None:
    with pytest.raises(InputError, match=r"ITEM = .*one of figure-1"):
        reproduce(wrong)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InputError, match="--seed = -1"):
        reproduce("figure-3", seed=-1)


def test_items_come_in_the_order_of_the_report() -> None:
    assert [item.name for item in select(["table-2", "figure-1", "table-2"])] == ["figure-1", "table-2"]
    assert [item.name for item in select([])] == list(ITEMS)
    assert sum(item.of_paper for item in ITEMS.values()) == 8


def _row(quantity: str) -> Row:
    return Row(
        item="table-1",
        table="I",
        M=1,
        k=1,
        quantity=quantity,
        published=4.0,
        reproduced=5.0,
        ci95=0.1,
        run_deviation=1.0,
        share_below=0.2,
        predicted=3.0,
        predicted_deviation=0.2,
        time_average=2.0 if quantity == "queue" else None,
    )


def test_rows_keep_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, differences, and texts that would break a table or a page."""
    outcome = Outcome(
        published="a < b & c | d",
        how=("x * y",),
        findings=("one", "two"),
        rows=(_row("latency"), _row("queue")),
        checks=(Check(quantity="q|r", unit="s", expected=None, reproduced=1.0, ci95=None, against="<theory>"),),
    )
    make: Callable[[Any, Settings], Outcome] = lambda self, settings: outcome  # noqa: E731
    monkeypatch.setattr("dmoa_paper_figures.registry.Item.reproduce", make)
    result = reproduce_items(["table-1"], QUICK)
    document = _validated(json.dumps(result.to_dict(), allow_nan=False))
    latency, queue = document["rows"]
    assert (latency["difference"], latency["predicted_difference"]) == (0.25, -0.25)
    assert (latency["unit"], latency["time_average"], queue["unit"], queue["time_average"]) == ("s", None, "queries", 2.0)
    assert "a &lt; b &amp; c | d" in as_html(result)
    assert "a &lt; b & c \\| d" in as_markdown(result)
    assert "q\\|r" in as_markdown(result)


@pytest.mark.parametrize("name", LIGHT)
def test_committed_figures_that_are_not_random_come_out_again(name: str) -> None:
    document = json.loads((OUT / "reproduce.json").read_text(encoding="utf-8"))
    committed = next(item for item in document["items"] if item["name"] == name)
    checks = ITEMS[name].reproduce(QUICK).checks
    assert [check.quantity for check in checks] == [check["quantity"] for check in committed["checks"]]
    for ours, theirs in zip(checks, committed["checks"], strict=True):
        if ours.ci95 is None:
            assert ours.reproduced == pytest.approx(theirs["reproduced"], rel=1e-9, abs=1e-12)


def test_what_is_committed_is_whole() -> None:
    """The committed report holds every item, all its pictures, light enough for a repository, and its own numbers."""
    document = _validated((OUT / "reproduce.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in document["items"]] == list(ITEMS)
    assert not document["quick"]
    names = {picture["name"] for item in document["items"] for picture in item["pictures"]}
    assert {path.name for path in (OUT / "figures").iterdir()} == {
        f"{name}.{kind}" for name in names for kind in ("png", "pdf")
    }
    assert max(path.stat().st_size for path in (OUT / "figures").iterdir()) < 160_000
    page, text = ((OUT / f"report.{kind}").read_text(encoding="utf-8") for kind in ("html", "md"))
    for item in document["items"]:
        assert item["title"] in text
        assert f'id="{item["name"]}"' in page
    for row in document["rows"]:
        assert row["quantity"] in {"latency", "queue"}
    assert len(document["rows"]) == 28
