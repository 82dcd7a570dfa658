"""Figures with two marks a row: what is, and what it is to be compared with."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from elsewhere.report.drawing import ROW, Axis, Bar, axis_for, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.report.drawing import Mark


@dataclass(frozen=True)
class Dumbbells:
    """Rows with a filled mark, a ring to compare it with, and a line between them.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        bars: One a row; the ring is `shrunk`.
        flagged: Whether a row's mark is a diamond instead of a circle.
        height: Height of the rows in pixels.
        ticks: Positions and texts of the axis.
        zero: Position of the solid line, or None.
        zero_text: What it stands for.
        limit: Position of the dotted line, or None.
        limit_text: What it stands for.
        names: What circles, diamonds and rings stand for.
        note: How to read it and what is left out.
    """

    number: int
    title: str
    description: str
    bars: tuple[Bar, ...]
    flagged: tuple[bool, ...]
    height: int
    ticks: tuple[tuple[float, str], ...]
    zero: float | None
    zero_text: str
    limit: float | None
    limit_text: str
    names: tuple[str, str, str]
    note: str

    @property
    def has_lines(self) -> bool:
        """Whether any row has an interval."""
        return any(bar.line for bar in self.bars)

    @property
    def has_plain(self) -> bool:
        """Whether any row's mark is a circle."""
        return not all(self.flagged)


def dumbbells(
    number: int,
    title: str,
    description: str,
    marks: Sequence[Mark],
    *,
    names: tuple[str, str, str],
    flagged: Sequence[bool] = (),
    zero: float = math.nan,
    zero_text: str = "",
    limit: float = math.nan,
    limit_text: str = "",
    within: tuple[float, float] | None = None,
    note: str = "",
) -> Dumbbells:
    """Lay out rows with two marks.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        marks: Rows from top to bottom; `shrunk` is the ring.
        names: What circles, diamonds and rings stand for.
        flagged: Rows whose mark is a diamond; none if empty.
        zero: Value of the solid line; NaN for none.
        zero_text: What it stands for.
        limit: Value of the dotted line; NaN for none.
        limit_text: What it stands for.
        within: Range of the axis at most; values beyond it get an arrow.
        note: How to read it.

    Returns:
        The figure.
    """
    axis = axis_for(marks, [v for v in (zero, limit) if math.isfinite(v)])
    if within is not None:
        axis = Axis(max(axis.low, within[0]), min(axis.high, within[1]))
    return Dumbbells(
        number,
        title,
        description,
        tuple(_placed(axis, mark, ROW * i + ROW / 2) for i, mark in enumerate(marks)),
        tuple(flagged) or (False,) * len(marks),
        ROW * len(marks),
        tuple((axis.at(v), text) for v, text in axis.ticks()),
        axis.at(zero) if math.isfinite(zero) else None,
        zero_text,
        axis.at(limit) if math.isfinite(limit) else None,
        limit_text,
        names,
        note,
    )


def _placed(axis: Axis, mark: Mark, y: float) -> Bar:
    """Place one row, with an arrow also where a mark itself lies beyond the axis."""
    bar = place(axis, mark, y)
    ends = [v for v in (mark.point, mark.shrunk) if not math.isnan(v)]
    edge = 0.02 * (axis.high - axis.low)
    return replace(
        bar,
        cut_left=bar.cut_left or min(ends, default=axis.low) < axis.low - edge,
        cut_right=bar.cut_right or max(ends, default=axis.high) > axis.high + edge,
    )
