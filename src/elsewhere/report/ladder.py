"""The ladder of a page: the same rows, predicted by models that were trained further away."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from elsewhere.report.drawing import ROW, Axis, Bar, Mark, axis_for, place, position
from elsewhere.report.layout import Cell, Column, Context, Fact, Table
from elsewhere.report.words import MISSING, count, joined, plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from elsewhere.core.gap_report import Comparison, GapReport, ModelAudit
    from elsewhere.core.shifts import Rung

MODELS = 4
"""Models of a figure: as many as there are signs to tell them apart."""

BETWEEN = 10
"""Space between two steps in pixels; the style sheet has the same number."""

LATER = "later"
"""Name of the step that stands beside the others: it has rows of its own."""


@dataclass(frozen=True)
class Step:
    """One step of the figure, with one bar a model.

    Args:
        name: What was unseen.
        bars: Each with the number of its model, which chooses its sign.
        references: What random rows show on the same rows, where those are not all rows:
            position, and upper and lower end.
    """

    name: str
    bars: tuple[tuple[int, Bar], ...]
    references: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class LadderFigure:
    """All ladders under each other.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        steps: From random rows down.
        treads: Lines from one step to the next: model, x1, x2, y1, y2.
        height: Height of the steps in pixels.
        ticks: Positions and texts of the axis.
        names: Models, each with its number.
        axis: What the axis measures.
        note: What is left out.
    """

    number: int
    title: str
    description: str
    steps: tuple[Step, ...]
    treads: tuple[tuple[int, float, float, float, float], ...]
    height: int
    ticks: tuple[tuple[float, str], ...]
    names: tuple[tuple[int, str], ...]
    axis: str
    note: str = ""

    @property
    def has_references(self) -> bool:
        """Whether any step has rows of its own."""
        return any(step.references for step in self.steps)


@dataclass(frozen=True)
class LadderPart:
    """The ladder on the page.

    Args:
        intro: How to read it.
        sentences: One entry a model.
        compared: What leaving columns out does, in sentences.
        figure: The figure, or None if no step has a value.
        table: The numbers.
        summary: First and last value of the first model.
    """

    intro: str
    sentences: list[Fact]
    compared: list[str]
    figure: LadderFigure | None
    table: Table
    summary: str


def ladder_part(context: Context) -> LadderPart | None:
    """Put the ladders of all models on the page, or nothing where no model has one."""
    models = [model for model in context.report.models if model.ladder]
    if not models:
        return None
    name = context.grouping(context.report.headline)
    return LadderPart(
        "Each step asks the same model for rows that lie further from what it was trained on. A "
        "gap compares the same rows under models that were trained on equally many random rows. "
        f"All values are averaged within {name}.",
        [
            Fact(context.model(model), climbed(context, model))
            for model in models[: context.limits.sections]
        ],
        compared(context),
        ladder_figure(context, models),
        ladder_table(context, models),
        _summary(context, models[0]),
    )


# --- words -------------------------------------------------------------------------------------


def climbed(context: Context, model: ModelAudit) -> str:
    """Say what a model shows on every step, and how much of it is lost.

    Args:
        context: The page.
        model: A model that has a ladder.

    Returns:
        One sentence, and one more for later rows.
    """
    shown = model.ladder[: context.limits.rows]
    if not any(math.isfinite(rung.gap.elsewhere) for rung in shown):
        why = next((rung.gap.reason for rung in shown if rung.gap.reason), "too few rows")
        return f"No step has a value: {context.long_text(why)}."
    same = [rung for rung in shown if rung.name != LATER or rung.lowest]
    one = context.numbers.one
    said = [f"{_on(context, rung)} {one(rung.gap.elsewhere)}" for rung in same]
    text = f"{said[0]}; {', '.join(said[1:])}" if len(said) > 1 else ", ".join(said)
    text = text[:1].upper() + text[1:]
    last = next((rung for rung in reversed(same) if not rung.lowest), None)
    if last is not None:
        text += f": {_lost(context, last)}."
    elif text:
        text += "; there is no other step." if len(shown) == 1 else "."
    for rung in shown:
        if rung not in same:
            text += f" Later {one(rung.gap.elsewhere)}, {_later(context, rung)}."
    return text.strip()


def _on(context: Context, rung: Rung) -> str:
    """Name a step inside a sentence."""
    name = context.text(rung.name)
    return name if rung.name == LATER else f"on {name}"


def _lost(context: Context, rung: Rung) -> str:
    """Say how far a step lies below random rows."""
    gap, on = rung.gap, _on(context, rung)
    value = context.numbers.both(gap.estimate, gap.low, gap.high)
    if not math.isfinite(gap.estimate):
        why = context.long_text(gap.reason or "too few rows")
        return f"what is lost {on} cannot be told ({why})"
    if gap.low > 0 and context.report.greater_is_better:
        return f"of what random rows show, {value} is lost {on}"
    if gap.low > 0:
        return f"{value} comes on top of what random rows show {on}"
    if gap.high < 0:
        better = context.numbers.both(-gap.estimate, -gap.high, -gap.low)
        return f"{on} it does better than random rows show, by {better}"
    return f"no loss can be told {on}: {value}"


def _later(context: Context, rung: Rung) -> str:
    """Compare later rows with what random rows show on them."""
    gap, numbers = rung.gap, context.numbers
    if not math.isfinite(gap.estimate):
        return _lost(context, rung)
    value = numbers.both(gap.estimate, gap.low, gap.high)
    clear = gap.low > 0 or gap.high < 0
    return (
        f"where random rows show {numbers.one(gap.here)}: a gap of {value}"
        f"{'' if clear else ', which is not clear'}"
    )


def compared(context: Context) -> list[str]:
    """Say how two models differ on the steps of the ladder, one sentence for each two models."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for entry in context.report.comparisons[: context.limits.rows]:
        if entry.rung and math.isfinite(entry.estimate):
            pairs.setdefault((entry.first, entry.second), []).append(entry)
    return [
        f"{context.text(second)} is {joined([_differs(context, entry) for entry in entries])}, "
        f"compared with {context.text(first)}."
        for (first, second), entries in list(pairs.items())[:MODELS]
    ]


