"""Why groups are worse: the parts of each group's loss, drawn, listed and summed up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import Bar, Mark, axis_for, place
from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.words import MISSING, count, numbers_of, percent, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from elsewhere.core.gap_report import Grouping, ModelAudit
    from elsewhere.core.shifts import Decomposition, Part
    from elsewhere.report.words import Numbers

KINDS = ("covariate shift", "shift of y given x", "label shift", "shift of x given y")
"""Parts that have a look of their own; a part of another name looks like the last one."""

TALL = 28
"""Height of a group in pixels; the style sheet has the same number."""

CLASSES = 3
"""Classes whose shares are listed."""

UNSURE = "no part is clear"
UNKNOWN = "it cannot be taken apart"
"""What is said of groups that are worse, for no known reason."""

MEANINGS = (
    "Covariate shift: the group has more rows of a kind that is hard everywhere.",
    (
        "Shift of y given x: rows that look the same turn out differently there, which only "
        "labels from there can mend; nothing can be said of it where the features do not overlap."
    ),
    "Label shift: the group has more rows of a class that is hard everywhere.",
    "Shift of x given y: rows of one class look different there.",
)
"""What the parts mean, in the order of `KINDS`."""


@dataclass(frozen=True)
class Stack:
    """One group: its parts as pieces (kind, left end, width), and the total with its interval."""

    bar: Bar
    pieces: tuple[tuple[int, float, float], ...]


@dataclass(frozen=True)
class StackFigure:
    """The parts of every group's loss, on both sides of 0.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        stacks: One a group.
        height: Height of the rows in pixels.
        ticks: Positions and texts of the axis.
        zero: Position of 0.
        kinds: Kinds of parts that occur, each with its name.
        note: What is left out.
    """

    number: int
    title: str
    description: str
    stacks: tuple[Stack, ...]
    height: int
    ticks: tuple[tuple[float, str], ...]
    zero: float
    kinds: tuple[tuple[int, str], ...]
    note: str


@dataclass(frozen=True)
class CausesPart:
    """The decompositions on the page."""

    anchor: str
    title: str
    sentence: str
    meaning: str
    figure: StackFigure | None
    table: Table
    other: Table | None
    summary: str


def causes_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str
) -> CausesPart | None:
    """Put a grouping's decompositions on the page, or nothing where there are none."""
    found = _largest_first(grouping.decompositions)
    if not found:
        return None
    numbers = loss_numbers(context, found)
    name = context.grouping(grouping)
    n = len(measurable(found))
    figure = stack_figure(context, model, grouping, found, numbers)
    return CausesPart(
        anchor,
        f"Why, by {name}",
        summed_up(context, grouping.decompositions),
        _meaning(context, found, figure) if figure else "",
        figure,
        causes_table(context, model, grouping, found, numbers),
        other_table(context, model, grouping, found, numbers),
        f"{count(n)} of {plural(len(measured(found)), 'group')} worse",
    )


def loss_numbers(context: Context, found: Sequence[Decomposition]) -> Numbers:
    """Choose the decimals of losses, which have another size than the metric."""
    return numbers_of(
        [v for one in found for v in (one.here, one.elsewhere)],
        [one.total.high - one.total.low for one in found],
        plain=context.plain,
    )


def _largest_first(found: Sequence[Decomposition]) -> list[Decomposition]:
    """Put the largest total first, and groups without one last."""

    def rank(one: Decomposition) -> tuple[bool, float]:
        known = not math.isnan(one.total.estimate)
        return not known, -one.total.estimate if known else 0.0

    return sorted(found, key=rank)


def measured(found: Sequence[Decomposition]) -> list[Decomposition]:
    """Keep the groups whose difference has an interval."""
    return [one for one in found if not math.isnan(one.total.low)]


def measurable(found: Sequence[Decomposition]) -> list[Decomposition]:
    """Keep the groups whose loss is higher by an interval that lies above 0."""
    return [one for one in found if one.total.low > 0]


