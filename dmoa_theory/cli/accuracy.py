"""``dmoa accuracy``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table
from dmoa_theory.errors import InputError
from dmoa_theory.results import Table

if TYPE_CHECKING:
    from dmoa_theory.accuracy.assessment import Assessment, TableAssessment
    from dmoa_theory.accuracy.gains import GainModel
    from dmoa_theory.accuracy.measured import AccuracyTable

__all__ = ["accuracy"]

#: Of a file with more tables than this only the first are reported one by one.
_MOST_TABLES = 8


def accuracy(
    table: str | None = None,
    /,
    *,
    points: Annotated[
        float | None, Parameter(help="Accuracy, in points, that one gives up for fewer inferences; default 2.")
    ] = None,
    held_out: Annotated[
        bool, Parameter(name="--held-out", negative="", help="Predict each figure from the others too (takes seconds).")
    ] = False,
    list_bundled: Annotated[
        bool, Parameter(name="--list", negative="", help="List the bundled data sets, and nothing else.")
    ] = False,
    json: Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object and nothing else.")] = False,
    out: Annotated[str | None, Parameter(name="--out", help="Folder for plots and tables; made if it is not there.")] = None,
) -> int:
    """How accurate is each (M, k), and how sure is that? Figures with errors, a fit with bands, chances of being the best.

    Parameters
    ----------
    table
        A bundled data set (--list names them), or a CSV of your own: M,k,value,n_eval a row, or M,k,prompt_id,score; also
        task, user and mode. Default the paper's, with different models.
    """
    from dmoa_theory.accuracy.assessment import assess
    from dmoa_theory.accuracy.table import DEFAULT_TABLE, read_tables

    given_up = 2.0 if points is None else points
    if not 0 <= given_up <= 100:
        raise InputError("--points", points, "from 0 to 100")
    if list_bundled:
        return _list({"TABLE": table, "--points": points, "--held-out": held_out or None, "--out": out}, json=json)
    chosen = DEFAULT_TABLE if table is None else table
    try:
        tables = read_tables(chosen)
    except InputError as error:
        raise error.located(field="TABLE") if error.field == "accuracy.table" else error from None
    result = assess(tables, name=chosen, epsilon=given_up / 100, held_out=held_out)
    written = None if out is None else _write(result, OutFolder(out))
    if json:
        print_json(result.to_dict())
        return 0
    screen = console()
    if all(part.belief is None for part in result.parts):  # nothing to fit or compare: the figures in one table
        print_lines(screen, _head(result.parts[0].table, result.name))
        print_table(screen, result.figures())
    else:
        for part in result.parts[:_MOST_TABLES]:
            print_lines(screen, _head(part.table, part.table.name))
            print_table(screen, part.as_table())
            print_lines(screen, _lines(part))
        left = len(result.parts) - _MOST_TABLES
        if left > 0:
            print_lines(screen, [f"{left} more table{'s' * (left > 1)}: --json and --out hold them all."])
    if result.gains is not None:
        print_lines(screen, [_gains(result.gains)])
    errors = result.held_out_table()
    if errors is not None:
        print_table(screen, errors)
    print_lines(screen, (f"Beware: {text}." for text in result.warnings()))
    if written is not None:
        print_lines(screen, [str(written)])
    return 0


def _list(others: dict[str, object], *, json: bool) -> int:
    """List what is bundled; beside what would say nothing, refuse."""
    others["--json"] = json or None
    for option, value in others.items():
        if value is not None:
            shown = "given" if value is True else value
            listed = "; bundled in the JSON of any table holds the list" if option == "--json" else ""
            raise InputError(option, shown, f"not beside --list, which only names the bundled data sets{listed}")
    listing, sources = _listing()
    screen = console()
    print_table(screen, listing)
    print_lines(screen, sources)
    return 0


def _head(table: AccuracyTable, name: str) -> Iterator[str]:
    """Where the figures come from."""
    yield f"{name}: {table.source}" if table.source else name
    for what in (table.metric, table.models, table.note):
        if what:
            yield f"  {what}"


def _lines(part: TableAssessment) -> Iterator[str]:
    """What the figures can tell, what to run of them, and how the fit came about."""
    yield part.sentence
    from dmoa_theory.accuracy.surface import FLOOR

    belief, cheapest = part.belief, part.cheapest
    if belief is None or cheapest is None:
        return
    entries = part.table.entries
    top = entries[int(belief.mean.argmax())]
    regret = 100 * float(belief.regret()[belief.index(cheapest.M, cheapest.k)])
    if cheapest is top:
        yield (
            f"Best fitted is {top.name}, and no configuration of fewer inferences comes within {100 * part.epsilon:g} points; "
            f"expected regret {regret:.1f} points."
        )
    else:
        yield (
            f"Best fitted is {top.name}; {cheapest.name} is the cheapest within {100 * part.epsilon:g} points, "
            f"{cheapest.inferences} inference{'s' * (cheapest.inferences > 1)} against {top.inferences}; "
            f"expected regret {regret:.1f} points."
        )
    shapes = ", ".join(f"{name} {100 * weight:.0f} %" for name, weight in belief.shape_weights.items())
    yield f"Fitted: logit A = a + g s(M, k + 1), shapes weighed by the data: {shapes}; {belief.method}."
    own = f"its own deviation of {100 * FLOOR:g} points from the curve"
    yield f"The bands in the table are of single configurations, each with {own}; those in pictures are of the curve alone."
    measured = f"; by the figures and their errors alone (unfitted): {_top(part, part.p_best_as_measured)}"
    by_shape = "; ".join(f"{name} {_top(part, chances)}" for name, chances in part.p_best_by_shape.items())
    if len(entries) > 2:
        yield f"Likeliest to be best, shape by shape: {by_shape}{measured}."


def _gains(model: GainModel) -> str:
    """What quality and diversity of the proposers do."""
    g0, quality, diversity = (f"{mean:.2f} ± {deviation:.2f}" for mean, deviation in model.coefficients().values())
    return (
        f"Gain by covariates: g = ({g0}) + ({quality}) x (proposers' mean quality - own quality) + ({diversity}) x diversity, "
        f"qualities from 0 to 1; from {model.remark}."
    )


def _top(part: TableAssessment, chances: list[float]) -> str:
    place = max(range(len(chances)), key=lambda each: chances[each])
    return f"{part.table.entries[place].name} ({100 * chances[place]:.0f} %)"


def _listing() -> tuple[Table, list[str]]:
    """The bundled data sets, and where each comes from."""
    from dmoa_theory.accuracy.assessment import bundled_listing

    rows, lines = [], []
    for each in bundled_listing():
        sizes = each["n_eval"]
        prompts = "?" if not sizes else f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        second_hand = f"{each['secondary']} of {each['figures']}" if each["secondary"] else "-"
        rows.append((each["name"], str(each["tables"]), str(each["figures"]), prompts, second_hand))
        lines.append(f"{each['name']}: {each['source']}; {each['metric']}")
    heads = ("name", "tables", "figures", "prompts", "SECONDARY")
    note = "SECONDARY: figures read from a transcription, not from the source itself."
    return Table("bundled accuracy data", heads, tuple(rows)), [*lines, note]


def _write(result: Assessment, out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.accuracy import plot_accuracy

    out.document("accuracy.json", result.to_dict())
    out.table("accuracy.csv", result.records())
    names = ["accuracy.png", *(f"accuracy-{number}.png" for number in range(2, _MOST_TABLES + 1))]
    beliefs = [part.belief for part in result.parts if part.belief is not None][:_MOST_TABLES]
    for name, belief in zip(names, beliefs, strict=False):
        out.picture(name, plot_accuracy(belief))
    out.remove(names[len(beliefs) :])
    return out
