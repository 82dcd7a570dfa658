"""Gap against group size: whether it is the small groups that stand out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import LINE_HEIGHT, Mark, axis_for, finite, nice_step
from elsewhere.report.sentences import two_sided
from elsewhere.report.words import count, plural, shorten

if TYPE_CHECKING:
    from elsewhere.core.gap_report import Grouping, GroupRow, ModelAudit
    from elsewhere.report.layout import Context

MIN_GROUPS = 5
"""Groups with a gap below which nothing is drawn."""

POINTS = 5
"""A scatter shows this many times as many groups as a forest plot."""

NAME = 24
"""Characters of a name in the figure."""


@dataclass(frozen=True)
class Point:
    """One group: position in percent and pixels, and the ends of its interval in pixels."""

    x: float
    y: float
    top: float | None
    bottom: float | None


@dataclass(frozen=True)
class SizeFigure:
    """Gaps over group sizes.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        points: One a group.
        names: Names of the groups with the largest and the smallest gap: position, height, text,
            and which end of the text stands there.
        across: Positions (percent) and texts of the sizes.
        up: Heights (pixels) and texts of the gaps.
        zero: Height of 0.
        mean: Height of the mean gap.
        height: Height in pixels.
        note: What is left out.
    """

    number: int
    title: str
    description: str
    points: tuple[Point, ...]
    names: tuple[tuple[float, float, str, str], ...]
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    zero: float
    mean: float | None
    height: int
    note: str


def size_figure(context: Context, model: ModelAudit, grouping: Grouping) -> SizeFigure | None:
    """Lay out every group's gap over its number of rows, on a logarithmic axis.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.

    Returns:
        The figure, or None with one side only or with fewer than five gaps.
    """
    known = [row for row in grouping.rows if math.isfinite(row.gap) and row.n_rows > 0]
    if not two_sided(grouping) or len(known) < MIN_GROUPS:
        return None
    shown = _spread_out(known, POINTS * context.limits.bars)
    marks = [Mark("", "", row.gap, row.gap_low, row.gap_high) for row in shown]
    axis = axis_for(marks, [0.0, *finite([grouping.gap.estimate])])
    sizes = [math.log10(row.n_rows) for row in shown]
    first, last = min(sizes), max(sizes)
    if last - first < 0.2:
        first, last = first - 0.1, last + 0.1

    def across(size: float) -> float:
        return round(10 + 86 * (size - first) / (last - first), 2)

    def up(value: float) -> float:
        return round(LINE_HEIGHT * (1 - axis.at(value) / 100), 1)

    def end(value: float) -> float | None:
        return None if math.isnan(value) else up(value)

    alone = len(shown) <= context.limits.bars  # intervals of hundreds of groups hide each other
    points = tuple(
        Point(
            across(size),
            up(row.gap),
            end(row.gap_high) if alone else None,
            end(row.gap_low) if alone else None,
        )
        for size, row in zip(sizes, shown, strict=True)
    )
    by_gap = sorted(range(len(shown)), key=lambda i: shown[i].gap)
    extremes = [(by_gap[-1], shown[by_gap[-1]]), (by_gap[0], shown[by_gap[0]])]
    note = ""
    if len(shown) < len(known):
        note = f"{count(len(shown))} of {plural(len(known), 'group')}, spread over all sizes."
    return SizeFigure(
        next(context.figures),
        f"Gap against group size by {context.grouping(grouping)}{context.of_model(model)}",
        _described(context, shown),
        points,
        tuple(_label(context, points[i], row) for i, row in extremes),
        tuple((across(math.log10(n)), count(n)) for n in _round_sizes(first, last)),
        tuple((up(v), text) for v, text in axis.ticks(4)),
        up(0.0),
        up(grouping.gap.estimate) if math.isfinite(grouping.gap.estimate) else None,
        LINE_HEIGHT,
        note,
    )


def _spread_out(rows: list[GroupRow], most: int) -> list[GroupRow]:
    """Keep groups of all sizes, evenly, so that the picture is that of all groups."""
    by_size = sorted(rows, key=lambda row: row.n_rows)
    if len(by_size) <= most:
        return by_size
    return [by_size[i * (len(by_size) - 1) // (most - 1)] for i in range(most)]


def _label(context: Context, point: Point, row: GroupRow) -> tuple[float, float, str, str]:
    """Write a group's name beside its point, on the side that has room."""
    text = shorten(context.group(row.key), NAME)
    return (point.x, point.y, text, "s" if point.x < 55 else "e")


def _round_sizes(first: float, last: float) -> list[int]:
    """Choose round numbers of rows between two powers of ten."""
    low, high = 10**first, 10**last
    if last - first < 0.7:  # too narrow for 1, 2, 5
        step = max(round(nice_step((high - low) / 4)), 1)
        return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
    factors = (1, 2, 5) if last - first < 2 else (1,)
    found = [
        factor * 10**power
        for power in range(max(math.floor(first), 0), math.ceil(last) + 1)
        for factor in factors
        if first <= math.log10(factor * 10**power) <= last
    ]
    return found or [max(round(10 ** ((first + last) / 2)), 1)]


def _described(context: Context, shown: list[GroupRow]) -> str:
    """Say in words what the figure shows."""
    small, large = shown[0], shown[-1]
    return (
        f"{plural(len(shown), 'group')} by size, from {context.group_in_text(small.key)} with "
        f"{plural(small.n_rows, 'row')} and a gap of {context.numbers.one(small.gap)} to "
        f"{context.group_in_text(large.key)} with {plural(large.n_rows, 'row')} and a gap of "
        f"{context.numbers.one(large.gap)}. The table below holds the numbers."
    )
