"""Metrics that depend on the counts of hits, true and predicted rows of each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, Integers, sums
from elsewhere.core.errors import InputError
from elsewhere.core.metrics.base import (
    Evaluated,
    Metric,
    Prepared,
    by_rows,
    effective_size,
    without,
)

if TYPE_CHECKING:
    from elsewhere.core.intervals import Scale

Counts: TypeAlias = Callable[[Floats, Floats, Floats], tuple[Floats, Floats, Floats, Floats]]


class FromCounts(Metric):
    """A function of the counts of hits, true and predicted rows of each class.

    Args:
        name: Name in reports.
        formula: Maps hits, true and predicted counts, each (cells, classes), to the value
            (cells,) and its derivatives by the three counts, each (cells, classes). The value
            must not change when all counts are scaled together.
        scale: Interval rule.
        rests_on: Which counts of the positive class are the sample: "true" for recall,
            "predicted" for precision, "all" otherwise.
    """

    def __init__(
        self,
        name: str,
        formula: Counts,
        *,
        scale: Scale = "proportion",
        rests_on: Literal["all", "true", "predicted"] = "all",
    ) -> None:
        super().__init__(name, greater_is_better=True, needs="label", scale=scale)
        self.formula = formula
        self.rests_on = rests_on

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Count, apply the formula, and spread its derivatives over the rows."""
        width = data.y.shape[1] if data.y.ndim == 2 else len(data.classes)
        rows = [_Column(data, k) for k in range(width)]

        def count(of: Callable[[_Column], Floats]) -> Floats:
            columns = [
                sums(cell, n_cells, of(row) if weight is None else weight * of(row)) for row in rows
            ]
            return np.stack(columns, axis=1)

        true, predicted = count(lambda row: row.true), count(lambda row: row.predicted)
        hits = count(lambda row: row.true * row.predicted)
        value, by_hits, by_true, by_predicted = self.formula(hits, true, predicted)
        influence = np.zeros(len(cell))
        for k, row in enumerate(rows):
            influence += row.true * (by_true[cell, k] + row.predicted * by_hits[cell, k])
            influence += row.predicted * by_predicted[cell, k]
        if weight is not None:
            influence *= weight
        found = by_rows(value, influence, cell, n_cells, weight)
        if self.rests_on == "all":
            undefined = np.isnan(found.value) & (found.size > 0)
            return without(found, undefined, "no positive rows, true or predicted")
        basis = rows[-1].true if self.rests_on == "true" else rows[-1].predicted
        size = effective_size(cell, n_cells, basis if weight is None else weight * basis)
        if weight is None:
            found = replace(found, correction=(size / np.maximum(size - 1, 1))[cell])
        return without(
            replace(found, size=size),
            np.isnan(found.value) & (found.size > 0),
            f"no {self.rests_on} positive rows",
        )


class _Column:
    """0/1 columns of one class or label, made when asked for."""

    def __init__(self, data: Prepared, k: int) -> None:
        several = data.y.ndim == 2
        self.true = (data.y[:, k] if several else data.y == k).astype(np.float64)
        self.predicted = (data.prediction[:, k] if several else data.prediction == k).astype(
            np.float64
        )


