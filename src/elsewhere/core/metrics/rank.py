"""Metrics that compare rows with each other by rank."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Integers, Objects, sums
from elsewhere.core.metrics.base import (
    MIN_CLASS_ROWS,
    Evaluated,
    Metric,
    Needs,
    Prepared,
    by_rows,
    ratio,
)


class RankArea(Metric):
    """Area under the ROC curve: the chance that a positive row outranks a negative one.

    Several columns (one for each class or label) are averaged; each column needs
    `MIN_CLASS_ROWS` rows of both kinds in a cell.

    Args:
        name: Name in reports.
        prevalence: Whether columns are averaged by their share of positives.
        needs: "score" for two classes or several labels, "probability" for one against the rest.

    Reference: DeLong, DeLong, Clarke-Pearson 1988; blocks as in Obuchowski 1997, "Nonparametric
        analysis of clustered ROC curve data".
    """

    method = "DeLong on the logit"

    def __init__(self, name: str, *, prevalence: bool = False, needs: Needs = "score") -> None:
        super().__init__(name, greater_is_better=True, needs=needs, scale="area")
        self.prevalence = prevalence

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Average the areas of all columns; influences average with them."""
        columns = _one_against_rest(data)
        parts = [_column_area(*column, weight, cell, n_cells) for column in columns]
        if len(parts) == 1:
            return parts[0]
        value_by_column = np.stack([part.value for part in parts])
        share = np.full(value_by_column.shape, 1 / len(parts))
        w = np.ones(len(cell)) if weight is None else weight
        total = np.zeros(n_cells)
        if self.prevalence:
            positives = np.stack([sums(cell, n_cells, w * positive) for positive, _ in columns])
            total = sums(cell, n_cells, w * sum(positive for positive, _ in columns))
            share = ratio(positives, total)
        value = (value_by_column * share).sum(axis=0)
        influence = np.zeros(len(cell))
        for k, part in enumerate(parts):
            influence += part.influence * share[k][cell]
            if self.prevalence:
                moved = ratio(value_by_column[k] - value, total)[cell]
                influence += np.nan_to_num(w * columns[k][0] * moved)
        reason = _first_reason(parts)
        found = by_rows(value, influence, cell, n_cells, weight)
        size = np.min([part.size for part in parts], axis=0)
        return replace(found, size=size, reason=reason)


