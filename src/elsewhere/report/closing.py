"""What closes a gap, and at what price: every attempt, drawn, listed and summed up."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import ROW, Bar, Mark, axis_for, place
from elsewhere.report.layout import Cell, Column, Context, Fact, Table
from elsewhere.report.words import MISSING, count, numbers_of, percent, plural, shares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.closing import Attempt, Closing
    from elsewhere.core.gap_report import Grouping, ModelAudit
    from elsewhere.report.words import Numbers

ALL_ROWS = "all rows"
"""How most attempts are tested: said only where others are too."""

BETWEEN = 10
"""Space between two attempts in pixels; the style sheet has the same number."""

FEW = 8
"""Attempts of a figure that only shows that nothing helps."""

WIDEST_SHARE = 10
"""Width of a share's interval, 1 for the whole gap, above which the share says nothing."""

_MINUS = re.compile(r"(?<![\w.,)-])-(?=\.?\d)")
"""A minus sign in front of a number, which is no hyphen."""

ANSWERS = {
    "nothing to close": "There is nothing to close.",
    "nothing helps": "No remedy closes a measurable part of the gap.",
    "helps": "Some remedies close a part of the gap.",
}
"""What is said where a report has no sentence of its own."""

MEANING = (
    "Gain: how much better the same rows elsewhere do, above 0 whatever the metric's direction; "
    "the limits hold for all attempts together. Each remedy was chosen without labels of the rows "
    "it is scored on. Change here: the same rows by models that also trained on their group; below "
    "0 it is the price."
)


@dataclass(frozen=True)
class Trial:
    """One attempt of the figure: a bar for elsewhere (0), and one for here (1) where it is known.

    Args:
        name: The remedy.
        more: The rows that it was tested on, where some were tested on others.
        bars: Each with the number of its kind, which chooses its sign.
    """

    name: str
    more: str
    bars: tuple[tuple[int, Bar], ...]


@dataclass(frozen=True)
class ClosingFigure:
    """Gains elsewhere and changes here on one axis.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        trials: One an attempt.
        height: Height of the rows in pixels.
        ticks: Positions and texts of the axis.
        zero: Position of no change.
        names: Kinds of bars that occur, each with its name.
        muted: Whether it only shows that nothing helps, and is small and grey.
        note: What is left out.
    """

    number: int
    title: str
    description: str
    trials: tuple[Trial, ...]
    height: int
    ticks: tuple[tuple[float, str], ...]
    zero: float
    names: tuple[tuple[int, str], ...]
    muted: bool
    note: str


@dataclass(frozen=True)
class ClosingPart:
    """The attempts on the page."""

    anchor: str
    title: str
    sentence: str
    figure: ClosingFigure | None
    meaning: str
    table: Table | None
    untried: list[Fact]
    untried_left_out: str
    summary: str


def closing_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str, *, first: bool = False
) -> ClosingPart | None:
    """Put a grouping's attempts on the page, or nothing where there are none.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        anchor: Where links lead.
        first: Whether this is the section at the top of the page.

    Returns:
        The part, or None.
    """
    found = grouping.closing
    if found is None:
        return None
    tried = [one for one in found.attempts if not one.reason]
    untried = [one for one in found.attempts if one.reason]
    numbers = gain_numbers(context, tried)
    most = context.limits.rows
    left = len(untried) - most
    of = f", by {context.grouping(grouping)}"
    return ClosingPart(
        anchor,
        "What closes it" if first else f"What closes it{of}",
        closed(context, found),
        closing_figure(context, model, grouping, found, numbers),
        MEANING if tried else "",
        attempts_table(context, model, grouping, found, numbers) if tried else None,
        [
            Fact(context.name(one.name), f"{context.long_text(one.reason)}.")
            for one in untried[:most]
        ],
        f"{plural(left, 'more remedy', 'more remedies')} not tried." if left > 0 else "",
        _summary(context, found),
    )


def gain_numbers(context: Context, tried: Sequence[Attempt]) -> Numbers:
    """Choose the decimals of gains, whose intervals can be narrower than those of gaps."""
    return numbers_of(
        [v for one in tried for v in (one.before, one.after)],
        [one.high - one.low for one in tried],
        plain=context.plain,
    )


def best_of(found: Closing) -> Attempt | None:
    """The attempt that closes most, or None where none helps."""
    helping = [one for one in found.attempts if one.low > 0 and not one.reason]
    if found.answer != "helps" or not helping:
        return None
    named = [one for one in helping if one.name == found.best]
    return max(named or helping[:1], key=lambda one: _size(one.gain))


