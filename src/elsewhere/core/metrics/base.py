"""What a metric is: values by cell with the influence of each row."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np

from elsewhere.core.arrays import Booleans, Floats, Integers, Key, Objects, sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from elsewhere.core.intervals import Scale

Needs: TypeAlias = Literal["label", "score", "probability", "value", "nothing", "anything"]
"""What a metric takes as prediction: a class, a ranking score, a probability, a number, the row's
own score (with no target at all), or whatever the caller has."""

MIN_CLASS_ROWS = 10
"""Rows of each class below which a rank metric has no value in a cell."""


@dataclass(frozen=True, eq=False)
class Evaluated:
    """A metric's values by cell with the influence of each row.

    Args:
        value: Value of each cell, NaN where there is none, shape (cells,).
        influence: First-order influence of each row on its cell's value, shape (n,).
        correction: Factor on a row's squared influence that makes the variance of independent
            rows unbiased, for example n / (n - 1), shape (n,).
        size: Number of rows that the value rests on (for recall: the positives), shape (cells,).
        reason: Why a cell has no value; empty where it has one.
        unit: Unit of each row that replaces the caller's blocks, where influences were found by
            leaving out whole folds; None otherwise.
        stratum: Rows whose influences add up to zero among themselves (a class within a cell),
            numbered from 0, shape (n,); the cell where absent. Blocks are counted by stratum.
    """

    value: Floats
    influence: Floats
    correction: Floats
    size: Floats
    reason: tuple[str, ...]
    unit: Integers | None = None
    stratum: Integers | None = None


@dataclass(frozen=True, eq=False)
class Prepared:
    """Target and prediction in the form in which a metric computes.

    Args:
        y: Class codes, 0/1 columns, or numbers, shape (n,) or (n, labels).
        prediction: Class codes, scores, probabilities, or numbers; same first dimension.
        classes: Distinct classes in the order of their codes; empty for numbers.
    """

    y: Objects
    prediction: Objects
    classes: tuple[Key, ...]


class Metric(ABC):
    """One way to judge predictions.

    Args:
        name: Name in reports.
        greater_is_better: Direction. A gap is positive when elsewhere is worse, either way.
        needs: What the prediction must be.
        scale: Which rule of `elsewhere.core.intervals` gives its intervals.
    """

    method: ClassVar[str] = "influence of rows"

    def __init__(
        self, name: str, *, greater_is_better: bool, needs: Needs, scale: Scale = "real"
    ) -> None:
        self.name = name
        self.greater_is_better = greater_is_better
        self.needs: Needs = needs
        self.scale: Scale = scale

    def __repr__(self) -> str:
        arrow = "higher" if self.greater_is_better else "lower"
        return f"<metric {self.name}: takes a {self.needs}, {arrow} is better>"

    @property
    def sign(self) -> int:
        """+1 where higher is better, -1 where lower is."""
        return 1 if self.greater_is_better else -1

    def prepare(
        self, y: Objects | None, prediction: Objects, classes: Sequence[Key] | None = None
    ) -> Prepared:
        """Check target and prediction and code them.

        Args:
            y: Target, shape (n,) or (n, labels); None only for metrics that need nothing.
            prediction: Labels, scores, probabilities or numbers.
            classes: Classes in the order of probability columns, where y may lack some.

        Returns:
            The arrays to compute on.

        Raises:
            InputError: A prediction of the wrong kind, a target with one class, and the like.
        """
        from elsewhere.core.metrics.prepare import prepare

        return prepare(self, y, prediction, classes)

    @abstractmethod
    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Compute the metric in every cell.

        Args:
            data: Prepared target and prediction, n rows.
            weight: Sample weights >= 0, shape (n,), or None.
            cell: Cell of each row in [0, n_cells), shape (n,).
            n_cells: Number of cells.
            unit: Independent unit (block, pair or row) of each row, shape (n,).

        Returns:
            Values by cell with influences.
        """


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide, with NaN (and no warning) where the denominator is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)


def effective_size(cell: Integers, n_cells: int, weight: Floats) -> Floats:
    """Count the rows that weights amount to: (sum of weights)^2 / sum of squares (Kish)."""
    whole, square = sums(cell, n_cells, weight), sums(cell, n_cells, weight**2)
    return np.nan_to_num(ratio(whole**2, square))


def by_rows(
    value: Floats, influence: Floats, cell: Integers, n_cells: int, weight: Floats | None
) -> Evaluated:
    """Wrap values whose rows are exchangeable within a cell: correction n / (n - 1)."""
    rows = sums(cell, n_cells, None if weight is None else (weight > 0).astype(np.float64))
    with np.errstate(divide="ignore"):
        factor = np.where(rows > 1, rows / (rows - 1), 1.0)
    size = rows if weight is None else effective_size(cell, n_cells, weight)
    influence = np.where(np.isnan(influence), 0.0, influence)
    value = np.where(rows == 0, np.nan, value)
    reason = tuple("" if n else "no rows" for n in size)
    return Evaluated(value, influence, factor[cell], size, reason)


def without(found: Evaluated, bad: Booleans, why: str) -> Evaluated:
    """Take the value from cells where it means nothing, and say why."""
    value = np.where(bad, np.nan, found.value)
    reason = tuple(why if drop and not r else r for drop, r in zip(bad, found.reason, strict=True))
    return replace(found, value=value, reason=reason)