def _differs(context: Context, entry: Comparison) -> str:
    """Say how far the second model lies from the first on one step, in the metric's direction."""
    both = context.numbers.both
    # How much better the first is: with a score the second is lower by that, with an error higher.
    sign = -1.0 if context.report.greater_is_better else 1.0
    ends = sorted((sign * entry.low, sign * entry.high))
    change, on = sign * entry.estimate, _on_step(context, entry.rung)
    if ends[0] > 0:
        return f"{both(change, *ends)} higher {on}"
    if ends[1] < 0:
        return f"{both(-change, -ends[1], -ends[0])} lower {on}"
    return f"not clearly different {on} ({both(change, *ends)})"


def _on_step(context: Context, name: str) -> str:
    """Name a step of a comparison inside a sentence."""
    return context.text(name) if name == LATER else f"on {context.text(name)}"


def _summary(context: Context, model: ModelAudit) -> str:
    """Write the first and the last step's value."""
    one = context.numbers.one
    first, last = model.ladder[0], model.ladder[-1]
    if len(model.ladder) == 1:
        return one(first.gap.elsewhere)
    return f"{one(first.gap.elsewhere)} to {one(last.gap.elsewhere)}"


def ladder_line(context: Context, model: ModelAudit, name: str) -> str:
    """Write a model's ladder as one line, for terminals.

    Args:
        context: The reader.
        model: A model that has a ladder.
        name: Its name as shown.

    Returns:
        Like "boosting: random rows 0.762 · unseen date 0.679 · unseen month 0.659"; with what
        random rows show where a step has rows or a training size of its own.
    """
    one, first = context.numbers.one, model.ladder[0]

    def step(rung: Rung) -> str:
        text = f"{context.text(rung.name)} {one(rung.gap.elsewhere)}"
        own = rung.n_train != first.n_train or rung.gap.n_rows != first.gap.n_rows
        return f"{text} (random rows {one(rung.gap.here)})" if own else text

    steps = [step(rung) for rung in model.ladder[:MODELS]]
    more = len(model.ladder) - MODELS
    return f"{name}: {' · '.join(steps)}" + (f" · and {more} more" if more > 0 else "")


# --- the figure --------------------------------------------------------------------------------


def ladder_figure(context: Context, models: Sequence[ModelAudit]) -> LadderFigure | None:
    """Lay out the ladders of up to four models, one row a step and model.

    Args:
        context: The page.
        models: Models that have a ladder.

    Returns:
        The figure, or None if no step has a value.
    """
    shown = models[:MODELS]
    grid = _aligned(shown)
    names = list(grid)[: context.limits.bars]
    rungs = [(step, number, rung) for step in names for number, rung in grid[step]]
    marks = {(step, number): _mark(context, rung) for step, number, rung in rungs}
    if not any(math.isfinite(mark.point) for mark in marks.values()):
        return None
    axis = axis_for(list(marks.values()), _references(rungs))
    steps: list[Step] = []
    places: dict[int, list[tuple[Rung, Bar]]] = {}
    top = 0
    for step in names:
        bars: list[tuple[int, Bar]] = []
        for i, (number, rung) in enumerate(grid[step]):
            mark = marks[step, number]
            # The name is written once: the bars of one step stand together.
            named = replace(mark, name=mark.name if i == 0 else "")
            bar = place(axis, named, top + ROW * i + ROW / 2)
            bars.append((number, bar))
            places.setdefault(number, []).append((rung, bar))
        steps.append(Step(context.text(step[0]), tuple(bars), _ticks(axis, grid[step], bars)))
        top += ROW * len(bars) + BETWEEN
    metric = context.text(context.report.metric)
    left_out = len(models) - len(shown)
    note = f"{plural(left_out, 'more model')} in the table only." if left_out > 0 else ""
    return LadderFigure(
        next(context.figures),
        f"{metric} from random rows to {context.text(names[-1][0])}",
        _described(context, shown),
        tuple(steps),
        tuple(_treads(places)),
        top - BETWEEN,
        tuple((axis.at(v), text) for v, text in axis.ticks()),
        tuple((i, context.model(model)) for i, model in enumerate(shown)),
        metric,
        note,
    )