class AveragePrecision(Metric):
    """Average precision: mean precision at the rank of each positive row.

    The influence counts both how a row changes the precision at lower ranks and, if positive,
    its own precision.
    """

    def __init__(self) -> None:
        super().__init__(
            "average_precision", greater_is_better=True, needs="score", scale="proportion"
        )

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Walk down the ranks of each cell once, and once back for the influences."""
        columns = [
            _column_precision(positive, score, weight, cell, n_cells)
            for positive, score in _one_against_rest(data)
        ]
        value = np.mean([part.value for part in columns], axis=0)
        influence = np.mean([part.influence for part in columns], axis=0)
        reason = _first_reason(columns)
        size = np.min([part.size for part in columns], axis=0)
        return Evaluated(value, influence, columns[0].correction, size, reason)


def _first_reason(parts: list[Evaluated]) -> tuple[str, ...]:
    """Give each cell the first reason that any column has."""
    return tuple(
        next((reason for reason in each if reason), "")
        for each in zip(*(part.reason for part in parts), strict=True)
    )


def _one_against_rest(data: Prepared) -> list[tuple[Objects, Floats]]:
    """List (is positive, score) for two classes, several labels, or each class of several."""
    if data.y.ndim == 2:
        return [(data.y[:, k], data.prediction[:, k]) for k in range(data.y.shape[1])]
    if data.prediction.ndim == 1:
        return [(data.y, data.prediction)]
    return [
        ((data.y == k).astype(np.int64), data.prediction[:, k])
        for k in range(data.prediction.shape[1])
    ]


@dataclass(frozen=True, eq=False)
class _Ranked:
    """Rows sorted by cell, then score, with the index ranges of cells and of ties within them."""

    order: Integers  # row that stands at each place
    positive: Booleans  # whether it is positive
    bounds: Integers  # index where each cell starts, and the end
    edges: Integers  # index where each tie starts, and the end

    def by_cell(self, values: Floats) -> Floats:
        """Repeat one value a cell for each of its rows; a single one broadcasts."""
        return values if len(values) == 1 else np.repeat(values, np.diff(self.bounds))

    def by_tie(self, values: Floats) -> Floats:
        """Repeat one value a tie for each of its rows."""
        alone = len(values) == len(self.order)
        return values if alone else np.repeat(values, np.diff(self.edges))

    def total(self, values: Floats) -> Floats:
        """Sum the values of each cell, shape (cells,)."""
        n_cells = len(self.bounds) - 1
        if n_cells == 1:
            return values.sum(keepdims=True)
        return sums(np.repeat(np.arange(n_cells), np.diff(self.bounds)), n_cells, values)

    def unsorted(self, values: Floats) -> Floats:
        """Put values back into the order of the rows."""
        found = np.empty(len(self.order))
        found[self.order] = values
        return found


FEW_ROWS = 64
"""Rows a cell, on average, below which cells are sorted together and not one by one."""


def _rank(positive: Objects, score: Floats, cell: Integers, n_cells: int) -> _Ranked:
    """Sort by cell and score; ties and cells become index ranges."""
    n = len(score)
    bounds = np.zeros(n_cells + 1, dtype=np.int64)
    np.cumsum(np.bincount(cell, minlength=n_cells), out=bounds[1:])
    if n_cells == 1:
        order = np.argsort(score)
    else:
        small = cell.astype(np.uint16) if n_cells < 2**16 else cell
        if n < FEW_ROWS * n_cells:
            order = np.argsort(score)
            order = order[np.argsort(small[order], kind="stable")]
        else:  # pieces that fit the processor's cache
            order = np.argsort(small, kind="stable")
            for start, end in pairwise(bounds):
                own = order[start:end]
                order[start:end] = own[np.argsort(score[own])]
    sorted_score = score[order]
    opens = np.ones(n + 1, dtype=bool)
    np.not_equal(sorted_score[1:], sorted_score[:-1], out=opens[1:n])
    opens[bounds] = True
    return _Ranked(order, (positive == 1)[order], bounds, np.flatnonzero(opens))


def _running(values: Floats) -> Floats:
    """Cumulative sums with a leading zero."""
    total = np.empty(len(values) + 1)
    total[0] = 0.0
    np.cumsum(values, out=total[1:])
    return total


def _column_area(
    positive: Objects,
    score: Floats,
    weight: Floats | None,
    cell: Integers,
    n_cells: int,
    least: int = MIN_CLASS_ROWS,
) -> Evaluated:
    """ROC area of one column in every cell, with DeLong's placements as influences."""
    ranked = _rank(positive, score, cell, n_cells)
    up = ranked.positive.astype(np.float64)
    if weight is None:
        down = 1.0 - up
    else:
        w = weight[ranked.order]
        up = w * up
        down = w - up
    below, above = _running(down), _running(up)
    n_up, n_down = np.diff(above[ranked.bounds]), np.diff(below[ranked.bounds])
    first, last = ranked.edges[:-1], ranked.edges[1:]
    # Weight of the other class that the row beats, counting ties half: negatives below a positive,
    # and positives above a negative.
    beats = ranked.by_tie(0.5 * (below[first] + below[last]))
    beats = beats - ranked.by_cell(below[ranked.bounds[:-1]])
    beaten = ranked.by_tie(-0.5 * (above[first] + above[last]))
    beaten = beaten + ranked.by_cell(above[ranked.bounds[1:]])
    rows_up, rows_down = _class_rows(positive, weight, cell, n_cells)
    pairs = n_up * n_down
    value = ratio(ranked.total(up * beats), pairs)
    value = np.where(np.minimum(rows_up, rows_down) < least, np.nan, value)
    # share of its class x (placement - value), both over the numbers of pairs
    moved = np.where(
        ranked.positive,
        up * (beats - ranked.by_cell(value * n_down)),
        down * (beaten - ranked.by_cell(value * n_up)),
    )
    moved *= ranked.by_cell(ratio(np.ones(n_cells), pairs))
    if np.isnan(value).any():
        moved = np.nan_to_num(moved)
    influence = ranked.unsorted(moved)
    own = np.where(positive.astype(bool), rows_up[cell], rows_down[cell])
    correction = own / np.maximum(own - 1, 1)
    return Evaluated(
        value,
        influence,
        correction,
        np.minimum(rows_up, rows_down),
        _few_reasons(rows_up, rows_down),
        stratum=2 * cell + positive,
    )


@dataclass(frozen=True)
class AreaParts:
    """The pooled area as a weighted mean of two parts.

    Args:
        within: Area over pairs of rows of the same group; NaN if there are none.
        between: Area over pairs of rows of different groups.
        within_share: Share of the pairs that are of the same group.
    """

    within: float
    between: float
    within_share: float