def _safe(above: Floats, below: Floats) -> Floats:
    """Divide, with 0 where the denominator is zero, as scikit-learn's zero_division=0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, 0.0, above / below)


def _basis(kind: str, hits: Floats, true: Floats, predicted: Floats) -> tuple[Floats, ...]:
    """Per-class precision, recall, F1 or Jaccard as a ratio: value, derivatives by the counts."""
    zero = np.zeros_like(hits)
    if kind == "precision":
        below, ddown = predicted, (zero, zero, zero + 1)
        scale = 1.0
    elif kind == "recall":
        below, ddown = true, (zero, zero + 1, zero)
        scale = 1.0
    elif kind == "f1":
        below, ddown = true + predicted, (zero, zero + 1, zero + 1)
        scale = 2.0
    else:
        below, ddown = true + predicted - hits, (zero - 1, zero + 1, zero + 1)
        scale = 1.0
    value = _safe(scale * hits, below)
    slope = _safe(value, below)
    by = [-slope * d for d in ddown]
    by[0] = by[0] + _safe(np.full_like(hits, scale), below)
    return value, by[0], by[1], by[2]


def counts(kind: str, average: str) -> Counts:
    """Build the formula of precision, recall, F1 or Jaccard under one kind of averaging."""

    def formula(
        hits: Floats, true: Floats, predicted: Floats
    ) -> tuple[Floats, Floats, Floats, Floats]:
        if average == "micro":
            pooled = (a.sum(axis=1, keepdims=True) for a in (hits, true, predicted))
            value, a, b, c = _basis(kind, *pooled)
            return value[:, 0], a + 0 * hits, b + 0 * hits, c + 0 * hits
        value, a, b, c = _basis(kind, hits, true, predicted)
        if average == "binary":
            if hits.shape[1] > 2:
                raise InputError(
                    "metric",
                    f"is {kind!r} with {hits.shape[1]} classes",
                    "two classes",
                    f"metric='{kind}_macro' or '{kind}_micro'",
                )
            defined = a[:, -1] > 0
            share = np.zeros_like(hits)
            share[:, -1] = np.where(defined, 1.0, np.nan)
        elif average == "macro":
            present = (true + predicted > 0).astype(np.float64)
            share = _safe(present, present.sum(axis=1, keepdims=True))
        else:
            share = _safe(true, true.sum(axis=1, keepdims=True))
        mean = (share * value).sum(axis=1)
        b = share * b
        if average == "weighted":
            b = b + _safe(value - mean[:, None], true.sum(axis=1, keepdims=True))
        return mean, share * a, b, share * c

    return formula


def balanced(
    hits: Floats, true: Floats, predicted: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean recall over the classes that occur."""
    value, a, b, c = _basis("recall", hits, true, predicted)
    present = (true > 0).astype(np.float64)
    share = _safe(present, present.sum(axis=1, keepdims=True))
    return (share * value).sum(axis=1), share * a, share * b, share * c


def matthews(
    hits: Floats, true: Floats, predicted: Floats
) -> tuple[Floats, Floats, Floats, Floats]:
    """Matthews correlation from class counts (Gorodkin 2004, for any number of classes)."""
    n = true.sum(axis=1)
    right = hits.sum(axis=1)
    covariance = right * n - (true * predicted).sum(axis=1)
    true_spread = n**2 - (true**2).sum(axis=1)
    predicted_spread = n**2 - (predicted**2).sum(axis=1)
    below = np.sqrt(true_spread * predicted_spread)
    value = _safe(covariance, below)
    inverse = _safe(np.ones_like(below), below)[:, None]
    by_hits = n[:, None] * inverse + 0 * hits
    # n is the sum of the true counts, so its derivative goes with them.
    relative = _safe(np.ones_like(n), true_spread)[:, None]
    relative_p = _safe(np.ones_like(n), predicted_spread)[:, None]
    v = value[:, None]
    by_true = (right[:, None] - predicted) * inverse - v * (
        (n[:, None] - true) * relative + n[:, None] * relative_p
    )
    by_predicted = -true * inverse + v * predicted * relative_p
    return value, by_hits, by_true, by_predicted


def sample_ratio(kind: str) -> Callable[[Prepared], Floats]:
    """Score each row's set of labels on its own."""

    def score(data: Prepared) -> Floats:
        if data.y.ndim != 2:
            raise InputError(
                "target",
                "has one label a row",
                f"one 0/1 column for each label for metric '{kind}_samples'",
                f"metric='{kind}_macro'",
            )
        hits = (data.y * data.prediction).sum(axis=1).astype(np.float64)[:, None]
        true = data.y.sum(axis=1).astype(np.float64)[:, None]
        predicted = data.prediction.sum(axis=1).astype(np.float64)[:, None]
        return _basis(kind, hits, true, predicted)[0][:, 0]

    return score
