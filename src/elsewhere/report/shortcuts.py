"""Features that carry a model here and not elsewhere, and how stable features are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import Mark
from elsewhere.report.dumbbells import Dumbbells, dumbbells
from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.words import MISSING, count, joined, numbers_of, percent, plural, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.explanations import (
        ShortcutRow,
        Shortcuts,
        Stability,
        StabilityRow,
    )
    from elsewhere.core.gap_report import Grouping, ModelAudit

NAN = float("nan")

NAMED = 3
"""Features named in a sentence."""

WIDEST = (-100.0, 200.0)
"""Range of retention in percent that a figure shows at most."""

CHANGING = 0.25
"""Share of variance between groups from which a sentence says that a feature changes."""


@dataclass(frozen=True)
class ShortcutsPart:
    """Shortcut features on the page."""

    anchor: str
    title: str
    sentence: str
    meaning: str
    figure: Dumbbells | None
    table: Table | None
    summary: str


@dataclass(frozen=True)
class StabilityPart:
    """Stability of features on the page."""

    anchor: str
    title: str
    sentence: str
    table: Table | None
    summary: str


def shortcuts_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str
) -> ShortcutsPart | None:
    """Put a grouping's shortcut features on the page, or nothing where none were looked for."""
    found = grouping.shortcuts
    if found is None:
        return None
    name = context.grouping(grouping)
    rows = flagged_first(found)
    return ShortcutsPart(
        anchor,
        f"Shortcut features, by {name}",
        relied(context, found, name),
        _meaning(found) if rows else "",
        shortcuts_figure(context, model, grouping, found, rows),
        shortcuts_table(context, model, grouping, found, rows) if rows else None,
        f"{count(found.n)} flagged" if rows else "no answer",
    )


def flagged_first(found: Shortcuts) -> list[ShortcutRow]:
    """Put flagged features first, both parts in the report's order."""
    return sorted(found.rows, key=lambda row: not row.shortcut)


# --- words -------------------------------------------------------------------------------------


def relied(context: Context, found: Shortcuts, name: str) -> str:
    """Say which features carry the model here and not elsewhere, or that none does.

    Args:
        context: The reader.
        found: The features.
        name: Name of the grouping.

    Returns:
        One sentence, or two.
    """
    if not found.rows:
        why = found.reason or "no feature has a weight"
        return f"No answer: {context.long_text(why)}."
    flagged = [row for row in found.rows if row.shortcut]
    of = context.plural(len(found.rows), "feature")
    if not flagged:
        return (
            f"No shortcut found: of the {of} with the largest weights, none falls below "
            f"{_percent(context, found.threshold)} of its part, and below chance, when one {name} "
            "goes."
        )
    names = [context.text(row.feature) for row in flagged]
    verb = "carries" if found.n == 1 else "carry"
    first = flagged[0]
    text = (
        f"{context.plural(found.n, 'feature')} {verb} the model here and not elsewhere: "
        f"{_named(context, names, found.n)}."
    )
    if not math.isfinite(first.retention):
        return text
    floor = ""
    if math.isfinite(first.floor):
        floor = f", where chance alone leaves {_percent(context, first.floor)}"
    without = f"without {name} {_blamed(context, first)}"
    if first.retention < 0:
        return f"{text} The weight of {names[0]} turns its sign {without}{floor}."
    return f"{text} Of {names[0]}, {_percent(context, first.retention)} is left {without}{floor}."


def _named(context: Context, names: Sequence[str], total: int) -> str:
    """List some names and count the others."""
    more = total - NAMED
    if total <= NAMED and total == len(names):
        return joined(names)
    shown = ", ".join(names[:NAMED])
    return f"{shown} and {context.plural(more, 'more', 'more')}" if more > 0 else shown


def _percent(context: Context, value: float) -> str:
    """Write a share without an interval."""
    return shares(value, NAN, NAN, plain=context.plain)[0]


def _blamed(context: Context, row: ShortcutRow) -> str:
    """Name the group without which least is left."""
    return context.group_in_text((("", row.blamed),))


