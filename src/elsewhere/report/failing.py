"""Where a model fails elsewhere: what goes with failing, rules, strata and groups."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import Forest, Mark, forest
from elsewhere.report.dumbbells import Dumbbells, dumbbells
from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.words import MISSING, count, joined, numbers_of, plural, probability

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.explanations import Driver, Failures, GroupDriver, Rule, Stratum
    from elsewhere.core.gap_report import Grouping, ModelAudit

NAN = float("nan")

NAMED = 3
"""Columns named in a sentence."""

CHANCE = 0.5
"""Area under the curve of a forecast that knows nothing."""

RESTRICTED = "low by range restriction alone"
"""How the reasons of strata start whose rows are too much alike to be ranked."""

STRATA = (
    "Expected: what a perfectly calibrated model with these probabilities would get on these rows. "
    "Where that is low too, the rows are much alike and no model could rank them well: the range "
    "is restricted, and a low value alone is no fault of the model. Adjusted: the same rows, "
    "weighted so that their predictions spread as those of all rows."
)


@dataclass(frozen=True)
class FailuresPart:
    """Where the model fails, on the page."""

    anchor: str
    title: str
    sentence: str
    more: list[str]
    figure: Forest | None
    drivers: Table | None
    rules: Table | None
    strata_figure: Dumbbells | None
    strata: Table | None
    groups: Table | None
    summary: str


def failures_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str
) -> FailuresPart | None:
    """Put where the model fails on the page, or nothing where that was not looked at."""
    found = grouping.failures
    if found is None:
        return None
    area = numbers_of([1.0], [found.high - found.low])
    known = math.isfinite(found.auc)
    # In the order of the page, because figures and tables count themselves.
    return FailuresPart(
        anchor,
        f"Where it fails, by {context.grouping(grouping)}",
        foreseen(context, found),
        _more(context, found),
        drivers_figure(context, model, grouping, found),
        drivers_table(context, model, grouping, found),
        rules_table(context, model, grouping, found),
        strata_figure(context, model, grouping, found),
        strata_table(context, model, grouping, found),
        group_drivers_table(context, model, grouping, found),
        f"AUC {area.both(found.auc, found.low, found.high)}" if known else "no answer",
    )


# --- words -------------------------------------------------------------------------------------


def foreseen(context: Context, found: Failures) -> str:
    """Say whether failures can be foreseen, and by what.

    Args:
        context: The reader.
        found: Where the model fails.

    Returns:
        One sentence, or two.
    """
    if not math.isfinite(found.auc):
        why = found.reason or "too few rows fail, or too few do not"
        return f"No answer: {context.long_text(why)}."
    area = numbers_of([1.0], [found.high - found.low], plain=context.plain)
    value = area.both(found.auc, found.low, found.high)
    if not found.low > CHANCE:
        return (
            "No pattern of failures holds in other groups: they are foreseen with an area under "
            f"the curve of {value}, and {CHANCE:g} is chance."
        )
    clear = clear_drivers(found)
    text = (
        "Failures can be foreseen in groups that were not looked at: area under the curve "
        f"{value}, where {CHANCE:g} is chance."
    )
    if not clear:
        return f"{text} No single column stands out."
    said = [f"{context.text(one.name)}{_direction(one)}" for one in clear[:NAMED]]
    return f"{text} What goes with them most: {joined(said)}."


def clear_drivers(found: Failures) -> list[Driver]:
    """Columns whose importance is clearly above 0, most important first."""
    return [one for one in found.drivers if one.low > 0]


def _direction(one: Driver) -> str:
    """Say which values go with more failures."""
    if not math.isfinite(one.effect) or not one.effect:
        return ""
    return f" ({'larger' if one.effect > 0 else 'smaller'} values fail more)"


def _more(context: Context, found: Failures) -> list[str]:
    """Say what a failure is, and which strata are low for another reason."""
    terms = [
        f"What counts as failing: {context.long_text(found.failing)}." if found.failing else "",
        f"The loss of a row: {context.long_text(found.loss)}." if found.loss else "",
    ]
    said = [" ".join(term for term in terms if term)] if any(terms) else []
    restricted = [one for one in found.strata if one.reason.startswith(RESTRICTED)]
    if restricted:
        names = [_stratum(context, one) for one in restricted[:NAMED]]
        more = len(restricted) - len(names)
        named = joined([*names, *([context.plural(more, "more", "more")] if more else [])])
        said.append(f"Low by range restriction alone, and so no fault of the model there: {named}.")
    return said


def _stratum(context: Context, one: Stratum) -> str:
    """Name a stratum."""
    return f"{context.text(one.column)} {context.text(one.label)}"


# --- figures -----------------------------------------------------------------------------------


def drivers_figure(
    context: Context, model: ModelAudit, grouping: Grouping, found: Failures
) -> Forest | None:
    """Lay out the importance of columns, or nothing below two of them."""
    known = [one for one in found.drivers if math.isfinite(one.importance)]
    shown = known[: context.limits.bars]
    if len(shown) < 2:
        return None
    numbers = numbers_of([one.importance for one in shown], [one.high - one.low for one in shown])
    marks = [
        Mark(
            context.name(one.name),
            numbers.both(one.importance, one.low, one.high),
            one.importance,
            one.low,
            one.high,
        )
        for one in shown
    ]
    said = "; ".join(f"{mark.name} {mark.text}" for mark in marks[:6])
    left = len(known) - len(shown)
    return forest(
        next(context.figures),
        f"What goes with failing, by {context.grouping(grouping)}{context.of_model(model)}",
        f"Importance of columns, largest first: {said}. The table holds all numbers.",
        marks,
        reference_text="of no use",
        note=f"{plural(left, 'more column')} in the table only." if left > 0 else "",
    )


def strata_figure(
    context: Context, model: ModelAudit, grouping: Grouping, found: Failures
) -> Dumbbells | None:
    """Lay out each stratum's rank metric beside what its rows allow, or nothing without any."""
    known = [one for one in found.strata if math.isfinite(one.value)]
    shown = known[: context.limits.bars]
    if not shown:
        return None
    numbers = _rank_numbers(shown)
    marks = [
        Mark(
            _stratum(context, one),
            numbers.both(one.value, one.value_low, one.value_high),
            one.value,
            one.value_low,
            one.value_high,
            shrunk=one.expected,
        )
        for one in shown
    ]
    said = [
        f"{mark.name} {mark.text}, expected {numbers.one(one.expected)}"
        for mark, one in zip(marks[:6], shown, strict=False)
    ]
    left = len(known) - len(shown)
    return dumbbells(
        next(context.figures),
        f"AUC within strata, and what their rows allow, by {context.grouping(grouping)}"
        f"{context.of_model(model)}",
        f"{'; '.join(said)}. The table holds all numbers.",
        marks,
        names=("AUC as found", RESTRICTED, "expected of these rows"),
        flagged=[one.reason.startswith(RESTRICTED) for one in shown],
        limit=CHANCE,
        limit_text="chance",
        note=f"{plural(left, 'more stratum', 'more strata')} in the table only."
        if left > 0
        else "",
    )


