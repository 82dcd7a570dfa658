"""Where everything in a figure goes: positions in percent of the width and pixels of the height.

Widths in percent let a figure fill a phone and a desk alike while its letters keep their size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.words import shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from elsewhere.core.calibration import Bin

ROW = 24
"""Height of a group in a forest plot, in pixels; the style sheet has the same number."""

LINE_HEIGHT = 220
"""Height of a figure over time, in pixels."""

SQUARE = 320
"""Side of a reliability figure, in its own units."""

_NAN = float("nan")


@dataclass(frozen=True)
class Mark:
    """One row of a forest plot.

    Args:
        name: Name on the left.
        text: Numbers on the right.
        point: The estimate; NaN for an interval alone.
        low: Lower limit.
        high: Upper limit.
        joint_low: Lower limit for all groups together.
        joint_high: Upper limit for all groups together.
        shrunk: The estimate after partial pooling.
    """

    name: str
    text: str
    point: float
    low: float
    high: float
    joint_low: float = _NAN
    joint_high: float = _NAN
    shrunk: float = _NAN


@dataclass(frozen=True)
class Axis:
    """A range of values on 0 to 100 percent of the width.

    Args:
        low: Value at 2 percent.
        high: Value at 98 percent.
    """

    low: float
    high: float

    def at(self, value: float) -> float:
        """Position of a value in percent, held within the figure."""
        span = self.high - self.low
        return round(min(max(2 + 96 * (value - self.low) / span, 0.0), 100.0), 2)

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Round values in the range, each with its text."""
        step = nice_step((self.high - self.low) / most)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [(k * step, tick_text(k * step, step)) for k in range(first, last + 1)]


