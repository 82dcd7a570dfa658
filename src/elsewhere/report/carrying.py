"""Who carries to whom: models of one group each, tested on every group."""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import nsmallest
from itertools import pairwise
from typing import TYPE_CHECKING

from elsewhere.report.layout import Cell, Column, Context, Table
from elsewhere.report.words import MISSING, count, plural, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from elsewhere.core.gap_report import Grouping, ModelAudit
    from elsewhere.core.shifts import Matrix, Transfer

WRITTEN = 16
"""Groups up to which every cell holds its number."""

SHADES = (0.05, 0.17, 0.29, 0.41, 0.53, 0.65)
"""Opacities of the legend, from the worst value to the best; ink stays readable on the last."""

FULL = (0.06, 0.24, 0.42, 0.6, 0.78, 0.96)
"""Opacities where nothing is written in the cells."""

TILT = (0.5, 0.87)
"""Width and height of a slanted name for each pixel of its length: 60 degrees."""

NAME = 18
"""Characters of a name beside the matrix; the table has more."""

LETTER = 6.8
"""Width of a letter in pixels, generously."""

BETWEEN = 6
"""Space between clusters in pixels."""


@dataclass(frozen=True)
class Square:
    """One cell: left, top, opacity (None without a value), number, whether it is on the diagonal.

    The number is empty where cells are too small to write in.
    """

    x: float
    y: float
    shade: float | None
    text: str
    own: bool


@dataclass(frozen=True)
class HeatMap:
    """A transfer matrix in pixels.

    Args:
        number: Number on the page.
        title: What it shows.
        description: The same in words.
        size: Width and height of a cell.
        width: Width of the figure.
        height: Height of the figure.
        left: Where the cells start.
        top: Where the cells start.
        squares: The cells.
        rows: Heights and names of the groups trained on.
        columns: Positions and names of the groups tested on.
        slanted: Whether the columns' names are too long to stand straight.
        ends: The worst and the best value, as text.
        note: How to read it and what is left out.
        shades: Opacities of the legend.
    """

    number: int
    title: str
    description: str
    size: tuple[float, float]
    width: float
    height: float
    left: float
    top: float
    squares: tuple[Square, ...]
    rows: tuple[tuple[float, str], ...]
    columns: tuple[tuple[float, str], ...]
    slanted: bool
    ends: tuple[str, str]
    note: str
    shades: tuple[float, ...] = SHADES

    @property
    def full(self) -> bool:
        """Whether the whole range of shades is used, since no number stands on them."""
        return self.shades == FULL

    @property
    def has_missing(self) -> bool:
        """Whether any cell has no value."""
        return any(square.shade is None for square in self.squares)


@dataclass(frozen=True)
class CarryingPart:
    """A transfer matrix on the page."""

    anchor: str
    title: str
    sentences: list[str]
    figure: HeatMap | None
    table: Table | None
    summary: str


def carrying_part(
    context: Context, model: ModelAudit, grouping: Grouping, anchor: str
) -> CarryingPart | None:
    """Put a grouping's transfer matrix on the page, or nothing where there is none."""
    found = grouping.transfer
    if found is None:
        return None
    name = context.grouping(grouping)
    known = any(math.isfinite(value) for row in found.value for value in row)
    numbers = context.numbers
    return CarryingPart(
        anchor,
        f"Who carries to whom, by {name}",
        carried(context, found, name),
        heat_map(context, model, grouping, found) if known else None,
        pairs_table(context, model, grouping, found) if known else None,
        f"own {numbers.one(found.own)}, other {numbers.one(found.other)}" if known else "",
    )


def entry(matrix: Matrix, i: int, j: int) -> float:
    """Take one entry; NaN where a matrix is too small."""
    return matrix[i][j] if i < len(matrix) and j < len(matrix[i]) else float("nan")


def lost(context: Context, found: Transfer, i: int, j: int) -> float:
    """How much worse the model of group i does on group j than the model of group j."""
    sign = 1 if context.report.greater_is_better else -1
    return sign * (entry(found.value, j, j) - entry(found.value, i, j))


# --- words -------------------------------------------------------------------------------------