def _rank_numbers(shown: Sequence[Stratum]):
    """Choose the decimals of the rank metric of strata."""
    return numbers_of([1.0], [one.value_high - one.value_low for one in shown])


# --- tables ------------------------------------------------------------------------------------


def drivers_table(
    context: Context, model: ModelAudit, grouping: Grouping, found: Failures
) -> Table | None:
    """List columns by how much they foresee, or nothing without any."""
    shown = found.drivers[: context.limits.rows]
    if not shown:
        return None
    numbers = numbers_of([one.importance for one in shown], [one.high - one.low for one in shown])

    def row(one: Driver) -> tuple[Cell, ...]:
        way = MISSING
        if math.isfinite(one.effect):
            way = "larger values" if one.effect > 0 else "smaller values" if one.effect else "none"
        effect = numbers_of([one.effect], [])
        return (
            Cell(context.name(one.name)),
            Cell(numbers.one(one.importance), numbers.interval(one.low, one.high)),
            Cell(way),
            Cell(effect.one(one.effect)),
            Cell(probability(one.p)),
            Cell(probability(one.q)),
        )

    return Table(
        next(context.tables),
        f"What goes with failing, by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column("Column", number=False),
            Column("Importance", order="descending"),
            Column("More failures with", number=False),
            Column("Effect"),
            Column("p"),
            Column("q"),
        ),
        tuple(row(one) for one in shown),
        _left_out(len(found.drivers) - len(shown), "more column"),
        "Importance: how much worse failures are foreseen in groups that were not used, when the "
        "column is shuffled. Effect: of one standard deviation, on the logit of failing. p: of no "
        "association within groups; q allows for the number of columns. What goes with failing "
        "need not cause it.",
    )


