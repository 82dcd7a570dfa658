"""Any mean of row scores under a fixed mix of classes, so that groups compare like with like."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, Integers, sums
from elsewhere.core.errors import InputError
from elsewhere.core.metrics.additive import Additive
from elsewhere.core.metrics.base import Evaluated, Metric, Prepared, by_rows

Mix: TypeAlias = Literal["as found", "balanced", "matched"]
"""Weights of the classes: as in each group, equal, or as in all groups together."""


class ClassMix(Metric):
    """A row-score metric averaged within classes first, then over classes with fixed shares.

    Only classes that occur in every cell with rows take part, so that each cell is judged on the
    same classes.

    Args:
        inner: The metric.
        mix: "balanced" for equal shares, "matched" for the classes' shares in all rows.
    """

    def __init__(self, inner: Additive, mix: Mix) -> None:
        super().__init__(
            f"{inner.name} ({mix} classes)",
            greater_is_better=inner.greater_is_better,
            needs=inner.needs,
            scale=inner.scale,
        )
        self.inner = inner
        self.mix: Mix = mix

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Evaluate each class of each cell, then combine with the shares."""
        width = len(data.classes)
        fine = self.inner.evaluate(data, weight, cell * width + data.y, n_cells * width, unit)
        rows = sums(cell * width + data.y, n_cells * width).reshape(n_cells, width)
        shared = np.asarray(np.all(rows[rows.sum(axis=1) > 0] > 0, axis=0))
        share = shared.astype(np.float64)
        if self.mix == "matched":
            share *= sums(data.y, width, weight)
        share = share / share.sum() if shared.sum() >= 2 else np.full(width, np.nan)
        value = (np.where(shared, fine.value.reshape(n_cells, width), 0.0) * share).sum(axis=1)
        influence = fine.influence * np.sqrt(fine.correction) * np.nan_to_num(share)[data.y]
        found = by_rows(value, influence, cell, n_cells, weight)
        few = "" if shared.sum() >= 2 else "fewer than 2 classes occur in every group"
        reason = tuple(few or known for known in found.reason)
        return Evaluated(value, influence, np.ones(len(cell)), found.size, reason)


def with_mix(metric: Metric, mix: Mix) -> Metric:
    """Put a metric under a fixed mix of classes.

    Args:
        metric: A mean of row scores on classes (accuracy, log loss, Brier score).
        mix: The shares; "as found" changes nothing.

    Returns:
        The metric to evaluate.

    Raises:
        InputError: The metric is not a mean over rows with classes.
    """
    if mix == "as found":
        return metric
    if not isinstance(metric, Additive) or metric.needs not in ("label", "probability"):
        raise InputError(
            "mix",
            f"is {mix!r} with metric {metric.name!r}",
            "a mean over rows that have classes, such as accuracy or log_loss",
            "mix='as found'; rank metrics do not depend on the shares of two classes",
        )
    return ClassMix(metric, mix)