def carried(context: Context, found: Transfer, name: str) -> list[str]:
    """Compare models on their own group with models on other groups.

    Args:
        context: The page.
        found: The matrix.
        name: Name of the grouping.

    Returns:
        Paragraphs.
    """
    one = context.numbers.one
    paragraphs: list[str] = []
    if math.isfinite(found.own) and math.isfinite(found.other):
        sign = 1 if context.report.greater_is_better else -1
        loss = sign * (found.own - found.other)
        than = f"{one(abs(loss))} {'worse' if loss > 0 else 'better'}" if loss else "the same"
        paragraphs.append(
            f"Models that were trained on {plural(found.n_train, 'row')} of one {name} each show "
            f"{one(found.own)} on held-out rows of their own {name} and {one(found.other)} on "
            f"others: {than}."
        )
    known = any(math.isfinite(value) for row in found.value for value in row)
    clusters = _clusters(context, found) if known else []
    if len(clusters) > 1:
        shown = "; ".join(context.few(names, 6) for names in clusters[:6])
        more = f"; and {len(clusters) - 6} more" if len(clusters) > 6 else ""
        paragraphs.append(
            f"{plural(len(clusters), 'cluster')} of groups whose models do alike: {shown}{more}."
        )
    if found.reason:
        reason = context.long_text(found.reason)
        paragraphs.append(f"{reason[:1].upper()}{reason[1:]}.")
    return paragraphs


def _clusters(context: Context, found: Transfer) -> list[list[str]]:
    """Name the groups of each cluster."""
    members: dict[int, list[str]] = {}
    for key, cluster in zip(found.keys, found.cluster, strict=False):
        members.setdefault(cluster, []).append(context.group_in_text(key))
    return list(members.values())


# --- the figure --------------------------------------------------------------------------------


def heat_map(context: Context, model: ModelAudit, grouping: Grouping, found: Transfer) -> HeatMap:
    """Lay out a matrix: a row is trained on, a column is tested on.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: A matrix with at least one value.

    Returns:
        The figure, of at most as many groups as figures show.
    """
    shown = _shown(context, found)
    values = {(i, j): entry(found.value, i, j) for i in shown for j in shown}
    known = [value for value in values.values() if math.isfinite(value)] or [0.0]
    names = [shorten(context.group(found.keys[i]), NAME) for i in shown]
    written = len(shown) <= WRITTEN
    texts = {at: context.numbers.one(v) if written else "" for at, v in values.items()}
    width = max(34.0, LETTER * max(map(len, texts.values()), default=0) + 8) if written else 17.0
    size = (round(width, 1), 28.0 if written else 17.0)
    longest = LETTER * max(map(len, names))
    slanted = longest > size[0]
    left, top = max(longest + 10, 78.0), 42 + (TILT[1] * longest if slanted else 0.0)
    starts = _starts([_at(found.cluster, i) for i in shown])
    across = [round(left + size[0] * i + shift, 1) for i, shift in enumerate(starts)]
    down = [round(top + size[1] * i + shift, 1) for i, shift in enumerate(starts)]
    shades = SHADES if written else FULL
    shade = _shading(known, shades, better_high=context.report.greater_is_better)
    end = across[-1] + size[0]
    return HeatMap(
        next(context.figures),
        f"{context.text(context.report.metric)} of models of one {context.grouping(grouping)} "
        f"each{context.of_model(model)}",
        _described(context, found, shown),
        size,
        round(end + (TILT[0] * longest if slanted else 6), 1),
        down[-1] + size[1] + 4,
        left,
        top,
        tuple(
            Square(across[b], down[a], shade(values[i, j]), texts[i, j], i == j)
            for a, i in enumerate(shown)
            for b, j in enumerate(shown)
        ),
        tuple(zip((y + size[1] / 2 + 4 for y in down), names, strict=True)),
        tuple(zip((x + size[0] / 2 for x in across), names, strict=True)),
        slanted,
        _ends(context, known),
        _note(found, shown),
        shades,
    )


def _shown(context: Context, found: Transfer) -> list[int]:
    """Choose the groups that fare worst under other groups' models, in the given order."""
    n = len(found.keys)

    def mean_loss(j: int) -> float:
        losses = [lost(context, found, i, j) for i in range(n) if i != j]
        finite = [x for x in losses if math.isfinite(x)]
        return sum(finite) / len(finite) if finite else -math.inf

    if n <= context.limits.bars:
        return list(range(n))
    return sorted(nsmallest(context.limits.bars, range(n), key=lambda j: -mean_loss(j)))


def _at(numbers: Sequence[int], i: int) -> int:
    """Take one entry; 0 where there are too few."""
    return numbers[i] if i < len(numbers) else 0