def rank_parts(
    data: Prepared, group: Integers, n_groups: int, weight: Floats | None, rows: Booleans
) -> AreaParts:
    """Split the pooled area into pairs within groups and pairs across groups.

    Args:
        data: Two classes coded 0 and 1, and one score a row.
        group: Group of each row, shape (n,).
        n_groups: Number of groups.
        weight: Sample weights, or None.
        rows: Which rows count, shape (n,).

    Returns:
        Both parts; pooled = share * within + (1 - share) * between.
    """
    y, score, cell = data.y[rows], data.prediction[rows], group[rows]
    w = np.ones(len(y)) if weight is None else weight[rows]
    up, down = sums(cell, n_groups, w * (y == 1)), sums(cell, n_groups, w * (y == 0))
    used = None if weight is None else w
    area = _column_area(y, score, used, cell, n_groups, least=1).value
    whole = float(_column_area(y, score, used, np.zeros_like(cell), 1, least=1).value[0])
    pairs, total = up * down, up.sum() * down.sum()
    inside = float((pairs * np.nan_to_num(area)).sum())
    share = float(pairs.sum() / total) if total else np.nan
    within = inside / float(pairs.sum()) if pairs.sum() else np.nan
    between = (whole - inside / total) / (1 - share) if total and share < 1 else np.nan
    return AreaParts(within, float(between), share)


def _class_rows(
    positive: Objects, weight: Floats | None, cell: Integers, n_cells: int
) -> tuple[Floats, Floats]:
    """Count the rows of each class by cell, those of weight 0 left out."""
    counted = (positive == 1).astype(np.float64)
    if weight is None:
        up = sums(cell, n_cells, counted)
        return up, sums(cell, n_cells) - up
    present = (weight > 0).astype(np.float64)
    up = sums(cell, n_cells, counted * present)
    return up, sums(cell, n_cells, present) - up


def _few_reasons(rows_up: Floats, rows_down: Floats) -> tuple[str, ...]:
    """Say which class is too rare in which cell."""
    reasons: list[str] = []
    for up, down in zip(rows_up, rows_down, strict=True):
        if up + down == 0:
            reasons.append("no rows")
        elif min(up, down) == 0:
            reasons.append(f"one class only ({int(up)} positive, {int(down)} negative rows)")
        elif min(up, down) < MIN_CLASS_ROWS:
            reasons.append(
                f"fewer than {MIN_CLASS_ROWS} rows of a class "
                f"({int(up)} positive, {int(down)} negative)"
            )
        else:
            reasons.append("")
    return tuple(reasons)


def _column_precision(
    positive: Objects, score: Floats, weight: Floats | None, cell: Integers, n_cells: int
) -> Evaluated:
    """Average precision of one column in every cell, with influences."""
    ranked = _rank(positive, -score, cell, n_cells)
    is_positive = ranked.positive.astype(np.float64)
    w = np.ones(len(cell)) if weight is None else weight[ranked.order]
    hit = w * is_positive
    running_hits, running_rows = _running(hit), _running(w)
    first, last = ranked.edges[:-1], ranked.edges[1:]
    starts, ends = ranked.bounds[:-1], ranked.bounds[1:]
    hits = ranked.by_tie(running_hits[last]) - ranked.by_cell(running_hits[starts])
    rows = ranked.by_tie(running_rows[last]) - ranked.by_cell(running_rows[starts])
    precision = ratio(hits, rows)
    n_up = ranked.total(hit)
    value = ratio(ranked.total(hit * np.nan_to_num(precision)), n_up)
    # A row changes the precision of every positive at its rank or below.
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = _running(np.nan_to_num(hit / rows, posinf=0.0))
        loss = _running(np.nan_to_num(hit * hits / rows**2, posinf=0.0))
    later_gain = ranked.by_cell(gain[ends]) - ranked.by_tie(gain[first])
    later_loss = ranked.by_cell(loss[ends]) - ranked.by_tie(loss[first])
    own = is_positive * (precision - ranked.by_cell(value) + later_gain) - later_loss
    moved = np.nan_to_num(w * own * ranked.by_cell(ratio(np.ones(n_cells), n_up)))
    influence = ranked.unsorted(moved)
    rows_up, rows_down = _class_rows(positive, weight, cell, n_cells)
    reason = _few_reasons(rows_up, rows_down)
    value = np.where([bool(r) for r in reason], np.nan, value)
    found = by_rows(value, influence, cell, n_cells, weight)
    return Evaluated(value, found.influence, found.correction, rows_up, reason)
