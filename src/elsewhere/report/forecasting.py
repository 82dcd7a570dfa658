"""Forecasts without labels beside what labels say: which one to trust."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.report.drawing import SQUARE, finite, nice_step, tick_text
from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.words import MISSING, count, numbers_of, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.gap_report import Grouping, GroupKey, ModelAudit
    from elsewhere.core.shifts import Forecast, ForecastRow
    from elsewhere.report.words import Numbers

NO_CHANGE = "no change"
"""The forecast to beat: elsewhere is as here."""

METHODS = 8
"""Methods listed group by group."""

MIN_POINTS = 3
"""Groups below which forecast and actual are not drawn."""


@dataclass(frozen=True)
class SquareFigure:
    """Forecast against actual, in a square of `SQUARE` units.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        points: (across, up) of the best forecast.
        others: (across, up) of the forecast to beat.
        names: The two forecasts.
        ticks: Positions and texts, the same for both axes.
        quantity: What was forecast.
    """

    number: int
    title: str
    description: str
    points: tuple[tuple[float, float], ...]
    others: tuple[tuple[float, float], ...]
    names: tuple[str, str]
    ticks: tuple[tuple[float, str], ...]
    quantity: str


@dataclass(frozen=True)
class ForecastPart:
    """The forecasts on the page."""

    anchor: str
    title: str
    sentence: str
    figure: SquareFigure | None
    table: Table
    groups: Table | None
    summary: str


def forecast_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str
) -> ForecastPart | None:
    """Put a grouping's forecasts on the page, or nothing where there are none."""
    found = grouping.forecasts
    if not found:
        return None
    numbers = error_numbers(context, found)
    name = context.grouping(grouping)
    return ForecastPart(
        anchor,
        f"Forecasts without labels, by {name}",
        advised(context, found),
        square_figure(context, model, grouping, found),
        forecast_table(context, model, grouping, numbers),
        groups_table(context, model, grouping),
        f"{sum(one.gain_low > 0 for one in found)} of {_tried(found)} help",
    )


def _tried(found: Sequence[Forecast]) -> int:
    """Count the forecasts that were tried against no change."""
    return sum(one.method != NO_CHANGE for one in found)


def error_numbers(context: Context, found: Sequence[Forecast]) -> Numbers:
    """Choose the decimals of errors."""
    return numbers_of(
        [one.error for one in found],
        [one.high - one.low for one in found],
        plain=context.plain,
    )


def trusted(found: Sequence[Forecast]) -> Forecast | None:
    """The forecast of the smallest error among those that measurably beat no change."""
    beating = [one for one in found if one.gain_low > 0 and math.isfinite(one.error)]
    return min(beating, key=lambda one: one.error, default=None)


# --- words -------------------------------------------------------------------------------------


def advised(context: Context, found: Sequence[Forecast]) -> str:
    """Say which forecast to trust, or that none is worth it.

    Args:
        context: The reader.
        found: Forecasts of a grouping.

    Returns:
        One sentence.
    """
    numbers = error_numbers(context, found)
    known = [one for one in found if math.isfinite(one.error)]
    if not known:
        why = next((one.reason for one in found if one.reason), "no group has one")
        return f"No forecast can be judged: {context.long_text(why)}."
    best = trusted(known)
    if best is not None:
        return (
            f"Trust {context.text(best.method)}: on average it misses {context.text(best.quantity)}"
            f" by {numbers.both(best.error, best.low, best.high)}, which is "
            f"{numbers.both(best.gain, best.gain_low, best.gain_high)} less than assuming no "
            "change."
        )
    text = "No forecast beats assuming no change"
    plain = next((one for one in known if one.method == NO_CHANGE), None)
    if plain is not None:
        text += (
            f", which on average misses {context.text(plain.quantity)} by "
            f"{numbers.both(plain.error, plain.low, plain.high)}"
        )
    return f"{text}."


# --- the figure --------------------------------------------------------------------------------