_Name = tuple[str, int]
"""A step: its name, and how many steps of the same model had it before."""


def _aligned(models: Sequence[ModelAudit]) -> dict[_Name, list[tuple[int, Rung]]]:
    """Put the same steps of several models together, in the order in which they come."""
    found: dict[_Name, list[tuple[int, Rung]]] = {}
    for number, model in enumerate(models):
        seen: dict[str, int] = {}
        for rung in model.ladder:
            times = seen[rung.name] = seen.get(rung.name, -1) + 1
            found.setdefault((rung.name, times), []).append((number, rung))
    return found


def _mark(context: Context, rung: Rung) -> Mark:
    """Turn a step into a row of the figure."""
    gap = rung.gap
    text = context.numbers.both(gap.elsewhere, gap.elsewhere_low, gap.elsewhere_high)
    name = context.text(rung.name)
    return Mark(name, text, gap.elsewhere, gap.elsewhere_low, gap.elsewhere_high)


def _own_rows(rung: Rung) -> bool:
    """Whether a step is compared on rows of its own."""
    return rung.name == LATER and not rung.lowest and math.isfinite(rung.gap.here)


def _references(rungs: Sequence[tuple[_Name, int, Rung]]) -> list[float]:
    """What random rows show on rows of a step's own."""
    return [rung.gap.here for _, _, rung in rungs if _own_rows(rung)]


def _ticks(
    axis: Axis, rungs: Sequence[tuple[int, Rung]], bars: Sequence[tuple[int, Bar]]
) -> tuple[tuple[float, float, float], ...]:
    """Place what random rows show on rows of a step's own."""
    found: list[tuple[float, float, float]] = []
    for (_, rung), (_, bar) in zip(rungs, bars, strict=True):
        at = position(axis, rung.gap.here)
        if at is not None and _own_rows(rung):
            found.append((at, bar.y - 7, bar.y + 7))
    return tuple(found)


def _treads(
    places: dict[int, list[tuple[Rung, Bar]]],
) -> Iterator[tuple[int, float, float, float, float]]:
    """Lead from each step down to the next of the same model and over to its value."""
    for number, line in places.items():
        known = [(rung, bar.point, bar.y) for rung, bar in line if bar.point is not None]
        for (_, x1, y1), (rung, x2, y2) in pairwise(known):
            if rung.name != LATER:
                yield number, x1, x1, y1, y2
                yield number, x1, x2, y2, y2


def _described(context: Context, models: Sequence[ModelAudit]) -> str:
    """Say in words what the figure shows."""
    return " ".join(f"{context.model(model)}: {climbed(context, model)}" for model in models)


# --- tables ------------------------------------------------------------------------------------


def ladder_table(context: Context, models: Sequence[ModelAudit]) -> Table:
    """List every step of every model."""
    grid = _aligned(models)
    entries = [(models[number], rung) for step in grid for number, rung in grid[step]]
    shown = entries[: context.limits.rows]
    several = len(models) > 1
    reasons = any(rung.gap.reason for _, rung in shown)
    own = any(_own_rows(rung) for _, rung in shown)
    numbers = context.numbers

    def row(model: ModelAudit, rung: Rung) -> tuple[Cell, ...]:
        gap = rung.gap
        value = numbers.interval(gap.elsewhere_low, gap.elsewhere_high)
        difference = Cell(numbers.one(gap.estimate), numbers.interval(gap.low, gap.high))
        here = Cell(numbers.one(gap.here), numbers.interval(gap.here_low, gap.here_high))
        return (
            Cell(context.text(rung.name)),
            *([Cell(context.model(model))] if several else []),
            Cell(numbers.one(gap.elsewhere), value),
            *([here] if own else []),
            Cell(MISSING) if rung.lowest else difference,
            Cell(count(gap.n_rows[1])),
            Cell(count(rung.n_train)),
            *([Cell(context.long_text(gap.reason))] if reasons else []),
        )

    metric = context.text(context.report.metric)
    left = len(entries) - len(shown)
    return Table(
        next(context.tables),
        "The ladder in numbers",
        (
            Column("Step", number=False),
            *([Column("Model", number=False)] if several else []),
            Column(metric),
            *([Column("Random rows, same rows")] if own else []),
            Column("Gap to random rows"),
            Column("Rows predicted"),
            Column("Rows trained on"),
            *([Column("Note", number=False)] if reasons else []),
        ),
        tuple(row(*entry) for entry in shown),
        f"{plural(left, 'more step')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        "Positive gaps mean worse than random rows.",
    )


def fitted(report: GapReport) -> bool:
    """Whether a report comes from models that were fitted for it."""
    return report.fits is not None or any(model.ladder for model in report.models)