def taken_apart(one: Decomposition) -> bool:
    """Whether any part has a number."""
    return any(math.isfinite(part.estimate) for part in one.parts)


# --- words -------------------------------------------------------------------------------------


def summed_up(context: Context, found: Sequence[Decomposition]) -> str:
    """Say in a sentence what makes the groups worse that measurably are.

    Args:
        context: The reader.
        found: The decompositions of a grouping.

    Returns:
        One sentence, or two.
    """
    known = measured(found)
    if not known:
        why = next((one.reason for one in found if one.reason), "no group has enough rows")
        return f"No group can be compared: {context.long_text(why)}."
    worse = measurable(known)
    of = context.plural(len(known), "group")
    if not worse:
        return (
            f"Beside held-out rows of the other groups, no group loses measurably ({of} looked "
            "at): nothing to explain."
        )
    names: dict[str, list[str]] = {}
    for one in worse:
        names.setdefault(said_of(context, one), []).append(context.group_in_text(one.key))
    order = sorted(names, key=lambda said: (said in (UNSURE, UNKNOWN), -len(names[said])))
    said = [f"in {len(names[what])} ({context.few(names[what])}) {what}" for what in order]
    verb = "loses" if len(worse) == 1 else "lose"
    return (
        f"Beside held-out rows of the other groups, {len(worse)} of {of} {verb} measurably: "
        f"{'; '.join(said)}."
    )


def said_of(context: Context, one: Decomposition) -> str:
    """Say which part makes most of a group's loss, or that it is not known."""
    if not taken_apart(one):
        return UNKNOWN
    part = max(one.parts, key=lambda part: part.estimate if part.low > 0 else -math.inf)
    if not part.low > 0 or 2 * part.estimate < one.total.estimate:
        return UNSURE
    article = "a " if part.name.startswith("shift") else ""
    return f"most of it is {article}{context.text(part.name)}"


def _meaning(context: Context, found: Sequence[Decomposition], figure: StackFigure) -> str:
    """Explain the parts that occur, and what the loss has to do with the metric."""
    said = [MEANINGS[kind] for kind, _ in figure.kinds]
    loss = next((one.loss for one in found if one.loss), "")
    if loss:
        said.append(
            f"The loss is {context.text(loss)}, not {context.text(context.report.metric)}, so the "
            "order of groups can be another one."
        )
    return " ".join(said)


# --- the figure --------------------------------------------------------------------------------


def stack_figure(
    context: Context,
    model: ModelAudit,
    grouping: Grouping,
    found: Sequence[Decomposition],
    numbers: Numbers,
) -> StackFigure | None:
    """Lay out the parts of the groups with the largest totals.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: Decompositions, largest total first.
        numbers: Writer of losses.

    Returns:
        The figure, or None if no group was taken apart.
    """
    known = [one for one in found if taken_apart(one) and math.isfinite(one.total.estimate)]
    shown = known[: context.limits.bars]
    if not shown:
        return None
    marks = [
        Mark(
            context.group(one.key),
            numbers.both(one.total.estimate, one.total.low, one.total.high),
            one.total.estimate,
            one.total.low,
            one.total.high,
        )
        for one in shown
    ]
    runs = [_runs(one.parts) for one in shown]
    ends = [end for run in runs for _, low, high in run for end in (low, high)]
    axis = axis_for(marks, [0.0, *ends])
    stacks: list[Stack] = []
    for i, (mark, run) in enumerate(zip(marks, runs, strict=True)):
        pieces = tuple(
            (kind, axis.at(low), round(axis.at(high) - axis.at(low), 2)) for kind, low, high in run
        )
        stacks.append(Stack(place(axis, mark, TALL * i + 20), pieces))
    kinds = sorted({kind for run in runs for kind, _, _ in run})
    note = ""
    if len(known) > len(shown):
        note = f"{count(len(shown))} of {plural(len(known), 'group')}: the largest totals."
    return StackFigure(
        next(context.figures),
        f"What makes the loss higher by {context.grouping(grouping)}{context.of_model(model)}",
        _described(context, shown, numbers),
        tuple(stacks),
        TALL * len(stacks),
        tuple((axis.at(v), text) for v, text in axis.ticks()),
        axis.at(0.0),
        tuple((kind, KINDS[kind]) for kind in kinds),
        note,
    )


