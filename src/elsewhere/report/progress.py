"""Many models at once: whether progress here arrives elsewhere, and whether it is shared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elsewhere.core.pools import BEST_MINUS_WORST
from elsewhere.report.drawing import SQUARE, nice_step, tick_text
from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.words import count, joined, numbers_of, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from elsewhere.core.pools import Pool, PoolModel, Slope
    from elsewhere.report.words import Numbers

DRAWN = 4
"""Benchmarks of a figure: as many as there are signs to tell them apart."""

LISTED = 8
"""Benchmarks with a column of their own."""

MIN_POINTS = 2
"""Models below which no line is drawn."""


@dataclass(frozen=True)
class Cloud:
    """One benchmark of a scatter.

    Args:
        kind: Number of its sign.
        name: Its name.
        points: (across, up) of each model.
        line: Ends of its fitted line (x1, y1, x2, y2), or None.
    """

    kind: int
    name: str
    points: tuple[tuple[float, float], ...]
    line: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class Scatter:
    """Models in a square of `SQUARE` units: across their score here, upwards something else.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        clouds: One a benchmark.
        reference: Ends of the line of comparison (x1, y1, x2, y2), or None.
        reference_text: What it stands for.
        across: Positions and texts of the lower axis.
        up: Positions and texts of the left axis.
        across_text: What the lower axis measures.
        up_text: What the left axis measures.
        note: What is left out.
    """

    number: int
    title: str
    description: str
    clouds: tuple[Cloud, ...]
    reference: tuple[float, float, float, float] | None
    reference_text: str
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    across_text: str
    up_text: str
    note: str


@dataclass(frozen=True)
class PoolPart:
    """A pool of models on the page."""

    title: str
    sentences: list[str]
    meaning: str
    figures: list[Scatter]
    slopes: Table | None
    models: Table | None
    summary: str


def pool_part(context: Context) -> PoolPart | None:
    """Put a pool of models on the page, or nothing where there is none."""
    found = context.report.pool
    if found is None:
        return None
    figures = [progress_figure(context, found), disparity_figure(context, found)]
    slopes = [*found.rates, *found.gaps, *([found.disparity] if found.disparity else [])]
    return PoolPart(
        "Many models",
        progressed(context, found),
        _meaning(context, found) if any(math.isfinite(one.value) for one in slopes) else "",
        [figure for figure in figures if figure],
        slopes_table(context, found) if slopes else None,
        models_table(context, found) if found.models else None,
        plural(len(found.models), "model"),
    )


def slope_numbers(context: Context, slopes: Sequence[Slope]) -> Numbers:
    """Choose the decimals of slopes: two, unless they are known better."""
    widths = [one.high - one.low for one in slopes]
    known = [width for width in widths if math.isfinite(width) and width > 0]
    found = numbers_of([one.value for one in slopes], known, plain=context.plain)
    fine = known and min(known) < 0.02
    return found if fine else type(found)(2, found.minus, found.thousands)


# --- words -------------------------------------------------------------------------------------


def progressed(context: Context, found: Pool) -> list[str]:
    """Say whether progress here arrives elsewhere, and whether better models are more equal.

    Args:
        context: The reader.
        found: The pool.

    Returns:
        Sentences, the answer first.
    """
    known = [one for one in found.rates if math.isfinite(one.value)]
    if not known and (found.disparity is None or not math.isfinite(found.disparity.value)):
        why = found.reason or f"{context.plural(len(found.models), 'model')}, too few"
        return [f"No answer: {context.long_text(why)}."]
    said: list[str] = []
    if known:
        said.append(_rates(context, found, known))
    gaps = [one for one in found.gaps if math.isfinite(one.value)]
    if gaps:
        said.append(_gaps(context, found, gaps))
    if found.disparity is not None and math.isfinite(found.disparity.value):
        said.append(_disparity(context, found, found.disparity))
    if found.reason:
        reason = context.long_text(found.reason)
        said.append(f"{reason[:1].upper()}{reason[1:]}.")
    return said


def _rates(context: Context, found: Pool, known: Sequence[Slope]) -> str:
    """Say what one point more here brings elsewhere."""
    numbers = slope_numbers(context, known)
    said = [
        f"{numbers.both(one.value, one.low, one.high)} on {context.text(one.name)}"
        for one in known[:DRAWN]
    ]
    more = len(known) - len(said)
    said += [context.plural(more, "more benchmark")] if more > 0 else []
    return (
        f"One point more of {context.text(found.here)} comes with {joined(said)}, over "
        f"{context.plural(len(found.models), 'model')} of "
        f"{context.plural(found.n_families, 'family', 'families')}."
    )


def _gaps(context: Context, found: Pool, gaps: Sequence[Slope]) -> str:
    """Say whether benchmarks lag behind the first one."""
    numbers = slope_numbers(context, gaps)
    first = found.rates[0].name if found.rates else "the first"
    behind = [one for one in gaps if one.low > 0]
    ahead = [one for one in gaps if one.high < 0]
    if not behind and not ahead:
        said = [
            f"{_other(context, one, first)} ({numbers.both(one.value, one.low, one.high)})"
            for one in gaps[:DRAWN]
        ]
        on = context.text(first)
        return f"No progress clearly differs from that on {on}: {joined(said)} less."
    said = [
        f"{_other(context, one, first)} {word} by {numbers.both(size, *sorted(ends))}"
        for word, sign, some in (("lags behind", 1, behind), ("runs ahead", -1, ahead))
        for one in some[:DRAWN]
        for size, ends in [(sign * one.value, (sign * one.low, sign * one.high))]
    ]
    return f"Beside {context.text(first)}, {joined(said)} for each point here."


def _other(context: Context, gap: Slope, first: str) -> str:
    """Name the benchmark that a progress gap compares with the first one."""
    return context.text(gap.name.removeprefix(f"{first} minus "))


def _disparity(context: Context, found: Pool, one: Slope) -> str:
    """Say whether better models are less equal."""
    numbers = slope_numbers(context, [one])
    value = numbers.both(one.value, one.low, one.high)
    groups = context.text(found.groups)
    ends = ""
    if math.isfinite(one.weakest) and math.isfinite(one.best):
        sizes = numbers_of([one.weakest, one.best], [], plain=context.plain)
        ends = (
            f", from {sizes.one(one.weakest)} for the model that is weakest here to "
            f"{sizes.one(one.best)} for the best"
        )
    if one.low > 0:
        return f"Better models are less equal: {groups} grows by {value} a point{ends}."
    if one.high < 0:
        return f"Better models are more equal: {groups} changes by {value} a point{ends}."
    return f"Not clear whether better models are less equal: {groups} changes by {value}{ends}."


def _meaning(context: Context, found: Pool) -> str:
    """Say where the slopes hold and what they rest on."""
    numbers = numbers_of([found.lowest, found.highest], [], plain=context.plain)
    held = ""
    if math.isfinite(found.lowest) and math.isfinite(found.highest):
        held = (
            f"Slopes hold between {numbers.one(found.lowest)} and {numbers.one(found.highest)} "
            "here and say nothing outside. "
        )
    noisy = ""
    if found.groups == BEST_MINUS_WORST:
        noisy = (
            " The best and the worst group are each model's own: noise alone makes their "
            "difference positive."
        )
    return (
        f"{held}Intervals of {percent(found.level)} count whole families of models, not "
        "models, since those of one family are alike. A model that is better here need not be "
        f"better for the reason that elsewhere asks for.{noisy}"
    )


# --- figures -----------------------------------------------------------------------------------


def progress_figure(context: Context, found: Pool) -> Scatter | None:
    """Lay out every model's score elsewhere over its score here, with the line of equal scores.

    Args:
        context: The page.
        found: The pool.

    Returns:
        The figure, or None if no model has both scores.
    """
    shown = found.rates[:DRAWN]
    clouds = [
        (rate, _known((model.here, score(model, k)) for model in found.models))
        for k, rate in enumerate(shown)
    ]
    clouds = [(rate, points) for rate, points in clouds if points]
    if not clouds:
        return None
    values = [v for _, points in clouds for point in points for v in point]
    low, high, step = _range(min(values), max(values))
    at = _scale(low, high)
    left = len(found.rates) - len(shown)
    here = context.text(found.here)
    return Scatter(
        next(context.figures),
        "Score elsewhere against score here, one point a model",
        _described(context, found),
        tuple(
            Cloud(
                kind,
                context.text(rate.name),
                tuple((at(x), _up(at(y))) for x, y in points),
                _fitted(points, rate.value, at, at),
            )
            for kind, (rate, points) in enumerate(clouds)
        ),
        (0, SQUARE, SQUARE, 0),
        "as good elsewhere as here",
        _ticks(low, high, step, at),
        _ticks(low, high, step, at),
        here,
        "score elsewhere",
        f"{plural(left, 'more benchmark')} in the tables only." if left > 0 else "",
    )


def disparity_figure(context: Context, found: Pool) -> Scatter | None:
    """Lay out every model's difference between groups over its score here, or nothing.

    Args:
        context: The page.
        found: The pool.

    Returns:
        The figure, or None without a slope of disparity.
    """
    slope = found.disparity
    points = _known((model.here, model.disparity) for model in found.models)
    if slope is None or not points:
        return None
    across = _range(min(x for x, _ in points), max(x for x, _ in points))
    up = _range(min(0.0, *(y for _, y in points)), max(0.0, *(y for _, y in points)))
    right, top = _scale(*across[:2]), _scale(*up[:2])
    groups = context.text(found.groups)
    numbers = slope_numbers(context, [slope])
    return Scatter(
        next(context.figures),
        f"Difference between groups against score here ({groups})",
        f"{plural(len(points), 'model')}. Slope {numbers.both(slope.value, slope.low, slope.high)}."
        " The tables hold all numbers.",
        (
            Cloud(
                0,
                groups,
                tuple((right(x), _up(top(y))) for x, y in points),
                _fitted(points, slope.value, right, top),
            ),
        ),
        (0, _up(top(0.0)), SQUARE, _up(top(0.0))),
        "no difference",
        _ticks(*across, right),
        _ticks(*up, top),
        context.text(found.here),
        groups,
        "",
    )


def score(model: PoolModel, k: int) -> float:
    """Take one score elsewhere; NaN where there are too few."""
    return model.scores[k] if k < len(model.scores) else math.nan


def _known(points) -> list[tuple[float, float]]:
    """Keep points whose sides are both numbers that can be drawn."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _fitted(
    points: Sequence[tuple[float, float]],
    slope: float,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> tuple[float, float, float, float] | None:
    """Place the least-squares line of a slope: it passes through the mean of the points."""
    if not math.isfinite(slope) or len(points) < MIN_POINTS:
        return None
    middle = [math.fsum(values) / len(points) for values in zip(*points, strict=True)]
    ends = (min(x for x, _ in points), max(x for x, _ in points))
    first, last = (middle[1] + slope * (x - middle[0]) for x in ends)
    return across(ends[0]), _up(up(first)), across(ends[1]), _up(up(last))


