"""A report in four lines: here and elsewhere, why, what closes it, at what price."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from elsewhere.report.causes import measurable, measured, said_of
from elsewhere.report.closing import closed, priced
from elsewhere.report.failing import CHANCE, foreseen
from elsewhere.report.planning import ANCHOR, sentences
from elsewhere.report.sentences import two_sided
from elsewhere.report.shortcuts import relied

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from elsewhere.core.gap_report import Grouping
    from elsewhere.report.layout import Context

HERE, WHY, CLOSES, PRICE = "Here and elsewhere", "Why", "What closes it", "Price"
"""What the four lines are called."""

BUY = "What to buy"
"""What the last line is called where it speaks of a plan alone."""


@dataclass(frozen=True)
class Line:
    """One of the four lines.

    Args:
        term: What it answers.
        text: The answer.
        anchor: The part of the page that holds the rest.
    """

    term: str
    text: str
    anchor: str


def in_short(context: Context) -> list[Line]:
    """Write the lines that the report has answers for.

    Args:
        context: The reader.

    Returns:
        Up to four lines; none where nothing but the gap is known, which stands above them.
    """
    lines = [*_why(context), *_closes(context)]
    return [Line(HERE, _both_sides(context), "ladder"), *lines] if lines else []


def _first(context: Context, of: Callable[[Grouping], object]) -> Iterator[tuple[Grouping, str]]:
    """Give the first grouping that has a record, and its place on the page; nothing if none."""
    found = (
        (grouping, f"model-{i}-grouping-{j}")
        for i, model in enumerate(context.report.models, 1)
        for j, grouping in enumerate(model.groupings, 1)
        if of(grouping) is not None
    )
    return islice(found, 1)


def _by(context: Context, grouping: Grouping) -> str:
    """Name a grouping that is not the headline's."""
    return "" if grouping is context.report.headline else f"By {context.grouping(grouping)}: "


def _both_sides(context: Context) -> str:
    """Say how large the gap is."""
    report, numbers = context.report, context.numbers
    gap, grouping = report.gap, report.headline
    metric, name = context.text(report.metric), context.grouping(grouping)
    if not math.isfinite(gap.estimate):
        return (
            f"No gap can be computed by {name}: {context.long_text(gap.reason or 'too few rows')}."
        )
    value = numbers.both(gap.estimate, gap.low, gap.high)
    if two_sided(grouping):
        sides = f"{metric} {numbers.one(gap.here)} here, {numbers.one(gap.elsewhere)} elsewhere"
    else:
        lowest = "lowest" if report.greater_is_better else "highest"
        sides = (
            f"{metric} {numbers.one(gap.elsewhere)} for the {lowest} {name}, "
            f"{numbers.one(gap.here)} for the others"
        )
    return f"{sides}: a gap of {value}."


def _closes(context: Context) -> Iterator[Line]:
    """Say what closes the gap, and what that and the rows to buy cost."""
    plan = context.report.plan
    buy = "" if plan is None else sentences(context, plan)[0]
    anchor = price = ""
    for grouping, start in _first(context, lambda grouping: grouping.closing):
        if grouping.closing is not None:
            by, anchor = _by(context, grouping), f"{start}-closing"
            yield Line(CLOSES, by + closed(context, grouping.closing), anchor)
            price = priced(context, grouping.closing)
            price = by + price if price else ""
    if price or buy:
        yield Line(PRICE if price else BUY, f"{price} {buy}".strip(), anchor if price else ANCHOR)


def _why(context: Context) -> Iterator[Line]:
    """Choose the strongest finding about causes, or say that nothing was found."""
    for grouping, anchor in _first(context, lambda one: one.shortcuts or one.failures):
        yield _strongest(context, grouping, anchor)


def _strongest(context: Context, grouping: Grouping, anchor: str) -> Line:
    """Choose the strongest finding of a grouping."""
    by = _by(context, grouping)
    found = next(_findings(context, grouping), None)
    if found is None:
        nothing = "No shortcut feature, and no pattern of failures that holds in other groups."
        if grouping.shortcuts is None or not grouping.shortcuts.rows:
            nothing = "No pattern of failures that holds in other groups."
        elif grouping.failures is None or not math.isfinite(grouping.failures.auc):
            nothing = "No shortcut feature."
        kind = "shortcuts" if grouping.shortcuts is not None else "failures"
        return Line(WHY, by + nothing, f"{anchor}-{kind}")
    kind, text = found
    return Line(WHY, by + text, f"{anchor}-{kind}")


def _findings(context: Context, grouping: Grouping) -> Iterator[tuple[str, str]]:
    """Write what was found, the strongest first: each with the part that holds the rest."""
    shortcuts, failures = grouping.shortcuts, grouping.failures
    if shortcuts is not None and any(row.shortcut for row in shortcuts.rows):
        yield "shortcuts", relied(context, shortcuts, context.grouping(grouping))
    known = measured(grouping.decompositions)
    worse = measurable(known)
    if worse:
        said = [said_of(context, one) for one in worse]
        most = max(dict.fromkeys(said), key=said.count)
        where = [
            context.group_in_text(one.key)
            for one, reason in zip(worse, said, strict=True)
            if reason == most
        ]
        yield (
            "causes",
            (
                f"Beside the other groups, {len(worse)} of "
                f"{context.plural(len(known), 'group')} {'loses' if len(worse) == 1 else 'lose'} "
                f"measurably: in {context.few(where)} {most}."
            ),
        )
    if failures is not None and failures.low > CHANCE:
        yield "failures", foreseen(context, failures)
    if (shortcuts is None or not shortcuts.rows) and (
        failures is None or not math.isfinite(failures.auc)
    ):
        reason = (shortcuts.reason if shortcuts else "") or (failures.reason if failures else "")
        kind = "shortcuts" if shortcuts is not None else "failures"
        yield kind, f"No answer: {context.long_text(reason or 'too few rows')}."
