"""Slow and plain forms of what the package computes fast, and scikit-learn's values.

Nothing here calls the code that it judges, except to evaluate a metric under other weights.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import sklearn.metrics as sk
from scipy.stats import norm
from sklearn.metrics import get_scorer

if TYPE_CHECKING:
    from elsewhere.core.metrics import Metric, Prepared

STEP = 1e-4

LOSSES = {
    "zero_one_loss": sk.zero_one_loss,
    "log_loss": sk.log_loss,
    "brier_score": sk.brier_score_loss,
    "mean_squared_error": sk.mean_squared_error,
    "mean_absolute_error": sk.mean_absolute_error,
    "mean_absolute_percentage_error": sk.mean_absolute_percentage_error,
    "mean_squared_log_error": sk.mean_squared_log_error,
    "root_mean_squared_error": sk.root_mean_squared_error,
    "root_mean_squared_log_error": sk.root_mean_squared_log_error,
}


class Fitted:
    """Predictions in the shape of a fitted scikit-learn estimator."""

    def __init__(self, prediction: np.ndarray, classes: np.ndarray, kind: str) -> None:
        self.prediction = prediction
        self.classes_ = classes
        self._estimator_type = kind

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import Tags, TargetTags

        return Tags(self._estimator_type, TargetTags(required=True))

    def fit(self) -> None:
        """A scorer asks only whether this exists."""

    def predict(self, X: object) -> np.ndarray:
        return self.prediction

    def predict_proba(self, X: object) -> np.ndarray:
        p = self.prediction
        return p if p.ndim == 2 else np.stack([1 - p, p], axis=1)


def scikit_value(
    name: str, y: np.ndarray, prediction: np.ndarray, weight: np.ndarray | None, needs: str
) -> float:
    """scikit-learn's value of a scorer or loss on rows that one group has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name in LOSSES:
            return float(LOSSES[name](y, prediction, sample_weight=weight))
        if name == "average_precision":
            return float(sk.average_precision_score(y, prediction, sample_weight=weight))
        if name == "roc_auc" or (name.startswith("roc_auc") and y.ndim == 2):
            average = "weighted" if name.endswith("weighted") else "macro"
            return float(sk.roc_auc_score(y, prediction, sample_weight=weight, average=average))
        kind = "regressor" if needs == "value" else "classifier"
        classes = np.arange(y.shape[1]) if y.ndim == 2 else np.unique(y)
        model = Fitted(prediction, classes, kind)
        return float(get_scorer(name)(model, None, y, sample_weight=weight))


def slope(
    metric: Metric, data: Prepared, weight: np.ndarray, cell: np.ndarray, n_cells: int, row: int
) -> float:
    """Derivative of a cell's value by the relative weight of one row, in the middle."""
    ends = []
    for sign in (1, -1):
        moved = weight.copy()
        moved[row] *= 1 + sign * STEP
        unit = np.arange(len(cell))
        ends.append(metric.evaluate(data, moved, cell, n_cells, unit).value[cell[row]])
    return float((ends[0] - ends[1]) / (2 * STEP))


def wins(high: float, low: float) -> float:
    """1 if the first is larger, 1/2 for a tie."""
    return float(high > low) + 0.5 * float(high == low)


def placements(y: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives that each positive beats, and of positives that beat each negative."""
    up, down = score[y == 1], score[y == 0]
    table = np.array([[wins(a, b) for b in down] for a in up])
    return table.mean(axis=1), table.mean(axis=0)


def area(y: np.ndarray, score: np.ndarray) -> float:
    return float(placements(y, score)[0].mean())


def delong(y: np.ndarray, *scores: np.ndarray) -> np.ndarray:
    """DeLong's covariance matrix of the areas of several scores on the same rows."""
    parts = [placements(y, score) for score in scores]
    up = np.cov(np.stack([part[0] for part in parts]), ddof=1)
    down = np.cov(np.stack([part[1] for part in parts]), ddof=1)
    return np.atleast_2d(up) / (y == 1).sum() + np.atleast_2d(down) / (y == 0).sum()


def obuchowski(y: np.ndarray, block: np.ndarray, *scores: np.ndarray) -> np.ndarray:
    """Obuchowski's covariance matrix of areas where rows come in blocks with both classes."""
    n_up, n_down = (y == 1).sum(), (y == 0).sum()
    blocks = np.unique(block)
    moved = []
    for score in scores:
        up, down = placements(y, score)
        by_row = np.empty(len(y))
        by_row[y == 1], by_row[y == 0] = up, down
        theta = up.mean()
        moved.append(
            [
                [(by_row[(block == b) & (y == 1)] - theta).sum() for b in blocks],
                [(by_row[(block == b) & (y == 0)] - theta).sum() for b in blocks],
            ]
        )
    m = len(blocks)
    k = len(scores)
    found = np.empty((k, k))
    for i in range(k):
        for j in range(k):
            (a, b), (c, d) = np.array(moved[i]), np.array(moved[j])
            s10, s01 = m / (m - 1) * (a @ c) / n_up, m / (m - 1) * (b @ d) / n_down
            s11 = m / (m - 1) * (a @ d + b @ c) / 2
            found[i, j] = s10 / n_up + s01 / n_down + 2 * s11 / (n_up * n_down)
    return found


def score_limits(right: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """Limits of a proportion: where |p - truth| is z standard errors of the truth."""
    z = norm.ppf((1 + level) / 2)
    a, b, c = n + z**2, -(2 * right + z**2), right**2 / n
    root = np.sqrt(b * b - 4 * a * c)
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


def square_and_add(
    a: int, b: int, c: int, d: int, level: float = 0.95
) -> tuple[float, float, float]:
    """Newcombe's paired interval (his method 10) of counts (both, first, second, none).

    Returns the difference and its limits.
    """
    n = a + b + c + d
    p, q = (a + b) / n, (a + c) / n
    low_p, high_p = score_limits(a + b, n, level)
    low_q, high_q = score_limits(a + c, n, level)
    margins = (a + b) * (c + d) * (a + c) * (b + d)
    tied = a * d - b * c
    tied = tied - n / 2 if tied > n / 2 else min(tied, 0)
    phi = tied / np.sqrt(margins) if margins else 0.0
    down, up = (p - low_p, high_q - q), (high_p - p, q - low_q)
    reach = [np.sqrt(x**2 - 2 * phi * x * y + y**2) for x, y in (down, up)]
    return p - q, p - q - reach[0], p - q + reach[1]
