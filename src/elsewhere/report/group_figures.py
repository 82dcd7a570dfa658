"""The figures of a page: which groups they show and what they say to those who do not see them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from elsewhere.report.choice import largest, most_extreme
from elsewhere.report.drawing import (
    Forest,
    Mark,
    Moment,
    Reliability,
    Series,
    forest,
    reliability,
    series,
)
from elsewhere.report.sentences import two_sided
from elsewhere.report.words import count, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.gap_report import GroupCalibration, Grouping, GroupRow, ModelAudit
    from elsewhere.report.layout import Context

NAN = float("nan")

PERIODS = 3
"""A figure over time shows this many times as many groups as a forest plot."""


def interval_figure(context: Context) -> Forest | None:
    """Draw the headline's intervals under each other, or nothing where there is no headline."""
    grouping = context.report.headline
    gap, row, numbers = grouping.gap, largest(grouping.rows), context.numbers
    if not math.isfinite(gap.estimate):
        return None
    marks = (
        [
            Mark(
                "Mean of these groups",
                numbers.both(gap.estimate, gap.low, gap.high),
                gap.estimate,
                gap.low,
                gap.high,
            )
        ]
        if two_sided(grouping)
        else []
    )
    if math.isfinite(gap.next_low):
        marks.append(
            Mark(
                f"One more {context.grouping(grouping)}",
                numbers.interval(gap.next_low, gap.next_high),
                NAN,
                gap.next_low,
                gap.next_high,
            )
        )
    marks += [] if row is None else _marks_of(context, row)
    listed = "; ".join(f"{mark.name} {mark.text}" for mark in marks)
    return forest(
        next(context.figures),
        "The intervals of the headline, one under the other",
        listed,
        marks,
        reference_text="no gap",
        negligible=context.report.negligible,
    )


def _marks_of(context: Context, row: GroupRow) -> list[Mark]:
    """Draw one group's gap by itself, among all groups, and after partial pooling."""
    both, name = context.numbers.both, context.group_in_text(row.key)
    kinds = {
        "alone": (row.gap, row.gap_low, row.gap_high),
        "joint": (row.gap, row.joint_low, row.joint_high),
        "partly pooled": (row.shrunk, row.shrunk_low, row.shrunk_high),
    }
    return [
        Mark(f"{name}, {kind}", both(*gap), *gap)
        for kind, gap in kinds.items()
        if math.isfinite(gap[1])
    ]


def group_figure(context: Context, model: ModelAudit, grouping: Grouping) -> Forest | None:
    """Draw the gaps of a grouping's most extreme groups, or their values where no gap exists.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.

    Returns:
        The figure, or None if no group has a value.
    """
    rows = most_extreme(grouping.rows, context.limits.bars)
    if not rows:
        return None
    has_gap = math.isfinite(rows[0].gap)
    gap = grouping.gap
    band = (gap.low, gap.high) if has_gap and two_sided(grouping) else (NAN, NAN)
    of = context.grouping(grouping)
    what = "Gap" if has_gap else context.text(context.report.metric)
    known = sum(math.isfinite(r.gap if has_gap else r.value) for r in grouping.rows)
    note = ""
    if known > len(rows):
        note = (
            f"{count(len(rows))} of {plural(known, 'group')}: those furthest from the average "
            "after partial pooling."
        )
    return forest(
        next(context.figures),
        f"{what} by {of}{context.of_model(model)}",
        _description(context, rows, known, has_gap=has_gap),
        [_mark(context, row, has_gap=has_gap) for row in rows],
        reference=0.0 if has_gap else gap.here,
        band=band,
        note=note,
        reference_text="no gap" if has_gap else "other side",
        negligible=context.report.negligible if has_gap else 0.0,
    )


def _mark(context: Context, row: GroupRow, *, has_gap: bool) -> Mark:
    """Turn a group into a row of the figure."""
    name, numbers = context.group(row.key), context.numbers
    if not has_gap:
        return Mark(name, numbers.both(row.value, row.low, row.high), row.value, row.low, row.high)
    return Mark(
        name,
        context.gap(row),
        row.gap,
        row.gap_low,
        row.gap_high,
        row.joint_low,
        row.joint_high,
        row.shrunk,
    )


def _description(context: Context, rows: Sequence[GroupRow], known: int, *, has_gap: bool) -> str:
    """Say in words what a forest plot shows."""
    if not has_gap:
        return f"Values of {plural(known, 'group')} with their intervals. The table has them all."
    first, last = rows[0], rows[-1]
    above = sum(row.joint_low > 0 for row in rows)
    return (
        f"Gaps of {count(len(rows))} of {plural(known, 'group')} with their intervals, largest "
        f"first: from {context.group_in_text(first.key)} {context.gap(first)} to "
        f"{context.group_in_text(last.key)} {context.gap(last)}. Joint intervals of "
        f"{plural(above, 'group')} lie above 0. The table below holds the numbers."
    )


def time_figure(context: Context, model: ModelAudit, grouping: Grouping) -> Series | None:
    """Draw an ordered grouping's values in their order, or nothing for other groupings."""
    if not grouping.ordered or not any(math.isfinite(row.value) for row in grouping.rows):
        return None
    most = PERIODS * context.limits.bars
    rows = grouping.rows[-most:]
    moments = [
        Moment(
            context.group(row.key),
            row.value,
            row.low,
            row.high,
            row.here if two_sided(grouping) else NAN,
        )
        for row in rows
    ]
    known = [row for row in rows if math.isfinite(row.value)]
    one, metric = context.numbers.one, context.text(context.report.metric)
    if not known:
        return None
    least, most_row = min(known, key=lambda r: r.value), max(known, key=lambda r: r.value)
    description = (
        f"{metric} over {plural(len(rows), 'group')} in order, from "
        f"{context.group_in_text(rows[0].key)} to {context.group_in_text(rows[-1].key)}: lowest "
        f"{one(least.value)} ({context.group_in_text(least.key)}), highest {one(most_row.value)} "
        f"({context.group_in_text(most_row.key)})."
    )
    note = ""
    if len(grouping.rows) > len(rows):
        note = f"The last {count(len(rows))} of {count(len(grouping.rows))}."
    name = "elsewhere" if two_sided(grouping) else "each group"
    return series(
        next(context.figures),
        f"{metric} over {context.grouping(grouping)}{context.of_model(model)}",
        description,
        moments,
        names=(name, "here" if two_sided(grouping) else ""),
        note=note,
    )


def reliability_figure(
    context: Context, model: ModelAudit, found: GroupCalibration
) -> Reliability | None:
    """Draw the reliability curve of all rows, or nothing where there is none."""
    curve = found.calibration.curve
    if not curve:
        return None
    one = context.numbers.one
    first, last = curve[0], curve[-1]
    description = (
        f"{plural(len(curve), 'bin')} of equally many rows. From predicted {one(first.predicted)} "
        f"with {one(first.observed)} observed to predicted {one(last.predicted)} with "
        f"{one(last.observed)} observed. On the diagonal both are equal."
    )
    return reliability(
        next(context.figures), f"Reliability{context.of_model(model)}", description, curve
    )
