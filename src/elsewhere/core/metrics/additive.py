"""Metrics made of sums over rows: means of row scores, their roots, and shares explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Objects, chunks, sums
from elsewhere.core.errors import InputError
from elsewhere.core.metrics.base import Evaluated, Metric, Needs, Prepared, by_rows, ratio, without

if TYPE_CHECKING:
    from elsewhere.core.intervals import Scale

RowScore: TypeAlias = Callable[[Prepared], Floats]


class Additive(Metric):
    """A weighted mean of a score that each row has on its own (accuracy, log loss, errors)."""

    def __init__(
        self,
        name: str,
        row_score: RowScore,
        *,
        greater_is_better: bool,
        needs: Needs,
        scale: Scale = "real",
    ) -> None:
        super().__init__(name, greater_is_better=greater_is_better, needs=needs, scale=scale)
        self.row_score = row_score

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Average row scores by cell; a row's influence is its share of the deviation."""
        score = self.row_score(data)
        total = sums(cell, n_cells, weight)
        weighted = score if weight is None else weight * score
        value = ratio(sums(cell, n_cells, weighted), total)
        share = ratio(np.ones(n_cells), total)[cell]
        influence = (score - value[cell]) * share
        if weight is not None:
            influence *= weight
        return by_rows(value, influence, cell, n_cells, weight)


class Root(Metric):
    """Square root of an additive loss, negated where higher shall be better.

    Args:
        name: Name in reports.
        square: The loss, never negative.
        greater_is_better: Whether to negate the root.
    """

    def __init__(self, name: str, square: Additive, *, greater_is_better: bool) -> None:
        super().__init__(
            name, greater_is_better=greater_is_better, needs=square.needs, scale="real"
        )
        self.square = square

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Take the root of the mean square; influences follow by the chain rule."""
        inner = self.square.evaluate(data, weight, cell, n_cells, unit)
        root = np.sqrt(inner.value)
        influence = np.nan_to_num(inner.influence * ratio(np.full(n_cells, 0.5), root)[cell])
        return Evaluated(
            -self.sign * root, -self.sign * influence, inner.correction, inner.size, inner.reason
        )


class Explained(Metric):
    """Share of the target's variation that the prediction explains (R squared).

    Args:
        name: Name in reports.
        centred: Whether a constant error is forgiven, as in explained variance.
    """

    def __init__(self, name: str, *, centred: bool) -> None:
        super().__init__(name, greater_is_better=True, needs="value", scale="real")
        self.centred = centred

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Compute 1 - residual / total sums of squares and the influence of the ratio."""
        w = np.ones(len(cell)) if weight is None else weight
        total = sums(cell, n_cells, w)

        def deviations(values: Floats) -> Floats:
            return values - ratio(sums(cell, n_cells, w * values), total)[cell]

        error = data.y - data.prediction
        residual = (deviations(error) if self.centred else error) ** 2
        spread = deviations(data.y) ** 2
        around = sums(cell, n_cells, w * spread)
        unexplained = ratio(sums(cell, n_cells, w * residual), around)
        influence = -w * (residual - unexplained[cell] * spread)
        influence = influence * ratio(np.ones(n_cells), around)[cell]
        found = by_rows(1 - unexplained, influence, cell, n_cells, weight)
        constant = (around <= 0) & (found.size > 0)
        return without(found, constant, "the target is constant")


def right(data: Prepared) -> Floats:
    """Mark rows whose labels are all right."""
    same = data.y == data.prediction
    return (same.all(axis=1) if same.ndim == 2 else same).astype(np.float64)


def wrong(data: Prepared) -> Floats:
    """Mark rows with a wrong label."""
    return 1.0 - right(data)


def own_score(data: Prepared) -> Floats:
    """Take the prediction itself as the score."""
    return data.prediction


def log_loss(data: Prepared) -> Floats:
    """Cross-entropy, probabilities kept one rounding step away from 0 and 1."""
    tiny = np.finfo(np.float64).eps
    p = data.prediction
    if p.ndim == 1 or data.y.ndim == 2:
        p = np.clip(p, tiny, 1 - tiny)
        loss = -np.where(data.y == 1, np.log(p), np.log1p(-p))
        return loss.mean(axis=1) if loss.ndim == 2 else loss
    p = np.clip(p, tiny, 1 - tiny)
    p = p / p.sum(axis=1, keepdims=True)
    return -np.log(p[np.arange(len(p)), data.y])