def _runs(parts: Sequence[Part]) -> list[tuple[int, float, float]]:
    """Lay parts end to end: positive ones to the right of 0, negative ones to the left."""
    found: list[tuple[int, float, float]] = []
    right = left = 0.0
    for part in parts:
        if not math.isfinite(part.estimate):
            continue
        kind = KINDS.index(part.name) if part.name in KINDS else len(KINDS) - 1
        if part.estimate >= 0:
            found.append((kind, right, right + part.estimate))
            right += part.estimate
        else:
            found.append((kind, left + part.estimate, left))
            left += part.estimate
    return found


def _described(context: Context, shown: Sequence[Decomposition], numbers: Numbers) -> str:
    """Say in words what the figure shows."""
    said = [
        f"{context.group_in_text(one.key)} {numbers.one(one.total.estimate)} ("
        + ", ".join(f"{context.text(p.name)} {numbers.one(p.estimate)}" for p in one.parts)
        + ")"
        for one in shown[:6]
    ]
    return (
        f"Difference in loss to the other groups and its parts, largest first: {'; '.join(said)}. "
        "The table holds all numbers."
    )


# --- tables ------------------------------------------------------------------------------------


def causes_table(
    context: Context,
    model: ModelAudit,
    grouping: Grouping,
    found: Sequence[Decomposition],
    numbers: Numbers,
) -> Table:
    """List every group's loss, its parts and what the two-sample test says.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: Decompositions, largest total first.
        numbers: Writer of losses.

    Returns:
        The table.
    """
    shown = found[: context.limits.rows]
    names = _names(one.parts for one in shown if taken_apart(one))
    reasons = any(one.reason for one in shown)
    readings = len({one.reading for one in shown if taken_apart(one)}) > 1

    def row(one: Decomposition) -> tuple[Cell, ...]:
        total = one.total
        area = numbers_of([1.0], [one.auc_high - one.auc_low], plain=context.plain)
        return (
            Cell(context.group(one.key)),
            Cell(numbers.one(one.here)),
            Cell(numbers.one(one.elsewhere)),
            Cell(numbers.one(total.estimate), numbers.interval(total.low, total.high)),
            *(_part(numbers, one, one.parts, name) for name in names),
            *(
                [Cell(context.text(one.reading) if taken_apart(one) else MISSING)]
                if readings
                else []
            ),
            Cell(percent(one.shared)),
            Cell(area.one(one.auc), area.interval(one.auc_low, one.auc_high)),
            Cell(f"{count(one.n_rows[0])} / {count(one.n_rows[1])}"),
            *([Cell(context.long_text(one.reason))] if reasons else []),
        )

    readings_found = sorted({one.reading for one in shown if taken_apart(one)})
    reading = f" Parts are read {readings_found[0]}." if len(readings_found) == 1 else ""
    losses = sorted({one.loss for one in shown if one.loss})
    loss = f"Loss: {context.text(losses[0])}. " if len(losses) == 1 else ""
    return Table(
        next(context.tables),
        f"Parts of the loss by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column(context.text(grouping.name), number=False),
            Column("Here"),
            Column("Elsewhere"),
            Column("Difference", order="descending"),
            *(Column(_title(context, name)) for name in names),
            *([Column("Reading", number=False)] if readings else []),
            Column("Overlap of features"),
            Column("Two-sample AUC"),
            Column("Rows here / elsewhere"),
            *([Column("Note", number=False)] if reasons else []),
        ),
        tuple(row(one) for one in shown),
        _left_out(len(shown), len(found)),
        f"{loss}Here are held-out rows of the other groups, elsewhere is the group, under a model "
        f"that never saw it; positive means worse elsewhere.{reading} Where the difference is "
        "clear, each part has its share beside it. Two-sample AUC: how well features alone tell "
        "the two sides apart; at 0.5 not at all.",
    )


