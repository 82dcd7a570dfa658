"""Ridge regression without each group, from scatters that are only ever added."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import (
    Floats,
    chunks,
)
from elsewhere.ops.linear_table import (
    ROWS,
    WELL_CONDITIONED,
    GroupedTable,
    LinearFit,
    cholesky,
    few_rows,
    fewer_features,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, eq=False)
class _Moments:
    """What a ridge needs to know of a set of rows.

    Args:
        weight: Sum of weights.
        mean: Means of features and target, shape (features + 1,).
        scatter: Weighted sums of products of deviations from the means, (features + 1, the same).
        rows: Rows with weight.
    """

    weight: float
    mean: Floats
    scatter: Floats
    rows: int

    def add(self, other: _Moments) -> _Moments:
        """Moments of both sets of rows; only sums of positive terms, so nothing cancels."""
        if not other.weight:
            return self
        if not self.weight:
            return other
        weight = self.weight + other.weight
        apart = other.mean - self.mean
        between = apart * np.sqrt(self.weight * (other.weight / weight))
        scatter = between[:, None] * between
        scatter += self.scatter
        scatter += other.scatter
        mean = self.mean + apart * (other.weight / weight)
        return _Moments(weight, mean, scatter, self.rows + other.rows)


def _moments(x: Floats, y: Floats, weight: Floats) -> _Moments:
    """Moments of some rows, by two passes over blocks of them."""
    k = x.shape[1] + 1
    total = float(weight.sum())
    if not total:
        return _Moments(0.0, np.zeros(k), np.zeros((k, k)), 0)
    mean = np.append(weight @ x, weight @ y) / total
    scatter = np.zeros((k, k))
    for start in range(0, len(x), ROWS):
        rows = slice(start, start + ROWS)
        block = np.empty((len(x[rows]), k))
        block[:, :-1], block[:, -1] = x[rows], y[rows]
        block -= mean
        block *= np.sqrt(weight[rows])[:, None]
        scatter += block.T @ block
    return _Moments(total, mean, scatter, int(np.count_nonzero(weight)))


def _all_but_one(parts: Sequence[_Moments], outside: _Moments) -> Iterator[_Moments]:
    """Moments of everything but each part, from sums before and after it."""
    after = [_nothing(outside)]
    for part in reversed(parts[1:]):
        after.append(part.add(after[-1]))
    before = outside
    for part in parts:
        yield before.add(after.pop())
        before = before.add(part)


def _nothing(like: _Moments) -> _Moments:
    """Moments of no rows."""
    return _Moments(0.0, np.zeros_like(like.mean), np.zeros_like(like.scatter), 0)


def ridge_without(table: GroupedTable, penalty: float) -> Iterator[LinearFit | str]:
    """Ridge without each group."""
    x, along = fewer_features(table.x)
    groups, k = table.groups(), x.shape[1] + 1

    def moments(g: int) -> _Moments:
        return _moments(x[groups[g]], table.y[groups[g]], table.weight[groups[g]])

    parts = list(chunks(len(groups), 4 * 8 * k * k))
    nothing = _Moments(0.0, np.zeros(k), np.zeros((k, k)), 0)
    outside: list[_Moments] = [nothing]
    if len(parts) > 1:  # too many to hold: sums of parts first, then each part again
        sums = [reduce(_Moments.add, map(moments, range(p.start, p.stop))) for p in parts]
        outside = list(_all_but_one(sums, nothing))
    for part, rest in zip(parts, outside, strict=True):
        held = [moments(g) for g in range(part.start, part.stop)]
        for g, left in enumerate(_all_but_one(held, rest), start=part.start):
            fit = _ridge_from(left, penalty)
            if fit is None:
                yield ridge_on_rows(table, table.others(g), penalty)
            elif along is None or isinstance(fit, str):
                yield fit
            else:
                yield LinearFit(along @ fit.coefficients, fit.intercept)


def _ridge_from(found: _Moments, penalty: float) -> LinearFit | str | None:
    """Ridge from moments; None where the equations are too ill-conditioned for that."""
    if found.rows < 2:
        return few_rows(np.ones(found.rows))
    matrix = found.scatter[:-1, :-1].copy()
    matrix.flat[:: len(matrix) + 1] += penalty
    factor = cholesky(matrix)
    if factor is None or factor[1] < WELL_CONDITIONED:
        return None
    coefficients = factor[0](found.scatter[:-1, -1])
    return LinearFit(coefficients, found.mean[-1] - found.mean[:-1] @ coefficients)


def ridge_on_rows(table: GroupedTable, rows: list[slice], penalty: float) -> LinearFit | str:
    """Ridge of some rows: from moments, or by singular values where these are too coarse."""
    x, y, weight = (taken(a, rows) for a in (table.x, table.y, table.weight))
    few = few_rows(weight)
    if few:
        return few
    if len(rows) == 1 and x.shape[1] < len(x):
        fit = _ridge_from(_moments(x, y, weight), penalty)
        if fit is not None:
            return fit
    middle, level = np.average(x, axis=0, weights=weight), np.average(y, weights=weight)
    root = np.sqrt(weight)
    left, size, right = np.linalg.svd((x - middle) * root[:, None], full_matrices=False)
    coefficients = ((left.T @ ((y - level) * root)) * size / (size**2 + penalty)) @ right
    return LinearFit(coefficients, level - middle @ coefficients)


def taken(array: Any, rows: list[slice]) -> Any:
    """Rows of an array; a view where they are in one piece."""
    return array[rows[0]] if len(rows) == 1 else np.concatenate([array[r] for r in rows])