def brier(data: Prepared) -> Floats:
    """Squared distance to the outcome: of one probability, or summed over several classes."""
    p = data.prediction
    if p.ndim == 1:
        return (p - data.y) ** 2
    if data.y.ndim == 2:
        return ((p - data.y) ** 2).mean(axis=1)
    whole = (p**2).sum(axis=1)
    return whole - 2 * p[np.arange(len(p)), data.y] + 1


def top_k_hit(score: Objects, allowed: Sequence[Sequence[int]] | Objects, k: int = 1) -> Floats:
    """Mark rows whose `k` largest scores include at least one allowed class.

    Args:
        score: Scores of all classes, shape (n, classes).
        allowed: Right class of each row, shape (n,), or a list of right classes a row.
        k: How many of the largest scores count, >= 1.

    Returns:
        1.0 for a hit and 0.0 for a miss, shape (n,). A right class that ties with the k-th
        largest score is a hit only if fewer than k other classes score at least as high and stand
        before it, as in a stable descending sort.

    Cost: one partial sort a row, in chunks of 256 MB.

    Reference: Richards et al. 2023, "Does Progress On Object Recognition Benchmarks Improve
        Real-World Generalization?", arXiv 2307.13136 (several right classes a row).
    """
    scores = np.asarray(score, dtype=np.float64)
    if scores.ndim != 2 or not 1 <= k <= scores.shape[1]:
        raise InputError(
            "k", f"is {k} for scores of shape {scores.shape}", "1 <= k <= number of classes"
        )
    if len(allowed) != len(scores):
        raise InputError("allowed", f"has {len(allowed)} rows", f"{len(scores)}, one a score row")
    lists = [np.atleast_1d(np.asarray(right_ones, dtype=np.int64)) for right_ones in allowed]
    rows = np.repeat(np.arange(len(scores)), [len(right_ones) for right_ones in lists])
    flat = np.concatenate(lists) if lists else rows
    hit = np.zeros(len(scores))
    for part in chunks(len(flat), 16 * scores.shape[1]):
        own = scores[rows[part], flat[part]][:, None]
        others = scores[rows[part]]
        before = np.arange(int(scores.shape[1])) < flat[part][:, None]
        ahead = np.asarray((others > own) | ((others == own) & before))
        np.maximum.at(hit, rows[part], np.asarray(ahead.sum(axis=1) < k, dtype=np.float64))
    return hit


def top_2(data: Prepared) -> Floats:
    """Mark rows whose class has one of the two largest scores."""
    scores = data.prediction
    if scores.ndim == 1:
        return np.ones(len(scores))
    return top_k_hit(scores, data.y, 2)


def squared(data: Prepared) -> Floats:
    """Squared error, averaged over several outputs."""
    error = (data.y - data.prediction) ** 2
    return error.mean(axis=1) if error.ndim == 2 else error


def absolute(data: Prepared) -> Floats:
    """Absolute error, averaged over several outputs."""
    error = np.abs(data.y - data.prediction)
    return error.mean(axis=1) if error.ndim == 2 else error


def relative(data: Prepared) -> Floats:
    """Absolute error as a share of the target."""
    return np.abs(data.y - data.prediction) / np.maximum(np.abs(data.y), np.finfo(np.float64).eps)


def squared_log(data: Prepared) -> Floats:
    """Squared error of logarithms of 1 + value."""
    if min(data.y.min(initial=0), data.prediction.min(initial=0)) <= -1:
        raise InputError(
            "target or prediction",
            "holds values of -1 or less",
            "values above -1 for a logarithmic error",
            "metric='r2'",
        )
    return (np.log1p(data.y) - np.log1p(data.prediction)) ** 2


def negative(score: RowScore) -> RowScore:
    """Turn a loss into a score."""
    return lambda data: -score(data)
