"""Metrics without a formula for their error: folds of units are left out in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from elsewhere.core.arrays import Floats, Integers, Objects, sums
from elsewhere.core.errors import InputError
from elsewhere.core.metrics.base import Evaluated, Metric, Needs, Prepared
from elsewhere.core.seeding import generator
from elsewhere.core.untyped import untyped

ValueOf: TypeAlias = Callable[[Objects, Objects, Floats | None], float]


class Resampled(Metric):
    """Any function of (target, prediction), its error found by leaving out folds of units.

    Units (blocks, pairs or rows) are dealt into at most `folds` folds; the value without each
    fold gives the fold's influence (delete-a-group jackknife). Works for functions that the
    omission of a few units changes smoothly; a maximum, for example, has no such error.

    Args:
        name: Name in reports.
        function: Maps target, prediction and weights (or None) to one number.
        greater_is_better: Direction.
        needs: What the prediction must be.
        takes_weights: Whether the function can use weights; if not, weights are refused.
        folds: Number of folds, >= 2.
        seed: Seed of the deal.

    Cost: cells x folds evaluations.

    Reference: Kott 2001, "The delete-a-group jackknife", Journal of Official Statistics 17(4).
    """

    def __init__(
        self,
        name: str,
        function: ValueOf,
        *,
        greater_is_better: bool,
        needs: Needs,
        takes_weights: bool = False,
        folds: int = 50,
        seed: int = 0,
    ) -> None:
        super().__init__(name, greater_is_better=greater_is_better, needs=needs)
        self.function = function
        self.takes_weights = takes_weights
        self.folds = folds
        self.seed = seed

    method = "delete-a-group jackknife"

    def evaluate(
        self, data: Prepared, weight: Floats | None, cell: Integers, n_cells: int, unit: Integers
    ) -> Evaluated:
        """Evaluate every cell whole and without each fold."""
        if weight is not None and not self.takes_weights:
            raise InputError(
                "weight",
                f"was given, but metric {self.name!r} takes none",
                "a metric with a sample_weight argument",
                "leave the weights out",
            )
        n_units = int(unit.max()) + 1 if len(unit) else 0
        fold_of_unit = generator(self.seed, "folds", self.name).permutation(n_units) % self.folds
        fold = fold_of_unit[unit] if n_units else unit
        value = np.full(n_cells, np.nan)
        influence, correction = np.zeros(len(cell)), np.ones(len(cell))
        reason = ["no rows"] * n_cells
        order = np.argsort(cell, kind="stable")
        bounds = np.searchsorted(cell[order], np.arange(n_cells + 1))
        for c in range(n_cells):
            rows = np.sort(order[bounds[c] : bounds[c + 1]])
            if not len(rows):
                continue
            value[c], reason[c] = self._value(data, weight, rows)
            if reason[c]:
                continue
            present = np.unique(fold[rows])
            if len(present) < 2:
                value[c], reason[c] = np.nan, "fewer than 2 independent units"
                continue
            without = np.empty(len(present))
            for index, omitted in enumerate(present):
                without[index], problem = self._value(data, weight, rows[fold[rows] != omitted])
                if problem:
                    value[c], reason[c] = np.nan, f"leaving rows out: {problem}"
                    break
            if reason[c]:
                continue
            moved = (without.mean() - without) * (1 - 1 / len(present))
            position = np.searchsorted(present, fold[rows])
            influence[rows] = moved[position] / np.bincount(position)[position]
            correction[rows] = 1.0
        size = sums(cell, n_cells)
        return Evaluated(value, influence, correction, size, tuple(reason), fold)

    def _value(self, data: Prepared, weight: Floats | None, rows: Integers) -> tuple[float, str]:
        """Call the user's function on some rows; a ValueError is a reason, not a crash."""
        y, prediction = data.y[rows], data.prediction[rows]
        if self.needs == "label" and data.classes:
            labels = np.asarray(data.classes)
            y, prediction = labels[y], labels[prediction]
        own = None if weight is None else weight[rows]
        if own is not None and not own.any():
            return np.nan, "no rows of positive weight"
        try:
            found = float(self.function(y, prediction, own))
        except ValueError as error:
            return np.nan, str(error).splitlines()[0]
        return found, "" if np.isfinite(found) else "the metric is not finite here"


SCORERS: dict[str, Needs] = {
    "d2_absolute_error_score": "value",
    "neg_mean_gamma_deviance": "value",
    "neg_mean_poisson_deviance": "value",
    "neg_median_absolute_error": "value",
    "roc_auc_ovo": "probability",
    "roc_auc_ovo_weighted": "probability",
}
"""scikit-learn scorers that are computed by scikit-learn, their errors by leaving out folds."""


def from_scorer(name: str, *, seed: int = 0) -> Resampled:
    """Wrap one of scikit-learn's scorers that has no closed form here.

    Args:
        name: A key of `SCORERS`.
        seed: Seed of the folds.

    Returns:
        A metric of the same name.
    """
    sign = -1.0 if name.startswith("neg_") else 1.0
    several = name.startswith("roc_auc_ovo")

    def value(y: Objects, prediction: Objects, weight: Floats | None) -> float:
        metrics = untyped("sklearn.metrics")
        if name.startswith("d2") and len(y) < 2:
            raise ValueError("fewer than 2 rows")
        if not several:
            function = getattr(metrics, name.removeprefix("neg_"))
            return sign * float(function(y, prediction, sample_weight=weight))
        if len(np.unique(y)) < 2:
            raise ValueError("one class only")
        if prediction.ndim == 1:
            return float(metrics.roc_auc_score(y, prediction))
        average = "weighted" if name.endswith("weighted") else "macro"
        return float(
            metrics.roc_auc_score(
                y,
                prediction,
                multi_class="ovo",
                average=average,
                labels=np.arange(int(prediction.shape[1])),
            )
        )

    return Resampled(
        name,
        value,
        greater_is_better=True,
        needs=SCORERS[name],
        takes_weights=not several,  # scikit-learn has no weights there
        seed=seed,
    )