def _range(low: float, high: float) -> tuple[float, float, float]:
    """Choose the ends of an axis and the step between its ticks."""
    span = high - low
    if span < 1e-9 * max(abs(low), abs(high), 1e-3):
        span = 0.2 * max(abs(high), 0.1)
        low -= span / 2
    return low - 0.06 * span, low + 1.06 * span, nice_step(1.12 * span / 6)


def _scale(low: float, high: float) -> Callable[[float], float]:
    """Map values to the square, held within it."""

    def at(value: float) -> float:
        return round(min(max(SQUARE * (value - low) / (high - low), 0.0), float(SQUARE)), 1)

    return at


def _up(value: float) -> float:
    """Turn a height around: pixels go down."""
    return round(SQUARE - value, 1)


def _ticks(
    low: float, high: float, step: float, at: Callable[[float], float]
) -> tuple[tuple[float, str], ...]:
    """Round values within an axis."""
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple((at(k * step), tick_text(k * step, step)) for k in range(first, last + 1))


def _described(context: Context, found: Pool) -> str:
    """Say in words what the scatter shows."""
    numbers = slope_numbers(context, found.rates)
    said = "; ".join(
        f"{context.text(one.name)} {numbers.both(one.value, one.low, one.high)}"
        for one in found.rates[:6]
    )
    return f"{plural(len(found.models), 'model')}. Slopes: {said}. The tables hold all numbers."


