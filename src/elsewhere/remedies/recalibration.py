"""Recalibration to a site with few labelled rows: shrunken Platt scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from elsewhere.core.arrays import Floats, Key
from elsewhere.core.errors import InputError
from elsewhere.remedies.offsets import (
    Columns,
    Kind,
    SlopeAndBiases,
    fit_terms,
    positive,
    read_prediction,
    read_target,
    read_weight,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

PENALTY = 10.0
"""Default penalty. For numbers: worth 10 rows which say that nothing need change. For two classes:
a calibrated model loses less than .01 of log loss by it on average, however few the rows."""


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A change of intercept and slope.

    Args:
        intercept: Added to the log-odds or the number; for more than two classes one bias each,
            adding up to 0, shape (classes,).
        slope: Factor on the log-odds, logits or number, the same for all classes: 1 / temperature.
        kind: What the predictions are.
        n_classes: Number of classes; 0 for numbers.
        n_rows: Rows that it was fitted to.
    """

    intercept: float | Floats
    slope: float
    kind: Kind
    n_classes: int
    n_rows: int

    def apply(self, prediction: Any) -> Floats:
        """Recalibrate predictions.

        Args:
            prediction: Predictions of the same kind and number of classes, shape (n,) or
                (n, classes).

        Returns:
            As many predictions of the same shape; the very numbers that came where nothing changes.

        Raises:
            InputError: Predictions of another kind or number of classes.

        Cost: one pass.
        """
        predicted = read_prediction(prediction, self.kind)
        if predicted.n_classes != self.n_classes:
            raise InputError(
                "prediction", f"has {predicted.n_classes} classes", f"{self.n_classes} as fitted"
            )
        if self.slope == 1 and not np.any(self.intercept):
            return predicted.given
        return predicted.moved(self.intercept + self.slope * predicted.base)


def recalibrate(
    prediction: Any,
    y: Any,
    *,
    kind: Kind,
    penalty: float = PENALTY,
    weight: Any = None,
    classes: Sequence[Key] | None = None,
) -> Recalibration:
    """Fit an intercept and a slope to labelled rows, shrunken towards no change.

    The log-odds become a + s * logit(p). The fit minimises the weighted log loss plus
    penalty / 2 * (a^2 + (s - 1)^2): no rows give the identity, few rows little change, and many
    rows plain Platt scaling. More than two classes share one slope and have a bias each. Numbers
    become m + a + s * (p - m) with m their mean: least squares, where the penalty counts as so many
    rows that say a = 0 and s = 1.

    Args:
        prediction: Predictions of the labelled rows by a model that did not learn from them:
            probabilities or log-odds of the second of two classes, or numbers, shape (n,); or one
            column a class, shape (n, classes). Probabilities are kept 1e-9 from 0 and 1.
        y: Classes or numbers of these rows, shape (n,).
        kind: "probability", "logits" or "number".
        penalty: Strength of the shrinkage, above 0.
        weight: Weights of rows, at least 0, shape (n,); ones when absent.
        classes: Classes in the order of the columns; codes from 0 when absent.

    Returns:
        The change; `apply` makes it on any rows. It exists for one class alone, for classes that
        can be separated, and for no rows at all.

    Raises:
        InputError: Shapes that do not fit, an unknown kind or class, a penalty that is not above 0.

    Cost: about ten passes over the labelled rows.

    Reference: Platt 1999, "Probabilistic outputs for support vector machines"; Guo, Pleiss, Sun,
        Weinberger 2017, "On calibration of modern neural networks", arXiv 1706.04599 (temperature).
        The shrinkage is ours.

    Example:
        >>> found = recalibrate([0.2, 0.3, 0.6, 0.7] * 50, [0, 0, 0, 1] * 50, kind="probability")
        >>> found.apply([0.5]).round(2).tolist(), recalibrate([], [], kind="probability").slope
        ([0.27], 1.0)
    """
    strength = positive(penalty, "penalty")
    predicted = read_prediction(prediction, kind)
    target = read_target(y, predicted, classes)
    n = len(target)
    used = read_weight(weight, n)
    many = predicted.base.shape[1]
    nothing = np.zeros(many) if many > 1 else 0.0
    if not used.any():
        return Recalibration(nothing, 1.0, kind, predicted.n_classes, n)
    if kind == "number":
        intercept, slope = _shrunken_line(predicted.base[:, 0], target[:, 0], used, strength)
        return Recalibration(intercept, slope, kind, 0, n)
    if many == 1:
        z = np.column_stack([np.ones(n), predicted.base])
        found = fit_terms(predicted.base, target, used, Columns(z, np.full((2, 1), strength), 1))
        return Recalibration(float(found[0, 0]), 1 + float(found[1, 0]), kind, 2, n)
    found = fit_terms(predicted.base, target, used, SlopeAndBiases(predicted.base, strength))
    return Recalibration(found[1:], 1 + float(found[0]), kind, many, n)


def _shrunken_line(p: Floats, y: Floats, weight: Floats, penalty: float) -> tuple[float, float]:
    """Least squares for a line near the identity."""
    total = weight.sum()
    middle = float(weight @ p / total)
    apart, miss = p - middle, y - p
    level = float(weight @ miss) / (total + penalty)
    square = float(weight @ apart**2)
    tilt = float(weight @ (miss * apart)) / (square * (1 + penalty / total)) if square > 0 else 0.0
    return level - tilt * middle, 1 + tilt