def nice_step(size: float) -> float:
    """Round a step up to 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(size))
    return next(m * power for m in (1, 2, 5, 10) if size <= m * power * 1.000001)


def tick_text(value: float, step: float) -> str:
    """Write a round value with as many decimals as its step needs."""
    if step >= 1e6 or step < 1e-6:
        return f"{value:.3g}".replace("-", "−")
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    text = f"{value:.{decimals}f}"
    return (text.lstrip("-") if float(text) == 0 else text).replace("-", "−")


def axis_for(marks: Sequence[Mark], always: Iterable[float] = ()) -> Axis:
    """Choose a range that shows every estimate and nearly all of the intervals.

    A few groups with hardly any rows have intervals that would press all others flat; those are
    cut at the edge and drawn with an arrow.

    Args:
        marks: Rows of the figure.
        always: Values that must be inside, such as 0.

    Returns:
        The range.
    """
    points = finite([v for m in marks for v in (m.point, m.shrunk)] + list(always))
    ends = (v for m in marks for v in (m.low, m.high, m.joint_low, m.joint_high))
    reach = points + finite(ends)
    low, high = min(reach, default=0.0), max(reach, default=1.0)
    if points:
        room = 1.5 * max(max(points) - min(points), 1e-12) + _typical_half(marks)
        low, high = max(low, min(points) - room), min(high, max(points) + room)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-3):
        reach_out = max(abs(high), 1.0) * 0.1
        low, high = low - reach_out, high + reach_out
    return Axis(low, high)


def finite(values: Iterable[float]) -> list[float]:
    """Drop what is not a number."""
    return [v for v in values if math.isfinite(v)]


def _typical_half(marks: Sequence[Mark]) -> float:
    """Twice the median width of the groups' intervals: room for most of them."""
    widths = sorted(finite(m.high - m.low for m in marks))
    return 2 * widths[len(widths) // 2] if widths else 0.0


@dataclass(frozen=True)
class Bar:
    """A mark with its positions; None where there is nothing to draw."""

    name: str
    text: str
    y: float
    point: float | None
    line: tuple[float, float] | None
    joint: tuple[float, float] | None
    shrunk: float | None
    cut_left: bool
    cut_right: bool


@dataclass(frozen=True)
class Forest:
    """A forest plot.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words, for those who do not see it.
        bars: One a row.
        height: Height of the rows in pixels.
        ticks: Positions and texts of the axis.
        reference: Position of the reference line.
        reference_text: What the line stands for.
        band: Left end and width of the band of the mean, if there is one.
        limit: Position of the negligible size, if one was stated.
        has_joint: Whether joint intervals are drawn.
        has_shrunk: Whether values after partial pooling are drawn.
        note: How to read it and what is left out.
    """

    number: int
    title: str
    description: str
    bars: tuple[Bar, ...]
    height: int
    ticks: tuple[tuple[float, str], ...]
    reference: float | None
    reference_text: str
    band: tuple[float, float] | None
    limit: float | None
    has_joint: bool
    has_shrunk: bool
    note: str = ""


def forest(
    number: int,
    title: str,
    description: str,
    marks: Sequence[Mark],
    *,
    reference: float = 0.0,
    reference_text: str = "",
    band: tuple[float, float] = (_NAN, _NAN),
    negligible: float = 0.0,
    note: str = "",
) -> Forest:
    """Lay out a forest plot.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        marks: Rows from top to bottom.
        reference: Value of the reference line; NaN for none.
        reference_text: What the line stands for.
        band: Limits of the mean's interval; NaN for none.
        negligible: Stated negligible size; 0 for none.
        note: How to read it.

    Returns:
        The figure.
    """
    axis = axis_for(marks, [v for v in (reference, *band) if math.isfinite(v)])
    bars = tuple(place(axis, mark, ROW * i + ROW / 2) for i, mark in enumerate(marks))
    shown_band = None
    if all(map(math.isfinite, band)):
        left, right = axis.at(band[0]), axis.at(band[1])
        shown_band = (left, round(right - left, 2))
    inside = 0 < negligible < axis.high
    return Forest(
        number,
        title,
        description,
        bars,
        ROW * len(bars),
        tuple((axis.at(v), text) for v, text in axis.ticks()),
        axis.at(reference) if math.isfinite(reference) else None,
        reference_text,
        shown_band,
        axis.at(negligible) if inside else None,
        any(bar.joint for bar in bars),
        any(bar.shrunk is not None for bar in bars),
        note,
    )


def place(axis: Axis, mark: Mark, y: float) -> Bar:
    """Place one row."""
    line = _stretch(axis, mark.low, mark.high)
    joint = _stretch(axis, mark.joint_low, mark.joint_high)
    lows = [v for v in (mark.low, mark.joint_low) if not math.isnan(v)]
    highs = [v for v in (mark.high, mark.joint_high) if not math.isnan(v)]
    edge = 0.02 * (axis.high - axis.low)
    return Bar(
        mark.name,
        mark.text,
        y,
        position(axis, mark.point),
        line,
        joint,
        position(axis, mark.shrunk),
        cut_left=min(lows, default=axis.low) < axis.low - edge,
        cut_right=max(highs, default=axis.high) > axis.high + edge,
    )


def position(axis: Axis, value: float) -> float | None:
    """Position of a value, or None where there is none."""
    return axis.at(value) if math.isfinite(value) else None


def _stretch(axis: Axis, low: float, high: float) -> tuple[float, float] | None:
    """Positions of an interval, or None where there is none; infinite ends reach the edge."""
    if math.isnan(low) or math.isnan(high):
        return None
    return axis.at(low), axis.at(high)


@dataclass(frozen=True)
class Series:
    """A figure over ordered groups.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        line: Path of the values, in a box 1000 wide.
        band: Path of the values' intervals in the same box.
        other: Path of the other side.
        points: Positions (percent, pixels) of the values.
        ticks: Heights in pixels and texts of the axis.
        labels: Positions (percent) and names of the first, middle and last group.
        names: What the two lines stand for.
        height: Height in pixels.
        note: What is left out.
    """

    number: int
    title: str
    description: str
    line: str
    band: str
    other: str
    points: tuple[tuple[float, float], ...]
    ticks: tuple[tuple[float, str], ...]
    labels: tuple[tuple[float, str], ...]
    names: tuple[str, str]
    height: int = LINE_HEIGHT
    note: str = ""


@dataclass(frozen=True)
class Moment:
    """One group of a figure over time: name, value with its interval, and the other side."""

    name: str
    value: float
    low: float
    high: float
    other: float


def series(
    number: int,
    title: str,
    description: str,
    moments: Sequence[Moment],
    *,
    names: tuple[str, str],
    note: str = "",
) -> Series:
    """Lay out values over ordered groups.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        moments: Groups in their order.
        names: What the values and the other side are called.
        note: What is left out.

    Returns:
        The figure.
    """
    marks = [Mark("", "", m.value, m.low, m.high, shrunk=m.other) for m in moments]
    axis = axis_for(marks)

    def across(i: int) -> float:
        return round(10 + 87 * (i / max(len(moments) - 1, 1) if len(moments) > 1 else 0.5), 2)

    def up(value: float) -> float:
        return round(LINE_HEIGHT * (1 - axis.at(value) / 100), 1)

    xs = [round(10 * across(i), 1) for i in range(len(moments))]
    spans = [(m.low, m.high) for m in moments]
    last = len(moments) - 1
    named = sorted({0, last // 2, last} if last > 3 else {0, last})
    return Series(
        number,
        title,
        description,
        _path(xs, [m.value for m in moments], up),
        _band(xs, spans, up),
        _path(xs, [m.other for m in moments], up),
        tuple((across(i), up(m.value)) for i, m in enumerate(moments) if math.isfinite(m.value)),
        tuple((up(v), text) for v, text in axis.ticks(4)),
        tuple((across(i), shorten(moments[i].name, 16)) for i in named),
        names,
        note=note,
    )


def _path(xs: Sequence[float], values: Sequence[float], up: Callable[[float], float]) -> str:
    """Join known values; the line breaks where there is none."""
    steps: list[str] = []
    pen = "M"
    for x, value in zip(xs, values, strict=True):
        if not math.isfinite(value):
            pen = "M"
            continue
        steps.append(f"{pen}{x:g} {up(value):g}")
        pen = "L"
    return "".join(steps)


def _band(
    xs: Sequence[float], spans: Sequence[tuple[float, float]], up: Callable[[float], float]
) -> str:
    """Outline the intervals, one closed shape for each unbroken run of groups."""
    shapes: list[str] = []
    run: list[tuple[float, float, float]] = []
    for x, (low, high) in [*zip(xs, spans, strict=True), (0.0, (_NAN, _NAN))]:
        if math.isfinite(low) and math.isfinite(high):
            run.append((x, up(low), up(high)))
        elif run:
            there = "L".join(f"{a:g} {top:g}" for a, _, top in run)
            back = "L".join(f"{a:g} {bottom:g}" for a, bottom, _ in reversed(run))
            shapes.append(f"M{there}L{back}Z")
            run = []
    return "".join(shapes)


@dataclass(frozen=True)
class Reliability:
    """A reliability figure in a square of `SQUARE` units with a margin for the axes.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        points: (across, up, upper end, lower end) of each bin.
        line: Path through the bins.
        ticks: Positions and texts, the same for both axes.
    """

    number: int
    title: str
    description: str
    points: tuple[tuple[float, float, float, float], ...]
    line: str
    ticks: tuple[tuple[float, str], ...]


def reliability(number: int, title: str, description: str, curve: Sequence[Bin]) -> Reliability:
    """Lay out a reliability curve; both axes run from 0 to the largest value shown.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        curve: Bins by rising probability, at least one.

    Returns:
        The figure.
    """
    top = max(finite(v for b in curve for v in (b.predicted, b.observed, b.high)), default=1.0)
    step = nice_step(max(top, 1e-6) / 5)
    top = min(max(step * math.ceil(top / step - 1e-9), step), max(1.0, top))

    def at(value: float) -> float:
        return round(SQUARE * min(max(value, 0.0), top) / top, 1)

    def up(value: float) -> float:
        return round(SQUARE - at(value), 1)

    points = tuple(
        (at(b.predicted), up(b.observed), up(b.high), up(b.low))
        for b in curve
        if math.isfinite(b.predicted) and math.isfinite(b.observed)
    )
    line = "L".join(f"{p[0]:g} {p[1]:g}" for p in points)
    ticks = tuple((at(k * step), tick_text(k * step, step)) for k in range(round(top / step) + 1))
    return Reliability(number, title, description, points, f"M{line}" if line else "", ticks)