# --- tables ------------------------------------------------------------------------------------


def slopes_table(context: Context, found: Pool) -> Table:
    """List every slope, plain and on the logit scale."""
    kinds: list[tuple[str, Slope]] = [
        *(("progress", one) for one in found.rates),
        *(("progress gap", one) for one in found.gaps),
        *((("difference between groups", found.disparity),) if found.disparity else ()),
    ]
    shown = kinds[: context.limits.rows]
    numbers = slope_numbers(context, [one for _, one in shown])
    logits = any(not math.isnan(one.logit) for _, one in shown)

    def row(kind: str, one: Slope) -> tuple[Cell, ...]:
        ends = numbers_of([one.weakest, one.best], [])
        return (
            Cell(context.name(one.name)),
            Cell(kind),
            Cell(numbers.one(one.value), numbers.interval(one.low, one.high)),
            *(
                [Cell(numbers.one(one.logit), numbers.interval(one.logit_low, one.logit_high))]
                if logits
                else []
            ),
            Cell(ends.one(one.weakest)),
            Cell(ends.one(one.best)),
        )

    left = len(kinds) - len(shown)
    return Table(
        next(context.tables),
        f"Change for one point more of {context.text(found.here)}",
        (
            Column("Of", number=False),
            Column("What", number=False),
            Column("Slope"),
            *([Column("Slope on the logit scale")] if logits else []),
            Column("Weakest model here"),
            Column("Best model here"),
        ),
        tuple(row(*entry) for entry in shown),
        f"{plural(left, 'more slope')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        "Progress of 1 means that all of it arrives. A progress gap is the first progress minus "
        "the other: above 0, the other lags behind.",
    )


