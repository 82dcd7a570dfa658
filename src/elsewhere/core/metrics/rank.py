"""Metrics that compare rows with each other by rank."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """Rows sorted by cell, then score, with weights of each class below and up to each tie."""

    order: Integers
    cell: Integers
    positive: Objects
    first: Integers  # index where the row's tie starts
    last: Integers  # index after the row's tie ends
    start: Integers  # index where the row's cell starts
    end: Integers  # index after the row's cell ends


def _rank(positive: Objects, score: Floats, cell: Integers, n_cells: int) -> _Ranked:
    """Sort once; ties and cells become index ranges."""
    order = np.argsort(score)
    if n_cells > 1:
        small = cell.astype(np.uint16) if n_cells < 2**16 else cell
        order = order[np.argsort(small[order], kind="stable")]
    n = len(order)
    sorted_cell, sorted_score = cell[order], score[order]
    opens = np.ones(n + 1, dtype=bool)
    if n > 1:
        opens[1:n] = sorted_score[1:] != sorted_score[:-1]
        if n_cells > 1:
            opens[1:n] |= sorted_cell[1:] != sorted_cell[:-1]
    edges = np.flatnonzero(opens)
    lengths = np.diff(edges)
    first, last = np.repeat(edges[:-1], lengths), np.repeat(edges[1:], lengths)
    bounds = np.searchsorted(sorted_cell, np.arange(n_cells + 1))
    return _Ranked(
        order,
        sorted_cell,
        positive[order],
        first,
        last,
        bounds[sorted_cell],
        bounds[sorted_cell + 1],
    )


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
    is_positive = ranked.positive.astype(bool)
    w = None if weight is None else weight[ranked.order]
    up = is_positive.astype(np.float64) if w is None else w * is_positive
    down = 1.0 - up if w is None else w - up
    below = _running(down)
    above = _running(up)
    # Weight of the other class that the row beats, counting ties half, from below for positives
    # and from above for negatives.
    beats_negative = 0.5 * (below[ranked.first] + below[ranked.last]) - below[ranked.start]
    beaten_by = above[ranked.end] - 0.5 * (above[ranked.first] + above[ranked.last])
    n_up, n_down = sums(ranked.cell, n_cells, up), sums(ranked.cell, n_cells, down)
    here_up, here_down = n_up[ranked.cell], n_down[ranked.cell]
    with np.errstate(divide="ignore", invalid="ignore"):
        placement = np.where(is_positive, beats_negative / here_down, beaten_by / here_up)
        share = np.where(is_positive, up / here_up, down / here_down)
        value = sums(ranked.cell, n_cells, np.where(is_positive, placement * share, 0.0))
    rows_up = sums(cell, n_cells, positive.astype(np.float64))
    rows_down = sums(cell, n_cells) - rows_up
    few = np.minimum(rows_up, rows_down) < least
    value = np.where(few, np.nan, value)
    moved = share * (placement - value[ranked.cell])
    moved[np.isnan(moved)] = 0.0
    influence = np.empty(len(cell))
    influence[ranked.order] = moved
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
    w = np.ones(len(cell)) if weight is None else weight[ranked.order]
    hit = w * ranked.positive
    running_hits, running_rows = _running(hit), _running(w)
    hits = running_hits[ranked.last] - running_hits[ranked.start]
    rows = running_rows[ranked.last] - running_rows[ranked.start]
    precision = ratio(hits, rows)
    n_up = sums(ranked.cell, n_cells, hit)
    value = ratio(sums(ranked.cell, n_cells, hit * np.nan_to_num(precision)), n_up)
    # A row changes the precision of every positive at its rank or below.
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = _running(np.nan_to_num(hit / rows, posinf=0.0))
        loss = _running(np.nan_to_num(hit * hits / rows**2, posinf=0.0))
    later_gain = gain[ranked.end] - gain[ranked.first]
    later_loss = loss[ranked.end] - loss[ranked.first]
    is_positive = ranked.positive.astype(np.float64)
    own = is_positive * (precision - value[ranked.cell] + later_gain) - later_loss
    moved = np.nan_to_num(w * own * ratio(np.ones(n_cells), n_up)[ranked.cell])
    influence = np.empty(len(cell))
    influence[ranked.order] = moved
    rows_up = sums(cell, n_cells, positive.astype(np.float64))
    rows_down = sums(cell, n_cells) - rows_up
    reason = _few_reasons(rows_up, rows_down)
    value = np.where([bool(r) for r in reason], np.nan, value)
    found = by_rows(value, influence, cell, n_cells, weight)
    return Evaluated(value, found.influence, found.correction, rows_up, reason)