def _size(value: float) -> float:
    """Order numbers, what is not one last."""
    return -math.inf if math.isnan(value) else value


# --- words -------------------------------------------------------------------------------------


def closed(context: Context, found: Closing) -> str:
    """Give the answer as the report has it, with this reader's minus signs."""
    text = context.long_text(found.sentence or ANSWERS[found.answer])
    text = _MINUS.sub(context.numbers.minus, text)
    return text[:1].upper() + text[1:]


def priced(context: Context, found: Closing) -> str:
    """Say what the best attempt costs, or what the attempts took where none helps.

    Args:
        context: The reader.
        found: The attempts.

    Returns:
        One sentence; empty where nothing was tried.
    """
    tried = [one for one in found.attempts if not one.reason]
    if not tried:
        return ""
    best = best_of(found)
    if best is None:
        fits = context.plural(sum(one.fits for one in tried), "extra fit")
        names = context.plural(len({one.name for one in tried}), "remedy", "remedies")
        nothing = "Nothing to pay for: " if found.answer == "nothing helps" else ""
        text = f"{nothing}trying {names} took {fits}."
        return _plain(context, text[:1].upper() + text[1:])
    return _plain(
        context,
        f"{_change(context, best, gain_numbers(context, tried))}; {labels_of(context, best)}; "
        f"{context.plural(best.fits, 'extra fit') if best.fits else 'no extra fit'}.",
    )


def _change(context: Context, one: Attempt, numbers: Numbers) -> str:
    """Say what becomes of the score here."""
    metric = context.text(context.report.metric)
    if not math.isfinite(one.here_change) or one.here_low == 0 == one.here_high:
        return "Nothing changes here"
    if one.here_high < 0:
        worse = numbers.both(-one.here_change, -one.here_high, -one.here_low)
        return f"{metric} becomes worse here by {worse}"
    if one.here_low > 0:
        change = numbers.both(one.here_change, one.here_low, one.here_high)
        return f"None here, where {metric} becomes better by {change} too"
    # A bare sign would read as the metric's, which goes down for the better in losses.
    word, sign = ("worse", -1) if one.here_change < 0 else ("better", 1)
    limits = sorted((sign * one.here_low, sign * one.here_high))
    change = numbers.both(sign * one.here_change, *limits)
    return f"No clear change: {metric} {change} {word} here"


def labels_of(context: Context, one: Attempt) -> str:
    """Say which labels of elsewhere a remedy takes."""
    if one.needs == "no labels":
        return "no labels from elsewhere"
    return f"{context.plural(one.labels, 'labelled row')} from each group elsewhere"


def _plain(context: Context, text: str) -> str:
    """Write spaces that terminals of any kind have."""
    return text.replace("\u00a0", " ") if context.plain else text


def reading(one: Attempt, found: Closing) -> str:
    """Say what an attempt's gain allows to say."""
    if not math.isfinite(one.gain) or math.isnan(one.low) or math.isnan(one.high):
        return MISSING
    if one.low > 0 and one is best_of(found):
        # The best one is looked for among those without labels first, whatever labels would bring.
        return "best without labels" if one.needs == "no labels" else "helps most"
    if one.low > 0:
        return "helps"
    if one.low == 0 == one.high:
        return "no change"
    return "makes it worse" if one.high < 0 else "not clear"


def _summary(context: Context, found: Closing) -> str:
    """Write the best share closed, or the answer."""
    best = best_of(found)
    if best is not None and math.isfinite(best.closed):
        return " ".join(_share(best, found)).rstrip()
    return context.text(found.answer)


def _share(one: Attempt, found: Closing) -> tuple[str, str]:
    """Write the share of the gap that an attempt closes, where it means something."""
    if found.answer == "nothing to close":
        return MISSING, ""
    if one.closed_high - one.closed_low > WIDEST_SHARE:
        return "not clear", ""
    return shares(one.closed, one.closed_low, one.closed_high)


# --- the figure --------------------------------------------------------------------------------