def _names(groups: Iterable[Sequence[Part]]) -> list[str]:
    """Names of parts that occur, in the order of `KINDS`, others last."""
    names: dict[str, None] = {}
    for parts in groups:
        names.update(dict.fromkeys(part.name for part in parts))
    known = [kind for kind in KINDS if kind in names]
    return [*known, *(name for name in names if name not in KINDS)][:8]


def _title(context: Context, name: str) -> str:
    """Write a part's name as a head."""
    text = context.text(name)
    return text[:1].upper() + text[1:]


def _part(numbers: Numbers, one: Decomposition, parts: Sequence[Part], name: str) -> Cell:
    """Write one part with its interval and its share of the total."""
    part = next((part for part in parts if part.name == name), None)
    if part is None:
        return Cell(MISSING)
    extra = numbers.interval(part.low, part.high)
    total = one.total
    clear = (total.low > 0 or total.high < 0) and math.isfinite(total.estimate)
    if clear and total.estimate and math.isfinite(part.estimate):
        share = percent(round(part.estimate / total.estimate, 2)).replace("-", numbers.minus)
        extra = f"{extra}, {share}".removeprefix(", ")
    return Cell(numbers.one(part.estimate), extra)


def _left_out(shown: int, total: int) -> str:
    """Say how many groups are not shown."""
    if shown >= total:
        return ""
    return (
        f"{plural(total - shown, 'more group')} left out of {count(total)}. The JSON form of this "
        "report holds all of them."
    )


def other_table(
    context: Context,
    model: ModelAudit,
    grouping: Grouping,
    found: Sequence[Decomposition],
    numbers: Numbers,
) -> Table | None:
    """List the other reading of each group and its mix of classes, where the target has classes.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: Decompositions, largest total first.
        numbers: Writer of losses.

    Returns:
        The table, or None where no group has another reading.
    """
    shown = [one for one in found if one.alternative or one.classes][: context.limits.rows]
    if not shown:
        return None
    names = _names(one.alternative for one in shown)
    area = numbers_of([1.0], [])

    def row(one: Decomposition) -> tuple[Cell, ...]:
        return (
            Cell(context.group(one.key)),
            *(_part(numbers, one, one.alternative, name) for name in names),
            Cell(area.one(one.within_auc)),
            Cell(_mix(context, one)),
        )

    total = sum(bool(one.alternative or one.classes) for one in found)
    return Table(
        next(context.tables),
        f"The other reading, and the mix of classes, by {context.grouping(grouping)}"
        f"{context.of_model(model)}",
        (
            Column(context.text(grouping.name), number=False),
            *(Column(_title(context, name)) for name in names),
            Column("AUC with classes matched"),
            Column("Share of a class: here, elsewhere, elsewhere without labels", number=False),
        ),
        tuple(row(one) for one in shown),
        _left_out(len(shown), total),
        "The same difference, taken apart the other way. The AUC is near 0.5 where nothing but "
        "the mix of classes differs; then this reading is the simpler one.",
    )


def _mix(context: Context, one: Decomposition) -> str:
    """Write the shares of classes; of two classes the second says everything."""
    classes = one.classes[1:] if len(one.classes) == 2 else one.classes
    said = [
        f"{context.text(name)}: {percent(here)}, {percent(there)}, {percent(guess)}"
        for name, here, there, guess in classes[:CLASSES]
    ]
    more = len(classes) - CLASSES
    return "; ".join(said) + (f"; and {plural(more, 'more class', 'more classes')}" * (more > 0))