def models_table(context: Context, found: Pool) -> Table:
    """List the models, weakest here first, with every score."""
    shown = found.models[: context.limits.rows]
    rates = found.rates[:LISTED]
    families = any(model.family != model.name for model in shown)
    disparity = any(not math.isnan(model.disparity) for model in shown)
    numbers = numbers_of([v for m in shown for v in (m.here, *m.scores)], [], plain=context.plain)

    def row(model: PoolModel) -> tuple[Cell, ...]:
        return (
            Cell(context.name(model.name)),
            *([Cell(context.name(model.family))] if families else []),
            Cell(numbers.one(model.here)),
            *(Cell(numbers.one(score(model, k))) for k in range(len(rates))),
            *([Cell(numbers.one(model.disparity))] if disparity else []),
        )

    left, more = len(found.models) - len(shown), len(found.rates) - len(rates)
    return Table(
        next(context.tables),
        f"{count(len(found.models))} models, weakest here first",
        (
            Column("Model", number=False),
            *([Column("Family", number=False)] if families else []),
            Column("Here", order="ascending"),
            *(Column(context.text(rate.name)) for rate in rates),
            *([Column(context.text(found.groups) or "Difference")] if disparity else []),
        ),
        tuple(row(model) for model in shown),
        f"{plural(left, 'more model')} left out; the JSON form of this report holds all."
        if left > 0
        else "",
        f"{plural(more, 'more benchmark')} in the JSON form of this report." if more > 0 else "",
    )