def rules_table(
    context: Context, model: ModelAudit, grouping: Grouping, found: Failures
) -> Table | None:
    """List the rules, highest loss first, or nothing without any."""
    shown = found.rules[: context.limits.rows]
    if not shown:
        return None
    numbers = numbers_of([one.loss for one in shown], [one.high - one.low for one in shown])

    def row(one: Rule) -> tuple[Cell, ...]:
        return (
            Cell(context.long_text(one.text)),
            Cell(count(one.n_rows)),
            Cell(numbers.one(one.loss), numbers.interval(one.low, one.high)),
        )

    return Table(
        next(context.tables),
        f"Rules on failures, tried on other groups, by {context.grouping(grouping)}"
        f"{context.of_model(model)}",
        (
            Column("Rows with", number=False),
            Column("Rows"),
            Column("Mean loss", order="descending"),
        ),
        tuple(row(one) for one in shown),
        _left_out(len(found.rules) - len(shown), "more rule"),
        "Leaves of a shallow tree. Each loss is of groups that were not used to find the rule.",
    )


def strata_table(
    context: Context, model: ModelAudit, grouping: Grouping, found: Failures
) -> Table | None:
    """List strata with their loss and rank metric, or nothing without any."""
    shown = found.strata[: context.limits.rows]
    if not shown:
        return None
    numbers = numbers_of([one.loss for one in shown], [one.high - one.low for one in shown])
    area = _rank_numbers(shown)
    ranked = any(
        not math.isnan(v) for one in shown for v in (one.value, one.expected, one.adjusted)
    )
    reasons = any(one.reason for one in shown)

    def row(one: Stratum) -> tuple[Cell, ...]:
        return (
            Cell(context.name(one.column)),
            Cell(context.name(one.label)),
            Cell(count(one.n_rows)),
            Cell(numbers.one(one.loss), numbers.interval(one.low, one.high)),
            *(
                [
                    Cell(area.one(one.value), area.interval(one.value_low, one.value_high)),
                    Cell(area.one(one.expected)),
                    Cell(area.one(one.adjusted)),
                ]
                if ranked
                else []
            ),
            *([Cell(context.long_text(one.reason) or MISSING)] if reasons else []),
        )

    return Table(
        next(context.tables),
        f"Rows by their values, by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column("Column", number=False),
            Column("Values", number=False),
            Column("Rows"),
            Column("Mean loss"),
            *([Column("AUC"), Column("Expected"), Column("Adjusted")] if ranked else []),
            *([Column("Note", number=False)] if reasons else []),
        ),
        tuple(row(one) for one in shown),
        _left_out(len(found.strata) - len(shown), "more stratum", "more strata"),
        STRATA if ranked else "",
    )


def group_drivers_table(
    context: Context, model: ModelAudit, grouping: Grouping, found: Failures
) -> Table | None:
    """List characteristics of groups, strongest first, or nothing without any."""
    shown = found.groups[: context.limits.rows]
    if not shown:
        return None
    numbers = numbers_of([1.0], [])

    def row(one: GroupDriver) -> tuple[Cell, ...]:
        return (
            Cell(context.name(one.name)),
            Cell(numbers.one(one.correlation)),
            Cell(probability(one.p)),
            Cell(probability(one.q)),
            Cell(count(one.n)),
        )

    return Table(
        next(context.tables),
        f"What goes with the loss of whole groups, by {context.grouping(grouping)}"
        f"{context.of_model(model)}",
        (
            Column("Of the group", number=False),
            Column("Rank correlation with its loss"),
            Column("p"),
            Column("q"),
            Column("Groups"),
        ),
        tuple(row(one) for one in shown),
        _left_out(len(found.groups) - len(shown), "more characteristic"),
        "Above 0, groups with more of it lose more.",
    )


def _left_out(left: int, one: str, many: str = "") -> str:
    """Say what is not in a table."""
    if left <= 0:
        return ""
    return f"{plural(left, one, many)} left out; the JSON form of this report holds all."