def square_figure(
    context: Context, model: ModelAudit, grouping: Grouping, found: Sequence[Forecast]
) -> SquareFigure | None:
    """Lay out the forecast to trust, or else the one of the smallest error, beside no change.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: Forecasts, smallest error first.

    Returns:
        The figure, or None below three groups.
    """
    known = [one for one in found if len(_known(one)) >= MIN_POINTS]
    plain = next((one for one in known if one.method == NO_CHANGE), None)
    best = trusted(known) or next((one for one in known if one is not plain), plain)
    if best is None:
        return None
    most = 3 * context.limits.bars
    rows = _known(best)[:most]
    against = [] if plain is None or plain is best else _known(plain)[:most]
    values = [v for row in [*rows, *against] for v in (row.forecast, row.actual)]
    low, high, step = _range(min(values), max(values))

    def at(value: float) -> float:
        return round(SQUARE * (value - low) / (high - low), 1)

    def points(of: Sequence[ForecastRow]) -> tuple[tuple[float, float], ...]:
        return tuple((at(row.forecast), round(SQUARE - at(row.actual), 1)) for row in of)

    first, last = (math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9))
    name, quantity = context.text(best.method), context.text(best.quantity)
    left = len(_known(best)) - len(rows)
    note = f" {plural(left, 'more group')} left out." if left > 0 else ""
    return SquareFigure(
        next(context.figures),
        f"Forecast and actual {quantity} by {context.grouping(grouping)}{context.of_model(model)}",
        f"{plural(len(rows), 'group')}, forecast by {name} across and actual upwards. On the "
        f"diagonal both are equal.{note} The tables hold the numbers.",
        points(rows),
        points(against),
        (name, NO_CHANGE if against else ""),
        tuple((at(k * step), tick_text(k * step, step)) for k in range(first, last + 1)),
        quantity,
    )


def _known(one: Forecast) -> list[ForecastRow]:
    """Groups of which both numbers are known."""
    return [row for row in one.rows if math.isfinite(row.forecast) and math.isfinite(row.actual)]


def _range(low: float, high: float) -> tuple[float, float, float]:
    """Choose the ends of both axes and the step between ticks."""
    span = high - low
    if span < 1e-9 * max(abs(low), abs(high), 1e-3):
        span = 0.2 * max(abs(high), 0.1)
    return low - 0.08 * span, low + span + 0.08 * span, nice_step(1.16 * span / 4)


# --- tables ------------------------------------------------------------------------------------


def forecast_table(
    context: Context, model: ModelAudit, grouping: Grouping, numbers: Numbers
) -> Table:
    """List the methods, the smallest error first."""
    found = grouping.forecasts
    shown = found[: context.limits.rows]
    reasons = any(one.reason for one in shown)

    def row(one: Forecast) -> tuple[Cell, ...]:
        gain = Cell(numbers.one(one.gain), numbers.interval(one.gain_low, one.gain_high))
        return (
            Cell(context.text(one.method)),
            Cell(numbers.one(one.error), numbers.interval(one.low, one.high)),
            Cell(MISSING) if one.method == NO_CHANGE else gain,
            Cell(count(len(_known(one)))),
            *([Cell(context.long_text(one.reason))] if reasons else []),
        )

    quantities = sorted({one.quantity for one in shown if one.quantity})
    what = f" of {context.text(quantities[0])}" if len(quantities) == 1 else ""
    left = len(found) - len(shown)
    return Table(
        next(context.tables),
        f"How far forecasts{what} miss, by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column("Forecast", number=False),
            Column("Mean absolute error", order="ascending"),
            Column("Closer than no change by"),
            Column("Groups"),
            *([Column("Note", number=False)] if reasons else []),
        ),
        tuple(row(one) for one in shown),
        f"{plural(left, 'more forecast')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        "Made without the group's labels. A forecast helps if it is closer than no change by an "
        "interval that lies above 0. Intervals are over groups, each for one forecast alone.",
    )


def groups_table(context: Context, model: ModelAudit, grouping: Grouping) -> Table | None:
    """List every group's actual value and forecasts, in the report's order of methods."""
    methods = grouping.forecasts[:METHODS]
    keys: dict[GroupKey, float] = {}
    for one in methods:
        for row in one.rows:
            if math.isnan(keys.get(row.key, math.nan)):
                keys[row.key] = row.actual
    if not any(_known(one) for one in methods):
        return None
    shown = list(keys)[: context.limits.rows]
    by_method = [{row.key: row.forecast for row in one.rows} for one in methods]
    values = finite(v for one in methods for row in one.rows for v in (row.actual, row.forecast))
    numbers = numbers_of(values, [], plain=context.plain)
    left, more = len(keys) - len(shown), len(grouping.forecasts) - len(methods)
    return Table(
        next(context.tables),
        f"Forecasts of every group by {context.grouping(grouping)}{context.of_model(model)}",
        (
            Column(context.text(grouping.name), number=False),
            Column("Actual"),
            *(Column(context.text(one.method)) for one in methods),
        ),
        tuple(
            (
                Cell(context.group(key)),
                Cell(numbers.one(keys[key])),
                *(Cell(numbers.one(own.get(key, math.nan))) for own in by_method),
            )
            for key in shown
        ),
        f"{plural(left, 'more group')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        f"{plural(more, 'more forecast')} in the JSON form of this report." if more > 0 else "",
    )