def _meaning(found: Shortcuts) -> str:
    """Say how what is left was measured, and when a feature is flagged."""
    least = percent(found.threshold)
    never_seen = ""
    if found.what == "permutation importance":
        never_seen = ", and if it does not clearly matter, over all groups, where never seen"
        measured = (
            "What is left: a feature's importance for a model that never saw the group, as a "
            "share of that for models that saw other rows of it; by chance: the same for models "
            "that all did."
        )
    else:
        measured = (
            "What is left: a feature's weight when the rows of one group go, as a share of its "
            "weight on all rows, in the group where that is least; below 0 its sign flips."
        )
    chance = (
        f" By chance: what {plural(found.draws, 'random drop')} of as many rows leave."
        if found.draws
        else ""
    )
    return (
        f"{measured}{chance} A feature is flagged if less than {least} is left, and less than by "
        f"chance{never_seen}."
    )


# --- the figure --------------------------------------------------------------------------------


def shortcuts_figure(
    context: Context,
    model: ModelAudit,
    grouping: Grouping,
    found: Shortcuts,
    rows: Sequence[ShortcutRow],
) -> Dumbbells | None:
    """Lay out what is left of each feature beside what chance leaves.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: The features.
        rows: The features, flagged first.

    Returns:
        The figure, or None if no feature has a retention.
    """
    known = [row for row in rows if math.isfinite(row.retention)]
    shown = known[: context.limits.bars]
    if not shown:
        return None
    marks = [
        Mark(
            context.name(row.feature),
            f"{_percent(context, row.retention)}{', shortcut' if row.shortcut else ''}",
            100 * row.retention,
            NAN,
            NAN,
            shrunk=100 * row.floor,
        )
        for row in shown
    ]
    said = [
        f"{context.text(row.feature)} {_percent(context, row.retention)}, by chance "
        f"{_percent(context, row.floor)}{', flagged' if row.shortcut else ''}"
        for row in shown[:6]
    ]
    left = len(known) - len(shown)
    return dumbbells(
        next(context.figures),
        f"Percent of each feature's part that is left when one {context.grouping(grouping)} goes"
        f"{context.of_model(model)}",
        f"{'; '.join(said)}. The table holds all numbers.",
        marks,
        names=("what is left", "what is left of a shortcut", "by chance alone"),
        flagged=[row.shortcut for row in shown],
        zero=0.0,
        zero_text="nothing left",
        limit=100 * found.threshold,
        limit_text="threshold",
        within=WIDEST,
        note=f"{plural(left, 'more feature')} in the table only." if left > 0 else "",
    )


# --- tables ------------------------------------------------------------------------------------


def shortcuts_table(
    context: Context,
    model: ModelAudit,
    grouping: Grouping,
    found: Shortcuts,
    rows: Sequence[ShortcutRow],
) -> Table:
    """List features with their weights and what is left of them.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: The features.
        rows: The features, flagged first.

    Returns:
        The table.
    """
    shown = rows[: context.limits.rows]
    numbers = numbers_of([row.weight for row in shown], [])
    firing = any(not math.isnan(row.firing) for row in shown)
    quadrants = any(row.quadrant for row in shown)

    def row_of(row: ShortcutRow) -> tuple[Cell, ...]:
        return (
            Cell(context.name(row.feature)),
            Cell("◆ shortcut" if row.shortcut else "no"),
            Cell(numbers.one(row.weight)),
            Cell(_percent(context, row.retention)),
            Cell(_percent(context, row.floor)),
            Cell(context.name(row.blamed)),
            *([Cell(numbers_of([row.firing], []).one(row.firing))] if firing else []),
            *([Cell(context.text(row.quadrant) or MISSING)] if quadrants else []),
        )

    left = len(rows) - len(shown)
    kinds = (
        " Kind: by what is left and by firing, how much more often the feature is above 0 in the "
        "class that it speaks for."
        if quadrants
        else ""
    )
    return Table(
        next(context.tables),
        f"Features and what is left of them, by {context.grouping(grouping)}"
        f"{context.of_model(model)}",
        (
            Column("Feature", number=False),
            Column("Flagged", number=False),
            Column("Importance" if found.what == "permutation importance" else "Weight"),
            Column("What is left"),
            Column("Floor: left by chance"),
            Column("Least without", number=False),
            *([Column("Firing ratio")] if firing else []),
            *([Column("Kind", number=False)] if quadrants else []),
        ),
        tuple(row_of(row) for row in shown),
        f"{plural(left, 'more feature')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        f"The features with the largest weights, flagged ones first.{kinds}",
    )


