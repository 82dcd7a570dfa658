"""Which groups to show where not all fit: the worst for tables, the most extreme for figures.

The largest raw gaps of thousands of groups belong to the smallest groups, by chance. So groups are
chosen by the gap after partial pooling, and only then put in the order of the raw gap.
"""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.gap_report import GroupRow


def pooled_gap(row: GroupRow) -> float:
    """The gap after partial pooling, or the raw gap where nothing was pooled."""
    return row.shrunk if math.isfinite(row.shrunk) else row.gap


def worst_first(rows: Sequence[GroupRow], limit: int, *, greater_is_better: bool) -> list[GroupRow]:
    """Choose the worst groups and put the largest gap first.

    Args:
        rows: Groups.
        limit: Most groups to keep.
        greater_is_better: Direction of the metric, for groups with a value and no gap.

    Returns:
        At most `limit` groups: by gap, then those with a value only, then those with neither.
    """
    sign = 1 if greater_is_better else -1

    def rank(row: GroupRow, size: float) -> tuple[int, float]:
        if math.isfinite(row.gap):
            return 0, -size
        if math.isfinite(row.value):
            return 1, sign * row.value
        return 2, -row.n_rows

    chosen = heapq.nsmallest(limit, rows, key=lambda row: (*rank(row, pooled_gap(row)), -row.gap))
    return sorted(chosen, key=lambda row: rank(row, row.gap))


def most_extreme(rows: Sequence[GroupRow], limit: int) -> list[GroupRow]:
    """Choose the groups furthest from the average and put the largest gap first.

    Args:
        rows: Groups.
        limit: Most groups to keep.

    Returns:
        At most `limit` groups that have a gap; if no group has one, of those that have a value.
    """
    known = [row for row in rows if math.isfinite(row.gap)]
    if not known:
        return [row for row in rows if math.isfinite(row.value)][:limit]
    centre = sum(pooled_gap(row) for row in known) / len(known)
    chosen = heapq.nsmallest(
        limit,
        known,
        key=lambda row: (-abs(pooled_gap(row) - centre), -abs(row.gap - centre)),
    )
    return sorted(chosen, key=lambda row: -row.gap)


def largest(rows: Sequence[GroupRow]) -> GroupRow | None:
    """The group with the largest gap, or None if no group has one."""
    known = [row for row in rows if math.isfinite(row.gap)]
    return max(known, key=lambda row: row.gap, default=None)
