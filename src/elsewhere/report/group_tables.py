"""The tables of a page."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.core.gap_report import (
    GroupRow,
)
from elsewhere.report.choice import worst_first
from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.sentences import two_sided
from elsewhere.report.words import MISSING, count, percent, plural, probability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from elsewhere.core.gap_report import (
        Comparison,
        Distance,
        GroupCalibration,
        Grouping,
        ModelAudit,
        Value,
    )
    from elsewhere.core.gaps import Gap

EVERYTHING = "The JSON and CSV forms of this report hold all of them."


@dataclass(frozen=True)
class _Field:
    """A column of the group table: its head, its cells, and whether a group has anything in it."""

    column: Column
    cell: Callable[[GroupRow], Cell]
    present: Callable[[GroupRow], bool]


def _always(_: GroupRow) -> bool:
    """Keep the column whatever the groups hold."""
    return True


def left_out(shown: int, total: int, noun: str) -> str:
    """Say how many entries are not shown, or nothing if all are."""
    if total <= shown:
        return ""
    what = f"{plural(total - shown, f'more {noun}')} left out"
    return f"{what} of {count(total)}. {EVERYTHING}"


def group_table(
    context: Context,
    rows: Sequence[GroupRow],
    title: str,
    *,
    name: str,
    other: str,
    separate: bool = True,
) -> Table:
    """List groups with all their numbers, the largest gap first.

    Args:
        context: The page.
        rows: Groups.
        title: Title of the table.
        name: Head of the first column.
        other: Head of the other side's column.
        separate: Whether the limits hold for this table's groups together.

    Returns:
        The table; columns in which no shown group has anything are left out.
    """
    better = context.report.greater_is_better
    shown = worst_first(rows, context.limits.rows, greater_is_better=better)
    fields = [
        field for field in _fields(context, other) if any(field.present(row) for row in shown)
    ]
    note = "Largest gap first."
    if len(rows) > len(shown):
        note = "Chosen by the gap after partial pooling; largest gap first."
    if not separate:
        note += " These groups overlap with those above: the same rows are counted in both."
    return Table(
        next(context.tables),
        title,
        (Column(name, number=False), *(field.column for field in fields)),
        tuple((Cell(context.group(row.key)), *(f.cell(row) for f in fields)) for row in shown),
        left_out(len(shown), len(rows), "group"),
        note,
    )


def _fields(context: Context, other: str) -> list[_Field]:
    """List the columns of the group table."""
    numbers, metric = context.numbers, context.text(context.report.metric)

    def known(name: str) -> Callable[[GroupRow], bool]:
        return lambda row: not math.isnan(getattr(row, name))

    def interval(name: str, low: str, high: str) -> Callable[[GroupRow], Cell]:
        return lambda row: Cell(
            numbers.one(getattr(row, name)),
            numbers.interval(getattr(row, low), getattr(row, high)),
        )

    return [
        _Field(Column("Rows"), lambda row: Cell(count(row.n_rows)), _always),
        _Field(
            Column("Blocks"),
            lambda row: Cell(count(row.n_blocks)),
            lambda row: row.n_blocks != row.n_rows,
        ),
        _Field(Column(metric), interval("value", "low", "high"), _always),
        _Field(Column(other), lambda row: Cell(numbers.one(row.here)), known("here")),
        _Field(Column("Gap", order="descending"), interval("gap", "gap_low", "gap_high"), _always),
        _Field(
            Column("Joint interval"),
            lambda row: Cell(numbers.interval(row.joint_low, row.joint_high) or MISSING),
            known("joint_low"),
        ),
        _Field(
            Column("After partial pooling"),
            interval("shrunk", "shrunk_low", "shrunk_high"),
            known("shrunk"),
        ),
        _Field(Column("q"), lambda row: Cell(probability(row.q)), known("q")),
        _Field(
            Column("Note", number=False),
            lambda row: Cell(note_of(context, row)),
            lambda row: bool(row.reason or row.rate),
        ),
    ]


def note_of(context: Context, row: GroupRow) -> str:
    """Write the reason for a missing value and the rate that takes its place."""
    parts = [context.long_text(row.reason)] if row.reason else []
    if row.rate is not None:
        rate = row.rate
        value = context.numbers.both(rate.value, rate.low, rate.high)
        parts.append(f"{context.text(rate.name)} {value} at score ≥ {rate.threshold:g}")
    return "; ".join(parts)


def grouping_table(context: Context, model: ModelAudit, grouping: Grouping) -> Table:
    """List the groups of one grouping."""
    return group_table(
        context,
        grouping.rows,
        f"Groups by {context.grouping(grouping)}{context.of_model(model)}",
        name=context.text(grouping.name),
        other="Here" if two_sided(grouping) else "Other groups",
    )


def pairs_table(context: Context, grouping: Grouping) -> Table:
    """List named pairs of groups and best to worst under other class mixes."""
    shown = grouping.pairs[: context.limits.rows]
    numbers = context.numbers

    def row(pair: Distance) -> tuple[Cell, ...]:
        names = [
            context.text(context.group(key)) if key else MISSING for key in (pair.best, pair.worst)
        ]
        value = Cell(numbers.one(pair.estimate), numbers.interval(pair.low, pair.high))
        note = context.long_text(pair.reason)
        return Cell(" to ".join(names)), Cell(context.text(pair.mix)), value, Cell(note)

    return Table(
        next(context.tables),
        f"Pairs of groups by {context.grouping(grouping)}",
        (
            Column("Pair", number=False),
            Column("Class mix", number=False),
            Column("How much worse the second does"),
            Column("Note", number=False),
        ),
        tuple(row(pair) for pair in shown),
        left_out(len(shown), len(grouping.pairs), "pair"),
    )


def mixes_table(context: Context, grouping: Grouping) -> Table:
    """Compare the gap as found with the gap under other class mixes."""
    found: list[tuple[str, Gap]] = [("as found", grouping.gap), *grouping.mixes.items()]

    def row(mix: str, gap: Gap) -> tuple[Cell, ...]:
        numbers = context.numbers
        return (
            Cell(context.text(mix)),
            Cell(numbers.one(gap.here)),
            Cell(numbers.one(gap.elsewhere)),
            Cell(numbers.one(gap.estimate), numbers.interval(gap.low, gap.high)),
        )

    return Table(
        next(context.tables),
        f"The gap under other class mixes, by {context.grouping(grouping)}",
        (Column("Class mix", number=False), Column("Here"), Column("Elsewhere"), Column("Gap")),
        tuple(row(mix, gap) for mix, gap in found[: context.limits.rows]),
        note="If the gap goes away with the same classes in every group, the mix made it.",
    )


def parts_table(context: Context, grouping: Grouping) -> Table:
    """Take the pooled metric apart."""
    numbers, metric = context.numbers, context.text(context.report.metric)
    rows = tuple(
        (
            Cell(context.text(part.side)),
            Cell(numbers.one(part.pooled), numbers.interval(part.low, part.high)),
            Cell(numbers.one(part.within)),
            Cell(numbers.one(part.between)),
            Cell(percent(part.within_share)),
        )
        for part in grouping.parts[: context.limits.rows]
    )
    return Table(
        next(context.tables),
        f"Pooled {metric} in parts, by {context.grouping(grouping)}",
        (
            Column("Side", number=False),
            Column(f"Pooled {metric}"),
            Column("Pairs within a group"),
            Column("Pairs across groups"),
            Column("Share of pairs within"),
        ),
        rows,
    )


def calibration_table(
    context: Context, model: ModelAudit, groups: Sequence[GroupCalibration]
) -> Table:
    """List the calibration of groups, the largest error first."""
    known = sorted(groups, key=lambda g: (math.isnan(g.calibration.error), -_error(g)))
    shown = known[: context.limits.rows]
    numbers = context.numbers

    def row(entry: GroupCalibration) -> tuple[Cell, ...]:
        found = entry.calibration
        return (
            Cell(context.group(entry.key)),
            Cell(count(found.n_rows)),
            Cell(numbers.one(found.error), numbers.interval(found.low, found.high)),
            Cell(numbers.one(found.bias), numbers.interval(found.bias_low, found.bias_high)),
            Cell(context.long_text(found.reason)),
        )

    return Table(
        next(context.tables),
        f"Calibration by group{context.of_model(model)}",
        (
            Column("Group", number=False),
            Column("Rows"),
            Column("Error", order="descending"),
            Column("Bias"),
            Column("Note", number=False),
        ),
        tuple(row(entry) for entry in shown),
        left_out(len(shown), len(known), "group"),
        "Bias is predicted minus observed: above 0, risks are overstated.",
    )


def _error(entry: GroupCalibration) -> float:
    """Calibration error for sorting, 0 where there is none."""
    return 0.0 if math.isnan(entry.calibration.error) else entry.calibration.error


def overview_table(context: Context) -> Table:
    """List the headline gap of every model and grouping."""
    models = context.report.models
    entries = [(model, grouping) for model in models for grouping in model.groupings]
    shown = entries[: context.limits.rows]
    numbers = context.numbers

    def row(model: ModelAudit, grouping: Grouping) -> tuple[Cell, ...]:
        gap = grouping.gap
        answer = gap.answer(context.report.negligible)
        worst = grouping.worst
        alone = context.text(context.group(worst[0])) if len(worst) == 1 else "not distinguishable"
        return (
            Cell(context.model(model)),
            Cell(context.grouping(grouping)),
            Cell(numbers.one(gap.here)),
            Cell(numbers.one(gap.elsewhere)),
            Cell(numbers.one(gap.estimate), numbers.interval(gap.low, gap.high)),
            Cell(numbers.interval(gap.next_low, gap.next_high) or MISSING),
            Cell(answer if math.isfinite(gap.estimate) else "no value"),
            Cell(alone),
        )

    return Table(
        next(context.tables),
        "Every model and grouping",
        (
            Column("Model", number=False),
            Column("Grouping", number=False),
            Column("Here or others"),
            Column("Elsewhere or lowest"),
            Column("Gap"),
            Column("One more group"),
            Column("Answer", number=False),
            Column("Worst group", number=False),
        ),
        tuple(row(*entry) for entry in shown),
        left_out(len(shown), len(entries), "line"),
    )


def comparison_table(context: Context) -> Table:
    """List the differences between models on the same rows."""
    found = context.report.comparisons
    shown = found[: context.limits.rows]
    numbers = context.numbers
    rungs = any(entry.rung for entry in shown)

    def row(entry: Comparison) -> tuple[Cell, ...]:
        names = [context.text(name) for name in (entry.first, entry.second)]
        return (
            Cell(" against ".join(names)),
            *([Cell(context.text(entry.rung) or MISSING)] if rungs else []),
            Cell(context.text(entry.grouping)),
            Cell(numbers.one(entry.estimate), numbers.interval(entry.low, entry.high)),
            Cell(_better(entry, names) if not entry.reason else context.long_text(entry.reason)),
        )

    return Table(
        next(context.tables),
        "Models compared on the same rows",
        (
            Column("Models", number=False),
            *([Column("Step", number=False)] if rungs else []),
            Column("Averaged by", number=False),
            Column("How much better the first is"),
            Column("Reading", number=False),
        ),
        tuple(row(entry) for entry in shown),
        left_out(len(shown), len(found), "comparison"),
    )


def _better(entry: Comparison, names: list[str]) -> str:
    """Say which model is better, if the interval says so."""
    if entry.low > 0:
        return f"{names[0]} is better"
    if entry.high < 0:
        return f"{names[1]} is better"
    return "unclear"


def settings_table(context: Context, title: str, entries: Mapping[str, Value]) -> Table:
    """List settings or versions."""
    shown = list(entries.items())[: context.limits.rows]
    return Table(
        next(context.tables),
        title,
        (Column("Name", number=False), Column("Value", number=False)),
        tuple((Cell(context.text(k)), Cell(context.long_text(v))) for k, v in shown),
        left_out(len(shown), len(entries), "entry"),
    )