# --- stability ---------------------------------------------------------------------------------


def stability_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str
) -> StabilityPart | None:
    """Put the stability of features on the page, or nothing where it was not looked at."""
    found = grouping.stability
    if found is None:
        return None
    name = context.grouping(grouping)
    return StabilityPart(
        anchor,
        f"Stability of features, by {name}",
        varied(context, found, name),
        stability_table(context, model, grouping, found) if found.rows else None,
        f"{count(len(_changing(found)))} of {count(len(found.rows))} change",
    )


def _changing(found: Stability) -> list[StabilityRow]:
    """Features of whose variance a good part lies between groups."""
    return [row for row in found.rows if row.share >= CHANGING]


def _turning(found: Stability) -> list[StabilityRow]:
    """Features that speak for different classes in different groups."""
    return [row for row in found.rows if row.weakest < 0 < row.strongest]


def varied(context: Context, found: Stability, name: str) -> str:
    """Say which features differ from group to group.

    Args:
        context: The reader.
        found: The features.
        name: Name of the grouping.

    Returns:
        One sentence to three.
    """
    if not found.rows:
        return f"No answer: {context.long_text(found.reason or 'no feature varies')}."
    changing, turning = _changing(found), _turning(found)
    of = context.plural(len(found.rows), "feature")
    if changing:
        named = _named(context, [context.text(row.feature) for row in changing], len(changing))
        text = (
            f"{len(changing)} of {of} {'differs' if len(changing) == 1 else 'differ'} much by "
            f"{name} ({_percent(context, CHANGING)} of the variance or more lies between groups): "
            f"{named}."
        )
    else:
        text = (
            f"No feature differs much by {name}: of none does a quarter of the variance lie "
            "between groups."
        )
    if turning:
        named = _named(context, [context.text(row.feature) for row in turning], len(turning))
        text += f" The difference between the classes turns its sign in some groups for {named}."
    constant = sum(row.band == "constant" for row in found.rows)
    if constant:
        verb = "varies" if constant == 1 else "vary"
        text += f" {context.plural(constant, 'feature')} never {verb}."
    return text


def stability_table(
    context: Context, model: ModelAudit, grouping: Grouping, found: Stability
) -> Table:
    """List features by the share of their variance that lies between groups."""
    shown = found.rows[: context.limits.rows]
    classes = any(not math.isnan(v) for row in shown for v in (row.weakest, row.strongest))
    numbers = numbers_of([1.0], [])

    def row_of(row: StabilityRow) -> tuple[Cell, ...]:
        turns = "turns its sign" if row.weakest < 0 < row.strongest else ""
        return (
            Cell(context.name(row.feature)),
            Cell(_percent(context, row.share)),
            Cell(numbers.one(row.variation)),
            Cell(context.text(row.band)),
            *(
                [Cell(numbers.one(row.weakest)), Cell(numbers.one(row.strongest))]
                if classes
                else []
            ),
            *([Cell(turns or MISSING)] if classes else []),
        )

    left = len(found.rows) - len(shown)
    return Table(
        next(context.tables),
        f"How features differ by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column("Feature", number=False),
            Column("Variance between groups", order="descending"),
            Column("Variation of means"),
            Column("Stability", number=False),
            *(
                [
                    Column("Class difference, smallest"),
                    Column("Largest"),
                    Column("Sign", number=False),
                ]
                if classes
                else []
            ),
        ),
        tuple(row_of(row) for row in shown),
        f"{plural(left, 'more feature')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        "Variation: standard deviation of the group means over their mean, where that is above 0; "
        "stability is high below 0.2 and medium below 0.5."
        + (" Class differences are in standard deviations within a group." if classes else ""),
    )