def _starts(clusters: Sequence[int]) -> list[int]:
    """Shift each group by the spaces between the clusters before it."""
    found, shift = [0], 0
    for before, after in pairwise(clusters):
        shift += BETWEEN if before != after else 0
        found.append(shift)
    return found


def _shading(
    known: Sequence[float], shades: Sequence[float], *, better_high: bool
) -> Callable[[float], float | None]:
    """Turn values into opacities: the best is the darkest; None without a value."""
    # Halves, because the range of two huge numbers may be beyond every float.
    worst, best = (
        (min(known) / 2, max(known) / 2) if better_high else (max(known) / 2, min(known) / 2)
    )

    def shade(value: float) -> float | None:
        if not math.isfinite(value):
            return None
        share = (value / 2 - worst) / (best - worst) if best != worst else 0.5
        return round(shades[0] + (shades[-1] - shades[0]) * share, 2)

    return shade


def _ends(context: Context, known: Sequence[float]) -> tuple[str, str]:
    """Write the worst and the best value."""
    low, high = context.numbers.one(min(known)), context.numbers.one(max(known))
    return (low, high) if context.report.greater_is_better else (high, low)


def _note(found: Transfer, shown: Sequence[int]) -> str:
    """Say how to read the figure and what is not in it."""
    note = "A row for the group trained on, a column for the group tested on."
    if len(shown) < len(found.keys):
        note += (
            f" {count(len(shown))} of {plural(len(found.keys), 'group')}: those that fare worst "
            "under other groups' models."
        )
    return note


def _described(context: Context, found: Transfer, shown: Sequence[int]) -> str:
    """Say in words what the figure shows."""
    one, name = context.numbers.one, context.group_in_text
    pairs = [
        (entry(found.value, i, j), i, j)
        for i in shown
        for j in shown
        if math.isfinite(entry(found.value, i, j))
    ]
    text = f"{count(len(shown))} by {count(len(shown))} groups: trained on, tested on."
    if pairs:
        low, high = min(pairs), max(pairs)
        text += "".join(
            f" {word} {one(value)}, trained on {name(found.keys[i])} and tested on "
            f"{name(found.keys[j])}."
            for word, (value, i, j) in (("Lowest", low), ("Highest", high))
        )
    return f"{text} The table holds the numbers."


# --- the table ---------------------------------------------------------------------------------


def pairs_table(context: Context, model: ModelAudit, grouping: Grouping, found: Transfer) -> Table:
    """List the pairs of groups, the largest loss against the own group first.

    Args:
        context: The page.
        model: The model.
        grouping: The grouping.
        found: The matrix.

    Returns:
        The table.
    """
    n = len(found.keys)

    def rank(pair: tuple[int, int]) -> tuple[int, float]:
        loss = lost(context, found, *pair)
        return (0, -loss) if math.isfinite(loss) else (1, 0.0)

    chosen = nsmallest(context.limits.rows, _pairs(n), key=rank)
    numbers = context.numbers

    def row(i: int, j: int) -> tuple[Cell, ...]:
        limits = numbers.interval(entry(found.low, i, j), entry(found.high, i, j))
        own = Cell(numbers.one(entry(found.value, j, j)))
        return (
            Cell(context.group(found.keys[i])),
            Cell(context.group(found.keys[j])),
            Cell(numbers.one(entry(found.value, i, j)), limits),
            Cell(MISSING) if i == j else own,
            Cell(MISSING) if i == j else Cell(numbers.one(lost(context, found, i, j))),
            Cell(count(_at(found.n_test, j))),
        )

    left = n * n - len(chosen)
    metric = context.text(context.report.metric)
    return Table(
        next(context.tables),
        f"Trained on one {context.grouping(grouping)}, tested on each{context.of_model(model)}",
        (
            Column("Trained on", number=False),
            Column("Tested on", number=False),
            Column(metric),
            Column("Model of the tested group"),
            Column("Worse by", order="descending"),
            Column("Rows tested"),
        ),
        tuple(row(*pair) for pair in chosen),
        f"{plural(left, 'more pair')} left out of {count(n * n)}. The JSON form of this report "
        "holds all of them."
        if left
        else "",
        "Worse by: against the model of the tested group itself. Each interval is for its cell "
        "alone.",
    )


def _pairs(n: int) -> Iterator[tuple[int, int]]:
    """All pairs of groups."""
    return ((i, j) for i in range(n) for j in range(n))