def closing_figure(
    context: Context, model: ModelAudit, grouping: Grouping, found: Closing, numbers: Numbers
) -> ClosingFigure | None:
    """Lay out each attempt's gain elsewhere, and under it the change here.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: The attempts.
        numbers: Writer of gains.

    Returns:
        The figure, or None if no attempt has a gain.
    """
    known = [one for one in found.attempts if not one.reason and math.isfinite(one.gain)]
    muted = found.answer != "helps"
    shown = known[: min(context.limits.bars, FEW) if muted else context.limits.bars]
    if not shown:
        return None
    marks = [_marks(one, numbers, muted=muted) for one in shown]
    axis = axis_for([mark for pair in marks for mark in pair], [0.0])
    tall = ROW if muted else 2 * ROW + BETWEEN
    trials: list[Trial] = []
    for i, (one, pair) in enumerate(zip(shown, marks, strict=True)):
        bars = tuple(
            (kind, place(axis, mark, tall * i + ROW * kind + ROW / 2))
            for kind, mark in enumerate(pair)
        )
        name, more = context.name(one.name), "" if one.tested == ALL_ROWS else f"on {one.tested}"
        more = context.text(more)
        trials.append(Trial(f"{name}, {more}" if muted and more else name, more, bars))
    metric = context.text(context.report.metric)
    left = len(known) - len(shown)
    here = any(len(pair) > 1 for pair in marks)
    return ClosingFigure(
        next(context.figures),
        f"How much better {metric} is with each remedy, by {context.grouping(grouping)}"
        f"{context.of_model(model)}",
        _described(context, shown, numbers),
        tuple(trials),
        tall * len(trials) - (0 if muted else BETWEEN),
        tuple((axis.at(v), text) for v, text in axis.ticks()),
        axis.at(0.0),
        ((0, "gain elsewhere, joint interval"), *([(1, "change here, its own interval")] * here)),
        muted,
        f"{plural(left, 'more attempt')} in the table only." if left > 0 else "",
    )


def _marks(one: Attempt, numbers: Numbers, *, muted: bool) -> list[Mark]:
    """Turn an attempt into one or two rows of the figure."""
    gain = Mark("", numbers.both(one.gain, one.low, one.high), one.gain, one.low, one.high)
    if muted or not math.isfinite(one.here_change):
        return [gain]
    change = numbers.both(one.here_change, one.here_low, one.here_high)
    return [gain, Mark("", f"here {change}", one.here_change, one.here_low, one.here_high)]


def _described(context: Context, shown: Sequence[Attempt], numbers: Numbers) -> str:
    """Say in words what the figure shows."""
    said = [
        f"{context.text(one.name)} {numbers.both(one.gain, one.low, one.high)} elsewhere"
        + (f" and {numbers.one(one.here_change)} here" if math.isfinite(one.here_change) else "")
        for one in shown[:6]
    ]
    return f"Right of 0 is better. {'; '.join(said)}. The table holds all numbers."


# --- the table ---------------------------------------------------------------------------------


def attempts_table(
    context: Context, model: ModelAudit, grouping: Grouping, found: Closing, numbers: Numbers
) -> Table:
    """List every attempt that was made, in the report's order.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: The attempts.
        numbers: Writer of gains.

    Returns:
        The table.
    """
    tried = [one for one in found.attempts if not one.reason]
    shown = tried[: context.limits.rows]
    chosen = any(one.chosen for one in shown)

    def row(one: Attempt) -> tuple[Cell, ...]:
        ways = f"{numbers.one(one.before)} → {numbers.one(one.after)}"
        known = math.isfinite(one.before) or math.isfinite(one.after)
        return (
            Cell(context.name(one.name)),
            Cell(reading(one, found)),
            Cell(numbers.one(one.gain), numbers.interval(one.low, one.high)),
            Cell(*_share(one, found)),
            Cell(numbers.one(one.here_change), numbers.interval(one.here_low, one.here_high)),
            Cell(ways if known else MISSING),
            Cell(context.text(one.tested)),
            Cell(context.text(one.needs) if one.needs == "no labels" else f"{count(one.labels)}"),
            Cell(count(one.fits)),
            *([Cell(context.long_text(one.chosen) if one.chosen else MISSING)] if chosen else []),
        )

    left = len(tried) - len(shown)
    return Table(
        next(context.tables),
        f"What was tried, by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column("Remedy", number=False),
            Column("Reading", number=False),
            Column("Gain elsewhere"),
            Column("Share of the gap closed"),
            Column("Change here"),
            Column("Elsewhere before → after"),
            Column("Tested on", number=False),
            Column("Labels per group", number=False),
            Column("Extra fits"),
            *([Column("Chosen here", number=False)] if chosen else []),
        ),
        tuple(row(one) for one in shown),
        f"{plural(left, 'more attempt')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        f"Intervals of gains hold for all attempts together at {percent(found.level)}; those "
        "of shares and of the change here are for one attempt alone. No share is given where the "
        "gap is not clearly above 0, and no change here where each group gets a model of its own. "
        f"A share is not clear where its interval is wider than {WIDEST_SHARE} times the gap.",
    )
