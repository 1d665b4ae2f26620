"""All that accuracy data say, in one answer: figures with errors, fits with bands, chances, and what cannot be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dmoa_theory.accuracy.belief import Belief, believe_all, shares_of_best
from dmoa_theory.accuracy.gains import GainModel, fit_gains, has_covariates
from dmoa_theory.accuracy.held_out import HeldOut, held_out_table, leave_one_out
from dmoa_theory.accuracy.measured import AccuracyEntry, AccuracyTable
from dmoa_theory.accuracy.table import bundled_tables, read_tables
from dmoa_theory.accuracy.telling import collaboration, evidence_sentence, one_value_for_all, prompts_needed
from dmoa_theory.errors import InputError
from dmoa_theory.results import Result, Source, Table

__all__ = ["Assessment", "TableAssessment", "assess", "bundled_listing"]

#: Configurations this close to the best fitted accuracy are as good as it.
EPSILON = 0.02


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableAssessment:
    """What one table says.

    Attributes
    ----------
    table : AccuracyTable
    belief : Belief or None
        None where a single configuration was measured: there is nothing to fit.
    p_best_as_measured : ndarray, shape (C,)
        Chance of each configuration of being the best by the measured figures and their errors alone: no fit, no shape, and
        nothing taken for known of accuracies beforehand. Not how often other prompts would measure it best: their own
        sampling error would come on top.
    p_best_by_shape : dict of ndarray, shape (C,)
        Chance of being the best if that shape alone were true.
    epsilon : float
    """

    table: AccuracyTable
    belief: Belief | None
    p_best_as_measured: Any
    p_best_by_shape: dict[str, Any]
    epsilon: float

    @property
    def sentence(self) -> str:
        """What the data can and cannot tell."""
        return evidence_sentence(self.table, self.belief)

    @property
    def cheapest(self) -> AccuracyEntry | None:
        """The configuration of fewest inferences within epsilon of the best fitted accuracy."""
        if self.belief is None:
            return None
        cost = [entry.inferences for entry in self.table.entries]
        return self.table.entries[self.belief.cheapest_within(cost, self.epsilon)]

    def rows(self) -> list[dict[str, Any]]:
        """One row a configuration: plain numbers, accuracies from 0 to 1."""
        belief = self.belief
        low, high = belief.band() if belief is not None else (None, None)
        regret, best = (belief.regret(), belief.p_best()) if belief is not None else (None, None)
        found = []
        for place, entry in enumerate(self.table.entries):
            fitted = {
                "fitted": None if belief is None else float(belief.mean[place]),
                "fitted_deviation": None if belief is None else float(belief.standard_deviation[place]),
                "lower": None if low is None else float(low[place]),
                "upper": None if high is None else float(high[place]),
                "p_best": None if best is None else float(best[place]),
                "p_best_as_measured": float(self.p_best_as_measured[place]),
                "p_best_by_shape": {name: float(chances[place]) for name, chances in self.p_best_by_shape.items()},
                "regret": None if regret is None else float(regret[place]),
            }
            found.append({**_entry(entry), **fitted})
        return found

    def to_dict(self) -> dict[str, Any]:
        """For the JSON contract."""
        table, belief, cheapest = self.table, self.belief, self.cheapest
        whole = collaboration(table)
        best = max(table.entries, key=lambda entry: entry.accuracy)
        return {
            "name": table.name,
            "source": table.source,
            "metric": table.metric,
            "models": table.models,
            "task": table.task,
            "user": table.user,
            "mode": table.mode,
            "secondary": table.secondary,
            "paired": table.scores is not None,
            "configurations": self.rows(),
            "fit": None if belief is None else _fit(table, belief),
            "best_measured": {"M": best.M, "k": best.k},
            "cheapest_within": None if cheapest is None else {"M": cheapest.M, "k": cheapest.k, "epsilon": self.epsilon},
            "collaboration": None
            if whole is None
            else {"gap": whole.gap, "standard_error": whole.standard_error, "one_value_for_all_p": one_value_for_all(table)},
            "evidence": self.sentence,
            "remarks": list(table.remarks()),
        }

    def as_table(self) -> Table:
        """Figures with standard errors, fitted values with bands, chance of being best, expected regret."""
        rows = []
        for entry, row in zip(self.table.entries, self.rows(), strict=True):
            fitted = row["fitted"] is not None
            rows.append(
                (
                    entry.name,
                    f"{100 * entry.accuracy:.1f} ± {100 * entry.standard_error:.1f} %",
                    "?" if entry.n_eval is None else f"{entry.n_eval:,}",
                    f"{100 * row['fitted']:.1f} %" if fitted else "-",
                    f"{100 * row['lower']:.0f} to {100 * row['upper']:.0f} %" if fitted else "-",
                    _chance(row["p_best"]) if fitted else "-",
                    _chance(row["p_best_as_measured"]),
                    f"{100 * row['regret']:.1f} points" if fitted else "-",
                    "SECONDARY" if entry.secondary else "",
                )
            )
        heads = ("(M, k)", "measured ± s.e.", "prompts", "fitted", "95 % band", "P(best)", "unfitted", "regret", "")
        return Table(self.table.name, heads, tuple(rows))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Assessment(Result):
    """What accuracy data say of (M, k): figures as published or measured, fits that are approximations.

    Attributes
    ----------
    name : str
        What was asked for.
    parts : tuple of TableAssessment
        One a table.
    held_out : tuple of HeldOut
        Leave-one-out predictions; empty when not asked for.
    gains : GainModel or None
        What the proposers' quality and diversity do to the gain; None where the data do not tell them.
    """

    verb: ClassVar[str] = "accuracy"

    name: str
    parts: tuple[TableAssessment, ...]
    held_out: tuple[HeldOut, ...]
    gains: GainModel | None

    @property
    def source(self) -> Source:
        """Fits and bands are approximations."""
        return Source.APPROXIMATION

    def reasons(self) -> tuple[str, ...]:
        """Why some figures are null."""
        found = []
        single = sum(part.belief is None for part in self.parts)
        if single:
            found.append(f"{single} of {len(self.parts)} tables hold a single configuration: nothing is fitted to them")
        if not self.held_out:
            found.append("held_out is empty: leave-one-out predictions were not asked for, or no table has three figures")
        if self.gains is None:
            found.append("gains is null: the data do not tell quality and diversity of the proposers")
        return tuple(found)

    def warnings(self) -> tuple[str, ...]:
        """What has to be said wherever the figures are shown."""
        if len(self.parts) > 3:
            second_hand = sum(part.table.secondary for part in self.parts)
            assumed = sum(any(e.basis == "assumed size" for e in part.table.entries) for part in self.parts)
            second = f"SECONDARY: {second_hand} of {len(self.parts)} tables hold rows that were read from a transcription"
            sizes = f"the standard errors of {assumed} of {len(self.parts)} tables follow from an assumed number of prompts"
            return tuple(text for count, text in ((second_hand, second), (assumed, sizes)) if count)
        return tuple(dict.fromkeys(remark for part in self.parts for remark in part.table.remarks()))

    def payload(self) -> dict[str, Any]:
        """The keys of the JSON contract."""
        return {
            "name": self.name,
            "tables": [part.to_dict() for part in self.parts],
            "held_out": [
                {"table": each.table, "M": each.M, "k": each.k, "accuracy": each.accuracy, "predicted": each.predicted}
                for each in self.held_out
            ],
            "gains": None if self.gains is None else self._gains(self.gains),
            "bundled": bundled_listing(),
            "reasons": list(self.reasons()),
            "warnings": list(self.warnings()),
        }

    def _gains(self, model: GainModel) -> dict[str, Any]:
        found = {name: {"mean": mean, "standard_deviation": sd} for name, (mean, sd) in model.coefficients().items()}
        return {"formula": "g = g0 + quality (mean quality of the proposers - own quality) + diversity D", **found}

    def table(self) -> Table:
        """All figures in one table."""
        drawn = [part.as_table() for part in self.parts]
        if len(drawn) == 1:
            return drawn[0]
        rows = tuple((f"{one.caption} {row[0]}", *row[1:]) for one in drawn for row in one.rows)
        return Table(self.name, drawn[0].heads, rows)

    def figures(self) -> Table:
        """The measured figures alone, one row each: for data of which nothing was fitted."""
        rows = tuple(
            (
                part.table.name.partition("/")[2] or part.table.name,
                entry.name,
                f"{100 * entry.accuracy:.1f} ± {100 * entry.standard_error:.1f} %",
                "?" if entry.n_eval is None else f"{entry.n_eval:,}",
                "SECONDARY" if entry.secondary else "",
            )
            for part in self.parts
            for entry in part.table.entries
        )
        return Table(self.name, ("table", "(M, k)", "measured ± s.e.", "prompts", ""), rows)

    def held_out_table(self) -> Table | None:
        """Leave-one-out errors in points; None when they were not asked for."""
        return held_out_table(self.held_out) if self.held_out else None

    def records(self) -> list[dict[str, Any]]:
        """One row a configuration of each table."""
        found = []
        for part in self.parts:
            for row in part.rows():
                by_shape = row.pop("p_best_by_shape")
                found.append({"table": part.table.name, **row, **{f"p_best_{name}": by_shape.get(name) for name in by_shape}})
        names = list(dict.fromkeys(key for row in found for key in row))
        return [{name: row.get(name) for name in names} for row in found]


def assess(
    tables: Sequence[AccuracyTable], *, name: str = "", epsilon: float = EPSILON, held_out: bool = False, seed: int = 0
) -> Assessment:
    """Weigh what tables of accuracies say; fits are approximations.

    Parameters
    ----------
    tables : sequence of AccuracyTable
        Fitted together with one shape, each with its own level and gain.
    name : str
        Of the whole; default that of the first table.
    epsilon : float
        What accuracy one gives up for fewer inferences: 0.02 is two points.
    held_out : bool
        Whether to predict each figure from all the others too (seconds).
    seed : int

    Returns
    -------
    Assessment

    Raises
    ------
    InputError
        For no tables, or an epsilon that is negative.

    Examples
    --------
    >>> from dmoa_theory import assess
    >>> from dmoa_theory.accuracy.table import read_tables
    >>> assess(read_tables("mitra2024-diverse")).parts[0].cheapest.name
    'M=2, k=2'
    """
    listed = tuple(tables)
    if not listed:
        raise InputError("tables", "none", "at least one table of accuracies")
    if not 0 <= epsilon <= 1:
        raise InputError("epsilon", epsilon, "from 0 to 1")
    fitted = [table for table in listed if len(table.entries) > 1]
    beliefs: dict[int, Belief] = {}
    by_shape: dict[int, dict[str, Any]] = {}
    if fitted:
        for table, belief in zip(fitted, believe_all(fitted, seed=seed), strict=True):
            beliefs[id(table)] = belief
            by_shape[id(table)] = {shape: each.p_best() for shape, each in belief.by_shape().items()}
    parts = tuple(
        TableAssessment(
            table=table,
            belief=beliefs.get(id(table)),
            p_best_as_measured=shares_of_best(table.resampled(seed=seed)),
            p_best_by_shape=by_shape.get(id(table), {}),
            epsilon=epsilon,
        )
        for table in listed
    )
    predictable = [table for table in fitted if len(table.entries) > 2]
    held = leave_one_out(predictable) if held_out and predictable else ()
    gains = fit_gains(listed) if has_covariates(listed) else None
    return Assessment(name=name or listed[0].name, parts=parts, held_out=held, gains=gains)


def bundled_listing() -> list[dict[str, Any]]:
    """What is bundled: name, tables, figures, prompts, second-hand rows and source of each data set."""
    found = []
    for name in bundled_tables():
        tables = read_tables(name)
        entries = [entry for table in tables for entry in table.entries]
        sizes = sorted({entry.n_eval for entry in entries if entry.n_eval})
        found.append(
            {
                "name": name,
                "tables": len(tables),
                "figures": len(entries),
                "n_eval": sizes,
                "secondary": sum(entry.secondary for entry in entries),
                "metric": tables[0].metric,
                "source": tables[0].source,
            }
        )
    return found


def _entry(entry: AccuracyEntry) -> dict[str, Any]:
    return {
        "M": entry.M,
        "k": entry.k,
        "inferences": entry.inferences,
        "accuracy": entry.accuracy,
        "standard_error": entry.standard_error,
        "standard_error_from": entry.basis,
        "n_eval": entry.n_eval,
        "secondary": entry.secondary,
        "place": entry.place,
        "note": entry.note,
    }


def _fit(table: AccuracyTable, belief: Belief) -> dict[str, Any]:
    place = belief.surfaces[0].tables.index(table)
    return {
        "method": belief.method,
        "shapes": [
            {
                "name": surface.shape.name,
                "formula": surface.shape.formula,
                "weight": belief.shape_weights[surface.shape.name],
                "log_evidence": surface.log_evidence,
                "parameters": {
                    name: {"mean": mean, "standard_deviation": deviation}
                    for name, (mean, deviation) in surface.parameters(place).items()
                },
            }
            for surface in belief.surfaces
        ],
        "prompts_for_5_points": prompts_needed(0.05),
    }


def _chance(probability: float) -> str:
    return "<0.01" if probability < 0.01 else f"{probability:.2f}"
